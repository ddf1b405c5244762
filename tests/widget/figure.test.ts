import { describe, expect, test } from 'vitest';

import { chart, defaultCharts, moreCharts } from '../../labextension/src/widget/catalog';
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

function draw(key: string, all: Record<string, number[]>, options: Partial<ChartOptions> = {}) {
  const chosen = { smoothing: 0, log: false, zoom: null, ...options };
  return figure(chart(key), curves(all), chosen, theme, 300, 128);
}

describe('which charts', () => {
  test.each([
    ['sft', {}, ['loss', 'mean_token_accuracy', 'entropy', 'learning_rate']],
    ['sft', { sft: ['kl'] }, ['kl']],
    ['new', {}, ['reward', 'loss', 'entropy', 'learning_rate']]
  ])('%s with settings %j opens %j', (technique, settings, expected) => {
    expect(defaultCharts(technique, settings)).toEqual(expected);
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
});

describe('the labels of the value axis', () => {
  test.each([
    ['around a loss', 0.69305, 0.69315, false, ',.5~f', '0.69305'],
    ['of a margin', -0.05, 1.01, false, ',.1~f', '-0.5'],
    ['of a learning rate', 0, 2.8e-6, false, '~e', '2.5e-6'],
    ['of tokens', 0, 2353, false, ',.0~f', '2,000'],
    ['of many tokens', 0, 2_353_000, false, '~e', '2.5e+6'],
    ['of one value', 3, 3, false, ',.1~f', '3.5'],
    ['of a loss on a logarithmic axis', 0.01, 10, true, ',.2~f', '10.01'],
    ['of a learning rate on a logarithmic axis', 1e-7, 1e-4, true, '~e', '1e-7']
  ])('%s are no longer than their room', (_, low, high, isLog, format, longest) => {
    expect(tickLabels(low, high, isLog)).toEqual({ format, length: longest.length });
  });
});
