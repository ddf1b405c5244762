/** Where one is in the Studio: five places, in each a list and pages, and the way back. */
import { createContext, useContext, useState } from 'react';

/** A list of the Studio, with its pages. */
export type Place = 'models' | 'datasets' | 'jobs' | 'evaluations' | 'evaluators';

export const PLACES: readonly Place[] = ['models', 'datasets', 'jobs', 'evaluations', 'evaluators'];

/** What a form begins with: a spec's mapping, a cell's text, or a job's own spec; nothing for an empty form. */
export interface FormStart {
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly cell?: string;
  readonly job?: string;
}

/** One page. */
export type Route =
  /** A job, of customization or of evaluation. */
  | { readonly page: 'job'; readonly job: string; readonly isEvaluation?: boolean }
  /** Jobs in the same charts, and what differs in their specs. */
  | { readonly page: 'compare'; readonly jobs: readonly string[]; readonly isEvaluation?: boolean }
  /** What differs today from when a job ran, and running it again. */
  | { readonly page: 'replay'; readonly job: string; readonly isEvaluation?: boolean }
  /** `NAME@VERSION`. */
  | { readonly page: 'dataset'; readonly dataset: string }
  /** A custom model's version, `NAME@VERSION`. */
  | { readonly page: 'model'; readonly model: string }
  /** A base model: a catalog name, a hub id or a folder. */
  | { readonly page: 'base'; readonly model: string }
  /** A judge's metric, `NAME@VERSION`; null is for the form that makes one. */
  | { readonly page: 'metric'; readonly metric: string | null }
  /** A reward prompt, `NAME@VERSION`. */
  | { readonly page: 'prompt'; readonly prompt: string }
  /** A reward function or preset, by its name. */
  | { readonly page: 'function'; readonly name: string }
  /** The form of a customization. */
  | { readonly page: 'customize'; readonly from: FormStart }
  /** The form of an evaluation. */
  | { readonly page: 'evaluate'; readonly from: FormStart };

/** The place that a page belongs to. */
export function placeOf(route: Route): Place {
  switch (route.page) {
    case 'dataset':
      return 'datasets';
    case 'model':
    case 'base':
      return 'models';
    case 'metric':
    case 'prompt':
    case 'function':
      return 'evaluators';
    case 'evaluate':
      return 'evaluations';
    case 'job':
    case 'replay':
    case 'compare':
      return route.isEvaluation ? 'evaluations' : 'jobs';
    case 'customize':
      return 'jobs';
  }
}

/** One place and what is open in each; pages lie over one another. */
export interface Location {
  readonly place: Place;
  readonly open: Readonly<Record<Place, readonly Opened[]>>;
}

interface Opened {
  readonly route: Route;
  /** The place from which it was opened, to which the way back leads. */
  readonly from: Place;
}

export const START: Location = {
  place: 'jobs',
  open: { models: [], datasets: [], jobs: [], evaluations: [], evaluators: [] }
};

/** The page on top of a place, or null for its list. */
export function pageOf({ open }: Location, place: Place): Route | null {
  return open[place].at(-1)?.route ?? null;
}

/** Where the way back leads from the page on show. */
export function backOf({ place, open }: Location): { readonly place: Place; readonly route: Route | null } {
  const top = open[place].at(-1);
  const below = open[place].at(-2)?.route ?? null;
  return top && top.from !== place
    ? { place: top.from, route: open[top.from].at(-1)?.route ?? null }
    : { place, route: below };
}

/** Opens a page over what its place shows; the same page is not laid over itself. */
export function opened(at: Location, route: Route): Location {
  const place = placeOf(route);
  const pages = at.open[place];
  const same = JSON.stringify(pages.at(-1)?.route) === JSON.stringify(route);
  return { place, open: same ? at.open : { ...at.open, [place]: [...pages, { route, from: at.place }] } };
}

/** Takes the page on show away. */
export function closed(at: Location): Location {
  const { place } = backOf(at);
  return { place, open: { ...at.open, [at.place]: at.open[at.place].slice(0, -1) } };
}

/** Shows a place as it was left, or its list where it is on show already. */
export function moved(at: Location, place: Place): Location {
  return { place, open: at.place === place ? { ...at.open, [place]: [] } : at.open };
}

/** How pages lead to each other. */
export interface Navigation {
  go(route: Route): void;
  back(): void;
  show(place: Place): void;
}

export const NavigationContext = createContext<Navigation | null>(null);

/** The Studio's ways, or null in a view that stands alone: in a cell, or in a tab of its own. */
export function useNavigation(): Navigation | null {
  return useContext(NavigationContext);
}

export type Kept = ReadonlyMap<string, unknown>;

/** What was typed and chosen in the Studio's pages: it outlives them, and the kernel. A view that stands alone keeps nothing. */
export const KeptContext = createContext<Map<string, unknown> | null>(null);

/** What another Studio takes over: all but how the lists were left, whose rows are of another height there. */
export function handedOver(kept: Kept): Kept {
  return new Map([...kept].filter(([key]) => !key.startsWith('list/')));
}

/** A state by a key of its own, such as `customize/draft`, that is found again when its page is. */
export function useKept<T>(key: string, initial: T): readonly [T, (change: T | ((before: T) => T)) => void] {
  const kept = useContext(KeptContext);
  const [value, setValue] = useState<T>(() => (kept?.has(key) ? (kept.get(key) as T) : initial));
  const set = (change: T | ((before: T) => T)) => {
    setValue(before => {
      const next = typeof change === 'function' ? (change as (before: T) => T)(before) : change;
      kept?.set(key, next);
      return next;
    });
  };
  return [value, set];
}
