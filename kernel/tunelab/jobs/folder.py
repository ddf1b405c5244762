"""A job's folder: its spec, its journal, its locks, and the two files by which processes talk to each other."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tunelab import workspace
from tunelab.errors import JobError, did_you_mean
from tunelab.jobs.journal import Journal
from tunelab.jobs.locks import Held, is_held, try_hold

#: The file in a checkpoint's folder that says that all of it is on the disk.
COMPLETE = ".complete"
#: The folder beside the checkpoints in which one is written.
UNFINISHED = ".writing"
#: A list of a thousand jobs reads as many specs: libyaml's loader takes a tenth of the time where it is there.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*-\d{8}-\d{6}-[0-9a-f]{4}")


@dataclass(frozen=True)
class JobFolder:
    """The paths of one job, ``jobs/ID/``."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def spec_file(self) -> Path:
        return self.path / "spec.yaml"

    @property
    def journal(self) -> Path:
        return self.path / "journal.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def adapter(self) -> Path:
        """What is registered: the adapter, or full weights."""
        return self.path / "adapter"

    @property
    def worker_log(self) -> Path:
        return self.path / "worker.log"

    @property
    def runner_log(self) -> Path:
        return self.path / "runner.log"

    @property
    def runner_lock(self) -> Path:
        """Held by the runner while it lives."""
        return self.path / "runner.lock"

    @property
    def worker_lock(self) -> Path:
        """Held by the worker while it lives."""
        return self.path / "worker.lock"

    @property
    def cancel_request(self) -> Path:
        """Its existence asks the runner to end the job."""
        return self.path / "cancel"

    @property
    def pause_request(self) -> Path:
        """Its existence asks the runner to stop the work until it is resumed."""
        return self.path / "pause"

    @property
    def pending(self) -> Path:
        """What is to be told to MLflow at the end of the work; there until it was."""
        return self.path / "pending.json"

    @property
    def reserve(self) -> Path:
        """Room on the disk for the job's last words, given up when there is no other."""
        return self.path / "reserve"

    @property
    def first_step(self) -> Path:
        """Why the job is out of memory, there while the worker tries its first step: a killed one cannot say it."""
        return self.path / "first_step.txt"

    @property
    def outcome(self) -> Path:
        """Written by the worker as its last act; a worker that leaves none has died."""
        return self.path / "outcome.json"

    def spec(self) -> dict[str, Any]:
        """Return the resolved spec."""
        loaded: dict[str, Any] = yaml.load(self.spec_file.read_text(encoding="utf-8"), _LOADER)
        return loaded

    def write_spec(self, spec: dict[str, Any]) -> None:
        """Write the resolved spec."""
        workspace.write_text(self.spec_file, yaml.safe_dump(spec, sort_keys=False, allow_unicode=True))

    def facts(self) -> dict[str, Any]:
        """Return what was noted at submit beside the spec: user, commit, tracking store, resolved model."""
        loaded: dict[str, Any] = json.loads((self.path / "submitted.json").read_text(encoding="utf-8"))
        return loaded

    def checkpoint_steps(self) -> list[int]:
        """Return the steps of the complete checkpoints, in order."""
        found = self.checkpoints.glob(f"step-*/{COMPLETE}")
        return sorted(int(path.parent.name.removeprefix("step-")) for path in found)

    def newest_step(self) -> int:
        """Return the step of the newest complete checkpoint; 0 where there is none."""
        return max(self.checkpoint_steps(), default=0)

    def checkpoint(self, step: int) -> Path:
        """Return the folder of the checkpoint of a step."""
        return self.checkpoints / f"step-{step}"

    def has_process(self) -> bool:
        """Tell whether a runner or a worker of this job lives."""
        return is_held(self.runner_lock) or is_held(self.worker_lock)


def disk_bytes(folder: Path) -> int:
    """Return what the files in a folder take on the disk."""
    total = 0
    # Checkpoints come and go while one looks: `os.walk` passes over a folder that is gone, where `rglob` fails.
    for path, _, files in os.walk(folder):
        for file in files:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(path, file)).st_blocks * 512
    return total


def create(
    name: str, spec: dict[str, Any], facts: dict[str, Any], files: dict[str, str] | None = None
) -> tuple[JobFolder, Held]:
    """Make a new job's folder, queued; return it and its runner's lock, so that nobody else gives it a runner.

    The id is NAME-DATE-TIME-XXXX, so ids sort by time per name. `files` are texts by their names: ``reward.py``.

    Raises
    ------
    JobError
        If the folder cannot be written.
    """
    stamp = dt.datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = JobFolder(workspace.current().jobs / f"{name}-{stamp}-{secrets.token_hex(2)}")
    aside = JobFolder(folder.path.with_name(f".{folder.id}"))
    try:
        aside.path.mkdir(mode=0o700)
        aside.write_spec(spec)
        workspace.write_json(aside.path / "submitted.json", facts)
        for file, text in (files or {}).items():
            workspace.write_text(aside.path / file, text)
        Journal(aside.journal, "runner").append("state", state="queued", reason=None)
        lock = try_hold(aside.runner_lock)
        aside.path.rename(folder.path)
    except OSError as error:
        shutil.rmtree(aside.path, ignore_errors=True)
        raise JobError(f"The job could not be written to {folder.path.parent}: {error.strerror}.") from error
    assert lock is not None
    return folder, Held(lock.fd, folder.runner_lock)


def find(job_id: str) -> JobFolder:
    """Return the folder of a job.

    Raises
    ------
    JobError
        If the workspace has no such job.
    """
    path = workspace.current().jobs / job_id
    if not _ID.fullmatch(job_id) or not (path / "spec.yaml").is_file():
        hint = did_you_mean(job_id, [folder.id for folder in every()]) or " tl.jobs() lists them."
        raise JobError(f"There is no job '{job_id}'.{hint}")
    return JobFolder(path)


def every() -> list[JobFolder]:
    """Return the folders of all jobs, newest first."""
    jobs = workspace.current().jobs
    return [
        JobFolder(jobs / job_id) for job_id in sorted(ids(jobs), key=lambda job_id: made(jobs, job_id), reverse=True)
    ]


def ids(jobs: Path) -> list[str]:
    """Return the ids of the jobs in a workspace's folder of jobs, in no order."""
    with os.scandir(jobs) as entries:
        return [entry.name for entry in entries if _ID.fullmatch(entry.name)]


def made(jobs: Path, job_id: str) -> tuple[str, str, int]:
    """Return when a job was submitted: by its id, and within one second by its first file."""
    _, day, clock, _ = job_id.rsplit("-", 3)
    try:
        return day, clock, os.stat(jobs / job_id / "submitted.json").st_mtime_ns
    except FileNotFoundError:
        # A job may be removed by another process at this moment.
        return day, clock, 0
