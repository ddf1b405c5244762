/** What each state of a job says, as sentences. */
import { capitalise, formatDuration, formatNumber, ordinal, plainText } from './format';
import type { JobSnapshot } from './model';

/** How urgent a state is; it chooses a colour, and the sentence says the same in words. */
export type Tone = 'calm' | 'busy' | 'good' | 'warn' | 'bad';

/** One state in words. */
export interface StateText {
  readonly tone: Tone;
  /** The state with its present figures. */
  readonly sentence: string;
  /** What else is good to know beside the sentence, or nothing. */
  readonly aside: string;
  /** The state alone, for a screen reader: it stays the same from step to step. */
  readonly announcement: string;
}

/** Whether nothing more will come. */
export function hasEnded(state: JobSnapshot['state']): boolean {
  return state === 'completed' || state === 'failed' || state === 'cancelled';
}

/** The words for the state that `job` is in. */
export function describeState(job: JobSnapshot): StateText {
  const reason = job.reason === null ? '' : plainText(job.reason).trim();
  const because = reason && `: ${reason}`;
  const at = job.step === null ? '' : ` at ${place(job)}`;
  const took = job.elapsed_s === null ? '' : formatDuration(job.elapsed_s);
  const soFar = took && `${took} so far`;
  const after = took && `after ${took}`;

  switch (job.state) {
    case 'queued':
      return {
        tone: 'calm',
        sentence: job.cancelling ? 'Cancelling' : `Waiting for the device${queuePlace(job.position)}`,
        aside: '',
        announcement: job.cancelling ? 'Cancelling' : 'Waiting for the device'
      };
    case 'running':
      return {
        tone: 'busy',
        sentence: job.cancelling ? `Cancelling${at}: saving what there is` : runningSentence(job),
        aside: job.eta_s === null || job.cancelling ? soFar : `about ${formatDuration(job.eta_s)} left`,
        announcement: job.cancelling ? 'Cancelling' : 'Running'
      };
    case 'recovering':
      return {
        tone: 'warn',
        sentence: `Recovering${at}${because}`,
        aside: soFar,
        announcement: `Recovering${because}`
      };
    case 'paused':
      return {
        tone: reason ? 'warn' : 'calm',
        sentence: `Paused${at}${because}`,
        aside: soFar,
        announcement: `Paused${because}`
      };
    case 'completed': {
      const version = job.model_version === null ? '' : `: ${job.model_version}`;
      return {
        tone: 'good',
        sentence: `Finished${took && ` in ${took}`}${version}`,
        aside: job.total === null ? '' : steps(job.total),
        announcement: `Finished${version}`
      };
    }
    case 'failed':
      return {
        tone: 'bad',
        sentence: `Failed${because}`,
        aside: [job.step === null ? '' : place(job), after].filter(Boolean).join(' · '),
        announcement: `Failed${because}`
      };
    case 'cancelled':
      return {
        tone: 'calm',
        sentence: `Cancelled${at}${because}`,
        aside: after,
        announcement: `Cancelled${because}`
      };
  }
}

/** `step 12 of 60`, or `step 12` where the end is not known. */
function place({ step, total }: JobSnapshot): string {
  const now = `step ${formatNumber(step ?? 0)}`;
  return total === null ? now : `${now} of ${formatNumber(total)}`;
}

function steps(n: number): string {
  return n === 1 ? '1 step' : `${formatNumber(n)} steps`;
}

function queuePlace(position: number | null): string {
  if (position === null) {
    return '';
  }
  return position === 1 ? ': next in the queue' : `: ${ordinal(position)} in the queue`;
}

function runningSentence(job: JobSnapshot): string {
  const parts = [
    job.step === null ? null : place(job),
    epochs(job),
    job.phase,
    job.phase === null ? pace(job) : null
  ].filter(part => part !== null);
  return capitalise(parts.join(' · ')) || 'Starting';
}

/** `212 tokens/s, 68% of the machine’s rate`, the share where it is known. */
function pace({ tokens_per_s: tokens, share }: JobSnapshot): string | null {
  if (tokens === null) {
    return null;
  }
  // Beside other work the machine was measured slower than it is now.
  const percent = share === null ? '' : `, ${String(Math.min(100, Math.round(100 * share)))}% of the machine’s rate`;
  return `${formatNumber(Math.round(tokens))} tokens/s${percent}`;
}

/** `epoch 1.29 of 3`, where the job goes by epochs. */
function epochs({ epoch, epochs, step }: JobSnapshot): string | null {
  return epoch === null || epochs === null || step === null
    ? null
    : `epoch ${epoch.toFixed(2)} of ${Number.isInteger(epochs) ? epochs : epochs.toFixed(2)}`;
}
