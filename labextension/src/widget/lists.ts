/** The Studio's lists, opened in one kernel. */
import type { MetricsTraits } from './judgemetrics';
import type { DatasetsTraits, ListTraits, Model } from './model';
import type { ModelsTraits } from './models';
import type { Lists } from './PanelView';
import type { Asked } from './shell';

type Opened<T extends object> = Model<T> & { close(): void };

/** The lists' models; each is shown once the kernel has sent it. */
export class OpenLists {
  private readonly models: Opened<ModelsTraits>;
  private readonly datasets: Opened<DatasetsTraits>;
  private readonly jobs: Opened<ListTraits>;
  private readonly metrics: Opened<MetricsTraits>;

  /**
   * Opens them.
   *
   * @param changed - called as one comes, and on each change of it
   */
  constructor(open: <T extends object>(asked: Asked) => Opened<T>, changed: () => void) {
    this.models = open({ view: 'models' });
    this.models.on('change:models', changed);
    this.datasets = open({ view: 'datasets' });
    this.datasets.on('change:datasets', changed);
    this.jobs = open({ view: 'jobs' });
    this.jobs.on('change:jobs', changed);
    this.metrics = open({ view: 'metrics' });
    this.metrics.on('change:metrics', changed);
  }

  /** The lists that the kernel has sent. */
  shown(): Lists {
    return {
      models: sent(this.models, 'models'),
      datasets: sent(this.datasets, 'datasets'),
      jobs: sent(this.jobs, 'jobs'),
      metrics: sent(this.metrics, 'metrics')
    };
  }

  close(): void {
    [this.models, this.datasets, this.jobs, this.metrics].forEach(model => {
      model.close();
    });
  }
}

/** What is shown while there is no kernel. */
export const NO_LISTS: Lists = { models: null, datasets: null, jobs: null, metrics: null };

function sent<T extends object>(model: Model<T>, name: keyof T & string): Model<T> | null {
  return model.get(name) ? model : null;
}
