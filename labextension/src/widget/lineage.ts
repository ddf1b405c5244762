/** Lineage in the page: the graph that the kernel sends, what its nodes lead to, and where they stand. */
import dagre from '@dagrejs/dagre';

import { formatDate } from './dates';
import { plainText } from './format';
import { trans } from './i18n';
import type { MLflowLink } from './model';
import type { Route } from './route';

/** One thing in the graph. Kernel: tunelab/lineage.py. */
export interface LineageNode {
  readonly id: string;
  readonly kind: string;
  readonly label: string;
  readonly technique?: string;
  readonly state?: string;
  readonly who?: string;
  /** ISO 8601. */
  readonly when?: string;
  readonly commit?: string;
  readonly dirty?: boolean;
  readonly packages?: Readonly<Record<string, string>>;
  readonly device?: string;
  readonly digest?: string;
  readonly run_id?: string;
  readonly experiment_id?: string;
  readonly facts?: Readonly<Record<string, string>>;
}

/** From what was used to what used it. */
export interface LineageEdge {
  readonly source: string;
  readonly target: string;
  readonly meaning: string;
  readonly note?: string;
}

export interface LineageGraph {
  /** The node that it is the lineage of. */
  readonly of: string;
  readonly nodes: readonly LineageNode[];
  readonly edges: readonly LineageEdge[];
}

/** The synced traits of a lineage's view. */
export interface LineageTraits {
  graph: LineageGraph | null;
  /** What each kind of node is called. */
  kinds: Readonly<Record<string, string>>;
  refused: string | null;
  reading: boolean;
  /** Where MLflow is, at no run. */
  mlflow?: MLflowLink | null;
}

/** What a lineage's view may ask for. */
export interface LineageCommand {
  readonly type: 'refresh';
}

/** What both pictures are drawn from. */
export interface PictureProps {
  readonly graph: LineageGraph;
  readonly kinds: Readonly<Record<string, string>>;
  /** How wide there is room, in pixels. */
  readonly width: number;
  /** The id of the node whose details are on show. */
  readonly chosen: string | null;
  readonly onChoose: (node: LineageNode) => void;
}

/** The page of a node, where it has one. */
export function routeOf({ kind, label, state }: LineageNode): Route | null {
  if (state === 'deleted') {
    return null;
  }
  switch (kind) {
    case 'dataset':
      return { page: 'dataset', dataset: label };
    case 'base':
      return { page: 'base', model: label };
    case 'model':
      return { page: 'model', model: label };
    case 'job':
      return { page: 'job', job: label };
    case 'evaluation':
      return { page: 'job', job: label, isEvaluation: true };
    case 'prompt':
      return { page: 'prompt', prompt: label };
    case 'metric':
      return { page: 'metric', metric: label };
    case 'function':
      return { page: 'function', name: label };
    default:
      return null;
  }
}

/** What an edge means in the reader's language, with the checkpoint if it is about one. */
export function meaningOf({ meaning, note }: LineageEdge): string {
  const said = meaningName(meaning);
  return plainText(note ? `${said} (${note})` : said);
}

function meaningName(meaning: string): string {
  switch (meaning) {
    case 'trained on':
      return trans.__('trained on');
    case 'held out':
      return trans.__('held out');
    case 'started from':
      return trans.__('started from');
    case 'continued from':
      return trans.__('continued from');
    case 'made':
      return trans.__('made');
    case 'rewarded by':
      return trans.__('rewarded by');
    case 'judged by':
      return trans.__('judged by');
    case 'scored by':
      return trans.__('scored by');
    case 'evaluated':
      return trans.__('evaluated');
    case 'evaluated on':
      return trans.__('evaluated on');
    case 'deployed as':
      return trans.__('deployed as');
    case 'run again as':
      return trans.__('run again as');
    default:
      return meaning;
  }
}

/** What a box says under its name: what it is, by which technique, and what it was used for. */
export function subjectOf(graph: LineageGraph, node: LineageNode, kind: string): readonly string[] {
  const used = graph.edges.filter(({ source, meaning }) => source === node.id && meaning !== 'made');
  const technique = node.kind === 'job' ? (node.technique ?? '').toUpperCase() : '';
  const told = [kind, node.kind === 'evaluation' ? (node.technique ?? '') : technique];
  return [...new Set([...told, ...used.map(meaningOf)])].filter(Boolean).map(plainText);
}

/** What there is to tell of a node besides its name, as pairs. */
export function factsOf(node: LineageNode): readonly (readonly [name: string, value: string])[] {
  const packages = Object.entries(node.packages ?? {}).map(([name, version]) => `${name} ${version}`);
  const told: [string, string | undefined][] = [
    [trans.__('State'), node.state],
    [trans.__('When'), node.when && formatDate(node.when)],
    [trans.__('Who'), node.who],
    [trans.__('Technique'), node.technique],
    [
      trans.__('Commit'),
      node.commit && `${node.commit.slice(0, 12)}${node.dirty ? ` ${trans.__('with changes')}` : ''}`
    ],
    [trans.__('Device'), node.device],
    [trans.__('Digest'), node.digest?.slice(0, 12)],
    [trans.__('Packages'), packages.join(', ')],
    ...Object.entries(node.facts ?? {}).map(([name, value]): [string, string] => [factName(name), value])
  ];
  return told.flatMap(([name, value]) => (value ? [[plainText(name), plainText(value)] as const] : []));
}

function factName(name: string): string {
  switch (name) {
    case 'adapter':
      return trans.__('Adapter');
    case 'address':
      return trans.__('Address');
    case 'aliases':
      return trans.__('Aliases');
    case 'kind':
      return trans.__('Kind');
    case 'platform':
      return trans.__('Platform');
    case 'processor':
      return trans.__('Processor');
    case 'reason':
      return trans.__('Reason');
    case 'rows':
      return trans.__('Rows');
    case 'source':
      return trans.__('Source');
    case 'tasks':
      return trans.__('Tasks');
    default:
      return name;
  }
}

/** The size of a node's box, in pixels. */
export const BOX = { width: 184, height: 48 };

interface Point {
  readonly x: number;
  readonly y: number;
}

/** A picture from left to right. */
export interface Placed {
  readonly width: number;
  readonly height: number;
  /** The upper left corner of each node's box. */
  readonly places: ReadonlyMap<string, Point>;
  /** By the edge's place in the graph: the points that its line goes through, and the middle of its words. */
  readonly ways: readonly { readonly points: readonly Point[]; readonly label: Point }[];
}

/** Where each node stands, and where lines go between the boxes. */
export function placed(graph: LineageGraph): Placed {
  // Two things may have to do with each other in more than one way.
  const drawn = new dagre.graphlib.Graph({ multigraph: true });
  drawn.setGraph({ rankdir: 'LR', nodesep: 12, ranksep: 22, edgesep: 10 });
  drawn.setDefaultEdgeLabel(() => ({}));
  graph.nodes.forEach(({ id }) => {
    drawn.setNode(id, { ...BOX });
  });
  graph.edges.forEach((edge, place) => {
    const width = 6 * meaningOf(edge).length + 8;
    drawn.setEdge(edge.source, edge.target, { width, height: 14, labelpos: 'c' }, String(place));
  });
  dagre.layout(drawn);
  const { width = 0, height = 0 } = drawn.graph() as { width?: number; height?: number };
  return {
    width,
    height,
    places: new Map(
      graph.nodes.map(({ id }) => {
        const { x, y } = drawn.node(id) as Point;
        return [id, { x: x - BOX.width / 2, y: y - BOX.height / 2 }];
      })
    ),
    ways: graph.edges.map(({ source, target }, place) => {
      const { points, x, y } = drawn.edge(source, target, String(place)) as unknown as {
        points: readonly Point[];
        x: number;
        y: number;
      };
      // Lines leave in the middle of a box's right side and come to the middle of the left one.
      const [from, to] = [drawn.node(source) as Point, drawn.node(target) as Point];
      const ends = [from.x + BOX.width / 2, to.x - BOX.width / 2] as const;
      const between = points.slice(1, -1).filter(point => point.x > ends[0] && point.x < ends[1]);
      return { points: [{ x: ends[0], y: from.y }, ...between, { x: ends[1], y: to.y }], label: { x, y } };
    })
  };
}

/** A smooth line through points from left to right, as an SVG path: level at each of them. */
export function smooth([first, ...rest]: readonly Point[]): string {
  let path = first ? `M${first.x} ${first.y}` : '';
  let before = first ?? { x: 0, y: 0 };
  for (const point of rest) {
    const middle = (before.x + point.x) / 2;
    path += `C${middle} ${before.y} ${middle} ${point.y} ${point.x} ${point.y}`;
    before = point;
  }
  return path;
}

/** The nodes one under another, each under all that led to it, and as near to that as can be. */
export function inOrder(graph: LineageGraph): readonly LineageNode[] {
  const nodes = new Map(graph.nodes.map(node => [node.id, node]));
  const inputs = new Map<string, string[]>();
  graph.edges.forEach(({ source, target }) => {
    inputs.set(target, [...(inputs.get(target) ?? []), source]);
  });
  const ordered: LineageNode[] = [];
  const seen = new Set<string>();
  const whole = (id: string) => {
    // With a stack of its own: a chain may be long.
    const waiting: [id: string, isReady: boolean][] = [[id, false]];
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      const [at, isReady] = next;
      const node = nodes.get(at);
      if (isReady && node) {
        ordered.push(node);
      } else if (!seen.has(at)) {
        seen.add(at);
        waiting.push([at, true]);
        (inputs.get(at) ?? []).forEach(input => waiting.push([input, false]));
      }
    }
  };
  whole(graph.of);
  [...graph.nodes]
    .sort((a, b) => (a.when ?? '').localeCompare(b.when ?? ''))
    .filter(({ id }) => inputs.has(id))
    .forEach(({ id }) => {
      whole(id);
    });
  graph.nodes.forEach(({ id }) => {
    whole(id);
  });
  return ordered;
}

/** A line beside the column of boxes: from a row down to others, at a distance of so many lanes. */
export interface Lane {
  readonly source: string;
  readonly from: number;
  readonly to: readonly number[];
  readonly lane: number;
}

/** The lines beside the column: one a source, the short ones next to the boxes, none over another. */
export function lanes(graph: LineageGraph, order: readonly LineageNode[]): readonly Lane[] {
  const rows = new Map(order.map(({ id }, row) => [id, row]));
  const lines = order
    .map(({ id }, from) => {
      const to = graph.edges.filter(({ source }) => source === id).map(({ target }) => rows.get(target) ?? from);
      return { source: id, from, to: [...new Set(to)].filter(row => row > from), end: Math.max(from, ...to) };
    })
    .filter(({ to }) => to.length > 0)
    .sort((a, b) => a.end - a.from - (b.end - b.from) || a.from - b.from);
  const taken: { from: number; end: number }[][] = [];
  return lines.map(({ source, from, to, end }) => {
    let lane = taken.findIndex(others => others.every(other => other.end <= from || end <= other.from));
    if (lane < 0) {
      lane = taken.push([]) - 1;
    }
    taken[lane]?.push({ from, end });
    return { source, from, to, lane };
  });
}
