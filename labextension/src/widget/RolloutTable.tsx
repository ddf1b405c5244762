/** The groups of one step as a table: prompt, best and worst answer; a group that is opened has all of them. */
import { useEffect, useMemo, useRef, useState, type KeyboardEvent } from 'react';

import { formatNumber, plainText } from './format';
import { trans } from './i18n';
import type { Answer, JobTraits, Model, RolloutGroup, RolloutMessage } from './model';
import {
  barOf,
  groupFigures,
  groupTrouble,
  ordered,
  passes,
  rangesOf,
  whyMissing,
  type Filter,
  type Order,
  type Range,
  type RolloutPages
} from './rollouts';

/** So many groups are drawn at first, and more on demand. */
const FIRST_GROUPS = 20;

type Ranges = ReadonlyMap<string, Range>;

interface GroupTableProps {
  readonly model: Model<JobTraits>;
  readonly pages: RolloutPages;
  /** Changes with each answer of the kernel. */
  readonly version: number;
  /** Changes as the step may have gained answers. */
  readonly fresh: number;
  readonly page: Extract<RolloutMessage, { type: 'rollouts' }>;
  /** Whether another step is on its way. */
  readonly isBusy: boolean;
  readonly filter: Filter;
  readonly order: Order;
  /** The group that was looked for. */
  readonly target: number | null;
  /** Called as a group is opened. */
  readonly onOpen: () => void;
}

/** The table. */
export function GroupTable(props: GroupTableProps) {
  const { model, pages, fresh, page, isBusy, filter, order, target, onOpen } = props;
  const [opened, setOpened] = useState<ReadonlySet<number>>(() => new Set(target === null ? [] : [target]));
  const [most, setMost] = useState(FIRST_GROUPS);
  const table = useRef<HTMLDivElement>(null);
  const groups = useMemo(
    () =>
      ordered(
        page.groups.filter(group => passes(group, filter)),
        order
      ),
    [page, filter, order]
  );
  const ranges = useMemo(() => rangesOf(page.groups.flatMap(({ best, worst }) => [best, worst])), [page]);

  // A group that was looked for is opened, and in view.
  const [went, setWent] = useState(target);
  if (target !== null && target !== went) {
    setWent(target);
    setOpened(new Set([...opened, target]));
  }
  const at = target === null ? -1 : groups.findIndex(({ group }) => group === target);
  const shown = groups.slice(0, Math.max(most, at + 1));
  const wanted = useRef<number | null>(target);
  useEffect(() => {
    wanted.current = target;
  }, [target]);
  useEffect(() => {
    if (wanted.current !== null && !isBusy && at >= 0) {
      const button = table.current?.querySelector<HTMLElement>(`[data-group='${wanted.current}'] button`);
      wanted.current = null;
      button?.focus({ preventScroll: true });
      button?.scrollIntoView({ block: 'center' });
    }
  }, [at, isBusy, target]);

  const toggle = (group: number) => {
    const next = new Set(opened);
    if (!next.delete(group)) {
      next.add(group);
      onOpen();
    }
    setOpened(next);
  };
  const move = (event: KeyboardEvent) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by === undefined || !(event.target instanceof HTMLButtonElement)) {
      return;
    }
    const buttons = [
      ...(table.current?.querySelectorAll<HTMLButtonElement>('[data-group] > :first-child button') ?? [])
    ];
    const next = buttons[buttons.indexOf(event.target) + by];
    if (next && buttons.includes(event.target)) {
      event.preventDefault();
      next.focus();
    }
  };
  const hasWorst = page.groups.some(({ worst }) => worst !== null);
  return (
    <>
      <div
        ref={table}
        className="tunelab-groups"
        role="table"
        aria-label={trans.__('Rollouts')}
        aria-busy={isBusy}
        data-step={page.step}
        data-pairs={hasWorst}
        onKeyDown={move}
      >
        <div role="rowgroup" className="tunelab-groups-head">
          <div role="row">
            <span role="columnheader">{trans.__('Prompt')}</span>
            <span role="columnheader">{hasWorst ? trans.__('Best') : trans.__('Answer')}</span>
            {hasWorst && <span role="columnheader">{trans.__('Worst')}</span>}
          </div>
        </div>
        <div role="rowgroup">
          {shown.map(group => (
            <Group
              key={group.group}
              {...{ model, pages, fresh, group, ranges, hasWorst }}
              place={page}
              isOpen={opened.has(group.group)}
              isMarked={group.group === target}
              onToggle={toggle}
            />
          ))}
        </div>
      </div>
      {shown.length < groups.length && (
        <button
          type="button"
          className="tunelab-plain tunelab-rollouts-more"
          onClick={() => {
            setMost(most + 2 * FIRST_GROUPS);
          }}
        >
          {trans._n('Show more of %2 group', 'Show more of %2 groups', groups.length, formatNumber(groups.length))}
        </button>
      )}
      {groups.length === 0 && (
        <p className="tunelab-subject tunelab-rollouts-none">{trans.__('No group of this step is such.')}</p>
      )}
      {page.left_off > 0 && shown.length === groups.length && (
        <p className="tunelab-subject tunelab-rollouts-none">
          {trans._n(
            '%2 groups more are in %3.',
            '%2 groups more are in %3.',
            page.left_off,
            formatNumber(page.left_off),
            `job.rollouts(step=${page.step})`
          )}
        </p>
      )}
    </>
  );
}

interface GroupProps {
  readonly model: Model<JobTraits>;
  readonly pages: RolloutPages;
  readonly fresh: number;
  readonly place: { readonly step: number; readonly held_out: boolean };
  readonly group: RolloutGroup;
  readonly ranges: Ranges;
  readonly hasWorst: boolean;
  readonly isOpen: boolean;
  readonly isMarked: boolean;
  readonly onToggle: (group: number) => void;
}

function Group(props: GroupProps) {
  const { model, pages, fresh, place, group, ranges, hasWorst, isOpen, isMarked, onToggle } = props;
  const whole = isOpen ? pages.whole(place, group.group) : null;
  const number = group.group + 1;
  const name =
    group.row === null ? trans.__('Group %1', number) : trans.__('Group %1, row %2', number, formatNumber(group.row));
  return (
    <div
      role="row"
      className="tunelab-group"
      data-group={group.group}
      data-open={isOpen}
      data-marked={isMarked}
      onClick={() => {
        if (document.getSelection()?.isCollapsed !== false) {
          onToggle(group.group);
        }
      }}
    >
      <div role="cell" className="tunelab-prompt">
        <button
          type="button"
          aria-expanded={isOpen}
          aria-label={name}
          title={isOpen ? trans.__('Close the group') : trans.__('All answers of the group')}
          onClick={event => {
            event.stopPropagation();
            onToggle(group.group);
          }}
        >
          <span aria-hidden="true">{isOpen ? '▾' : '▸'}</span>
        </button>
        <div>
          <span className="tunelab-answer-text">{plainText(whole?.prompt ?? group.prompt)}</span>
          <span className="tunelab-subject tunelab-group-figures">{groupFigures(group)}</span>
          {groupTrouble(group).map(trouble => (
            <span key={trouble} className="tunelab-trouble">
              {trouble}
            </span>
          ))}
        </div>
      </div>
      {isOpen ? (
        <div role="cell" aria-colspan={hasWorst ? 2 : 1} className="tunelab-whole">
          <WholeGroup {...{ model, pages, fresh, place, ranges }} group={group} />
        </div>
      ) : (
        <>
          <div role="cell">
            <span className="tunelab-field" aria-hidden="true">
              {group.worst ? trans.__('Best') : trans.__('Answer')}
            </span>
            <AnswerView answer={group.best} ranges={ranges} />
          </div>
          {hasWorst && (
            <div role="cell">
              {group.worst && (
                <>
                  <span className="tunelab-field" aria-hidden="true">
                    {trans.__('Worst')}
                  </span>
                  <AnswerView answer={group.worst} ranges={ranges} />
                </>
              )}
            </div>
          )}
        </>
      )}
    </div>
  );
}

type WholeGroupProps = Pick<GroupProps, 'model' | 'pages' | 'fresh' | 'place' | 'group' | 'ranges'>;

/** All answers of a group, the best first. */
function WholeGroup({ model, pages, fresh, place, group, ranges }: WholeGroupProps) {
  const { step, held_out: heldOut } = place;
  useEffect(() => {
    model.send({ type: 'group', step, held_out: heldOut, group: group.group });
  }, [model, step, heldOut, group.group, fresh]);
  const whole = pages.whole(place, group.group);
  return (
    <ol aria-label={trans.__('All answers, the best first')} aria-busy={!whole}>
      {(whole?.answers ?? [group.best, group.worst]).map(
        (answer, place) =>
          answer && (
            // They have no identity of their own.
            <li key={place}>
              <AnswerView answer={answer} ranges={ranges} isWhole />
            </li>
          )
      )}
    </ol>
  );
}

interface AnswerViewProps {
  readonly answer: Answer;
  readonly ranges: Ranges;
  readonly isWhole?: boolean;
}

function AnswerView({ answer, ranges, isWhole = false }: AnswerViewProps) {
  const { completion, reward, parts, cut, tokens } = answer;
  const why = whyMissing(answer);
  const named = Object.entries(parts);
  return (
    <div className="tunelab-answer" data-whole={isWhole}>
      <div className="tunelab-rewards">
        <Figure name={trans.__('reward')} value={reward} range={ranges.get('')} isMain />
        {/* One part is the reward itself. */}
        {named.length > 1 &&
          named.map(([name, value]) => <Figure key={name} name={name} value={value} range={ranges.get(name)} />)}
      </div>
      {plainText(completion).trim() === '' ? (
        <span className="tunelab-subject">{trans.__('(empty)')}</span>
      ) : (
        <span className="tunelab-answer-text">{plainText(completion)}</span>
      )}
      <div className="tunelab-answer-foot">
        {isWhole && tokens !== null && (
          <span className="tunelab-subject">{trans._n('%2 token', '%2 tokens', tokens, formatNumber(tokens))}</span>
        )}
        {cut && <span className="tunelab-trouble">{trans.__('cut off')}</span>}
        {why !== null && <span className="tunelab-trouble">{why}</span>}
        {isWhole && why === null && answer.note !== '' && (
          <span className="tunelab-subject">{plainText(answer.note)}</span>
        )}
      </div>
    </div>
  );
}

interface FigureProps {
  readonly name: string;
  readonly value: number | null;
  readonly range: Range | undefined;
  readonly isMain?: boolean;
}

/** A figure with a bar: the reward large, a part small. */
function Figure({ name, value, range = { low: 0, high: 1 }, isMain = false }: FigureProps) {
  const bar = value === null ? { from: 0, width: 0 } : barOf(value, range);
  return (
    <span className="tunelab-figure" data-main={isMain}>
      <span className={isMain ? 'tunelab-hidden' : 'tunelab-subject'}>{plainText(name)} </span>
      <b>{formatNumber(value)}</b>
      <span className="tunelab-figure-bar" aria-hidden="true">
        <i style={{ left: `${100 * bar.from}%`, width: `${100 * bar.width}%` }} />
      </span>
    </span>
  );
}
