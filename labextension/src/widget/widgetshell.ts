/** A host of widgets in JupyterLab's place: all views go over one widget's comm, and pages stay within the Studio. */
import { curvesOf } from './curves';
import { trans } from './i18n';
import { openOutside } from './mlflowlink';
import type { Command, DatasetTraits, JobTraits, MLflowLink } from './model';
import { Received, type FromKernel } from './received';
import type { Navigation, Route } from './route';
import { DEFAULT_SETTINGS, type Asked, type Shell, type ViewSettings } from './shell';

/** What goes to the kernel. Kernel: notebook/studio.py. */
export type ToKernel =
  | { readonly type: 'open'; readonly id: string; readonly asked: Asked }
  | { readonly type: 'send'; readonly id: string; readonly content: Command }
  | { readonly type: 'close'; readonly id: string };

/** What comes from it: a view's message, with the view that it is for. */
export type OfView = FromKernel & { readonly type: 'view'; readonly id: string };

/** The part of anywidget's model that the Studio uses. */
export interface StudioModel {
  get(name: 'place'): string;
  get(name: 'mlflow'): MLflowLink;
  on(event: 'msg:custom', callback: (content: OfView, buffers: DataView[]) => void): void;
  off(event: 'msg:custom', callback: (content: OfView, buffers: DataView[]) => void): void;
  send(content: ToKernel): void;
}

/** What the Studio shows over its pages: a question for a file's path, or the form that creates a dataset. */
export interface Over {
  /** Called with the path, or with null when there is to be none. */
  readonly asks: ((path: string | null) => void) | null;
  /** The file that a dataset is made from. */
  readonly creates: string | null;
}

/** One view of the kernel's. */
class View<T extends object> extends Received<T> {
  constructor(
    private readonly id: string,
    private readonly shell: WidgetShell
  ) {
    super();
  }

  override send(content: Command): void {
    this.shell.tell({ type: 'send', id: this.id, content });
  }

  override close(): void {
    this.forget();
    this.shell.closed(this.id);
  }

  hear(data: FromKernel, buffers: readonly DataView[]): void {
    this.take(data, buffers);
  }
}

/** The host of one drawing of a `StudioWidget`. */
export class WidgetShell implements Shell {
  /** There once the Studio is drawn. */
  private navigation: Navigation | null = null;
  private readonly views = new Map<string, View<object>>();
  private readonly watching = new Set<() => void>();
  // Several drawings of one widget hear each other's messages.
  private readonly name = Math.random().toString(36).slice(2);
  private count = 0;
  private _over: Over = { asks: null, creates: null };

  constructor(private readonly model: StudioModel) {
    model.on('msg:custom', this.hear);
    // The kernel does not notice that a page goes away.
    window.addEventListener('pagehide', this.closeAll);
  }

  /** Closes all views. */
  dispose(): void {
    window.removeEventListener('pagehide', this.closeAll);
    this.closeAll();
    this.model.off('msg:custom', this.hear);
  }

  open<T extends object>(asked: Asked): View<T> {
    const id = `${this.name}-${++this.count}`;
    const view = new View<T>(id, this);
    this.views.set(id, view);
    this.tell({ type: 'open', id, asked });
    return view;
  }

  /** Sends to the kernel. */
  tell(content: ToKernel): void {
    this.model.send(content);
  }

  /** Forgets a view, here and in the kernel. */
  closed(id: string): void {
    if (this.views.delete(id)) {
      this.tell({ type: 'close', id });
    }
  }

  openStudio(route?: Route): void {
    if (route) {
      this.navigation?.go(route);
    }
  }

  openModel(job: string): View<JobTraits> {
    const model = this.open<JobTraits>({ view: 'job', job });
    curvesOf(model);
    return model;
  }

  openTab(job: string): void {
    this.navigation?.go({ page: 'job', job });
  }

  openDataset(dataset: string): View<DatasetTraits> {
    return this.open({ view: 'dataset', dataset, model: DEFAULT_SETTINGS.defaultModel });
  }

  openDatasetTab(dataset: string): void {
    this.navigation?.go({ page: 'dataset', dataset });
  }

  createDataset(source?: string): void {
    if (source !== undefined) {
      this.cover({ creates: source });
      return;
    }
    void this.chooseFile().then(path => {
      if (path !== null) {
        this.cover({ creates: path });
      }
    });
  }

  chooseFile(): Promise<string | null> {
    this._over.asks?.(null);
    return new Promise(resolve => {
      this.cover({
        asks: path => {
          this.cover({ asks: null });
          resolve(path);
        }
      });
    });
  }

  uploadDataset(): Promise<string | null> {
    return Promise.resolve(
      trans.__(
        'Files cannot be uploaded from here. Put the file where the kernel can read it, and name its path under “%1”.',
        trans.__('Create dataset…')
      )
    );
  }

  openCell(): Promise<string | null> {
    return Promise.resolve(trans.__('A notebook cannot be opened from here. Copy the cell instead.'));
  }

  insertCell(): Promise<string | null> {
    return Promise.resolve(trans.__('A cell cannot be added from here. Copy it instead.'));
  }

  openMLflow(link: MLflowLink | null): Promise<string | null> {
    return Promise.resolve(openOutside(link ?? this.model.get('mlflow')));
  }

  settings(): ViewSettings {
    return DEFAULT_SETTINGS;
  }

  onSettings(): () => void {
    return () => undefined;
  }

  /** Is told how pages lead to each other. */
  readonly follow = (navigation: Navigation): void => {
    this.navigation = navigation;
  };

  /** What is shown over the pages. */
  readonly over = (): Over => this._over;

  /** Calls back when that changes, until the function that it returns is called. */
  readonly onOver = (changed: () => void): (() => void) => {
    this.watching.add(changed);
    return () => {
      this.watching.delete(changed);
    };
  };

  /** Takes the form away, and shows what it has made. */
  created(dataset: string | null): void {
    this.cover({ creates: null });
    if (dataset !== null) {
      this.openDatasetTab(dataset);
    }
  }

  private cover(change: Partial<Over>): void {
    this._over = { ...this._over, ...change };
    this.watching.forEach(changed => {
      changed();
    });
  }

  private readonly hear = (content: OfView, buffers: DataView[]): void => {
    this.views.get(content.id)?.hear(content, buffers);
  };

  private readonly closeAll = (): void => {
    [...this.views.values()].forEach(view => {
      view.close();
    });
  };
}
