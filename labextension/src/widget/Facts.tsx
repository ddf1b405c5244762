/** The facts below the charts: held-out figures, the last checkpoint, rows, the version that came out. */
import { useEffect, useState } from 'react';

import { formatDate } from './dates';
import { formatBytes, formatDuration, formatNumber, plainText } from './format';
import { trans } from './i18n';
import { metricName } from './metrics';
import type { JobSnapshot } from './model';
import { hasEnded } from './states';

// Held-out figures that matter, of which the first two that are there are shown.
const HELD_OUT = [
  'eval_rewards/margins',
  'eval_reward',
  'eval_loss',
  'eval_rewards/accuracies',
  'eval_mean_token_accuracy'
];

/** A row of named facts. */
export function Facts({ job }: { readonly job: JobSnapshot }) {
  const now = useNow(hasEnded(job.state) ? null : 5000);
  const facts: [name: string, value: React.ReactNode][] = [];
  for (const { name, value, step } of heldOut(job)) {
    facts.push([
      metricName(name),
      <>
        <b>{formatNumber(value)}</b> {trans.__('at step %1', step)}
      </>
    ]);
  }
  if (job.checkpoint) {
    const { step, time } = job.checkpoint;
    facts.push([
      trans.__('Checkpoint'),
      hasEnded(job.state)
        ? trans.__('step %1', step)
        : trans.__('step %1, %2 ago', step, formatDuration(Math.max(0, now - time)))
    ]);
  }
  if (job.restarts > 0) {
    facts.push([trans.__('Recovered'), trans._n('once', '%1 times', job.restarts)]);
  }
  const { train, eval: held } = job.rows;
  if (job.kind === 'evaluate') {
    facts.push(
      [trans.__('Dataset'), plainText(job.dataset)],
      [trans.__('Records'), held > 0 ? formatNumber(held) : '']
    );
  } else {
    facts.push([
      trans.__('Rows'),
      [trans.__('%1 train', formatNumber(train)), held ? trans.__('%1 held out', formatNumber(held)) : '']
        .filter(Boolean)
        .join(' · ')
    ]);
  }
  facts.push([trans.__('Disk'), formatBytes(job.disk_bytes)]);
  facts.push([trans.__('Submitted'), formatDate(job.submitted)]);
  if (job.model_version !== null) {
    facts.push([trans.__('Custom model'), <b key="version">{job.model_version}</b>]);
  }
  return (
    <dl className="tunelab-facts">
      {facts
        .filter(([, value]) => value !== '')
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

function heldOut(job: JobSnapshot) {
  const found = HELD_OUT.map(name => job.metrics.find(metric => metric.name === name));
  return found.filter(metric => metric !== undefined).slice(0, 2);
}

/** The time in seconds, read again every so many milliseconds. */
function useNow(every: number | null): number {
  const [now, setNow] = useState(() => Date.now() / 1000);
  useEffect(() => {
    if (every === null) {
      return undefined;
    }
    const timer = setInterval(() => {
      setNow(Date.now() / 1000);
    }, every);
    return () => {
      clearInterval(timer);
    };
  }, [every]);
  return now;
}
