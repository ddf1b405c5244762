/** How many jobs of a place have not ended, beside its name. */
import { trans } from './i18n';
import { useTrait, type ListTraits, type Model } from './model';
import { hasEnded } from './states';

interface BadgeProps {
  readonly jobs: Model<ListTraits> | null;
  readonly isEvaluation: boolean;
}

/** The number, where there are any. */
export function Badge({ jobs, isEvaluation }: BadgeProps) {
  return jobs && <Count jobs={jobs} isEvaluation={isEvaluation} />;
}

function Count({ jobs, isEvaluation }: { readonly jobs: Model<ListTraits>; readonly isEvaluation: boolean }) {
  const rows = useTrait(jobs, 'jobs');
  const active = rows.filter(job => !hasEnded(job.state) && (job.kind === 'evaluate') === isEvaluation).length;
  return active > 0 ? (
    <>
      <span className="tunelab-badge" aria-hidden="true">
        {active}
      </span>
      <span className="tunelab-hidden">, {trans._n('%1 active', '%1 active', active)}</span>
    </>
  ) : null;
}
