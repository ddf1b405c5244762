/** What differs in the specs of jobs, and what came out of each, as a table: a row a key, a column a job. */
import { Fragment, type ReactNode } from 'react';

import type { ComparedJob, ComparedRow } from './comparison';
import { formatNumber, plainText } from './format';
import { trans } from './i18n';
import { metricName, sortMetrics } from './metrics';
import { useKept } from './route';

interface CompareTableProps {
  readonly jobs: readonly ComparedJob[];
  readonly rows: readonly ComparedRow[];
}

/** The table, and the switch that brings in what is equal. */
export function CompareTable({ jobs, rows }: CompareTableProps) {
  const [showsEqual, setShowsEqual] = useKept('compare/equal', false);
  const settings = rows.filter(row => !row.result);
  const found = rows.filter(row => row.result);
  const order = sortMetrics(found.map(row => row.key));
  const results = [...found].sort((a, b) => order.indexOf(a.key) - order.indexOf(b.key));
  const differing = settings.filter(row => row.differs);
  const shown = showsEqual ? settings : differing;
  return (
    <div className="tunelab-compare-settings">
      <label className="tunelab-controls">
        <input
          type="checkbox"
          checked={showsEqual}
          onChange={event => {
            setShowsEqual(event.target.checked);
          }}
        />
        {trans.__('Show what is equal')}
      </label>
      <div className="tunelab-compare-scroll" tabIndex={0} role="group" aria-label={trans.__('Table of differences')}>
        <table role="table" aria-label={trans.__('Differences of the specs')}>
          <thead role="rowgroup">
            <tr role="row">
              <th role="columnheader" scope="col">
                {trans.__('Setting')}
              </th>
              {jobs.map(job => (
                <th key={job.id} role="columnheader" scope="col" title={plainText(job.id)}>
                  {plainText(job.name)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody role="rowgroup">
            {shown.map(row => (
              <Row key={row.key} row={row} jobs={jobs} name={plainText(row.key)} />
            ))}
            {differing.length === 0 && jobs.length > 1 && (
              <tr role="row">
                <td role="cell" className="tunelab-subject" colSpan={jobs.length + 1}>
                  {trans.__('Their specs do not differ.')}
                </td>
              </tr>
            )}
          </tbody>
          {results.length > 0 && (
            <tbody role="rowgroup" className="tunelab-compare-results">
              <tr role="row">
                <th role="rowheader" scope="rowgroup" colSpan={jobs.length + 1}>
                  {trans.__('Results')}
                </th>
              </tr>
              {results.map(row => (
                <Row key={row.key} row={row} jobs={jobs} name={metricName(row.key)} />
              ))}
            </tbody>
          )}
        </table>
      </div>
    </div>
  );
}

interface RowProps {
  readonly row: ComparedRow;
  readonly jobs: readonly ComparedJob[];
  readonly name: string;
}

function Row({ row, jobs, name }: RowProps) {
  return (
    <tr role="row" data-differs={row.differs}>
      <th role="rowheader" scope="row" title={name}>
        {breakable(name)}
      </th>
      {jobs.map((job, place) => (
        <td key={job.id} role="cell" data-number={typeof row.values[place] === 'number'}>
          {row.result ? figureText(row.values[place]) : valueText(row.values[place])}
        </td>
      ))}
    </tr>
  );
}

/** A key that may be broken after its dots and underscores, and not within a word. */
function breakable(name: string): ReactNode {
  return name.split(/(?<=[._/])/).map((part, place) => (
    <Fragment key={place}>
      {place > 0 && <wbr />}
      {part}
    </Fragment>
  ));
}

function figureText(value: unknown): string {
  return typeof value === 'number' ? formatNumber(value) : valueText(value);
}

/** A setting as text, with all its digits: two that differ are not to look alike. One that is not there is a dash. */
function valueText(value: unknown): string {
  if (value === null || value === undefined) {
    return '—';
  }
  if (typeof value === 'number') {
    const size = Math.abs(value);
    return size !== 0 && size < 1e-3 ? value.toExponential() : String(value);
  }
  return plainText(typeof value === 'string' ? value : JSON.stringify(value));
}
