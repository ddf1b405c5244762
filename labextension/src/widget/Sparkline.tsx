/** A curve in the size of a word (Tufte). */

const WIDTH = 64;
const HEIGHT = 18;

/** Points in order of their steps; nothing is drawn of fewer than two. */
export function Sparkline({ points }: { readonly points: readonly (readonly [step: number, value: number])[] }) {
  if (points.length < 2) {
    return null;
  }
  const steps = points.map(([step]) => step);
  const values = points.map(([, value]) => value);
  const [first, last] = [Math.min(...steps), Math.max(...steps)];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = (step: number) => ((step - first) / (last - first || 1)) * WIDTH;
  const y = (value: number) => 1 + (1 - (value - low) / (high - low || 1)) * (HEIGHT - 2);
  const line = points.map(([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`).join(' ');
  return (
    <svg className="tunelab-spark" width={WIDTH} height={HEIGHT} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
      <polyline points={line} />
    </svg>
  );
}
