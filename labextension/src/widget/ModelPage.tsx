/** ModelPage. */
export function ModelPage({ model }: { readonly model: string }) {
  void model;
  return null;
}
