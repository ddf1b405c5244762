/** The metrics that trainers log, most of them TRL's: their order in a table and their names for people. */
import { capitalise, plainText } from './format';

// What matters first comes first.
const NAMES = new Map([
  ['rewards/margins', 'Reward margin'],
  ['reward', 'Reward'],
  ['loss', 'Loss'],
  ['rewards/accuracies', 'Reward accuracy'],
  ['rewards/chosen', 'Chosen reward'],
  ['rewards/rejected', 'Rejected reward'],
  ['reward_std', 'Reward deviation'],
  ['frac_reward_zero_std', 'No spread'],
  ['reward_missing', 'No reward'],
  ['mean_token_accuracy', 'Token accuracy'],
  ['entropy', 'Entropy'],
  ['kl', 'KL divergence'],
  ['completions/mean_length', 'Length'],
  ['completions/clipped_ratio', 'Cut off'],
  ['completions/min_length', 'Shortest completion'],
  ['completions/max_length', 'Longest completion'],
  ['completions/mean_terminated_length', 'Length of ended completions'],
  ['completions/min_terminated_length', 'Shortest ended completion'],
  ['completions/max_terminated_length', 'Longest ended completion'],
  ['logps/chosen', 'Chosen log-probability'],
  ['logps/rejected', 'Rejected log-probability'],
  ['logits/chosen', 'Chosen logits'],
  ['logits/rejected', 'Rejected logits'],
  ['learning_rate', 'Learning rate'],
  ['grad_norm', 'Gradient norm'],
  ['tokens_per_s/generation', 'Generation tokens/s'],
  ['tokens_per_s/training', 'Training tokens/s'],
  ['feedback/latency_s', 'Feedback latency'],
  ['feedback/cost', 'Feedback cost'],
  ['feedback/failures', 'Feedback failures'],
  ['feedback/unparsed', 'Unreadable feedback'],
  ['feedback/cached', 'Feedback from the cache'],
  ['num_tokens', 'Tokens'],
  ['epoch', 'Epoch']
]);
const ORDER = new Map(Array.from(NAMES.keys(), (key, place) => [key, place]));
const HELD_OUT = /^eval_/;
const PART = /^rewards\/(.+)\/(mean|std)$/;

/** `rewards/margins` as `Reward margin`, `eval_loss` as `Loss (held out)`, `foo/bar_baz` as `Foo bar baz`. */
export function metricName(key: string): string {
  const base = key.replace(HELD_OUT, '');
  const name = NAMES.get(base) ?? partTitle(base) ?? capitalise(plainText(base).replace(/[/_]+/g, ' '));
  return base === key ? name : `${name} (held out)`;
}

/** The part of a reward whose mean a metric is, or null. */
export function partOf(key: string): string | null {
  const [, part, kind] = PART.exec(key) ?? [];
  return kind === 'mean' && part !== undefined ? part : null;
}

function partTitle(key: string): string | null {
  const [, part, kind] = PART.exec(key) ?? [];
  return part === undefined ? null : `Reward part ${plainText(part)}${kind === 'std' ? ', deviation' : ''}`;
}

/** Known metrics first, each followed by its held-out twin; the rest as they came. */
export function sortMetrics(names: readonly string[]): string[] {
  return [...names].sort((a, b) => place(a) - place(b));
}

function place(name: string): number {
  const base = name.replace(HELD_OUT, '');
  return (ORDER.get(base) ?? ORDER.size) + (base === name ? 0 : 0.5);
}
