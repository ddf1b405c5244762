/** A dataset with its report and preview, for tests to vary, and ways to what is on the screen. */
import { fireEvent, render, screen } from '@testing-library/react';
import { vi } from 'vitest';

import { DatasetView } from '../../labextension/src/widget/DatasetView';
import type { DatasetRow, DatasetTraits, Finding, Preview, Report } from '../../labextension/src/widget/model';
import { ShellContext, type Shell } from '../../labextension/src/widget/shell';
import { TestModel } from './models';

export const DANGER = '<img src=x onerror=alert(1)>';
export const NEAR: Finding = {
  kind: 'near-duplicate',
  severity: 'warning',
  field: null,
  count: 163,
  rows: [17, 230],
  message: '163 rows have a prompt that is nearly that of an earlier row.',
  fix: 'drop-near-duplicates'
};
export const NULLS: Finding = {
  kind: 'null',
  severity: 'fault',
  field: 'rejected',
  count: 2,
  rows: [7, 19],
  message: "pairs.csv, row 7: 'rejected' is null. Give it a text, or leave the row out.",
  fix: 'drop-faulty'
};

export const datasetRow = (changes: Partial<DatasetRow> = {}): DatasetRow => ({
  name: 'human-like',
  version: 2,
  versions: [2, 1],
  technique: 'dpo',
  rows: 1000,
  form: ['prompt', 'chosen', 'rejected'],
  source: 'pairs.jsonl',
  creator: 'ada',
  created: '2026-03-16T11:00:00+00:00',
  warnings: 0,
  ...changes
});

export const report = (changes: Partial<Report> = {}): Report => ({
  rows: 1000,
  faulty: 0,
  technique: 'dpo',
  form: ['prompt', 'chosen', 'rejected'],
  mapping: {
    name: "tunelab's own form",
    columns: [
      ['prompt', 'prompt'],
      ['chosen', 'chosen'],
      ['rejected', 'rejected']
    ]
  },
  findings: [],
  fixed: {},
  classes: null,
  ...changes
});

export const preview = (changes: Partial<Preview> = {}): Preview => ({
  model: 'smollm2-135m',
  technique: 'dpo',
  max_length: 64,
  rows: 1000,
  measured: 1000,
  lengths: {
    bins: [
      [10, 40, 900],
      [40, 70, 100]
    ],
    median: 21,
    longest: 69,
    cut_rows: 3,
    cut_tokens: 12
  },
  end_of_turn: '<|im_end|>',
  trains_end: true,
  untrained_rows: 0,
  problem: null,
  examples: [
    {
      row: 1,
      sequences: [
        {
          label: 'chosen',
          tokens: [
            ['<|im_start|>', 0, 1],
            ['user↵\n', 0, 0],
            [' Hi', 0, 0],
            [' there', 1, 0],
            ['<|im_end|>', 1, 1]
          ],
          length: 7,
          trained: 2,
          cut: 2
        }
      ]
    }
  ],
  ...changes
});

export function traits(changes: Partial<DatasetTraits> = {}): DatasetTraits {
  return {
    dataset: { ...datasetRow(), digest: '9f86d081884c7d659a2f', uses: [] },
    report: report(),
    cell: '%%customize\nname: human-like\n',
    models: ['smollm2-135m', 'chatty'],
    preview: null,
    busy: null,
    ...changes
  };
}

/** A dataset's model that knows what rows were asked for. */
export class RowsModel extends TestModel<DatasetTraits> {
  /** The places that were asked for first in each page. */
  get asked(): number[] {
    return this.sent.flatMap(command => (command.type === 'rows' ? [command.first] : []));
  }
}

/** Draws a dataset, in a host or without. */
export function showDataset(changes: Partial<DatasetTraits> = {}, host: Shell | null = null) {
  const model = new RowsModel(traits(changes));
  const onDeleted = vi.fn();
  render(
    <ShellContext.Provider value={host}>
      <DatasetView model={model} shell={host} canOpenTab onDeleted={onDeleted} />
    </ShellContext.Provider>
  );
  return { model, onDeleted };
}

export const button = (name: string | RegExp) => screen.getByRole<HTMLButtonElement>('button', { name });
export const select = (name: string) => screen.getByRole<HTMLSelectElement>('combobox', { name });
export const choose = (name: string, value: string) => fireEvent.change(select(name), { target: { value } });
export const text = (node: Element) => node.textContent?.replaceAll('\u00a0', ' ') ?? '';
