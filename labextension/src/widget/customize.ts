/** The customize form: what the kernel tells of it, and how what is typed becomes a spec. Kernel: notebook/customizeform.py. */

/** A JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** A mapping of a spec. */
export type SpecData = Readonly<Record<string, Json>>;

/** One field, as JSON Schema says it; `source` is where the default comes from. */
export interface FieldSchema {
  readonly type?: string | readonly string[];
  readonly anyOf?: readonly FieldSchema[];
  readonly enum?: readonly Json[];
  readonly description?: string;
  readonly default?: Json;
  readonly source?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly properties?: Readonly<Record<string, FieldSchema>>;
  readonly required?: readonly string[];
  /** Of a reward alone. */
  readonly 'x-kinds'?: RewardKinds;
}

/** The kinds of reward that a technique takes, each with its options. */
export interface RewardKinds {
  readonly feedback?: FieldSchema;
  readonly preset: Readonly<Record<string, FieldSchema>>;
  readonly function: FieldSchema;
}

/** A group of fields by their paths, with dots. */
export interface FormGroup {
  readonly name: string;
  readonly fields: readonly string[];
}

/** What a form says at a field. */
export interface FormFault {
  /** With dots; empty where it is of the whole. */
  readonly path: string;
  readonly message: string;
}

/** A model that can be chosen. */
export interface ModelChoice {
  readonly name: string;
  readonly kind: 'custom' | 'base';
  readonly here: boolean;
  readonly params?: number;
}

/** A dataset that can be chosen. */
export interface DatasetChoice {
  readonly name: string;
  readonly technique: string;
  readonly rows: number;
}

/** What is known at once of what the job takes. */
export interface Estimate {
  readonly train_rows?: number;
  readonly eval_rows?: number;
  readonly steps?: number;
  readonly evaluations?: number;
  readonly time_s?: number;
  /** The job whose pace it is by. */
  readonly time_from?: string;
  readonly memory_bytes?: number;
  readonly memory_free?: number;
  readonly disk_bytes?: number | null;
  /** Whether a check measured time and memory. */
  readonly is_measured?: boolean;
}

/** What a dry run measured. */
export interface PlanFacts {
  readonly facts: readonly (readonly [name: string, value: string])[];
  /** What the reward makes of sampled answers. */
  readonly report: readonly (readonly [name: string, value: string])[] | null;
  readonly warnings: readonly string[];
}

/** The synced traits of the form. */
export interface CustomizeTraits {
  /** What the form begins with. */
  data: SpecData;
  /** The number of the last change that was answered. */
  turn: number;
  schema: FieldSchema;
  ui: readonly FormGroup[];
  models: readonly ModelChoice[];
  datasets: readonly DatasetChoice[];
  prompts: readonly string[];
  cell: string;
  faults: readonly FormFault[];
  estimate: Estimate;
  checking: boolean;
  plan: PlanFacts | null;
  /** Why a check, a start or a cell was refused. */
  refused: string | null;
  submitting: boolean;
  /** The job that was started. */
  submitted: string | null;
}

/** What the form may ask for. */
export type CustomizeCommand =
  | { readonly type: 'change'; readonly data: SpecData; readonly turn: number }
  | { readonly type: 'check' | 'submit'; readonly data: SpecData }
  | { readonly type: 'cell'; readonly text: string };

/** The schema of the field at a path. */
export function schemaAt(schema: FieldSchema, path: string): FieldSchema | null {
  let at: FieldSchema | undefined = schema;
  for (const key of path.split('.')) {
    at = at?.properties?.[key];
  }
  return at ?? null;
}

/** What was said at a path, of a list by its place from 1; undefined where nothing was. */
export function valueAt(data: SpecData, path: string): Json | undefined {
  let at: Json | undefined = data;
  for (const key of path.split('.')) {
    at = isMapping(at) ? at[key] : Array.isArray(at) ? (at as readonly Json[])[Number(key) - 1] : undefined;
  }
  return at;
}

/** The data with a value at a path; undefined takes it away, and a section that is empty by that. */
export function withValue(data: SpecData, path: string, value: Json | undefined): SpecData {
  const [key = '', ...rest] = path.split('.');
  const before = data[key];
  const inner = rest.length === 0 ? value : withValue(isMapping(before) ? before : {}, rest.join('.'), value);
  const others = Object.fromEntries(Object.entries(data).filter(([name]) => name !== key));
  const isEmpty = inner === undefined || (rest.length > 0 && isMapping(inner) && Object.keys(inner).length === 0);
  if (isEmpty) {
    return others;
  }
  // In its old place, so that a cell does not change its order.
  return key in data ? { ...data, [key]: inner } : { ...others, [key]: inner };
}

function isMapping(value: Json | undefined): value is SpecData {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The JSON types that a field takes. */
export function typesOf(schema: FieldSchema): readonly string[] {
  const own = typeof schema.type === 'string' ? [schema.type] : (schema.type ?? []);
  return [...own, ...(schema.anyOf ?? []).flatMap(typesOf)];
}

/** What is meant by a text: a number where one is taken, a list or mapping where it is written as one; else the text. */
export function parsed(text: string, schema: FieldSchema): Json | undefined {
  const types = typesOf(schema);
  const bare = text.trim();
  if (bare === '') {
    return undefined;
  }
  if ((types.includes('number') || types.includes('integer')) && Number.isFinite(Number(bare))) {
    return Number(bare);
  }
  if ((types.includes('array') && bare.startsWith('[')) || (types.includes('object') && bare.startsWith('{'))) {
    try {
      return JSON.parse(bare) as Json;
    } catch {
      // Not finished yet: the kernel says what it lacks.
      return bare;
    }
  }
  if (types.includes('array') && (bare.includes(',') || !types.includes('string'))) {
    return bare
      .split(',')
      .map(part => part.trim())
      .filter(Boolean);
  }
  return types.includes('string') ? text : bare;
}

/** A value as it is written in a field. */
export function written(value: Json | undefined): string {
  if (value === undefined || value === null) {
    return '';
  }
  if (Array.isArray(value) && value.every(each => typeof each === 'string' && !each.includes(','))) {
    return value.join(', ');
  }
  if (typeof value === 'number') {
    // As recipes write it: 5e-6, not 0.000005.
    return value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential().replace('e+', 'e') : String(value);
  }
  return typeof value === 'string' ? value : JSON.stringify(value);
}
