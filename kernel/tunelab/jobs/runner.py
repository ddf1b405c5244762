"""The runner process of a job: `python -m tunelab.jobs.runner ID` waits for the device, runs the worker, ends the run.

It is light until the worker is started, then brings MLflow up beside the worker's own start-up. A runner can be
started for any job that has not ended: it takes over a worker that lives, and ends a job whose worker has died.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psutil

from tunelab import task
from tunelab.errors import Error
from tunelab.jobs import folder as folders
from tunelab.jobs import locks
from tunelab.jobs.journal import Journal, Reader
from tunelab.jobs.view import JobView

if TYPE_CHECKING:
    from tunelab.registry.tracking import RunTracker

_LOOK_EVERY_S = 0.2
_SYNC_EVERY_S = 2.0
#: How long a worker may take to save and stop, before it is killed: with it a cancelled job ends within 10 s.
_GRACE_S = 6.0


class Cancelled(Exception):
    """The user asked for the end of the job."""


class Runner:
    """One job from the queue to its end."""

    def __init__(self, folder: folders.JobFolder, ticket_fd: int | None = None) -> None:
        self.folder = folder
        self.ticket_fd = ticket_fd
        self.journal = Journal(folder.journal, "runner")
        self.spec = folder.spec()
        self.facts = folder.facts()
        self.worker: subprocess.Popen[bytes] | None = None
        self.tracker: RunTracker | None = None
        self.view = JobView()
        self._reader = Reader(folder.journal)

    def run(self) -> None:
        """Bring the job to its end, whatever state it is found in."""
        self._look()
        if self.view.has_ended:
            return
        try:
            if not self.folder.outcome.exists() and not locks.is_held(self.folder.worker_lock):
                if self.view.state == "running":
                    self._end("failed", "Its processes were killed, or the machine went down. What was saved is kept.")
                    return
                self._start(self._wait_for_slot())
            status, reason = self._supervise()
        except Cancelled:
            self._end("cancelled", None)
            return
        except Exception as error:
            traceback.print_exc()
            self._kill_worker()
            self._end("failed", f"The runner failed: {type(error).__name__}: {error}")
            return
        self._end(status, reason)

    def _wait_for_slot(self) -> locks.Held:
        queue = locks.DeviceQueue(self.spec["compute"]["device"])
        mine = (self.folder.id, self.facts["submitted_ns"])
        ticket = queue.enter(*mine) if self.ticket_fd is None else queue.inherit(self.ticket_fd, *mine)
        told: int | None = None
        while True:
            if self.folder.cancel_request.exists():
                queue.leave(ticket)
                raise Cancelled
            slot = queue.try_take(ticket)
            if slot is not None:
                return slot
            ahead = queue.position(ticket)
            if ahead != told:
                self.journal.append("state", state="queued", reason=None, position=ahead)
                told = ahead
            time.sleep(_LOOK_EVERY_S)

    def _start(self, slot: locks.Held) -> None:
        compute = self.spec["compute"]
        threads = str(compute["threads"])
        environment = task.environment() | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        if compute["device"].startswith("cuda"):
            environment["CUDA_VISIBLE_DEVICES"] = compute["device"].partition(":")[2]
        self.journal.append("state", state="running", reason=None)
        with self.folder.worker_log.open("ab") as log:
            self.worker = subprocess.Popen(
                [sys.executable, "-P", "-m", "tunelab.jobs.worker", self.folder.id],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder.path,
                env=environment,
                start_new_session=True,
                pass_fds=(slot.fd,),
            )
        # From here on the worker holds the slot: it is free when the worker has ended, however it ends.
        slot.release()

    def _supervise(self) -> tuple[str, str | None]:
        """Wait for the worker; return the status and reason to end the job with."""
        self._track(lambda tracker: tracker.start())
        stop_since: float | None = None
        synced = time.monotonic()
        while self._worker_lives():
            if stop_since is None and self.folder.cancel_request.exists():
                stop_since = time.monotonic()
                self.journal.append("log", level="info", text="cancel: saving what there is")
                self._signal_worker(signal.SIGTERM)
            elif stop_since is not None and time.monotonic() - stop_since > _GRACE_S:
                self._kill_worker()
            if stop_since is None and time.monotonic() - synced > _SYNC_EVERY_S:
                self._track(lambda tracker: tracker.sync())
                synced = time.monotonic()
            time.sleep(_LOOK_EVERY_S)
        if stop_since is not None:
            raise Cancelled
        return self._outcome()

    def _outcome(self) -> tuple[str, str | None]:
        if self.folder.outcome.exists():
            outcome: dict[str, Any] = json.loads(self.folder.outcome.read_text(encoding="utf-8"))
            if outcome["status"] == "stopped":
                return "cancelled", "The worker was told to stop from outside of tunelab."
            return outcome["status"], outcome["reason"]
        code = self.worker.returncode if self.worker else None
        if code == -signal.SIGKILL:
            return "failed", "The worker was killed (signal 9), as a machine does that runs out of memory."
        if code is not None and code < 0:
            return "failed", f"The worker was ended by signal {-code}."
        return "failed", "The worker ended without a word; see job.logs()."

    def _end(self, status: str, reason: str | None) -> None:
        """Register what came out, close the MLflow run, and write the last state."""
        try:
            tracker = self._tracker()
            tracker.start()
            tracker.sync()
            if status == "completed":
                tracker.register()
            tracker.finish(status, reason)
        except Exception as error:
            traceback.print_exc()
            said = str(error) if isinstance(error, Error) else f"{type(error).__name__}: {error}"
            note = f"MLflow could not be written: {said.splitlines()[0]}"
            if status == "completed":
                status, reason = "failed", f"{note} The trained model is in {self.folder.adapter}."
            else:
                self.journal.append("log", level="error", text=note)
        self.journal.append("state", state=status, reason=reason)

    def _track(self, act: Callable[[RunTracker], None]) -> None:
        """Do something with MLflow; a failure is told once in the log, and tried again at the next turn and the end."""
        try:
            act(self._tracker())
        except Exception as error:
            traceback.print_exc()
            text = f"MLflow: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            if not any(line["text"] == text for line in self.view.logs):
                self.journal.append("log", level="warning", text=text)
                self._look()

    def _tracker(self) -> RunTracker:
        if self.tracker is None:
            # mlflow takes a second and 100 MB to import: not before there is something to record.
            from tunelab.registry.tracking import RunTracker

            self.tracker = RunTracker(self.folder, self.journal)
        return self.tracker

    def _look(self) -> None:
        for event in self._reader.new():
            self.view.fold(event)

    def _worker_lives(self) -> bool:
        if self.worker is not None:
            return self.worker.poll() is None
        return locks.is_held(self.folder.worker_lock)

    def _worker_process(self) -> psutil.Process | None:
        """Return the worker's process, by its pid together with its creation time."""
        if self.worker is not None:
            return psutil.Process(self.worker.pid) if self.worker.poll() is None else None
        try:
            pid, created = self.folder.worker_lock.read_text().split()
            process = psutil.Process(int(pid))
        except (OSError, ValueError, psutil.NoSuchProcess):
            return None
        return process if process.create_time() == float(created) else None

    def _signal_worker(self, number: int) -> None:
        process = self._worker_process()
        if process is not None:
            process.send_signal(number)

    def _kill_worker(self) -> None:
        process = self._worker_process()
        if process is not None:
            # The worker leads a session of its own, so its group is all that it started.
            os.killpg(process.pid, signal.SIGKILL)


def main(job_id: str, ticket_fd: str | None = None) -> int:
    """Run a job; return the process's exit status. Does nothing where another runner has it.

    `ticket_fd` is the open file of its place in the queue, where the submitting process handed one down.
    """
    folder = folders.find(job_id)
    lock = locks.try_hold(folder.runner_lock, patience_s=2.0)
    if lock is None:
        return 0
    Runner(folder, None if ticket_fd is None else int(ticket_fd)).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
