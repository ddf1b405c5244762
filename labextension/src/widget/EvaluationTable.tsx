/** An evaluation's records as a table that is quick at any length: only what is in view is drawn, and asked for. */
import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useLayoutEffect, useMemo, useRef, useState, type KeyboardEvent } from 'react';

import { count } from './datasets';
import { outcomeName, scoreText, SIGNS, whyUnscored } from './evaluations';
import { formatNumber, plainText, visibleText } from './format';
import { trans } from './i18n';
import { LongScroll, MOST } from './longscroll';
import type { JobTraits, Model } from './model';
import { recordLayout, type RecordLayout } from './recordlayout';
import { keyOf, PAGE, type RecordPages } from './recordpages';
import type { EvaluationState, Outcome, RecordQuery, RecordRow, Score, SortKey } from './results';

/** Far pages are asked for when the scrolling slows down. */
const FAR_MS = 80;

/** A record that is shown alone, and its place among those of the table. */
export interface Opened {
  readonly place: number;
  readonly id: string;
}

interface EvaluationTableProps {
  readonly model: Model<JobTraits>;
  /** Its version is watched by whoever draws this. */
  readonly pages: RecordPages;
  readonly state: EvaluationState;
  readonly query: RecordQuery;
  /** How many records there will be, until it is known. */
  readonly expected: number;
  /** The record to begin with, which gets the focus: the reader comes back from it. */
  readonly start: number | null;
  readonly onSort: (sort: RecordQuery['sort']) => void;
  readonly onOpen: (opened: Opened) => void;
}

/** The table. */
export function EvaluationTable(props: EvaluationTableProps) {
  const { model, pages, state, query, expected, start, onSort, onOpen } = props;
  const [scroller, setScroller] = useState<HTMLDivElement | null>(null);
  const [shift, setShift] = useState(0);
  const [scroll] = useState(() => new LongScroll(setShift));
  const [size, setSize] = useState({ width: 0, line: 19 });
  const [active, setActive] = useState(start ?? 0);
  const focusNext = useRef(false);
  const lastAsked = useRef(0);
  const askedFor = useRef('');

  const total = pages.total ?? expected;
  const isBusy = !pages.isOf(query);
  const key = keyOf(query);
  // The buttons count without the search.
  const isCounted = query.search !== '' || query.column !== null;
  const { head } = pages;
  const hasTruth = head.some(row => row.ground_truth !== null);
  const layout = useMemo(
    () => recordLayout(head, state.models, hasTruth, size.width, size.line),
    [head, state.models, hasTruth, size]
  );
  const { height } = layout;

  // eslint-disable-next-line react-hooks/incompatible-library -- no function of it is kept past a rendering
  const virtualizer = useVirtualizer<HTMLDivElement, HTMLDivElement>({
    count: total,
    getScrollElement: () => scroller,
    estimateSize: () => height,
    observeElementOffset: scroll.observe,
    scrollToFn: scroll.scrollTo,
    overscan: 6
  });
  const items = virtualizer.getVirtualItems();
  const from = items[0]?.index ?? 0;
  const to = items.at(-1)?.index ?? 0;

  const arrived = pages.version();
  useEffect(() => {
    // What is asked for anew is shown from its top, or from the record that was open, before the table is there.
    const first = askedFor.current === key ? from : (start ?? 0);
    const ask = () => {
      askedFor.current = key;
      lastAsked.current = first;
      const question = pages.ask(query, state.version, first, first + to - from);
      if (question) {
        model.send(question);
      }
    };
    if (askedFor.current !== key || Math.abs(first - lastAsked.current) <= 2 * PAGE) {
      ask();
      return undefined;
    }
    const timer = setTimeout(ask, FAR_MS);
    return () => {
      clearTimeout(timer);
    };
  }, [model, pages, query, key, state.version, start, from, to, arrived]);

  useEffect(() => {
    if (!scroller) {
      return undefined;
    }
    const observer = new ResizeObserver(() => {
      const width = scroller.clientWidth;
      const line = parseFloat(getComputedStyle(scroller).lineHeight) || 19;
      setSize(known => (known.width === width && known.line === line ? known : { width, line }));
    });
    observer.observe(scroller);
    return () => {
      observer.disconnect();
    };
  }, [scroller]);
  useLayoutEffect(() => {
    virtualizer.measure();
  }, [virtualizer, height]);

  const show = (place: number) => {
    scroll.scrollTo(place * height, {}, virtualizer);
  };
  const shown = useRef(show);
  useLayoutEffect(() => {
    shown.current = show;
  });
  // The reader comes back to the record that was open; what is asked for anew begins at its top.
  useEffect(() => {
    if (scroller) {
      focusNext.current = start !== null;
      // Not within the effect: the rows are drawn at once.
      queueMicrotask(() => {
        shown.current(start ?? 0);
      });
    }
  }, [scroller, start, key]);
  const [of, setOf] = useState(key);
  if (of !== key) {
    setOf(key);
    setActive(0);
  }

  const move = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined || !(event.target instanceof HTMLElement) || !event.target.closest('[data-index]')) {
      return;
    }
    event.preventDefault();
    const next = Math.min(total - 1, Math.max(0, stop + step));
    focusNext.current = true;
    setActive(next);
    const offset = virtualizer.scrollOffset ?? 0;
    const room = scroller?.clientHeight ?? 0;
    if (next * height < offset) {
      show(next);
    } else if ((next + 2) * height > offset + room) {
      scroll.scrollTo((next + 2) * height - room, {}, virtualizer);
    }
  };
  // One row is a stop of Tab; the arrows go on from it.
  const offset = virtualizer.scrollOffset ?? 0;
  const inView = items.find(item => item.end > offset);
  const stop = active >= from && active <= to ? active : (inView?.index ?? from);
  const stopIsHere = pages.row(stop) !== null;
  useEffect(() => {
    if (focusNext.current && stopIsHere && stop === active) {
      focusNext.current = false;
      scroller?.querySelector<HTMLElement>(`[data-index='${stop}'] button`)?.focus({ preventScroll: true });
    }
  }, [scroller, stop, stopIsHere, active]);

  const open = (place: number) => {
    const row = pages.row(place);
    if (row) {
      onOpen({ place, id: row.id });
    }
  };
  const columns: readonly (readonly [name: string, by: SortKey | null])[] = [
    [trans.__('Row'), 'row'],
    [trans.__('Prompt'), null],
    ...(hasTruth ? ([[trans.__('Ground truth'), null]] as const) : []),
    ...state.models.map(
      name => [name, name === query.model ? 'score' : name === state.baseline ? 'baseline' : null] as const
    ),
    [trans.__('Score'), state.models.length > 1 ? 'difference' : 'score']
  ];
  return (
    <>
      <p className={isCounted || total === 0 ? 'tunelab-subject tunelab-results-none' : 'tunelab-hidden'} role="status">
        {isBusy
          ? trans.__('Reading the records…')
          : total === 0
            ? trans.__('No record is such.')
            : count(total, 'record')}
      </p>
      <div
        ref={setScroller}
        className="tunelab-records"
        role="table"
        aria-label={trans.__('Records')}
        aria-busy={isBusy}
        aria-rowcount={total + 1}
        aria-colcount={columns.length}
        data-narrow={layout.isNarrow}
        data-lm-suppress-shortcuts="true"
        tabIndex={0}
        style={{ '--widths': layout.widths } as React.CSSProperties}
        onKeyDown={move}
      >
        <div role="rowgroup" className="tunelab-records-head">
          <div role="row" aria-rowindex={1} className="tunelab-records-row">
            {columns.map(([name, by], place) => (
              <Header key={place} {...{ name, by, onSort }} sort={query.sort} />
            ))}
          </div>
        </div>
        <div
          role="rowgroup"
          className="tunelab-records-body"
          style={{ height: Math.min(MOST, virtualizer.getTotalSize()) }}
        >
          {items.map(({ index, start: top }) => (
            <Row
              key={index}
              {...{ index, state, query, layout, hasTruth }}
              row={pages.row(index)}
              isStop={index === stop}
              top={top - shift}
              onOpen={() => {
                open(index);
              }}
            />
          ))}
        </div>
      </div>
    </>
  );
}

interface HeaderProps {
  readonly name: string;
  /** By what a click sorts; null where it cannot. */
  readonly by: SortKey | null;
  readonly sort: RecordQuery['sort'];
  readonly onSort: (sort: RecordQuery['sort']) => void;
}

function Header({ name, by, sort, onSort }: HeaderProps) {
  if (by === null) {
    return (
      <span role="columnheader" title={plainText(name)}>
        {plainText(name)}
      </span>
    );
  }
  const isSorted = sort.by === by;
  const hints: Partial<Record<SortKey, string>> = {
    difference: trans.__('Sort by the difference'),
    score: trans.__('Sort by this model’s score'),
    baseline: trans.__('Sort by the baseline’s score')
  };
  return (
    <span role="columnheader" aria-sort={isSorted ? (sort.descending ? 'descending' : 'ascending') : 'none'}>
      <button
        type="button"
        title={hints[by]}
        onClick={() => {
          // The first click shows what one looks for: the worst differences, the lowest scores, the first row.
          onSort({ by, descending: isSorted && !sort.descending });
        }}
      >
        {plainText(name)}
        <span aria-hidden="true">{isSorted ? (sort.descending ? ' ↓' : ' ↑') : ''}</span>
      </button>
    </span>
  );
}

interface RowProps {
  /** The place, from 0. */
  readonly index: number;
  /** Null while it is not here. */
  readonly row: RecordRow | null;
  readonly state: EvaluationState;
  readonly query: RecordQuery;
  readonly layout: RecordLayout;
  readonly hasTruth: boolean;
  /** Whether Tab stops here. */
  readonly isStop: boolean;
  readonly top: number;
  readonly onOpen: () => void;
}

function Row({ index, row, state, query, layout, hasTruth, isStop, top, onOpen }: RowProps) {
  const { lines, height } = layout;
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      className="tunelab-records-row"
      data-index={index}
      data-outcome={row?.outcome}
      style={{ top, height }}
      onClick={() => {
        if (document.getSelection()?.isCollapsed !== false) {
          onOpen();
        }
      }}
    >
      <span role="cell" className="tunelab-records-number">
        <button
          type="button"
          tabIndex={isStop ? 0 : -1}
          aria-label={
            row ? trans.__('Open row %1', formatNumber(row.number)) : trans.__('Record %1', formatNumber(index + 1))
          }
          aria-disabled={!row}
          onClick={event => {
            event.stopPropagation();
            onOpen();
          }}
        >
          {row ? formatNumber(row.number) : '…'}
        </button>
      </span>
      <Text name={trans.__('Prompt')} text={row?.prompt} lines={lines.prompt} isBusy={!row} />
      {hasTruth && (
        <Text name={trans.__('Ground truth')} text={row?.ground_truth ?? ''} lines={lines.truth} isBusy={!row} />
      )}
      {state.models.map(name => (
        <Text key={name} name={name} text={row?.answers[name] ?? ''} lines={lines.answer} isBusy={!row} />
      ))}
      <div role="cell" className="tunelab-records-score">
        {row && <Scores row={row} query={query} baseline={state.baseline} />}
      </div>
    </div>
  );
}

interface TextProps {
  readonly name: string;
  readonly text: string | undefined;
  readonly lines: number;
  readonly isBusy: boolean;
}

function Text({ name, text = '', lines, isBusy }: TextProps) {
  return (
    <div role="cell" aria-busy={isBusy} style={{ '--lines': lines } as React.CSSProperties}>
      <span className="tunelab-field" aria-hidden="true">
        {plainText(name)}
      </span>
      <span className="tunelab-record-text">{visibleText(text)}</span>
    </div>
  );
}

interface ScoresProps {
  readonly row: RecordRow;
  readonly query: RecordQuery;
  readonly baseline: string;
}

/** `1 → 3`, and in a word what that is. */
function Scores({ row, query, baseline }: ScoresProps) {
  const before = query.model === baseline ? undefined : row.scores[baseline];
  const after = row.scores[query.model];
  const why = row.outcome === 'unscored' ? [before, after].find(score => score?.score === null) : undefined;
  return (
    <>
      <span className="tunelab-scores">
        {before && (
          <>
            <Pill score={before} />
            <span aria-hidden="true"> → </span>
            <span className="tunelab-hidden"> {trans.__('then')} </span>
          </>
        )}
        {after && <Pill score={after} outcome={row.outcome} />}
      </span>
      {row.outcome && <OutcomeWord outcome={row.outcome} why={why ? whyUnscored(why) : null} />}
    </>
  );
}

interface PillProps {
  readonly score: Score;
  readonly outcome?: RecordRow['outcome'];
}

/** A score; what a person put in its place stands beside it. */
function Pill({ score, outcome = null }: PillProps) {
  const figure = formatNumber(score.score);
  return (
    <span className="tunelab-pill" data-outcome={outcome} title={score.label ? scoreText(score) : undefined}>
      {score.human === null ? (
        figure
      ) : (
        <>
          <s>{figure}</s>
          <span className="tunelab-hidden"> {trans.__('overruled:')} </span> <b>{formatNumber(score.human)}</b>
        </>
      )}
    </span>
  );
}

/** An outcome by a sign and a word, since colours are not for every eye. */
export function OutcomeWord({ outcome, why = null }: { readonly outcome: Outcome; readonly why?: string | null }) {
  return (
    <span className="tunelab-outcome" title={why ?? undefined}>
      <span aria-hidden="true">{SIGNS[outcome]} </span>
      {outcomeName(outcome)}
      {why !== null && <span className="tunelab-hidden">: {why}</span>}
    </span>
  );
}
