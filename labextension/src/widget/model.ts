/** What Python and the page share: the traits of a job's view, the commands it may send, and a hook that reads a trait. */
import { useCallback, useSyncExternalStore } from 'react';

/** A job's state, named as in its journal. */
export type JobState = 'queued' | 'running' | 'recovering' | 'paused' | 'completed' | 'failed' | 'cancelled';

/** The latest value of one metric, under TRL's own name for it. */
export interface Metric {
  readonly name: string;
  readonly value: number | null;
  readonly step: number;
}

/** One line of a job's log; `time` is ISO 8601. */
export interface LogLine {
  readonly time: string;
  readonly level: string;
  readonly text: string;
}

/** All that a job's view shows besides its curves, as the kernel read it from the journal. Times are seconds. */
export interface JobSnapshot {
  readonly id: string;
  /** The custom model's name. */
  readonly name: string;
  readonly kind: 'customize';
  readonly technique: string;
  readonly model: string;
  readonly dataset: string;
  /** The adapter in words, such as `LoRA r16`. */
  readonly adapter: string;
  readonly state: JobState;
  readonly reason: string | null;
  /** A cancel was asked for, and the job has not ended yet. */
  readonly cancelling: boolean;
  /** A pause was asked for, and the job is not paused yet. */
  readonly pausing: boolean;
  /** The place in the queue, from 1. */
  readonly position: number | null;
  readonly step: number | null;
  readonly total: number | null;
  readonly epoch: number | null;
  /** Epochs in all, where the job goes by epochs and not by steps. */
  readonly epochs: number | null;
  /** Seconds that are left. */
  readonly eta_s: number | null;
  readonly tokens_per_s: number | null;
  /** Of the machine's measured matrix rate, from 0 to 1; null where it is not known. */
  readonly share: number | null;
  /** What the worker does besides training steps, such as `loading the model`. */
  readonly phase: string | null;
  readonly metrics: readonly Metric[];
  /** The last few lines. */
  readonly logs: readonly LogLine[];
  readonly checkpoint: { readonly step: number; readonly time: number } | null;
  /** How often the job was recovered so far. */
  readonly restarts: number;
  /** What the job's folder takes on the disk. */
  readonly disk_bytes: number;
  readonly rows: { readonly train: number; readonly eval: number };
  /** The registered version, such as `chatty@1`. */
  readonly model_version: string | null;
  readonly submitted: number;
  readonly started: number | null;
  readonly ended: number | null;
  /** Seconds of work so far. */
  readonly elapsed_s: number | null;
}

/** One job in the list: a snapshot with the points of its headline curve. */
export interface JobRow extends JobSnapshot {
  readonly spark: readonly (readonly [step: number, value: number])[];
}

/** Where a run is found in MLflow: `url` of a tracking server, else the `command` that starts one. */
export interface MLflowLink {
  readonly url: string | null;
  readonly command: string;
  readonly artifacts: string | null;
  readonly experiment_id: string | null;
  readonly run_id: string | null;
}

/** New points of one metric: they stand at index `at` and end the curve; `runs` of [first, stride, count] are steps. */
export interface Stretch {
  readonly name: string;
  readonly at: number;
  readonly runs: readonly (readonly [first: number, stride: number, count: number])[];
}

/** The curves that come with a widget's state; not `whole` where long ones were thinned. */
export interface CurvesState {
  readonly index: readonly Stretch[];
  readonly values: DataView;
  readonly whole: boolean;
}

/** The synced traits of a job's view. */
export interface JobTraits {
  snapshot: JobSnapshot;
  /** The cell that makes the same job again. */
  cell: string;
  mlflow: MLflowLink | null;
  curves?: CurvesState;
}

/** The synced traits of the list of jobs. */
export interface ListTraits {
  jobs: readonly JobRow[];
}

/** What comes besides traits: points, or why something that was asked for could not be done. */
export type Message =
  { readonly type: 'points'; readonly index: readonly Stretch[] } | { readonly type: 'notice'; readonly text: string };

/** What a view may ask the kernel for. The list of jobs says of which job. */
export type Command =
  { readonly type: 'pause' | 'resume' | 'move_up' | 'cancel'; readonly job?: string } | { readonly type: 'points' };

/** The part of anywidget's model that the views use, so that a comm of JupyterLab can stand in for it. */
export interface Model<T extends object> {
  get<K extends keyof T & string>(name: K): T[K];
  on(event: string, callback: (...args: never[]) => void): void;
  off(event: string, callback: (...args: never[]) => void): void;
  send(content: Command): void;
}

/** The value of a synced trait; the component renders again when it changes. */
export function useTrait<T extends object, K extends keyof T & string>(model: Model<T>, name: K): T[K] {
  const subscribe = useCallback(
    (changed: () => void) => {
      model.on(`change:${name}`, changed);
      return () => {
        model.off(`change:${name}`, changed);
      };
    },
    [model, name]
  );
  return useSyncExternalStore(subscribe, () => model.get(name));
}
