/** Where one is in a list: Tab stops at one row, arrows go from row to row, and the way back from a page leads to it. */
import type { VirtualItem } from '@tanstack/react-virtual';
import {
  useContext,
  useLayoutEffect,
  useRef,
  useState,
  type FocusEvent,
  type KeyboardEvent,
  type MouseEvent
} from 'react';

import { KeptContext } from './route';

/** What is known of a list that was shown before. */
interface Left {
  /** The row that had the focus last, by its key. */
  readonly row: string | null;
  /** Whether it had it still as the list went. */
  readonly hadFocus: boolean;
  /** How far it was scrolled. */
  readonly top: number;
  /** The heights of its rows, where they have to be known before they are drawn. */
  readonly sizes: VirtualItem[];
}

/** A place in a list, for as long as the list shows. */
export interface Place {
  /** How the list was left before, or null where it shows for the first time. */
  readonly left: Left | null;
  readonly leave: (left: Left) => void;
  /** The row that Tab stops at, by its key; the first that is drawn where it is null. */
  readonly row: string | null;
  readonly setRow: (row: string | null) => void;
}

/** The place in the list of a name; it is kept with what else the Studio keeps. */
export function usePlace(name: string): Place {
  const kept = useContext(KeptContext);
  const key = `list/${name}`;
  const [left] = useState(() => (kept?.get(key) as Left | undefined) ?? null);
  const [row, setRow] = useState(left?.row ?? null);
  const leave = (next: Left) => {
    kept?.set(key, next);
  };
  return { left, leave, row, setRow };
}

interface ListOptions {
  /** Null until it is drawn. Its items have their row's key as `data-key`. */
  readonly list: HTMLElement | null;
  /** The keys of all rows, in their order. */
  readonly keys: readonly string[];
  /** Brings a row into view where the browser cannot, since not all rows are drawn. */
  readonly reveal: ((index: number) => void) | null;
  /** The heights that are known. */
  readonly sizes: () => VirtualItem[];
}

/** A row that is to have the focus. */
interface Wanted {
  readonly key: string;
  /** Which of its controls, counted from the last. */
  readonly control: number;
  /** Whether a page led back to it. */
  readonly isBack: boolean;
}

/** What the list has to do with a key, the focus and a click. */
interface Handlers {
  readonly onKeyDown: (event: KeyboardEvent) => void;
  readonly onFocus: (event: FocusEvent) => void;
  readonly onClickCapture: (event: MouseEvent) => void;
}

/** Keeps the place in a list. A row's last control is the one that opens it; others stand before it. */
export function usePlaceInList(place: Place, { list, keys, reveal, sizes }: ListOptions): Handlers {
  const { row, setRow } = place;
  // A row that gets the focus once it is drawn.
  const awaited = useRef<Wanted | null>(null);
  const latest = useRef({ ...place, keys, sizes });
  useLayoutEffect(() => {
    latest.current = { ...place, keys, sizes };
  });
  const give = (item: HTMLElement, { control, isBack }: Wanted) => {
    awaited.current = null;
    const controls = controlsOf(item);
    // On the way back it is in view already, or the browser finds it near.
    const scrolls = isBack ? null : reveal;
    (controls.at(-1 - control) ?? controls.at(-1))?.focus({ preventScroll: scrolls !== null });
    scrolls?.(keys.indexOf(keyOf(item)));
  };
  useLayoutEffect(() => {
    if (!list) {
      return undefined;
    }
    const scroller = scrollerOf(list);
    const { left, keys: present } = latest.current;
    if (left) {
      scroller.scrollTop = left.top;
      // Where something else has the focus by now, it keeps it.
      if (left.hadFocus && left.row !== null && present.includes(left.row) && isFree(list)) {
        awaited.current = { key: left.row, control: 0, isBack: true };
      }
    }
    return () => {
      const { row: last, leave, sizes: measured } = latest.current;
      // The click that opens a page gives the focus, too; the list is not drawn between the two.
      const active = list.ownerDocument.activeElement;
      const item = active && list.contains(active) ? itemOf(active) : null;
      leave({
        row: item ? keyOf(item) : last,
        hadFocus: item !== null,
        top: scroller.scrollTop,
        sizes: measured()
      });
    };
  }, [list]);
  useLayoutEffect(() => {
    if (!list) {
      return;
    }
    // Here and not in the rows, since each list draws its own.
    const items = itemsOf(list);
    const stop = items.find(item => keyOf(item) === row) ?? items[0];
    for (const item of items) {
      for (const control of controlsOf(item)) {
        control.tabIndex = item === stop ? 0 : -1;
      }
    }
    const wanted = awaited.current;
    const item = wanted && items.find(each => keyOf(each) === wanted.key);
    if (wanted && item) {
      give(item, wanted);
    }
  });
  return {
    onKeyDown: event => {
      const item = itemOf(event.target);
      const at = item ? keys.indexOf(keyOf(item)) : -1;
      const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: keys.length - 1 }[event.key];
      if (!list || !item || to === undefined || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) {
        return;
      }
      event.preventDefault();
      const key = keys[Math.min(Math.max(0, to), keys.length - 1)];
      const control = controlsOf(item)
        .reverse()
        .indexOf(event.target as HTMLElement);
      const next = itemsOf(list).find(each => keyOf(each) === key);
      if (key !== undefined) {
        const wanted = { key, control, isBack: false };
        if (next) {
          give(next, wanted);
        } else {
          awaited.current = wanted;
          setRow(key);
        }
      }
    },
    onFocus: event => {
      const item = itemOf(event.target);
      if (item) {
        awaited.current = null;
        setRow(keyOf(item));
      }
    },
    onClickCapture: event => {
      // Safari gives the focus to no button that is clicked.
      (event.target as Element).closest('button')?.focus({ preventScroll: true });
    }
  };
}

function itemsOf(list: HTMLElement): HTMLElement[] {
  return [...list.children] as HTMLElement[];
}

function itemOf(target: EventTarget): HTMLElement | null {
  return (target as Element).closest('li');
}

function keyOf(item: HTMLElement): string {
  return item.dataset.key ?? '';
}

function controlsOf(item: HTMLElement): HTMLElement[] {
  return [...item.querySelectorAll<HTMLElement>(':is(button, input):not(:disabled)')];
}

/** Whether nothing in the page has the focus. */
function isFree({ ownerDocument: { activeElement, body } }: HTMLElement): boolean {
  return activeElement === null || activeElement === body;
}

/** What scrolls the list. */
export function scrollerOf(node: HTMLElement): HTMLElement {
  let found = node.parentElement;
  while (found && !/auto|scroll/.test(getComputedStyle(found).overflowY)) {
    found = found.parentElement;
  }
  return found ?? document.documentElement;
}
