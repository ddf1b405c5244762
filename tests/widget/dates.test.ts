import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { formatDate, formatDay, formatTime } from '../../labextension/src/widget/dates';
import { translate } from '../../labextension/src/widget/i18n';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.parse('2026-03-16T12:00:00Z') });
});

afterEach(() => {
  vi.useRealTimers();
  translate(null);
});

test.each([
  ['2026-03-16T09:05:00Z', '16 Mar, 09:05', '09:05'],
  ['2026-03-16T00:30:00+02:00', '15 Mar, 22:30', 'yesterday'],
  ['2026-03-14T09:05:00Z', '14 Mar, 09:05', '14 Mar'],
  ['2025-12-31T23:59:00Z', '31 Dec 2025, 23:59', '31 Dec 2025'],
  [Date.parse('2025-12-31T23:59:00Z') / 1000, '31 Dec 2025, 23:59', '31 Dec 2025']
])('%s is %s, in a list %s', (moment, date, day) => {
  expect([formatDate(moment), formatDay(moment)]).toEqual([date, day]);
});

test('a log line shows the local time of day', () => {
  expect(formatTime('2026-01-02T21:36:04.512Z')).toBe('21:36:04');
  expect(formatTime('2026-01-02T00:06:04+02:00')).toBe('22:06:04');
});

test.each([
  ['de', '14. März, 09:05'],
  ['pt_BR', '14 de mar., 09:05'],
  ['en', '14 Mar, 09:05'],
  ['nowhere', '14 Mar, 09:05']
])('in %s it is %s', (language, expected) => {
  translate(null, language);
  expect(formatDate('2026-03-14T09:05:00Z')).toBe(expected);
});
