/** The picture of a lineage from left to right: boxes that lead to pages, drawn by React Flow. */
import {
  BaseEdge,
  Controls,
  Handle,
  MarkerType,
  Position,
  ReactFlow,
  ReactFlowProvider,
  useReactFlow,
  type Edge,
  type EdgeProps,
  type Node,
  type NodeProps
} from '@xyflow/react';
import { useMemo, type FocusEvent } from 'react';

import { trans } from './i18n';
import { BOX, meaningOf, placed, smooth, subjectOf, type LineageNode, type PictureProps } from './lineage';
import { LineageBox } from './LineageBox';

/** Letters are not made smaller than this, in parts of their size; what has no room is reached by dragging. */
const LEAST_ZOOM = 0.72;
const MARGIN = 12;
/** The row of buttons below the picture. */
const FOOT = 32;
const LEAST_HEIGHT = 120;
const MOST_HEIGHT = 640;

type BoxNode = Node<
  {
    readonly node: LineageNode;
    readonly subject: readonly string[];
    readonly isCentre: boolean;
    readonly isChosen: boolean;
    readonly onChoose: (node: LineageNode) => void;
  },
  'box'
>;
type WayEdge = Edge<{ readonly path: string; readonly x: number; readonly y: number }, 'way'>;

const NODES = { box: Box };
const EDGES = { way: Way };

/** The picture. */
export function LineageGraphView({ graph, kinds, width, chosen, onChoose }: PictureProps) {
  const layout = useMemo(() => placed(graph), [graph]);
  const nodes = useMemo<BoxNode[]>(
    () =>
      graph.nodes.map(node => ({
        id: node.id,
        type: 'box',
        position: layout.places.get(node.id) ?? { x: 0, y: 0 },
        width: BOX.width,
        height: BOX.height,
        // The button within has the focus, and the name.
        focusable: false,
        domAttributes: { 'aria-roledescription': trans.__('node') },
        data: {
          node,
          subject: subjectOf(graph, node, kinds[node.kind] ?? node.kind),
          isCentre: node.id === graph.of,
          isChosen: node.id === chosen,
          onChoose
        }
      })),
    [graph, layout, kinds, chosen, onChoose]
  );
  const edges = useMemo<WayEdge[]>(
    () =>
      graph.edges.map((edge, place) => ({
        id: String(place),
        type: 'way',
        source: edge.source,
        target: edge.target,
        label: meaningOf(edge),
        focusable: false,
        ariaLabel: trans.__('Edge from %1 to %2', edge.source, edge.target),
        domAttributes: { 'aria-roledescription': trans.__('edge') },
        data: {
          path: smooth(layout.ways[place]?.points ?? []),
          x: layout.ways[place]?.label.x ?? 0,
          y: layout.ways[place]?.label.y ?? 0
        },
        markerEnd: { type: MarkerType.ArrowClosed, width: 14, height: 14 }
      })),
    [graph, layout]
  );
  // React Flow takes another object for another text.
  const words = useMemo(
    () => ({
      'controls.zoomIn.ariaLabel': trans.__('Zoom In'),
      'controls.zoomOut.ariaLabel': trans.__('Zoom Out'),
      'controls.fitView.ariaLabel': trans.__('Fit View')
    }),
    []
  );
  const fits = (width - 2 * MARGIN) / Math.max(1, layout.width);
  const zoom = Math.max(LEAST_ZOOM, Math.min(1, fits));
  const height = Math.min(MOST_HEIGHT, Math.max(LEAST_HEIGHT, layout.height * zoom + 2 * MARGIN + FOOT));
  return (
    <div className="tunelab-lineage-graph" style={{ height }}>
      {/* Drawn anew where the width is another: the view is chosen once. */}
      <ReactFlowProvider key={`${graph.of} ${Math.round(width / 40)}`}>
        <ReactFlow
          nodes={nodes}
          edges={edges}
          nodeTypes={NODES}
          edgeTypes={EDGES}
          defaultViewport={viewport()}
          minZoom={0.2}
          maxZoom={1.5}
          nodesDraggable={false}
          nodesConnectable={false}
          elementsSelectable={false}
          disableKeyboardA11y
          ariaLabelConfig={words}
          // The page scrolls with the wheel; the buttons zoom.
          zoomOnScroll={false}
          zoomOnDoubleClick={false}
          preventScrolling={false}
          proOptions={{ hideAttribution: true }}
        >
          <Controls orientation="horizontal" showInteractive={false} aria-label={trans.__('Zoom of the lineage')} />
        </ReactFlow>
      </ReactFlowProvider>
    </div>
  );

  /** All of it where that can be read, else the thing itself in the middle. */
  function viewport() {
    const own = layout.places.get(graph.of) ?? { x: 0, y: 0 };
    const along = (size: number, room: number, at: number) =>
      size * zoom + 2 * MARGIN <= room
        ? (room - size * zoom) / 2
        : Math.max(room - MARGIN - size * zoom, Math.min(MARGIN, room / 2 - at * zoom));
    return {
      x: along(layout.width, width, own.x + BOX.width / 2),
      y: along(layout.height, height - FOOT, own.y + BOX.height / 2),
      zoom
    };
  }
}

function Way({ data, label, markerEnd }: EdgeProps<WayEdge>) {
  return (
    data && (
      <BaseEdge
        path={data.path}
        label={label}
        labelX={data.x}
        labelY={data.y}
        labelBgPadding={[3, 1]}
        {...(markerEnd ? { markerEnd } : {})}
      />
    )
  );
}

function Box({ data, positionAbsoluteX, positionAbsoluteY }: NodeProps<BoxNode>) {
  const flow = useReactFlow();
  const reached = ({ target, currentTarget }: FocusEvent) => {
    const frame = currentTarget.closest('.react-flow');
    if (!frame || !target.matches(':focus-visible')) {
      return;
    }
    const [within, around] = [target.getBoundingClientRect(), frame.getBoundingClientRect()];
    // The browser scrolls to what the Tab key reaches; here the view is moved instead.
    for (let node = currentTarget.parentElement; node; node = node === frame ? null : node.parentElement) {
      node.scrollTo(0, 0);
    }
    const isSeen = within.left >= around.left && within.right <= around.right;
    if (!isSeen || within.top < around.top || within.bottom > around.bottom) {
      const [x, y] = [positionAbsoluteX + BOX.width / 2, positionAbsoluteY + BOX.height / 2];
      void flow.setCenter(x, y, { zoom: flow.getZoom() });
    }
  };
  return (
    <>
      <Handle type="target" position={Position.Left} isConnectable={false} />
      <div className="tunelab-lineage-node" onFocus={reached}>
        <LineageBox {...data} />
      </div>
      <Handle type="source" position={Position.Right} isConnectable={false} />
    </>
  );
}
