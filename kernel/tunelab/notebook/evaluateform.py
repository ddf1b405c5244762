"""The form that evaluates models: its fields by method, what is wrong with what was typed, the cell, the start."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tunelab import api
from tunelab.data import versions
from tunelab.errors import SpecError
from tunelab.jobs import draft_evaluation, manager, rewarding
from tunelab.jobs.prepare_evaluation import prepare_evaluation
from tunelab.notebook.customizeform import model_choices
from tunelab.notebook.datasets import plain
from tunelab.notebook.formschema import evaluate_layout, evaluate_schema
from tunelab.notebook.snapshot import written
from tunelab.notebook.specform import SpecForm, names
from tunelab.scoring.metrics import metrics
from tunelab.spec import load

#: What a list of metrics shows of the instructions, in characters.
_SHOWN = 100
_SECTIONS = ("judge", "scorer", "benchmark")


class EvaluateForm(SpecForm):
    """The form on show in one view.

    Parameters
    ----------
    spec, cell, job
        What it begins with: a spec's mapping, the source of a cell, or a job's id; nothing for an empty form.

    Raises
    ------
    Error
        If there is no such job, or the cell asks for no evaluation.
    """

    def __init__(self, spec: dict[str, Any] | None = None, cell: str | None = None, job: str | None = None) -> None:
        if cell is not None:
            spec = _of_cell(cell)
        elif job is not None:
            spec = _of_job(job)
        super().__init__(_begun(dict(spec or {})))

    def _of_cell(self, text: str) -> dict[str, Any]:
        return _begun(_of_cell(text))

    def _check(self, data: dict[str, Any]) -> None:
        functions = rewarding.take(data, names(), "scorer")
        prepared = prepare_evaluation(load.evaluate(data), names(), None, functions)
        facts = prepared.facts
        told = [("models", ", ".join(facts["models"]))]
        if "rows" in facts:
            told.append(("rows", f"{facts['rows']:,} of {prepared.spec.dataset}"))
        trained = {model: rows for model, rows in (facts.get("overlap") or {}).items() if rows}
        warnings = [f"{model} was trained on {rows:,} of these questions." for model, rows in trained.items()]
        self._tell(
            plan={
                "facts": [[name, plain(value)] for name, value in told],
                "report": None,
                "warnings": [plain(text) for text in warnings],
            }
        )

    def _begin(self, data: dict[str, Any]) -> manager.Job:
        return api.evaluate(data, namespace=names())

    def _known(self, data: dict[str, Any]) -> dict[str, Any]:
        method = str(data.get("method") or _method(data))
        schema = evaluate_schema(method)
        found = draft_evaluation.draft(data, names())
        return {
            "schema": schema,
            "ui": evaluate_layout(schema, method),
            "models": model_choices(),
            "datasets": _datasets(),
            "metrics": _metrics(),
            "cell": written("evaluate", found.given),
            "faults": [asdict(fault) | {"message": plain(fault.message)} for fault in found.faults],
            "estimate": found.estimate,
        }


def _of_cell(text: str) -> dict[str, Any]:
    from tunelab.notebook.magics import evaluation

    return evaluation(text)


def _of_job(job_id: str) -> dict[str, Any]:
    job = manager.find(job_id)
    if job.spec["kind"] != "evaluate":
        raise SpecError(f"{job.id} is a customization, and no evaluation.")
    given = job.facts.get("given") or {key: value for key, value in job.spec.items() if value is not None}
    return {key: value for key, value in given.items() if key != "kind"}


def _method(data: dict[str, Any]) -> str:
    return next((key for key in _SECTIONS if data.get(key)), _SECTIONS[0])


def _begun(data: dict[str, Any]) -> dict[str, Any]:
    """Return what a form begins with: a method, and lists where a cell may say one thing alone."""
    data["method"] = data.get("method") or _method(data)
    for key in ("models", "scorer"):
        if data.get(key) is not None and not isinstance(data[key], list):
            data[key] = [data[key]]
    benchmark = data.get("benchmark")
    if isinstance(benchmark, (str, list)):
        data["benchmark"] = {"tasks": [benchmark] if isinstance(benchmark, str) else benchmark}
    if data["method"] != "benchmark" and not data.get("dataset") and (rows := _datasets()):
        data["dataset"] = rows[0]["name"]
    return data


def _datasets() -> list[dict[str, Any]]:
    """Return the newest version of each dataset with questions, the newest first."""
    found = [versions.every(name)[-1] for name in versions.names()]
    found = [version for version in found if version.technique == "evaluation"]
    return [
        {"name": version.label, "technique": version.technique, "rows": version.rows}
        for version in sorted(found, key=lambda version: version.created, reverse=True)
    ]


def _metrics() -> list[dict[str, Any]]:
    """Return the newest version of each metric: the user's own by version, then what is built in by name."""
    from tunelab.registry import prompts as kept

    own = {entry.name for entry in kept.entries("metric")}
    newest = {metric.name: metric for metric in metrics()}
    rows = [
        {
            "name": str(metric) if name in own else name,
            "own": name in own,
            "asks": plain(" ".join(metric.definition.instructions.split())[:_SHOWN]),
            "ground_truth": metric.definition.wants_ground_truth,
        }
        for name, metric in newest.items()
    ]
    return sorted(rows, key=lambda row: not row["own"])


__all__ = ["EvaluateForm"]
