import { describe, expect, test } from 'vitest';

import { curvesOf } from '../../labextension/src/widget/curves';
import { decimate, smooth } from '../../labextension/src/widget/decimate';
import type { JobTraits } from '../../labextension/src/widget/model';
import { TestModel } from './models';
import { snapshot } from './snapshot';

const model = () => new TestModel<JobTraits>({ snapshot: snapshot(), cell: '', mlflow: null });

/** A curve of these values at steps 1, 2, …. */
function curve(values: number[]) {
  const from = model();
  const curves = curvesOf(from);
  from.points('loss', 0, [[1, 1, values.length]], values);
  return curves.all.get('loss')!;
}

const points = (one: ReturnType<typeof curve>) =>
  Array.from({ length: one.length }, (_, place) => [one.steps[place], one.values[place]]);

describe('points that come', () => {
  test('grow a curve, however many', () => {
    const from = model();
    const curves = curvesOf(from);
    const values = Array.from({ length: 1000 }, (_, place) => place / 8);
    from.points('loss', 0, [[10, 10, 1000]], values);
    from.points('loss', 1000, [[10_010, 5, 2]], [1, 2]);
    const loss = curves.all.get('loss')!;
    expect(loss.length).toBe(1002);
    expect(points(loss).slice(998)).toEqual([
      [9990, 124.75],
      [10_000, 124.875],
      [10_010, 1],
      [10_015, 2]
    ]);
    expect(from.sent).toEqual([]);
  });

  test('replace those that a recovery takes back', () => {
    const from = model();
    const curves = curvesOf(from);
    from.points('loss', 0, [[1, 1, 5]], [5, 4, 3, 2, 1]);
    from.points('loss', 2, [[3, 0, 1]], [8]);
    const loss = curves.all.get('loss')!;
    expect(points(loss)).toEqual([
      [1, 5],
      [2, 4],
      [3, 8]
    ]);
    expect(loss.revision).toBe(1);
  });

  test('with a gap before them make the page ask for all of them', () => {
    const from = model();
    curvesOf(from);
    from.points('loss', 0, [[1, 1, 2]], [2, 1]);
    from.points('loss', 3, [[4, 0, 1]], [0]);
    expect(from.sent).toEqual([{ type: 'points' }]);
    expect(curvesOf(from).all.get('loss')?.length).toBe(2);
  });

  test('are read from a buffer that begins anywhere', () => {
    const bytes = new ArrayBuffer(9);
    const view = new DataView(bytes, 1);
    [1.5, -2].forEach((value, place) => {
      view.setFloat32(4 * place, value, true);
    });
    const from = new TestModel<JobTraits>({
      snapshot: snapshot(),
      cell: '',
      mlflow: null,
      curves: { index: [{ name: 'loss', at: 0, runs: [[1, 1, 2]] }], values: view, whole: true }
    });
    expect(points(curvesOf(from).all.get('loss')!)).toEqual([
      [1, 1.5],
      [2, -2]
    ]);
  });
});

test.each([
  [0, 0],
  [10, 0],
  [11, 1],
  [30, 2],
  [31, 3]
])('the first point at or beyond step %i has index %i', (step, index) => {
  const from = model();
  const curves = curvesOf(from);
  from.points('loss', 0, [[10, 10, 3]], [1, 2, 3]);
  expect(curves.all.get('loss')?.indexOf(step)).toBe(index);
});

describe('a long curve in few columns', () => {
  const values = Array.from({ length: 100_000 }, (_, place) => Math.sin(place / 900));
  values[54_321] = 9;
  values[77_777] = -9;
  const long = curve(values);

  test('keeps every peak, its ends and its order', () => {
    const { x, y } = decimate(long, long.values, 1, 100_000, 300);
    expect(x.length).toBeLessThan(1200);
    expect(x[y.indexOf(9)]).toBe(54_322);
    expect(x[y.indexOf(-9)]).toBe(77_778);
    expect([...x]).toEqual([...x].sort((a, b) => a - b));
  });

  test('keeps what was drawn where it was as points come', () => {
    const short = curve(values.slice(0, 90_000));
    const before = decimate(short, short.values, 1, 90_000, 300);
    const after = decimate(long, long.values, 1, 100_000, 300);
    // All but the stretch that was not yet full.
    expect([...after.x].slice(0, before.x.length - 2)).toEqual([...before.x].slice(0, -2));
  });

  test('is drawn from what is new and what was found before, and the same comes out', () => {
    const from = model();
    const curves = curvesOf(from);
    const chance = (place: number) => Math.sin(place * place) * (place % 13 === 0 ? NaN : 1);
    const all: number[] = [];
    for (const size of [5000, 1, 700, 1, 1, 9000, 1]) {
      const added = Array.from({ length: size }, (_, place) => chance(all.length + place));
      from.points('loss', all.length, [[all.length + 1, 1, size]], added);
      all.push(...added);
      const [grown, fresh] = [curves.all.get('loss')!, curve(all)];
      expect(decimate(grown, grown.values, 1, all.length, 50)).toEqual(
        decimate(fresh, fresh.values, 1, all.length, 50)
      );
    }
    // Points that a recovery takes back are found anew.
    const again = Array<number>(all.length - 3000).fill(0);
    again[2000] = 50;
    from.points('loss', 3000, [[3001, 1, again.length]], again);
    const grown = curves.all.get('loss')!;
    expect([...decimate(grown, grown.values, 1, all.length, 50).y]).toContain(50);
    // Whole stretches are not looked at again.
    grown.values[10] = 99;
    expect([...decimate(grown, grown.values, 1, all.length, 50).y]).not.toContain(99);
  });

  test('shows each point of a small part, and a neighbour on either side', () => {
    const { x } = decimate(long, long.values, 500, 600, 300);
    expect([x[0], x[x.length - 1], x.length]).toEqual([499, 601, 103]);
  });
});

describe('smoothing', () => {
  // The formula of Kingma and Ba 2015, section 3, by hand: m = w·m + (1-w)·x, divided by 1-wⁿ.
  test('averages with weight on the past, without bias at the start', () => {
    const smoothed = smooth(curve([1, 2, 4]), 0.5);
    expect([...smoothed.subarray(0, 3)].map(value => Number(value.toFixed(5)))).toEqual([1, 1.66667, 3]);
  });

  test('goes on from where it was, and begins anew when points are taken back', () => {
    const from = model();
    const curves = curvesOf(from);
    from.points('loss', 0, [[1, 1, 2]], [1, 2]);
    const loss = curves.all.get('loss')!;
    smooth(loss, 0.5);
    from.points('loss', 2, [[3, 0, 1]], [4]);
    expect(smooth(loss, 0.5)[2]).toBeCloseTo(3, 5);
    from.points('loss', 1, [[2, 1, 2]], [0, 0]);
    expect(smooth(loss, 0.5)[2]).toBeCloseTo(1 / 7, 5);
  });

  test('passes over a value that is missing', () => {
    expect([...smooth(curve([1, NaN, 1]), 0.9).subarray(0, 3)]).toEqual([1, NaN, 1]);
  });
});
