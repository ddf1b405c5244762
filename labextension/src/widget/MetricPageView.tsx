/** One version of a judge's metric: what the judge reads, the scale it replies on, and the forms it is taken along in. */
import { useEffect, useState } from 'react';

import { CopyButton } from './Actions';
import { formatDate } from './dates';
import { capitalise, formatNumber, plainText, visibleText } from './format';
import { trans } from './i18n';
import { draftOf, marked, type Draft, type MetricPage, type MetricRow, type MetricsTraits } from './judgemetrics';
import type { Message, Model } from './model';
import { byNumber, FactList, HeadRow, Reading, Section, VersionChoice } from './ModelParts';
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
    return <Reading what={trans.__('Reading the metric…')} refused={refused} />;
  }
  return (
    <section className="tunelab-card tunelab-metric-card" aria-label={trans.__('Metric %1', label)}>
      <HeadRow
        name={label}
        choice={
          <VersionChoice
            versions={byNumber(row.versions)}
            value={label.slice(label.lastIndexOf('@') + 1)}
            onValue={version => {
              onOpen(`${row.name}@${version}`);
            }}
          />
        }
      >
        <CopyButton text={page.cell} label={trans.__('Copy as cell')} />
        <CopyButton text={page.python} label={trans.__('Copy as Python')} />
        <button
          type="button"
          title={trans.__('As SageMaker and Bedrock take it')}
          onClick={() => {
            saveFile(`${row.name}.json`, [page.json]);
          }}
        >
          {trans.__('Save as JSON')}
        </button>
        <button
          type="button"
          className="tunelab-primary"
          onClick={() => {
            onDraft(draftOf(page, row));
          }}
        >
          {row.builtin ? trans.__('New metric from it') : trans.__('New version')}
        </button>
      </HeadRow>
      <Facts row={row} page={page} />
      <Section name={trans.__('Instructions')}>
        <div className="tunelab-instructions" tabIndex={0} role="group" aria-label={trans.__('Instructions')}>
          {marked(visibleText(page.instructions)).map(({ text, isPlaceholder }, place) =>
            isPlaceholder ? <mark key={place}>{text}</mark> : <span key={place}>{text}</span>
          )}
        </div>
      </Section>
      <Section name={trans.__('Scale, from the worst to the best')}>
        <table className="tunelab-scale" aria-label={trans.__('Scale')}>
          <thead>
            <tr>
              <th scope="col">{page.ratings[0]?.value === null ? trans.__('Counts') : trans.__('Value')}</th>
              <th scope="col">{trans.__('Definition')}</th>
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
      </Section>
    </section>
  );
}

function Facts({ row, page }: { readonly row: MetricRow; readonly page: MetricPage }) {
  const names = marked(page.instructions).filter(({ isPlaceholder }) => isPlaceholder);
  const needsTruth = names.some(({ text }) => text.includes('ground_truth'));
  const isOfWords = page.ratings[0]?.value === null;
  const facts: readonly (readonly [name: string, value: string])[] = [
    [trans.__('From'), row.builtin ? trans.__('built in') : trans.__('yours')],
    ...(page.created === null ? [] : [[trans.__('Created'), formatDate(page.created)] as const]),
    [trans.__('Needs'), needsTruth ? trans.__('a ground truth') : trans.__('no ground truth')],
    [trans.__('Replies'), isOfWords ? trans.__('words, which count in their order') : trans.__('numbers')]
  ];
  return <FactList facts={facts.map(([name, value]) => [name, capitalise(value)])} />;
}
