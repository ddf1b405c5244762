/** One live chart: its name and last value, then the lines; zoom by mouse or keys; its points as a table on demand. */
import Plotly from 'plotly.js-basic-dist-min';
import { useEffect, useLayoutEffect, useRef, useState, type KeyboardEvent } from 'react';

import type { ChartSpec } from './catalog';
import type { CurveSet } from './curves';
import { extent, figure, type ChartOptions, type Theme } from './figure';
import { formatNumber } from './format';
import { trans } from './i18n';
import { PointsTable } from './PointsTable';
import { colourOf, Swatch } from './Swatch';
import { themeOf, useThemeChanges } from './theme';

const HEIGHT = 128;

interface ChartProps {
  readonly job: string;
  readonly spec: ChartSpec;
  readonly curves: CurveSet;
  /** The version of the curves to draw. */
  readonly version: number;
  readonly options: ChartOptions;
  readonly onZoom: (zoom: ChartOptions['zoom']) => void;
  readonly onRemove: () => void;
}

/** A chart of one metric, or of a few that belong together. */
export function Chart({ job, spec, curves, version, options, onZoom, onRemove }: ChartProps) {
  const [asTable, setAsTable] = useState(false);
  const plot = useRef<Plotted>(null);
  const width = useWidth(plot);
  const changes = useThemeChanges();
  const theme = useRef<{ readonly changes: number; readonly read: Theme }>();
  const lead = curves.all.get(spec.lines[0]?.metric ?? '');
  const lines = spec.lines.filter(line => curves.all.get(line.metric)?.length);
  const banded = lines.find(line => line.band !== undefined && curves.all.get(line.band)?.length);
  const empty = lines.length === 0;
  const drawn = width > 0 && !empty;

  useLayoutEffect(() => {
    const node = plot.current;
    if (!node) {
      return;
    }
    if (drawn) {
      if (theme.current?.changes !== changes) {
        theme.current = { changes, read: themeOf(node) };
      }
      const { data, layout } = figure(spec, curves, options, theme.current.read, width, HEIGHT);
      void Plotly.react(node, data, layout, { displayModeBar: false, responsive: false, doubleClick: false });
    }
    node.dataset.points = String(lead?.length ?? 0);
  }, [spec, curves, version, options, width, changes, drawn, lead]);

  useEffect(() => {
    const node = plot.current;
    if (!node?.on || !drawn) {
      return undefined;
    }
    node.on('plotly_relayout', change => {
      const [from, to] = [change['xaxis.range[0]'], change['xaxis.range[1]']];
      if (typeof from === 'number' && typeof to === 'number') {
        onZoom([from, to]);
      }
    });
    node.on('plotly_doubleclick', () => {
      onZoom(null);
    });
    return () => {
      node.removeAllListeners?.('plotly_relayout');
      node.removeAllListeners?.('plotly_doubleclick');
    };
  }, [drawn, onZoom]);

  useEffect(() => {
    const node = plot.current;
    return () => {
      if (node) {
        Plotly.purge(node);
      }
    };
  }, []);

  const onKeyDown = (event: KeyboardEvent) => {
    const zoom = zoomByKey(event.key, options.zoom, extent(spec, curves));
    if (zoom !== undefined) {
      event.preventDefault();
      event.stopPropagation();
      onZoom(zoom);
    }
  };

  return (
    <div className="tunelab-chart">
      <header>
        <h4>{spec.title}</h4>
        <span className="tunelab-legend">
          {lines.length > 1 &&
            !lines[0]?.dash &&
            lines.map(({ metric, label, colour }) => (
              <span key={metric}>
                <i style={{ background: colourOf(colour) }} aria-hidden="true" />
                {label}
              </span>
            ))}
          {banded && (
            <span title={trans.__('One standard deviation up and down')}>
              <i className="tunelab-band" style={{ background: colourOf(banded.colour) }} aria-hidden="true" />
              {trans.__('±\u00a0std')}
            </span>
          )}
        </span>
        <span className="tunelab-tools">
          {options.zoom && (
            <button
              type="button"
              aria-label={trans.__('Show all of %1', spec.title)}
              title={trans.__('Show all steps')}
              onClick={() => {
                onZoom(null);
              }}
            >
              ⤢
            </button>
          )}
          <button
            type="button"
            aria-label={trans.__('Points of %1 as a table', spec.title)}
            title={trans.__('Points as a table')}
            aria-pressed={asTable}
            onClick={() => {
              setAsTable(!asTable);
            }}
          >
            ▤
          </button>
          <button
            type="button"
            aria-label={trans.__('Remove the chart %1', spec.title)}
            title={trans.__('Remove')}
            onClick={onRemove}
          >
            ×
          </button>
        </span>
      </header>
      <p className="tunelab-now" data-jobs={lines[0]?.dash ? lines.length : undefined}>
        {lines.map(({ metric, label, colour, dash }, place) => (
          <span key={metric} style={place === 0 && !dash ? undefined : { color: colourOf(colour) }}>
            {dash && <Swatch colour={colour} dash={dash} title={label} />}
            {formatNumber(lastValue(curves, metric))}
          </span>
        ))}
        {empty && <span className="tunelab-none">{trans.__('No points yet')}</span>}
      </p>
      <div
        ref={plot}
        className="tunelab-plot"
        role="img"
        aria-label={`${job}: ${spec.key}`}
        aria-description={trans.__('Arrow keys move, plus and minus zoom, 0 shows all steps.')}
        tabIndex={0}
        style={{ height: HEIGHT }}
        onKeyDown={onKeyDown}
      />
      {asTable && <PointsTable spec={spec} curves={curves} version={version} />}
    </div>
  );
}

/** The element once plotly has drawn into it. */
type Plotted = HTMLDivElement & Partial<Pick<Plotly.PlotlyHTMLElement, 'on' | 'removeAllListeners'>>;

/** The value of the last point, or null. */
function lastValue(curves: CurveSet, metric: string): number | null {
  const curve = curves.all.get(metric);
  return curve?.length ? (curve.values[curve.length - 1] ?? null) : null;
}

/** The zoom after a key, or undefined for a key that is none of the chart's. */
function zoomByKey(
  key: string,
  zoom: ChartOptions['zoom'],
  all: readonly [number, number] | null
): ChartOptions['zoom'] | undefined {
  if (!all) {
    return undefined;
  }
  const [from, to] = zoom ?? all;
  const width = to - from;
  const within = (begin: number, size: number): ChartOptions['zoom'] => {
    const left = Math.max(all[0], Math.min(begin, all[1] - size));
    return size >= all[1] - all[0] ? null : [left, left + size];
  };
  switch (key) {
    case '+':
    case '=':
      return within(from + width / 4, Math.max(1, width / 2));
    case '-':
      return within(from - width / 2, width * 2);
    case 'ArrowLeft':
      return within(from - width / 4, width);
    case 'ArrowRight':
      return within(from + width / 4, width);
    case '0':
      return null;
    default:
      return undefined;
  }
}

/** The width of an element in whole pixels, as it changes. */
function useWidth(ref: React.RefObject<HTMLElement>): number {
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const node = ref.current;
    if (!node) {
      return undefined;
    }
    const observer = new ResizeObserver(([entry]) => {
      setWidth(Math.floor(entry?.contentRect.width ?? 0));
    });
    observer.observe(node);
    return () => {
      observer.disconnect();
    };
  }, [ref]);
  return width;
}
