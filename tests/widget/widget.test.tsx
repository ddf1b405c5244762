import type { RenderProps } from '@anywidget/types';
import { act, cleanup, fireEvent, screen, within } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { render } from '../../labextension/src/widget/index';
import type { JobSnapshot, JobState, JobTraits } from '../../labextension/src/widget/model';
import { TestModel } from './models';
import { snapshot } from './snapshot';

let el: HTMLElement;
let cleanups: (() => void)[] = [];

beforeEach(() => {
  el = document.body.appendChild(document.createElement('div'));
});

afterEach(() => {
  act(() => {
    cleanups.forEach(undo => {
      undo();
    });
  });
  cleanups = [];
  cleanup();
  el.remove();
});

const LINK = { url: null, command: 'mlflow server', artifacts: '/w/artifacts', experiment_id: '1', run_id: 'abc' };

function show(
  changes: Partial<JobSnapshot> = {},
  traits: Partial<JobTraits> = {}
): { model: TestModel<JobTraits>; undo: () => void } {
  const model = new TestModel<JobTraits>({
    snapshot: snapshot(changes),
    cell: '%%customize\nname: chatty\n',
    mlflow: LINK,
    ...traits
  });
  let undo = (): void => undefined;
  act(() => {
    undo = render({ model, el } as unknown as RenderProps<JobTraits>);
  });
  cleanups.push(undo);
  return { model, undo };
}

const update = (model: TestModel<JobTraits>, changes: Partial<JobSnapshot>) => {
  model.update({ snapshot: snapshot(changes) });
};

describe('a job', () => {
  test('is a region named by its id, with what it customizes', () => {
    show();
    const region = screen.getByRole('region', { name: 'Job dpo-chatty-7f3a' });
    expect(region.dataset.state).toBe('running');
    expect(within(region).getByRole('heading', { level: 3 }).textContent).toBe('chatty');
    expect(within(region).getByText('DPO · smollm2-135m · human-like@1 · LoRA r16')).toBeTruthy();
  });

  test.each<[JobState, string]>([
    ['queued', 'Waiting for the device'],
    ['running', 'Step 12 of 60'],
    ['recovering', 'Recovering at step 12 of 60'],
    ['paused', 'Paused at step 12 of 60'],
    ['completed', 'Finished in 47 s'],
    ['failed', 'Failed'],
    ['cancelled', 'Cancelled at step 12 of 60']
  ])('%s says so', (state, sentence) => {
    show({ state });
    const region = screen.getByRole('region');
    expect(region.dataset.state).toBe(state);
    expect(region.querySelector('.tunelab-sentence')?.textContent).toBe(sentence);
  });

  test.each<[Partial<JobSnapshot>, string]>([
    [{}, 'false'],
    [{ state: 'recovering' }, 'false'],
    [{ state: 'queued', position: null }, 'false'],
    [{ state: 'queued', position: 1 }, 'true'],
    [{ state: 'paused' }, 'true'],
    [{ state: 'failed' }, 'true']
  ])('%j leaves room for charts that are empty yet, unless idle: %s', (changes, idle) => {
    show(changes);
    expect(screen.getByRole('region').dataset.idle).toBe(idle);
  });

  test('without log lines shows no log', () => {
    show({ logs: [] });
    expect(screen.queryByRole('list')).toBeNull();
  });

  const facts = () =>
    [...el.querySelectorAll('.tunelab-facts > div')].map(fact =>
      [...fact.children].map(part => part.textContent).join(': ')
    );

  test('has its facts, the held-out figures first', () => {
    show({ checkpoint: { step: 10, time: Date.now() / 1000 - 30 }, model_version: 'chatty@1' });
    expect(facts()).toEqual([
      'Loss (held out): 0.512 at step 10',
      'Checkpoint: step 10, 30 s ago',
      'Rows: 2,353 train · 261 held out',
      'Disk: 34.2 MB',
      'Submitted: 2 Jan, 21:36',
      'Custom model: chatty@1'
    ]);
  });

  test.each([
    [0, undefined],
    [1, 'Recovered: once'],
    [2, 'Recovered: 2 times']
  ])('that was recovered %i times says so quietly', (restarts, expected) => {
    show({ restarts });
    expect(facts().find(fact => fact.startsWith('Recovered'))).toBe(expected);
    expect(screen.getByRole('region').dataset.tone).toBe('busy');
  });
});

describe('the progress bar', () => {
  const attributes = () => {
    const bar = screen.getByRole('progressbar');
    return ['aria-valuenow', 'aria-valuemin', 'aria-valuemax', 'aria-valuetext'].map(name => bar.getAttribute(name));
  };

  test.each<[string, Partial<JobSnapshot>, (string | null)[], string]>([
    ['measures steps', {}, ['12', '0', '60', 'Step 12 of 60'], '20%'],
    ['is open without an end', { total: null, eta_s: null }, [null, null, null, 'Step 12'], '0%'],
    ['is full at the end', { state: 'completed' }, ['60', '0', '60', 'Finished in 47 s'], '100%'],
    [
      'is full at the end of an unmeasured job',
      { state: 'completed', step: null, total: null },
      [null, null, null, 'Finished in 47 s'],
      '100%'
    ],
    ['never overflows', { step: 61, eta_s: null }, ['61', '0', '60', 'Step 61 of 60'], '100%'],
    ['survives nothing to do', { step: 0, total: 0, eta_s: null }, ['0', '0', '0', 'Step 0 of 0'], '0%']
  ])('%s', (_title, changes, expected, width) => {
    show(changes);
    expect(attributes()).toEqual(expected);
    expect((screen.getByRole('progressbar').firstElementChild as HTMLElement).style.width).toBe(width);
  });
});

describe('the charts', () => {
  const titles = () => screen.getAllByRole('heading', { level: 4 }).map(heading => heading.textContent);
  const chart = (metric: string) => screen.getByRole('img', { name: `dpo-chatty-7f3a: ${metric}` });
  const now = (metric: string) => chart(metric).parentElement?.querySelector('.tunelab-now')?.textContent;

  test('are those of the technique, empty until points come', () => {
    show();
    expect(titles()).toEqual(['Reward margin', 'Loss', 'Rewards', 'Reward accuracy', 'Entropy', 'Learning rate']);
    expect(chart('rewards/margins').dataset.points).toBe('0');
    expect(now('rewards/margins')).toBe('No points yet');
  });

  test('count their points, and say the last', async () => {
    const { model } = show();
    model.points('rewards/margins', 0, [[1, 1, 3]], [0.125, 0.25, 0.5]);
    model.points('eval_rewards/margins', 0, [[3, 0, 1]], [0.375]);
    await expect.poll(() => chart('rewards/margins').dataset.points).toBe('3');
    expect(now('rewards/margins')).toBe('0.5000.375');
    model.points('rewards/margins', 3, [[4, 0, 1]], [1]);
    await expect.poll(() => chart('rewards/margins').dataset.points).toBe('4');
  });

  test('are drawn one after another where each takes its time, the first one first', async () => {
    let now = performance.now();
    vi.spyOn(performance, 'now').mockImplementation(() => (now += 20));
    const { model } = show();
    const [first, last] = [chart('rewards/margins'), chart('learning_rate')];
    const seen: string[] = [];
    const observer = new MutationObserver(() => seen.push(`${first.dataset.points} ${last.dataset.points}`));
    observer.observe(el, { subtree: true, attributeFilter: ['data-points'] });
    for (const metric of ['rewards/margins', 'learning_rate']) {
      model.points(metric, 0, [[1, 1, 2]], [1, 2]);
    }
    await expect.poll(() => last.dataset.points).toBe('2');
    observer.disconnect();
    vi.restoreAllMocks();
    expect(seen[0]).toBe('2 0');
    expect(seen.at(-1)).toBe('2 2');
  });

  test('begin with the curves of a widget that was restored, and ask for what came since', () => {
    const values = new DataView(Float32Array.from([2, 1]).buffer);
    const { model } = show(
      {},
      { curves: { index: [{ name: 'loss', at: 0, runs: [[5, 5, 2]] }], values, whole: true } }
    );
    expect(chart('loss').dataset.points).toBe('2');
    expect(model.sent).toEqual([{ type: 'points' }]);
  });

  test('are added from a menu of what else was logged, and removed', async () => {
    const { model } = show({ id: 'dpo-menu-0001' });
    model.points('grad_norm', 0, [[1, 0, 1]], [3]);
    const menu = screen.getByRole('combobox', { name: 'Add a chart' });
    await expect.poll(() => within(menu).queryByRole('option', { name: 'Gradient norm' })).not.toBeNull();
    fireEvent.change(menu, { target: { value: 'grad_norm' } });
    expect(titles()).toContain('Gradient norm');
    expect(within(menu).queryByRole('option', { name: 'Gradient norm' })).toBeNull();
    fireEvent.click(screen.getByRole('button', { name: 'Remove the chart Gradient norm' }));
    expect(titles()).not.toContain('Gradient norm');
  });

  test('show their points as a table, newest first', async () => {
    const { model } = show();
    model.points('rewards/chosen', 0, [[1, 1, 2]], [0.5, 0.75]);
    model.points('rewards/rejected', 0, [[2, 0, 1]], [-0.25]);
    await expect.poll(() => chart('rewards/chosen, rewards/rejected').dataset.points).toBe('2');
    fireEvent.click(screen.getByRole('button', { name: 'Points of Rewards as a table' }));
    const table = screen.getByRole('table', { name: 'Points of Rewards' });
    const rows = within(table).getAllByRole('row');
    expect(rows.map(row => [...row.children].map(cell => cell.textContent))).toEqual([
      ['Step', 'chosen', 'rejected'],
      ['2', '0.750', '-0.250'],
      ['1', '0.500', '']
    ]);
  });
});

describe('the actions', () => {
  const button = (name: string) => screen.getByRole<HTMLButtonElement>('button', { name });

  const steering = () => {
    const all = within(screen.getByRole('region')).getAllByRole<HTMLButtonElement>('button');
    const after = all.slice(all.indexOf(button('Open in MLflow')) + 1);
    return after.filter(each => each.closest('.tunelab-actions')).map(each => each.textContent);
  };

  test.each<[Partial<JobSnapshot>, string[]]>([
    [{ state: 'queued', position: null }, ['Pause', 'Cancel']],
    [{ state: 'queued', position: 1 }, ['Pause', 'Cancel']],
    [{ state: 'queued', position: 2 }, ['Move up', 'Pause', 'Cancel']],
    [{ state: 'queued', position: 2, cancelling: true }, ['Cancelling…']],
    [{ state: 'queued', position: 2, pausing: true }, ['Resume', 'Pausing…', 'Cancel']],
    [{ state: 'running' }, ['Pause', 'Cancel']],
    [{ state: 'running', pausing: true }, ['Resume', 'Pausing…', 'Cancel']],
    [{ state: 'running', pausing: true, cancelling: true }, ['Cancelling…']],
    [{ state: 'recovering' }, ['Pause', 'Cancel']],
    [{ state: 'paused' }, ['Resume', 'Cancel']],
    [{ state: 'paused', reason: 'the disk is full' }, ['Resume', 'Cancel']],
    [{ state: 'completed' }, []],
    [{ state: 'failed' }, []],
    [{ state: 'cancelled' }, []]
  ])('of %j steer with %j', (changes, expected) => {
    show(changes);
    expect(steering()).toEqual(expected);
  });

  test.each<[string, Partial<JobSnapshot>, string]>([
    ['Pause', {}, 'pause'],
    ['Pause', { state: 'recovering' }, 'pause'],
    ['Resume', { state: 'paused' }, 'resume'],
    ['Resume', { pausing: true }, 'resume'],
    ['Move up', { state: 'queued', position: 3 }, 'move_up']
  ])('%s of %j asks the kernel for %s', (name, changes, type) => {
    const { model } = show(changes);
    fireEvent.click(button(name));
    expect(model.sent).toEqual([{ type }]);
  });

  test('Pause waits for the job, and gives its place to Resume', () => {
    const { model } = show();
    fireEvent.click(button('Pause'));
    update(model, { pausing: true });
    expect(button('Pausing…').disabled).toBe(true);
    expect(button('Resume').className).toBe('');
    update(model, { state: 'paused' });
    expect(button('Resume').className).toBe('tunelab-primary');
    expect(screen.queryByRole('button', { name: /Paus/ })).toBeNull();
  });

  test('what the kernel could not do is said, until it is closed or something else is asked for', () => {
    const { model } = show({ state: 'paused' });
    const notice = () => el.querySelector('.tunelab-notice p')?.firstChild?.textContent ?? null;
    fireEvent.click(button('Resume'));
    model.notice('Set \x1b[1mOPENAI_API_KEY\x1b[0m, then resume.');
    expect(notice()).toBe('Set OPENAI_API_KEY, then resume.');
    fireEvent.click(button('Close this notice'));
    expect(notice()).toBeNull();
    model.notice('Set OPENAI_API_KEY, then resume.');
    expect(notice()).not.toBeNull();
    fireEvent.click(button('Cancel'));
    expect(notice()).toBeNull();
  });

  test('Cancel asks the kernel once, and waits for the job to end', () => {
    const { model } = show();
    fireEvent.click(button('Cancel'));
    expect(model.sent).toEqual([{ type: 'cancel' }]);
    update(model, { cancelling: true });
    expect(button('Cancelling…').disabled).toBe(true);
    update(model, { state: 'cancelled' });
    expect(screen.queryByRole('button', { name: /Cancel/ })).toBeNull();
  });

  test('Copy as cell puts the cell into the clipboard and says so', async () => {
    const written: string[] = [];
    Object.defineProperty(navigator, 'clipboard', {
      configurable: true,
      value: {
        writeText: (text: string) => {
          written.push(text);
          return Promise.resolve();
        }
      }
    });
    show();
    fireEvent.click(button('Copy as cell'));
    await expect.poll(() => screen.queryByRole('button', { name: 'Copied' })).not.toBeNull();
    expect(written).toEqual(['%%customize\nname: chatty\n']);
  });

  test('Open in MLflow waits for the run', () => {
    show({}, { mlflow: null });
    expect(button('Open in MLflow').disabled).toBe(true);
  });

  test('Open in MLflow shows the one command where no host can open it', async () => {
    show();
    fireEvent.click(button('Open in MLflow'));
    await expect.poll(() => el.querySelector('.tunelab-notice code')?.textContent).toBe('mlflow server');
    fireEvent.click(button('Close this notice'));
    expect(el.querySelector('.tunelab-notice')).toBeNull();
  });
});

describe('text from models and data', () => {
  const hostile = '<script>alert(1)</script><img src=x onerror=alert(1)>';

  test('stays text wherever it appears', () => {
    const { model } = show({
      name: hostile,
      model: hostile,
      dataset: hostile,
      state: 'failed',
      reason: hostile,
      logs: [{ time: '2026-01-02T21:36:04Z', level: hostile, text: hostile }]
    });
    model.points(hostile, 0, [[1, 0, 1]], [1]);
    expect(el.querySelector('script, img')).toBeNull();
    expect(screen.getByRole('heading', { level: 3 }).textContent).toBe(hostile);
    expect(el.querySelector('.tunelab-sentence')?.textContent).toBe(`Failed: ${hostile}`);
    expect(screen.getByRole('listitem').textContent).toBe(`21:36:04 ${hostile}: ${hostile}`);
    expect(model.get('snapshot').name).toBe(hostile);
  });

  test('is shown without escape codes', () => {
    show({ logs: [{ time: '2026-01-02T21:36:04Z', level: 'warning', text: '\x1b[33mslow\x1b[0m disk' }] });
    const line = screen.getByRole('listitem');
    expect(line.textContent).toBe('21:36:04 warning: slow disk');
    expect(line.dataset.level).toBe('warning');
  });
});

describe('a change of the snapshot', () => {
  test('is drawn', () => {
    const { model } = show();
    update(model, { step: 13 });
    expect(screen.getByRole('progressbar').getAttribute('aria-valuenow')).toBe('13');
  });

  test('is announced when the state changes, not at each step', async () => {
    const { model } = show();
    const status = el.querySelector('.tunelab-progress [role=status]')!;
    const announced: (string | null)[] = [];
    const observer = new MutationObserver(() => announced.push(status.textContent));
    observer.observe(status, { subtree: true, childList: true, characterData: true });
    for (const job of [
      { step: 13, eta_s: 120, elapsed_s: 50 },
      { step: 14, phase: 'evaluating' },
      { step: 60, state: 'completed', model_version: 'chatty@1' }
    ] as const) {
      update(model, job);
      await Promise.resolve();
    }
    observer.disconnect();
    expect(announced).toEqual(['Finished: chatty@1']);
  });
});

test('clean-up empties the element and lets go of the model', () => {
  const { model, undo } = show();
  expect(model.listening('change:snapshot')).toBe(1);
  const before = model.listening('msg:custom');
  act(undo);
  expect(model.listening('change:snapshot')).toBe(0);
  // The curves are kept as long as the model.
  expect(model.listening('msg:custom')).toBe(before - 1);
  expect(el.childElementCount).toBe(0);
});
