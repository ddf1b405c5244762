"""Jobs beside each other on show: what differs in their specs, with results that follow while they train."""

from __future__ import annotations

import json
import threading
from typing import Any

from tunelab.comparison import Comparison
from tunelab.errors import Error, JobError
from tunelab.jobs import manager
from tunelab.jobs.manager import Job
from tunelab.jobs.view import sentence
from tunelab.notebook import live
from tunelab.notebook.datasets import plain

_LOOK_EVERY_S = 1.0


class ComparisonPage:
    """Two jobs or more in one view.

    Parameters
    ----------
    jobs
        Their ids, in the order of their colours.

    Raises
    ------
    JobError
        If these are no ids.
    """

    def __init__(self, jobs: list[str]) -> None:
        if not isinstance(jobs, list) or not jobs or not all(isinstance(job, str) for job in jobs):
            raise JobError("A comparison takes the ids of two jobs or more.")
        self._ids = list(dict.fromkeys(jobs))
        self._found: dict[str, Job] = {}
        self._views: list[live.View] = []
        self._shown: dict[str, Any] = {}
        self._has_ended = False
        self._lock = threading.RLock()

    def add(self, view: live.View) -> None:
        """Show the comparison in this view, from now on."""
        with self._lock:
            self.look()
            self._views.append(view)
            view.state(**self._shown)
        live.watch(self, _LOOK_EVERY_S)

    def remove(self, view: live.View) -> None:
        """Show it in this view no more."""
        with self._lock:
            if view in self._views:
                self._views.remove(view)

    def command(self, view: live.View, content: dict[str, Any]) -> None:
        """Do nothing: a comparison is only shown."""

    def look(self) -> None:
        """Tell the views what is new in the jobs."""
        with self._lock:
            present = self._present()
            changed = {key: value for key, value in present.items() if self._shown.get(key) != value}
            self._shown |= changed
            for view in tuple(self._views) if changed else ():
                view.state(**changed)

    def has_news(self) -> bool:
        """Return False: a second is soon enough for a table."""
        return False

    def wanted(self) -> bool:
        """Return whether there is anyone to tell; jobs may be removed at any time."""
        return bool(self._views)

    def _present(self) -> dict[str, Any]:
        jobs = [job for job in map(self._job, self._ids) if job is not None]
        compared = Comparison(jobs)
        there = [job.id for job in jobs]
        return {
            "differences": [row | {"values": plain(row["values"])} for row in compared.rows()],
            "removed": [job for job in self._ids if job not in there],
            "cell": f"import tunelab as tl\n\ntl.compare({', '.join(json.dumps(job) for job in there)})\n",
            # Last: the page opens with it.
            "jobs": [_described(job, name) for job, name in zip(jobs, compared.names, strict=True)],
        }

    def _job(self, job_id: str) -> Job | None:
        try:
            folder = manager.find(job_id).folder
        except Error:
            return None
        if not folder.journal.exists():
            return None
        return self._found.setdefault(folder.id, Job(folder))


def _described(job: Job, name: str) -> dict[str, Any]:
    view = job.view()
    return {
        "id": job.id,
        "name": name,
        "kind": job.spec["kind"],
        "technique": job.spec.get("technique") or job.spec["method"],
        "state": view.state,
        "sentence": sentence(view),
    }


__all__ = ["ComparisonPage"]
