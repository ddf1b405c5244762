/** What judges and rewards: a judge's metrics, reward prompts, functions and presets. */
import { useLayoutEffect, useRef, type ReactNode } from 'react';

import { FunctionsPlace } from './FunctionsPlace';
import { trans } from './i18n';
import { EMPTY, type Draft, type MetricsTraits } from './judgemetrics';
import { MetricsPlace, type MetricsState } from './MetricsPlace';
import type { Model } from './model';
import { PromptsPlace } from './PromptsPlace';
import { useKept, useNavigation, type Route } from './route';

interface EvaluatorsPlaceProps {
  readonly metrics: Model<MetricsTraits> | null;
  /** The page on show, or null for the lists. */
  readonly route: Route | null;
  /** What the way back is called. */
  readonly back: string;
}

type Shown = 'metrics' | 'prompts' | 'functions';

/** The place: one of its three lists, or the page that was opened. */
export function EvaluatorsPlace({ metrics, route, back }: EvaluatorsPlaceProps) {
  const [kept, setShown] = useKept<Shown>('evaluators/shown', 'metrics');
  const shown = shownBy(route) ?? kept;
  const list: ReactNode = {
    metrics: metrics && (
      <Metrics
        key="metrics"
        model={metrics}
        open={route?.page === 'metric' ? route.metric : null}
        isNew={route?.page === 'metric' && route.metric === null}
        back={back}
      />
    ),
    prompts: <PromptsPlace key="prompts" open={route?.page === 'prompt' ? route.prompt : null} back={back} />,
    functions: <FunctionsPlace key="functions" open={route?.page === 'function' ? route.name : null} back={back} />
  }[shown];
  return (
    <>
      {shownBy(route) === null && <Lists key="lists" shown={shown} onShown={setShown} />}
      {list}
    </>
  );
}

function shownBy(route: Route | null): Shown | null {
  switch (route?.page) {
    case 'metric':
      return 'metrics';
    case 'prompt':
      return 'prompts';
    case 'function':
      return 'functions';
    default:
      return null;
  }
}

/** Which list, chosen as the models' place chooses which models. */
function Lists({ shown, onShown }: { readonly shown: Shown; readonly onShown: (shown: Shown) => void }) {
  const names: readonly (readonly [Shown, string])[] = [
    ['metrics', trans.__('Metrics')],
    ['prompts', trans.__('Reward prompts')],
    ['functions', trans.__('Functions')]
  ];
  return (
    <div
      className="tunelab-models-filters tunelab-evaluator-lists"
      role="group"
      aria-label={trans.__('Which evaluators')}
    >
      {names.map(([key, name]) => (
        <button
          key={key}
          type="button"
          aria-pressed={shown === key}
          onClick={() => {
            onShown(key);
          }}
        >
          {name}
        </button>
      ))}
    </div>
  );
}

interface MetricsProps {
  readonly model: Model<MetricsTraits>;
  /** `NAME@VERSION` of the metric's page, or null for the list. */
  readonly open: string | null;
  /** Whether the form is wanted at once: it stands in the list's place. */
  readonly isNew: boolean;
  readonly back: string;
}

/** The metrics, with what is open told by the Studio's ways. */
function Metrics({ model, open, isNew, back }: MetricsProps) {
  const navigation = useNavigation();
  const [kept, setDraft] = useKept<Draft | null>('evaluators/metric', null);
  // A draft is shown where it was begun: a link to another metric shows that metric.
  const begun = kept && (open === null || kept.from === open) ? kept : null;
  const draft = begun ?? (isNew ? EMPTY : null);
  const latest = useRef<MetricsState>({ open, draft });
  useLayoutEffect(() => {
    latest.current = { open, draft };
  }, [open, draft]);
  return (
    <MetricsPlace
      model={model}
      state={{ open, draft }}
      back={back}
      onState={change => {
        const before = latest.current;
        const next = change(before);
        latest.current = next;
        if (next.draft !== before.draft) {
          setDraft(next.draft);
        }
        if (next.open !== before.open || (isNew && next.draft === null)) {
          // One page over the list: a version takes the place of another.
          if (before.open !== null || isNew) {
            navigation?.back();
          }
          if (next.open !== null) {
            navigation?.go({ page: 'metric', metric: next.open });
          }
        }
      }}
    />
  );
}
