import { describe, expect, test } from 'vitest';

import { chart, defaultCharts, moreCharts, partsIn } from '../../labextension/src/widget/catalog';
import { curvesOf } from '../../labextension/src/widget/curves';
import { extent, figure, tickLabels, type ChartOptions } from '../../labextension/src/widget/figure';
import type { JobTraits } from '../../labextension/src/widget/model';
import { TestModel } from './models';
import { snapshot } from './snapshot';

const theme = {
  palette: ['#1', '#2', '#3', '#4', '#5'],
  text: '#t',
  muted: '#m',
  line: '#l',
  surface: '#s',
  font: 'sans-serif'
};

function curves(all: Record<string, number[]>) {
  const model = new TestModel<JobTraits>({ snapshot: snapshot(), cell: '', mlflow: null });
  const found = curvesOf(model);
  Object.entries(all).forEach(([name, values]) => {
    model.points(name, 0, [[10, 10, values.length]], values);
  });
  return found;
}

/** What these tests look at of plotly's data. */
interface Drawn {
  readonly x: ArrayLike<number>;
  readonly y: ArrayLike<number>;
  readonly line: { readonly color?: string };
}

function draw(key: string, all: Record<string, number[]>, options: Partial<ChartOptions> = {}, parts: string[] = []) {
  const chosen = { smoothing: 0, log: false, zoom: null, ...options };
  const { data, layout } = figure(chart(key, parts), curves(all), chosen, theme, 300, 128);
  return { data: data as Drawn[], layout };
}

describe('which charts', () => {
  test.each([
    ['sft', {}, ['loss', 'mean_token_accuracy', 'entropy', 'learning_rate']],
    ['sft', { sft: ['kl'] }, ['kl']],
    ['new', {}, ['reward', 'loss', 'entropy', 'learning_rate']]
  ])('%s with settings %j opens %j', (technique, settings, expected) => {
    expect(defaultCharts(technique, settings)).toEqual(expected);
  });

  const REINFORCED = [
    ...['reward', 'entropy', 'completions/mean_length', 'completions/clipped_ratio'],
    ...['frac_reward_zero_std', 'reward_missing', 'loss']
  ];

  test.each([
    ['rlvr', [], REINFORCED],
    ['rlvr', ['kl', 'feedback/latency_s'], ['reward', 'entropy', 'kl', ...REINFORCED.slice(2)]],
    ['rlvr', ['rewards/a/mean', 'rewards/a/std', 'eval_rewards/a/mean'], REINFORCED],
    ['rlvr', ['rewards/a/mean', 'rewards/b/mean'], ['reward', 'rewards', ...REINFORCED.slice(1)]],
    ['rlaif', ['feedback/latency_s'], [...REINFORCED, 'feedback/latency_s']]
  ])('%s with %j logged opens %j', (technique, logged, expected) => {
    expect(defaultCharts(technique, {}, logged)).toEqual(expected);
  });

  test('the parts of a reward are a line each, and each can have a chart of its own', () => {
    const logged = ['rewards/b/mean', 'rewards/a/mean', 'eval_rewards/a/mean', 'rewards/a/std'];
    expect(partsIn(logged)).toEqual(['rewards/a/mean', 'rewards/b/mean']);
    expect(chart('rewards', partsIn(logged)).lines.map(({ metric, label }) => [metric, label])).toEqual([
      ['rewards/a/mean', 'a'],
      ['rewards/b/mean', 'b']
    ]);
    expect(moreCharts(logged, ['rewards'])).toEqual(['rewards/b/mean', 'rewards/a/mean', 'rewards/a/std']);
    expect(moreCharts(logged, ['reward'])[0]).toBe('rewards');
    expect(chart('rewards/a/mean').lines[0]?.band).toBe('rewards/a/std');
  });

  test('others than those shown can be added, held-out twins within their chart', () => {
    const logged = ['grad_norm', 'loss', 'eval_loss', 'eval_only', 'rewards/chosen', 'rewards/rejected', 'entropy'];
    expect(moreCharts(logged, ['loss', 'rewards/rejected'])).toEqual(['entropy', 'grad_norm', 'eval_only']);
  });
});

describe('a chart', () => {
  test('has the curves that have points: held-out ones with dots', () => {
    const { data } = draw('loss', { loss: [2, 1], eval_loss: [1.5] });
    expect(data).toMatchObject([
      { name: 'train', mode: 'lines', line: { color: '#1' } },
      { name: 'held out', mode: 'lines+markers', line: { color: '#2' } }
    ]);
    expect(extent(chart('loss'), curves({ eval_loss: [1, 2, 3] }))).toEqual([10, 30]);
    expect(extent(chart('loss'), curves({}))).toBeNull();
  });

  test('with smoothing keeps the raw line, faint', () => {
    const { data } = draw('loss', { loss: [2, 1, 0] }, { smoothing: 0.5 });
    expect(data).toMatchObject([{ opacity: 0.25, hoverinfo: 'skip' }, { name: 'train' }]);
  });

  test.each([
    [[2, 1], 'log'],
    [[2, 0], 'linear'],
    [[2, -1], 'linear']
  ])('of %j on a logarithmic axis is %s', (loss, type) => {
    expect(draw('loss', { loss }, { log: true }).layout.yaxis?.type).toBe(type);
  });

  test("keeps the reader's zoom as points come", () => {
    const { layout } = draw('loss', { loss: Array.from({ length: 100 }, () => 1) }, { zoom: [200, 400] });
    expect(layout.xaxis?.range).toEqual([197, 403]);
  });

  test.each([
    [[10, 12], 1],
    [[10, 14], undefined]
  ] as const)('of the steps %j has a label each %s, and no step twice', (zoom, distance) => {
    expect(draw('loss', { loss: [2, 1] }, { zoom }).layout.xaxis?.dtick).toBe(distance);
  });
});

describe('a band', () => {
  const reward = { reward: [1, 2, 3], reward_std: [0.5, NaN, 1], eval_reward: [2] };

  test('is one standard deviation up and down, below the lines; where none is known there is no edge', () => {
    const { data } = draw('reward', reward);
    expect(data).toMatchObject([
      { x: [10, 30], y: [0.5, 2], line: { width: 0 }, hoverinfo: 'skip' },
      { x: [10, 30], y: [1.5, 4], line: { width: 0 }, fill: 'tonexty', fillcolor: '#12e' },
      { name: 'train', mode: 'lines' },
      { name: 'held out', mode: 'lines+markers' }
    ]);
  });

  test('of a chart without deviations is not drawn', () => {
    expect(draw('reward', { reward: [1, 2] }).data).toHaveLength(1);
    expect(draw('loss', { loss: [1, 2], loss_std: [1, 1] }).data).toHaveLength(1);
  });

  test('goes along with smoothing', () => {
    const { data } = draw('reward', { reward: [0, 4], reward_std: [1, 3] }, { smoothing: 0.5 });
    // By hand: (0.25 · 0 + 0.5 · 4) / 0.75 = 2.67, and (0.25 · 1 + 0.5 · 3) / 0.75 = 2.33.
    const [low, high] = data.map(({ y }) => y[1]);
    expect(low).toBeCloseTo(1 / 3, 5);
    expect(high).toBeCloseTo(5, 5);
  });

  test('that reaches zero has no place on a logarithmic axis', () => {
    expect(draw('reward', { reward: [1, 2], reward_std: [1, 1] }, { log: true }).data).toHaveLength(1);
    expect(draw('reward', { reward: [1, 2], reward_std: [0.5, 1] }, { log: true }).data).toHaveLength(3);
  });

  test('of a long curve has no more points than its line', () => {
    const all = Array.from({ length: 50_000 }, (_, n) => Math.sin(n));
    const [low, high, line] = draw('reward', { reward: all, reward_std: all.map(() => 0.5) }).data;
    expect(line?.x.length).toBeLessThan(1500);
    expect(low?.x.length).toBe(line?.x.length);
    expect(high?.y[7]).toBeCloseTo((line?.y[7] ?? NaN) + 0.5, 5);
  });

  test('leaves colours for more parts than there are', () => {
    const parts = Array.from({ length: 7 }, (_, n) => `rewards/p${n}/mean`);
    const { data } = draw('rewards', Object.fromEntries(parts.map(name => [name, [1, 2]])), {}, parts);
    expect(data.map(({ line }) => line.color)).toEqual(['#1', '#2', '#3', '#4', '#5', '#1', '#2']);
  });
});

describe('the labels of the value axis', () => {
  test.each([
    ['around a loss', 0.69305, 0.69315, false, ',.5~f', '0.69305'],
    ['of a margin', -0.05, 1.01, false, ',.1~f', '-0.5'],
    ['of a learning rate', 0, 2.8e-6, false, '~e', '2.5e-6'],
    ['of tokens', 0, 2353, false, ',.0~f', '2,000'],
    ['of many tokens', 0, 2_353_000, false, '~e', '2.5e+6'],
    ['of one value', 3, 3, false, ',.1~f', '3.5'],
    ['of one large value, by halves', 80, 80, false, ',.1~f', '80.5'],
    ['of one value near zero, by halves', 2e-4, 2e-4, false, ',.1~f', '-0.5'],
    ['of a loss on a logarithmic axis', 0.01, 10, true, ',.2~f', '10.01'],
    ['of a learning rate on a logarithmic axis', 1e-7, 1e-4, true, '~e', '1e-7']
  ])('%s are no longer than their room', (_, low, high, isLog, format, longest) => {
    expect(tickLabels(low, high, isLog)).toEqual({ format, length: longest.length });
  });
});
