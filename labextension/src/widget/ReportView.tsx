/** What a check found: the rows that can be used, the mapping, each kind of finding with its fix, and the classes. */
import { useState } from 'react';

import { byFix, count, fixedSentence, mapped, mappingTitle, reportSentence } from './datasets';
import { capitalise, formatNumber, plainText } from './format';
import { trans } from './i18n';
import type { Finding, Report } from './model';

interface ReportProps {
  readonly report: Report;
  /** What each fix does, where one may choose. */
  readonly fixes?: Readonly<Record<string, string>>;
  readonly chosen?: ReadonlySet<string>;
  readonly onFix?: (fix: string, wanted: boolean) => void;
  /** Shows a row, counted from 1, where the rows are at hand as the report counts them. */
  readonly onRow?: ((row: number) => void) | undefined;
}

const SHOWN_CLASSES = 8;
const NO_FIXES: ReadonlySet<string> = new Set();

/** The report as a list. */
export function ReportView({ report, fixes = {}, chosen = NO_FIXES, onFix, onRow }: ReportProps) {
  const changed = mapped(report);
  return (
    <div className="tunelab-report">
      <p data-tone={report.faulty > 0 ? 'bad' : 'good'} className="tunelab-verdict">
        <span className="tunelab-dot" aria-hidden="true" />
        <span>
          {reportSentence(report)}
          {report.findings.length === 0 && (
            <span className="tunelab-subject"> {trans.__('There is nothing to mend.')}</span>
          )}
        </span>
      </p>
      {changed.length > 0 && (
        <div className="tunelab-mapping">
          <span className="tunelab-subject">{mappingTitle(report)}</span>
          <ul aria-label={trans.__('Mapping')}>
            {changed.map(([field, from]) => (
              <li key={field}>
                {plainText(field)} ← {plainText(from)}
              </li>
            ))}
          </ul>
        </div>
      )}
      {Object.entries(report.fixed)
        .filter(([, rows]) => rows > 0)
        .map(([fix, rows]) => (
          <p key={fix} className="tunelab-subject">
            {fixedSentence(fix, rows)}
          </p>
        ))}
      {report.findings.length > 0 && (
        <ul className="tunelab-findings" aria-label={trans.__('Findings')}>
          {byFix(report.findings).map(([fix, found]) => (
            <li key={found.map(({ kind, field }) => `${kind} ${field ?? ''}`).join()}>
              {found.map(finding => (
                <FindingBlock key={`${finding.kind} ${finding.field ?? ''}`} finding={finding} onRow={onRow} />
              ))}
              {fix !== null && onFix && (
                <label className="tunelab-fix">
                  <input
                    type="checkbox"
                    checked={chosen.has(fix)}
                    onChange={event => {
                      onFix(fix, event.target.checked);
                    }}
                  />
                  {capitalise(fixes[fix] ?? fix)}
                </label>
              )}
            </li>
          ))}
        </ul>
      )}
      {report.classes && <Classes classes={report.classes} />}
    </div>
  );
}

interface FindingProps {
  readonly finding: Finding;
  readonly onRow: ((row: number) => void) | undefined;
}

function FindingBlock({ finding, onRow }: FindingProps) {
  const { severity, message, rows } = finding;
  // The message of a fault tells of its first row; that of a warning has the count.
  const isFault = severity === 'fault';
  return (
    <div className="tunelab-finding" data-tone={isFault ? 'bad' : 'warn'}>
      <p>
        <b>{isFault ? trans.__('Fault:') : trans.__('Warning:')}</b> {plainText(message)}
      </p>
      {rows.length > 0 && (
        <p className="tunelab-subject">
          {finding.count === 1 ? trans.__('Row') : isFault ? `${count(finding.count, 'row')}:` : trans.__('Rows')}{' '}
          {rows.map((row, place) => (
            <span key={row}>
              {place > 0 && ', '}
              {onRow ? (
                <button
                  type="button"
                  className="tunelab-plain tunelab-inline"
                  aria-label={trans.__('Show row %1', formatNumber(row))}
                  onClick={() => {
                    onRow(row);
                  }}
                >
                  {formatNumber(row)}
                </button>
              ) : (
                formatNumber(row)
              )}
            </span>
          ))}
          {finding.count > rows.length && ', …'}
        </p>
      )}
    </div>
  );
}

function Classes({ classes }: { readonly classes: NonNullable<Report['classes']> }) {
  const [all, setAll] = useState(false);
  const most = Math.max(1, ...classes.map(([, rows]) => rows));
  const shown = all ? classes : classes.slice(0, SHOWN_CLASSES);
  return (
    <div className="tunelab-classes">
      <h5>{count(classes.length, 'class')}</h5>
      <ul aria-label={trans.__('Classes')}>
        {shown.map(([label, rows]) => (
          <li key={label}>
            <span className="tunelab-class" title={plainText(label)}>
              {plainText(label)}
            </span>
            <span className="tunelab-class-bar" aria-hidden="true">
              <span style={{ width: `${(100 * rows) / most}%` }} />
            </span>
            <span className="tunelab-class-rows">{formatNumber(rows)}</span>
          </li>
        ))}
      </ul>
      {classes.length > SHOWN_CLASSES && (
        <button
          type="button"
          className="tunelab-plain"
          aria-expanded={all}
          onClick={() => {
            setAll(!all);
          }}
        >
          {all ? trans.__('Show fewer') : trans.__('Show all %1 classes', formatNumber(classes.length))}
        </button>
      )}
    </div>
  );
}
