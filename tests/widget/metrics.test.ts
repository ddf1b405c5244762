import { expect, test } from 'vitest';

import { metricName, sortMetrics } from '../../labextension/src/widget/metrics';

test.each([
  ['loss', 'Loss'],
  ['rewards/margins', 'Reward margin'],
  ['rewards/chosen', 'Chosen reward'],
  ['rewards/rejected', 'Rejected reward'],
  ['rewards/accuracies', 'Reward accuracy'],
  ['entropy', 'Entropy'],
  ['mean_token_accuracy', 'Token accuracy'],
  ['learning_rate', 'Learning rate'],
  ['grad_norm', 'Gradient norm'],
  ['num_tokens', 'Tokens'],
  ['eval_loss', 'Loss (held out)'],
  ['eval_rewards/margins', 'Reward margin (held out)'],
  ['completions/mean_length', 'Length'],
  ['completions/clipped_ratio', 'Cut off'],
  ['frac_reward_zero_std', 'No spread'],
  ['reward_missing', 'No reward'],
  ['tokens_per_s/generation', 'Generation tokens/s'],
  ['tokens_per_s/training', 'Training tokens/s'],
  ['feedback/latency_s', 'Feedback latency'],
  ['rewards/right_answer/mean', 'Reward part right_answer'],
  ['eval_rewards/right_answer/std', 'Reward part right_answer, deviation (held out)'],
  ['eval_some_new/key', 'Some new key (held out)'],
  ['\x1b[31mred\x1b[0m', 'Red']
])('%s is named %s', (key, name) => {
  expect(metricName(key)).toBe(name);
});

test('known metrics come first, each before its held-out twin; the rest keep their order', () => {
  const keys = ['zeta', 'alpha', 'eval_loss', 'loss', 'eval_rewards/margins', 'rewards/margins', 'learning_rate'];
  expect(sortMetrics(keys)).toEqual([
    'rewards/margins',
    'eval_rewards/margins',
    'loss',
    'eval_loss',
    'learning_rate',
    'zeta',
    'alpha'
  ]);
});
