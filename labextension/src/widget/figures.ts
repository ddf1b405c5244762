/** Figures as plain tables: what lm-eval says of each task, how a judge agrees with people, what answers cost. */
import { textOf } from './datasets';
import { formatNumber, plainText } from './format';
import { trans } from './i18n';
import type { Figures } from './results';

/** What a column is called. */
export function columnName(column: string): string {
  switch (column) {
    case 'latency_s':
      return trans.__('seconds per answer');
    case 'tokens_in':
      return trans.__('tokens in');
    case 'tokens_out':
      return trans.__('tokens out');
    case 'n':
      return trans.__('questions');
    case 'n_shot':
      return trans.__('shots');
    case 'lm_eval':
      return 'lm-eval';
    default:
      return plainText(column).replace(/_/g, ' ');
  }
}

/** The columns in which any row has something. */
export function columnsOf(rows: readonly Figures[]): readonly string[] {
  return [...new Set(rows.flatMap(row => Object.keys(row)))].filter(column => rows.some(row => has(row[column])));
}

/** Whether a column has figures and nothing else. */
export function isNumeric(rows: readonly Figures[], column: string): boolean {
  return rows.every(row => !has(row[column]) || typeof row[column] === 'number' || /^-?\d/.test(textOf(row[column])));
}

/** A value as text; fractions have three decimals, so that they stand below each other. */
export function figure(value: unknown): string {
  if (!has(value)) {
    return '';
  }
  if (typeof value === 'boolean') {
    return value ? trans.__('yes') : trans.__('no');
  }
  if (typeof value !== 'number') {
    return textOf(value);
  }
  const size = Math.abs(value);
  return size >= 1e-3 && size < 1 ? value.toFixed(3) : formatNumber(value);
}

/** One row a task and metric, with what each model reaches side by side; settings that differ are rows of their own. */
export function benchmarkRows(rows: readonly Figures[], models: readonly string[]): readonly Figures[] {
  const found = new Map<string, { settings: Figures; reached: Map<string, string> }>();
  for (const { model, value, stderr, ...settings } of rows) {
    const key = JSON.stringify(settings);
    const entry = found.get(key) ?? { settings, reached: new Map<string, string>() };
    found.set(key, entry);
    entry.reached.set(textOf(model), has(stderr) ? `${figure(value)} ± ${figure(stderr)}` : figure(value));
  }
  const named = models.length > 0 ? models : [...new Set(rows.map(({ model }) => textOf(model)))];
  return [...found.values()].map(({ settings, reached }) => {
    const { task, metric, filter, ...more } = settings;
    return {
      task,
      metric: has(filter) && filter !== 'none' ? `${textOf(metric)}, ${textOf(filter)}` : metric,
      ...Object.fromEntries(named.map(name => [name, reached.get(name) ?? null])),
      ...more
    };
  });
}

/** How a judge agrees with people, the agreement with its interval. */
export function judgeRows(rows: readonly Figures[]): readonly Figures[] {
  return rows.map(({ low, high, ...row }) =>
    has(low) && has(high) && has(row.agreement)
      ? { ...row, agreement: trans.__('%1 (%2 to %3)', figure(row.agreement), figure(low), figure(high)) }
      : row
  );
}

function has(value: unknown): boolean {
  return value !== null && value !== undefined;
}
