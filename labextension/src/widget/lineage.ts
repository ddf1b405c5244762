/** Lineage in the page: the graph that the kernel sends, what its nodes lead to, and where they stand. */
import dagre from '@dagrejs/dagre';

import { plainText } from './format';
import { trans } from './i18n';
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
}

/** What a lineage's view may ask for. */
export interface LineageCommand {
  readonly type: 'refresh';
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

/** What there is to tell of a node besides its name, as pairs. */
export function factsOf(node: LineageNode): readonly (readonly [name: string, value: string])[] {
  const packages = Object.entries(node.packages ?? {}).map(([name, version]) => `${name} ${version}`);
  const told: [string, string | undefined][] = [
    [trans.__('State'), node.state],
    [trans.__('When'), node.when?.replace('T', ' ').replace(/\+00:00$/, ' UTC')],
    [trans.__('Who'), node.who],
    [trans.__('Technique'), node.technique],
    [
      trans.__('Commit'),
      node.commit && `${node.commit.slice(0, 12)}${node.dirty ? ` ${trans.__('with changes')}` : ''}`
    ],
    [trans.__('Device'), node.device],
    [trans.__('Digest'), node.digest],
    [trans.__('Packages'), packages.join(', ')],
    ...Object.entries(node.facts ?? {})
  ];
  return told.flatMap(([name, value]) => (value ? [[plainText(name), plainText(value)] as const] : []));
}

/** The size of a node's box, in pixels. */
export const BOX = { width: 176, height: 50 };

/** Where each node stands: from left to right, or from top to bottom where there is little width. */
export function placed(graph: LineageGraph, isWide: boolean): ReadonlyMap<string, { x: number; y: number }> {
  const drawn = new dagre.graphlib.Graph().setGraph({
    rankdir: isWide ? 'LR' : 'TB',
    nodesep: isWide ? 14 : 18,
    ranksep: isWide ? 60 : 34
  });
  drawn.setDefaultEdgeLabel(() => ({}));
  graph.nodes.forEach(({ id }) => {
    drawn.setNode(id, { ...BOX });
  });
  graph.edges.forEach(({ source, target }) => {
    drawn.setEdge(source, target);
  });
  dagre.layout(drawn);
  return new Map(
    graph.nodes.map(({ id }) => {
      const { x, y } = drawn.node(id) as { x: number; y: number };
      return [id, { x: x - BOX.width / 2, y: y - BOX.height / 2 }];
    })
  );
}
