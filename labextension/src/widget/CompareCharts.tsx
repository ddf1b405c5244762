/** The charts of a comparison: one a metric, with a line for each job, live while they train. */
import { memo, useCallback, useMemo, useState } from 'react';

import { Chart } from './Chart';
import { ChartControls } from './ChartControls';
import { comparedChart, comparedMetrics, JoinedCurves, moreMetrics, type ComparedJob } from './comparison';
import type { CurveSet } from './curves';
import type { ChartOptions } from './figure';
import { plainText } from './format';
import { trans } from './i18n';
import { metricName } from './metrics';
import type { JobTraits, Model } from './model';
import { useKept } from './route';
import { useSettings } from './shell';
import { useCurves } from './useCurves';

interface CompareChartsProps {
  readonly jobs: readonly ComparedJob[];
  readonly models: readonly Model<JobTraits>[];
}

/** The charts, and the row of controls above them. */
export function CompareCharts({ jobs, models }: CompareChartsProps) {
  const settings = useSettings();
  const curves = useMemo(() => new JoinedCurves(models), [models]);
  const [look, setLook] = useKept('compare/look', { smoothing: 0, log: false });
  const [chosen, setChosen] = useState<readonly string[] | null>(null);
  const { logged } = curves;
  const keys = chosen ?? comparedMetrics([...new Set(jobs.map(job => job.technique))], settings.charts, logged);
  const names = jobs.map(job => plainText(job.name)).join('\n');
  const version = useCurves(curves, settings.refresh, keys.length);
  // As a text, so that charts are drawn again only for others.
  const shown = keys.join('\n');
  const onRemove = useCallback(
    (removed: string) => {
      setChosen(shown.split('\n').filter(key => key !== removed));
    },
    [shown]
  );
  return (
    <div className="tunelab-charts" role="group" aria-label={trans.__('Charts')}>
      <ChartControls
        {...look}
        more={moreMetrics(logged, keys).map(name => [name, metricName(name)])}
        onChange={change => {
          setLook(before => ({ ...before, ...change }));
        }}
        onAdd={added => {
          setChosen([...keys, added]);
        }}
      />
      {logged.length === 0 && <p className="tunelab-empty">{trans.__('No points yet')}</p>}
      <div className="tunelab-grid" data-count={keys.length}>
        {keys.map((key, place) => (
          <OneChart key={key} metric={key} version={version(place)} {...look} {...{ names, curves, onRemove }} />
        ))}
      </div>
    </div>
  );
}

interface OneChartProps {
  readonly metric: string;
  /** The jobs' names, a line each. */
  readonly names: string;
  readonly curves: CurveSet;
  readonly version: number;
  readonly smoothing: number;
  readonly log: boolean;
  readonly onRemove: (metric: string) => void;
}

/** A chart that renders only when something of its own has changed. */
const OneChart = memo(function OneChart(props: OneChartProps) {
  const { metric, names, curves, version, smoothing, log, onRemove } = props;
  const [zoom, setZoom] = useState<ChartOptions['zoom']>(null);
  const spec = useMemo(() => comparedChart(metric, names.split('\n')), [metric, names]);
  const options = useMemo(() => ({ smoothing, log, zoom }), [smoothing, log, zoom]);
  const remove = useCallback(() => {
    onRemove(metric);
  }, [onRemove, metric]);
  return (
    <Chart {...{ spec, curves, version, options }} job={trans.__('Comparison')} onZoom={setZoom} onRemove={remove} />
  );
});
