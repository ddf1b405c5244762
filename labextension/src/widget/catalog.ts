/** Which charts a job's view has: what each draws, and those it opens with by technique. */
import { metricName, sortMetrics } from './metrics';

/** One line of a chart; `colour` is a place in the palette. */
export interface ChartLine {
  readonly metric: string;
  readonly label: string;
  readonly colour: number;
  /** Few points, drawn with dots: held-out figures. */
  readonly dots: boolean;
}

/** A chart, named by the metric that leads it. */
export interface ChartSpec {
  readonly key: string;
  readonly title: string;
  readonly lines: readonly ChartLine[];
}

const DEFAULT_CHARTS: Readonly<Record<string, readonly string[]>> = {
  sft: ['loss', 'mean_token_accuracy', 'entropy', 'learning_rate'],
  dpo: ['rewards/margins', 'loss', 'rewards/chosen', 'rewards/accuracies', 'entropy', 'learning_rate']
};
const FALLBACK = ['reward', 'loss', 'entropy', 'learning_rate'];

// Entropy and such have a colour of their own, so that the eye finds them again.
const COLOURS: Readonly<Record<string, number>> = { entropy: 3, learning_rate: 4, kl: 3 };
const HELD_OUT = 'eval_';

/** The metrics of the charts that a view opens with. */
export function defaultCharts(technique: string, settings: Readonly<Record<string, readonly string[]>>): string[] {
  return [...(settings[technique] ?? DEFAULT_CHARTS[technique] ?? FALLBACK)];
}

/** The chart that `key` leads: trained and held-out values of one metric, or chosen beside rejected. */
export function chart(key: string): ChartSpec {
  if (key === 'rewards/chosen' || key === 'rewards/rejected') {
    return {
      key: 'rewards/chosen, rewards/rejected',
      title: 'Rewards',
      lines: [
        { metric: 'rewards/chosen', label: 'chosen', colour: 1, dots: false },
        { metric: 'rewards/rejected', label: 'rejected', colour: 2, dots: false }
      ]
    };
  }
  return {
    key,
    title: metricName(key),
    lines: [
      { metric: key, label: 'train', colour: COLOURS[key] ?? 0, dots: false },
      { metric: HELD_OUT + key, label: 'held out', colour: 1, dots: true }
    ]
  };
}

/** The metrics that could lead one more chart, what matters first. */
export function moreCharts(metrics: Iterable<string>, shown: readonly string[]): string[] {
  const drawn = new Set(shown.flatMap(key => chart(key).lines.map(line => line.metric)));
  const all = [...metrics];
  return sortMetrics(
    all.filter(name => !drawn.has(name) && !(name.startsWith(HELD_OUT) && all.includes(name.slice(HELD_OUT.length))))
  );
}
