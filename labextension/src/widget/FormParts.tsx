/** Parts that the forms share: groups of fields, kinds of field, faults that have no field, what can be chosen. */
import type { ReactNode } from 'react';

import {
  valueAt,
  written,
  type DatasetChoice,
  type FieldSchema,
  type FormFault,
  type FormGroup,
  type Json,
  type ModelChoice,
  type SpecData
} from './customize';
import { count, techniqueName } from './datasets';
import { FilterField } from './FilterField';
import { formatNumber, plainText } from './format';
import { trans } from './i18n';
import { useShell } from './shell';
import { SpecField, type Suggestion } from './SpecField';
import type { SpecFormState } from './useSpecForm';

/** Groups that are not folded. */
const OPEN = new Set(['main', 'reward', 'settings', 'judge', 'scorer', 'benchmark']);

interface GroupProps {
  readonly group: FormGroup;
  /** How many of its fields were set. */
  readonly said: number;
  readonly hasFault: boolean;
  /** What is searched for, where one can. */
  readonly search: string | null;
  readonly onSearch: (text: string) => void;
  readonly children: ReactNode;
}

/** Fields that belong together; what is seldom needed is folded. */
export function Group({ group: { name }, said, hasFault, search, onSearch, children }: GroupProps) {
  if (OPEN.has(name)) {
    return (
      <section className="tunelab-form-group" aria-label={groupName(name)}>
        {name !== 'main' && <h4>{groupName(name)}</h4>}
        <div className="tunelab-form-fields">{children}</div>
      </section>
    );
  }
  return (
    <details className="tunelab-form-group" {...(hasFault ? { open: true } : {})}>
      <summary>
        {groupName(name)} {said > 0 && <span className="tunelab-subject">{trans._n('%1 set', '%1 set', said)}</span>}
      </summary>
      {search !== null && (
        <FilterField
          label={trans.__('Find a setting')}
          placeholder={trans.__('Find a setting')}
          text={search}
          onText={onSearch}
        />
      )}
      <div className="tunelab-form-fields">{children}</div>
    </details>
  );
}

function groupName(name: string): string {
  const names: Record<string, string> = {
    main: trans.__('What and from what'),
    reward: trans.__('Reward'),
    settings: trans.__('Settings'),
    adapter: trans.__('Adapter'),
    advanced: trans.__('Advanced'),
    compute: trans.__('Compute'),
    judge: trans.__('Judge'),
    judging: trans.__('More of the judge'),
    scorer: trans.__('Scorer'),
    benchmark: trans.__('Benchmark'),
    answers: trans.__('How answers are made')
  };
  return names[name] ?? name;
}

interface FormFieldProps {
  readonly form: SpecFormState;
  readonly path: string;
  readonly schema: FieldSchema;
  readonly isRequired: boolean;
  readonly takesFocus?: boolean;
  /** What there is to choose from, which the kernel is asked for again as the field gets the focus. */
  readonly suggestions?: readonly Suggestion[] | undefined;
}

/** A field of a form, at its path. */
export function FormField({ form, path, suggestions, ...shown }: FormFieldProps) {
  return (
    <SpecField
      {...shown}
      path={path}
      value={valueAt(form.data, path)}
      fault={form.faultAt(path)}
      {...(suggestions ? { suggestions, onLook: form.look } : {})}
      onValue={value => {
        form.set(path, value);
      }}
    />
  );
}

interface WithFilesProps {
  readonly onFile: (path: string) => void;
  readonly children: ReactNode;
}

/** A field for rows; where the host can, a file is chosen or a dataset created there. */
export function WithFiles({ onFile, children }: WithFilesProps) {
  const shell = useShell();
  if (!shell) {
    return children;
  }
  return (
    <div className="tunelab-setting-more">
      {children}
      <span>
        <button
          type="button"
          className="tunelab-plain"
          onClick={() => {
            void shell.chooseFile().then(chosen => {
              if (chosen !== null) {
                onFile(chosen);
              }
            });
          }}
        >
          {trans.__('Choose a file…')}
        </button>
        <button
          type="button"
          className="tunelab-plain"
          onClick={() => {
            shell.createDataset();
          }}
        >
          {trans.__('Create a dataset…')}
        </button>
      </span>
    </div>
  );
}

interface ChoicesProps {
  readonly path: string;
  readonly label: ReactNode;
  readonly choices: readonly Json[];
  readonly value: Json | undefined;
  readonly nameOf: (choice: string) => string;
  readonly helpOf: (choice: string) => string;
  readonly onValue: (value: Json) => void;
}

/** A few choices side by side, each with what it is for. */
export function Choices({ path, label, choices, value, nameOf, helpOf, onValue }: ChoicesProps) {
  return (
    <fieldset className="tunelab-techniques" data-path={path} tabIndex={-1}>
      <legend className="tunelab-label">{label}</legend>
      {choices.map(each => (
        <label key={written(each)} data-chosen={each === value}>
          <input
            type="radio"
            name={path}
            checked={each === value}
            onChange={() => {
              onValue(each);
            }}
          />
          <b>{nameOf(written(each))}</b> <span className="tunelab-help">{helpOf(written(each))}</span>
        </label>
      ))}
    </fieldset>
  );
}

interface OthersProps {
  readonly faults: readonly FormFault[];
  readonly data: SpecData;
  readonly onRemove: (path: string) => void;
}

/** What is wrong and has no field of its own: settings of another technique, or things that do not go together. */
export function Others({ faults, data, onRemove }: OthersProps) {
  return (
    <>
      {faults.map(({ path, message }) => (
        <div key={`${path} ${message}`} className="tunelab-block tunelab-other" data-tone="bad" role="alert">
          <span>{plainText(message)}</span>
          {path !== '' && valueAt(data, path) !== undefined && (
            <button
              type="button"
              className="tunelab-plain"
              onClick={() => {
                onRemove(path);
              }}
            >
              {trans.__('Remove')}
            </button>
          )}
        </div>
      ))}
    </>
  );
}

/** A model with what there is to know before it is chosen. */
export function modelSuggestion({ name, kind, here, params }: ModelChoice): Suggestion {
  const size = params === undefined ? '' : trans.__('%1 parameters', formatNumber(params));
  const where = kind === 'custom' ? trans.__('custom model') : here ? trans.__('here') : trans.__('to be downloaded');
  return { value: name, label: [where, size].filter(Boolean).join(' · ') };
}

/** Those that were made for the technique before the others. */
export function datasetSuggestions(datasets: readonly DatasetChoice[], technique: string): readonly Suggestion[] {
  const own = datasets.filter(each => each.technique === technique);
  return [...own, ...datasets.filter(each => !own.includes(each))].map(({ name, technique: made, rows }) => ({
    value: name,
    label: [count(rows, 'row'), trans.__('for %1', techniqueName(made))].join(' · ')
  }));
}
