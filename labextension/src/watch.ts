/** What goes on while the panel is closed: a number on its tab, and a notification at the end of a job. */
import { Notification } from '@jupyterlab/apputils';
import type { Title, Widget } from '@lumino/widgets';

import type { Attachment } from './attach';
import { CommModel } from './comm';
import type { Source } from './follow';
import { plainText } from './widget/format';
import { trans } from './widget/i18n';
import type { Route } from './widget/route';

/** How many jobs have not ended. Kernel: notebook/activity.py. */
interface Counts {
  readonly jobs: number;
  readonly evaluations: number;
}

interface ActivityTraits {
  activity: Counts;
}

/** A job that goes no further. */
export interface Ended {
  readonly type: 'ended';
  readonly job: string;
  readonly name: string;
  readonly kind: 'customize' | 'evaluate';
  readonly state: 'completed' | 'failed' | 'paused';
  readonly reason: string | null;
  readonly model_version: string | null;
}

/** The attribute of the tab that its style reads. */
const ACTIVE = 'tunelab-active';

/** Follows the panel's kernel, shown or not. */
export class ActivityWatch {
  private model: CommModel<ActivityTraits> | null = null;
  private of: Attachment | null = null;
  private counts: Counts | null = null;
  /** The ends that were told: another kernel tells of the same jobs. */
  private readonly told = new Set<string>();
  private readonly caption: string;

  /**
   * @param title - of the panel
   * @param ended - is told of each end once
   */
  constructor(
    private readonly source: Source,
    private readonly title: Title<Widget>,
    private readonly ended: (told: Ended) => void
  ) {
    this.caption = title.caption;
    source.changed.connect(this.follow, this);
    // The side bar sets the attributes of the tab anew when it is moved.
    title.changed.connect(this.show, this);
    this.follow();
  }

  private follow(): void {
    const attachment = this.source.attachment;
    const ready = attachment?.status === 'ready' ? attachment : null;
    if (!ready) {
      this.close();
      return;
    }
    if (ready === this.of) {
      return;
    }
    const before = this.model;
    const model = new CommModel<ActivityTraits>(ready.kernel, { view: 'activity' });
    this.of = ready;
    this.model = model;
    model.on('change:activity', () => {
      // Till then the kernel before is heard, so that no end falls between the two.
      before?.close();
      if (model === this.model) {
        this.counts = model.get('activity');
        this.show();
      }
    });
    model.on('msg:custom', (content: { readonly type: string }) => {
      if (content.type === 'ended') {
        this.end(content as Ended);
      }
    });
  }

  private close(): void {
    this.model?.close();
    this.model = null;
    this.of = null;
    this.counts = null;
    this.show();
  }

  private end(told: Ended): void {
    const key = `${told.job} ${told.state}`;
    if (!this.told.has(key)) {
      this.told.add(key);
      this.ended(told);
    }
  }

  private show(): void {
    const count = this.counts ? this.counts.jobs + this.counts.evaluations : 0;
    const mark = count > 0 ? (count > 99 ? '99+' : String(count)) : undefined;
    const { [ACTIVE]: shown, ...others } = this.title.dataset;
    if (shown !== mark) {
      this.title.dataset = mark === undefined ? others : { ...others, [ACTIVE]: mark };
    }
    const caption = count > 0 ? `${this.caption}: ${trans._n('%1 active job', '%1 active jobs', count)}` : this.caption;
    if (this.title.caption !== caption) {
      this.title.caption = caption;
    }
  }
}

/** Shows a notification of a job's end, with buttons that open the job and the model that it made. */
export function notify(told: Ended, open: (route: Route) => void): void {
  const type = { completed: 'success', failed: 'error', paused: 'warning' } as const;
  const { job, model_version: model } = told;
  const action = (label: string, caption: string, route: Route): Notification.IAction => ({
    label,
    caption,
    callback: () => {
      open(route);
    }
  });
  const actions = [
    action(trans.__('Open job'), trans.__('Open job %1', job), {
      page: 'job',
      job,
      isEvaluation: told.kind === 'evaluate'
    })
  ];
  if (model !== null) {
    const toModel = action(trans.__('Open model'), trans.__('Open model %1', model), { page: 'model', model });
    actions.push({ ...toModel, displayType: 'accent' });
  }
  Notification.emit(sentenceOf(told), type[told.state], {
    // What went wrong stays until it was seen.
    autoClose: told.state === 'completed' ? 10_000 : false,
    actions
  });
}

/** `chatty has finished: chatty@3`. */
export function sentenceOf({ name, kind, state, reason, model_version: version }: Ended): string {
  const what = kind === 'evaluate' ? trans.__('Evaluation %1', plainText(name)) : plainText(name);
  const why = reason === null ? '' : plainText(reason).trim();
  switch (state) {
    case 'completed':
      return version === null
        ? why
          ? trans.__('%1 has finished: %2', what, why)
          : trans.__('%1 has finished.', what)
        : trans.__('%1 has finished: %2', what, plainText(version));
    case 'failed':
      return why ? trans.__('%1 has failed: %2', what, why) : trans.__('%1 has failed.', what);
    case 'paused':
      return trans.__('%1 is paused: %2', what, why);
  }
}
