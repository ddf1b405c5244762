import { act, cleanup, fireEvent, render, screen, waitFor, within } from '@testing-library/react';
import { useState } from 'react';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import {
  commandOf,
  EMPTY,
  faultOf,
  marked,
  type MetricPage,
  type MetricRow,
  type MetricsTraits
} from '../../labextension/src/widget/judgemetrics';
import { MetricsPlace, type MetricsState } from '../../labextension/src/widget/MetricsPlace';
import { KeptContext } from '../../labextension/src/widget/route';
import { button, choose, DANGER, text } from './dataset';
import { TestModel } from './models';

const NOW = Date.parse('2026-03-16T12:00:00Z');
const WARM = 'Is this warm?\n{{prompt}}\n{{ prediction }}';

const row = (changes: Partial<MetricRow> = {}): MetricRow => ({
  name: 'warm',
  version: 2,
  versions: [2, 1],
  builtin: false,
  scale: '0 < 1.5 < 3',
  categorical: false,
  ground_truth: false,
  created: '2026-03-16T11:00:00+00:00',
  asks: 'Is this warm? {{prompt}} {{ prediction }}',
  ...changes
});
const REFUSAL = row({
  name: 'refusal',
  version: 1,
  versions: [1],
  builtin: true,
  created: null,
  asks: 'Does it refuse?'
});

const page = (changes: Partial<MetricPage> = {}): MetricPage => ({
  metric: 'warm@2',
  instructions: WARM,
  ratings: [
    { definition: 'cold', value: 0, counts: 0 },
    { definition: 'warm', value: 1.5, counts: 1.5 }
  ],
  created: '2026-03-16T11:00:00+00:00',
  cell: '%%evaluate\n',
  python: 'tl.Metric.create()\n',
  json: '{"customMetricDefinition": {}}',
  ...changes
});

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: NOW });
});

afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

/** The place with its state above it, as the panel has it; `isThere` is whether there is a kernel. */
function show(metrics: MetricRow[] = [row(), REFUSAL], traits: Partial<MetricsTraits> = {}) {
  const model = new TestModel<MetricsTraits>({ metrics, trouble: null, ...traits });
  let setThere: (isThere: boolean) => void = () => undefined;
  function Panel() {
    const [state, setState] = useState<MetricsState>({ open: null, draft: null });
    const [isThere, set] = useState(true);
    setThere = set;
    return isThere ? <MetricsPlace model={model} state={state} onState={setState} /> : null;
  }
  render(
    <KeptContext.Provider value={new Map()}>
      <Panel />
    </KeptContext.Provider>
  );
  return {
    model,
    restart: () => {
      for (const isThere of [false, true]) {
        act(() => {
          setThere(isThere);
        });
      }
    }
  };
}

const rows = () => within(screen.getByRole('list', { name: 'Metrics' })).queryAllByRole('button');
const field = (name: string) => screen.getByRole<HTMLInputElement>('textbox', { name });
const type = (name: string, value: string) => fireEvent.change(field(name), { target: { value } });
const values = (part: string) =>
  screen
    .getAllByRole<HTMLInputElement>('textbox', { name: new RegExp(`^${part} of rating`) })
    .map(({ value }) => value);

describe('the list of metrics', () => {
  test('has their versions, where they are from, what they need and their scale', () => {
    show([row({ ground_truth: true }), REFUSAL]);
    expect(rows().map(text)).toEqual([
      'warm@22 versionsYours · needs ground truth · 11:000 < 1.5 < 3',
      'refusal@1Built in0 < 1.5 < 3'
    ]);
  });

  test.each([
    ['', 2],
    [' WARM@2', 1],
    ['built in', 1],
    ['yours', 1],
    ['refuse', 1],
    ['.*', 0]
  ])('filtered by %j shows %d', (wanted, shown) => {
    show();
    fireEvent.change(screen.getByRole('searchbox', { name: 'Filter the metrics' }), { target: { value: wanted } });
    expect(rows()).toHaveLength(shown);
    expect(screen.queryByText(`No metric matches “${wanted}”.`) !== null).toBe(shown === 0);
  });

  test('says why it cannot be read, and that it can again', () => {
    const { model } = show([REFUSAL], { trouble: 'The index cannot be read.' });
    expect(screen.getByRole('alert').textContent).toBe('The index cannot be read.');
    model.update({ trouble: null });
    expect(screen.queryByRole('alert')).toBeNull();
  });
});

describe('a metric', () => {
  function open(changes: Partial<MetricPage> = {}, metrics?: MetricRow[]) {
    const shown = show(metrics);
    fireEvent.click(rows()[0]!);
    const wanted = page(changes);
    expect(shown.model.sent).toEqual([{ type: 'metric', metric: wanted.metric }]);
    shown.model.message({ type: 'metric', ...wanted });
    return shown;
  }
  const region = (name = 'Metric warm@2') => screen.getByRole('region', { name });

  test('is shown as text, with its placeholders marked and its scale as a table', () => {
    open({ instructions: `${DANGER} \u001b[31m${WARM}`, ratings: [{ definition: DANGER, value: null, counts: 0 }] });
    expect(region().querySelector('img')).toBeNull();
    expect([...region().querySelectorAll('mark')].map(text)).toEqual(['{{prompt}}', '{{ prediction }}']);
    const instructions = within(region()).getByRole('group', { name: 'Instructions' });
    expect(text(instructions)).toBe(`${DANGER} \\x1b[31m${WARM}`);
    const table = within(region()).getByRole('table', { name: 'Scale' });
    expect(within(table).getAllByRole('row').map(text)).toEqual(['CountsDefinition', `0${DANGER}`]);
    expect(text(region())).toContain('RepliesWords, which count in their order');
    expect(text(region())).toContain('NeedsNo ground truth');
  });

  test('has its other versions, and the way back', () => {
    const { model } = open();
    choose('Version', '1');
    expect(model.sent.at(-1)).toEqual({ type: 'metric', metric: 'warm@1' });
    model.message({ type: 'metric', ...page({ metric: 'warm@2', instructions: 'late' }) });
    expect(screen.getByText('Reading the metric…')).toBeTruthy();
    model.message({ type: 'metric_refused', asked: 'metric', metric: 'warm@1', reason: 'There is no warm@1.' });
    expect(screen.getByText('There is no warm@1.')).toBeTruthy();
    fireEvent.click(button('‹ All metrics'));
    expect(rows()).toHaveLength(2);
    expect(document.activeElement).toBe(rows()[0]);
  });

  test('is copied as a cell and as Python, and saved as JSON', async () => {
    const copied: string[] = [];
    vi.stubGlobal('navigator', { clipboard: { writeText: (each: string) => Promise.resolve(copied.push(each)) } });
    const blobs: Blob[] = [];
    const made = vi.spyOn(URL, 'createObjectURL').mockImplementation(blob => `blob:${blobs.push(blob as Blob)}`);
    const saved: string[] = [];
    const click = vi.spyOn(HTMLAnchorElement.prototype, 'click').mockImplementation(function (this: HTMLAnchorElement) {
      saved.push(this.download);
    });
    open();
    fireEvent.click(button('Copy as cell'));
    fireEvent.click(button('Copy as Python'));
    await screen.findAllByText('Copied');
    fireEvent.click(button('Save as JSON'));
    expect(copied).toEqual(['%%evaluate\n', 'tl.Metric.create()\n']);
    expect(saved).toEqual(['warm.json']);
    const reader = new FileReader();
    const read = new Promise(resolve => (reader.onload = resolve));
    reader.readAsText(blobs[0]!);
    await read;
    expect(reader.result).toBe(page().json);
    made.mockRestore();
    click.mockRestore();
    vi.unstubAllGlobals();
  });

  test('begins its next version, whose name stays', () => {
    const { model } = open();
    fireEvent.click(button('New version'));
    expect(screen.getByRole('form', { name: 'New version of warm' })).toBeTruthy();
    expect(screen.queryByRole('textbox', { name: 'Name' })).toBeNull();
    expect(field('Instructions').value).toBe(WARM);
    expect([values('Definition'), values('Value')]).toEqual([
      ['cold', 'warm'],
      ['0', '1.5']
    ]);
    type('Instructions', `${WARM}!`);
    fireEvent.click(button('Create version'));
    expect(model.sent.at(-1)).toEqual({
      type: 'keep_metric',
      name: 'warm',
      instructions: `${WARM}!`,
      rating_scale: [
        { definition: 'cold', value: 0 },
        { definition: 'warm', value: 1.5 }
      ]
    });
  });

  test('that is built in begins a metric of another name', () => {
    open({ metric: 'refusal@1', created: null, ratings: [{ definition: 'it refuses', value: null, counts: 0 }] }, [
      REFUSAL
    ]);
    expect(text(region('Metric refusal@1'))).not.toContain('Created');
    fireEvent.click(button('New metric from it'));
    expect(field('Name').value).toBe('');
    expect(screen.getByRole<HTMLInputElement>('checkbox', { name: /^Words only/ }).checked).toBe(true);
    fireEvent.click(button('Cancel'));
    expect(screen.getByText('Reading the metric…')).toBeTruthy();
  });
});

describe('a new metric', () => {
  function write() {
    const shown = show();
    fireEvent.click(button('New metric'));
    return shown;
  }

  test('gets placeholders where the caret is', () => {
    write();
    type('Instructions', 'Compare  with it.');
    const area = screen.getByRole<HTMLTextAreaElement>('textbox', { name: 'Instructions' });
    area.setSelectionRange(8, 8);
    fireEvent.click(button('Insert {{prediction}}'));
    expect(area.value).toBe('Compare {{prediction}} with it.');
    expect([document.activeElement, area.selectionStart, area.selectionEnd]).toEqual([area, 22, 22]);
    area.setSelectionRange(28, 30);
    fireEvent.click(button('Insert {{ground_truth}}'));
    expect(area.value).toBe('Compare {{prediction}} with {{ground_truth}}.');
  });

  test('has a scale whose ratings come, go and move, and the focus goes along', () => {
    write();
    for (const [place, word] of ['cold', 'mild', 'warm'].entries()) {
      type(`Definition of rating ${place + 1}`, word);
    }
    fireEvent.click(button('Add a rating'));
    expect(document.activeElement).toBe(field('Definition of rating 4'));
    type('Definition of rating 4', 'hot');
    fireEvent.click(button('Move rating 4 up'));
    expect(values('Definition')).toEqual(['cold', 'mild', 'hot', 'warm']);
    expect(document.activeElement).toBe(button('Move rating 3 up'));
    fireEvent.click(button('Move rating 2 up'));
    expect(document.activeElement).toBe(field('Definition of rating 1'));
    expect(button('Move rating 1 up').disabled).toBe(true);
    fireEvent.click(button('Remove rating 3'));
    expect([values('Definition'), values('Value')]).toEqual([
      ['mild', 'cold', 'warm'],
      ['2', '1', '3']
    ]);
    expect(document.activeElement).toBe(button('Remove rating 3'));
  });

  test('of words alone sends no values, and has them again', () => {
    const { model } = write();
    fireEvent.click(screen.getByRole('checkbox', { name: /^Words only/ }));
    expect(screen.queryByRole('textbox', { name: 'Value of rating 1' })).toBeNull();
    type('Name', 'mine');
    fireEvent.click(button('Create metric'));
    expect(model.sent.at(-1)).toMatchObject({
      name: 'mine',
      rating_scale: [{ definition: '' }, { definition: '' }, { definition: '' }]
    });
    fireEvent.click(screen.getByRole('checkbox', { name: /^Words only/ }));
    expect(values('Value')).toEqual(['1', '2', '3']);
  });

  test('that is refused is told at its field, and nothing typed is lost', () => {
    const { model, restart } = write();
    type('Name', 'mine');
    type('Value of rating 2', '1,5');
    fireEvent.click(button('Create metric'));
    expect(screen.getByRole('form').getAttribute('aria-busy')).toBe('true');
    expect(button('Create metric').disabled).toBe(true);
    const reason = "The metric 'mine': rating_scale.2.value: a value is a number (got '1,5').";
    model.message({ type: 'metric_refused', asked: 'keep_metric', reason });
    expect(screen.getByRole('alert').textContent).toBe(reason);
    const fault = field('Value of rating 2');
    expect(fault.getAttribute('aria-invalid')).toBe('true');
    expect(document.getElementById(fault.getAttribute('aria-describedby')!)!.textContent).toBe(reason);
    expect(button('Create metric').disabled).toBe(false);
    restart();
    expect([field('Name').value, field('Value of rating 2').value]).toEqual(['mine', '1,5']);
  });

  test('opens once it was kept, with what there is to know of it', () => {
    const { model } = write();
    type('Name', 'warm');
    expect(screen.getByText('warm is there already: this becomes version 3.')).toBeTruthy();
    fireEvent.click(button('Create metric'));
    const notes = ['This is what warm@1 said already, so no version was added.'];
    model.message({ type: 'metric_kept', metric: 'warm@1', asked: 'keep_metric', notes });
    expect(screen.queryByRole('form')).toBeNull();
    expect(screen.getByText(notes[0]!)).toBeTruthy();
    expect(model.sent.at(-1)).toEqual({ type: 'metric', metric: 'warm@1' });
  });

  test('is dropped once that was asked for twice, if anything was typed', () => {
    write();
    fireEvent.click(button('Cancel'));
    expect(rows()).toHaveLength(2);
    expect(document.activeElement).toBe(button('New metric'));
    fireEvent.click(button('New metric'));
    type('Name', 'mine');
    fireEvent.click(button('Cancel'));
    expect(document.activeElement).toBe(button('Keep writing'));
    fireEvent.click(button('Keep writing'));
    expect(document.activeElement).toBe(button('Cancel'));
    expect(field('Name').value).toBe('mine');
    fireEvent.click(button('Cancel'));
    fireEvent.click(button('Discard'));
    expect(rows()).toHaveLength(2);
  });
});

describe('a file of JSON', () => {
  const chooseFile = (name: string, bytes: Uint8Array) => {
    // jsdom's files cannot be read by promise.
    const file = Object.assign(new File([bytes.slice().buffer], name), { arrayBuffer: () => Promise.resolve(bytes) });
    fireEvent.change(screen.getByLabelText('JSON file of a metric'), { target: { files: [file] } });
  };
  const utf8 = (content: string) => new TextEncoder().encode(content);

  test('is imported, and of several metrics one is chosen', async () => {
    const { model } = show();
    chooseFile('job.json', utf8('\ufeff{"a": "ü"}'));
    await waitFor(() => {
      expect(model.sent).toEqual([{ type: 'import_metric', file: 'job.json', text: '{"a": "ü"}', name: null }]);
    });
    expect(screen.getByText('Importing job.json…')).toBeTruthy();
    expect(button('Import JSON…').disabled).toBe(true);
    model.message({ type: 'metric_choice', file: 'job.json', names: ['cold', DANGER] });
    const question = screen.getByRole('group', { name: 'job.json holds 2 metrics. Which one?' });
    expect(within(question).getAllByRole('button').map(text)).toEqual(['cold', DANGER, 'None']);
    fireEvent.click(button('cold'));
    expect(model.sent.at(-1)).toEqual({ type: 'import_metric', file: 'job.json', text: '{"a": "ü"}', name: 'cold' });
    model.message({ type: 'metric_kept', metric: 'warm@2', asked: 'import_metric', notes: [] });
    expect(screen.getByText('Reading the metric…')).toBeTruthy();
  });

  test.each<[string, Uint8Array, string]>([
    ['latin.json', Uint8Array.of(0x7b, 0xfc, 0x7d), 'latin.json is not UTF-8 text.'],
    ['large.json', new Uint8Array(2_000_001), 'large.json is too large to be a metric.']
  ])('%s is refused before it is sent', async (name, bytes, reason) => {
    const { model } = show();
    chooseFile(name, bytes);
    expect((await screen.findByRole('alert')).textContent).toBe(reason);
    expect(model.sent).toEqual([]);
  });

  test('that is no metric is refused by its name, and another may be chosen', async () => {
    const { model } = show();
    chooseFile('bad.json', utf8('{}'));
    await screen.findByText('Importing bad.json…');
    model.message({ type: 'metric_refused', asked: 'import_metric', reason: 'bad.json: name: it is missing.' });
    expect(screen.getByRole('alert').textContent).toBe('bad.json: name: it is missing.');
    expect(button('Import JSON…').disabled).toBe(false);
  });

  test('that arrives while a metric is written does not take its place', async () => {
    const { model } = show();
    chooseFile('warm.json', utf8('{}'));
    await screen.findByText('Importing warm.json…');
    fireEvent.click(button('New metric'));
    type('Name', 'mine');
    model.message({ type: 'metric_kept', metric: 'warm@2', asked: 'import_metric', notes: [] });
    expect(field('Name').value).toBe('mine');
  });
});

test.each([
  ["The metric 'a': name: a metric's name has letters.", 'name'],
  ["The metric 'refusal' is built in; give yours another name.", 'name'],
  ["The metric 'a': instructions: they have no {{prediction}}: the judge would score.", 'instructions'],
  ["The metric 'a': rating_scale: it has the value 1 twice.", 'rating_scale'],
  ["The metric 'a': rating_scale.2.value: a value is a number.", 'value-1'],
  ["The metric 'a': rating_scale.10.definition: it says nothing.", 'definition-9'],
  ["MLflow did not take the metric 'a', and it was not kept.", null]
])('%s is about %j', (reason, part) => {
  expect(faultOf(reason)).toBe(part);
});

test.each([
  ['1', 1],
  [' -0.5 ', -0.5],
  ['1e3', 1000],
  ['', ''],
  ['Infinity', 'Infinity'],
  ['1,5', '1,5']
])('a value typed as %j is sent as %j', (value, sent) => {
  const command = commandOf({ ...EMPTY, ratings: [{ key: 0, definition: 'a', value }] });
  expect(command).toMatchObject({ rating_scale: [{ definition: 'a', value: sent }] });
});

test('placeholders are marked, and nothing else in braces', () => {
  const pieces = marked('{{prompt}}{{ prediction }} {prompt} {{other}}');
  expect(pieces.filter(piece => piece.isPlaceholder).map(piece => piece.text)).toEqual([
    '{{prompt}}',
    '{{ prediction }}'
  ]);
  expect(pieces.map(piece => piece.text).join('')).toBe('{{prompt}}{{ prediction }} {prompt} {{other}}');
});
