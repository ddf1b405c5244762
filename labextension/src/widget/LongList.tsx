/** A list of any length: all rows of a short one, and of a long one those that are in view, and the one with the focus. */
import { defaultRangeExtractor, useVirtualizer, type Range } from '@tanstack/react-virtual';
import { useCallback, useLayoutEffect, useState, type ReactNode } from 'react';

import { scrollerOf, usePlace, usePlaceInList } from './usePlaceInList';

/** So many rows are drawn at once without delay; they can be found by the browser's own search, too. */
const SHORT = 100;
/** Pixels of a row that was not drawn yet. */
const LIKELY = 62;
/** Pixels of the view before it is measured: with some rows at once the focus stays where it is. */
const VIEW = 600;
/** Rows beyond the view, so that Tab and quick scrolling find something. */
const BEYOND = 8;

interface LongListProps<T> {
  readonly rows: readonly T[];
  readonly keyOf: (row: T) => string;
  readonly children: (row: T) => ReactNode;
  /** Of each row. */
  readonly className?: string | undefined;
  readonly label: string;
  /** What its place is kept by, where the label is not enough. */
  readonly name?: string;
}

/** The list; it scrolls with whatever it stands in. */
export function LongList<T>({ rows, keyOf, children, className, label, name }: LongListProps<T>) {
  const isLong = rows.length > SHORT;
  const [list, setList] = useState<HTMLUListElement | null>(null);
  const [scroller, setScroller] = useState<HTMLElement | null>(null);
  // What stands above the list in what scrolls.
  const [above, setAbove] = useState(0);
  const attach = useCallback((node: HTMLUListElement | null) => {
    setList(node);
    setScroller(node && scrollerOf(node));
  }, []);
  const place = usePlace(name ?? label);
  const keys = rows.map(keyOf);
  // Scrolled out of view it must not lose the focus, and Tab finds it.
  const kept = place.row === null ? -1 : keys.indexOf(place.row);
  // eslint-disable-next-line react-hooks/incompatible-library -- no function of it is kept past a rendering
  const virtualizer = useVirtualizer<HTMLElement, HTMLLIElement>({
    enabled: isLong,
    count: rows.length,
    getScrollElement: () => scroller,
    estimateSize: () => LIKELY,
    initialRect: { width: 0, height: VIEW },
    getItemKey: index => keys[index] ?? index,
    overscan: BEYOND,
    scrollMargin: above,
    rangeExtractor: range => withKept(range, kept),
    // A list that becomes long stays where it is.
    initialOffset: () => scroller?.scrollTop ?? place.left?.top ?? 0,
    initialMeasurementsCache: place.left?.sizes ?? []
  });
  const handlers = usePlaceInList(place, {
    list,
    keys,
    reveal: isLong
      ? index => {
          virtualizer.scrollToIndex(index, { align: 'auto' });
        }
      : null,
    sizes: virtualizer.takeSnapshot
  });
  useLayoutEffect(() => {
    if (!isLong || !list || !scroller) {
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
  }, [isLong, list, scroller, rows, className]);
  if (!isLong) {
    return (
      <ul ref={attach} aria-label={label} {...handlers}>
        {rows.map(row => (
          <li key={keyOf(row)} className={className} data-key={keyOf(row)}>
            {children(row)}
          </li>
        ))}
      </ul>
    );
  }
  return (
    <ul
      ref={attach}
      className="tunelab-long"
      aria-label={label}
      style={{ height: virtualizer.getTotalSize() }}
      {...handlers}
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

/** The rows in view, and one more. */
function withKept(range: Range, kept: number): number[] {
  const shown = defaultRangeExtractor(range);
  return kept < 0 || shown.includes(kept) ? shown : [...shown, kept].sort((one, other) => one - other);
}
