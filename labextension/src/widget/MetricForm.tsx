/** The form that makes a metric of a judge: its name, what the judge reads, and the scale on which it replies. */
import { trans } from './i18n';
import { faultOf, outcomeOf, PLACEHOLDERS, type Draft, type MetricRow } from './judgemetrics';
import { KeptTextForm, type KeptTextProps } from './KeptTextForm';
import { ScaleFields } from './ScaleFields';
import { TemplateText } from './TemplateText';

interface MetricFormProps extends KeptTextProps<Draft> {
  /** What there is already. */
  readonly rows: readonly MetricRow[];
  /** What is being waited for, or nothing. */
  readonly busy: string;
}

/** The form; what is typed is the caller's. */
export function MetricForm({ rows, ...props }: MetricFormProps) {
  const { draft, refused } = props;
  return (
    <KeptTextForm
      {...props}
      title={trans.__('New metric')}
      submit={trans.__('Create metric')}
      outcome={outcomeOf(draft, rows)}
      fault={refused ? faultOf(refused) : null}
    >
      {(faulty, change) => (
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
