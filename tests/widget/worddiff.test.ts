import { describe, expect, test } from 'vitest';

import { wordDiff, type Piece } from '../../labextension/src/widget/worddiff';

/** `same [-removed-] {+added+}`, as wdiff writes it. */
const written = (pieces: readonly Piece[] | null) =>
  pieces
    ?.map(({ kind, text }) => (kind === 'same' ? text : kind === 'removed' ? `[-${text}-]` : `{+${text}+}`))
    .join('');
const without = (pieces: readonly Piece[] | null, left: Piece['kind']) =>
  pieces
    ?.filter(({ kind }) => kind !== left)
    .map(({ text }) => text)
    .join('');

const CASES: readonly (readonly [before: string, after: string, shown: string])[] = [
  ['', '', ''],
  ['the same', 'the same', 'the same'],
  ['', 'new', '{+new+}'],
  ['old', '', '[-old-]'],
  ['a red car', 'a blue car', 'a [-red-]{+blue+} car'],
  ['a car', 'a fast car', 'a {+fast +}car'],
  ['It costs 3.50 today', 'It costs 3.75 today', 'It costs [-3.50-]{+3.75+} today'],
  ['I don’t know.', 'I don’t know!', 'I don’t know[-.-]{+!+}'],
  // What lies between two changed words is no island.
  ['one two end', 'uno dos end', '[-one two-]{+uno dos+} end'],
  ['first, second. End', 'erstens, zweitens. End', '[-first, second-]{+erstens, zweitens+}. End'],
  ['line\nnext', 'line\n\nnext', 'line\n{+\n+}next'],
  ['<b>x</b>', '<i>x</i>', '<[-b-]{+i+}>x</[-b-]{+i+}>'],
  ['pasta 🍝 now', 'pasta 🍕 now', 'pasta [-🍝-]{+🍕+} now'],
  ['__proto__ constructor', 'constructor', '[-__proto__ -]constructor']
];

describe('two texts word by word', () => {
  test.each(CASES)('%j to %j', (before, after, shown) => {
    expect(written(wordDiff(before, after))).toBe(shown);
  });

  test.each(CASES)('both are there to the letter: %j to %j', (before, after) => {
    const pieces = wordDiff(before, after);
    expect([without(pieces, 'added'), without(pieces, 'removed')]).toEqual([before, after]);
  });

  test('of texts that are changed at random, both are there', () => {
    // Lehmer's generator, so that a failure comes again.
    let state = 7;
    const draw = (below: number) => (state = (state * 48271) % 2147483647) % below;
    const words = ['a', 'bee', ' ', '  ', '\n', ',', '。', '日本', '🙂', '-', '1.5', '\u0301'];
    const text = () => Array.from({ length: draw(40) }, () => words[draw(words.length)]).join('');
    for (let round = 0; round < 300; round++) {
      const [before, after] = [text(), text()];
      const pieces = wordDiff(before, after);
      expect([without(pieces, 'added'), without(pieces, 'removed')]).toEqual([before, after]);
      expect(pieces?.some((piece, place) => place > 0 && piece.kind === pieces[place - 1]?.kind)).toBe(false);
    }
  });

  test('words of languages without spaces are told apart', () => {
    expect(written(wordDiff('私は日本語を話します', '私は英語を話します'))).toBe('私は[-日本語-]{+英語+}を話します');
  });

  test('long texts that are nearly alike are compared, others are not, and the page does not wait', () => {
    const long = Array.from({ length: 3000 }, (_, n) => `word${n}`).join(' ');
    expect(written(wordDiff(long.slice(0, 18_000), `${long.slice(0, 18_000)} end`))).toMatch(/\{\+ end\+\}$/);
    expect(wordDiff(long, long)).toBeNull();
    const begin = performance.now();
    const other = Array.from({ length: 2500 }, (_, n) => `other${n}`).join(' ');
    wordDiff(long.slice(0, 19_000), other.slice(0, 20_000));
    expect(performance.now() - begin).toBeLessThan(1500);
  });
});
