/** The form of a text that is kept in versions, such as a metric or a reward prompt: its name, its fields, and the foot. */
import { useId, type ReactNode } from 'react';

import { plainText } from './format';
import { trans } from './i18n';
import type { Faulty } from './judgemetrics';
import { KeepFoot } from './KeepFoot';

/** What is typed into any of these forms. */
interface KeptText {
  readonly name: string;
  /** `NAME@VERSION` whose text it begins with, or nothing. */
  readonly from: string;
  /** Whether it becomes a version of what has the name; then the name stays. */
  readonly isVersion: boolean;
  readonly isTouched: boolean;
}

interface KeptTextFormProps {
  readonly draft: KeptText;
  /** What the form is called while it is no new version. */
  readonly title: string;
  /** What the button that keeps it is called then. */
  readonly submit: string;
  /** What it will do, once it is kept. */
  readonly outcome: string;
  /** What is being waited for, or nothing. */
  readonly busy: string;
  /** Why the kernel did not keep it. */
  readonly refused: string;
  /** The field that the refusal speaks of. */
  readonly fault: string | null;
  readonly onName: (name: string) => void;
  readonly onKeep: () => void;
  readonly onCancel: () => void;
  /** The other fields; `faulty` has what marks the field of a name, where it is the one at fault. */
  readonly children: (faulty: (field: string) => Faulty) => ReactNode;
}

/** The form; what is typed is the caller's. */
export function KeptTextForm(props: KeptTextFormProps) {
  const { draft, title, submit, outcome, busy, refused, fault, onName, onKeep, onCancel, children } = props;
  const refusedId = useId();
  const faulty = (field: string): Faulty =>
    fault === field ? { 'aria-invalid': true, 'aria-describedby': refusedId } : {};
  const heading = draft.isVersion ? trans.__('New version of %1', plainText(draft.name)) : title;
  return (
    <form
      className="tunelab tunelab-create tunelab-metric-form"
      aria-label={heading}
      aria-busy={busy !== ''}
      onSubmit={event => {
        event.preventDefault();
        if (!busy) {
          onKeep();
        }
      }}
    >
      <div className="tunelab-metric-fields">
        <h3 className="tunelab-name">{heading}</h3>
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
                onName(event.target.value.trim());
              }}
            />
          </label>
        )}
        {children(faulty)}
      </div>
      <KeepFoot
        isTouched={draft.isTouched}
        submit={draft.isVersion ? trans.__('Create version') : submit}
        said={busy || (draft.isVersion ? '' : outcome)}
        isBusy={busy !== ''}
        {...{ refused, refusedId, onCancel }}
      />
    </form>
  );
}
