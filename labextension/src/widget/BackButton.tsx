/** The way back from a page to what it was opened from. */
import type { ReactNode } from 'react';

interface BackButtonProps {
  /** What the way leads to. */
  readonly children: ReactNode;
  readonly onBack: () => void;
}

/** The button; it has the focus as the page opens. */
export function BackButton({ children, onBack }: BackButtonProps) {
  return (
    <button type="button" className="tunelab-plain tunelab-back" autoFocus onClick={onBack}>
      ‹ {children}
    </button>
  );
}
