/** What the pages of models share: heads, facts, links, folded settings, evaluations, and what was made from a model. */
import type { ReactNode } from 'react';

import { formatDate, formatDay } from './dates';
import { formatNumber, plainText } from './format';
import { trans } from './i18n';
import { madeText, percent, signed, valueText, type Judged, type JudgedRow, type Made, type Setting } from './models';
import { useNavigation, type Route } from './route';

/** What stands in a page's place until the kernel has answered: what is read, or why it cannot be. */
export function Reading({ what, refused }: { readonly what: string; readonly refused: string }) {
  return (
    <p className="tunelab-empty" role="status">
      {refused || what}
    </p>
  );
}

interface HeadRowProps {
  readonly name: string;
  /** What can be chosen beside the name. */
  readonly choice?: ReactNode;
  /** What it is, in short. */
  readonly subject?: string;
  /** What can be done with it. */
  readonly children: ReactNode;
}

/** The head of a page. */
export function HeadRow({ name, choice, subject, children }: HeadRowProps) {
  return (
    <header className="tunelab-head">
      <div className="tunelab-title">
        <h3 className="tunelab-name">{name}</h3>
        {choice}
        {subject !== undefined && <span className="tunelab-subject tunelab-model-subject">{subject}</span>}
      </div>
      <div className="tunelab-actions">{children}</div>
    </header>
  );
}

interface VersionChoiceProps {
  /** The newest first; `value` is what a version is chosen by. */
  readonly versions: readonly { readonly value: string; readonly version: number }[];
  readonly value: string;
  readonly onValue: (value: string) => void;
}

/** The versions to choose from; nothing where there is one. */
export function VersionChoice({ versions, value, onValue }: VersionChoiceProps) {
  if (versions.length < 2) {
    return null;
  }
  return (
    <label className="tunelab-choice">
      {trans.__('Version')}{' '}
      <select
        value={value}
        onChange={event => {
          onValue(event.target.value);
        }}
      >
        {versions.map(({ value: each, version }, place) => (
          <option key={each} value={each}>
            {place === 0 ? trans.__('%1 (newest)', version) : version}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Versions that are chosen by their numbers. */
export function byNumber(versions: readonly number[]): VersionChoiceProps['versions'] {
  return versions.map(version => ({ value: String(version), version }));
}

/** A part of a page with its name. */
export function Section({ name, children }: { readonly name: string; readonly children: ReactNode }) {
  return (
    <section className="tunelab-section" aria-label={name}>
      <h4>{name}</h4>
      {children}
    </section>
  );
}

/** Named facts; those without a value are left out. */
export function FactList({ facts }: { readonly facts: readonly (readonly [name: string, value: ReactNode])[] }) {
  return (
    <dl className="tunelab-facts">
      {facts
        .filter(([, value]) => value !== null && value !== '')
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

/** A name that leads to its page; outside the Studio, the name alone. */
export function PageLink({ route, children }: { readonly route: Route; readonly children: string }) {
  const navigation = useNavigation();
  return navigation ? (
    <button
      type="button"
      className="tunelab-plain tunelab-model-link"
      onClick={() => {
        navigation.go(route);
      }}
    >
      {plainText(children)}
    </button>
  ) : (
    <span>{plainText(children)}</span>
  );
}

// Tables name their roles, since in a narrow panel their rows are laid out as grids, which would take the roles away.

/** The names of a table's columns. */
export function Columns({ names }: { readonly names: readonly string[] }) {
  return (
    <thead role="rowgroup">
      <tr role="row">
        {names.map(name => (
          <th key={name} role="columnheader" scope="col">
            {name}
          </th>
        ))}
      </tr>
    </thead>
  );
}

/** The resolved spec, folded: what was given, and where each default is from. */
export function Settings({ settings }: { readonly settings: readonly Setting[] }) {
  return (
    <details className="tunelab-model-fold">
      <summary>{trans.__('Settings')}</summary>
      <div className="tunelab-model-scroll" tabIndex={0} role="group" aria-label={trans.__('Settings')}>
        <table role="table" className="tunelab-model-table tunelab-model-settings" aria-label={trans.__('Settings')}>
          <Columns names={[trans.__('Setting'), trans.__('Value'), trans.__('From')]} />
          <tbody role="rowgroup">
            {settings.map(({ key, value, given, source }) => (
              <tr role="row" key={key}>
                <th role="rowheader" scope="row">
                  {plainText(key)}
                </th>
                <td role="cell">{valueText(value)}</td>
                <td role="cell" className="tunelab-subject">
                  {given ? trans.__('the spec') : plainText(source ?? '')}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

interface EvaluationsProps {
  readonly evaluations: readonly Judged[];
  /** `NAME@VERSION`. */
  readonly model: string;
}

/** The evaluations that judged a model, the newest first, each with its figures. */
export function Evaluations({ evaluations, model }: EvaluationsProps) {
  return (
    <ul className="tunelab-model-evaluations" aria-label={trans.__('Evaluations of %1', plainText(model))}>
      {evaluations.map(one => (
        <li key={one.job}>
          <Evaluation one={one} model={model} />
        </li>
      ))}
    </ul>
  );
}

function Evaluation({ one, model }: { readonly one: Judged; readonly model: string }) {
  const when = formatDate(one.submitted);
  const against = one.against.length > 0 ? trans.__('against %1', one.against.map(plainText).join(', ')) : '';
  return (
    <>
      <p className="tunelab-model-evaluation">
        <PageLink route={{ page: 'job', job: one.job, isEvaluation: true }}>{one.dataset || one.job}</PageLink>{' '}
        <span className="tunelab-subject">
          {[one.method, against, when].filter(Boolean).map(plainText).join(' · ')}
        </span>
      </p>
      {one.rows.length > 0 ? (
        <table
          role="table"
          className="tunelab-model-table tunelab-model-scores"
          aria-label={trans.__('Results of %1', one.job)}
        >
          <Columns
            names={[
              trans.__('Metric'),
              trans.__('Mean'),
              trans.__('Improved'),
              trans.__('Equal'),
              trans.__('Degraded')
            ]}
          />
          <tbody role="rowgroup">
            {one.rows.map(row => (
              <Score key={`${row.model} ${row.metric}`} row={row} model={model} />
            ))}
          </tbody>
        </table>
      ) : (
        <p className="tunelab-subject">{trans.__('No results yet.')}</p>
      )}
    </>
  );
}

function Score({ row, model }: { readonly row: JudgedRow; readonly model: string }) {
  const step = row.model === model ? '' : row.model.slice(row.model.lastIndexOf(':') + 1);
  return (
    <tr role="row" title={row.verdict ? plainText(row.verdict) : undefined}>
      <th role="rowheader" scope="row">
        {plainText(row.metric)}
        {step && <span className="tunelab-subject"> {plainText(step)}</span>}
      </th>
      <td role="cell">
        {formatNumber(row.mean)}
        {row.difference !== null && <span className="tunelab-subject"> {signed(row.difference)}</span>}
      </td>
      <td role="cell" data-share="improved">
        {percent(row.improved)}
      </td>
      <td role="cell">{percent(row.equal)}</td>
      <td role="cell" data-share="degraded">
        {percent(row.degraded)}
      </td>
    </tr>
  );
}

/** Models that were made from another. */
export function MadeList({ made, name }: { readonly made: readonly Made[]; readonly name: string }) {
  return (
    <ul className="tunelab-model-list" aria-label={name}>
      {made.map(one => (
        <li key={one.model}>
          <PageLink route={{ page: 'model', model: one.model }}>{one.model}</PageLink>
          <span className="tunelab-subject">{[madeText(one), formatDay(one.created)].join(' · ')}</span>
        </li>
      ))}
    </ul>
  );
}
