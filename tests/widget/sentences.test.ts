import { expect, test } from 'vitest';

import type { Attachment, Status } from '../../labextension/src/attach';
import { sentence } from '../../labextension/src/sentences';

const attachment = (status: Status, detail = '') => ({ status, detail }) as unknown as Attachment;

type Case = [status: Status, detail: string, ofNotebook: string, ofPanel: string, action: string | null, busy: boolean];

const missing = 'has no tunelab. Install it there with %pip install tunelab, or choose another kernel.';
const other =
  'has tunelab 0.9.0, which does not fit this panel. ' +
  'Install the same version in both, then restart the kernel and reload this page.';
const failed = 'tunelab could not be loaded: OSError: read-only';

test.each<Case>([
  ['connecting', '', 'Asking the kernel…', 'Asking the kernel…', null, true],
  ['ready', '0.1.0', 'Asking the kernel…', 'Asking the kernel…', null, true],
  [
    'busy',
    '',
    'The kernel of a.ipynb is busy. The jobs show when its cell has run.',
    'The panel’s kernel is busy. The jobs show when its cell has run.',
    null,
    true
  ],
  [
    'unloaded',
    '',
    'The kernel of a.ipynb has not loaded tunelab.',
    'The panel’s kernel has not loaded tunelab.',
    'Load tunelab',
    false
  ],
  ['missing', '', `The kernel of a.ipynb ${missing}`, `The panel’s kernel ${missing}`, 'Try again', false],
  ['failed', 'OSError: read-only', failed, failed, 'Try again', false],
  ['other', '0.9.0', `The kernel of a.ipynb ${other}`, `The panel’s kernel ${other}`, null, false]
])('a kernel that is %s %s', (status, detail, ofNotebook, ofPanel, action, busy) => {
  expect(sentence('deep/down/a.ipynb', attachment(status, detail), '')).toEqual({ text: ofNotebook, action, busy });
  expect(sentence(null, attachment(status, detail), '')).toEqual({ text: ofPanel, action, busy });
});

test.each([
  ['a.ipynb', 'The kernel of a.ipynb is dead. Restart it, and the jobs show again; they have gone on.', null],
  [null, 'The panel’s kernel has died.', 'Start it again']
])('the dead kernel of %s is started again by whoever started it', (notebook, text, action) => {
  expect(sentence(notebook, attachment('dead'), '')).toEqual({ text, action, busy: false });
});

test.each([
  ['a.ipynb', 'This notebook has no kernel yet.'],
  [null, 'Starting a kernel…']
])('without a kernel of %s', (notebook, text) => {
  expect(sentence(notebook, null, '')).toEqual({ text, action: null, busy: true });
});

test('why a kernel cannot be started comes before all else', () => {
  const said = { text: 'The panel’s kernel cannot be started: no disk', action: 'Try again', busy: false };
  expect(sentence(null, null, 'no disk')).toEqual(said);
  expect(sentence(null, attachment('dead'), 'no disk')).toEqual(said);
});
