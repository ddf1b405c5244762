"""What goes on while nobody looks: how many jobs have not ended, and the end of each one that was seen before it.

It listens to the list of jobs, and is in no hurry: journals that no kernel has read yet are read by and by.
"""

from __future__ import annotations

from typing import Any, Protocol

from tunelab.jobs.view import ENDED
from tunelab.notebook.joblist import JobList, job_list
from tunelab.notebook.jobrows import Row
from tunelab.notebook.live import OnShow
from tunelab.notebook.shared import per_workspace


class View(Protocol):
    """Who is told."""

    def state(self, **values: Any) -> None:
        """Show these values in place of the earlier ones."""

    def message(self, content: dict[str, Any]) -> None:
        """Take something that is no state: the end of a job."""


class Activity(OnShow):
    """The jobs of a workspace that have not ended, in numbers.

    Views get the trait ``activity``, ``{"jobs": 2, "evaluations": 1}``, and a message ``{"type": "ended", "job": …,
    "name": …, "kind": …, "state": …, "reason": …, "model_version": …}`` for each job that goes no further: completed,
    failed, or paused for a reason. What was asked for, a pause or a cancel, is no news.
    """

    #: `JobList` reads for those first who look at the list itself.
    is_patient = True

    def __init__(self, jobs: JobList) -> None:
        super().__init__()
        self._jobs = jobs
        #: The kind of each job that has not ended, by its id.
        self._going: dict[str, str] = {}
        #: Those of them that were told of as paused.
        self._paused: set[str] = set()

    def add(self, view: View) -> None:
        """Tell one more view, from now on."""
        with self._lock:
            is_first = not self._views
            self._views.append(view)
            if not is_first:
                view.state(activity=self._counts())
        # Outside the lock: the list holds its own while it tells of rows.
        if is_first:
            self._jobs.add(self)

    def remove(self, view: View) -> None:
        """Tell this view no more."""
        with self._lock:
            super().remove(view)
            is_last = not self._views
        if is_last:
            self._jobs.remove(self)

    def state(self, **values: Any) -> None:
        """Take the list as it is."""
        jobs: list[Row] | None = values.get("jobs")
        if jobs is not None:
            with self._lock:
                # What ended while nobody was told is no news.
                self._going = _going(jobs)
                self._paused = {row["id"] for row in jobs if _is_held(row)}
                self._tell_counts(self._counts())

    def rows(self, name: str, changed: list[Row], order: list[str] | None) -> None:
        """Take rows that are new or not as they were."""
        with self._lock:
            before = self._counts()
            for row in changed:
                if row["state"] in ENDED:
                    if self._going.pop(row["id"], None) is not None and row["state"] != "cancelled":
                        self._end(row)
                    self._paused.discard(row["id"])
                else:
                    is_known = row["id"] in self._going
                    self._going[row["id"]] = row["kind"]
                    if not _is_held(row):
                        self._paused.discard(row["id"])
                    elif row["id"] not in self._paused:
                        self._paused.add(row["id"])
                        if is_known:
                            self._end(row)
            if order is not None:
                there = set(order)
                self._going = {job: kind for job, kind in self._going.items() if job in there}
            after = self._counts()
            if after != before:
                self._tell_counts(after)

    def notice(self, text: str) -> None:
        """Do nothing: nothing was asked for."""

    def _end(self, row: Row) -> None:
        told = {key: row[key] for key in ("name", "kind", "state", "reason", "model_version")}
        for view in tuple(self._views):
            view.message({"type": "ended", "job": row["id"], **told})

    def _tell_counts(self, counts: dict[str, int]) -> None:
        for view in tuple(self._views):
            view.state(activity=counts)

    def _counts(self) -> dict[str, int]:
        evaluations = sum(kind == "evaluate" for kind in self._going.values())
        return {"jobs": len(self._going) - evaluations, "evaluations": evaluations}


def _going(rows: list[Row]) -> dict[str, str]:
    return {row["id"]: row["kind"] for row in rows if row["state"] not in ENDED}


def _is_held(row: Row) -> bool:
    """Tell whether a job was paused by something else than its user."""
    return row["state"] == "paused" and bool(row["reason"])


@per_workspace
def activity() -> Activity:
    """Return the current workspace's."""
    return Activity(job_list())
