"""The claim: a step is 5 times as fast as with TRL's defaults, and 2.5 times as with TRL well set for a CPU.

    TUNELAB_DATA=/path/to/data python benchmarks/train_speed.py

Three trainings of smollm2-135m, each in a process of its own, make the same steps: the same rows in the same order
from the same weights. They step by turns and never at once, and the one that begins changes from step to step:

- TRL's defaults, as a plain script has them: bfloat16 by autocast, activations computed twice;
- TRL well set: float32, no activation checkpointing, DPO's reference computed beforehand. That pass is timed apart, and
  an equal share of it is added to each step; the rows are those of the steps, each once, so that this is a first epoch.
  tunelab computes its reference within the step, with an empty store. From the second epoch on neither pays;
- tunelab as its job has it, by `tunelab.training.trainer.build` from a resolved spec.

LoRA has rank 16 and no dropout. A ratio is a peer's time over tunelab's of the same step, by the wall and by CPU time
(this tells more where others use the machine too); given are the median and the quartiles. The first round warms up
and is not counted, unless it alone has used up the row's time (marked *). Memory is the peak of the process. The floor
is the time of the operations that a step needs (`_speed_worker.operations`) at the rate of float32 products with the
model's matrices, measured right before and after each of tunelab's steps. The second part is how it grows with the
length of rows and the size of batches. A peer that takes the machine's last memory, or ten minutes, is ended, and its
cell says so. The exit status is 1 where a budget is missed. The prepared model comes from the workspace; all else goes
to a temporary one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from _speed_report import DEFAULTS, TUNELAB, WAYS, WELL_SET, Result, report, verdict
from _speed_rows import Row, Texts

from tunelab import workspace
from tunelab.jobs.prepare import prepare
from tunelab.models import find
from tunelab.spec import CustomizeSpec

MODEL = "smollm2-135m"
LIMIT_S = 600
#: A process is ended when less than this share of the machine's memory is free.
LEAST_FREE = 0.05
#: No new round begins after so many seconds of steps, in the first part's rows and in the second's cells.
PATIENCE_S, PATIENCE_OF_A_CELL_S = 120, 40
RULED_S = 0.25
_GRACE_S = 10
FIRST = "Real rows"
#: Lengths of rows, the tokens of a step with them, and sizes of batches.
LENGTHS = (64, 256, 1024, 4096), 4096, (1, 2, 4, 8, 16, 32)
SEED = 42


@dataclass(frozen=True)
class Case:
    """One row of a table: how `rows(count)` are trained on, `batch` of them a step."""

    name: str
    technique: str
    adapter: str
    batch: int
    rows: Callable[[int], list[Row]]
    #: Rows are cut to so many tokens and used as plain text, where given.
    length: int | None = None


class Ended(Exception):
    """Raised where a process had to be ended, or ended by itself; the message says why."""


class Process:
    """A process of `_speed_worker`, asked over a pipe and watched while it answers."""

    def __init__(self, target: str, *arguments: Any) -> None:
        self.line, other = multiprocessing.Pipe()
        context = multiprocessing.get_context("forkserver")
        self.process = context.Process(target=_run, args=(target, *arguments, other), daemon=True)
        self.process.start()
        other.close()

    def ask(self, message: object = None) -> Any:
        """Return the answer to a message; to none, what it says by itself."""
        with contextlib.suppress(BrokenPipeError):
            if message is not None:
                self.line.send(message)
        limit = time.monotonic() + LIMIT_S
        held, memory = 0, psutil.virtual_memory()
        while not self.line.poll(0.1):
            with contextlib.suppress(psutil.NoSuchProcess):
                held = max(held, psutil.Process(self.process.pid).memory_info().rss)
            memory = psutil.virtual_memory()
            if memory.available < LEAST_FREE * memory.total:
                self.process.kill()
                raise Ended(f"wants more memory than there is (had {held / 1e9:.1f} GB)")
            if time.monotonic() > limit:
                self.process.kill()
                raise Ended("more than ten minutes")
        try:
            return self.line.recv()
        except EOFError:
            self.process.join()
            killed = self.process.exitcode == -9
            raise Ended(f"was killed at {held / 1e9:.1f} GB" if killed else "failed, see above") from None

    def end(self) -> None:
        """Let it end, which it does when it next listens, or end it."""
        self.line.close()
        self.process.join(_GRACE_S)
        self.process.kill()
        self.process.join()


def _run(target: str, *arguments: Any) -> None:
    import _speed_worker

    getattr(_speed_worker, target)(*arguments)


def measure(case: Case, steps: int, home: Path, ways: tuple[str, ...], patience_s: float) -> Result:
    """Make the rounds of a case: one to warm up and `steps` that count."""
    result = Result(case.name, case.technique, steps + 1)
    spec = resolve(case, steps + 1)
    # References that were computed for another case of the same rows are not this one's.
    for file in (home / "cache").glob("reference.sqlite*"):
        file.unlink()
    processes: dict[str, Process] = {}
    ruler = None
    try:
        for way in ways:
            processes[way] = Process("train", way, spec.model_dump(mode="json"), str(home))
            with _noted(result, processes, way):
                ready = processes[way].ask()
                result.settings[way] = ready.setting
                if ready.reference_s:
                    result.reference[way] = ready.reference_s, ready.reference_cpu_s
                shapes = ready.shapes
        if TUNELAB not in processes:
            return result
        spent = 0.0
        for number in range(steps + 1):
            for way in ways[number % len(ways) :] + ways[: number % len(ways)]:
                if way not in processes:
                    continue
                rates = [ruler.ask("before")] if ruler and way == TUNELAB else []
                with _noted(result, processes, way):
                    step = processes[way].ask("step")
                    result.steps[way].append(step)
                    spent += step.wall_s
                    if way == TUNELAB:
                        ruler = ruler or Process("rule", shapes, min(2048, step.tokens), spec.compute.threads, RULED_S)
                        rates.append(ruler.ask("after"))
                        result.rates.append(sum(rates) / len(rates))
            if TUNELAB not in processes:
                return result
            assert len({found[number].rows for way, found in result.steps.items() if way in processes}) == 1
            if spent > patience_s:
                result.warm = number > 0
                return result
    finally:
        for process in [*processes.values(), *([ruler] if ruler else [])]:
            process.end()
    return result


@contextlib.contextmanager
def _noted(result: Result, processes: dict[str, Process], way: str) -> Iterator[None]:
    try:
        yield
    except Ended as reason:
        result.ended[way] = str(reason)
        processes.pop(way).end()


def resolve(case: Case, steps: int) -> CustomizeSpec:
    """Return the spec of a job with one epoch of `steps` steps, resolved as a job's is."""
    # Without a warm-up of the learning rate the weights differ from the second step on, and losses can tell.
    settings = {"per_device_train_batch_size": case.batch, "max_steps": steps, "warmup_steps": 0}
    settings |= {"max_length": case.length} if case.length else {}
    spec = CustomizeSpec.model_validate(
        {
            "name": "speed",
            "model": MODEL,
            "technique": case.technique,
            "dataset": workspace.slug(case.name),
            "split": 0,
            "seed": SEED,
            "adapter": {"type": "lora", "r": 16, "dropout": 0.0} if case.adapter == "LoRA" else {"type": "full"},
            "hyperparameters": settings,
            "chat_template": "none" if case.length else "auto",
        }
    )
    return prepare(spec, tables={"dataset": case.rows(steps * case.batch)}).spec


def parts(texts: Texts, quick: bool) -> dict[str, list[Case]]:
    """Return the cases of each table."""
    kinds = (
        ("SFT, instruct", "sft", 8, texts.instruct),
        ("SFT, banking77", "sft", 8, texts.banking),
        ("DPO, human-like", "dpo", 4, texts.human_like),
        ("DPO, long prompts", "dpo", 2, texts.long_prompts),
    )
    real = [
        Case(f"{name}, {kind}", technique, kind, 1 if quick else batch, rows)
        for name, technique, batch, rows in kinds
        for kind in ("LoRA", "full")
    ]
    lengths, tokens, batches = ((64, 128), 128, (1, 2)) if quick else LENGTHS
    return {
        FIRST: real,
        f"Rows of {lengths[0]} to {lengths[-1]:,} tokens, {tokens:,} tokens a step (SFT, LoRA)": [
            Case(f"rows of {length}", "sft", "LoRA", tokens // length, texts.cut(length), length) for length in lengths
        ],
        f"Batches of {batches[0]} to {batches[-1]} rows of 64 tokens (SFT, LoRA)": [
            Case(f"batches of {batch}", "sft", "LoRA", batch, texts.cut(64), 64) for batch in batches
        ],
    }


def say(text: str) -> None:
    """Tell on stderr what is being done, so that stdout is the result alone."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Measure, print the tables, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4, help="steps that count, besides one to warm up (default: 4)")
    parser.add_argument("--only", action="append", metavar="NAME", help="only rows whose name has NAME in it; repeat")
    parser.add_argument("--quick", action="store_true", help="one row a step, one round: to see that it works")
    parser.add_argument("--way", action="append", choices=(DEFAULTS, WELL_SET), help="only this peer beside tunelab")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured to FILE")
    given = parser.parse_args()
    if "TUNELAB_DATA" not in os.environ:
        print("Skipped: TUNELAB_DATA is not set. It names a folder with instruct, banking77, human-like and gsm8k.")
        return 0
    began = time.monotonic()
    preloaded = ["trl.trainer.sft_trainer", "trl.trainer.dpo_trainer", "tunelab.training.trainer"]
    multiprocessing.get_context("forkserver").set_forkserver_preload(preloaded)
    os.environ |= {"DO_NOT_TRACK": "true", "HF_HUB_DISABLE_TELEMETRY": "1", "GIT_OPTIONAL_LOCKS": "0"}
    if not (find.prepared(MODEL) / "source.json").is_file():
        bring = Process("bring", MODEL)
        bring.ask()
        bring.end()
    home = Path(tempfile.mkdtemp(prefix="tunelab-speed-"))
    (home / "models").symlink_to(find.prepared(MODEL).parent, target_is_directory=True)
    os.environ["TUNELAB_HOME"] = str(home)
    ways = tuple(way for way in WAYS if not given.way or way in (*given.way, TUNELAB))
    data = Path(os.environ["TUNELAB_DATA"]).expanduser()
    texts = Texts(data, find.prepared(MODEL) / "tokenizer.json", SEED)
    results: dict[str, list[Result]] = {}
    try:
        for part, cases in parts(texts, given.quick).items():
            results[part] = []
            for case in cases:
                if given.only and not any(name.casefold() in case.name.casefold() for name in given.only):
                    continue
                say(case.name)
                is_cell = part != FIRST
                steps = 1 if given.quick else min(2, given.steps) if is_cell else given.steps
                patience_s = 0 if given.quick else PATIENCE_OF_A_CELL_S if is_cell else PATIENCE_S
                results[part].append(measure(case, steps, home, ways, patience_s))
                say("\n".join(report(results[part][-1:])))
    finally:
        shutil.rmtree(home)
    if given.json:
        plain = {part: [asdict(result) for result in found] for part, found in results.items()}
        given.json.write_text(json.dumps(plain, indent=1), encoding="utf-8")
    load = " ".join(f"{value:.1f}" for value in psutil.getloadavg())
    print(f"{psutil.cpu_count()} cores, load {load}, {(time.monotonic() - began) / 60:.0f} minutes")
    for part, found in results.items():
        if found:
            print(f"\n{part}\n\n" + "\n".join(report(found)))
    return verdict(results.get(FIRST, []), [one for found in results.values() for one in found])


if __name__ == "__main__":
    sys.exit(main())
