/** A text with placeholders: an area to write in, and a button for each placeholder that puts it where the caret is. */
import { useId, useLayoutEffect, useRef } from 'react';

import { trans } from './i18n';
import type { Faulty } from './judgemetrics';

interface TemplateTextProps {
  readonly label: string;
  readonly text: string;
  /** As they are written into the text. */
  readonly placeholders: readonly string[];
  readonly hint: string;
  /** What the area says while it is empty. */
  readonly question: string;
  readonly takesFocus: boolean;
  readonly faulty: Faulty;
  readonly onText: (text: string) => void;
}

/** The area with its buttons. */
export function TemplateText({
  label,
  text,
  placeholders,
  hint,
  question,
  takesFocus,
  faulty,
  onText
}: TemplateTextProps) {
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
  const insert = (written: string) => {
    const { selectionStart: from, selectionEnd: to } = area.current ?? { selectionStart: 0, selectionEnd: 0 };
    caret.current = from + written.length;
    onText(text.slice(0, from) + written + text.slice(to));
  };
  return (
    <div className="tunelab-metric-text">
      <label className="tunelab-label" htmlFor={id}>
        {label}
      </label>
      <textarea
        ref={area}
        id={id}
        rows={10}
        value={text}
        autoFocus={takesFocus}
        placeholder={question}
        {...faulty}
        onChange={event => {
          onText(event.target.value);
        }}
      />
      <div
        className="tunelab-placeholders"
        role="group"
        aria-label={trans.__('Insert into the %1', label.toLowerCase())}
      >
        {placeholders.map(written => (
          <button
            key={written}
            type="button"
            aria-label={trans.__('Insert %1', written)}
            onClick={() => {
              insert(written);
            }}
          >
            {written}
          </button>
        ))}
      </div>
      <p className="tunelab-subject">{hint}</p>
    </div>
  );
}
