/** The page around a form: it is begun with what it came from, what was typed is kept, and the job that it starts takes its place. */
import { useEffect, type ComponentType } from 'react';

import type { CustomizeTraits, SpecData } from './customize';
import { trans } from './i18n';
import { useTrait, type Model } from './model';
import { useKept, useNavigation, type FormStart } from './route';
import { useOpened } from './useOpened';
import type { FormProps, FormTraits } from './useSpecForm';

type PageTraits = FormTraits & Pick<CustomizeTraits, 'data' | 'submitted'>;

interface FormPageProps<T extends PageTraits> {
  /** Which of the kernel's forms it is. */
  readonly view: 'customize' | 'evaluate';
  readonly from: FormStart;
  readonly form: ComponentType<FormProps<T>>;
}

/** The page. */
export function FormPage<T extends PageTraits>(props: FormPageProps<T>) {
  const { model, refused } = useOpened<T>({ view: props.view, ...props.from }, 'data');
  if (refused) {
    return (
      <p className="tunelab-block" data-tone="bad" role="alert">
        {refused}
      </p>
    );
  }
  return model ? (
    <Opened {...props} model={model} />
  ) : (
    <p className="tunelab-subject" role="status">
      {trans.__('Opening the form…')}
    </p>
  );
}

interface OpenedProps<T extends PageTraits> extends FormPageProps<T> {
  readonly model: Model<T>;
}

function Opened<T extends PageTraits>({ view, from, form: Form, model }: OpenedProps<T>) {
  const navigation = useNavigation();
  const begun = useTrait(model, 'data');
  const submitted = useTrait(model, 'submitted');
  const [draft, setDraft] = useKept<SpecData | null>(`${view}/${JSON.stringify(from)}`, null);
  useEffect(() => {
    if (submitted !== null) {
      // The form is done: the job stands in its place.
      setDraft(null);
      navigation?.back();
      navigation?.go({ page: 'job', job: submitted, ...(view === 'evaluate' ? { isEvaluation: true } : {}) });
    }
    // eslint-disable-next-line react-hooks/exhaustive-deps -- once a job
  }, [submitted]);
  return <Form model={model} data={draft ?? begun} isKept={draft !== null} onData={setDraft} />;
}
