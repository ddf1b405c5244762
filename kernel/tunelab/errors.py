"""What tunelab refuses: every refusal is an `Error` whose one line says what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class Error(Exception):
    """A call that cannot work. The message is one line for the reader: what is wrong, where, and what to do."""

    def __init__(self, message: str) -> None:
        # Names that users give and what libraries say may have line breaks in them.
        super().__init__(" ".join(line.strip() for line in message.splitlines()))

    def _render_traceback_(self) -> list[str]:
        """Show one line in a notebook's cell: IPython asks an exception for its traceback by this name."""
        return [f"{type(self).__name__}: {self}"]


class SpecError(Error):
    """A spec that asks for something that does not exist or cannot be: an unknown key, a value out of range."""


class DataError(Error):
    """A dataset that cannot be trained on. The message names the row (counted from 1) and the field.

    `report` is the `tunelab.data.report.Report` on all rows where they were checked, else None.
    """

    def __init__(self, message: str, report: Any = None) -> None:
        super().__init__(message)
        self.report = report


class ModelError(Error):
    """A model that cannot be found, read, or trained."""


class JobError(Error):
    """A job that does not exist, or that cannot do what is asked of it in its present state."""


class Timeout(Error):
    """`job.wait(timeout=…)` ran out of time; the job itself goes on."""


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the choice nearest to `word`, or an empty string where none is near."""
    pool = sorted(choices)
    near = difflib.get_close_matches(word, pool, n=1, cutoff=0.6)
    if not near:
        lowered = {choice.lower(): choice for choice in pool}
        near = [lowered[hit] for hit in difflib.get_close_matches(word.lower(), list(lowered), n=1, cutoff=0.6)]
    return f" Did you mean '{near[0]}'?" if near else ""


def listing(choices: Iterable[str], limit: int = 12) -> str:
    """Return the choices as prose, cut after `limit` of them."""
    pool = sorted(choices)
    shown = ", ".join(pool[:limit])
    return f"{shown}, … ({len(pool)} in all)" if len(pool) > limit else shown
