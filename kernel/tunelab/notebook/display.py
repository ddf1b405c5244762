"""How jobs and datasets show in a cell: live where something can draw; elsewhere a picture or a table."""

from __future__ import annotations

from typing import Any

from IPython.display import DisplayHandle, display

from tunelab.data import Dataset
from tunelab.evaluation.results import line
from tunelab.jobs.manager import Job, Jobs
from tunelab.jobs.view import sentence
from tunelab.notebook.datasets import DatasetPage
from tunelab.notebook.live import live
from tunelab.notebook.widgets import DatasetWidget, JobWidget
from tunelab.tables import table

#: What the JupyterLab extension draws, by the job's id alone: it needs no widget, so it outlives the kernel.
MIME = "application/vnd.tunelab.job+json"
#: The same of a dataset, by ``NAME@VERSION``.
DATASET_MIME = "application/vnd.tunelab.dataset+json"

_SHOWN_METRICS = (
    "reward",
    "eval_reward",
    "loss",
    "eval_loss",
    "rewards/margins",
    "eval_rewards/margins",
    "mean_token_accuracy",
    "entropy",
)


class _Output:
    """One cell's output, as a view: when the job ends, its saved form becomes the picture."""

    def __init__(self, job: Job, handle: DisplayHandle) -> None:
        self.job = job
        self.handle = handle

    def state(self, **values: Any) -> None:
        if values.get("picture"):
            self.handle.update(_ended(self.job, values["picture"]), raw=True)

    def points(self, index: list[dict[str, Any]], values: bytes) -> None:
        pass

    def notice(self, text: str) -> None:
        pass


def show(job: Job) -> None:
    """Display a job in the running cell."""
    shown = live(job.id)
    bundle: dict[str, Any] = {**(JobWidget(shown)._repr_mimebundle_() or ({}, {}))[0], MIME: {"job": job.id}}
    state = shown.state()
    if state["picture"]:
        display({**bundle, **_ended(job, state["picture"])}, raw=True)
        return
    # What is saved of a job that runs on without the notebook.
    handle = display(
        {**bundle, "text/html": job_html(job, state["evaluation"]), "text/plain": repr(job)}, raw=True, display_id=True
    )
    if handle:
        shown.add(_Output(job, handle))


def _ended(job: Job, picture: str) -> dict[str, Any]:
    return {MIME: {"job": job.id}, "image/svg+xml": picture, "text/plain": repr(job)}


def job_html(job: Job, evaluation: dict[str, Any] | None = None) -> str:
    """Return a job as a small table, for a page where the widget does not run; every text escaped.

    `evaluation` is what an evaluation found, as its view's state has it.
    """
    view = job.view()
    rows = [{"job": "state", job.id: sentence(view)}]
    rows += [{"job": "warning", job.id: f"{alert['message']} {alert['advice']}"} for alert in job.alerts]
    if evaluation:
        rows += [{"job": "note", job.id: note["message"]} for note in evaluation["notes"]]
    for name in _SHOWN_METRICS:
        value, step = view.metrics.get(name, (None, 0))
        if value is not None:
            rows.append({"job": name, job.id: f"{value:.4g} at step {step}"})
    return table(rows) + (
        table([line(row) for row in evaluation["summary"]]) if evaluation and evaluation["summary"] else ""
    )


def show_dataset(dataset: Dataset) -> None:
    """Display a version of a dataset in the running cell."""
    widget = DatasetWidget(DatasetPage(str(dataset)))
    bundle: dict[str, Any] = {**(widget._repr_mimebundle_() or ({}, {}))[0], DATASET_MIME: {"dataset": str(dataset)}}
    display({**bundle, "text/html": dataset_html(dataset), "text/plain": repr(dataset)}, raw=True)


def dataset_html(dataset: Dataset) -> str:
    """Return a dataset and its report as a small table, for a page where no view is drawn; every text escaped."""
    told = [("created", f"{dataset.created} by {dataset.creator} from {dataset.source}"), *dataset.report.lines()]
    return table([{"dataset": name, str(dataset): text} for name, text in told])


def _jobs_html(jobs: Jobs) -> str:
    return table(jobs.rows()) if len(jobs) else f"<p>{jobs!r}</p>"


def install(ipython: Any) -> None:
    """Make a shell show jobs and datasets by their view, in a kernel; a terminal's shell has their plain text."""
    if getattr(ipython, "kernel", None):
        ipython.display_formatter.ipython_display_formatter.for_type(Job, show)
        ipython.display_formatter.ipython_display_formatter.for_type(Dataset, show_dataset)
    ipython.display_formatter.formatters["text/html"].for_type(Jobs, _jobs_html)


def remove(ipython: Any) -> None:
    """Make a shell show jobs and datasets as plain text again."""
    for shown in (Job, Dataset):
        ipython.display_formatter.ipython_display_formatter.pop(shown, None)
    ipython.display_formatter.formatters["text/html"].pop(Jobs, None)
