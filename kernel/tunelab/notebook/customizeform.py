"""The form that customizes a model: its fields, what is wrong with what was typed, the cell, the estimate, the start.

What the page types is a spec's mapping with only what was said. Each change is answered with all that is known at once;
`check` is the real dry run, `submit` the real start. Both go through `api.customize`, as a cell does.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from tunelab import api
from tunelab.data import versions
from tunelab.errors import Error, SpecError
from tunelab.jobs import manager
from tunelab.jobs.draft import draft, recipe_of
from tunelab.models import find
from tunelab.notebook.datasets import View, apart, plain
from tunelab.notebook.formschema import form_layout, form_schema
from tunelab.notebook.snapshot import written
from tunelab.plan import Plan
from tunelab.registry import index
from tunelab.spec import REINFORCEMENT, TECHNIQUES


class CustomizeForm:
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
        self._view: View | None = None
        self._turn = 0
        self._shown: dict[str, Any] = {}
        self._busy = False
        self._lock = threading.RLock()
        if cell is not None:
            spec = _of_cell(cell)
        elif job is not None:
            spec = _of_job(job)
        self._data = _begun(dict(spec or {}))

    def add(self, view: View) -> None:
        """Show the form."""
        with self._lock:
            self._view = view
            self._shown = {}
        # All at once: what a page draws needs each of them.
        view.state(
            data=_as_json(self._data), turn=0, checking=False, plan=None, refused=None,
            submitting=False, submitted=None,
            **self._known(self._data),
        )  # fmt: skip

    def remove(self, view: View) -> None:
        """Show it no more; what was submitted goes on."""
        with self._lock:
            self._view = None
            self._turn += 1

    def command(self, view: View, content: dict[str, Any]) -> None:
        """Do what the view asks for: ``change``, ``check``, ``submit`` or ``cell``; none is waited for.

        A ``change`` has a number, ``turn``, with which it is answered; only the latest is.
        """
        kind = content["type"]
        if kind == "change":
            data, turn = dict(content["data"]), int(content["turn"])
            with self._lock:
                self._turn += 1
                mine = self._turn
            apart(lambda: self._change(mine, turn, data), lambda reason: self._tell(refused=plain(reason)))
        elif kind == "cell":
            apart(lambda: self._parse(str(content["text"])), lambda reason: self._tell(refused=plain(reason)))
        elif kind in ("check", "submit"):
            doing = "checking" if kind == "check" else "submitting"
            with self._lock:
                if self._busy:
                    return
                self._busy = True
            self._tell(**{doing: True}, refused=None, **({"plan": None} if kind == "check" else {}))
            work = self._check if kind == "check" else self._submit
            self._start(lambda: work(dict(content["data"])), doing)

    def _start(self, work: Callable[[], None], doing: str) -> None:
        def end(**values: Any) -> None:
            with self._lock:
                self._busy = False
            self._tell(**{doing: False}, **values)

        def run() -> None:
            work()
            end()

        apart(run, lambda reason: end(refused=plain(reason)))

    def _change(self, mine: int, turn: int, data: dict[str, Any]) -> None:
        # What was typed since is answered in its place.
        if mine != self._turn:
            return
        known = self._known(data)
        with self._lock:
            if mine == self._turn:
                news = {key: value for key, value in known.items() if self._shown.get(key) != value}
                self._shown |= known
                self._tell(turn=turn, **news)

    def _parse(self, text: str) -> None:
        data = _begun(_of_cell(text))
        self._tell(data=_as_json(data), refused=None, **self._known(data))

    def _check(self, data: dict[str, Any]) -> None:
        plan = api.customize(data, dry_run=True, namespace=_names())
        assert isinstance(plan, Plan)
        report = plan.report
        self._tell(
            plan={
                "facts": [[name, plain(value)] for name, value in plan.facts()],
                "report": report and [[name, plain(value)] for name, value in report.facts()],
                "warnings": [plain(text) for text in report.warnings] if report else [],
            }
        )

    def _submit(self, data: dict[str, Any]) -> None:
        job = api.customize(data, namespace=_names())
        assert isinstance(job, manager.Job)
        self._tell(submitted=job.id)

    def _known(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return all that is told of what was typed."""
        technique = data.get("technique")
        recipe = recipe_of(data) or recipe_of({**data, "technique": TECHNIQUES[0]})
        assert recipe is not None
        schema = form_schema(recipe, data.get("algorithm") if technique in REINFORCEMENT else None)
        found = draft(data, _names())
        return {
            "schema": schema,
            "ui": form_layout(schema, recipe),
            "models": _models(),
            "datasets": _datasets(),
            "prompts": _prompts() if technique == "rlaif" else [],
            "cell": written("customize", found.given),
            "faults": [asdict(fault) | {"message": plain(fault.message)} for fault in found.faults],
            "estimate": found.estimate,
        }

    def _tell(self, **values: Any) -> None:
        with self._lock:
            if self._view is not None:
                self._view.state(**values)


def _of_cell(text: str) -> dict[str, Any]:
    from tunelab.notebook.magics import customization

    return customization(text, _names())


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


def _models() -> list[dict[str, Any]]:
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


def _as_json(data: dict[str, Any]) -> dict[str, Any]:
    """Return a mapping as a message can carry it: YAML's dates, and a notebook's functions and tables, as texts."""
    made: dict[str, Any] = json.loads(json.dumps(data, default=str))
    return made


def _names() -> dict[str, Any]:
    """Return the notebook's variables, as the magics have them."""
    from IPython import get_ipython

    shell = get_ipython()
    return shell.user_ns if shell is not None else {}


__all__ = ["CustomizeForm"]
