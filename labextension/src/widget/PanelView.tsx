/** The Studio: five places as tabs, each a list with pages; a sentence where the kernel cannot show them. */
import { useEffect, useId, useMemo, useRef, useState, type KeyboardEvent } from 'react';

import { NoticeBlock, type Notice } from './Actions';
import { Badge } from './Badge';
import { trans } from './i18n';
import type { MetricsTraits } from './judgemetrics';
import type { DatasetsTraits, ListTraits, MLflowLink, Model } from './model';
import type { ModelsTraits } from './models';
import { Pages } from './Pages';
import { placeName } from './places';
import {
  closed,
  handedOver,
  KeptContext,
  moved,
  NavigationContext,
  opened,
  pageOf,
  PLACES,
  START,
  type Kept,
  type Location,
  type Navigation,
  type Place,
  type Route
} from './route';
import type { Shell } from './shell';
import { Waiting, type KernelState } from './Waiting';

/** The lists of the Studio, each of them null until the kernel has sent it. */
export interface Lists {
  readonly models: Model<ModelsTraits> | null;
  readonly datasets: Model<DatasetsTraits> | null;
  /** Customizations and evaluations. */
  readonly jobs: Model<ListTraits> | null;
  readonly metrics: Model<MetricsTraits> | null;
}

/** What the panel shows. */
export interface PanelState extends KernelState, Lists {
  readonly mlflow: MLflowLink | null;
}

interface PanelProps {
  readonly state: PanelState;
  readonly shell: Shell;
  /** Where it begins; without, at the jobs, or at the models where there are no jobs yet. */
  readonly start?: Location | undefined;
  /** Whether it can be opened in a tab: in the side panel, not in a tab or a cell. */
  readonly canOpenTab?: boolean;
  /** A page that is asked for from outside, such as by a command; a new object is a new wish. */
  readonly wanted?: { readonly route: Route; readonly kept?: Kept | undefined } | null;
  /** What was typed in another Studio. */
  readonly handed?: Kept | undefined;
  /** Called with how pages lead to each other, for a host that leads to them too. */
  readonly onNavigation?: (navigation: Navigation) => void;
}

/** The Studio, a function of its state. */
export function PanelView(props: PanelProps) {
  const { state, shell, start, canOpenTab = false, wanted = null, handed, onNavigation } = props;
  // Kept here, since the lists go away while the kernel restarts.
  const [at, setAt] = useState<Location>(start ?? START);
  const [isPlaced, setPlaced] = useState(start !== undefined);
  if (!isPlaced && state.jobs) {
    // Once, as the first list comes: who starts a job meanwhile stays where he is.
    setPlaced(true);
    if (at === START && state.jobs.get('jobs').length === 0) {
      setAt(moved(START, 'models'));
    }
  }
  const [kept] = useState(() => new Map<string, unknown>(handed));
  const [notice, setNotice] = useState<Notice | null>(null);
  // The side panel, tabs and cells may all have one.
  const id = useId();
  const navigation = useMemo<Navigation>(
    () => ({
      go: route => {
        setAt(before => opened(before, route));
      },
      back: () => {
        setAt(closed);
      },
      show: place => {
        setAt(before => moved(before, place));
      }
    }),
    []
  );
  useEffect(() => {
    if (wanted) {
      wanted.kept?.forEach((value, key) => kept.set(key, value));
      navigation.go(wanted.route);
    }
  }, [wanted, navigation, kept]);
  useEffect(() => {
    onNavigation?.(navigation);
  }, [navigation, onNavigation]);
  const openMLflow = async () => {
    setNotice(null);
    const refused = await shell.openMLflow(state.mlflow, 'MLflow');
    if (refused !== null) {
      setNotice(state.mlflow ? { text: refused, command: state.mlflow.command } : { text: refused });
    }
  };
  return (
    <KeptContext.Provider value={kept}>
      <NavigationContext.Provider value={navigation}>
        <div className="tunelab tunelab-side">
          <header className="tunelab-side-head">
            <h2>tunelab</h2>
            {canOpenTab && (
              <button
                type="button"
                className="tunelab-plain tunelab-icon"
                aria-label={trans.__('Open as tab')}
                title={trans.__('Open as tab')}
                onClick={() => {
                  shell.openStudio(pageOf(at, at.place) ?? undefined, handedOver(kept));
                }}
              >
                <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true">
                  <path d="M7 3H3v10h10V9M9.5 2.5h4v4M13 3 7.5 8.5" />
                </svg>
              </button>
            )}
            <button
              type="button"
              className="tunelab-primary"
              disabled={state.sentence !== null}
              onClick={() => {
                navigation.go({ page: 'customize', from: {} });
              }}
            >
              {trans.__('Customize…')}
            </button>
          </header>
          <Tabs
            id={id}
            place={at.place}
            jobs={state.jobs}
            onPlace={place => {
              navigation.show(place);
            }}
          />
          <div
            // Each place begins at its top; a list that was scrolled finds its place by itself.
            key={at.place}
            className="tunelab-side-body"
            role="tabpanel"
            id={`${id}-body`}
            aria-labelledby={`${id}-${at.place}`}
            tabIndex={-1}
          >
            <Waiting state={state} />
            {!state.sentence && <Pages at={at} lists={state} shell={shell} onNotice={setNotice} />}
          </div>
          {notice && (
            <NoticeBlock
              notice={notice}
              onClose={() => {
                setNotice(null);
              }}
            />
          )}
          <footer className="tunelab-side-foot" data-tone={state.tone}>
            <span className="tunelab-dot" aria-hidden="true" />
            <span className="tunelab-side-kernel" title={state.kernel}>
              {state.kernel}
            </span>
            <button type="button" className="tunelab-plain" onClick={() => void openMLflow()}>
              {trans.__('Open MLflow')}
            </button>
          </footer>
        </div>
      </NavigationContext.Provider>
    </KeptContext.Provider>
  );
}

interface TabsProps {
  /** What the ids of the tabs begin with. */
  readonly id: string;
  readonly place: Place;
  readonly jobs: Model<ListTraits> | null;
  readonly onPlace: (place: Place) => void;
}

/** The tabs: one is in the order of Tab, the arrows go from one to the next and around, Home and End to the ends. */
function Tabs({ id, place, jobs, onPlace }: TabsProps) {
  const list = useRef<HTMLDivElement>(null);
  const move = (event: KeyboardEvent) => {
    const at = PLACES.indexOf(place);
    const to = { ArrowLeft: at - 1, ArrowRight: (at + 1) % PLACES.length, Home: 0, End: -1 }[event.key];
    const other = to === undefined ? undefined : PLACES.at(to);
    if (other) {
      event.preventDefault();
      onPlace(other);
      list.current?.querySelectorAll<HTMLElement>('[role="tab"]').item(PLACES.indexOf(other)).focus();
    }
  };
  return (
    <div
      className="tunelab-side-tabs"
      role="tablist"
      aria-label={trans.__('Places of the Studio')}
      ref={list}
      onKeyDown={move}
    >
      {PLACES.map(name => (
        <button
          key={name}
          type="button"
          role="tab"
          id={`${id}-${name}`}
          aria-selected={place === name}
          aria-controls={`${id}-body`}
          tabIndex={place === name ? 0 : -1}
          onClick={() => {
            onPlace(name);
          }}
        >
          {placeName(name)}
          {(name === 'jobs' || name === 'evaluations') && <Badge jobs={jobs} isEvaluation={name === 'evaluations'} />}
        </button>
      ))}
    </div>
  );
}
