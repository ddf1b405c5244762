"""The form that customizes a model: its fields by technique, what is wrong with what was typed, the dry run."""

from __future__ import annotations

from typing import Any

from tunelab import api
from tunelab.data import versions
from tunelab.errors import Error
from tunelab.jobs.draft import Draft, draft, recipe_of
from tunelab.jobs.manager import Job
from tunelab.models import find
from tunelab.notebook.formschema import form_layout, form_schema
from tunelab.notebook.magics import customization
from tunelab.notebook.specform import Planned, SpecForm, names
from tunelab.plan import Plan
from tunelab.spec import REINFORCEMENT, TECHNIQUES


class CustomizeForm(SpecForm):
    """The form on show in one view."""

    kind = "customize"
    takes = tuple(TECHNIQUES)

    def _of_cell(self, text: str) -> dict[str, Any]:
        return customization(text, names())

    def _begun(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return what a form begins with: a technique, by the dataset if there is one."""
        if data.get("technique") is None:
            made_for = None
            try:
                made_for = versions.find(str(data.get("dataset") or "")).technique
            except Error:
                # No registered dataset: then nothing is known of its rows.
                made_for = None
            data["technique"] = made_for if made_for in TECHNIQUES else TECHNIQUES[0]
        return data

    def _fields(self, data: dict[str, Any]) -> dict[str, Any]:
        technique = data.get("technique")
        recipe = recipe_of(data) or recipe_of({**data, "technique": TECHNIQUES[0]})
        assert recipe is not None
        algorithm = data.get("algorithm") if technique in REINFORCEMENT else None
        schema = form_schema(recipe, algorithm, carries=_carries(data))
        return {
            "schema": schema,
            "ui": form_layout(schema, recipe),
            "prompts": _prompts() if technique == "rlaif" else [],
        }

    def _draft(self, data: dict[str, Any]) -> Draft:
        return draft(data, names())

    def _plan(self, data: dict[str, Any]) -> Planned:
        plan = api.customize(data, dry_run=True, namespace=names())
        assert isinstance(plan, Plan)
        measured = {name: getattr(plan, name) for name in ("steps", "time_s", "memory_bytes")} | {"is_measured": True}
        report = plan.report
        if report is None:
            return Planned(plan.facts(), measured=measured)
        return Planned(plan.facts(), report.facts(), report.warnings, measured)

    def _begin(self, data: dict[str, Any]) -> Job:
        job = api.customize(data, namespace=names())
        assert isinstance(job, Job)
        return job


def _carries(data: dict[str, Any]) -> bool:
    """Tell whether the model has an adapter that may be carried on in one way or another, or that is asked for."""
    adapter = data.get("adapter")
    if isinstance(adapter, dict) and adapter.get("carry") is not None:
        return True
    try:
        return bool(data.get("model")) and find.find(str(data["model"])).base is not None
    except Error:
        # It is told as a fault of the model.
        return False


def _prompts() -> list[str]:
    from tunelab.scoring import prompts

    return prompts.names()


__all__ = ["CustomizeForm"]
