/** The Studio in a cell's output, on its notebook's own kernel. */
import { Signal, type ISignal } from '@lumino/signaling';
import { PanelLayout, Widget } from '@lumino/widgets';

import type { StudioSource } from './follow';
import { Studio } from './panel';
import { trans } from './widget/i18n';
import type { StudioOptions } from './widget/mount';
import type { Shell } from './widget/shell';

/** Shows the Studio from when its kernel can; it stays when the kernel restarts, with all that was typed in it. */
export class StudioHost extends Widget {
  private live = false;
  private readonly _shown = new Signal<this, boolean>(this);

  constructor(
    private readonly source: StudioSource,
    private readonly shell: Shell,
    private readonly options: StudioOptions
  ) {
    super();
    this.addClass('tunelab-studio-cell');
    this.layout = new PanelLayout();
    // Letters that are typed here are no commands of the notebook's.
    this.node.dataset.lmSuppressShortcuts = 'true';
    source.changed.connect(this.begin, this);
    // Not before who makes it can listen.
    queueMicrotask(() => {
      this.begin();
    });
  }

  /** Whether the Studio is drawn. */
  get isLive(): boolean {
    return this.live;
  }

  /** Emitted with true as it is drawn. */
  get shown(): ISignal<this, boolean> {
    return this._shown;
  }

  override dispose(): void {
    this.source.changed.disconnect(this.begin, this);
    Signal.clearData(this);
    super.dispose();
  }

  private begin(): void {
    if (!this.live && !this.isDisposed && this.source.attachment?.status === 'ready') {
      this.live = true;
      const studio = new Studio(this.source, this.shell, this.options);
      studio.node.setAttribute('aria-label', trans.__('Studio'));
      (this.layout as PanelLayout).addWidget(studio);
      this._shown.emit(true);
    }
  }
}
