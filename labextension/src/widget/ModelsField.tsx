/** The models of an evaluation, the baseline first: names, or endpoints. */
import type { FieldSchema, Json, SpecData } from './customize';
import { trans } from './i18n';
import { SpecField, type Suggestion } from './SpecField';

interface ModelsFieldProps {
  readonly description: string;
  readonly endpoint: FieldSchema;
  readonly value: Json | undefined;
  readonly suggestions: readonly Suggestion[];
  readonly faultAt: (path: string) => string | undefined;
  readonly onValue: (value: Json | undefined) => void;
  readonly onLook: () => void;
}

const NAME: FieldSchema = { type: 'string' };

/** One field a model, with buttons for more. */
export function ModelsField(props: ModelsFieldProps) {
  const { description, endpoint, value, suggestions, faultAt, onValue, onLook } = props;
  const models: readonly Json[] = value === undefined || value === null ? [] : [value].flat();
  // There is always a field to begin with.
  const shown: readonly Json[] = models.length === 0 ? [''] : models;
  const change = (next: readonly Json[]) => {
    onValue(next.length === 0 || (next.length === 1 && next[0] === '') ? undefined : next);
  };
  const put = (place: number, model: Json | undefined) => {
    change(shown.map((other, at) => (at === place ? (model ?? '') : other)));
  };
  return (
    <fieldset className="tunelab-reward tunelab-models-field">
      <legend className="tunelab-label">{trans.__('Models')}</legend>
      <p className="tunelab-help">{description}</p>
      {shown.map((model, place) => {
        const name = place === 0 && shown.length > 1 ? trans.__('Baseline') : trans.__('Model %1', place + 1);
        const path = `models.${place + 1}`;
        return (
          <div key={place} className="tunelab-model-field" role="group" aria-label={name}>
            {isMapping(model) ? (
              Object.entries(endpoint.properties ?? {}).map(([key, told]) => (
                <SpecField
                  key={key}
                  path={`${path}.${key}`}
                  schema={told}
                  value={model[key]}
                  fault={faultAt(`${path}.${key}`)}
                  isRequired={endpoint.required?.includes(key) ?? false}
                  onValue={changed => {
                    const rest = Object.fromEntries(Object.entries(model).filter(([other]) => other !== key));
                    put(place, changed === undefined ? rest : { ...rest, [key]: changed });
                  }}
                />
              ))
            ) : (
              <SpecField
                path={path}
                label={name}
                spoken={trans.__('%1: name or path', name)}
                schema={NAME}
                value={model === '' ? undefined : model}
                fault={faultAt(path) ?? (place === 0 ? faultAt('models') : undefined)}
                isRequired
                takesFocus={place === 0 && models.length === 0}
                suggestions={suggestions}
                onValue={changed => {
                  put(place, changed);
                }}
                onLook={onLook}
              />
            )}
            {shown.length > 1 && (
              <button
                type="button"
                className="tunelab-plain"
                aria-label={trans.__('Remove %1', name)}
                onClick={() => {
                  change(shown.filter((_, at) => at !== place));
                }}
              >
                {trans.__('Remove')}
              </button>
            )}
          </div>
        );
      })}
      <div className="tunelab-reward-add">
        <button
          type="button"
          onClick={() => {
            change([...shown, '']);
          }}
        >
          {trans.__('Another model')}
        </button>
        <button
          type="button"
          onClick={() => {
            change([...models, { name: '', model: '', base_url: '' }]);
          }}
        >
          {trans.__('A model behind an endpoint')}
        </button>
      </div>
    </fieldset>
  );
}

function isMapping(value: Json): value is SpecData {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
