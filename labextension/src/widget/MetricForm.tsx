/** The form that makes a metric of a judge: its name, what the judge reads, and the scale on which it replies. */
import { useId, useLayoutEffect, useRef, useState } from 'react';

import { plainText } from './format';
import { faultOf, outcomeOf, PLACEHOLDERS, type Draft, type Faulty, type MetricRow } from './judgemetrics';
import { ScaleFields } from './ScaleFields';

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
  const title = draft.isVersion ? `New version of ${plainText(draft.name)}` : 'New metric';
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
        {draft.from && <p className="tunelab-subject">It begins as {plainText(draft.from)}.</p>}
        {!draft.isVersion && (
          <label className="tunelab-input">
            <span className="tunelab-label">Name</span>
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
        <Instructions
          text={draft.instructions}
          takesFocus={draft.isVersion}
          faulty={faulty('instructions')}
          onText={instructions => {
            change({ instructions });
          }}
        />
        <ScaleFields draft={draft} faulty={faulty} onDraft={change} />
      </div>
      <Foot
        draft={draft}
        said={busy || (draft.isVersion ? '' : outcomeOf(draft, rows))}
        isBusy={busy !== ''}
        {...{ refused, refusedId, onCancel }}
      />
    </form>
  );
}

interface InstructionsProps {
  readonly text: string;
  readonly takesFocus: boolean;
  readonly faulty: Faulty;
  readonly onText: (text: string) => void;
}

/** The text, with a button for each placeholder that puts it where the caret is. */
function Instructions({ text, takesFocus, faulty, onText }: InstructionsProps) {
  const id = useId();
  const area = useRef<HTMLTextAreaElement>(null);
  const caret = useRef<number | null>(null);
  // A text that is set from outside has its caret at the end.
  useLayoutEffect(() => {
    if (caret.current !== null) {
      area.current?.focus();
      area.current?.setSelectionRange(caret.current, caret.current);
      caret.current = null;
    }
  }, [text]);
  const insert = (placeholder: string) => {
    const { selectionStart: from, selectionEnd: to } = area.current ?? { selectionStart: 0, selectionEnd: 0 };
    const written = `{{${placeholder}}}`;
    caret.current = from + written.length;
    onText(text.slice(0, from) + written + text.slice(to));
  };
  return (
    <div className="tunelab-metric-text">
      <label className="tunelab-label" htmlFor={id}>
        Instructions
      </label>
      <textarea
        ref={area}
        id={id}
        rows={10}
        value={text}
        autoFocus={takesFocus}
        placeholder="What makes an answer good?"
        {...faulty}
        onChange={event => {
          onText(event.target.value);
        }}
      />
      <div className="tunelab-placeholders" role="group" aria-label="Insert into the instructions">
        {PLACEHOLDERS.map(placeholder => (
          <button
            key={placeholder}
            type="button"
            aria-label={`Insert {{${placeholder}}}`}
            onClick={() => {
              insert(placeholder);
            }}
          >
            {`{{${placeholder}}}`}
          </button>
        ))}
      </div>
      <p className="tunelab-subject">The scale and the form of the reply are added to them.</p>
    </div>
  );
}

interface FootProps {
  readonly draft: Draft;
  readonly said: string;
  readonly isBusy: boolean;
  readonly refused: string;
  readonly refusedId: string;
  readonly onCancel: () => void;
}

/** The buttons; what was typed is dropped once that was asked for twice. */
function Foot({ draft, said, isBusy, refused, refusedId, onCancel }: FootProps) {
  const [isAsking, setAsking] = useState(false);
  const [wasAsking, setWasAsking] = useState(false);
  if (isAsking) {
    return (
      <footer key="asking" className="tunelab-create-foot" role="group" aria-label="Discard what was typed?">
        <p>Discard what was typed?</p>
        <button
          type="button"
          autoFocus
          onClick={() => {
            setAsking(false);
            setWasAsking(true);
          }}
        >
          Keep writing
        </button>
        <button type="button" className="tunelab-danger" onClick={onCancel}>
          Discard
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
          if (draft.isTouched) {
            setAsking(true);
          } else {
            onCancel();
          }
        }}
      >
        Cancel
      </button>
      <button type="submit" className="tunelab-primary" disabled={isBusy}>
        {draft.isVersion ? 'Create version' : 'Create metric'}
      </button>
    </footer>
  );
}
