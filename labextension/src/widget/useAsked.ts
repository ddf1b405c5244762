/** Asks the kernel about what is typed into a form, once there is a pause; the latest wins. */
import { useEffect, useRef, useState } from 'react';

import type { SpecData } from './customize';
import { useTrait, type Model } from './model';

/** So long nothing is typed before the kernel is asked. */
const PAUSE_MS = 150;

/** Asks the kernel about what was typed, once there is a pause; the latest wins. */
export function useAsked(model: Model<{ turn: number }>, data: SpecData, isKept: boolean) {
  const answered = useTrait(model, 'turn');
  const [turn, setTurn] = useState(0);
  const last = useRef({ turn: 0, data, timer: 0 });
  const ask = (next: SpecData, pause: number) => {
    const mine = ++last.current.turn;
    window.clearTimeout(last.current.timer);
    last.current.data = next;
    last.current.timer = window.setTimeout(() => {
      model.send({ type: 'change', data: next, turn: mine });
    }, pause);
    setTurn(mine);
  };
  useEffect(() => {
    const { current } = last;
    if (isKept) {
      current.turn++;
      setTurn(current.turn);
      model.send({ type: 'change', data: current.data, turn: current.turn });
    }
    return () => {
      window.clearTimeout(current.timer);
    };
    // eslint-disable-next-line react-hooks/exhaustive-deps -- once a model: a kernel that was restarted is told the draft
  }, [model]);
  return {
    isWaiting: answered < turn,
    change: (next: SpecData) => {
      ask(next, PAUSE_MS);
    },
    /** What there is to choose from may have changed. */
    look: () => {
      ask(last.current.data, 0);
    }
  };
}
