/** The reward of a customization: a preset, a function or a feedback model, or several with weights. */
import { SpecField, type Suggestion } from './SpecField';
import { written, type FieldSchema, type Json, type RewardKinds, type SpecData } from './customize';
import { plainText } from './format';
import { trans } from './i18n';

type Kind = 'preset' | 'function' | 'feedback';

interface RewardFieldsProps {
  readonly kinds: RewardKinds;
  readonly value: Json | undefined;
  readonly prompts: readonly string[];
  readonly models: readonly Suggestion[];
  readonly faultAt: (path: string) => string | undefined;
  readonly onValue: (value: Json | undefined) => void;
  /** Where it stands in the spec. */
  readonly path?: string;
}

const FUNCTION: FieldSchema = { type: 'string' };

/** The parts of the reward, one below the other. */
export function RewardFields(props: RewardFieldsProps) {
  const { kinds, value, prompts, models, faultAt, onValue, path: at = 'reward' } = props;
  const parts: readonly SpecData[] =
    value === undefined || value === null ? [] : [value].flat().map(part => asPart(part, kinds));
  const isList = Array.isArray(value);
  const change = (next: readonly SpecData[]) => {
    const said = next.map(asSaid);
    onValue(said.length === 0 ? undefined : said.length === 1 ? said[0] : said);
  };
  const fault = faultAt(at);
  return (
    <div className="tunelab-reward">
      {parts.map((part, place) => (
        <Part
          key={place}
          part={part}
          name={partName(at, parts.length > 1 ? place + 1 : null)}
          path={isList ? `${at}.${place + 1}` : at}
          {...{ kinds, prompts, models, faultAt }}
          onPart={changed => {
            change(parts.map((other, each) => (each === place ? changed : other)));
          }}
          onRemove={() => {
            change(parts.filter((_, each) => each !== place));
          }}
        />
      ))}
      {fault !== undefined && <p className="tunelab-fault">{plainText(fault)}</p>}
      <div className="tunelab-reward-add">
        {kindsOf(kinds).map(kind => (
          <button
            key={kind}
            type="button"
            onClick={() => {
              change([...parts, begun(kind, kinds, prompts)]);
            }}
          >
            {parts.length === 0 ? addName(kind) : trans.__('Another: %1', addName(kind))}
          </button>
        ))}
      </div>
    </div>
  );
}

interface PartProps extends Omit<RewardFieldsProps, 'value' | 'onValue' | 'path'> {
  readonly part: SpecData;
  readonly name: string;
  readonly path: string;
  readonly onPart: (part: SpecData) => void;
  readonly onRemove: () => void;
}

function Part({ part, name, path, kinds, prompts, models, faultAt, onPart, onRemove }: PartProps) {
  const kind = kindOf(part);
  const preset = written(part.preset);
  const schema = kind === 'preset' ? kinds.preset[preset] : kind === 'feedback' ? kinds.feedback : kinds.function;
  const set = (key: string, value: Json | undefined) => {
    const rest = Object.fromEntries(Object.entries(part).filter(([other]) => other !== key));
    onPart(value === undefined ? rest : key in part ? { ...part, [key]: value } : { ...rest, [key]: value });
  };
  const options = Object.entries(schema?.properties ?? {});
  const required = new Set(schema?.required);
  const field = ([key, told]: readonly [string, FieldSchema]) => (
    <SpecField
      key={key}
      path={`${path}.${key}`}
      schema={told}
      value={part[key]}
      fault={faultAt(`${path}.${key}`)}
      isRequired={required.has(key)}
      {...(key === 'prompt' ? { suggestions: prompts.map(each => ({ value: each })) } : {})}
      {...(key === 'model' ? { suggestions: models } : {})}
      onValue={value => {
        set(key, value);
      }}
    />
  );
  const more = options.filter(([key]) => kind === 'feedback' && !required.has(key) && key !== 'base_url');
  const first = options.filter(option => !more.includes(option));
  // What is asked before how it is done.
  first.sort(([a], [b]) => rank(a) - rank(b));
  return (
    <fieldset className="tunelab-part">
      <legend>{name}</legend>
      <button
        type="button"
        className="tunelab-plain tunelab-part-remove"
        aria-label={trans.__('Remove %1', name)}
        onClick={onRemove}
      >
        {trans.__('Remove')}
      </button>
      {kind === 'preset' && (
        <SpecField
          path={`${path}.preset`}
          schema={{ enum: Object.keys(kinds.preset) }}
          value={preset}
          fault={faultAt(`${path}.preset`)}
          isRequired
          onValue={chosen => {
            // Each preset has its own options.
            const weight = part.weight === undefined ? {} : { weight: part.weight };
            onPart({ preset: chosen ?? preset, ...weight });
          }}
        />
      )}
      {kind === 'function' && (
        <SpecField
          path={`${path}.function`}
          schema={{
            ...FUNCTION,
            description: trans.__('A Python file and the function in it, FILE.py:NAME, or a function of the notebook')
          }}
          value={part.function}
          placeholder="reward.py:score"
          isRequired
          onValue={value => {
            set('function', value);
          }}
        />
      )}
      {first.map(field)}
      {more.length > 0 && (
        <details>
          <summary>{trans.__('More of the feedback model')}</summary>
          {more.map(field)}
        </details>
      )}
    </fieldset>
  );
}

function partName(path: string, place: number | null): string {
  if (path === 'scorer') {
    return place === null ? trans.__('Scorer') : trans.__('Scorer %1', place);
  }
  return place === null ? trans.__('Reward') : trans.__('Reward %1', place);
}

function rank(key: string): number {
  return key === 'weight' ? 2 : key === 'prompt' ? 0 : 1;
}

function kindsOf(kinds: RewardKinds): readonly Kind[] {
  return kinds.feedback ? ['feedback', 'preset', 'function'] : ['preset', 'function'];
}

function kindOf(part: SpecData): Kind {
  return 'preset' in part ? 'preset' : 'prompt' in part ? 'feedback' : 'function';
}

function addName(kind: Kind): string {
  switch (kind) {
    case 'preset':
      return trans.__('Preset');
    case 'function':
      return trans.__('Python function');
    case 'feedback':
      return trans.__('Reward prompt');
  }
}

function begun(kind: Kind, kinds: RewardKinds, prompts: readonly string[]): SpecData {
  switch (kind) {
    case 'preset':
      return { preset: Object.keys(kinds.preset)[0] ?? '' };
    case 'function':
      return { function: '' };
    case 'feedback':
      return { prompt: prompts[0] ?? '' };
  }
}

/** A part as a mapping: its short forms, a preset's or a function's name, written out. */
function asPart(part: Json, kinds: RewardKinds): SpecData {
  if (typeof part === 'object' && part !== null && !Array.isArray(part)) {
    const { source, name, ...rest } = part as SpecData;
    return typeof source === 'string' && typeof name === 'string'
      ? { function: `${source}:${name}`, ...rest }
      : (part as SpecData);
  }
  const name = String(part);
  return name in kinds.preset ? { preset: name } : { function: name };
}

/** A part as a cell says it: a function without options by its name alone. */
function asSaid(part: SpecData): Json {
  return Object.keys(part).length === 1 && typeof part.function === 'string' ? part.function : part;
}
