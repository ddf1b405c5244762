/** The form that makes a metric of a judge: its name, what the judge reads, and the scale on which it replies. */
import { useId } from 'react';

import { plainText } from './format';
import { trans } from './i18n';
import { KeepFoot } from './KeepFoot';
import { faultOf, outcomeOf, PLACEHOLDERS, type Draft, type Faulty, type MetricRow } from './judgemetrics';
import { ScaleFields } from './ScaleFields';
import { TemplateText } from './TemplateText';

interface MetricFormProps {
  readonly draft: Draft;
  /** What there is already. */
  readonly rows: readonly MetricRow[];
  /** What is being waited for, or nothing. */
  readonly busy: string;
  /** Why the kernel did not keep it. */
  readonly refused: string;
  readonly onDraft: (change: (before: Draft) => Draft) => void;
  readonly onKeep: (draft: Draft) => void;
  readonly onCancel: () => void;
}

/** The form; what is typed is the caller's. */
export function MetricForm({ draft, rows, busy, refused, onDraft, onKeep, onCancel }: MetricFormProps) {
  const refusedId = useId();
  const fault = refused ? faultOf(refused) : null;
  const change = (changes: Partial<Draft>) => {
    onDraft(before => ({ ...before, ...changes, isTouched: true }));
  };
  const faulty = (part: string): Faulty =>
    fault === part ? { 'aria-invalid': true, 'aria-describedby': refusedId } : {};
  const title = draft.isVersion ? trans.__('New version of %1', plainText(draft.name)) : trans.__('New metric');
  return (
    <form
      className="tunelab tunelab-create tunelab-metric-form"
      aria-label={title}
      aria-busy={busy !== ''}
      onSubmit={event => {
        event.preventDefault();
        if (!busy) {
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
          label={trans.__('Instructions')}
          text={draft.instructions}
          placeholders={PLACEHOLDERS.map(name => `{{${name}}}`)}
          hint={trans.__('The scale and the form of the reply are added to them.')}
          question={trans.__('What makes an answer good?')}
          takesFocus={draft.isVersion}
          faulty={faulty('instructions')}
          onText={instructions => {
            change({ instructions });
          }}
        />
        <ScaleFields draft={draft} faulty={faulty} onDraft={change} />
      </div>
      <KeepFoot
        isTouched={draft.isTouched}
        submit={draft.isVersion ? trans.__('Create version') : trans.__('Create metric')}
        said={busy || (draft.isVersion ? '' : outcomeOf(draft, rows))}
        isBusy={busy !== ''}
        {...{ refused, refusedId, onCancel }}
      />
    </form>
  );
}
