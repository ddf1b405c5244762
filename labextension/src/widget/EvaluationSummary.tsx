/** The results in a few figures: a bar that filters, the means with their certainty, coverage, and plain tables. */
import {
  certainty,
  COMPARED,
  comparisonSentence,
  coverage,
  meansOf,
  outcomeName,
  percent,
  signed
} from './evaluations';
import { columnName, columnsOf, figure, isNumeric } from './figures';
import { capitalise, formatNumber, plainText } from './format';
import { trans } from './i18n';
import type { Figures, RecordFilter, SummaryRow } from './results';

interface BarProps {
  readonly row: SummaryRow;
  readonly chosen: RecordFilter;
  readonly onChoose: (filter: RecordFilter) => void;
}

/** How many improved, stayed equal and degraded; a click shows those alone. */
export function Bar({ row, chosen, onChoose }: BarProps) {
  const parts = COMPARED.flatMap(outcome => {
    const share = row[outcome];
    const counts = [formatNumber(row.counts[outcome]), formatNumber(row.pairs)] as const;
    return share === null || share === 0 ? [] : [{ outcome, name: outcomeName(outcome), share, counts }];
  });
  return parts.length === 0 ? null : (
    <div className="tunelab-outcomes" role="group" aria-label={trans.__('Outcomes')}>
      {parts.map(({ outcome, name, share, counts }) => (
        <button
          key={outcome}
          type="button"
          data-outcome={outcome}
          style={{ flexGrow: share }}
          aria-pressed={chosen === outcome}
          aria-label={trans.__('%1 %2: %3 of %4', percent(share), name, ...counts)}
          title={trans.__('%1: %2 of %3', capitalise(name), ...counts)}
          onClick={() => {
            onChoose(outcome);
          }}
        >
          {/* What does not fit wraps below the edge; the first, empty one lets the figure wrap too. */}
          <i />
          <span>{percent(share)}</span>
          <span>{name}</span>
        </button>
      ))}
    </div>
  );
}

/** The comparison in words, of the judge and where people overruled it of them. */
export function Comparisons({ row }: { readonly row: SummaryRow }) {
  const { here, there } = meansOf(row);
  const sure = certainty(row);
  const human = row.human_summary;
  return (
    <>
      <p className="tunelab-means">
        <span>
          {trans.__('Mean score')} <b>{here}</b>
          {there !== null && ` ${trans.__('against %1', there)}`}
          {row.difference !== null && (
            <>
              , {trans.__('difference')} <b>{signed(row.difference)}</b>
            </>
          )}
          {sure && <span className="tunelab-subject"> ({sure})</span>}
        </span>
        <span className="tunelab-subject">{coverage(row)}</span>
      </p>
      {row.verdict && <p className="tunelab-verdict-sentence">{plainText(row.verdict)}</p>}
      {human && (
        <p className="tunelab-human">
          <b>{trans.__('By people’s scores')}</b>,{' '}
          {trans.__('%1 overruled: %2.', formatNumber(row.counts.overruled), comparisonSentence(human))}
        </p>
      )}
    </>
  );
}

interface PlainTableProps {
  readonly title: string;
  readonly rows: readonly Figures[];
  readonly isOpen?: boolean;
}

/** Figures below each other, folded unless they are what the evaluation is about. */
export function PlainTable({ title, rows, isOpen = false }: PlainTableProps) {
  if (rows.length === 0) {
    return null;
  }
  const columns = columnsOf(rows);
  return (
    <details className="tunelab-figures" open={isOpen}>
      <summary>{title}</summary>
      <div tabIndex={0} role="region" aria-label={title}>
        <table>
          <thead>
            <tr>
              {columns.map(column => (
                <th key={column} scope="col" data-number={isNumeric(rows, column)}>
                  {columnName(column)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row, place) => (
              // They have no identity of their own, and do not change.
              <tr key={place}>
                {columns.map(column => (
                  <td key={column} data-number={isNumeric(rows, column)}>
                    {figure(row[column])}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
