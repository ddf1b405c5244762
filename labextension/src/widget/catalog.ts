/** Which charts a job's view has: what each draws, and those it opens with by technique. */
import { plainText } from './format';
import { trans } from './i18n';
import { metricName, partOf, sortMetrics } from './metrics';

/** One line of a chart; `colour` is a place in the palette. */
export interface ChartLine {
  readonly metric: string;
  readonly label: string;
  readonly colour: number;
  /** Few points, drawn with dots: held-out figures. */
  readonly dots: boolean;
  /** The metric of its standard deviation, drawn as a band around it. */
  readonly band?: string;
  /** How it is told from others besides its colour, where several jobs are in one chart: plotly's name. */
  readonly dash?: Dash;
}

export type Dash = 'solid' | 'dash' | 'dot' | 'dashdot';

/** A chart, named by the metric that leads it. */
export interface ChartSpec {
  readonly key: string;
  readonly title: string;
  readonly lines: readonly ChartLine[];
}

/** Leads the chart of all parts of a reward. */
const PARTS = 'rewards';
const REINFORCED = [
  'reward',
  PARTS,
  'entropy',
  'kl',
  'completions/mean_length',
  'completions/clipped_ratio',
  'frac_reward_zero_std',
  'reward_missing',
  'loss'
];
const DEFAULT_CHARTS: Readonly<Record<string, readonly string[]>> = {
  sft: ['loss', 'mean_token_accuracy', 'entropy', 'learning_rate'],
  dpo: ['rewards/margins', 'loss', 'rewards/chosen', 'rewards/accuracies', 'entropy', 'learning_rate'],
  rlvr: REINFORCED,
  rlaif: [...REINFORCED, 'feedback/latency_s']
};
/** Charts that open only once there is something to draw: not every run has it. */
const IF_LOGGED = new Set(['kl', 'feedback/latency_s']);
const FALLBACK = ['reward', 'loss', 'entropy', 'learning_rate'];

// Entropy and such have a colour of their own, so that the eye finds them again.
const COLOURS: Readonly<Record<string, number>> = {
  entropy: 3,
  learning_rate: 4,
  kl: 3,
  frac_reward_zero_std: 4,
  reward_missing: 2,
  'completions/clipped_ratio': 2
};
const HELD_OUT = 'eval_';

/** The metrics of the charts that a view opens with, `logged` being those that came so far. */
export function defaultCharts(
  technique: string,
  settings: Readonly<Record<string, readonly string[]>>,
  logged: readonly string[] = []
): string[] {
  const chosen = settings[technique];
  if (chosen) {
    return [...chosen];
  }
  // One part of a reward is the reward itself.
  const isDue = (key: string) => (key === PARTS ? partsIn(logged).length > 1 : logged.includes(key));
  return (DEFAULT_CHARTS[technique] ?? FALLBACK).filter(key => !(key === PARTS || IF_LOGGED.has(key)) || isDue(key));
}

/** The means of a reward's parts, by their names. */
export function partsIn(logged: readonly string[]): string[] {
  return logged.filter(key => partOf(key) !== null && !key.startsWith(HELD_OUT)).sort();
}

/**
 * The chart that `key` leads: trained and held-out values of one metric, chosen beside rejected, or a reward's parts,
 * `parts` being their means.
 */
export function chart(key: string, parts: readonly string[] = []): ChartSpec {
  if (key === PARTS) {
    return {
      key,
      title: trans.__('Parts'),
      lines: parts.map((metric, place) => ({
        metric,
        label: plainText(partOf(metric) ?? metric),
        colour: place,
        dots: false
      }))
    };
  }
  if (key === 'rewards/chosen' || key === 'rewards/rejected') {
    return {
      key: 'rewards/chosen, rewards/rejected',
      title: trans.__('Rewards'),
      lines: [
        { metric: 'rewards/chosen', label: trans.__('chosen'), colour: 1, dots: false },
        { metric: 'rewards/rejected', label: trans.__('rejected'), colour: 2, dots: false }
      ]
    };
  }
  const band = key === 'reward' ? 'reward_std' : partOf(key) && key.replace(/mean$/, 'std');
  return {
    key,
    title: metricName(key),
    lines: [
      { metric: key, label: trans.__('train'), colour: COLOURS[key] ?? 0, dots: false, ...(band && { band }) },
      { metric: HELD_OUT + key, label: trans.__('held out'), colour: 1, dots: true }
    ]
  };
}

/** The metrics that could lead one more chart, what matters first. */
export function moreCharts(metrics: Iterable<string>, shown: readonly string[]): string[] {
  const all = [...metrics];
  // A part can have a chart of its own, with its band and its held-out twin, beside that of all parts.
  const drawn = new Set(shown.flatMap(key => chart(key).lines.map(line => line.metric)));
  const parts = partsIn(all).length > 1 && !shown.includes(PARTS) ? [PARTS] : [];
  return parts.concat(
    sortMetrics(
      all.filter(name => !drawn.has(name) && !(name.startsWith(HELD_OUT) && all.includes(name.slice(HELD_OUT.length))))
    )
  );
}

/** What a chart is called where it may be added. */
export function chartTitle(key: string): string {
  return chart(key).title;
}
