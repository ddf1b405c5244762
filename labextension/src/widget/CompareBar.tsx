/** Choosing jobs to compare, in their list: a box before each row, and what is done with those that are chosen. */
import type { ReactNode } from 'react';

import { plainText } from './format';
import { trans } from './i18n';
import type { JobRow } from './model';
import { useKept, useNavigation } from './route';

/** More lines than so many cannot be told apart: five colours, each in four dashes. */
const MOST = 20;

/** What is chosen, the first one first. */
export interface Choosing {
  readonly isOn: boolean;
  readonly chosen: readonly string[];
  readonly toggle: (job: string) => void;
  readonly begin: () => void;
  readonly end: () => void;
  readonly compare: () => void;
}

/** The choice among `jobs`; null outside the Studio, where no page could show a comparison. */
export function useChoosing(jobs: readonly JobRow[], isEvaluation = false): Choosing | null {
  const navigation = useNavigation();
  const [kept, setKept] = useKept<readonly string[] | null>(`compare/${isEvaluation ? 'evaluations' : 'jobs'}`, null);
  if (!navigation) {
    return null;
  }
  // Those that were removed meanwhile are chosen no more.
  const chosen = (kept ?? []).filter(id => jobs.some(job => job.id === id));
  return {
    isOn: kept !== null,
    chosen,
    toggle: job => {
      setKept(chosen.includes(job) ? chosen.filter(other => other !== job) : [...chosen, job]);
    },
    begin: () => {
      setKept([]);
    },
    end: () => {
      setKept(null);
    },
    compare: () => {
      navigation.go({ page: 'compare', jobs: chosen, isEvaluation });
    }
  };
}

interface CompareBarProps {
  readonly choosing: Choosing;
  readonly most: number;
  /** What stands before it while nothing is chosen. */
  readonly children?: ReactNode;
}

/** The buttons above the list. */
export function CompareBar({ choosing, most, children }: CompareBarProps) {
  const { isOn, chosen, begin, end, compare } = choosing;
  if (!isOn) {
    return most < 2 && !children ? null : (
      <div className="tunelab-compare-bar">
        {children}
        {most >= 2 && (
          <button type="button" className="tunelab-plain" onClick={begin}>
            {trans.__('Compare…')}
          </button>
        )}
      </div>
    );
  }
  return (
    <div className="tunelab-compare-bar" role="group" aria-label={trans.__('Choose jobs to compare')}>
      <button type="button" className="tunelab-primary" disabled={chosen.length < 2} onClick={compare}>
        {chosen.length < 2
          ? trans.__('Choose two or more')
          : trans._n('Compare %1 job', 'Compare %1 jobs', chosen.length)}
      </button>
      <button type="button" autoFocus onClick={end}>
        {trans.__('Cancel')}
      </button>
      {chosen.length >= MOST && <span className="tunelab-subject">{trans.__('%1 at most', MOST)}</span>}
    </div>
  );
}

/** The box before a row. */
export function CompareBox({ choosing, job }: { readonly choosing: Choosing; readonly job: JobRow }) {
  const isChosen = choosing.chosen.includes(job.id);
  return (
    <label className="tunelab-compare-box">
      <input
        type="checkbox"
        aria-label={trans.__('Compare %1, job %2', plainText(job.model_version ?? job.name), job.id)}
        checked={isChosen}
        disabled={!isChosen && choosing.chosen.length >= MOST}
        onChange={() => {
          choosing.toggle(job.id);
        }}
      />
    </label>
  );
}
