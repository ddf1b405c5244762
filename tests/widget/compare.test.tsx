import { act, cleanup, fireEvent, render, screen, within } from '@testing-library/react';
import { afterEach, describe, expect, test } from 'vitest';

import { comparedMetrics, type ComparedJob, type ComparedRow } from '../../labextension/src/widget/comparison';
import { PanelView } from '../../labextension/src/widget/PanelView';
import { opened, START, type Route } from '../../labextension/src/widget/route';
import { ShellContext } from '../../labextension/src/widget/shell';
import type { JobRow, ListTraits } from '../../labextension/src/widget/model';
import { TestModel } from './models';
import { TestShell, type OpenedView } from './shell';
import { snapshot } from './snapshot';

afterEach(cleanup);

const row = (changes: Partial<JobRow>): JobRow => ({ ...snapshot(changes), spark: [] });
const A = row({ id: 'chatty-1-a', name: 'chatty', state: 'completed', model_version: 'chatty@1' });
const B = row({ id: 'chatty-1-b', name: 'chatty', state: 'running' });

/** The Studio, at a page if one is given. */
function show(route: Route | null = null, jobs: readonly JobRow[] = [A, B]) {
  const shell = new TestShell();
  const list = new TestModel<ListTraits>({ jobs });
  render(
    <ShellContext.Provider value={shell}>
      <PanelView
        state={
          {
            state: 'ready',
            name: 'a.ipynb',
            models: null,
            datasets: null,
            jobs: list,
            metrics: null,
            mlflow: null
          } as never
        }
        shell={shell}
        start={route ? opened(START, route) : START}
      />
    </ShellContext.Provider>
  );
  return { shell, list };
}

const button = (name: string | RegExp) => screen.getByRole<HTMLButtonElement>('button', { name });
const last = (shell: TestShell, view: string): OpenedView => {
  const found = shell.views.filter(one => one.asked.view === view && !one.closed).at(-1);
  if (!found) {
    throw new Error(`no view ${view}`);
  }
  return found;
};

const job = (id: string, name: string): ComparedJob => ({
  id,
  name,
  kind: 'customize',
  technique: 'dpo',
  state: 'running',
  sentence: 'Running: step 1 of 2'
});
const setting = (key: string, values: unknown[], changes: Partial<ComparedRow> = {}): ComparedRow => ({
  key,
  values,
  differs: values[0] !== values[1],
  result: false,
  ...changes
});

function compared(jobs = [job('a', 'one <b>'), job('b', 'two')], removed: string[] = []) {
  const { shell } = show({ page: 'compare', jobs: ['a', 'b'] });
  last(shell, 'compare').update({
    differences: [
      setting('adapter.r', [4, 8]),
      setting('hyperparameters.learning_rate', [0.00001, 0.000010001]),
      setting('model', ['m', 'm']),
      setting('loss', [0.5, null], { result: true })
    ],
    removed,
    cell: 'tl.compare("a", "b")',
    jobs
  });
  return shell;
}

const cells = () =>
  within(screen.getByRole('table', { name: 'Differences of the specs' }))
    .getAllByRole('row')
    .map(one => Array.from(one.children, cell => cell.textContent));

describe('choosing jobs', () => {
  test('two of the list are compared in the order in which they were chosen', () => {
    const { shell } = show();
    fireEvent.click(button('Compare…'));
    expect(button('Choose two or more').disabled).toBe(true);
    fireEvent.click(screen.getByRole('checkbox', { name: 'Compare chatty, job chatty-1-b' }));
    fireEvent.click(screen.getByRole('checkbox', { name: 'Compare chatty@1, job chatty-1-a' }));
    fireEvent.click(button('Compare 2 jobs'));
    expect(last(shell, 'compare').asked).toEqual({ view: 'compare', jobs: ['chatty-1-b', 'chatty-1-a'] });
  });

  test('one that is removed meanwhile is chosen no more, and the choice can be left', () => {
    const { list } = show();
    fireEvent.click(button('Compare…'));
    screen.getAllByRole('checkbox').forEach(box => fireEvent.click(box));
    list.update({ jobs: [A] });
    expect(button('Choose two or more').disabled).toBe(true);
    fireEvent.click(button('Cancel'));
    expect(screen.queryByRole('checkbox')).toBeNull();
  });

  test('a list with one job has nothing to compare', () => {
    show(null, [A]);
    expect(screen.queryByRole('button', { name: 'Compare…' })).toBeNull();
  });
});

describe('the comparison', () => {
  test('shows what differs with all digits, results last, and what is equal when it is asked for', () => {
    compared();
    expect(screen.getByRole('region', { name: 'Comparison of 2 jobs' })).toBeDefined();
    const differing = [
      ['Setting', 'one <b>', 'two'],
      ['adapter.r', '4', '8'],
      ['hyperparameters.learning_rate', '1e-5', '1.0001e-5']
    ];
    const results = [['Results'], ['Loss', '0.500', '—']];
    expect(cells()).toEqual([...differing, ...results]);
    fireEvent.click(screen.getByRole('checkbox', { name: 'Show what is equal' }));
    expect(cells()).toEqual([...differing, ['model', 'm', 'm'], ...results]);
  });

  test('draws a metric of all jobs in one chart, and its points as a table', async () => {
    const shell = compared();
    const [a, b] = shell.openJobs;
    a?.answer();
    b?.answer();
    a?.points('loss', 0, [[1, 1, 2]], [0.7, 0.5]);
    b?.points('loss', 0, [[1, 1, 1]], [0.6]);
    // Drawn a moment later, as points come.
    await screen.findByRole('img', { name: 'Comparison: loss' });
    fireEvent.click(button('Points of Loss as a table'));
    const points = within(screen.getByRole('table', { name: 'Points of Loss' })).getAllByRole('row');
    expect(points.map(one => Array.from(one.children, cell => cell.textContent))).toEqual([
      ['Step', 'one <b>', 'two'],
      ['2', '0.500', ''],
      ['1', '0.700', '0.600']
    ]);
    expect(screen.getAllByRole('img', { name: 'two' })).toHaveLength(1);
  });

  test('points that come before the other job is there are not lost', () => {
    const shell = compared();
    const [a, b] = shell.openJobs;
    a?.answer();
    a?.points('loss', 0, [[1, 1, 1]], [0.7]);
    b?.answer();
    expect(screen.getByRole('img', { name: 'Comparison: loss' }).dataset.points).toBe('1');
  });

  test('says which job was removed, and gives the models back', () => {
    const shell = compared([job('a', 'one')], ['b']);
    expect(screen.getByText(/^b was removed/)).toBeDefined();
    fireEvent.click(button(/^‹/));
    expect(shell.openJobs).toHaveLength(0);
    expect(shell.views.filter(view => !view.closed)).toHaveLength(0);
  });

  test('opens with the charts of the techniques, what matters most held out too', () => {
    const logged = ['loss', 'eval_loss', 'rewards/margins', 'eval_rewards/margins', 'entropy', 'eval_entropy'];
    expect(comparedMetrics(['dpo'], {}, logged)).toEqual([
      'rewards/margins',
      'eval_rewards/margins',
      'loss',
      'eval_loss',
      'entropy'
    ]);
  });
});

describe('running again', () => {
  const traits = {
    same: ['transformers', 'Python'],
    unknown: [],
    cell: 'tl.replay("a")',
    refused: null,
    failed: null,
    starting: false,
    submitted: null,
    differences: []
  };

  test('a job that has ended offers it, one that runs does not', () => {
    const { shell } = show({ page: 'job', job: A.id });
    shell.openJobs.at(-1)?.answer({ state: 'running' });
    expect(screen.queryByRole('button', { name: 'Run again…' })).toBeNull();
    shell.openJobs.at(-1)?.answer({ state: 'completed' });
    fireEvent.click(button('Run again…'));
    expect(last(shell, 'replay').asked).toEqual({ view: 'replay', job: A.id });
  });

  test('says that nothing differs, runs once, and goes to the new job', () => {
    const { shell } = show({ page: 'replay', job: A.id });
    const view = last(shell, 'replay');
    view.update(traits);
    expect(screen.getByText(/the result will be the same to the byte/)).toBeDefined();
    fireEvent.click(button('Run again'));
    expect(view.sent).toEqual([{ type: 'run' }]);
    view.update({ starting: true });
    expect(button('Starting…').disabled).toBe(true);
    act(() => {
      view.update({ starting: false, submitted: B.id });
    });
    expect(shell.openJobs.at(-1)?.job).toBe(B.id);
  });

  test('lists what differs, and what is not known', () => {
    const { shell } = show({ page: 'replay', job: A.id });
    const differences = [{ what: 'torch', then: '2.0', now: '<b>2.1</b>' }];
    last(shell, 'replay').update({ ...traits, unknown: ['The device was not noted.'], differences });
    const table = within(screen.getByRole('table', { name: 'What differs today' }));
    expect(table.getAllByRole('row').map(one => one.textContent)).toEqual(['WhatThenNow', 'torch2.0<b>2.1</b>']);
    expect(screen.queryByText(/to the byte/)).toBeNull();
    expect(screen.getByText('The device was not noted.')).toBeDefined();
  });

  test('what cannot be run says why, without a button', () => {
    const { shell } = show({ page: 'replay', job: A.id });
    last(shell, 'replay').update({ ...traits, refused: 'The dataset was deleted.' });
    expect(screen.getByRole('alert').textContent).toBe('The dataset was deleted.');
    expect(screen.queryByRole('button', { name: 'Run again' })).toBeNull();
    expect(screen.queryByText(/to the byte/)).toBeNull();
  });

  test('one that could not be started can be tried again', () => {
    const { shell } = show({ page: 'replay', job: A.id });
    last(shell, 'replay').update({ ...traits, failed: 'The disk is full.' });
    expect(screen.getByRole('alert').textContent).toBe('The disk is full.');
    expect(button('Run again').disabled).toBe(false);
  });
});
