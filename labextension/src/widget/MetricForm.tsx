/** The form that makes a metric of a judge: its name, what the judge reads, and the scale on which it replies. */
import { trans } from './i18n';
import { faultOf, outcomeOf, PLACEHOLDERS, type Draft, type MetricRow } from './judgemetrics';
import { KeptTextForm } from './KeptTextForm';
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
  const change = (changes: Partial<Draft>) => {
    onDraft(before => ({ ...before, ...changes, isTouched: true }));
  };
  return (
    <KeptTextForm
      draft={draft}
      title={trans.__('New metric')}
      submit={trans.__('Create metric')}
      outcome={outcomeOf(draft, rows)}
      busy={busy}
      refused={refused}
      fault={refused ? faultOf(refused) : null}
      onName={name => {
        change({ name });
      }}
      onKeep={() => {
        onKeep(draft);
      }}
      onCancel={onCancel}
    >
      {faulty => (
        <>
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
        </>
      )}
    </KeptTextForm>
  );
}
