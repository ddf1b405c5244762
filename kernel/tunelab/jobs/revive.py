"""A runner for every job that should have one: started by whoever finds it without, at most one at a time.

The finder takes the runner's lock, says in the journal what became of the job, and hands the lock to the runner that it
starts. So there is no moment in which a job that lives has no process, and none in which two runners work on it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from typing import Any

from tunelab import task, workspace
from tunelab.errors import JobError
from tunelab.jobs import folder as folders
from tunelab.jobs import locks, prepare
from tunelab.jobs.folder import JobFolder
from tunelab.jobs.journal import Journal, Reader, last_state
from tunelab.jobs.view import ENDED, JobView

_RESUME_WITHIN_S = 10.0

#: What is said of a job whose processes are all gone.
LOST = "Its processes ended without a word, as when the machine goes down."


def start_runner(folder: JobFolder, lock: locks.Held, ticket: locks.Held | None = None) -> None:
    """Start a runner that has the job's lock from the start, and its place in the queue if there is one."""
    inherited = [held.fd for held in (lock, ticket) if held is not None]
    with folder.runner_log.open("ab") as log:
        runner = subprocess.Popen(
            [sys.executable, "-P", "-m", "tunelab.jobs.runner", folder.id, *map(str, inherited)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder.path,
            env=_environment(folder),
            start_new_session=True,
            pass_fds=inherited,
        )
    # Reaped here, so that an ended runner is no zombie of a kernel that lives for days.
    threading.Thread(target=runner.wait, name="tunelab-reaper", daemon=True).start()


def _environment(folder: JobFolder) -> dict[str, str]:
    """Return the runner's environment: that of this process, with the MLflow that the job was submitted to."""
    environment = task.environment()
    uri = folder.facts().get("tracking_uri")
    if uri is not None and uri != prepare.tracking_uri():
        if uri.startswith(f"sqlite:///{workspace.current().root}"):
            environment.pop("MLFLOW_TRACKING_URI", None)
        else:
            environment["MLFLOW_TRACKING_URI"] = uri
    # A runner tries again by itself, and must not be held up meanwhile.
    return {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"} | environment


def revive(folder: JobFolder) -> None:
    """Give the job a runner if it should have one and has none.

    A job that stopped in the midst of its work is `recovering` from here on, from its newest checkpoint; one that
    needs a variable that this process has not is paused, and says which.

    Raises
    ------
    OSError
        If the journal cannot be written.
    """
    lock = locks.try_hold(folder.runner_lock)
    if lock is None:
        return
    try:
        view = JobView()
        for event in Reader(folder.journal).stream():
            view.fold(event)
        if wants_runner(folder, view) and _can_go_on(folder, view):
            start_runner(folder, lock)
    finally:
        lock.release()


def wants_runner(folder: JobFolder, view: JobView) -> bool:
    """Tell whether there is something to do for a job: work, or a word to MLflow that is still to be said."""
    if view.has_ended or (view.state == "paused" and not folder.cancel_request.exists()):
        return folder.pending.exists()
    return True


def revive_others(folder: JobFolder) -> None:
    """Give a runner to every other job of the workspace that should have one and has none."""
    for other in folders.every():
        if other.path == folder.path or other.has_process():
            continue
        if last_state(other.journal) not in (*ENDED, "paused") or other.pending.exists():
            with contextlib.suppress(OSError):
                revive(other)


def resume(folder: JobFolder) -> None:
    """Put a paused job into the queue again, and take back a pause that was asked for.

    Raises
    ------
    JobError
        If it needs a variable that this process has not, or is still being paused.
    """
    # First the request, then the look: a runner looks for the request once more after it has written `paused`.
    folder.pause_request.unlink(missing_ok=True)
    if last_state(folder.journal) != "paused":
        return
    if missing := missing_variables(folder):
        raise JobError(_needs(folder.id, missing))
    until = time.monotonic() + _RESUME_WITHIN_S
    while (lock := locks.try_hold(folder.runner_lock)) is None and last_state(folder.journal) == "paused":
        if time.monotonic() > until:
            raise JobError(f"{folder.id} is still being paused. Try again in a moment.")
        # A runner that has still something to tell MLflow sees that the request is gone.
        time.sleep(0.02)
    if lock is None:
        return
    try:
        if last_state(folder.journal) == "paused":
            Journal(folder.journal, "runner").append("state", state="queued", reason=None)
            start_runner(folder, lock)
    finally:
        lock.release()


def missing_variables(folder: JobFolder) -> list[str]:
    """Return the environment variables that the job was submitted with, and that this process has not."""
    return [name for name in folder.facts().get("needs", []) if name not in os.environ]


def recovery(folder: JobFolder, view: JobView, reason: str, counts: bool) -> dict[str, Any]:
    """Return the fields of the state `recovering`: the checkpoint it goes on from, and how many restarts that makes."""
    return {
        "state": "recovering",
        "reason": reason,
        "from_step": folder.newest_step(),
        "restart": view.counted + counts,
    }


def _can_go_on(folder: JobFolder, view: JobView) -> bool:
    """Say what became of a job that was found without a runner; return whether it can have another here."""
    if view.has_ended or view.state == "paused" or locks.is_held(folder.worker_lock) or folder.outcome.exists():
        return True
    journal = Journal(folder.journal, "runner")
    if view.state == "running":
        # A machine that goes down is nobody's fault: it counts only where nothing was won since the last time.
        counts = view.restarts > 0 and folder.newest_step() <= (view.recovered_from or 0)
        journal.append("state", **recovery(folder, view, LOST, counts))
    if missing := missing_variables(folder):
        journal.append("state", state="paused", reason=_needs(folder.id, missing))
        return False
    return True


def _needs(job_id: str, missing: list[str]) -> str:
    names = " and ".join(missing)
    return (
        f"{names} {'was' if len(missing) == 1 else 'were'} set when the job was submitted and "
        f"{'is' if len(missing) == 1 else 'are'} not now. Set {names} and resume: tl.job('{job_id}').resume()."
    )
