"""The form that customizes a model: its fields by technique, what is wrong with what was typed, the dry run."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tunelab import api
from tunelab.data import versions
from tunelab.errors import Error, SpecError
from tunelab.jobs import manager
from tunelab.jobs.draft import draft, recipe_of
from tunelab.models import find
from tunelab.notebook.datasets import plain
from tunelab.notebook.formschema import form_layout, form_schema
from tunelab.notebook.snapshot import written
from tunelab.notebook.specform import SpecForm, names
from tunelab.plan import Plan
from tunelab.registry import index
from tunelab.spec import REINFORCEMENT, TECHNIQUES


class CustomizeForm(SpecForm):
    """The form on show in one view.

    Parameters
    ----------
    spec, cell, job
        What it begins with: a spec's mapping, the source of a cell, or a job's id; nothing for an empty form.

    Raises
    ------
    Error
        If there is no such job, or the cell asks for no customization.
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
        plan = api.customize(data, dry_run=True, namespace=names())
        assert isinstance(plan, Plan)
        report = plan.report
        self._tell(
            plan={
                "facts": [[name, plain(value)] for name, value in plan.facts()],
                "report": report and [[name, plain(value)] for name, value in report.facts()],
                "warnings": [plain(text) for text in report.warnings] if report else [],
            }
        )

    def _begin(self, data: dict[str, Any]) -> manager.Job:
        job = api.customize(data, namespace=names())
        assert isinstance(job, manager.Job)
        return job

    def _known(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return all that is told of what was typed."""
        technique = data.get("technique")
        recipe = recipe_of(data) or recipe_of({**data, "technique": TECHNIQUES[0]})
        assert recipe is not None
        schema = form_schema(recipe, data.get("algorithm") if technique in REINFORCEMENT else None)
        found = draft(data, names())
        return {
            "schema": schema,
            "ui": form_layout(schema, recipe),
            "models": model_choices(),
            "datasets": _datasets(),
            "prompts": _prompts() if technique == "rlaif" else [],
            "cell": written("customize", found.given),
            "faults": [asdict(fault) | {"message": plain(fault.message)} for fault in found.faults],
            "estimate": found.estimate,
        }


def _of_cell(text: str) -> dict[str, Any]:
    from tunelab.notebook.magics import customization

    return customization(text, names())


def _of_job(job_id: str) -> dict[str, Any]:
    job = manager.find(job_id)
    if job.spec["kind"] != "customize":
        raise SpecError(f"{job.id} is an evaluation, and no customization.")
    # Jobs of the first release noted no more than the resolved spec.
    given = job.facts.get("given") or {key: value for key, value in job.spec.items() if value is not None}
    return {key: value for key, value in given.items() if key != "kind"}


def _begun(data: dict[str, Any]) -> dict[str, Any]:
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


def model_choices() -> list[dict[str, Any]]:
    """Return the models to choose from: one's own, the newest first, then the catalog, those that are here before."""
    own = sorted(index.entries(), key=lambda entry: entry.created, reverse=True)
    found: list[dict[str, Any]] = [{"name": entry.label, "kind": "custom", "here": True} for entry in own]
    base = []
    for name, entry in find.CATALOG.items():
        here = (find.prepared(name) / "source.json").is_file() or find.package_file(entry) is not None
        here = here or find.hub_cache(entry.hub_id) is not None
        base.append({"name": name, "kind": "base", "here": here, "params": entry.params})
    return found + sorted(base, key=lambda row: not row["here"])


def _datasets() -> list[dict[str, Any]]:
    """Return the newest version of each dataset that can be trained on, the newest first."""
    found = [versions.every(name)[-1] for name in versions.names()]
    found = [version for version in found if version.technique in TECHNIQUES]
    return [
        {"name": version.label, "technique": version.technique, "rows": version.rows}
        for version in sorted(found, key=lambda version: version.created, reverse=True)
    ]


def _prompts() -> list[str]:
    from tunelab.scoring import prompts

    return prompts.names()


__all__ = ["CustomizeForm", "model_choices"]
