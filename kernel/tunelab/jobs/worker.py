"""The worker process of a job: `python -m tunelab.jobs.worker ID` does the work of its kind and leaves an outcome.

It never decides about the job's state, which is the runner's. A worker that leaves no outcome has died.
"""

from __future__ import annotations

import errno
import importlib
import os
import shutil
import signal
import sys
import threading
import time

import psutil

from tunelab import workspace
from tunelab.errors import Error
from tunelab.jobs import folder as folders
from tunelab.jobs import locks
from tunelab.jobs.context import Context, Paused, Stopped, is_disk_full, leave, print_traceback
from tunelab.jobs.journal import Journal
from tunelab.jobs.revive import revive

#: What does the work of a kind of job: ``run(context)``. Imported by name, since jobs know no trainers.
WORK = {"customize": "tunelab.training.customize", "evaluate": "tunelab.evaluation.evaluate"}

#: Errors that come back however often the work is begun again.
_LASTING = (ValueError, TypeError, LookupError, AttributeError, ImportError, NotImplementedError, AssertionError)
#: The exit status that stands for a full disk, where the outcome itself could not be written.
DISK_FULL = errno.ENOSPC
_NO_MEMORY = (
    "Out of memory in the midst of the work: the first step did fit, so other programs may have taken what was free. "
    "With --fit (compute.fit: true) steps are made smaller"
)
_LOOK_EVERY_S = 1.0
_NICE = 5


def main(job_id: str, lock_fd: str | None = None) -> int:
    """Do the work of a job; return the process's exit status.

    `lock_fd` is the open file of the worker's lock, where the runner handed one down.
    """
    folder = folders.find(job_id)
    if lock_fd is None:
        lock = locks.try_hold(folder.worker_lock, patience_s=2.0)
    else:
        lock = locks.inherit(int(lock_fd), folder.worker_lock)
    if lock is None:
        print(f"another worker has job {job_id}", file=sys.stderr)
        return 3
    me = psutil.Process()
    os.ftruncate(lock.fd, 0)
    os.pwrite(lock.fd, f"{me.pid} {me.create_time()}".encode(), 0)
    os.nice(max(0, _NICE - os.nice(0)))

    context = Context(folder, Journal(folder.journal, "worker"))
    signal.signal(signal.SIGTERM, lambda *_: context.stop.set())
    signal.signal(signal.SIGINT, lambda *_: context.stop.set())
    threading.Thread(target=_keep_a_runner, args=(folder,), name="tunelab-runner-watch", daemon=True).start()
    status = _work(context)
    # At the latest now, since the outcome is for the runner to read.
    revive(folder)
    return status


def _work(context: Context) -> int:
    folder = context.folder
    try:
        importlib.import_module(WORK[folder.spec()["kind"]]).run(context)
    except Stopped:
        return _leave(folder, "stopped", None)
    except Paused as error:
        return _leave(folder, "paused", str(error))
    except Error as error:
        return _leave(folder, "failed", str(error))
    except Exception as error:
        print_traceback()
        if is_disk_full(error, folder.path):
            return _leave_for_want_of_space(folder)
        if isinstance(error, MemoryError):
            return _leave(folder, "failed", _NO_MEMORY, can_pass=True)
        first = (str(error).strip().splitlines() or ["no message"])[0]
        reason = f"{type(error).__name__}: {first[:500]} (more in job.logs())"
        return _leave(folder, "failed", reason, can_pass=not isinstance(error, _LASTING))
    return _leave(folder, "completed", None)


def _leave(folder: folders.JobFolder, status: str, reason: str | None, can_pass: bool = False) -> int:
    """Write the outcome: `can_pass` says of a failure that another try may go well."""
    try:
        workspace.write_json(folder.outcome, {"status": status, "reason": reason, "can_pass": can_pass})
    except OSError as error:
        if is_disk_full(error, folder.path):
            return DISK_FULL
        raise
    return 0 if status == "completed" else 1


def _leave_for_want_of_space(folder: folders.JobFolder) -> int:
    # What was being written is of no use, and the outcome needs its room.
    for unfinished in (folder.checkpoints / folders.UNFINISHED, folder.adapter):
        shutil.rmtree(unfinished, ignore_errors=True)
    return _leave(folder, "disk full", None)


def _keep_a_runner(folder: folders.JobFolder) -> None:
    """Start another runner when this worker's own is gone: it has the restarts, the queue and the job's end in hand."""
    while True:
        time.sleep(_LOOK_EVERY_S)
        try:
            revive(folder)
        except OSError:
            # A disk that is full or read-only now may not be so the next time.
            print_traceback()


if __name__ == "__main__":
    leave(main(*sys.argv[1:]))
