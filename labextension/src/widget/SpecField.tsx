/** One field of a form that is made from a JSON schema: its input, help, range, default, and what is wrong with it. */
import { useId, useState } from 'react';

import { parsed, typesOf, written, type FieldSchema, type Json } from './customize';
import { capitalise, plainText } from './format';
import { trans } from './i18n';

/** A value that can be chosen, with what is said of it. */
export interface Suggestion {
  readonly value: string;
  readonly label?: string;
}

interface SpecFieldProps {
  /** With dots. */
  readonly path: string;
  readonly schema: FieldSchema;
  readonly value: Json | undefined;
  /** What is wrong with the value. */
  readonly fault?: string | undefined;
  readonly isRequired?: boolean;
  /** What may be chosen; anything else can be typed. */
  readonly suggestions?: readonly Suggestion[];
  readonly placeholder?: string;
  /** What it is called, where its path does not say so. */
  readonly label?: string;
  /** What it is called to a screen reader, where the label is the name of the group around it, too. */
  readonly spoken?: string;
  readonly takesFocus?: boolean;
  readonly onValue: (value: Json | undefined) => void;
  /** Called as the field gets the focus. */
  readonly onLook?: () => void;
}

/** A field: a list of choices, or a text that is read as what the schema takes. */
export function SpecField(props: SpecFieldProps) {
  const { path, schema, value, fault, isRequired = false, suggestions, takesFocus = false, onValue, onLook } = props;
  const id = useId();
  const choices = choicesOf(schema);
  const usual = usualOf(schema);
  const shown = {
    id,
    title: schema.source === undefined ? undefined : plainText(schema.source),
    'aria-label': props.spoken,
    'aria-invalid': fault !== undefined || undefined,
    'aria-describedby': `${id}-help${fault === undefined ? '' : ` ${id}-fault`}`,
    'aria-required': isRequired || undefined,
    'data-path': path
  };
  return (
    <div className="tunelab-setting">
      <label className="tunelab-label" htmlFor={id}>
        {props.label ?? nameOf(path)}
      </label>
      {choices ? (
        <select
          {...shown}
          value={value === undefined ? '' : JSON.stringify(value)}
          onChange={event => {
            const chosen = event.target.value;
            onValue(chosen === '' ? undefined : (JSON.parse(chosen) as Json));
          }}
        >
          <option value="">{usual || trans.__('not set')}</option>
          {choices.map(choice => (
            <option key={JSON.stringify(choice)} value={JSON.stringify(choice)}>
              {choiceName(choice)}
            </option>
          ))}
          {value !== undefined && !choices.some(choice => choice === value) && (
            <option value={JSON.stringify(value)}>{plainText(written(value))}</option>
          )}
        </select>
      ) : (
        <TextInput
          {...shown}
          schema={schema}
          value={value}
          autoFocus={takesFocus}
          placeholder={props.placeholder ?? usual}
          list={suggestions && `${id}-list`}
          onValue={onValue}
          onFocus={onLook}
        />
      )}
      {suggestions && (
        <datalist id={`${id}-list`}>
          {suggestions.map(({ value: each, label }) => (
            <option key={each} value={each}>
              {label}
            </option>
          ))}
        </datalist>
      )}
      <p className="tunelab-help" id={`${id}-help`}>
        {helpOf(schema)}
      </p>
      {fault !== undefined && (
        <p className="tunelab-fault" id={`${id}-fault`}>
          {plainText(fault)}
        </p>
      )}
    </div>
  );
}

interface TextInputProps extends Omit<React.InputHTMLAttributes<HTMLInputElement>, 'value'> {
  readonly schema: FieldSchema;
  readonly value: Json | undefined;
  readonly onValue: (value: Json | undefined) => void;
}

/** A text that stays as it was typed for as long as it means the value. */
function TextInput({ schema, value, onValue, ...rest }: TextInputProps) {
  const [text, setText] = useState(() => written(value));
  const own = JSON.stringify(parsed(text, schema)) === JSON.stringify(value) ? text : written(value);
  return (
    <input
      {...rest}
      type="text"
      spellCheck={false}
      autoComplete="off"
      value={own}
      onChange={event => {
        setText(event.target.value);
        onValue(parsed(event.target.value, schema));
      }}
    />
  );
}

const ACRONYMS = /\b(api|url)\b/gi;

/** What a field is called: TRL's own name of a hyperparameter, all else in words. */
export function nameOf(path: string) {
  const last = path.split('.').at(-1) ?? path;
  if (path.startsWith('hyperparameters.')) {
    return <code>{last}</code>;
  }
  return capitalise(last.replaceAll('_', ' ')).replace(ACRONYMS, word => word.toUpperCase());
}

function choicesOf(schema: FieldSchema): readonly Json[] | null {
  if (schema.enum) {
    return schema.enum;
  }
  const types = typesOf(schema).filter(type => type !== 'null');
  return types.length === 1 && types[0] === 'boolean' ? [true, false] : null;
}

function choiceName(choice: Json): string {
  return choice === true ? trans.__('yes') : choice === false ? trans.__('no') : plainText(written(choice));
}

/** What holds where nothing is said. */
function usualOf(schema: FieldSchema): string {
  const { default: usual, source } = schema;
  if (usual === undefined || usual === null) {
    return '';
  }
  const said = choiceName(usual);
  return source === undefined ? trans.__('default: %1', said) : trans.__('recipe: %1', said);
}

/** The description with the range. */
export function helpOf(schema: FieldSchema): string {
  const low = schema.minimum ?? schema.exclusiveMinimum;
  const high = schema.maximum ?? schema.exclusiveMaximum;
  const range =
    low !== undefined && high !== undefined
      ? trans.__('%1 to %2', written(low), written(high))
      : low !== undefined
        ? trans.__('from %1', written(low))
        : high !== undefined
          ? trans.__('up to %1', written(high))
          : '';
  const said = plainText(schema.description ?? '').replace(/`/g, '');
  return [capitalise(said).replace(/\.$/, ''), range].filter(Boolean).join(' · ');
}
