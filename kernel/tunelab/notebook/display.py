"""How jobs show in a cell: a widget that follows the journal, with a table and plain text for where no widget runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from tunelab.jobs import manager
from tunelab.jobs.manager import Job, Jobs
from tunelab.jobs.view import JobView, sentence
from tunelab.models.custom import table

_STATIC = Path(__file__).parents[1] / "static"
_SHOWN_METRICS = ("loss", "eval_loss", "rewards/margins", "eval_rewards/margins", "mean_token_accuracy", "entropy")


class JobWidget(anywidget.AnyWidget):
    """The view of one job: its state, progress and last metrics, as the journal grows."""

    _esm = _STATIC / "widget.js"
    _css = _STATIC / "widget.css"
    kind = traitlets.Unicode("job").tag(sync=True)
    snapshot = traitlets.Dict().tag(sync=True)

    def __init__(self, job: Job) -> None:
        super().__init__(snapshot=snapshot(job, job.view()))
        if not job.view().has_ended:
            manager.watch(job, lambda view: self._show(job, view))

    def _show(self, job: Job, view: JobView) -> None:
        self.snapshot = snapshot(job, view)


def snapshot(job: Job, view: JobView) -> dict[str, Any]:
    """Return what the page's view shows of a job, as JSON."""
    spec = job.spec
    adapter = spec["adapter"]
    return {
        "id": job.id,
        "name": spec["name"],
        "kind": spec["kind"],
        "technique": spec["technique"],
        "model": spec["model"],
        "dataset": spec["dataset"],
        "adapter": f"LoRA r{adapter['r']}" if adapter["type"] == "lora" else "full",
        "state": view.state,
        "reason": view.reason,
        "position": view.position or None,
        "step": view.step,
        "total": view.total,
        "eta_s": view.eta_s,
        "phase": view.phase,
        "metrics": [{"name": name, "value": value, "step": step} for name, (value, step) in view.metrics.items()],
        "logs": list(view.logs),
        "model_version": view.model_version,
        "elapsed_s": view.elapsed_s(time.time()),
    }


def job_html(job: Job) -> str:
    """Return a job as a small table, for a page where the widget does not run; every text escaped."""
    view = job.view()
    rows = [{"job": "state", job.id: sentence(view)}]
    for name in _SHOWN_METRICS:
        value, step = view.metrics.get(name, (None, 0))
        if value is not None:
            rows.append({"job": name, job.id: f"{value:.4g} at step {step}"})
    return table(rows)


def _job_bundle(job: Job) -> tuple[dict[str, Any], dict[str, Any]]:
    widget = JobWidget(job)
    bundle = widget._repr_mimebundle_() or ({}, {})
    data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
    # A saved notebook keeps these two, and shows them wherever the widget's kernel is gone.
    return {**data, "text/html": job_html(job), "text/plain": repr(job)}, metadata


def _jobs_html(jobs: Jobs) -> str:
    return table(jobs.rows()) if len(jobs) else f"<p>{jobs!r}</p>"


def install(ipython: Any) -> None:
    """Make a shell show jobs by their view."""
    ipython.display_formatter.mimebundle_formatter.for_type(Job, lambda job, **_: _job_bundle(job))
    ipython.display_formatter.formatters["text/html"].for_type(Jobs, _jobs_html)


def remove(ipython: Any) -> None:
    """Make a shell show jobs as plain text again."""
    ipython.display_formatter.mimebundle_formatter.pop(Job, None)
    ipython.display_formatter.formatters["text/html"].pop(Jobs, None)
