"""What a job's views show, as JSON: the present of its journal, and the facts beside it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import yaml

from tunelab.jobs.manager import Job
from tunelab.jobs.view import JobView, sentence

#: The metric that says how a job of each technique goes; its held-out twin is ``eval_…``.
HEADLINE = {"sft": "loss", "dpo": "rewards/margins", "rlvr": "reward", "rlaif": "reward"}

_sizes: WeakKeyDictionary[Job, tuple[tuple[Any, ...], int]] = WeakKeyDictionary()


def snapshot(job: Job, view: JobView) -> dict[str, Any]:
    """Return what the page's view shows of a job, as JSON."""
    spec, facts = job.spec, job.facts
    adapter = spec["adapter"]
    return {
        "id": job.id,
        "name": spec["name"],
        "kind": spec["kind"],
        "technique": spec["technique"],
        # A folder by its name: the whole path is in the cell that makes the job again.
        "model": Path(spec["model"]).name if Path(spec["model"]).is_absolute() else spec["model"],
        "dataset": spec["dataset"],
        "adapter": f"LoRA r{adapter['r']}" if adapter["type"] == "lora" else "full",
        "state": view.state,
        "sentence": sentence(view),
        "reason": view.reason,
        "cancelling": not view.has_ended and job.folder.cancel_request.exists(),
        # The request stays while the job is paused.
        "pausing": not view.has_ended and view.state != "paused" and job.folder.pause_request.exists(),
        "position": view.position or None,
        "step": view.step,
        "total": view.total,
        "epoch": view.epoch,
        "epochs": None
        if spec["hyperparameters"].get("max_steps", -1) > 0
        else spec["hyperparameters"]["num_train_epochs"],
        "eta_s": view.eta_s,
        "tokens_per_s": view.tokens_per_s,
        "share": view.share,
        "phase": view.phase,
        "metrics": [{"name": name, "value": value, "step": step} for name, (value, step) in view.metrics.items()],
        "logs": list(view.logs),
        "alerts": view.alerts,
        "checkpoint": view.checkpoint,
        "restarts": view.restarts,
        "disk_bytes": _disk_bytes(job, view),
        "rows": {"train": facts["train_rows"], "eval": facts["eval_rows"]},
        "model_version": view.model_version,
        "submitted": facts["submitted_ns"] / 1e9,
        "started": view.started,
        "ended": view.ended,
        "elapsed_s": view.elapsed_s(time.time()),
    }


def _disk_bytes(job: Job, view: JobView) -> int:
    """Return what the job takes on the disk; the folder is walked only when the journal tells of something to find."""
    at = (view.state, view.checkpoint and view.checkpoint["step"], view.model_version)
    known = _sizes.get(job)
    if known is None or known[0] != at:
        known = _sizes[job] = (at, job.disk_bytes)
    return known[1]


def cell(job: Job) -> str:
    """Return the cell that makes the same job again."""
    # Jobs of the first release noted no more than the resolved spec.
    given = job.facts.get("given") or {key: value for key, value in job.spec.items() if value is not None}
    order = ["name", "model", "technique", "dataset"]
    ordered = {key: given[key] for key in order if key in given} | given
    return "%%customize\n" + yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True)
