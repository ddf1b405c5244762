/** What can be done with a job: the buttons of its view, and what they answer. */
import { useState } from 'react';

import { copyText } from './copy';
import type { JobSnapshot, JobTraits, MLflowLink, Model } from './model';
import { useShell } from './shell';
import { hasEnded } from './states';

/** A sentence below the buttons, with the one command to run where that is the way out. */
export interface Notice {
  readonly text: string;
  readonly command?: string;
}

interface ActionsProps {
  readonly job: JobSnapshot;
  readonly model: Model<JobTraits>;
  readonly cell: string;
  readonly mlflow: MLflowLink | null;
  /** Whether the view may open itself in a tab. */
  readonly canOpenTab: boolean;
  readonly onNotice: (notice: Notice | null) => void;
}

/** The row of buttons. */
export function Actions({ job, model, cell, mlflow, canOpenTab, onNotice }: ActionsProps) {
  const shell = useShell();
  const openMLflow = async (link: MLflowLink) => {
    onNotice(null);
    const refused = await openLink(shell, link, job.id);
    if (refused !== null) {
      onNotice({ text: refused, command: link.command });
    }
  };
  return (
    <div className="tunelab-actions">
      <CopyButton text={cell} label="Copy as cell" />
      {canOpenTab && shell && (
        <button
          type="button"
          onClick={() => {
            shell.openTab(job.id, job.name);
          }}
        >
          Open as tab
        </button>
      )}
      <button
        type="button"
        disabled={mlflow === null}
        title={mlflow === null ? 'The run is not in MLflow yet' : undefined}
        onClick={() => {
          if (mlflow) {
            void openMLflow(mlflow);
          }
        }}
      >
        Open in MLflow
      </button>
      {!hasEnded(job.state) && (
        <button
          type="button"
          disabled={job.cancelling}
          title="Ends the job; checkpoints that were saved are kept"
          onClick={() => {
            model.send({ type: 'cancel' });
          }}
        >
          {job.cancelling ? 'Cancelling…' : 'Cancel'}
        </button>
      )}
    </div>
  );
}

/** Opens MLflow by the host; resolves to null, or to why not. */
async function openLink(shell: ReturnType<typeof useShell>, link: MLflowLink, title: string): Promise<string | null> {
  if (shell) {
    return shell.openMLflow(link, title);
  }
  if (link.url) {
    const run = link.run_id ? `/#/experiments/${link.experiment_id}/runs/${link.run_id}/model-metrics` : '';
    window.open(`${link.url.replace(/\/$/, '')}${run}`, '_blank', 'noopener');
    return null;
  }
  return 'MLflow opens by this command, in a terminal of the machine that runs the kernel:';
}

/** A button that copies and says so. */
export function CopyButton({ text, label }: { readonly text: string; readonly label: string }) {
  const [said, setSaid] = useState('');
  const copy = async () => {
    setSaid((await copyText(text)) ? 'Copied' : 'Not copied');
    setTimeout(() => {
      setSaid('');
    }, 1500);
  };
  return (
    <>
      <button type="button" className="tunelab-plain" onClick={() => void copy()}>
        {said || label}
      </button>
      <span className="tunelab-hidden" role="status">
        {said}
      </span>
    </>
  );
}

/** The notice as a block with its command. */
export function NoticeBlock({ notice, onClose }: { readonly notice: Notice; readonly onClose: () => void }) {
  return (
    <div className="tunelab-notice" role="status">
      <p>
        {notice.text}
        <button type="button" className="tunelab-close" aria-label="Close this notice" onClick={onClose}>
          ×
        </button>
      </p>
      {notice.command && (
        <p className="tunelab-command">
          <code>{notice.command}</code>
          <CopyButton text={notice.command} label="Copy" />
        </p>
      )}
    </div>
  );
}
