/** When to draw: at once when points come after a pause, no more often than the reader can use, a few charts at a time. */
import { useEffect, useRef, useState } from 'react';
import { flushSync } from 'react-dom';

import type { CurveSet } from './curves';

/** No more than this share of the page's time goes into drawing. */
const SHARE = 1 / 3;
/** After so many milliseconds a task of drawing ends, so that it keeps within a frame. */
const TASK_MS = 6;

/** One drawing of all charts under way: the first `done` ones have `version`, the others still `before`. */
interface Turn {
  readonly version: number;
  readonly before: number;
  readonly done: number;
}

/**
 * Tells which version of the curves each chart is to draw; the component renders again when that changes.
 *
 * Charts are drawn in tasks that keep within a frame where a chart does, the first chart first: it need not wait for the
 * others, and a click or a key is heard in between.
 *
 * @param refresh - the least time between two drawings of a chart, in milliseconds
 * @param charts - how many there are
 */
export function useCurves(curves: CurveSet, refresh: number, charts: number): (place: number) => number {
  const [turn, setTurn] = useState<Turn>({ version: curves.version, before: curves.version, done: 0 });
  const count = useRef(charts);
  useEffect(() => {
    count.current = charts;
  });
  useEffect(() => {
    let drawn = curves.version;
    let task = 0;
    let frame = 0;
    let free = 0;
    let spent = 0;
    const later = (act: () => void, wait = 0) => {
      task = window.setTimeout(() => {
        task = 0;
        act();
      }, wait);
    };
    const draw = (version: number, before: number, done: number) => {
      const begin = performance.now();
      let next = done;
      do {
        // In this task: React would put it off, and all charts into one.
        flushSync(() => {
          setTurn({ version, before, done: next });
        });
        next++;
      } while (next <= count.current && performance.now() - begin < TASK_MS);
      spent += performance.now() - begin;
      if (next <= count.current) {
        later(() => {
          draw(version, before, next);
        });
      } else {
        drawn = version;
        free += Math.max(refresh, spent / SHARE);
        changed();
      }
    };
    const start = () => {
      frame = 0;
      free = performance.now();
      spent = 0;
      draw(curves.version, drawn, 1);
    };
    const changed = () => {
      if (task || frame || drawn === curves.version) {
        return;
      }
      if (document.hidden) {
        // The next frame of a page that nobody sees is when somebody does.
        frame = requestAnimationFrame(start);
      } else {
        later(start, Math.max(0, free - performance.now()));
      }
    };
    const stop = curves.subscribe(changed);
    // Points may have come between the first rendering and this.
    changed();
    return () => {
      stop();
      cancelAnimationFrame(frame);
      clearTimeout(task);
    };
  }, [curves, refresh]);
  return place => (place < turn.done ? turn.version : turn.before);
}
