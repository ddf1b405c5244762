/** The form of a customization, made from the spec's JSON schema; the kernel says what is wrong and what it takes. */
import { useRef, useState } from 'react';

import {
  schemaAt,
  valueAt,
  withValue,
  written,
  type CustomizeTraits,
  type FieldSchema,
  type FormGroup,
  type Json,
  type SpecData
} from './customize';
import { CustomizeFoot, PlanReport } from './CustomizeFoot';
import { techniqueName } from './datasets';
import { trans } from './i18n';
import { useTrait, type Model } from './model';
import { datasetSuggestions, Group, modelSuggestion, Others } from './FormParts';
import { RewardFields } from './RewardFields';
import { useShell } from './shell';
import { nameOf, SpecField } from './SpecField';
import { useAsked } from './useAsked';

interface CustomizeFormProps {
  readonly model: Model<CustomizeTraits>;
  readonly data: SpecData;
  /** Whether the data are a draft that the kernel may not know. */
  readonly isKept: boolean;
  readonly onData: (data: SpecData) => void;
}

/** The form. */
export function CustomizeForm({ model, data, isKept, onData }: CustomizeFormProps) {
  const schema = useTrait(model, 'schema');
  const groups = useTrait(model, 'ui');
  const faults = useTrait(model, 'faults');
  const models = useTrait(model, 'models');
  const datasets = useTrait(model, 'datasets');
  const prompts = useTrait(model, 'prompts');
  const plan = useTrait(model, 'plan');
  const shell = useShell();
  const form = useRef<HTMLFormElement>(null);
  const [hasTried, setHasTried] = useState(false);
  const [search, setSearch] = useState('');
  const asked = useAsked(model, data, isKept);

  const set = (path: string, value: Json | undefined) => {
    const next = withValue(data, path, value);
    // Rewards are of one technique, and those who learn from rows have none.
    const moved = path === 'technique' ? withValue(withValue(next, 'reward', undefined), 'algorithm', undefined) : next;
    onData(moved);
    asked.change(moved);
  };
  // What is missing is told once one has tried.
  const faultAt = (path: string) =>
    faults.find(fault => fault.path === path && (hasTried || valueAt(data, path) !== undefined))?.message;
  const paths = groups.flatMap(({ fields }) => fields);
  const required = new Set(schema.required);
  const modelNames = models.map(modelSuggestion);
  const datasetNames = datasetSuggestions(datasets, written(data.technique));
  const draw = (path: string, focus = false) => {
    const told = schemaAt(schema, path);
    if (!told) {
      return null;
    }
    if (path === 'technique') {
      return <Technique key={path} schema={told} value={data[path]} onValue={set.bind(null, path)} />;
    }
    if (told['x-kinds']) {
      return (
        <RewardFields
          key={path}
          kinds={told['x-kinds']}
          value={data[path]}
          models={modelNames}
          {...{ prompts, faultAt }}
          onValue={set.bind(null, path)}
        />
      );
    }
    const isRows = path === 'dataset' || path === 'eval_dataset';
    const field = (
      <SpecField
        key={path}
        path={path}
        schema={told}
        value={valueAt(data, path)}
        fault={faultAt(path)}
        isRequired={required.has(path)}
        takesFocus={focus}
        {...(path === 'model' ? { suggestions: modelNames } : {})}
        {...(isRows ? { suggestions: datasetNames } : {})}
        {...(path === 'model' || isRows ? { onLook: asked.look } : {})}
        onValue={set.bind(null, path)}
      />
    );
    if (path !== 'dataset' || !shell) {
      return field;
    }
    return (
      <div key={path} className="tunelab-setting-more">
        {field}
        <span>
          <button
            type="button"
            className="tunelab-plain"
            onClick={() => {
              void shell.chooseFile().then(chosen => {
                if (chosen !== null) {
                  set(path, chosen);
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
  };
  const shownOf = ({ name, fields }: FormGroup) =>
    name === 'advanced' ? fields.filter(path => fits(path, schemaAt(schema, path), search)) : fields;
  const tryTo = (verb: 'check' | 'submit') => {
    setHasTried(true);
    const first = faults[0];
    if (first) {
      const fields = [...(form.current?.querySelectorAll<HTMLElement>('[data-path]') ?? [])];
      const at = fields.find(each => each.dataset.path === first.path);
      at?.closest('details')?.setAttribute('open', '');
      at?.focus();
    } else {
      model.send({ type: verb, data });
    }
  };

  return (
    <form
      className="tunelab-customize"
      ref={form}
      role="form"
      aria-label={trans.__('Customize')}
      onSubmit={event => {
        event.preventDefault();
        tryTo('submit');
      }}
    >
      {groups.map(group => (
        <Group
          key={group.name}
          group={group}
          said={group.fields.filter(path => valueAt(data, path) !== undefined).length}
          hasFault={hasTried && group.fields.some(path => faultAt(path) !== undefined)}
          search={group.name === 'advanced' ? search : null}
          onSearch={setSearch}
        >
          {shownOf(group).map(path => draw(path, path === 'name'))}
          {shownOf(group).length === 0 && (
            <p className="tunelab-subject">{trans.__('No setting here is like that.')}</p>
          )}
        </Group>
      ))}
      <Others
        faults={faults.filter(({ path }) => !isShown(path, paths))}
        data={data}
        onRemove={path => {
          set(path, undefined);
        }}
      />
      {plan && <PlanReport plan={plan} />}
      <CustomizeFoot
        model={model}
        isWaiting={asked.isWaiting}
        onCheck={() => {
          tryTo('check');
        }}
      />
    </form>
  );
}

interface TechniqueProps {
  readonly schema: FieldSchema;
  readonly value: Json | undefined;
  readonly onValue: (value: Json) => void;
}

/** The techniques side by side, each with what it is for: the description of the spec's field. */
function Technique({ schema, value, onValue }: TechniqueProps) {
  const told = new Map(
    (schema.description ?? '').split('; ').map(each => each.split(/: (.*)/s, 2) as [string, string])
  );
  return (
    <fieldset className="tunelab-techniques" data-path="technique" tabIndex={-1}>
      <legend className="tunelab-label">{nameOf('technique')}</legend>
      {(schema.enum ?? []).map(each => (
        <label key={written(each)} data-chosen={each === value}>
          <input
            type="radio"
            name="technique"
            checked={each === value}
            onChange={() => {
              onValue(each);
            }}
          />
          <b>{techniqueName(written(each))}</b> <span className="tunelab-help">{told.get(written(each))}</span>
        </label>
      ))}
    </fieldset>
  );
}

function isShown(path: string, paths: readonly string[]): boolean {
  return paths.includes(path) || (path.startsWith('reward') && paths.includes('reward'));
}

function fits(path: string, schema: FieldSchema | null, search: string): boolean {
  const said = `${path} ${schema?.description ?? ''}`.toLowerCase();
  return search
    .toLowerCase()
    .split(/\s+/)
    .every(word => said.includes(word) || said.replaceAll('_', ' ').includes(word));
}
