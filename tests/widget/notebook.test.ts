import { describe, expect, test } from 'vitest';

import { customizationNotebook, DEFAULT_MODEL, notebookWith, unusedName } from '../../labextension/src/notebook';

const cells = (model: string) => customizationNotebook(model).cells.map(cell => cell.source as string);

describe('a customization notebook', () => {
  test('says what it does, loads the extension, customizes, and lists the jobs', () => {
    const [intro, ...code] = cells(DEFAULT_MODEL);
    expect(intro).toMatch(/^# Customize a model\n/);
    expect(code).toEqual([
      '%load_ext tunelab',
      '%%customize\n' +
        'name: my-model\n' +
        'model: smollm2-135m\n' +
        'technique: dpo\n' +
        'dataset: pairs.jsonl  # prompt, chosen, rejected',
      'import tunelab as tl\n\ntl.jobs()'
    ]);
  });

  test.each([
    ['HuggingFaceTB/SmolLM2-360M', 'model: HuggingFaceTB/SmolLM2-360M'],
    ['chatty@2', 'model: chatty@2'],
    ['../models/mine', 'model: "../models/mine"'],
    ['C: odd # name', 'model: "C: odd # name"'],
    ['two\nlines', 'model: "two\\nlines"']
  ])('writes the model %j as YAML', (model, line) => {
    expect(cells(model)[2]?.split('\n')[2]).toBe(line);
  });

  test('is bound to the kernel it is given, and to none without', () => {
    const kernel = { name: 'python3', display_name: 'Python 3 (ipykernel)' };
    expect(customizationNotebook('m', kernel).metadata).toEqual({ kernelspec: kernel });
    expect(customizationNotebook('m').metadata).toEqual({});
  });

  test('has cells with ids, as nbformat 4.5 wants', () => {
    const { nbformat, nbformat_minor, cells } = customizationNotebook('m');
    expect([nbformat, nbformat_minor]).toEqual([4, 5]);
    expect(new Set(cells.map(cell => cell.id)).size).toBe(cells.length);
  });
});

test('a notebook with a cell of a dataset loads the extension and has that cell', () => {
  const cell = '%%customize\nname: chatty\nmodel: smollm2-135m\ntechnique: dpo\ndataset: human-like@2\n';
  const code = notebookWith(cell).cells.filter(each => each.cell_type === 'code');
  expect(code.map(each => each.source)).toEqual([
    '%load_ext tunelab',
    cell.trimEnd(),
    'import tunelab as tl\n\ntl.jobs()'
  ]);
});

test.each<[string[], string]>([
  [[], 'customize.ipynb'],
  [['other.ipynb', 'customize-1.ipynb'], 'customize.ipynb'],
  [['customize.ipynb'], 'customize-1.ipynb'],
  [['customize.ipynb', 'customize-1.ipynb', 'customize-3.ipynb'], 'customize-2.ipynb'],
  [['Customize.ipynb'], 'customize-1.ipynb']
])('beside %j the new one is %s', (taken, name) => {
  expect(unusedName(taken)).toBe(name);
});
