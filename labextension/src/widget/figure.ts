/** A chart as plotly's data and layout: a pure function of curves, range, theme and options. */
import type { Data, Layout } from 'plotly.js-basic-dist-min';

import type { ChartSpec } from './catalog';
import type { Curve, CurveSet } from './curves';
import { decimate, smooth, type Line } from './decimate';
import { trans } from './i18n';

/** What the reader has chosen. */
export interface ChartOptions {
  /** Weight on the past, from 0 (none) to below 1. */
  readonly smoothing: number;
  readonly log: boolean;
  /** First and last step on show, or null for all. */
  readonly zoom: readonly [number, number] | null;
}

/** Colours and font of the page, as plotly needs them. */
export interface Theme {
  readonly palette: readonly string[];
  readonly text: string;
  readonly muted: string;
  readonly line: string;
  readonly surface: string;
  readonly font: string;
}

/** The last two digits of a band's colour: how much of it covers what is below. */
const BAND_ALPHA = '2e';
const MARGIN = { l: 36, r: 8, t: 6, b: 20 };
/** The width of a digit of the ticks' font, at most, and the room beside a label. */
const DIGIT = 6.4;
const BESIDE = 8;

/** The first and last step of the lines of a chart. */
export function extent(spec: ChartSpec, curves: CurveSet): [number, number] | null {
  let first = Infinity;
  let last = -Infinity;
  for (const { metric } of spec.lines) {
    const curve = curves.all.get(metric);
    if (curve?.length) {
      first = Math.min(first, curve.steps[0] ?? 0);
      last = Math.max(last, curve.steps[curve.length - 1] ?? 0);
    }
  }
  return last < first ? null : [first, last];
}

/** plotly's data and layout for a chart of `width` by `height` pixels. */
export function figure(
  spec: ChartSpec,
  curves: CurveSet,
  options: ChartOptions,
  theme: Theme,
  width: number,
  height: number
): { data: Data[]; layout: Partial<Layout> } {
  const all = extent(spec, curves) ?? [0, 1];
  const [from, to] = options.zoom ?? all;
  const columns = Math.max(50, width - MARGIN.l - MARGIN.r);
  const data: Data[] = [];
  const bands: Data[] = [];
  let positive = true;
  let low = Infinity;
  let high = -Infinity;
  let bandLow = Infinity;
  let bandHigh = -Infinity;
  for (const { metric, label, colour, dots, band, dash = 'solid' } of spec.lines) {
    const curve = curves.all.get(metric);
    if (!curve?.length) {
      continue;
    }
    const colours = theme.palette[colour % theme.palette.length] ?? theme.text;
    const base = {
      type: 'scatter' as const,
      // plotly reads names as a subset of HTML.
      name: label.replace(/&/g, '&amp;').replace(/</g, '&lt;'),
      mode: dots || curve.length === 1 ? ('lines+markers' as const) : ('lines' as const),
      marker: { size: 4, color: colours }
    };
    const raw = decimate(curve, curve.values, from, to, columns);
    for (const value of raw.y) {
      if (Number.isFinite(value)) {
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
    }
    positive &&= raw.y.every(value => !(value <= 0));
    let calm = raw;
    if (options.smoothing > 0 && !dots && curve.length > 1) {
      data.push({ ...base, ...raw, opacity: 0.25, hoverinfo: 'skip', line: { color: colours, width: 1, dash } });
      calm = decimate(curve, smooth(curve, options.smoothing), from, to, columns);
      data.push({ ...base, ...calm, line: { color: colours, width: 1.6, dash } });
    } else {
      data.push({ ...base, ...raw, line: { color: colours, width: 1.5, dash } });
    }
    const deviation = band === undefined ? undefined : curves.all.get(band);
    if (deviation?.length) {
      const edges = around(calm, deviation, options.smoothing);
      bandLow = Math.min(bandLow, ...edges.low);
      bandHigh = Math.max(bandHigh, ...edges.high);
      const edge = { type: 'scatter' as const, mode: 'lines' as const, x: edges.x, hoverinfo: 'skip' as const };
      bands.push({ ...edge, y: edges.low, line: { width: 0 } });
      bands.push({ ...edge, y: edges.high, line: { width: 0 }, fill: 'tonexty', fillcolor: colours + BAND_ALPHA });
    }
  }
  const axis = {
    color: theme.muted,
    tickfont: { size: 10, color: theme.muted },
    zeroline: false,
    ticks: '' as const,
    automargin: false
  };
  const isLog = options.log && positive;
  // A band that reaches zero has no place on a logarithmic axis.
  const below = isLog && !(bandLow > 0) ? [] : bands;
  if (below.length > 0) {
    low = Math.min(low, bandLow);
    high = Math.max(high, bandHigh);
  }
  const ticks = low <= high ? tickLabels(low, high, isLog) : { format: '~g', length: 1 };
  // A little room, so that the last point is not cut by the edge.
  const room = (to - from || 1) * 0.015;
  return {
    // What lies below comes first.
    data: [...below, ...data],
    layout: {
      width,
      height,
      margin: { ...MARGIN, l: Math.max(MARGIN.l, Math.ceil(DIGIT * ticks.length + BESIDE)) },
      showlegend: false,
      hovermode: 'x unified',
      dragmode: 'zoom',
      paper_bgcolor: 'transparent',
      plot_bgcolor: 'transparent',
      font: { family: theme.font, size: 10, color: theme.muted },
      hoverlabel: { bgcolor: theme.surface, bordercolor: theme.line, font: { color: theme.text, size: 11 } },
      xaxis: {
        ...axis,
        range: [from - room, to + room],
        nticks: 4,
        showgrid: false,
        tickformat: 'd',
        // Between two steps there is none.
        ...(to - from < 4 ? { dtick: 1 } : {}),
        hoverformat: 'd',
        // What stands for the step is plotly's.
        unifiedhovertitle: { text: trans.__('step %1', '%{x}') }
      } as Partial<Layout['xaxis']>,
      yaxis: {
        ...axis,
        fixedrange: true,
        gridcolor: theme.line,
        nticks: 5,
        type: isLog ? 'log' : 'linear',
        tickformat: ticks.format,
        hoverformat: '.4~g',
        exponentformat: 'power'
      }
    }
  };
}

/** What lies within one standard deviation of the points of a line, where one is known. */
function around(line: Line, deviation: Curve, smoothing: number): { x: number[]; low: number[]; high: number[] } {
  const values = smoothing > 0 && deviation.length > 1 ? smooth(deviation, smoothing) : deviation.values;
  const band = { x: [] as number[], low: [] as number[], high: [] as number[] };
  line.x.forEach((step, place) => {
    const index = deviation.indexOf(step);
    const half = index < deviation.length && deviation.steps[index] === step ? (values[index] ?? NaN) : NaN;
    const middle = line.y[place] ?? NaN;
    if (Number.isFinite(half) && Number.isFinite(middle)) {
      band.x.push(step);
      band.low.push(middle - half);
      band.high.push(middle + half);
    }
  });
  return band;
}

/** How the value axis is labelled from `low` to `high`: d3's format, and the characters of the longest label. */
export function tickLabels(low: number, high: number, isLog: boolean): { format: string; length: number } {
  // Around one value plotly shows one more and one less, by halves.
  const isFlat = low === high && !isLog;
  const size = Math.max(Math.abs(low), Math.abs(high), isFlat ? 1 : 0) || 1;
  // Else it sets about five ticks; on a logarithmic axis they stand at round numbers.
  const distance = isLog ? low : isFlat ? 0.5 : (high - low) / 5;
  const sign = low < (isFlat ? 1 : 0) ? 1 : 0;
  if (size < 1e-3 || size >= 1e5 || (isLog && low < 1e-3)) {
    const digits = isLog ? 0 : Math.max(0, Math.ceil(Math.log10(size / distance)));
    return { format: '~e', length: sign + 1 + (digits && digits + 1) + 3 };
  }
  const decimals = Math.max(0, Math.ceil(-Math.log10(distance)));
  const whole = Math.max(1, Math.floor(Math.log10(size)) + 1);
  return { format: `,.${decimals}~f`, length: sign + whole + (whole > 3 ? 1 : 0) + (decimals && decimals + 1) };
}
