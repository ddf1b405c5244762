import { act, cleanup, fireEvent, screen, within } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { translate } from '../../labextension/src/widget/i18n';
import type { MetricsTraits } from '../../labextension/src/widget/judgemetrics';
import type { DatasetRow, DatasetsTraits, JobRow, ListTraits, MLflowLink } from '../../labextension/src/widget/model';
import type { ModelsTraits } from '../../labextension/src/widget/models';
import { mountPanel, type StudioOptions } from '../../labextension/src/widget/mount';
import type { PanelState } from '../../labextension/src/widget/PanelView';
import type { Headline } from '../../labextension/src/widget/results';
import { TestModel } from './models';
import { TestShell } from './shell';
import { snapshot } from './snapshot';

const NOW = Date.parse('2026-03-16T12:00:00Z');
const DATASET: DatasetRow = {
  name: 'human-like',
  version: 2,
  versions: [2, 1],
  technique: 'dpo',
  rows: 10_003,
  form: ['prompt', 'chosen', 'rejected'],
  source: 'pairs.jsonl',
  creator: 'ada',
  created: '2026-03-16T11:00:00+00:00',
  warnings: 1
};
const LINK = { url: null, command: 'mlflow server --port 5000', artifacts: null, experiment_id: null, run_id: null };

let el: HTMLElement;
let shell: TestShell;
let undo: () => void;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: NOW });
  el = document.body.appendChild(document.createElement('div'));
  shell = new TestShell();
});

afterEach(() => {
  act(() => {
    undo();
  });
  cleanup();
  el.remove();
  vi.useRealTimers();
});

const row = (changes: Partial<JobRow> = {}): JobRow => ({ ...snapshot(changes), spark: [], ...changes });

function show(jobs: JobRow[] | null, state: Partial<PanelState> = {}) {
  const model = jobs && new TestModel<ListTraits>({ jobs });
  const datasets = jobs && new TestModel<DatasetsTraits>({ datasets: [DATASET] });
  const metrics = jobs && new TestModel<MetricsTraits>({ metrics: [] });
  const [paint, unmount] = mountPanel(el, shell);
  const draw = (changes: Partial<PanelState>) => {
    const drawn: PanelState = {
      kernel: 'quickstart.ipynb',
      tone: 'good',
      sentence: null,
      action: null,
      mlflow: LINK,
      models: jobs && new TestModel<ModelsTraits>({ models: [] }),
      jobs: model,
      datasets,
      metrics,
      ...changes
    };
    act(() => {
      paint(drawn);
    });
  };
  undo = unmount;
  draw(state);
  return { model: model!, draw };
}

const button = (name: string | RegExp) => screen.getByRole<HTMLButtonElement>('button', { name });
const rows = () => within(screen.getByRole('list', { name: /^(Jobs|Evaluations)$/ })).queryAllByRole('button');
const ids = () => rows().map(each => each.dataset.job);
const text = (node: Element | null | undefined) => node?.textContent?.replaceAll('\u00a0', ' ');

describe('the list', () => {
  test('keeps the order in which the jobs are given, and follows it', () => {
    const { model } = show([row({ id: 'c-3' }), row({ id: 'a-1' }), row({ id: 'b-2' })]);
    expect(ids()).toEqual(['c-3', 'a-1', 'b-2']);
    model.update({ jobs: [row({ id: 'd-4' }), row({ id: 'c-3' })] });
    expect(ids()).toEqual(['d-4', 'c-3']);
  });

  test.each<[Partial<JobRow>, string]>([
    [{ state: 'queued', step: null, position: 2 }, 'chatty: Waiting for the device: 2nd in the queue. Open job sft-1'],
    [{}, 'chatty: Step 12 of 60. Open job sft-1'],
    [{ state: 'completed', model_version: 'chatty@3' }, 'chatty: Finished in 47 s: chatty@3. Open job sft-1'],
    [{ state: 'failed', reason: 'out of memory' }, 'chatty: Failed: out of memory. Open job sft-1']
  ])('%j is named %s', (changes, name) => {
    show([row({ id: 'sft-1', ...changes })]);
    expect(rows()).toEqual([button(name)]);
  });

  test('without jobs says how to start one, and has nothing to filter', () => {
    show([]);
    fireEvent.click(screen.getByRole('tab', { name: 'Jobs' }));
    expect(screen.getByText('No jobs yet.')).toBeTruthy();
    expect(screen.queryByRole('searchbox')).toBeNull();
    fireEvent.click(button('Customize a model…'));
    expect(screen.queryByText('No jobs yet.')).toBeNull();
    expect(button(/All jobs/)).toBeTruthy();
  });

  test('without evaluations says how to start one, whatever was customized', () => {
    show([row()]);
    fireEvent.click(screen.getByRole('tab', { name: 'Evaluations' }));
    expect(screen.getByText('No evaluations yet.')).toBeTruthy();
    expect(screen.queryByRole('searchbox')).toBeNull();
    fireEvent.click(button('Evaluate…'));
    expect(screen.queryByText('No evaluations yet.')).toBeNull();
    expect(button(/All evaluations/)).toBeTruthy();
  });

  test('of evaluations begins with the way to the next, but not while some are chosen to compare', () => {
    show([row({ id: 'a-1', kind: 'evaluate' }), row({ id: 'b-2', kind: 'evaluate' }), row({ id: 'c-3' })]);
    expect(screen.queryByRole('button', { name: 'Evaluate…' })).toBeNull();
    fireEvent.click(screen.getByRole('tab', { name: /^Evaluations/ }));
    fireEvent.click(button('Compare…'));
    expect(screen.queryByRole('button', { name: 'Evaluate…' })).toBeNull();
    fireEvent.click(button('Cancel'));
    fireEvent.click(button('Evaluate…'));
    expect(button(/All evaluations/)).toBeTruthy();
  });

  test.each([
    ['', ['a-1', 'b-2', 'c-3']],
    ['  Poet ', ['b-2']],
    ['qwen', ['a-1', 'c-3']],
    ['FAILED', ['c-3']],
    ['poems@2', ['b-2']],
    ['b-2', ['b-2']],
    ['.*', []]
  ])('filtered by %j shows %j', (wanted, expected) => {
    show([
      row({ id: 'a-1', model: 'qwen3-0.6b' }),
      row({ id: 'b-2', name: 'poet', dataset: 'poems@2' }),
      row({ id: 'c-3', model: 'qwen3-0.6b', state: 'failed' })
    ]);
    fireEvent.change(screen.getByRole('searchbox', { name: 'Filter the jobs' }), { target: { value: wanted } });
    expect(ids()).toEqual(expected);
    expect(screen.queryByText(`No job matches “${wanted}”.`) !== null).toBe(expected.length === 0);
  });
});

describe('the filter by state', () => {
  const select = () => screen.queryByRole<HTMLSelectElement>('combobox', { name: 'State' });
  const search = () => screen.getByRole('searchbox', { name: 'Filter the jobs' });
  const choose = (value: string) => {
    fireEvent.change(select()!, { target: { value } });
  };
  const some = () => [
    row({ id: 'q-1', state: 'queued' }),
    row({ id: 'r-2', state: 'running', name: 'poet' }),
    row({ id: 'v-3', state: 'recovering' }),
    row({ id: 'p-4', state: 'paused' }),
    row({ id: 'c-5', state: 'completed', name: 'poet' }),
    row({ id: 'f-6', state: 'failed' }),
    row({ id: 'x-7', state: 'cancelled' }),
    row({ id: 'e-8', state: 'failed', kind: 'evaluate' })
  ];

  test('has these', () => {
    show(some());
    expect([...select()!.options].map(option => option.text)).toEqual([
      'All states',
      'Active',
      'Paused',
      'Completed',
      'Failed',
      'Cancelled'
    ]);
    expect(select()!.value).toBe('all');
  });

  test.each([
    ['all', ['q-1', 'r-2', 'v-3', 'p-4', 'c-5', 'f-6', 'x-7']],
    ['active', ['q-1', 'r-2', 'v-3', 'p-4']],
    ['paused', ['p-4']],
    ['completed', ['c-5']],
    ['failed', ['f-6']],
    ['cancelled', ['x-7']]
  ])('of %s shows %j', (states, expected) => {
    show(some());
    choose(states);
    expect(ids()).toEqual(expected);
  });

  test('goes together with the text', () => {
    show(some());
    choose('active');
    fireEvent.change(search(), { target: { value: 'poet' } });
    expect(ids()).toEqual(['r-2']);
  });

  test('is there where the jobs of the place have two states, and while one is chosen', () => {
    const { model } = show([row({ id: 'a-1' }), row({ id: 'b-2', state: 'failed', kind: 'evaluate' })]);
    expect(select()).toBeNull();
    model.update({ jobs: [row({ id: 'a-1' }), row({ id: 'c-3', state: 'failed' })] });
    choose('failed');
    model.update({ jobs: [row({ id: 'a-1' })] });
    expect(ids()).toEqual([]);
    choose('all');
    expect(ids()).toEqual(['a-1']);
    expect(select()).toBeNull();
  });

  test.each([
    ['all', 'xyz', 'No job matches “xyz”.'],
    ['paused', ' ', 'No job is in the state “Paused”.'],
    ['failed', '%1', 'No job in the state “Failed” matches “%1”.']
  ])('of %s with the text %j that matches nothing says so, and shows all again', (states, wanted, sentence) => {
    show([row({ id: 'a-1' }), row({ id: 'c-5', state: 'completed' })]);
    choose(states);
    fireEvent.change(search(), { target: { value: wanted } });
    expect(ids()).toEqual([]);
    expect(screen.getByRole('status').firstChild?.textContent).toBe(sentence);
    fireEvent.click(button('Show all jobs'));
    expect(ids()).toEqual(['a-1', 'c-5']);
    expect(screen.queryByRole('status')).toBeNull();
    expect(document.activeElement).toBe(search());
  });

  test('of evaluations is another', () => {
    show(some());
    choose('failed');
    fireEvent.click(screen.getByRole('tab', { name: /^Evaluations/ }));
    expect(select()).toBeNull();
    expect(ids()).toEqual(['e-8']);
    fireEvent.click(screen.getByRole('tab', { name: /^Jobs/ }));
    expect(ids()).toEqual(['f-6']);
  });
});

describe('the way back to a list', () => {
  const place = (name: string) => screen.getByRole('tab', { name: new RegExp(`^${name}`) });
  const body = () => screen.getByRole('tabpanel');

  /** Scrolls, opens a row, and goes back from its page by the keyboard. */
  function goAndCome(wanted: () => HTMLElement) {
    body().scrollTop = 120;
    wanted().focus();
    fireEvent.click(wanted());
    body().scrollTop = 0;
    const back = button(/^‹/);
    expect(document.activeElement).toBe(back);
    fireEvent.click(back);
    expect(document.activeElement).toBe(wanted());
    expect(body().scrollTop).toBe(120);
  }

  beforeEach(() => {
    // jsdom reads none of the bundle's.
    const style = document.head.appendChild(document.createElement('style'));
    style.textContent = '.tunelab-side-body { overflow-y: auto }';
  });

  afterEach(() => {
    document.head.querySelector('style')?.remove();
  });

  test('of jobs leads to the row and what it was filtered by', () => {
    show([row({ id: 'a-1' }), row({ id: 'b-2' }), row({ id: 'c-3', state: 'failed' })]);
    fireEvent.change(screen.getByRole('combobox', { name: 'State' }), { target: { value: 'active' } });
    goAndCome(() => button(/Open job b-2$/));
    expect(ids()).toEqual(['a-1', 'b-2']);
  });

  test('of datasets, too', () => {
    show([row()]);
    fireEvent.click(place('Datasets'));
    fireEvent.change(screen.getByRole('searchbox'), { target: { value: 'human' } });
    goAndCome(() => button(/^human-like@2/));
    expect(screen.getByRole<HTMLInputElement>('searchbox').value).toBe('human');
  });

  test('leads there also by pages of other places', () => {
    show([row({ id: 'a-1', state: 'completed' }), row({ id: 'b-2', state: 'completed' })]);
    fireEvent.click(button(/Open job b-2$/));
    shell.openJobs[0]!.answer({ state: 'completed' });
    fireEvent.click(button('Run again…'));
    fireEvent.click(button('‹ b-2'));
    fireEvent.click(button('‹ All jobs'));
    expect(document.activeElement).toBe(button(/Open job b-2$/));
  });

  test('takes the focus from nothing that got it by other means', () => {
    show([row({ id: 'a-1' })]);
    fireEvent.click(button(/Open job a-1$/));
    place('Jobs').focus();
    fireEvent.click(place('Jobs'));
    expect(ids()).toEqual(['a-1']);
    expect(document.activeElement).toBe(place('Jobs'));
  });

  test('another place begins at its top', () => {
    show([row({ id: 'a-1' })]);
    body().scrollTop = 120;
    fireEvent.click(place('Datasets'));
    expect(body().scrollTop).toBe(0);
    fireEvent.click(place('Jobs'));
    expect(body().scrollTop).toBe(120);
  });
});

describe('the head', () => {
  test('opens what is on show in a tab, by an icon with a name', () => {
    const draw = (canOpenTab: boolean) => {
      const [paint, unmount] = mountPanel(el, shell, { canOpenTab });
      undo = unmount;
      const lists = { models: null, datasets: null, metrics: null, jobs: new TestModel<ListTraits>({ jobs: [row()] }) };
      act(() => {
        paint({ kernel: 'a.ipynb', tone: 'good', sentence: null, action: null, mlflow: LINK, ...lists });
      });
    };
    draw(true);
    const icon = button('Open as tab');
    expect(icon.textContent).toBe('');
    expect(icon.title).toBe('Open as tab');
    fireEvent.click(icon);
    fireEvent.click(button('Customize…'));
    fireEvent.click(icon);
    expect(shell.asked).toEqual([
      ['studio', undefined],
      ['studio', { page: 'customize', from: {} }]
    ]);
    act(() => {
      undo();
    });
    draw(false);
    expect(screen.queryByRole('button', { name: 'Open as tab' })).toBeNull();
  });

  test.each(['a new tab', 'the tab that is open'])('takes what was typed along to %s', which => {
    const draw = (options: StudioOptions) => {
      const [paint, unmount, go] = mountPanel(el, shell, options);
      undo = unmount;
      const lists = { models: null, datasets: null, metrics: null, jobs: new TestModel<ListTraits>({ jobs: [row()] }) };
      act(() => {
        paint({ kernel: 'a.ipynb', tone: 'good', sentence: null, action: null, mlflow: LINK, ...lists });
      });
      return go;
    };
    const filter = () => screen.getByRole<HTMLInputElement>('searchbox', { name: 'Filter the jobs' });
    draw({ canOpenTab: true });
    fireEvent.change(filter(), { target: { value: 'poet' } });
    fireEvent.click(button('Open as tab'));
    const kept = shell.handed;
    act(() => {
      undo();
    });
    if (which === 'a new tab') {
      draw({ kept });
    } else {
      const go = draw({ place: 'models' });
      act(() => {
        go({ page: 'customize', from: {} }, kept);
      });
      fireEvent.click(screen.getByRole('tab', { name: /^Jobs/ }));
    }
    expect(filter().value).toBe('poet');
  });
});

describe('in another language', () => {
  // One pair of marks, whatever the values came from.
  const filled = (words: string, values: readonly unknown[]) =>
    `«${words.replace(/%(\d)/g, (_mark, place: string) => String(values[Number(place) - 1]).replace(/[«»]/g, ''))}»`;

  beforeEach(() => {
    translate({
      __: (words, ...values) => filled(words, values),
      _n: (singular, plural, n, ...values) => filled(n === 1 ? singular : plural, [n, ...values])
    });
  });

  afterEach(() => {
    translate(null);
  });

  test('are the words of the list of jobs', () => {
    const { model } = show([
      row({ id: 'r-1', step: 1282, total: 2654 }),
      row({ id: 'q-2', state: 'queued', step: null, position: 1 }),
      row({ id: 'x-3', state: 'cancelled', ended: NOW / 1000 - 86_400 })
    ]);
    const list = screen.getByRole('list', { name: '«Jobs»' });
    const parts = [...list.querySelectorAll('.tunelab-subject')].map(text);
    expect(parts).toEqual([
      'DPO · smollm2-135m',
      '«1,282 of 2,654» · «3 min left»',
      '«next»',
      'DPO · smollm2-135m',
      'DPO · smollm2-135m · «cancelled» · «yesterday»'
    ]);
    expect(within(list).getByRole('button', { name: /^«chatty: .*\. Open job r-1»$/ })).toBeTruthy();
    const search = screen.getByRole<HTMLInputElement>('searchbox', { name: '«Filter the jobs»' });
    expect(search.placeholder).toBe('«Filter by name, model, state…»');
    expect([...screen.getByRole<HTMLSelectElement>('combobox', { name: '«State»' }).options].at(1)?.text).toBe(
      '«Active»'
    );
    fireEvent.change(search, { target: { value: 'xyz' } });
    expect(screen.getByText('«No job matches “xyz”.»')).toBeTruthy();
    fireEvent.click(button('«Show all jobs»'));
    fireEvent.click(button(/Open job r-1/));
    expect(screen.getByText('«Reading the journal…»')).toBeTruthy();
    model.update({ jobs: [] });
    expect(screen.getByText('«No jobs yet.»')).toBeTruthy();
  });

  test('are the words of the list of datasets', () => {
    show([row()]);
    fireEvent.click(screen.getByRole('tab', { name: '«Datasets»' }));
    const [only] = within(screen.getByRole('list', { name: '«Datasets»' })).getAllByRole('button');
    expect([...only!.querySelectorAll('.tunelab-subject, .tunelab-row-trouble')].map(text)).toEqual([
      '«2 versions»',
      'DPO · «10,003 rows» · 11:00',
      'pairs.jsonl',
      '«1 warning»'
    ]);
    const search = screen.getByRole<HTMLInputElement>('searchbox', { name: '«Filter the datasets»' });
    expect(search.placeholder).toBe('«Filter by name, technique, source…»');
    fireEvent.change(search, { target: { value: 'xyz' } });
    expect(screen.getByText('«No dataset matches “xyz”.»')).toBeTruthy();
    fireEvent.change(search, { target: { value: '' } });
    fireEvent.click(button(/^human-like@2/));
    expect(screen.getByText('«Reading the report…»')).toBeTruthy();
  });
});

describe('a row', () => {
  const at = (iso: string) => Date.parse(iso) / 1000;
  const reward = { name: 'eval_rewards/margins', value: 0.3125, step: 60 };
  const queued = { state: 'queued', step: null, total: null, eta_s: null, elapsed_s: null } as const;

  test.each<[string, Partial<JobRow>, string[]]>([
    ['queued first', { ...queued, position: 1 }, ['chatty', 'next', 'DPO · smollm2-135m']],
    [
      'an evaluation that has ended',
      {
        ...{ kind: 'evaluate', technique: 'judge', model: 'chatty@1 against smollm2-135m', metrics: [] },
        ...{ state: 'completed', ended: at('2026-03-16T09:05:00Z'), spark: [] }
      },
      ['chatty', 'Evaluation · chatty@1 against smollm2-135m · 47 s · 09:05']
    ],
    ['queued behind others', { ...queued, position: 3 }, ['chatty', '3rd', 'DPO · smollm2-135m']],
    ['queued, its place not known yet', queued, ['chatty', '', 'DPO · smollm2-135m']],
    [
      'queued again after a pause',
      { state: 'queued', position: 2 },
      ['chatty', '2nd', 'DPO · smollm2-135m', 'goes on after step 12 of 60']
    ],
    [
      'queued, to be paused',
      { ...queued, position: 2, pausing: true },
      ['chatty', '2nd', 'DPO · smollm2-135m', 'Pausing']
    ],
    ['running', { step: 1282, total: 2654 }, ['chatty', 'DPO · smollm2-135m', '1,282 of 2,654 · 3 min left']],
    ['running, without an estimate', { eta_s: null }, ['chatty', 'DPO · smollm2-135m', '12 of 60']],
    [
      'running, before the first step',
      { step: null, phase: 'loading the model' },
      ['chatty', 'DPO · smollm2-135m', 'Loading the model']
    ],
    [
      'running, to be cancelled',
      { cancelling: true },
      ['chatty', 'DPO · smollm2-135m', 'Cancelling at step 12 of 60: saving what there is']
    ],
    [
      'recovering',
      { state: 'recovering', reason: 'the worker died' },
      ['chatty', 'DPO · smollm2-135m', 'Recovering at step 12 of 60: the worker died']
    ],
    [
      'running, to be paused',
      { pausing: true },
      ['chatty', 'DPO · smollm2-135m', 'Pausing at step 12 of 60: finishing the step and saving']
    ],
    ['paused', { state: 'paused' }, ['chatty', 'DPO · smollm2-135m', 'Paused at step 12 of 60']],
    [
      'paused for want of room',
      { state: 'paused', reason: 'the disk is full' },
      ['chatty', 'DPO · smollm2-135m', 'Paused at step 12 of 60: the disk is full']
    ],
    [
      'completed, to be registered later',
      { state: 'completed', metrics: [reward], ended: at('2026-03-16T00:00:00Z'), reason: 'MLflow is away.' },
      ['chatty', 'DPO · reward margin 0.313 · 47 s · 00:00', 'Finished in 47 s. MLflow is away.']
    ],
    [
      'completed today',
      { state: 'completed', model_version: 'chatty@1', metrics: [reward], ended: at('2026-03-16T00:00:00Z') },
      ['chatty@1', 'DPO · reward margin 0.313 · 47 s · 00:00']
    ],
    [
      'completed yesterday, without figures',
      { state: 'completed', metrics: [], ended: at('2026-03-15T23:59:59Z') },
      ['chatty', 'DPO · smollm2-135m · 47 s · yesterday']
    ],
    [
      'failed before that',
      { state: 'failed', reason: 'out of memory', ended: at('2026-03-14T23:59:59Z') },
      ['chatty', 'DPO · smollm2-135m · 14 Mar', 'Failed: out of memory']
    ],
    [
      'cancelled',
      { state: 'cancelled', ended: at('2026-03-16T09:05:00Z') },
      ['chatty', 'DPO · smollm2-135m · cancelled · 09:05']
    ]
  ])('%s', (_title, changes, expected) => {
    show([row(changes)]);
    if (changes.kind === 'evaluate') {
      fireEvent.click(screen.getByRole('tab', { name: 'Evaluations' }));
    }
    const parts = rows()[0]!.querySelectorAll('b, .tunelab-subject, .tunelab-row-trouble');
    expect([...parts].map(text)).toEqual(expected);
  });

  const figures = { metric: 'human_like', model: null, mean: 2.4667, improved: 0.62, equal: 0.3, degraded: 0.08 };
  const alone = { ...figures, improved: null, equal: null, degraded: null };

  test.each<[Partial<Headline>, string]>([
    [{}, 'human_like · 62% improved, 30% equal, 8% degraded'],
    [
      { model: 'chatty@2', more: 3, improved: 0.001, equal: 0.999, degraded: 0 },
      'human_like · chatty@2 · <1% improved, 100% equal, 0% degraded · and 3 more'
    ],
    [alone, 'human_like · mean score 2.47'],
    [{ ...alone, mean: null }, 'human_like · no answer has a score'],
    [{ ...alone, mean: null, agreement: 0.525 }, 'human_like · agrees with people in 53%'],
    [
      { metric: '<img src=x onerror=alert(1)> **x** %1', model: '\u001b[31mred\u001b[0m' },
      '<img src=x onerror=alert(1)> **x** %1 · red · 62% improved, 30% equal, 8% degraded'
    ]
  ])('of an evaluation with %j says how it went', (changes, expected) => {
    show([
      row({
        ...{ id: 'e-1', kind: 'evaluate', state: 'completed' },
        headline: { ...figures, agreement: null, more: 0, ...changes }
      })
    ]);
    fireEvent.click(screen.getByRole('tab', { name: 'Evaluations' }));
    expect(text(rows()[0]!.querySelector('.tunelab-row-headline'))).toBe(expected);
    expect(rows()).toEqual([button(`chatty: Finished in 47 s. ${expected}. Open job e-1`)]);
    expect(el.querySelector('img')).toBeNull();
  });

  test.each<[Partial<JobRow>, string | null]>([
    [{}, '20%'],
    [{ step: null }, '0%'],
    [{ state: 'recovering' }, '20%'],
    [{ state: 'paused' }, '20%'],
    [{ state: 'paused', step: null }, null],
    [queued, null],
    [{ state: 'queued' }, '20%'],
    [{ state: 'failed' }, null]
  ])('%j has a bar of %j', (changes, width) => {
    show([row(changes)]);
    const bar = rows()[0]!.querySelector<HTMLElement>('.tunelab-bar > span');
    expect(bar?.style.width ?? null).toBe(width);
  });

  test('wraps between its parts and not within', () => {
    show([row({ state: 'completed', metrics: [reward], ended: NOW / 1000 })]);
    expect(rows()[0]!.querySelector('.tunelab-subject')?.textContent?.split(' ')).toEqual([
      'DPO\u00a0·',
      'reward\u00a0margin\u00a00.313\u00a0·',
      '47\u00a0s\u00a0·',
      '12:00'
    ]);
  });

  test('wraps how an evaluation went between its parts, too', () => {
    show([row({ kind: 'evaluate', state: 'completed', headline: { ...figures, agreement: null, more: 1 } })]);
    fireEvent.click(screen.getByRole('tab', { name: 'Evaluations' }));
    expect(rows()[0]!.querySelector('.tunelab-row-headline')?.textContent?.split(' ')).toEqual([
      'human_like\u00a0·',
      '62%\u00a0improved,',
      '30%\u00a0equal,',
      '8%\u00a0degraded\u00a0·',
      'and\u00a01\u00a0more'
    ]);
  });

  test.each<[JobRow['spark'], string | null]>([
    [[], null],
    [[[1, 0.5]], null],
    [
      [
        [1, 2],
        [3, 0],
        [5, 1]
      ],
      '0.0,1.0 32.0,17.0 64.0,9.0'
    ],
    [
      [
        [1, 0.5],
        [2, 0.5]
      ],
      '0.0,17.0 64.0,17.0'
    ]
  ])('draws %j as %j', (spark, points) => {
    show([row({ spark })]);
    expect(el.querySelector('polyline')?.getAttribute('points') ?? null).toBe(points);
    expect(el.querySelectorAll('.tunelab-row svg')).toHaveLength(points === null ? 0 : 1);
  });
});

describe('a job that is opened', () => {
  const open = (changes: Partial<JobRow> = {}) => {
    const shown = show([row({ id: 'a-1', ...changes }), row({ id: 'b-2' })]);
    fireEvent.click(button(/Open job a-1$/));
    return shown;
  };

  test('shows once the kernel has answered', () => {
    open();
    expect(shell.openJobs.map(model => model.job)).toEqual(['a-1']);
    expect(screen.getByText('Reading the journal…')).toBeTruthy();
    expect(screen.queryByRole('region')).toBeNull();
    shell.openJobs[0]!.answer();
    expect(screen.getByRole('region', { name: 'Job a-1' })).toBeTruthy();
    expect(screen.queryByText('Reading the journal…')).toBeNull();
  });

  test('is closed by the way back to the list', () => {
    open();
    shell.openJobs[0]!.answer();
    const back = button('‹ All jobs');
    expect(document.activeElement).toBe(back);
    fireEvent.click(back);
    expect(ids()).toEqual(['a-1', 'b-2']);
    expect(shell.openJobs).toEqual([]);
    expect(shell.models.map(model => model.listening('change:snapshot'))).toEqual(shell.models.map(() => 0));
  });

  test('gives the list back when it is removed', () => {
    const { model } = open();
    shell.openJobs[0]!.answer();
    model.update({ jobs: [row({ id: 'b-2' })] });
    expect(ids()).toEqual(['b-2']);
    expect(shell.openJobs).toEqual([]);
  });

  test('stays open while the list changes', () => {
    const { model } = open();
    shell.openJobs[0]!.answer();
    const before = shell.models.length;
    model.update({ jobs: [row({ id: 'c-3' }), row({ id: 'a-1', step: 13 })] });
    expect(screen.getByRole('region', { name: 'Job a-1' })).toBeTruthy();
    expect(shell.models).toHaveLength(before);
  });

  test('is opened anew when its kernel is back', () => {
    const { draw } = open();
    shell.openJobs[0]!.answer();
    draw({ sentence: 'Asking the kernel…', jobs: null });
    expect(shell.openJobs).toEqual([]);
    draw({});
    shell.openJobs[0]!.answer();
    expect(screen.getByRole('region', { name: 'Job a-1' })).toBeTruthy();
  });

  test('goes into a tab of its own', () => {
    open();
    shell.openJobs[0]!.answer({ name: 'poet' });
    fireEvent.click(button('Open as tab'));
    expect(shell.asked).toEqual([['tab', 'a-1', 'poet']]);
  });

  test('that the kernel cancels is asked of its own model', () => {
    open();
    shell.openJobs[0]!.answer();
    fireEvent.click(button('Cancel'));
    expect(shell.openJobs[0]!.sent).toContainEqual({ type: 'cancel' });
  });
});

describe('the tabs', () => {
  const tab = (name: string) => screen.getByRole('tab', { name });
  const selected = () => screen.getAllByRole('tab').filter(each => each.getAttribute('aria-selected') === 'true');
  const zone = () => el.querySelector<HTMLElement>('.tunelab-drop')!;

  test('are the five places, with jobs first, and datasets when they are asked for', () => {
    show([row({ state: 'completed' })]);
    expect(screen.getAllByRole('tab').map(text)).toEqual(['Models', 'Datasets', 'Jobs', 'Evaluations', 'Evaluators']);
    expect(selected()).toEqual([tab('Jobs')]);
    expect(screen.queryByRole('button', { name: 'Create dataset…' })).toBeNull();
    fireEvent.click(tab('Datasets'));
    expect(selected()).toEqual([tab('Datasets')]);
    expect(screen.queryByRole('list', { name: 'Jobs' })).toBeNull();
    expect(screen.getByRole('tabpanel', { name: 'Datasets' }).textContent).toContain('human-like');
    fireEvent.click(button('Create dataset…'));
    expect(shell.asked).toEqual([['create', undefined]]);
  });

  test('show models first where there are no jobs yet, and do not jump when one is started', () => {
    const { model, draw } = show(null, { sentence: 'Asking the kernel…' });
    expect(model).toBeNull();
    expect(selected()).toEqual([tab('Jobs')]);
    const jobs = new TestModel<ListTraits>({ jobs: [] });
    draw({ jobs });
    expect(selected()).toEqual([tab('Models')]);
    jobs.update({ jobs: [row({ state: 'completed' })] });
    expect(selected()).toEqual([tab('Models')]);
  });

  test('say how many of their jobs have not ended', () => {
    const evaluation = { kind: 'evaluate', technique: 'judge' } as const;
    const { model } = show([
      row({ id: 'a-1' }),
      row({ id: 'b-2', state: 'paused' }),
      row({ id: 'c-3', state: 'failed' }),
      row({ id: 'd-4', ...evaluation })
    ]);
    expect(tab('Jobs, 2 active').querySelector('.tunelab-badge')?.textContent).toBe('2');
    fireEvent.click(tab('Evaluations, 1 active'));
    expect(ids()).toEqual(['d-4']);
    model.update({ jobs: [row({ id: 'c-3', state: 'failed' })] });
    expect(tab('Jobs')).toBeTruthy();
    expect(tab('Evaluations')).toBeTruthy();
  });

  test('are gone through by the arrows, and are one stop of Tab', () => {
    show([row({ state: 'completed' })]);
    const press = (from: string, key: string, to: string) => {
      fireEvent.keyDown(tab(from), { key });
      expect(selected()).toEqual([tab(to)]);
      expect(document.activeElement).toBe(tab(to));
    };
    press('Jobs', 'ArrowRight', 'Evaluations');
    expect(screen.getAllByRole('tab').map(each => each.tabIndex)).toEqual([-1, -1, -1, 0, -1]);
    press('Evaluations', 'ArrowRight', 'Evaluators');
    expect(button('New metric')).toBeTruthy();
    press('Evaluators', 'ArrowRight', 'Models');
    press('Models', 'ArrowLeft', 'Evaluators');
    press('Evaluators', 'Home', 'Models');
    press('Models', 'End', 'Evaluators');
  });

  test('take files that are dropped on the datasets, and say why they cannot', async () => {
    show([row()]);
    fireEvent.click(tab('Datasets'));
    const file = new File(['a'], 'rows.txt');
    fireEvent.dragOver(zone(), { dataTransfer: { types: ['Files'], files: [] } });
    expect(zone().dataset.over).toBe('true');
    shell.refused = 'Datasets are made from other files.';
    fireEvent.drop(zone(), { dataTransfer: { types: ['Files'], files: [file] } });
    expect(zone().dataset.over).toBe('false');
    expect(shell.asked).toEqual([['upload', [file]]]);
    expect(await screen.findByText('Datasets are made from other files.')).toBeTruthy();
  });

  test('let go what is dragged and is no file', () => {
    show([row()]);
    fireEvent.click(tab('Datasets'));
    fireEvent.dragOver(zone(), { dataTransfer: { types: ['text/plain'], files: [] } });
    expect(zone().dataset.over).toBe('false');
  });
});

describe('a sentence', () => {
  test('stands in the list’s place', () => {
    show([row()], { sentence: 'The kernel has died.' });
    expect(screen.getByRole('status').textContent).toBe('The kernel has died.');
    expect(screen.queryByRole('list')).toBeNull();
  });

  test('has the button that helps', () => {
    const run = vi.fn();
    const { draw } = show(null, { sentence: 'tunelab is not loaded.', action: { label: 'Load tunelab', run } });
    fireEvent.click(within(screen.getByRole('status')).getByRole('button', { name: 'Load tunelab' }));
    expect(run).toHaveBeenCalledOnce();
    draw({ sentence: 'Asking the kernel…' });
    expect(screen.queryByRole('button', { name: 'Load tunelab' })).toBeNull();
  });
});

describe('below the list', () => {
  test('is whose kernel it is', () => {
    show([], { kernel: 'a.ipynb', tone: 'warn' });
    const foot = screen.getByRole('contentinfo');
    expect(foot.dataset.tone).toBe('warn');
    expect(within(foot).getByTitle('a.ipynb').textContent).toBe('a.ipynb');
  });

  test.each<[string, MLflowLink | null, string | null, string | null]>([
    ['opens', LINK, null, null],
    ['is refused with the command', LINK, 'Jupyter cannot serve MLflow.', LINK.command],
    ['is refused without a command', null, 'There is no kernel.', null]
  ])('MLflow %s', async (_title, mlflow, refused, command) => {
    shell.refused = refused;
    show([], { mlflow });
    fireEvent.click(button('Open MLflow'));
    await act(() => Promise.resolve());
    expect(shell.asked).toEqual([['mlflow', mlflow, 'MLflow']]);
    expect(el.querySelector('.tunelab-notice p')?.firstChild?.textContent ?? null).toBe(refused);
    expect(el.querySelector('.tunelab-notice code')?.textContent ?? null).toBe(command);
  });

  test('the refusal goes when it is closed', async () => {
    shell.refused = 'no';
    show([]);
    fireEvent.click(button('Open MLflow'));
    fireEvent.click(await screen.findByRole('button', { name: 'Close this notice' }));
    expect(el.querySelector('.tunelab-notice')).toBeNull();
  });
});

describe('text from models and data', () => {
  const hostile = '<script>alert(1)</script><img src=x onerror=alert(1)>';
  const ansi = `\x1b[31m${hostile}\x1b[0m`;

  test.each<[string, string]>([
    ['markup', hostile],
    ['escape codes', ansi]
  ])('with %s stays text in a row and in the job', (_title, raw) => {
    show([row({ id: 'a-1', name: raw, model: raw, state: 'failed', reason: raw })]);
    const [only] = rows();
    expect(only).toBe(button(`${hostile}: Failed: ${hostile}. Open job a-1`));
    expect(only!.getAttribute('aria-label')).not.toContain('\x1b');
    const parts = [...only!.querySelectorAll('b, .tunelab-subject, .tunelab-row-trouble')].map(text);
    expect(parts).toEqual([hostile, `DPO · ${hostile}`, `Failed: ${hostile}`]);
    fireEvent.click(only!);
    shell.openJobs[0]!.answer({ name: raw, model: raw });
    expect(screen.getByRole('heading', { level: 3 }).textContent).toBe(hostile);
    expect(el.querySelector('script, img')).toBeNull();
  });

  test.each(['sentence', 'kernel'])('stays text as the %s', where => {
    show([], { [where]: hostile });
    expect(screen.getByText(hostile)).toBeTruthy();
    expect(el.querySelector('script, img')).toBeNull();
  });
});
