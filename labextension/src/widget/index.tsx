/** The anywidgets' bundle: draws the view that a widget's model asks for. */
import type { RenderProps } from '@anywidget/types';

import type { DatasetTraits, JobTraits, Model } from './model';
import { mountDataset, mountJob, mountStudio } from './mount';
import '@xyflow/react/dist/base.css';
import './widget.css';
import './datasets.css';
import './rollouts.css';
import './evaluations.css';
import './judgemetrics.css';
import './studio.css';
import './models.css';
import './forms.css';
import './lineage.css';
import './compare.css';
import './evaluators.css';

/** anywidget's hook: draws into `el` and returns how to undo it. */
export function render({ model, el }: RenderProps<(JobTraits | DatasetTraits) & { kind?: string }>): () => void {
  switch (model.get('kind')) {
    case 'studio':
      return mountStudio(el, model);
    case 'dataset':
      return mountDataset(el, model as unknown as Model<DatasetTraits>);
    default:
      return mountJob(el, model as unknown as Model<JobTraits>);
  }
}
