/** What a new customization notebook holds and what it is called. */
import type { ICodeCell, IMarkdownCell, INotebookContent } from '@jupyterlab/nbformat';

import { trans } from './widget/i18n';
import type { Route } from './widget/route';

/** The model in a new notebook where no setting says otherwise. */
export const DEFAULT_MODEL = 'smollm2-135m';

/** The kernel a notebook is bound to, so that it opens without asking for one. */
export interface IKernelSpec {
  readonly name: string;
  readonly display_name: string;
}

/**
 * A notebook that customizes `model` with preference pairs, ready to run.
 *
 * @param model - a catalog name, a hub id, a local folder or a custom model
 * @param kernel - without one JupyterLab asks when the notebook opens
 */
export function customizationNotebook(model: string, kernel?: IKernelSpec): INotebookContent {
  return notebook(
    trans.__('Point %1 at your own pairs of a preferred and a rejected answer, then run the cells.', '`dataset`'),
    [
      '%%customize',
      'name: my-model',
      `model: ${yamlString(model)}`,
      'technique: dpo',
      'dataset: pairs.jsonl  # prompt, chosen, rejected'
    ].join('\n'),
    kernel
  );
}

/** A notebook with a cell that customizes a model, such as a dataset's view has, ready to run. */
export function notebookWith(cell: string, kernel?: IKernelSpec): INotebookContent {
  return notebook(trans.__('Choose the model and its name, then run the cells.'), cell.trimEnd(), kernel);
}

function notebook(first: string, cell: string, kernel?: IKernelSpec): INotebookContent {
  return {
    nbformat: 4,
    nbformat_minor: 5,
    metadata: kernel ? { kernelspec: { name: kernel.name, display_name: kernel.display_name } } : {},
    cells: [
      markdown(
        'intro',
        [
          `# ${trans.__('Customize a model')}\n\n${first}`,
          trans.__('The job trains in the background and shows its progress here.')
        ].join(' ')
      ),
      code('load', '%load_ext tunelab'),
      code('customize', cell),
      code('jobs', 'import tunelab as tl\n\ntl.jobs()')
    ]
  };
}

/**
 * The first of `customize.ipynb`, `customize-1.ipynb`, … that is not taken.
 *
 * Case is ignored: on a file system that ignores it too, saving would overwrite the other file.
 */
export function unusedName(taken: Iterable<string>): string {
  const names = new Set(Array.from(taken, name => name.toLowerCase()));
  let name = 'customize.ipynb';
  for (let n = 1; names.has(name); n++) {
    name = `customize-${n}.ipynb`;
  }
  return name;
}

/** The form that shows what a cell asks for; null where it asks for no customization or evaluation. */
export function formRoute(cell: string): Route | null {
  const verb = /^\s*(?:\w+\s*=\s*)?%%?(customize|evaluate)\b/.exec(cell)?.[1];
  return verb === 'customize' || verb === 'evaluate' ? { page: verb, from: { cell } } : null;
}

/** A JSON string is a YAML string, so whatever is not plainly a name is quoted. */
function yamlString(text: string): string {
  return /^[a-z][\w./@-]*$/i.test(text) ? text : JSON.stringify(text);
}

function markdown(id: string, source: string): IMarkdownCell {
  return { id, cell_type: 'markdown', metadata: {}, source };
}

function code(id: string, source: string): ICodeCell {
  return { id, cell_type: 'code', metadata: {}, source, outputs: [], execution_count: null };
}
