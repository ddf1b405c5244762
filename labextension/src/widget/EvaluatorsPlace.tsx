/** What judges and rewards: a judge's metrics, reward prompts, functions and presets. */
import type { MetricsTraits } from './judgemetrics';
import { MetricsPlace, type MetricsState } from './MetricsPlace';
import type { Model } from './model';
import { useKept, type Route } from './route';

interface EvaluatorsPlaceProps {
  readonly metrics: Model<MetricsTraits> | null;
  readonly route: Route | null;
}

/** The place. */
export function EvaluatorsPlace({ metrics }: EvaluatorsPlaceProps) {
  const [state, setState] = useKept<MetricsState>('evaluators/metrics', { open: null, draft: null });
  return metrics && <MetricsPlace model={metrics} state={state} onState={setState} />;
}
