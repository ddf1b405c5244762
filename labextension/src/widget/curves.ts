/** A job's curves in the page: typed arrays that grow as points come, one store a model whoever draws it. */
import type { JobTraits, Message, Model, Stretch } from './model';

/** One metric's points; the first `length` places of each array are filled. */
export class Curve {
  steps = new Int32Array(64);
  values = new Float32Array(64);
  length = 0;
  /** Grows when points that were there are taken back, so that what was computed from them is computed anew. */
  revision = 0;

  /** Puts `values` at index `at` and ends the curve there. */
  put(stretch: Stretch, values: Float32Array): void {
    const end = stretch.at + values.length;
    if (stretch.at < this.length) {
      this.revision++;
    }
    if (end > this.steps.length) {
      const room = Math.max(end, 2 * this.steps.length);
      const [steps, old] = [this.steps, this.values];
      this.steps = new Int32Array(room);
      this.values = new Float32Array(room);
      this.steps.set(steps.subarray(0, this.length));
      this.values.set(old.subarray(0, this.length));
    }
    this.values.set(values, stretch.at);
    let place = stretch.at;
    for (const [first, stride, count] of stretch.runs) {
      for (let i = 0; i < count; i++) {
        this.steps[place++] = first + stride * i;
      }
    }
    this.length = end;
  }

  /** The index of the first point at or beyond `step`. */
  indexOf(step: number): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.steps[middle] ?? 0) < step) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
}

/** Curves by their metrics, as charts draw them. */
export interface CurveSet {
  readonly all: ReadonlyMap<string, Curve>;
  /** Grows with each change. */
  readonly version: number;
  /** Calls back after each change, until the function that it returns is called. */
  subscribe(changed: () => void): () => void;
}

/** The curves of one job. */
export class Curves implements CurveSet {
  readonly all = new Map<string, Curve>();
  /** Grows with each change, so that a view knows what it has drawn. */
  version = 0;
  private readonly listeners = new Set<() => void>();

  constructor(private readonly model: Model<JobTraits>) {
    const state = model.get('curves');
    if (state) {
      this.take(state.index, state.values);
    }
    model.on('msg:custom', (message: Message, buffers: readonly (DataView | ArrayBuffer)[]) => {
      if (message.type === 'points' && buffers[0]) {
        this.take(message.index, buffers[0]);
      }
    });
    if (state) {
      // A widget's state is as old as the page's copy of it, and long curves are thinned in it.
      model.send({ type: 'points' });
    }
  }

  /** Calls back after each change, until the function that it returns is called. */
  subscribe(changed: () => void): () => void {
    this.listeners.add(changed);
    return () => {
      this.listeners.delete(changed);
    };
  }

  private take(index: readonly Stretch[], buffer: DataView | ArrayBuffer): void {
    const floats = asFloats(buffer);
    let place = 0;
    for (const stretch of index) {
      let curve = this.all.get(stretch.name);
      if (!curve) {
        curve = new Curve();
        this.all.set(stretch.name, curve);
      }
      const count = stretch.runs.reduce((sum, run) => sum + run[2], 0);
      if (stretch.at > curve.length) {
        // Something was lost on the way: ask for all of it again.
        this.model.send({ type: 'points' });
        return;
      }
      curve.put(stretch, floats.subarray(place, place + count));
      place += count;
    }
    this.version++;
    this.listeners.forEach(changed => {
      changed();
    });
  }
}

/** The floats of a buffer, copied only where they do not begin at a multiple of four bytes. */
function asFloats(buffer: DataView | ArrayBuffer): Float32Array {
  const [bytes, offset] = buffer instanceof DataView ? [buffer.buffer, buffer.byteOffset] : [buffer, 0];
  const count = Math.floor(buffer.byteLength / 4);
  return offset % 4 === 0
    ? new Float32Array(bytes, offset, count)
    : new Float32Array(bytes.slice(offset, offset + 4 * count));
}

const stores = new WeakMap<Model<JobTraits>, Curves>();

/** The curves of a model, the same for all views of it. */
export function curvesOf(model: Model<JobTraits>): Curves {
  let store = stores.get(model);
  if (!store) {
    store = new Curves(model);
    stores.set(model, store);
  }
  return store;
}
