/** The side panel's content: a heading, the jobs or a sentence, and below whose kernel it is. */
import { useState } from 'react';

import { NoticeBlock, type Notice } from './Actions';
import { JobList } from './JobList';
import type { ListTraits, MLflowLink, Model } from './model';
import type { Shell } from './shell';

/** What the panel shows. */
export interface PanelState {
  /** Whose kernel it is, such as `quickstart.ipynb`. */
  readonly kernel: string;
  readonly tone: 'good' | 'calm' | 'warn';
  /** Why no jobs are shown, or null. */
  readonly sentence: string | null;
  readonly action: { readonly label: string; readonly run: () => void } | null;
  readonly mlflow: MLflowLink | null;
  readonly jobs: Model<ListTraits> | null;
}

/** The panel, a function of its state. */
export function PanelView({ state, shell }: { readonly state: PanelState; readonly shell: Shell }) {
  // Kept here, since the list goes away while the kernel restarts.
  const [open, setOpen] = useState<string | null>(null);
  const [notice, setNotice] = useState<Notice | null>(null);
  const openMLflow = async () => {
    setNotice(null);
    const refused = await shell.openMLflow(state.mlflow, 'MLflow');
    if (refused !== null) {
      setNotice(state.mlflow ? { text: refused, command: state.mlflow.command } : { text: refused });
    }
  };
  return (
    <div className="tunelab tunelab-side">
      <header className="tunelab-side-head">
        <h2>Jobs</h2>
      </header>
      <div className="tunelab-side-body">
        {state.jobs && !state.sentence && <JobList model={state.jobs} shell={shell} open={open} onOpen={setOpen} />}
        {state.sentence && (
          <div className="tunelab-empty" role="status">
            <p>{state.sentence}</p>
            {state.action && (
              <button type="button" className="tunelab-primary" onClick={state.action.run}>
                {state.action.label}
              </button>
            )}
          </div>
        )}
      </div>
      {notice && (
        <NoticeBlock
          notice={notice}
          onClose={() => {
            setNotice(null);
          }}
        />
      )}
      <footer className="tunelab-side-foot" data-tone={state.tone}>
        <span className="tunelab-dot" aria-hidden="true" />
        <span className="tunelab-side-kernel" title={state.kernel}>
          {state.kernel}
        </span>
        <button type="button" className="tunelab-plain" onClick={() => void openMLflow()}>
          Open MLflow
        </button>
      </footer>
    </div>
  );
}
