/** The workspace's jobs, newest first, in the side panel; a click opens one in the list's place. */
import { useCallback } from 'react';

import { BackButton } from './BackButton';
import { CompareBar, CompareBox, useChoosing } from './CompareBar';
import { formatDay } from './dates';
import { headlineText } from './evaluations';
import { formatDuration, formatNumber, ordinal, plainText } from './format';
import { trans } from './i18n';
import { EVERY_JOB, JobFilter, matching, type Wanted } from './JobFilter';
import { JobView } from './JobView';
import { LongList } from './LongList';
import { metricName } from './metrics';
import { useTrait, type JobRow, type JobTraits, type ListTraits, type Model } from './model';
import { useKept, useNavigation } from './route';
import type { Shell } from './shell';
import { Sparkline } from './Sparkline';
import { describeState, hasEnded, type StateText } from './states';
import { useOpened } from './useOpened';

interface JobListProps {
  readonly model: Model<ListTraits>;
  readonly shell: Shell;
  /** The id of the job that is open in the list's place. */
  readonly open: string | null;
  readonly onOpen: (job: string | null) => void;
  /** Evaluations, or customizations; both where it is not said. */
  readonly isEvaluation?: boolean;
  /** What the way back is called. */
  readonly back?: string;
}

/** The list, or the job that was opened from it. */
export function JobList({ model, shell, open, onOpen, isEvaluation, back = trans.__('All jobs') }: JobListProps) {
  const all = useTrait(model, 'jobs');
  const jobs = isEvaluation === undefined ? all : all.filter(job => (job.kind === 'evaluate') === isEvaluation);
  const place = isEvaluation ? 'evaluations' : 'jobs';
  const [wanted, setWanted] = useKept<Wanted>(`${place}/filter`, EVERY_JOB);
  const choosing = useChoosing(jobs, isEvaluation);
  // A job that was removed meanwhile gives the list back.
  const opened = all.find(job => job.id === open);
  if (opened) {
    return (
      <div key="job" className="tunelab tunelab-list">
        <BackButton
          onBack={() => {
            onOpen(null);
          }}
        >
          {back}
        </BackButton>
        <OpenedJob key={opened.id} job={opened.id} shell={shell} />
      </div>
    );
  }
  return (
    <div key="list" className="tunelab tunelab-list">
      {jobs.length === 0 && (isEvaluation ? <NoEvaluations /> : <NoJobs />)}
      <JobFilter jobs={jobs} wanted={wanted} onWanted={setWanted} />
      {choosing && (
        <CompareBar choosing={choosing} most={jobs.length}>
          {isEvaluation && jobs.length > 0 && <EvaluateButton />}
        </CompareBar>
      )}
      <LongList
        label={trans.__('Jobs')}
        name={place}
        rows={matching(jobs, wanted)}
        keyOf={job => job.id}
        className={choosing?.isOn ? 'tunelab-choosable' : undefined}
      >
        {job => (
          <>
            {choosing?.isOn && <CompareBox choosing={choosing} job={job} />}
            <Row
              job={job}
              onOpen={() => {
                onOpen(job.id);
              }}
            />
          </>
        )}
      </LongList>
      <Unread model={model} />
    </div>
  );
}

/** That the kernel still reads journals: the first time in a workspace of many jobs. */
function Unread({ model }: { readonly model: Model<ListTraits> }) {
  const left = useTrait(model, 'left') ?? 0;
  return left > 0 ? (
    <p className="tunelab-empty" role="status">
      {trans._n('Reading %1 more job…', 'Reading %1 more jobs…', left)}
    </p>
  ) : null;
}

/** What there is to do where nothing was customized yet. */
function NoJobs() {
  const navigation = useNavigation();
  return (
    <div className="tunelab-empty">
      <p>{trans.__('No jobs yet.')}</p>
      <p>{trans.__('Customize a base model with your data, and watch it here.')}</p>
      {navigation && (
        <button
          type="button"
          onClick={() => {
            navigation.go({ page: 'customize', from: {} });
          }}
        >
          {trans.__('Customize a model…')}
        </button>
      )}
      <p>
        {trans.__('In a notebook:')} <code>%customize</code>
      </p>
    </div>
  );
}

/** What there is to do where nothing was evaluated yet. */
function NoEvaluations() {
  return (
    <div className="tunelab-empty">
      <p>{trans.__('No evaluations yet.')}</p>
      <p>{trans.__('See how many answers a custom model improves: by a judge, a function or a benchmark.')}</p>
      <EvaluateButton />
      <p>
        {trans.__('In a notebook:')} <code>%evaluate</code>
      </p>
    </div>
  );
}

/** Opens an empty form; nothing outside the Studio. */
function EvaluateButton() {
  const navigation = useNavigation();
  return (
    navigation && (
      <button
        type="button"
        className="tunelab-lead"
        onClick={() => {
          navigation.go({ page: 'evaluate', from: {} });
        }}
      >
        {trans.__('Evaluate…')}
      </button>
    )
  );
}

function Row({ job, onOpen }: { readonly job: JobRow; readonly onOpen: () => void }) {
  const text = describeState(job);
  const trouble = text.tone === 'bad' || text.tone === 'warn';
  const present = trouble ? text.sentence : presentOf(job, text);
  const headline = job.headline ? headlineText(job.headline) : '';
  const percent = job.total && job.step !== null ? Math.min(100, (100 * job.step) / job.total) : 0;
  return (
    <button
      type="button"
      className="tunelab-row"
      data-job={job.id}
      data-state={job.state}
      data-tone={text.tone}
      aria-label={
        headline
          ? trans.__('%1: %2. %3. Open job %4', plainText(job.name), text.sentence, headline, job.id)
          : trans.__('%1: %2. Open job %3', plainText(job.name), text.sentence, job.id)
      }
      onClick={onOpen}
    >
      <span className="tunelab-dot" aria-hidden="true" />
      <span className="tunelab-row-text">
        <span className="tunelab-row-head">
          <b>{plainText(job.model_version ?? job.name)}</b>
          {job.state === 'queued' ? (
            <span className="tunelab-subject">{queuePlace(job.position)}</span>
          ) : (
            <Sparkline points={job.spark} />
          )}
        </span>
        <span className="tunelab-subject">{summary(job)}</span>
        {headline && (
          // It wraps between its parts and not within.
          <span className="tunelab-row-headline">{headline.replace(/(?<![,·]) /g, '\u00a0')}</span>
        )}
        {!hasEnded(job.state) && (job.state === 'running' || percent > 0) && (
          <span className="tunelab-bar">
            <span style={{ width: `${percent}%` }} />
          </span>
        )}
        {present && <span className={trouble ? 'tunelab-row-trouble' : 'tunelab-subject'}>{present}</span>}
      </span>
    </button>
  );
}

/** `next` or `2nd`: the place in the queue, where there is one. */
function queuePlace(position: number | null): string {
  return position === null ? '' : position === 1 ? trans.__('next') : ordinal(position);
}

/** What a job that has not ended does, in the words of its view, or nothing where its place in the queue says it. */
function presentOf(job: JobRow, { sentence, aside }: StateText): string {
  if (hasEnded(job.state)) {
    return '';
  }
  if (job.state === 'queued' && !job.cancelling && !job.pausing) {
    return aside;
  }
  return job.state === 'running' ? progress(job, sentence) : sentence;
}

/** `282 of 654 · 41 min left`, or what it does before the first step. */
function progress(job: JobRow, sentence: string): string {
  if (job.cancelling || job.pausing || job.step === null || job.total === null) {
    return sentence;
  }
  const left = job.eta_s === null ? [] : [trans.__('%1 left', formatDuration(job.eta_s))];
  return line([trans.__('%1 of %2', formatNumber(job.step), formatNumber(job.total)), ...left]);
}

/** `SFT · loss 0.31 · 18 min · yesterday` once it has ended, else technique and model. */
function summary(job: JobRow): string {
  const isEvaluation = job.kind === 'evaluate';
  const cancelled = job.state === 'cancelled' ? trans.__('cancelled') : '';
  const parts = [isEvaluation ? trans.__('Evaluation') : job.technique.toUpperCase()];
  if (isEvaluation) {
    parts.push(job.model, cancelled);
    parts.push(job.state === 'completed' && job.elapsed_s !== null ? formatDuration(job.elapsed_s) : '');
  } else if (job.state === 'completed') {
    // The kernel sends the one that matters first.
    const figure = job.metrics[0];
    const name = figure && metricName(figure.name.replace(/^eval_/, '')).toLowerCase();
    parts.push(figure ? `${name} ${formatNumber(figure.value)}` : job.model);
    parts.push(job.elapsed_s === null ? '' : formatDuration(job.elapsed_s));
  } else {
    parts.push(job.model, cancelled);
  }
  parts.push(job.ended === null ? '' : formatDay(job.ended));
  return line(parts.filter(Boolean));
}

/** The parts as one text that wraps between them and not within, as in `46 s`. */
function line(parts: readonly string[]): string {
  return parts.map(part => plainText(part).replace(/ /g, '\u00a0')).join('\u00a0· ');
}

/** One job's view on a model of its own, which is closed with the view. */
function OpenedJob({ job, shell }: { readonly job: string; readonly shell: Shell }) {
  const open = useCallback(() => shell.openModel(job), [shell, job]);
  const { model, refused } = useOpened<JobTraits>({ view: 'job', job }, 'snapshot', open);
  return model ? (
    <JobView model={model} canOpenTab />
  ) : (
    <p className="tunelab-empty">{refused || trans.__('Reading the journal…')}</p>
  );
}
