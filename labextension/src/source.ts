/** The kernel that the side panel uses: the current notebook's, or its own; and what is said where there is none. */
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { ServiceManager, Session } from '@jupyterlab/services';
import { Signal, type ISignal } from '@lumino/signaling';

import { attach, type Attachment } from './attach';
import { pythonKernel } from './create';
import { sourceOf, type Source, type StudioSource } from './follow';
import { sentence } from './sentences';
import { trans } from './widget/i18n';
import type { KernelState } from './widget/Waiting';

/** The name by which the panel's own kernel is found again after a reload. */
const OWN_PATH = 'tunelab-panel';

/** The kernel that the panel uses now, and whose it is. */
export class PanelSource implements StudioSource {
  private followed: Source | null = null;
  private own: Session.ISessionConnection | null = null;
  private starting = false;
  private failed = '';
  private active = false;
  private readonly _changed = new Signal<this, void>(this);

  constructor(
    private readonly services: ServiceManager.IManager,
    private readonly notebooks: INotebookTracker
  ) {
    notebooks.currentChanged.connect(this.follow, this);
    this.follow();
  }

  get attachment(): Attachment | null {
    return this.followed ? this.followed.attachment : this.own?.kernel ? attach(this.own.kernel) : null;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** The notebook whose kernel it is, or null for the panel's own. */
  get notebook(): string | null {
    return this.notebooks.currentWidget?.context.localPath ?? null;
  }

  /** Why the panel's own kernel could not be started, or nothing. */
  get failure(): string {
    return this.failed;
  }

  /** From now on a kernel may be started where there is none; before, nobody has looked. */
  activate(): void {
    if (!this.active) {
      this.active = true;
      this.follow();
    }
  }

  /** Starts the panel's own kernel again. */
  restartOwn(): void {
    this.own = null;
    this.failed = '';
    this.follow();
  }

  private follow(): void {
    this.followed?.changed.disconnect(this.tell, this);
    const notebook = this.notebooks.currentWidget;
    this.followed = notebook ? sourceOf(notebook.context.sessionContext) : null;
    this.followed?.changed.connect(this.tell, this);
    if (!this.followed && this.active && !this.own && !this.starting) {
      void this.startOwn();
    }
    this.tell();
  }

  private async startOwn(): Promise<void> {
    this.starting = true;
    const { sessions, kernelspecs } = this.services;
    try {
      await Promise.all([sessions.ready, kernelspecs.ready]);
      // A page that was reloaded finds the kernel that it had.
      const running = await sessions.findByPath(OWN_PATH);
      const spec = pythonKernel(kernelspecs.specs);
      if (!running && !spec) {
        throw new Error(trans.__('Jupyter has no Python kernel.'));
      }
      this.own = running
        ? sessions.connectTo({ model: running })
        : await sessions.startNew({
            path: OWN_PATH,
            name: 'tunelab',
            type: 'tunelab',
            kernel: { name: spec?.name ?? '' }
          });
      const kernel = this.own.kernel;
      if (kernel) {
        const attachment = attach(kernel);
        attachment.changed.connect(this.tell, this);
        if (attachment.status === 'connecting' || attachment.status === 'unloaded') {
          void attachment.load();
        }
      }
    } catch (error) {
      this.failed = (error as Error).message;
    }
    this.starting = false;
    this.tell();
  }

  private tell(): void {
    this._changed.emit();
  }
}

/** How the panel's kernel stands, in words, with the button that helps. */
export function stateOf(source: StudioSource): KernelState {
  const attachment = source.attachment;
  const ready = attachment?.status === 'ready';
  const said = sentence(source.notebook, attachment, source.failure);
  return {
    kernel: source.notebook?.split('/').pop() ?? trans.__('Own kernel'),
    tone: ready ? 'good' : said.busy ? 'calm' : 'warn',
    sentence: ready ? null : said.text,
    action: !said.action
      ? null
      : {
          label: said.action,
          run: () => {
            if (attachment && attachment.status !== 'dead') {
              void attachment.load();
            } else {
              source.restartOwn();
            }
          }
        }
  };
}
