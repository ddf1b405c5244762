/** CustomizePage. */
import type { FormStart } from './route';

export function CustomizePage({ from }: { readonly from: FormStart }) {
  void from;
  return null;
}
