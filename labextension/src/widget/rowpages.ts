/** Rows of a dataset that a table has at hand: asked for in pages as they come into view, the latest pages kept. */
import { PAGE } from './datasets';
import type { Message, Row } from './model';

/** So many pages are kept: 2,000 rows, some megabytes at most. */
const KEPT_PAGES = 40;

/** Pages by number; tells its listeners as one comes. */
export class RowPages {
  private readonly pages = new Map<number, readonly Row[]>();
  private readonly asked = new Set<number>();
  private first: readonly Row[] | null = null;
  private readonly listeners = new Set<() => void>();
  private arrived = 0;

  /** The first page's rows, once they came; kept for good, since the table's layout is made for them. */
  readonly head = (): readonly Row[] | null => this.first;

  /** Changes with each page that comes. */
  readonly version = (): number => this.arrived;

  /** Calls back as a page comes. */
  readonly subscribe = (callback: () => void): (() => void) => {
    this.listeners.add(callback);
    return () => {
      this.listeners.delete(callback);
    };
  };

  /** The row at a place, from 0, or null while it is not here. */
  row(place: number): Row | null {
    return this.pages.get(Math.floor(place / PAGE))?.[place % PAGE] ?? null;
  }

  /** The pages that the rows from one place to another need and that are neither here nor asked for. */
  missing(from: number, to: number): readonly number[] {
    const numbers: number[] = [];
    for (let page = Math.floor(from / PAGE); page <= Math.floor(to / PAGE); page++) {
      const rows = this.pages.get(page);
      if (rows) {
        // Used last, dropped last.
        this.pages.delete(page);
        this.pages.set(page, rows);
      } else if (!this.asked.has(page)) {
        numbers.push(page);
      }
    }
    return numbers;
  }

  /** Notes that a page was asked for. */
  ask(page: number): void {
    this.asked.add(page);
  }

  /** Takes what the kernel sends; a notice may be the answer to rows that could not be read. */
  readonly hear = (message: Message): void => {
    if (message.type === 'notice') {
      this.asked.clear();
    } else if (message.type === 'rows' && message.first % PAGE === 0) {
      const page = message.first / PAGE;
      this.asked.delete(page);
      this.pages.delete(page);
      this.pages.set(page, message.rows);
      if (page === 0) {
        this.first ??= message.rows;
      }
      for (const old of [...this.pages.keys()].slice(0, -KEPT_PAGES)) {
        this.pages.delete(old);
      }
      this.arrived += 1;
      this.listeners.forEach(callback => {
        callback();
      });
    }
  };
}
