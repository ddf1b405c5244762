/** One job's live view as a Lumino widget. */
import type { Kernel } from '@jupyterlab/services';
import { Signal, type ISignal } from '@lumino/signaling';

import { CommModel } from './comm';
import type { Source } from './follow';
import { ViewHost } from './host';
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
export class JobHost extends ViewHost<HostTraits> {
  private readonly _ended = new Signal<this, string>(this);

  constructor(
    private readonly job: string,
    source: Source,
    private readonly shell: Shell
  ) {
    super(source, 'snapshot');
    this.addClass('tunelab-job');
    this.reopen();
  }

  /** Emitted with the picture of a job that has ended. */
  get ended(): ISignal<this, string> {
    return this._ended;
  }

  protected open(): CommModel<HostTraits> {
    const model = openJob(kernelOf(this.source), this.job);
    model.on('change:picture', () => {
      const picture = model.get('picture');
      if (picture) {
        this._ended.emit(picture);
      }
    });
    return model;
  }

  protected async mount(model: CommModel<HostTraits>): Promise<() => () => void> {
    const { mountJob } = await import('./widget/mount');
    return () => mountJob(this.node, model, this.shell);
  }
}

/** The kernel of a source that has one. */
export function kernelOf(source: Source): Kernel.IKernelConnection {
  if (!source.attachment) {
    throw new Error('There is no kernel.');
  }
  return source.attachment.kernel;
}
