"""A job as a still picture (SVG), for a saved notebook: what the live view showed last, where no kernel and no page is.

It stands alone: no script, no font or image from elsewhere, colours for light and dark. Longer curves are thinned, so
that it stays a few dozen kilobytes whatever comes.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context
from itertools import groupby
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from tunelab.texts import plain

Points = Sequence[tuple[int, float]]

_WIDTH, _COLUMN_HEIGHT, _HEAD, _FOOT = 980, 168, 84, 58
_PAD, _PLOT_TOP, _PLOT_HEIGHT, _AXIS = 14, 56, 84, 40
_POINTS = 400
_CHARTS = 8
_ALERTS = 4
_COMPARISONS, _BENCHMARKS = 6, 12
_TESTS = {"sign": "sign test", "mcnemar": "McNemar's test"}
#: As JavaScript rounds: a tie goes away from zero.
_THREE_DIGITS = Context(prec=3, rounding=ROUND_HALF_UP)

_STYLE = """
text{font:12px system-ui,-apple-system,'Segoe UI',sans-serif;font-variant-numeric:tabular-nums;fill:#212121}
.s{fill:#616161}.t{font-size:11px}.n{font-size:16px;font-weight:600}.b{font-weight:600}.h{font-size:15px;font-weight:600}
.card{fill:#fff;stroke:#e0e0e0}.line{stroke:#e0e0e0;stroke-width:1}.g{stroke:#eee;stroke-width:1}
polyline{fill:none;stroke-width:1.5;stroke-linejoin:round}.k0{stroke:#1976d2}.k1{stroke:#00796b}.k2{stroke:#c2185b}
.k3{stroke:#7b1fa2}.k4{stroke:#616161}.f0{fill:#1976d2}.f1{fill:#00796b}.f2{fill:#c2185b}.f3{fill:#7b1fa2}.f4{fill:#616161}
polygon{opacity:.16}.w{fill:#b26a00}.o{fill:#fff;font-weight:600}.good{fill:#388e3c}.bad{fill:#d32f2f}.calm{fill:#757575}.busy{fill:#1976d2}
@media(prefers-color-scheme:dark){text{fill:#e0e0e0}.s{fill:#aaa}.card{fill:#1b1b1b;stroke:#3a3a3a}.line{stroke:#3a3a3a}
.g{stroke:#2c2c2c}.k0{stroke:#64b5f6}.k1{stroke:#4db6ac}.k2{stroke:#f48fb1}.k3{stroke:#ce93d8}.k4{stroke:#bdbdbd}
.w{fill:#ffb74d}.f0{fill:#64b5f6}.f1{fill:#4db6ac}.f2{fill:#f48fb1}.f3{fill:#ce93d8}.f4{fill:#bdbdbd}}
""".replace("\n", "")
# Where the SVG is put into a page as it is, its rules are the whole page's.
_STYLE = re.sub(r"(?<![^{}])([.\w]+)\{", r".tunelab-job \1{", _STYLE)


@dataclass(frozen=True)
class Chart:
    """One chart of the picture: its title, and for each line the metric, its label and its place in the palette.

    `band` is the metric of the first line's standard deviation.
    """

    title: str
    lines: tuple[tuple[str, str, int], ...]
    band: str | None = None


def _held_out(title: str, metric: str, colour: int = 0) -> Chart:
    return Chart(title, ((metric, "train", colour), (f"eval_{metric}", "held out", 1)))


_LOSS, _ENTROPY = _held_out("Loss", "loss"), _held_out("Entropy", "entropy", 3)
_RATE = _held_out("Learning rate", "learning_rate", 4)
_REINFORCED = (
    Chart("Reward", (("reward", "train", 0), ("eval_reward", "held out", 1)), band="reward_std"),
    _ENTROPY,
    _held_out("KL divergence", "kl", 3),
    _held_out("Length", "completions/mean_length"),
    _held_out("Cut off", "completions/clipped_ratio", 2),
    _held_out("No spread", "frac_reward_zero_std", 4),
    _held_out("No reward", "reward_missing", 2),
    _LOSS,
)
_PART = re.compile("rewards/(.+)/mean")
#: The charts by technique, as the live view opens with them.
CHARTS: dict[str, tuple[Chart, ...]] = {
    "sft": (_LOSS, _held_out("Token accuracy", "mean_token_accuracy"), _ENTROPY, _RATE),
    "dpo": (
        _held_out("Reward margin", "rewards/margins"),
        _LOSS,
        Chart("Rewards", (("rewards/chosen", "chosen", 1), ("rewards/rejected", "rejected", 2))),
        _held_out("Reward accuracy", "rewards/accuracies"),
        _ENTROPY,
        _RATE,
    ),
    "rlvr": _REINFORCED,
    "rlaif": _REINFORCED,
}
_TONES = {"completed": "good", "failed": "bad", "running": "busy", "recovering": "busy"}


def picture(job: Mapping[str, Any], curves: Mapping[str, Points], evaluation: Mapping[str, Any] | None = None) -> str:
    """Return the picture of a job as SVG.

    Parameters
    ----------
    job
        A snapshot, as `tunelab.notebook.snapshot.snapshot` makes it.
    curves
        The points (step, value) by metric; NaN is a gap.
    evaluation
        The results of an evaluation, as `tunelab.notebook.evaluations.EvaluationDesk.state` returns them.
    """
    known = [*CHARTS.get(job["technique"], ())]
    if known and known[0].band:
        known.insert(1, _parts(curves))
    charts = [chart for chart in known if any(len(curves.get(metric, ())) for metric, _, _ in chart.lines)]
    charts = charts[:_CHARTS]
    columns = min(len(charts), 3 if len(charts) in (3, 5, 6) else 4) or 1
    rows = math.ceil(len(charts) / columns)
    sentence = _wrapped(job["sentence"], 150, 3)
    noted = [*job.get("alerts", []), *(evaluation["notes"] if evaluation else ())]
    warnings = [_short(note["message"], 140) for note in noted][:_ALERTS]
    top = _HEAD + 16 * (len(sentence) + len(warnings) - 1)
    results, end = _results(evaluation, top) if evaluation else ([], top)
    height = end + rows * _COLUMN_HEIGHT + _FOOT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="tunelab-job" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" role="img" aria-label={quoteattr(plain("Job " + job["id"]))}>',
        f"<title>{_text('Job ' + job['id'])}</title><desc>{_text(' '.join(sentence))}</desc>",
        f"<style>{_STYLE}</style>",
        f'<rect class="card" x=".5" y=".5" width="{_WIDTH - 1}" height="{height - 1}" rx="6"/>',
        *_head(job, sentence),
        *(_write(_PAD, 58 + 16 * (len(sentence) + at), f"⚠ {text}", "w") for at, text in enumerate(warnings)),
    ]
    parts += results
    width = _WIDTH / columns
    for place, chart in enumerate(charts):
        left, up = place % columns * width, end + place // columns * _COLUMN_HEIGHT
        if place % columns == 0:
            parts.append(_rule(0, up, _WIDTH, up))
        else:
            parts.append(_rule(left, up, left, up + _COLUMN_HEIGHT))
        parts += _chart(chart, curves, left, up, width)
    parts += _foot(job, height - _FOOT)
    parts.append("</svg>")
    return "".join(parts)


def number(value: float) -> str:
    """Return a figure in about three digits, as the live view writes it: 0.487, 12.3, 2,353, 5e-05."""
    size = abs(value)
    if math.isnan(value):
        return "—"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    rounded = float(_THREE_DIGITS.create_decimal_from_float(value))
    if size != 0 and (size < 1e-3 or size >= 1e12):
        digits, _, exponent = f"{rounded:.2e}".partition("e")
        return f"{float(digits):g}e{exponent}"
    if value == int(value) or size >= 100:
        return f"{int(math.copysign(math.floor(size + 0.5), value)):,}"
    return f"{rounded:#.3g}".rstrip(".")


def _head(job: Mapping[str, Any], sentence: list[str]) -> list[str]:
    name = _short(job["name"], 40)
    subject = " · ".join(
        _short(part, 44) for part in (job["technique"].upper(), job["model"], job["dataset"], job["adapter"]) if part
    )
    offset = 34 + 8.6 * len(name) + 10
    parts = [
        f'<circle class="{_TONES.get(job["state"], "calm")}" cx="20" cy="26" r="4"/>',
        _write(34, 31, name, "h"),
        _write(offset, 31, _short(subject, int((_WIDTH - offset - _PAD) / 6.6)), "s"),
    ]
    parts += [_write(_PAD, 58 + 16 * line, text) for line, text in enumerate(sentence)]
    return parts


def _chart(chart: Chart, curves: Mapping[str, Points], left: float, top: float, width: float) -> list[str]:
    drawn = [(metric, label, colour, curves.get(metric, ())) for metric, label, colour in chart.lines]
    drawn = [(metric, label, colour, points) for metric, label, colour, points in drawn if len(points)]
    parts = [_write(left + _PAD, top + 20, chart.title, "s")]
    if len(drawn) > 1:
        right = left + width - _PAD
        for _, label, colour, _ in reversed(drawn):
            right -= 6.2 * len(label)
            parts.append(_write(right, top + 20, label, "s t"))
            parts.append(f'<rect class="f{colour}" x="{right - 14:.1f}" y="{top + 15:.1f}" width="10" height="2"/>')
            right -= 24
    offset = left + _PAD
    for place, (_, _, colour, points) in enumerate(drawn):
        latest = number(points[-1][1])
        parts.append(_write(offset, top + 43, latest, "n" if place == 0 else f"b f{colour}"))
        offset += 10.5 * len(latest) + 10
    band = _band(chart, curves)
    edges = [(step, edge) for step, low, high in band for edge in (low, high)]
    everything = (*(points for *_, points in drawn), edges)
    finite = [value for points in everything for _, value in points if math.isfinite(value)]
    if not finite:
        return parts
    low, high = min(finite), max(finite)
    first, last = min(points[0][0] for *_, points in drawn), max(points[-1][0] for *_, points in drawn)
    ticks = [(value, _tick(value, low, high)) for value in ((high, (low + high) / 2, low) if high > low else (low,))]
    axis = max(_AXIS, 5 + 6.2 * max(len(label) for _, label in ticks))
    x0, x1, y0 = left + _PAD + axis, left + width - _PAD, top + _PLOT_TOP

    def across(step: int) -> float:
        return x0 + (x1 - x0) * (step - first) / (last - first or 1)

    def down(value: float) -> float:
        return y0 + _PLOT_HEIGHT * (1 - (value - low) / (high - low)) if high > low else y0 + _PLOT_HEIGHT / 2

    for value, label in ticks:
        parts.append(f'<line class="g" x1="{x0:.1f}" x2="{x1:.1f}" y1="{down(value):.1f}" y2="{down(value):.1f}"/>')
        parts.append(_write(x0 - 5, down(value) + 3.5, label, "s t", "end"))
    parts.append(_write(x0, y0 + _PLOT_HEIGHT + 16, f"{first:,}", "s t"))
    if last > first:
        parts.append(_write(x1, y0 + _PLOT_HEIGHT + 16, f"{last:,}", "s t", "end"))
    if len(band) > 1:
        places = [(across(step), down(high)) for step, _, high in band]
        places += [(across(step), down(low)) for step, low, _ in reversed(band)]
        outline = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polygon class="f{chart.lines[0][2]}" points="{outline}"/>')
    for metric, _, colour, points in drawn:
        for is_gap, stretch in groupby(_thinned(points), key=lambda point: not math.isfinite(point[1])):
            if is_gap:
                continue
            places = [(across(step), down(value)) for step, value in stretch]
            if len(places) > 1:
                line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
                parts.append(f'<polyline class="k{colour}" points="{line}"/>')
            if len(places) == 1 or (metric.startswith("eval_") and len(places) <= 60):
                parts += [f'<circle class="f{colour}" cx="{x:.1f}" cy="{y:.1f}" r="2.4"/>' for x, y in places]
    return parts


def _results(evaluation: Mapping[str, Any], top: float) -> tuple[list[str], float]:
    """Return an evaluation's summary, each comparison with a bar, and where it ends."""
    against = [row for row in evaluation["summary"] if row["baseline"] is not None]
    parts: list[str] = []
    for row in (against or evaluation["summary"])[:_COMPARISONS]:
        told = f"{row['metric']}: {row['model']}" + (f" against {row['baseline']}" if row["baseline"] else "")
        parts.append(_write(_PAD, top + 12, _short(told, 130), "b"))
        top += 22
        if row["improved"] is not None:
            parts += _bar(row, top)
            top += 32
        parts.append(_write(_PAD, top + 12, _short(_compared(row), 120)))
        scored = f"{row['scored']:,} of {row['scored'] + row['unscored']:,} scored"
        parts.append(_write(_WIDTH - _PAD, top + 12, scored, "s", "end"))
        human = row["human_summary"]
        overruled = f"With {row['counts']['overruled']} overruled by people: {_compared(human)}" if human else ""
        top += 20
        # A clear one says what the line above has said.
        is_clear = row["p_value"] is not None and row["p_value"] < 0.05 and not row["low"] <= 0 <= row["high"]
        for text in filter(None, ("" if is_clear else row["verdict"], overruled)):
            parts.append(_write(_PAD, top + 12, _short(text, 140), "s"))
            top += 20
        top += 12
    for row in (evaluation["benchmarks"] or [])[:_BENCHMARKS]:
        value = number(row["value"]) + (f" ± {number(row['stderr'])}" if row["stderr"] else "")
        parts.append(_write(_PAD, top + 12, _short(f"{row['task']} {row['metric']}: {row['model']} {value}", 140)))
        top += 18
    return parts, top + 6


def _bar(row: Mapping[str, Any], top: float) -> list[str]:
    """Return how many records are better, equal and worse, as one bar."""
    parts, left = [], float(_PAD)
    for key, tone in (("improved", "good"), ("equal", "calm"), ("degraded", "bad")):
        width = (_WIDTH - 2 * _PAD) * row[key]
        parts.append(f'<rect class="{tone}" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="26"/>')
        share = f"{row[key]:.0%}"
        text = next((text for text in (f"{share} {key}", share, "") if 8 * len(text) < width), "")
        if text:
            parts.append(_write(left + width / 2, top + 17, text, "o", "middle"))
        left += width
    return parts


def _compared(row: Mapping[str, Any]) -> str:
    """Return a row of the summary as a sentence."""
    if row["mean"] is None:
        return "No score"
    if row["difference"] is None:
        return f"Mean score {number(row['mean'])}"
    # Both of the records that have a score on both sides, so that the difference is theirs.
    here, there = row["baseline_mean"] + row["difference"], row["baseline_mean"]
    said = f"Mean score {number(here)} against {number(there)}, difference {_signed(row['difference'])}"
    known = []
    if row["low"] is not None:
        known.append(f"95%: {_signed(row['low'])} to {_signed(row['high'])}")
    if row["p_value"] is not None:
        p = "< 0.001" if row["p_value"] < 1e-3 else f"= {row['p_value']:.3f}"
        known.append(f"{_TESTS.get(row['test'], row['test'])} p {p}")
    return said + (f" ({'; '.join(known)})" if known else "")


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{number(value)}"


def _parts(curves: Mapping[str, Points]) -> Chart:
    """Return the chart of a reward's parts; without lines where there is one part, which is the reward itself."""
    found = [(metric, _short(match[1], 14)) for metric in curves if (match := _PART.fullmatch(metric))]
    lines = tuple((metric, name, place % 5) for place, (metric, name) in enumerate(found))
    return Chart("Parts", lines if len(lines) > 1 else ())


def _band(chart: Chart, curves: Mapping[str, Points]) -> list[tuple[int, float, float]]:
    """Return what lies within one standard deviation of the first line: (step, low, high)."""
    if chart.band is None:
        return []
    deviations = dict(curves.get(chart.band, ()))
    found = []
    for step, value in _thinned(curves.get(chart.lines[0][0], ())):
        deviation = deviations.get(step, math.nan)
        if math.isfinite(value) and math.isfinite(deviation):
            found.append((step, value - deviation, value + deviation))
    return found


def _tick(value: float, low: float, high: float) -> str:
    """Return a value of the axis with as many decimals as tell it from the others."""
    span = (high - low) / 2 or abs(low)
    size = max(abs(low), abs(high))
    if size < 1e-3 or size >= 1e5:
        return f"{value:.{max(1, math.ceil(math.log10(size / span)))}e}" if value else "0"
    decimals = max(0, math.ceil(-math.log10(span)) + 1) if span else 0
    return f"{value:,.{decimals}f}" if value else "0"


def _foot(job: Mapping[str, Any], top: float) -> list[str]:
    held_out = [metric for metric in job["metrics"] if metric["name"].startswith("eval_")]
    known = {
        "eval_reward": "Held-out reward",
        "eval_rewards/margins": "Held-out margin",
        "eval_loss": "Held-out loss",
    }
    facts = [
        (title, f"{number(metric['value'])} at step {metric['step']}")
        for name, title in known.items()
        for metric in held_out
        if metric["name"] == name and metric["value"] is not None
    ]
    rows = job["rows"]
    if job.get("kind") == "evaluate":
        facts.append(("Records", f"{rows['eval']:,}"))
    else:
        facts.append(("Rows", f"{rows['train']:,} train" + (f" · {rows['eval']:,} held out" if rows["eval"] else "")))
    if job["checkpoint"]:
        facts.append(("Checkpoint", f"step {job['checkpoint']['step']}"))
    if job["started"]:
        facts.append(("Started", time.strftime("%d %b %Y, %H:%M", time.localtime(job["started"]))))
    if job["model_version"]:
        facts.append(("Custom model", job["model_version"]))
    parts, left = [_rule(0, top, _WIDTH, top)], float(_PAD)
    for title, whole in facts:
        text = _short(whole, int((_WIDTH - _PAD - left) / 7))
        parts += [_write(left, top + 22, title, "s t"), _write(left, top + 40, text)]
        left += max(6.2 * len(title), 7 * len(text)) + 24
    return parts


def _thinned(points: Points) -> list[tuple[int, float]]:
    """Return the least and greatest point of each stretch, gaps and both ends kept; all where they are few."""
    if len(points) <= _POINTS:
        return list(points)
    width = math.ceil(2 * len(points) / _POINTS)
    every = list(points)
    chosen = []
    for begin in range(0, len(every), width):
        stretch = [point for point in every[begin : begin + width] if math.isfinite(point[1])]
        if stretch:
            ends = {min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])}
            chosen += sorted(ends)
        else:
            chosen.append((every[begin][0], math.nan))
    return [*every[: chosen[0] != every[0]], *chosen, *every[len(every) - (chosen[-1] != every[-1]) :]]


def _write(x: float, y: float, text: str, kind: str = "", anchor: str = "") -> str:
    attributes = (f' class="{kind}"' if kind else "") + (f' text-anchor="{anchor}"' if anchor else "")
    return f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{_text(text)}</text>'


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="line" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(text: str) -> str:
    return escape(plain(text))


def _short(text: str, length: int) -> str:
    text = " ".join(plain(text).split())
    return text if len(text) <= length else f"{text[: max(1, length - 1)]}…"


def _wrapped(text: str, length: int, lines: int) -> list[str]:
    import textwrap

    return textwrap.wrap(plain(text), length, max_lines=lines, placeholder=" …") or [""]


__all__ = ["CHARTS", "Chart", "number", "picture"]
