"""The worker process of a job: `python -m tunelab.jobs.worker ID` does the work of its kind and leaves an outcome.

It never decides about the job's state, which is the runner's. A worker that leaves no outcome has died.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback

import psutil

from tunelab import workspace
from tunelab.errors import Error
from tunelab.jobs import folder as folders
from tunelab.jobs import locks
from tunelab.jobs.context import Context, Stopped
from tunelab.jobs.journal import Journal

#: What does the work of a kind of job: ``run(context)``. Imported by name, since jobs know no trainers.
WORK = {"customize": "tunelab.training.customize"}


def main(job_id: str) -> int:
    """Do the work of a job; return the process's exit status."""
    folder = folders.find(job_id)
    lock = locks.try_hold(folder.worker_lock, patience_s=2.0)
    if lock is None:
        print(f"another worker has job {job_id}", file=sys.stderr)
        return 3
    me = psutil.Process()
    os.ftruncate(lock.fd, 0)
    os.write(lock.fd, f"{me.pid} {me.create_time()}".encode())
    os.nice(5)

    context = Context(folder, Journal(folder.journal, "worker"))
    signal.signal(signal.SIGTERM, lambda *_: context.stop.set())
    signal.signal(signal.SIGINT, lambda *_: context.stop.set())
    try:
        importlib.import_module(WORK[folder.spec()["kind"]]).run(context)
    except Stopped:
        return _leave(folder, "stopped", None)
    except Error as error:
        return _leave(folder, "failed", str(error))
    except MemoryError:
        return _leave(folder, "failed", "Out of memory. Use a smaller per_device_train_batch_size or max_length.")
    except Exception as error:
        traceback.print_exc()
        first = (str(error).strip().splitlines() or ["no message"])[0]
        return _leave(folder, "failed", f"{type(error).__name__}: {first[:500]} (more in job.logs())")
    return _leave(folder, "completed", None)


def _leave(folder: folders.JobFolder, status: str, reason: str | None) -> int:
    workspace.write_json(folder.outcome, {"status": status, "reason": reason})
    return 0 if status == "completed" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
