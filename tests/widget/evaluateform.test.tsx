import { act, cleanup, fireEvent, render, screen, within } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import type { Json, SpecData } from '../../labextension/src/widget/customize';
import type { EvaluateSchema, EvaluateTraits } from '../../labextension/src/widget/evaluateform';
import { EvaluatePage } from '../../labextension/src/widget/EvaluatePage';
import {
  KeptContext,
  NavigationContext,
  type FormStart,
  type Place,
  type Route
} from '../../labextension/src/widget/route';
import { ShellContext } from '../../labextension/src/widget/shell';
import type { TestModel } from './models';
import { TestShell } from './shell';

const DANGER = '<img src=x onerror="alert(1)">\u001b[31m';

const SCHEMA: EvaluateSchema = {
  properties: {
    models: {
      description: 'the first is the baseline',
      'x-endpoint': {
        properties: { name: { type: 'string' }, model: { type: 'string' }, base_url: { type: 'string' } },
        required: ['name', 'model', 'base_url']
      }
    },
    dataset: { type: 'string', description: 'rows with query and response' },
    method: { enum: ['judge', 'scorer'], type: 'string' },
    judge: {
      properties: {
        model: { type: 'string' },
        metrics: { type: 'array' },
        pairwise: { type: 'boolean', default: false },
        max_tokens: { type: 'integer', default: 256, minimum: 1, maximum: 32768, description: 'the longest reply' }
      }
    },
    scorer: {
      'x-kinds': {
        preset: { exact: { properties: {}, required: [] } },
        function: { properties: {}, required: [] }
      }
    },
    limit: { type: 'integer', minimum: 1 }
  }
};

const METRICS = ['like_a_friend@2', 'coherence', 'helpfulness', 'harmfulness', 'a', 'b', 'c', 'd'].map(name => ({
  ...{ name, own: name.includes('@'), asks: DANGER },
  ground_truth: name === 'coherence'
}));

const TRAITS: EvaluateTraits = {
  data: { method: 'judge' },
  turn: 0,
  schema: SCHEMA,
  ui: [
    { name: 'main', fields: ['models', 'dataset', 'method'] },
    { name: 'judge', fields: ['judge.model', 'judge.metrics', 'judge.pairwise'] },
    { name: 'judging', fields: ['judge.max_tokens'] },
    { name: 'advanced', fields: ['limit'] }
  ],
  models: [{ name: 'chatty@1', kind: 'custom', here: true }],
  datasets: [{ name: DANGER, technique: 'evaluation', rows: 40 }],
  metrics: METRICS,
  cell: '%%evaluate\nmodels:\n- chatty@1\n',
  faults: [],
  estimate: { rows: 40, answers: 80, ratings: 160 },
  checking: false,
  plan: null,
  refused: null,
  submitting: false,
  submitted: null
};

let shell: TestShell;
let kept: Map<string, unknown>;
const went: (Route | Place | 'back')[] = [];

beforeEach(() => {
  vi.useFakeTimers();
  shell = new TestShell();
  kept = new Map();
  went.length = 0;
});

afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

/** Opens the page and has the kernel answer; the model is what the page asks. */
function open(changes: Partial<EvaluateTraits> = {}, from: FormStart = {}) {
  const navigation = {
    go: (route: Route) => went.push(route),
    back: () => went.push('back'),
    show: (place: Place) => went.push(place)
  };
  const page = render(
    <ShellContext.Provider value={shell}>
      <KeptContext.Provider value={kept}>
        <NavigationContext.Provider value={navigation}>
          <EvaluatePage from={from} />
        </NavigationContext.Provider>
      </KeptContext.Provider>
    </ShellContext.Provider>
  );
  const view = shell.views.at(-1)!;
  view.update({ ...TRAITS, ...changes });
  return { view: view as unknown as TestModel<EvaluateTraits>, asked: view.asked, page };
}

const form = () => screen.getByRole('form', { name: 'Evaluate' });
const field = (name: string) => screen.getByLabelText<HTMLInputElement>(name, { selector: 'input' });
const type = (name: string, text: string) => {
  fireEvent.change(field(name), { target: { value: text } });
};
const press = (name: string) => {
  fireEvent.click(screen.getByRole('button', { name }));
};
const box = (name: RegExp) => screen.getByRole<HTMLInputElement>('checkbox', { name });

/** What the kernel was asked last about what was typed. */
function said(view: TestModel<EvaluateTraits>): SpecData {
  act(() => {
    vi.advanceTimersByTime(200);
  });
  const last = view.sent.at(-1) as { type: string; data: SpecData };
  expect(last.type).toBe('change');
  return last.data;
}

test.each<[FormStart, object]>([
  [{}, { view: 'evaluate' }],
  [{ spec: { models: ['chatty@1'] } }, { view: 'evaluate', spec: { models: ['chatty@1'] } }],
  [{ cell: '%%evaluate\n' }, { view: 'evaluate', cell: '%%evaluate\n' }],
  [{ job: 'e-1' }, { view: 'evaluate', job: 'e-1' }]
])('begins with %j', (from, asked) => {
  expect(open({}, from).asked).toEqual(asked);
});

test('what the kernel refuses to open is said in its place', () => {
  render(
    <ShellContext.Provider value={shell}>
      <EvaluatePage from={{ job: 'gone' }} />
    </ShellContext.Provider>
  );
  act(() => {
    shell.views.at(-1)!.refuse(`There is no job ${DANGER}.`);
  });
  expect(screen.getByRole('alert').textContent).toBe('There is no job <img src=x onerror="alert(1)">.');
  expect(screen.queryByRole('form')).toBeNull();
});

describe('models', () => {
  test('one is a model, the first of several the baseline, and any can be removed', () => {
    const { view } = open();
    type('Model 1', 'smollm2-135m');
    expect(said(view).models).toEqual(['smollm2-135m']);
    press('Another model');
    expect(field('Baseline').value).toBe('smollm2-135m');
    type('Model 2', 'chatty@1');
    expect(said(view).models).toEqual(['smollm2-135m', 'chatty@1']);
    press('Remove Baseline');
    expect(said(view).models).toEqual(['chatty@1']);
    type('Model 1', '');
    expect(said(view)).toEqual({ method: 'judge' });
  });

  test('each has a group, and its input a name of its own', () => {
    open({ data: { method: 'judge', models: ['smollm2-135m', 'chatty@1'] } });
    const group = within(screen.getByRole('group', { name: 'Baseline' }));
    expect(group.getByRole('combobox', { name: 'Baseline: name or path' })).toBe(field('Baseline'));
    expect(screen.queryByRole('combobox', { name: 'Model 2' })).toBeNull();
  });

  test('one behind an endpoint has the endpoint’s fields, and its faults stand there', () => {
    const { view } = open({ data: { method: 'judge', models: ['chatty@1'] } });
    press('A model behind an endpoint');
    const far = within(screen.getByRole('group', { name: 'Model 2' }));
    fireEvent.change(far.getByLabelText('Name'), { target: { value: 'far' } });
    fireEvent.change(far.getByLabelText('Base URL'), { target: { value: 'far' } });
    expect(said(view).models).toEqual(['chatty@1', { name: 'far', model: '', base_url: 'far' }]);
    view.update({ faults: [{ path: 'models.2.base_url', message: 'It is no URL.' }] });
    expect(far.getByText('It is no URL.')).toBeTruthy();
    expect(far.getByLabelText('Base URL').getAttribute('aria-invalid')).toBe('true');
  });
});

describe('metrics', () => {
  test('the first are shown, the others when they are asked for, and what is chosen always', () => {
    open({ data: { method: 'judge', judge: { metrics: ['d'] } } });
    const names = () =>
      screen.getAllByRole('checkbox').map(each => each.parentElement!.querySelector('b')!.textContent);
    expect(names()).toEqual(['like_a_friend@2', 'coherence', 'helpfulness', 'harmfulness', 'a', 'b', 'd']);
    expect(box(/^coherence/).parentElement!.textContent).toContain('needs ground truth');
    press('Show all 8');
    expect(names()).toHaveLength(8);
  });

  test.each<[readonly Json[] | undefined, readonly Json[] | undefined]>([
    [undefined, ['like_a_friend@2']],
    [['coherence'], ['coherence', 'like_a_friend@2']],
    [['like_a_friend@2', 'coherence'], ['coherence']],
    [['like_a_friend'], undefined],
    [[{ name: 'mine' }], [{ name: 'mine' }, 'like_a_friend@2']]
  ])('with %j a click on one makes %j', (metrics, expected) => {
    const judge = metrics === undefined ? {} : { judge: { model: 'big', metrics } };
    const { view } = open({ data: { method: 'judge', ...judge } });
    fireEvent.click(box(/^like_a_friend@2/));
    expect((said(view).judge as SpecData | undefined)?.metrics).toEqual(expected);
  });

  test('a definition of a cell is shown as text', () => {
    open({ data: { method: 'judge', judge: { metrics: [{ name: DANGER }] } } });
    expect(within(form()).getByText(/onerror/).textContent).toBe(
      '{"name":"<img src=x onerror=\\"alert(1)\\">\\u001b[31m"}'
    );
    expect(document.querySelector('img')).toBeNull();
  });

  test('for a new one the way leads to the form of a metric, and what was typed is there on return', () => {
    const { view, page } = open();
    type('Model 1', 'chatty@1');
    press('New metric…');
    expect(went).toEqual([{ page: 'metric', metric: null }]);
    page.unmount();
    expect(view.sent.every(({ type: kind }) => kind === 'change')).toBe(true);
    const again = open({ metrics: [{ name: 'new@1', own: true, asks: '', ground_truth: false }, ...METRICS] });
    expect(field('Model 1').value).toBe('chatty@1');
    expect(box(/^new@1/).checked).toBe(false);
    // The kernel, which may be another, is told the draft.
    expect(said(again.view).models).toEqual(['chatty@1']);
  });
});

test('another method takes what only the former one took with it, and leaves the rest', () => {
  const data = { method: 'judge', models: ['chatty@1'], limit: 3, judge: { model: 'big', metrics: ['coherence'] } };
  const { view } = open({ data });
  fireEvent.click(screen.getByRole('radio', { name: /^A scorer/ }));
  expect(said(view)).toEqual({ method: 'scorer', models: ['chatty@1'], limit: 3 });
});

test('numbers are numbers, and what is no number is left for the kernel to refuse', () => {
  const { view } = open();
  type('Limit', '12');
  expect(said(view).limit).toBe(12);
  type('Limit', 'many');
  expect(said(view).limit).toBe('many');
});

test('the rows are a file that was chosen, or a dataset that is created now', async () => {
  shell.chosen = 'data/questions.jsonl';
  const { view } = open();
  press('Choose a file…');
  await act(() => Promise.resolve());
  expect(field('Dataset').value).toBe('data/questions.jsonl');
  expect(said(view).dataset).toBe('data/questions.jsonl');
  press('Create a dataset…');
  expect(shell.asked).toEqual([['choose'], ['create', undefined]]);
});

describe('the foot', () => {
  test('says how much there is to do, and how much is to be mended', () => {
    const { view } = open();
    expect(form().textContent).toContain('40 questions · 80 answers · 160 ratings');
    view.update({ faults: [{ path: 'models', message: "The spec lacks 'models'." }] });
    expect(form().textContent).toContain('1 thing to mend');
    // Not scolded for what was not typed yet.
    expect(screen.queryByText("The spec lacks 'models'.")).toBeNull();
  });

  test('starts nothing while something is to be mended, and leads there, through what is folded too', () => {
    const { view } = open({ faults: [{ path: 'limit', message: 'It is 1 or more.' }] });
    fireEvent.submit(form());
    expect(view.sent).toEqual([]);
    expect(document.activeElement).toBe(field('Limit'));
    expect(field('Limit').closest('details')!.open).toBe(true);
    expect(screen.getByText('It is 1 or more.')).toBeTruthy();
  });

  test('names a fault that has no field, and takes its setting away', () => {
    const { view } = open({
      data: { method: 'judge', surprise: 1 },
      faults: [{ path: 'surprise', message: `There is no 'surprise' ${DANGER}.` }]
    });
    fireEvent.submit(form());
    const alert = screen.getByRole('alert');
    expect(alert.textContent).toContain('There is no \'surprise\' <img src=x onerror="alert(1)">.');
    fireEvent.click(within(alert).getByRole('button', { name: 'Remove' }));
    expect(said(view)).toEqual({ method: 'judge' });
  });

  test.each(['check', 'submit'])('%s sends what was typed, once', verb => {
    const { view } = open();
    type('Model 1', 'chatty@1');
    if (verb === 'check') {
      press('Check');
    } else {
      fireEvent.submit(form());
    }
    expect(view.sent.filter(({ type: kind }) => kind !== 'change')).toEqual([
      { type: verb, data: { method: 'judge', models: ['chatty@1'] } }
    ]);
  });

  test('puts the cell into the notebook, and says why it cannot', async () => {
    open();
    shell.refused = 'The notebook is read-only.';
    press('Put into notebook');
    await act(() => Promise.resolve());
    expect(shell.asked).toEqual([['insert', TRAITS.cell]]);
    expect(screen.getByRole('alert').textContent).toBe('The notebook is read-only.');
  });

  test('of a job that was started leads to it, and the draft is done with', () => {
    const { view } = open();
    type('Model 1', 'chatty@1');
    view.update({ submitted: 'chatty-eval-1' });
    expect(went).toEqual(['back', { page: 'job', job: 'chatty-eval-1', isEvaluation: true }]);
    expect([...kept.values()]).toEqual([null]);
  });

  test('shows a refusal of the kernel’s as text', () => {
    open({ refused: `No such model ${DANGER}.` });
    expect(screen.getByRole('alert').textContent).toBe('No such model <img src=x onerror="alert(1)">.');
    expect(document.querySelector('img')).toBeNull();
  });
});
