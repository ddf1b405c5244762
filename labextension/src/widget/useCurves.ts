/** When to draw: at once when points come after a pause, and no more often than the reader can use in a flood. */
import { useEffect, useState } from 'react';

import type { Curves } from './curves';

/** No more than this share of the page's time goes into drawing. */
const SHARE = 1 / 3;

/**
 * The version of the curves to draw; the component renders again when that changes.
 *
 * @param refresh - the least time between two drawings, in milliseconds
 */
export function useCurves(curves: Curves, refresh: number): number {
  const [version, setVersion] = useState(curves.version);
  useEffect(() => {
    let frame = 0;
    let timer = 0;
    let free = 0;
    const draw = () => {
      frame = requestAnimationFrame(() => {
        const begin = performance.now();
        setVersion(curves.version);
        // Effects of this frame have run when the next task does.
        setTimeout(() => {
          const cost = performance.now() - begin;
          free = begin + Math.max(refresh, cost / SHARE);
          frame = 0;
          if (drawn !== curves.version) {
            changed();
          }
        });
        drawn = curves.version;
      });
    };
    let drawn = curves.version;
    const changed = () => {
      if (frame || timer) {
        return;
      }
      const wait = free - performance.now();
      if (wait <= 0) {
        draw();
      } else {
        timer = window.setTimeout(() => {
          timer = 0;
          draw();
        }, wait);
      }
    };
    const stop = curves.subscribe(changed);
    // Points may have come between the first rendering and this.
    changed();
    return () => {
      stop();
      cancelAnimationFrame(frame);
      clearTimeout(timer);
    };
  }, [curves, refresh]);
  return version;
}
