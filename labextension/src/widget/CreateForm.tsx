/** The form that creates a dataset: what the file's columns become, what a check of every row finds, and the fixes. */
import { useEffect, useId, useState, type FormEvent, type KeyboardEvent } from 'react';

import { columnsOf, likeliestForm, techniqueName, whyNot } from './datasets';
import { formatNumber, plainText } from './format';
import { trans } from './i18n';
import { useTrait, type CreateTraits, type Model, type Report, type Row } from './model';
import { ReportView } from './ReportView';
import { useShell } from './shell';
import { Value } from './TableRow';

interface CreateFormProps {
  readonly model: Model<CreateTraits>;
  /** Called with `NAME@VERSION` of what was made, or with null when nothing is to be made. */
  readonly onDone: (dataset: string | null) => void;
}

/** What was chosen of the file: for which technique, and from which columns. */
interface Choice {
  readonly technique: string | null;
  readonly columns: Readonly<Record<string, string>>;
}

/** The form, with the report of the last check beside it. */
export function CreateForm({ model, onDone }: CreateFormProps) {
  const form = useTrait(model, 'form');
  const source = useTrait(model, 'source');
  const columns = useTrait(model, 'columns');
  const sample = useTrait(model, 'sample');
  const found = useTrait(model, 'report');
  const refused = useTrait(model, 'refused');
  const checking = useTrait(model, 'checking');
  const creating = useTrait(model, 'creating');
  const created = useTrait(model, 'created');
  const suggested = useTrait(model, 'name');
  const shell = useShell();

  const [typed, setTyped] = useState<string | null>(null);
  const [choice, setChoice] = useState<Choice>({ technique: null, columns: {} });
  const [shape, setShape] = useState<number | null>(null);
  const [fixes, setFixes] = useState<ReadonlySet<string>>(new Set());
  const [hasTried, setHasTried] = useState(false);
  // A creation that is refused, for its name say, leaves no report; that of the check still holds.
  const [last, setLast] = useState<Report | null>(null);
  if (found !== last && (found !== null || !hasTried)) {
    setLast(found);
  }
  const report = found ?? (hasTried ? last : null);

  useEffect(() => {
    if (created !== null) {
      onDone(created);
    }
  }, [created, onDone]);

  const check = (next: Choice, file = source) => {
    setChoice(next);
    setHasTried(false);
    model.send({ type: 'check', source: file, ...next });
  };
  const choose = async () => {
    const path = await shell?.chooseFile();
    if (path) {
      setTyped(null);
      setShape(null);
      check({ technique: choice.technique, columns: {} }, path);
    }
  };
  const name = typed ?? suggested;
  const reason = whyNot({ source, refused, checking, creating }, report, { name, fixes, again: hasTried });
  const reasonId = useId();

  const technique = choice.technique ?? report?.technique ?? null;
  const forms = technique === null ? [] : (form.fields[technique] ?? []);
  const fits = likeliestForm(forms, columns, report !== null && report.technique === technique ? report.form : null);
  const fields = forms[shape ?? fits] ?? [];

  const create = (event: FormEvent | KeyboardEvent) => {
    event.preventDefault();
    if (reason === null) {
      setHasTried(true);
      const fix = [...fixes].filter(each => report?.findings.some(finding => finding.fix === each));
      model.send({ type: 'create', name, source, ...choice, fix });
    }
  };
  return (
    <form className="tunelab-create" aria-label={trans.__('Dataset')} onSubmit={create}>
      <div className="tunelab-create-main">
        <div className="tunelab-create-fields">
          <div className="tunelab-input">
            <span className="tunelab-label">{trans.__('File')}</span>
            <span className="tunelab-file">
              <span title={plainText(source)}>{plainText(source.split('/').pop() ?? '') || trans.__('None yet')}</span>
              {shell && (
                <button type="button" className={source ? 'tunelab-plain' : undefined} onClick={() => void choose()}>
                  {trans.__('Choose…')}
                </button>
              )}
            </span>
          </div>
          <label className="tunelab-input">
            <span className="tunelab-label">{trans.__('Name')}</span>
            <input
              type="text"
              value={name}
              spellCheck={false}
              autoComplete="off"
              autoFocus
              onKeyDown={event => {
                // A notebook takes the key for itself, so that no submit follows from it.
                if (event.key === 'Enter' && !event.nativeEvent.isComposing) {
                  create(event);
                }
              }}
              onChange={event => {
                setTyped(event.target.value.trim());
              }}
            />
          </label>
          <label className="tunelab-input">
            <span className="tunelab-label">{trans.__('Technique')}</span>
            <select
              value={choice.technique ?? ''}
              onChange={event => {
                setShape(null);
                check({ technique: event.target.value || null, columns: {} });
              }}
            >
              <option value="">
                {choice.technique === null && report
                  ? trans.__('%1, as recognized', techniqueName(report.technique))
                  : trans.__('Recognize it')}
              </option>
              {form.techniques.map(each => (
                <option key={each} value={each}>
                  {techniqueName(each)}
                </option>
              ))}
            </select>
          </label>
          {technique === null && refused !== null && columns.length > 0 && (
            <p className="tunelab-subject">
              {trans.__('With a technique chosen, each field can be made from a column.')}
            </p>
          )}
          {technique !== null && columns.length > 0 && (
            <fieldset className="tunelab-fields">
              <legend>{trans.__('What each field is made from')}</legend>
              {forms.length > 1 && (
                <label className="tunelab-input">
                  <span className="tunelab-label">{trans.__('Form')}</span>
                  <select
                    value={shape ?? fits}
                    onChange={event => {
                      setShape(Number(event.target.value));
                      if (Object.keys(choice.columns).length > 0) {
                        check({ ...choice, columns: {} });
                      }
                    }}
                  >
                    {forms.map((each, place) => (
                      <option key={place} value={place}>
                        {each.join(' + ')}
                      </option>
                    ))}
                  </select>
                </label>
              )}
              {[...fields, ...(form.optional[technique] ?? [])].map(field => (
                <FieldChoice
                  key={field}
                  field={field}
                  isOptional={!fields.includes(field)}
                  columns={columns}
                  column={choice.columns[field] ?? ''}
                  origin={report?.mapping.columns.find(([target]) => target === field)?.[1] ?? null}
                  onColumn={column => {
                    const next = Object.entries(choice.columns).filter(([target]) => target !== field);
                    check({ technique, columns: Object.fromEntries(column ? [...next, [field, column]] : next) });
                  }}
                />
              ))}
            </fieldset>
          )}
        </div>
        <section className="tunelab-create-report" aria-label={trans.__('Report')} aria-busy={checking !== null}>
          <h4>{trans.__('Report')}</h4>
          <div role="status">
            {checking && (
              <p className="tunelab-subject">
                {creating ? trans.__('Creating…') : trans.__('Checking…')}
                {checking.rows > 0 &&
                  ` ${trans._n('%2 row so far', '%2 rows so far', checking.rows, formatNumber(checking.rows))}`}
              </p>
            )}
            {refused !== null && (
              <p className="tunelab-block" data-tone="bad">
                {plainText(refused)}
              </p>
            )}
          </div>
          {report && (refused === null || hasTried || report.faulty > 0) && (
            <ReportView
              report={report}
              fixes={form.fixes}
              chosen={fixes}
              onFix={(fix, wanted) => {
                const next = new Set(fixes);
                if (wanted) {
                  next.add(fix);
                } else {
                  next.delete(fix);
                }
                setFixes(next);
              }}
            />
          )}
          {!report && !checking && refused === null && (
            <p className="tunelab-subject">{trans.__('Every row is checked once there is a file.')}</p>
          )}
        </section>
      </div>
      {sample.length > 0 && <Sample rows={sample} />}
      <footer className="tunelab-create-foot">
        <p id={reasonId} className="tunelab-subject" aria-live="polite">
          {reason}
        </p>
        <button
          type="button"
          onClick={() => {
            onDone(null);
          }}
        >
          {trans.__('Cancel')}
        </button>
        <button type="submit" className="tunelab-primary" disabled={reason !== null} aria-describedby={reasonId}>
          {trans.__('Create dataset')}
        </button>
      </footer>
    </form>
  );
}

interface FieldChoiceProps {
  readonly field: string;
  readonly isOptional: boolean;
  readonly columns: readonly string[];
  /** The column that was chosen, or nothing. */
  readonly column: string;
  /** What the field is made from by the last report, in words. */
  readonly origin: string | null;
  readonly onColumn: (column: string) => void;
}

function FieldChoice({ field, isOptional, columns, column, origin, onColumn }: FieldChoiceProps) {
  const unset =
    origin !== null && column === '' ? plainText(origin) : isOptional ? trans.__('none') : trans.__('as recognized');
  return (
    <label className="tunelab-input">
      <span className="tunelab-label">
        <code>{field}</code> {isOptional && <span className="tunelab-subject">{trans.__('(optional)')}</span>}
      </span>
      <span className="tunelab-arrow" aria-hidden="true">
        ←
      </span>
      <select
        value={column}
        onChange={event => {
          onColumn(event.target.value);
        }}
      >
        <option value="">{unset}</option>
        {columns.map(each => (
          <option key={each} value={each}>
            {plainText(each)}
          </option>
        ))}
      </select>
    </label>
  );
}

function Sample({ rows }: { readonly rows: readonly Row[] }) {
  const columns = columnsOf([], rows);
  return (
    <section className="tunelab-section">
      <h4>{trans.__('First rows of the file')}</h4>
      <div className="tunelab-sample" tabIndex={0} role="group" aria-label={trans.__('First rows of the file')}>
        <table>
          <thead>
            <tr>
              {columns.map(column => (
                <th key={column} scope="col">
                  {plainText(column)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row, place) => (
              <tr key={place}>
                {columns.map(column => (
                  <td key={column}>
                    <div>
                      <Value value={row[column]} isOpen={false} />
                    </div>
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
