import { act, cleanup, fireEvent, render, screen, within } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { LineageBox } from '../../labextension/src/widget/LineageBox';
import { LineageView } from '../../labextension/src/widget/LineageView';
import {
  factsOf,
  inOrder,
  lanes,
  meaningOf,
  placed,
  routeOf,
  smooth,
  subjectOf,
  type LineageGraph,
  type LineageNode
} from '../../labextension/src/widget/lineage';
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
      packages: { trl: '1' },
      run_id: 'r1',
      experiment_id: '1'
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

/** A model that was continued and then judged: more than one way between its parts. */
const LONGER: LineageGraph = {
  of: 'model:b@1',
  nodes: ['evaluation:e', 'base:s', 'model:b@1', 'dataset:d@1', 'job:2', 'model:a@1', 'job:1'].map(id => ({
    id,
    kind: id.split(':')[0]!,
    label: id.split(':')[1]!
  })),
  edges: [
    { source: 'base:s', target: 'job:1', meaning: 'started from' },
    { source: 'dataset:d@1', target: 'job:1', meaning: 'trained on' },
    { source: 'job:1', target: 'model:a@1', meaning: 'made' },
    { source: 'model:a@1', target: 'job:2', meaning: 'continued from', note: 'step 20' },
    { source: 'dataset:d@1', target: 'job:2', meaning: 'held out' },
    { source: 'job:2', target: 'model:b@1', meaning: 'made' },
    { source: 'model:b@1', target: 'evaluation:e', meaning: 'evaluated' },
    { source: 'model:b@1', target: 'evaluation:e', meaning: 'judged by' },
    { source: 'base:s', target: 'evaluation:e', meaning: 'evaluated' }
  ]
};

test('from left to right no box is on another, and each line goes from box to box in its own way', () => {
  const { places, ways, width, height } = placed(LONGER);
  const at = (id: string) => places.get(id)!;
  LONGER.edges.forEach(({ source, target }, place) => {
    expect(at(source).x).toBeLessThan(at(target).x);
    const { points } = ways[place]!;
    expect(points[0]!.x).toBeGreaterThan(at(source).x);
    expect(points.at(-1)!.x).toBe(at(target).x);
    expect(points.map(({ x }) => x)).toEqual(points.map(({ x }) => x).sort((a, b) => a - b));
    expect(smooth(points)).toMatch(/^M[\d. -]+C/);
  });
  expect(new Set(ways.map(({ label }) => `${label.x} ${label.y}`)).size).toBe(LONGER.edges.length);
  places.forEach(({ x, y }) => {
    expect(x >= 0 && x <= width && y >= 0 && y <= height).toBe(true);
  });
  expect(new Set([...places.values()].map(({ x, y }) => `${x} ${y}`)).size).toBe(LONGER.nodes.length);
});

test('one under another, each stands under what led to it, and no line is over another', () => {
  const order = inOrder(LONGER);
  const row = (id: string) => order.findIndex(node => node.id === id);
  expect(order).toHaveLength(LONGER.nodes.length);
  LONGER.edges.forEach(({ source, target }) => {
    expect(row(source)).toBeLessThan(row(target));
  });
  const lines = lanes(LONGER, order);
  lines.forEach(one => {
    expect(one.to.every(to => to > one.from)).toBe(true);
    const beside = lines.filter(other => other !== one && other.lane === one.lane);
    beside.forEach(other => {
      expect(Math.max(...other.to) <= one.from || Math.max(...one.to) <= other.from).toBe(true);
    });
  });
});

test('boxes say what they are and what for, edges which checkpoint', () => {
  const [base, model] = [LONGER.nodes[1]!, LONGER.nodes[2]!];
  expect(subjectOf(LONGER, base, 'base model')).toEqual(['base model', 'started from', 'evaluated']);
  expect(subjectOf(LONGER, model, 'custom model')).toEqual(['custom model', 'evaluated', 'judged by']);
  expect(meaningOf(LONGER.edges[3]!)).toBe('continued from (step 20)');
});

test('where there is little width boxes are buttons that tell and lead on', async () => {
  show(GRAPH, { mlflow: { url: null, command: '', artifacts: null, experiment_id: null, run_id: null } });
  const box = await screen.findByRole('button', { name: 'Job j-1' });
  expect(
    screen
      .getAllByRole('button', { name: /^(Dataset|Job|Custom)/ })
      .map(node => node.ariaLabel ?? node.getAttribute('aria-label'))
  ).toEqual(['Dataset pairs@1, trained on', 'Job j-1', 'Custom model chatty@1, this one']);
  box.focus();
  expect(document.activeElement).toBe(box);
  fireEvent.click(box);
  expect(box.getAttribute('aria-pressed')).toBe('true');
  const details = within(screen.getByRole('region', { name: 'Details of j-1' }));
  expect(details.getByText('ada')).toBeTruthy();
  fireEvent.click(details.getByRole('button', { name: 'Open in MLflow' }));
  expect(shell.asked).toEqual([['mlflow', expect.objectContaining({ run_id: 'r1', experiment_id: '1' }), 'j-1']]);
  fireEvent.click(details.getByRole('button', { name: 'Open j-1' }));
  expect(gone).toEqual([{ page: 'job', job: 'j-1' }]);
  fireEvent.click(box);
  expect(screen.queryByRole('region', { name: 'Details of j-1' })).toBeNull();
});

test.each([
  ['/home/ada/models/tiny', '…/tiny'],
  ['C:\\models\\tiny', '…/tiny'],
  ['HuggingFaceTB/SmolLM2-135M', 'HuggingFaceTB/SmolLM2-135M'],
  ['chatty-20260316-101500-1f2e', 'chatty … 1f2e']
])('a box has room for the ends of %s', (label, shown) => {
  const node: LineageNode = { id: 'base:x', kind: 'base', label };
  const box = { node, subject: ['base model'], isCentre: false, isChosen: false, onChoose: () => undefined };
  render(<LineageBox {...box} />);
  expect(screen.getByText(shown)).toBeTruthy();
  expect(screen.getByRole('button', { name: `Base model ${label}` }).title).toContain(label);
});

test('what no picture has room for is a list that can be searched', () => {
  const nodes = Array.from({ length: 200 }, (_, place) => ({ id: `job:${place}`, kind: 'job', label: `j-${place}` }));
  show({ of: 'job:7', nodes, edges: [] });
  expect(screen.getByRole('status').textContent).toBe('200 things, as a list');
  const list = screen.getByRole('list', { name: 'Lineage' });
  expect(within(list).getAllByRole('listitem')).toHaveLength(200);
  fireEvent.change(screen.getByRole('searchbox', { name: 'Filter the lineage' }), { target: { value: 'J-19' } });
  expect(within(list).getAllByRole('listitem')).toHaveLength(11);
});

test('a name is asked for by its kind where it may mean more than one, and shown without', () => {
  render(
    <ShellContext.Provider value={shell}>
      <LineageView of="dataset:chatty@1" />
    </ShellContext.Provider>
  );
  expect(screen.getByRole('region', { name: 'Lineage of chatty@1' })).toBeTruthy();
  expect(shell.views.at(-1)!.asked).toEqual({ view: 'lineage', of: 'dataset:chatty@1' });
});
