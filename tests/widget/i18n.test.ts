import { afterEach, describe, expect, test } from 'vitest';

import { trans, translate } from '../../labextension/src/widget/i18n';

afterEach(() => {
  translate(null);
});

describe('without a translation', () => {
  test.each<[string, unknown[], string]>([
    ['All jobs', [], 'All jobs'],
    ['Step %1 of %2', [12, 60], 'Step 12 of 60'],
    ['%2 before %1, %2', ['b', 'a'], 'a before b, a'],
    ['100% of %1', ['rows'], '100% of rows'],
    ['%1 and %2', ['one'], 'one and %2'],
    ['a %%-sign, and %1', ['%%customize'], 'a %-sign, and %%customize'],
    ['“%1”', ['%2'], '“%2”'],
    ['“%1” %2', ['%2', 'x'], '“%2” x']
  ])('%j with %j is %j', (text, values, expected) => {
    expect(trans.__(text, ...values)).toBe(expected);
  });

  test.each<[number, string]>([
    [0, '0 rows of 9'],
    [1, '1 row of 9'],
    [2, '2 rows of 9']
  ])('%d rows are %j', (n, expected) => {
    expect(trans._n('%1 row of %2', '%1 rows of %2', n, 9)).toBe(expected);
  });
});

test('a translation speaks from when it is given until it is taken away', () => {
  translate({
    __: (text, ...values) => `[${text}${values.join()}]`,
    _n: (_singular, plural, n, ...values) => `[${plural}${[n, ...values].join()}]`
  });
  expect(trans.__('All %1', 'jobs')).toBe('[All %1jobs]');
  expect(trans._n('%1 row', '%1 rows', 1)).toBe('[%1 rows1]');
  translate(null);
  expect(trans.__('All %1', 'jobs')).toBe('All jobs');
});
