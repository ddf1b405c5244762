/** The page that customizes a model. */
import { CustomizeForm } from './CustomizeForm';
import { FormPage } from './FormPage';
import type { FormStart } from './route';

/** The page. */
export function CustomizePage({ from }: { readonly from: FormStart }) {
  return <FormPage view="customize" from={from} form={CustomizeForm} />;
}
