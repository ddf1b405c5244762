/** What the views of datasets say and how they lay rows out: sentences, dates, values as text. */
import { capitalise, formatNumber, plainText } from './format';
import { trans } from './i18n';
import type { CreateTraits, DatasetRow, Finding, Preview, Report, Row } from './model';

/** Rows are asked for in pages of so many. */
export const PAGE = 50;

/** `NAME@VERSION`, by which a version is asked for. */
export function labelOf(dataset: Pick<DatasetRow, 'name' | 'version'>): string {
  return `${dataset.name}@${dataset.version}`;
}

/** What the views count. */
type Counted = 'row' | 'token' | 'class' | 'record' | 'question' | 'warning';

/** `1 row`, `2,353 rows`. */
export function count(number: number, of: Counted): string {
  const said = formatNumber(number);
  // Each with words of its own, since a language's plurals are not made of its singulars.
  switch (of) {
    case 'row':
      return trans._n('%2 row', '%2 rows', number, said);
    case 'token':
      return trans._n('%2 token', '%2 tokens', number, said);
    case 'class':
      return trans._n('%2 class', '%2 classes', number, said);
    case 'record':
      return trans._n('%2 record', '%2 records', number, said);
    case 'question':
      return trans._n('%2 question', '%2 questions', number, said);
    case 'warning':
      return trans._n('%2 warning', '%2 warnings', number, said);
  }
}

/** A technique as people write it: `SFT`, `Evaluation`. */
export function techniqueName(technique: string): string {
  return technique.length <= 5 ? technique.toUpperCase() : capitalise(technique);
}

/** How many rows can be used, as a sentence. */
export function reportSentence({ rows, faulty }: Report): string {
  const all = formatNumber(rows);
  if (faulty === 0) {
    return trans._n('%2 row, and it can be used.', '%2 rows, and all can be used.', rows, all);
  }
  if (faulty === rows) {
    return trans._n('The only row cannot be used.', 'None of the %2 rows can be used.', rows, all);
  }
  return trans.__('%1 of %2 rows cannot be used.', formatNumber(faulty), all);
}

/** The fields that are made from something of another name, `prompt ← text`. */
export function mapped({ mapping }: Report): readonly (readonly [field: string, from: string])[] {
  return mapping.columns.filter(([field, from]) => field !== from);
}

/** What stands before them: the form that was recognized, unless the columns were chosen. */
export function mappingTitle({ mapping }: Report): string {
  return mapping.name === 'columns='
    ? trans.__('Mapped as chosen:')
    : trans.__('Mapped from %1:', plainText(mapping.name));
}

/** What a fix did to the rows that are stored: `163 rows left out`. */
export function fixedSentence(fix: string, rows: number): string {
  const counted = count(rows, 'row');
  switch (fix) {
    case 'redact':
      return trans.__('%1 changed: secrets and addresses were put out.', counted);
    case 'drop-faulty':
      return trans.__('%1 left out that cannot be used.', counted);
    case 'drop-contradictions':
      return trans.__('%1 left out that contradict an earlier one.', counted);
    default:
      return fix.includes('near')
        ? trans.__('%1 left out that nearly repeat an earlier one.', counted)
        : trans.__('%1 left out that repeat an earlier one.', counted);
  }
}

/** Findings that one fix mends, in the order in which the report has them. */
export function byFix(findings: readonly Finding[]): readonly (readonly [fix: string | null, found: Finding[]])[] {
  const groups: [string | null, Finding[]][] = [];
  for (const finding of findings) {
    const group = groups.find(([fix]) => fix !== null && fix === finding.fix);
    if (group) {
      group[1].push(finding);
    } else {
      groups.push([finding.fix, [finding]]);
    }
  }
  return groups;
}

/** The form of a technique that a file is mapped to: the one that was found, else the one that most columns fit. */
export function likeliestForm(
  forms: readonly (readonly string[])[],
  columns: readonly string[],
  found: readonly string[] | null
): number {
  const same = forms.findIndex(form => form.join() === found?.join());
  if (same >= 0) {
    return same;
  }
  const fits = forms.map(form => form.filter(field => columns.includes(field)).length);
  return Math.max(0, fits.indexOf(Math.max(...fits)));
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

/** What the form knows that the kernel does not. */
interface Chosen {
  readonly name: string;
  readonly fixes: ReadonlySet<string>;
  /** Whether the kernel's refusal is of a creation: it may be tried again. */
  readonly again: boolean;
}

/** Why a dataset cannot be created now, or null. */
export function whyNot(
  traits: Pick<CreateTraits, 'source' | 'refused' | 'checking' | 'creating'>,
  report: Report | null,
  { name, fixes, again }: Chosen
): string | null {
  if (traits.creating) {
    return trans.__('The dataset is being created.');
  }
  if (!traits.source) {
    return trans.__('Choose the file that the dataset is made from.');
  }
  if (traits.checking) {
    return trans.__('The rows are being checked.');
  }
  if (traits.refused && !again) {
    return trans.__('The file cannot be used as it is; above is why.');
  }
  if (!report) {
    return again ? null : trans.__('The rows are not checked yet.');
  }
  if (report.faulty > 0 && report.faulty === report.rows) {
    return trans.__('No row can be used; above is why.');
  }
  if (report.faulty > 0 && !fixes.has('drop-faulty')) {
    return trans._n(
      '%2 row cannot be used. Choose above to leave it out, or mend the file.',
      '%2 rows cannot be used. Choose above to leave them out, or mend the file.',
      report.faulty,
      formatNumber(report.faulty)
    );
  }
  if (name === '') {
    return trans.__('Give the dataset a name.');
  }
  return NAME.test(name)
    ? null
    : trans.__('A name has letters, digits, “.”, “_” and “-”, and starts with a letter or digit.');
}

/** The lengths as a sentence: what is usual, and what is cut off. */
export function lengthSentence({ lengths, max_length: most }: Preview): string {
  const usual = trans.__(
    'A row has %1 (median), the longest %2.',
    count(lengths.median, 'token'),
    formatNumber(lengths.longest)
  );
  if (most === null) {
    return usual;
  }
  const limit = formatNumber(most);
  if (lengths.cut_rows === 0) {
    return `${usual} ${trans.__('None is longer than %1 tokens, so nothing is cut off.', limit)}`;
  }
  const longer = trans._n(
    '%2 row is longer than %3 tokens',
    '%2 rows are longer than %3 tokens',
    lengths.cut_rows,
    formatNumber(lengths.cut_rows),
    limit
  );
  const lost = trans._n(
    '%2 token of them is cut off',
    '%2 tokens of them are cut off',
    lengths.cut_tokens,
    formatNumber(lengths.cut_tokens)
  );
  return `${usual} ${trans.__('%1, and %2.', longer, lost)}`;
}

/** What else a preview says, each as a sentence. */
export function previewSentences(preview: Preview): readonly string[] {
  const said: string[] = [];
  if (preview.end_of_turn !== null) {
    said.push(
      preview.trains_end
        ? trans.__('%1 ends a turn and is trained on.', preview.end_of_turn)
        : trans.__('%1 ends a turn and is not trained on.', preview.end_of_turn)
    );
  }
  if (preview.untrained_rows > 0) {
    said.push(
      trans._n(
        '%2 row has no token that is trained on.',
        '%2 rows have no token that is trained on.',
        preview.untrained_rows,
        formatNumber(preview.untrained_rows)
      )
    );
  }
  const notes = (preview.notes ?? []).map(note => (/[.!?]$/.test(note) ? note : `${note}.`));
  return [...said, ...notes.map(capitalise)];
}

/** A turn of a conversation, of whatever is there. */
export interface Turn {
  readonly role: string;
  readonly text: string;
}

/** The turns of a list of messages, or null where a value is none. */
export function turnsOf(value: unknown): readonly Turn[] | null {
  if (!Array.isArray(value) || value.length === 0) {
    return null;
  }
  const turns = value.map(turnOf);
  return turns.every(turn => turn !== null) ? turns : null;
}

function turnOf(value: unknown): Turn | null {
  if (typeof value !== 'object' || value === null || !('role' in value)) {
    return null;
  }
  const { role, content, tool_calls: calls } = value as Record<string, unknown>;
  const said = content === null || content === undefined || content === '' ? [] : [textOf(content)];
  return { role: textOf(role), text: [...said, ...(calls ? [textOf(calls)] : [])].join('\n') };
}

/** A value as text: a text itself, all else as JSON writes it. */
export function textOf(value: unknown): string {
  if (typeof value === 'string') {
    return plainText(value);
  }
  return value === undefined ? '' : plainText(JSON.stringify(value));
}

/** The columns of a table: the form's fields, then what else the rows have. */
export function columnsOf(form: readonly string[], rows: readonly Row[]): readonly string[] {
  return [...new Set([...form, ...rows.flatMap(row => Object.keys(row))])];
}

/** How a table of rows is laid out, all rows alike. */
export interface TableLayout {
  /** Whether the fields of a row stand below each other. */
  readonly isNarrow: boolean;
  readonly columns: readonly string[];
  /** Columns that are shown in rows that are open. */
  readonly more: readonly string[];
  /** The columns' widths as CSS has them: those of short values are narrower. */
  readonly widths: string;
  /** On how many lines each column is shown. */
  readonly lines: readonly number[];
  /** A row's height in pixels. */
  readonly height: number;
}

const NARROW = 460;
const PADDING = 13;
const CHARACTER = 6.6;
/** So many characters need little room. */
const SHORT = 24;
const SHOWN_COLUMNS = { wide: 8, narrow: 3 };

/** Lays a table out for its first rows: as low as the texts of most of them allow. `width` and `line` are pixels. */
export function tableLayout(form: readonly string[], rows: readonly Row[], width: number, line: number): TableLayout {
  const isNarrow = width > 0 && width < NARROW;
  const all = columnsOf(form, rows);
  const columns = all.slice(0, isNarrow ? SHOWN_COLUMNS.narrow : SHOWN_COLUMNS.wide);
  const across = isNarrow ? width - 80 : Math.max(134, (width - 64) / columns.length - 16);
  const isShort = columns.map(column => rows.length > 0 && rows.every(row => textOf(row[column]).length <= SHORT));
  const isMixed = isShort.includes(true) && isShort.includes(false);
  const needed = columns.map((column, place) => {
    const most = isNarrow && place > 0 ? 2 : 3;
    return Math.min(most, usualLines(rows, column, Math.max(8, across / CHARACTER)));
  });
  const sum = isNarrow ? needed.reduce((before, one) => before + one, 0) : Math.max(1, ...needed);
  return {
    isNarrow,
    columns,
    more: all.slice(columns.length),
    widths: isShort.map(short => (isMixed && short ? 'minmax(90px, 1fr)' : 'minmax(150px, 3fr)')).join(' '),
    lines: needed.map(one => (isNarrow ? one : sum)),
    height: Math.round(sum * line) + PADDING
  };
}

/** How many lines four of five values need. */
function usualLines(rows: readonly Row[], column: string, charactersPerLine: number): number {
  const needed = rows.map(row => linesOf(row[column], charactersPerLine)).sort((a, b) => a - b);
  return needed[Math.floor(0.8 * (needed.length - 1))] ?? 1;
}

function linesOf(value: unknown, width: number): number {
  const turns = turnsOf(value);
  const lines = turns ? turns.map(({ role, text }) => `${role} ${text}`) : textOf(value).slice(0, 400).split('\n');
  return lines.reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / width)), 0);
}
