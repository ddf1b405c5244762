/** A dataset's rows as a table that is quick at any length: only what is in view is drawn, and asked for. */
import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useLayoutEffect, useMemo, useRef, useState, useSyncExternalStore, type KeyboardEvent } from 'react';

import { PAGE, tableLayout } from './datasets';
import { formatNumber, plainText } from './format';
import { trans } from './i18n';
import { LongScroll, MOST } from './longscroll';
import type { DatasetTraits, Model } from './model';
import { RowPages } from './rowpages';
import { TableRow } from './TableRow';

interface RowsTableProps {
  readonly model: Model<DatasetTraits>;
  /** How many rows there are. */
  readonly total: number;
  /** The fields that the technique reads; they come first. */
  readonly form: readonly string[];
  /** The row to show, from 1, each time that the object is another. */
  readonly target?: { readonly row: number } | null;
}

/** Far pages are asked for when the scrolling slows down. */
const FAR_MS = 80;

/** The table with a field that leads to a row. */
export function RowsTable({ model, total, form, target = null }: RowsTableProps) {
  const [pages] = useState(() => new RowPages());
  const [scroller, setScroller] = useState<HTMLDivElement | null>(null);
  const [shift, setShift] = useState(0);
  const [scroll] = useState(() => new LongScroll(setShift));
  const [layout, setLayout] = useState({ width: 0, line: 19 });
  const [opened, setOpened] = useState<ReadonlySet<number>>(new Set());
  const [active, setActive] = useState(0);
  const focusNext = useRef(false);
  const lastAsked = useRef(0);

  useSyncExternalStore(pages.subscribe, pages.version);
  const head = useSyncExternalStore(pages.subscribe, pages.head);
  const { isNarrow, columns, more, widths, lines, height } = useMemo(
    () => tableLayout(form, head ?? [], layout.width, layout.line),
    [form, head, layout]
  );

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

  useEffect(() => {
    model.on('msg:custom', pages.hear);
    return () => {
      model.off('msg:custom', pages.hear);
    };
  }, [model, pages]);

  useEffect(() => {
    if (total === 0) {
      return undefined;
    }
    const ask = () => {
      lastAsked.current = from;
      for (const page of pages.missing(from, Math.min(to, total - 1))) {
        pages.ask(page);
        model.send({ type: 'rows', first: page * PAGE, count: PAGE });
      }
    };
    if (Math.abs(from - lastAsked.current) <= 2 * PAGE) {
      ask();
      return undefined;
    }
    const timer = setTimeout(ask, FAR_MS);
    return () => {
      clearTimeout(timer);
    };
  }, [model, pages, total, from, to]);

  useEffect(() => {
    if (!scroller) {
      return undefined;
    }
    const observer = new ResizeObserver(() => {
      const width = scroller.clientWidth;
      const line = parseFloat(getComputedStyle(scroller).lineHeight) || 19;
      setLayout(known => (known.width === width && known.line === line ? known : { width, line }));
    });
    observer.observe(scroller);
    return () => {
      observer.disconnect();
    };
  }, [scroller]);

  // The heights of all rows follow from that of one.
  const [laidOut, setLaidOut] = useState(height);
  if (laidOut !== height) {
    setLaidOut(height);
    setOpened(new Set());
  }
  useLayoutEffect(() => {
    // A row that opens is in view, and what is above it stays.
    virtualizer.shouldAdjustScrollPositionOnItemSizeChange = () => false;
    virtualizer.measure();
  }, [virtualizer, height]);

  const startOf = (row: number) => virtualizer.measurementsCache[row]?.start ?? row * height;
  const show = (row: number) => {
    setActive(row);
    scroll.scrollTo(startOf(row), {}, virtualizer);
  };
  const shown = useRef(show);
  useLayoutEffect(() => {
    shown.current = show;
  });
  useEffect(() => {
    if (target) {
      // Not within the effect: the rows are drawn at once.
      queueMicrotask(() => {
        shown.current(target.row - 1);
      });
    }
  }, [target]);

  const toggle = (row: number) => {
    setActive(row);
    const next = new Set(opened);
    if (next.delete(row)) {
      virtualizer.resizeItem(row, height);
    } else {
      next.add(row);
    }
    setOpened(next);
  };
  const move = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined || !(event.target instanceof HTMLButtonElement)) {
      return;
    }
    event.preventDefault();
    const next = Math.min(total - 1, Math.max(0, stop + step));
    focusNext.current = true;
    setActive(next);
    const offset = virtualizer.scrollOffset ?? 0;
    const room = scroller?.clientHeight ?? 0;
    const start = startOf(next);
    if (start < offset) {
      scroll.scrollTo(start, {}, virtualizer);
    } else if (start + 2 * height > offset + room) {
      scroll.scrollTo(start + 2 * height - room, {}, virtualizer);
    }
  };
  // One row is a stop of Tab; the arrows go on from it.
  const inView = items.filter(
    item =>
      item.end > (virtualizer.scrollOffset ?? 0) &&
      item.start < (virtualizer.scrollOffset ?? 0) + (scroller?.clientHeight ?? 0)
  );
  const stop = active >= from && active <= to ? active : (inView[0]?.index ?? from);
  useEffect(() => {
    if (focusNext.current) {
      focusNext.current = false;
      scroller?.querySelector<HTMLElement>(`[data-index='${stop}'] button`)?.focus({ preventScroll: true });
    }
  }, [scroller, stop]);

  return (
    <>
      <JumpField total={total} onJump={show} />
      <div
        ref={setScroller}
        className="tunelab-rows"
        role="table"
        aria-label={trans.__('Rows')}
        aria-rowcount={total + 1}
        aria-colcount={columns.length + 1}
        data-narrow={isNarrow}
        tabIndex={0}
        style={
          {
            '--columns': columns.length,
            '--widths': widths,
            '--number': `calc(${Math.max(3, formatNumber(total).length)}ch + 30px)`
          } as React.CSSProperties
        }
        onKeyDown={move}
      >
        <div role="rowgroup" className="tunelab-rows-head">
          <div role="row" aria-rowindex={1} className="tunelab-rows-row">
            <span role="columnheader" className="tunelab-rows-number">
              {trans.__('Row')}
            </span>
            {columns.map(column => (
              <span key={column} role="columnheader" title={plainText(column)}>
                {plainText(column)}
              </span>
            ))}
          </div>
        </div>
        <div
          role="rowgroup"
          className="tunelab-rows-body"
          style={{ height: Math.min(MOST, virtualizer.getTotalSize()) }}
        >
          {items.map(({ index, start }) => (
            <TableRow
              key={index}
              index={index}
              row={pages.row(index)}
              columns={columns}
              lines={lines}
              more={more}
              isOpen={opened.has(index)}
              isStop={index === stop}
              isMarked={target?.row === index + 1}
              top={start - shift}
              height={height}
              measure={virtualizer.measureElement}
              onToggle={toggle}
            />
          ))}
        </div>
      </div>
    </>
  );
}

function JumpField({ total, onJump }: { readonly total: number; readonly onJump: (row: number) => void }) {
  const [text, setText] = useState('');
  const row = Number(text);
  const isRow = Number.isInteger(row) && row >= 1 && row <= total;
  return (
    <form
      className="tunelab-jump"
      onSubmit={event => {
        event.preventDefault();
        if (isRow) {
          onJump(row - 1);
        }
      }}
    >
      <label>
        {trans.__('Go to row')}{' '}
        <input
          type="number"
          min={1}
          max={total}
          value={text}
          aria-invalid={text !== '' && !isRow}
          onChange={event => {
            setText(event.target.value);
          }}
        />
      </label>
      <span className="tunelab-subject">{trans.__('of %1', formatNumber(total))}</span>
    </form>
  );
}
