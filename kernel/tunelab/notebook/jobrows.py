"""The rows of the list of jobs: a journal is read once, and what cannot change any more is kept in a cache.

A workspace may hold a thousand jobs, of which a few go on. So only those few are looked at again and again; the folder
of jobs is listed where its time of change says that jobs came or went; and the rows of jobs that have ended are kept in
the workspace's ``cache/job-rows-VERSION.json``, each with its journal's time of change and size, and its results'. That
file may be deleted at any time; without it the journals are read by and by, the newest first.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tunelab import workspace
from tunelab.evaluation.results import SUMMARY
from tunelab.jobs import folder as folders
from tunelab.jobs.curves import Curves
from tunelab.jobs.journal import Event
from tunelab.jobs.manager import Job
from tunelab.jobs.view import ENDED
from tunelab.notebook.snapshot import HEADLINE, headline, present

#: Raised with every change of what a row holds: rows that were kept before are read anew.
FORM = 1

_SPARK_POINTS = 48
#: A folder that changed twice within a tick of the filesystem's clock bears one time: a late one is no proof.
_SETTLED_NS = 2_000_000_000
#: The cache is a megabyte: a sweep of many short jobs writes it no more often than this.
_KEEP_EVERY_S = 10.0
#: After so many looks in a row that failed, a job has no row any more.
_FAILURES = 20

Row = dict[str, Any]
#: The journal's time of change and size, and the time of change of an evaluation's results: scores may be overruled.
Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Change:
    """What a look has found."""

    #: Rows that are new or not as they were.
    rows: list[Row]
    #: The ids of all rows, newest first, where that is not as it was.
    order: list[str] | None
    #: How many jobs are still to be read.
    left: int


class JobRows:
    """The jobs of one workspace as rows, newest first. Not safe for several threads at once."""

    def __init__(self, space: workspace.Workspace) -> None:
        self._jobs = space.jobs
        self._cache = _Cache(space.root / "cache" / f"job-rows-{version('tunelab')}.json")
        self._listed_at: int | None = None
        self._made: dict[str, tuple[str, str, int]] = {}
        self._order: list[str] = []
        self._rows: dict[str, Row] = {}
        #: Jobs that go on, or whose end is still to be told to MLflow.
        self._followed: dict[str, _Reader] = {}
        #: The newest last, so that it is taken first.
        self._unread: list[str] = []

    @property
    def order(self) -> list[str]:
        """The ids of the rows, newest first."""
        return [job_id for job_id in self._order if job_id in self._rows]

    @property
    def left(self) -> int:
        """How many jobs are still to be read."""
        return len(self._unread)

    def rows(self) -> list[Row]:
        """Return the rows, newest first."""
        return [self._rows[job_id] for job_id in self.order]

    def look(self, for_s: float) -> Change:
        """Return what is new; journals that were never read are read for no longer than so many seconds."""
        until = time.monotonic() + for_s
        before = self._rows.keys() | set()
        changed = self._list()
        for job_id in list(self._followed):
            changed += self._read(job_id)
        while self._unread and time.monotonic() < until:
            changed += self._read(self._unread.pop())
        if not self._unread:
            self._cache.keep()
        return Change(changed, self.order if self._rows.keys() != before else None, self.left)

    def _list(self) -> list[Row]:
        """Take in which jobs came and went; return the rows of those that came and are known."""
        at = self._jobs.stat().st_mtime_ns
        if at == self._listed_at:
            return []
        self._listed_at = at if time.time_ns() - at > _SETTLED_NS else None
        found = set(folders.ids(self._jobs))
        came = found - self._made.keys()
        for job_id in self._made.keys() - found:
            del self._made[job_id]
            self._rows.pop(job_id, None)
            self._followed.pop(job_id, None)
            self._cache.forget(job_id)
        for job_id in came:
            self._made[job_id] = folders.made(self._jobs, job_id)
        self._order = sorted(self._made, key=self._made.__getitem__, reverse=True)
        known = {job_id: row for job_id in came if (row := self._cache.row(job_id, self._jobs)) is not None}
        self._rows |= known
        self._unread = [job_id for job_id in self._unread if job_id in found]
        self._unread += came - known.keys()
        self._unread.sort(key=self._made.__getitem__)
        return list(known.values())

    def _read(self, job_id: str) -> list[Row]:
        """Read what is new of a job; return its row where that is not as it was."""
        reader = self._followed.get(job_id) or _Reader(folders.JobFolder(self._jobs / job_id))
        self._followed[job_id] = reader
        try:
            row, is_final = reader.read()
        except Exception:
            # Removed at this moment, which the next list says; or damaged, which must not hide the others.
            reader.failures += 1
            if reader.failures == 1 and reader.job.folder.path.exists():
                logging.getLogger("tunelab").exception("Job %s cannot be shown in the list", job_id)
            if reader.failures >= _FAILURES:
                del self._followed[job_id]
            return []
        reader.failures = 0
        if is_final:
            del self._followed[job_id]
            self._cache.take(job_id, reader.stamp, row)
        if row == self._rows.get(job_id):
            return []
        self._rows[job_id] = row
        return [row]


class _Reader:
    """One job that is read: its row holds the headline curve as points of a sparkline, and the figures that matter."""

    def __init__(self, folder: folders.JobFolder) -> None:
        self._curves = Curves()
        self.job = Job(folder, hear=self._hear)
        #: As of the last reading.
        self.stamp: Stamp = (-1, -1, -1)
        self.failures = 0

    @cached_property
    def _name(self) -> str:
        """The metric of the sparkline; an evaluation has none."""
        return HEADLINE.get(self.job.spec.get("technique", ""), "")

    def _hear(self, event: Event) -> None:
        if event["type"] != "metric":
            self._curves.fold(event)
        elif (name := self._name) in event["values"]:
            self._curves.fold(event | {"values": {name: event["values"][name]}})

    def read(self) -> tuple[Row, bool]:
        """Return the row now, and whether it stays as it is."""
        # Looked at before the journal, where the version stands before this goes.
        is_pending = self.job.folder.pending.exists()
        self.stamp = _stamp(self.job.folder.path)
        view = self.job.view()
        name = self._name
        curve = self._curves.get(name)
        # In the digits that a line of a few pixels can show.
        spark = (
            [[step, float(f"{value:.4g}")] for step, value in curve.thinned(_SPARK_POINTS) if value == value]
            if curve
            else []
        )
        shown = [f"eval_{name}", name, "eval_loss", "loss"]
        metrics = [
            {"name": metric, "value": view.metrics[metric][0], "step": view.metrics[metric][1]}
            for metric in dict.fromkeys(shown)
            if metric in view.metrics
        ]
        now = present(self.job, view)
        # The seconds of one that goes on would be news at every look.
        elapsed = now["elapsed_s"] if view.has_ended else None
        row = now | {"metrics": metrics, "elapsed_s": elapsed, "spark": spark, "headline": headline(self.job, view)}
        return row, view.has_ended and not is_pending


class _Cache:
    """Rows of jobs that have ended, on the disk. What cannot be read there is read from the journals."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, tuple[Stamp, Row]] = {}
        self._is_new = False
        self._kept_at = 0.0
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            told = json.loads(path.read_text(encoding="utf-8"))
            if told["form"] == FORM:
                self._known = {
                    job_id: ((int(stamp[0]), int(stamp[1]), int(stamp[2])), row)
                    for job_id, (stamp, row) in told["rows"].items()
                    if row["id"] == job_id and row["state"] in ENDED
                }

    def row(self, job_id: str, jobs: Path) -> Row | None:
        """Return a job's row, if its journal and results are as they were."""
        known = self._known.get(job_id)
        return known[1] if known is not None and known[0] == _stamp(jobs / job_id) else None

    def take(self, job_id: str, stamp: Stamp, row: Row) -> None:
        """Keep a row that stays as it is."""
        self._known[job_id] = (stamp, row)
        self._is_new = True

    def forget(self, job_id: str) -> None:
        """Keep the row of a job that was removed no more; the file may have it until it is written again."""
        self._known.pop(job_id, None)

    def keep(self) -> None:
        """Write what is new, unless that was done a moment ago."""
        now = time.monotonic()
        if not self._is_new or (self._kept_at and now - self._kept_at < _KEEP_EVERY_S):
            return
        self._is_new, self._kept_at = False, now
        # A disk that is full, or a workspace that may only be read, costs the next kernel its quick start, no more.
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            told = {"form": FORM, "rows": self._known}
            workspace.write_text(self._path, json.dumps(told, ensure_ascii=False, separators=(",", ":")))


def _stamp(folder: Path) -> Stamp:
    try:
        journal = os.stat(folder / "journal.jsonl")
    except FileNotFoundError:
        return (-1, -1, -1)
    try:
        results = os.stat(folder / "results" / SUMMARY).st_mtime_ns
    except OSError:
        results = -1
    return journal.st_mtime_ns, journal.st_size, results
