/** Writes a new notebook through JupyterLab's contents service. */
import { PathExt } from '@jupyterlab/coreutils';
import type { INotebookContent } from '@jupyterlab/nbformat';
import type { Contents, KernelSpec } from '@jupyterlab/services';

import { unusedName } from './notebook';

/**
 * Saves a new notebook in `folder` and returns its path.
 *
 * @throws a server response error when the folder cannot be read or written
 */
export async function createNotebook(
  contents: Contents.IManager,
  folder: string,
  content: INotebookContent
): Promise<string> {
  const listing = await contents.get(folder, { content: true });
  const siblings = listing.content as Contents.IModel[];
  const path = PathExt.join(folder, unusedName(siblings.map(file => file.name)));
  await contents.save(path, { type: 'notebook', format: 'json', content });
  return path;
}

/** The Python kernel to use: the server's default if it is one, else the first. */
export function pythonKernel(specs: KernelSpec.ISpecModels | null): KernelSpec.ISpecModel | undefined {
  const all = Object.values(specs?.kernelspecs ?? {}).filter(spec => spec?.language === 'python');
  return all.find(spec => spec?.name === specs?.default) ?? all[0];
}
