import { expect, test, vi } from 'vitest';

// JupyterLab's file browser draws as it loads; only names are asked for here.
vi.mock('@jupyterlab/filebrowser', () => ({}));
vi.mock('../../labextension/src/createdialog', () => ({}));

import { isDataFile, kernelPath } from '../../labextension/src/datasets';

test.each([
  ['rows.csv', '/home/ada', '/home/ada/rows.csv'],
  ['deep/rows.csv', '/home/ada/', '/home/ada/deep/rows.csv'],
  ['/rows.csv', '/', '/rows.csv'],
  ['rows.csv', '~/work', '~/work/rows.csv'],
  ['deep/rows.csv', '', 'deep/rows.csv']
])('%s below %j is %s for the kernel', (path, root, expected) => {
  expect(kernelPath(path, root)).toBe(expected);
});

test.each([
  ['rows.jsonl', true],
  ['rows.JSON', true],
  ['a.b.csv', true],
  ['rows.tsv', true],
  ['rows.parquet', true],
  ['rows.txt', false],
  ['csv', false],
  ['rows.csv.gz', false]
])('a dataset can be made from %s: %j', (name, expected) => {
  expect(isDataFile(name)).toBe(expected);
});
