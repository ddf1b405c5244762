import { act, cleanup, fireEvent, render, screen, within } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
  parsed,
  schemaAt,
  valueAt,
  withValue,
  written,
  type CustomizeTraits,
  type FieldSchema,
  type Json,
  type SpecData
} from '../../labextension/src/widget/customize';
import { CustomizePage } from '../../labextension/src/widget/CustomizePage';
import { KeptContext, NavigationContext, type FormStart, type Route } from '../../labextension/src/widget/route';
import { ShellContext } from '../../labextension/src/widget/shell';
import { TestShell } from './shell';
import type { TestModel } from './models';

const DANGER = '<img src=x onerror="alert(1)">\u001b[31m';

const SCHEMA: FieldSchema = {
  required: ['name', 'model', 'technique', 'dataset'],
  properties: {
    name: { type: 'string', description: "the custom model's name" },
    model: { type: 'string' },
    technique: { enum: ['sft', 'rlvr'], description: 'sft: learn answers; rlvr: learn from a reward: it is computed' },
    dataset: { type: 'string' },
    split: { anyOf: [{ type: 'integer' }, { type: 'number' }, { type: 'null' }], default: 0.1, source: 'tunelab' },
    reward: {
      'x-kinds': {
        preset: {
          number: { properties: { tolerance: { type: 'number' }, weight: { type: 'number' } }, required: [] },
          regex: { properties: { pattern: { type: 'string' } }, required: ['pattern'] }
        },
        function: { properties: { weight: { type: 'number' } }, required: [] }
      }
    },
    hyperparameters: {
      properties: {
        learning_rate: {
          type: ['number'],
          description: `The rate ${DANGER}.`,
          default: 5e-6,
          source: 'zephyr',
          minimum: 1e-9,
          maximum: 0.01
        },
        packing: { type: ['boolean'], description: 'Whether rows share a sequence.', default: false },
        betas: { type: ['array', 'null'], description: 'Two rates.' }
      }
    }
  }
};

const TRAITS: CustomizeTraits = {
  data: { technique: 'sft' },
  turn: 0,
  schema: SCHEMA,
  ui: [
    { name: 'main', fields: ['name', 'model', 'technique', 'dataset'] },
    { name: 'reward', fields: ['reward'] },
    { name: 'settings', fields: ['hyperparameters.learning_rate', 'split'] },
    { name: 'advanced', fields: ['hyperparameters.packing', 'hyperparameters.betas'] }
  ],
  models: [{ name: 'chatty@1', kind: 'custom', here: true }],
  datasets: [{ name: DANGER, technique: 'sft', rows: 1200 }],
  prompts: [],
  cell: '%%customize\nname: a\n',
  faults: [{ path: 'name', message: "The spec lacks 'name'." }],
  estimate: {},
  checking: false,
  plan: null,
  refused: null,
  submitting: false,
  submitted: null
};

let shell: TestShell;
let kept: Map<string, unknown>;
const went: (Route | 'back')[] = [];

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
function open(changes: Partial<CustomizeTraits> = {}, from: FormStart = {}) {
  const navigation = {
    go: (route: Route) => went.push(route),
    back: () => went.push('back'),
    show: () => undefined
  };
  const page = render(
    <ShellContext.Provider value={shell}>
      <KeptContext.Provider value={kept}>
        <NavigationContext.Provider value={navigation}>
          <CustomizePage from={from} />
        </NavigationContext.Provider>
      </KeptContext.Provider>
    </ShellContext.Provider>
  );
  const view = shell.views.at(-1)!;
  view.update({ ...TRAITS, ...changes });
  return { view: view as unknown as TestModel<CustomizeTraits>, asked: view.asked, page };
}

const field = (name: string) => screen.getByLabelText<HTMLInputElement>(name);
const type = (name: string, text: string) => {
  fireEvent.change(field(name), { target: { value: text } });
};
const pause = () => {
  act(() => {
    vi.advanceTimersByTime(200);
  });
};
const press = (name: string) => {
  fireEvent.click(screen.getByRole('button', { name }));
};

describe('a value', () => {
  const number: FieldSchema = { type: ['number', 'null'] };
  test.each<[string, FieldSchema, Json | undefined]>([
    ['', number, undefined],
    ['5e-6', number, 5e-6],
    ['5e-', number, '5e-'],
    ['0.1', SCHEMA.properties!.split!, 0.1],
    ['64', SCHEMA.properties!.split!, 64],
    ['12', { type: 'string' }, '12'],
    ['all-linear', { anyOf: [{ type: 'string' }, { type: 'array' }] }, 'all-linear'],
    ['q_proj, v_proj', { anyOf: [{ type: 'string' }, { type: 'array' }] }, ['q_proj', 'v_proj']],
    ['{"a": 1}', { type: ['object'] }, { a: 1 }],
    ['{"a"', { type: ['object'] }, '{"a"'],
    ['a', { type: ['array'] }, ['a']]
  ])('%s is read as what the field takes', (text, schema, value) => {
    expect(parsed(text, schema)).toEqual(value);
  });

  test.each<[Json, string]>([
    [5e-6, '5e-6'],
    [0.1, '0.1'],
    [42, '42'],
    [['a', 'b'], 'a, b'],
    [{ a: 1 }, '{"a":1}']
  ])('%j is written as it is read', (value, text) => {
    expect(written(value)).toBe(text);
    expect(parsed(text, { type: ['number', 'array', 'object'] })).toEqual(value);
  });

  test('is set and taken away at its path, and a section that is empty goes with it', () => {
    const data: SpecData = { name: 'a', adapter: { r: 4 }, seed: 1 };
    expect(withValue(data, 'adapter.alpha', 8)).toEqual({ name: 'a', adapter: { r: 4, alpha: 8 }, seed: 1 });
    expect(Object.keys(withValue(data, 'name', 'b'))).toEqual(['name', 'adapter', 'seed']);
    expect(withValue(data, 'adapter.r', undefined)).toEqual({ name: 'a', seed: 1 });
    expect(valueAt({ reward: [{ a: 1 }, { a: 2 }] }, 'reward.2.a')).toBe(2);
    expect(schemaAt(SCHEMA, 'hyperparameters.no')).toBeNull();
  });
});

describe('the form', () => {
  test('is made from the schema, with help, range, default and source, all as text', () => {
    const { asked } = open({}, { job: 'j' });
    expect(asked).toEqual({ view: 'customize', job: 'j' });
    const rate = field('learning_rate');
    expect(rate.placeholder).toBe('recipe: 5e-6');
    expect(rate.title).toBe('zephyr');
    const help = document.getElementById(rate.getAttribute('aria-describedby')!.split(' ')[0]!)!;
    expect(help.textContent).toBe('The rate <img src=x onerror="alert(1)"> · 1e-9 to 0.01');
    expect(document.querySelector('img')).toBeNull();
    expect(screen.getAllByRole('radio')).toHaveLength(2);
    expect(screen.getByRole('radio', { name: /RLVR learn from a reward: it is computed/ })).toBeTruthy();
    expect(
      within(field('packing'))
        .getAllByRole('option')
        .map(each => each.textContent)
    ).toEqual(['default: no', 'yes', 'no']);
  });

  test('asks the kernel once there is a pause, with only what was said', () => {
    const { view } = open();
    type('Name', 'm');
    type('Name', 'mine');
    type('learning_rate', '5e-');
    expect(view.sent).toEqual([]);
    pause();
    const data = { technique: 'sft', name: 'mine', hyperparameters: { learning_rate: '5e-' } };
    expect(view.sent).toEqual([{ type: 'change', data, turn: 3 }]);
    view.update({ faults: [{ path: 'hyperparameters.learning_rate', message: `takes a number ${DANGER}` }], turn: 3 });
    expect(field('learning_rate').getAttribute('aria-invalid')).toBe('true');
    expect(screen.getByText('takes a number <img src=x onerror="alert(1)">')).toBeTruthy();
    type('learning_rate', '');
    pause();
    expect(view.sent.at(-1)).toMatchObject({ data: { technique: 'sft', name: 'mine' }, turn: 4 });
  });

  test('tells what is missing once one has tried, and leads there', () => {
    const { view } = open();
    expect(screen.queryByText("The spec lacks 'name'.")).toBeNull();
    field('learning_rate').focus();
    press('1 thing to mend');
    expect(screen.getByText("The spec lacks 'name'.")).toBeTruthy();
    expect(document.activeElement).toBe(field('Name'));
    field('learning_rate').focus();
    press('Customize');
    expect(document.activeElement).toBe(field('Name'));
    expect(view.sent).toEqual([]);
  });

  test('has what fits no field said apart, where it can be taken out', () => {
    const data = { technique: 'sft', hyperparameters: { beta: 1, packing: true } };
    const { view } = open({ data, faults: [{ path: 'hyperparameters.beta', message: "Unknown 'beta'." }] });
    expect(screen.getByRole('alert').textContent).toContain("Unknown 'beta'.");
    press('Remove');
    pause();
    expect(view.sent.at(-1)).toMatchObject({ data: { technique: 'sft', hyperparameters: { packing: true } } });
  });

  test('says what the job takes, and where that is from', () => {
    const { view } = open({
      faults: [],
      estimate: {
        steps: 59,
        time_s: 340,
        time_from: 'job-1',
        memory_bytes: 2.9e9,
        memory_free: 1e9,
        disk_bytes: 324e6,
        train_rows: 234,
        eval_rows: 26,
        evaluations: 5
      }
    });
    const said = screen.getByText(/^59 steps/);
    expect(said.textContent).toBe('59 steps · about 6 min · 2.9 GB memory, and 1.0 GB are free · 324 MB disk');
    expect(said.title).toContain('time as in job-1');
    expect(said.title).toContain('234 rows to train on, 26 held out');
    expect(said.title).toContain('memory by formula');
    view.update({ estimate: { steps: 59, time_s: 340, memory_bytes: 1.8e9, is_measured: true } });
    expect(said.textContent).toBe('59 steps · about 6 min · 1.8 GB memory');
    expect(said.title).toBe('time and memory as measured');
  });

  test('checks, shows the plan, and starts', () => {
    const { view } = open({ faults: [] });
    press('Check');
    expect(view.sent).toEqual([{ type: 'check', data: { technique: 'sft' } }]);
    view.update({ checking: true });
    expect(screen.getByRole<HTMLButtonElement>('button', { name: 'Customize' }).disabled).toBe(true);
    view.update({ checking: false, plan: { facts: [['time', DANGER]], report: null, warnings: ['flat'] } });
    expect(within(screen.getByRole('region', { name: 'Plan' })).getByText('flat')).toBeTruthy();
    fireEvent.submit(screen.getByRole('form', { name: 'Customize' }));
    expect(view.sent.at(-1)).toEqual({ type: 'submit', data: { technique: 'sft' } });
    view.update({ refused: 'The disk is full.' });
    expect(screen.getByRole('alert').textContent).toBe('The disk is full.');
    view.update({ submitted: 'mine-1' });
    expect(went).toEqual(['back', { page: 'job', job: 'mine-1' }]);
  });

  test('puts the cell into the notebook', async () => {
    open({ faults: [] });
    press('Put into notebook');
    expect(shell.asked.at(-1)).toEqual(['insert', TRAITS.cell]);
    await act(() => Promise.resolve());
  });

  test('finds advanced settings by name and by what they do', () => {
    open();
    const search = screen.getByRole('searchbox', { name: 'Find a setting' });
    fireEvent.change(search, { target: { value: 'rows share' } });
    expect(screen.queryByLabelText('betas')).toBeNull();
    expect(field('packing')).toBeTruthy();
    fireEvent.change(search, { target: { value: 'nothing' } });
    expect(screen.getByText('No setting here is like that.')).toBeTruthy();
  });

  test('keeps what was typed, and tells it a kernel that was restarted', () => {
    const { page } = open();
    type('Name', 'mine');
    page.unmount();
    const { view } = open();
    expect(field('Name').value).toBe('mine');
    expect(view.sent[0]).toEqual({ type: 'change', data: { technique: 'sft', name: 'mine' }, turn: 1 });
  });

  test.each<[string, SpecData, boolean]>([
    ['no model', {}, false],
    ['a base model', { model: 'smollm2-135m' }, false],
    ['a base model whose name begins like a custom one', { model: 'chat' }, false],
    ['a custom model', { model: 'chatty' }, true],
    ['a version', { model: 'chatty@1' }, true],
    ['a checkpoint', { model: 'chatty@1:step-20' }, true],
    ['a base model, where it is said', { model: 'smollm2-135m', adapter: { carry: 'merge' } }, true]
  ])('of %s asks how the adapter is carried on only where there is one', (_, said, asks) => {
    const adapter: FieldSchema = { properties: { r: { type: 'integer' }, carry: { enum: ['further', 'merge'] } } };
    open({
      data: { technique: 'sft', ...said },
      schema: { ...SCHEMA, properties: { ...SCHEMA.properties, adapter } },
      ui: [...TRAITS.ui, { name: 'adapter', fields: ['adapter.r', 'adapter.carry'] }]
    });
    expect(field('R')).toBeTruthy();
    expect(screen.queryByLabelText('Carry') !== null).toBe(asks);
  });

  test('drops the reward of another technique', () => {
    const { view } = open({ data: { technique: 'rlvr', reward: { preset: 'number' } } });
    fireEvent.click(screen.getByRole('radio', { name: /SFT/ }));
    pause();
    expect(view.sent.at(-1)).toMatchObject({ data: { technique: 'sft' } });
    expect(view.sent.at(-1)).not.toHaveProperty('data.reward');
  });

  test('has rewards of each kind, alone and together', () => {
    const { view } = open({ data: { technique: 'rlvr' } });
    const said = () => {
      pause();
      return (view.sent.at(-1) as { data: SpecData }).data.reward;
    };
    press('Preset');
    expect(said()).toEqual({ preset: 'number' });
    type('Tolerance', '0.1');
    expect(said()).toEqual({ preset: 'number', tolerance: 0.1 });
    fireEvent.change(field('Preset'), { target: { value: '"regex"' } });
    expect(said()).toEqual({ preset: 'regex' });
    press('Another: Python function');
    type('Function', 'reward.py:score');
    expect(said()).toEqual([{ preset: 'regex' }, 'reward.py:score']);
    view.update({ faults: [{ path: 'reward.1.pattern', message: 'it is missing' }] });
    expect(screen.queryByText('it is missing')).toBeNull();
    press('Customize');
    expect(document.activeElement).toBe(field('Pattern'));
    press('Remove Reward 1');
    expect(said()).toBe('reward.py:score');
    press('Remove Reward');
    expect(said()).toBeUndefined();
  });
});

test('what the kernel cannot open is said', () => {
  open();
  cleanup();
  const { view } = open({}, { cell: '1 + 1' });
  view.refuse(`The cell is none ${DANGER}`);
  expect(screen.getByRole('alert').textContent).toBe('The cell is none <img src=x onerror="alert(1)">');
});
