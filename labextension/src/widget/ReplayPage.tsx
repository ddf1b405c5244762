/** Running a job again from its record: what differs today comes first, then the button, then the new job's page. */
import { useEffect, useState } from 'react';

import { CopyButton } from './Actions';
import { plainText } from './format';
import { trans } from './i18n';
import { useTrait, type Model } from './model';
import { Columns } from './ModelParts';
import type { ReplayDifference, ReplayTraits } from './replays';
import { useNavigation } from './route';
import { useOpened } from './useOpened';

interface ReplayPageProps {
  readonly job: string;
  readonly isEvaluation?: boolean;
}

/** The page of one job's replay. */
export function ReplayPage({ job, isEvaluation = false }: ReplayPageProps) {
  const { model, refused } = useOpened<ReplayTraits>({ view: 'replay', job }, 'differences');
  return (
    <div className="tunelab">
      <section
        className="tunelab-card tunelab-replay"
        role="region"
        aria-label={trans.__('Run job %1 again', job)}
        aria-busy={!model && !refused}
      >
        <header className="tunelab-head">
          <div className="tunelab-title">
            <h3 className="tunelab-name">{trans.__('Run again')}</h3>
            <span className="tunelab-subject">{plainText(job)}</span>
          </div>
          {model && <Copy model={model} />}
        </header>
        {model ? (
          <Replay model={model} isEvaluation={isEvaluation} />
        ) : (
          <p className="tunelab-empty">{refused || trans.__('Holding the record against today…')}</p>
        )}
      </section>
    </div>
  );
}

function Copy({ model }: { readonly model: Model<ReplayTraits> }) {
  const cell = useTrait(model, 'cell');
  return cell ? (
    <div className="tunelab-actions">
      <CopyButton text={cell} label={trans.__('Copy as cell')} />
    </div>
  ) : null;
}

function Replay({ model, isEvaluation }: { readonly model: Model<ReplayTraits>; readonly isEvaluation: boolean }) {
  const differences = useTrait(model, 'differences');
  const same = useTrait(model, 'same');
  const unknown = useTrait(model, 'unknown');
  const refused = useTrait(model, 'refused');
  const failed = useTrait(model, 'failed');
  const submitted = useTrait(model, 'submitted');
  const navigation = useNavigation();
  const isStarting = useTrait(model, 'starting');
  // Only the view that asked for it goes on to the new job.
  const [isAsked, setAsked] = useState(false);
  useEffect(() => {
    if (submitted && isAsked && navigation) {
      // The new job takes this page's place.
      navigation.back();
      navigation.go({ page: 'job', job: submitted, isEvaluation });
    }
  }, [submitted, isAsked, navigation, isEvaluation]);
  const trouble = failed ?? refused;
  return (
    <div className="tunelab-replay-body">
      {differences.length > 0 ? (
        <Differences rows={differences} />
      ) : (
        !refused && (
          <p>
            {unknown.length === 0
              ? trans.__('Nothing differs: the result will be the same to the byte on this machine.')
              : trans.__('Nothing that was noted differs.')}
          </p>
        )
      )}
      {unknown.length > 0 && (
        <ul className="tunelab-replay-unknown" aria-label={trans.__('What is not known')}>
          {unknown.map(line => (
            <li key={line}>{plainText(line)}</li>
          ))}
        </ul>
      )}
      {same.length > 0 && (
        <details>
          <summary>{trans._n('%1 thing is the same', '%1 things are the same', same.length)}</summary>
          <p className="tunelab-subject">{plainText(same.join(', '))}</p>
        </details>
      )}
      {trouble && (
        <p className="tunelab-block" data-tone="bad" role="alert">
          {plainText(trouble)}
        </p>
      )}
      {!refused && (
        <p className="tunelab-replay-foot">
          <button
            type="button"
            className="tunelab-primary"
            disabled={isStarting || submitted !== null}
            onClick={() => {
              setAsked(true);
              model.send({ type: 'run' });
            }}
          >
            {isStarting ? trans.__('Starting…') : trans.__('Run again')}
          </button>
          <span className="tunelab-subject">
            {trans.__('The same settings, rows, functions and prompts as then; a job of its own.')}
          </span>
        </p>
      )}
    </div>
  );
}

function Differences({ rows }: { readonly rows: readonly ReplayDifference[] }) {
  return (
    <>
      <h4>{trans.__('What differs today')}</h4>
      <div className="tunelab-compare-scroll" tabIndex={0} role="group" aria-label={trans.__('Table of differences')}>
        <table role="table" aria-label={trans.__('What differs today')}>
          <Columns names={[trans.__('What'), trans.__('Then'), trans.__('Now')]} />
          <tbody role="rowgroup">
            {rows.map(({ what, then, now }) => (
              <tr key={what} role="row">
                <th role="rowheader" scope="row">
                  {plainText(what)}
                </th>
                <td role="cell">{plainText(then)}</td>
                <td role="cell">{plainText(now)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
