/** The metrics by which a judge scores: those there are as boxes, the user's own first. */
import { useState } from 'react';

import type { Json } from './customize';
import type { MetricChoice } from './evaluateform';
import { plainText } from './format';
import { trans } from './i18n';
import { useNavigation } from './route';

interface MetricsFieldProps {
  readonly metrics: readonly MetricChoice[];
  readonly value: Json | undefined;
  readonly fault: string | undefined;
  readonly onValue: (value: Json | undefined) => void;
}

/** So many are shown before one asks for all. */
const FIRST = 6;

/** The boxes; a definition that stands in a cell is kept as it is. */
export function MetricsField({ metrics, value, fault, onValue }: MetricsFieldProps) {
  const navigation = useNavigation();
  const [isAll, setAll] = useState(false);
  const given: readonly Json[] = Array.isArray(value) ? (value as readonly Json[]) : [];
  const isChosen = (name: string) => given.some(each => each === name || each === name.replace(/@\d+$/, ''));
  const known = new Set(metrics.flatMap(({ name }) => [name, name.replace(/@\d+$/, '')]));
  const others = given.filter(each => typeof each !== 'string' || !known.has(each));
  const shown = metrics.filter(({ name }, place) => isAll || place < FIRST || isChosen(name));
  const set = (name: string, wanted: boolean) => {
    const rest = given.filter(each => each !== name && each !== name.replace(/@\d+$/, ''));
    const next = wanted ? [...rest, name] : rest;
    onValue(next.length === 0 ? undefined : next);
  };
  return (
    <fieldset className="tunelab-metric-boxes" data-path="judge.metrics" tabIndex={-1}>
      <legend className="tunelab-label">{trans.__('Metrics')}</legend>
      {shown.map(({ name, asks, ground_truth }) => (
        <label key={name} title={plainText(asks)}>
          <input
            type="checkbox"
            checked={isChosen(name)}
            onChange={event => {
              set(name, event.target.checked);
            }}
          />
          <b>{plainText(name)}</b>{' '}
          <span className="tunelab-help">{ground_truth ? trans.__('needs ground truth') : ''}</span>
        </label>
      ))}
      {others.map((each, place) => (
        <p key={place} className="tunelab-subject">
          {plainText(typeof each === 'string' ? each : JSON.stringify(each))}
        </p>
      ))}
      {fault !== undefined && <p className="tunelab-fault">{plainText(fault)}</p>}
      <span className="tunelab-reward-add">
        {metrics.length > shown.length && (
          <button
            type="button"
            className="tunelab-plain"
            onClick={() => {
              setAll(true);
            }}
          >
            {trans.__('Show all %1', metrics.length)}
          </button>
        )}
        {navigation && (
          <button
            type="button"
            className="tunelab-plain"
            onClick={() => {
              navigation.go({ page: 'metric', metric: null });
            }}
          >
            {trans.__('New metric…')}
          </button>
        )}
      </span>
    </fieldset>
  );
}
