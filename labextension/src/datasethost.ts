/** One version of a dataset as a Lumino widget. */
import type { Kernel } from '@jupyterlab/services';
import { Signal, type ISignal } from '@lumino/signaling';

import { CommModel } from './comm';
import type { Source } from './follow';
import { ViewHost } from './host';
import { kernelOf } from './jobhost';
import type { DatasetTraits, Message } from './widget/model';
import type { Shell } from './widget/shell';

/** Opens a dataset's view in a kernel; `model` is the one that a cell with it names. */
export function openDataset(
  kernel: Kernel.IKernelConnection,
  dataset: string,
  model: string
): CommModel<DatasetTraits> {
  return new CommModel<DatasetTraits>(kernel, { view: 'dataset', dataset, model });
}

/** Draws a dataset by `NAME@VERSION`. */
export class DatasetHost extends ViewHost<DatasetTraits> {
  private readonly _deleted = new Signal<this, void>(this);

  constructor(
    private readonly label: string,
    source: Source,
    private readonly shell: Shell
  ) {
    super(source, 'report');
    this.addClass('tunelab-dataset');
    this.reopen();
  }

  /** Emitted when the version was deleted. */
  get deleted(): ISignal<this, void> {
    return this._deleted;
  }

  protected open(): CommModel<DatasetTraits> {
    const model = openDataset(kernelOf(this.source), this.label, this.shell.settings().defaultModel);
    model.on('msg:custom', (message: Message) => {
      if (message.type === 'deleted') {
        this._deleted.emit();
      }
    });
    return model;
  }

  protected async mount(model: CommModel<DatasetTraits>): Promise<() => () => void> {
    const { mountDataset } = await import('./widget/mount');
    return () => mountDataset(this.node, model, this.shell);
  }
}
