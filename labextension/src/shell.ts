/** JupyterLab as the views' host: tabs, MLflow, settings. */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import { MainAreaWidget } from '@jupyterlab/apputils';
import type { ISettingRegistry } from '@jupyterlab/settingregistry';

import type { Source } from './follow';
import { customizeIcon } from './icons';
import { JobHost, openJob } from './jobhost';
import type { MLflow } from './mlflow';
import type { JobTraits, MLflowLink, Model } from './widget/model';
import type { Shell, ViewSettings } from './widget/shell';

const DEFAULTS: ViewSettings = { refresh: 100, charts: {} };

/** The host of the views that draw from `source`. */
export class LabShell implements Shell {
  private current = DEFAULTS;
  private readonly listeners = new Set<() => void>();

  constructor(
    private readonly app: JupyterFrontEnd,
    private readonly mlflow: MLflow,
    private readonly source: Source,
    settings: Promise<ISettingRegistry.ISettings | null>
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

  openModel(job: string): Model<JobTraits> & { close(): void } {
    const attachment = this.source.attachment;
    if (!attachment) {
      throw new Error('There is no kernel.');
    }
    return openJob(attachment.kernel, job);
  }

  openTab(job: string, name: string): void {
    const id = `tunelab-job-${job}`;
    const { shell } = this.app;
    const open = [...shell.widgets('main')].find(widget => widget.id === id);
    if (!open) {
      const tab = new MainAreaWidget({ content: new JobHost(job, this.source, this) });
      tab.id = id;
      tab.title.label = name;
      tab.title.caption = `Job ${job}`;
      tab.title.icon = customizeIcon;
      tab.title.closable = true;
      tab.content.addClass('tunelab-tab');
      shell.add(tab, 'main', { mode: 'tab-after' });
    }
    shell.activateById(id);
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
}
