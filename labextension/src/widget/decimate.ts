/** What of a long curve is drawn: the least and greatest of each column of pixels, so that no peak is lost. */
import type { Curve } from './curves';

/** Points as plotly takes them. */
export interface Line {
  readonly x: Int32Array;
  readonly y: Float32Array;
}

/**
 * The points of `curve` from step `from` to `to`, with one neighbour on each side so that lines leave the picture.
 *
 * Where there are more than about four a column, each stretch of a power of two points gives its least and greatest
 * one. Stretches begin at multiples of their length: as points come, those drawn before stay where they are.
 *
 * @param values - the curve's own, or smoothed ones of the same length
 */
export function decimate(curve: Curve, values: Float32Array, from: number, to: number, columns: number): Line {
  const begin = Math.max(0, curve.indexOf(from) - 1);
  const end = Math.min(curve.length, curve.indexOf(to + 1) + 1);
  const count = end - begin;
  if (count <= 4 * columns) {
    return { x: curve.steps.subarray(begin, end), y: values.subarray(begin, end) };
  }
  const width = 2 ** Math.ceil(Math.log2(count / columns));
  const places = new Int32Array(2 * (Math.ceil(count / width) + 1));
  const outline = outlineOf(curve, values, width);
  let n = 0;
  for (let left = begin; left < end;) {
    const stretch = Math.floor(left / width);
    const right = Math.min(end, (stretch + 1) * width);
    let lowest = left;
    let highest = left;
    if (right - left === width && (outline.lowest[stretch] ?? 0) > 0) {
      // Places are kept plus one, so that nothing is 0.
      lowest = (outline.lowest[stretch] ?? 0) - 1;
      highest = (outline.highest[stretch] ?? 0) - 1;
    } else {
      let low = Infinity;
      let high = -Infinity;
      for (let i = left; i < right; i++) {
        const value = values[i] ?? NaN;
        if (value < low) {
          low = value;
          lowest = i;
        }
        if (value > high) {
          high = value;
          highest = i;
        }
      }
      if (right - left === width) {
        outline.lowest[stretch] = lowest + 1;
        outline.highest[stretch] = highest + 1;
      }
    }
    places[n++] = Math.min(lowest, highest);
    if (lowest !== highest) {
      places[n++] = Math.max(lowest, highest);
    }
    left = right;
  }
  const chosen = places.subarray(0, n);
  return { x: Int32Array.from(chosen, i => curve.steps[i] ?? 0), y: Float32Array.from(chosen, i => values[i] ?? NaN) };
}

/** The places, plus one, of the least and greatest value of each whole stretch that was looked at. */
interface Outline {
  readonly width: number;
  readonly revision: number;
  readonly lowest: Int32Array;
  readonly highest: Int32Array;
}

const outlines = new WeakMap<Float32Array, Outline>();

/** What is known of a curve's stretches of this width: a redraw looks at new points only, however many there are. */
function outlineOf(curve: Curve, values: Float32Array, width: number): Outline {
  let outline = outlines.get(values);
  if (outline?.width !== width || outline.revision !== curve.revision) {
    const room = Math.ceil(values.length / width);
    outline = { width, revision: curve.revision, lowest: new Int32Array(room), highest: new Int32Array(room) };
    outlines.set(values, outline);
  }
  return outline;
}

interface Smoothed {
  weight: number;
  revision: number;
  done: number;
  last: number;
  correction: number;
  values: Float32Array;
}

const caches = new WeakMap<Curve, Smoothed>();

/**
 * The exponential moving average of a curve with `weight` on the past, freed of its bias to zero at the start
 * (Kingma and Ba 2015, section 3), as TensorBoard draws it. Only new points are computed.
 */
export function smooth(curve: Curve, weight: number): Float32Array {
  let cache = caches.get(curve);
  if (cache?.weight !== weight || cache.revision !== curve.revision) {
    cache = { weight, revision: curve.revision, done: 0, last: 0, correction: 1, values: new Float32Array(0) };
    caches.set(curve, cache);
  }
  if (cache.values.length < curve.length) {
    const room = new Float32Array(curve.values.length);
    room.set(cache.values.subarray(0, cache.done));
    cache.values = room;
  }
  let { last, correction } = cache;
  for (let i = cache.done; i < curve.length; i++) {
    const value = curve.values[i] ?? NaN;
    if (Number.isFinite(value)) {
      last = weight * last + (1 - weight) * value;
      correction *= weight;
      cache.values[i] = last / (1 - correction);
    } else {
      cache.values[i] = NaN;
    }
  }
  Object.assign(cache, { last, correction, done: curve.length });
  return cache.values;
}
