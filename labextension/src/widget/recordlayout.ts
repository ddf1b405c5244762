/** How the table of an evaluation's records is laid out: all rows alike, so that 100,000 of them are quick. */
import { plainText } from './format';
import type { RecordRow } from './results';

/** All rows alike. */
export interface RecordLayout {
  /** Whether the parts of a record stand below each other. */
  readonly isNarrow: boolean;
  /** The columns' widths as CSS has them, without the row's number. */
  readonly widths: string;
  /** On how many lines each text is shown: the prompt, the ground truth, an answer. */
  readonly lines: { readonly prompt: number; readonly truth: number; readonly answer: number };
  /** A row's height in pixels. */
  readonly height: number;
}

const NARROW = 560;
const PADDING = 17;
const CHARACTER = 6.6;
const NUMBER = 64;
const SCORE = 150;
const SHARES = { prompt: 3, truth: 2, answer: 4 };

/** Lays the table out for its first rows: as low as the texts of most of them allow. `width` and `line` are pixels. */
export function recordLayout(
  rows: readonly RecordRow[],
  models: readonly string[],
  hasTruth: boolean,
  width: number,
  line: number
): RecordLayout {
  const isNarrow = width > 0 && width < NARROW;
  const truths = hasTruth ? 1 : 0;
  const shares = SHARES.prompt + truths * SHARES.truth + models.length * SHARES.answer;
  const room = Math.max(480, width - NUMBER - SCORE);
  const characters = (share: number) =>
    Math.max(10, (isNarrow ? width - 30 : (room * share) / shares - 20) / CHARACTER);
  const needed = (texts: readonly string[], share: number, most: number) =>
    Math.min(most, usualLines(texts, characters(share)));
  const lines = {
    prompt: needed(
      rows.map(({ prompt }) => prompt),
      SHARES.prompt,
      isNarrow ? 2 : 3
    ),
    truth: hasTruth
      ? needed(
          rows.map(({ ground_truth: truth }) => truth ?? ''),
          SHARES.truth,
          isNarrow ? 1 : 3
        )
      : 0,
    answer: needed(
      rows.flatMap(({ answers }) => Object.values(answers)),
      SHARES.answer,
      3
    )
  };
  const most = Math.max(2, lines.prompt, lines.truth, lines.answer);
  // In a narrow one the score has a line of its own; in a wide one two lines.
  const high = isNarrow ? lines.prompt + lines.truth + models.length * lines.answer + 1.3 : most;
  return {
    isNarrow,
    widths: [
      `minmax(120px, ${SHARES.prompt}fr)`,
      ...(hasTruth ? [`minmax(90px, ${SHARES.truth}fr)`] : []),
      ...models.map(() => `minmax(140px, ${SHARES.answer}fr)`),
      `${SCORE}px`
    ].join(' '),
    lines: isNarrow ? lines : { prompt: most, truth: most, answer: most },
    height: Math.round(high * line) + PADDING
  };
}

/** How many lines four of five texts need. */
function usualLines(texts: readonly string[], characters: number): number {
  const needed = texts.map(text => linesOf(text, characters)).sort((a, b) => a - b);
  return needed[Math.floor(0.8 * (needed.length - 1))] ?? 1;
}

function linesOf(text: string, characters: number): number {
  return plainText(text)
    .split('\n')
    .reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / characters)), 0);
}
