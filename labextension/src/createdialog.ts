/** The dialog that creates a dataset: the kernel's form, or what the panel says where the kernel cannot show it. */
import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import type { Attachment } from './attach';
import { CommModel } from './comm';
import { stateOf, type PanelSource } from './source';
import type { CreateState } from './widget/CreateView';
import { trans } from './widget/i18n';
import type { CreateTraits } from './widget/model';
import type { Shell } from './widget/shell';

/** A modal dialog on one file; it goes away with what it has made, or when it is closed. */
export class CreateDialog extends Widget {
  private model: CommModel<CreateTraits> | null = null;
  private modelOf: Attachment | null = null;
  private draw: ((state: CreateState) => void) | null = null;
  private undo: (() => void) | null = null;

  constructor(
    private readonly path: string,
    private readonly source: PanelSource,
    private readonly shell: Shell
  ) {
    super({ node: document.createElement('dialog') });
    this.addClass('tunelab-dialog');
    this.node.setAttribute('aria-label', trans.__('Create dataset'));
    // Letters that are typed here are no shortcuts of the page below.
    this.node.dataset.lmSuppressShortcuts = 'true';
    this.node.addEventListener('cancel', event => {
      event.preventDefault();
      this.dispose();
    });
    source.changed.connect(this.refresh, this);
    void this.load();
  }

  /** Shows it over the page, the first time or again. */
  open(): void {
    if (this.isDisposed) {
      return;
    }
    if (!this.isAttached) {
      Widget.attach(this, document.body);
    }
    (this.node as HTMLDialogElement).showModal();
  }

  /** Makes room for another dialog, till it is opened again. */
  stepBack(): void {
    (this.node as HTMLDialogElement).close();
  }

  override dispose(): void {
    if (this.isDisposed) {
      return;
    }
    this.source.changed.disconnect(this.refresh, this);
    this.model?.close();
    this.undo?.();
    super.dispose();
  }

  protected override onBeforeDetach(message: Message): void {
    (this.node as HTMLDialogElement).close();
    super.onBeforeDetach(message);
  }

  private async load(): Promise<void> {
    const { mountCreate } = await import('./widget/mount');
    if (!this.isDisposed) {
      [this.draw, this.undo] = mountCreate(this.node, this.shell);
      this.refresh();
    }
  }

  private refresh(): void {
    if (!this.draw) {
      return;
    }
    const attachment = this.source.attachment;
    const ready = attachment?.status === 'ready';
    if (attachment !== this.modelOf || !ready) {
      this.model?.close();
      this.model = null;
      this.modelOf = null;
    }
    if (ready && !this.model) {
      this.model = new CommModel<CreateTraits>(attachment.kernel, { view: 'create', source: this.path });
      this.modelOf = attachment;
      this.model.on('change:form', () => {
        this.refresh();
      });
    }
    this.draw({
      ...stateOf(this.source),
      model: this.model?.get('form') ? this.model : null,
      onDone: dataset => {
        // Not within the drawing that tells of it.
        queueMicrotask(() => {
          this.dispose();
        });
        if (dataset !== null) {
          this.shell.openDatasetTab(dataset);
        }
      }
    });
  }
}
