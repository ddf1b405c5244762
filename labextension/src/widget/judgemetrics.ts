/** A judge's metrics: what the kernel tells of them, what a form holds, and how they are said. Kernel: notebook/metrics.py. */
import { plainText } from './format';
import { trans } from './i18n';

/** What the instructions may name. Kernel: spec/metrics.py. */
export const PLACEHOLDERS = ['prompt', 'prediction', 'ground_truth'] as const;
/** A scale has no more ratings. Kernel: spec/metrics.py. */
export const MOST_RATINGS = 21;
/** A file beyond this is none, in bytes. */
const LARGEST_FILE = 2_000_000;

/** One metric in the list, by its newest version. */
export interface MetricRow {
  readonly name: string;
  readonly version: number;
  /** All versions, the newest first. */
  readonly versions: readonly number[];
  readonly builtin: boolean;
  /** From the worst to the best, `0 < 1 < 2`; a long one is cut. */
  readonly scale: string;
  /** Whether the scale has words alone. */
  readonly categorical: boolean;
  readonly ground_truth: boolean;
  /** ISO 8601; null where it is built in. */
  readonly created: string | null;
  /** How the instructions begin. */
  readonly asks: string;
}

/** One point of a scale; `counts` is the number that stands for it. */
export interface Rating {
  readonly definition: string;
  readonly value: number | null;
  readonly counts: number;
}

/** One version, whole. */
export interface MetricPage {
  /** As it was asked for. */
  readonly metric: string;
  readonly instructions: string;
  /** From the worst to the best. */
  readonly ratings: readonly Rating[];
  readonly created: string | null;
  /** A cell that judges by it. */
  readonly cell: string;
  /** Code that makes the same metric elsewhere. */
  readonly python: string;
  /** SageMaker's and Bedrock's form. */
  readonly json: string;
}

/** The synced traits of the list of metrics. */
export interface MetricsTraits {
  metrics: readonly MetricRow[];
  /** Why the list cannot be read now, or null. */
  trouble?: string | null;
}

/** What answers a view of metrics. */
export type MetricMessage =
  | (MetricPage & { readonly type: 'metric' })
  | {
      readonly type: 'metric_kept';
      readonly metric: string;
      readonly asked: MetricCommand['type'];
      readonly notes: readonly string[];
    }
  | { readonly type: 'metric_choice'; readonly file: string; readonly names: readonly string[] }
  | {
      readonly type: 'metric_refused';
      readonly asked: MetricCommand['type'];
      readonly reason: string;
      /** Which page it is about. */
      readonly metric?: string;
    };

/** What a view of metrics may ask for. */
export type MetricCommand =
  | { readonly type: 'metric'; readonly metric: string }
  | {
      readonly type: 'keep_metric';
      readonly name: string;
      readonly instructions: string;
      /** What is no number is sent as it was typed, and refused in a sentence. */
      readonly rating_scale: readonly { readonly definition: string; readonly value?: number | string }[];
    }
  | {
      readonly type: 'import_metric';
      readonly file: string;
      readonly text: string;
      /** Which one, where there are several. */
      readonly name: string | null;
    };

/** A rating as it is typed; `key` stays with it wherever it is moved. */
export interface DraftRating {
  readonly key: number;
  readonly definition: string;
  readonly value: string;
}

/** A metric that is being written. */
export interface Draft {
  readonly name: string;
  /** The version that it began as, or nothing. */
  readonly from: string;
  /** Whether it is to be the next version of that name. */
  readonly isVersion: boolean;
  readonly instructions: string;
  readonly ratings: readonly DraftRating[];
  /** Whether the scale has no values; those that were typed are kept meanwhile. */
  readonly wordsOnly: boolean;
  readonly isTouched: boolean;
}

/** What marks a field that was refused, and ties it to the reason. */
export interface Faulty {
  readonly 'aria-invalid'?: true;
  readonly 'aria-describedby'?: string;
}

/** What a new metric begins with: a question and an answer in their places, and the ends of a scale. */
export const EMPTY: Draft = {
  name: '',
  from: '',
  isVersion: false,
  instructions: '\n\nQuestion: {{prompt}}\n\nAnswer: {{prediction}}\n',
  ratings: [
    { key: 0, definition: '', value: '1' },
    { key: 1, definition: '', value: '2' },
    { key: 2, definition: '', value: '3' }
  ],
  wordsOnly: false,
  isTouched: false
};

/** A draft that begins as a version; of one that is built in, a metric of another name. */
export function draftOf(page: MetricPage, row: MetricRow): Draft {
  return {
    name: row.builtin ? '' : row.name,
    from: page.metric,
    isVersion: !row.builtin,
    instructions: page.instructions,
    ratings: page.ratings.map(({ definition, counts }, key) => ({ key, definition, value: String(counts) })),
    wordsOnly: page.ratings.every(({ value }) => value === null),
    isTouched: false
  };
}

/** What the kernel is asked to keep. */
export function commandOf({ name, instructions, ratings, wordsOnly }: Draft): MetricCommand {
  return {
    type: 'keep_metric',
    name,
    instructions,
    rating_scale: ratings.map(({ definition, value }) =>
      wordsOnly ? { definition } : { definition, value: numberOf(value) ?? value }
    )
  };
}

function numberOf(typed: string): number | null {
  const number = Number(typed);
  return typed.trim() !== '' && Number.isFinite(number) ? number : null;
}

/** The part of the form that a refusal of the kernel's is about: a field, or a rating's field by its place from 0. */
export function faultOf(reason: string): string | null {
  // The sentence begins with the metric's name, which may be anything.
  const [, , rating, part] = /: (rating_scale\.(\d+)(?:\.(definition|value))?): /.exec(reason) ?? [];
  if (rating !== undefined) {
    return `${part ?? 'definition'}-${Number(rating) - 1}`;
  }
  return /: (name|instructions|rating_scale): /.exec(reason)?.[1] ?? (reason.includes(' built in; ') ? 'name' : null);
}

/** The instructions in pieces, those of the placeholders marked. */
export function marked(instructions: string): readonly { readonly text: string; readonly isPlaceholder: boolean }[] {
  // A group is kept by `split`: every second piece is a placeholder.
  return instructions
    .split(/(\{\{\s*(?:prompt|prediction|ground_truth)\s*\}\})/)
    .map((text, place) => ({ text, isPlaceholder: place % 2 === 1 }))
    .filter(({ text }) => text !== '');
}

/** `built in` or `yours`, and what it needs, as the list says them. */
export function factsOf(row: MetricRow): readonly string[] {
  return [
    row.builtin ? trans.__('built in') : trans.__('yours'),
    ...(row.ground_truth ? [trans.__('needs ground truth')] : [])
  ];
}

/** What a filter looks in. */
export function searchable(row: MetricRow): string {
  const words = [`${row.name}@${row.version}`, ...factsOf(row), row.scale, row.asks];
  return words.join(' ').toLowerCase();
}

/** What keeping a draft will do, before it is asked for: a new name, or which version. */
export function outcomeOf({ name }: Draft, rows: readonly MetricRow[]): string {
  const there = rows.find(row => row.name === name && !row.builtin);
  return there
    ? trans.__('%1 is there already: this becomes version %2.', plainText(name), (there.versions[0] ?? 0) + 1)
    : '';
}

/** A file's text, or why it cannot be one of a metric. */
export async function readFile(file: File): Promise<{ readonly text: string } | { readonly refused: string }> {
  const name = plainText(file.name);
  if (file.size > LARGEST_FILE) {
    return { refused: trans.__('%1 is too large to be a metric.', name) };
  }
  let bytes: Uint8Array;
  try {
    bytes = new Uint8Array(await file.arrayBuffer());
  } catch (error) {
    // Moved or changed since it was chosen.
    return { refused: trans.__('%1 cannot be read: %2', name, (error as Error).message) };
  }
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch {
    return { refused: trans.__('%1 is not UTF-8 text.', name) };
  }
}
