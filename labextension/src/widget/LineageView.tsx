/** Lineage: what led to one thing and what came of it, as a picture or as a list, each node with its facts. */
import { lazy, Suspense, useEffect, useRef, useState } from 'react';

import { capitalise, plainText } from './format';
import { trans } from './i18n';
import { factsOf, routeOf, type LineageGraph, type LineageNode, type LineageTraits } from './lineage';
import { useTrait, type Model } from './model';
import { useNavigation } from './route';
import { useOpened } from './useOpened';

// React Flow is only loaded where somebody looks at a lineage.
const Picture = lazy(async () => ({ default: (await import('./LineageGraphView')).LineageGraphView }));

/** From this width on the picture goes from left to right, in pixels. */
const WIDE_PX = 560;

/** The lineage of `NAME@VERSION`, a job or a base model. */
export function LineageView({ of }: { readonly of: string }) {
  const { model, refused } = useOpened<LineageTraits>({ view: 'lineage', of }, 'kinds');
  return (
    <section className="tunelab-lineage" role="region" aria-label={trans.__('Lineage of %1', plainText(of))}>
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
export function LineageSection({ of, isOpen = false }: { readonly of: string; readonly isOpen?: boolean }) {
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
  const [isList, setList] = useState(false);
  const [chosen, setChosen] = useState<LineageNode | null>(null);
  const frame = useRef<HTMLDivElement>(null);
  const [isWide, setWide] = useState(false);
  useEffect(() => {
    const node = frame.current;
    if (!node || typeof ResizeObserver === 'undefined') {
      return undefined;
    }
    const observer = new ResizeObserver(([entry]) => {
      setWide((entry?.contentRect.width ?? 0) >= WIDE_PX);
    });
    observer.observe(node);
    return () => {
      observer.disconnect();
    };
  }, []);
  return (
    <div ref={frame}>
      <div className="tunelab-lineage-head">
        <span className="tunelab-subject" role="status">
          {reading ? trans.__('Reading MLflow…') : ''}
        </span>
        {graph && (
          <button
            type="button"
            className="tunelab-plain"
            aria-pressed={isList}
            onClick={() => {
              setList(!isList);
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
      {graph &&
        (isList ? (
          <AsList graph={graph} kinds={kinds} onChoose={setChosen} />
        ) : (
          <Suspense fallback={<p className="tunelab-subject">{trans.__('Drawing…')}</p>}>
            <Picture graph={graph} kinds={kinds} isWide={isWide} chosen={chosen?.id ?? null} onChoose={setChosen} />
          </Suspense>
        ))}
      {chosen && <Details node={chosen} kind={kinds[chosen.kind] ?? chosen.kind} />}
    </div>
  );
}

interface AsListProps {
  readonly graph: LineageGraph;
  readonly kinds: Readonly<Record<string, string>>;
  readonly onChoose: (node: LineageNode) => void;
}

/** The same as sentences: what each thing was made or judged with. */
function AsList({ graph, kinds, onChoose }: AsListProps) {
  const nameOf = (id: string) => graph.nodes.find(node => node.id === id)?.label ?? id;
  return (
    <ul className="tunelab-lineage-list" aria-label={trans.__('Lineage')}>
      {graph.nodes.map(node => {
        const used = graph.edges.filter(edge => edge.target === node.id);
        return (
          <li key={node.id} aria-current={node.id === graph.of}>
            <button
              type="button"
              className="tunelab-plain"
              onClick={() => {
                onChoose(node);
              }}
            >
              {plainText(node.label)}
            </button>{' '}
            <span className="tunelab-subject">
              {[
                kinds[node.kind] ?? node.kind,
                ...used.map(({ meaning, source, note }) => [meaning, nameOf(source), note].filter(Boolean).join(' '))
              ]
                .map(part => plainText(part))
                .join(' · ')}
            </span>
          </li>
        );
      })}
    </ul>
  );
}

/** What there is to tell of a node, and the way to its page. */
function Details({ node, kind }: { readonly node: LineageNode; readonly kind: string }) {
  const navigation = useNavigation();
  const route = routeOf(node);
  const label = plainText(node.label);
  return (
    <section className="tunelab-lineage-details" aria-label={trans.__('Details of %1', label)}>
      <div className="tunelab-lineage-head">
        <h4>
          {label} <span className="tunelab-subject">{capitalise(kind)}</span>
        </h4>
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
