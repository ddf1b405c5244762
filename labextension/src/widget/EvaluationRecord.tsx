/** One record of an evaluation alone: whole texts, what differs word by word, why it was scored so, and a person's word. */
import { useEffect, useRef, useState, type KeyboardEvent } from 'react';

import { textOf } from './datasets';
import type { Opened } from './EvaluationTable';
import { formatNumber, plainText, visibleText } from './format';
import { trans } from './i18n';
import type { JobTraits, Model } from './model';
import { isLong, RecordAnswer } from './RecordAnswer';
import type { RecordPages, Whole } from './recordpages';
import type { EvaluationState, Outcome, RecordQuery, ScoreMetric } from './results';

/** Whether differences are shown; kept for as long as the page. */
let showsDifferences = true;

interface EvaluationRecordProps {
  readonly model: Model<JobTraits>;
  readonly pages: RecordPages;
  readonly state: EvaluationState;
  readonly metric: ScoreMetric;
  readonly query: RecordQuery;
  readonly opened: Opened;
  /** How many records the table has; null while that is not known. */
  readonly total: number | null;
  readonly onOpen: (opened: Opened) => void;
  readonly onClose: () => void;
}

/** The record in the table's place. */
export function EvaluationRecord(props: EvaluationRecordProps) {
  const { model, pages, state, metric, query, opened, total, onOpen, onClose } = props;
  const region = useRef<HTMLElement>(null);
  const [differs, setDiffers] = useState(showsDifferences);
  const { place, id } = opened;
  // An overruled score may have taken the record out of the table: the next one is where it was.
  const next = pages.row(place)?.id === id ? place + 1 : place;
  const neighbours = { before: pages.row(place - 1), after: pages.row(next) };

  useEffect(() => {
    model.send({ type: 'record', id, metric: metric.name });
  }, [model, id, metric.name, state.version]);
  // The records around it, so that one can go on.
  const arrived = pages.version();
  useEffect(() => {
    const question = pages.ask(query, state.version, Math.max(0, place - 1), place + 1);
    if (question) {
      model.send(question);
    }
  }, [model, pages, query, state.version, place, arrived]);
  useEffect(() => {
    region.current?.focus({ preventScroll: true });
    region.current?.scrollIntoView({ block: 'nearest' });
  }, []);

  const go = (by: -1 | 1) => {
    const to = by < 0 ? neighbours.before : neighbours.after;
    if (to) {
      onOpen({ place: by < 0 ? place - 1 : next, id: to.id });
    }
  };
  const pressed = (event: KeyboardEvent) => {
    const isField = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
    if (event.key === 'Escape') {
      event.preventDefault();
      event.stopPropagation();
      onClose();
    } else if (!isField && !event.altKey && !event.ctrlKey && !event.metaKey) {
      const by = ({ ArrowLeft: -1, ArrowRight: 1 } as const)[event.key];
      if (by) {
        event.preventDefault();
        go(by);
      }
    }
  };
  const whole = pages.whole(metric.name, id);
  const row = pages.row(place);
  const compared = row?.id === id && row.outcome ? { model: query.model, outcome: row.outcome } : null;
  const where = total === null ? '' : trans.__('%1 of %2', formatNumber(place + 1), formatNumber(total));
  return (
    <section
      ref={region}
      className="tunelab-record"
      aria-label={trans.__('One record')}
      aria-busy={!whole}
      tabIndex={-1}
      data-lm-suppress-shortcuts="true"
      onKeyDown={pressed}
    >
      <header className="tunelab-record-head">
        <button type="button" className="tunelab-plain" onClick={onClose}>
          ‹ {trans.__('All records')}
        </button>
        <span className="tunelab-subject" role="status">
          {whole ? [trans.__('Row %1', formatNumber(whole.number)), where].filter(Boolean).join(', ') : where}
        </span>
        <label>
          <input
            type="checkbox"
            checked={differs}
            onChange={event => {
              showsDifferences = event.target.checked;
              setDiffers(event.target.checked);
            }}
          />
          {trans.__('Differences')}
        </label>
        <span className="tunelab-steering">
          {/* Not disabled at the ends, or the focus would go. */}
          <button
            type="button"
            aria-disabled={!neighbours.before}
            aria-keyshortcuts="ArrowLeft"
            onClick={() => {
              go(-1);
            }}
          >
            {trans.__('Previous')}
          </button>
          <button
            type="button"
            aria-disabled={!neighbours.after}
            aria-keyshortcuts="ArrowRight"
            onClick={() => {
              go(1);
            }}
          >
            {trans.__('Next')}
          </button>
        </span>
      </header>
      {whole ? (
        <Record key={id} {...{ model, pages, state, metric, whole, differs }} compared={compared} />
      ) : (
        <p className="tunelab-subject tunelab-results-none">{trans.__('Reading the record…')}</p>
      )}
    </section>
  );
}

interface RecordProps {
  readonly model: Model<JobTraits>;
  readonly pages: RecordPages;
  readonly state: EvaluationState;
  readonly metric: ScoreMetric;
  readonly whole: Whole;
  readonly differs: boolean;
  /** The model that is held against the baseline, and how it stands to it. */
  readonly compared: { readonly model: string; readonly outcome: Outcome } | null;
}

function Record({ model, pages, state, metric, whole, differs, compared }: RecordProps) {
  const base = whole.models[state.baseline];
  const columns = Object.entries(whole.columns);
  return (
    <>
      <dl className="tunelab-record-facts">
        <div className="tunelab-record-wide">
          <dt>{trans.__('Prompt')}</dt>
          <dd tabIndex={isLong(whole.prompt) ? 0 : undefined}>{visibleText(whole.prompt)}</dd>
        </div>
        {whole.ground_truth !== null && (
          <div className="tunelab-record-wide">
            <dt>{trans.__('Ground truth')}</dt>
            <dd tabIndex={isLong(whole.ground_truth) ? 0 : undefined}>{visibleText(whole.ground_truth)}</dd>
          </div>
        )}
        {[[trans.__('id'), whole.id] as const, ...columns].map(([name, value]) => (
          <div key={name}>
            <dt>{plainText(name)}</dt>
            <dd>{value === null ? '—' : textOf(value)}</dd>
          </div>
        ))}
      </dl>
      <div className="tunelab-record-answers">
        {state.models.flatMap(name => {
          const answer = whole.models[name];
          return answer
            ? [
                <RecordAnswer
                  key={name}
                  {...{ pages, name, answer, metric }}
                  outcome={compared?.model === name ? compared.outcome : null}
                  before={differs && name !== state.baseline && base ? base.text : null}
                  onOverrule={score => {
                    model.send({ type: 'overrule', id: whole.id, model: name, metric: metric.name, score });
                  }}
                />
              ]
            : [];
        })}
      </div>
    </>
  );
}
