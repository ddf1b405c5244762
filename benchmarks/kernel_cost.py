"""The claim: tunelab is a light guest in the kernel, and the notebook stays quick while a job trains.

    python benchmarks/kernel_cost.py

Measured in real kernels of their own, spoken to as a notebook does (a cell goes in, its outputs and `idle` come out):

- `%load_ext tunelab` takes no more than 0.3 s on top of `import anywidget`, and neither it nor a submit imports torch,
  transformers, mlflow or pandas;
- the kernel grows by less than 80 MB from before `%load_ext` to a job that trains and is shown in a cell;
- `%customize` returns within 0.5 s, its display included, from a file of up to 10,000 rows;
- `1+1` while a job trains takes no more than twice the idle time (both at p95).

Memory is what would be free again without the process (USS). Each figure is the median of its repeats with the lowest
and the highest; ratios are taken within one kernel. The workspace is a temporary one. The exit status is 1 where a
budget is missed. Took four minutes on two cores, and eleven beside two other trainings.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from jupyter_client.manager import KernelManager

import tunelab as tl

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
PAIRS = NOTEBOOKS / "data" / "everyday.jsonl"
HEAVY = ("torch", "transformers", "mlflow", "pandas")
LOADS, TRAININGS, FILES, SUBMITS_A_FILE, ROUND_TRIPS = 7, 3, 5, 2, 150
MB = 1e6
#: One row a step and nothing but steps: more points a second than a usual job has.
MANY_STEPS = {"max_steps": 100_000, "per_device_train_batch_size": 1, "split": 0, "precompute_ref_log_probs": "false"}


@dataclass
class Figure:
    """One line of the table: repeats of one measurement, and the budget that `judged` of them must keep."""

    what: str
    values: list[float]
    unit: str
    budget: float | None = None
    judged: Callable[[list[float]], float] = statistics.median

    @property
    def is_kept(self) -> bool:
        return self.budget is None or self.judged(self.values) <= self.budget

    def cells(self) -> tuple[str, ...]:
        digits = {"s": 3, "MB": 1, "ms": 1, "×": 2}[self.unit]
        low, middle, high = (f"{f(self.values):.{digits}f}" for f in (min, statistics.median, max))
        judged = " at most" if self.judged is max else ""
        budget = "" if self.budget is None else f"{self.budget:g} {self.unit}{judged}"
        verdict = "" if self.budget is None else "kept" if self.is_kept else "MISSED"
        return self.what, f"{middle} {self.unit}", f"{low} … {high}", str(len(self.values)), budget, verdict


class Kernel:
    """A kernel and its client; `run` takes a cell from its sending to `idle`."""

    def __init__(self) -> None:
        self.manager = KernelManager(kernel_name="python3")
        # Kernels that speak TCP say so on stderr, each of them.
        self.manager.start_kernel(cwd=str(NOTEBOOKS), stderr=subprocess.DEVNULL)
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        #: The MIME types of what the last cell has shown.
        self.shown: set[str] = set()

    def run(self, code: str, **expressions: str) -> tuple[float, dict[str, Any]]:
        """Run a cell; return the seconds of the round trip, and the values of expressions taken after it."""
        begin = time.perf_counter()
        request = self.client.execute(code, user_expressions=expressions, allow_stdin=False)
        self.shown = set()
        while not _ends(message := self.client.get_iopub_msg(timeout=120), request):
            self.shown |= message["content"].get("data", {}).keys()
        while (reply := self.client.get_shell_msg(timeout=120))["parent_header"].get("msg_id") != request:
            pass  # kernels answer each call of `wait_for_ready`
        seconds = time.perf_counter() - begin
        content = reply["content"]
        if content["status"] != "ok":
            raise RuntimeError(f"{code}: {content['ename']}: {content['evalue']}")
        values = {
            key: ast.literal_eval(value["data"]["text/plain"]) for key, value in content["user_expressions"].items()
        }
        return seconds, values

    def timed(self, statement: str) -> float:
        """Return the seconds that a statement takes by the kernel's own clock."""
        cell = f"_begin = time.perf_counter()\n{statement}\n_seconds = time.perf_counter() - _begin"
        return float(self.run(cell, seconds="_seconds")[1]["seconds"])

    def memory(self) -> tuple[float, float]:
        """Return the kernel's own and its resident bytes (USS, RSS)."""
        _, values = self.run("_memory = psutil.Process().memory_full_info()", uss="_memory.uss", rss="_memory.rss")
        return values["uss"], values["rss"]

    def round_trips(self, count: int) -> list[float]:
        """Return the seconds of `count` cells `1+1`, 50 ms apart."""
        taken = []
        for _ in range(count):
            taken.append(self.run("1+1")[0])
            time.sleep(0.05)
        return taken

    def refuse_heavy(self) -> None:
        """Fail if the kernel has imported what it must not."""
        _, values = self.run("", found=f"[name for name in {HEAVY!r} if name in sys.modules]")
        assert not values["found"], f"the kernel imported {', '.join(values['found'])}"

    def end(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


def _ends(message: dict[str, Any], request: str) -> bool:
    return (
        message["parent_header"].get("msg_id") == request
        and message["msg_type"] == "status"
        and message["content"]["execution_state"] == "idle"
    )


@contextmanager
def kernel() -> Iterator[Kernel]:
    started = Kernel()
    try:
        started.client.wait_for_ready(timeout=60)
        started.run("import sys, time, psutil")
        yield started
    finally:
        started.end()


def loading() -> list[Figure]:
    """Take time and memory of `import anywidget`, and of `%load_ext tunelab` after it, in fresh kernels."""
    times: dict[str, list[float]] = {"import anywidget": [], "%load_ext tunelab": []}
    own: dict[str, list[float]] = {statement: [] for statement in times}
    resident: dict[str, list[float]] = {statement: [] for statement in times}
    for number in range(LOADS + 1):
        with kernel() as fresh:
            before = fresh.memory()
            for statement in times:
                seconds = fresh.timed(statement)
                after = fresh.memory()
                if number:  # the first one warms the disk's cache
                    times[statement].append(seconds)
                    own[statement].append((after[0] - before[0]) / MB)
                    resident[statement].append((after[1] - before[1]) / MB)
                before = after
            fresh.refuse_heavy()
    first, second = times
    return [
        Figure(first, times[first], "s"),
        Figure(f"{second}, on top", times[second], "s", 0.3),
        Figure(f"{first}: memory", own[first], "MB"),
        Figure(f"{second}, on top: memory", own[second], "MB"),
        Figure(f"{first}: resident", resident[first], "MB"),
        Figure(f"{second}, on top: resident", resident[second], "MB"),
    ]


def training() -> list[Figure]:
    """Take the kernel's growth and the round trip of `1+1` before, while and after a job trains and is shown."""
    grown, resident, idle, busy = [], [], [], []
    for number in range(TRAININGS):
        with kernel() as fresh:
            fresh.round_trips(20)
            before = fresh.memory()
            quiet = fresh.round_trips(ROUND_TRIPS // 2)
            fresh.run("%load_ext tunelab")
            fresh.run(submit(PAIRS, f"light{number}", **MANY_STEPS))
            assert "application/vnd.jupyter.widget-view+json" in fresh.shown
            fresh.refuse_heavy()
            job = tl.job(f"light{number}")
            until(lambda job=job: (job.view().step or 0) >= 2 or job.view().has_ended, 300)
            taken, peak, step = [], before, job.view().step or 0
            while len(taken) < ROUND_TRIPS or (job.view().step or 0) < step + 3:
                taken += fresh.round_trips(ROUND_TRIPS // 10)
                peak = tuple(map(max, peak, fresh.memory()))
                if job.state != "running":
                    raise RuntimeError(job.logs())
            end(job)
            time.sleep(1)  # the cell shows the end
            quiet += fresh.round_trips(ROUND_TRIPS // 2)
        grown.append((peak[0] - before[0]) / MB)
        resident.append((peak[1] - before[1]) / MB)
        idle.append(quantiles(quiet))
        busy.append(quantiles(taken))
    figures = [
        Figure("kernel with a job that trains and is shown: grown by", grown, "MB", 80),
        Figure("the same, resident", resident, "MB"),
    ]
    for at, name in enumerate(("p50", "p95")):
        calm, loaded = [one[at] for one in idle], [one[at] for one in busy]
        figures += [
            Figure(f"1+1, idle: {name}", [1e3 * one for one in calm], "ms"),
            Figure(f"1+1, a job trains: {name}", [1e3 * one for one in loaded], "ms"),
            Figure(f"1+1: ratio of {name}", [b / a for a, b in zip(calm, loaded, strict=True)], "×", (None, 2)[at]),
        ]
    return figures


def submitting(folder: Path) -> list[Figure]:
    """Take the round trip of `%customize`, from files that are new to the workspace and again from the same ones."""
    figures = []
    with kernel() as fresh:
        fresh.run("%load_ext tunelab")
        for rows in (260, 10_000):
            first, later = [], []
            for number in range(FILES):
                path = pairs(folder / f"pairs-{rows}-{number}.jsonl", rows)
                for again in range(SUBMITS_A_FILE):
                    name = f"submit-{rows}-{number}-{again}"
                    seconds, _ = fresh.run(submit(path, name))
                    # Its runner has ended before the next submit is timed.
                    end(tl.job(name))
                    (later if again else first).append(seconds)
            figures += [
                Figure(f"%customize, {rows:,} rows, a new file", first, "s", 0.5, max),
                Figure(f"%customize, {rows:,} rows, the same file again", later, "s", 0.5, max),
            ]
        fresh.refuse_heavy()
    return figures


def submit(data: Path, name: str, **settings: object) -> str:
    """Return the cell that submits a DPO job."""
    given = "".join(f" --set {key}={value}" for key, value in settings.items())
    return f'%customize dpo --model smollm2-135m --data "{data}" --name {name}{given}'


def pairs(path: Path, rows: int) -> Path:
    """Write `rows` pairs to `path`: the tutorial's, over and over, with a running number in the prompt."""
    samples = [json.loads(line) for line in PAIRS.read_text(encoding="utf-8").splitlines()]
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            row = samples[number % len(samples)]
            numbered = row | {"prompt": f"{row['prompt']} ({path.stem}, {number})"}
            file.write(json.dumps(numbered, ensure_ascii=False) + "\n")
    return path


def end(*jobs: tl.Job) -> None:
    """Cancel jobs, and wait until their processes are gone."""
    for job in jobs:
        job.cancel()
    for job in jobs:
        job.wait(120, progress=False)
        until(lambda job=job: not job.folder.has_process(), 60)


def until(condition: Callable[[], object], timeout_s: float) -> None:
    """Wait for a condition."""
    limit = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > limit:
            raise TimeoutError(f"it did not come to pass within {timeout_s} s")
        time.sleep(0.02)


def quantiles(values: list[float]) -> tuple[float, float]:
    """Return median and 95th percentile."""
    return statistics.median(values), statistics.quantiles(values, n=20, method="inclusive")[-1]


def table(figures: list[Figure]) -> str:
    """Return the figures as aligned text."""
    rows = [("", "median", "lowest … highest", "n", "budget", ""), *(figure.cells() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    right = (1, 2, 3)
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def main() -> int:
    """Measure, print the table, and return the exit status."""
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="tunelab-benchmark-"))
    os.environ |= {
        "TUNELAB_HOME": str(folder / "home"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "IPYTHONDIR": str(folder / "ipython"),
        # A submit asks git for the commit; it should not lock the index of this repository for that.
        "GIT_OPTIONAL_LOCKS": "0",
    }
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    try:
        say("preparing the model and the workspace, by a job of one step")
        once = tl.customize(
            model="smollm2-135m", technique="dpo", dataset=PAIRS, name="once", split=0, hyperparameters={"max_steps": 1}
        )
        if once.wait(progress=False).state != "completed":
            raise RuntimeError(once.logs())
        say("loading the extension")
        figures = loading()
        say("submitting")
        figures += submitting(folder)
        say("working beside a job that trains")
        figures += training()
    finally:
        say("cleaning up")
        end(*tl.jobs())
        shutil.rmtree(folder)
    load = " ".join(f"{value:.1f}" for value in psutil.getloadavg())
    print(f"\n{psutil.cpu_count()} cores, load {load}, {time.monotonic() - began:.0f} s; none of {', '.join(HEAVY)}\n")
    print(table(figures))
    return 0 if all(figure.is_kept for figure in figures) else 1


def say(text: str) -> None:
    """Tell on stderr what is being done, so that stdout is the result alone."""
    print(f"{time.strftime('%H:%M:%S')} {text} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
