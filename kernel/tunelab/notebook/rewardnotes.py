"""What jobs say of what scored their answers, read once a job: reward prompts, functions and presets.

A job's record never changes once it is submitted, so each is read once for all pages, when the folder of the jobs has
changed; the spec only of a job that scores answers.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tunelab import workspace
from tunelab.data import versions
from tunelab.errors import DataError


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
        self._seen: dict[str, tuple[Scored, ...]] = {}
        self._at: int | None = None
        self._found: tuple[Scored, ...] = ()
        self._lock = threading.Lock()

    def refresh(self) -> tuple[Scored, ...]:
        """Return what scored, the newest job first: the same object until jobs come or go."""
        folder = workspace.current().jobs
        with self._lock:
            try:
                at = folder.stat().st_mtime_ns
                if at != self._at:
                    with os.scandir(folder) as entries:
                        names = [entry.name for entry in entries if not entry.name.startswith(".")]
                    self._seen = {
                        name: self._seen[name] if name in self._seen else _read(folder / name) for name in names
                    }
                    found = [one for scored in self._seen.values() for one in scored]
                    self._found = tuple(sorted(found, key=lambda one: one.use.submitted, reverse=True))
                    self._at = at
            except FileNotFoundError:
                # No job yet.
                self._found = ()
            return self._found


def _read(folder: Path) -> tuple[Scored, ...]:
    try:
        facts = json.loads((folder / "submitted.json").read_text(encoding="utf-8"))
        given = facts.get("given") or {}
        digests = facts.get("reward") or facts.get("scoring") or {}
        if not (digests or given.get("reward") or given.get("scorer")):
            return ()
        text = (folder / "spec.yaml").read_text(encoding="utf-8")
        spec = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        is_evaluation = spec.get("kind") == "evaluate"
        use = Use(folder.name, folder, is_evaluation, float(facts["submitted_ns"]) / 1e9)
        parts = spec.get("scorer" if is_evaluation else "reward") or []
        found = [_part(use, part, digests) for part in (parts if isinstance(parts, list) else [parts])]
        return tuple(dict.fromkeys(one for one in found if one is not None))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        # Damaged, or gone while it was read.
        return ()


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


def newest_dataset(*techniques: str) -> str | None:
    """Return the name of the newest dataset for one of these techniques."""
    found = []
    for name in versions.names():
        try:
            found.append(versions.load(name, versions.numbers(name)[-1]))
        except (DataError, FileNotFoundError, IndexError):
            # Damaged, or deleted while it was looked for: another will do.
            continue
    fit = [one for one in found if one.technique in techniques]
    return max(fit, key=lambda one: one.created).name if fit else None


_notes: dict[str, RewardNotes] = {}
_guard = threading.Lock()


def reward_notes() -> RewardNotes:
    """Return the current workspace's, shared by all pages."""
    with _guard:
        return _notes.setdefault(str(workspace.current().root), RewardNotes())


__all__ = ["RewardNotes", "Scored", "Use", "day", "newest_dataset", "reward_notes"]
