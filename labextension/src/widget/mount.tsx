/** Draws views into elements: what an anywidget's `render` and the JupyterLab extension both call. */
import { StrictMode, type ReactElement } from 'react';
import { createRoot } from 'react-dom/client';

import { CreateView, type CreateState } from './CreateView';
import { DatasetView } from './DatasetView';
import { JobView } from './JobView';
import type { DatasetTraits, JobTraits, Model } from './model';
import { PanelView, type PanelState } from './PanelView';
import { opened, PLACES, START, type Kept, type Location, type Place, type Route } from './route';
import { ShellContext, type Shell } from './shell';
import { StudioView } from './StudioView';
import { WidgetShell, type StudioModel } from './widgetshell';

/** Draws a job's view; returns how to undo it. */
export function mountJob(el: HTMLElement, model: Model<JobTraits>, shell: Shell | null = null): () => void {
  return mount(el, inHost(shell, <JobView model={model} />));
}

/** Draws a dataset's view; returns how to undo it. */
export function mountDataset(el: HTMLElement, model: Model<DatasetTraits>, shell: Shell | null = null): () => void {
  return mount(el, inHost(shell, <DatasetView model={model} shell={shell} />));
}

/** What a Studio begins with, and where it stands. */
export interface StudioOptions {
  readonly route?: Route;
  readonly place?: Place;
  readonly canOpenTab?: boolean;
  /** What was typed in another Studio. */
  readonly kept?: Kept | undefined;
}

/** Draws the Studio, in the side panel or elsewhere; returns how to draw it with another state, undo it, open a page. */
export function mountPanel(
  el: HTMLElement,
  shell: Shell,
  { route, place, canOpenTab = false, kept: handed }: StudioOptions = {}
): [draw: (state: PanelState) => void, undo: () => void, go: (route: Route, kept?: Kept) => void] {
  const start = route ? opened(START, route) : placed(place);
  let drawn: PanelState | null = null;
  let wanted: { readonly route: Route; readonly kept?: Kept | undefined } | null = null;
  const [draw, undo] = redrawn<PanelState>(el, shell, state => {
    drawn = state;
    return <PanelView {...{ state, shell, start, canOpenTab, wanted, handed }} />;
  });
  const go = (next: Route, kept?: Kept) => {
    wanted = { route: next, kept };
    if (drawn) {
      draw(drawn);
    }
  };
  return [draw, undo, go];
}

/** Draws the Studio of a widget, in any host of widgets; returns how to undo it. */
export function mountStudio(el: HTMLElement, model: StudioModel): () => void {
  const shell = new WidgetShell(model);
  const start = placed(PLACES.find(each => each === model.get('place')));
  const undo = mount(el, inHost(shell, <StudioView shell={shell} start={start} mlflow={model.get('mlflow')} />));
  return () => {
    undo();
    shell.dispose();
  };
}

/** Draws the dialog that creates a dataset, likewise. */
export function mountCreate(el: HTMLElement, shell: Shell): [draw: (state: CreateState) => void, undo: () => void] {
  return redrawn(el, shell, state => <CreateView state={state} />);
}

function placed(place: Place | undefined): Location | undefined {
  return place && { ...START, place };
}

function mount(el: HTMLElement, view: ReactElement): () => void {
  const root = createRoot(el);
  root.render(view);
  return () => {
    root.unmount();
  };
}

function redrawn<S>(
  el: HTMLElement,
  shell: Shell,
  view: (state: S) => ReactElement
): [draw: (state: S) => void, undo: () => void] {
  const root = createRoot(el);
  return [
    state => {
      root.render(inHost(shell, view(state)));
    },
    () => {
      root.unmount();
    }
  ];
}

function inHost(shell: Shell | null, view: ReactElement): ReactElement {
  return (
    <StrictMode>
      <ShellContext.Provider value={shell}>{view}</ShellContext.Provider>
    </StrictMode>
  );
}
