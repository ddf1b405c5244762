"""What jobs say of what scored their answers: reward prompts, functions and presets.

The spec is read only of a job that scores answers.
"""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunelab.jobs.folder import JobFolder
from tunelab.notebook.jobrecords import JobRecords
from tunelab.notebook.shared import per_workspace


@dataclass(frozen=True)
class Use:
    """A job that was scored by something."""

    job: str
    folder: Path
    is_evaluation: bool
    submitted: float

    def row(self) -> dict[str, Any]:
        """Return the job as a page shows it."""
        return {"job": self.job, "evaluation": self.is_evaluation, "submitted": day(self.submitted)}


@dataclass(frozen=True)
class Scored:
    """A part of a job's reward or scorer: a ``prompt`` or ``preset`` by its name, or a ``function`` with its file."""

    use: Use
    kind: str
    name: str
    file: str = ""
    digest: str = ""


class RewardNotes:
    """What scored the jobs of a workspace, kept up with its jobs' folder."""

    def __init__(self) -> None:
        self._records = JobRecords(_read)
        self._read: dict[str, tuple[Scored, ...]] = {}
        self._found: tuple[Scored, ...] = ()
        self._lock = threading.Lock()

    def refresh(self) -> tuple[Scored, ...]:
        """Return what scored, the newest job first: the same object until jobs come or go."""
        with self._lock:
            read = self._records.read()
            if read is not self._read:
                found = [one for scored in read.values() for one in scored]
                self._found = tuple(sorted(found, key=lambda one: one.use.submitted, reverse=True))
                self._read = read
            return self._found


def _read(folder: JobFolder) -> tuple[Scored, ...]:
    facts = folder.facts()
    given = facts.get("given") or {}
    digests = facts.get("reward") or facts.get("scoring") or {}
    if not (digests or given.get("reward") or given.get("scorer")):
        return ()
    spec = folder.spec()
    is_evaluation = spec.get("kind") == "evaluate"
    use = Use(folder.id, folder.path, is_evaluation, float(facts["submitted_ns"]) / 1e9)
    parts = spec.get("scorer" if is_evaluation else "reward") or []
    found = [_part(use, part, digests) for part in (parts if isinstance(parts, list) else [parts])]
    return tuple(dict.fromkeys(one for one in found if one is not None))


def _part(use: Use, part: dict[str, Any], digests: dict[str, str]) -> Scored | None:
    for kind in ("prompt", "preset"):
        if kind in part:
            return Scored(use, kind, str(part[kind]))
    file = str(part["source"])
    # A file of the job's own folder, and no other: what a record names is not to be trusted with a path.
    if file not in digests or Path(file).name != file:
        return None
    return Scored(use, "function", str(part["name"]), file, str(digests[file]))


def day(seconds: float) -> str:
    """Return a time as pages take it."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="seconds")


@per_workspace
def reward_notes() -> RewardNotes:
    """Return the current workspace's, shared by all pages."""
    return RewardNotes()


__all__ = ["RewardNotes", "Scored", "Use", "day", "reward_notes"]
