/** Models in the page: what the kernel sends of base and custom models. Kernel: notebook/models.py. */

/** The synced traits of the list of models. */
export interface ModelsTraits {
  models: readonly unknown[];
}
