"""What a job's views show, as JSON: the present of its journal, and the facts beside it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import yaml

from tunelab.evaluation.results import SUMMARY
from tunelab.jobs.manager import Job
from tunelab.jobs.view import JobView, sentence
from tunelab.notebook.jobrecords import given

#: The metric that says how a job of each technique goes; its held-out twin is ``eval_…``.
HEADLINE = {"sft": "loss", "dpo": "rewards/margins", "rlvr": "reward", "rlaif": "reward"}

_sizes: WeakKeyDictionary[Job, tuple[tuple[Any, ...], int]] = WeakKeyDictionary()


def snapshot(job: Job, view: JobView) -> dict[str, Any]:
    """Return what the page's view shows of a job, as JSON."""
    return present(job, view) | {
        "sentence": sentence(view),
        "rows": _rows(job),
        "metrics": [{"name": name, "value": value, "step": step} for name, (value, step) in view.metrics.items()],
        "logs": list(view.logs),
        "alerts": view.alerts,
        "checkpoint": view.checkpoint,
        "restarts": view.restarts,
        "disk_bytes": _disk_bytes(job, view),
        "submitted": job.facts["submitted_ns"] / 1e9,
        "started": view.started,
    }


def present(job: Job, view: JobView) -> dict[str, Any]:
    """Return what a list shows of a job too: who it is, and how far it is."""
    return {
        "id": job.id,
        "name": job.spec["name"],
        "kind": job.spec["kind"],
        **(_evaluation(job) if job.spec["kind"] == "evaluate" else _customization(job)),
        "state": view.state,
        "reason": view.reason,
        "cancelling": not view.has_ended and job.folder.cancel_request.exists(),
        # The request stays while the job is paused.
        "pausing": not view.has_ended and view.state != "paused" and job.folder.pause_request.exists(),
        "position": view.position or None,
        "step": view.step,
        "total": view.total,
        "epoch": view.epoch,
        "eta_s": view.eta_s,
        "tokens_per_s": view.tokens_per_s,
        "share": view.share,
        "phase": view.phase,
        "model_version": view.model_version,
        "ended": view.ended,
        "elapsed_s": view.elapsed_s(time.time()),
    }


def _rows(job: Job) -> dict[str, int]:
    facts = job.facts
    if job.spec["kind"] == "evaluate":
        # Of a benchmark the harness knows the rows.
        return {"train": 0, "eval": facts.get("rows", 0)}
    return {"train": facts["train_rows"], "eval": facts["eval_rows"]}


def _customization(job: Job) -> dict[str, Any]:
    spec = job.spec
    adapter, hyperparameters = spec["adapter"], spec["hyperparameters"]
    return {
        "technique": spec["technique"],
        "model": _short(spec["model"]),
        "dataset": spec["dataset"],
        "adapter": f"LoRA r{adapter['r']}" if adapter["type"] == "lora" else "full",
        "epochs": None if hyperparameters.get("max_steps", -1) > 0 else hyperparameters["num_train_epochs"],
    }


def _evaluation(job: Job) -> dict[str, Any]:
    """Return the same keys of an evaluation: its method is the technique, what scores stands where the adapter does."""
    spec, facts = job.spec, job.facts
    benchmark = spec["benchmark"]
    # One that measures the judge has no other models.
    models = [_short(name) for name in facts["models"] or [spec["judge"]["model"]]]
    return {
        "technique": spec["method"],
        "model": f"{_together(models[1:])} against {models[0]}" if models[1:] else models[0],
        "dataset": spec["dataset"] or (", ".join(benchmark["tasks"]) if benchmark else ""),
        "adapter": _scored_by(spec),
        "epochs": None,
    }


def _scored_by(spec: dict[str, Any]) -> str:
    """Return by which metrics an evaluation scores, and who does: ``human_like · judge: local smollm2-360m``."""
    if judge := spec["judge"]:
        metrics = [metric if isinstance(metric, str) else metric["name"] for metric in judge["metrics"]]
        where = "" if judge["base_url"] else "local "
        return f"{', '.join(metrics)} · judge: {where}{_short(judge['model'])}"
    return ", ".join(part.get("preset") or part["name"] for part in spec["scorer"])


def _together(names: list[str]) -> str:
    *before, last = names
    return f"{', '.join(before)} and {last}" if before else last


def _short(model: str) -> str:
    """Return what a model is called; a folder by its name: the whole path is in the cell that makes the job again."""
    return Path(model).name if Path(model).is_absolute() else model


def _disk_bytes(job: Job, view: JobView) -> int:
    """Return what the job takes on the disk; the folder is walked only when the journal tells of something to find."""
    at = (view.state, view.checkpoint and view.checkpoint["step"], view.model_version)
    known = _sizes.get(job)
    if known is None or known[0] != at:
        known = _sizes[job] = (at, job.disk_bytes)
    return known[1]


def headline(job: Job, view: JobView) -> dict[str, Any] | None:
    """Return the figures that say how an evaluation went, the first of its results; None before it is completed."""
    if job.spec["kind"] != "evaluate" or view.state != "completed":
        return None
    try:
        told = json.loads((job.folder.path / "results" / SUMMARY).read_text(encoding="utf-8"))
        if judges := told.get("judges"):
            first, others = judges[0] | {"model": judges[0]["judge"]}, judges[1:]
            models = {judge["judge"] for judge in judges}
        else:
            # As the page has it: the baseline itself where nothing is held against it.
            rows = [row for row in told["summary"] if row["model"] != told["baseline"]] or told["summary"]
            first, others = rows[0], rows[1:]
            models = {row["model"] for row in rows}
        return {
            "metric": str(first["metric"]),
            "model": _short(first["model"]) if len(models) > 1 else None,
            **{key: first.get(key) for key in ("mean", "improved", "equal", "degraded", "agreement")},
            "more": len(others),
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        # Results that cannot be read are told of by the job's own view; the list goes without.
        return None


def cell(job: Job) -> str:
    """Return the cell that makes the same job again."""
    return written(job.spec["kind"], given(job.spec, job.facts))


def written(kind: str, spec: dict[str, Any]) -> str:
    """Return a spec's mapping as a cell."""
    order = ["name", "model", "models", "technique", "dataset", "method"]
    ordered = {key: spec[key] for key in order if key in spec} | spec
    return f"%%{kind}\n" + yaml.safe_dump(ordered, sort_keys=False, allow_unicode=True)
