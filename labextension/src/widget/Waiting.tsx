/** What stands in a view's place while its kernel cannot show it: a sentence, and the button that helps. */

/** Whose kernel it is and how it stands. */
export interface KernelState {
  /** Whose kernel it is, such as `quickstart.ipynb`. */
  readonly kernel: string;
  readonly tone: 'good' | 'calm' | 'warn';
  /** Why nothing is shown, or null. */
  readonly sentence: string | null;
  readonly action: { readonly label: string; readonly run: () => void } | null;
}

/** The sentence, or `what` is waited for where the kernel is fine. */
export function Waiting({ state, what = '' }: { readonly state: KernelState; readonly what?: string }) {
  const text = state.sentence ?? what;
  return text ? (
    <div className="tunelab-empty" role="status">
      <p>{text}</p>
      {state.sentence && state.action && (
        <button type="button" className="tunelab-primary" onClick={state.action.run}>
          {state.action.label}
        </button>
      )}
    </div>
  ) : null;
}
