/** EvaluatePage. */
import type { FormStart } from './route';

export function EvaluatePage({ from }: { readonly from: FormStart }) {
  void from;
  return null;
}
