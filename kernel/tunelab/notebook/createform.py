"""A dataset that is being created in a form: its file is looked at, checked after each answer, and then kept."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from tunelab import workspace
from tunelab.data import Dataset, create, formats
from tunelab.data.report import FIXES, fixes
from tunelab.errors import DataError
from tunelab.notebook.datasets import View, apart, plain

_SAMPLE = 5
_HEAD = 100

#: What may be there besides the form's own fields.
_OPTIONAL = {
    technique: ["id", "system", "metadata"] if technique == "evaluation" else ["tools"] for technique in formats.FORMS
}


class _SupersededError(Exception):
    """A later check has begun, or nobody looks any more."""


class CreateForm:
    """The form on show in one view; a check or a creation ends the check that runs.

    Parameters
    ----------
    source
        The file, or nothing where it is still to be chosen.
    """

    def __init__(self, source: str | None = None) -> None:
        self._source = source
        self._view: View | None = None
        self._turn = 0
        self._is_creating = False
        self._looked_at: tuple[str, int] | None = None
        self._lock = threading.RLock()

    def add(self, view: View) -> None:
        """Show the form, and check the file if there is one."""
        with self._lock:
            self._view = view
            view.state(
                form={
                    "techniques": list(formats.FORMS),
                    "fields": {name: [list(form) for form in forms] for name, forms in formats.FORMS.items()},
                    "optional": _OPTIONAL,
                    "fixes": FIXES,
                },
                source=self._source or "",
                columns=[],
                sample=[],
                report=None,
                refused=None,
                checking=None,
                creating=False,
                created=None,
                name=_name_for(self._source) if self._source else "",
            )
        if self._source:
            self.command(view, {"type": "check", "source": self._source, "technique": None, "columns": {}})

    def remove(self, view: View) -> None:
        """Show it no more: a check that runs is stopped, a creation is not."""
        with self._lock:
            self._view = None
            self._turn += 1

    def command(self, view: View, content: dict[str, Any]) -> None:
        """Do what the view asks for: ``check`` or ``create``; neither is waited for."""
        source, technique = str(content["source"]), content["technique"]
        columns = {str(field): str(column) for field, column in content["columns"].items() if column}
        with self._lock:
            if self._is_creating:
                return
            self._turn += 1
            turn, self._is_creating = self._turn, content["type"] == "create"
        if content["type"] == "check":
            self._tell(turn, checking={"rows": 0}, refused=None)
            self._start(turn, lambda: self._check(turn, source, technique, columns))
        else:
            name, fix = str(content["name"]), list(content["fix"])
            self._tell(turn, creating=True, checking={"rows": 0}, refused=None)
            self._start(turn, lambda: self._create(turn, name, source, technique, columns, fix))

    def _start(self, turn: int, work: Callable[[], None]) -> None:
        def begun() -> None:
            try:
                work()
            except _SupersededError:
                return
            except DataError as error:
                report = error.report and error.report.as_json()
                # How Python says it is of no use here: the form maps columns by itself.
                reason = re.sub(r" columns=\{.*\} maps .*$", "", str(error))
                self._tell(turn, refused=reason, report=report, checking=None, creating=False)

        apart(begun, lambda reason: self._tell(turn, refused=reason, checking=None, creating=False))

    def _check(self, turn: int, source: str, technique: str | None, columns: dict[str, str]) -> None:
        self._look_at(turn, source)
        report = Dataset.check(_file(source), technique, columns or None, say=self._progress(turn))
        self._tell(turn, report=report.as_json(), checking=None)

    def _create(
        self, turn: int, name: str, source: str, technique: str | None, columns: dict[str, str], fix: list[str]
    ) -> None:
        create.valid_name(name)
        create.valid_technique(technique)
        with create.opened(_file(source), name) as rows:
            made = create.store(
                name,
                rows,
                technique,
                columns or None,
                fixes(fix),
                lambda count: self._tell(turn, checking={"rows": count}),
            )
        self._tell(turn, created=made.label, creating=False, checking=None)

    def _look_at(self, turn: int, source: str) -> None:
        """Tell of the file's first rows and their columns, once a file."""
        try:
            at = (source, os.stat(_file(source)).st_mtime_ns)
        except OSError:
            at = (source, 0)
        if at == self._looked_at:
            return
        self._tell(turn, source=source, name=_name_for(source), columns=[], sample=[], report=None)
        with create.opened(_file(source), "rows") as rows:
            head = list(islice(rows.rows, _HEAD))
        self._looked_at = at
        self._tell(turn, columns=_columns(head), sample=[plain(row) for row in head[:_SAMPLE]])

    def _progress(self, turn: int) -> Callable[[int], None]:
        def say(count: int) -> None:
            with self._lock:
                if self._turn != turn:
                    raise _SupersededError
            self._tell(turn, checking={"rows": count})

        return say

    def _tell(self, turn: int, **values: Any) -> None:
        with self._lock:
            if self._turn != turn:
                return
            # First: what the view asks for as soon as it is told is heard.
            if values.get("creating") is False:
                self._is_creating = False
            if self._view is not None:
                self._view.state(**values)


def _file(source: str) -> Path:
    """Return the path that is meant; a page knows Jupyter's folder by ``~`` where it is in the user's own.

    Raises
    ------
    DataError
        If none is named, or something of the hub.
    """
    if not source.strip():
        raise DataError("Choose the file that the dataset is made from.")
    path = Path(os.path.expanduser(source))
    if not path.exists() and create.is_hub_id(source):
        raise DataError(
            f"There is no file {source}. A dataset of the hub is made in a notebook: "
            f"tl.Dataset.create('{_name_for(source)}', '{source}')."
        )
    return path


def _name_for(source: str) -> str:
    return workspace.slug(Path(source).stem)


def _columns(head: list[dict[str, Any]]) -> list[str]:
    """Return the columns of the first rows, each mapping's keys after it."""
    found: dict[str, None] = {}
    for row in head:
        for name, value in row.items():
            found.setdefault(str(name))
            for key in value if isinstance(value, dict) else ():
                found.setdefault(f"{name}.{key}")
    return list(found)


__all__ = ["CreateForm"]
