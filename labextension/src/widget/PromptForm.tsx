/** The form that makes a reward prompt: its name, and the text that a feedback model reads. */
import { useId } from 'react';

import { promptFault, promptOutcome, VARIABLES, type PromptDraft, type PromptRow } from './evaluators';
import { plainText } from './format';
import { KeepFoot } from './KeepFoot';
import { trans } from './i18n';
import type { Faulty } from './judgemetrics';
import { TemplateText } from './TemplateText';

interface PromptFormProps {
  readonly draft: PromptDraft;
  /** What there is already. */
  readonly rows: readonly PromptRow[];
  readonly isBusy: boolean;
  /** Why the kernel did not keep it. */
  readonly refused: string;
  readonly onDraft: (change: (before: PromptDraft) => PromptDraft) => void;
  readonly onKeep: (draft: PromptDraft) => void;
  readonly onCancel: () => void;
}

/** The form; what is typed is the caller's. */
export function PromptForm({ draft, rows, isBusy, refused, onDraft, onKeep, onCancel }: PromptFormProps) {
  const refusedId = useId();
  const fault = promptFault(refused);
  const change = (changes: Partial<PromptDraft>) => {
    onDraft(before => ({ ...before, ...changes, isTouched: true }));
  };
  const faulty = (part: string): Faulty =>
    fault === part ? { 'aria-invalid': true, 'aria-describedby': refusedId } : {};
  const title = draft.isVersion ? trans.__('New version of %1', plainText(draft.name)) : trans.__('New reward prompt');
  const outcome = draft.isVersion ? '' : promptOutcome(draft, rows);
  return (
    <form
      className="tunelab tunelab-create tunelab-metric-form"
      aria-label={title}
      aria-busy={isBusy}
      onSubmit={event => {
        event.preventDefault();
        if (!isBusy) {
          onKeep(draft);
        }
      }}
    >
      <div className="tunelab-metric-fields">
        <h3 className="tunelab-name">{title}</h3>
        {draft.from && <p className="tunelab-subject">{trans.__('It begins as %1.', plainText(draft.from))}</p>}
        {!draft.isVersion && (
          <label className="tunelab-input">
            <span className="tunelab-label">{trans.__('Name')}</span>
            <input
              type="text"
              value={draft.name}
              spellCheck={false}
              autoComplete="off"
              autoFocus
              {...faulty('name')}
              onChange={event => {
                change({ name: event.target.value.trim() });
              }}
            />
          </label>
        )}
        <TemplateText
          label={trans.__('Template')}
          text={draft.template}
          placeholders={VARIABLES}
          hint={trans.__(
            'Any other column of the rows can be named too. The model is to reply with JSON: reasoning, and a score from 0 to 1.'
          )}
          question={trans.__('What makes an answer good?')}
          takesFocus={draft.isVersion}
          faulty={faulty('template')}
          onText={template => {
            change({ template });
          }}
        />
      </div>
      <KeepFoot
        isTouched={draft.isTouched}
        submit={draft.isVersion ? trans.__('Create version') : trans.__('Create reward prompt')}
        said={isBusy ? trans.__('Keeping the reward prompt in MLflow…') : outcome}
        {...{ isBusy, refused, refusedId, onCancel }}
      />
    </form>
  );
}
