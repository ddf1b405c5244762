/** The form of an evaluation, made from the spec's JSON schema; the kernel says what is wrong and how much there is to do. */
import { schemaAt, valueAt, withValue, type SpecData } from './customize';
import type { EvaluateEstimate, EvaluateTraits } from './evaluateform';
import { methodName } from './evaluations';
import { FormFoot } from './FormFoot';
import { Choices, datasetSuggestions, FormField, modelSuggestion, WithFiles } from './FormParts';
import { capitalise, formatNumber, plainText } from './format';
import { trans } from './i18n';
import { MetricsField } from './MetricsField';
import { useTrait } from './model';
import { ModelsField } from './ModelsField';
import { RewardFields } from './RewardFields';
import { SpecForm } from './SpecForm';
import { useSpecForm, type FormProps } from './useSpecForm';

/** What only one method takes. */
const OF_METHODS = ['judge', 'scorer', 'benchmark'];
const REQUIRED = new Set(['judge.model', 'benchmark.tasks']);

/** The form. */
export function EvaluateForm(props: FormProps<EvaluateTraits>) {
  const { model, data } = props;
  const endpoint = useTrait(model, 'schema').properties?.models?.['x-endpoint'];
  const metrics = useTrait(model, 'metrics');
  const estimate = useTrait(model, 'estimate');
  const form = useSpecForm(props, settled);
  const { faultAt } = form;
  const models = form.models.map(modelSuggestion);
  const draw = (path: string) => {
    const told = schemaAt(form.schema, path);
    if (!told) {
      return null;
    }
    const set = form.set.bind(null, path);
    switch (path) {
      case 'models':
        return (
          <ModelsField
            key={path}
            description={capitalise(plainText(told.description ?? ''))}
            endpoint={endpoint ?? {}}
            value={data.models}
            suggestions={models}
            faultAt={faultAt}
            onValue={set}
            onLook={form.look}
          />
        );
      case 'method':
        return (
          <Choices
            key={path}
            path={path}
            label={trans.__('Method')}
            choices={told.enum ?? []}
            value={data.method}
            nameOf={method => capitalise(methodName(method))}
            helpOf={helpOf}
            onValue={set}
          />
        );
      case 'judge.metrics':
        return (
          <MetricsField key={path} metrics={metrics} value={valueAt(data, path)} fault={faultAt(path)} onValue={set} />
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
            onValue={set}
          />
        ) : null;
      case 'dataset':
        return (
          <WithFiles key={path} onFile={set}>
            <FormField
              form={form}
              path={path}
              schema={told}
              isRequired
              suggestions={datasetSuggestions(form.datasets, 'evaluation')}
            />
          </WithFiles>
        );
    }
    return (
      <FormField
        key={path}
        form={form}
        path={path}
        schema={told}
        isRequired={REQUIRED.has(path)}
        suggestions={path === 'judge.model' ? models : undefined}
      />
    );
  };
  return (
    <SpecForm
      name={trans.__('Evaluate')}
      form={form}
      draw={draw}
      foot={
        <FormFoot
          model={model}
          form={form}
          takes={estimateText(estimate)}
          checks={trans.__('Checking: models, metrics and every row…')}
          checkHint={trans.__('Looks at models, metrics and every row, starts nothing')}
          submit={trans.__('Evaluate')}
        />
      }
    />
  );
}

/** Another method takes what only the former one took with it. */
function settled(next: SpecData, path: string): SpecData {
  return path === 'method'
    ? OF_METHODS.filter(method => method !== next.method).reduce(
        (left, method) => withValue(left, method, undefined),
        next
      )
    : next;
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
