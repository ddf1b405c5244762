/** A list of any length: all rows of a short one, and of a long one those that are in view, and the one with the focus. */
import { defaultRangeExtractor, useVirtualizer, type Range } from '@tanstack/react-virtual';
import { useCallback, useLayoutEffect, useState, type ReactNode } from 'react';

/** So many rows are drawn at once without delay; they can be found by the browser's own search, too. */
const SHORT = 100;
/** Pixels of a row that was not drawn yet. */
const LIKELY = 62;
/** Rows beyond the view, so that Tab and quick scrolling find something. */
const BEYOND = 8;

interface LongListProps<T> {
  readonly rows: readonly T[];
  readonly keyOf: (row: T) => string;
  readonly children: (row: T) => ReactNode;
  /** Of each row. */
  readonly className?: string | undefined;
  readonly label?: string;
  /** The id of the list's heading, in place of a label. */
  readonly labelledBy?: string;
}

/** The list; it scrolls with whatever it stands in. */
export function LongList<T>(props: LongListProps<T>) {
  const { rows, keyOf, children, className, label, labelledBy } = props;
  return rows.length > SHORT ? (
    <VirtualList {...props} />
  ) : (
    <ul aria-label={label} aria-labelledby={labelledBy}>
      {rows.map(row => (
        <li key={keyOf(row)} className={className}>
          {children(row)}
        </li>
      ))}
    </ul>
  );
}

function VirtualList<T>({ rows, keyOf, children, className, label, labelledBy }: LongListProps<T>) {
  const [list, setList] = useState<HTMLUListElement | null>(null);
  const [scroller, setScroller] = useState<HTMLElement | null>(null);
  // What stands above the list in what scrolls.
  const [above, setAbove] = useState(0);
  const [focused, setFocused] = useState<string | null>(null);
  const attach = useCallback((node: HTMLUListElement | null) => {
    setList(node);
    setScroller(node && scrollerOf(node));
  }, []);
  // Scrolled out of view it must not lose the focus.
  const kept = focused === null ? -1 : rows.findIndex(row => keyOf(row) === focused);
  // eslint-disable-next-line react-hooks/incompatible-library -- no function of it is kept past a rendering
  const virtualizer = useVirtualizer<HTMLElement, HTMLLIElement>({
    count: rows.length,
    getScrollElement: () => scroller,
    estimateSize: () => LIKELY,
    getItemKey: index => keyAt(rows, index, keyOf),
    overscan: BEYOND,
    scrollMargin: above,
    rangeExtractor: range => withKept(range, kept)
  });
  useLayoutEffect(() => {
    if (!list || !scroller) {
      return undefined;
    }
    const measure = () => {
      const top = list.getBoundingClientRect().top - scroller.getBoundingClientRect().top + scroller.scrollTop;
      setAbove(Math.round(top));
    };
    measure();
    // What stands above grows and wraps.
    const observer = new ResizeObserver(measure);
    [...(list.parentElement?.children ?? [])]
      .filter(other => other !== list)
      .forEach(other => {
        observer.observe(other);
      });
    return () => {
      observer.disconnect();
    };
  }, [list, scroller, rows, className]);
  return (
    <ul
      ref={attach}
      className="tunelab-long"
      aria-label={label}
      aria-labelledby={labelledBy}
      style={{ height: virtualizer.getTotalSize() }}
      onFocus={event => {
        setFocused(event.target.closest('li')?.dataset.key ?? null);
      }}
      onBlur={event => {
        if (!event.currentTarget.contains(event.relatedTarget)) {
          setFocused(null);
        }
      }}
    >
      {virtualizer.getVirtualItems().map(({ index, start }) => {
        const row = rows[index];
        return (
          row !== undefined && (
            <li
              key={keyOf(row)}
              ref={virtualizer.measureElement}
              className={className}
              data-index={index}
              data-key={keyOf(row)}
              aria-setsize={rows.length}
              aria-posinset={index + 1}
              style={{ top: start - above }}
            >
              {children(row)}
            </li>
          )
        );
      })}
    </ul>
  );
}

function keyAt<T>(rows: readonly T[], index: number, keyOf: (row: T) => string): string | number {
  const row = rows[index];
  return row === undefined ? index : keyOf(row);
}

/** The rows in view, and one more. */
function withKept(range: Range, kept: number): number[] {
  const shown = defaultRangeExtractor(range);
  return kept < 0 || shown.includes(kept) ? shown : [...shown, kept].sort((one, other) => one - other);
}

/** What scrolls the list. */
function scrollerOf(node: HTMLElement): HTMLElement {
  let found = node.parentElement;
  while (found && !/auto|scroll/.test(getComputedStyle(found).overflowY)) {
    found = found.parentElement;
  }
  return found ?? document.documentElement;
}
