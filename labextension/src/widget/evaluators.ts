/** Reward prompts and functions: what the kernel tells of them. Kernel: notebook/prompts.py, notebook/functions.py. */
import { formatDay } from './dates';
import { plainText } from './format';
import { trans } from './i18n';

/** What a template may name besides the rows' columns. Kernel: scoring/prompts.py. */
export const VARIABLES = ['{{ prompt }}', '{{ completion }}', '{{ ground_truth }}'] as const;

/** One reward prompt in the list, by its newest version. */
export interface PromptRow {
  readonly name: string;
  readonly version: number;
  /** All versions, the newest first. */
  readonly versions: readonly number[];
  readonly builtin: boolean;
  readonly ground_truth: boolean;
  /** ISO 8601; null where it is built in. */
  readonly created: string | null;
  /** How the template begins. */
  readonly asks: string;
  /** How many jobs it scored. */
  readonly jobs: number;
}

/** A job that was scored by something; `submitted` is ISO 8601. */
export interface UsedIn {
  readonly job: string;
  readonly evaluation: boolean;
  readonly submitted: string;
}

/** One version of a reward prompt, whole. */
export interface PromptPage {
  /** As it was asked for. */
  readonly prompt: string;
  readonly template: string;
  readonly created: string | null;
  /** A cell that customizes by it. */
  readonly cell: string;
  /** Code that makes the same prompt elsewhere. */
  readonly python: string;
  readonly jobs: readonly UsedIn[];
}

/** The synced traits of the list of reward prompts. */
export interface PromptsTraits {
  prompts: readonly PromptRow[];
  /** Why the list cannot be read now, or null. */
  trouble?: string | null;
}

/** A function or a preset in the list. */
export interface FunctionRow {
  /** By which its page is asked for. */
  readonly key: string;
  readonly name: string;
  readonly kind: 'function' | 'preset';
  /** How many different sources the jobs had. */
  readonly versions: number;
  readonly says: string;
  /** When a job was scored by it last, ISO 8601; null where none was. */
  readonly used: string | null;
  readonly jobs: number;
}

/** One version of a function of the user's, or a preset. */
export interface FunctionPage {
  /** As it was asked for. */
  readonly name: string;
  readonly digest: string | null;
  readonly kind: 'function' | 'preset';
  readonly function: string;
  /** The digest of the version on show; null for a preset. */
  readonly shown: string | null;
  /** The newest first; `first` is when a job had it first. */
  readonly versions: readonly { readonly digest: string; readonly version: number; readonly first: string }[];
  readonly says: string;
  readonly source: string | null;
  readonly options: readonly { readonly name: string; readonly help: string; readonly required: boolean }[];
  readonly jobs: readonly UsedIn[];
  readonly cell: string;
  /** As a customization's spec names it, and as an evaluation's does. */
  readonly reward: Readonly<Record<string, unknown>>;
  readonly scorer: unknown;
}

/** The synced traits of the list of functions. */
export interface FunctionsTraits {
  functions: readonly FunctionRow[];
}

/** What answers a view of reward prompts or of functions. */
export type EvaluatorMessage =
  | (PromptPage & { readonly type: 'prompt' })
  | { readonly type: 'prompt_kept'; readonly prompt: string; readonly note: string }
  | {
      readonly type: 'prompt_refused';
      readonly asked: 'prompt' | 'keep_prompt';
      readonly reason: string;
      /** Which page it is about. */
      readonly prompt?: string;
    }
  | (FunctionPage & { readonly type: 'function' })
  | {
      readonly type: 'function_refused';
      readonly name: string;
      readonly digest: string | null;
      readonly reason: string;
    };

/** What such a view may ask for. */
export type EvaluatorCommand =
  | { readonly type: 'prompt'; readonly prompt: string }
  | { readonly type: 'keep_prompt'; readonly name: string; readonly template: string }
  | { readonly type: 'function'; readonly name: string; readonly digest: string | null };

/** A reward prompt that is being written. */
export interface PromptDraft {
  readonly name: string;
  /** The version that it began as, or nothing. */
  readonly from: string;
  /** Whether it is to be the next version of that name. */
  readonly isVersion: boolean;
  readonly template: string;
  readonly isTouched: boolean;
}

/** What a new prompt begins with: a question and an answer in their places, and the reply that is read. */
export const EMPTY_PROMPT: PromptDraft = {
  name: '',
  from: '',
  isVersion: false,
  template: [
    '',
    '',
    '<question>',
    '{{ prompt }}',
    '</question>',
    '',
    '<answer>',
    '{{ completion }}',
    '</answer>',
    '',
    'Reply with JSON only: {"reasoning": "one short sentence", "score": a number from 0 to 1}',
    ''
  ].join('\n'),
  isTouched: false
};

/** A draft that begins as a version; of one that is built in, a prompt of another name. */
export function promptDraft(page: PromptPage, row: PromptRow): PromptDraft {
  return {
    name: row.builtin ? '' : row.name,
    from: page.prompt,
    isVersion: !row.builtin,
    template: page.template,
    isTouched: false
  };
}

/** The field that a refusal of the kernel's is about. */
export function promptFault(reason: string): 'name' | 'template' | null {
  if (/^A reward prompt's name |^The reward prompt '[\w-]+' is built in; /.test(reason)) {
    return 'name';
  }
  return reason.startsWith('The reward prompt ') ? 'template' : null;
}

/** What keeping a draft will do, before it is asked for. */
export function promptOutcome({ name }: PromptDraft, rows: readonly PromptRow[]): string {
  const there = rows.find(row => row.name === name && !row.builtin);
  return there
    ? trans.__('%1 is there already: this becomes version %2.', plainText(name), (there.versions[0] ?? 0) + 1)
    : '';
}

/** What the list says of a reward prompt. */
export function promptFacts(row: PromptRow): readonly string[] {
  return [
    row.builtin ? trans.__('Built in') : trans.__('Yours'),
    ...(row.ground_truth ? [trans.__('needs ground truth')] : []),
    ...(row.jobs > 0 ? [trans._n('%1 job', '%1 jobs', row.jobs)] : []),
    ...(row.created === null ? [] : [formatDay(row.created)])
  ];
}

/** What the list says of a function. */
export function functionFacts(row: FunctionRow): readonly string[] {
  return [
    row.kind === 'preset' ? trans.__('Preset') : trans.__('Yours'),
    ...(row.jobs > 0 ? [trans._n('%1 job', '%1 jobs', row.jobs)] : []),
    ...(row.used === null ? [] : [trans.__('last %1', formatDay(row.used))])
  ];
}

/** Whether a filter's text is found in what a list says. */
export function matches(filter: string, said: readonly string[]): boolean {
  return said.join(' ').toLowerCase().includes(filter.trim().toLowerCase());
}
