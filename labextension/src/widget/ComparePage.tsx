/** Jobs beside each other: the same metric of each in one chart, and what differs in their specs and results. */
import { useEffect, useState } from 'react';

import { CopyButton } from './Actions';
import { CompareCharts } from './CompareCharts';
import { CompareTable } from './CompareTable';
import { lineOf, type ComparedJob, type ComparisonTraits } from './comparison';
import { curvesOf } from './curves';
import { plainText } from './format';
import { trans } from './i18n';
import { useTrait, type JobTraits, type Model } from './model';
import { useNavigation } from './route';
import { useShell } from './shell';
import { Swatch } from './Swatch';
import { useOpened } from './useOpened';

/** The page of a comparison. */
export function ComparePage({ jobs }: { readonly jobs: readonly string[] }) {
  const { model, refused } = useOpened<ComparisonTraits>({ view: 'compare', jobs }, 'jobs');
  return (
    <div className="tunelab">
      {model ? (
        <Comparison model={model} asked={jobs.length} />
      ) : (
        <p className="tunelab-empty">{refused || trans.__('Reading the jobs…')}</p>
      )}
    </div>
  );
}

function Comparison({ model, asked }: { readonly model: Model<ComparisonTraits>; readonly asked: number }) {
  const jobs = useTrait(model, 'jobs');
  const removed = useTrait(model, 'removed');
  const differences = useTrait(model, 'differences');
  const cell = useTrait(model, 'cell');
  const trained = jobs.filter(job => job.kind === 'customize');
  const title = trans._n('Comparison of %1 job', 'Comparison of %1 jobs', asked);
  return (
    <section className="tunelab-card tunelab-compare" role="region" aria-label={title}>
      <header className="tunelab-head">
        <div className="tunelab-title">
          <h3 className="tunelab-name">{title}</h3>
        </div>
        <div className="tunelab-actions">
          <CopyButton text={cell} label={trans.__('Copy as cell')} />
        </div>
      </header>
      <ul className="tunelab-compared" aria-label={trans.__('Jobs compared')}>
        {jobs.map((job, place) => (
          <Compared key={job.id} job={job} place={place} />
        ))}
        {removed.map(id => (
          <li key={id} className="tunelab-subject">
            {trans.__('%1 was removed: its folder is gone, and with it what could be compared.', plainText(id))}
          </li>
        ))}
      </ul>
      {trained.length > 0 && <Curves jobs={jobs} />}
      {jobs.length > 0 && <CompareTable jobs={jobs} rows={differences} />}
    </section>
  );
}

function Compared({ job, place }: { readonly job: ComparedJob; readonly place: number }) {
  const navigation = useNavigation();
  const name = plainText(job.name);
  return (
    <li>
      {job.kind === 'customize' && <Swatch {...lineOf(place)} />}
      {navigation ? (
        <button
          type="button"
          className="tunelab-plain"
          title={plainText(job.id)}
          onClick={() => {
            navigation.go({ page: 'job', job: job.id, isEvaluation: job.kind === 'evaluate' });
          }}
        >
          {name}
        </button>
      ) : (
        <b title={plainText(job.id)}>{name}</b>
      )}
      <span className="tunelab-subject">{plainText(job.sentence)}</span>
    </li>
  );
}

/** The charts, once each job's curves are on their way. */
function Curves({ jobs }: { readonly jobs: readonly ComparedJob[] }) {
  const models = useJobs(jobs.map(job => job.id));
  if (models === null) {
    return <p className="tunelab-empty">{trans.__('Reading the journals…')}</p>;
  }
  return <CompareCharts jobs={jobs} models={models} />;
}

/** The jobs' models, opened for as long as the component shows; null until each is there. */
function useJobs(ids: readonly string[]): readonly Model<JobTraits>[] | null {
  const shell = useShell();
  const key = ids.join('\n');
  const [opened, setOpened] = useState<readonly Model<JobTraits>[] | null>(null);
  useEffect(() => {
    if (!shell) {
      return undefined;
    }
    const models = key.split('\n').map(id => shell.openModel(id));
    const missing = new Set<Model<JobTraits>>(models);
    const stops = models.map(model => {
      // From the first message on: points come once.
      curvesOf(model);
      const ready = () => {
        if (missing.delete(model) && missing.size === 0) {
          setOpened(models);
        }
      };
      model.on('change:snapshot', ready);
      model.on('refused', ready);
      return () => {
        model.off('change:snapshot', ready);
        model.off('refused', ready);
        model.close();
      };
    });
    return () => {
      stops.forEach(stop => {
        stop();
      });
      setOpened(null);
    };
  }, [shell, key]);
  return opened;
}
