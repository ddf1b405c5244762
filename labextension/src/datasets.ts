/** What JupyterLab does for datasets: choosing and uploading files, the dialog that creates one, a notebook with one. */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import { PageConfig } from '@jupyterlab/coreutils';
import type { IDocumentManager } from '@jupyterlab/docmanager';
import { FileDialog, type IDefaultFileBrowser } from '@jupyterlab/filebrowser';

import { createNotebook, pythonKernel } from './create';
import { CreateDialog } from './createdialog';
import { translator } from './language';
import { notebookWith } from './notebook';
import type { PanelSource } from './source';
import { trans } from './widget/i18n';
import type { Shell } from './widget/shell';

/** The endings of the files that datasets are made from. Kernel: data/reading.py. */
export const DATA_FILES = ['.jsonl', '.json', '.csv', '.tsv', '.parquet'];

/** Whether a dataset can be made from a file of this name. */
export function isDataFile(name: string): boolean {
  return DATA_FILES.some(ending => name.toLowerCase().endsWith(ending));
}

/** A path of Jupyter's contents as the kernel's file system has it; `~` stands for the home folder. */
export function kernelPath(localPath: string, root: string): string {
  return root ? `${root.replace(/\/+$/, '')}/${localPath.replace(/^\/+/, '')}` : localPath;
}

/** The file browser's and the document manager's part in datasets; either may be missing. */
export class DatasetTools {
  private dialog: CreateDialog | null = null;

  constructor(
    private readonly app: JupyterFrontEnd,
    private readonly source: PanelSource,
    private readonly documents: IDocumentManager | null,
    private readonly browser: IDefaultFileBrowser | null
  ) {}

  /** The one file that is selected in the file browser, as the kernel has it, if a dataset can be made from it. */
  selected(): string | null {
    const [item, other] = this.browser?.selectedItems() ?? [];
    return item && !other && item.type !== 'directory' && isDataFile(item.name) ? this.pathOf(item.path) : null;
  }

  /** Shows the dialog that creates a dataset; without a file the user chooses one first. */
  async create(shell: Shell, path: string | null): Promise<void> {
    const chosen = path ?? (await this.choose());
    if (chosen === null) {
      return;
    }
    this.dialog?.dispose();
    this.source.activate();
    this.dialog = new CreateDialog(chosen, this.source, shell);
    this.dialog.open();
  }

  /** Lets the user choose a file. */
  async choose(): Promise<string | null> {
    if (!this.documents) {
      return null;
    }
    // A modal dialog of the page's would cover JupyterLab's.
    this.dialog?.stepBack();
    const { value, button } = await FileDialog.getOpenFiles({
      manager: this.documents,
      title: trans.__('Choose the rows of the dataset'),
      defaultPath: this.browser?.model.path ?? '',
      filter: file => (file.type === 'directory' || isDataFile(file.name) ? {} : null),
      translator: translator()
    });
    this.dialog?.open();
    const file = button.accept ? value?.find(each => each.type !== 'directory') : undefined;
    return file ? this.pathOf(file.path) : null;
  }

  /** Uploads files into the file browser's folder and shows the dialog on the first that can be a dataset. */
  async upload(shell: Shell, files: readonly File[]): Promise<string | null> {
    const wanted = files.filter(file => isDataFile(file.name));
    if (wanted.length === 0) {
      return trans.__(
        'Datasets are made from files that end in %1 or %2.',
        DATA_FILES.slice(0, -1).join(', '),
        DATA_FILES.at(-1) ?? ''
      );
    }
    if (!this.browser) {
      return trans.__('There is no file browser here that could take the files.');
    }
    const paths: string[] = [];
    try {
      for (const file of wanted) {
        paths.push((await this.browser.model.upload(file)).path);
      }
    } catch (error) {
      // The user would not have a file replaced, or the server did not take it.
      const reason = (error as Error | undefined)?.message ?? String(error);
      return trans.__('%1 was not uploaded: %2', wanted[paths.length]?.name ?? trans.__('The file'), reason);
    }
    await this.create(shell, this.pathOf(paths[0] ?? ''));
    return null;
  }

  /** Opens a new notebook with a cell. */
  async openCell(cell: string): Promise<string | null> {
    const { kernelspecs, contents } = this.app.serviceManager;
    if (!this.documents) {
      return trans.__('There are no notebooks here. Copy the cell instead.');
    }
    try {
      await kernelspecs.ready;
      const notebook = notebookWith(cell, pythonKernel(kernelspecs.specs));
      this.documents.openOrReveal(await createNotebook(contents, this.browser?.model.path ?? '', notebook));
      return null;
    } catch (error) {
      return trans.__('A notebook cannot be created: %1', (error as Error).message);
    }
  }

  private pathOf(path: string): string {
    return kernelPath(this.app.serviceManager.contents.localPath(path), PageConfig.getOption('serverRoot'));
  }
}
