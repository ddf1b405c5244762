/** The content of the dialog that creates a dataset: the form, or why the kernel cannot show it. */
import { CreateForm } from './CreateForm';
import { trans } from './i18n';
import type { CreateTraits, Model } from './model';
import { Waiting, type KernelState } from './Waiting';

/** What the dialog shows. */
export interface CreateState extends KernelState {
  readonly model: Model<CreateTraits> | null;
  /** Called with `NAME@VERSION` of what was made, or with null when the dialog is closed. */
  readonly onDone: (dataset: string | null) => void;
}

/** The dialog, a function of its state. */
export function CreateView({ state }: { readonly state: CreateState }) {
  return (
    <div className="tunelab tunelab-create-view">
      <header className="tunelab-dialog-head">
        <h2>{trans.__('Create dataset')}</h2>
        <button
          type="button"
          className="tunelab-close"
          aria-label={trans.__('Close')}
          onClick={() => {
            state.onDone(null);
          }}
        >
          ×
        </button>
      </header>
      <div className="tunelab-dialog-body">
        {state.model && !state.sentence ? (
          <CreateForm model={state.model} onDone={state.onDone} />
        ) : (
          <Waiting state={state} what={trans.__('Reading the file…')} />
        )}
      </div>
    </div>
  );
}
