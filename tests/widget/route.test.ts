import { act, renderHook } from '@testing-library/react';
import { createElement, type ReactNode } from 'react';
import { describe, expect, test } from 'vitest';

import {
  backOf,
  closed,
  KeptContext,
  moved,
  opened,
  pageOf,
  placeOf,
  PLACES,
  START,
  useKept,
  type Location,
  type Place,
  type Route
} from '../../labextension/src/widget/route';

const JOB: Route = { page: 'job', job: 'sft-1' };
const MODEL: Route = { page: 'model', model: 'chatty@1' };
const DATASET: Route = { page: 'dataset', dataset: 'poems@2' };

/** A page is opened, a place is shown, or the way back is taken. */
type Step = Route | Place | 'back';

/** Where one is after these steps. */
const after = (...steps: readonly Step[]): Location =>
  steps.reduce<Location>((at, step) => {
    if (step === 'back') {
      return closed(at);
    }
    return typeof step === 'string' ? moved(at, step) : opened(at, step);
  }, START);

const seen = (at: Location): [Place, Route | null] => [at.place, pageOf(at, at.place)];

describe('a page', () => {
  test.each<[Route, Place]>([
    [MODEL, 'models'],
    [{ page: 'base', model: 'qwen3-0.6b' }, 'models'],
    [DATASET, 'datasets'],
    [JOB, 'jobs'],
    [{ ...JOB, isEvaluation: true }, 'evaluations'],
    [{ page: 'replay', job: 'sft-1' }, 'jobs'],
    [{ page: 'replay', job: 'judge-1', isEvaluation: true }, 'evaluations'],
    [{ page: 'compare', jobs: ['a', 'b'] }, 'jobs'],
    [{ page: 'customize', from: {} }, 'jobs'],
    [{ page: 'evaluate', from: {} }, 'evaluations'],
    [{ page: 'metric', metric: 'kind@1' }, 'evaluators'],
    [{ page: 'metric', metric: null }, 'evaluators'],
    [{ page: 'prompt', prompt: 'kind@1' }, 'evaluators'],
    [{ page: 'function', name: 'exact_match' }, 'evaluators']
  ])('%j belongs to %s', (route, place) => {
    expect(placeOf(route)).toBe(place);
    expect(seen(after(route))).toEqual([place, route]);
  });
});

describe('the way', () => {
  test.each<[string, readonly Step[], [Place, Route | null]]>([
    ['begins with a list', [], ['jobs', null]],
    ['leads from a page to its list', [JOB, 'back'], ['jobs', null]],
    ['leads from a page to the one below it', [MODEL, { ...MODEL, model: 'chatty@2' }, 'back'], ['models', MODEL]],
    ['leads to the place from which a page was opened', ['models', MODEL, JOB, 'back'], ['models', MODEL]],
    ['leads through three places and back', ['models', MODEL, JOB, DATASET, 'back', 'back', 'back'], ['models', null]],
    ['does not lay a page over itself', [JOB, JOB, 'back'], ['jobs', null]],
    ['finds a place as it was left', [JOB, 'models', 'jobs'], ['jobs', JOB]],
    ['gives the list of the place on show', [JOB, 'jobs'], ['jobs', null]],
    ['goes nowhere from a list', ['models', 'back'], ['models', null]]
  ])('%s', (_title, steps, expected) => {
    expect(seen(after(...steps))).toEqual(expected);
  });

  test('says where back leads before it is taken', () => {
    expect(backOf(after('models', MODEL, JOB))).toEqual({ place: 'models', route: MODEL });
    expect(backOf(after(JOB))).toEqual({ place: 'jobs', route: null });
    expect(backOf(after('datasets'))).toEqual({ place: 'datasets', route: null });
  });

  test('leaves the other places as they are', () => {
    const at = after(MODEL, DATASET, JOB, 'back');
    expect(PLACES.map(place => pageOf(at, place))).toEqual([MODEL, DATASET, null, null, null]);
  });
});

describe('what was typed', () => {
  const within = (kept: Map<string, unknown>) => (props: { readonly children: ReactNode }) =>
    createElement(KeptContext.Provider, { value: kept }, props.children);
  const useDraft = (key: string) => useKept(key, { name: '' });
  const draft = (kept: Map<string, unknown>, key: string) => renderHook(() => useDraft(key), { wrapper: within(kept) });

  test('is found again when its page is, and by its own key alone', () => {
    const kept = new Map<string, unknown>();
    const { result, unmount } = draft(kept, 'customize/draft');
    expect(result.current[0]).toEqual({ name: '' });
    act(() => {
      result.current[1]({ name: 'chatty' });
    });
    act(() => {
      result.current[1](before => ({ name: `${before.name}-2` }));
    });
    expect(result.current[0]).toEqual({ name: 'chatty-2' });
    unmount();
    expect(draft(kept, 'customize/draft').result.current[0]).toEqual({ name: 'chatty-2' });
    expect(draft(kept, 'evaluate/draft').result.current[0]).toEqual({ name: '' });
    expect(draft(new Map(), 'customize/draft').result.current[0]).toEqual({ name: '' });
  });
});
