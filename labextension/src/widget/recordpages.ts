/** What the kernel has answered of an evaluation's records: pages of the table, records alone, values of columns. */
import type { Message } from './model';
import type { EvaluationCommand, EvaluationMessage, RecordQuery, RecordRow } from './results';

/** Records are asked for in pages of so many. */
export const PAGE = 50;
/** So many pages are kept: 2,000 records, some megabytes at most. */
const KEPT_PAGES = 40;
/** So many records with their texts whole. */
const KEPT_WHOLE = 12;

/** A record with its texts whole. */
export type Whole = Extract<EvaluationMessage, { type: 'record' }>;
/** The values of a column with how many records have each. */
export type Values = Extract<EvaluationMessage, { type: 'values' }>;

/**
 * Pages of the table that was asked for last; tells its listeners as one comes.
 *
 * The kernel answers the latest question only, so there is one at a time, for all that is in view. Until the first
 * answer, what was shown before stays.
 */
export class RecordPages {
  private pages = new Map<number, readonly RecordRow[]>();
  /** Pages that are as of the latest results. */
  private readonly fresh = new Set<number>();
  private wanted = '';
  private state = 0;
  private shown = '';
  private asked: readonly [from: number, to: number] | null = null;
  private count: number | null = null;
  private readonly wholes = new Map<string, Whole>();
  private readonly columns = new Map<string, Values>();
  private readonly listeners = new Set<() => void>();
  private first: readonly RecordRow[] = [];
  private arrived = 0;
  private refused = 0;

  /** Changes with each answer. */
  readonly version = (): number => this.arrived;

  /** Changes as something that was asked for could not be done. */
  readonly refusals = (): number => this.refused;

  /** The first records that came; kept for good, since the table's layout is made for them. */
  get head(): readonly RecordRow[] {
    return this.first;
  }

  /** Calls back as an answer comes. */
  readonly subscribe = (callback: () => void): (() => void) => {
    this.listeners.add(callback);
    return () => {
      this.listeners.delete(callback);
    };
  };

  /** How many records there are of those on show; null before the first answer. */
  get total(): number | null {
    return this.count;
  }

  /** Whether what is on show is what a query asks for. */
  isOf(query: RecordQuery): boolean {
    return this.shown === keyOf(query);
  }

  /** The record at a place, from 0, or null while it is not here. */
  row(place: number): RecordRow | null {
    return this.pages.get(Math.floor(place / PAGE))?.[place % PAGE] ?? null;
  }

  /** A record alone, or null while it is not here. */
  whole(metric: string, id: string): Whole | null {
    return this.wholes.get(`${metric}\n${id}`) ?? null;
  }

  /** The values of a column, or null while they are not here. */
  values(column: string): Values | null {
    return this.columns.get(column) ?? null;
  }

  /**
   * What to ask the kernel for so that the records from one place to another are here, or null where they are.
   *
   * @param state - the version of the results; with another one all is asked for again
   */
  ask(query: RecordQuery, state: number, from: number, to: number): EvaluationCommand | null {
    const key = keyOf(query);
    if (key !== this.wanted || state !== this.state) {
      this.wanted = key;
      this.state = state;
      this.fresh.clear();
      this.asked = null;
    }
    const missing: number[] = [];
    for (let page = Math.floor(from / PAGE); page <= Math.floor(to / PAGE); page++) {
      const rows = this.pages.get(page);
      if (rows && this.fresh.has(page)) {
        // Used last, dropped last.
        this.pages.delete(page);
        this.pages.set(page, rows);
      } else {
        missing.push(page);
      }
    }
    const [first, last] = [missing[0], missing.at(-1)];
    if (first === undefined || last === undefined) {
      return null;
    }
    if (this.asked && this.asked[0] <= first && last <= this.asked[1]) {
      return null;
    }
    this.asked = [first, last];
    return { type: 'records', ...query, offset: first * PAGE, count: (last - first + 1) * PAGE };
  }

  /** Takes what the kernel sends; a notice may be the answer to records that could not be read. */
  readonly hear = (message: Message): void => {
    switch (message.type) {
      case 'notice':
        // No answer: asking for the same at once would be refused for ever.
        this.asked = null;
        this.refused += 1;
        this.tell();
        return;
      case 'records':
        if (keyOf(message) !== this.wanted) {
          return;
        }
        this.take(message);
        break;
      case 'record':
        keep(this.wholes, `${message.metric}\n${message.id}`, message);
        break;
      case 'values':
        this.columns.set(message.column, message);
        break;
      default:
        return;
    }
    this.arrived += 1;
    this.tell();
  };

  private tell(): void {
    this.listeners.forEach(callback => {
      callback();
    });
  }

  private take({ offset, count, total, rows }: Extract<EvaluationMessage, { type: 'records' }>): void {
    if (this.shown !== this.wanted || this.count !== total) {
      // What is left of other records, or of these before some came or went.
      this.pages.clear();
      this.fresh.clear();
      this.shown = this.wanted;
      this.count = total;
    }
    if (this.first.length === 0) {
      this.first = rows.slice(0, PAGE);
    }
    const first = offset / PAGE;
    const pages = Math.ceil(count / PAGE);
    for (let page = 0; page < pages; page++) {
      this.pages.delete(first + page);
      this.pages.set(first + page, rows.slice(page * PAGE, (page + 1) * PAGE));
      this.fresh.add(first + page);
    }
    for (const old of [...this.pages.keys()].slice(0, -KEPT_PAGES)) {
      this.pages.delete(old);
    }
    if (this.asked?.[0] === first) {
      this.asked = null;
    }
  }
}

/** What tells one query from another. */
export function keyOf({ metric, model, filter, search, sort, column }: RecordQuery): string {
  return JSON.stringify([metric, model, filter, search, sort.by, sort.descending, column?.name, column?.value]);
}

function keep(map: Map<string, Whole>, key: string, value: Whole): void {
  map.delete(key);
  map.set(key, value);
  for (const old of [...map.keys()].slice(0, -KEPT_WHOLE)) {
    map.delete(old);
  }
}
