/** The foot of a form that keeps a text as a version: why it was refused, what it will do, and its two buttons. */
import { useState } from 'react';

import { trans } from './i18n';

interface KeepFootProps {
  readonly isTouched: boolean;
  /** What the button that keeps it is called. */
  readonly submit: string;
  readonly said: string;
  readonly isBusy: boolean;
  readonly refused: string;
  readonly refusedId: string;
  readonly onCancel: () => void;
}

/** The buttons; what was typed is dropped once that was asked for twice. */
export function KeepFoot({ isTouched, submit, said, isBusy, refused, refusedId, onCancel }: KeepFootProps) {
  const [isAsking, setAsking] = useState(false);
  const [wasAsking, setWasAsking] = useState(false);
  if (isAsking) {
    return (
      <footer
        key="asking"
        className="tunelab-create-foot"
        role="group"
        aria-label={trans.__('Discard what was typed?')}
      >
        <p>{trans.__('Discard what was typed?')}</p>
        <button
          type="button"
          autoFocus
          onClick={() => {
            setAsking(false);
            setWasAsking(true);
          }}
        >
          {trans.__('Keep writing')}
        </button>
        <button type="button" className="tunelab-danger" onClick={onCancel}>
          {trans.__('Discard')}
        </button>
      </footer>
    );
  }
  return (
    <footer key="foot" className="tunelab-create-foot">
      {/* In the foot, which stays in view, as what it speaks of need not be. */}
      {refused && (
        <p id={refusedId} className="tunelab-block" data-tone="bad" role="alert">
          {refused}
        </p>
      )}
      <p className="tunelab-subject" aria-live="polite">
        {said}
      </p>
      <button
        type="button"
        autoFocus={wasAsking}
        disabled={isBusy}
        onClick={() => {
          if (isTouched) {
            setAsking(true);
          } else {
            onCancel();
          }
        }}
      >
        {trans.__('Cancel')}
      </button>
      <button type="submit" className="tunelab-primary" disabled={isBusy}>
        {submit}
      </button>
    </footer>
  );
}
