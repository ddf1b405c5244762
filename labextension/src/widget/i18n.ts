/** The page's words: in English here, and in the reader's language where the host has a translation. */

/** What JupyterLab's translation bundle is to the views; gettext's names, by which strings are collected. */
export interface Translation {
  /** A text; `%1`, `%2`, … stand for what follows. */
  __(text: string, ...values: unknown[]): string;
  /** A text with a number: `singular` where `n` is 1; `%1` is the number. */
  _n(singular: string, plural: string, n: number, ...values: unknown[]): string;
}

const english: Translation = {
  __: (text, ...values) => filled(text, values),
  _n: (singular, plural, n, ...values) => filled(n === 1 ? singular : plural, [n, ...values])
};

/** How English writes dates where nobody says of which country it is: `27 Nov, 12:06`. */
const ENGLISH = 'en-GB';

let current: Translation = english;
let dates = ENGLISH;

/** The present translation; `trans.__('…')` is called while drawing, never at import. */
export const trans: Translation = {
  __: (text, ...values) => current.__(text, ...values),
  _n: (singular, plural, n, ...values) => current._n(singular, plural, n, ...values)
};

/**
 * Lets the views speak the host's language from now on; a bundle that is null is English.
 *
 * @param language - its code as the host has it, `de` or `pt_BR`
 */
export function translate(bundle: Translation | null, language = 'en'): void {
  current = bundle ?? english;
  const [found] = Intl.DateTimeFormat.supportedLocalesOf(language.replace('_', '-'));
  dates = found === undefined || found === 'en' ? ENGLISH : found;
}

/** The language that dates are written in, by its BCP 47 tag. */
export function locale(): string {
  return dates;
}

function filled(text: string, values: readonly unknown[]): string {
  // As JupyterLab's gettext has it: of two percent signs one is left, so a magic's name is always a value.
  return text.replace(/%%|%(\d+)/g, (mark, place: string | undefined) => {
    if (place === undefined) {
      return '%';
    }
    const value = values[Number(place) - 1] as string | number | undefined;
    return value === undefined ? mark : String(value);
  });
}
