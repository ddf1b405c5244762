import { describe, expect, test } from 'vitest';

import {
  capitalise,
  formatBytes,
  formatDuration,
  formatNumber,
  ordinal,
  plainText,
  visibleText
} from '../../labextension/src/widget/format';

test.each([
  [0, '0 KB'],
  [40_960, '41 KB'],
  [999_499, '999 KB'],
  [999_500, '1.0 MB'],
  [34_240_000, '34.2 MB'],
  [99_499_999, '99.5 MB'],
  [99_500_000, '100 MB'],
  [999_500_000, '1.0 GB'],
  [3_440_000_000, '3.4 GB'],
  [2_500_000_000_000, '2500 GB']
])('%i bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

describe('formatNumber', () => {
  test.each([
    [null, '—'],
    [NaN, '—'],
    [Infinity, '∞'],
    [-Infinity, '-∞'],
    [0, '0'],
    [1, '1'],
    [-3, '-3'],
    [0.58, '0.580'],
    [0.48712, '0.487'],
    [-0.72349, '-0.723'],
    [0.99999, '1.00'],
    [12.345, '12.3'],
    [99.96, '100'],
    [123.4, '123'],
    [999.7, '1,000'],
    [2353, '2,353'],
    [48213.6, '48,214'],
    [0.001, '0.00100'],
    [5e-5, '5e-05'],
    [-1.25e-5, '-1.25e-05'],
    [2.5e-120, '2.5e-120'],
    [3e12, '3e+12']
  ])('%s is %s', (value, text) => {
    expect(formatNumber(value)).toBe(text);
  });
});

describe('formatDuration', () => {
  test.each([
    [0, '1 s'],
    [45.4, '45 s'],
    [89, '89 s'],
    [90, '2 min'],
    [185, '3 min'],
    [5369, '89 min'],
    [5400, '1 h 30 min'],
    [7200, '2 h'],
    [7499, '2 h 5 min'],
    [7198, '2 h'],
    [48 * 3600, '2 d'],
    [50 * 3600 + 59, '2 d 2 h']
  ])('%s seconds are %s', (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text);
  });
});

test.each([
  [1, '1st'],
  [2, '2nd'],
  [3, '3rd'],
  [4, '4th'],
  [11, '11th'],
  [12, '12th'],
  [13, '13th'],
  [21, '21st'],
  [102, '102nd']
])('%i is %s in a row', (n, text) => {
  expect(ordinal(n)).toBe(text);
});

test('a sentence opens with a capital', () => {
  expect(capitalise('loading the model')).toBe('Loading the model');
  expect(capitalise('')).toBe('');
});

describe('plainText', () => {
  test.each([
    ['as it is', 'as it is'],
    ['\x1b[1;31mred\x1b[0m text', 'red text'],
    ['\x1b[38;5;196mred\x1b[m', 'red'],
    ['\x9b31mred', 'red'],
    ['\x1b]0;a title\x07text', 'text'],
    ['\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\', 'link'],
    ['\x1b(Bplain\x1b7', 'plain'],
    ['\x1b[2K\x1b[1A up', ' up'],
    [' 10%|#\r 20%|##\r 30%|###', ' 30%|###'],
    ['windows\r\nlines\r\n', 'windows\nlines\n'],
    ['bell\x07 nul\x00 tab\t line\n', 'bell nul tab\t line\n'],
    ['<b>not bold</b> ünï 東京 🎉', '<b>not bold</b> ünï 東京 🎉']
  ])('%j reads %j', (raw, text) => {
    expect(plainText(raw)).toBe(text);
  });
});

test.each([
  ['<b>as it is</b> 東京 🎉\ttab\n', '<b>as it is</b> 東京 🎉\ttab\n'],
  ['\x1b[31mred\x1b[0m', '\\x1b[31mred\\x1b[0m'],
  ['first\rsecond', 'first\\x0dsecond'],
  ['windows\r\nlines', 'windows\nlines'],
  ['nul\x00 del\x7f \x9b', 'nul\\x00 del\\x7f \\x9b']
])('visibleText loses nothing of %j', (raw, text) => {
  expect(visibleText(raw)).toBe(text);
});
