/** A host that tests drive by hand, in JupyterLab's place. */
import type { DatasetTraits, JobSnapshot, JobTraits, MLflowLink } from '../../labextension/src/widget/model';
import type { Kept, Route } from '../../labextension/src/widget/route';
import type { Asked, Shell, ViewSettings } from '../../labextension/src/widget/shell';
import { TestModel } from './models';
import { snapshot } from './snapshot';

/** A job's model as the host opens it: empty until the kernel answers. */
export class OpenedModel extends TestModel<JobTraits> {
  closed = false;

  constructor(readonly job: string) {
    super({} as JobTraits);
  }

  close(): void {
    this.closed = true;
  }

  answer(changes: Partial<JobSnapshot> = {}): void {
    this.update({ snapshot: snapshot({ id: this.job, ...changes }), cell: '%%customize\n', mlflow: null });
  }
}

/** A dataset's model, likewise. */
export class OpenedDataset extends TestModel<DatasetTraits> {
  closed = false;

  constructor(readonly dataset: string) {
    super({} as DatasetTraits);
  }

  close(): void {
    this.closed = true;
  }
}

/** Any other view's model, likewise. */
export class OpenedView extends TestModel<Record<string, unknown>> {
  closed = false;

  constructor(readonly asked: Asked) {
    super({});
  }

  close(): void {
    this.closed = true;
  }
}

const SETTINGS: ViewSettings = { refresh: 100, charts: {}, defaultModel: 'smollm2-135m' };

/** A host that keeps what views ask of it. */
export class TestShell implements Shell {
  readonly models: OpenedModel[] = [];
  readonly datasets: OpenedDataset[] = [];
  readonly views: OpenedView[] = [];
  readonly asked: unknown[][] = [];
  refused: string | null = null;
  /** What was typed in the Studio that another was opened from. */
  handed: Kept | undefined;
  /** The path that the user chooses. */
  chosen: string | null = null;

  open<T extends object>(asked: Asked) {
    const view = new OpenedView(asked);
    this.views.push(view);
    return view as unknown as TestModel<T> & { close(): void };
  }

  openStudio(route?: Route, kept?: Kept): void {
    this.asked.push(['studio', route]);
    this.handed = kept;
  }

  openModel(job: string): OpenedModel {
    const model = new OpenedModel(job);
    this.models.push(model);
    return model;
  }

  openTab(job: string, name: string): void {
    this.asked.push(['tab', job, name]);
  }

  openDataset(dataset: string): OpenedDataset {
    const model = new OpenedDataset(dataset);
    this.datasets.push(model);
    return model;
  }

  openDatasetTab(dataset: string): void {
    this.asked.push(['dataset tab', dataset]);
  }

  createDataset(source?: string): void {
    this.asked.push(['create', source]);
  }

  chooseFile(): Promise<string | null> {
    this.asked.push(['choose']);
    return Promise.resolve(this.chosen);
  }

  uploadDataset(files: readonly File[]): Promise<string | null> {
    this.asked.push(['upload', files]);
    return Promise.resolve(this.refused);
  }

  openCell(cell: string): Promise<string | null> {
    this.asked.push(['cell', cell]);
    return Promise.resolve(this.refused);
  }

  insertCell(cell: string): Promise<string | null> {
    this.asked.push(['insert', cell]);
    return Promise.resolve(this.refused);
  }

  openMLflow(link: MLflowLink | null, title: string): Promise<string | null> {
    this.asked.push(['mlflow', link, title]);
    return Promise.resolve(this.refused);
  }

  settings(): ViewSettings {
    return SETTINGS;
  }

  onSettings() {
    return () => undefined;
  }

  /** The models that are open now: React's strict mode opens each twice. */
  get openJobs(): OpenedModel[] {
    return this.models.filter(model => !model.closed);
  }
}
