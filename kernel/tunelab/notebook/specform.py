"""A form that writes a spec: what is typed is answered with what is wrong, the cell, and what it would take.

What the page types is a spec's mapping with only what was said. Each change is answered with all that is known at once;
a submit is the real start, through the same call as a cell's.
"""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from tunelab.data import versions
from tunelab.errors import SpecError
from tunelab.jobs import manager
from tunelab.jobs.draft import Draft
from tunelab.jobs.manager import Job
from tunelab.models import find
from tunelab.notebook.datasets import View, apart, plain
from tunelab.notebook.jobrecords import given
from tunelab.notebook.live import news
from tunelab.notebook.snapshot import written
from tunelab.registry import index

_CALLED = {"customize": "a customization", "evaluate": "an evaluation"}


@dataclass(frozen=True)
class Planned:
    """What a start would take: facts by name, a dataset's report, what to be warned of, and what was measured."""

    facts: list[tuple[str, str]]
    report: list[tuple[str, str]] | None = None
    warnings: list[str] = field(default_factory=list)
    #: In place of what the estimate has by formula.
    measured: dict[str, Any] = field(default_factory=dict)


class SpecForm(ABC):
    """A form on show in one view.

    Parameters
    ----------
    spec, cell, job
        What it begins with: a spec's mapping, the source of a cell, or a job's id; nothing for an empty form.

    Raises
    ------
    Error
        If there is no such job, or the cell or the job is of another kind.
    """

    #: The spec's.
    kind: ClassVar[str]
    #: The techniques of the datasets to choose from.
    takes: ClassVar[tuple[str, ...]]

    def __init__(self, spec: dict[str, Any] | None = None, cell: str | None = None, job: str | None = None) -> None:
        self._view: View | None = None
        self._turn = 0
        self._shown: dict[str, Any] = {}
        self._busy = False
        self._lock = threading.RLock()
        if cell is not None:
            spec = self._of_cell(cell)
        elif job is not None:
            spec = self._of_job(job)
        self._data = self._begun(dict(spec or {}))

    @abstractmethod
    def _of_cell(self, text: str) -> dict[str, Any]:
        """Return the mapping that a cell asks for."""

    @abstractmethod
    def _begun(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return what a form begins with that opens a mapping."""

    @abstractmethod
    def _fields(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return the form's ``schema`` and its groups, ``ui``, and choices of its own."""

    @abstractmethod
    def _draft(self, data: dict[str, Any]) -> Draft:
        """Return what is known of what was typed."""

    @abstractmethod
    def _plan(self, data: dict[str, Any]) -> Planned:
        """Look at all that a start would, and start nothing."""

    @abstractmethod
    def _begin(self, data: dict[str, Any]) -> Job:
        """Start the job."""

    def add(self, view: View) -> None:
        """Show the form."""
        with self._lock:
            self._view = view
            self._shown = {}
        # All at once: what a page draws needs each of them.
        view.state(
            data=as_json(self._data), turn=0, checking=False, plan=None, refused=None,
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
            data, mine = dict(content["data"]), self._turn
            self._start(lambda: self._check(data, mine) if kind == "check" else self._submit(data), doing)

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
                # A plan is of what was checked, and of no other spec.
                known["plan"] = None
                changed = news(self._shown, known)
                self._shown |= known
                self._tell(turn=turn, **changed)

    def _parse(self, text: str) -> None:
        data = self._begun(self._of_cell(text))
        self._tell(data=as_json(data), refused=None, **self._known(data))

    def _known(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return all that is told of what was typed."""
        found = self._draft(data)
        return self._fields(data) | {
            "models": _models(),
            "datasets": dataset_choices(*self.takes),
            "cell": written(self.kind, found.given),
            "faults": [asdict(fault) | {"message": plain(fault.message)} for fault in found.faults],
            "estimate": found.estimate,
        }

    def _of_job(self, job_id: str) -> dict[str, Any]:
        job = manager.find(job_id)
        if job.spec["kind"] != self.kind:
            wanted = _CALLED[self.kind].partition(" ")[2]
            raise SpecError(f"{job.id} is {_CALLED[job.spec['kind']]}, and no {wanted}.")
        return {key: value for key, value in given(job.spec, job.facts).items() if key != "kind"}

    def _check(self, data: dict[str, Any], mine: int) -> None:
        plan = self._plan(data)
        told: dict[str, Any] = {
            "plan": {
                "facts": [[name, plain(value)] for name, value in plan.facts],
                "report": plan.report and [[name, plain(value)] for name, value in plan.report],
                "warnings": [plain(text) for text in plan.warnings],
            }
        }
        estimate = self._draft(data).estimate | plan.measured
        with self._lock:
            # What was typed meanwhile has its own.
            if mine == self._turn:
                told["estimate"] = estimate
            self._shown |= told
            self._tell(**told)

    def _submit(self, data: dict[str, Any]) -> None:
        self._tell(submitted=self._begin(data).id)

    def _tell(self, **values: Any) -> None:
        with self._lock:
            if self._view is not None:
                self._view.state(**values)


def as_json(data: dict[str, Any]) -> dict[str, Any]:
    """Return a mapping as a message can carry it: YAML's dates, and a notebook's functions and tables, as texts."""
    made: dict[str, Any] = json.loads(json.dumps(data, default=str))
    return made


def names() -> dict[str, Any]:
    """Return the notebook's variables, as the magics have them."""
    from IPython import get_ipython

    shell = get_ipython()
    return shell.user_ns if shell is not None else {}


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


def dataset_choices(*techniques: str) -> list[dict[str, Any]]:
    """Return the newest version of each dataset for one of these techniques, the newest first."""
    found = [versions.every(name)[-1] for name in versions.names()]
    found = [version for version in found if version.technique in techniques]
    return [
        {"name": version.label, "technique": version.technique, "rows": version.rows}
        for version in sorted(found, key=lambda version: version.created, reverse=True)
    ]
