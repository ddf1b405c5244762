/** One view's model in JupyterLab, fed by a comm of its own: on a subshell, so that it works while a cell runs. */
import type { Kernel, KernelMessage } from '@jupyterlab/services';
import type { JSONObject } from '@lumino/coreutils';

import type { Command, Model } from './widget/model';

/** The comm target that `%load_ext tunelab` registers. */
export const TARGET = 'tunelab';

/** A row of a list, that a later one of the same id takes the place of. */
interface ListRow {
  readonly id: string;
}

type Listener = (...args: unknown[]) => void;

/** What the kernel sends: see kernel/tunelab/notebook/comms.py. */
type FromKernel =
  | { readonly method: 'state'; readonly state: Record<string, unknown> }
  | {
      readonly method: 'rows';
      readonly name: string;
      readonly rows: readonly ListRow[];
      /** Where it has changed: the ids of all rows. */
      readonly order: readonly string[] | null;
    }
  | { readonly method: 'message'; readonly content: unknown }
  | { readonly method: 'refused'; readonly reason: string };

/**
 * A model whose traits are what the kernel has sent so far.
 *
 * Events: `change:NAME` as a trait comes or changes, `msg:custom` with content and buffers, `refused` with the reason,
 * `closed` when the kernel knows no such target.
 */
export class CommModel<T extends object> implements Model<T> {
  private readonly state: Partial<T> = {};
  private readonly listeners = new Map<string, Set<Listener>>();
  private readonly comm: Kernel.IComm;

  /**
   * Opens the comm.
   *
   * @param kernel - its info is there, so that it is known whether it has subshells
   * @param asked - which view, as the kernel's `_opened` reads it
   */
  constructor(
    private readonly kernel: Kernel.IKernelConnection,
    asked: JSONObject
  ) {
    this.comm = kernel.createComm(TARGET);
    this.comm.onMsg = message => {
      this.take(message);
    };
    this.comm.onClose = () => {
      this.emit('closed');
    };
    void this.open(asked);
  }

  get<K extends keyof T & string>(name: K): T[K] {
    return this.state[name] as T[K];
  }

  on(event: string, callback: (...args: never[]) => void): void {
    const callbacks = this.listeners.get(event) ?? new Set();
    this.listeners.set(event, callbacks.add(callback as Listener));
  }

  off(event: string, callback: (...args: never[]) => void): void {
    this.listeners.get(event)?.delete(callback as Listener);
  }

  send(content: Command): void {
    if (!this.kernel.isDisposed && !this.comm.isDisposed) {
      void this.comm.send(content as JSONObject);
    }
  }

  /** Lets the kernel forget this view. */
  close(): void {
    this.listeners.clear();
    if (!this.kernel.isDisposed && !this.comm.isDisposed) {
      void this.comm.close();
    }
  }

  private async open(asked: JSONObject): Promise<void> {
    // Where JupyterLab's settings turn subshells off, none ever starts.
    if (this.kernel.supportsSubshells && (this.kernel.commsOverSubshells as string | undefined) !== 'disabled') {
      // Missing from the interface, and the only way not to open on the main shell; that serves where none can start.
      const { subshellStarted } = this.comm as Kernel.IComm & { readonly subshellStarted: Promise<void> };
      await subshellStarted.catch(console.warn);
    }
    if (!this.kernel.isDisposed && !this.comm.isDisposed) {
      void this.comm.open(asked);
    }
  }

  private take(message: KernelMessage.ICommMsgMsg): void {
    const data = message.content.data as unknown as FromKernel;
    switch (data.method) {
      case 'state':
        Object.assign(this.state, data.state);
        Object.keys(data.state).forEach(name => {
          this.emit(`change:${name}`);
        });
        break;
      case 'rows': {
        const { name, rows, order } = data;
        const state = this.state as Record<string, readonly ListRow[] | undefined>;
        state[name] = merged(state[name] ?? [], rows, order);
        this.emit(`change:${name}`);
        break;
      }
      case 'message':
        this.emit('msg:custom', data.content, message.buffers ?? []);
        break;
      case 'refused':
        this.emit('refused', data.reason);
    }
  }

  private emit(event: string, ...args: unknown[]): void {
    [...(this.listeners.get(event) ?? [])].forEach(callback => {
      callback(...args);
    });
  }
}

/** A list with new rows in the places of old ones; those that have not changed stay the same objects. */
function merged(
  old: readonly ListRow[],
  changed: readonly ListRow[],
  order: readonly string[] | null
): readonly ListRow[] {
  const fresh = new Map(changed.map(row => [row.id, row]));
  if (order === null) {
    return old.map(row => fresh.get(row.id) ?? row);
  }
  const known = new Map([...old.map(row => [row.id, row] as const), ...fresh]);
  return order.flatMap(id => known.get(id) ?? []);
}
