/** The evaluate form: what the kernel tells of it. Kernel: notebook/evaluateform.py. */
import type { CustomizeTraits, FieldSchema } from './customize';

/** A metric that can be chosen. */
export interface MetricChoice {
  readonly name: string;
  /** Whether it is the user's own. */
  readonly own: boolean;
  /** The beginning of what the judge is asked. */
  readonly asks: string;
  readonly ground_truth: boolean;
}

/** How much there is to do, as far as it is known. */
export interface EvaluateEstimate {
  readonly rows?: number;
  readonly answers?: number;
  /** Replies of the judge. */
  readonly ratings?: number;
}

/** The synced traits of the form. */
export interface EvaluateTraits extends Omit<CustomizeTraits, 'estimate' | 'prompts' | 'schema'> {
  schema: EvaluateSchema;
  metrics: readonly MetricChoice[];
  estimate: EvaluateEstimate;
}

/** Of the models, what an endpoint is asked by. */
export interface EvaluateSchema extends FieldSchema {
  readonly 'x-endpoint'?: FieldSchema;
  readonly properties?: Readonly<Record<string, EvaluateSchema>>;
}
