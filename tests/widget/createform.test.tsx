import { cleanup, fireEvent, render, screen, waitFor } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { CreateForm } from '../../labextension/src/widget/CreateForm';
import { likeliestForm, whyNot } from '../../labextension/src/widget/datasets';
import type { CreateTraits } from '../../labextension/src/widget/model';
import { ShellContext } from '../../labextension/src/widget/shell';
import { button, choose, DANGER, NEAR, NULLS, report, select } from './dataset';
import { TestModel } from './models';
import { TestShell } from './shell';

let shell: TestShell;

beforeEach(() => {
  shell = new TestShell();
});

afterEach(cleanup);

describe('the form', () => {
  const FORM: CreateTraits['form'] = {
    techniques: ['sft', 'dpo'],
    fields: {
      sft: [['prompt', 'completion'], ['messages'], ['text']],
      dpo: [
        ['prompt', 'chosen', 'rejected'],
        ['chosen', 'rejected']
      ]
    },
    optional: { sft: ['tools'], dpo: ['tools'] },
    fixes: { 'drop-faulty': 'leave out the rows that cannot be used' }
  };
  const REFUSAL = "pairs.csv has no field 'rejected'.";

  function show(changes: Partial<CreateTraits> = {}) {
    const model = new TestModel<CreateTraits>({
      form: FORM,
      source: '/data/pairs.csv',
      columns: ['prompt', 'chosen', 'rejcted'],
      sample: [{ prompt: DANGER, chosen: 'a', rejcted: null }],
      report: report(),
      refused: null,
      checking: null,
      creating: false,
      created: null,
      name: 'pairs',
      ...changes
    });
    const onDone = vi.fn();
    render(
      <ShellContext.Provider value={shell}>
        <CreateForm model={model} onDone={onDone} />
      </ShellContext.Provider>
    );
    return { model, onDone };
  }
  const create = () => button('Create dataset');
  const reason = () => document.getElementById(create().getAttribute('aria-describedby')!)!.textContent;

  test('says all that it asks for by name, and shows the first rows as text', () => {
    show();
    expect(screen.getAllByRole('combobox').map(each => (each as HTMLSelectElement).labels[0]!.firstChild)).toHaveLength(
      6
    );
    for (const name of ['Technique', 'Form', 'prompt', 'chosen', 'rejected', 'tools (optional)']) {
      expect(select(name)).toBeTruthy();
    }
    expect(screen.getByRole<HTMLInputElement>('textbox', { name: 'Name' }).value).toBe('pairs');
    expect(screen.getByRole('cell', { name: DANGER })).toBeTruthy();
    expect(document.querySelector('img')).toBeNull();
  });

  test('has a wrong column mapped, and checks the file by that', () => {
    const { model } = show({ report: null, refused: REFUSAL });
    expect(create().disabled).toBe(true);
    choose('Technique', 'dpo');
    expect(model.sent).toEqual([{ type: 'check', source: '/data/pairs.csv', technique: 'dpo', columns: {} }]);
    model.update({ refused: REFUSAL });
    choose('rejected', 'rejcted');
    const columns = { rejected: 'rejcted' };
    expect(model.sent.at(-1)).toEqual({ type: 'check', source: '/data/pairs.csv', technique: 'dpo', columns });
    model.update({ checking: { rows: 12_000 }, refused: null });
    expect(screen.getByText('Checking… 12,000 rows so far')).toBeTruthy();
    expect(reason()).toBe('The rows are being checked.');
    model.update({ checking: null, report: report() });
    fireEvent.click(create());
    expect(model.sent.at(-1)).toEqual({
      type: 'create',
      name: 'pairs',
      source: '/data/pairs.csv',
      technique: 'dpo',
      columns,
      fix: []
    });
    choose('rejected', '');
    expect(model.sent.at(-1)).toMatchObject({ type: 'check', columns: {} });
  });

  test('is created by Enter in the name, once it can be', () => {
    const { model } = show({ report: report({ faulty: 1, findings: [NULLS] }) });
    const name = screen.getByRole('textbox', { name: 'Name' });
    expect(fireEvent.keyDown(name, { key: 'Enter' })).toBe(false);
    expect(model.sent).toEqual([]);
    model.update({ report: report() });
    fireEvent.keyDown(name, { key: 'Enter' });
    expect(model.sent).toMatchObject([{ type: 'create', name: 'pairs', fix: [] }]);
  });

  test('lets faulty rows be left out before anything is created', () => {
    const { model } = show({ report: report({ faulty: 2, findings: [NULLS, { ...NULLS, kind: 'empty' }, NEAR] }) });
    expect(create().disabled).toBe(true);
    expect(reason()).toBe('2 rows cannot be used. Choose above to leave them out, or mend the file.');
    const boxes = screen.getAllByRole('checkbox');
    expect(boxes).toHaveLength(2);
    fireEvent.click(screen.getByRole('checkbox', { name: 'Leave out the rows that cannot be used' }));
    expect(reason()).toBe('');
    fireEvent.submit(screen.getByRole('form'));
    expect(model.sent).toMatchObject([{ type: 'create', technique: null, columns: {}, fix: ['drop-faulty'] }]);
    // A fix of what is no longer found is not asked for.
    model.update({ report: report() });
    fireEvent.click(create());
    expect(model.sent.at(-1)).toMatchObject({ type: 'create', fix: [] });
  });

  test('may be tried again with another name once a creation was refused', () => {
    const { model } = show();
    fireEvent.click(create());
    model.update({ creating: true, checking: { rows: 0 } });
    expect(reason()).toBe('The dataset is being created.');
    model.update({ creating: false, checking: null, report: null, refused: 'The disk is full.' });
    expect(screen.getByText('The disk is full.')).toBeTruthy();
    fireEvent.change(screen.getByRole('textbox', { name: 'Name' }), { target: { value: 'others' } });
    fireEvent.click(create());
    expect(model.sent.at(-1)).toMatchObject({ type: 'create', name: 'others' });
  });

  test('is done with what was made, or with nothing', () => {
    const { model, onDone } = show();
    fireEvent.click(button('Cancel'));
    expect(onDone.mock.calls).toEqual([[null]]);
    model.update({ created: 'pairs@1' });
    expect(onDone.mock.calls).toEqual([[null], ['pairs@1']]);
  });

  test('takes another file', async () => {
    const { model } = show();
    shell.chosen = '/data/other.csv';
    fireEvent.click(button('Choose…'));
    await waitFor(() => {
      expect(model.sent).toEqual([{ type: 'check', source: '/data/other.csv', technique: null, columns: {} }]);
    });
  });

  test('starts anew with another form of the technique', () => {
    const { model } = show({ report: report({ technique: 'sft', form: ['text'] }), columns: ['text', 'other'] });
    expect(select('text')).toBeTruthy();
    choose('text', 'other');
    choose('Form', '0');
    expect(model.sent.at(-1)).toMatchObject({ type: 'check', columns: {} });
    expect(select('completion')).toBeTruthy();
    expect(screen.queryByRole('combobox', { name: 'text' })).toBeNull();
  });

  test.each<[string, string | null]>([
    ['pairs', null],
    ['', 'Give the dataset a name.'],
    ['a b', 'A name has letters, digits, “.”, “_” and “-”, and starts with a letter or digit.'],
    ['-a', 'A name has letters, digits, “.”, “_” and “-”, and starts with a letter or digit.']
  ])('of the name %j says %j', (name, expected) => {
    const ready = { source: 'a.csv', refused: null, checking: null, creating: false };
    expect(whyNot(ready, report(), { name, fixes: new Set(), again: false })).toBe(expected);
  });

  test.each([
    [['prompt', 'chosen', 'rejcted'], null, 0],
    [['chosen', 'rejected'], null, 0],
    [['a'], ['chosen', 'rejected'], 1]
  ])('of columns %j with %j found takes form %d', (columns, found, expected) => {
    expect(likeliestForm(FORM.fields.dpo!, columns, found)).toBe(expected);
  });
});
