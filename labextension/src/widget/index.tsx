/** The bundle's entry: draws the view that a widget's model asks for. */
import type { RenderProps } from '@anywidget/types';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import { JobView } from './JobView';
import { useTrait, type JobTraits, type TunelabModel } from './model';
import './widget.css';

function JobWidget({ model }: { readonly model: TunelabModel }) {
  return <JobView job={useTrait(model, 'snapshot')} />;
}

/** anywidget's hook: draws into `el` and returns how to undo it. */
function render({ model, el }: RenderProps<JobTraits>): () => void {
  const root = createRoot(el);
  root.render(
    <StrictMode>
      <JobWidget model={model} />
    </StrictMode>
  );
  return () => {
    root.unmount();
  };
}

export default { render };
