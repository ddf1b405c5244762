"""Jobs beside each other on show: what differs in their specs, with results that follow while they train."""

from __future__ import annotations

import json
from typing import Any

from tunelab.comparison import Comparison
from tunelab.errors import Error, JobError
from tunelab.jobs import manager
from tunelab.jobs.manager import Job
from tunelab.jobs.view import sentence
from tunelab.notebook import live
from tunelab.notebook.datasets import plain


class ComparisonPage(live.Listing):
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

    every_s = 1.0

    def __init__(self, jobs: list[str]) -> None:
        super().__init__()
        if not isinstance(jobs, list) or not jobs or not all(isinstance(job, str) for job in jobs):
            raise JobError("A comparison takes the ids of two jobs or more.")
        self._ids = list(dict.fromkeys(jobs))
        self._found: dict[str, Job] = {}

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
