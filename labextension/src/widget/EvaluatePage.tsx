/** The page that evaluates models. */
import { EvaluateForm } from './EvaluateForm';
import { FormPage } from './FormPage';
import type { FormStart } from './route';

/** The page. */
export function EvaluatePage({ from }: { readonly from: FormStart }) {
  return <FormPage view="evaluate" from={from} form={EvaluateForm} />;
}
