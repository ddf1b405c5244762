/** What the views say where JupyterLab has another language: through its bundle, whatever the host gives. */
import { TranslationManager, type ITranslatorConnector, type Language } from '@jupyterlab/translation';
import { cleanup, render, screen } from '@testing-library/react';
import { afterEach, describe, expect, test } from 'vitest';

import type { Attachment } from '../../labextension/src/attach';
import { speak, translator } from '../../labextension/src/language';
import { customizationNotebook } from '../../labextension/src/notebook';
import { sentence } from '../../labextension/src/sentences';
import { Chart } from '../../labextension/src/widget/Chart';
import { chart } from '../../labextension/src/widget/catalog';
import { CompareTable } from '../../labextension/src/widget/CompareTable';
import { Curves } from '../../labextension/src/widget/curves';
import { formatDuration, ordinal } from '../../labextension/src/widget/format';
import { trans, translate, type Translation } from '../../labextension/src/widget/i18n';
import { JobView } from '../../labextension/src/widget/JobView';
import { metricName } from '../../labextension/src/widget/metrics';
import type { JobTraits } from '../../labextension/src/widget/model';
import { filters } from '../../labextension/src/widget/rollouts';
import { describeState } from '../../labextension/src/widget/states';
import { TestModel } from './models';
import { snapshot } from './snapshot';

afterEach(() => {
  cleanup();
  speak(null);
});

/** Marks each text that went through the translation, and leaves what is set into it. */
const marked: Translation = {
  __: (text, ...values) =>
    values.reduce<string>((said, value, n) => said.replace(`%${n + 1}`, String(value)), `«${text}»`),
  _n: (_singular, plural, n, ...values) => marked.__(plural, n, ...values)
};

describe('in another language', () => {
  test('a job says what it does, names its facts and has its buttons', () => {
    translate(marked);
    const model = new TestModel<JobTraits>({
      snapshot: snapshot({ rows: { train: 2353, eval: 12 }, restarts: 2 }),
      cell: '%%customize\n',
      mlflow: null,
      rollouts: { version: 1, trained: { steps: [], answers: 0 }, held_out: { steps: [], answers: 0 } }
    });
    render(<JobView model={model} />);
    expect(screen.getByRole('region', { name: '«Job dpo-chatty-7f3a»' })).toBeTruthy();
    expect(document.querySelector('.tunelab-sentence')?.textContent).toBe('«step 12 of 60»');
    expect(document.querySelector('.tunelab-aside')?.textContent).toBe('«about «3 min» left»');
    for (const name of ['«Copy as cell»', '«Open in MLflow»', '«Pause»', '«Cancel»', '«Remove the chart «Loss»»']) {
      expect(screen.getByRole('button', { name })).toBeTruthy();
    }
    expect(screen.getByRole('button', { name: '«Pause»' }).title).toMatch(/^«Finishes the step/);
    expect(screen.getByRole('heading', { name: '«Rollouts»' })).toBeTruthy();
    const facts = Array.from(document.querySelectorAll('dt'), name => [
      name.textContent,
      name.nextSibling?.textContent
    ]);
    expect(facts).toContainEqual(['«Rows»', '«2,353 train» · «12 held out»']);
    expect(facts).toContainEqual(['«Recovered»', '«2 times»']);
  });

  test('so do a chart and a comparison', () => {
    translate(marked);
    const curves = new Curves(new TestModel({} as JobTraits));
    const nothing = () => undefined;
    render(
      <>
        <Chart
          job="dpo-1"
          spec={chart('loss')}
          curves={curves}
          version={0}
          options={{ smoothing: 0, log: false, zoom: [1, 2] }}
          onZoom={nothing}
          onRemove={nothing}
        />
        <CompareTable jobs={[]} rows={[]} />
      </>
    );
    expect(screen.getByText('«No points yet»')).toBeTruthy();
    expect(screen.getByRole('button', { name: '«Show all of «Loss»»' }).title).toBe('«Show all steps»');
    expect(screen.getByRole('table', { name: '«Differences of the specs»' })).toBeTruthy();
  });

  test.each<[what: string, said: () => unknown, expected: unknown]>([
    [
      'a state with its reason, which is the kernel’s',
      () => describeState(snapshot({ state: 'paused', reason: 'no key' })).sentence,
      '««Paused at «step 12 of 60»»: no key»'
    ],
    ['a place in the queue', () => ordinal(2), '«2nd»'],
    ['a duration', () => formatDuration(7499), '«2 h 5 min»'],
    ['a metric', () => metricName('eval_loss'), '««Loss» (held out)»'],
    ['a metric that nobody knows', () => metricName('foo/bar'), 'Foo bar'],
    ['a choice', () => filters()[1], ['missing', '«Without a reward»']],
    [
      'a kernel’s state',
      () => sentence('a.ipynb', { status: 'unloaded', detail: '' } as unknown as Attachment, ''),
      { text: '««The kernel of a.ipynb» has not loaded tunelab.»', action: '«Load tunelab»', busy: false }
    ],
    [
      'a new notebook',
      () => String(customizationNotebook('m').cells[0]?.source).split('\n')[0],
      '# «Customize a model»'
    ]
  ])('%s is told', (_what, said, expected) => {
    translate(marked);
    expect(said()).toEqual(expected);
  });

  test('JupyterLab’s language pack speaks in the views, and English where it has none', async () => {
    const pack = {
      '': { domain: 'tunelab', language: 'de', plural_forms: 'nplurals=2; plural=(n != 1);', version: '1' },
      'Copy as cell': ['Als Zelle kopieren'],
      '%1 tokens/s, %2 of the machine’s rate': ['%1 Token/s, %2 dessen, was die Maschine kann'],
      '%2 step': ['%2 Schritt', '%2 Schritte']
    };
    const connector = {
      fetch: () => Promise.resolve({ data: { tunelab: pack }, message: '' } as unknown as Language)
    } as unknown as ITranslatorConnector;
    const manager = new TranslationManager('', '', undefined, connector);
    await manager.fetch('de');
    speak(manager);
    expect(translator()).toBe(manager);
    expect(trans.__('Copy as cell')).toBe('Als Zelle kopieren');
    expect(describeState(snapshot({ tokens_per_s: 212.4, share: 0.684 })).sentence).toBe(
      'Step 12 of 60 · 212 Token/s, 68% dessen, was die Maschine kann'
    );
    expect(describeState(snapshot({ state: 'completed', total: 1 })).aside).toBe('1 Schritt');
    expect(describeState(snapshot({ state: 'completed', total: 2400 })).aside).toBe('2,400 Schritte');
    expect(metricName('loss')).toBe('Loss');
    speak(null);
    expect(trans.__('Copy as cell')).toBe('Copy as cell');
  });
});
