import { act, cleanup, fireEvent, screen, waitFor, within } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { tableLayout, turnsOf } from '../../labextension/src/widget/datasets';
import { elementOffset, MOST, tableOffset } from '../../labextension/src/widget/longscroll';
import type { Row } from '../../labextension/src/widget/model';
import { RowPages } from '../../labextension/src/widget/rowpages';
import { button, DANGER, datasetRow, NEAR, report, showDataset, text } from './dataset';

afterEach(() => {
  cleanup();
  vi.restoreAllMocks();
});

describe('the rows', () => {
  /** Nothing has a size in jsdom. */
  beforeEach(() => {
    vi.spyOn(HTMLElement.prototype, 'clientHeight', 'get').mockReturnValue(320);
    vi.spyOn(HTMLElement.prototype, 'scrollHeight', 'get').mockReturnValue(MOST);
  });

  const make = (place: number): Row => ({ prompt: `prompt ${place + 1}`, chosen: 'yes', rejected: 'no' });
  const page = (first: number, count = 50) => ({
    type: 'rows' as const,
    first,
    rows: Array.from({ length: count }, (_, n) => make(first + n))
  });
  const table = () => screen.getByRole('table', { name: 'Rows' });
  const numbers = () => within(table()).getAllByRole<HTMLButtonElement>('button').map(text);
  const scroll = (top: number) => {
    act(() => {
      table().scrollTop = top;
      fireEvent.scroll(table());
    });
  };

  test('are asked for in pages, as they come into view', async () => {
    const { model } = showDataset({ dataset: { ...datasetRow({ rows: 1_000_000 }), digest: '', uses: [] } });
    expect(table().getAttribute('aria-rowcount')).toBe('1000001');
    expect(model.asked).toEqual([0]);
    model.message(page(0));
    expect(within(table()).getByText('prompt 1')).toBeTruthy();
    expect(within(table()).queryByText('prompt 50')).toBeNull();
    // Rows of one line are 32 pixels high.
    scroll(32 * 45);
    expect(model.asked).toEqual([0, 50]);
    scroll(32 * 46);
    expect(model.asked).toEqual([0, 50]);
    fireEvent.change(screen.getByRole('spinbutton', { name: 'Go to row' }), { target: { value: '765432' } });
    fireEvent.submit(screen.getByRole('spinbutton'));
    fireEvent.scroll(table());
    await waitFor(() => {
      expect(model.asked).toEqual([0, 50, 765_400]);
    });
    model.message(page(765_400));
    expect(within(table()).getByText('prompt 765432')).toBeTruthy();
    expect(numbers().length).toBeLessThan(40);
  });

  test('are gone through by the thumb in proportion, though they are higher than a page can be', async () => {
    const { model } = showDataset({ dataset: { ...datasetRow({ rows: 1_000_000 }), digest: '', uses: [] } });
    model.message(page(0));
    scroll(MOST);
    await waitFor(() => {
      expect(model.asked.at(-1)).toBe(999_950);
    });
    scroll(MOST / 2);
    await waitFor(() => {
      expect(model.asked.at(-1)).toBeGreaterThan(499_000);
      expect(model.asked.at(-1)).toBeLessThan(501_000);
    });
  });

  test('end where the dataset does', () => {
    const { model } = showDataset({ dataset: { ...datasetRow({ rows: 3 }), digest: '', uses: [] } });
    model.message(page(0, 3));
    expect(numbers()).toEqual(['1', '2', '3']);
    fireEvent.change(screen.getByRole('spinbutton'), { target: { value: '4' } });
    expect(screen.getByRole('spinbutton').getAttribute('aria-invalid')).toBe('true');
  });

  test('are asked for again after a notice', () => {
    const { model } = showDataset();
    model.notice('The rows could not be read.');
    scroll(32);
    scroll(32 * 10);
    expect(model.asked).toEqual([0, 0]);
  });

  test('open by a click or by keyboard, in full with all fields', () => {
    const { model } = showDataset({ dataset: { ...datasetRow({ rows: 3 }), digest: '', uses: [] } });
    const many = Object.fromEntries(Array.from({ length: 8 }, (_, n) => [`extra ${n}`, n]));
    model.message({ type: 'rows', first: 0, rows: [{ ...make(0), ...many }, make(1), make(2)] });
    expect(screen.queryByText('extra 7')).toBeNull();
    fireEvent.click(screen.getByText('prompt 1'));
    expect(button('Row 1').getAttribute('aria-expanded')).toBe('true');
    expect(screen.getByText('extra 7')).toBeTruthy();
    fireEvent.click(button('Row 1'));
    expect(screen.queryByText('extra 7')).toBeNull();
    button('Row 1').focus();
    fireEvent.keyDown(button('Row 1'), { key: 'ArrowDown' });
    expect(document.activeElement).toBe(button('Row 2'));
    expect(['Row 1', 'Row 2', 'Row 3'].map(name => button(name).tabIndex)).toEqual([-1, 0, -1]);
  });

  test('show conversations as turns, and text as text', () => {
    const { model } = showDataset({
      dataset: { ...datasetRow({ rows: 1, form: ['messages'] }), digest: '', uses: [] }
    });
    const messages = [
      { role: 'user', content: DANGER },
      { role: 'assistant', content: null, tool_calls: [{ function: { name: 'look' } }] }
    ];
    model.message({ type: 'rows', first: 0, rows: [{ messages, score: 17 }] });
    const cells = within(table()).getAllByRole('cell').slice(1);
    expect(cells.map(cell => text(cell.querySelector('.tunelab-value')!))).toEqual([
      `user ${DANGER}\nassistant [{"function":{"name":"look"}}]\n`,
      '17'
    ]);
    expect(document.querySelector('img')).toBeNull();
  });

  test('of a finding are gone to, where the report counts the rows that are stored', () => {
    const { model } = showDataset({ report: report({ findings: [NEAR] }) });
    Element.prototype.scrollIntoView = vi.fn();
    model.message(page(0));
    fireEvent.click(button('Show row 230'));
    return waitFor(() => {
      fireEvent.scroll(table());
      expect(numbers()).toContain('230');
    });
  });

  test('of a finding have no numbers of their own once rows were left out', () => {
    showDataset({ report: report({ findings: [NEAR], fixed: { 'drop-duplicates': 1 } }) });
    expect(screen.queryByRole('button', { name: 'Show row 230' })).toBeNull();
  });

  test('are kept by no more than forty pages', () => {
    const pages = new RowPages();
    for (let number = 0; number < 50; number++) {
      pages.hear({ type: 'rows', first: 50 * number, rows: [make(50 * number)] });
      // The first page is looked at all the time.
      pages.missing(0, 0);
    }
    expect([0, 500, 600, 2450].map(place => pages.row(place) !== null)).toEqual([true, false, true, true]);
  });

  test.each([
    ['short texts', [{ a: 'x', b: 'y' }], 1000, [1, 1], 32],
    ['long texts', [{ a: 'x'.repeat(500), b: 'y' }], 1000, [3, 3], 70],
    ['long texts in a narrow table', [{ a: 'x'.repeat(500), b: 'y'.repeat(500) }], 250, [3, 2], 108],
    [
      'one long text of many',
      [...Array<Row>(9).fill({ a: 'x', b: 'y' }), { a: 'x'.repeat(99), b: '' }],
      250,
      [1, 1],
      51
    ]
  ])('%s take as many lines as they need', (_title, rows, width, lines, height) => {
    const layout = tableLayout(['a', 'b'], rows, width, 19);
    expect([layout.lines, layout.height]).toEqual([lines, height]);
  });

  test.each([0, 999_999, 1_000_000, 35_000_000, 69_000_000, 70_000_000])('at %d pixels are where they were', table => {
    const most = { table: 70_000_000, element: MOST };
    expect(elementOffset(table, most)).toBeLessThanOrEqual(MOST);
    expect(tableOffset(elementOffset(table, most), most)).toBeCloseTo(table, 3);
  });
});

test.each([
  [[], null],
  ['text', null],
  [[{ role: 'user', content: 'Hi' }], [{ role: 'user', text: 'Hi' }]],
  [[{ role: 'user', content: 'Hi' }, 'x'], null],
  [[{ content: 'Hi' }], null],
  [[{ role: 5, content: ['a'] }], [{ role: '5', text: '["a"]' }]]
])('turns of %j are %j', (value, turns) => {
  expect(turnsOf(value)).toEqual(turns);
});
