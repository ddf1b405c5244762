/** What a run warns of, above its charts: what is wrong first, then what to do about it. */
import { useState } from 'react';

import { capitalise, formatNumber, plainText } from './format';
import { trans } from './i18n';
import type { Alert } from './model';

/** How often each warning had come when it was put away; kept for as long as the page, since views come and go. */
const put = new Map<string, Readonly<Record<string, string>>>();

interface AlertsProps {
  readonly job: string;
  readonly alerts: readonly Alert[];
}

/** The warnings that were not put away; one that comes again is shown again. */
export function Alerts({ job, alerts }: AlertsProps) {
  const [away, setAway] = useState(() => put.get(job) ?? {});
  const shown = alerts.filter(alert => away[alert.code] !== at(alert));
  return (
    // There from the start: a live region tells what comes into it, not what it came with.
    <div className="tunelab-alerts" aria-live="polite">
      {shown.length > 0 && (
        <ul aria-label={trans.__('Warnings')}>
          {shown.map(alert => (
            <li key={alert.code} className="tunelab-block" data-tone="warn" data-code={alert.code}>
              <p>
                <b>{plainText(alert.message)}</b> {plainText(alert.advice)}{' '}
                <span className="tunelab-subject">{whenSaid(alert)}</span>
              </p>
              <button
                type="button"
                className="tunelab-close"
                aria-label={trans.__('Hide the warning: %1', plainText(alert.message))}
                title={trans.__('Hide until it comes again')}
                onClick={() => {
                  const next = { ...away, [alert.code]: at(alert) };
                  put.set(job, next);
                  setAway(next);
                }}
              >
                ×
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function at({ step, count }: Alert): string {
  return `${step} ${count}`;
}

/** `Step 40, 3 times so far.` */
function whenSaid({ step, count }: Alert): string {
  const often = count > 1 ? trans._n('%2 time so far', '%2 times so far', count, formatNumber(count)) : '';
  const when = step === null ? '' : trans.__('step %1', formatNumber(step));
  const said = [when, often].filter(Boolean).join(', ');
  return said && `${capitalise(said)}.`;
}
