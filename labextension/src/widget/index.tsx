/** The anywidgets' bundle: draws the view that a widget's model asks for. */
import type { RenderProps } from '@anywidget/types';

import type { DatasetTraits, JobTraits, Model } from './model';
import { mountDataset, mountJob } from './mount';
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
  return model.get('kind') === 'dataset'
    ? mountDataset(el, model as unknown as Model<DatasetTraits>)
    : mountJob(el, model as unknown as Model<JobTraits>);
}
