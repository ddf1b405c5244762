/** The metrics that TRL's trainers log: their order in a table and their names for people. */
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
  ['mean_token_accuracy', 'Token accuracy'],
  ['entropy', 'Entropy'],
  ['kl', 'KL divergence'],
  ['logps/chosen', 'Chosen log-probability'],
  ['logps/rejected', 'Rejected log-probability'],
  ['logits/chosen', 'Chosen logits'],
  ['logits/rejected', 'Rejected logits'],
  ['learning_rate', 'Learning rate'],
  ['grad_norm', 'Gradient norm'],
  ['num_tokens', 'Tokens'],
  ['epoch', 'Epoch']
]);
const ORDER = new Map(Array.from(NAMES.keys(), (key, place) => [key, place]));
const HELD_OUT = /^eval_/;

/** `rewards/margins` as `Reward margin`, `eval_loss` as `Loss (held out)`, `foo/bar_baz` as `Foo bar baz`. */
export function metricName(key: string): string {
  const base = key.replace(HELD_OUT, '');
  const name = NAMES.get(base) ?? capitalise(plainText(base).replace(/[/_]+/g, ' '));
  return base === key ? name : `${name} (held out)`;
}

/** Known metrics first, each followed by its held-out twin; the rest as they came. */
export function sortMetrics(names: readonly string[]): string[] {
  return [...names].sort((a, b) => place(a) - place(b));
}

function place(name: string): number {
  const base = name.replace(HELD_OUT, '');
  return (ORDER.get(base) ?? ORDER.size) + (base === name ? 0 : 0.5);
}
