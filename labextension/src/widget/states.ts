/** What each state of a job says, as sentences. */
import { capitalise, formatDuration, formatNumber, ordinal, plainText } from './format';
import { trans } from './i18n';
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
  const at = job.step === null ? '' : place(job);
  const took = job.elapsed_s === null ? '' : formatDuration(job.elapsed_s);
  const soFar = took && trans.__('%1 so far', took);
  const after = took && trans.__('after %1', took);

  // What was asked for and has not come about; a cancel goes before a pause.
  const asked = job.cancelling ? trans.__('Cancelling') : job.pausing ? trans.__('Pausing') : null;
  const askedAt =
    asked === null || !at ? asked : job.cancelling ? trans.__('Cancelling at %1', at) : trans.__('Pausing at %1', at);

  switch (job.state) {
    case 'queued': {
      const waiting = because(trans.__('Waiting for the device'), reason);
      return {
        tone: reason ? 'warn' : 'calm',
        sentence: asked ?? (reason ? waiting : queuePlace(job.position)),
        // A job that was paused has steps behind it.
        aside: at && trans.__('goes on after %1', at),
        announcement: asked ?? waiting
      };
    }
    case 'running':
      return {
        // It has a reason where no process works on it, and none can be started.
        tone: reason ? 'warn' : 'busy',
        sentence: askedAt === null ? runningSentence(job, reason) : untilThen(askedAt, job),
        aside: job.eta_s === null || asked !== null ? soFar : trans.__('about %1 left', formatDuration(job.eta_s)),
        announcement: asked ?? because(trans.__('Running'), reason)
      };
    case 'recovering':
      return {
        tone: 'warn',
        sentence: askedAt ?? because(at ? trans.__('Recovering at %1', at) : trans.__('Recovering'), reason),
        aside: soFar,
        announcement: asked ?? because(trans.__('Recovering'), reason)
      };
    case 'paused':
      return {
        tone: reason && asked === null ? 'warn' : 'calm',
        sentence: askedAt ?? because(at ? trans.__('Paused at %1', at) : trans.__('Paused'), reason),
        aside: soFar,
        announcement: asked ?? because(trans.__('Paused'), reason)
      };
    case 'completed': {
      // The reason is why there is no version yet; it is of no use once there is.
      const version = job.model_version;
      const told = (text: string) =>
        version === null ? (reason ? trans.__('%1. %2', text, reason) : text) : because(text, version);
      return {
        tone: version === null && reason ? 'warn' : 'good',
        sentence: told(took ? trans.__('Finished in %1', took) : trans.__('Finished')),
        aside: job.total === null || job.kind === 'evaluate' ? '' : steps(job.total),
        announcement: told(trans.__('Finished'))
      };
    }
    case 'failed': {
      const failed = because(trans.__('Failed'), reason);
      return {
        tone: 'bad',
        sentence: failed,
        aside: [at, after].filter(Boolean).join(' · '),
        announcement: failed
      };
    }
    case 'cancelled':
      return {
        tone: 'calm',
        sentence: because(at ? trans.__('Cancelled at %1', at) : trans.__('Cancelled'), reason),
        aside: after,
        announcement: because(trans.__('Cancelled'), reason)
      };
  }
}

/** A text with what it is due to, or about. */
function because(text: string, reason: string): string {
  return reason ? trans.__('%1: %2', text, reason) : text;
}

/** `step 12 of 60`, or `step 12` where the end is not known; an evaluation has no steps: `12 of 60`. */
function place({ kind, step, total }: JobPresent): string {
  const now = formatNumber(step ?? 0);
  if (kind === 'evaluate') {
    return total === null ? now : trans.__('%1 of %2', now, formatNumber(total));
  }
  return total === null ? trans.__('step %1', now) : trans.__('step %1 of %2', now, formatNumber(total));
}

function steps(n: number): string {
  return trans._n('%2 step', '%2 steps', n, formatNumber(n));
}

function queuePlace(position: number | null): string {
  if (position === null) {
    return trans.__('Waiting for the device');
  }
  return position === 1
    ? trans.__('Waiting for the device: next in the queue')
    : trans.__('Waiting for the device: %1 in the queue', ordinal(position));
}

/** What a running job does before it has stopped. */
function untilThen(asked: string, { kind, cancelling, step }: JobPresent): string {
  if (cancelling) {
    return trans.__('%1: saving what there is', asked);
  }
  if (step === null) {
    return trans.__('%1 before the first step', asked);
  }
  return kind === 'evaluate'
    ? trans.__('%1: finishing what is under way', asked)
    : trans.__('%1: finishing the step and saving', asked);
}

function runningSentence(job: JobPresent, reason: string): string {
  if (reason) {
    return because(job.step === null ? trans.__('Running') : capitalise(place(job)), reason);
  }
  const parts = [
    job.step === null ? null : place(job),
    epochs(job),
    job.phase,
    job.phase === null ? pace(job) : null
  ].filter(part => part !== null);
  return capitalise(parts.join(' · ')) || trans.__('Starting');
}

/** `212 tokens/s, 68% of the machine’s rate`, the share where it is known. */
function pace({ tokens_per_s: tokens, share }: JobPresent): string | null {
  if (tokens === null) {
    return null;
  }
  const rate = formatNumber(Math.round(tokens));
  if (share === null) {
    return trans.__('%1 tokens/s', rate);
  }
  // Beside other work the machine was measured slower than it is now.
  const percent = `${String(Math.min(100, Math.round(100 * share)))}%`;
  return trans.__('%1 tokens/s, %2 of the machine’s rate', rate, percent);
}

/** `epoch 1.29 of 3`, where the job goes by epochs. */
function epochs({ epoch, epochs, step }: JobPresent): string | null {
  return epoch === null || epochs === null || step === null
    ? null
    : trans.__('epoch %1 of %2', epoch.toFixed(2), Number.isInteger(epochs) ? epochs : epochs.toFixed(2));
}
