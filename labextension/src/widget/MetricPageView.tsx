/** One version of a judge's metric: what the judge reads, the scale it replies on, and the forms it is taken along in. */
import { useEffect, useState } from 'react';

import { CopyButton } from './Actions';
import { formatDate } from './datasets';
import { capitalise, formatNumber, plainText, visibleText } from './format';
import { draftOf, marked, type Draft, type MetricPage, type MetricRow, type MetricsTraits } from './judgemetrics';
import type { Message, Model } from './model';
import { saveFile } from './savefile';

interface MetricPageViewProps {
  readonly model: Model<MetricsTraits>;
  readonly row: MetricRow;
  /** `NAME@VERSION`. */
  readonly label: string;
  readonly onOpen: (metric: string) => void;
  readonly onDraft: (draft: Draft) => void;
}

/** The page, once the kernel has answered. */
export function MetricPageView({ model, row, label, onOpen, onDraft }: MetricPageViewProps) {
  const [page, setPage] = useState<MetricPage | null>(null);
  const [refused, setRefused] = useState('');
  useEffect(() => {
    const heard = (message: Message) => {
      if (message.type === 'metric' && message.metric === label) {
        setPage(message);
      } else if (message.type === 'metric_refused' && message.metric === label) {
        setRefused(plainText(message.reason));
      }
    };
    model.on('msg:custom', heard);
    model.send({ type: 'metric', metric: label });
    return () => {
      model.off('msg:custom', heard);
    };
  }, [model, label]);
  if (!page) {
    return (
      <p className="tunelab-empty" role="status">
        {refused || 'Reading the metric…'}
      </p>
    );
  }
  const version = Number(label.slice(label.lastIndexOf('@') + 1));
  return (
    <section className="tunelab-card tunelab-metric-card" aria-label={`Metric ${label}`}>
      <header className="tunelab-head">
        <div className="tunelab-title">
          <h3 className="tunelab-name">{label}</h3>
          {row.versions.length > 1 && (
            <label className="tunelab-choice">
              Version{' '}
              <select
                value={version}
                onChange={event => {
                  onOpen(`${row.name}@${event.target.value}`);
                }}
              >
                {row.versions.map((each, place) => (
                  <option key={each} value={each}>
                    {place === 0 ? `${each} (newest)` : each}
                  </option>
                ))}
              </select>
            </label>
          )}
        </div>
        <div className="tunelab-actions">
          <CopyButton text={page.cell} label="Copy as cell" />
          <CopyButton text={page.python} label="Copy as Python" />
          <button
            type="button"
            title="As SageMaker and Bedrock take it"
            onClick={() => {
              saveFile(`${row.name}.json`, [page.json]);
            }}
          >
            Save as JSON
          </button>
          <button
            type="button"
            className="tunelab-primary"
            onClick={() => {
              onDraft(draftOf(page, row));
            }}
          >
            {row.builtin ? 'New metric from it' : 'New version'}
          </button>
        </div>
      </header>
      <Facts row={row} page={page} />
      <section className="tunelab-section">
        <h4>Instructions</h4>
        <div className="tunelab-instructions" tabIndex={0} role="group" aria-label="Instructions">
          {marked(visibleText(page.instructions)).map(({ text, isPlaceholder }, place) =>
            isPlaceholder ? <mark key={place}>{text}</mark> : <span key={place}>{text}</span>
          )}
        </div>
      </section>
      <section className="tunelab-section">
        <h4>Scale, from the worst to the best</h4>
        <table className="tunelab-scale" aria-label="Scale">
          <thead>
            <tr>
              <th scope="col">{page.ratings[0]?.value === null ? 'Counts' : 'Value'}</th>
              <th scope="col">Definition</th>
            </tr>
          </thead>
          <tbody>
            {page.ratings.map(({ definition, counts }) => (
              <tr key={definition}>
                <td>{formatNumber(counts)}</td>
                <td>{visibleText(definition)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </section>
  );
}

function Facts({ row, page }: { readonly row: MetricRow; readonly page: MetricPage }) {
  const names = marked(page.instructions).filter(({ isPlaceholder }) => isPlaceholder);
  const needsTruth = names.some(({ text }) => text.includes('ground_truth'));
  const isOfWords = page.ratings[0]?.value === null;
  const facts: readonly (readonly [name: string, value: string])[] = [
    ['From', row.builtin ? 'built in' : 'yours'],
    ...(page.created === null ? [] : [['Created', formatDate(page.created)] as const]),
    ['Needs', needsTruth ? 'a ground truth' : 'no ground truth'],
    ['Replies', isOfWords ? 'words, which count in their order' : 'numbers']
  ];
  return (
    <dl className="tunelab-facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{capitalise(value)}</dd>
        </div>
      ))}
    </dl>
  );
}
