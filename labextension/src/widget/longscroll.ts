/**
 * Scrolling through more than a page can be high: browsers end an element at 17 to 33 million pixels.
 *
 * A table that is higher than `MOST` has an element of that height. Small steps (wheel, arrows, pages) move the table
 * by as much as the element; large ones (the thumb) by as much in proportion. When the scrolling rests, the element is
 * put where the table's place is in proportion, with the rows standing still. Near both ends the two go together.
 */
import type { Virtualizer } from '@tanstack/react-virtual';
import { flushSync } from 'react-dom';

type Rows = Virtualizer<HTMLDivElement, HTMLDivElement>;

/** The greatest height of the element, in pixels. */
export const MOST = 8_000_000;
const END = 1_000_000;
const REST_MS = 150;

/** Where the element has to stand for a place in the table; `most` are the greatest scroll offsets of both. */
export function elementOffset(table: number, most: { readonly table: number; readonly element: number }): number {
  if (most.table <= most.element || table <= END) {
    return table;
  }
  if (table >= most.table - END) {
    return most.element - (most.table - table);
  }
  return END + ((table - END) * (most.element - 2 * END)) / (most.table - 2 * END);
}

/** The inverse of `elementOffset`. */
export function tableOffset(element: number, most: { readonly table: number; readonly element: number }): number {
  if (most.table <= most.element || element <= END) {
    return element;
  }
  if (element >= most.element - END) {
    return most.table - (most.element - element);
  }
  return END + ((element - END) * (most.table - 2 * END)) / (most.element - 2 * END);
}

/** Goes between the table's and the element's scroll offsets; the two functions are the virtualizer's options. */
export class LongScroll {
  private table = 0;
  private element = 0;
  private shifted = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** @param onShift - told by how much the element's offset is less than the table's */
  constructor(private readonly onShift: (shift: number) => void) {}

  readonly observe = (rows: Rows, tell: (offset: number, isScrolling: boolean) => void): (() => void) => {
    const node = rows.scrollElement;
    if (!node) {
      return () => undefined;
    }
    const rest = () => {
      const most = this.most(rows, node);
      this.settle(node, elementOffset(this.table, most));
      tell(this.table, false);
    };
    const scrolled = () => {
      const most = this.most(rows, node);
      const step = node.scrollTop - this.element;
      this.element = node.scrollTop;
      // A pixel of the thumb's way is far more than the largest step of a wheel.
      const isSmall = Math.abs(step) < most.element / Math.max(1, node.clientHeight) / 2;
      const table = isSmall ? this.table + step : tableOffset(this.element, most);
      this.table = Math.min(Math.max(0, most.table), Math.max(0, table));
      if (most.table > most.element) {
        const isAtEnd = this.element <= 0 || this.element >= most.element;
        if (isAtEnd && isSmall) {
          this.settle(node, elementOffset(this.table, most));
        } else {
          this.shift();
        }
      }
      tell(this.table, true);
      clearTimeout(this.timer);
      this.timer = setTimeout(rest, REST_MS);
    };
    node.addEventListener('scroll', scrolled, { passive: true });
    return () => {
      clearTimeout(this.timer);
      node.removeEventListener('scroll', scrolled);
    };
  };

  readonly scrollTo = (offset: number, { adjustments = 0 }: { adjustments?: number }, rows: Rows): void => {
    const node = rows.scrollElement;
    if (node) {
      const most = this.most(rows, node);
      this.table = Math.min(Math.max(0, most.table), Math.max(0, offset + adjustments));
      this.settle(node, elementOffset(this.table, most));
    }
  };

  /** Puts the element somewhere, with the rows standing still. */
  private settle(node: HTMLElement, offset: number): void {
    if (Math.abs(offset - node.scrollTop) < 1) {
      this.element = node.scrollTop;
      return;
    }
    this.element = offset;
    this.shift();
    node.scrollTop = offset;
    // Browsers round it.
    this.element = node.scrollTop;
  }

  private shift(): void {
    const shift = this.table - this.element;
    if (shift !== this.shifted) {
      this.shifted = shift;
      // Before the next drawing, or the rows would be seen to jump.
      flushSync(() => {
        this.onShift(shift);
      });
    }
  }

  private most(rows: Rows, node: HTMLElement): { table: number; element: number } {
    const element = node.scrollHeight - node.clientHeight;
    return { table: element + Math.max(0, rows.getTotalSize() - MOST), element };
  }
}
