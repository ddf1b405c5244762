/** The traits that Python and the page share, and the hook that reads one. */
import type { AnyModel } from '@anywidget/types';
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

/** All that a job's view shows, as the kernel read it from the journal. */
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
  /** The place in the queue, from 1. */
  readonly position: number | null;
  readonly step: number | null;
  readonly total: number | null;
  /** Seconds that are left. */
  readonly eta_s: number | null;
  /** What the worker does besides training steps, such as `loading the model`. */
  readonly phase: string | null;
  readonly metrics: readonly Metric[];
  /** The last few lines. */
  readonly logs: readonly LogLine[];
  /** The registered version, such as `chatty@1`. */
  readonly model_version: string | null;
  /** Seconds of work so far. */
  readonly elapsed_s: number | null;
}

/** The synced traits of a job's widget. */
export interface JobTraits {
  kind: 'job';
  snapshot: JobSnapshot;
}

/** A widget's model, told apart by `kind`. */
export type TunelabModel = AnyModel<JobTraits>;

/** The value of a synced trait; the component renders again when it changes. */
export function useTrait<K extends keyof JobTraits>(model: TunelabModel, name: K): JobTraits[K] {
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
