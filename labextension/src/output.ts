/** A job, a dataset or the Studio in a cell's output: live while its kernel can show it, else as it was saved. */
import { MimeModel, type IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import { PanelLayout, Widget } from '@lumino/widgets';

import { DatasetHost } from './datasethost';
import type { StudioSource } from './follow';
import { JobHost } from './jobhost';
import { StudioHost } from './studiohost';
import { PLACES } from './widget/route';
import type { Shell } from './widget/shell';

/** What a job's output holds: the job's id. Kernel: notebook/display.py. */
export const JOB_MIME = 'application/vnd.tunelab.job+json';
/** What a dataset's output holds: `NAME@VERSION`. */
export const DATASET_MIME = 'application/vnd.tunelab.dataset+json';
/** What the Studio's output holds: the place that it begins with. Kernel: notebook/studio.py. */
export const STUDIO_MIME = 'application/vnd.tunelab.studio+json';
/** The types that are live, or nothing. */
const OURS = [JOB_MIME, DATASET_MIME, STUDIO_MIME, 'application/vnd.jupyter.widget-view+json'];

/**
 * Draws `{job: ID}`, `{dataset: NAME@VERSION}` or `{place: PLACE}`. It is safe in any notebook: a name is all it takes from the file, and
 * pictures are drawn as images.
 */
export class LiveOutput extends Widget implements IRenderMime.IRenderer {
  private host: (Widget & { readonly isLive: boolean }) | null = null;
  private saved: Widget | null = null;
  private name = '';

  constructor(
    private readonly source: StudioSource,
    private readonly shell: Shell,
    private readonly rendermime: IRenderMimeRegistry
  ) {
    super();
    this.addClass('tunelab-output');
    this.layout = new PanelLayout();
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const { job = '', dataset = '' } = { ...asked(model, JOB_MIME), ...asked(model, DATASET_MIME) };
    const name = job || dataset || STUDIO_MIME;
    if (name !== this.name) {
      this.name = name;
      this.host?.dispose();
      const host = job
        ? this.jobHost(job, model)
        : dataset
          ? new DatasetHost(dataset, this.source, this.shell)
          : this.studio(model);
      this.host = host;
      host.hide();
      (this.layout as PanelLayout).addWidget(host);
      const showLive = (_: unknown, live: boolean) => {
        host.setHidden(!live);
        this.saved?.setHidden(live);
      };
      host.shown.connect(showLive);
    }
    await this.drawSaved(model);
  }

  private jobHost(job: string, model: IRenderMime.IMimeModel): JobHost {
    const host = new JobHost(job, this.source, this.shell);
    host.ended.connect((_, picture) => {
      keep(model, picture);
    });
    return host;
  }

  private studio(model: IRenderMime.IMimeModel): StudioHost {
    const { place } = model.data[STUDIO_MIME] as { place?: string | null };
    const known = PLACES.find(each => each === place);
    return new StudioHost(this.source, this.shell, known ? { place: known } : {});
  }

  /** What the file has of it besides its name: the picture, a table, or text. */
  private async drawSaved(model: IRenderMime.IMimeModel): Promise<void> {
    const data = Object.fromEntries(Object.entries(model.data).filter(([type]) => !OURS.includes(type)));
    const mimeType = this.rendermime.preferredMimeType(data, model.trusted ? 'any' : 'ensure');
    this.saved?.dispose();
    this.saved = null;
    if (!mimeType) {
      return;
    }
    const renderer = this.rendermime.createRenderer(mimeType);
    this.saved = renderer;
    renderer.setHidden(this.host?.isLive ?? false);
    (this.layout as PanelLayout).insertWidget(0, renderer);
    await renderer.renderModel(new MimeModel({ data, trusted: model.trusted }));
  }
}

function asked(model: IRenderMime.IMimeModel, type: string): { job?: string; dataset?: string } {
  return (model.data[type] ?? {}) as { job?: string; dataset?: string };
}

/** Puts the picture of an ended job into the notebook's model, from where it is saved. */
function keep(model: IRenderMime.IMimeModel, picture: string): void {
  if (model.data['image/svg+xml'] === picture) {
    return;
  }
  const kept: ReadonlyPartialJSONObject = {
    [JOB_MIME]: model.data[JOB_MIME],
    'image/svg+xml': picture,
    'text/plain': model.data['text/plain']
  };
  model.setData({ data: kept });
}
