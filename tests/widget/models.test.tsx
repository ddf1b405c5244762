import { act, cleanup, fireEvent, render, screen, waitFor, within } from '@testing-library/react';
import type { ReactNode } from 'react';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { BasePage } from '../../labextension/src/widget/BasePage';
import { ModelPage } from '../../labextension/src/widget/ModelPage';
import type {
  BasePageData,
  BaseRow,
  CustomRow,
  ModelPageData,
  ModelsTraits
} from '../../labextension/src/widget/models';
import { ModelsPlace } from '../../labextension/src/widget/ModelsPlace';
import { KeptContext, NavigationContext, type Route } from '../../labextension/src/widget/route';
import { ShellContext } from '../../labextension/src/widget/shell';
import { button, choose, DANGER, text } from './dataset';
import { TestModel } from './models';
import { TestShell } from './shell';

const NOW = Date.parse('2026-03-16T12:00:00Z');
const GB = 1e9;

const custom = (changes: Partial<CustomRow> = {}): CustomRow => ({
  kind: 'custom',
  name: 'chatty',
  version: 2,
  versions: [2, 1],
  base: 'smollm2-135m',
  technique: 'dpo',
  dataset: 'pairs@1',
  adapter: 'lora',
  created: '2026-03-16T11:00:00+00:00',
  scores: [{ metric: 'warm', mean: 0.983, difference: 0.133 }],
  ...changes
});

const base = (changes: Partial<BaseRow> = {}): BaseRow => ({
  kind: 'base',
  source: 'catalog',
  name: 'smollm2-135m',
  hub_id: 'HuggingFaceTB/SmolLM2-135M-Instruct',
  params: 134515008,
  size: '135M',
  context: 8192,
  licence: 'Apache-2.0',
  gated: false,
  chat_template: true,
  techniques: ['sft', 'dpo'],
  here: 'workspace',
  memory: {
    lora: { least: 1.7 * GB, most: 6 * GB, fits: true },
    full: { least: 2.4 * GB, most: 5.2 * GB, fits: true }
  },
  ...changes
});

const LLAMA = base({
  name: 'llama-3.3-70b',
  hub_id: 'meta-llama/Llama-3.3-70B-Instruct',
  size: '70.6B',
  licence: 'Llama 3.3',
  gated: true,
  here: '',
  memory: { lora: { least: 153.6 * GB, most: 632 * GB, fits: false }, full: null }
});

const modelPage = (changes: Partial<ModelPageData> = {}): ModelPageData => ({
  model: 'chatty@2',
  name: 'chatty',
  version: 2,
  versions: [2, 1],
  base: 'smollm2-135m',
  base_name: 'smollm2-135m',
  parent: 'chatty@1:step-20',
  technique: 'dpo',
  dataset: 'pairs@1',
  adapter: 'LoRA r16',
  created: '2026-03-16T11:00:00+00:00',
  user: 'ada',
  commit: 'ae8513fa50b7ea4d',
  packages: { torch: '2.13' },
  path: '/w/artifacts/model',
  is_here: true,
  disk_bytes: 19_500_000,
  job: 'chatty-20260316-110000-0001',
  has_job: true,
  settings: [
    { key: 'hyperparameters.learning_rate', value: 0.00002, given: true, source: null },
    { key: 'hyperparameters.beta', value: 0.1, given: false, source: 'TRL DPOConfig' }
  ],
  checkpoints: [{ step: 40, label: 'chatty@2:step-40' }],
  evaluations: [
    {
      job: 'chatty-eval-20260316-113000-0002',
      submitted: NOW / 1000 - 600,
      method: 'judge',
      dataset: 'eval@1',
      against: ['smollm2-135m'],
      rows: [
        {
          metric: 'warm',
          model: 'chatty@2',
          mean: 0.983,
          improved: 0.15,
          equal: 0.8333,
          degraded: 0.0167,
          difference: 0.133,
          verdict: 'Better.',
          baseline: 'smollm2-135m',
          scored: 60
        }
      ]
    }
  ],
  derived: [
    { model: 'terse@1', base: 'chatty@2', technique: 'sft', dataset: 'x@1', created: '2026-03-16T11:30:00+00:00' }
  ],
  mlflow: { url: null, command: 'mlflow server', artifacts: '/w', experiment_id: '1', run_id: 'r1' },
  cell: 'import tunelab as tl\n',
  ...changes
});

const basePage = (changes: Partial<BasePageData> = {}): BasePageData => ({
  ...base(),
  folder: '/w/models/smollm2-135m',
  disk_bytes: 540e6,
  dtype: 'float32',
  free: 20 * GB,
  estimates: [
    {
      technique: 'sft',
      lora: { least: 1.7 * GB, most: 6 * GB, fits: true },
      full: { least: 24 * GB, most: 52 * GB, fits: false },
      batch_rows: 4,
      max_length: 1024
    }
  ],
  shape: { hidden: 576, layers: 30, heads: 9, kv_heads: 3, vocab: 49152 },
  made: [],
  cell: 'import tunelab as tl\n',
  ...changes
});

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: NOW });
});

afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

/** A page in the Studio's ways; `gone` is where it led to. */
function show(page: ReactNode) {
  const shell = new TestShell();
  const gone: (Route | 'back')[] = [];
  const ways = {
    go: (route: Route) => gone.push(route),
    back: () => gone.push('back'),
    show: () => undefined
  };
  render(
    <ShellContext.Provider value={shell}>
      <KeptContext.Provider value={new Map()}>
        <NavigationContext.Provider value={ways}>{page}</NavigationContext.Provider>
      </KeptContext.Provider>
    </ShellContext.Provider>
  );
  return { shell, gone };
}

const rowsOf = (list: string) => within(screen.getByRole('list', { name: list })).getAllByRole('button');

describe('the list of models', () => {
  const list = (models: ModelsTraits['models']) => show(<ModelsPlace model={new TestModel({ models })} />);

  test('has custom models with their scores, then base models with what they take', () => {
    list([custom(), base(), LLAMA]);
    expect(rowsOf('Custom models').map(text)).toEqual([
      'chatty@22 versionsDPO · from smollm2-135m · 11:00warm 0.983 (+0.133)'
    ]);
    expect(rowsOf('Base models').map(text)).toEqual([
      'smollm2-135mhere135M · 8,192 tokens · Apache-2.0LoRA from 1.7 GB · full from 2.4 GB',
      'llama-3.3-70bto download70.6B · 8,192 tokens · Llama 3.3 · to be acceptedLoRA from 154 GBMore memory than is free here'
    ]);
  });

  test.each([
    ['All', '', 3],
    ['Custom', '', 1],
    ['Base', '', 2],
    ['Here', '', 2],
    ['All', ' WARM', 1],
    ['All', 'meta-llama gated', 1],
    ['Base', 'chatty', 0],
    ['All', '.*', 0]
  ])('with %s and %j shows %d', (filter, wanted, count) => {
    list([custom(), base(), LLAMA]);
    fireEvent.click(button(filter));
    expect(button(filter).getAttribute('aria-pressed')).toBe('true');
    fireEvent.change(screen.getByRole('searchbox', { name: 'Filter the models' }), { target: { value: wanted } });
    expect(screen.queryAllByRole('listitem')).toHaveLength(count);
    expect(screen.queryByText(`No model matches “${wanted}”.`) !== null).toBe(count === 0);
  });

  test('says what to do first where there is no custom model', () => {
    list([base()]);
    expect(screen.getByText('Choose a base model below and press Customize…')).toBeTruthy();
    fireEvent.click(button('Base'));
    expect(screen.queryByText('No custom models yet.')).toBeNull();
  });

  test('leads to the pages', () => {
    const { gone } = list([custom(), base()]);
    rowsOf('Custom models').forEach(row => fireEvent.click(row));
    rowsOf('Base models').forEach(row => fireEvent.click(row));
    expect(gone).toEqual([
      { page: 'model', model: 'chatty@2' },
      { page: 'base', model: 'smollm2-135m' }
    ]);
  });

  test('names only show', () => {
    list([custom({ base: DANGER, scores: [{ metric: `\x1b[31m${DANGER}`, mean: 1, difference: null }] }), base()]);
    expect(document.querySelector('img')).toBeNull();
    expect(text(rowsOf('Custom models')[0]!)).toContain(`${DANGER.replace(/ /g, ' ')} 1`);
  });
});

describe('the page of a custom model', () => {
  const open = (changes: Partial<ModelPageData> = {}) => {
    const shown = show(<ModelPage model="chatty@2" />);
    const view = shown.shell.views.filter(each => !each.closed).at(-1);
    expect(view?.asked).toEqual({ view: 'model', model: 'chatty@2' });
    view?.update({ page: modelPage(changes) });
    return { ...shown, view };
  };

  test('has its facts, its evaluations and its settings with their sources', () => {
    open();
    const region = screen.getByRole('region', { name: 'Model chatty@2' });
    expect(text(region)).toContain('DPO · smollm2-135m · LoRA r16');
    for (const fact of ['Continued fromchatty@1:step-20', 'Byada', 'Commitae8513fa50', 'Packagestorch 2.13']) {
      expect(text(region)).toContain(fact);
    }
    const results = screen.getByRole('table', { name: /^Results of/ });
    expect(within(results).getAllByRole('row').map(text).at(1)).toBe('warm0.983 +0.13315%83%2%');
    const settings = screen.getByRole('table', { name: 'Settings', hidden: true });
    expect(within(settings).getAllByRole('row', { hidden: true }).map(text).slice(1)).toEqual([
      'hyperparameters.learning_rate2e-05the spec',
      'hyperparameters.beta0.1TRL DPOConfig'
    ]);
  });

  test.each<[string, Route]>([
    ['Continue…', { page: 'customize', from: { spec: { model: 'chatty@2', technique: 'dpo' } } }],
    ['Evaluate…', { page: 'evaluate', from: { spec: { models: ['smollm2-135m', 'chatty@2'], dataset: 'eval@1' } } }],
    ['Job', { page: 'job', job: 'chatty-20260316-110000-0001' }],
    ['Continue from step 40', { page: 'customize', from: { spec: { model: 'chatty@2:step-40', technique: 'dpo' } } }],
    [
      'Evaluate step 40',
      { page: 'evaluate', from: { spec: { models: ['smollm2-135m', 'chatty@2:step-40'], dataset: 'eval@1' } } }
    ],
    ['smollm2-135m', { page: 'base', model: 'smollm2-135m' }],
    ['chatty@1:step-20', { page: 'model', model: 'chatty@1' }],
    ['pairs@1', { page: 'dataset', dataset: 'pairs@1' }],
    ['eval@1', { page: 'job', job: 'chatty-eval-20260316-113000-0002', isEvaluation: true }],
    ['terse@1', { page: 'model', model: 'terse@1' }]
  ])('%s leads on', (name, route) => {
    const { gone } = open();
    fireEvent.click(button(name));
    expect(gone).toEqual([route]);
  });

  test('another version takes its place', () => {
    const { gone } = open();
    choose('Version', '1');
    expect(gone).toEqual(['back', { page: 'model', model: 'chatty@1' }]);
  });

  test('shows the charts and the log of its job, and opens its run', async () => {
    const { shell } = open();
    const job = shell.openJobs[0];
    job?.answer({ technique: 'dpo', logs: [{ time: '2026-03-16T11:00:00Z', level: 'info', text: 'loading' }] });
    expect(screen.getByRole('group', { name: 'Charts' })).toBeTruthy();
    expect(text(screen.getByRole('list', { name: 'Last log lines' }))).toContain('loading');
    shell.refused = 'MLflow is not there.';
    await act(async () => {
      fireEvent.click(button('Open in MLflow'));
      await Promise.resolve();
    });
    expect(shell.asked).toEqual([['mlflow', modelPage().mlflow, 'chatty@2']]);
    expect(screen.getByText('MLflow is not there.')).toBeTruthy();
    cleanup();
    expect(shell.openJobs).toEqual([]);
  });

  test('without its job or its files it says so, and offers nothing that needs them', () => {
    const { shell } = open({ has_job: false, is_here: false, settings: [], checkpoints: [] });
    expect(shell.openJobs).toEqual([]);
    expect(screen.queryByRole('button', { name: 'Job' })).toBeNull();
    expect(screen.getByRole('alert').textContent).toContain('Its files are gone (/w/artifacts/model)');
    expect(button('Continue…').disabled).toBe(true);
    expect(screen.getByText(/^The folder of its job .* is gone/)).toBeTruthy();
  });

  test('reads the lineage once it is unfolded', async () => {
    const { shell } = open();
    const asked = () => shell.views.filter(view => !view.closed).map(view => view.asked);
    expect(asked()).toEqual([{ view: 'model', model: 'chatty@2' }]);
    fireEvent.click(screen.getByText('Lineage'));
    await waitFor(() => {
      expect(asked()).toEqual([
        { view: 'model', model: 'chatty@2' },
        { view: 'lineage', of: 'model:chatty@2' }
      ]);
    });
  });

  test('says why there is none', () => {
    const { shell } = show(<ModelPage model="gone@1" />);
    shell.views
      .filter(each => !each.closed)
      .at(-1)
      ?.refuse("There is no custom model 'gone'.");
    expect(screen.getByRole('status').textContent).toBe("There is no custom model 'gone'.");
  });
});

describe('the page of a base model', () => {
  const open = (changes: Partial<BasePageData> = {}) => {
    const shown = show(<BasePage model="smollm2-135m" />);
    shown.shell.views
      .filter(each => !each.closed)
      .at(-1)
      ?.update({ page: basePage(changes) });
    return shown;
  };

  test('has its facts and what each technique takes', () => {
    open();
    const region = screen.getByRole('region', { name: 'Base model smollm2-135m' });
    for (const fact of ['Parameters134,515,008', 'Chat templateyes', 'Layers30 of width 576', 'Nothing yet.']) {
      expect(text(region)).toContain(fact);
    }
    const table = screen.getByRole('table', { name: 'Memory by technique' });
    expect(within(table).getAllByRole('row').map(text).slice(1)).toEqual([
      'SFT1.7–\u20606.0 GB24.0–\u206052.0 GB too much'
    ]);
  });

  test('is customized and evaluated from there, and leads to what was made from it', () => {
    const { gone } = open({
      made: [
        {
          model: 'chatty@1',
          base: 'smollm2-135m',
          technique: 'dpo',
          dataset: 'pairs@1',
          created: '2026-03-16T11:00:00Z'
        }
      ]
    });
    ['Customize…', 'Evaluate…', 'chatty@1'].forEach(name => fireEvent.click(button(name)));
    expect(gone).toEqual([
      { page: 'customize', from: { spec: { model: 'smollm2-135m' } } },
      { page: 'evaluate', from: { spec: { models: ['smollm2-135m'] } } },
      { page: 'model', model: 'chatty@1' }
    ]);
  });

  test.each([
    [true, '', true],
    [true, 'hub cache', false],
    [false, '', false]
  ] as const)('gated %s and here %j asks to accept the licence: %s', (gated, here, asks) => {
    open({ gated, here });
    expect(screen.queryByText(/^Its licence is to be accepted once at huggingface.co\/Hugging/) !== null).toBe(asks);
  });
});
