/** What Python and the page share of an evaluation's results; kernel: notebook/evaluations.py and evaluation/compare.py. */

/** By what an answer is scored. */
export interface ScoreMetric {
  readonly name: string;
  /** With its version, such as `human_like@1`. */
  readonly label: string;
  /** The ends of the scale, where it has such. */
  readonly low: number | null;
  readonly high: number | null;
  /** What the points of the scale are called, with the number that stands for each. */
  readonly labels: Readonly<Record<string, number>> | null;
  /** A candidate's answer is held against the baseline's: 1 wins, 0.5 is a tie. */
  readonly pairwise: boolean;
}

/** One model by one metric, held against the baseline; fractions are of the pairs that have both scores. */
export interface Comparison {
  readonly metric: string;
  readonly model: string;
  readonly mean: number | null;
  readonly improved: number | null;
  readonly equal: number | null;
  readonly degraded: number | null;
  readonly difference: number | null;
  /** The 95% interval of the mean difference. */
  readonly low: number | null;
  readonly high: number | null;
  readonly p_value: number | null;
  readonly test: string | null;
  readonly scored: number;
  readonly unscored: number;
  /** Null for the baseline itself. */
  readonly baseline: string | null;
  readonly baseline_mean: number | null;
  readonly pairs: number;
  readonly win_rate: number | null;
  readonly verdict: string;
  /** Verdicts that changed with the order of the two answers. */
  readonly flipped: number;
}

/** Which records are on show. */
export type RecordFilter = 'all' | 'improved' | 'equal' | 'degraded' | 'unscored' | 'overruled';

/** How a record's score stands to the baseline's. */
export type Outcome = 'improved' | 'equal' | 'degraded' | 'unscored';

/** A comparison as the judge has it, with how many records each filter keeps, and as people have it. */
export interface SummaryRow extends Comparison {
  /** How many answers have no score, by the status that says why. */
  readonly reasons?: Readonly<Record<string, number>>;
  readonly counts: Readonly<Record<RecordFilter, number>>;
  /** With people's scores in place of those that they overruled; null where none is. */
  readonly human_summary: Comparison | null;
}

/** A row of a plain table. */
export type Figures = Readonly<Record<string, unknown>>;

/** The results without the records. */
export interface EvaluationState {
  /** Grows with each change. */
  readonly version: number;
  readonly method: string;
  readonly baseline: string;
  /** The first is the baseline. */
  readonly models: readonly string[];
  readonly metrics: readonly ScoreMetric[];
  /** The dataset's other columns. */
  readonly columns: readonly string[];
  /** How many records there are. */
  readonly rows: number;
  readonly summary: readonly SummaryRow[];
  readonly notes: readonly { readonly code: string; readonly message: string }[];
  readonly costs: readonly Figures[];
  /** What lm-eval says of each task. */
  readonly benchmarks: readonly Figures[] | null;
  /** How a judge agrees with people. */
  readonly judges: readonly Figures[] | null;
}

/** One model's score of a record; `human` is what a person put in its place. */
export interface Score {
  readonly score: number | null;
  readonly label: string | null;
  /** `scored`, or why not. */
  readonly status: string;
  readonly human: number | null;
}

/** A record in the table; long texts are cut. */
export interface RecordRow {
  readonly id: string;
  /** The row of the dataset, from 1. */
  readonly number: number;
  readonly prompt: string;
  readonly ground_truth: string | null;
  readonly answers: Readonly<Record<string, string>>;
  readonly scores: Readonly<Record<string, Score>>;
  readonly difference: number | null;
  /** Null for the baseline itself. */
  readonly outcome: Outcome | null;
}

/** One model's part of a record alone; what a model was not scored for is not there. */
export interface WholeAnswer extends Partial<Score> {
  readonly text: string;
  readonly reasoning?: string | null;
  /** The judge's reply as it came. */
  readonly raw?: string | null;
  /** Why there is no score. */
  readonly note?: string | null;
  readonly against?: string | null;
  readonly flipped?: boolean | null;
  readonly latency_s?: number | null;
  readonly tokens_in?: number | null;
  readonly tokens_out?: number | null;
  readonly cost?: number | null;
  /** Ended by the length limit. */
  readonly cut?: boolean | null;
}

/** By what the table is sorted. */
export type SortKey = 'row' | 'difference' | 'score' | 'baseline' | 'id';

/** Which records of the table, in which order. */
export interface RecordQuery {
  readonly metric: string;
  /** The model that is held against the baseline. */
  readonly model: string;
  readonly filter: RecordFilter;
  readonly search: string;
  readonly sort: { readonly by: SortKey; readonly descending: boolean };
  /** One value of a metadata column, or all. */
  readonly column: { readonly name: string; readonly value: unknown } | null;
}

/** The formats of an export. */
export type ExportFormat = 'csv' | 'json' | 'parquet';

/** What a view may ask of an evaluation's results. */
export type EvaluationCommand =
  | (RecordQuery & { readonly type: 'records'; readonly offset: number; readonly count: number })
  | { readonly type: 'record'; readonly id: string; readonly metric: string }
  | { readonly type: 'values'; readonly column: string }
  | {
      readonly type: 'overrule';
      readonly id: string;
      readonly model: string;
      readonly metric: string;
      /** Null takes it back. */
      readonly score: number | null;
    }
  | { readonly type: 'export'; readonly format: ExportFormat };

/** What answers a view's question about results; the bytes of what was exported come as a buffer. */
export type EvaluationMessage =
  | (RecordQuery & {
      readonly type: 'records';
      readonly offset: number;
      readonly count: number;
      readonly total: number;
      readonly rows: readonly RecordRow[];
    })
  | {
      readonly type: 'record';
      readonly id: string;
      readonly metric: string;
      readonly number: number;
      readonly prompt: string;
      readonly ground_truth: string | null;
      readonly models: Readonly<Record<string, WholeAnswer>>;
      readonly columns: Figures;
    }
  | {
      readonly type: 'values';
      readonly column: string;
      readonly values: readonly { readonly value: unknown; readonly count: number }[];
      /** How many values more there are. */
      readonly left_off: number;
    }
  | { readonly type: 'exported'; readonly name: string; readonly format: ExportFormat };

/** The first figures of an evaluation that is completed; kernel: notebook/snapshot.py. */
export interface Headline {
  readonly metric: string;
  /** Where more than one is held against the baseline. */
  readonly model: string | null;
  readonly mean: number | null;
  readonly improved: number | null;
  readonly equal: number | null;
  readonly degraded: number | null;
  /** Of a judge that was held against people. */
  readonly agreement: number | null;
  /** How many more figures of this kind there are. */
  readonly more: number;
}
