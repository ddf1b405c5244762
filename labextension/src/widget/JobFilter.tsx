/** What the list of jobs is narrowed to: a text and a state, and the way out where no job is left. */
import { useRef } from 'react';

import { trans } from './i18n';
import type { JobRow } from './model';
import { hasEnded } from './states';

/** States that are looked for together; a job that has not ended is active, as the badges count it. */
type States = 'all' | 'active' | 'paused' | 'completed' | 'failed' | 'cancelled';

const STATES: readonly States[] = ['all', 'active', 'paused', 'completed', 'failed', 'cancelled'];

/** What is looked for. */
export interface Wanted {
  readonly text: string;
  readonly states: States;
}

export const EVERY_JOB: Wanted = { text: '', states: 'all' };

/** The jobs that are looked for, in their order. */
export function matching(jobs: readonly JobRow[], { text, states }: Wanted): readonly JobRow[] {
  const wanted = text.trim().toLowerCase();
  return jobs.filter(job => isIn(job, states) && searchable(job).includes(wanted));
}

function isIn({ state }: JobRow, states: States): boolean {
  return states === 'all' || (states === 'active' ? !hasEnded(state) : state === states);
}

function searchable(job: JobRow): string {
  return [job.name, job.model, job.dataset, job.technique, job.kind, job.adapter, job.state, job.id]
    .join(' ')
    .toLowerCase();
}

interface JobFilterProps {
  readonly jobs: readonly JobRow[];
  readonly wanted: Wanted;
  readonly onWanted: (wanted: Wanted) => void;
}

/** The fields, and a sentence where nothing matches; nothing at all where there are no jobs. */
export function JobFilter({ jobs, wanted, onWanted }: JobFilterProps) {
  const text = useRef<HTMLInputElement>(null);
  if (jobs.length === 0) {
    return null;
  }
  // What was chosen can be taken back, also when all jobs have come to one state.
  const hasStates = wanted.states !== 'all' || new Set(jobs.map(job => job.state)).size > 1;
  return (
    <>
      <div className="tunelab-filters">
        <input
          ref={text}
          type="search"
          className="tunelab-filter"
          aria-label={trans.__('Filter the jobs')}
          placeholder={trans.__('Filter by name, model, state…')}
          value={wanted.text}
          onChange={event => {
            onWanted({ ...wanted, text: event.target.value });
          }}
        />
        {hasStates && (
          <select
            aria-label={trans.__('State')}
            value={wanted.states}
            onChange={event => {
              onWanted({ ...wanted, states: event.target.value as States });
            }}
          >
            {STATES.map(states => (
              <option key={states} value={states}>
                {nameOf(states)}
              </option>
            ))}
          </select>
        )}
      </div>
      {matching(jobs, wanted).length === 0 && (
        <div className="tunelab-empty" role="status">
          <p>{sentenceOf(wanted)}</p>
          <button
            type="button"
            onClick={() => {
              // It goes with the sentence.
              text.current?.focus();
              onWanted(EVERY_JOB);
            }}
          >
            {trans.__('Show all jobs')}
          </button>
        </div>
      )}
    </>
  );
}

function nameOf(states: States): string {
  return {
    all: trans.__('All states'),
    active: trans.__('Active'),
    paused: trans.__('Paused'),
    completed: trans.__('Completed'),
    failed: trans.__('Failed'),
    cancelled: trans.__('Cancelled')
  }[states];
}

/** That there is no such job. */
function sentenceOf({ text, states }: Wanted): string {
  if (states === 'all') {
    return trans.__('No job matches “%1”.', text);
  }
  return text.trim() === ''
    ? trans.__('No job is in the state “%1”.', nameOf(states))
    : trans.__('No job in the state “%1” matches “%2”.', nameOf(states), text);
}
