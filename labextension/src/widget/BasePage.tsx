/** BasePage. */
export function BasePage({ model }: { readonly model: string }) {
  void model;
  return null;
}
