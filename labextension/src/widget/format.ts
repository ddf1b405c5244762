/** Numbers, durations and foreign text, as people read them. */
import { trans } from './i18n';

const GROUPED = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/**
 * A figure in about three digits: `0.487`, `12.3`, `2,353`, `5e-05`, and a dash where there is none.
 *
 * Figures do not depend on the locale: they stand next to logs and code, which use a point.
 */
export function formatNumber(value: number | null): string {
  if (value === null || Number.isNaN(value)) {
    return '—';
  }
  const size = Math.abs(value);
  if (size === Infinity) {
    return value > 0 ? '∞' : '-∞';
  }
  if (size !== 0 && (size < 1e-3 || size >= 1e12)) {
    return scientific(value);
  }
  return Number.isInteger(value) || size >= 100 ? GROUPED.format(value) : value.toPrecision(3);
}

/** As Python writes it: up to three digits and an exponent of at least two, `1.25e-05`. */
function scientific(value: number): string {
  const [digits, exponent] = value.toExponential(2).split('e') as [string, string];
  return `${Number(digits)}e${exponent.slice(0, 1)}${exponent.slice(1).padStart(2, '0')}`;
}

/** A duration in its one or two largest units: `45 s`, `4 min`, `2 h 5 min`, `3 d 2 h`. */
export function formatDuration(seconds: number): string {
  if (seconds < 90) {
    return trans.__('%1 s', Math.max(1, Math.round(seconds)));
  }
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) {
    return trans.__('%1 min', minutes);
  }
  const hours = Math.floor(minutes / 60);
  if (hours < 48) {
    return minutes % 60 ? trans.__('%1 h %2 min', hours, minutes % 60) : trans.__('%1 h', hours);
  }
  const days = Math.floor(hours / 24);
  return hours % 24 ? trans.__('%1 d %2 h', days, hours % 24) : trans.__('%1 d', days);
}

/** A size on the disk as Python's side writes it (jobs/view.py): `40 KB`, `12.3 MB`, `3.4 GB`. */
export function formatBytes(bytes: number): string {
  const figures = (size: number) => size.toFixed(size >= 99.5 ? 0 : 1);
  return bytes < 999.5e3
    ? trans.__('%1 KB', (bytes / 1e3).toFixed(0))
    : bytes < 999.5e6
      ? trans.__('%1 MB', figures(bytes / 1e6))
      : trans.__('%1 GB', figures(bytes / 1e9));
}

const ORDINALS = new Intl.PluralRules('en', { type: 'ordinal' });

/** `1st`, `2nd`, `3rd`, `4th`, … `11th`, … `21st`. */
export function ordinal(n: number): string {
  switch (ORDINALS.select(n)) {
    case 'one':
      return trans.__('%1st', n);
    case 'two':
      return trans.__('%1nd', n);
    case 'few':
      return trans.__('%1rd', n);
    default:
      return trans.__('%1th', n);
  }
}

/** The text with its first letter as a capital, to open a sentence. */
export function capitalise(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

// ESC [ … (CSI), ESC ] … BEL or ESC \ (OSC, also DCS, SOS, PM, APC), other two-character escapes.
// eslint-disable-next-line no-control-regex -- control characters are what this is about
const ESCAPES = /(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]/g;
const CONTROLS = /(?![\n\t])\p{Cc}/gu;

/**
 * Text from a terminal as it would stand there: no escape codes (ECMA-48: colours, cursor, titles, links), and of a
 * line that redrew itself after a carriage return, as progress bars do, the last drawing.
 */
export function plainText(text: string): string {
  return text
    .replace(ESCAPES, '')
    .replace(/\r+(?=\n|$)/g, '')
    .replace(/[^\n]*\r/g, '')
    .replace(CONTROLS, '');
}

/** Text of a model or a dataset to the letter: what would steer a terminal is seen for what it is, `\x1b[31m`. */
export function visibleText(text: string): string {
  return text
    .replace(/\r\n/g, '\n')
    .replace(CONTROLS, control => `\\x${control.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
