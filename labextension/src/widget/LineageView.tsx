/** Lineage: what led to one thing and what came of it, as a picture or as a list, each node with its facts. */
import { lazy, Suspense, useCallback, useEffect, useRef, useState } from 'react';

import { NoticeBlock, type Notice } from './Actions';
import { capitalise, plainText } from './format';
import { trans } from './i18n';
import {
  factsOf,
  inOrder,
  meaningOf,
  routeOf,
  type LineageGraph,
  type LineageNode,
  type LineageTraits
} from './lineage';
import { useTrait, type MLflowLink, type Model } from './model';
import { useNavigation } from './route';
import { useShell } from './shell';
import { useOpened } from './useOpened';

// React Flow is only loaded where somebody looks at a lineage.
const Picture = lazy(async () => ({ default: (await import('./LineageGraphView')).LineageGraphView }));
const Column = lazy(async () => ({ default: (await import('./LineageColumnView')).LineageColumnView }));

/** From this width on the picture goes from left to right, in pixels. */
const WIDE_PX = 560;
/** More are shown as a list: nobody finds a way in such a picture. */
const MOST_DRAWN = 60;
/** A longer list can be searched. */
const LONG_LIST = 12;

interface LineageProps {
  /** `NAME@VERSION`, a job or a base model; `dataset:NAME@VERSION` where something else may be called so too. */
  readonly of: string;
}

/** The lineage of one thing. */
export function LineageView({ of }: LineageProps) {
  const { model, refused } = useOpened<LineageTraits>({ view: 'lineage', of }, 'kinds');
  const name = plainText(of.replace(/^(dataset|base|job|model|evaluation|metric|prompt|function):/, ''));
  return (
    <section className="tunelab-lineage" role="region" aria-label={trans.__('Lineage of %1', name)}>
      {model ? (
        <Opened model={model} />
      ) : (
        <p className="tunelab-subject" role="status">
          {refused || trans.__('Reading MLflow…')}
        </p>
      )}
    </section>
  );
}

/** The lineage in a section that is read when it is unfolded. */
export function LineageSection({ of, isOpen = false }: LineageProps & { readonly isOpen?: boolean }) {
  const [open, setOpen] = useState(isOpen);
  return (
    <details
      className="tunelab-section tunelab-folded"
      open={open}
      onToggle={event => {
        setOpen(event.currentTarget.open);
      }}
    >
      <summary>{trans.__('Lineage')}</summary>
      {open && <LineageView of={of} />}
    </details>
  );
}

function Opened({ model }: { readonly model: Model<LineageTraits> }) {
  const graph = useTrait(model, 'graph');
  const kinds = useTrait(model, 'kinds');
  const refused = useTrait(model, 'refused');
  const reading = useTrait(model, 'reading');
  const mlflow = useTrait(model, 'mlflow') ?? null;
  const [wantsList, setWantsList] = useState(false);
  const [at, setAt] = useState<string | null>(null);
  const [frame, width] = useWidth();
  const choose = useCallback(({ id }: LineageNode) => {
    setAt(before => (before === id ? null : id));
  }, []);
  const isLarge = graph !== null && graph.nodes.length > MOST_DRAWN;
  const isList = wantsList || isLarge;
  const chosen = graph?.nodes.find(({ id }) => id === at);
  const drawn = graph && { graph, kinds, width, chosen: at, onChoose: choose };
  return (
    <div ref={frame}>
      <div className="tunelab-lineage-head">
        <span className="tunelab-subject" role="status">
          {reading ? trans.__('Reading MLflow…') : ''}
          {!reading && isLarge && trans._n('%1 thing, as a list', '%1 things, as a list', graph.nodes.length)}
        </span>
        {graph && !isLarge && (
          <button
            type="button"
            className="tunelab-plain"
            aria-pressed={isList}
            onClick={() => {
              setWantsList(!wantsList);
            }}
          >
            {trans.__('As a list')}
          </button>
        )}
        <button
          type="button"
          className="tunelab-plain"
          disabled={reading}
          onClick={() => {
            model.send({ type: 'refresh' });
          }}
        >
          {trans.__('Refresh')}
        </button>
      </div>
      {refused && (
        <p className="tunelab-block" data-tone="warn">
          {plainText(refused)}
        </p>
      )}
      {drawn && isList && <AsList {...drawn} mlflow={mlflow} />}
      {drawn && !isList && (
        <Suspense fallback={<p className="tunelab-subject">{trans.__('Drawing…')}</p>}>
          {width >= WIDE_PX ? <Picture {...drawn} /> : <Column {...drawn} />}
        </Suspense>
      )}
      {chosen && !isList && <Details node={chosen} kind={kinds[chosen.kind] ?? chosen.kind} mlflow={mlflow} />}
    </div>
  );
}

/** A reference for an element, and how wide it is, in pixels. */
function useWidth() {
  const element = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const node = element.current;
    if (!node) {
      return undefined;
    }
    const observer = new ResizeObserver(([entry]) => {
      setWidth(Math.round(entry?.contentRect.width ?? 0));
    });
    observer.observe(node);
    return () => {
      observer.disconnect();
    };
  }, []);
  return [element, width] as const;
}

interface AsListProps {
  readonly graph: LineageGraph;
  readonly kinds: Readonly<Record<string, string>>;
  readonly chosen: string | null;
  readonly mlflow: MLflowLink | null;
  readonly onChoose: (node: LineageNode) => void;
}

/** The same as sentences: what each thing was made or judged with. */
function AsList({ graph, kinds, chosen, mlflow, onChoose }: AsListProps) {
  const [filter, setFilter] = useState('');
  const names = new Map(graph.nodes.map(({ id, label }) => [id, label]));
  const used = new Map<string, string[]>();
  graph.edges.forEach(edge => {
    const told = `${meaningOf(edge)} ${plainText(names.get(edge.source) ?? edge.source)}`;
    used.set(edge.target, [...(used.get(edge.target) ?? []), told]);
  });
  const rows = inOrder(graph).map(node => ({
    node,
    told: [plainText(kinds[node.kind] ?? node.kind), ...(used.get(node.id) ?? [])].join(' · ')
  }));
  const wanted = filter.trim().toLowerCase();
  const shown = rows.filter(({ node, told }) => `${node.label} ${told}`.toLowerCase().includes(wanted));
  return (
    <>
      {rows.length > LONG_LIST && (
        <input
          type="search"
          className="tunelab-filter"
          value={filter}
          placeholder={trans.__('Filter')}
          aria-label={trans.__('Filter the lineage')}
          onChange={event => {
            setFilter(event.target.value);
          }}
        />
      )}
      <ul className="tunelab-lineage-list" aria-label={trans.__('Lineage')}>
        {shown.map(({ node, told }) => (
          <li key={node.id} aria-current={node.id === graph.of}>
            <button
              type="button"
              className="tunelab-plain"
              aria-expanded={node.id === chosen}
              onClick={() => {
                onChoose(node);
              }}
            >
              {plainText(node.label)}
            </button>{' '}
            <span className="tunelab-subject">{told}</span>
            {node.id === chosen && <Details node={node} kind={kinds[node.kind] ?? node.kind} mlflow={mlflow} />}
          </li>
        ))}
      </ul>
    </>
  );
}

interface DetailsProps {
  readonly node: LineageNode;
  readonly kind: string;
  readonly mlflow: MLflowLink | null;
}

/** What there is to tell of a node, and the ways to its page and its run. */
function Details({ node, kind, mlflow }: DetailsProps) {
  const navigation = useNavigation();
  const shell = useShell();
  const [notice, setNotice] = useState<Notice | null>(null);
  const route = routeOf(node);
  const label = plainText(node.label);
  const link =
    mlflow && node.run_id && node.experiment_id
      ? { ...mlflow, run_id: node.run_id, experiment_id: node.experiment_id }
      : null;
  const openMLflow = async () => {
    setNotice(null);
    const refused = shell && link ? await shell.openMLflow(link, node.label) : null;
    if (refused !== null) {
      setNotice({ text: refused, command: link?.command ?? '' });
    }
  };
  return (
    <section className="tunelab-lineage-details" aria-label={trans.__('Details of %1', label)}>
      <div className="tunelab-lineage-title">
        <h4>
          {label} <span className="tunelab-subject">{capitalise(plainText(kind))}</span>
        </h4>
        <div className="tunelab-actions">
          {shell && link && (
            <button type="button" onClick={() => void openMLflow()}>
              {trans.__('Open in MLflow')}
            </button>
          )}
          {navigation && route && (
            <button
              type="button"
              onClick={() => {
                navigation.go(route);
              }}
            >
              {trans.__('Open %1', label)}
            </button>
          )}
        </div>
      </div>
      {notice && (
        <NoticeBlock
          notice={notice}
          onClose={() => {
            setNotice(null);
          }}
        />
      )}
      <dl className="tunelab-facts">
        {factsOf(node).map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
