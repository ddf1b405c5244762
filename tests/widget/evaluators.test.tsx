import { cleanup, fireEvent, render, screen, within } from '@testing-library/react';
import { useMemo, useState } from 'react';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
  EMPTY_PROMPT,
  promptFault,
  type FunctionPage,
  type FunctionRow,
  type PromptPage,
  type PromptRow
} from '../../labextension/src/widget/evaluators';
import { EvaluatorsPlace } from '../../labextension/src/widget/EvaluatorsPlace';
import type { MetricRow, MetricsTraits } from '../../labextension/src/widget/judgemetrics';
import {
  closed,
  KeptContext,
  NavigationContext,
  opened,
  pageOf,
  START,
  type Navigation,
  type Route
} from '../../labextension/src/widget/route';
import { ShellContext } from '../../labextension/src/widget/shell';
import { button, DANGER, text } from './dataset';
import { TestModel } from './models';
import { TestShell } from './shell';

const NOW = Date.parse('2026-03-16T12:00:00Z');
const HOSTILE = `${DANGER} **bold** \u001b[31mred`;

const WARM: PromptRow = {
  name: 'warm',
  version: 2,
  versions: [2, 1],
  builtin: false,
  ground_truth: true,
  created: '2026-03-16T11:00:00+00:00',
  asks: HOSTILE,
  jobs: 3
};
const HELPFUL: PromptRow = {
  ...WARM,
  name: 'helpful',
  version: 1,
  versions: [1],
  builtin: true,
  ground_truth: false,
  created: null,
  asks: 'You judge answers',
  jobs: 0
};
const promptPage = (changes: Partial<PromptPage> = {}): PromptPage => ({
  prompt: 'warm@2',
  template: `${HOSTILE} {{ completion }}`,
  created: '2026-03-16T11:00:00+00:00',
  cell: '%%customize\n',
  python: 'tl.RewardPrompt.create()\n',
  jobs: [{ job: 'kind-20260316-101500-1f2e', evaluation: false, submitted: '2026-03-16T10:15:00+00:00' }],
  ...changes
});
const TONE: FunctionRow = {
  key: 'tone',
  name: 'tone',
  kind: 'function',
  versions: 2,
  says: HOSTILE,
  used: '2026-03-16T11:00:00+00:00',
  jobs: 1
};
const EXACT: FunctionRow = {
  key: 'exact',
  name: 'exact',
  kind: 'preset',
  versions: 1,
  says: '1 where it is equal.',
  used: null,
  jobs: 0
};
const functionPage = (changes: Partial<FunctionPage> = {}): FunctionPage => ({
  name: 'tone',
  digest: null,
  kind: 'function',
  function: 'tone',
  shown: 'bbbb',
  versions: [
    { digest: 'bbbb', version: 2, first: '2026-03-16T11:00:00+00:00' },
    { digest: 'aaaa', version: 1, first: '2026-03-16T10:00:00+00:00' }
  ],
  says: HOSTILE,
  source: `# ${HOSTILE}\ndef tone(prompt, completion): ...\n`,
  options: [],
  jobs: [{ job: 'seen-20260316-101500-1f2e', evaluation: true, submitted: '2026-03-16T10:15:00+00:00' }],
  cell: '%%customize\n',
  reward: { function: '/jobs/x/reward.py:tone' },
  scorer: '/jobs/x/reward.py:tone',
  ...changes
});
const METRIC: MetricRow = {
  name: 'kind',
  version: 2,
  versions: [2, 1],
  builtin: false,
  scale: '0 < 1',
  categorical: false,
  ground_truth: false,
  created: '2026-03-16T11:00:00+00:00',
  asks: 'Kind?'
};

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: NOW });
});

afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

/** The place as the Studio has it, with its own ways. */
function show(first?: Route) {
  const shell = new TestShell();
  const metrics = new TestModel<MetricsTraits>({ metrics: [METRIC], trouble: null });
  const gone: Route[] = [];
  const kept = new Map<string, unknown>();
  let ways: Navigation | null = null;
  function Studio() {
    const start = { ...START, place: 'evaluators' as const };
    const [at, setAt] = useState(first ? opened(start, first) : start);
    const navigation = useMemo<Navigation>(
      () => ({
        go: route => {
          gone.push(route);
          if (['metric', 'prompt', 'function'].includes(route.page)) {
            setAt(before => opened(before, route));
          }
        },
        back: () => {
          setAt(closed);
        },
        show: () => undefined
      }),
      []
    );
    ways = navigation;
    return (
      <NavigationContext.Provider value={navigation}>
        <EvaluatorsPlace metrics={metrics} route={pageOf(at, 'evaluators')} back="All evaluators" />
      </NavigationContext.Provider>
    );
  }
  render(
    <ShellContext.Provider value={shell}>
      <KeptContext.Provider value={kept}>
        <Studio />
      </KeptContext.Provider>
    </ShellContext.Provider>
  );
  const view = () => shell.views.filter(each => !each.closed).at(-1);
  return {
    gone,
    metrics,
    kept,
    ways: () => ways,
    shell,
    view,
    answer: (traits: Record<string, unknown>) => {
      view()?.update(traits);
    }
  };
}

const list = (name: string) => within(screen.getByRole('list', { name })).queryAllByRole('button');
const region = (name: string) => screen.getByRole('region', { name });
const field = (name: string) => screen.getByRole<HTMLInputElement>('textbox', { name });

describe('the lists', () => {
  test('are chosen by three buttons, and the last one is found again', () => {
    const { view } = show();
    expect(list('Metrics').map(text)[0]).toContain('kind@2');
    fireEvent.click(button('Reward prompts'));
    expect(view()?.asked).toEqual({ view: 'prompts' });
    expect(button('Reward prompts').getAttribute('aria-pressed')).toBe('true');
    fireEvent.click(button('Functions'));
    expect(view()?.asked).toEqual({ view: 'functions' });
    expect(screen.getByRole('status').textContent).toBe('Reading the functions…');
  });

  test('a metric opens by its route, and its versions take its place', () => {
    const { gone, metrics } = show({ page: 'metric', metric: 'kind@2' });
    expect(metrics.sent).toContainEqual({ type: 'metric', metric: 'kind@2' });
    const page = { metric: 'kind@2', instructions: '{{prediction}}', ratings: [], created: null };
    metrics.message({ type: 'metric', ...page, cell: '', python: '', json: '' });
    fireEvent.change(screen.getByRole('combobox'), { target: { value: '1' } });
    expect(gone).toEqual([{ page: 'metric', metric: 'kind@1' }]);
    fireEvent.click(button('‹ All evaluators'));
    expect(list('Metrics')).toHaveLength(1);
  });

  test('the form of a new metric opens by its route, and gives way to what it made', () => {
    const { gone, metrics, kept } = show({ page: 'metric', metric: null });
    expect(document.activeElement).toBe(field('Name'));
    fireEvent.change(field('Name'), { target: { value: 'warm' } });
    expect(kept.get('evaluators/metric')).toMatchObject({ name: 'warm' });
    fireEvent.click(button('Create metric'));
    metrics.message({ type: 'metric_kept', metric: 'kind@2', asked: 'keep_metric', notes: [] });
    expect(gone).toEqual([{ page: 'metric', metric: 'kind@2' }]);
    expect(metrics.sent.at(-1)).toEqual({ type: 'metric', metric: 'kind@2' });
    fireEvent.click(button('‹ All evaluators'));
    expect(list('Metrics')).toHaveLength(1);
  });

  test('the form of a new metric that is cancelled leads back', () => {
    const { gone } = show({ page: 'metric', metric: null });
    fireEvent.click(button('Cancel'));
    expect(gone).toEqual([]);
    expect(list('Metrics')).toHaveLength(1);
  });
});

describe('reward prompts', () => {
  test('are listed with what is to be known, as plain text, and found by a filter', () => {
    const { answer } = show();
    fireEvent.click(button('Reward prompts'));
    answer({ prompts: [WARM, HELPFUL], trouble: null });
    const rows = list('Reward prompts');
    expect(rows.map(row => row.querySelector('b')?.textContent)).toEqual(['warm@2', 'helpful@1']);
    expect(rows.map(text)[0]).toContain('Yours · needs ground truth · 3 jobs · 11:00');
    expect(document.querySelector('img, strong')).toBeNull();
    const filter = screen.getByRole('searchbox', { name: 'Filter the reward prompts' });
    fireEvent.change(filter, { target: { value: 'BUILT in' } });
    expect(list('Reward prompts')).toHaveLength(1);
    fireEvent.change(filter, { target: { value: 'nothing' } });
    expect(screen.getByText('No reward prompt matches “nothing”.')).toBeTruthy();
  });

  test('without one of one’s own it is said what to do, and why the index cannot be read', () => {
    const { answer } = show();
    fireEvent.click(button('Reward prompts'));
    answer({ prompts: [HELPFUL], trouble: 'It cannot be read.' });
    expect(screen.getByText(/^None of your own yet\. Press New reward prompt/)).toBeTruthy();
    expect(screen.getByRole('alert').textContent).toBe('It cannot be read.');
  });

  test('a page shows the text to the letter, its versions and jobs, and leads to a customization', () => {
    const { answer, view, gone } = show({ page: 'prompt', prompt: 'warm@2' });
    answer({ prompts: [WARM], trouble: null });
    expect(view()?.sent).toContainEqual({ type: 'prompt', prompt: 'warm@2' });
    view()?.message({ type: 'prompt', ...promptPage() });
    const page = within(region('Reward prompt warm@2'));
    expect(page.getByRole('group', { name: 'Template' }).textContent).toBe(
      `${DANGER} **bold** \\x1b[31mred {{ completion }}`
    );
    expect(document.querySelector('img, strong')).toBeNull();
    fireEvent.click(page.getByRole('button', { name: 'Use in customization…' }));
    fireEvent.click(page.getByRole('button', { name: 'kind-20260316-101500-1f2e' }));
    fireEvent.change(page.getByRole('combobox', { name: 'Version' }), { target: { value: '1' } });
    expect(gone).toEqual([
      { page: 'customize', from: { spec: { technique: 'rlaif', reward: { prompt: 'warm@2' } } } },
      { page: 'job', job: 'kind-20260316-101500-1f2e', isEvaluation: false },
      { page: 'prompt', prompt: 'warm@1' }
    ]);
    view()?.message({ type: 'prompt', ...promptPage({ prompt: 'warm@1', jobs: [] }) });
    expect(within(region('Reward prompt warm@1')).getByText('No job here has used it yet.')).toBeTruthy();
  });

  test('what is not there says so', () => {
    const { answer, view } = show({ page: 'prompt', prompt: 'cold' });
    answer({ prompts: [WARM], trouble: null });
    const reason = "There is no reward prompt 'cold'.";
    view()?.message({ type: 'prompt_refused', asked: 'prompt', prompt: 'cold', reason });
    expect(screen.getByRole('status').textContent).toBe(reason);
  });

  test('a new one is written with placeholders, kept, refused at its field, and opened', () => {
    const { answer, view, gone } = show();
    fireEvent.click(button('Reward prompts'));
    answer({ prompts: [WARM, HELPFUL], trouble: null });
    fireEvent.click(button('New reward prompt'));
    expect(field('Template').value).toBe(EMPTY_PROMPT.template);
    field('Template').setSelectionRange(0, 0);
    fireEvent.click(button('Insert {{ ground_truth }}'));
    expect(field('Template').value).toBe(`{{ ground_truth }}${EMPTY_PROMPT.template}`);
    fireEvent.change(field('Name'), { target: { value: ' warm' } });
    expect(screen.getByText('warm is there already: this becomes version 3.')).toBeTruthy();
    fireEvent.change(field('Name'), { target: { value: 'helpful' } });
    fireEvent.click(button('Create reward prompt'));
    expect(view()?.sent.at(-1)).toEqual({
      type: 'keep_prompt',
      name: 'helpful',
      template: `{{ ground_truth }}${EMPTY_PROMPT.template}`
    });
    expect(button('Create reward prompt').disabled).toBe(true);
    const reason = "The reward prompt 'helpful' is built in; give yours another name.";
    view()?.message({ type: 'prompt_refused', asked: 'keep_prompt', reason });
    expect(screen.getByRole('alert').textContent).toBe(reason);
    expect(field('Name').getAttribute('aria-invalid')).toBe('true');
    fireEvent.click(button('Create reward prompt'));
    view()?.message({ type: 'prompt_kept', prompt: 'cold@1', note: 'No version was added.' });
    expect(gone).toEqual([{ page: 'prompt', prompt: 'cold@1' }]);
    expect(screen.getByText('No version was added.')).toBeTruthy();
    fireEvent.click(button('‹ All evaluators'));
    expect(list('Reward prompts')).toHaveLength(2);
  });

  test('a draft is found again, stays with the page where it was begun, and is dropped when asked twice', () => {
    const { answer, view, ways, kept } = show({ page: 'prompt', prompt: 'warm@2' });
    answer({ prompts: [WARM, HELPFUL], trouble: null });
    view()?.message({ type: 'prompt', ...promptPage({ template: '{{ completion }}' }) });
    fireEvent.click(button('New version'));
    fireEvent.change(field('Template'), { target: { value: '{{ completion }}!' } });
    expect(kept.get('evaluators/prompt')).toMatchObject({ name: 'warm', template: '{{ completion }}!' });
    expect(screen.queryByRole('textbox', { name: 'Name' })).toBeNull();
    fireEvent.click(button('Cancel'));
    fireEvent.click(button('Keep writing'));
    fireEvent.click(button('Cancel'));
    fireEvent.click(button('Discard'));
    expect(kept.get('evaluators/prompt')).toBeNull();
    expect(ways()).not.toBeNull();
    expect(view()?.sent.at(-1)).toEqual({ type: 'prompt', prompt: 'warm@2' });
  });

  test.each([
    ["A reward prompt's name has letters, digits, '_' and '-'", 'name'],
    ["The reward prompt 'a' is built in; give yours another name.", 'name'],
    ["The reward prompt 'a' has no {{ completion }}: the model", 'template'],
    ['MLflow cannot be reached.', null]
  ])('the fault of %j is at %j', (reason, at) => {
    expect(promptFault(reason)).toBe(at);
  });
});

describe('functions', () => {
  test('are listed with presets apart, and without one it is said how to make one', () => {
    const { answer, gone } = show();
    fireEvent.click(button('Functions'));
    answer({ functions: [EXACT] });
    expect(screen.getByText('No functions of your own yet.')).toBeTruthy();
    answer({ functions: [TONE, EXACT] });
    expect(screen.queryByText('No functions of your own yet.')).toBeNull();
    expect(list('Your functions').map(text)[0]).toContain('Yours · 1 job · last 11:00');
    expect(document.querySelector('img, strong')).toBeNull();
    fireEvent.change(screen.getByRole('searchbox'), { target: { value: 'preset' } });
    expect(screen.queryByRole('list', { name: 'Your functions' })).toBeNull();
    fireEvent.click(button(/^exact/));
    expect(gone).toEqual([{ page: 'function', name: 'exact' }]);
  });

  test('a page shows the code of each version to the letter, and leads to where it is used', () => {
    const { answer, view, gone } = show({ page: 'function', name: 'tone' });
    answer({ functions: [TONE] });
    view()?.message({ type: 'function', ...functionPage() });
    const page = within(region('Function tone'));
    expect(page.getByRole('group', { name: 'Code' }).textContent).toContain(`# ${DANGER} **bold** \\x1b[31mred`);
    expect(document.querySelector('img, strong')).toBeNull();
    fireEvent.click(page.getByRole('button', { name: 'Use in customization…' }));
    fireEvent.click(page.getByRole('button', { name: 'Use in evaluation…' }));
    fireEvent.click(page.getByRole('button', { name: 'seen-20260316-101500-1f2e' }));
    expect(gone).toEqual([
      { page: 'customize', from: { spec: { technique: 'rlvr', reward: { function: '/jobs/x/reward.py:tone' } } } },
      { page: 'evaluate', from: { spec: { method: 'scorer', scorer: ['/jobs/x/reward.py:tone'] } } },
      { page: 'job', job: 'seen-20260316-101500-1f2e', isEvaluation: true }
    ]);
    fireEvent.change(page.getByRole('combobox', { name: 'Version' }), { target: { value: 'aaaa' } });
    expect(view()?.sent.at(-1)).toEqual({ type: 'function', name: 'tone', digest: 'aaaa' });
    view()?.message({ type: 'function', ...functionPage({ digest: 'aaaa', shown: 'aaaa', source: '' }) });
    expect(screen.getByText('The file is gone from the folder of its job.')).toBeTruthy();
  });

  test('a preset has its options with help, and no code', () => {
    const { answer, view } = show({ page: 'function', name: 'regex' });
    answer({ functions: [EXACT] });
    view()?.message({
      type: 'function',
      ...functionPage({
        name: 'regex',
        function: 'regex',
        kind: 'preset',
        shown: null,
        versions: [],
        source: null,
        options: [{ name: 'pattern', help: 'what the answer must match', required: true }],
        jobs: []
      })
    });
    const page = within(region('Preset regex'));
    expect(page.getByRole('row', { name: /^pattern/ }).textContent).toBe('patternwhat the answer must match (needed)');
    expect(page.queryByRole('group', { name: 'Code' })).toBeNull();
    expect(page.queryByRole('combobox')).toBeNull();
  });

  test('what no job has says so', () => {
    const { answer, view } = show({ page: 'function', name: 'gone' });
    answer({ functions: [EXACT] });
    const reason = "No job here has a function 'gone'.";
    view()?.message({ type: 'function_refused', name: 'gone', digest: null, reason });
    expect(screen.getByRole('status').textContent).toBe(reason);
  });
});
