/** One model's answer to a record: its text against the baseline's, its score with the reasons, and a person's word. */
import { useMemo, useState, useSyncExternalStore } from 'react';

import { OutcomeWord } from './EvaluationTable';
import { scoreText, whyUnscored } from './evaluations';
import { formatNumber, plainText, visibleText } from './format';
import { trans } from './i18n';
import type { RecordPages } from './recordpages';
import type { Outcome, ScoreMetric, WholeAnswer } from './results';
import { wordDiff, type Piece } from './worddiff';

/** Whether a text may need a scroll bar, which the keyboard must get to. */
export function isLong(text: string): boolean {
  return text.length > 600;
}

interface RecordAnswerProps {
  readonly pages: RecordPages;
  readonly name: string;
  readonly answer: WholeAnswer;
  readonly metric: ScoreMetric;
  /** How it stands to the baseline's; null where that is not told. */
  readonly outcome: Outcome | null;
  /** The baseline's answer, to tell what differs; null to tell nothing. */
  readonly before: string | null;
  /** Null takes a person's score back. */
  readonly onOverrule: (score: number | null) => void;
}

/** The answer. */
export function RecordAnswer(props: RecordAnswerProps) {
  const { pages, name, answer, metric, outcome, before, onOverrule } = props;
  const why = answer.status === undefined ? null : whyUnscored(answer);
  const note = plainText(answer.note ?? '');
  const reasoning = visibleText(answer.reasoning ?? '').trim();
  const raw = visibleText(answer.raw ?? '').trim();
  return (
    <article className="tunelab-record-answer" aria-label={plainText(name)}>
      <h4>{plainText(name)}</h4>
      <Text text={visibleText(answer.text)} before={before === null ? null : visibleText(before)} />
      <p className="tunelab-answer-foot">
        {answer.cut && <span className="tunelab-trouble">{trans.__('cut off')}</span>}
        <span className="tunelab-subject">{costOf(answer)}</span>
      </p>
      {answer.status !== undefined && (
        <>
          <p className="tunelab-record-score">
            <span>
              {why === null ? (
                <>
                  {trans.__('Score')} <b>{scoreText(answer)}</b>
                </>
              ) : (
                <span className="tunelab-trouble">{trans.__('No score: %1', note || why)}</span>
              )}
              {answer.against && (
                <span className="tunelab-subject"> {trans.__('against %1', plainText(answer.against))}</span>
              )}
            </span>
            {outcome && outcome !== 'unscored' && <OutcomeWord outcome={outcome} />}
            {answer.flipped && (
              <span className="tunelab-trouble">{trans.__('the verdict changed with the order: a tie')}</span>
            )}
            {why === null && note && <span className="tunelab-subject">{note}</span>}
          </p>
          <Overrule {...{ pages, name, answer, metric, onOverrule }} />
          {reasoning && (
            <div className="tunelab-reasoning">
              <span className="tunelab-subject">{trans.__('Reasoning')}</span>
              <p>{reasoning}</p>
            </div>
          )}
          {raw && (
            <details className="tunelab-raw">
              <summary>{trans.__('Reply as it came')}</summary>
              <pre tabIndex={0}>{raw}</pre>
            </details>
          )}
        </>
      )}
    </article>
  );
}

function costOf({ latency_s: latency, tokens_in: read, tokens_out: written, cost }: WholeAnswer): string {
  const has = (value: number | null | undefined): value is number => typeof value === 'number';
  return [
    has(latency) ? trans.__('%1 s', formatNumber(latency)) : '',
    has(read) && has(written) ? trans.__('%1 tokens in, %2 out', formatNumber(read), formatNumber(written)) : '',
    has(cost) ? trans.__('cost %1', formatNumber(cost)) : ''
  ]
    .filter(Boolean)
    .join(' · ');
}

function Text({ text, before }: { readonly text: string; readonly before: string | null }) {
  const pieces = useMemo(() => (before === null ? undefined : wordDiff(before, text)), [before, text]);
  if (!pieces) {
    return (
      <>
        {pieces === null && (
          <p className="tunelab-subject">{trans.__('Too long, or too unlike, to compare word by word.')}</p>
        )}
        {text.trim() === '' ? (
          <p className="tunelab-subject">{trans.__('(empty)')}</p>
        ) : (
          <p className="tunelab-record-whole" tabIndex={isLong(text) ? 0 : undefined}>
            {text}
          </p>
        )}
      </>
    );
  }
  return (
    <p className="tunelab-record-whole" tabIndex={isLong(`${before}${text}`) ? 0 : undefined}>
      {pieces.map((piece, place) => (
        <Stretch key={place} {...piece} />
      ))}
    </p>
  );
}

function Stretch({ kind, text }: Piece) {
  return kind === 'added' ? <ins>{text}</ins> : kind === 'removed' ? <del>{text}</del> : <>{text}</>;
}

type OverruleProps = Pick<RecordAnswerProps, 'pages' | 'name' | 'answer' | 'metric' | 'onOverrule'>;

/** A person's score in place of the one that was given: a point of the scale, or a number. */
function Overrule({ pages, name, answer, metric, onOverrule }: OverruleProps) {
  const [draft, setDraft] = useState('');
  // What was asked for stands until the kernel answers, or says why not.
  const refused = useSyncExternalStore(pages.subscribe, pages.refusals);
  const [given, setGiven] = useState<{ answer: WholeAnswer; refused: number; score: number | null } | null>(null);
  const isGiven = given?.answer === answer && given.refused === refused;
  const human = isGiven ? given.score : (answer.human ?? null);
  const give = (score: number | null) => {
    setGiven({ answer, refused, score });
    onOverrule(score);
  };
  const points = pointsOf(metric);
  const label = trans.__('Your score of %1', plainText(name));
  const value = Number(draft);
  const isScore =
    draft.trim() !== '' &&
    Number.isFinite(value) &&
    (metric.low === null || value >= metric.low) &&
    (metric.high === null || value <= metric.high);
  const submit = () => {
    if (isScore) {
      give(value);
      setDraft('');
    }
  };
  return (
    <form
      className="tunelab-overrule"
      onSubmit={event => {
        event.preventDefault();
        submit();
      }}
    >
      <label>
        {human === null ? trans.__('Your score') : trans.__('A person’s score')}{' '}
        {points ? (
          <select
            aria-label={label}
            value={human === null ? '' : String(human)}
            onChange={event => {
              if (event.target.value !== '') {
                give(Number(event.target.value));
              }
            }}
          >
            {human === null && <option value="">{trans.__('as it is')}</option>}
            {/* A score that a person gave in a notebook may lie between the points. */}
            {human !== null && !points.some(([, point]) => point === human) && (
              <option value={String(human)}>{formatNumber(human)}</option>
            )}
            {points.map(([point, number]) => (
              <option key={point} value={String(number)}>
                {plainText(point)}
              </option>
            ))}
          </select>
        ) : (
          <input
            type="number"
            step="any"
            aria-label={label}
            min={metric.low ?? undefined}
            max={metric.high ?? undefined}
            placeholder={human === null ? rangeOf(metric) : formatNumber(human)}
            value={draft}
            aria-invalid={draft !== '' && !isScore}
            onKeyDown={event => {
              // A notebook takes the key for itself, so that no submit follows from it.
              if (event.key === 'Enter') {
                event.preventDefault();
                submit();
              }
            }}
            onChange={event => {
              setDraft(event.target.value);
            }}
          />
        )}
      </label>
      {!points && (
        <button type="submit" disabled={!isScore}>
          {trans.__('Overrule')}
        </button>
      )}
      {human !== null && (
        <>
          {!points && <b>{formatNumber(human)}</b>}
          <button
            type="button"
            aria-label={trans.__('Take back the score of %1', plainText(name))}
            onClick={event => {
              // The button goes; the focus must not go with it.
              event.currentTarget.form?.querySelector<HTMLElement>('select, input')?.focus();
              give(null);
            }}
          >
            {trans.__('Take back')}
          </button>
        </>
      )}
    </form>
  );
}

/** The points of a scale with their names; null where it has none. */
function pointsOf({ labels, pairwise }: ScoreMetric): readonly (readonly [name: string, value: number])[] | null {
  if (pairwise) {
    return [
      [trans.__('loses'), 0],
      [trans.__('tie'), 0.5],
      [trans.__('wins'), 1]
    ];
  }
  return labels && Object.entries(labels).map(([name, value]) => [`${formatNumber(value)} ${name}`, value] as const);
}

function rangeOf({ low, high }: ScoreMetric): string | undefined {
  return low === null || high === null ? undefined : trans.__('%1 to %2', formatNumber(low), formatNumber(high));
}
