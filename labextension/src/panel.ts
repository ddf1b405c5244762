/** The Studio as a Lumino widget: the side panel, a tab of the main area, a cell's output. */
import type { JSONObject } from '@lumino/coreutils';
import type { Message } from '@lumino/messaging';
import { Signal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';

import type { Attachment } from './attach';
import { CommModel } from './comm';
import type { StudioSource } from './follow';
import { customizeIcon } from './icons';
import { stateOf } from './source';
import { trans } from './widget/i18n';
import { NO_LISTS, OpenLists } from './widget/lists';
import type { StudioOptions } from './widget/mount';
import type { PanelState } from './widget/PanelView';
import type { Kept, Route } from './widget/route';
import type { Shell } from './widget/shell';

/** The panel's id in the page. */
export const PANEL_ID = 'tunelab-panel';

/** The Studio: lists and pages, or a sentence and a button. */
export class Studio extends Widget {
  private loading: Promise<typeof import('./widget/mount')> | null = null;
  private draw: ((state: PanelState) => void) | null = null;
  private undo: (() => void) | null = null;
  private openPage: ((route: Route, kept?: Kept) => void) | null = null;
  private wanted: readonly [Route, Kept | undefined] | null = null;
  private lists: { readonly of: Attachment; readonly models: OpenLists } | null = null;

  constructor(
    private readonly source: StudioSource,
    private readonly shell: Shell,
    private readonly options: StudioOptions = {}
  ) {
    super();
    this.addClass('tunelab-panel');
    this.title.icon = customizeIcon;
    this.title.caption = trans.__('Model customization (tunelab)');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Model customization'));
    source.changed.connect(this.refresh, this);
  }

  /** Opens a page, once the Studio is drawn, with what was typed in another. */
  go(route: Route, kept?: Kept): void {
    if (this.openPage) {
      this.openPage(route, kept);
    } else {
      this.wanted = [route, kept];
    }
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this.source.activate();
    void this.open();
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    if (this.isVisible) {
      this.source.activate();
      void this.open();
    }
  }

  /** Whoever comes by a shortcut or the palette goes on by keyboard: at the place that is on show. */
  protected override onActivateRequest(message: Message): void {
    super.onActivateRequest(message);
    this.node.querySelector<HTMLElement>('[role=tab][aria-selected=true]')?.focus();
  }

  override dispose(): void {
    if (this.isDisposed) {
      return;
    }
    this.source.changed.disconnect(this.refresh, this);
    this.undo?.();
    this.closeLists();
    Signal.clearData(this);
    super.dispose();
  }

  private async open(): Promise<void> {
    this.loading ??= import('./widget/mount');
    const { mountPanel } = await this.loading;
    if (!this.isDisposed) {
      if (!this.draw) {
        [this.draw, this.undo, this.openPage] = mountPanel(this.node, this.shell, this.options);
      }
      this.refresh();
      if (this.wanted) {
        this.openPage?.(...this.wanted);
        this.wanted = null;
      }
    }
  }

  private refresh(): void {
    if (!this.draw) {
      return;
    }
    const attachment = this.source.attachment;
    const ready = attachment?.status === 'ready';
    if (this.lists && (attachment !== this.lists.of || !ready)) {
      this.closeLists();
    }
    if (ready && !this.lists) {
      this.lists = { of: attachment, models: this.openLists(attachment) };
    }
    this.draw({
      ...stateOf(this.source),
      mlflow: attachment?.answer?.mlflow ?? null,
      ...(this.lists?.models.shown() ?? NO_LISTS)
    });
  }

  private openLists(of: Attachment): OpenLists {
    return new OpenLists(
      asked => new CommModel(of.kernel, asked as JSONObject),
      () => {
        this.refresh();
      }
    );
  }

  private closeLists(): void {
    this.lists?.models.close();
    this.lists = null;
  }
}
