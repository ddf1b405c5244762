/** Running a job again: what the kernel tells of it. Kernel: notebook/replay.py. */

/** One thing that was noted when the job ran, and what it is now. */
export interface ReplayDifference {
  readonly what: string;
  readonly then: string;
  readonly now: string;
}

/** The synced traits of a replay. */
export interface ReplayTraits {
  differences: readonly ReplayDifference[];
  /** What was looked at and is equal. */
  same: readonly string[];
  /** What cannot be held against the record, as sentences. */
  unknown: readonly string[];
  /** The cell that runs it again. */
  cell: string;
  /** Why it cannot be run again, with what to do; null where it can. */
  refused: string | null;
  /** It was asked for, and has not started yet. */
  starting: boolean;
  /** Why it could not be started when it was asked for. */
  failed: string | null;
  /** The id of the new job. */
  submitted: string | null;
}

/** What a replay's view may ask for. */
export interface ReplayCommand {
  readonly type: 'run';
}
