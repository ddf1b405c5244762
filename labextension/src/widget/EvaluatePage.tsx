/** The page that evaluates models: the form, begun with what it came from; what was typed is kept. */
import { useEffect } from 'react';

import type { SpecData } from './customize';
import { EvaluateForm } from './EvaluateForm';
import type { EvaluateTraits } from './evaluateform';
import { trans } from './i18n';
import { useTrait, type Model } from './model';
import { useKept, useNavigation, type FormStart } from './route';
import { useOpened } from './useOpened';

/** The page. */
export function EvaluatePage({ from }: { readonly from: FormStart }) {
  const { model, refused } = useOpened<EvaluateTraits>({ view: 'evaluate', ...from }, 'data');
  if (refused) {
    return (
      <p className="tunelab-block" data-tone="bad" role="alert">
        {refused}
      </p>
    );
  }
  return model ? (
    <Opened model={model} from={from} />
  ) : (
    <p className="tunelab-subject" role="status">
      {trans.__('Opening the form…')}
    </p>
  );
}

function Opened({ model, from }: { readonly model: Model<EvaluateTraits>; readonly from: FormStart }) {
  const navigation = useNavigation();
  const begun = useTrait(model, 'data');
  const submitted = useTrait(model, 'submitted');
  const [draft, setDraft] = useKept<SpecData | null>(`evaluate/${JSON.stringify(from)}`, null);
  useEffect(() => {
    if (submitted !== null) {
      // The form is done: the job stands in its place.
      setDraft(null);
      navigation?.back();
      navigation?.go({ page: 'job', job: submitted, isEvaluation: true });
    }
    // eslint-disable-next-line react-hooks/exhaustive-deps -- once a job
  }, [submitted]);
  return <EvaluateForm model={model} data={draft ?? begun} isKept={draft !== null} onData={setDraft} />;
}
