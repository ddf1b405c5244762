/** An evaluation's results: the comparison as a bar and in words, then every record in a table, or one alone. */
import { memo, useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';

import { EvaluationRecord } from './EvaluationRecord';
import { Bar, Comparisons, PlainTable } from './EvaluationSummary';
import { EvaluationTable } from './EvaluationTable';
import { candidatesOf, filters, FIRST, shownOf, sorts, type Choice } from './evaluations';
import { textOf } from './datasets';
import { benchmarkRows, judgeRows } from './figures';
import { formatNumber, plainText } from './format';
import { trans } from './i18n';
import type { JobSnapshot, JobTraits, Message, Model } from './model';
import { RecordPages } from './recordpages';
import type { EvaluationState, ExportFormat, RecordFilter, RecordQuery, SortKey, SummaryRow } from './results';
import { saveFile } from './savefile';
import { hasEnded } from './states';

/** What the reader has chosen for each job; kept for as long as the page, since views come and go. */
const kept = new Map<string, Choice>();

const FORMATS: readonly (readonly [format: ExportFormat, name: string])[] = [
  ['csv', 'CSV'],
  ['json', 'JSON'],
  ['parquet', 'Parquet']
];

interface EvaluationViewProps {
  readonly job: JobSnapshot;
  readonly model: Model<JobTraits>;
  /** Null before there are results. */
  readonly state: EvaluationState | null;
}

/** The section of a job's card. */
export function EvaluationView({ job, model, state }: EvaluationViewProps) {
  if (state) {
    return <Results job={job.id} model={model} state={state} />;
  }
  return hasEnded(job.state) ? null : (
    <p className="tunelab-subject tunelab-results-none">
      {trans.__('The results come here once every answer is there and scored.')}
    </p>
  );
}

interface ResultsProps {
  readonly job: string;
  readonly model: Model<JobTraits>;
  readonly state: EvaluationState;
}

const Results = memo(function Results({ job, model, state }: ResultsProps) {
  const [pages] = useState(() => new RecordPages());
  useSyncExternalStore(pages.subscribe, pages.version);
  const [choice, setChoice] = useState<Choice>(() => kept.get(job) ?? FIRST);
  const [opened, setOpened] = useState<{ readonly place: number; readonly id: string } | null>(null);
  const [start, setStart] = useState<number | null>(null);
  const choose = (change: Partial<Choice>) => {
    // Of the latest: a search that was typed comes a moment later.
    setChoice(before => ({ ...before, ...change }));
    setOpened(null);
    setStart(null);
  };
  useEffect(() => {
    kept.set(job, choice);
  }, [job, choice]);
  const { query, row } = useMemo(() => shownOf(state, choice), [state, choice]);
  const metric = state.metrics.find(({ name }) => name === query.metric);

  useEffect(() => {
    model.on('msg:custom', pages.hear);
    return () => {
      model.off('msg:custom', pages.hear);
    };
  }, [model, pages]);

  // What the verdict on show says is not said again.
  const notes = state.notes.filter(({ message }) => !row?.verdict || !message.endsWith(row.verdict));
  const filter = (chosen: RecordFilter) => {
    choose({ filter: chosen === choice.filter ? 'all' : chosen });
  };
  const total = pages.isOf(query) ? pages.total : null;
  return (
    <section className="tunelab-results" aria-label={trans.__('Results')}>
      <Choices state={state} query={query} onChoose={choose} />
      {row && (
        <div className="tunelab-summary">
          <Bar row={row} chosen={query.filter} onChoose={filter} />
          <Comparisons row={row} />
        </div>
      )}
      {notes.length > 0 && (
        <ul className="tunelab-notes" aria-label={trans.__('Warnings about the results')}>
          {notes.map(({ code, message }, place) => (
            // Of one code there may be several.
            <li key={place} className="tunelab-block" data-tone="warn" data-code={code}>
              {plainText(message)}
            </li>
          ))}
        </ul>
      )}
      <PlainTable title={trans.__('Benchmarks')} rows={benchmarkRows(state.benchmarks ?? [], state.models)} isOpen />
      <PlainTable title={trans.__('The judge held against people')} rows={judgeRows(state.judges ?? [])} isOpen />
      <PlainTable title={trans.__('Cost of the answers')} rows={state.costs} />
      {row && metric && (
        <>
          {opened ? (
            <EvaluationRecord
              {...{ model, pages, state, metric, query, opened, total }}
              onOpen={setOpened}
              onClose={() => {
                setStart(opened.place);
                setOpened(null);
              }}
            />
          ) : (
            <>
              <Tools {...{ model, pages, state, query, row }} onChoose={choose} />
              <EvaluationTable
                {...{ model, pages, state, query, start }}
                expected={query.search || query.column ? 0 : row.counts[query.filter]}
                onSort={sort => {
                  choose({ sort });
                }}
                onOpen={setOpened}
              />
            </>
          )}
        </>
      )}
    </section>
  );
});

interface ChoicesProps {
  readonly state: EvaluationState;
  readonly query: RecordQuery;
  readonly onChoose: (change: Partial<Choice>) => void;
}

/** Which metric and which candidate, where there are several. */
function Choices({ state, query, onChoose }: ChoicesProps) {
  const candidates = candidatesOf(state);
  const metrics = state.metrics.filter(({ name }) => state.summary.some(row => row.metric === name));
  if (metrics.length < 2 && candidates.length < 2) {
    return null;
  }
  return (
    <div className="tunelab-results-choice">
      {metrics.length > 1 && (
        <label>
          {trans.__('Metric')}{' '}
          <select
            value={query.metric}
            onChange={event => {
              onChoose({ metric: event.target.value });
            }}
          >
            {metrics.map(({ name, label }) => (
              <option key={name} value={name}>
                {plainText(label)}
              </option>
            ))}
          </select>
        </label>
      )}
      {candidates.length > 1 && (
        <label>
          {trans.__('Model')}{' '}
          <select
            value={query.model}
            onChange={event => {
              onChoose({ model: event.target.value });
            }}
          >
            {candidates.map(name => (
              <option key={name} value={name}>
                {plainText(name)}
              </option>
            ))}
          </select>
          <span>{trans.__('against %1', plainText(state.baseline))}</span>
        </label>
      )}
    </div>
  );
}

interface ToolsProps {
  readonly model: Model<JobTraits>;
  readonly pages: RecordPages;
  readonly state: EvaluationState;
  readonly query: RecordQuery;
  readonly row: SummaryRow;
  readonly onChoose: (change: Partial<Choice>) => void;
}

/** What chooses the records: filters, a search, one value of a column; and the export of all. */
function Tools({ model, pages, state, query, row, onChoose }: ToolsProps) {
  const isAlone = row.baseline === null;
  return (
    <div className="tunelab-results-tools">
      <div className="tunelab-chips" role="group" aria-label={trans.__('Which records')}>
        {filters()
          .filter(([filter]) => !isAlone || ['all', 'unscored', 'overruled'].includes(filter))
          .map(([filter, name]) => (
            <button
              key={filter}
              type="button"
              aria-pressed={query.filter === filter}
              // One that shows nothing can still be left.
              disabled={row.counts[filter] === 0 && query.filter !== filter && filter !== 'all'}
              onClick={() => {
                onChoose({ filter });
              }}
            >
              {name} <span className="tunelab-subject">{formatNumber(row.counts[filter])}</span>
            </button>
          ))}
      </div>
      <Search
        search={query.search}
        onSearch={search => {
          onChoose({ search });
        }}
      />
      <div className="tunelab-results-more">
        {state.columns.length > 0 && <Split {...{ model, pages, state, query, onChoose }} />}
        <label className="tunelab-sort">
          {trans.__('Sort by')}{' '}
          <select
            value={`${query.sort.by} ${query.sort.descending}`}
            onChange={event => {
              const [by, descending] = event.target.value.split(' ');
              onChoose({ sort: { by: by as SortKey, descending: descending === 'true' } });
            }}
          >
            {sorts().map(([by, descending, name]) => (
              <option key={name} value={`${by} ${descending}`}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <Export model={model} />
      </div>
    </div>
  );
}

/** Milliseconds after the last letter. */
const TYPED_MS = 300;

function Search({ search, onSearch }: { readonly search: string; readonly onSearch: (text: string) => void }) {
  const [text, setText] = useState(search);
  const timer = useRef<ReturnType<typeof setTimeout>>();
  const meant = (value: string) => {
    clearTimeout(timer.current);
    if (value.trim() !== search) {
      onSearch(value.trim());
    }
  };
  useEffect(
    () => () => {
      clearTimeout(timer.current);
    },
    []
  );
  return (
    <form
      className="tunelab-search"
      role="search"
      onSubmit={event => {
        event.preventDefault();
        meant(text);
      }}
    >
      <input
        type="search"
        aria-label={trans.__('Search prompts, answers, ground truth and reasoning')}
        placeholder={trans.__('Search answers…')}
        value={text}
        onChange={({ target: { value } }) => {
          setText(value);
          clearTimeout(timer.current);
          timer.current = setTimeout(() => {
            meant(value);
          }, TYPED_MS);
        }}
      />
    </form>
  );
}

type SplitProps = Pick<ToolsProps, 'model' | 'pages' | 'state' | 'query' | 'onChoose'>;

/** The records of one value of a column alone. */
function Split({ model, pages, state, query, onChoose }: SplitProps) {
  const [name, setName] = useState(query.column?.name ?? '');
  useEffect(() => {
    if (name !== '') {
      model.send({ type: 'values', column: name });
    }
  }, [model, name]);
  const values = name === '' ? null : pages.values(name);
  const at = values?.values.findIndex(({ value }) => JSON.stringify(value) === JSON.stringify(query.column?.value));
  return (
    <>
      <label>
        {trans.__('Split by')}{' '}
        <select
          value={name}
          onChange={event => {
            setName(event.target.value);
            if (query.column) {
              onChoose({ column: null });
            }
          }}
        >
          <option value="">{trans.__('nothing')}</option>
          {state.columns.map(column => (
            <option key={column} value={column}>
              {plainText(column)}
            </option>
          ))}
        </select>
      </label>
      {name !== '' && (
        <select
          aria-label={trans.__('Value of %1', plainText(name))}
          aria-busy={!values}
          value={query.column ? String(at ?? -1) : ''}
          onChange={event => {
            const chosen = event.target.value === '' ? undefined : values?.values[Number(event.target.value)];
            onChoose({ column: chosen ? { name, value: chosen.value } : null });
          }}
        >
          <option value="">{trans.__('any')}</option>
          {values?.values.map(({ value, count }, place) => (
            <option key={place} value={place}>
              {valueName(value)} ({formatNumber(count)})
            </option>
          ))}
          {(values?.left_off ?? 0) > 0 && (
            <option disabled>{trans.__('%1 more, in %2', formatNumber(values?.left_off ?? 0), 'result.by(…)')}</option>
          )}
        </select>
      )}
    </>
  );
}

function valueName(value: unknown): string {
  const name = value === null ? trans.__('(none)') : textOf(value).replace(/\s+/g, ' ');
  return name.length > 60 ? `${name.slice(0, 59)}…` : name || trans.__('(empty)');
}

/** Buttons that save all records as a file, where the page is. */
function Export({ model }: { readonly model: Model<JobTraits> }) {
  const [waits, setWaits] = useState<ExportFormat | null>(null);
  // A widget's message goes to all its views; the one that asked saves the file.
  const asked = useRef<ExportFormat | null>(null);
  useEffect(() => {
    const heard = (message: Message, buffers: readonly BlobPart[]) => {
      if (message.type === 'exported' && message.format === asked.current) {
        saveFile(message.name, buffers);
      }
      if (message.type === 'notice' || (message.type === 'exported' && message.format === asked.current)) {
        asked.current = null;
        setWaits(null);
      }
    };
    model.on('msg:custom', heard);
    return () => {
      model.off('msg:custom', heard);
    };
  }, [model]);
  return (
    <div className="tunelab-export" role="group" aria-label={trans.__('Export all records')} aria-busy={waits !== null}>
      <span>{trans.__('Export')}</span>
      {FORMATS.map(([format, name]) => (
        <button
          key={format}
          type="button"
          disabled={waits !== null}
          onClick={() => {
            asked.current = format;
            setWaits(format);
            model.send({ type: 'export', format });
          }}
        >
          {waits === format ? `${name}…` : name}
        </button>
      ))}
    </div>
  );
}
