/** Draws views into elements: what an anywidget's `render` and the JupyterLab extension both call. */
import { StrictMode, type ReactElement } from 'react';
import { createRoot } from 'react-dom/client';

import { JobView } from './JobView';
import type { JobTraits, Model } from './model';
import { PanelView, type PanelState } from './PanelView';
import { ShellContext, type Shell } from './shell';

/** Draws a job's view; returns how to undo it. */
export function mountJob(el: HTMLElement, model: Model<JobTraits>, shell: Shell | null = null): () => void {
  const root = createRoot(el);
  root.render(inHost(shell, <JobView model={model} />));
  return () => {
    root.unmount();
  };
}

/** Draws the side panel; returns how to draw it with another state, and how to undo it. */
export function mountPanel(el: HTMLElement, shell: Shell): [draw: (state: PanelState) => void, undo: () => void] {
  const root = createRoot(el);
  const draw = (state: PanelState) => {
    root.render(inHost(shell, <PanelView state={state} shell={shell} />));
  };
  return [
    draw,
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
