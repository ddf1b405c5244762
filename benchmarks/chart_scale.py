"""The claim: a million points are whole again a second after a page reload, and new ones are drawn within a frame.

    python benchmarks/chart_scale.py [--quick] [--sizes 1000 1000000] [--only tunelab]

A running job whose journal has 10^3 to 10^6 lines, each with the seven metrics of a DPO job's six charts, is shown in a
notebook of a real JupyterLab in Chromium; beside it, in the same run, plotly's FigureWidget does the same: six figures
with the same seven lines of the same values and much the same size. Measured for both, by points a line:

- first: the bytes of comm messages that the page receives, and the seconds from running the cell to six drawn charts
  with all points (for tunelab the kernel reads the whole journal for the first time);
- redraw: one point more on each line, as the next step brings it. What the page's main thread does for that until
  six charts are drawn: all of its tasks (scripts, style and layout, painting, JupyterLab's handling of messages), and
  the longest uninterrupted one, in CPU time of that thread; the bytes. Chromium counts scripts alone too, but not
  those that run in promises, as FigureWidget's do;
- reload: the same bytes, and the seconds from the first thing that the page asks the kernel for (`hello`, or the
  widgets' states) to six drawn charts with all points. JupyterLab's own loading, up to that moment, stands apart.

Each is a median with the lowest and the highest. Where FigureWidget does not come to an end within its minutes, that is
said instead of a figure.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psutil
from common.page import Busy, Desk, Lab, chromium, desk, laboratory, say, table, until
from playwright.sync_api import Browser, Error

from tunelab.jobs import folder as folders
from tunelab.jobs import locks
from tunelab.jobs.journal import Journal

CHARTS = (
    ("rewards/margins",),
    ("loss",),
    ("rewards/chosen", "rewards/rejected"),
    ("rewards/accuracies",),
    ("entropy",),
    ("learning_rate",),
)
LINES = tuple(name for chart in CHARTS for name in chart)
SIZES = (10**3, 10**4, 10**5, 10**6)
RELOADS, REDRAWS = 5, 20
#: What FigureWidget may take for one step of the work.
PATIENCE_S = 120
FRAME_MS = 1000 / 60

SPEC: dict[str, Any] = {
    "kind": "customize",
    "model": "smollm2-135m",
    "technique": "dpo",
    "dataset": "synthetic@1",
    "adapter": {"type": "lora", "r": 16},
    "hyperparameters": {"num_train_epochs": 1},
}

FIGURES = """
import ipywidgets, numpy as np, plotly.graph_objects as go
charts, folder, count = {charts!r}, {folder!r}, {count}
values = {{name: list(np.load(f"{{folder}}/{{name.replace('/', '-')}}.npy")) for chart in charts for name in chart}}
values = {{name: np.asarray(curve, dtype="float32") for name, curve in values.items()}}
steps = np.arange(1, count + 1, dtype="int32")
look = dict(width=390, height=150, margin=dict(l=40, r=8, t=6, b=20), showlegend=False)
figures = [
    go.FigureWidget([go.Scatter(x=steps, y=values[name], mode="lines", name=name) for name in chart], layout=look)
    for chart in charts
]
def more(value):
    global steps
    steps = np.append(steps, np.int32(len(steps) + 1))
    for chart, figure in zip(charts, figures):
        with figure.batch_update():
            for name, line in zip(chart, figure.data):
                values[name] = np.append(values[name], np.float32(value))
                line.x, line.y = steps, values[name]
"""
SHOW_FIGURES = "ipywidgets.GridBox(figures, layout=dict(grid_template_columns='repeat(3, 400px)'))"

#: Notes of FigureWidget what the probe notes of tunelab: the points of each chart as plotly ends drawing it.
WATCH_FIGURES = """
(() => {
  const look = () => {
    document.querySelectorAll('.js-plotly-plot').forEach((node, place) => {
      if (!node.dataset.watched && node.on && node.querySelector('.scatterlayer .js-line')) {
        node.dataset.watched = 'yes';
        const drawn = (probe.drawn[place] = []);
        const note = () => drawn.push({points: node._fullData[0]._length, at: Date.now()});
        note();
        node.on('plotly_afterplot', note);
      }
    });
    setTimeout(look, 10);
  };
  look();
})();
"""


@dataclass
class Result:
    """What came out for one size and one of the two; milliseconds and bytes, one value a repeat."""

    values: dict[str, list[float]] = field(default_factory=dict)
    failure: str = ""

    def add(self, **values: float) -> None:
        for name, value in values.items():
            self.values.setdefault(name, []).append(value)


def series(points: int) -> dict[str, np.ndarray]:
    """Return the values of each line: a course with noise, in the digits that a journal has."""
    chance = np.random.default_rng(7)
    course = np.linspace(0, 1, points)
    return {
        name: np.round(np.cos(place + 3 * course) + 0.2 * chance.standard_normal(points), 4)
        for place, name in enumerate(LINES)
    }


def write_job(values: dict[str, np.ndarray]) -> tuple[folders.JobFolder, locks.Held]:
    """Write a running job's folder; its runner is this process, for as long as the lock is held."""
    points = len(values[LINES[0]])
    facts = {"given": {"name": "scale"}, "train_rows": points, "eval_rows": 0, "submitted_ns": time.time_ns()}
    folder = folders.create(f"scale{points}", SPEC | {"name": f"scale{points}"}, facts)
    lock = locks.try_hold(folder.runner_lock)
    assert lock
    Journal(folder.journal, "runner").append("state", state="running", reason=None)
    columns = [values[name].tolist() for name in LINES]
    now = time.time()
    with folder.journal.open("a", encoding="utf-8") as file:
        for step, row in enumerate(zip(*columns, strict=True), 1):
            line = {"seq": step + 1, "time": now, "source": "worker", "type": "metric", "step": step}
            file.write(json.dumps(line | {"values": dict(zip(LINES, row, strict=True))}) + "\n")
    return folder, lock


class Shown:
    """Six charts in a notebook's page, tunelab's or FigureWidget's."""

    def __init__(self, at: Desk, asked: str, more: Callable[[], object], patience_s: float) -> None:
        self.at = at
        self.page = at.page
        self.asked = asked
        self.more = more
        self.patience_s = patience_s

    def wait(self, points: int) -> float:
        """Wait until six charts with so many points are drawn; return when the last of them was."""
        drawn = f"Object.values(probe.drawn).map(one => one.find(({{points}}) => points >= {points})?.at ?? null)"
        found = until(
            lambda: len(ends := self.page.evaluate(drawn)) == len(CHARTS) and None not in ends and ends,
            self.patience_s,
            0.02,
        )
        return float(max(found))

    def measure(self, result: Result, points: int, reloads: int, redraws: int) -> None:
        """Run the second cell, add points, and reload the page."""
        self.page.evaluate("probe.bytes = 0")
        begin = time.time()
        self.at.run(1)
        result.add(first_s=self.wait(points) / 1e3 - begin, first_bytes=self.page.evaluate("probe.bytes"))
        # The drawing that is left from before, and the first one that compiles.
        self.more()
        self.wait(points + 1)
        time.sleep(0.5)
        longest = Longest(self.page)
        busy = Busy(self.page)
        for number in range(2, redraws + 2):
            before = self.page.evaluate("probe.bytes")
            longest.begin()
            busy.take()
            self.more()
            self.wait(points + number)
            taken = busy.take()
            result.add(
                task_ms=taken,
                longest_ms=longest.end(),
                redraw_bytes=self.page.evaluate("probe.bytes") - before,
            )
            time.sleep(0.3)
        self.page.evaluate("jupyterapp.commands.execute('docmanager:save').then(() => null)")
        for _ in range(reloads):
            self.at.reload()
            done = self.wait(points)
            origin, asked, received = self.page.evaluate(
                f"[performance.timeOrigin, probe.asked[{self.asked!r}], probe.bytes]"
            )
            result.add(reload_s=(done - asked) / 1e3, lab_s=(asked - origin) / 1e3, reload_bytes=received)


class Longest:
    """The longest uninterrupted task of a page's main thread, from Chromium's trace."""

    def __init__(self, page: Any) -> None:
        self._page = page
        self._browser = page.context.browser

    def begin(self) -> None:
        categories = ["-*", "toplevel", "disabled-by-default-devtools.timeline"]
        self._browser.start_tracing(page=self._page, categories=categories)

    def end(self) -> float:
        """Return the milliseconds of CPU time of the longest task since `begin`."""
        events = json.loads(self._browser.stop_tracing())["traceEvents"]
        mains = {
            (one["pid"], one["tid"])
            for one in events
            if one["name"] == "thread_name" and one["args"]["name"] == "CrRendererMain"
        }
        tasks = [one.get("tdur", one.get("dur", 0)) for one in events if (one["pid"], one["tid"]) in mains]
        return max(tasks, default=0) / 1e3


def tunelab(browser: Browser, lab: Lab, values: dict[str, np.ndarray], reloads: int, redraws: int) -> Result:
    """Measure tunelab's view."""
    result, points = Result(), len(values[LINES[0]])
    folder, lock = write_job(values)
    journal = Journal(folder.journal, "worker")
    step = points

    def more() -> None:
        nonlocal step
        step += 1
        journal.append("metric", step=step, values=dict.fromkeys(LINES, 0.5))

    name = f"tunelab{points}.ipynb"
    lab.write(name, ["%load_ext tunelab\nimport tunelab as tl", f"tl.job({folder.id!r})"])
    try:
        with desk(browser, lab) as at:
            at.open(name)
            at.run(0)
            at.idle()
            Shown(at, "tunelab", more, PATIENCE_S).measure(result, points, reloads, redraws)
            at.command("kernelmenu:shutdown")
    finally:
        lock.release()
    Journal(folder.journal, "runner").append("state", state="cancelled", reason=None)
    return result


def figure_widget(browser: Browser, lab: Lab, values: dict[str, np.ndarray], reloads: int, redraws: int) -> Result:
    """Measure plotly's FigureWidget."""
    result, points = Result(), len(values[LINES[0]])
    folder = lab.root / f"values{points}"
    folder.mkdir()
    for name, curve in values.items():
        np.save(folder / f"{name.replace('/', '-')}.npy", curve)
    cell = FIGURES.format(charts=CHARTS, folder=str(folder), count=points)
    name = f"figures{points}.ipynb"
    lab.write(name, [cell, SHOW_FIGURES])
    try:
        with desk(browser, lab) as at:
            at.page.context.add_init_script(WATCH_FIGURES)
            at.open(name)
            at.run(0)
            at.idle()
            kernel = "jupyterapp.shell.currentWidget.sessionContext.session.kernel"
            shown = Shown(
                at,
                "jupyter.widget.control",
                lambda: at.page.evaluate(f"() => {{ {kernel}.requestExecute({{code: 'more(0.5)'}}); }}"),
                PATIENCE_S,
            )
            shown.measure(result, points, reloads, redraws)
            at.command("kernelmenu:shutdown")
    except (TimeoutError, Error) as error:
        done = ", ".join(f"{len(values)} {name}" for name, values in result.values.items())
        result.failure = f"{str(error).splitlines()[0]} (after {done or 'nothing'})"
    return result


ROWS = (
    ("first: comm MB", "first_bytes", 1e6, 2),
    ("first: s to six charts", "first_s", 1, 2),
    ("reload: comm MB", "reload_bytes", 1e6, 2),
    ("reload: JupyterLab's own s", "lab_s", 1, 2),
    ("reload: s to six charts", "reload_s", 1, 2),
    ("redraw of six: main thread ms", "task_ms", 1, 1),
    ("redraw: main thread ms a chart", "task_ms", len(CHARTS), 1),
    ("redraw: longest task ms", "longest_ms", 1, 1),
    ("redraw: comm kB", "redraw_bytes", 1e3, 1),
)


def report(results: dict[int, dict[str, Result]]) -> str:
    """Return one table a size."""
    parts = []
    for points, both in results.items():
        rows = [(f"{points:,} points a line", *both, "FigureWidget to tunelab")]
        for what, key, unit, digits in ROWS:
            cells, middles = [], []
            for result in both.values():
                taken = [value / unit for value in result.values.get(key, [])]
                middles.append(statistics.median(taken) if taken else None)
                cells.append(
                    f"{middles[-1]:,.{digits}f} ({min(taken):,.{digits}f} … {max(taken):,.{digits}f})" if taken else "–"
                )
            ratio = f"{middles[1] / middles[0]:,.1f} ×" if len(middles) == 2 and None not in middles else ""
            rows.append((what, *cells, ratio))
        parts.append(table(rows))
        parts += [f"{name}: {result.failure}" for name, result in both.items() if result.failure]
        parts.append("")
    return "\n".join(parts)


def main(sizes: list[int], only: str | None, is_quick: bool) -> int:
    """Measure, print the tables, and return the exit status: 1 where tunelab misses a budget."""
    began = time.monotonic()
    reloads, redraws = (1, 4) if is_quick else (RELOADS, REDRAWS)
    os.environ["GIT_OPTIONAL_LOCKS"] = "0"
    peers = {"tunelab": tunelab, "FigureWidget": figure_widget}
    results: dict[int, dict[str, Result]] = {}
    with laboratory() as lab, chromium() as browser:
        for points in sizes:
            values = series(points)
            for name, measure in peers.items():
                if only in (None, name):
                    say(f"{points:,} points a line, {name}")
                    found = measure(browser, lab, values, reloads, redraws)
                    results.setdefault(points, {})[name] = found
            # At once: the next size takes ten times as long, and may not end.
            print(report({points: results[points]}), flush=True)
    load = " ".join(f"{value:.1f}" for value in psutil.getloadavg())
    print(f"{psutil.cpu_count()} cores, load {load}, {time.monotonic() - began:.0f} s\n")
    return verdict(results)


def verdict(results: dict[int, dict[str, Result]]) -> int:
    """Print what was kept of the budgets at the largest size; return the exit status."""
    points = max(results)
    mine = results[points].get("tunelab")
    if mine is None:
        return 0
    reload_s = statistics.median(mine.values["reload_s"])
    longest = statistics.median(mine.values["longest_ms"])
    for what, is_kept in (
        (f"{points:,} points a line drawn a second after a reload", reload_s <= 1),
        (f"a redraw's longest task within a frame of {FRAME_MS:.1f} ms", longest <= FRAME_MS),
    ):
        print(f"{what}: {'kept' if is_kept else 'MISSED'}")
    return 0 if reload_s <= 1 and longest <= FRAME_MS else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one reload, few redraws, up to 10,000 points")
    parser.add_argument("--sizes", type=int, nargs="+", help="points a line")
    parser.add_argument("--only", choices=("tunelab", "FigureWidget"))
    given = parser.parse_args()
    chosen = given.sizes or list(SIZES[:2] if given.quick else SIZES)
    sys.exit(main(chosen, given.only, given.quick))
