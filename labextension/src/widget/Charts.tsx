/** A job's charts: those of its technique, and what the reader adds, smooths, zooms and removes. */
import { memo, useCallback, useMemo, useState } from 'react';

import { Chart } from './Chart';
import { ChartControls } from './ChartControls';
import { chart, chartTitle, defaultCharts, moreCharts, partsIn } from './catalog';
import type { Curves } from './curves';
import type { ChartOptions } from './figure';
import { trans } from './i18n';
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
  const logged = [...curves.all.keys()];
  const keys = choices.keys ?? defaultCharts(technique, settings.charts, logged);
  // As a text, so that charts are drawn again only for another one.
  const parts = partsIn(logged).join('\n');
  const version = useCurves(curves, settings.refresh, keys.length);
  const more = moreCharts(logged, keys);
  const onRemove = useCallback(
    (removed: string) => {
      choose(before => ({
        keys: (before.keys ?? defaultCharts(technique, settings.charts, [...curves.all.keys()])).filter(
          key => key !== removed
        )
      }));
    },
    [choose, curves, technique, settings.charts]
  );
  return (
    <div className="tunelab-charts" role="group" aria-label={trans.__('Charts')}>
      <ChartControls
        smoothing={choices.smoothing}
        log={choices.log}
        more={more.map(name => [name, chartTitle(name)])}
        onChange={change => {
          choose(() => change);
        }}
        onAdd={added => {
          choose(before => ({ keys: [...(before.keys ?? keys), added] }));
        }}
      />
      <div className="tunelab-grid" data-count={keys.length}>
        {keys.map((key, place) => (
          <OneChart
            key={key}
            name={key}
            parts={parts}
            version={version(place)}
            smoothing={choices.smoothing}
            log={choices.log}
            zoom={choices.zooms[key] ?? null}
            {...{ job, curves, choose, onRemove }}
          />
        ))}
      </div>
    </div>
  );
}

interface OneChartProps extends ChartOptions {
  readonly name: string;
  /** The means of the reward's parts, a line each. */
  readonly parts: string;
  readonly job: string;
  readonly curves: Curves;
  readonly version: number;
  readonly choose: (change: (before: Choices) => Partial<Choices>) => void;
  readonly onRemove: (name: string) => void;
}

/** A chart that renders only when something of its own has changed. */
const OneChart = memo(function OneChart(props: OneChartProps) {
  const { name, parts, job, curves, version, smoothing, log, zoom, choose, onRemove } = props;
  const spec = useMemo(() => chart(name, parts ? parts.split('\n') : []), [name, parts]);
  const options = useMemo(() => ({ smoothing, log, zoom }), [smoothing, log, zoom]);
  const onZoom = useCallback(
    (wanted: ChartOptions['zoom']) => {
      choose(before => ({ zooms: { ...before.zooms, [name]: wanted } }));
    },
    [choose, name]
  );
  const remove = useCallback(() => {
    onRemove(name);
  }, [onRemove, name]);
  return <Chart {...{ job, spec, curves, version, options, onZoom }} onRemove={remove} />;
});
