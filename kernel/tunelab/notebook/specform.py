"""A form that writes a spec: what is typed is answered with what is wrong, the cell, and what it would take.

What the page types is a spec's mapping with only what was said. Each change is answered with all that is known at once;
a submit is the real start, through the same call as a cell's.
"""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from tunelab.jobs.manager import Job
from tunelab.notebook.datasets import View, apart, plain


class SpecForm(ABC):
    """A form on show in one view.

    Parameters
    ----------
    data
        What it begins with.
    """

    def __init__(self, data: dict[str, Any]) -> None:
        self._view: View | None = None
        self._turn = 0
        self._shown: dict[str, Any] = {}
        self._busy = False
        self._lock = threading.RLock()
        self._data = data

    @abstractmethod
    def _known(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return all that is told of what was typed."""

    @abstractmethod
    def _of_cell(self, text: str) -> dict[str, Any]:
        """Return what a form begins with that a cell opens."""

    @abstractmethod
    def _begin(self, data: dict[str, Any]) -> Job:
        """Start the job."""

    @abstractmethod
    def _check(self, data: dict[str, Any]) -> None:
        """Look at all that a start would, and start nothing."""

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
        data = self._of_cell(text)
        self._tell(data=as_json(data), refused=None, **self._known(data))

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
