/** What the pages of reward prompts and functions share: the jobs that used one, text to the letter, a list's row. */
import { formatDay } from './dates';
import type { UsedIn } from './evaluators';
import { plainText, visibleText } from './format';
import { trans } from './i18n';
import { PageLink, Section } from './ModelParts';

/** The jobs that were scored by it, each a way to its page; the newest first. */
export function UsedInJobs({ jobs }: { readonly jobs: readonly UsedIn[] }) {
  const name = trans.__('Jobs that used it');
  return (
    <Section name={name}>
      {jobs.length === 0 ? (
        <p className="tunelab-subject">{trans.__('No job here has used it yet.')}</p>
      ) : (
        <ul className="tunelab-model-list tunelab-evaluator-jobs" aria-label={name}>
          {jobs.map(({ job, evaluation, submitted }) => (
            <li key={job}>
              <PageLink route={{ page: 'job', job, isEvaluation: evaluation }}>{job}</PageLink>
              <span className="tunelab-subject">
                {evaluation ? trans.__('Evaluation') : trans.__('Customization')} · {formatDay(submitted)}
              </span>
            </li>
          ))}
        </ul>
      )}
    </Section>
  );
}

/** A text to the letter, such as a template or code. */
export function Source({ text, name }: { readonly text: string; readonly name: string }) {
  return (
    <pre className="tunelab-evaluator-source" tabIndex={0} role="group" aria-label={name}>
      {visibleText(text)}
    </pre>
  );
}

interface RowProps {
  readonly label: string;
  readonly versions: number;
  readonly facts: readonly string[];
  readonly says: string;
  readonly onOpen: () => void;
}

/** One item of a list. */
export function EvaluatorRow({ label, versions, facts, says, onOpen }: RowProps) {
  return (
    <button type="button" className="tunelab-row" data-evaluator={label} onClick={onOpen}>
      <span className="tunelab-row-text">
        <span className="tunelab-row-head">
          <b title={plainText(label)}>{plainText(label)}</b>
          {versions > 1 && <span className="tunelab-subject">{trans._n('%1 version', '%1 versions', versions)}</span>}
        </span>
        <span className="tunelab-subject">
          {facts.map(fact => plainText(fact).replace(/ /g, '\u00a0')).join('\u00a0· ')}
        </span>
        {says && (
          <span className="tunelab-subject tunelab-one-line" title={plainText(says)}>
            {plainText(says)}
          </span>
        )}
      </span>
    </button>
  );
}
