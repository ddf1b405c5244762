/** The Studio in the main area: one tab, which comes back when the page is loaded again. */
import type { ILayoutRestorer, JupyterFrontEnd } from '@jupyterlab/application';
import { MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';

import { customizeIcon } from './icons';
import { translator } from './language';
import { Studio } from './panel';
import type { PanelSource } from './source';
import { trans } from './widget/i18n';
import type { Kept, Route } from './widget/route';
import type { Shell } from './widget/shell';

/** Opens the tab, or goes to a page in it. */
export class StudioTabs {
  private readonly tracker = new WidgetTracker<MainAreaWidget<Studio>>({ namespace: 'tunelab-studio' });

  constructor(
    private readonly app: JupyterFrontEnd,
    // In the main area it follows the notebook on show, as the side panel does.
    private readonly source: PanelSource
  ) {}

  /** Has `command` open the tab again when the page is loaded with it. */
  restore(restorer: ILayoutRestorer, command: string): void {
    void restorer.restore(this.tracker, { command, name: () => 'studio' });
  }

  /** Shows the tab, at a page if one is named, with what was typed elsewhere; `host` serves what a new one opens. */
  open(host: Shell, route?: Route, kept?: Kept): void {
    const { shell } = this.app;
    const found = this.tracker.find(tab => !tab.isDisposed);
    if (found) {
      if (route) {
        found.content.go(route, kept);
      }
      shell.activateById(found.id);
      return;
    }
    const tab = new MainAreaWidget({
      content: new Studio(this.source, host, route ? { route, kept } : { kept }),
      translator: translator()
    });
    tab.id = 'tunelab-studio';
    tab.title.label = trans.__('Studio');
    tab.title.caption = trans.__('Model customization (tunelab)');
    tab.title.icon = customizeIcon;
    tab.title.closable = true;
    tab.content.node.setAttribute('aria-label', trans.__('Studio'));
    shell.add(tab, 'main', { mode: 'tab-after', type: 'tunelab' });
    void this.tracker.add(tab);
    shell.activateById(tab.id);
  }
}
