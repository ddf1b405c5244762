import { cleanup, fireEvent, render, screen, within } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { DatasetList } from '../../labextension/src/widget/DatasetList';
import { fixedSentence, lengthSentence, reportSentence } from '../../labextension/src/widget/datasets';
import type { DatasetRow, DatasetsTraits, Preview, Report } from '../../labextension/src/widget/model';
import { button, choose, datasetRow, NEAR, NULLS, preview, report, showDataset, text, traits } from './dataset';
import { TestModel } from './models';
import { TestShell } from './shell';

let shell: TestShell;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.parse('2026-03-16T12:00:00Z') });
  shell = new TestShell();
});

afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

describe('the list of datasets', () => {
  function show(datasets: DatasetRow[], open: string | null = null) {
    const model = new TestModel<DatasetsTraits>({ datasets });
    const onOpen = vi.fn();
    const view = render(<DatasetList model={model} shell={shell} open={open} onOpen={onOpen} />);
    return { model, onOpen, view };
  }
  const rows = () => within(screen.getByRole('list', { name: 'Datasets' })).queryAllByRole('button');

  test('keeps the order in which the datasets are given, and follows it', () => {
    const { model } = show([datasetRow(), datasetRow({ name: 'gsm8k' })]);
    expect(rows().map(row => row.dataset.dataset)).toEqual(['human-like@2', 'gsm8k@2']);
    model.update({ datasets: [datasetRow({ name: 'poems', version: 1 })] });
    expect(rows().map(row => row.dataset.dataset)).toEqual(['poems@1']);
  });

  test.each<[Partial<DatasetRow>, string]>([
    [{}, 'human-like@22 versionsDPO · 1,000 rows · 11:00pairs.jsonl'],
    [{ versions: [2], warnings: 1, rows: 1 }, 'human-like@2DPO · 1 row · 11:00pairs.jsonl1 warning'],
    [
      { versions: [2], technique: 'evaluation', created: '2026-03-15T11:00:00+00:00' },
      'human-like@2Evaluation · 1,000 rows · yesterdaypairs.jsonl'
    ],
    [{ versions: [2], created: '2025-03-15T11:00:00+00:00' }, 'human-like@2DPO · 1,000 rows · 15 Mar 2025pairs.jsonl']
  ])('shows %j as %s', (changes, expected) => {
    show([datasetRow(changes)]);
    expect(rows().map(text)).toEqual([expected]);
  });

  test('without datasets says how to create one, and has nothing to filter', () => {
    show([]);
    expect(screen.getByText('No datasets yet.')).toBeTruthy();
    expect(screen.queryByRole('searchbox')).toBeNull();
  });

  test.each([
    ['', 2],
    [' GSM ', 1],
    ['rlvr', 1],
    ['ada', 2],
    ['.*', 0]
  ])('filtered by %j shows %d', (wanted, shown) => {
    show([datasetRow(), datasetRow({ name: 'gsm8k', technique: 'rlvr' })]);
    fireEvent.change(screen.getByRole('searchbox', { name: 'Filter the datasets' }), { target: { value: wanted } });
    expect(rows()).toHaveLength(shown);
    expect(screen.queryByText(`No dataset matches “${wanted}”.`) !== null).toBe(shown === 0);
  });

  test('opens a version in its place, and goes back', () => {
    const { model, onOpen, view } = show([datasetRow()]);
    fireEvent.click(rows()[0]!);
    expect(onOpen).toHaveBeenLastCalledWith('human-like@2');
    view.rerender(<DatasetList model={model} shell={shell} open="human-like@2" onOpen={onOpen} />);
    expect(screen.getByText('Reading the report…')).toBeTruthy();
    shell.datasets[0]!.update(traits());
    expect(screen.getByRole('region', { name: 'Dataset human-like@2' })).toBeTruthy();
    choose('Version', '1');
    expect(onOpen).toHaveBeenLastCalledWith('human-like@1');
    fireEvent.click(button('‹ All datasets'));
    expect(onOpen).toHaveBeenLastCalledWith(null);
    view.unmount();
    expect(shell.datasets.map(({ closed }) => closed)).toEqual([true]);
  });

  test('comes back when the version is deleted', () => {
    const { model } = show([datasetRow()], 'human-like@1');
    expect(screen.queryByRole('list', { name: 'Datasets' })).toBeNull();
    model.update({ datasets: [datasetRow({ versions: [2] })] });
    expect(rows()).toHaveLength(1);
    expect(shell.datasets[0]!.closed).toBe(true);
  });

  test('says why a version cannot be opened', () => {
    show([datasetRow()], 'human-like@2');
    shell.datasets[0]!.refuse('There is no human-like@2.');
    expect(screen.getByText('There is no human-like@2.')).toBeTruthy();
  });
});

describe('a dataset', () => {
  test('has what is known of it', () => {
    showDataset({ dataset: { ...datasetRow(), digest: '9f86d081884c7d659a2f', uses: ['chatty@1'] } });
    const view = screen.getByRole('region', { name: 'Dataset human-like@2' });
    const facts = [...view.querySelectorAll('dl > div')].map(each => text(each));
    expect(facts).toEqual([
      'Sourcepairs.jsonl',
      'Created16 Mar, 11:00',
      'Byada',
      'Digest9f86d081884c',
      'Used bychatty@1'
    ]);
    expect(within(view).getByText('DPO · 1,000 rows')).toBeTruthy();
  });

  test('opens in a tab, as another version, and as a cell', async () => {
    shell.refused = 'There are no notebooks here.';
    showDataset({}, shell);
    fireEvent.click(button('Open as tab'));
    choose('Version', '1');
    fireEvent.click(button('Customize…'));
    expect(await screen.findByText('There are no notebooks here.')).toBeTruthy();
    expect(shell.asked).toEqual([
      ['dataset tab', 'human-like@2'],
      ['dataset tab', 'human-like@1'],
      ['cell', '%%customize\nname: human-like\n']
    ]);
  });

  test('for evaluation has no cell, and outside JupyterLab there is no tab', () => {
    showDataset({ cell: null });
    const actions = ['Delete', 'Preview', 'Customize…', 'Copy as cell', 'Open as tab'];
    expect(actions.map(name => screen.queryByRole('button', { name }) !== null)).toEqual([
      true,
      true,
      false,
      false,
      false
    ]);
    expect(screen.queryByRole('combobox', { name: 'Version' })).toBeNull();
  });

  test('is deleted once that was asked for twice', () => {
    const { model, onDeleted } = showDataset({}, shell);
    fireEvent.click(button('Delete'));
    expect(document.activeElement).toBe(button('Keep'));
    fireEvent.click(button('Keep'));
    expect(model.sent.filter(({ type }) => type === 'delete')).toEqual([]);
    expect(document.activeElement).toBe(button('Delete'));
    fireEvent.click(button('Delete'));
    fireEvent.click(button('Delete'));
    expect(model.sent.filter(({ type }) => type === 'delete')).toEqual([{ type: 'delete' }]);
    model.message({ type: 'deleted' });
    expect(onDeleted).toHaveBeenCalledOnce();
    expect(screen.getByRole('status').textContent).toBe('human-like@2 was deleted.');
  });

  test('says why it is not deleted', () => {
    const { model } = showDataset({}, shell);
    model.notice('human-like@2 stays: chatty@1 was trained on it.');
    expect(screen.getByText('human-like@2 stays: chatty@1 was trained on it.')).toBeTruthy();
    fireEvent.click(button('Close this notice'));
    expect(screen.queryByText('human-like@2 stays: chatty@1 was trained on it.')).toBeNull();
  });
});

describe('the report', () => {
  const findings = () => within(screen.getByRole('list', { name: 'Findings' })).getAllByRole('listitem');

  test.each<[Partial<Report>, string]>([
    [{}, '1,000 rows, and all can be used.'],
    [{ rows: 1 }, '1 row, and it can be used.'],
    [{ faulty: 3 }, '3 of 1,000 rows cannot be used.'],
    [{ faulty: 1000 }, 'None of the 1,000 rows can be used.'],
    [{ rows: 1, faulty: 1 }, 'The only row cannot be used.']
  ])('%j: %s', (changes, sentence) => {
    expect(reportSentence(report(changes))).toBe(sentence);
  });

  test.each([
    ['drop-faulty', 1, '1 row left out that cannot be used.'],
    ['drop-duplicates', 2, '2 rows left out that repeat an earlier one.'],
    ['drop-near-duplicates', 163, '163 rows left out that nearly repeat an earlier one.'],
    ['drop-contradictions', 2, '2 rows left out that contradict an earlier one.'],
    ['redact', 4, '4 rows changed: secrets and addresses were put out.']
  ])('%s of %d: %s', (fix, rows, sentence) => {
    expect(fixedSentence(fix, rows)).toBe(sentence);
  });

  test('has faults and warnings with their first rows, and no choice of fixes', () => {
    showDataset({ report: report({ faulty: 2, findings: [NULLS, NEAR], fixed: { 'drop-duplicates': 5 } }) });
    expect(findings().map(text)).toEqual([
      `Fault: ${NULLS.message}2 rows: 7, 19`,
      `Warning: ${NEAR.message}Rows 17, 230, …`
    ]);
    expect(screen.getByText('5 rows left out that repeat an earlier one.')).toBeTruthy();
    expect(screen.queryByRole('checkbox')).toBeNull();
  });

  test('shows what is mapped, and only that', () => {
    const mapping = {
      name: 'text and label',
      columns: [
        ['prompt', 'text'],
        ['chosen', 'chosen']
      ] as const
    };
    showDataset({ report: report({ mapping }) });
    expect(screen.getByText('Mapped from text and label:')).toBeTruthy();
    const shown = within(screen.getByRole('list', { name: 'Mapping' })).getAllByRole('listitem');
    expect(shown.map(text)).toEqual(['prompt ← text']);
  });

  test('draws the most frequent classes, and all when asked', () => {
    showDataset({ report: report({ classes: Array.from({ length: 10 }, (_, n) => [`class ${n}`, 200 - 20 * n]) }) });
    const shown = () => within(screen.getByRole('list', { name: 'Classes' })).getAllByRole('listitem');
    expect(shown()).toHaveLength(8);
    expect(shown()[1]!.querySelector<HTMLElement>('.tunelab-class-bar > span')!.style.width).toBe('90%');
    fireEvent.click(button('Show all 10 classes'));
    expect(shown().map(text)).toContain('class 920');
  });
});

describe('the preview', () => {
  test('is asked for of the model that is chosen', () => {
    const { model } = showDataset();
    choose('Model', 'chatty');
    fireEvent.click(button('Preview'));
    expect(model.sent).toContainEqual({ type: 'preview', model: 'chatty' });
    model.update({ busy: 'Looking at the rows…' });
    expect(button('Preview').disabled).toBe(true);
    const here = button('Preview').closest<HTMLElement>('.tunelab-preview')!;
    expect(within(here).getByText('Looking at the rows…')).toBeTruthy();
    model.update({ busy: null });
    model.notice('chatty has no tokenizer.');
    expect(within(here).getByText('chatty has no tokenizer.')).toBeTruthy();
    fireEvent.click(button('Preview'));
    expect(screen.queryByText('chatty has no tokenizer.')).toBeNull();
  });

  test('draws what is trained on, special tokens and line ends', () => {
    showDataset({ preview: preview() });
    const tokens = screen.getByRole('group', { name: 'Tokens of row 1, chosen' });
    expect(text(tokens)).toBe('<|im_start|>user↵\n Hi there<|im_end|>2 tokens cut off');
    expect([...tokens.querySelectorAll('mark')].map(text)).toEqual([' there<|im_end|>']);
    expect([...tokens.querySelectorAll('.tunelab-special')].map(text)).toEqual(['<|im_start|>', '<|im_end|>']);
    expect(screen.getByText('7 tokens, 2 trained on, 2 cut off')).toBeTruthy();
  });

  test('draws how long rows are, with the cut', () => {
    showDataset({ preview: preview() });
    const drawn = screen.getByRole('img', { name: 'Lengths of rows: 10 to 69 tokens, cut at 64' });
    expect([...drawn.querySelectorAll('rect')].map(text)).toEqual([
      '10 to 39 tokens: 900 rows',
      '40 to 69 tokens: 100 rows'
    ]);
    expect(drawn.querySelector('line')!.getAttribute('x1')).toBe('432');
  });

  test.each<[string, Partial<Preview>, string]>([
    [
      'some are cut',
      {},
      'A row has 21 tokens (median), the longest 69. 3 rows are longer than 64 tokens, and 12 tokens of them are cut off.'
    ],
    ['no limit', { max_length: null }, 'A row has 21 tokens (median), the longest 69.'],
    [
      'none is cut',
      { lengths: { ...preview().lengths, cut_rows: 0, cut_tokens: 0 } },
      'A row has 21 tokens (median), the longest 69. None is longer than 64 tokens, so nothing is cut off.'
    ]
  ])('says of the lengths where %s', (_title, changes, sentence) => {
    expect(lengthSentence(preview(changes))).toBe(sentence);
  });

  test('warns of what cannot be trained on', () => {
    const problem = 'the template masks all tokens.';
    showDataset({ preview: preview({ problem, trains_end: false, untrained_rows: 1, notes: ['packing joins rows'] }) });
    const said = ['<|im_end|> ends a turn and is not trained on.', '1 row has no token that is trained on.'];
    for (const sentence of [problem, ...said, 'Packing joins rows.']) {
      expect(screen.getByText(sentence)).toBeTruthy();
    }
  });

  test('shows the beginning of long rows, and all when asked', () => {
    const tokens = Array.from({ length: 700 }, (_, n) => [` ${n}`, 0, 0] as const);
    const long = [{ row: 3, sequences: [{ label: '', tokens, length: 700, trained: 0, cut: 0 }] }];
    showDataset({ preview: preview({ examples: long }) });
    const shown = () => screen.getByRole('group', { name: 'Tokens of row 3' }).querySelectorAll('.tunelab-token');
    expect(shown()).toHaveLength(600);
    fireEvent.click(button('Show all 700 tokens'));
    expect(shown()).toHaveLength(700);
  });
});
