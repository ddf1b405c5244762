/** Dates and times as the reader's language writes them: no year where it is this one, of today the time alone. */
import { locale, trans } from './i18n';

const TIME = { hour: '2-digit', minute: '2-digit' } as const;

/** The local date and time to the minute. A moment is ISO 8601, or seconds since 1970. */
export function formatDate(moment: string | number): string {
  const then = dateOf(moment);
  return then.toLocaleString(locale(), { ...dayAndMonth(then), ...TIME });
}

/** The local time today, `yesterday`, else the date. */
export function formatDay(moment: string | number): string {
  const then = dateOf(moment);
  const now = new Date();
  if (then.toDateString() === now.toDateString()) {
    return then.toLocaleTimeString(locale(), TIME);
  }
  const before = new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1);
  return then.toDateString() === before.toDateString()
    ? trans.__('yesterday')
    : then.toLocaleDateString(locale(), dayAndMonth(then));
}

/** The local time of day, `21:36:04`. */
export function formatTime(moment: string | number): string {
  return dateOf(moment).toLocaleTimeString(locale());
}

function dateOf(moment: string | number): Date {
  return new Date(typeof moment === 'number' ? moment * 1000 : moment);
}

function dayAndMonth(then: Date): Intl.DateTimeFormatOptions {
  const year = then.getFullYear() === new Date().getFullYear() ? {} : { year: 'numeric' as const };
  return { day: 'numeric', month: 'short', ...year };
}
