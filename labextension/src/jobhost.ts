/** One job's live view as a Lumino widget, opened anew whenever its kernel can show it again. */
import type { Kernel } from '@jupyterlab/services';
import { Signal, type ISignal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';

import { CommModel } from './comm';
import type { Source } from './follow';
import { curvesOf } from './widget/curves';
import type { JobTraits } from './widget/model';
import type { Shell } from './widget/shell';

/** What the kernel sends of a job: besides the view's traits, its picture once it has ended. */
type HostTraits = JobTraits & { picture: string | null };

/** Opens a job's view in a kernel; points are heard from the first on, though views are drawn later. */
export function openJob(kernel: Kernel.IKernelConnection, job: string): CommModel<HostTraits> {
  const model = new CommModel<HostTraits>(kernel, { view: 'job', job });
  curvesOf(model);
  return model;
}

/** Draws a job by its id. */
export class JobHost extends Widget {
  private model: CommModel<HostTraits> | null = null;
  private undo: (() => void) | null = null;
  private readonly _shown = new Signal<this, boolean>(this);
  private readonly _ended = new Signal<this, string>(this);
  private readonly _refused = new Signal<this, string>(this);

  constructor(
    private readonly job: string,
    private readonly source: Source,
    private readonly shell: Shell
  ) {
    super();
    this.addClass('tunelab-job');
    source.changed.connect(this.reopen, this);
    this.reopen();
  }

  /** Whether the live view is drawn. */
  get isLive(): boolean {
    return this.undo !== null;
  }

  /** Emitted with true as the live view is drawn, and with false as it is taken away. */
  get shown(): ISignal<this, boolean> {
    return this._shown;
  }

  /** Emitted with the picture of a job that has ended. */
  get ended(): ISignal<this, string> {
    return this._ended;
  }

  /** Emitted with the reason when the kernel has no such job. */
  get refused(): ISignal<this, string> {
    return this._refused;
  }

  override dispose(): void {
    if (this.isDisposed) {
      return;
    }
    this.source.changed.disconnect(this.reopen, this);
    this.clear();
    Signal.clearData(this);
    super.dispose();
  }

  private reopen(): void {
    this.clear();
    const attachment = this.source.attachment;
    if (attachment?.status !== 'ready') {
      return;
    }
    const model = openJob(attachment.kernel, this.job);
    this.model = model;
    model.on('change:snapshot', () => {
      void this.draw(model);
    });
    model.on('change:picture', () => {
      const picture = model.get('picture');
      if (picture) {
        this._ended.emit(picture);
      }
    });
    model.on('refused', (reason: string) => {
      this._refused.emit(reason);
    });
  }

  private async draw(model: CommModel<HostTraits>): Promise<void> {
    if (this.undo) {
      return;
    }
    // The views and plotly are a chunk of their own, loaded with the first job that shows.
    const { mountJob } = await import('./widget/mount');
    if (this.model === model && !this.isLive && !this.isDisposed) {
      this.undo = mountJob(this.node, model, this.shell);
      this._shown.emit(true);
    }
  }

  private clear(): void {
    this.model?.close();
    this.model = null;
    if (this.undo) {
      this.undo();
      this.undo = null;
      this._shown.emit(false);
    }
  }
}
