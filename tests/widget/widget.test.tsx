import type { RenderProps } from '@anywidget/types';
import { act, cleanup, screen, within } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import widget from '../../labextension/src/widget/index';
import type { JobSnapshot, JobState, JobTraits } from '../../labextension/src/widget/model';
import { snapshot } from './snapshot';

/** The side of an anywidget model that a view uses. */
class FakeModel {
  readonly listeners = new Map<string, Set<() => void>>();

  constructor(private readonly traits: JobTraits) {}

  get<K extends keyof JobTraits>(key: K): JobTraits[K] {
    return this.traits[key];
  }

  on(event: string, callback: () => void) {
    this.listeners.set(event, (this.listeners.get(event) ?? new Set()).add(callback));
  }

  off(event: string, callback: () => void) {
    this.listeners.get(event)?.delete(callback);
  }

  update(job: JobSnapshot) {
    this.traits.snapshot = job;
    this.listeners.get('change:snapshot')?.forEach(callback => {
      callback();
    });
  }

  get listening(): number {
    return [...this.listeners.values()].reduce((sum, callbacks) => sum + callbacks.size, 0);
  }
}

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

function show(changes: Partial<JobSnapshot> = {}): { model: FakeModel; undo: () => void } {
  const model = new FakeModel({ kind: 'job', snapshot: snapshot(changes) });
  let undo = (): void => undefined;
  act(() => {
    undo = widget.render({ model, el } as unknown as RenderProps<JobTraits>);
  });
  cleanups.push(undo);
  return { model, undo };
}

const rows = () =>
  within(screen.getByRole('table'))
    .getAllByRole('row')
    .slice(1)
    .map(row => [...row.children].map(cell => cell.textContent));

describe('a job', () => {
  test('is a region named by its id, with what it customizes', () => {
    show();
    const region = screen.getByRole('region', { name: 'Job dpo-chatty-7f3a' });
    expect(region.dataset.state).toBe('running');
    expect(within(region).getByRole('heading').textContent).toBe('chatty');
    expect(within(region).getByText('DPO · smollm2-135m · human-like@1 · LoRA r16')).toBeTruthy();
  });

  test.each<[JobState, string]>([
    ['queued', 'Waiting for the device'],
    ['running', 'Step 12 of 60 · about 3 min left'],
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

  test('without metrics and logs shows neither a table nor a log', () => {
    show({ metrics: [], logs: [] });
    expect(screen.queryByRole('table')).toBeNull();
    expect(screen.queryByRole('list')).toBeNull();
  });
});

describe('the progress bar', () => {
  const attributes = () => {
    const bar = screen.getByRole('progressbar');
    return ['aria-valuenow', 'aria-valuemin', 'aria-valuemax', 'aria-valuetext'].map(name => bar.getAttribute(name));
  };

  test.each<[string, Partial<JobSnapshot>, (string | null)[], string]>([
    ['measures steps', {}, ['12', '0', '60', 'Step 12 of 60 · about 3 min left'], '20%'],
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

describe('the metrics', () => {
  test('are a table of readable names, steps and values', () => {
    show();
    expect(rows()).toEqual([
      ['Reward margin', 'step 12', '0.580'],
      ['Loss', 'step 12', '0.487'],
      ['Loss (held out)', 'step 10', '0.512']
    ]);
  });

  test('show a dash where there is no value', () => {
    show({ metrics: [{ name: 'loss', value: null, step: 3 }] });
    expect(rows()).toEqual([['Loss', 'step 3', '—']]);
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
      metrics: [{ name: hostile, value: 1, step: 1 }],
      logs: [{ time: '2026-01-02T21:36:04Z', level: hostile, text: hostile }]
    });
    expect(el.querySelector('script, img')).toBeNull();
    expect(screen.getByRole('heading').textContent).toBe(hostile);
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
    act(() => {
      model.update(snapshot({ step: 13, metrics: [{ name: 'loss', value: 0.25, step: 13 }] }));
    });
    expect(screen.getByRole('progressbar').getAttribute('aria-valuenow')).toBe('13');
    expect(rows()).toEqual([['Loss', 'step 13', '0.250']]);
  });

  test('is announced when the state changes, not at each step', async () => {
    const { model } = show();
    const status = screen.getByRole('status');
    const announced: (string | null)[] = [];
    const observer = new MutationObserver(() => announced.push(status.textContent));
    observer.observe(status, { subtree: true, childList: true, characterData: true });
    for (const job of [
      snapshot({ step: 13, eta_s: 120, elapsed_s: 50 }),
      snapshot({ step: 14, phase: 'evaluating' }),
      snapshot({ step: 60, state: 'completed', model_version: 'chatty@1' })
    ]) {
      await act(async () => {
        model.update(job);
        await Promise.resolve();
      });
    }
    observer.disconnect();
    expect(announced).toEqual(['Finished: chatty@1']);
  });
});

test('clean-up empties the element and lets go of the model', () => {
  const { model, undo } = show();
  expect(model.listening).toBe(1);
  act(undo);
  expect(model.listening).toBe(0);
  expect(el.childElementCount).toBe(0);
});
