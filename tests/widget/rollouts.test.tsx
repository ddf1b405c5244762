import type { RenderProps } from '@anywidget/types';
import { act, cleanup, fireEvent, screen, within } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { render } from '../../labextension/src/widget/index';
import type { Alert, Answer, JobTraits, RolloutGroup, RolloutsState } from '../../labextension/src/widget/model';
import {
  barOf,
  groupFigures,
  groupTrouble,
  nearest,
  ordered,
  passes,
  rangesOf,
  shownOf,
  stepsOf,
  whyMissing
} from '../../labextension/src/widget/rollouts';
import { TestModel } from './models';
import { snapshot } from './snapshot';

const answer = (changes: Partial<Answer> = {}): Answer => ({
  completion: '#### 7',
  reward: 1,
  parts: { right: 1, format: 0.5 },
  cut: false,
  tokens: 9,
  status: 'scored',
  note: '',
  ...changes
});
const group = (changes: Partial<RolloutGroup> = {}): RolloutGroup => ({
  group: 0,
  row: 12,
  prompt: 'What is 3 + 4?',
  answers: 8,
  mean: 0.5,
  spread: 0.25,
  no_spread: false,
  missing: 0,
  cut: 0,
  best: answer(),
  worst: answer({ completion: '#### 8', reward: 0 }),
  ...changes
});
const state = (trained: RolloutsState['trained']['steps'], changes: Partial<RolloutsState> = {}): RolloutsState => ({
  version: 1,
  trained: { steps: trained, answers: 8 * trained.length },
  held_out: { steps: [], answers: 0 },
  ...changes
});

describe('what is known of rollouts', () => {
  test('steps come as runs', () => {
    const runs = [
      [1, 1, 3],
      [10, 5, 2],
      [40, 0, 1]
    ] as const;
    expect(stepsOf({ steps: runs, answers: 0 })).toEqual([1, 2, 3, 10, 15, 40]);
  });

  test.each([
    [10, 1],
    [14, 1],
    [15, 2],
    [99, 2],
    [0, 0]
  ])('step %i of 5, 10, 15 is at %i', (wanted, expected) => {
    expect(nearest([5, 10, 15], wanted)).toBe(expected);
  });

  test('before the first step there are held-out ones only; else the latest that is trained on is shown', () => {
    const first = { heldOut: null, step: null, filter: 'all', order: 'sampled' } as const;
    const held = { steps: [[0, 0, 1]] as const, answers: 12 };
    expect(shownOf(state([], { held_out: held }), first).place).toEqual({ step: 0, held_out: true });
    expect(shownOf(state([[1, 1, 4]], { held_out: held }), first).place).toEqual({ step: 4, held_out: false });
    expect(shownOf(state([]), first).place).toBeNull();
    // A recovery took the step that was looked at back.
    expect(shownOf(state([[1, 1, 4]]), { ...first, step: 9 }).place).toEqual({ step: 4, held_out: false });
  });

  const groups = [
    group({ group: 0, mean: 0.5, spread: 0.1 }),
    group({ group: 1, mean: null, spread: null, missing: 8, no_spread: true }),
    group({ group: 2, mean: 0.9, spread: 0, no_spread: true, cut: 2 }),
    group({ group: 3, mean: 0.1, spread: 0.4 })
  ];

  test.each([
    ['sampled', [0, 1, 2, 3]],
    ['best', [2, 0, 3, 1]],
    ['worst', [3, 0, 2, 1]],
    ['spread', [3, 0, 2, 1]],
    ['alike', [2, 0, 3, 1]]
  ] as const)('in the order %s they are %j', (order, expected) => {
    expect(ordered(groups, order).map(each => each.group)).toEqual(expected);
  });

  test.each([
    ['all', [0, 1, 2, 3]],
    ['missing', [1]],
    ['cut', [2]],
    ['no_spread', [1, 2]]
  ] as const)('the filter %s shows %j', (filter, expected) => {
    expect(groups.filter(each => passes(each, filter)).map(each => each.group)).toEqual(expected);
  });

  test.each([
    [0.25, { low: 0, high: 1 }, 0, 0.25],
    [-1, { low: -1, high: 3 }, 0, 0.25],
    [3, { low: -1, high: 3 }, 0.25, 0.75],
    [0, { low: -1, high: 1 }, 0.5, 0]
  ])('a bar of %d in %j begins at %d and is %d long', (value, range, from, width) => {
    expect(barOf(value, range)).toEqual({ from, width });
  });

  test('bars go from 0 to 1, and further where figures do', () => {
    const ranges = rangesOf([answer({ reward: -2, parts: { right: 0.5 } }), answer({ reward: null, parts: {} }), null]);
    expect(ranges.get('')).toEqual({ low: -2, high: 1 });
    expect(ranges.get('right')).toEqual({ low: 0, high: 1 });
  });

  test('sentences say what is the matter', () => {
    expect(groupFigures(group())).toBe('row 12 · 8 answers · mean 0.500 · spread 0.250');
    expect(groupFigures(group({ answers: 1, row: null }))).toBe('');
    expect(groupTrouble(group({ missing: 2, cut: 1, no_spread: true }))).toEqual([
      'no spread',
      'without a reward 2',
      'cut off 1'
    ]);
    expect(groupTrouble(group({ answers: 1, cut: 1 }))).toEqual(['cut off']);
    expect(whyMissing(answer())).toBeNull();
    expect(whyMissing(answer({ reward: null, status: 'timeout' }))).toBe(
      'No reward: the reward function took too long'
    );
    expect(whyMissing(answer({ reward: null, status: 'error', note: 'NameError: \x1b[31mx\x1b[0m' }))).toBe(
      'No reward: NameError: x'
    );
  });
});

let el: HTMLElement;
let undo = (): void => undefined;
let jobs = 0;

beforeEach(() => {
  el = document.body.appendChild(document.createElement('div'));
});

afterEach(() => {
  act(() => {
    undo();
  });
  cleanup();
  el.remove();
});

function show(traits: Partial<JobTraits>, alerts: readonly Alert[] = [], id = `solver-${++jobs}`) {
  const model = new TestModel<JobTraits>({
    snapshot: snapshot({ id, technique: 'rlvr', alerts }),
    cell: '',
    mlflow: null,
    ...traits
  });
  act(() => {
    undo = render({ model, el } as unknown as RenderProps<JobTraits>);
  });
  return model;
}

const asked = (model: TestModel<JobTraits>) => model.sent.filter(({ type }) => type !== 'points');
const table = () => screen.getByRole('table', { name: 'Rollouts' });
const rows = () => [...table().querySelectorAll<HTMLElement>('[data-group]')].map(row => Number(row.dataset.group));
const page = (step: number, groups: readonly RolloutGroup[] = [group()], heldOut = false) => ({
  type: 'rollouts' as const,
  step,
  held_out: heldOut,
  groups,
  left_off: 0
});
const button = (name: string | RegExp) => screen.getByRole<HTMLButtonElement>('button', { name });

describe('the rollouts', () => {
  test('of a job that has none are not there', () => {
    show({ rollouts: null });
    expect(screen.queryByRole('region', { name: /Rollouts/ })).toBeNull();
  });

  test('are announced before the first', () => {
    show({ rollouts: state([]) });
    expect(screen.getByText('Every answer that is sampled comes here, with its reward.')).toBeTruthy();
  });

  test('of the latest step are asked for, and followed', () => {
    const model = show({ rollouts: state([[1, 1, 3]]) });
    expect(asked(model)[0]).toEqual({ type: 'rollouts', step: 3, held_out: false });
    model.message(page(3));
    expect(table().dataset.step).toBe('3');
    model.update({ rollouts: state([[1, 1, 4]], { version: 9 }) });
    expect(asked(model).at(-1)).toEqual({ type: 'rollouts', step: 4, held_out: false });
    // What is there stays until the next is.
    expect([table().dataset.step, table().getAttribute('aria-busy')]).toEqual(['3', 'true']);
    model.message(page(4));
    expect([table().dataset.step, table().getAttribute('aria-busy')]).toEqual(['4', 'false']);
  });

  test('of a step that gains answers are asked for again', () => {
    const model = show({ rollouts: state([[1, 0, 1]]) });
    const first = asked(model).length;
    model.update({ rollouts: state([[1, 0, 1]], { version: 2 }) });
    expect(asked(model)).toHaveLength(first + 1);
    fireEvent.click(screen.getByRole('checkbox', { name: 'Latest' }));
    model.update({ rollouts: state([[1, 1, 2]], { version: 3 }) });
    const before = asked(model).length;
    model.update({ rollouts: state([[1, 1, 3]], { version: 4 }) });
    expect(asked(model)).toHaveLength(before);
  });

  test('show prompt, best and worst as text, with rewards, parts and what is the matter', () => {
    const model = show({ rollouts: state([[1, 0, 1]]) });
    const worst = answer({ completion: '<img src=x onerror=alert(1)>', reward: null, status: 'timeout', cut: true });
    model.message(page(1, [group({ worst, missing: 1, cut: 1 })]));
    const cells = within(table()).getAllByRole('cell');
    expect(cells[0]?.textContent).toContain('What is 3 + 4?');
    expect(cells[0]?.textContent).toContain('without a reward 1');
    expect(cells[1]?.textContent).toContain('reward 1right 1format 0.500');
    expect(cells[2]?.textContent).toContain('<img src=x onerror=alert(1)>');
    expect(cells[2]?.textContent).toContain('No reward: the reward function took too long');
    expect(table().querySelector('img')).toBeNull();
    expect(
      within(table())
        .getAllByRole('columnheader')
        .map(({ textContent }) => textContent)
    ).toEqual(['Prompt', 'Best', 'Worst']);
  });

  test('of one answer a prompt have no worst', () => {
    const model = show({ rollouts: state([[1, 0, 1]]) });
    model.message(page(1, [group({ answers: 1, worst: null })]));
    expect(
      within(table())
        .getAllByRole('columnheader')
        .map(({ textContent }) => textContent)
    ).toEqual(['Prompt', 'Answer']);
  });

  test('are filtered and ordered', () => {
    const model = show({ rollouts: state([[1, 0, 1]]) });
    model.message(
      page(1, [group({ group: 0, mean: 0.2 }), group({ group: 1, mean: 0.7, cut: 1 }), group({ group: 2, mean: 0.5 })])
    );
    expect(rows()).toEqual([0, 1, 2]);
    fireEvent.change(screen.getByRole('combobox', { name: 'Order of the groups' }), { target: { value: 'best' } });
    expect(rows()).toEqual([1, 2, 0]);
    expect(button('No spread 0').disabled).toBe(true);
    fireEvent.click(button('Cut off 1'));
    expect(rows()).toEqual([1]);
    expect(button('Cut off 1').getAttribute('aria-pressed')).toBe('true');
    // The choice stays with the next step, that has none such.
    model.update({ rollouts: state([[1, 1, 2]], { version: 2 }) });
    model.message(page(2));
    expect(screen.getByText('No group of this step is such.')).toBeTruthy();
  });

  test('open with all answers, the best first, and stay while the run goes on', () => {
    const model = show({ rollouts: state([[1, 1, 2]]) });
    model.message(page(2));
    fireEvent.click(button('Group 1, row 12'));
    expect(asked(model).at(-1)).toEqual({ type: 'group', step: 2, held_out: false, group: 0 });
    const answers = [1, 0.5, 0].map(reward => answer({ reward, completion: `worth ${reward}` }));
    model.message({ type: 'group', step: 2, held_out: false, group: 0, prompt: 'What is 3 + 4, in full?', answers });
    const all = screen.getByRole('list', { name: 'All answers, the best first' });
    expect([...all.querySelectorAll('.tunelab-answer-text')].map(({ textContent }) => textContent)).toEqual([
      'worth 1',
      'worth 0.5',
      'worth 0'
    ]);
    expect(within(table()).getByText('What is 3 + 4, in full?')).toBeTruthy();
    expect(screen.getByRole<HTMLInputElement>('checkbox', { name: 'Latest' }).checked).toBe(false);
    model.update({ rollouts: state([[1, 1, 3]], { version: 5 }) });
    expect(table().dataset.step).toBe('2');
    fireEvent.click(button('Group 1, row 12'));
    expect(screen.queryByRole('list', { name: 'All answers, the best first' })).toBeNull();
  });

  test('are gone through by slider, by number and by arrows', () => {
    const model = show({ rollouts: state([[10, 10, 4]]) });
    const last = () => (asked(model).at(-1) as { step: number }).step;
    fireEvent.change(screen.getByRole('slider', { name: 'Step by its place' }), { target: { value: '1' } });
    expect(last()).toBe(20);
    const number = screen.getByRole<HTMLInputElement>('textbox', { name: 'Step, up to 40' });
    fireEvent.change(number, { target: { value: '35' } });
    expect(last()).toBe(20);
    fireEvent.keyDown(number, { key: 'Enter' });
    expect([last(), number.value]).toEqual([30, '30']);
    fireEvent.keyDown(number, { key: 'ArrowUp' });
    fireEvent.keyDown(number, { key: 'ArrowUp' });
    expect(last()).toBe(40);
    fireEvent.change(number, { target: { value: 'x' } });
    fireEvent.blur(number);
    expect(number.value).toBe('40');
    model.message(page(40, [group({ group: 0 }), group({ group: 1, row: 13 })]));
    button('Group 1, row 12').focus();
    fireEvent.keyDown(button('Group 1, row 12'), { key: 'ArrowDown' });
    expect(document.activeElement).toBe(button('Group 2, row 13'));
  });

  test('that are held out are a switch away', () => {
    const model = show({ rollouts: state([[1, 1, 9]], { held_out: { steps: [[0, 5, 2]], answers: 24 } }) });
    fireEvent.click(button('Held out 24'));
    expect(asked(model).at(-1)).toEqual({ type: 'rollouts', step: 5, held_out: true });
  });

  test('are searched over all steps, and what is found is a click away', () => {
    Element.prototype.scrollIntoView = () => undefined;
    const model = show({ rollouts: state([[1, 1, 9]], { held_out: { steps: [[0, 5, 2]], answers: 24 } }) });
    model.message(page(9));
    const field = screen.getByRole('searchbox');
    fireEvent.change(field, { target: { value: ' marbles ' } });
    fireEvent.submit(field);
    expect(asked(model).at(-1)).toEqual({ type: 'search', text: 'marbles' });
    expect(screen.getByText('Searching all steps for “marbles”…')).toBeTruthy();
    const hit = { step: 5, held_out: true, group: 2, reward: 0.5, where: 'completion' as const };
    model.message({
      type: 'search',
      text: 'marbles',
      found: 7,
      hits: [{ ...hit, before: '…has 3 ', match: 'Marbles', after: ' <b>now</b>' }]
    });
    expect(screen.getByText('“marbles” was found in 7 places, the newest first; the newest 1 are shown.')).toBeTruthy();
    const found = within(screen.getByRole('list', { name: 'Found' })).getByRole('button');
    expect(found.textContent).toBe('Step 5, held out · 0.500 …has 3 Marbles <b>now</b>');
    fireEvent.click(found);
    expect(asked(model).at(-1)).toEqual({ type: 'rollouts', step: 5, held_out: true });
    model.message(page(5, [group(), group({ group: 2, row: 14 })], true));
    expect(button('Group 3, row 14').getAttribute('aria-expanded')).toBe('true');
    expect(document.activeElement).toBe(button('Group 3, row 14'));
    expect(asked(model).at(-1)).toEqual({ type: 'group', step: 5, held_out: true, group: 2 });
    fireEvent.change(field, { target: { value: '' } });
    expect(screen.queryByRole('list', { name: 'Found' })).toBeNull();
  });

  test('that are many are drawn some at a time', () => {
    const model = show({ rollouts: state([[1, 0, 1]]) });
    const groups = Array.from({ length: 70 }, (_, n) => group({ group: n }));
    model.message({ ...page(1, groups), left_off: 30 });
    expect(rows()).toHaveLength(20);
    fireEvent.click(button('Show more of 70 groups'));
    expect(rows()).toHaveLength(60);
    fireEvent.click(button('Show more of 70 groups'));
    expect(rows()).toHaveLength(70);
    expect(screen.getByText('30 groups more are in job.rollouts(step=1).')).toBeTruthy();
  });
});

describe('a warning', () => {
  const alert: Alert = { code: 'no_spread', message: 'All rewards are equal.', advice: 'Warm up.', step: 40, count: 3 };
  const said = () => screen.queryAllByRole('listitem').map(({ textContent }) => textContent);

  test('says what is wrong, then what to do, in a live region', () => {
    show({}, [alert, { ...alert, code: 'b', message: '<i>B</i>', advice: '', step: null, count: 1 }]);
    expect(said().slice(0, 2)).toEqual(['All rewards are equal. Warm up. Step 40, 3 times so far.×', '<i>B</i>  ×']);
    expect(screen.getByRole('list', { name: 'Warnings' }).parentElement?.getAttribute('aria-live')).toBe('polite');
  });

  test('that is hidden comes back when it is said again, and not with a new view', () => {
    const model = show({}, [alert], 'hidden');
    fireEvent.click(button('Hide the warning: All rewards are equal.'));
    expect(screen.queryByRole('list', { name: 'Warnings' })).toBeNull();
    act(() => {
      undo();
    });
    const again = show({}, [alert], 'hidden');
    expect(screen.queryByRole('list', { name: 'Warnings' })).toBeNull();
    again.update({ snapshot: { ...model.traits.snapshot, alerts: [{ ...alert, step: 60, count: 4 }] } });
    expect(said()[0]).toContain('Step 60, 4 times so far.');
  });
});
