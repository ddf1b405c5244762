/** The picture of a lineage where there is little width: one box under another, with lines beside them. */
import { useMemo, useState } from 'react';

import { inOrder, lanes, subjectOf, type Lane, type PictureProps } from './lineage';
import { LineageBox } from './LineageBox';

/** How far apart rows are, how tall a box is, and where lines leave and enter it, from its middle; in pixels. */
const ROW = 58;
const HEIGHT = 46;
const AWAY = 7;
const LANE = 7;
/** Lines take no more than this of the width. */
const MOST_GUTTER = 70;

/** The picture. */
export function LineageColumnView({ graph, kinds, chosen, onChoose }: PictureProps) {
  const order = useMemo(() => inOrder(graph), [graph]);
  const lines = useMemo(() => lanes(graph, order), [graph, order]);
  const [lit, setLit] = useState<string | null>(null);
  const count = Math.max(0, ...lines.map(({ lane }) => lane + 1));
  const gap = Math.min(LANE, (MOST_GUTTER - 16) / Math.max(1, count));
  const gutter = 16 + count * gap;
  const row = order.findIndex(({ id }) => id === lit);
  const isLit = ({ source, to }: Lane) => source === lit || to.includes(row);
  return (
    <div className="tunelab-lineage-column" style={{ paddingLeft: gutter }}>
      <svg className="tunelab-lineage-lines" width={gutter} height={order.length * ROW} aria-hidden="true">
        {[...lines]
          .sort((a, b) => Number(isLit(a)) - Number(isLit(b)))
          .map(line => (
            <g key={line.source} data-lit={isLit(line)}>
              {line.to.map(to => (
                <path key={to} d={way(line, to, gutter, gutter - 10 - line.lane * gap)} />
              ))}
              {line.to.map(to => (
                <path key={`head ${to}`} className="tunelab-lineage-head-mark" d={head(to, gutter)} />
              ))}
            </g>
          ))}
      </svg>
      <ol>
        {order.map(node => (
          <li
            key={node.id}
            style={{ height: ROW, paddingBottom: ROW - HEIGHT }}
            onMouseEnter={() => {
              setLit(node.id);
            }}
            onMouseLeave={() => {
              setLit(null);
            }}
            onFocus={() => {
              setLit(node.id);
            }}
          >
            <LineageBox
              node={node}
              subject={subjectOf(graph, node, kinds[node.kind] ?? node.kind)}
              isCentre={node.id === graph.of}
              isChosen={node.id === chosen}
              onChoose={onChoose}
            />
          </li>
        ))}
      </ol>
    </div>
  );
}

/** From a box to the lane, down, and to another box. */
function way({ from }: Lane, to: number, right: number, x: number): string {
  const y1 = from * ROW + HEIGHT / 2 + AWAY;
  const y2 = to * ROW + HEIGHT / 2 - AWAY;
  const round = Math.min(5, right - x);
  return `M${right} ${y1}H${x + round}Q${x} ${y1} ${x} ${y1 + round}V${y2 - round}Q${x} ${y2} ${x + round} ${y2}H${right - 2}`;
}

function head(to: number, right: number): string {
  const y = to * ROW + HEIGHT / 2 - AWAY;
  return `M${right - 6} ${y - 3}L${right - 0.5} ${y}L${right - 6} ${y + 3}z`;
}
