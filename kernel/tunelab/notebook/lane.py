"""Answers to views in a thread of their own: what is wanted last comes first, and what is wanted again waits once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, Protocol

from tunelab.errors import Error


class Noticing(Protocol):
    """Who is told why something could not be done."""

    def notice(self, text: str) -> None:
        """Say why something that this view asked for could not be done."""


class Lane:
    """Work for views, one after the other.

    Parameters
    ----------
    name
        The thread's.
    what, why_gone
        What is read for them, and why a file of it may not be there.
    """

    def __init__(self, name: str, what: str, why_gone: str) -> None:
        self._name = name
        self._what = what
        self._why_gone = why_gone
        self._wanted: dict[tuple[Any, ...], tuple[Noticing | None, Callable[[], None]]] = {}
        self._is_busy = False
        self._lock = threading.Lock()

    def want(self, which: tuple[Any, ...], work: Callable[[], None], view: Noticing | None = None) -> None:
        """Do this soon, in place of what the view wanted of the same kind and still waits; why not, it is told."""
        with self._lock:
            self._wanted.pop((id(view), *which), None)
            self._wanted[id(view), *which] = (view, work)
            if self._is_busy:
                return
            self._is_busy = True
        threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def waits(self, which: tuple[Any, ...], view: Noticing | None = None) -> bool:
        """Tell whether the view wants the like again by now."""
        return (id(view), *which) in self._wanted

    def forget(self, view: object) -> None:
        """Do nothing more for a view."""
        with self._lock:
            self._wanted = {which: wanted for which, wanted in self._wanted.items() if wanted[0] is not view}

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._wanted:
                    self._is_busy = False
                    return
                view, work = self._wanted.pop(next(reversed(self._wanted)))
            try:
                work()
            except Exception as error:
                if not isinstance(error, (Error, FileNotFoundError)):
                    # In a thread nobody else would tell the reader; the log has the whole of it.
                    logging.getLogger("tunelab").exception("%s could not be shown", self._what.capitalize())
                if view:
                    view.notice(self._why(error))

    def _why(self, error: Exception) -> str:
        if isinstance(error, Error):
            return str(error)
        why = self._why_gone if isinstance(error, FileNotFoundError) else f"{type(error).__name__}: {error}"
        return f"The {self._what} cannot be read: {why}"
