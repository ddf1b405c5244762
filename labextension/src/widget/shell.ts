/** What the host around the views can do for them; there is none outside JupyterLab. */
import { createContext, useContext, useSyncExternalStore } from 'react';

import type { DatasetTraits, JobTraits, MLflowLink, Model } from './model';
import type { Kept, Route } from './route';

/** What the kernel's end of a view is asked for. Kernel: notebook/comms.py. */
export type Asked = { readonly view: string } & Readonly<Record<string, unknown>>;

/** The settings that reach the views. */
export interface ViewSettings {
  /** The least time between two drawings of a chart, in milliseconds. */
  readonly refresh: number;
  /** The charts that a view opens with, by technique; metrics by TRL's names. */
  readonly charts: Readonly<Record<string, readonly string[]>>;
  /** The model that a new cell names. */
  readonly defaultModel: string;
}

/** The host's side. */
export interface Shell {
  /** Opens a view of the kernel's. Closing is the caller's. */
  open<T extends object>(asked: Asked): Model<T> & { close(): void };
  /** Shows the Studio in a tab of its own, at a page if one is named, and with what was typed in this one. */
  openStudio(route?: Route, kept?: Kept): void;
  /** The view of one job. Closing is the caller's. */
  openModel(job: string): Model<JobTraits> & { close(): void };
  /** Shows a job in a tab of its own. */
  openTab(job: string, name: string): void;
  /** The view of one version of a dataset, `NAME@VERSION`. Closing is the caller's. */
  openDataset(dataset: string): Model<DatasetTraits> & { close(): void };
  /** Shows a dataset in a tab of its own. */
  openDatasetTab(dataset: string): void;
  /** Shows the form that creates a dataset, with a file of the kernel's file system or without. */
  createDataset(source?: string): void;
  /** Lets the user choose a file; resolves to its path in the kernel's file system, or to null. */
  chooseFile(): Promise<string | null>;
  /** Uploads files and shows the form on the first; resolves to null, or to the sentence that says why it cannot. */
  uploadDataset(files: readonly File[]): Promise<string | null>;
  /** Opens a new notebook with a cell that customizes a model; resolves to null, or to why it cannot. */
  openCell(cell: string): Promise<string | null>;
  /** Puts a cell below the active one of the notebook on show, or into a new one; resolves as `openCell` does. */
  insertCell(cell: string): Promise<string | null>;
  /** Shows MLflow, at a run if `link` names one; resolves to null, or to the sentence that says why it cannot. */
  openMLflow(link: MLflowLink | null, title: string): Promise<string | null>;
  /** The settings, the same object until they change. */
  settings(): ViewSettings;
  /** Calls back on each change of the settings, until the function that it returns is called. */
  onSettings(changed: () => void): () => void;
}

export const ShellContext = createContext<Shell | null>(null);

/** The settings where there are none. */
export const DEFAULT_SETTINGS: ViewSettings = { refresh: 100, charts: {}, defaultModel: 'smollm2-135m' };
const noChange = () => () => undefined;

/** The host, or null outside JupyterLab. */
export function useShell(): Shell | null {
  return useContext(ShellContext);
}

/** The user's settings; outside JupyterLab the defaults. */
export function useSettings(): ViewSettings {
  const shell = useShell();
  return useSyncExternalStore(shell ? changed => shell.onSettings(changed) : noChange, () =>
    shell ? shell.settings() : DEFAULT_SETTINGS
  );
}
