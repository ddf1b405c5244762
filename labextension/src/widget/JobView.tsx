/** A job's live view: one card that says the state first, then the charts, the facts and the log. */
import { useEffect, useState } from 'react';

import { Actions, NoticeBlock, type Notice } from './Actions';
import { Alerts } from './Alerts';
import { Charts } from './Charts';
import { curvesOf } from './curves';
import { EvaluationView } from './EvaluationView';
import { methodName } from './evaluations';
import { Facts } from './Facts';
import { formatTime } from './dates';
import { formatNumber, plainText } from './format';
import { trans } from './i18n';
import { useTrait, type JobSnapshot, type JobTraits, type LogLine, type Message, type Model } from './model';
import { LineageSection } from './LineageView';
import { useNavigation } from './route';
import { RolloutsView } from './RolloutsView';
import { describeState, isIdle, type StateText } from './states';

interface JobViewProps {
  readonly model: Model<JobTraits>;
  /** Whether the view may open itself in a tab: in the panel, not in a tab or a cell. */
  readonly canOpenTab?: boolean;
}

/** The card of one job. */
export function JobView({ model, canOpenTab = false }: JobViewProps) {
  const job = useTrait(model, 'snapshot');
  const cell = useTrait(model, 'cell');
  const mlflow = useTrait(model, 'mlflow');
  const rollouts = useTrait(model, 'rollouts');
  const evaluation = useTrait(model, 'evaluation');
  const navigation = useNavigation();
  const [notice, setNotice] = useState<Notice | null>(null);
  // What the kernel could not do that this view asked for.
  useEffect(() => {
    const heard = (message: Message) => {
      if (message.type === 'notice') {
        setNotice({ text: plainText(message.text) });
      }
    };
    model.on('msg:custom', heard);
    return () => {
      model.off('msg:custom', heard);
    };
  }, [model]);
  const text = describeState(job);
  const isEvaluation = job.kind === 'evaluate';
  return (
    <div className="tunelab">
      <section
        className="tunelab-card"
        role="region"
        aria-label={trans.__('Job %1', job.id)}
        data-state={job.state}
        data-tone={text.tone}
        data-idle={isIdle(job)}
      >
        <header className="tunelab-head">
          <span className="tunelab-dot" aria-hidden="true" />
          <div className="tunelab-title">
            <h3 className="tunelab-name">{plainText(isEvaluation ? job.model : job.name)}</h3>
            <span className="tunelab-subject">{plainText(subjectOf(job).join(' · '))}</span>
          </div>
          <Actions {...{ job, model, cell, mlflow, canOpenTab }} onNotice={setNotice} />
        </header>
        <Progress job={job} text={text} />
        {notice && (
          <NoticeBlock
            notice={notice}
            onClose={() => {
              setNotice(null);
            }}
          />
        )}
        <Alerts job={job.id} alerts={job.alerts} />
        {isEvaluation ? (
          <EvaluationView job={job} model={model} state={evaluation ?? null} />
        ) : (
          <Charts job={job.id} technique={job.technique} curves={curvesOf(model)} />
        )}
        {rollouts && <RolloutsView job={job.id} model={model} state={rollouts} />}
        <Facts job={job} />
        {job.logs.length > 0 && <LogTail logs={job.logs} />}
        {navigation && mlflow && <LineageSection of={job.id} />}
      </section>
    </div>
  );
}

/** What a job is about, beside its name. */
function subjectOf(job: JobSnapshot): readonly string[] {
  const { eval: asked } = job.rows;
  const questions = asked > 0 ? trans._n('%2 question', '%2 questions', asked, formatNumber(asked)) : '';
  const parts =
    job.kind === 'evaluate'
      ? [job.adapter || methodName(job.technique), questions]
      : [job.technique.toUpperCase(), job.model, job.dataset, job.adapter];
  return parts.filter(Boolean);
}

function Progress({ job, text }: { readonly job: JobSnapshot; readonly text: StateText }) {
  const done = job.state === 'completed' ? job.total : job.step;
  const measure =
    done === null || job.total === null
      ? { 'data-open': job.state === 'running' || job.state === 'recovering' }
      : { 'aria-valuenow': done, 'aria-valuemin': 0, 'aria-valuemax': job.total };
  const percent = job.state === 'completed' ? 100 : job.total ? (100 * (done ?? 0)) / job.total : 0;
  return (
    <div className="tunelab-progress">
      <div
        className="tunelab-bar"
        role="progressbar"
        aria-label={trans.__('Progress')}
        aria-valuetext={text.sentence}
        {...measure}
      >
        <div style={{ width: `${Math.min(100, percent)}%` }} />
      </div>
      <p className="tunelab-state">
        <span className="tunelab-sentence">{text.sentence}</span>
        {text.aside && <span className="tunelab-aside">{text.aside}</span>}
      </p>
      <span className="tunelab-hidden" role="status" aria-live="polite">
        {text.announcement}
      </span>
    </div>
  );
}

/** The last lines of a log. */
export function LogTail({ logs }: { readonly logs: readonly LogLine[] }) {
  return (
    <ol className="tunelab-log" aria-label={trans.__('Last log lines')}>
      {logs.map(({ time, level, text }, line) => (
        // Lines have no identity of their own, and a few lines of text are cheap to draw again.
        <li key={line} data-level={level}>
          <time dateTime={time}>{formatTime(time)}</time> {level !== 'info' && <b>{level}: </b>}
          {plainText(text)}
        </li>
      ))}
    </ol>
  );
}
