/** The foot of the customize form, always in view: what the job takes, what is still to be mended, and the buttons. */
import { useState } from 'react';

import { CopyButton } from './Actions';
import type { CustomizeTraits, Estimate, PlanFacts } from './customize';
import { formatBytes, formatDuration, formatNumber, plainText } from './format';
import { trans } from './i18n';
import { useTrait, type Model } from './model';
import { useShell } from './shell';

interface CustomizeFootProps {
  readonly model: Model<CustomizeTraits>;
  /** Whether the kernel still thinks about what was typed last. */
  readonly isWaiting: boolean;
  readonly onCheck: () => void;
}

/** The foot. */
export function CustomizeFoot({ model, isWaiting, onCheck }: CustomizeFootProps) {
  const faults = useTrait(model, 'faults');
  const estimate = useTrait(model, 'estimate');
  const cell = useTrait(model, 'cell');
  const checking = useTrait(model, 'checking');
  const submitting = useTrait(model, 'submitting');
  const refused = useTrait(model, 'refused');
  const shell = useShell();
  const [notice, setNotice] = useState('');
  const isBusy = checking || submitting;
  const doing = checking
    ? trans.__('Checking: every row is read and two steps are measured…')
    : submitting
      ? trans.__('Starting the job…')
      : '';
  const toMend = trans._n('%1 thing to mend', '%1 things to mend', faults.length);
  return (
    <footer className="tunelab-create-foot tunelab-customize-foot" aria-busy={isWaiting || isBusy}>
      {(refused ?? notice) && (
        <p className="tunelab-block" data-tone="bad" role="alert">
          {plainText(refused ?? notice)}
        </p>
      )}
      <p className="tunelab-subject" aria-live="polite" title={basisOf(estimate)}>
        {doing || (faults.length > 0 ? toMend : estimateText(estimate).join(' · '))}
      </p>
      <div className="tunelab-actions">
        <button
          type="button"
          disabled={isBusy}
          title={trans.__('Reads every row, measures time and memory, starts nothing')}
          onClick={onCheck}
        >
          {trans.__('Check')}
        </button>
        <CopyButton text={cell} label={trans.__('Copy as cell')} />
        {shell && (
          <button
            type="button"
            onClick={() => {
              setNotice('');
              void shell.insertCell(cell).then(reason => {
                setNotice(reason ?? '');
              });
            }}
          >
            {trans.__('Put into notebook')}
          </button>
        )}
        <button type="submit" className="tunelab-primary" disabled={isBusy}>
          {trans.__('Customize')}
        </button>
      </div>
    </footer>
  );
}

/** What the job takes, as far as it is known. */
function estimateText({ steps, time_s, memory_bytes, memory_free, disk_bytes }: Estimate): readonly string[] {
  const isTooMuch = memory_bytes !== undefined && memory_free !== undefined && memory_bytes > memory_free;
  return [
    steps === undefined ? trans.__('Check counts the steps') : trans._n('%1 step', '%1 steps', steps),
    time_s === undefined
      ? steps === undefined
        ? ''
        : trans.__('Check measures the time')
      : trans.__('about %1', formatDuration(time_s)),
    memory_bytes === undefined
      ? ''
      : isTooMuch
        ? trans.__('%1 memory, and %2 are free', formatBytes(memory_bytes), formatBytes(memory_free))
        : trans.__('%1 memory', formatBytes(memory_bytes)),
    disk_bytes === undefined || disk_bytes === null ? '' : trans.__('%1 disk', formatBytes(disk_bytes))
  ].filter(Boolean);
}

/** Where the figures come from. */
function basisOf({ train_rows, eval_rows, evaluations, time_from, memory_bytes }: Estimate): string {
  return [
    train_rows === undefined
      ? ''
      : trans.__('%1 rows to train on, %2 held out', formatNumber(train_rows), formatNumber(eval_rows ?? 0)),
    evaluations ? trans._n('%1 held-out evaluation', '%1 held-out evaluations', evaluations) : '',
    time_from === undefined ? '' : trans.__('time as in %1', plainText(time_from)),
    memory_bytes === undefined ? '' : trans.__('memory by formula')
  ]
    .filter(Boolean)
    .join('; ');
}

/** What a check measured. */
export function PlanReport({ plan }: { readonly plan: PlanFacts }) {
  return (
    <section className="tunelab-form-group" aria-label={trans.__('Plan')}>
      <h4>{trans.__('Plan: nothing was started')}</h4>
      <FactList facts={plan.facts} />
      {plan.report && (
        <>
          <h4>{trans.__('What the reward makes of sampled answers')}</h4>
          <FactList facts={plan.report} />
        </>
      )}
      {plan.warnings.map(text => (
        <p key={text} className="tunelab-block" data-tone="warn">
          {plainText(text)}
        </p>
      ))}
    </section>
  );
}

function FactList({ facts }: { readonly facts: PlanFacts['facts'] }) {
  return (
    <dl className="tunelab-plan">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{plainText(name)}</dt>
          <dd>{plainText(value)}</dd>
        </div>
      ))}
    </dl>
  );
}
