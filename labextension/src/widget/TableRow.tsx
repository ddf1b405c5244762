/** One row of a dataset: its values on a few lines, or in full once it is opened. */
import { memo } from 'react';

import { textOf, turnsOf } from './datasets';
import { formatNumber, plainText } from './format';
import { trans } from './i18n';
import type { Row } from './model';

interface TableRowProps {
  /** The place, from 0. */
  readonly index: number;
  /** Null while it is not here. */
  readonly row: Row | null;
  readonly columns: readonly string[];
  /** On how many lines each is shown while the row is closed. */
  readonly lines: readonly number[];
  /** Columns that are shown once the row is open. */
  readonly more: readonly string[];
  readonly isOpen: boolean;
  /** Whether Tab stops here. */
  readonly isStop: boolean;
  /** Whether it was looked for. */
  readonly isMarked: boolean;
  /** Where it stands, and how high it is while it is closed, in pixels. */
  readonly top: number;
  readonly height: number;
  readonly measure: (node: HTMLDivElement | null) => void;
  readonly onToggle: (index: number) => void;
}

/** The row; a click anywhere opens it, unless text is being selected. */
export const TableRow = memo(function TableRow(props: TableRowProps) {
  const { index, row, columns, lines, more, isOpen, isStop, isMarked, top, height, measure, onToggle } = props;
  const extra = isOpen && row ? more.filter(column => column in row) : [];
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      className="tunelab-rows-row"
      data-index={index}
      data-open={isOpen}
      data-marked={isMarked}
      ref={isOpen ? measure : undefined}
      style={isOpen ? { top, minHeight: height } : { top, height }}
      onClick={() => {
        if (row && document.getSelection()?.isCollapsed !== false) {
          onToggle(index);
        }
      }}
    >
      <span role="cell" className="tunelab-rows-number">
        <button
          type="button"
          tabIndex={isStop ? 0 : -1}
          aria-expanded={isOpen}
          aria-label={trans.__('Row %1', formatNumber(index + 1))}
          disabled={!row}
          onClick={event => {
            event.stopPropagation();
            onToggle(index);
          }}
        >
          {formatNumber(index + 1)}
        </button>
      </span>
      {columns.map((column, place) => (
        <div role="cell" key={column} aria-busy={!row} style={{ '--lines': lines[place] } as React.CSSProperties}>
          <span className="tunelab-field" aria-hidden="true">
            {plainText(column)}
          </span>
          {row && <Value value={row[column]} isOpen={isOpen} />}
          {place === columns.length - 1 &&
            extra.map(name => (
              <div key={name} className="tunelab-extra">
                <span className="tunelab-subject">{plainText(name)}</span> <Value value={row?.[name]} isOpen />
              </div>
            ))}
        </div>
      ))}
    </div>
  );
});

/** A value as text: the turns of a conversation each on a line of its own. */
export function Value({ value, isOpen }: { readonly value: unknown; readonly isOpen: boolean }) {
  const turns = turnsOf(value);
  if (turns) {
    return (
      <span className="tunelab-value">
        {turns.map(({ role, text }, place) => (
          <span key={place} className="tunelab-turn">
            <b>{role}</b> {isOpen ? text : text.replace(/\s+/g, ' ')}
            {'\n'}
          </span>
        ))}
      </span>
    );
  }
  const isPlain = typeof value === 'string';
  return <span className={isPlain ? 'tunelab-value' : 'tunelab-value tunelab-json'}>{textOf(value)}</span>;
}
