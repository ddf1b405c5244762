/** Models in the page: what the kernel tells of base and custom models, and how it is said. Kernel: notebook/models.py. */
import { techniqueName } from './datasets';
import { formatBytes, formatNumber, plainText } from './format';
import { trans } from './i18n';
import type { MLflowLink } from './model';

/** A model's score by one metric, of its newest evaluation with it. */
export interface Score {
  readonly metric: string;
  readonly mean: number;
  readonly difference: number | null;
}

/** A custom model in the list, by its newest version. */
export interface CustomRow {
  readonly kind: 'custom';
  readonly name: string;
  readonly version: number;
  /** The newest first. */
  readonly versions: readonly number[];
  readonly base: string;
  readonly technique: string;
  readonly dataset: string;
  readonly adapter: string;
  /** ISO 8601. */
  readonly created: string;
  readonly scores: readonly Score[];
}

/** What a step takes in bytes: with activations computed twice, and with every row as long as it may be. */
export interface Need {
  readonly least: number;
  readonly most: number;
  /** Whether there is memory for the least now. */
  readonly fits: boolean;
}

/** A base model in the list. */
export interface BaseRow {
  readonly kind: 'base';
  readonly source: 'catalog' | 'hub' | 'folder';
  readonly name: string;
  readonly hub_id: string | null;
  readonly params: number | null;
  /** `135M`. */
  readonly size: string | null;
  /** Tokens. */
  readonly context: number | null;
  readonly licence: string;
  readonly gated: boolean;
  readonly chat_template: boolean | null;
  readonly techniques: readonly string[];
  /** Where its files are, or nothing where they are to be downloaded. */
  readonly here: 'workspace' | 'package' | 'hub cache' | 'folder' | '';
  readonly memory: { readonly lora: Need | null; readonly full: Need | null };
}

export type ModelRow = CustomRow | BaseRow;

/** The synced traits of the list of models: custom ones first, the newest before. */
export interface ModelsTraits {
  models: readonly ModelRow[];
}

/** A line of a resolved spec, with the recipe's source where it is its default. */
export interface Setting {
  readonly key: string;
  readonly value: string | number | boolean;
  readonly given: boolean;
  readonly source: string | null;
}

/** What an evaluation found of a model, by metric. */
export interface JudgedRow {
  readonly metric: string;
  readonly model: string;
  readonly mean: number | null;
  readonly improved: number | null;
  readonly equal: number | null;
  readonly degraded: number | null;
  readonly difference: number | null;
  readonly verdict: string | null;
  readonly baseline: string | null;
  readonly scored: number | null;
}

/** An evaluation that judged a model; without rows it has not ended. */
export interface Judged {
  readonly job: string;
  readonly submitted: number;
  readonly method: string;
  readonly dataset: string;
  readonly against: readonly string[];
  readonly rows: readonly JudgedRow[];
}

/** A model that was made from another. */
export interface Made {
  readonly model: string;
  readonly base: string;
  readonly technique: string;
  readonly dataset: string;
  readonly created: string;
}

/** One version of a custom model. Kernel: notebook/modelpages.py. */
export interface ModelPageData {
  readonly model: string;
  readonly name: string;
  readonly version: number;
  readonly versions: readonly number[];
  /** The base model below all continuing. */
  readonly base: string;
  readonly base_name: string;
  /** The custom model or checkpoint that it was continued from. */
  readonly parent: string | null;
  readonly technique: string;
  readonly dataset: string;
  readonly adapter: string;
  readonly created: string;
  readonly user: string | null;
  readonly commit: string | null;
  readonly packages: Readonly<Record<string, string>>;
  readonly path: string;
  readonly is_here: boolean;
  readonly disk_bytes: number | null;
  readonly job: string;
  readonly has_job: boolean;
  readonly settings: readonly Setting[];
  readonly checkpoints: readonly { readonly step: number; readonly label: string }[];
  readonly evaluations: readonly Judged[];
  readonly derived: readonly Made[];
  readonly mlflow: MLflowLink;
  readonly cell: string;
}

/** What a technique takes by its recipe. */
export interface Estimate {
  readonly technique: string;
  readonly lora: Need | null;
  readonly full: Need | null;
  readonly batch_rows: number;
  readonly max_length: number;
}

/** A base model's page. */
export interface BasePageData extends BaseRow {
  readonly folder: string | null;
  readonly disk_bytes: number | null;
  readonly dtype: string;
  /** Bytes that are free now. */
  readonly free: number;
  readonly estimates: readonly Estimate[];
  readonly shape: Readonly<Record<string, number>> | null;
  readonly made: readonly Made[];
  readonly cell: string;
}

/** Which models a list shows. */
export type Shown = 'all' | 'custom' | 'base' | 'here';

/** The rows of a list that fit a filter and a search. */
export function chosen(rows: readonly ModelRow[], shown: Shown, search: string): readonly ModelRow[] {
  const words = search.trim().toLowerCase().split(/\s+/);
  return rows.filter(row => {
    const isWanted =
      shown === 'all' || (shown === 'here' ? row.kind === 'custom' || row.here !== '' : row.kind === shown);
    const text = searchable(row);
    return isWanted && words.every(word => text.includes(word));
  });
}

function searchable(row: ModelRow): string {
  const parts =
    row.kind === 'custom'
      ? [`${row.name}@${row.version}`, row.base, row.technique, row.dataset, ...row.scores.map(({ metric }) => metric)]
      : [row.name, row.hub_id ?? '', row.licence, row.size ?? '', row.here, ...(row.gated ? ['gated'] : [])];
  return parts.join(' ').toLowerCase();
}

/** `talks_to_you 0.983 (+0.133)`. */
export function scoreText({ metric, mean, difference }: Score): string {
  const better = difference === null ? '' : ` (${signed(difference)})`;
  return `${plainText(metric)} ${formatNumber(mean)}${better}`;
}

/** A difference with its sign, `+0.133`. */
export function signed(value: number): string {
  return value > 0 ? `+${formatNumber(value)}` : formatNumber(value);
}

/** `15%`, or a dash. */
export function percent(share: number | null): string {
  return share === null ? '—' : `${Math.round(100 * share)}%`;
}

/** What there is to know of a base model at a glance: `135M`, `8,192 tokens`, `Apache-2.0`. */
export function factsOf(row: BaseRow): readonly string[] {
  const context = row.context === null ? [] : [trans.__('%1 tokens', formatNumber(row.context))];
  return [...(row.size ? [row.size] : []), ...context, ...(row.licence ? [plainText(row.licence)] : [])];
}

/** `LoRA from 1.7 GB`, `full from 2.4 GB`; nothing where it is not known. */
export function memoryOf({ memory: { lora, full } }: BaseRow): readonly string[] {
  return [
    ...(lora ? [trans.__('LoRA from %1', bytes(lora.least))] : []),
    ...(full ? [trans.__('full from %1', bytes(full.least))] : [])
  ];
}

/** Bytes as memory is told: `1.7 GB`. */
export function bytes(count: number): string {
  return count >= 99.5e9 ? `${formatNumber(Math.round(count / 1e9))} GB` : formatBytes(count);
}

/** Where a base model's files are, as a few words. */
export function whereText({ here, gated }: Pick<BaseRow, 'here' | 'gated'>): string {
  switch (here) {
    case 'workspace':
      return trans.__('in the workspace');
    case 'package':
      return trans.__('in a package');
    case 'hub cache':
      return trans.__('in the hub cache');
    case 'folder':
      return trans.__('in a folder');
    case '':
      return gated ? trans.__('to download, licence to accept') : trans.__('to download');
  }
}

/** What made a model, in a few words: `DPO on everyday@1`. */
export function madeText({ technique, dataset }: Pick<Made, 'technique' | 'dataset'>): string {
  return trans.__('%1 on %2', techniqueName(technique), plainText(dataset));
}

/** A value of a spec as it is written. */
export function valueText(value: Setting['value']): string {
  return typeof value === 'number' && !Number.isInteger(value) ? formatSetting(value) : plainText(String(value));
}

function formatSetting(value: number): string {
  return Math.abs(value) >= 1e-3 ? String(value) : value.toExponential().replace(/e-(\d)$/, 'e-0$1');
}
