/** A job's rollouts, step by step: what was asked, the best and the worst answer side by side, and a search over all. */
import { memo, useEffect, useMemo, useState, useSyncExternalStore } from 'react';

import { formatNumber, plainText } from './format';
import { trans } from './i18n';
import type { JobTraits, Model, RolloutHit, RolloutPlace, RolloutsState } from './model';
import { GroupTable } from './RolloutTable';
import {
  filters,
  orders,
  passes,
  RolloutPages,
  shownOf,
  nearest,
  type Choice,
  type Filter,
  type Order
} from './rollouts';

/** What the reader has chosen for each job; kept for as long as the page, since views come and go. */
const kept = new Map<string, Choice>();
const FIRST: Choice = { heldOut: null, step: null, filter: 'all', order: 'sampled' };

interface RolloutsViewProps {
  readonly job: string;
  readonly model: Model<JobTraits>;
  readonly state: RolloutsState;
}

/** The section of a job's card. */
export const RolloutsView = memo(function RolloutsView({ job, model, state }: RolloutsViewProps) {
  const [pages] = useState(() => new RolloutPages());
  const version = useSyncExternalStore(pages.subscribe, pages.version);
  const [choice, setChoice] = useState<Choice>(() => kept.get(job) ?? FIRST);
  const [sought, setSought] = useState<string | null>(null);
  const [target, setTarget] = useState<{ readonly place: RolloutPlace; readonly group: number } | null>(null);
  const choose = (change: Partial<Choice>) => {
    const after = { ...choice, ...change };
    kept.set(job, after);
    setChoice(after);
  };
  const { steps, index, place, heldOut } = useMemo(() => shownOf(state, choice), [state, choice]);
  const step = place?.step ?? null;
  // Only the latest step can have gained answers since it was read.
  const fresh = index === steps.length - 1 ? state.version : 0;

  useEffect(() => {
    model.on('msg:custom', pages.hear);
    return () => {
      model.off('msg:custom', pages.hear);
    };
  }, [model, pages]);
  useEffect(() => {
    if (step !== null) {
      model.send({ type: 'rollouts', step, held_out: heldOut });
    }
  }, [model, step, heldOut, fresh]);

  const page = place && pages.page(place);
  // Until it is here, the one before it stays, so that nothing jumps.
  const [last, setLast] = useState(page);
  if (page && page !== last) {
    setLast(page);
  }
  const shown = page ?? (last?.held_out === heldOut && step !== null ? last : null);
  return (
    <section className="tunelab-rollouts" aria-label={trans.__('Rollouts, step by step')}>
      <header className="tunelab-rollouts-head">
        <h4>{trans.__('Rollouts')}</h4>
        <Kind
          {...{ state, heldOut }}
          onChoose={chosen => {
            choose({ heldOut: chosen });
          }}
        />
        {step !== null && (
          <Steps
            {...{ steps, index }}
            isFollowing={choice.step === null}
            onChoose={chosen => {
              setTarget(null);
              choose({ step: chosen });
            }}
          />
        )}
        <Search
          onSearch={text => {
            setSought(text);
            if (text !== null) {
              model.send({ type: 'search', text });
            }
          }}
        />
      </header>
      {sought !== null && (
        <Found
          sought={sought}
          pages={pages}
          version={version}
          onGo={hit => {
            choose({ heldOut: hit.held_out, step: hit.step, filter: 'all' });
            setTarget({ place: { step: hit.step, held_out: hit.held_out }, group: hit.group });
          }}
        />
      )}
      {shown ? (
        <>
          <div className="tunelab-rollouts-choice">
            <div className="tunelab-chips" role="group" aria-label={trans.__('Which groups')}>
              {filters().map(([filter, name]) => (
                <Chip
                  key={filter}
                  {...{ filter, name }}
                  count={shown.groups.filter(group => passes(group, filter)).length}
                  isChosen={choice.filter === filter}
                  onChoose={() => {
                    choose({ filter });
                  }}
                />
              ))}
            </div>
            <select
              aria-label={trans.__('Order of the groups')}
              value={choice.order}
              onChange={event => {
                choose({ order: event.target.value as Order });
              }}
            >
              {orders().map(([order, name]) => (
                <option key={order} value={order}>
                  {name}
                </option>
              ))}
            </select>
          </div>
          <GroupTable
            // What was opened of one step is not of the next.
            key={`${shown.held_out} ${shown.step}`}
            {...{ model, pages, fresh, version }}
            page={shown}
            isBusy={!page}
            filter={choice.filter}
            order={choice.order}
            target={target?.place.step === shown.step && target.place.held_out === shown.held_out ? target.group : null}
            onOpen={() => {
              // What is being read does not go away with the next step.
              if (choice.step === null) {
                choose({ step: shown.step, heldOut });
              }
            }}
          />
        </>
      ) : (
        <p className="tunelab-subject tunelab-rollouts-none">{nothing(step, heldOut)}</p>
      )}
    </section>
  );
});

function nothing(step: number | null, heldOut: boolean): string {
  if (step !== null) {
    return trans.__('Reading the answers…');
  }
  return heldOut
    ? trans.__('Answers to held-out prompts come with each evaluation.')
    : trans.__('Every answer that is sampled comes here, with its reward.');
}

interface KindProps {
  readonly state: RolloutsState;
  readonly heldOut: boolean;
  readonly onChoose: (heldOut: boolean) => void;
}

function Kind({ state, heldOut, onChoose }: KindProps) {
  const kinds = [
    [false, trans.__('Trained on'), state.trained.answers],
    [true, trans.__('Held out'), state.held_out.answers]
  ] as const;
  return (
    <div className="tunelab-chips" role="group" aria-label={trans.__('Which rollouts')}>
      {kinds.map(([kind, name, answers]) => (
        <button
          key={String(kind)}
          type="button"
          aria-pressed={kind === heldOut}
          title={trans._n('%2 answers so far', '%2 answers so far', answers, formatNumber(answers))}
          onClick={() => {
            onChoose(kind);
          }}
        >
          {name} <span className="tunelab-subject">{formatNumber(answers)}</span>
        </button>
      ))}
    </div>
  );
}

interface StepsProps {
  readonly steps: readonly number[];
  readonly index: number;
  readonly isFollowing: boolean;
  /** Null to follow the latest. */
  readonly onChoose: (step: number | null) => void;
}

function Steps({ steps, index, isFollowing, onChoose }: StepsProps) {
  // What is being typed, until it is meant.
  const [draft, setDraft] = useState<string | null>(null);
  const go = (to: number) => {
    setDraft(null);
    onChoose(steps[Math.max(0, Math.min(steps.length - 1, to))] ?? null);
  };
  const meant = () => {
    if (draft !== null && draft.trim() !== '' && Number.isFinite(Number(draft))) {
      go(nearest(steps, Number(draft)));
    }
    setDraft(null);
  };
  const latest = steps.at(-1) ?? 0;
  return (
    <div className="tunelab-steps">
      <label>
        {trans.__('Step')}{' '}
        <input
          type="range"
          aria-label={trans.__('Step by its place')}
          aria-valuetext={trans.__('Step %1', steps[index])}
          min={0}
          max={Math.max(0, steps.length - 1)}
          value={index}
          disabled={steps.length < 2}
          onChange={event => {
            go(Number(event.target.value));
          }}
        />
      </label>
      <input
        type="text"
        inputMode="numeric"
        aria-label={trans.__('Step, up to %1', formatNumber(latest))}
        value={draft ?? String(steps[index])}
        onChange={event => {
          setDraft(event.target.value);
        }}
        onBlur={meant}
        onKeyDown={event => {
          const by = { ArrowUp: 1, ArrowDown: -1 }[event.key];
          if (by !== undefined) {
            event.preventDefault();
            go(index + by);
          } else if (event.key === 'Enter') {
            meant();
          }
        }}
      />
      <span className="tunelab-subject">{trans.__('of %1', formatNumber(latest))}</span>
      <label>
        <input
          type="checkbox"
          checked={isFollowing}
          onChange={event => {
            onChoose(event.target.checked ? null : (steps[index] ?? null));
          }}
        />
        {trans.__('Latest')}
      </label>
    </div>
  );
}

interface ChipProps {
  readonly filter: Filter;
  readonly name: string;
  readonly count: number;
  readonly isChosen: boolean;
  readonly onChoose: () => void;
}

function Chip({ filter, name, count, isChosen, onChoose }: ChipProps) {
  return (
    <button
      type="button"
      aria-pressed={isChosen}
      // One that shows nothing can still be left.
      disabled={count === 0 && !isChosen && filter !== 'all'}
      onClick={onChoose}
    >
      {name} <span className="tunelab-subject">{formatNumber(count)}</span>
    </button>
  );
}

function Search({ onSearch }: { readonly onSearch: (text: string | null) => void }) {
  const [text, setText] = useState('');
  return (
    <form
      className="tunelab-search"
      role="search"
      onSubmit={event => {
        event.preventDefault();
        onSearch(text.trim() || null);
      }}
    >
      <input
        type="search"
        aria-label={trans.__('Search the prompts and answers of all steps')}
        placeholder={trans.__('Search all steps')}
        value={text}
        onChange={event => {
          setText(event.target.value);
          if (event.target.value === '') {
            onSearch(null);
          }
        }}
      />
      <button type="submit" disabled={text.trim() === ''}>
        {trans.__('Search')}
      </button>
    </form>
  );
}

interface FoundProps {
  readonly sought: string;
  readonly pages: RolloutPages;
  /** Changes with each answer of the kernel. */
  readonly version: number;
  readonly onGo: (hit: RolloutHit) => void;
}

function Found({ sought, pages, onGo }: FoundProps) {
  const found = pages.found(sought);
  return (
    <div className="tunelab-found">
      <p className="tunelab-subject" role="status">
        {foundSentence(sought, found)}
      </p>
      {found && found.hits.length > 0 && (
        <ol aria-label={trans.__('Found')}>
          {found.hits.map((hit, place) => (
            // A place in the list is all that tells one from another that is the same.
            <li key={place}>
              <button
                type="button"
                onClick={() => {
                  onGo(hit);
                }}
              >
                <span className="tunelab-subject">{placeOf(hit)}</span> {plainText(hit.before)}
                <mark>{plainText(hit.match)}</mark>
                {plainText(hit.after)}
              </button>
            </li>
          ))}
        </ol>
      )}
    </div>
  );
}

/** `Step 40, held out · 0.300`. */
function placeOf({ step, held_out: heldOut, where, reward }: RolloutHit): string {
  const at = heldOut ? trans.__('Step %1, held out', formatNumber(step)) : trans.__('Step %1', formatNumber(step));
  return `${at} · ${where === 'prompt' ? trans.__('prompt') : formatNumber(reward)}`;
}

function foundSentence(sought: string, found: ReturnType<RolloutPages['found']>): string {
  if (!found) {
    return trans.__('Searching all steps for “%1”…', sought);
  }
  const count = found.found;
  if (count === 0) {
    return trans.__('No prompt and no answer has “%1” in it.', sought);
  }
  const shown = found.hits.length;
  return shown < count
    ? trans._n(
        '“%2” was found in %3 place, the newest first; the newest %4 are shown.',
        '“%2” was found in %3 places, the newest first; the newest %4 are shown.',
        count,
        sought,
        formatNumber(count),
        formatNumber(shown)
      )
    : trans._n(
        '“%2” was found in %3 place, the newest first.',
        '“%2” was found in %3 places, the newest first.',
        count,
        sought,
        formatNumber(count)
      );
}
