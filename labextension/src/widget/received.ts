/** A model whose traits are what the kernel has sent so far, by whatever way it came. */
import type { Command, Model } from './model';

/** A row of a list, that a later one of the same id takes the place of. */
interface ListRow {
  readonly id: string;
}

/** What the kernel sends of a view. Kernel: notebook/comms.py. */
export type FromKernel =
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

type Listener = (...args: unknown[]) => void;
type Buffers = readonly (ArrayBuffer | ArrayBufferView)[];

/**
 * The kernel's view of something, at the page's end.
 *
 * Events: `change:NAME` as a trait comes or changes, `msg:custom` with content and buffers, `refused` with the reason.
 */
export abstract class Received<T extends object> implements Model<T> {
  private readonly state: Partial<T> = {};
  private readonly listeners = new Map<string, Set<Listener>>();

  abstract send(content: Command): void;

  /** Lets the kernel forget this view. */
  abstract close(): void;

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

  /** Takes what the kernel has sent. */
  protected take(data: FromKernel, buffers: Buffers = []): void {
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
        this.emit('msg:custom', data.content, buffers);
        break;
      case 'refused':
        this.emit('refused', data.reason);
    }
  }

  protected emit(event: string, ...args: unknown[]): void {
    [...(this.listeners.get(event) ?? [])].forEach(callback => {
      callback(...args);
    });
  }

  /** Tells nobody any more. */
  protected forget(): void {
    this.listeners.clear();
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
