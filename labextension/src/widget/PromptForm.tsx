/** The form that makes a reward prompt: its name, and the text that a feedback model reads. */
import { promptFault, promptOutcome, VARIABLES, type PromptDraft, type PromptRow } from './evaluators';
import { trans } from './i18n';
import { KeptTextForm, type KeptTextProps } from './KeptTextForm';
import { TemplateText } from './TemplateText';

interface PromptFormProps extends KeptTextProps<PromptDraft> {
  /** What there is already. */
  readonly rows: readonly PromptRow[];
  readonly isBusy: boolean;
}

/** The form; what is typed is the caller's. */
export function PromptForm({ rows, isBusy, ...props }: PromptFormProps) {
  const { draft, refused } = props;
  return (
    <KeptTextForm
      {...props}
      title={trans.__('New reward prompt')}
      submit={trans.__('Create reward prompt')}
      outcome={promptOutcome(draft, rows)}
      busy={isBusy ? trans.__('Keeping the reward prompt in MLflow…') : ''}
      fault={promptFault(refused)}
    >
      {(faulty, change) => (
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
      )}
    </KeptTextForm>
  );
}
