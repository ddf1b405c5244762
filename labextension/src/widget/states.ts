/** What each state of a job says, as sentences. */
import { capitalise, formatDuration, formatNumber, ordinal, plainText } from './format';
import type { JobPresent } from './model';

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
export function hasEnded(state: JobPresent['state']): boolean {
  return state === 'completed' || state === 'failed' || state === 'cancelled';
}

/** Whether no points are about to come: a job that has the next turn starts in a moment. */
export function isIdle({ state, position }: JobPresent): boolean {
  return hasEnded(state) || state === 'paused' || (state === 'queued' && position !== null);
}

/** The words for the state that `job` is in. */
export function describeState(job: JobPresent): StateText {
  const reason = job.reason === null ? '' : plainText(job.reason).trim();
  const because = reason && `: ${reason}`;
  const at = job.step === null ? '' : ` at ${place(job)}`;
  const took = job.elapsed_s === null ? '' : formatDuration(job.elapsed_s);
  const soFar = took && `${took} so far`;
  const after = took && `after ${took}`;

  // What was asked for and has not come about; a cancel goes before a pause.
  const asked = job.cancelling ? 'Cancelling' : job.pausing ? 'Pausing' : null;

  switch (job.state) {
    case 'queued':
      return {
        tone: reason ? 'warn' : 'calm',
        sentence: asked ?? `Waiting for the device${because || queuePlace(job.position)}`,
        // A job that was paused has steps behind it.
        aside: job.step === null ? '' : `goes on after ${place(job)}`,
        announcement: asked ?? `Waiting for the device${because}`
      };
    case 'running':
      return {
        // It has a reason where no process works on it, and none can be started.
        tone: reason ? 'warn' : 'busy',
        sentence: asked === null ? runningSentence(job, because) : `${asked}${at}${untilThen(job)}`,
        aside: job.eta_s === null || asked !== null ? soFar : `about ${formatDuration(job.eta_s)} left`,
        announcement: asked ?? `Running${because}`
      };
    case 'recovering':
      return {
        tone: 'warn',
        sentence: asked === null ? `Recovering${at}${because}` : `${asked}${at}`,
        aside: soFar,
        announcement: asked ?? `Recovering${because}`
      };
    case 'paused':
      return {
        tone: reason && asked === null ? 'warn' : 'calm',
        sentence: asked === null ? `Paused${at}${because}` : `${asked}${at}`,
        aside: soFar,
        announcement: asked ?? `Paused${because}`
      };
    case 'completed': {
      // The reason is why there is no version yet; it is of no use once there is.
      const rest = job.model_version === null ? reason && `. ${reason}` : `: ${job.model_version}`;
      return {
        tone: job.model_version === null && reason ? 'warn' : 'good',
        sentence: `Finished${took && ` in ${took}`}${rest}`,
        aside: job.total === null || job.kind === 'evaluate' ? '' : steps(job.total),
        announcement: `Finished${rest}`
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

/** `step 12 of 60`, or `step 12` where the end is not known; an evaluation has no steps: `12 of 60`. */
function place({ kind, step, total }: JobPresent): string {
  const now = `${kind === 'evaluate' ? '' : 'step '}${formatNumber(step ?? 0)}`;
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

/** What a running job does before it has stopped. */
function untilThen({ kind, cancelling, step }: JobPresent): string {
  if (cancelling) {
    return ': saving what there is';
  }
  return step === null
    ? ' before the first step'
    : kind === 'evaluate'
      ? ': finishing what is under way'
      : ': finishing the step and saving';
}

function runningSentence(job: JobPresent, because: string): string {
  if (because) {
    return `${job.step === null ? 'Running' : capitalise(place(job))}${because}`;
  }
  const parts = [
    job.step === null ? null : place(job),
    epochs(job),
    job.phase,
    job.phase === null ? pace(job) : null
  ].filter(part => part !== null);
  return capitalise(parts.join(' · ')) || 'Starting';
}

/** `212 tokens/s, 68% of the machine’s rate`, the share where it is known. */
function pace({ tokens_per_s: tokens, share }: JobPresent): string | null {
  if (tokens === null) {
    return null;
  }
  // Beside other work the machine was measured slower than it is now.
  const percent = share === null ? '' : `, ${String(Math.min(100, Math.round(100 * share)))}% of the machine’s rate`;
  return `${formatNumber(Math.round(tokens))} tokens/s${percent}`;
}

/** `epoch 1.29 of 3`, where the job goes by epochs. */
function epochs({ epoch, epochs, step }: JobPresent): string | null {
  return epoch === null || epochs === null || step === null
    ? null
    : `epoch ${epoch.toFixed(2)} of ${Number.isInteger(epochs) ? epochs : epochs.toFixed(2)}`;
}
