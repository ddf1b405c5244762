/** What the panel says where a kernel cannot show jobs. */
import type { Attachment } from './attach';

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
  const whose = notebook === null ? 'The panel’s kernel' : `The kernel of ${notebook.split('/').pop() ?? notebook}`;
  if (failure) {
    return { text: `The panel’s kernel cannot be started: ${failure}`, action: 'Try again', busy: false };
  }
  if (!attachment) {
    return notebook === null
      ? { text: 'Starting a kernel…', action: null, busy: true }
      : { text: 'This notebook has no kernel yet.', action: null, busy: true };
  }
  switch (attachment.status) {
    case 'connecting':
    case 'ready':
      return { text: 'Asking the kernel…', action: null, busy: true };
    case 'busy':
      return { text: `${whose} is busy. The jobs show when its cell has run.`, action: null, busy: true };
    case 'unloaded':
      return { text: `${whose} has not loaded tunelab.`, action: 'Load tunelab', busy: false };
    case 'missing':
      return {
        text: `${whose} has no tunelab. Install it there with %pip install tunelab, or choose another kernel.`,
        action: 'Try again',
        busy: false
      };
    case 'failed':
      return { text: `tunelab could not be loaded: ${attachment.detail}`, action: 'Try again', busy: false };
    case 'other':
      return {
        text:
          `${whose} has tunelab ${attachment.detail}, which does not fit this panel. ` +
          'Install the same version in both, then restart the kernel and reload this page.',
        action: null,
        busy: false
      };
    case 'dead':
      return notebook === null
        ? { text: 'The panel’s kernel has died.', action: 'Start it again', busy: false }
        : {
            text: `${whose} is dead. Restart it, and the jobs show again; they have gone on.`,
            action: null,
            busy: false
          };
  }
}
