/** MLflow as tabs of JupyterLab: the workspace's own server behind Jupyter's login, or a tracking server elsewhere. */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import { IFrame, MainAreaWidget } from '@jupyterlab/apputils';
import { PageConfig, URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import { customizeIcon } from './icons';
import { translator } from './language';
import { trans } from './widget/i18n';
import type { MLflowLink } from './widget/model';

/** Where jupyter-server-proxy serves it, below Jupyter's base address; kernel: registry/server.py. */
const PATH = 'mlflow/';
const API = `${PATH}ajax-api/2.0/mlflow`;
/** MLflow's own page keeps its tabs closed to scripts of others; these are what it needs of the browser. */
const SANDBOX: IFrame.SandboxExceptions[] = [
  'allow-scripts',
  'allow-same-origin',
  'allow-forms',
  'allow-popups',
  'allow-downloads',
  'allow-modals'
];

/** The part of MLflow's address that names a page: a run's charts, or the start. */
export function fragment(link: MLflowLink | null): string {
  return link?.run_id ? `#/experiments/${link.experiment_id ?? '0'}/runs/${link.run_id}/model-metrics` : '#/';
}

/** Opens MLflow as tabs of JupyterLab. */
export class MLflow {
  constructor(private readonly app: JupyterFrontEnd) {}

  /**
   * Opens a run's charts, or all of MLflow where `link` names no run.
   *
   * @returns null when it shows, else the sentence that says why not; `link.command` is the way out
   */
  async open(link: MLflowLink | null, title: string): Promise<string | null> {
    if (link?.url) {
      // In a tab of the browser: a server elsewhere may forbid to be framed, and its login is its own.
      window.open(`${link.url}/${fragment(link)}`, '_blank', 'noopener');
      return null;
    }
    const id = `tunelab-mlflow-${link?.run_id ?? 'all'}`;
    const { shell } = this.app;
    if ([...shell.widgets('main')].some(widget => widget.id === id)) {
      shell.activateById(id);
      return null;
    }
    prepare();
    const frame = new IFrame({ sandbox: SANDBOX });
    // The server starts with the first request, which takes some seconds; the tab shows that it loads.
    const checked = this.check(link);
    const tab = new MainAreaWidget({
      content: frame,
      reveal: checked.then(() => undefined),
      translator: translator()
    });
    tab.id = id;
    tab.title.label = link?.run_id ? trans.__('MLflow: %1', title) : 'MLflow';
    tab.title.caption = tab.title.label;
    tab.title.icon = customizeIcon;
    tab.title.closable = true;
    frame.node.querySelector('iframe')?.setAttribute('title', tab.title.label);
    shell.add(tab, 'main');
    shell.activateById(id);
    const refused = await checked;
    if (refused !== null) {
      tab.dispose();
      return refused;
    }
    if (!tab.isDisposed) {
      frame.url = `${URLExt.join(PageConfig.getBaseUrl(), PATH)}${fragment(link)}`;
    }
    return null;
  }

  /** Whether Jupyter's server answers and serves the store that `link` is of: null, or why not. */
  private async check(link: MLflowLink | null): Promise<string | null> {
    try {
      if (link?.run_id) {
        const found = await ask(`runs/get?run_id=${encodeURIComponent(link.run_id)}`);
        return found.status === 404 && (await isMLflow(found)) ? other() : found.ok ? null : absent();
      }
      const found = await ask('experiments/search', { max_results: 1000, view_type: 'ALL' });
      if (!found.ok) {
        return absent();
      }
      const { experiments = [] } = (await found.json()) as {
        experiments?: { name: string; artifact_location: string }[];
      };
      const folders = experiments
        .filter(({ name }) => name !== 'Default')
        .map(each => decodeURI(each.artifact_location));
      const wanted = link?.artifacts;
      return wanted && folders.length > 0 && !folders.some(folder => folder.includes(wanted)) ? other() : null;
    } catch {
      return absent();
    }
  }
}

/** MLflow's page in JupyterLab's theme, and without its assistant in the way unless the user opened it. */
function prepare(): void {
  const light = document.body.dataset.jpThemeLight !== 'false';
  localStorage.setItem('_mlflow_dark_mode_toggle_enabled', String(!light));
  localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true');
}

function other(): string {
  return trans.__(
    'Jupyter serves the MLflow of another workspace than this kernel’s. This command opens the kernel’s:'
  );
}

function absent(): string {
  return trans.__('Jupyter’s environment cannot serve MLflow. This command opens it:');
}

function ask(what: string, body?: object): Promise<Response> {
  const settings = ServerConnection.makeSettings();
  const init = body
    ? { method: 'POST', body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }
    : { method: 'GET' };
  return ServerConnection.makeRequest(URLExt.join(settings.baseUrl, API, what), init, settings);
}

/** Whether a refusal is MLflow's own word and not the proxy's. */
async function isMLflow(response: Response): Promise<boolean> {
  const text = await response.text();
  return text.includes('RESOURCE_DOES_NOT_EXIST');
}
