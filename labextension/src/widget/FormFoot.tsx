/** The foot of a form, always in view: what it takes, what is still to be mended, and the buttons. */
import { useState } from 'react';

import { CopyButton } from './Actions';
import type { FormFault } from './customize';
import { plainText } from './format';
import { trans } from './i18n';
import { useTrait, type Model } from './model';
import { useShell } from './shell';
import type { SpecFormState } from './useSpecForm';

/** The traits of a form that its foot shows. */
export interface FootTraits {
  faults: readonly FormFault[];
  cell: string;
  checking: boolean;
  submitting: boolean;
  refused: string | null;
}

interface FormFootProps {
  readonly model: Model<FootTraits>;
  readonly form: SpecFormState;
  /** What it takes, where nothing is to be mended. */
  readonly takes: string;
  /** Where the figures come from. */
  readonly basis?: string;
  /** What is said while it is checked. */
  readonly checks: string;
  readonly checkHint: string;
  readonly submit: string;
}

/** The foot. */
export function FormFoot({ model, form, takes, basis, checks, checkHint, submit }: FormFootProps) {
  const faults = useTrait(model, 'faults');
  const cell = useTrait(model, 'cell');
  const checking = useTrait(model, 'checking');
  const submitting = useTrait(model, 'submitting');
  const refused = useTrait(model, 'refused');
  const shell = useShell();
  const [notice, setNotice] = useState('');
  const isBusy = checking || submitting;
  const doing = checking ? checks : submitting ? trans.__('Starting the job…') : '';
  const toMend = trans._n('%1 thing to mend', '%1 things to mend', faults.length);
  return (
    <footer className="tunelab-create-foot tunelab-customize-foot" aria-busy={form.isWaiting || isBusy}>
      {(refused ?? notice) && (
        <p className="tunelab-block" data-tone="bad" role="alert">
          {plainText(refused ?? notice)}
        </p>
      )}
      <p className="tunelab-subject" aria-live="polite" title={basis}>
        {doing ||
          (faults.length > 0 ? (
            <button type="button" className="tunelab-plain" title={trans.__('Show it')} onClick={form.mend}>
              {toMend}
            </button>
          ) : (
            takes
          ))}
      </p>
      <div className="tunelab-actions">
        <button
          type="button"
          disabled={isBusy}
          title={checkHint}
          onClick={() => {
            form.tryTo('check');
          }}
        >
          {trans.__('Check')}
        </button>
        <CopyButton text={cell} label={trans.__('Copy as cell')} />
        {shell && (
          <button
            type="button"
            onClick={() => {
              setNotice('');
              void shell.insertCell(cell).then(reason => {
                setNotice(reason ?? '');
              });
            }}
          >
            {trans.__('Put into notebook')}
          </button>
        )}
        <button type="submit" className="tunelab-primary" disabled={isBusy}>
          {submit}
        </button>
      </div>
    </footer>
  );
}
