import { describe, expect, test } from 'vitest';

import type { JobSnapshot } from '../../labextension/src/widget/model';
import { describeState } from '../../labextension/src/widget/states';
import { snapshot } from './snapshot';

type Case = [title: string, changes: Partial<JobSnapshot>, sentence: string, aside: string, announcement: string];

const unstarted = { step: null, total: null, eta_s: null, elapsed_s: null };

describe('a job in words', () => {
  test.each<Case>([
    ['queued', { ...unstarted, state: 'queued' }, 'Waiting for the device', '', 'Waiting for the device'],
    [
      'queued, next',
      { ...unstarted, state: 'queued', position: 1 },
      'Waiting for the device: next in the queue',
      '',
      'Waiting for the device'
    ],
    [
      'queued behind one',
      { ...unstarted, state: 'queued', position: 2 },
      'Waiting for the device: 2nd in the queue',
      '',
      'Waiting for the device'
    ],
    [
      'queued again after a pause',
      { state: 'queued', position: 2 },
      'Waiting for the device: 2nd in the queue',
      'goes on after step 12 of 60',
      'Waiting for the device'
    ],
    ['running', {}, 'Step 12 of 60', 'about 3 min left', 'Running'],
    [
      'running, measured',
      { epoch: 0.6, epochs: 3, tokens_per_s: 1519.6 },
      'Step 12 of 60 · epoch 0.60 of 3 · 1,520 tokens/s',
      'about 3 min left',
      'Running'
    ],
    [
      'running, beside what the machine can do',
      { tokens_per_s: 212.4, share: 0.684 },
      'Step 12 of 60 · 212 tokens/s, 68% of the machine’s rate',
      'about 3 min left',
      'Running'
    ],
    [
      'running, faster than the machine was measured beside other work',
      { tokens_per_s: 212.4, share: 1.31 },
      'Step 12 of 60 · 212 tokens/s, 100% of the machine’s rate',
      'about 3 min left',
      'Running'
    ],
    [
      'an evaluation, which has no steps',
      { kind: 'evaluate', phase: 'chatty@1 answers 261 questions' },
      '12 of 60 · chatty@1 answers 261 questions',
      'about 3 min left',
      'Running'
    ],
    [
      'an evaluation that is to pause',
      { kind: 'evaluate', pausing: true },
      'Pausing at 12 of 60: finishing what is under way',
      '47 s so far',
      'Pausing'
    ],
    ['an evaluation that has ended', { kind: 'evaluate', state: 'completed' }, 'Finished in 47 s', '', 'Finished'],
    ['running, by steps and not by epochs', { epoch: 0.6 }, 'Step 12 of 60', 'about 3 min left', 'Running'],
    [
      'running, in half epochs',
      { epoch: 0.25, epochs: 0.5 },
      'Step 12 of 60 · epoch 0.25 of 0.50',
      'about 3 min left',
      'Running'
    ],
    [
      'running, with nobody at work',
      { reason: 'no process works on it, and /jobs/a cannot be written', eta_s: null },
      'Step 12 of 60: no process works on it, and /jobs/a cannot be written',
      '47 s so far',
      'Running: no process works on it, and /jobs/a cannot be written'
    ],
    [
      'queued, with nobody at work',
      { ...unstarted, state: 'queued', position: 2, reason: 'no process works on it' },
      'Waiting for the device: no process works on it',
      '',
      'Waiting for the device: no process works on it'
    ],
    ['running, just begun', unstarted, 'Starting', '', 'Running'],
    [
      'running, before the first step',
      { ...unstarted, phase: 'loading the model' },
      'Loading the model',
      '',
      'Running'
    ],
    [
      'running, between steps',
      { phase: 'evaluating', eta_s: null, tokens_per_s: 1520 },
      'Step 12 of 60 · evaluating',
      '47 s so far',
      'Running'
    ],
    ['running, no known end', { total: null, eta_s: null }, 'Step 12', '47 s so far', 'Running'],
    [
      'cancelling',
      { cancelling: true },
      'Cancelling at step 12 of 60: saving what there is',
      '47 s so far',
      'Cancelling'
    ],
    ['cancelling in the queue', { ...unstarted, state: 'queued', cancelling: true }, 'Cancelling', '', 'Cancelling'],
    [
      'cancelling a job that was to pause',
      { cancelling: true, pausing: true },
      'Cancelling at step 12 of 60: saving what there is',
      '47 s so far',
      'Cancelling'
    ],
    ['pausing', { pausing: true }, 'Pausing at step 12 of 60: finishing the step and saving', '47 s so far', 'Pausing'],
    [
      'pausing, before the first step',
      { ...unstarted, pausing: true, phase: 'loading the model' },
      'Pausing before the first step',
      '',
      'Pausing'
    ],
    ['pausing in the queue', { ...unstarted, state: 'queued', pausing: true }, 'Pausing', '', 'Pausing'],
    [
      'pausing while it recovers',
      { state: 'recovering', reason: 'the worker was killed', pausing: true },
      'Pausing at step 12 of 60',
      '47 s so far',
      'Pausing'
    ],
    [
      'recovering',
      { state: 'recovering', reason: 'the worker was killed' },
      'Recovering at step 12 of 60: the worker was killed',
      '47 s so far',
      'Recovering: the worker was killed'
    ],
    ['paused', { state: 'paused' }, 'Paused at step 12 of 60', '47 s so far', 'Paused'],
    [
      'paused for a key',
      { state: 'paused', reason: 'set OPENAI_API_KEY and resume' },
      'Paused at step 12 of 60: set OPENAI_API_KEY and resume',
      '47 s so far',
      'Paused: set OPENAI_API_KEY and resume'
    ],
    [
      'cancelling a paused job',
      { state: 'paused', reason: 'the disk is full', cancelling: true },
      'Cancelling at step 12 of 60',
      '47 s so far',
      'Cancelling'
    ],
    [
      'completed',
      { state: 'completed', step: 60, elapsed_s: 240, model_version: 'chatty@1' },
      'Finished in 4 min: chatty@1',
      '60 steps',
      'Finished: chatty@1'
    ],
    [
      'completed, to be registered later',
      { state: 'completed', step: 60, elapsed_s: 240, reason: 'MLflow cannot be reached: it is registered later.' },
      'Finished in 4 min. MLflow cannot be reached: it is registered later.',
      '60 steps',
      'Finished. MLflow cannot be reached: it is registered later.'
    ],
    [
      'completed, registered later',
      { state: 'completed', elapsed_s: 240, reason: 'MLflow cannot be reached', model_version: 'chatty@1' },
      'Finished in 4 min: chatty@1',
      '60 steps',
      'Finished: chatty@1'
    ],
    [
      'completed, nothing registered',
      { state: 'completed', total: 1, elapsed_s: null },
      'Finished',
      '1 step',
      'Finished'
    ],
    [
      'failed',
      { state: 'failed', reason: '\x1b[31mOut of memory\x1b[0m\n' },
      'Failed: Out of memory',
      'step 12 of 60 · after 47 s',
      'Failed: Out of memory'
    ],
    ['failed early, no reason', { ...unstarted, state: 'failed' }, 'Failed', '', 'Failed'],
    ['cancelled', { state: 'cancelled' }, 'Cancelled at step 12 of 60', 'after 47 s', 'Cancelled'],
    [
      'cancelled in the queue',
      { ...unstarted, state: 'cancelled', reason: 'by the user' },
      'Cancelled: by the user',
      '',
      'Cancelled: by the user'
    ]
  ])('%s', (_title, changes, sentence, aside, announcement) => {
    expect(describeState(snapshot(changes))).toMatchObject({ sentence, aside, announcement });
  });
});

test.each<[Partial<JobSnapshot>, string]>([
  [{ state: 'queued' }, 'calm'],
  [{ state: 'running' }, 'busy'],
  [{ state: 'recovering' }, 'warn'],
  [{ state: 'paused' }, 'calm'],
  [{ state: 'paused', reason: 'a key is missing' }, 'warn'],
  [{ reason: 'no process works on it' }, 'warn'],
  [{ pausing: true }, 'busy'],
  [{ state: 'completed' }, 'good'],
  [{ state: 'completed', reason: 'MLflow cannot be reached' }, 'warn'],
  [{ state: 'completed', reason: 'MLflow cannot be reached', model_version: 'chatty@1' }, 'good'],
  [{ state: 'failed' }, 'bad'],
  [{ state: 'cancelled' }, 'calm']
])('%j has the tone %s', (changes, tone) => {
  expect(describeState(snapshot(changes)).tone).toBe(tone);
});
