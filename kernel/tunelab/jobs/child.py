"""A job's worker as its runner sees it: started by this runner, or found alive from one before it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import psutil

from tunelab import task
from tunelab.jobs import locks
from tunelab.jobs.folder import JobFolder


class WorkerProcess:
    """The process that does a job's work. It leads a session of its own, and holds the job's worker lock."""

    def __init__(self, folder: JobFolder) -> None:
        self.folder = folder
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def exit_code(self) -> int | None:
        """The exit status of a worker that this runner started and that has ended, negative for a signal."""
        return self._child.returncode if self._child else None

    def start(self, compute: dict[str, Any], slot: locks.Slot) -> None:
        """Start the worker with its lock and its share of the device."""
        threads = str(compute["threads"])
        environment = task.environment() | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        if compute["device"].startswith("cuda"):
            environment["CUDA_VISIBLE_DEVICES"] = compute["device"].partition(":")[2]
        lock = locks.try_hold(self.folder.worker_lock, patience_s=5.0)
        assert lock is not None, "no worker lives"
        os.ftruncate(lock.fd, 0)
        with self.folder.worker_log.open("ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", "tunelab.jobs.worker", self.folder.id, str(lock.fd)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder.path,
                env=environment,
                start_new_session=True,
                pass_fds=(lock.fd, *slot.fds),
            )
        # The worker has it now, however it ends.
        lock.release()

    def lives(self) -> bool:
        """Tell whether the worker lives."""
        if self._child is not None:
            return self._child.poll() is None
        if not locks.is_held(self.folder.worker_lock):
            return False
        # Held by what it had started, or by a worker that has not said yet who it is.
        return self._process() is not None or not self.folder.worker_lock.read_text()

    def signal(self, number: int) -> None:
        """Send a signal to the worker alone."""
        process = self._process()
        if process is not None:
            process.send_signal(number)

    def kill(self) -> None:
        """End the worker and what it has started."""
        process = self._process()
        if process is not None:
            # The worker leads a session of its own, so its group is all that it started.
            os.killpg(process.pid, signal.SIGKILL)

    def kill_leftovers(self) -> None:
        """End what a dead worker had started, such as processes that load data: they would keep its locks."""
        if not locks.is_held(self.folder.worker_lock):
            return
        try:
            leader = self._child.pid if self._child else int(self.folder.worker_lock.read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return
        for process in psutil.process_iter():
            try:
                if process.pid != leader and os.getsid(process.pid) == leader:
                    process.kill()
            except (OSError, psutil.Error):
                continue

    def _process(self) -> psutil.Process | None:
        """Return the worker's process, by its pid together with its creation time."""
        if self._child is not None:
            return psutil.Process(self._child.pid) if self._child.poll() is None else None
        try:
            pid, created = self.folder.worker_lock.read_text().split()
            process = psutil.Process(int(pid))
            is_it = process.create_time() == float(created) and process.status() != psutil.STATUS_ZOMBIE
        except (OSError, ValueError, psutil.NoSuchProcess):
            return None
        return process if is_it else None
