/** The picture of a lineage: boxes that lead to pages, drawn by React Flow. */
import {
  Controls,
  Handle,
  MarkerType,
  Position,
  ReactFlow,
  ReactFlowProvider,
  type Edge,
  type Node,
  type NodeProps
} from '@xyflow/react';
import { useMemo } from 'react';

import { plainText } from './format';
import { trans } from './i18n';
import { BOX, placed, type LineageGraph, type LineageNode } from './lineage';

interface GraphProps {
  readonly graph: LineageGraph;
  readonly kinds: Readonly<Record<string, string>>;
  readonly isWide: boolean;
  /** The id of the node whose details are on show. */
  readonly chosen: string | null;
  readonly onChoose: (node: LineageNode) => void;
}

type BoxNode = Node<
  {
    readonly node: LineageNode;
    readonly kind: string;
    readonly isCentre: boolean;
    readonly isWide: boolean;
    readonly isChosen: boolean;
    readonly onChoose: (node: LineageNode) => void;
  },
  'box'
>;

const TYPES = { box: Box };

/** The picture. */
export function LineageGraphView({ graph, kinds, isWide, chosen, onChoose }: GraphProps) {
  const nodes = useMemo<BoxNode[]>(() => {
    const places = placed(graph, isWide);
    return graph.nodes.map(node => ({
      id: node.id,
      type: 'box',
      position: places.get(node.id) ?? { x: 0, y: 0 },
      width: BOX.width,
      height: BOX.height,
      // The button within has the focus, and the name.
      focusable: false,
      data: {
        node,
        kind: kinds[node.kind] ?? node.kind,
        isCentre: node.id === graph.of,
        isWide,
        isChosen: node.id === chosen,
        onChoose
      }
    }));
  }, [graph, kinds, isWide, chosen, onChoose]);
  const edges = useMemo<Edge[]>(
    () =>
      graph.edges.map(({ source, target, meaning }) => ({
        id: `${source} ${meaning} ${target}`,
        source,
        target,
        label: plainText(meaning),
        focusable: false,
        markerEnd: { type: MarkerType.ArrowClosed, width: 14, height: 14 }
      })),
    [graph]
  );
  return (
    <div className="tunelab-lineage-graph" data-wide={isWide}>
      <ReactFlowProvider key={String(isWide)}>
        <ReactFlow
          nodes={nodes}
          edges={edges}
          nodeTypes={TYPES}
          fitView
          fitViewOptions={{ padding: 0.08, maxZoom: 1 }}
          minZoom={0.2}
          nodesDraggable={false}
          nodesConnectable={false}
          elementsSelectable={false}
          disableKeyboardA11y
          // The page scrolls with the wheel; the buttons zoom.
          zoomOnScroll={false}
          preventScrolling={false}
          proOptions={{ hideAttribution: true }}
        >
          <Controls showInteractive={false} aria-label={trans.__('Zoom of the lineage')} />
        </ReactFlow>
      </ReactFlowProvider>
    </div>
  );
}

function Box({ data }: NodeProps<BoxNode>) {
  const { node, kind, isCentre, isWide, isChosen, onChoose } = data;
  const label = plainText(node.label);
  return (
    <>
      <Handle type="target" position={isWide ? Position.Left : Position.Top} isConnectable={false} />
      <button
        type="button"
        className="tunelab-lineage-box nodrag nopan"
        data-kind={node.kind}
        data-centre={isCentre}
        data-state={node.state}
        aria-pressed={isChosen}
        aria-label={`${kind} ${label}${isCentre ? `, ${trans.__('this one')}` : ''}`}
        title={label}
        onClick={() => {
          onChoose(node);
        }}
      >
        <b>{label}</b>
        <span>{kind}</span>
      </button>
      <Handle type="source" position={isWide ? Position.Right : Position.Bottom} isConnectable={false} />
    </>
  );
}
