/** A scale as fields: a line a rating, which can be added, removed and moved; its values, or words alone. */
import { useLayoutEffect, useRef } from 'react';

import { trans } from './i18n';
import { MOST_RATINGS, type Draft, type DraftRating, type Faulty } from './judgemetrics';

interface ScaleFieldsProps {
  readonly draft: Draft;
  /** What marks a field that was refused, by its name. */
  readonly faulty: (part: string) => Faulty;
  readonly onDraft: (changes: Partial<Draft>) => void;
}

/** The ratings from the worst to the best. */
export function ScaleFields({ draft, faulty, onDraft }: ScaleFieldsProps) {
  const { ratings, wordsOnly } = draft;
  const list = useRef<HTMLOListElement>(null);
  /** Where the focus goes once the lines have changed: a rating's key, and the part of its line. */
  const target = useRef<readonly [key: number, part: string] | null>(null);
  useLayoutEffect(() => {
    if (target.current) {
      const [key, part] = target.current;
      target.current = null;
      const line = list.current?.querySelector(`[data-rating="${key}"]`);
      const wanted = line?.querySelector<HTMLElement>(`[data-part="${part}"]:not(:disabled)`);
      (wanted ?? line?.querySelector<HTMLElement>('input'))?.focus();
    }
  }, [ratings]);

  const edit = (key: number, changes: Partial<DraftRating>) => {
    onDraft({ ratings: ratings.map(rating => (rating.key === key ? { ...rating, ...changes } : rating)) });
  };
  const add = () => {
    const key = Math.max(-1, ...ratings.map(rating => rating.key)) + 1;
    target.current = [key, 'definition'];
    onDraft({ ratings: [...ratings, { key, definition: '', value: next(ratings) }] });
  };
  const remove = (place: number) => {
    const left = ratings.filter((_, each) => each !== place);
    target.current = [left[Math.min(place, left.length - 1)]?.key ?? 0, 'remove'];
    onDraft({ ratings: left });
  };
  const move = (place: number, by: -1 | 1) => {
    const moved = [...ratings];
    moved.splice(place + by, 0, ...moved.splice(place, 1));
    target.current = [ratings[place]?.key ?? 0, by < 0 ? 'up' : 'down'];
    onDraft({ ratings: moved });
  };
  return (
    <fieldset
      className="tunelab-fields tunelab-scale-fields"
      // A group cannot be invalid, as ARIA has it.
      aria-describedby={faulty('rating_scale')['aria-describedby']}
    >
      <legend>{trans.__('Scale, from the worst to the best')}</legend>
      <label className="tunelab-check">
        <input
          type="checkbox"
          checked={wordsOnly}
          onChange={event => {
            onDraft({ wordsOnly: event.target.checked });
          }}
        />
        <span>
          {trans.__('Words only')}{' '}
          <span className="tunelab-subject">{trans.__('(they count 0, 1, 2 … in their order)')}</span>
        </span>
      </label>
      <ol ref={list} aria-label={trans.__('Ratings')}>
        {ratings.map((rating, place) => (
          <li key={rating.key} data-rating={rating.key} data-words={wordsOnly}>
            <input
              type="text"
              data-part="definition"
              aria-label={trans.__('Definition of rating %1', place + 1)}
              placeholder={wordsOnly ? trans.__('A word or a few') : trans.__('What such an answer is like')}
              value={rating.definition}
              {...faulty(`definition-${place}`)}
              onChange={event => {
                edit(rating.key, { definition: event.target.value });
              }}
            />
            {!wordsOnly && (
              <input
                type="text"
                inputMode="decimal"
                data-part="value"
                aria-label={trans.__('Value of rating %1', place + 1)}
                placeholder={trans.__('Value')}
                value={rating.value}
                {...faulty(`value-${place}`)}
                onChange={event => {
                  edit(rating.key, { value: event.target.value });
                }}
              />
            )}
            <span className="tunelab-rating-moves">
              <LineButton
                part="up"
                label={trans.__('Move rating %1 up', place + 1)}
                isOff={place === 0}
                sign="↑"
                onClick={() => {
                  move(place, -1);
                }}
              />
              <LineButton
                part="down"
                label={trans.__('Move rating %1 down', place + 1)}
                isOff={place === ratings.length - 1}
                sign="↓"
                onClick={() => {
                  move(place, 1);
                }}
              />
              <LineButton
                part="remove"
                label={trans.__('Remove rating %1', place + 1)}
                isOff={ratings.length === 1}
                sign="×"
                onClick={() => {
                  remove(place);
                }}
              />
            </span>
          </li>
        ))}
      </ol>
      <button type="button" disabled={ratings.length >= MOST_RATINGS} onClick={add}>
        {trans.__('Add a rating')}
      </button>
    </fieldset>
  );
}

interface LineButtonProps {
  readonly part: string;
  readonly label: string;
  readonly sign: string;
  readonly isOff: boolean;
  readonly onClick: () => void;
}

function LineButton({ part, label, sign, isOff, onClick }: LineButtonProps) {
  return (
    <button
      type="button"
      className="tunelab-plain"
      data-part={part}
      aria-label={label}
      title={label}
      disabled={isOff}
      onClick={onClick}
    >
      {sign}
    </button>
  );
}

/** The value after the last one, where it is a number. */
function next(ratings: readonly DraftRating[]): string {
  const last = ratings.at(-1)?.value ?? '';
  return last.trim() === '' || !Number.isFinite(Number(last)) ? '' : String(Number(last) + 1);
}
