/** What can be done with a job: the buttons of its view, and what they answer. */
import { useState } from 'react';

import { copyText } from './copy';
import { trans } from './i18n';
import { openOutside } from './mlflowlink';
import type { JobCommand, JobSnapshot, JobTraits, MLflowLink, Model } from './model';
import { useNavigation } from './route';
import { useShell } from './shell';
import { hasEnded } from './states';

type Verb = Exclude<JobCommand['type'], 'points'>;

/** One button that steers a job. */
interface Control {
  readonly verb: Verb;
  readonly label: string;
  /** What it does, where one points at it. */
  readonly hint: string;
  /** It was asked for already. */
  readonly waits?: boolean;
  readonly primary?: boolean;
}

/** What steers a job in the state that it is in. */
function controls({ state, cancelling, pausing, position }: JobSnapshot): readonly Control[] {
  const pause: Control = {
    verb: 'pause',
    label: trans.__('Pause'),
    hint: trans.__('Finishes the step, saves, and frees memory and device; the job can go on at any time')
  };
  const resume: Control = {
    verb: 'resume',
    label: trans.__('Resume'),
    hint: trans.__('Goes on where it was saved, as soon as the device is free'),
    primary: true
  };
  const moveUp: Control = { verb: 'move_up', label: trans.__('Move up'), hint: trans.__('One place up in the queue') };
  const cancel: Control = {
    verb: 'cancel',
    label: trans.__('Cancel'),
    hint: trans.__('Ends the job; checkpoints that were saved are kept')
  };
  if (hasEnded(state)) {
    return [];
  }
  if (cancelling) {
    return [{ ...cancel, label: trans.__('Cancelling…'), waits: true }];
  }
  if (pausing) {
    // In this order a hasty second click on Pause does not take it back.
    return [
      { ...resume, hint: trans.__('Takes the pause back'), primary: false },
      { ...pause, label: trans.__('Pausing…'), waits: true },
      cancel
    ];
  }
  if (state === 'paused') {
    return [resume, cancel];
  }
  return state === 'queued' && position !== null && position > 1 ? [moveUp, pause, cancel] : [pause, cancel];
}

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
  const navigation = useNavigation();
  const steering = controls(job);
  const openMLflow = async (link: MLflowLink) => {
    onNotice(null);
    const refused = await openLink(shell, link, job.id);
    if (refused !== null) {
      onNotice({ text: refused, command: link.command });
    }
  };
  return (
    <div className="tunelab-actions">
      <CopyButton text={cell} label={trans.__('Copy as cell')} />
      {navigation && job.kind === 'customize' && (
        <button
          type="button"
          title={trans.__('Begins another customization with these settings')}
          onClick={() => {
            navigation.go({ page: 'customize', from: { job: job.id } });
          }}
        >
          {trans.__('Open in form')}
        </button>
      )}
      {canOpenTab && shell && (
        <button
          type="button"
          onClick={() => {
            shell.openTab(job.id, job.name);
          }}
        >
          {trans.__('Open as tab')}
        </button>
      )}
      <button
        type="button"
        disabled={mlflow === null}
        title={mlflow === null ? trans.__('The run is not in MLflow yet') : undefined}
        onClick={() => {
          if (mlflow) {
            void openMLflow(mlflow);
          }
        }}
      >
        {trans.__('Open in MLflow')}
      </button>
      {navigation && hasEnded(job.state) && (
        <button
          type="button"
          title={trans.__('Tells first what differs today')}
          onClick={() => {
            navigation.go({ page: 'replay', job: job.id, isEvaluation: job.kind === 'evaluate' });
          }}
        >
          {trans.__('Run again…')}
        </button>
      )}
      {steering.length > 0 && (
        <span className="tunelab-steering">
          {steering.map(({ verb, label, hint, waits = false, primary = false }) => (
            <button
              key={verb}
              type="button"
              className={primary ? 'tunelab-primary' : undefined}
              disabled={waits}
              title={hint}
              onClick={() => {
                onNotice(null);
                model.send({ type: verb });
              }}
            >
              {label}
            </button>
          ))}
        </span>
      )}
    </div>
  );
}

/** Opens MLflow by the host; resolves to null, or to why not. */
async function openLink(shell: ReturnType<typeof useShell>, link: MLflowLink, title: string): Promise<string | null> {
  return shell ? shell.openMLflow(link, title) : openOutside(link);
}

/** A button that copies and says so. */
export function CopyButton({ text, label }: { readonly text: string; readonly label: string }) {
  const [said, setSaid] = useState('');
  const copy = async () => {
    setSaid((await copyText(text)) ? trans.__('Copied') : trans.__('Not copied'));
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
        <button type="button" className="tunelab-close" aria-label={trans.__('Close this notice')} onClick={onClose}>
          ×
        </button>
      </p>
      {notice.command && (
        <p className="tunelab-command">
          <code>{notice.command}</code>
          <CopyButton text={notice.command} label={trans.__('Copy')} />
        </p>
      )}
    </div>
  );
}
