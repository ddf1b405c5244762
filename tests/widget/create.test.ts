import type { Contents, KernelSpec } from '@jupyterlab/services';
import { expect, test } from 'vitest';

import { createNotebook, pythonKernel } from '../../labextension/src/create';
import { customizationNotebook } from '../../labextension/src/notebook';

/** A folder's contents, as far as creating a notebook asks for them. */
function folder(...names: string[]): { contents: Contents.IManager; saved: string[] } {
  const saved: string[] = [];
  const contents = {
    get: () => Promise.resolve({ content: names.map(name => ({ name })) }),
    save: (path: string) => {
      saved.push(path);
      return Promise.resolve();
    }
  };
  return { contents: contents as unknown as Contents.IManager, saved };
}

test.each([
  ['', [], 'customize.ipynb'],
  ['', ['customize.ipynb'], 'customize-1.ipynb'],
  ['deep/down', ['customize.ipynb'], 'deep/down/customize-1.ipynb']
])('in folder %j beside %j the notebook is saved as %s', async (path, names, expected) => {
  const { contents, saved } = folder(...names);
  expect(await createNotebook(contents, path, customizationNotebook('m'))).toBe(expected);
  expect(saved).toEqual([expected]);
});

test.each([
  ['python3', ['python3', 'julia', 'python-gpu'], 'python3'],
  ['python-gpu', ['python3', 'python-gpu'], 'python-gpu'],
  ['julia', ['julia', 'python3'], 'python3'],
  ['julia', ['julia'], undefined]
])('with the default %s among %j the kernel is %s', (preferred, names, expected) => {
  const kernelspecs = Object.fromEntries(names.map(name => [name, { name, language: name.split(/[-\d]/)[0] }]));
  const specs = { default: preferred, kernelspecs } as unknown as KernelSpec.ISpecModels;
  expect(pythonKernel(specs)?.name).toBe(expected);
});

test('without kernels there is none to choose', () => {
  expect(pythonKernel(null)).toBeUndefined();
});
