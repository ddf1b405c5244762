/** A job's live view: one card that says the state first, then the figures, then the log. */
import { formatNumber, formatTime, plainText } from './format';
import { metricName, sortMetrics } from './metrics';
import type { JobSnapshot, LogLine, Metric } from './model';
import { describeState, type StateText } from './states';

/** The card of one job, a function of its snapshot alone. */
export function JobView({ job }: { readonly job: JobSnapshot }) {
  const text = describeState(job);
  const subject = [job.technique.toUpperCase(), job.model, job.dataset, job.adapter].filter(Boolean);
  return (
    <div className="tunelab">
      <section
        className="tunelab-card"
        role="region"
        aria-label={`Job ${job.id}`}
        data-state={job.state}
        data-tone={text.tone}
      >
        <header className="tunelab-head">
          <span className="tunelab-dot" aria-hidden="true" />
          <div className="tunelab-title">
            <h3 className="tunelab-name">{job.name}</h3>
            <span className="tunelab-subject">{subject.join(' · ')}</span>
          </div>
        </header>
        <Progress job={job} text={text} />
        {job.metrics.length > 0 && <MetricsTable metrics={job.metrics} />}
        {job.logs.length > 0 && <LogTail logs={job.logs} />}
      </section>
    </div>
  );
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
      <div className="tunelab-bar" role="progressbar" aria-label="Progress" aria-valuetext={text.sentence} {...measure}>
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

/** The explicit roles outlive `display`, which takes a table's implicit ones away in some browsers. */
function MetricsTable({ metrics }: { readonly metrics: readonly Metric[] }) {
  const latest = Math.max(...metrics.map(metric => metric.step));
  return (
    <table className="tunelab-metrics" role="table" aria-label="Latest metrics">
      <caption>Metrics at step {latest}</caption>
      <thead className="tunelab-hidden" role="rowgroup">
        <tr role="row">
          {['Metric', 'Step', 'Value'].map(title => (
            <th key={title} role="columnheader" scope="col">
              {title}
            </th>
          ))}
        </tr>
      </thead>
      <tbody role="rowgroup">
        {sortMetrics(metrics).map(({ name, value, step }) => (
          <tr key={name} role="row">
            <th role="rowheader" scope="row" title={name}>
              {metricName(name)}
            </th>
            <td role="cell" className={step === latest ? 'tunelab-hidden' : 'tunelab-step'}>
              step {step}
            </td>
            <td role="cell" className="tunelab-value">
              {formatNumber(value)}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function LogTail({ logs }: { readonly logs: readonly LogLine[] }) {
  return (
    <ol className="tunelab-log" aria-label="Last log lines">
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
