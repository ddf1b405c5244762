/** The page that customizes a model: the form, begun with what it came from; what was typed is kept. */
import { useEffect } from 'react';

import type { CustomizeTraits, SpecData } from './customize';
import { CustomizeForm } from './CustomizeForm';
import { trans } from './i18n';
import { useTrait, type Model } from './model';
import { useKept, useNavigation, type FormStart } from './route';
import { useOpened } from './useOpened';

/** The page. */
export function CustomizePage({ from }: { readonly from: FormStart }) {
  const { model, refused } = useOpened<CustomizeTraits>({ view: 'customize', ...from }, 'data');
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

interface OpenedProps {
  readonly model: Model<CustomizeTraits>;
  readonly from: FormStart;
}

function Opened({ model, from }: OpenedProps) {
  const navigation = useNavigation();
  const begun = useTrait(model, 'data');
  const submitted = useTrait(model, 'submitted');
  const [draft, setDraft] = useKept<SpecData | null>(`customize/${JSON.stringify(from)}`, null);
  useEffect(() => {
    if (submitted !== null) {
      // The form is done: the job stands in its place.
      setDraft(null);
      navigation?.back();
      navigation?.go({ page: 'job', job: submitted });
    }
    // eslint-disable-next-line react-hooks/exhaustive-deps -- once a job
  }, [submitted]);
  return <CustomizeForm model={model} data={draft ?? begun} isKept={draft !== null} onData={setDraft} />;
}
