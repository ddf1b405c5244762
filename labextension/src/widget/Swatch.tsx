/** A short piece of a line as a chart draws it: its colour and its dashes. */
import type { Dash } from './catalog';

/** How many colours there are, as in theme.ts. */
const PALETTE = 5;
const DASHES: Readonly<Record<Dash, string>> = { solid: '', dash: '6 3', dot: '1.5 2.5', dashdot: '6 2.5 1.5 2.5' };

/** A colour of the palette, which begins again after its last. */
export function colourOf(place: number): string {
  return `var(--tunelab-c${(place % PALETTE) + 1})`;
}

interface SwatchProps {
  readonly colour: number;
  readonly dash: Dash;
  /** Whose line it is, where that does not stand beside it. */
  readonly title?: string;
}

/** The piece of line. */
export function Swatch({ colour, dash, title }: SwatchProps) {
  const named = title === undefined ? { 'aria-hidden': true } : { role: 'img', 'aria-label': title };
  return (
    <svg className="tunelab-swatch" width="22" height="8" viewBox="0 0 22 8" {...named}>
      {title !== undefined && <title>{title}</title>}
      <line x1="1" x2="21" y1="4" y2="4" stroke={colourOf(colour)} strokeWidth="2" strokeDasharray={DASHES[dash]} />
    </svg>
  );
}
