/** The form of an evaluation, made from the spec's JSON schema; the kernel says what is wrong and how much there is to do. */
import { useRef, useState } from 'react';

import { schemaAt, valueAt, withValue, written, type Json, type SpecData } from './customize';
import { PlanReport } from './CustomizeFoot';
import type { EvaluateEstimate, EvaluateTraits } from './evaluateform';
import { methodName } from './evaluations';
import { FormFoot } from './FormFoot';
import { datasetSuggestions, Group, modelSuggestion, Others } from './FormParts';
import { capitalise, formatNumber, plainText } from './format';
import { trans } from './i18n';
import { MetricsField } from './MetricsField';
import { useTrait, type Model } from './model';
import { ModelsField } from './ModelsField';
import { RewardFields } from './RewardFields';
import { useShell } from './shell';
import { SpecField } from './SpecField';
import { useAsked } from './useAsked';

interface EvaluateFormProps {
  readonly model: Model<EvaluateTraits>;
  readonly data: SpecData;
  /** Whether the data are a draft that the kernel may not know. */
  readonly isKept: boolean;
  readonly onData: (data: SpecData) => void;
}

/** What only one method takes. */
const OF_METHODS = ['judge', 'scorer', 'benchmark'];

/** The form. */
export function EvaluateForm({ model, data, isKept, onData }: EvaluateFormProps) {
  const schema = useTrait(model, 'schema');
  const groups = useTrait(model, 'ui');
  const faults = useTrait(model, 'faults');
  const models = useTrait(model, 'models');
  const datasets = useTrait(model, 'datasets');
  const metrics = useTrait(model, 'metrics');
  const estimate = useTrait(model, 'estimate');
  const plan = useTrait(model, 'plan');
  const shell = useShell();
  const form = useRef<HTMLFormElement>(null);
  const [hasTried, setHasTried] = useState(false);
  const asked = useAsked(model, data, isKept);

  const set = (path: string, value: Json | undefined) => {
    let next = withValue(data, path, value);
    if (path === 'method') {
      OF_METHODS.filter(method => method !== value).forEach(method => {
        next = withValue(next, method, undefined);
      });
    }
    onData(next);
    asked.change(next);
  };
  const faultAt = (path: string) =>
    faults.find(fault => fault.path === path && (hasTried || valueAt(data, path) !== undefined))?.message;
  const modelNames = models.map(modelSuggestion);
  const paths = groups.flatMap(({ fields }) => fields);
  const draw = (path: string) => {
    const told = schemaAt(schema, path);
    if (!told) {
      return null;
    }
    switch (path) {
      case 'models':
        return (
          <ModelsField
            key={path}
            description={capitalise(plainText(told.description ?? ''))}
            endpoint={schema.properties?.models?.['x-endpoint'] ?? {}}
            value={data.models}
            suggestions={modelNames}
            faultAt={faultAt}
            onValue={set.bind(null, path)}
            onLook={asked.look}
          />
        );
      case 'method':
        return <Method key={path} methods={told.enum ?? []} value={data.method} onValue={set.bind(null, path)} />;
      case 'judge.metrics':
        return (
          <MetricsField
            key={path}
            metrics={metrics}
            value={valueAt(data, path)}
            fault={faultAt(path)}
            onValue={set.bind(null, path)}
          />
        );
      case 'scorer':
        return told['x-kinds'] ? (
          <RewardFields
            key={path}
            path={path}
            kinds={told['x-kinds']}
            value={data.scorer}
            models={[]}
            prompts={[]}
            faultAt={faultAt}
            onValue={set.bind(null, path)}
          />
        ) : null;
    }
    const isRows = path === 'dataset';
    const field = (
      <SpecField
        key={path}
        path={path}
        schema={told}
        value={valueAt(data, path)}
        fault={faultAt(path)}
        isRequired={isRows || path === 'judge.model' || path === 'benchmark.tasks'}
        {...(path === 'judge.model' ? { suggestions: modelNames, onLook: asked.look } : {})}
        {...(isRows ? { suggestions: datasetSuggestions(datasets, 'evaluation'), onLook: asked.look } : {})}
        onValue={set.bind(null, path)}
      />
    );
    if (!isRows || !shell) {
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
      aria-label={trans.__('Evaluate')}
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
          search={null}
          onSearch={() => undefined}
        >
          {group.fields.map(draw)}
        </Group>
      ))}
      {hasTried && (
        <Others
          faults={faults.filter(({ path }) => !isShown(path, paths))}
          data={data}
          onRemove={path => {
            set(path, undefined);
          }}
        />
      )}
      {plan && <PlanReport plan={plan} />}
      <FormFoot
        model={model}
        isWaiting={asked.isWaiting}
        takes={estimateText(estimate)}
        checks={trans.__('Checking: models, metrics and every row…')}
        checkHint={trans.__('Looks at models, metrics and every row, starts nothing')}
        submit={trans.__('Evaluate')}
        onCheck={() => {
          tryTo('check');
        }}
      />
    </form>
  );
}

interface MethodProps {
  readonly methods: readonly Json[];
  readonly value: Json | undefined;
  readonly onValue: (value: Json) => void;
}

/** The methods side by side. */
function Method({ methods, value, onValue }: MethodProps) {
  return (
    <fieldset className="tunelab-techniques" data-path="method" tabIndex={-1}>
      <legend className="tunelab-label">{trans.__('Method')}</legend>
      {methods.map(each => (
        <label key={written(each)} data-chosen={each === value}>
          <input
            type="radio"
            name="method"
            checked={each === value}
            onChange={() => {
              onValue(each);
            }}
          />
          <b>{capitalise(methodName(written(each)))}</b> <span className="tunelab-help">{helpOf(written(each))}</span>
        </label>
      ))}
    </fieldset>
  );
}

function helpOf(method: string): string {
  const told: Record<string, string> = {
    judge: trans.__('another model rates each answer by metrics'),
    scorer: trans.__('a preset or a Python function scores each answer'),
    benchmark: trans.__('tasks of lm-eval, with questions of their own'),
    meta: trans.__('the judge itself is held against ratings of people')
  };
  return told[method] ?? '';
}

function isShown(path: string, paths: readonly string[]): boolean {
  const [first = ''] = path.split('.');
  return paths.includes(path) || ((first === 'models' || first === 'scorer') && paths.includes(first));
}

/** `40 answers, 80 ratings`, as far as it is known. */
function estimateText({ rows, answers, ratings }: EvaluateEstimate): string {
  if (rows === undefined || answers === undefined) {
    return '';
  }
  const parts = [
    trans._n('%1 question', '%1 questions', rows),
    trans._n('%1 answer', '%1 answers', answers),
    ratings === undefined ? '' : trans.__('%1 ratings', formatNumber(ratings))
  ];
  return parts.filter(Boolean).join(' · ');
}
