/** What the Studio's places are called. */
import { trans } from './i18n';
import type { Place } from './route';

/** The name on a place's tab. */
export function placeName(place: Place): string {
  return {
    models: trans.__('Models'),
    datasets: trans.__('Datasets'),
    jobs: trans.__('Jobs'),
    evaluations: trans.__('Evaluations'),
    evaluators: trans.__('Evaluators')
  }[place];
}
