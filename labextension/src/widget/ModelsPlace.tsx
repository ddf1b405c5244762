/** The models' place. */
import type { Model } from './model';
import type { ModelsTraits } from './models';

/** The list. */
export function ModelsPlace({ model }: { readonly model: Model<ModelsTraits> }) {
  void model;
  return null;
}
