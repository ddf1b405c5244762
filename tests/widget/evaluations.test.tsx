import type { RenderProps } from '@anywidget/types';
import { act, cleanup, fireEvent, screen, within } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
  candidatesOf,
  certainty,
  comparisonSentence,
  coverage,
  filters,
  FIRST,
  methodName,
  percent,
  scoreText,
  shownOf,
  signed,
  sorts,
  whyUnscored
} from '../../labextension/src/widget/evaluations';
import { benchmarkRows, figure } from '../../labextension/src/widget/figures';
import { translate } from '../../labextension/src/widget/i18n';
import { render } from '../../labextension/src/widget/index';
import type { JobSnapshot, JobTraits } from '../../labextension/src/widget/model';
import { recordLayout } from '../../labextension/src/widget/recordlayout';
import { RecordPages } from '../../labextension/src/widget/recordpages';
import type {
  EvaluationCommand,
  EvaluationState,
  RecordRow,
  ScoreMetric,
  SummaryRow,
  WholeAnswer
} from '../../labextension/src/widget/results';
import { TestModel } from './models';
import { snapshot } from './snapshot';

const BASE = 'smollm2-135m';
const CHATTY = 'chatty@1';
const DANGER = '<img src=x onerror=alert(1)>';
/** Of the 261 questions of the mock-up. */
const COUNTS = { all: 261, improved: 126, equal: 106, degraded: 26, unscored: 3, overruled: 0 };
const LABELS = { 'not at all': 1, somewhat: 2, completely: 3 };

const metric = (changes: Partial<ScoreMetric> = {}): ScoreMetric => ({
  name: 'human_like',
  label: 'human_like@1',
  low: 1,
  high: 3,
  labels: LABELS,
  pairwise: false,
  ...changes
});
const summary = (changes: Partial<SummaryRow> = {}): SummaryRow => ({
  metric: 'human_like',
  model: CHATTY,
  mean: 2.45,
  improved: 126 / 258,
  equal: 106 / 258,
  degraded: 26 / 258,
  difference: 0.53,
  low: 0.44,
  high: 0.62,
  p_value: 1e-12,
  test: 'sign',
  scored: 258,
  unscored: 3,
  baseline: BASE,
  baseline_mean: 1.91,
  pairs: 258,
  win_rate: 0.69,
  verdict: 'Better: +0.53 (95% +0.44 to +0.62).',
  flipped: 0,
  counts: COUNTS,
  human_summary: null,
  ...changes
});
const alone = (changes: Partial<SummaryRow> = {}) =>
  summary({
    model: BASE,
    ...{ improved: null, equal: null, degraded: null, difference: null, low: null, high: null, p_value: null },
    ...{ test: null, baseline: null, baseline_mean: null, verdict: '', mean: 1.91, pairs: 0 },
    counts: { ...COUNTS, improved: 0, equal: 0, degraded: 0 },
    ...changes
  });
const state = (changes: Partial<EvaluationState> = {}): EvaluationState => ({
  version: 1,
  method: 'judge',
  baseline: BASE,
  models: [BASE, CHATTY],
  metrics: [metric()],
  columns: [],
  rows: 261,
  summary: [alone(), summary()],
  notes: [],
  costs: [],
  benchmarks: null,
  judges: null,
  ...changes
});
const record = (number: number, changes: Partial<RecordRow> = {}): RecordRow => ({
  id: `q${number}`,
  number,
  prompt: `question ${number}`,
  ground_truth: null,
  answers: { [BASE]: 'As an AI I have none.', [CHATTY]: 'Italian, always!' },
  scores: {
    [BASE]: { score: 1, label: 'not at all', status: 'scored', human: null },
    [CHATTY]: { score: 3, label: 'completely', status: 'scored', human: null }
  },
  difference: 2,
  outcome: 'improved',
  ...changes
});
const answer = (changes: Partial<WholeAnswer> = {}): WholeAnswer => ({
  text: 'I like tea.',
  score: 1,
  label: 'not at all',
  status: 'scored',
  human: null,
  reasoning: 'Stiff.',
  raw: '{"score": "not at all"}',
  note: null,
  against: null,
  flipped: false,
  latency_s: 0.5,
  tokens_in: 31,
  tokens_out: 44,
  cost: null,
  cut: false,
  ...changes
});

describe('what is said of a comparison', () => {
  test.each([
    [0.49, '49%'],
    [0, '0%'],
    [0.001, '<1%'],
    [1, '100%']
  ])('a share of %d is %s', (share, expected) => {
    expect(percent(share)).toBe(expected);
  });

  test.each([
    [0.53, '+0.53'],
    [-0.5, '-0.50'],
    [0, '0'],
    [-0.0042, '-0.004'],
    [1234, '+1,234']
  ])('a difference of %d is %s', (value, expected) => {
    expect(signed(value)).toBe(expected);
  });

  test.each([
    [summary(), '95%: +0.44 to +0.62; sign test p < 0.001'],
    [summary({ p_value: 0.0421, test: 'mcnemar' }), '95%: +0.44 to +0.62; McNemar’s test p = 0.042'],
    [summary({ low: null, high: null }), 'sign test p < 0.001'],
    [alone(), '']
  ])('how sure it is', (row, expected) => {
    expect(certainty(row)).toBe(expected);
  });

  test('is whole in a sentence', () => {
    expect(comparisonSentence(summary({ low: null, high: null, p_value: null }))).toBe(
      '49% improved, 41% equal, 10% degraded; mean score 2.44 against 1.91, difference +0.53'
    );
    expect(comparisonSentence(alone())).toBe('mean score 1.91');
  });

  test.each([
    [summary(), '258 of 261 scored'],
    [summary({ scored: 260, unscored: 1 }), '260 of 261 scored · 258 on both sides'],
    [summary({ flipped: 12 }), '258 of 261 scored · 12 verdicts changed with the order and count as ties'],
    [
      summary({ reasons: { unparsed: 2, failed: 1 } }),
      '258 of 261 scored · 2 times the reply could not be read · once no answer came'
    ],
    [alone(), '258 of 261 scored']
  ])('what it covers', (row, expected) => {
    expect(coverage(row)).toBe(expected);
  });

  test('a missing score has its reason, and a point of a scale its name', () => {
    expect(whyUnscored({ score: null, status: 'unparsed' })).toBe('the reply could not be read');
    expect(whyUnscored({ score: null, status: 'new' })).toBe('new');
    expect(whyUnscored({ score: 0, status: 'scored' })).toBeNull();
    expect([scoreText({ score: 3, label: 'completely' }), scoreText({ score: 0.5, label: null })]).toEqual([
      'completely (3)',
      '0.500'
    ]);
  });

  test('is said in the reader’s language from when there is one', () => {
    const row = summary();
    translate({ __: text => `«${text}»`, _n: (_singular, plural) => `«${plural}»` });
    const said = [
      coverage(row),
      methodName('judge'),
      ...filters().map(([, name]) => name),
      ...sorts().map(([, , name]) => name)
    ];
    translate(null);
    expect(said.filter(each => !/^«.+»$/.test(each))).toEqual([]);
    expect(coverage(row)).toBe('258 of 261 scored');
  });

  test('a choice that the results no longer have is of the first', () => {
    const shown = shownOf(state(), { ...FIRST, metric: 'gone', model: 'gone', column: { name: 'gone', value: 1 } });
    expect([shown.query.metric, shown.query.model, shown.query.column]).toEqual(['human_like', CHATTY, null]);
    expect(shown.row?.model).toBe(CHATTY);
    expect(shownOf(state({ summary: [], metrics: [] }), FIRST).row).toBeNull();
    expect(candidatesOf(state({ models: [BASE] }))).toEqual([BASE]);
  });
});

test.each([
  [0.58, '0.580'],
  [-0.08, '-0.080'],
  [0, '0'],
  [12.345, '12.3'],
  [false, 'no'],
  [[0, 1234], '[0,1234]'],
  [null, '']
])('in a plain table %j is %j', (value, expected) => {
  expect(figure(value)).toBe(expected);
});

test('benchmarks with other settings are rows of their own', () => {
  const row = { task: 'gsm8k', metric: 'exact_match', filter: 'strict', value: 0.1, stderr: 0.02 };
  const rows = [
    { ...row, model: BASE, chat_template: false },
    { ...row, model: CHATTY, chat_template: true },
    { ...row, model: CHATTY, chat_template: false }
  ];
  const common = { task: 'gsm8k', metric: 'exact_match, strict' };
  expect(benchmarkRows(rows, [BASE, CHATTY])).toEqual([
    { ...common, [BASE]: '0.100 ± 0.020', [CHATTY]: '0.100 ± 0.020', chat_template: false },
    { ...common, [BASE]: null, [CHATTY]: '0.100 ± 0.020', chat_template: true }
  ]);
});

describe('pages of records', () => {
  const query = { ...FIRST, metric: 'human_like', model: CHATTY };
  const page = (offset: number, changes: Partial<typeof query> = {}, total = 5000) => ({
    type: 'records' as const,
    ...query,
    ...changes,
    offset,
    count: 50,
    total,
    rows: Array.from({ length: 50 }, (_, n) => record(offset + n + 1))
  });

  test('are asked for once, and again of other results', () => {
    const pages = new RecordPages();
    expect(pages.ask(query, 1, 0, 60)).toEqual({ type: 'records', ...query, offset: 0, count: 100 });
    expect(pages.ask(query, 1, 10, 60)).toBeNull();
    pages.hear(page(0));
    expect(pages.row(3)?.id).toBe('q4');
    expect(pages.ask(query, 1, 0, 40)).toBeNull();
    expect(pages.ask(query, 1, 3000, 3010)).toMatchObject({ offset: 3000, count: 50 });
    expect(pages.ask(query, 2, 0, 40)).toMatchObject({ offset: 0 });
    // What was there stays meanwhile.
    expect(pages.row(3)?.id).toBe('q4');
  });

  test('of another question are no answer to the latest', () => {
    const pages = new RecordPages();
    pages.ask(query, 1, 0, 10);
    pages.hear(page(0));
    pages.ask({ ...query, filter: 'degraded' }, 1, 0, 10);
    expect(pages.isOf({ ...query, filter: 'degraded' })).toBe(false);
    pages.hear(page(50));
    expect(pages.row(60)).toBeNull();
    pages.hear(page(0, { filter: 'degraded' }, 26));
    expect([pages.isOf({ ...query, filter: 'degraded' }), pages.total]).toEqual([true, 26]);
  });

  test('that were refused are asked for again, and no more than forty are kept', () => {
    const pages = new RecordPages();
    pages.ask(query, 1, 0, 10);
    pages.hear({ type: 'notice', text: 'No.' });
    expect(pages.ask(query, 1, 0, 10)).not.toBeNull();
    for (let offset = 0; offset < 2500; offset += 50) {
      pages.hear(page(offset));
    }
    expect([0, 499, 500, 2499].map(place => pages.row(place) !== null)).toEqual([false, false, true, true]);
  });
});

test.each([
  ['short texts', 1000, 1, false, 2],
  ['long texts', 1000, 500, false, 3],
  ['a narrow table', 300, 500, true, 3]
])('rows of %s are as high as they need', (_title, width, length, isNarrow, lines) => {
  const long = 'x'.repeat(length);
  const layout = recordLayout(
    [record(1, { answers: { [BASE]: long, [CHATTY]: long } })],
    [BASE, CHATTY],
    false,
    width,
    19
  );
  expect([layout.isNarrow, layout.lines.answer]).toEqual([isNarrow, lines]);
});

let el: HTMLElement;
let undo = (): void => undefined;
let jobs = 0;

/** Nothing has a size in jsdom. */
beforeEach(() => {
  vi.spyOn(HTMLElement.prototype, 'clientHeight', 'get').mockReturnValue(520);
  vi.spyOn(HTMLElement.prototype, 'scrollHeight', 'get').mockReturnValue(8_000_000);
  Element.prototype.scrollIntoView = () => undefined;
  el = document.body.appendChild(document.createElement('div'));
});

afterEach(() => {
  act(() => {
    undo();
  });
  cleanup();
  el.remove();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

function show(evaluation: EvaluationState | null = state(), changes: Partial<JobSnapshot> = {}) {
  const model = new TestModel<JobTraits>({
    snapshot: snapshot({
      id: `evaluate-${++jobs}`,
      kind: 'evaluate',
      technique: 'judge',
      model: `${CHATTY} against ${BASE}`,
      adapter: 'human_like · judge: local smollm2-360m',
      state: 'completed',
      rows: { train: 0, eval: 261 },
      metrics: [],
      ...changes
    }),
    cell: '%%evaluate\n',
    mlflow: null,
    evaluation
  });
  act(() => {
    undo = render({ model, el } as unknown as RenderProps<JobTraits>);
  });
  return model;
}

const asked = (model: TestModel<JobTraits>, type: EvaluationCommand['type'] = 'records') =>
  model.sent.filter(command => command.type === type);
/** Answers what was asked for last. */
function answerLast(model: TestModel<JobTraits>, rows: readonly RecordRow[], total = rows.length) {
  const command = asked(model).at(-1) as Extract<EvaluationCommand, { type: 'records' }>;
  model.message({ ...command, total, rows });
}
function answerRecord(model: TestModel<JobTraits>, id: string, models: Readonly<Record<string, WholeAnswer>>) {
  const [prompt, columns] = [`question ${id} in full`, { topic: 'food' }];
  model.message({ type: 'record', id, metric: 'human_like', number: 7, prompt, ground_truth: null, models, columns });
}
const table = () => screen.getByRole('table', { name: 'Records' });
const button = (name: string | RegExp) => screen.getByRole<HTMLButtonElement>('button', { name });
const select = (name: string) => screen.getByRole<HTMLSelectElement>('combobox', { name });
const cells = () =>
  within(table())
    .getAllByRole('cell')
    .map(({ textContent }) => textContent);

describe('an evaluation', () => {
  test('says who is held against whom, by whom, on how many questions, and draws no charts', () => {
    show();
    expect(screen.getByRole('heading', { name: `${CHATTY} against ${BASE}` })).toBeTruthy();
    expect(screen.getByText('human_like · judge: local smollm2-360m · 261 questions')).toBeTruthy();
    expect(el.querySelector('.tunelab-charts')).toBeNull();
  });

  test('that runs says when results come; one that ended without any is silent', () => {
    const model = show(null, { state: 'running' });
    const soon = 'The results come here once every answer is there and scored.';
    expect(screen.getByText(soon)).toBeTruthy();
    expect(screen.getByRole('progressbar').getAttribute('aria-valuenow')).toBe('12');
    model.update({ snapshot: { ...model.traits.snapshot, state: 'failed' } });
    expect(screen.queryByText(soon)).toBeNull();
    model.update({ evaluation: state() });
    expect(table()).toBeTruthy();
  });

  test('has the comparison in words, its warnings, and what it cost', () => {
    show(
      state({
        notes: [{ code: 'judge', message: `This judge agrees with people on 71% ${DANGER}` }],
        costs: [
          { model: CHATTY, answers: 261, latency_s: 0.41, tokens_in: 8000, tokens_out: 9000, cost: null, seconds: 107 }
        ]
      })
    );
    const results = screen.getByRole('region', { name: 'Results' });
    expect(results.textContent).toContain(
      'Mean score 2.44 against 1.91, difference +0.53 (95%: +0.44 to +0.62; sign test p < 0.001)258 of 261 scored'
    );
    expect(screen.getByText('Better: +0.53 (95% +0.44 to +0.62).')).toBeTruthy();
    const notes = screen.getByRole('list', { name: 'Warnings about the results' });
    expect(notes.textContent).toBe(`This judge agrees with people on 71% ${DANGER}`);
    expect(el.querySelector('img')).toBeNull();
    const costs = screen.getByText('Cost of the answers').closest('details')!;
    expect(costs.open).toBe(false);
    expect([...costs.querySelectorAll('th')].map(({ textContent }) => textContent)).toEqual([
      'model',
      'answers',
      'seconds per answer',
      'tokens in',
      'tokens out',
      'seconds'
    ]);
  });

  test('does not say its verdict twice', () => {
    const verdict = 'Too few records to tell: about 900 pairs would do.';
    const note = { code: 'too-few', message: `human_like, ${CHATTY}: ${verdict}` };
    show(
      state({ notes: [note, { code: 'too-few', message: 'helpful, big: Too few.' }], summary: [summary({ verdict })] })
    );
    expect(screen.getByText(verdict)).toBeTruthy();
    const notes = screen.getByRole('list', { name: 'Warnings about the results' });
    expect(notes.textContent).toBe('helpful, big: Too few.');
  });

  test('is filtered by the bar and by the chips, which count', () => {
    const model = show();
    expect(asked(model)).toHaveLength(1);
    const bar = screen.getByRole('group', { name: 'Outcomes' });
    expect(
      within(bar)
        .getAllByRole('button')
        .map(each => each.getAttribute('aria-label'))
    ).toEqual(['49% improved: 126 of 258', '41% equal: 106 of 258', '10% degraded: 26 of 258']);
    fireEvent.click(button('10% degraded: 26 of 258'));
    expect(asked(model).at(-1)).toMatchObject({ filter: 'degraded', offset: 0, metric: 'human_like', model: CHATTY });
    const chip = button('Degraded 26');
    expect(chip.getAttribute('aria-pressed')).toBe('true');
    expect(button('Overruled 0').disabled).toBe(true);
    // A second click on the bar takes it back.
    fireEvent.click(button('10% degraded: 26 of 258'));
    expect(button('All 261').getAttribute('aria-pressed')).toBe('true');
    fireEvent.click(button('Unscored 3'));
    expect(asked(model).at(-1)).toMatchObject({ filter: 'unscored' });
    answerLast(model, []);
    expect(screen.getByText('No record is such.')).toBeTruthy();
  });

  test('of one model has no bar, and only the filters that fit', () => {
    show(state({ models: [BASE], summary: [alone()] }));
    expect(screen.queryByRole('group', { name: 'Outcomes' })).toBeNull();
    const chips = within(screen.getByRole('group', { name: 'Which records' })).getAllByRole('button');
    expect(chips.map(({ textContent }) => textContent)).toEqual(['All 261', 'Unscored 3', 'Overruled 0']);
    expect(screen.getByText(/^Mean score/).textContent).toBe('Mean score 1.91');
  });

  test('of several metrics and models has one of each at a time', () => {
    const others = [metric(), metric({ name: 'helpful', label: 'helpful@2' }), metric({ name: 'none' })];
    const rows = others
      .slice(0, 2)
      .flatMap(({ name }) => [
        summary({ metric: name }),
        summary({ metric: name, model: 'big', verdict: `${name} big` })
      ]);
    const model = show(state({ metrics: others, models: [BASE, CHATTY, 'big'], summary: rows }));
    expect([...select('Metric').options].map(({ text }) => text)).toEqual(['human_like@1', 'helpful@2']);
    fireEvent.change(select('Metric'), { target: { value: 'helpful' } });
    fireEvent.change(screen.getByRole('combobox', { name: /^Model/ }), { target: { value: 'big' } });
    expect(asked(model).at(-1)).toMatchObject({ metric: 'helpful', model: 'big' });
    expect(screen.getByText('helpful big')).toBeTruthy();
  });

  test('shows plain tables of benchmarks and of the judge', () => {
    show(
      state({
        ...{ models: [BASE, CHATTY], metrics: [], summary: [] },
        benchmarks: [
          { task: 'arc_easy', metric: 'acc', model: BASE, value: 0.58, stderr: 0.01, n_shot: 5, limit: null },
          { task: 'arc_easy', metric: 'acc', model: CHATTY, value: 0.61, stderr: null, n_shot: 5, limit: null }
        ],
        judges: [{ way: 'pairwise', n: 100, agreement: 0.71, low: 0.62, high: 0.79, kappa: 0.42, position_bias: -0.08 }]
      })
    );
    const text = (node?: HTMLElement) => [...node!.querySelectorAll('th, td')].map(({ textContent }) => textContent);
    const [first, second] = screen.getAllByRole('table');
    expect(text(first)).toEqual([
      'task',
      'metric',
      BASE,
      CHATTY,
      'shots',
      'arc_easy',
      'acc',
      '0.580 ± 0.010',
      '0.610',
      '5'
    ]);
    expect(text(second)).toEqual([
      ...['way', 'questions', 'agreement', 'kappa', 'position bias'],
      ...['pairwise', '100', '0.710 (0.620 to 0.790)', '0.420', '-0.080']
    ]);
    expect(screen.queryByRole('table', { name: 'Records' })).toBeNull();
  });
});

describe('the table of records', () => {
  test('shows each answer and score as text, with the outcome in a word', () => {
    const model = show();
    answerLast(model, [
      record(1, { prompt: DANGER, answers: { [BASE]: '**bold** \x1b[31mred\x1b[0m', [CHATTY]: '<b>x</b>' } }),
      record(2, {
        scores: {
          [BASE]: { score: null, label: null, status: 'unparsed', human: null },
          [CHATTY]: { score: 2, label: 'somewhat', status: 'scored', human: 3 }
        },
        difference: null,
        outcome: 'unscored'
      })
    ]);
    const headers = within(table()).getAllByRole('columnheader');
    expect(headers.map(({ textContent }) => textContent)).toEqual(['Row ↑', 'Prompt', BASE, CHATTY, 'Score']);
    const [number, prompt, base, chatty, score] = cells();
    expect([number, prompt, chatty]).toEqual(['1', `Prompt${DANGER}`, `${CHATTY}<b>x</b>`]);
    // Escape codes are seen for what they are.
    expect(base).toBe(`${BASE}**bold** \\x1b[31mred\\x1b[0m`);
    expect(score).toBe('1 →  then 3▲ improved');
    expect(cells()[9]).toBe('— →  then 2 overruled:  3? unscored: the reply could not be read');
    expect(el.querySelector('img, b > b')).toBeNull();
  });

  test('has a column of what is right where there is such', () => {
    const model = show();
    answerLast(model, [record(1, { ground_truth: '42' })]);
    expect(within(table()).getByRole('columnheader', { name: 'Ground truth' })).toBeTruthy();
    expect(cells()[2]).toBe('Ground truth42');
  });

  test('is sorted by its headers', () => {
    const model = show();
    answerLast(model, [record(1)]);
    const sort = () => (asked(model).at(-1) as Extract<EvaluationCommand, { type: 'records' }>).sort;
    fireEvent.click(button('Score'));
    expect(sort()).toEqual({ by: 'difference', descending: false });
    fireEvent.click(button(/^Score/));
    expect(sort()).toEqual({ by: 'difference', descending: true });
    expect(
      button(/^Score/)
        .closest('[role=columnheader]')
        ?.getAttribute('aria-sort')
    ).toBe('descending');
    fireEvent.click(button(CHATTY));
    expect(sort()).toEqual({ by: 'score', descending: false });
    fireEvent.click(button(BASE));
    expect(sort()).toEqual({ by: 'baseline', descending: false });
    fireEvent.change(select('Sort by'), { target: { value: 'id true' } });
    expect(sort()).toEqual({ by: 'id', descending: true });
  });

  test('is searched a moment after the last letter, and at once by Enter', () => {
    vi.useFakeTimers();
    const model = show();
    const field = screen.getByRole('searchbox');
    const before = asked(model).length;
    fireEvent.change(field, { target: { value: 'te' } });
    fireEvent.change(field, { target: { value: 'tea ' } });
    expect(asked(model)).toHaveLength(before);
    act(() => {
      vi.advanceTimersByTime(300);
    });
    expect(asked(model).slice(before)).toMatchObject([{ search: 'tea', offset: 0 }]);
    answerLast(model, [record(3), record(9)]);
    expect(screen.getByText('2 records').className).not.toContain('hidden');
    fireEvent.change(field, { target: { value: '' } });
    fireEvent.submit(field);
    expect(asked(model).at(-1)).toMatchObject({ search: '' });
  });

  test('is split by the values of a column', () => {
    const model = show(state({ columns: ['topic'] }));
    fireEvent.change(select('Split by'), { target: { value: 'topic' } });
    expect(asked(model, 'values')).toEqual([{ type: 'values', column: 'topic' }]);
    const values = [
      { value: 'food', count: 200 },
      { value: null, count: 61 }
    ];
    model.message({ type: 'values', column: 'topic', values, left_off: 3 });
    const value = select('Value of topic');
    expect([...value.options].map(({ text }) => text)).toEqual([
      'any',
      'food (200)',
      '(none) (61)',
      '3 more, in result.by(…)'
    ]);
    fireEvent.change(value, { target: { value: '1' } });
    expect(asked(model).at(-1)).toMatchObject({ column: { name: 'topic', value: null } });
    fireEvent.change(select('Split by'), { target: { value: '' } });
    expect(asked(model).at(-1)).toMatchObject({ column: null });
  });

  test('of 100,000 records draws and asks for what is in view', () => {
    const many = { ...COUNTS, all: 100_000 };
    const model = show(state({ rows: 100_000, summary: [summary({ counts: many })] }));
    expect(asked(model).at(-1)).toMatchObject({ offset: 0, count: 50 });
    answerLast(
      model,
      Array.from({ length: 50 }, (_, n) => record(n + 1)),
      100_000
    );
    expect(table().getAttribute('aria-rowcount')).toBe('100001');
    expect(within(table()).getAllByRole('row').length).toBeLessThan(40);
    act(() => {
      // Rows of two lines are 55 pixels high.
      table().scrollTop = 55 * 60;
      fireEvent.scroll(table());
    });
    expect(asked(model).at(-1)).toMatchObject({ offset: 50, count: 50 });
    // Others are asked for from their top, and nothing else of them.
    const before = asked(model).length;
    fireEvent.click(button(/^Improved/));
    expect(asked(model).slice(before)).toMatchObject([{ filter: 'improved', offset: 0 }]);
  });

  test('is gone through by arrows, with one stop of Tab', () => {
    const model = show();
    answerLast(
      model,
      [1, 2, 3].map(number => record(number))
    );
    button('Open row 1').focus();
    fireEvent.keyDown(button('Open row 1'), { key: 'ArrowDown' });
    expect(document.activeElement).toBe(button('Open row 2'));
    expect([1, 2, 3].map(row => button(`Open row ${row}`).tabIndex)).toEqual([-1, 0, -1]);
  });

  test('keeps what was chosen while views come and go', () => {
    const id = `kept-${++jobs}`;
    show(state(), { id });
    fireEvent.click(button('Equal 106'));
    act(() => {
      undo();
    });
    const again = show(state(), { id });
    expect(asked(again)[0]).toMatchObject({ filter: 'equal' });
  });
});

describe('a record alone', () => {
  const both = (changes: Partial<WholeAnswer> = {}) => ({
    [BASE]: answer(),
    [CHATTY]: answer({ text: 'I like coffee.', score: 3, label: 'completely', reasoning: DANGER, ...changes })
  });
  const open = (changes: Partial<WholeAnswer> = {}, metrics = [metric()]) => {
    const model = show(state({ metrics }));
    answerLast(
      model,
      [1, 2, 3].map(number => record(number))
    );
    fireEvent.click(button('Open row 2'));
    answerRecord(model, 'q2', both(changes));
    return model;
  };
  const region = () => screen.getByRole('region', { name: 'One record' });
  const part = (name = CHATTY) => screen.getByRole('article', { name });

  test('has whole texts, reasons, the reply as it came, and what else the dataset has', () => {
    const model = open({ cut: true, cost: 0.002 });
    expect(asked(model, 'record').at(-1)).toEqual({ type: 'record', id: 'q2', metric: 'human_like' });
    expect(document.activeElement).toBe(region());
    expect(region().textContent).toContain('question q2 in full');
    expect(region().textContent).toContain('topicfood');
    expect(part().textContent).toContain('cut off');
    expect(part().textContent).toContain('0.500 s · 31 tokens in, 44 out · cost 0.00200');
    expect(part().textContent).toContain('Score completely (3)');
    expect(part().textContent).toContain(`Reasoning${DANGER}`);
    expect(within(part()).getByText('Reply as it came').closest('details')?.open).toBe(false);
    expect(el.querySelector('img')).toBeNull();
  });

  test('tells what differs word by word, unless one does not want that', () => {
    open();
    const told = () =>
      [...part().querySelectorAll('ins, del')].map(({ tagName, textContent }) => [tagName, textContent]);
    expect(told()).toEqual([
      ['DEL', 'tea'],
      ['INS', 'coffee']
    ]);
    expect(part(BASE).querySelector('ins, del')).toBeNull();
    const toggle = screen.getByRole('checkbox', { name: 'Differences' });
    fireEvent.click(toggle);
    expect(told()).toEqual([]);
    expect(part().textContent).toContain('I like coffee.');
    fireEvent.click(toggle);
  });

  test('has long texts that the keyboard can scroll', () => {
    open({ text: 'I like coffee. '.repeat(100) });
    expect(
      [part(), part(BASE)].map(each => each.querySelector('.tunelab-record-whole')?.getAttribute('tabindex'))
    ).toEqual(['0', null]);
  });

  test('says why there is no score', () => {
    open({ score: null, label: null, status: 'unparsed', note: 'The reply has no JSON: \x1b[31mNo.' });
    expect(part().textContent).toContain('No score: The reply has no JSON: ');
  });

  test('is left for the next and the one before by buttons and arrows, and by Escape for the table', () => {
    const model = open();
    fireEvent.keyDown(region(), { key: 'ArrowRight' });
    expect(asked(model, 'record').at(-1)).toMatchObject({ id: 'q3' });
    // It is the last one; the button keeps the focus.
    expect(button('Next').getAttribute('aria-disabled')).toBe('true');
    fireEvent.click(button('Previous'));
    fireEvent.keyDown(region(), { key: 'ArrowLeft' });
    expect(asked(model, 'record').at(-1)).toMatchObject({ id: 'q1' });
    answerRecord(model, 'q1', both());
    fireEvent.keyDown(select(`Your score of ${CHATTY}`), { key: 'ArrowRight' });
    expect(asked(model, 'record').at(-1)).toMatchObject({ id: 'q1' });
    fireEvent.keyDown(region(), { key: 'Escape' });
    expect(screen.queryByRole('region', { name: 'One record' })).toBeNull();
    expect(table()).toBeTruthy();
  });

  test('is overruled by a point of the scale, and that is taken back', () => {
    const model = open();
    const points = select(`Your score of ${CHATTY}`);
    expect([...points.options].map(({ text }) => text)).toEqual([
      'as it is',
      '1 not at all',
      '2 somewhat',
      '3 completely'
    ]);
    fireEvent.change(points, { target: { value: '2' } });
    const key = { type: 'overrule', id: 'q2', model: CHATTY, metric: 'human_like' };
    expect(asked(model, 'overrule')).toEqual([{ ...key, score: 2 }]);
    const before = asked(model, 'record').length;
    const human = summary({ difference: 0.41, low: null, high: null, p_value: null });
    const counts = { ...COUNTS, overruled: 1 };
    model.update({ evaluation: state({ version: 2, summary: [summary({ counts, human_summary: human })] }) });
    // It is read anew, and the summary shows both.
    expect(asked(model, 'record').length).toBeGreaterThan(before);
    answerRecord(model, 'q2', both({ human: 2 }));
    expect(screen.getByText('By people’s scores').parentElement?.textContent).toContain(
      'By people’s scores, 1 overruled: 49% improved, 41% equal, 10% degraded; mean score 2.32 against 1.91'
    );
    expect(select(`Your score of ${CHATTY}`).value).toBe('2');
    fireEvent.click(button(`Take back the score of ${CHATTY}`));
    expect(asked(model, 'overrule').at(-1)).toEqual({ ...key, score: null });
    // The button is gone, and the focus is not.
    expect(screen.queryByRole('button', { name: /Take back/ })).toBeNull();
    expect(document.activeElement).toBe(select(`Your score of ${CHATTY}`));
  });

  test('is overruled by a number within the scale where that has no points', () => {
    const model = open({}, [metric({ labels: null, low: 0, high: 1 })]);
    const field = screen.getByRole('spinbutton', { name: `Your score of ${CHATTY}` });
    const overrule = within(part()).getByRole<HTMLButtonElement>('button', { name: 'Overrule' });
    fireEvent.change(field, { target: { value: '1.5' } });
    expect([field.getAttribute('aria-invalid'), overrule.disabled]).toEqual(['true', true]);
    fireEvent.change(field, { target: { value: '0.75' } });
    fireEvent.click(overrule);
    expect(asked(model, 'overrule')).toMatchObject([{ score: 0.75 }]);
  });

  test('of a pair is overruled by who wins', () => {
    open({ against: BASE, flipped: true, score: 0.5, label: 'tie' }, [
      metric({ pairwise: true, low: 0, high: 1, labels: null })
    ]);
    expect([...select(`Your score of ${CHATTY}`).options].map(({ text }) => text)).toEqual([
      'as it is',
      'loses',
      'tie',
      'wins'
    ]);
    expect(part().textContent).toContain(`Score tie (0.500) against ${BASE}`);
    expect(part().textContent).toContain('the verdict changed with the order: a tie');
  });
});

test.each(['csv', 'json', 'parquet'] as const)('an export as %s is a file with the bytes that came', format => {
  const made: Blob[] = [];
  vi.spyOn(URL, 'createObjectURL').mockImplementation(blob => {
    made.push(blob as Blob);
    return 'blob:';
  });
  const clicked: string[] = [];
  vi.spyOn(HTMLAnchorElement.prototype, 'click').mockImplementation(function (this: HTMLAnchorElement) {
    clicked.push(this.download);
  });
  const model = show();
  const group = screen.getByRole('group', { name: 'Export all records' });
  fireEvent.click(within(group).getByRole('button', { name: new RegExp(format, 'i') }));
  expect(asked(model, 'export')).toEqual([{ type: 'export', format }]);
  expect(group.getAttribute('aria-busy')).toBe('true');
  const bytes = new TextEncoder().encode('id,score\nq1,3\n');
  model.message({ type: 'exported', name: `chatty.${format}`, format }, [new DataView(bytes.buffer)]);
  expect([clicked, made.map(({ size }) => size)]).toEqual([[`chatty.${format}`], [bytes.length]]);
  expect(group.getAttribute('aria-busy')).toBe('false');
  // What another view asked for is not saved here.
  model.message({ type: 'exported', name: 'other.csv', format }, [new DataView(bytes.buffer)]);
  expect(clicked).toHaveLength(1);
});
