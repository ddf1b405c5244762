import type { Kernel } from '@jupyterlab/services';
import { beforeEach, describe, expect, test } from 'vitest';

import { CommModel } from '../../labextension/src/comm';

interface Traits {
  jobs: string[];
  total: number;
}

/** The page's end of a comm, as far as a model uses it; `done` is what was asked of it. */
class TestComm {
  readonly done: unknown[][] = [];
  isDisposed = false;
  startSubshell = (): void => undefined;
  readonly subshellStarted = new Promise<void>(resolve => {
    this.startSubshell = resolve;
  });
  onMsg: (message: object) => void = () => undefined;
  onClose: () => void = () => undefined;

  open(data: object): void {
    this.done.push(['open', data]);
  }

  send(data: object): void {
    this.done.push(['send', data]);
  }

  close(): void {
    this.done.push(['close']);
    this.isDisposed = true;
    this.onClose();
  }

  hear(data: object, buffers?: DataView[]): void {
    this.onMsg({ content: { data }, buffers });
  }
}

let comm: TestComm;
let targets: string[];

beforeEach(() => {
  comm = new TestComm();
  targets = [];
});

function connect(options: object = {}): { model: CommModel<Traits>; kernel: { isDisposed: boolean } } {
  const kernel = {
    isDisposed: false,
    supportsSubshells: false,
    createComm: (target: string) => {
      targets.push(target);
      return comm;
    },
    ...options
  };
  return { model: new CommModel<Traits>(kernel as unknown as Kernel.IKernelConnection, { view: 'jobs' }), kernel };
}

/** What a model tells from now on of an event, one list a time. */
function listen(
  model: CommModel<Traits>,
  event: string
): { told: unknown[][]; listener: (...args: unknown[]) => void } {
  const told: unknown[][] = [];
  const listener = (...args: unknown[]) => {
    told.push(args);
  };
  model.on(event, listener);
  return { told, listener };
}

const settled = () => new Promise(resolve => setTimeout(resolve));

describe('opening', () => {
  test('asks for the view', () => {
    connect();
    expect(targets).toEqual(['tunelab']);
    expect(comm.done).toEqual([['open', { view: 'jobs' }]]);
  });

  test('waits for the subshell where the kernel has them', async () => {
    connect({ supportsSubshells: true, commsOverSubshells: 'perCommTarget' });
    await settled();
    expect(comm.done).toEqual([]);
    comm.startSubshell();
    await settled();
    expect(comm.done).toEqual([['open', { view: 'jobs' }]]);
  });

  test('does not wait where JupyterLab’s settings turn subshells off', async () => {
    connect({ supportsSubshells: true, commsOverSubshells: 'disabled' });
    await settled();
    expect(comm.done).toEqual([['open', { view: 'jobs' }]]);
  });

  test.each<[string, (model: CommModel<Traits>, kernel: { isDisposed: boolean }) => void]>([
    [
      'the view is closed',
      model => {
        model.close();
      }
    ],
    [
      'the kernel is gone',
      (_, kernel) => {
        kernel.isDisposed = true;
      }
    ]
  ])('does not happen when %s meanwhile', async (_title, end) => {
    const { model, kernel } = connect({ supportsSubshells: true });
    end(model, kernel);
    comm.startSubshell();
    await settled();
    expect(comm.done.map(([what]) => what)).not.toContain('open');
  });
});

describe('what the kernel sends', () => {
  test('state is kept, and each trait in it told when all are there', () => {
    const { model } = connect();
    const seen: unknown[] = [];
    model.on('change:jobs', () => seen.push([model.get('jobs'), model.get('total')]));
    expect(model.get('jobs')).toBeUndefined();
    comm.hear({ method: 'state', state: { jobs: ['a'], total: 1 } });
    comm.hear({ method: 'state', state: { total: 2 } });
    comm.hear({ method: 'state', state: { jobs: [] } });
    expect(seen).toEqual([
      [['a'], 1],
      [[], 2]
    ]);
  });

  test.each<[string, unknown[], object]>([
    ['msg:custom', [{ type: 'points' }, []], { method: 'message', content: { type: 'points' } }],
    ['refused', ['no such job'], { method: 'refused', reason: 'no such job' }]
  ])('%s tells %j', (event, expected, data) => {
    const { told } = listen(connect().model, event);
    comm.hear(data);
    expect(told).toEqual([expected]);
  });

  test('messages come with their buffers', () => {
    const { told } = listen(connect().model, 'msg:custom');
    const values = new DataView(new ArrayBuffer(4));
    comm.hear({ method: 'message', content: {} }, [values]);
    expect(told).toEqual([[{}, [values]]]);
    expect((told[0]![1] as DataView[])[0]).toBe(values);
  });

  test('a close of its own is told', () => {
    const { told } = listen(connect().model, 'closed');
    comm.onClose();
    expect(told).toEqual([[]]);
  });

  test('what no one knows changes nothing', () => {
    const { model } = connect();
    comm.hear({ method: 'newer', state: { total: 1 } });
    expect(model.get('total')).toBeUndefined();
  });
});

describe('listeners', () => {
  test('hear no more after off', () => {
    const { model } = connect();
    const [gone, kept] = [listen(model, 'change:total'), listen(model, 'change:total')];
    model.off('change:total', gone.listener);
    model.off('never heard of', gone.listener);
    comm.hear({ method: 'state', state: { total: 1 } });
    expect([gone.told.length, kept.told.length]).toEqual([0, 1]);
  });

  test('may let go while they are told', () => {
    const { model } = connect();
    const first = () => {
      model.off('change:total', first);
    };
    model.on('change:total', first);
    const second = listen(model, 'change:total');
    comm.hear({ method: 'state', state: { total: 1 } });
    expect(second.told).toHaveLength(1);
  });

  test('hear nothing of the close that the page asked for, or later', () => {
    const { model } = connect();
    const lists = ['closed', 'refused'].map(event => listen(model, event).told);
    model.close();
    comm.hear({ method: 'refused', reason: 'late' });
    expect(lists).toEqual([[], []]);
  });
});

describe('commands', () => {
  test('are sent as they are', () => {
    connect().model.send({ type: 'cancel', job: 'a' });
    expect(comm.done.slice(1)).toEqual([['send', { type: 'cancel', job: 'a' }]]);
  });

  test.each<[string, (kernel: { isDisposed: boolean }) => void]>([
    [
      'comm',
      () => {
        comm.isDisposed = true;
      }
    ],
    [
      'kernel',
      kernel => {
        kernel.isDisposed = true;
      }
    ]
  ])('and a close do nothing once the %s is gone', (_title, end) => {
    const { model, kernel } = connect();
    end(kernel);
    model.send({ type: 'points' });
    model.close();
    expect(comm.done.slice(1)).toEqual([]);
  });

  test('a view is closed once', () => {
    const { model } = connect();
    model.close();
    model.close();
    expect(comm.done.slice(1)).toEqual([['close']]);
  });
});
