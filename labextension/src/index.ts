/** The JupyterLab extension: its plugins and the names of its commands. */
import { ILabShell, ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, showErrorMessage } from '@jupyterlab/apputils';
import { IDocumentManager } from '@jupyterlab/docmanager';
import { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator } from '@jupyterlab/translation';
import { DisposableDelegate } from '@lumino/disposable';

import { createNotebook, pythonKernel } from './create';
import { DatasetTools } from './datasets';
import { sourceOf } from './follow';
import { customizeIcon } from './icons';
import { speak } from './language';
import { MLflow } from './mlflow';
import { customizationNotebook, DEFAULT_MODEL, formRoute } from './notebook';
import { DATASET_MIME, JOB_MIME, LiveOutput, STUDIO_MIME } from './output';
import { PANEL_ID, Studio } from './panel';
import { LabShell } from './shell';
import { PanelSource } from './source';
import { StudioTabs } from './studiotabs';
import { ActivityWatch, notify } from './watch';
import { trans } from './widget/i18n';

/** The commands of the extension. */
export namespace CommandIDs {
  /** Creates and opens a notebook that customizes a model; `cwd` names the folder, else the file browser's is used. */
  export const newNotebook = 'tunelab:new-notebook';
  /** Shows the side panel. */
  export const openPanel = 'tunelab:open-panel';
  /** Shows the Studio in a tab of the main area. */
  export const openStudio = 'tunelab:open-studio';
  /** Opens all of MLflow in a tab. */
  export const openMLflow = 'tunelab:open-mlflow';
  /** Shows the dialog that creates a dataset, on the file browser's file where it is called from its context menu. */
  export const createDataset = 'tunelab:create-dataset';
  /** Shows what the active cell asks for in the form of a customization or an evaluation. */
  export const openCellInForm = 'tunelab:open-cell-in-form';
}

const PLUGIN_ID = 'tunelab:plugin';
const CATEGORY = 'tunelab';

function inPalette() {
  return {
    type: 'object',
    properties: { isPalette: { type: 'boolean', description: trans.__('Whether the command is shown in the palette') } }
  };
}

/** A new customization notebook from the launcher and the command palette. */
const creation: JupyterFrontEndPlugin<void> = {
  id: 'tunelab:creation',
  description: 'New customization notebooks.',
  autoStart: true,
  requires: [IDocumentManager],
  optional: [IDefaultFileBrowser, ILauncher, ICommandPalette, ISettingRegistry, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    documents: IDocumentManager,
    browser: IDefaultFileBrowser | null,
    launcher: ILauncher | null,
    palette: ICommandPalette | null,
    settings: ISettingRegistry | null,
    translator: ITranslator | null
  ) => {
    speak(translator);
    const { commands, serviceManager } = app;

    commands.addCommand(CommandIDs.newNotebook, {
      label: trans.__('New Customization Notebook'),
      caption: trans.__('Create a notebook that customizes a model'),
      icon: args => (args.isPalette ? undefined : customizeIcon),
      describedBy: {
        args: {
          type: 'object',
          properties: {
            cwd: { type: 'string', description: trans.__('The folder to create the notebook in') },
            ...inPalette().properties
          }
        }
      },
      execute: async args => {
        const folder = typeof args.cwd === 'string' ? args.cwd : (browser?.model.path ?? '');
        try {
          const setting = await settings?.get(PLUGIN_ID, 'defaultModel');
          const model = (setting?.composite as string | undefined) ?? DEFAULT_MODEL;
          await serviceManager.kernelspecs.ready;
          const kernel = pythonKernel(serviceManager.kernelspecs.specs);
          const notebook = customizationNotebook(model, kernel);
          return documents.openOrReveal(await createNotebook(serviceManager.contents, folder, notebook));
        } catch (error) {
          await showErrorMessage(trans.__('Cannot create a notebook in “%1”', folder || '/'), error as Error);
        }
      }
    });

    launcher?.add({ command: CommandIDs.newNotebook, category: CATEGORY });
    palette?.addItem({ command: CommandIDs.newNotebook, category: CATEGORY, args: { isPalette: true } });
  }
};

/** Jobs and datasets live: in the cells' outputs, in the side panel, in tabs; and MLflow. */
const plugin: JupyterFrontEndPlugin<void> = {
  id: PLUGIN_ID,
  description: 'Live views of jobs and datasets in cells, in a side panel and in tabs; MLflow in tabs.',
  autoStart: true,
  requires: [INotebookTracker],
  optional: [
    ILabShell,
    ILayoutRestorer,
    ILauncher,
    ICommandPalette,
    ISettingRegistry,
    IDocumentManager,
    IDefaultFileBrowser,
    ITranslator
  ],
  activate: async (
    app: JupyterFrontEnd,
    notebooks: INotebookTracker,
    labShell: ILabShell | null,
    restorer: ILayoutRestorer | null,
    launcher: ILauncher | null,
    palette: ICommandPalette | null,
    registry: ISettingRegistry | null,
    documents: IDocumentManager | null,
    browser: IDefaultFileBrowser | null,
    translator: ITranslator | null
  ) => {
    speak(translator);
    const { commands, serviceManager, shell } = app;
    const mlflow = new MLflow(app);
    const source = new PanelSource(serviceManager, notebooks);
    const tools = new DatasetTools(app, source, documents, browser);
    // Outputs are drawn while the settings are still on their way.
    const settings = registry?.load(PLUGIN_ID) ?? Promise.resolve(null);
    const studios = new StudioTabs(app, source);
    const panelHost = new LabShell(app, mlflow, tools, source, studios, notebooks, settings);

    app.docRegistry.addWidgetExtension('Notebook', {
      createNew: (panel: NotebookPanel) => {
        const { rendermime } = panel.content;
        const own = sourceOf(panel.context.sessionContext);
        const host = new LabShell(app, mlflow, tools, own, studios, notebooks, settings, panelHost);
        rendermime.addFactory(
          {
            safe: true,
            mimeTypes: [JOB_MIME, DATASET_MIME, STUDIO_MIME],
            createRenderer: () => new LiveOutput(own, host, rendermime)
          },
          // Before ipywidgets' own renderer, which is at -10.
          -20
        );
        return new DisposableDelegate(() => {
          rendermime.removeMimeType(JOB_MIME);
          rendermime.removeMimeType(DATASET_MIME);
          rendermime.removeMimeType(STUDIO_MIME);
        });
      }
    });

    const panel = new Studio(source, panelHost, { canOpenTab: true });
    panel.id = PANEL_ID;
    let side = '';
    const place = (wanted: string) => {
      if (wanted !== side) {
        side = wanted;
        shell.add(panel, side, { rank: 700, type: 'tunelab' });
      }
    };
    restorer?.add(panel, PANEL_ID);
    let isNotified = true;
    new ActivityWatch(source, panel.title, told => {
      if (isNotified) {
        notify(told, route => {
          panel.go(route);
          shell.activateById(panel.id);
        });
      }
    });

    commands.addCommand(CommandIDs.openPanel, {
      label: args => (args.isPalette ? trans.__('Show Jobs') : trans.__('Jobs')),
      caption: trans.__('Show the side panel with the jobs, datasets and metrics of the workspace'),
      describedBy: { args: inPalette() },
      execute: () => {
        shell.activateById(panel.id);
      }
    });
    commands.addCommand(CommandIDs.openStudio, {
      label: args => (args.isPalette ? trans.__('Open Studio') : trans.__('Studio')),
      caption: trans.__('Show models, datasets, jobs, evaluations and evaluators in a tab'),
      icon: args => (args.isPalette ? undefined : customizeIcon),
      describedBy: { args: inPalette() },
      execute: () => {
        panelHost.openStudio();
      }
    });
    if (restorer) {
      studios.restore(restorer, CommandIDs.openStudio);
    }
    commands.addCommand(CommandIDs.openMLflow, {
      label: args => (args.isPalette ? trans.__('Open MLflow') : 'MLflow'),
      caption: trans.__('Open the MLflow of the workspace: runs, models, datasets'),
      icon: args => (args.isPalette ? undefined : customizeIcon),
      describedBy: { args: inPalette() },
      execute: async () => {
        const link = source.attachment?.answer?.mlflow ?? null;
        const refused = await mlflow.open(link, 'MLflow');
        if (refused !== null) {
          await showErrorMessage(
            trans.__('MLflow cannot be opened here'),
            [refused, link?.command ?? ''].join('\n\n').trim()
          );
        }
      }
    });
    commands.addCommand(CommandIDs.createDataset, {
      label: args => (args.isPalette ? trans.__('Create Dataset') : trans.__('Create dataset…')),
      caption: trans.__('Check every row of a file and keep it as a dataset'),
      icon: args => (args.isPalette ? undefined : customizeIcon),
      describedBy: {
        args: {
          type: 'object',
          properties: {
            isContextMenu: { type: 'boolean', description: trans.__('Whether the file browser’s file is meant') },
            ...inPalette().properties
          }
        }
      },
      isVisible: args => !args.isContextMenu || tools.selected() !== null,
      execute: args => tools.create(panelHost, args.isContextMenu ? tools.selected() : null)
    });
    const inForm = () => formRoute(notebooks.activeCell?.model.sharedModel.getSource() ?? '');
    commands.addCommand(CommandIDs.openCellInForm, {
      label: trans.__('Open Cell in Form'),
      caption: trans.__('Show what a cell of %1 or %2 asks for as a form', '%customize', '%evaluate'),
      icon: args => (args.isPalette ? undefined : customizeIcon),
      describedBy: { args: inPalette() },
      isVisible: () => inForm() !== null,
      isEnabled: () => inForm() !== null,
      execute: () => {
        const route = inForm();
        if (route) {
          panel.go(route);
          shell.activateById(panel.id);
        }
      }
    });
    launcher?.add({ command: CommandIDs.openStudio, category: CATEGORY });
    launcher?.add({ command: CommandIDs.openMLflow, category: CATEGORY });
    for (const command of [
      CommandIDs.openPanel,
      CommandIDs.openStudio,
      CommandIDs.openMLflow,
      CommandIDs.createDataset,
      CommandIDs.openCellInForm
    ]) {
      palette?.addItem({ command, category: CATEGORY, args: { isPalette: true } });
    }

    const loaded = await settings;
    place((loaded?.get('side').composite as string | undefined) ?? 'left');
    isNotified = (loaded?.get('notifications').composite as boolean | undefined) ?? true;
    loaded?.changed.connect(() => {
      isNotified = loaded.get('notifications').composite as boolean;
      const wasVisible = panel.isVisible;
      place(loaded.get('side').composite as string);
      if (wasVisible && labShell) {
        shell.activateById(panel.id);
      }
    });
  }
};

export default [creation, plugin];
