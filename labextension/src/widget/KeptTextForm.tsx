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

/** What such a form is given by whoever keeps what is typed. */
export interface KeptTextProps<D extends KeptText> {
  readonly draft: D;
  /** Why the kernel did not keep it. */
  readonly refused: string;
  readonly onDraft: (change: (before: D) => D) => void;
  readonly onKeep: (draft: D) => void;
  readonly onCancel: () => void;
}

interface KeptTextFormProps<D extends KeptText> extends KeptTextProps<D> {
  /** What the form is called while it is no new version. */
  readonly title: string;
  /** What the button that keeps it is called then. */
  readonly submit: string;
  /** What it will do, once it is kept. */
  readonly outcome: string;
  /** What is being waited for, or nothing. */
  readonly busy: string;
  /** The field that the refusal speaks of. */
  readonly fault: string | null;
  /** The other fields: what marks one of them where it is at fault, and what changes the draft. */
  readonly children: (faulty: (field: string) => Faulty, change: (changes: Partial<D>) => void) => ReactNode;
}

/** The form; what is typed is the caller's. */
export function KeptTextForm<D extends KeptText>(props: KeptTextFormProps<D>) {
  const { draft, title, submit, outcome, busy, refused, fault, onDraft, onKeep, onCancel, children } = props;
  const refusedId = useId();
  const faulty = (field: string): Faulty =>
    fault === field ? { 'aria-invalid': true, 'aria-describedby': refusedId } : {};
  const change = (changes: Partial<D>) => {
    onDraft(before => ({ ...before, ...changes, isTouched: true }));
  };
  const heading = draft.isVersion ? trans.__('New version of %1', plainText(draft.name)) : title;
  return (
    <form
      className="tunelab tunelab-create tunelab-metric-form"
      aria-label={heading}
      aria-busy={busy !== ''}
      onSubmit={event => {
        event.preventDefault();
        if (!busy) {
          onKeep(draft);
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
                onDraft(before => ({ ...before, name: event.target.value.trim(), isTouched: true }));
              }}
            />
          </label>
        )}
        {children(faulty, change)}
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
