"""What jobs say of models: which evaluations judged a model, and how they ended.

The results of an evaluation are read when they are there, and again when somebody has overruled a score.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunelab.jobs.folder import JobFolder
from tunelab.notebook.jobrecords import JobRecords
from tunelab.notebook.shared import per_workspace

#: `tunelab.evaluation.results.SUMMARY`, in a folder of results; that module is for workers.
_SUMMARY = Path("results") / "summary.json"


@dataclass
class Judged:
    """An evaluation, with what it found so far."""

    job: str
    folder: Path
    models: tuple[str, ...]
    submitted: float
    dataset: str
    method: str = ""
    rows: tuple[dict[str, Any], ...] = ()
    at: int = -1

    def read(self) -> bool:
        """Read the results if they have changed; return whether they had."""
        try:
            at = (self.folder / _SUMMARY).stat().st_mtime_ns
            if at == self.at:
                return False
            found = json.loads((self.folder / _SUMMARY).read_text(encoding="utf-8"))
            self.rows, self.at = tuple(found["summary"]), at
            self.method = str(found.get("method") or self.method)
        except (OSError, ValueError, KeyError, TypeError):
            # Not there yet, or gone with its job.
            return False
        return True

    def names(self, label: str) -> bool:
        """Tell whether this evaluation is of a model, or of one of its checkpoints."""
        return any(model == label or model.startswith(f"{label}:") for model in self.models)


class JobNotes:
    """The evaluations of a workspace, kept up with its jobs' folder."""

    def __init__(self) -> None:
        self._records = JobRecords(_read)
        self._lock = threading.Lock()

    def refresh(self) -> list[Judged]:
        """Return the evaluations, newest first; folders are looked into only where jobs came or went."""
        with self._lock:
            found = [one for one in self._records.read().values() if one is not None]
            for one in found:
                if one.at == -1:
                    one.read()
            return sorted(found, key=lambda one: one.submitted, reverse=True)

    def of(self, label: str) -> list[Judged]:
        """Return the evaluations of a model, newest first, as they stand now."""
        found = [one for one in self.refresh() if one.names(label)]
        for one in found:
            one.read()
        return found


def _read(folder: JobFolder) -> Judged | None:
    facts = folder.facts()
    # Customizations note rows that they train on; these note models.
    models = facts.get("models")
    if not isinstance(models, list) or "train_rows" in facts:
        return None
    given = facts.get("given") or {}
    return Judged(
        job=folder.id,
        folder=folder.path,
        models=tuple(str(model) for model in models),
        submitted=float(facts["submitted_ns"]) / 1e9,
        dataset=next(iter(facts.get("digests") or {}), None) or str(given.get("dataset") or _tasks(given)),
        method=str(given.get("method") or ""),
    )


def _tasks(given: dict[str, Any]) -> str:
    """Return the tasks of a benchmark, which has no dataset."""
    tasks = (given.get("benchmark") or {}).get("tasks") or []
    return ", ".join(str(task) for task in tasks)


@per_workspace
def job_notes() -> JobNotes:
    """Return the current workspace's, shared by all pages."""
    return JobNotes()
