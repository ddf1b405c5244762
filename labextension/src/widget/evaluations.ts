/** An evaluation as the page has it: sentences and figures of its summary, and what the reader has chosen. */
import { formatNumber, plainText } from './format';
import { trans } from './i18n';
import type {
  Comparison,
  EvaluationState,
  Headline,
  Outcome,
  RecordFilter,
  RecordQuery,
  Score,
  SummaryRow
} from './results';

/** The filters with their names, in the order of their buttons. */
export function filters(): readonly (readonly [filter: RecordFilter, name: string])[] {
  return [
    ['all', trans.__('All')],
    ['improved', trans.__('Improved')],
    ['equal', trans.__('Equal')],
    ['degraded', trans.__('Degraded')],
    ['unscored', trans.__('Unscored')],
    ['overruled', trans.__('Overruled')]
  ];
}

/** A method in words. */
export function methodName(method: string): string {
  switch (method) {
    case 'judge':
      return trans.__('A model as judge');
    case 'scorer':
      return trans.__('A scorer');
    case 'benchmark':
      return trans.__('Benchmarks');
    case 'meta':
      return trans.__('The judge held against people');
    default:
      return plainText(method);
  }
}

/** The outcomes that are compared, as the bar has them. */
export const COMPARED = ['improved', 'equal', 'degraded'] as const;

/** An outcome as a word within a sentence. */
export function outcomeName(outcome: Outcome): string {
  switch (outcome) {
    case 'improved':
      return trans.__('improved');
    case 'equal':
      return trans.__('equal');
    case 'degraded':
      return trans.__('degraded');
    case 'unscored':
      return trans.__('unscored');
  }
}

/** What the reader has chosen; empty names are for whichever comes first. */
export type Choice = RecordQuery;

/** What is shown before anything is chosen. */
export const FIRST: Choice = {
  metric: '',
  model: '',
  filter: 'all',
  search: '',
  sort: { by: 'row', descending: false },
  column: null
};

/** The models that are held against the baseline; the baseline where it is alone. */
export function candidatesOf({ models, baseline }: EvaluationState): readonly string[] {
  const others = models.filter(model => model !== baseline);
  return others.length > 0 ? others : models;
}

/** What a choice comes to in results that may lack what was chosen, with its row of the summary. */
export function shownOf(
  state: EvaluationState,
  choice: Choice
): { readonly query: RecordQuery; readonly row: SummaryRow | null } {
  const metrics = state.metrics.map(({ name }) => name).filter(name => state.summary.some(row => row.metric === name));
  const candidates = candidatesOf(state);
  const metric = metrics.includes(choice.metric) ? choice.metric : (metrics[0] ?? '');
  const model = candidates.includes(choice.model) ? choice.model : (candidates[0] ?? '');
  const column = choice.column && state.columns.includes(choice.column.name) ? choice.column : null;
  const row = state.summary.find(each => each.metric === metric && each.model === model) ?? null;
  return { query: { ...choice, metric, model, column }, row };
}

/** A share in percent, `49%`; what is there is never none of it. */
export function percent(share: number): string {
  const rounded = Math.round(100 * share);
  return share > 0 && rounded === 0 ? '<1%' : `${rounded}%`;
}

/** A difference with its sign and two decimals, more where those would say nothing: `+0.53`, `-0.004`, `0`. */
export function signed(value: number): string {
  const size = Math.abs(value);
  if (size === 0) {
    return '0';
  }
  // One digit is enough of what is that small.
  const digits =
    size >= 100 ? formatNumber(size) : size >= 0.01 ? size.toFixed(2) : String(Number(size.toPrecision(1)));
  return `${value < 0 ? '-' : '+'}${digits}`;
}

function testName(test: string): string {
  switch (test) {
    case 'sign':
      return trans.__('sign test');
    case 'mcnemar':
      return trans.__('McNemar’s test');
    default:
      return test;
  }
}

/** The means of both sides, of the records that have a score on both. */
export function meansOf(row: Comparison): { readonly here: string; readonly there: string | null } {
  if (row.difference === null || row.baseline_mean === null) {
    return { here: formatNumber(row.mean), there: null };
  }
  return { here: formatNumber(row.baseline_mean + row.difference), there: formatNumber(row.baseline_mean) };
}

/** How sure the difference is: `95%: +0.44 to +0.62; sign test p < 0.001`. */
export function certainty({ low, high, p_value: p, test }: Comparison): string {
  const interval = low === null || high === null ? [] : [trans.__('95%: %1 to %2', signed(low), signed(high))];
  const tested =
    p === null ? [] : [trans.__('%1 p %2', testName(test ?? ''), p < 1e-3 ? '< 0.001' : `= ${p.toFixed(3)}`)];
  return [...interval, ...tested].join('; ');
}

/** The whole comparison in words, as of people's scores. */
export function comparisonSentence(row: Comparison): string {
  const { here, there } = meansOf(row);
  const parts = COMPARED.flatMap(outcome => {
    const share = row[outcome];
    return share === null ? [] : [trans.__('%1 %2', percent(share), outcomeName(outcome))];
  });
  const sure = certainty(row);
  const means = there === null ? trans.__('mean score %1', here) : trans.__('mean score %1 against %2', here, there);
  const difference =
    row.difference === null ? [] : [trans.__('difference %1', signed(row.difference)) + (sure && ` (${sure})`)];
  return [parts.join(', '), [means, ...difference].join(', ')].filter(Boolean).join('; ');
}

/** `258 of 261 scored`, with how many have a score on both sides where that is fewer. */
export function coverage({
  scored,
  unscored,
  pairs,
  baseline,
  flipped,
  reasons = {}
}: Comparison & Pick<SummaryRow, 'reasons'>): string {
  const said = [trans.__('%1 of %2 scored', formatNumber(scored), formatNumber(scored + unscored))];
  if (baseline !== null && pairs !== scored) {
    said.push(trans.__('%1 on both sides', formatNumber(pairs)));
  }
  for (const [status, count] of Object.entries(reasons)) {
    said.push(trans._n('once %3', '%2 times %3', count, formatNumber(count), why(status) ?? plainText(status)));
  }
  if (flipped > 0) {
    said.push(
      trans._n(
        '%2 verdict changed with the order and counts as a tie',
        '%2 verdicts changed with the order and count as ties',
        flipped,
        formatNumber(flipped)
      )
    );
  }
  return said.join(' · ');
}

/** The sign of an outcome, for eyes that cannot tell the colours. */
export const SIGNS: Readonly<Record<Outcome, string>> = { improved: '▲', equal: '=', degraded: '▼', unscored: '?' };

function why(status: string): string | null {
  switch (status) {
    case 'error':
      return trans.__('the scorer failed');
    case 'timeout':
      return trans.__('scoring took too long');
    case 'invalid':
      return trans.__('what came is no score');
    case 'unparsed':
      return trans.__('the reply could not be read');
    case 'failed':
      return trans.__('no answer came');
    default:
      return null;
  }
}

/** Why there is no score, in a few words; null where there is one. */
export function whyUnscored({ score, status }: Partial<Score>): string | null {
  return score === null || score === undefined
    ? (why(status ?? '') ?? (plainText(status ?? '') || trans.__('not scored')))
    : null;
}

/** A score as a few characters, with what the point of the scale is called where it is one. */
export function scoreText({ score, label }: Partial<Score>): string {
  const figure = formatNumber(score ?? null);
  return label ? `${plainText(label)} (${figure})` : figure;
}

/** The orders for those who see no headers, with their names. */
export function sorts(): readonly (readonly [by: RecordQuery['sort']['by'], descending: boolean, name: string])[] {
  return [
    ['row', false, trans.__('row')],
    ['row', true, trans.__('row, the last first')],
    ['difference', true, trans.__('difference, the best first')],
    ['difference', false, trans.__('difference, the worst first')],
    ['score', true, trans.__('score, the highest first')],
    ['score', false, trans.__('score, the lowest first')],
    ['baseline', true, trans.__('baseline’s score, the highest first')],
    ['baseline', false, trans.__('baseline’s score, the lowest first')],
    ['id', false, trans.__('id')],
    ['id', true, trans.__('id, backwards')]
  ];
}

/** How an evaluation went, in a line: `human_like · 62% improved, 30% equal, 8% degraded`. */
export function headlineText(headline: Headline): string {
  const { metric, model, more } = headline;
  const parts = [metric, ...(model === null ? [] : [model]), headlineFigures(headline)];
  return [...parts.map(plainText), ...(more > 0 ? [trans.__('and %1 more', more)] : [])].join(' · ');
}

function headlineFigures({ mean, improved, equal, degraded, agreement }: Headline): string {
  if (agreement !== null) {
    return trans.__('agrees with people in %1', percent(agreement));
  }
  if (improved !== null && equal !== null && degraded !== null) {
    return trans.__('%1 improved, %2 equal, %3 degraded', percent(improved), percent(equal), percent(degraded));
  }
  return mean === null ? trans.__('no answer has a score') : trans.__('mean score %1', formatNumber(mean));
}
