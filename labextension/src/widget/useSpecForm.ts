/** A form that writes a spec: what is typed goes to the kernel, and what is wrong shows and leads there once one has tried. */
import { useRef, useState } from 'react';

import { valueAt, withValue, type CustomizeTraits, type Json, type SpecData } from './customize';
import { useTrait, type Model } from './model';
import { useAsked } from './useAsked';

/** The traits that every such form has. */
export type FormTraits = Pick<CustomizeTraits, 'turn' | 'schema' | 'ui' | 'faults' | 'models' | 'datasets' | 'plan'>;

/** What a form is given. */
export interface FormProps<T extends FormTraits> {
  readonly model: Model<T>;
  readonly data: SpecData;
  /** Whether the data are a draft that the kernel may not know. */
  readonly isKept: boolean;
  readonly onData: (data: SpecData) => void;
}

/** What a form's parts need of it. */
export type SpecFormState = ReturnType<typeof useSpecForm>;

/**
 * Keeps a form.
 *
 * @param settled - the data as they are once a path was set: what no longer goes with it is taken away
 */
export function useSpecForm(
  { model, data, isKept, onData }: FormProps<FormTraits>,
  settled: (next: SpecData, path: string) => SpecData
) {
  const schema = useTrait(model, 'schema');
  const groups = useTrait(model, 'ui');
  const faults = useTrait(model, 'faults');
  const models = useTrait(model, 'models');
  const datasets = useTrait(model, 'datasets');
  const plan = useTrait(model, 'plan');
  const [hasTried, setHasTried] = useState(false);
  const frame = useRef<HTMLFormElement>(null);
  const { isWaiting, change, look } = useAsked(model, data, isKept);
  const set = (path: string, value: Json | undefined) => {
    const next = settled(withValue(data, path, value), path);
    onData(next);
    change(next);
  };
  // What is missing is told once one has tried.
  const faultAt = (path: string) =>
    faults.find(fault => fault.path === path && (hasTried || valueAt(data, path) !== undefined))?.message;
  /** Shows what is wrong, and leads to the first of it. */
  const mend = () => {
    setHasTried(true);
    const fields = [...(frame.current?.querySelectorAll<HTMLElement>('[data-path]') ?? [])];
    const at = fields.find(each => each.dataset.path === faults[0]?.path);
    at?.closest('details')?.setAttribute('open', '');
    at?.focus();
  };
  const tryTo = (verb: 'check' | 'submit') => {
    if (faults.length > 0) {
      mend();
    } else {
      setHasTried(true);
      model.send({ type: verb, data });
    }
  };
  return {
    ...{ data, schema, groups, faults, models, datasets, plan },
    ...{ frame, hasTried, isWaiting, set, faultAt, mend, tryTo, look }
  };
}
