/** MLflow where no host opens it: a tracking server in a tab of the browser, else the command that serves the store. */
import { trans } from './i18n';
import type { MLflowLink } from './model';

/** Opens a tracking server's page, at a run's charts if `link` names one; returns null, or what is to be done instead. */
export function openOutside(link: MLflowLink): string | null {
  if (!link.url) {
    return trans.__('MLflow opens by this command, in a terminal of the machine that runs the kernel:');
  }
  const run = link.run_id ? `/#/experiments/${link.experiment_id}/runs/${link.run_id}/model-metrics` : '';
  window.open(`${link.url.replace(/\/$/, '')}${run}`, '_blank', 'noopener');
  return null;
}
