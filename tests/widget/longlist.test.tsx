import { act, cleanup, fireEvent, render, screen } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { LongList } from '../../labextension/src/widget/LongList';
import { KeptContext } from '../../labextension/src/widget/route';

const ROOM = 620;
const ROW = 62;
/** A row with a line more than is likely. */
const TALL = 80;

beforeEach(() => {
  // Nothing has a size in jsdom.
  vi.spyOn(HTMLElement.prototype, 'clientHeight', 'get').mockReturnValue(ROOM);
  vi.spyOn(HTMLElement.prototype, 'clientWidth', 'get').mockReturnValue(250);
  vi.spyOn(HTMLElement.prototype, 'offsetHeight', 'get').mockReturnValue(ROW);
  vi.spyOn(HTMLElement.prototype, 'scrollHeight', 'get').mockReturnValue(1000 * ROW);
  // Nor does anything scroll, nor move with what scrolls it.
  vi.spyOn(HTMLElement.prototype, 'getBoundingClientRect').mockImplementation(function (this: HTMLElement) {
    return new DOMRect(0, -(this.parentElement?.scrollTop ?? 0), 250, ROOM);
  });
  HTMLElement.prototype.scrollTo = function (this: HTMLElement, to?: ScrollToOptions | number) {
    this.scrollTop = typeof to === 'object' ? (to.top ?? 0) : 0;
  };
});

afterEach(() => {
  cleanup();
  vi.restoreAllMocks();
});

const names = (count: number) => Array.from({ length: count }, (_, place) => `job-${place + 1}`);

function list(rows: readonly string[]) {
  return (
    <div data-testid="scroller" style={{ overflowY: 'auto' }}>
      <LongList label="Jobs" rows={rows} keyOf={row => row}>
        {row => <button type="button">{row}</button>}
      </LongList>
    </div>
  );
}

const shown = () => screen.getAllByRole('listitem').map(item => item.textContent);
const item = (name: string) => screen.queryByRole('button', { name })?.closest('li') ?? null;

function focus(button: HTMLElement) {
  act(() => {
    button.focus();
  });
}

function scroll(top: number) {
  const scroller = screen.getByTestId('scroller');
  act(() => {
    scroller.scrollTop = top;
    fireEvent.scroll(scroller);
  });
}

describe('a list', () => {
  test.each([0, 1, 100])('of %d rows has all of them', count => {
    render(list(names(count)));
    expect(screen.queryAllByRole('listitem').map(one => one.textContent)).toEqual(names(count));
    expect(item('job-1')?.hasAttribute('aria-setsize') ?? false).toBe(false);
  });

  test('of a thousand rows has those in view, and says which of how many each is', () => {
    render(list(names(1000)));
    expect(shown().length).toBeLessThan(40);
    expect(shown().slice(0, 10)).toEqual(names(10));
    expect(item('job-3')?.getAttribute('aria-posinset')).toBe('3');
    expect(item('job-3')?.getAttribute('aria-setsize')).toBe('1000');
    scroll(500 * ROW);
    expect(shown().length).toBeLessThan(40);
    expect(item('job-501')?.getAttribute('aria-posinset')).toBe('501');
    expect(item('job-3')).toBeNull();
  });

  test('keeps the row with the focus in its place of the order, wherever one scrolls, till it is left', () => {
    render(list(names(1000)));
    const button = screen.getByRole('button', { name: 'job-2' });
    focus(button);
    scroll(500 * ROW);
    expect(document.activeElement).toBe(button);
    expect(shown()[0]).toBe('job-2');
    focus(screen.getByRole('button', { name: 'job-505' }));
    expect(item('job-2')).toBeNull();
  });

  test('a row that comes above moves the others and not the focus', () => {
    const { rerender } = render(list(names(1000)));
    const button = screen.getByRole('button', { name: 'job-2' });
    focus(button);
    rerender(list(['job-0', ...names(1000)]));
    expect(document.activeElement).toBe(button);
    expect(item('job-2')?.getAttribute('aria-posinset')).toBe('3');
    expect(item('job-2')?.getAttribute('aria-setsize')).toBe('1001');
  });
});

test('a list that becomes long, or short, stays where it is and keeps the focus', () => {
  const kept = new Map<string, unknown>([['list/Jobs', { row: null, hadFocus: false, top: 9 * ROW, sizes: [] }]]);
  const inStudio = (count: number) => <KeptContext.Provider value={kept}>{list(names(count))}</KeptContext.Provider>;
  const { rerender } = render(inStudio(100));
  const scroller = screen.getByTestId('scroller');
  expect(scroller.scrollTop).toBe(9 * ROW);
  scroll(3 * ROW);
  const button = screen.getByText('job-5');
  focus(button);
  for (const count of [101, 100]) {
    rerender(inStudio(count));
    expect(screen.getByText('job-5')).toBe(button);
    expect(document.activeElement).toBe(button);
    expect(scroller.scrollTop).toBe(3 * ROW);
  }
});

/** Presses a key where the focus is, and tells where it is then. */
function press(key: string, how: KeyboardEventInit = {}): string | null {
  const isLeft = fireEvent.keyDown(document.activeElement!, { key, ...how });
  return isLeft ? null : document.activeElement!.textContent;
}

const stops = () => [...document.querySelectorAll('li > [tabindex="0"]')].map(button => button.textContent);

describe.each([100, 1000])('by keyboard a list of %d rows', count => {
  test('is one stop of Tab: its first row, then the one that had the focus last', () => {
    render(list(names(count)));
    expect(stops()).toEqual(['job-1']);
    focus(screen.getByText('job-3'));
    expect(stops()).toEqual(['job-3']);
    act(() => {
      (document.activeElement as HTMLElement).blur();
    });
    expect(stops()).toEqual(['job-3']);
  });

  test('has its first row as the stop again where the last is filtered away', () => {
    const { rerender } = render(list(names(count)));
    focus(screen.getByText('job-3'));
    rerender(list(names(count).slice(5)));
    expect(stops()).toEqual(['job-6']);
    rerender(list(names(count)));
    expect(stops()).toEqual(['job-3']);
  });

  test('is gone through by arrows, and by Home and End to its ends', () => {
    render(list(names(count)));
    focus(screen.getByText('job-1'));
    expect(press('ArrowDown')).toBe('job-2');
    expect(press('ArrowDown')).toBe('job-3');
    expect(press('ArrowUp')).toBe('job-2');
    expect(press('End')).toBe(`job-${count}`);
    expect(press('ArrowDown')).toBe(`job-${count}`);
    expect(press('ArrowUp')).toBe(`job-${count - 1}`);
    expect(press('Home')).toBe('job-1');
    expect(press('ArrowUp')).toBe('job-1');
    expect(stops()).toEqual(['job-1']);
  });

  test('leaves other keys to others', () => {
    render(list(names(count)));
    focus(screen.getByText('job-2'));
    for (const key of ['Tab', 'Enter', ' ', 'ArrowRight', 'PageDown', 'a']) {
      expect(press(key)).toBeNull();
    }
    for (const modifier of ['altKey', 'ctrlKey', 'metaKey', 'shiftKey']) {
      expect(press('ArrowDown', { [modifier]: true })).toBeNull();
    }
    expect(document.activeElement?.textContent).toBe('job-2');
  });
});

describe('the keys in a long list', () => {
  test('go on from the row with the focus, wherever one scrolled', () => {
    render(list(names(1000)));
    focus(screen.getByText('job-2'));
    scroll(500 * ROW);
    expect(press('ArrowDown')).toBe('job-3');
    expect(screen.getByTestId('scroller').scrollTop).toBe(2 * ROW);
  });

  test('bring the row into view', () => {
    render(list(names(1000)));
    focus(screen.getByText('job-1'));
    for (let row = 2; row <= ROOM / ROW; row++) {
      press('ArrowDown');
    }
    expect(screen.getByTestId('scroller').scrollTop).toBe(0);
    press('ArrowDown');
    expect(screen.getByTestId('scroller').scrollTop).toBe(ROW);
    press('End');
    expect(screen.getByTestId('scroller').scrollTop).toBe(1000 * ROW - ROOM);
  });
});

test('from a box before a row the arrows go to the box of the next, or to the row where that is disabled', () => {
  render(
    <LongList label="Jobs" rows={['a', 'b', 'c']} keyOf={row => row}>
      {row => (
        <>
          <input type="checkbox" aria-label={`box of ${row}`} disabled={row === 'c'} />
          <button type="button">{row}</button>
        </>
      )}
    </LongList>
  );
  focus(screen.getByRole('checkbox', { name: 'box of a' }));
  expect(screen.getByText('a').tabIndex).toBe(0);
  press('ArrowDown');
  expect(document.activeElement).toBe(screen.getByRole('checkbox', { name: 'box of b' }));
  expect(press('ArrowDown')).toBe('c');
});

describe.each([100, 1000])('a list of %d rows that was left for a page', count => {
  const shows = (isShown: boolean, rows: readonly string[], kept: Map<string, unknown>) => (
    <KeptContext.Provider value={kept}>
      <button type="button">elsewhere</button>
      {/* The scroller stays, as the panel's does. */}
      <div data-testid="scroller" style={{ overflowY: 'auto' }}>
        {isShown && (
          <LongList label="Jobs" rows={rows} keyOf={row => row}>
            {row => <button type="button">{row}</button>}
          </LongList>
        )}
      </div>
    </KeptContext.Provider>
  );

  /** Goes from a row into a page, and returns a function for the way back. */
  function leave(place: number) {
    vi.spyOn(HTMLElement.prototype, 'offsetHeight', 'get').mockReturnValue(TALL);
    const kept = new Map<string, unknown>();
    const { rerender } = render(shows(true, names(count), kept));
    const top = (place - 3) * TALL;
    scroll(top);
    fireEvent.click(screen.getByText(`job-${place}`));
    rerender(shows(false, [], kept));
    const scroller = screen.getByTestId('scroller');
    scroller.scrollTop = 0;
    return {
      top,
      scroller,
      back: (rows = names(count)) => {
        rerender(shows(true, rows, kept));
      }
    };
  }

  test('is scrolled as it was, and the row has the focus', () => {
    const { top, scroller, back } = leave(12);
    back();
    expect(scroller.scrollTop).toBe(top);
    expect(document.activeElement?.textContent).toBe('job-12');
    expect(stops()).toEqual(['job-12']);
    expect(shown()).toContain('job-10');
    // Of a long list the rows above are not drawn: their heights are known from before.
    expect(item('job-12')?.style.top).toBe(count > 100 ? `${11 * TALL}px` : '');
  });

  test('lets what has the focus by now keep it', () => {
    const { top, scroller, back } = leave(12);
    focus(screen.getByText('elsewhere'));
    back();
    expect(document.activeElement?.textContent).toBe('elsewhere');
    expect(scroller.scrollTop).toBe(top);
  });

  test('gives the focus to no other row where that one is gone', () => {
    const { back } = leave(12);
    back(names(count).filter(name => name !== 'job-12'));
    expect(document.activeElement).toBe(document.body);
  });
});
