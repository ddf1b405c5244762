/** The form of a customization, made from the spec's JSON schema; the kernel says what is wrong and what it takes. */
import {
  schemaAt,
  valueAt,
  withValue,
  written,
  type CustomizeTraits,
  type FieldSchema,
  type ModelChoice,
  type SpecData
} from './customize';
import { CustomizeFoot } from './CustomizeFoot';
import { techniqueName } from './datasets';
import { Choices, datasetSuggestions, FormField, modelSuggestion, WithFiles } from './FormParts';
import { trans } from './i18n';
import { useTrait } from './model';
import { RewardFields } from './RewardFields';
import { SpecForm } from './SpecForm';
import { nameOf } from './SpecField';
import { useSpecForm, type FormProps } from './useSpecForm';

/** How an adapter is carried on: of a custom model or a checkpoint alone. */
const CARRY = 'adapter.carry';

/** The form. */
export function CustomizeForm(props: FormProps<CustomizeTraits>) {
  const { model, data } = props;
  const prompts = useTrait(model, 'prompts');
  const form = useSpecForm(props, settled);
  const { schema, faultAt } = form;
  const required = new Set(schema.required);
  const models = form.models.map(modelSuggestion);
  const datasets = datasetSuggestions(form.datasets, written(data.technique));
  const draw = (path: string) => {
    const told = schemaAt(schema, path);
    if (!told || (path === CARRY && valueAt(data, path) === undefined && !isCustom(data, form.models))) {
      return null;
    }
    const set = form.set.bind(null, path);
    if (path === 'technique') {
      const help = helpOf(told);
      return (
        <Choices
          key={path}
          path={path}
          label={nameOf(path)}
          choices={told.enum ?? []}
          value={data[path]}
          nameOf={techniqueName}
          helpOf={technique => help.get(technique) ?? ''}
          onValue={set}
        />
      );
    }
    if (told['x-kinds']) {
      return (
        <RewardFields
          key={path}
          kinds={told['x-kinds']}
          value={data[path]}
          {...{ models, prompts, faultAt }}
          onValue={set}
        />
      );
    }
    const isRows = path === 'dataset' || path === 'eval_dataset';
    const field = (
      <FormField
        key={path}
        form={form}
        path={path}
        schema={told}
        isRequired={required.has(path)}
        takesFocus={path === 'name'}
        suggestions={path === 'model' ? models : isRows ? datasets : undefined}
      />
    );
    return path === 'dataset' ? (
      <WithFiles key={path} onFile={set}>
        {field}
      </WithFiles>
    ) : (
      field
    );
  };
  return (
    <SpecForm
      name={trans.__('Customize')}
      form={form}
      canSearch
      tellsOthers
      draw={draw}
      foot={<CustomizeFoot model={model} form={form} />}
    />
  );
}

/** Rewards are of one technique, and those who learn from rows have none. */
function settled(next: SpecData, path: string): SpecData {
  return path === 'technique' ? withValue(withValue(next, 'reward', undefined), 'algorithm', undefined) : next;
}

/** What each technique is for: the description of the spec's field. */
function helpOf(schema: FieldSchema): ReadonlyMap<string, string> {
  return new Map((schema.description ?? '').split('; ').map(each => each.split(/: (.*)/s, 2) as [string, string]));
}

/** Whether it goes on from a custom model, `NAME` or `NAME@VERSION`, or a checkpoint, `…:step-N`. */
function isCustom(data: SpecData, models: readonly ModelChoice[]): boolean {
  const label = written(data.model).replace(/:step-\d+$/, '');
  return models.some(({ name, kind }) => kind === 'custom' && (name === label || name.startsWith(`${label}@`)));
}
