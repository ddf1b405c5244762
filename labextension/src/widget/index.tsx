/** The anywidgets' bundle: draws the view that a widget's model asks for. */
import type { RenderProps } from '@anywidget/types';

import type { JobTraits, Model } from './model';
import { mountJob } from './mount';
import './widget.css';

/** anywidget's hook: draws into `el` and returns how to undo it. */
export function render({ model, el }: RenderProps<JobTraits>): () => void {
  return mountJob(el, model as unknown as Model<JobTraits>);
}
