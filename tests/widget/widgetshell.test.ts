import { act, cleanup, fireEvent, screen } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { curvesOf } from '../../labextension/src/widget/curves';
import { render } from '../../labextension/src/widget/index';
import type { Message } from '../../labextension/src/widget/model';
import type { Route } from '../../labextension/src/widget/route';
import { WidgetShell, type OfView, type StudioModel, type ToKernel } from '../../labextension/src/widget/widgetshell';
import { snapshot } from './snapshot';

const LINK = { url: null, command: 'mlflow server', artifacts: '/w', experiment_id: null, run_id: null };
type Hear = (content: OfView, buffers: DataView[]) => void;

/** anywidget's model of a `StudioWidget`; `sent` is what the page asked the kernel for. */
class TestChannel {
  readonly sent: ToKernel[] = [];
  readonly listeners = new Set<Hear>();

  constructor(readonly place = '') {}

  get(name: string): unknown {
    return { kind: 'studio', place: this.place, mlflow: LINK }[name];
  }

  on(_event: string, hear: Hear): void {
    this.listeners.add(hear);
  }

  off(_event: string, hear: Hear): void {
    this.listeners.delete(hear);
  }

  send(content: ToKernel): void {
    this.sent.push(content);
  }

  /** What the kernel says to a view, heard by all drawings of the widget. */
  say(id: string, data: object, buffers: DataView[] = []): void {
    act(() => {
      this.listeners.forEach(hear => {
        hear({ type: 'view', id, ...data } as unknown as OfView, buffers);
      });
    });
  }

  /** The views that are open, by what they are of. */
  open(view: string): string[] {
    const closed = this.sent.filter(each => each.type === 'close').map(each => each.id);
    return this.sent.flatMap(each =>
      each.type === 'open' && each.asked.view === view && !closed.includes(each.id) ? [each.id] : []
    );
  }
}

const hosting = (channel: TestChannel) => new WidgetShell(channel as unknown as StudioModel);
const jobRow = (id: string) => ({ ...snapshot({ id, state: 'completed' }), spark: [] });

afterEach(() => {
  cleanup();
  vi.restoreAllMocks();
});

describe('views over one comm', () => {
  test('have names of their own, and hear what is theirs', () => {
    const channel = new TestChannel();
    const shell = hosting(channel);
    const jobs = shell.open<{ jobs: string[] }>({ view: 'jobs' });
    const other = shell.open<{ jobs: string[] }>({ view: 'jobs' });
    const [first, second] = channel.open('jobs');
    expect(first).not.toBe(second);
    const heard = vi.fn();
    const told = vi.fn();
    jobs.on('change:jobs', heard);
    jobs.on('msg:custom', told);
    other.on('change:jobs', () => expect.unreachable());
    channel.say(first!, { method: 'state', state: { jobs: ['a-1'] } });
    expect(heard).toHaveBeenCalledOnce();
    expect([jobs.get('jobs'), other.get('jobs')]).toEqual([['a-1'], undefined]);
    const buffers = [new DataView(new ArrayBuffer(4))];
    channel.say(first!, { method: 'message', content: { type: 'notice', text: 'no' } satisfies Message }, buffers);
    expect(told).toHaveBeenCalledWith({ type: 'notice', text: 'no' }, buffers);
  });

  test('send commands by their names until they are closed', () => {
    const channel = new TestChannel();
    const job = hosting(channel).openModel('sft-1');
    const [id] = channel.open('job');
    job.send({ type: 'cancel' });
    const heard = vi.fn();
    job.on('refused', heard);
    channel.say(id!, { method: 'refused', reason: 'There is no such job.' });
    expect(heard).toHaveBeenCalledExactlyOnceWith('There is no such job.');
    job.close();
    job.close();
    channel.say(id!, { method: 'refused', reason: 'Again.' });
    expect(heard).toHaveBeenCalledOnce();
    expect(channel.sent).toEqual([
      { type: 'open', id, asked: { view: 'job', job: 'sft-1' } },
      { type: 'send', id, content: { type: 'cancel' } },
      { type: 'close', id }
    ]);
  });

  test('keep the points that come before a job is drawn', () => {
    const channel = new TestChannel();
    const job = hosting(channel).openModel('sft-1');
    const index = [{ name: 'loss', at: 0, runs: [[1, 1, 2]] }];
    const values = new DataView(Float32Array.from([0.75, 0.5]).buffer);
    channel.say(channel.open('job')[0]!, { method: 'message', content: { type: 'points', index } }, [values]);
    const curve = curvesOf(job).all.get('loss')!;
    expect([...curve.values.subarray(0, curve.length)]).toEqual([0.75, 0.5]);
  });

  test('of two drawings of one widget are apart', () => {
    const channel = new TestChannel();
    const shells = [hosting(channel), hosting(channel)];
    shells.forEach(shell => shell.open({ view: 'jobs' }));
    expect(new Set(channel.open('jobs')).size).toBe(2);
    shells[0]!.dispose();
    expect(channel.open('jobs')).toHaveLength(1);
    expect(channel.listeners.size).toBe(1);
  });

  test('are closed when the page goes away', () => {
    const channel = new TestChannel();
    const shell = hosting(channel);
    shell.open({ view: 'jobs' });
    window.dispatchEvent(new Event('pagehide'));
    expect(channel.open('jobs')).toEqual([]);
  });
});

describe('what other hosts cannot do', () => {
  test.each<[string, (shell: WidgetShell) => Promise<string | null>, RegExp]>([
    ['a new notebook', shell => shell.openCell(), /Copy the cell instead/],
    ['a cell below', shell => shell.insertCell(), /Copy it instead/],
    ['an upload', shell => shell.uploadDataset(), /name its path under “Create dataset…”/],
    ['a tab with MLflow', shell => shell.openMLflow(null), /opens by this command/]
  ])('%s is answered by a sentence', async (_title, ask, sentence) => {
    expect(await ask(hosting(new TestChannel()))).toMatch(sentence);
  });

  test('a tracking server opens in a tab of the browser, at the run', async () => {
    const open = vi.spyOn(window, 'open').mockReturnValue(null);
    const link = { ...LINK, url: 'http://mlflow.lab/', experiment_id: '3', run_id: 'abc' };
    expect(await hosting(new TestChannel()).openMLflow(link)).toBeNull();
    const address = 'http://mlflow.lab/#/experiments/3/runs/abc/model-metrics';
    expect(open).toHaveBeenCalledWith(address, '_blank', 'noopener');
  });

  test.each<[string, (shell: WidgetShell) => void, Route]>([
    [
      'a job',
      shell => {
        shell.openTab('sft-1');
      },
      { page: 'job', job: 'sft-1' }
    ],
    [
      'a dataset',
      shell => {
        shell.openDatasetTab('poems@2');
      },
      { page: 'dataset', dataset: 'poems@2' }
    ],
    [
      'a page',
      shell => {
        shell.openStudio({ page: 'model', model: 'a@1' });
      },
      { page: 'model', model: 'a@1' }
    ]
  ])('a tab with %s is a page of the Studio', (_title, open, route) => {
    const shell = hosting(new TestChannel());
    const go = vi.fn();
    shell.follow({ go, back: vi.fn(), show: vi.fn() });
    open(shell);
    expect(go).toHaveBeenCalledExactlyOnceWith(route);
  });
});

describe('the widget', () => {
  let el: HTMLElement;
  let channel: TestChannel;
  let undo: () => void;

  beforeEach(() => {
    el = document.body.appendChild(document.createElement('div'));
    channel = new TestChannel('datasets');
    act(() => {
      undo = render({ model: channel, el } as unknown as Parameters<typeof render>[0]);
    });
  });

  afterEach(() => {
    act(() => {
      undo();
    });
    el.remove();
  });

  const answer = () => {
    for (const [view, state] of Object.entries({
      models: { models: [] },
      datasets: { datasets: [] },
      jobs: { jobs: [jobRow('a-1')] },
      metrics: { metrics: [] }
    })) {
      channel.open(view).forEach(id => {
        channel.say(id, { method: 'state', state });
      });
    }
  };
  const button = (name: string) => screen.getByRole<HTMLButtonElement>('button', { name });

  test('asks the kernel first, then shows the place that was named, and its pages', () => {
    expect(screen.getByText('Asking the kernel…')).toBeTruthy();
    answer();
    expect(screen.getByRole('tab', { selected: true }).textContent).toBe('Datasets');
    fireEvent.click(screen.getByRole('tab', { name: 'Jobs' }));
    fireEvent.click(screen.getByRole('button', { name: /Open job a-1$/ }));
    const [job] = channel.open('job');
    const state = { snapshot: snapshot({ id: 'a-1' }), cell: '', mlflow: null };
    channel.say(job!, { method: 'state', state });
    expect(screen.getByRole('region', { name: 'Job a-1' })).toBeTruthy();
  });

  test('is undone with all that it opened', () => {
    answer();
    act(() => {
      undo();
    });
    expect(['models', 'datasets', 'jobs', 'metrics'].flatMap(view => channel.open(view))).toEqual([]);
    expect(channel.listeners.size).toBe(0);
  });

  test('asks for the path of a file, and shows the form on it', async () => {
    answer();
    fireEvent.click(button('Create dataset…'));
    const path = await screen.findByRole('textbox');
    expect(document.activeElement).toBe(path);
    expect(button('Continue').disabled).toBe(true);
    expect(screen.queryByRole('tab')).toBeNull();
    fireEvent.change(path, { target: { value: ' data/rows.jsonl ' } });
    fireEvent.click(button('Continue'));
    await act(() => Promise.resolve());
    expect(channel.open('create')).toHaveLength(1);
    expect(channel.sent).toContainEqual(
      expect.objectContaining({ asked: { view: 'create', source: 'data/rows.jsonl' } })
    );
    fireEvent.click(button('Close'));
    expect(channel.open('create')).toEqual([]);
    expect(screen.getByRole('tab', { selected: true }).textContent).toBe('Datasets');
  });

  test('takes the path by Enter, which a notebook keeps from the form', async () => {
    answer();
    fireEvent.click(button('Create dataset…'));
    const path = await screen.findByRole('textbox');
    fireEvent.change(path, { target: { value: ' ' } });
    expect(fireEvent.keyDown(path, { key: 'Enter' })).toBe(false);
    expect(screen.getByRole('textbox')).toBe(path);
    fireEvent.change(path, { target: { value: 'data/rows.jsonl' } });
    fireEvent.keyDown(path, { key: 'Enter', isComposing: true });
    expect(screen.getByRole('textbox')).toBe(path);
    fireEvent.keyDown(path, { key: 'Enter' });
    await act(() => Promise.resolve());
    expect(channel.sent).toContainEqual(
      expect.objectContaining({ asked: { view: 'create', source: 'data/rows.jsonl' } })
    );
  });

  test('creates nothing where no file is named', async () => {
    answer();
    fireEvent.click(button('Create dataset…'));
    fireEvent.keyDown(await screen.findByRole('textbox'), { key: 'Escape' });
    await act(() => Promise.resolve());
    expect(screen.queryByRole('textbox')).toBeNull();
    expect(channel.open('create')).toEqual([]);
  });
});
