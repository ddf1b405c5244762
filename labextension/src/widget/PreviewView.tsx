/** What a model will see of a dataset: rows token by token, which of them are trained on, and how long rows are. */
import { memo, useState, type ReactNode } from 'react';

import { count, lengthSentence, previewSentences } from './datasets';
import { formatNumber, plainText } from './format';
import { trans } from './i18n';
import { useTrait, type DatasetTraits, type Model, type Preview, type TokenSequence } from './model';

const FIRST_TOKENS = 600;

interface PreviewProps {
  readonly model: Model<DatasetTraits>;
  /** What is being done, or why it was not, where a preview was asked for last. */
  readonly said: ReactNode;
  /** Called as a preview is asked for. */
  readonly onAsk: () => void;
}

/** The choice of a model, and the preview once there is one. */
export function PreviewView({ model, said, onAsk }: PreviewProps) {
  const models = useTrait(model, 'models');
  const preview = useTrait(model, 'preview');
  const busy = useTrait(model, 'busy');
  const [chosen, setChosen] = useState<string | null>(null);
  const wanted = chosen ?? preview?.model ?? models[0] ?? '';
  const all = models.includes(wanted) || wanted === '' ? models : [wanted, ...models];
  return (
    <div className="tunelab-preview" aria-busy={busy !== null}>
      <form
        className="tunelab-choice"
        onSubmit={event => {
          event.preventDefault();
          onAsk();
          model.send({ type: 'preview', model: wanted });
        }}
      >
        <label>
          {trans.__('Model')}{' '}
          <select
            value={wanted}
            onChange={event => {
              setChosen(event.target.value);
            }}
          >
            {all.map(name => (
              <option key={name} value={name}>
                {plainText(name)}
              </option>
            ))}
          </select>
        </label>
        <button type="submit" disabled={busy !== null || wanted === ''}>
          {trans.__('Preview')}
        </button>
      </form>
      {said}
      {preview ? (
        <PreviewBody preview={preview} />
      ) : (
        <p className="tunelab-subject">
          {trans.__('Shows rows as the model gets them, with its chat template, and which tokens are trained on.')}
        </p>
      )}
    </div>
  );
}

const PreviewBody = memo(function PreviewBody({ preview }: { readonly preview: Preview }) {
  const sequences = preview.examples.flatMap(({ sequences: each }) => each);
  const isTrained = sequences.some(({ trained }) => trained > 0);
  return (
    <>
      {preview.problem !== null && (
        <p className="tunelab-block" data-tone="bad" role="note">
          <b>{trans.__('It cannot be trained on:')}</b> {plainText(preview.problem)}
        </p>
      )}
      <p>{trans.__('As %1 sees it: %2', plainText(preview.model), lengthSentence(preview))}</p>
      <Histogram preview={preview} />
      {previewSentences(preview).map(sentence => (
        <p key={sentence} className="tunelab-subject">
          {plainText(sentence)}
        </p>
      ))}
      <p className="tunelab-token-legend" aria-label={trans.__('Legend')}>
        {isTrained && (
          <span>
            <mark className="tunelab-trained">
              <span>{trans.__('underlined')}</span>
            </mark>{' '}
            {trans.__('trained on')}
          </span>
        )}
        <span>
          <span className="tunelab-special">{trans.__('framed')}</span> {trans.__('special token')}
        </span>
        <span>
          <span className="tunelab-mark">↵</span> {trans.__('line end')}
        </span>
      </p>
      {preview.examples.map(({ row, sequences: each }) =>
        each.map(sequence => <Sequence key={`${row} ${sequence.label}`} row={row} sequence={sequence} />)
      )}
    </>
  );
});

function Sequence({ row, sequence }: { readonly row: number; readonly sequence: TokenSequence }) {
  const [isWhole, setWhole] = useState(false);
  const { label, tokens, length, trained, cut } = sequence;
  const shown = isWhole ? tokens : tokens.slice(0, FIRST_TOKENS);
  const title = label ? trans.__('Row %1, %2', formatNumber(row), label) : trans.__('Row %1', formatNumber(row));
  return (
    <figure className="tunelab-sequence">
      <figcaption>
        <b>{title}</b>{' '}
        <span className="tunelab-subject">
          {cut > 0
            ? trans.__(
                '%1, %2 trained on, %3 cut off',
                count(length, 'token'),
                formatNumber(trained),
                formatNumber(cut)
              )
            : trans.__('%1, %2 trained on', count(length, 'token'), formatNumber(trained))}
        </span>
      </figcaption>
      <div
        className="tunelab-tokens"
        role="group"
        aria-label={trans.__('Tokens of %1', title.toLowerCase())}
        tabIndex={0}
      >
        {runs(shown).map(({ isTrained, first, run }) =>
          isTrained ? (
            <mark key={first} className="tunelab-trained">
              {run.map(drawToken)}
            </mark>
          ) : (
            <span key={first}>{run.map(drawToken)}</span>
          )
        )}
        {cut > 0 && shown.length === tokens.length && (
          <span className="tunelab-cut">{trans.__('%1 cut off', count(cut, 'token'))}</span>
        )}
      </div>
      {shown.length < tokens.length && (
        <button
          type="button"
          className="tunelab-plain"
          onClick={() => {
            setWhole(true);
          }}
        >
          {trans.__('Show all %1 tokens', formatNumber(tokens.length))}
        </button>
      )}
    </figure>
  );
}

type Token = TokenSequence['tokens'][number];

/** Tokens in stretches that are trained on or not. */
function runs(tokens: readonly Token[]): { isTrained: boolean; first: number; run: Token[] }[] {
  const found: { isTrained: boolean; first: number; run: Token[] }[] = [];
  tokens.forEach((token, place) => {
    const isTrained = token[1] === 1;
    const last = found.at(-1);
    if (last?.isTrained === isTrained) {
      last.run.push(token);
    } else {
      found.push({ isTrained, first: place, run: [token] });
    }
  });
  return found;
}

// Control characters but the line end and the tab, which have marks.
const UNSEEN = /(?![\n\t])\p{Cc}/gu;

function drawToken([text, , special]: Token, place: number) {
  // The kernel puts a mark before each line end and tab.
  const parts = text.replace(UNSEEN, '\ufffd').split(/(↵\n|→\t)/);
  return (
    <span key={place} className={special ? 'tunelab-special' : 'tunelab-token'}>
      {parts.map((part, at) =>
        /^(?:↵\n|→\t)$/.test(part) ? (
          <span key={at}>
            <span className="tunelab-mark" aria-hidden="true">
              {part.charAt(0)}
            </span>
            {part.charAt(1)}
          </span>
        ) : (
          part
        )
      )}
    </span>
  );
}

const WIDE = 480;
const TALL = 64;

/** How many rows are how long, and where they are cut. */
function Histogram({ preview }: { readonly preview: Preview }) {
  const { bins } = preview.lengths;
  const first = bins[0];
  const last = bins.at(-1);
  if (!first || !last) {
    return null;
  }
  const low = first[0];
  const high = Math.max(last[1], low + 1);
  const most = Math.max(1, ...bins.map(([, , rows]) => rows));
  const x = (tokens: number) => ((tokens - low) / (high - low)) * WIDE;
  const cut = preview.max_length;
  const isCut = cut !== null && cut >= low && cut < high;
  const range = [formatNumber(low), formatNumber(high - 1)] as const;
  const name = isCut
    ? trans.__('Lengths of rows: %1 to %2 tokens, cut at %3', ...range, formatNumber(cut))
    : trans.__('Lengths of rows: %1 to %2 tokens', ...range);
  return (
    <figure className="tunelab-histogram">
      {isCut && (
        <div className="tunelab-cut-at" style={{ width: `${(100 * x(cut)) / WIDE}%` }}>
          {trans.__('cut at %1', formatNumber(cut))}
        </div>
      )}
      <svg role="img" aria-label={name} viewBox={`0 0 ${WIDE} ${TALL}`} preserveAspectRatio="none">
        {bins.map(([from, to, rows]) => {
          // The least count can be seen.
          const height = rows === 0 ? 0 : Math.max(2, (rows / most) * TALL);
          return (
            <rect
              key={from}
              x={x(from)}
              width={Math.max(1, x(to) - x(from) - 1)}
              y={TALL - height}
              height={height}
              data-cut={cut !== null && from >= cut}
            >
              <title>
                {trans.__('%1 to %2 tokens: %3', formatNumber(from), formatNumber(to - 1), count(rows, 'row'))}
              </title>
            </rect>
          );
        })}
        {isCut && <line x1={x(cut)} x2={x(cut)} y1={0} y2={TALL} />}
      </svg>
      <figcaption>
        <span>{formatNumber(low)}</span>
        <span>{trans.__('%1 tokens', formatNumber(high - 1))}</span>
      </figcaption>
    </figure>
  );
}
