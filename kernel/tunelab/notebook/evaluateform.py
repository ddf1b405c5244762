"""The form that evaluates models: its fields by method, what is wrong with what was typed, the cell, the start."""

from __future__ import annotations

from typing import Any

from tunelab import api
from tunelab.jobs import draft_evaluation, rewarding
from tunelab.jobs.draft import Draft
from tunelab.jobs.manager import Job
from tunelab.jobs.prepare_evaluation import prepare_evaluation
from tunelab.notebook.datasets import plain
from tunelab.notebook.formschema import evaluate_layout, evaluate_schema
from tunelab.notebook.magics import evaluation
from tunelab.notebook.specform import Planned, SpecForm, dataset_choices, names
from tunelab.scoring.metrics import metrics
from tunelab.spec import load

#: What a list of metrics shows of the instructions, in characters.
_SHOWN = 100
_SECTIONS = ("judge", "scorer", "benchmark")


class EvaluateForm(SpecForm):
    """The form on show in one view."""

    kind = "evaluate"
    takes = ("evaluation",)

    def _of_cell(self, text: str) -> dict[str, Any]:
        return evaluation(text)

    def _begun(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return what a form begins with: a method, and lists where a cell may say one thing alone."""
        data["method"] = data.get("method") or _method(data)
        for key in ("models", "scorer"):
            if data.get(key) is not None and not isinstance(data[key], list):
                data[key] = [data[key]]
        benchmark = data.get("benchmark")
        if isinstance(benchmark, (str, list)):
            data["benchmark"] = {"tasks": [benchmark] if isinstance(benchmark, str) else benchmark}
        if data["method"] != "benchmark" and not data.get("dataset") and (rows := dataset_choices(*self.takes)):
            data["dataset"] = rows[0]["name"]
        return data

    def _fields(self, data: dict[str, Any]) -> dict[str, Any]:
        method = str(data.get("method") or _method(data))
        schema = evaluate_schema(method)
        return {"schema": schema, "ui": evaluate_layout(schema, method), "metrics": _metrics()}

    def _draft(self, data: dict[str, Any]) -> Draft:
        return draft_evaluation.draft(data, names())

    def _plan(self, data: dict[str, Any]) -> Planned:
        functions = rewarding.take(data, names(), "scorer")
        prepared = prepare_evaluation(load.evaluate(data), names(), None, functions)
        facts = prepared.facts
        told = [("models", ", ".join(facts["models"]))]
        if "rows" in facts:
            told.append(("rows", f"{facts['rows']:,} of {prepared.spec.dataset}"))
        trained = {model: rows for model, rows in (facts.get("overlap") or {}).items() if rows}
        warnings = [f"{model} was trained on {rows:,} of these questions." for model, rows in trained.items()]
        return Planned(told, warnings=warnings)

    def _begin(self, data: dict[str, Any]) -> Job:
        return api.evaluate(data, namespace=names())


def _method(data: dict[str, Any]) -> str:
    return next((key for key in _SECTIONS if data.get(key)), _SECTIONS[0])


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
