/** Rollouts as the page has them: steps, groups in an order, bars, sentences, and what the kernel has answered so far. */
import { formatNumber, plainText } from './format';
import { trans } from './i18n';
import type { Answer, Message, RolloutGroup, RolloutMessage, RolloutPlace, RolloutsState, RolloutSteps } from './model';

/** Which groups are on show. */
export type Filter = 'all' | 'missing' | 'cut' | 'no_spread';

/** The filters with their names, in the order of their buttons. */
export function filters(): readonly (readonly [filter: Filter, name: string])[] {
  return [
    ['all', trans.__('All')],
    ['missing', trans.__('Without a reward')],
    ['cut', trans.__('Cut off')],
    ['no_spread', trans.__('No spread')]
  ];
}

/** In which order. */
export type Order = 'sampled' | 'best' | 'worst' | 'spread' | 'alike';

/** The orders with their names. */
export function orders(): readonly (readonly [order: Order, name: string])[] {
  return [
    ['sampled', trans.__('As sampled')],
    ['best', trans.__('Highest reward first')],
    ['worst', trans.__('Lowest reward first')],
    ['spread', trans.__('Widest spread first')],
    ['alike', trans.__('Narrowest spread first')]
  ];
}

/** The steps of runs `[first, stride, count]`. */
export function stepsOf({ steps: runs }: RolloutSteps): readonly number[] {
  return runs.flatMap(([first, stride, count]) => Array.from({ length: count }, (_, place) => first + stride * place));
}

/** The index of the step that was asked for, else of the one before it, else 0. */
export function nearest(steps: readonly number[], wanted: number): number {
  const after = steps.findIndex(step => step > wanted);
  return Math.max(0, (after < 0 ? steps.length : after) - 1);
}

/** Whether a group is one that a filter shows. */
export function passes(group: RolloutGroup, filter: Filter): boolean {
  return { all: true, missing: group.missing > 0, cut: group.cut > 0, no_spread: group.no_spread }[filter];
}

/** Groups in an order; those without the figure come last. */
export function ordered(groups: readonly RolloutGroup[], order: Order): readonly RolloutGroup[] {
  if (order === 'sampled') {
    return groups;
  }
  const sign = order === 'best' || order === 'spread' ? -1 : 1;
  const figure = ({ mean, spread }: RolloutGroup) => (order === 'best' || order === 'worst' ? mean : spread);
  const key = (group: RolloutGroup) => {
    const value = figure(group);
    return value === null ? Infinity : sign * value;
  };
  return [...groups].sort((a, b) => (key(a) === key(b) ? 0 : key(a) - key(b)));
}

/** The range of a bar: from 0 to 1, unless there are figures beyond. */
export interface Range {
  readonly low: number;
  readonly high: number;
}

/** The ranges of the rewards and of each part among answers; the reward's stands under the empty name. */
export function rangesOf(answers: readonly (Answer | null)[]): ReadonlyMap<string, Range> {
  const ranges = new Map<string, { low: number; high: number }>();
  const widen = (name: string, value: number | null) => {
    const range = ranges.get(name) ?? { low: 0, high: 1 };
    if (value !== null && Number.isFinite(value)) {
      range.low = Math.min(range.low, value);
      range.high = Math.max(range.high, value);
    }
    ranges.set(name, range);
  };
  for (const answer of answers) {
    if (answer) {
      widen('', answer.reward);
      Object.entries(answer.parts).forEach(([name, value]) => {
        widen(name, value);
      });
    }
  }
  return ranges;
}

/** Where a bar of a value begins and how long it is, as shares of the range; it begins at zero. */
export function barOf(value: number, { low, high }: Range): { readonly from: number; readonly width: number } {
  const at = (figure: number) => Math.min(1, Math.max(0, (figure - low) / (high - low)));
  const [zero, end] = [at(0), at(value)];
  return { from: Math.min(zero, end), width: Math.abs(end - zero) };
}

const WHY: Readonly<Record<string, () => string>> = {
  error: () => trans.__('the reward function failed'),
  timeout: () => trans.__('the reward function took too long'),
  invalid: () => trans.__('what came is no reward'),
  unparsed: () => trans.__('the reply could not be read'),
  failed: () => trans.__('no reply came')
};

/** Why an answer has no reward, as a sentence; null where it has one. */
export function whyMissing({ reward, status, note }: Answer): string | null {
  return reward === null ? trans.__('No reward: %1', plainText(note) || (WHY[status]?.() ?? plainText(status))) : null;
}

/** The figures of a group in words: `row 12 · 8 answers · mean 0.410 · spread 0.300`. */
export function groupFigures({ row, answers, mean, spread }: RolloutGroup): string {
  const said = [row === null ? '' : trans.__('row %1', formatNumber(row))];
  if (answers > 1) {
    said.push(trans._n('%2 answer', '%2 answers', answers, formatNumber(answers)));
    said.push(trans.__('mean %1', formatNumber(mean)));
    said.push(spread === null ? '' : trans.__('spread %1', formatNumber(spread)));
  }
  return said.filter(Boolean).join(' · ');
}

/** What is the matter with a group, in a word or two each. */
export function groupTrouble({ no_spread: isFlat, missing, cut, answers }: RolloutGroup): readonly string[] {
  const isOne = answers <= 1;
  return [
    isFlat ? trans.__('no spread') : '',
    missing ? (isOne ? trans.__('without a reward') : trans.__('without a reward %1', formatNumber(missing))) : '',
    cut ? (isOne ? trans.__('cut off') : trans.__('cut off %1', formatNumber(cut))) : ''
  ].filter(Boolean);
}

type Page = Extract<RolloutMessage, { type: 'rollouts' }>;
type Whole = Extract<RolloutMessage, { type: 'group' }>;
type Found = Extract<RolloutMessage, { type: 'search' }>;

/** So many steps, and groups with all their texts, are kept. */
const KEPT = 24;

/** What the kernel has answered; tells its listeners as more comes. */
export class RolloutPages {
  private readonly pages = new Map<string, Page>();
  private readonly wholes = new Map<string, Whole>();
  private said: Found | null = null;
  private readonly listeners = new Set<() => void>();
  private arrived = 0;

  /** Changes with each answer. */
  readonly version = (): number => this.arrived;

  /** Calls back as an answer comes. */
  readonly subscribe = (callback: () => void): (() => void) => {
    this.listeners.add(callback);
    return () => {
      this.listeners.delete(callback);
    };
  };

  /** The groups of a step, or null while they are not here. */
  page(place: RolloutPlace): Page | null {
    return this.pages.get(keyOf(place)) ?? null;
  }

  /** A group with all its answers, or null while it is not here. */
  whole(place: RolloutPlace, group: number): Whole | null {
    return this.wholes.get(`${keyOf(place)} ${group}`) ?? null;
  }

  /** What was found for a text, or null while it is sought. */
  found(text: string): Found | null {
    return this.said?.text === text ? this.said : null;
  }

  /** Takes what the kernel sends. */
  readonly hear = (message: Message): void => {
    switch (message.type) {
      case 'rollouts':
        keep(this.pages, keyOf(message), message);
        break;
      case 'group':
        keep(this.wholes, `${keyOf(message)} ${message.group}`, message);
        break;
      case 'search':
        this.said = message;
        break;
      default:
        return;
    }
    this.arrived += 1;
    this.listeners.forEach(callback => {
      callback();
    });
  };
}

function keyOf({ step, held_out: heldOut }: RolloutPlace): string {
  return `${heldOut} ${step}`;
}

function keep<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  for (const old of [...map.keys()].slice(0, -KEPT)) {
    map.delete(old);
  }
}

/** What the reader has chosen. */
export interface Choice {
  /** Null for whichever there are. */
  readonly heldOut: boolean | null;
  /** Null to follow the latest. */
  readonly step: number | null;
  readonly filter: Filter;
  readonly order: Order;
}

/** The steps that a choice goes through, and the one that it shows; null where there is none. */
export function shownOf(
  state: RolloutsState,
  { heldOut, step }: Choice
): {
  readonly steps: readonly number[];
  readonly index: number;
  readonly place: RolloutPlace | null;
  heldOut: boolean;
} {
  // Before the first step there are answers to the held-out prompts only.
  const isHeldOut = heldOut ?? (state.trained.answers === 0 && state.held_out.answers > 0);
  const steps = stepsOf(isHeldOut ? state.held_out : state.trained);
  const index = step === null ? steps.length - 1 : nearest(steps, step);
  const at = steps[index];
  return { steps, index, heldOut: isHeldOut, place: at === undefined ? null : { step: at, held_out: isHeldOut } };
}
