/** ComparePage. */
export function ComparePage({ jobs }: { readonly jobs: readonly string[] }) {
  void jobs;
  return null;
}
