/** Going through an evaluation's records as a reader does: from the table to a record and back, while answers come late. */
import type { RenderProps } from '@anywidget/types';
import { act, cleanup, fireEvent, screen } from '@testing-library/react';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { render } from '../../labextension/src/widget/index';
import type { JobTraits } from '../../labextension/src/widget/model';
import type {
  EvaluationCommand,
  EvaluationState,
  RecordRow,
  SummaryRow,
  WholeAnswer
} from '../../labextension/src/widget/results';
import { TestModel } from './models';
import { snapshot } from './snapshot';

const [BASE, TUNED] = ['smollm2-135m', 'chatty@1'] as const;
const SUMMARY: SummaryRow = {
  ...{ metric: 'human_like', model: TUNED, mean: 2.45, improved: 0.5, equal: 0.4, degraded: 0.1, difference: 0.53 },
  ...{ low: 0.44, high: 0.62, p_value: 0.001, test: 'sign', scored: 120, unscored: 0, baseline: BASE, pairs: 120 },
  ...{ baseline_mean: 1.92, win_rate: 0.7, verdict: '', flipped: 0, human_summary: null },
  counts: { all: 120, improved: 60, equal: 48, degraded: 12, unscored: 0, overruled: 1 }
};
const STATE: EvaluationState = {
  ...{ version: 1, method: 'judge', baseline: BASE, models: [BASE, TUNED], columns: [], rows: 120 },
  metrics: [{ name: 'human_like', label: 'human_like@1', low: 1, high: 3, labels: { no: 1, yes: 3 }, pairwise: false }],
  ...{ summary: [SUMMARY], notes: [], costs: [], benchmarks: null, judges: null }
};
const SCORE = { score: 3, label: null, status: 'scored', human: null };
const record = (number: number): RecordRow => ({
  ...{ id: `q${number}`, number, prompt: `Question ${number}?`, ground_truth: null },
  ...{ answers: { [BASE]: 'No.', [TUNED]: 'Yes!' }, scores: { [BASE]: SCORE, [TUNED]: SCORE } },
  ...{ difference: 0, outcome: 'equal' }
});
const page = (first: number, count = 50) => Array.from({ length: count }, (_, n) => record(first + n));

let el: HTMLElement;
let undo = (): void => undefined;
let model: TestModel<JobTraits>;
let jobs = 0;

beforeEach(() => {
  // Nothing has a size in jsdom.
  vi.spyOn(HTMLElement.prototype, 'clientHeight', 'get').mockReturnValue(520);
  Element.prototype.scrollIntoView = () => undefined;
  el = document.body.appendChild(document.createElement('div'));
  const job = snapshot({ id: `flow-${++jobs}`, kind: 'evaluate', technique: 'judge', state: 'completed' });
  model = new TestModel<JobTraits>({ snapshot: job, cell: '', mlflow: null, evaluation: STATE });
  act(() => {
    undo = render({ model, el } as unknown as RenderProps<JobTraits>);
  });
  answer(page(1), 120);
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

type Asked<T extends EvaluationCommand['type']> = Extract<EvaluationCommand, { type: T }>;

function last<T extends EvaluationCommand['type']>(type: T): Asked<T> {
  return model.sent.filter(command => command.type === type).at(-1) as Asked<T>;
}
/** Answers the latest question of the table. */
function answer(rows: readonly RecordRow[], total: number): void {
  model.message({ ...last('records'), total, rows });
}
/** Answers the latest question of a record. */
function tell(human: number | null = null): void {
  const whole: WholeAnswer = { ...SCORE, text: 'Yes!', human };
  const { id, metric } = last('record');
  const told = { number: Number(id.slice(1)), prompt: 'Whole?', ground_truth: null, columns: {} };
  model.message({ type: 'record', id, metric, ...told, models: { [BASE]: { ...whole, human: null }, [TUNED]: whole } });
}
const button = (name: string | RegExp) => screen.getByRole<HTMLButtonElement>('button', { name });
const region = () => screen.getByRole('region', { name: 'One record' });
const points = () => screen.getByRole<HTMLSelectElement>('combobox', { name: `Your score of ${TUNED}` });

test('whoever comes back from a record is at its row', async () => {
  fireEvent.click(button('Open row 3'));
  tell();
  fireEvent.keyDown(region(), { key: 'ArrowRight' });
  tell();
  await act(async () => {
    fireEvent.click(button('‹ All records'));
    await Promise.resolve();
  });
  expect(document.activeElement).toBe(button('Open row 4'));
});

test('the last record of a page leads to the next page', () => {
  fireEvent.click(button('Open row 3'));
  for (let row = 3; row < 50; row++) {
    fireEvent.keyDown(region(), { key: 'ArrowRight' });
  }
  expect(last('record').id).toBe('q50');
  expect(last('records')).toMatchObject({ offset: 50, count: 50 });
  // It has not come yet, and a key does nothing.
  fireEvent.keyDown(region(), { key: 'ArrowRight' });
  expect(last('record').id).toBe('q50');
  answer(page(51), 120);
  fireEvent.keyDown(region(), { key: 'ArrowRight' });
  expect(last('record').id).toBe('q51');
});

test('a record that leaves the filter stays open, and the next one is where it was', () => {
  fireEvent.click(button('Overruled 1'));
  answer([record(5), record(9), record(12)], 3);
  fireEvent.click(button('Open row 5'));
  tell(1);
  fireEvent.click(button(`Take back the score of ${TUNED}`));
  model.update({ evaluation: { ...STATE, version: 2 } });
  answer([record(9), record(12)], 2);
  tell();
  expect(region().textContent).toContain('Row 5');
  fireEvent.click(button('Next'));
  expect(last('record').id).toBe('q9');
});

test('a score stands as given until the kernel has answered, and falls back where it is refused', () => {
  fireEvent.click(button('Open row 1'));
  tell();
  fireEvent.change(points(), { target: { value: '1' } });
  expect(last('overrule')).toEqual({ type: 'overrule', id: 'q1', model: TUNED, metric: 'human_like', score: 1 });
  expect(points().value).toBe('1');
  model.notice('The disk is full.');
  expect(screen.getByText('The disk is full.')).toBeTruthy();
  expect(points().value).toBe('');
  fireEvent.change(points(), { target: { value: '1' } });
  model.update({ evaluation: { ...STATE, version: 2 } });
  tell(1);
  fireEvent.click(button(`Take back the score of ${TUNED}`));
  expect([last('overrule').score, points().value]).toEqual([null, '']);
});

test('a search that was typed takes back nothing that was chosen meanwhile', () => {
  vi.useFakeTimers();
  fireEvent.change(screen.getByRole('searchbox'), { target: { value: 'pasta' } });
  fireEvent.click(button('Degraded 12'));
  expect(last('records')).toMatchObject({ search: '', filter: 'degraded' });
  act(() => {
    vi.advanceTimersByTime(1000);
  });
  expect(last('records')).toMatchObject({ search: 'pasta', filter: 'degraded' });
});

test('what is shown stays, dimmed, until other records come', () => {
  const rows = () => [...el.querySelectorAll('[data-index] button')].map(({ textContent }) => textContent);
  const before = rows();
  fireEvent.click(button('Degraded 12'));
  const table = screen.getByRole('table', { name: 'Records' });
  expect([rows(), table.getAttribute('aria-busy')]).toEqual([before, 'true']);
  answer([record(77)], 1);
  expect([rows(), table.getAttribute('aria-busy')]).toEqual([['77'], 'false']);
});

test('an export that was refused can be asked for again', () => {
  fireEvent.click(button('CSV'));
  expect(button('CSV…').disabled).toBe(true);
  model.notice('The disk is full.');
  expect(button('CSV').disabled).toBe(false);
});
