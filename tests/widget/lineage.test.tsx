import { act, cleanup, fireEvent, render, screen, within } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { LineageView } from '../../labextension/src/widget/LineageView';
import { factsOf, placed, routeOf, type LineageGraph, type LineageNode } from '../../labextension/src/widget/lineage';
import { NavigationContext, type Route } from '../../labextension/src/widget/route';
import { ShellContext } from '../../labextension/src/widget/shell';
import { TestShell } from './shell';

const HOSTILE = '<img src=x onerror="document.title=1">\u001b[31m**x**';
const GRAPH: LineageGraph = {
  of: 'model:chatty@1',
  nodes: [
    { id: 'dataset:pairs@1', kind: 'dataset', label: 'pairs@1', digest: 'abc', facts: { source: HOSTILE } },
    {
      id: 'job:j-1',
      kind: 'job',
      label: 'j-1',
      who: 'ada',
      commit: '0123456789abcdef',
      dirty: true,
      packages: { trl: '1' }
    },
    { id: 'model:chatty@1', kind: 'model', label: 'chatty@1' }
  ],
  edges: [
    { source: 'dataset:pairs@1', target: 'job:j-1', meaning: 'trained on' },
    { source: 'job:j-1', target: 'model:chatty@1', meaning: 'made' }
  ]
};
const KINDS = { dataset: 'dataset', job: 'job', model: 'custom model' };

let shell: TestShell;
let gone: Route[];

beforeEach(() => {
  shell = new TestShell();
  gone = [];
});
afterEach(cleanup);

function show(graph: LineageGraph | null, more: object = {}) {
  const navigation = { go: (route: Route) => gone.push(route), back: () => undefined, show: () => undefined };
  render(
    <ShellContext.Provider value={shell}>
      <NavigationContext.Provider value={navigation}>
        <LineageView of="chatty@1" />
      </NavigationContext.Provider>
    </ShellContext.Provider>
  );
  const view = shell.views.at(-1)!;
  act(() => {
    view.update({ graph, kinds: KINDS, refused: null, reading: graph === null, ...more });
  });
  return view;
}

describe('a lineage', () => {
  test('says that MLflow is read, and why it cannot be', () => {
    const view = show(null);
    expect(screen.getByRole('region', { name: 'Lineage of chatty@1' }).textContent).toContain('Reading MLflow…');
    expect(view.asked).toEqual({ view: 'lineage', of: 'chatty@1' });
    act(() => {
      view.update({ reading: false, refused: `MLflow is away ${HOSTILE}` });
    });
    expect(screen.getByText(/MLflow is away <img src=x/)).toBeTruthy();
    fireEvent.click(screen.getByRole('button', { name: 'Refresh' }));
    expect(view.sent).toEqual([{ type: 'refresh' }]);
  });

  test('as a list names what each was made with, and leads to its page', () => {
    show(GRAPH);
    fireEvent.click(screen.getByRole('button', { name: 'As a list' }));
    const items = within(screen.getByRole('list', { name: 'Lineage' })).getAllByRole('listitem');
    expect(items.map(item => item.textContent)).toEqual([
      'pairs@1 dataset',
      'j-1 job · trained on pairs@1',
      'chatty@1 custom model · made j-1'
    ]);
    expect(items[2]!.getAttribute('aria-current')).toBe('true');
    fireEvent.click(within(items[0]!).getByRole('button'));
    expect(screen.getByText('<img src=x onerror="document.title=1">**x**')).toBeTruthy();
    fireEvent.click(screen.getByRole('button', { name: 'Open pairs@1' }));
    expect(gone).toEqual([{ page: 'dataset', dataset: 'pairs@1' }]);
  });
});

test('facts tell who, with which commit and packages', () => {
  expect(factsOf(GRAPH.nodes[1]!)).toEqual([
    ['Who', 'ada'],
    ['Commit', '0123456789ab with changes'],
    ['Packages', 'trl 1']
  ]);
});

test.each<[LineageNode, Route | null]>([
  [
    { id: '', kind: 'base', label: 'b' },
    { page: 'base', model: 'b' }
  ],
  [
    { id: '', kind: 'evaluation', label: 'e-1' },
    { page: 'job', job: 'e-1', isEvaluation: true }
  ],
  [
    { id: '', kind: 'prompt', label: 'p@1' },
    { page: 'prompt', prompt: 'p@1' }
  ],
  [{ id: '', kind: 'model', label: 'm@1', state: 'deleted' }, null],
  [{ id: '', kind: 'endpoint', label: 'e' }, null]
])('%j leads to %j', (node, route) => {
  expect(routeOf(node)).toEqual(route);
});

test.each([
  [true, 'x'],
  [false, 'y']
] as const)('where it is wide (%s) it runs along %s', (isWide, axis) => {
  const places = placed(GRAPH, isWide);
  const along = GRAPH.nodes.map(node => places.get(node.id)![axis]);
  expect(along).toEqual([...along].sort((a, b) => a - b));
  expect(new Set(along).size).toBe(3);
});
