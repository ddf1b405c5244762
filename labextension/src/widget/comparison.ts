/** Jobs beside each other: what the kernel tells of them, and their curves as one set. Kernel: notebook/comparison.py. */
import { chart, defaultCharts, type ChartLine, type ChartSpec, type Dash } from './catalog';
import { curvesOf, type Curve, type CurveSet } from './curves';
import { metricName, sortMetrics } from './metrics';
import type { JobState, JobTraits, Model } from './model';

/** One of the jobs, in the order in which they were chosen: it is that of the colours. */
export interface ComparedJob {
  readonly id: string;
  /** What it is called among the others: names that are equal have the end of the id after them. */
  readonly name: string;
  readonly kind: 'customize' | 'evaluate';
  readonly technique: string;
  readonly state: JobState;
  readonly sentence: string;
}

/** One key of the specs, or one figure that came out, with its value in each job. */
export interface ComparedRow {
  /** Dotted, such as `adapter.r`; of a result, the metric's name. */
  readonly key: string;
  /** One a job; null where it has none. */
  readonly values: readonly unknown[];
  readonly differs: boolean;
  readonly result: boolean;
}

/** The synced traits of a comparison. */
export interface ComparisonTraits {
  jobs: readonly ComparedJob[];
  differences: readonly ComparedRow[];
  /** The ids of those that are not there any more. */
  removed: readonly string[];
  /** The cell that shows the same. */
  cell: string;
}

const DASHES: readonly Dash[] = ['solid', 'dash', 'dot', 'dashdot'];

/** How the line of the job at a place is told from the others. */
export function lineOf(place: number): { readonly colour: number; readonly dash: Dash } {
  return { colour: place, dash: DASHES[place % DASHES.length] ?? 'solid' };
}

/** The curves of several jobs as one set, each by `keyOf` its job's place and its metric. */
export class JoinedCurves implements CurveSet {
  private readonly sets: readonly CurveSet[];
  private joined: { readonly version: number; readonly all: ReadonlyMap<string, Curve> } = {
    version: -1,
    all: new Map()
  };

  constructor(models: readonly Model<JobTraits>[]) {
    this.sets = models.map(curvesOf);
  }

  get version(): number {
    return this.sets.reduce((sum, set) => sum + set.version, 0);
  }

  get all(): ReadonlyMap<string, Curve> {
    const { version } = this;
    if (this.joined.version !== version) {
      this.joined = { version, all: this.join() };
    }
    return this.joined.all;
  }

  private join(): ReadonlyMap<string, Curve> {
    return new Map(
      this.sets.flatMap((set, place) =>
        Array.from(set.all, ([metric, curve]) => [keyOf(place, metric), curve] as const)
      )
    );
  }

  /** The metrics that any of the jobs has logged. */
  get logged(): string[] {
    return [...new Set(this.sets.flatMap(set => [...set.all.keys()]))];
  }

  subscribe(changed: () => void): () => void {
    const stops = this.sets.map(set => set.subscribe(changed));
    return () => {
      stops.forEach(stop => {
        stop();
      });
    };
  }
}

function keyOf(place: number, metric: string): string {
  return `${place}:${metric}`;
}

/** The chart of one metric, with a line for each job. */
export function comparedChart(metric: string, names: readonly string[]): ChartSpec {
  return {
    key: metric,
    title: metricName(metric),
    lines: names.map((label, place): ChartLine => ({
      metric: keyOf(place, metric),
      label,
      // Held-out figures are few.
      dots: metric.startsWith('eval_'),
      ...lineOf(place)
    }))
  };
}

/** The metrics that a comparison opens with: those of the techniques' charts, what matters most held out too. */
export function comparedMetrics(
  techniques: readonly string[],
  settings: Readonly<Record<string, readonly string[]>>,
  logged: readonly string[]
): string[] {
  const wanted = techniques.flatMap(technique => defaultCharts(technique, settings, logged));
  const led = wanted.flatMap(key => chart(key).lines.map(line => line.metric));
  const [first, second] = wanted;
  const kept = led.filter(
    metric => !metric.startsWith('eval_') || metric === `eval_${first}` || metric === `eval_${second}`
  );
  return [...new Set(kept)].filter(metric => logged.includes(metric));
}

/** The metrics that could be added, what matters first. */
export function moreMetrics(logged: readonly string[], shown: readonly string[]): string[] {
  return sortMetrics(logged.filter(metric => !shown.includes(metric)));
}
