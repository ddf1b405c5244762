/** ReplayPage. */
export function ReplayPage({ job }: { readonly job: string }) {
  void job;
  return null;
}
