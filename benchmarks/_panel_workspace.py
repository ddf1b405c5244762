"""A workspace as it is after a year: a thousand jobs, hundreds of models, a hundred datasets, by tunelab's own code."""

from __future__ import annotations

import datetime as dt
import json
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import tunelab as tl
from tunelab.evaluation import compare, results
from tunelab.jobs import folder as folders
from tunelab.jobs import locks
from tunelab.jobs.folder import JobFolder
from tunelab.jobs.journal import Journal
from tunelab.registry import index

BASES = ("smollm2-135m", "qwen3-0.6b", "gemma-3-270m")
#: The metrics that a step of a DPO job logs; of SFT the first five.
LOGGED = (
    *("loss", "entropy", "mean_token_accuracy", "grad_norm", "num_tokens", "rewards/margins", "rewards/chosen"),
    *("rewards/rejected", "rewards/accuracies", "logps/chosen", "logps/rejected", "logits/chosen", "logits/rejected"),
)
METRIC = {"name": "human_like", "low": 1.0, "high": 3.0, "labels": None, "pairwise": False, "label": "human_like@1"}


@dataclass(frozen=True)
class Sizes:
    """How much of each there is."""

    jobs: int = 1000
    models: int = 200
    datasets: int = 100
    steps: int = 100


@dataclass
class Running:
    """A job whose runner is this process, for as long as the lock is held."""

    folder: JobFolder
    lock: locks.Held

    def step(self, step: int) -> None:
        """Say what a training says after each step."""
        journal = Journal(self.folder.journal, "worker")
        journal.append("progress", step=step, total=100_000, eta_s=3600.0)
        journal.append("metric", step=step, values={"loss": 1 / (1 + step), "rewards/margins": 0.01 * step})

    def end(self) -> None:
        """Let it be cancelled, so that nobody gives it another runner."""
        Journal(self.folder.journal, "runner").append("state", state="cancelled", reason=None)
        self.lock.release()


def fill(folder: Path, sizes: Sizes) -> None:
    """Fill the current workspace with what has ended; `folder` is for files on the way."""
    chance = random.Random(7)
    for number in range(sizes.datasets):
        _dataset(folder, number, chance)
    made: list[tuple[str, int, str]] = []
    begin = time.time() - 60.0 * sizes.jobs
    for number in range(sizes.jobs - 1):
        name = f"model-{number % sizes.models:03d}"
        if number % 10 == 3:
            _evaluation(number, begin + 60 * number, chance)
        else:
            job, technique, has_model = _customization(number, name, begin + 60 * number, sizes, chance)
            if has_model and len({one for one, _, _ in made} | {name}) <= sizes.models:
                made.append((name, 1 + sum(other == name for other, _, _ in made), f"{job} {technique}"))
    index.replace([_entry(name, version, job, begin) for name, version, job in made])


def run() -> Running:
    """Add a running job."""
    spec, facts = _customized("running", "dpo", time.time(), 100_000, random.Random(1))
    running, lock = folders.create("running", spec, facts)
    Journal(running.journal, "runner").append("state", state="running", reason=None)
    return Running(running, lock)


def _dataset(folder: Path, number: int, chance: random.Random) -> None:
    rows = [
        {
            "prompt": f"Question {place} of {number}: what is {chance.random():.3f}?",
            "chosen": "Good question! " * chance.randint(1, 9) + str(place),
            "rejected": f"It is {place}, as a whole number.",
        }
        for place in range(chance.randint(20, 60))
    ]
    path = folder / f"pairs-{number}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    tl.Dataset.create(f"pairs-{number:03d}", source=path, technique="dpo")


def _customized(
    name: str, technique: str, submitted: float, steps: int, chance: random.Random
) -> tuple[dict[str, Any], dict[str, Any]]:
    given = {
        "name": name,
        "model": chance.choice(BASES),
        "technique": technique,
        "dataset": f"pairs-{chance.randrange(100):03d}@1",
        "hyperparameters": {"max_steps": steps, "learning_rate": 1e-4},
    }
    spec = given | {
        "kind": "customize",
        "split": 0.1,
        "eval_dataset": None,
        "adapter": {"type": "lora", "r": 16, "alpha": 32, "dropout": 0.05, "target_modules": "all-linear"},
        "hyperparameters": given["hyperparameters"]
        | {
            "beta": 0.1,
            "logging_steps": 1,
            "num_train_epochs": 1,
            "per_device_train_batch_size": 4,
            "warmup_steps": 0.1,
        },
        "reward": None,
        "algorithm": None,
        "chat_template": "auto",
        "keep": "last",
        "compute": {"engine": "local", "device": "cpu", "max_restarts": 3, "threads": 2, "dtype": "float32"},
        "tracking": {"experiment": "tunelab"},
        "seed": 42,
    }
    facts = {
        "given": given,
        "submitted_ns": int(submitted * 1e9),
        "user": "ada",
        "commit": "0" * 40,
        "needs": [],
        "params": 134_515_008,
        "train_rows": 260,
        "eval_rows": 60,
        "digests": {given["dataset"]: "0" * 64},
    }
    return spec, facts


def _customization(
    number: int, name: str, submitted: float, sizes: Sizes, chance: random.Random
) -> tuple[str, str, bool]:
    """Write a customization that has ended; return its id, its technique and whether a model came of it."""
    technique = "sft" if number % 3 == 0 else "dpo"
    spec, facts = _customized(name, technique, submitted, sizes.steps, chance)
    folder, lock = folders.create(name, spec, facts)
    end = {1: "failed", 2: "cancelled"}.get(number % 12, "completed")
    steps = sizes.steps if end == "completed" else sizes.steps // 2
    names = LOGGED[:5] if technique == "sft" else LOGGED
    course = np.cos(np.linspace(0, 3, steps))[:, None] + 0.1 * np.random.default_rng(number).standard_normal(
        (steps, len(names))
    )
    events: list[dict[str, Any]] = [
        {"source": "runner", "type": "state", "state": "running", "reason": None},
        {"source": "runner", "type": "artifact", "kind": "run", "uri": "", "run_id": "0" * 32, "experiment_id": "1"},
        {"source": "worker", "type": "log", "level": "info", "text": f"loading {spec['model']}"},
    ]
    for step in range(1, steps + 1):
        events += [
            {"source": "worker", "type": "progress", "step": step, "total": sizes.steps, "eta_s": 2.0 * (steps - step)},
            {
                "source": "worker",
                "type": "metric",
                "step": step,
                "values": dict(zip(names, course[step - 1].tolist(), strict=True)),
            },
        ]
    if end == "completed":
        events.append({"source": "runner", "type": "artifact", "kind": "model", "name": f"{name}@1"})
    reason = "Out of memory: the batch needs 9.1 GB and 5.2 GB are free." if end == "failed" else None
    events.append({"source": "runner", "type": "state", "state": end, "reason": reason})
    _journal(folder, events, submitted)
    lock.release()
    return folder.id, technique, end == "completed"


def _evaluation(number: int, submitted: float, chance: random.Random) -> None:
    name, tuned = f"eval-{number:03d}", f"model-{number % 200:03d}@1"
    base = chance.choice(BASES)
    given = {"models": [base, tuned], "dataset": f"pairs-{chance.randrange(100):03d}@1", "method": "judge"}
    judge = {"model": "smollm2-360m", "base_url": None, "metrics": ["human_like"]}
    spec = given | {
        "kind": "evaluate",
        "name": name,
        "judge": judge,
        "scorer": [],
        "benchmark": None,
        "generation": {"max_new_tokens": 60, "temperature": 0.0},
        "predictions": None,
        "compute": {"engine": "local", "device": "cpu", "max_restarts": 3, "threads": 2},
        "tracking": {"experiment": "tunelab"},
        "seed": 42,
    }
    facts = {"given": given, "submitted_ns": int(submitted * 1e9), "user": "ada", "rows": 40, "needs": []}
    folder, lock = folders.create(name, spec, facts | {"models": [base, tuned], "digests": {}})
    _results(folder, [base, tuned], chance)
    means = {f"human_like/mean/{model}": 2 + chance.random() for model in (base, tuned)}
    _journal(
        folder,
        [
            {"source": "runner", "type": "state", "state": "running", "reason": None},
            {"source": "worker", "type": "progress", "step": 160, "total": 160, "eta_s": 0.0},
            {"source": "worker", "type": "metric", "step": 0, "values": means},
            {"source": "runner", "type": "state", "state": "completed", "reason": None},
        ],
        submitted,
    )
    lock.release()


def _results(folder: JobFolder, models: list[str], chance: random.Random) -> None:
    records = pd.DataFrame(
        {
            **{"id": str(row), "number": row, "model": model, "metric": "human_like", "prompt": f"Question {row}?"},
            **{"ground_truth": None, "prediction": f"Answer {row} of {model}.", "score": float(chance.randint(1, 3))},
            **{"label": "somewhat", "reasoning": "It reads well.", "raw": "{}", "status": "scored", "note": ""},
            **{"against": None, "flipped": False, "latency_s": 0.5, "tokens_in": 10, "tokens_out": 5},
            **{"cost": None, "cut": False},
        }
        for row in range(1, 41)
        for model in models
    )
    told = {
        "method": "judge",
        "models": models,
        "baseline": models[0],
        "metrics": [METRIC],
        "summary": [row.as_dict() for row in compare.summarize(records, models)],
        "notes": [],
        "costs": [],
        "columns": [],
        "rows": 40,
        "benchmarks": None,
        "judges": None,
        "seed": 0,
    }
    results.write(folder.path / "results", records, told)


def _journal(folder: JobFolder, events: list[dict[str, Any]], begin: float) -> None:
    """Write a journal at once: appending line by line locks and syncs the file each time."""
    queued = {"source": "runner", "type": "state", "state": "queued", "reason": None}
    every = [{"seq": seq, "time": begin + 0.5 * seq, **event} for seq, event in enumerate([queued, *events], 1)]
    folder.journal.write_text("".join(json.dumps(event) + "\n" for event in every), encoding="utf-8")


def _entry(name: str, version: int, job: str, begin: float) -> index.Entry:
    job_id, technique = job.split()
    created = dt.datetime.fromtimestamp(begin + version, dt.UTC).isoformat(timespec="seconds")
    return index.Entry(
        name=name,
        version=version,
        job=job_id,
        run_id="0" * 32,
        base=BASES[version % len(BASES)],
        technique=technique,
        dataset="pairs-001@1",
        adapter="lora",
        path=str(tl.job(job_id).folder.path / "adapter"),
        created=created,
    )
