"""The runner process of a job: `python -m tunelab.jobs.runner ID` waits for the device, runs the worker, ends the run.

It starts a worker that died again, from the newest checkpoint. A runner can be started for any job and takes it as it
is found: it takes over a worker that lives, settles what a dead one left, and tells MLflow what is still to be told.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from typing import Any

from tunelab import workspace
from tunelab.jobs import folder as folders
from tunelab.jobs import locks, machine, revive
from tunelab.jobs.child import WorkerProcess
from tunelab.jobs.context import leave, print_traceback
from tunelab.jobs.journal import Journal, Reader
from tunelab.jobs.record import Record
from tunelab.jobs.view import JobView, size
from tunelab.jobs.worker import DISK_FULL

_LOOK_EVERY_S = 0.2
#: How long a worker may take to save and stop, before it is killed: with it a cancelled job ends within 10 s.
_GRACE_S = 6.0
#: The first pause before a worker is started again, in seconds; each one without progress doubles it.
_RESTART_AFTER_S, _RESTART_AT_MOST_S = 1.0, 60.0
#: How long the end of a job waits for an MLflow that is away, and for one that is slow, in seconds.
_PATIENCE_S = {"completed": (20.0, 1800.0), "failed": (10.0, 60.0), "cancelled": (2.0, 9.0), "paused": (5.0, 20.0)}
#: Bytes that are kept free for the last words of a job on a full disk.
_RESERVE = 65536
_TOLD_LATER = "MLflow cannot be reached: the model is registered when it answers."


@dataclass(frozen=True)
class Ending:
    """How the work ended, or why it is paused."""

    state: str
    reason: str | None = None


@dataclass(frozen=True)
class Death:
    """How a worker ended that should not have; `said` is its own word, where it left one."""

    reason: str
    said: str | None = None
    can_pass: bool = True


class Runner:
    """One job from wherever it is found to its end."""

    def __init__(self, folder: folders.JobFolder, ticket_fd: int | None = None) -> None:
        self.folder = folder
        self.ticket_fd = ticket_fd
        self.journal = Journal(folder.journal, "runner")
        self.spec = folder.spec()
        self.facts = folder.facts()
        self.record = Record(folder, self.journal)
        self.worker = WorkerProcess(folder)
        self.slot: locks.Slot | None = None
        self.view = JobView()
        self._reader = Reader(folder.journal)
        self._deaths: list[tuple[str, int]] = []
        self._was_asked_to_pause = False
        self._oom_kills = machine.oom_kills()

    def run(self) -> None:
        """Bring the job to its end or its pause, whatever state it is found in."""
        self._look()
        if not self.view.has_ended and (self.view.state != "paused" or self._cancel_asked()):
            self._bring_to_end()
        # A paused job that is resumed meanwhile may end while MLflow is still away.
        while self.folder.pending.exists():
            self._tell_later()

    def _bring_to_end(self) -> None:
        while True:
            try:
                ending = self._work()
            except Exception as error:
                print_traceback()
                self.worker.kill()
                ending = Ending("failed", f"The runner failed: {type(error).__name__}: {error}")
            self._end(ending)
            if ending.state != "paused" or not self._was_asked_to_pause or self.folder.pause_request.exists():
                return
            # Resumed while it was being paused.
            self._say_state("queued")

    def _work(self) -> Ending:
        """Do the work from where it stands; return how it ended, or why it stopped."""
        self._was_asked_to_pause = False
        while True:
            if not self.worker.lives() and not self.folder.outcome.exists():
                if (stopped := self._asked()) or (stopped := self._wait_for_slot()):
                    return stopped
                self._start()
            ended: Ending | Death | None = self._supervise()
            if isinstance(ended, Death):
                ended = self._recover(ended)
            if isinstance(ended, Ending):
                return ended

    def _cancel_asked(self) -> bool:
        return self.folder.cancel_request.exists()

    def _asked(self) -> Ending | None:
        """Return the end or the pause that the user asked for."""
        if self._cancel_asked():
            return Ending("cancelled")
        if self.folder.pause_request.exists():
            self._was_asked_to_pause = True
            return Ending("paused")
        return None

    def _wait_for_slot(self) -> Ending | None:
        """Wait for a share of the device, unless this runner has it from the worker before."""
        if self.slot is not None:
            return None
        compute = self.spec["compute"]
        queue = locks.DeviceQueue(compute["device"], compute["threads"])
        if self.ticket_fd is not None:
            ticket = queue.inherit(self.ticket_fd, self.folder.id)
            self.ticket_fd = None
        else:
            ticket = queue.enter(self.folder.id, self._turn())
        told: int | None = None
        while True:
            if stopped := self._asked():
                queue.leave(ticket)
                return stopped
            self.slot = queue.try_take(ticket)
            if self.slot is not None:
                return None
            ahead = queue.position(ticket)
            if ahead != told and self.view.state == "queued":
                self._say_state("queued", position=ahead)
                told = ahead
            time.sleep(_LOOK_EVERY_S)

    def _turn(self) -> int:
        """Return by what the job is served: its submit, its resumption, or before all others where it was at work."""
        if self.view.state == "recovering":
            return 0
        return time.time_ns() if self.view.has_paused else int(self.facts["submitted_ns"])

    def _start(self) -> None:
        assert self.slot is not None
        self.folder.first_step.unlink(missing_ok=True)
        if not self.folder.reserve.exists():
            with contextlib.suppress(OSError):
                self.folder.reserve.write_bytes(bytes(_RESERVE))
        self._oom_kills = machine.oom_kills()
        self._say_state("running")
        self.worker.start(self.spec["compute"], self.slot)

    def _supervise(self) -> Ending | Death:
        """Wait for the worker, and stop it when that is asked for; return how it ended."""
        self.record.begin()
        stop_since: float | None = None
        while self.worker.lives():
            asked = self._asked()
            if asked and stop_since is None:
                stop_since = time.monotonic()
                doing = "cancel: saving what there is" if asked.state == "cancelled" else "pause: finishing the step"
                self._say("info", doing)
                self.worker.signal(signal.SIGTERM)
            elif asked and asked.state == "cancelled" and stop_since and time.monotonic() - stop_since > _GRACE_S:
                self.worker.kill()
            time.sleep(_LOOK_EVERY_S)
        self.worker.kill_leftovers()
        self._look()
        ended = self._settle(was_told_to_stop=stop_since is not None)
        self.folder.outcome.unlink(missing_ok=True)
        return ended

    def _settle(self, was_told_to_stop: bool) -> Ending | Death:
        """Return what the end of the worker means."""
        asked = self._asked()
        if asked and asked.state == "cancelled":
            return asked
        outcome: dict[str, Any] = workspace.read_json(self.folder.outcome, {})
        code = self.worker.exit_code
        status = outcome.get("status")
        if status == "completed":
            return Ending("completed")
        if status == "paused":
            return Ending("paused", outcome["reason"])
        if status == "disk full" or code == DISK_FULL:
            return self._disk_full()
        if status == "failed":
            return Death(outcome["reason"], said=outcome["reason"], can_pass=outcome["can_pass"])
        if asked:
            return asked
        if status == "stopped":
            if was_told_to_stop:
                # Resumed before it had stopped: nothing was lost, and it goes on.
                self._was_asked_to_pause = True
                return Ending("paused")
            return Death("The worker was told to stop from outside of tunelab")
        if machine.oom_kills() > self._oom_kills:
            if self.folder.first_step.exists():
                return Death(self.folder.first_step.read_text(encoding="utf-8").strip(), can_pass=False)
            return Death("The system ran out of memory and killed the worker")
        if code == -signal.SIGKILL:
            return Death("The worker was killed (signal 9)")
        if code is not None and code < 0:
            return Death(f"The worker was ended by signal {-code}")
        return Death("The worker ended without a word; see job.logs()")

    def _disk_full(self) -> Ending:
        free = shutil.disk_usage(self.folder.path).free
        newest = self.folder.newest_step()
        taken = folders.disk_bytes(self.folder.checkpoint(newest)) if newest else 0
        wanted = f" A checkpoint takes {size(taken)}." if newest else ""
        return Ending(
            "paused",
            f"The disk is full: {size(free)} are free in {self.folder.path.parent}.{wanted} What was saved is "
            f"kept. Make room and resume: tl.job('{self.folder.id}').resume().",
        )

    def _recover(self, death: Death) -> Ending | None:
        """Say what happened and wait a little, or return the end where another try is of no use."""
        self._look()
        most = self.spec["compute"]["max_restarts"]
        newest = self.folder.newest_step()
        if not death.can_pass:
            return Ending("failed", death.reason)
        if death.said is not None and (death.said, newest) in self._deaths:
            return Ending("failed", f"{death.reason.rstrip('.')}. It came back at the second try.")
        self._deaths.append((death.said or "", newest))
        if self.view.counted >= most:
            again = f"after {most} restart{'' if most == 1 else 's'}" if most else "compute.max_restarts is 0"
            return Ending("failed", f"{death.reason.rstrip('.')}; given up: {again}. What was saved is kept.")
        reason = f"{death.reason.rstrip('.')}; restart {self.view.counted + 1} of {most}"
        self._say_state(**revive.recovery(self.folder, self.view, reason, counts=True))
        without_progress = sum(step == newest for _, step in self._deaths) - 1
        until = time.monotonic() + min(_RESTART_AT_MOST_S, _RESTART_AFTER_S * 2**without_progress)
        while time.monotonic() < until:
            if asked := self._asked():
                return asked
            time.sleep(_LOOK_EVERY_S)
        return None

    def _end(self, ending: Ending) -> None:
        """Give the device back, tell MLflow, and write the last state; what MLflow cannot be told now is kept."""
        if self.slot is not None:
            self.slot.release()
            self.slot = None
        state, reason = ending.state, ending.reason
        if state == "paused" and not self._was_asked_to_pause:
            # As if asked for, so that whoever resumes takes it back. A full disk may have no room for its name.
            with contextlib.suppress(OSError):
                self.folder.pause_request.touch()
        if state == "paused" and not self.view.run:
            # It never ran, so there is nothing in MLflow.
            self._say_state(state, reason=reason)
            return
        last = {"state": state, "reason": reason}
        self._persist(lambda: workspace.write_json(self.folder.pending, last))
        away_s, slow_s = _PATIENCE_S[state]
        if state == "cancelled" and self._cancel_asked():
            # Of the ten seconds that a cancel may take, the worker had some.
            slow_s = max(1.0, slow_s - (time.time() - self.folder.cancel_request.stat().st_mtime))
        said = self.record.close(state, reason, min(away_s, slow_s), slow_s)
        if said == "refused":
            self.folder.pending.unlink(missing_ok=True)
            if state == "completed":
                state = "failed"
                note = f"MLflow could not be written: {self.record.refusal}"
                reason = f"{note.rstrip('.')}. The trained model is in {self.folder.adapter}."
        elif said == "said":
            self.folder.pending.unlink(missing_ok=True)
        elif state == "completed":
            reason = _TOLD_LATER
        self._say_state(state, reason=reason)

    def _tell_later(self) -> None:
        """Wait for MLflow with what it was not told, however long; a paused job that is resumed goes on meanwhile."""
        last = json.loads(self.folder.pending.read_text(encoding="utf-8"))
        can_resume = self.folder.pause_request.exists()
        said = self.record.close(last["state"], last["reason"], 0.0, 0.0)
        while said == "away":
            is_resumed = can_resume and not self.folder.pause_request.exists()
            if last["state"] == "paused" and (self._cancel_asked() or is_resumed):
                if not self._cancel_asked():
                    self._say_state("queued")
                self._bring_to_end()
                return
            said = self.record.wait(1.0, 1.0)
        self.folder.pending.unlink(missing_ok=True)

    def _say(self, level: str, text: str) -> None:
        self._persist(lambda: self.journal.append("log", level=level, text=text))

    def _say_state(self, state: str, **fields: Any) -> None:
        self._persist(lambda: self.journal.append("state", state=state, **({"reason": None} | fields)))
        self._look()

    def _persist(self, write: Any) -> None:
        """Write, and try again for as long as the disk is full or read-only: a state must not be lost.

        The room of the reserve is for the word that there is none.
        """
        pause = _LOOK_EVERY_S
        while True:
            try:
                write()
                return
            except OSError:
                with contextlib.suppress(OSError):
                    self.folder.reserve.unlink(missing_ok=True)
                if pause == _LOOK_EVERY_S:
                    print_traceback()
                time.sleep(pause)
                pause = min(2 * pause, 5.0)

    def _look(self) -> None:
        for event in self._reader.new():
            self.view.fold(event)


def main(job_id: str, lock_fd: str | None = None, ticket_fd: str | None = None) -> int:
    """Run a job; return the process's exit status. Does nothing where another runner has it.

    `lock_fd` and `ticket_fd` are the open files of the runner's lock and of the job's place in the queue, where the
    starting process handed them down.
    """
    folder = folders.find(job_id)
    if lock_fd is None:
        lock = locks.try_hold(folder.runner_lock, patience_s=2.0)
        if lock is None:
            return 0
    else:
        lock = locks.inherit(int(lock_fd), folder.runner_lock)
    Runner(folder, None if ticket_fd is None else int(ticket_fd)).run()
    lock.release()
    # What else has lost its processes goes on, though no kernel looks.
    revive.revive_others(folder)
    return 0


if __name__ == "__main__":
    leave(main(*sys.argv[1:]))
