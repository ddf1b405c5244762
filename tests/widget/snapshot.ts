/** A job half way, for tests to vary. */
import type { JobSnapshot } from '../../labextension/src/widget/model';

/** A running DPO job at step 12 of 60, with `changes` on top. */
export function snapshot(changes: Partial<JobSnapshot> = {}): JobSnapshot {
  return {
    id: 'dpo-chatty-7f3a',
    name: 'chatty',
    kind: 'customize',
    technique: 'dpo',
    model: 'smollm2-135m',
    dataset: 'human-like@1',
    adapter: 'LoRA r16',
    state: 'running',
    reason: null,
    cancelling: false,
    pausing: false,
    position: null,
    step: 12,
    total: 60,
    epoch: null,
    epochs: null,
    eta_s: 185,
    tokens_per_s: null,
    share: null,
    phase: null,
    metrics: [
      { name: 'loss', value: 0.4871, step: 12 },
      { name: 'eval_loss', value: 0.5123, step: 10 },
      { name: 'rewards/margins', value: 0.58, step: 12 }
    ],
    logs: [{ time: '2026-01-02T21:36:04Z', level: 'info', text: 'checkpoint step-10 written' }],
    alerts: [],
    checkpoint: null,
    restarts: 0,
    disk_bytes: 34_200_000,
    rows: { train: 2353, eval: 261 },
    model_version: null,
    submitted: 1767389764,
    started: 1767389770,
    ended: null,
    elapsed_s: 47,
    ...changes
  };
}
