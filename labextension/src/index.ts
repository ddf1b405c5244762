/** The JupyterLab extension: its plugins and the names of its commands. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, showErrorMessage } from '@jupyterlab/apputils';
import { IDocumentManager } from '@jupyterlab/docmanager';
import { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import { ILauncher } from '@jupyterlab/launcher';
import { ISettingRegistry } from '@jupyterlab/settingregistry';

import { createNotebook, pythonKernel } from './create';
import { customizeIcon } from './icons';
import { DEFAULT_MODEL } from './notebook';

/** The commands of the extension. */
export namespace CommandIDs {
  /** Creates and opens a notebook that customizes a model; `cwd` names the folder, else the file browser's is used. */
  export const newNotebook = 'tunelab:new-notebook';
}

const PLUGIN_ID = 'tunelab:plugin';
const CATEGORY = 'tunelab';

/** A new customization notebook from the launcher and the command palette. */
const plugin: JupyterFrontEndPlugin<void> = {
  id: PLUGIN_ID,
  description: 'Model customization in notebooks.',
  autoStart: true,
  requires: [IDocumentManager],
  optional: [IDefaultFileBrowser, ILauncher, ICommandPalette, ISettingRegistry],
  activate: (
    app: JupyterFrontEnd,
    documents: IDocumentManager,
    browser: IDefaultFileBrowser | null,
    launcher: ILauncher | null,
    palette: ICommandPalette | null,
    settings: ISettingRegistry | null
  ) => {
    const { commands, serviceManager } = app;

    commands.addCommand(CommandIDs.newNotebook, {
      label: 'New Customization Notebook',
      caption: 'Create a notebook that customizes a model',
      icon: args => (args.isPalette ? undefined : customizeIcon),
      describedBy: {
        args: {
          type: 'object',
          properties: {
            cwd: { type: 'string', description: 'The folder to create the notebook in' },
            isPalette: { type: 'boolean', description: 'Whether the command is shown in the palette' }
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
          return documents.openOrReveal(await createNotebook(serviceManager.contents, folder, model, kernel));
        } catch (error) {
          await showErrorMessage(`Cannot create a notebook in “${folder || '/'}”`, error as Error);
        }
      }
    });

    launcher?.add({ command: CommandIDs.newNotebook, category: CATEGORY });
    palette?.addItem({ command: CommandIDs.newNotebook, category: CATEGORY, args: { isPalette: true } });
  }
};

export default plugin;
