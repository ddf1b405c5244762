/** The metrics that trainers log, most of them TRL's: their order in a table and their names for people. */
import { capitalise, plainText } from './format';
import { trans } from './i18n';

// What matters first comes first.
const NAMES: ReadonlyMap<string, () => string> = new Map([
  ['rewards/margins', () => trans.__('Reward margin')],
  ['reward', () => trans.__('Reward')],
  ['loss', () => trans.__('Loss')],
  ['rewards/accuracies', () => trans.__('Reward accuracy')],
  ['rewards/chosen', () => trans.__('Chosen reward')],
  ['rewards/rejected', () => trans.__('Rejected reward')],
  ['reward_std', () => trans.__('Reward deviation')],
  ['frac_reward_zero_std', () => trans.__('No spread')],
  ['reward_missing', () => trans.__('No reward')],
  ['mean_token_accuracy', () => trans.__('Token accuracy')],
  ['entropy', () => trans.__('Entropy')],
  ['kl', () => trans.__('KL divergence')],
  ['completions/mean_length', () => trans.__('Length')],
  ['completions/clipped_ratio', () => trans.__('Cut off')],
  ['completions/min_length', () => trans.__('Shortest completion')],
  ['completions/max_length', () => trans.__('Longest completion')],
  ['completions/mean_terminated_length', () => trans.__('Length of ended completions')],
  ['completions/min_terminated_length', () => trans.__('Shortest ended completion')],
  ['completions/max_terminated_length', () => trans.__('Longest ended completion')],
  ['logps/chosen', () => trans.__('Chosen log-probability')],
  ['logps/rejected', () => trans.__('Rejected log-probability')],
  ['logits/chosen', () => trans.__('Chosen logits')],
  ['logits/rejected', () => trans.__('Rejected logits')],
  ['learning_rate', () => trans.__('Learning rate')],
  ['grad_norm', () => trans.__('Gradient norm')],
  ['tokens_per_s/generation', () => trans.__('Generation tokens/s')],
  ['tokens_per_s/training', () => trans.__('Training tokens/s')],
  ['feedback/latency_s', () => trans.__('Feedback latency')],
  ['feedback/cost', () => trans.__('Feedback cost')],
  ['feedback/failures', () => trans.__('Feedback failures')],
  ['feedback/unparsed', () => trans.__('Unreadable feedback')],
  ['feedback/cached', () => trans.__('Feedback from the cache')],
  ['num_tokens', () => trans.__('Tokens')],
  ['epoch', () => trans.__('Epoch')]
]);
const ORDER = new Map(Array.from(NAMES.keys(), (key, place) => [key, place]));
const HELD_OUT = /^eval_/;
const PART = /^rewards\/(.+)\/(mean|std)$/;

/** `rewards/margins` as `Reward margin`, `eval_loss` as `Loss (held out)`, `foo/bar_baz` as `Foo bar baz`. */
export function metricName(key: string): string {
  const base = key.replace(HELD_OUT, '');
  const name = NAMES.get(base)?.() ?? partTitle(base) ?? capitalise(plainText(base).replace(/[/_]+/g, ' '));
  return base === key ? name : trans.__('%1 (held out)', name);
}

/** The part of a reward whose mean a metric is, or null. */
export function partOf(key: string): string | null {
  const [, part, kind] = PART.exec(key) ?? [];
  return kind === 'mean' && part !== undefined ? part : null;
}

function partTitle(key: string): string | null {
  const [, part, kind] = PART.exec(key) ?? [];
  if (part === undefined) {
    return null;
  }
  const name = plainText(part);
  return kind === 'std' ? trans.__('Reward part %1, deviation', name) : trans.__('Reward part %1', name);
}

/** Known metrics first, each followed by its held-out twin; the rest as they came. */
export function sortMetrics(names: readonly string[]): string[] {
  return [...names].sort((a, b) => place(a) - place(b));
}

function place(name: string): number {
  const base = name.replace(HELD_OUT, '');
  return (ORDER.get(base) ?? ORDER.size) + (base === name ? 0 : 0.5);
}
