/** JupyterLab as the views' host: tabs, files, notebooks, MLflow, settings. */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import { MainAreaWidget } from '@jupyterlab/apputils';
import { NotebookActions, type INotebookTracker } from '@jupyterlab/notebook';
import type { ISettingRegistry } from '@jupyterlab/settingregistry';
import type { JSONObject } from '@lumino/coreutils';
import type { Widget } from '@lumino/widgets';

import { DatasetHost, openDataset } from './datasethost';
import { CommModel } from './comm';
import type { DatasetTools } from './datasets';
import type { Source } from './follow';
import { customizeIcon } from './icons';
import { JobHost, kernelOf, openJob } from './jobhost';
import { translator } from './language';
import type { MLflow } from './mlflow';
import { DEFAULT_MODEL } from './notebook';
import type { StudioTabs } from './studiotabs';
import { trans } from './widget/i18n';
import type { DatasetTraits, JobTraits, MLflowLink, Model } from './widget/model';
import type { Kept, Route } from './widget/route';
import type { Asked, Shell, ViewSettings } from './widget/shell';

const DEFAULTS: ViewSettings = { refresh: 100, charts: {}, defaultModel: DEFAULT_MODEL };

/** The host of the views that draw from `source`. */
export class LabShell implements Shell {
  private current = DEFAULTS;
  private readonly listeners = new Set<() => void>();

  constructor(
    private readonly app: JupyterFrontEnd,
    private readonly mlflow: MLflow,
    private readonly tools: DatasetTools,
    private readonly source: Source,
    private readonly studios: StudioTabs,
    private readonly notebooks: INotebookTracker,
    settings: Promise<ISettingRegistry.ISettings | null>,
    /** The host of the Studio’s tab, whose kernel may be another one; without, this one. */
    private readonly studioHost?: Shell
  ) {
    void settings.then(loaded => {
      const read = () => {
        this.current = { ...DEFAULTS, ...(loaded?.composite as Partial<ViewSettings> | undefined) };
        this.listeners.forEach(changed => {
          changed();
        });
      };
      read();
      loaded?.changed.connect(read);
    });
  }

  open<T extends object>(asked: Asked): Model<T> & { close(): void } {
    return new CommModel<T>(kernelOf(this.source), asked as JSONObject);
  }

  openStudio(route?: Route, kept?: Kept): void {
    this.studios.open(this.studioHost ?? this, route, kept);
  }

  openModel(job: string): Model<JobTraits> & { close(): void } {
    return openJob(kernelOf(this.source), job);
  }

  openTab(job: string, name: string): void {
    this.tab(`tunelab-job-${job}`, name, trans.__('Job %1', job), () => new JobHost(job, this.source, this));
  }

  openDataset(dataset: string): Model<DatasetTraits> & { close(): void } {
    return openDataset(kernelOf(this.source), dataset, this.current.defaultModel);
  }

  openDatasetTab(dataset: string): void {
    const id = `tunelab-dataset-${dataset}`;
    this.tab(id, dataset, trans.__('Dataset %1', dataset), () => {
      const host = new DatasetHost(dataset, this.source, this);
      host.deleted.connect(() => {
        [...this.app.shell.widgets('main')].find(widget => widget.id === id)?.dispose();
      });
      return host;
    });
  }

  createDataset(source?: string): void {
    void this.tools.create(this, source ?? null);
  }

  chooseFile(): Promise<string | null> {
    return this.tools.choose();
  }

  uploadDataset(files: readonly File[]): Promise<string | null> {
    return this.tools.upload(this, files);
  }

  openCell(cell: string): Promise<string | null> {
    return this.tools.openCell(cell);
  }

  async insertCell(cell: string): Promise<string | null> {
    const panel = this.notebooks.currentWidget;
    if (!panel || panel.isDisposed) {
      return this.openCell(cell);
    }
    await panel.context.ready;
    NotebookActions.insertBelow(panel.content);
    panel.content.activeCell?.model.sharedModel.setSource(cell.trimEnd());
    this.app.shell.activateById(panel.id);
    return null;
  }

  openMLflow(link: MLflowLink | null, title: string): Promise<string | null> {
    return this.mlflow.open(link, title);
  }

  settings(): ViewSettings {
    return this.current;
  }

  onSettings(changed: () => void): () => void {
    this.listeners.add(changed);
    return () => {
      this.listeners.delete(changed);
    };
  }

  /** Shows a tab of the main area, made where it is not open yet. */
  private tab(id: string, label: string, caption: string, make: () => Widget): void {
    const { shell } = this.app;
    if (![...shell.widgets('main')].some(widget => widget.id === id)) {
      const tab = new MainAreaWidget({ content: make(), translator: translator() });
      tab.id = id;
      tab.title.label = label;
      tab.title.caption = caption;
      tab.title.icon = customizeIcon;
      tab.title.closable = true;
      tab.content.addClass('tunelab-tab');
      shell.add(tab, 'main', { mode: 'tab-after' });
    }
    shell.activateById(id);
  }
}
