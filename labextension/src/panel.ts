/** The Studio as a Lumino widget: the side panel, a tab of the main area, a cell's output. */
import type { Message } from '@lumino/messaging';
import { Signal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';

import type { Attachment } from './attach';
import { CommModel } from './comm';
import { customizeIcon } from './icons';
import { stateOf, type PanelSource } from './source';
import type { MetricsTraits } from './widget/judgemetrics';
import type { DatasetsTraits, ListTraits } from './widget/model';
import type { ModelsTraits } from './widget/models';
import type { StudioOptions } from './widget/mount';
import type { Lists, PanelState } from './widget/PanelView';
import type { Route } from './widget/route';
import type { Shell } from './widget/shell';

/** The panel's id in the page. */
export const PANEL_ID = 'tunelab-panel';

/** The lists' models in one kernel. */
interface OpenLists {
  readonly of: Attachment;
  readonly models: CommModel<ModelsTraits>;
  readonly datasets: CommModel<DatasetsTraits>;
  readonly jobs: CommModel<ListTraits>;
  readonly metrics: CommModel<MetricsTraits>;
}

/** The Studio: lists and pages, or a sentence and a button. */
export class Studio extends Widget {
  private loading: Promise<typeof import('./widget/mount')> | null = null;
  private draw: ((state: PanelState) => void) | null = null;
  private undo: (() => void) | null = null;
  private openPage: ((route: Route) => void) | null = null;
  private wanted: Route | null = null;
  private lists: OpenLists | null = null;

  constructor(
    private readonly source: PanelSource,
    private readonly shell: Shell,
    private readonly options: StudioOptions = {}
  ) {
    super();
    this.addClass('tunelab-panel');
    this.title.icon = customizeIcon;
    this.title.caption = 'Model customization (tunelab)';
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'Model customization');
    source.changed.connect(this.refresh, this);
  }

  /** Opens a page, once the Studio is drawn. */
  go(route: Route): void {
    if (this.openPage) {
      this.openPage(route);
    } else {
      this.wanted = route;
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
        this.openPage?.(this.wanted);
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
      this.lists = this.openLists(attachment);
    }
    this.draw({ ...stateOf(this.source), mlflow: attachment?.answer?.mlflow ?? null, ...shown(this.lists) });
  }

  private openLists(of: Attachment): OpenLists {
    const redraw = () => {
      this.refresh();
    };
    const { kernel } = of;
    const models = new CommModel<ModelsTraits>(kernel, { view: 'models' });
    models.on('change:models', redraw);
    const datasets = new CommModel<DatasetsTraits>(kernel, { view: 'datasets' });
    datasets.on('change:datasets', redraw);
    const jobs = new CommModel<ListTraits>(kernel, { view: 'jobs' });
    jobs.on('change:jobs', redraw);
    const metrics = new CommModel<MetricsTraits>(kernel, { view: 'metrics' });
    metrics.on('change:metrics', redraw);
    return { of, models, datasets, jobs, metrics };
  }

  private closeLists(): void {
    if (this.lists) {
      const { models, datasets, jobs, metrics } = this.lists;
      [models, datasets, jobs, metrics].forEach(model => {
        model.close();
      });
      this.lists = null;
    }
  }
}

/** The lists that the kernel has sent. */
function shown(lists: OpenLists | null): Lists {
  return {
    models: lists?.models.get('models') ? lists.models : null,
    datasets: lists?.datasets.get('datasets') ? lists.datasets : null,
    jobs: lists?.jobs.get('jobs') ? lists.jobs : null,
    metrics: lists?.metrics.get('metrics') ? lists.metrics : null
  };
}
