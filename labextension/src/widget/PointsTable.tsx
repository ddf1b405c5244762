/** The points of a chart as a table, newest first, for those who read figures or have them read out. */
import type { ChartSpec } from './catalog';
import type { CurveSet } from './curves';
import { formatNumber } from './format';
import { trans } from './i18n';

const ROWS = 200;

interface PointsTableProps {
  readonly spec: ChartSpec;
  readonly curves: CurveSet;
  /** The version of the curves to show. */
  readonly version: number;
}

/** Up to 200 steps, evenly chosen where there are more; the caption says so. */
export function PointsTable({ spec, curves }: PointsTableProps) {
  const lines = spec.lines.filter(line => curves.all.get(line.metric)?.length);
  const { steps, every } = chosenSteps(spec, curves);
  const title = trans.__('Points of %1', spec.title);
  return (
    // The scrolling part can be reached by keyboard.
    <div className="tunelab-points" tabIndex={0} role="group" aria-label={title}>
      <table role="table" aria-label={title}>
        <caption>
          {every > 1 ? trans.__('Newest first, every %1th step that was logged', every) : trans.__('Newest first')}
        </caption>
        <thead role="rowgroup">
          <tr role="row">
            <th role="columnheader" scope="col">
              {trans.__('Step')}
            </th>
            {lines.map(({ metric, label }) => (
              <th key={metric} role="columnheader" scope="col">
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {steps.map(step => (
            <tr key={step} role="row">
              <th role="rowheader" scope="row">
                {step}
              </th>
              {lines.map(({ metric }) => (
                <td key={metric} role="cell">
                  {valueAt(curves, metric, step)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function chosenSteps(spec: ChartSpec, curves: CurveSet): { steps: number[]; every: number } {
  const [lead, ...others] = spec.lines.map(line => curves.all.get(line.metric));
  const count = lead?.length ?? 0;
  const every = Math.max(1, Math.ceil(count / ROWS));
  const steps = new Set<number>();
  for (let place = count - 1; place >= 0; place -= every) {
    steps.add(lead?.steps[place] ?? 0);
  }
  // Held-out figures are few, and each counts.
  for (const curve of others) {
    curve?.steps.subarray(Math.max(0, curve.length - ROWS), curve.length).forEach(step => steps.add(step));
  }
  return { steps: [...steps].sort((a, b) => b - a), every };
}

function valueAt(curves: CurveSet, metric: string, step: number): string {
  const curve = curves.all.get(metric);
  const place = curve?.indexOf(step) ?? 0;
  return curve && place < curve.length && curve.steps[place] === step ? formatNumber(curve.values[place] ?? null) : '';
}
