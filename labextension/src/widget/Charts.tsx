/** A job's charts: those of its technique, and what the reader adds, smooths, zooms and removes. */
import { useCallback, useMemo, useState } from 'react';

import { Chart } from './Chart';
import { chart, defaultCharts, moreCharts } from './catalog';
import type { Curves } from './curves';
import type { ChartOptions } from './figure';
import { metricName } from './metrics';
import { useSettings } from './shell';
import { useCurves } from './useCurves';

/** What the reader has chosen for one job; kept for as long as the page, since views come and go. */
interface Choices {
  readonly keys: readonly string[] | null;
  readonly smoothing: number;
  readonly log: boolean;
  readonly zooms: Readonly<Record<string, ChartOptions['zoom']>>;
}

const kept = new Map<string, Choices>();

interface ChartsProps {
  readonly job: string;
  readonly technique: string;
  readonly curves: Curves;
}

/** The charts, and the row of controls above them. */
export function Charts({ job, technique, curves }: ChartsProps) {
  const settings = useSettings();
  const version = useCurves(curves, settings.refresh);
  const [choices, setChoices] = useState<Choices>(
    () => kept.get(job) ?? { keys: null, smoothing: 0, log: false, zooms: {} }
  );
  const choose = useCallback(
    (change: (before: Choices) => Partial<Choices>) => {
      setChoices(before => {
        const after = { ...before, ...change(before) };
        kept.set(job, after);
        return after;
      });
    },
    [job]
  );
  const keys = choices.keys ?? defaultCharts(technique, settings.charts);
  const more = moreCharts(curves.all.keys(), keys);
  return (
    <div className="tunelab-charts" role="group" aria-label="Charts">
      <div className="tunelab-controls">
        <label>
          Smoothing
          <input
            type="range"
            min={0}
            max={0.98}
            step={0.02}
            value={choices.smoothing}
            onChange={event => {
              const smoothing = Number(event.target.value);
              choose(() => ({ smoothing }));
            }}
          />
        </label>
        <label>
          <input
            type="checkbox"
            checked={choices.log}
            onChange={event => {
              const log = event.target.checked;
              choose(() => ({ log }));
            }}
          />
          Log axis
        </label>
        <select
          aria-label="Add a chart"
          value=""
          disabled={more.length === 0}
          onChange={event => {
            const added = event.target.value;
            choose(before => ({ keys: [...(before.keys ?? keys), added] }));
          }}
        >
          <option value="">Add a chart…</option>
          {more.map(name => (
            <option key={name} value={name}>
              {metricName(name)}
            </option>
          ))}
        </select>
      </div>
      <div className="tunelab-grid" data-count={keys.length}>
        {keys.map(key => (
          <OneChart key={key} name={key} {...{ job, curves, version, choices, choose, keys }} />
        ))}
      </div>
    </div>
  );
}

interface OneChartProps {
  readonly name: string;
  readonly job: string;
  readonly curves: Curves;
  readonly version: number;
  readonly choices: Choices;
  readonly choose: (change: (before: Choices) => Partial<Choices>) => void;
  readonly keys: readonly string[];
}

function OneChart({ name, job, curves, version, choices, choose, keys }: OneChartProps) {
  const { smoothing, log } = choices;
  const zoom = choices.zooms[name] ?? null;
  const spec = useMemo(() => chart(name), [name]);
  const options = useMemo(() => ({ smoothing, log, zoom }), [smoothing, log, zoom]);
  const onZoom = useCallback(
    (wanted: ChartOptions['zoom']) => {
      choose(before => ({ zooms: { ...before.zooms, [name]: wanted } }));
    },
    [choose, name]
  );
  const onRemove = () => {
    choose(() => ({ keys: keys.filter(other => other !== name) }));
  };
  return <Chart {...{ job, spec, curves, version, options, onZoom, onRemove }} />;
}
