/** What Python and the page share: the traits of each view, the commands it may send, and a hook that reads a trait. */
import { useCallback, useSyncExternalStore } from 'react';

import type { CustomizeCommand } from './customize';
import type { EvaluatorCommand, EvaluatorMessage } from './evaluators';
import type { MetricCommand, MetricMessage } from './judgemetrics';
import type { LineageCommand } from './lineage';
import type { ReplayCommand } from './replays';
import type { EvaluationCommand, EvaluationMessage, EvaluationState, Headline } from './results';

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

/** Something that goes wrong in silence, and what to do. */
export interface Alert {
  readonly code: string;
  readonly message: string;
  readonly advice: string;
  /** The step at which it was said last, and how often it was. */
  readonly step: number | null;
  readonly count: number;
}

/** What a job is and how far it is, as the kernel read it from the journal. Times are seconds. */
export interface JobPresent {
  readonly id: string;
  /** The custom model's name. */
  readonly name: string;
  readonly kind: 'customize' | 'evaluate';
  /** An evaluation's method. */
  readonly technique: string;
  /** Of an evaluation all, such as `chatty@1 against smollm2-135m`. */
  readonly model: string;
  readonly dataset: string;
  /** The adapter in words, such as `LoRA r16`; of an evaluation, what scores: `human_like · judge: local smollm2-360m`. */
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
  /** The registered version, such as `chatty@1`. */
  readonly model_version: string | null;
  readonly ended: number | null;
  /** Seconds of work so far. */
  readonly elapsed_s: number | null;
}

/** All that a job's view shows besides its curves. */
export interface JobSnapshot extends JobPresent {
  /** The last few lines. */
  readonly logs: readonly LogLine[];
  /** The last word of each warning, the latest first. */
  readonly alerts: readonly Alert[];
  readonly checkpoint: { readonly step: number; readonly time: number } | null;
  /** How often the job was recovered so far. */
  readonly restarts: number;
  /** What the job's folder takes on the disk. */
  readonly disk_bytes: number;
  readonly rows: { readonly train: number; readonly eval: number };
  readonly submitted: number;
  readonly started: number | null;
}

/** One job in the list: the metrics are those that matter, the points are of its headline curve. */
export interface JobRow extends JobPresent {
  readonly spark: readonly (readonly [step: number, value: number])[];
  /** How an evaluation went; null before it is completed, and of a customization. */
  readonly headline?: Headline | null;
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

/** Steps that have rollouts, as runs, and how many answers there are in all. */
export interface RolloutSteps {
  readonly steps: Stretch['runs'];
  readonly answers: number;
}

/** Which rollouts there are; kernel: notebook/rollouts.py. */
export interface RolloutsState {
  /** Grows with each that comes or is taken back. */
  readonly version: number;
  readonly trained: RolloutSteps;
  readonly held_out: RolloutSteps;
}

/** One completion with its reward. */
export interface Answer {
  readonly completion: string;
  /** Null where there is none, for the reason in `status` and `note`. */
  readonly reward: number | null;
  readonly parts: Readonly<Record<string, number | null>>;
  /** Ended by the length limit. */
  readonly cut: boolean;
  readonly tokens: number | null;
  readonly status: string;
  readonly note: string;
}

/** The answers to one prompt that were sampled together: their figures, the best and the worst; long texts are cut. */
export interface RolloutGroup {
  /** Its place within the step, from 0. */
  readonly group: number;
  /** The row of the dataset, from 1. */
  readonly row: number | null;
  readonly prompt: string;
  readonly answers: number;
  readonly mean: number | null;
  /** The standard deviation of the rewards. */
  readonly spread: number | null;
  /** No two rewards differ, so that nothing is learned from it. */
  readonly no_spread: boolean;
  readonly missing: number;
  readonly cut: number;
  readonly best: Answer;
  /** Null where there is one answer only. */
  readonly worst: Answer | null;
}

/** A place where a text was found. */
export interface RolloutHit {
  readonly step: number;
  readonly held_out: boolean;
  readonly group: number;
  readonly reward: number | null;
  readonly where: 'prompt' | 'completion';
  readonly before: string;
  readonly match: string;
  readonly after: string;
}

/** A step, of the rollouts that were trained on or of the held-out ones. */
export interface RolloutPlace {
  readonly step: number;
  readonly held_out: boolean;
}

/** What answers a view's question about rollouts. */
export type RolloutMessage =
  | (RolloutPlace & {
      readonly type: 'rollouts';
      readonly groups: readonly RolloutGroup[];
      /** How many groups more there are. */
      readonly left_off: number;
    })
  | (RolloutPlace & {
      readonly type: 'group';
      readonly group: number;
      readonly prompt: string;
      /** The best first. */
      readonly answers: readonly Answer[];
    })
  | { readonly type: 'search'; readonly text: string; readonly hits: readonly RolloutHit[]; readonly found: number };

/** The synced traits of a job's view. */
export interface JobTraits {
  snapshot: JobSnapshot;
  /** The cell that makes the same job again. */
  cell: string;
  mlflow: MLflowLink | null;
  /** Of a job that samples. */
  rollouts?: RolloutsState | null;
  /** Of an evaluation, once there are results. */
  evaluation?: EvaluationState | null;
  curves?: CurvesState;
}

/** The synced traits of the list of jobs. */
export interface ListTraits {
  jobs: readonly JobRow[];
  /** How many jobs' journals the kernel has still to read. */
  left?: number;
}

/** One row of a dataset, as its JSON has it. */
export type Row = Readonly<Record<string, unknown>>;

/** One version of a dataset in a list. */
export interface DatasetRow {
  readonly name: string;
  readonly version: number;
  /** All versions of this name, the newest first. */
  readonly versions: readonly number[];
  readonly technique: string;
  readonly rows: number;
  /** The fields that the technique reads. */
  readonly form: readonly string[];
  readonly source: string;
  readonly creator: string;
  /** ISO 8601. */
  readonly created: string;
  /** How many kinds of warning its report has. */
  readonly warnings: number;
}

/** One kind of thing that a check found. Rows count from 1. */
export interface Finding {
  readonly kind: string;
  readonly severity: 'fault' | 'warning';
  readonly field: string | null;
  readonly count: number;
  /** The first few rows. */
  readonly rows: readonly number[];
  readonly message: string;
  /** What `fix=` takes to mend it, such as `drop-duplicates`. */
  readonly fix: string | null;
}

/** What a check of every row found. Kernel: data/report.py. */
export interface Report {
  readonly rows: number;
  readonly faulty: number;
  readonly technique: string;
  readonly form: readonly string[];
  /** The form that was recognized, and each field with what it is made from. */
  readonly mapping: { readonly name: string; readonly columns: readonly (readonly [field: string, from: string])[] };
  readonly findings: readonly Finding[];
  /** What each fix left out or changed, in rows. */
  readonly fixed: Readonly<Record<string, number>>;
  readonly classes: readonly (readonly [label: string, rows: number])[] | null;
}

/** Tokens of one sequence, with whether each is trained on and whether it is a special one. */
export interface TokenSequence {
  /** `chosen`, `rejected`, or nothing where there is one sequence a row. */
  readonly label: string;
  readonly tokens: readonly (readonly [text: string, trained: 0 | 1, special: 0 | 1])[];
  readonly length: number;
  readonly trained: number;
  /** Tokens that the greatest length cuts off. */
  readonly cut: number;
}

/** A dataset as the model will see it. Kernel: data/preview.py. */
export interface Preview {
  readonly model: string;
  readonly technique: string;
  readonly max_length: number | null;
  readonly rows: number;
  /** How many rows the lengths were measured on. */
  readonly measured: number;
  readonly lengths: {
    readonly bins: readonly (readonly [from: number, to: number, count: number])[];
    readonly median: number;
    readonly longest: number;
    readonly cut_rows: number;
    readonly cut_tokens: number;
  };
  readonly end_of_turn: string | null;
  readonly trains_end: boolean;
  readonly untrained_rows: number;
  /** What else there is to know. */
  readonly notes?: readonly string[];
  /** Why it cannot be trained on, or null. */
  readonly problem: string | null;
  readonly examples: readonly { readonly row: number; readonly sequences: readonly TokenSequence[] }[];
}

/** The synced traits of the list of datasets: the newest version of each name, the newest first. */
export interface DatasetsTraits {
  datasets: readonly DatasetRow[];
}

/** The synced traits of one dataset's view. */
export interface DatasetTraits {
  /** The version with its digest, and what needs it: jobs and versions of models. */
  dataset: DatasetRow & { readonly digest: string; readonly uses: readonly string[] };
  report: Report;
  /** The cell that customizes a model with it; null where it is for evaluation. */
  cell: string | null;
  /** The models that a preview can be of, the likeliest first. */
  models: readonly string[];
  preview: Preview | null;
  /** What is being done at the moment, as a sentence. */
  busy: string | null;
}

/** The synced traits of the form that creates a dataset. */
export interface CreateTraits {
  /** What may be asked for; `fields` has the forms of each technique, the usual one first, `optional` what may be there too. */
  form: {
    readonly techniques: readonly string[];
    readonly fields: Readonly<Record<string, readonly (readonly string[])[]>>;
    readonly optional: Readonly<Record<string, readonly string[]>>;
    /** What `fix` takes, with what each does. */
    readonly fixes: Readonly<Record<string, string>>;
  };
  /** The file that was checked last: a path in the kernel's file system, or empty. */
  source: string;
  /** The columns of the file's first rows; those in a mapping too, with dots. */
  columns: readonly string[];
  /** The first five rows of the file. */
  sample: readonly Row[];
  report: Report | null;
  /** Why the file could not be checked, or the dataset not be made. */
  refused: string | null;
  /** Rows so far, while a check runs. */
  checking: { readonly rows: number } | null;
  /** Whether the dataset is being made. */
  creating: boolean;
  /** `NAME@VERSION` of what was made. */
  created: string | null;
  /** A name for it. */
  name: string;
}

/** What comes besides traits. */
export type Message =
  | RolloutMessage
  | EvaluationMessage
  | MetricMessage
  | EvaluatorMessage
  | { readonly type: 'points'; readonly index: readonly Stretch[] }
  /** Why something that was asked for could not be done. */
  | { readonly type: 'notice'; readonly text: string }
  /** Rows from place `first` on, from 0; long texts are cut. */
  | { readonly type: 'rows'; readonly first: number; readonly rows: readonly Row[] }
  | { readonly type: 'deleted' };

/** What a job's view may ask the kernel for. The list of jobs says of which job. */
export type JobCommand =
  { readonly type: 'pause' | 'resume' | 'move_up' | 'cancel'; readonly job?: string } | { readonly type: 'points' };

/** What a job's view may ask of its rollouts. */
export type RolloutCommand =
  | (RolloutPlace & { readonly type: 'rollouts' })
  | (RolloutPlace & { readonly type: 'group'; readonly group: number })
  | { readonly type: 'search'; readonly text: string };

/** What a dataset's view may ask for; rows count from 0 here. */
export type DatasetCommand =
  | { readonly type: 'rows'; readonly first: number; readonly count: number }
  | { readonly type: 'preview'; readonly model: string }
  | { readonly type: 'delete' };

/** What a check needs to know; without a technique the one that the fields fit. */
interface Asked {
  readonly source: string;
  readonly technique: string | null;
  /** Field to column; empty to have the form recognized. */
  readonly columns: Readonly<Record<string, string>>;
}

/** What the form that creates a dataset may ask for. A check ends the one that runs. */
export type CreateCommand =
  | (Asked & { readonly type: 'check' })
  | (Asked & { readonly type: 'create'; readonly name: string; readonly fix: readonly string[] });

/** What a view may ask the kernel for. */
export type Command =
  | JobCommand
  | RolloutCommand
  | EvaluationCommand
  | DatasetCommand
  | CreateCommand
  | MetricCommand
  | EvaluatorCommand
  | ReplayCommand
  | CustomizeCommand
  | LineageCommand;

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
