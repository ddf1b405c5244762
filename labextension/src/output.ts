/** A job in a cell's output: live while its kernel can show it, else as it was saved. */
import { MimeModel, type IRenderMimeRegistry } from '@jupyterlab/rendermime';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import { PanelLayout, Widget } from '@lumino/widgets';

import { JobHost } from './jobhost';
import type { Source } from './follow';
import type { Shell } from './widget/shell';

/** What a job's output holds: the job's id. Kernel: notebook/display.py. */
export const JOB_MIME = 'application/vnd.tunelab.job+json';
/** The types that are live, or nothing. */
const OURS = [JOB_MIME, 'application/vnd.jupyter.widget-view+json'];

/** Draws `{job: ID}`. It is safe in any notebook: an id is all it takes from the file, and pictures are drawn as images. */
export class JobOutput extends Widget implements IRenderMime.IRenderer {
  private host: JobHost | null = null;
  private saved: Widget | null = null;
  private job = '';

  constructor(
    private readonly source: Source,
    private readonly shell: Shell,
    private readonly rendermime: IRenderMimeRegistry
  ) {
    super();
    this.addClass('tunelab-output');
    this.layout = new PanelLayout();
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const { job } = model.data[JOB_MIME] as { job: string };
    if (job !== this.job) {
      this.job = job;
      this.host?.dispose();
      const host = new JobHost(job, this.source, this.shell);
      this.host = host;
      host.hide();
      (this.layout as PanelLayout).addWidget(host);
      host.shown.connect((_, live) => {
        host.setHidden(!live);
        this.saved?.setHidden(live);
      });
      host.ended.connect((_, picture) => {
        keep(model, picture);
      });
    }
    await this.drawSaved(model);
  }

  /** What the file has of the job besides its id: the picture, a table, or text. */
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
