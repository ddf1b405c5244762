/** What the panel says where a kernel cannot show jobs. */
import type { Attachment } from './attach';
import { trans } from './widget/i18n';

/** A sentence, and the label of the button that helps. */
export interface Said {
  readonly text: string;
  readonly action: string | null;
  /** Nothing is wrong: it only takes a moment. */
  readonly busy: boolean;
}

/**
 * The sentence for a kernel's status.
 *
 * @param notebook - the notebook's path, or null for the panel's own kernel
 * @param failure - why the panel's own kernel could not be started, or nothing
 */
export function sentence(notebook: string | null, attachment: Attachment | null, failure: string): Said {
  const whose =
    notebook === null
      ? trans.__('The panel’s kernel')
      : trans.__('The kernel of %1', notebook.split('/').pop() ?? notebook);
  if (failure) {
    return {
      text: trans.__('The panel’s kernel cannot be started: %1', failure),
      action: trans.__('Try again'),
      busy: false
    };
  }
  if (!attachment) {
    return notebook === null
      ? { text: trans.__('Starting a kernel…'), action: null, busy: true }
      : { text: trans.__('This notebook has no kernel yet.'), action: null, busy: true };
  }
  switch (attachment.status) {
    case 'connecting':
    case 'ready':
      return { text: trans.__('Asking the kernel…'), action: null, busy: true };
    case 'busy':
      return { text: trans.__('%1 is busy. The jobs show when its cell has run.', whose), action: null, busy: true };
    case 'unloaded':
      return {
        text: trans.__('%1 has not loaded tunelab.', whose),
        action: trans.__('Load tunelab'),
        busy: false
      };
    case 'missing':
      return {
        text: trans.__(
          '%1 has no tunelab. Install it there with %2, or choose another kernel.',
          whose,
          '%pip install tunelab'
        ),
        action: trans.__('Try again'),
        busy: false
      };
    case 'failed':
      return {
        text: trans.__('tunelab could not be loaded: %1', attachment.detail),
        action: trans.__('Try again'),
        busy: false
      };
    case 'other':
      return {
        text: [
          trans.__('%1 has tunelab %2, which does not fit this panel.', whose, attachment.detail),
          trans.__('Install the same version in both, then restart the kernel and reload this page.')
        ].join(' '),
        action: null,
        busy: false
      };
    case 'dead':
      return notebook === null
        ? { text: trans.__('The panel’s kernel has died.'), action: trans.__('Start it again'), busy: false }
        : {
            text: trans.__('%1 is dead. Restart it, and the jobs show again; they have gone on.', whose),
            action: null,
            busy: false
          };
  }
}
