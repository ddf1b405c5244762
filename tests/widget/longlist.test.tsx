import { act, cleanup, fireEvent, render, screen } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { LongList } from '../../labextension/src/widget/LongList';

const ROOM = 620;
const ROW = 62;

beforeEach(() => {
  // Nothing has a size in jsdom.
  vi.spyOn(HTMLElement.prototype, 'clientHeight', 'get').mockReturnValue(ROOM);
  vi.spyOn(HTMLElement.prototype, 'clientWidth', 'get').mockReturnValue(250);
  vi.spyOn(HTMLElement.prototype, 'offsetHeight', 'get').mockReturnValue(ROW);
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
