"""What jobs' records say, read once a job: a record never changes once it is submitted.

A record is the spec and the facts that were noted beside it; how a job goes on is in its journal, which is not read
here.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml

from tunelab import workspace
from tunelab.jobs.folder import JobFolder
from tunelab.notebook.files import Stamp, stamp

T = TypeVar("T")


#: A folder that changed twice within a tick of the filesystem's clock bears one time: a late one is no proof.
_SETTLED_NS = 2_000_000_000


class JobRecords(Generic[T]):
    """What `read` makes of each job's record, kept up with the workspace's folder of jobs. Safe for several threads.

    Parameters
    ----------
    read
        Given a job's folder. A job of which it cannot read the record, since it is damaged or goes away, is left out.
    """

    def __init__(self, read: Callable[[JobFolder], T]) -> None:
        self._read_one = read
        self._by_id: dict[str, T] = {}
        self._at: Stamp | None = None
        self._lock = threading.RLock()

    def read(self) -> dict[str, T]:
        """Return what is known by job: the same object until jobs come or go."""
        jobs = workspace.current().jobs
        with self._lock:
            at = stamp(jobs)
            if at != self._at:
                self._list(jobs)
                self._at = at if at and time.time_ns() - at[0] > _SETTLED_NS else None
            return self._by_id

    def _list(self, jobs: Path) -> None:
        found: dict[str, T] = {}
        for name in _names(jobs):
            if name in self._by_id:
                found[name] = self._by_id[name]
                continue
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
                found[name] = self._read_one(JobFolder(jobs / name))
        if found.keys() != self._by_id.keys():
            self._by_id = found


def _names(jobs: Path) -> list[str]:
    try:
        with os.scandir(jobs) as entries:
            return [entry.name for entry in entries if not entry.name.startswith(".")]
    except FileNotFoundError:
        # No job yet.
        return []


def given(spec: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """Return what was said when a job was asked for, by its resolved spec and its facts."""
    # Jobs of the first release noted no more than the resolved spec.
    return facts.get("given") or {key: value for key, value in spec.items() if value is not None}
