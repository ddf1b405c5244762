/** Two texts word by word: what stays, what goes and what comes (Myers' algorithm, from jsdiff). */
import { diffArrays } from 'diff';

/** A stretch of text that both have, or one of them. */
export interface Piece {
  readonly kind: 'same' | 'removed' | 'added';
  readonly text: string;
}

/** Longer texts are not compared: the page must not wait. */
const MOST_CHARACTERS = 40_000;
const MOST_MS = 250;

const words = new Intl.Segmenter(undefined, { granularity: 'word' });

/** The pieces from one text to the other, or null where they are too long or too unlike to tell in time. */
export function wordDiff(before: string, after: string): readonly Piece[] | null {
  if (before.length + after.length > MOST_CHARACTERS) {
    return null;
  }
  const found = diffArrays(wordsOf(before), wordsOf(after), { timeout: MOST_MS });
  return found ? joined(found.map(({ value, added, removed }) => piece(value.join(''), added, removed))) : null;
}

function piece(text: string, added: boolean, removed: boolean): Piece {
  return { kind: added ? 'added' : removed ? 'removed' : 'same', text };
}

function wordsOf(text: string): string[] {
  return Array.from(words.segment(text), ({ segment }) => segment);
}

/** The same with each change whole: what two words that are changed have between them is changed with them. */
function joined(pieces: readonly Piece[]): readonly Piece[] {
  const found: Piece[] = [];
  let removed = '';
  let added = '';
  const end = () => {
    if (removed) {
      found.push({ kind: 'removed', text: removed });
    }
    if (added) {
      found.push({ kind: 'added', text: added });
    }
    removed = added = '';
  };
  pieces.forEach(({ kind, text }, place) => {
    const isBetween = removed !== '' && added !== '' && place < pieces.length - 1 && !/[\p{L}\p{N}]/u.test(text);
    if (kind === 'same' && !isBetween) {
      end();
      found.push({ kind, text });
    }
    removed += kind === 'removed' || (kind === 'same' && isBetween) ? text : '';
    added += kind === 'added' || (kind === 'same' && isBetween) ? text : '';
  });
  end();
  return found;
}
