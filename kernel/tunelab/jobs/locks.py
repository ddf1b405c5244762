"""Who lives and whose turn it is, by file locks: they end with the process that holds them, however it ends.

`flock` is used directly, and not a library, because a device slot has to be inherited: the lock belongs to the open
file, so that it stays held while runner or worker lives.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from filelock import FileLock

from tunelab.jobs import machine


class Held:
    """A lock that this process holds, until `release` or its end."""

    def __init__(self, fd: int, path: Path) -> None:
        self.fd = fd
        self.path = path

    def release(self) -> None:
        """Give the lock up."""
        os.close(self.fd)


def try_hold(path: Path, patience_s: float = 0.0) -> Held | None:
    """Take the lock on `path` (created if need be), or return None if another process has it.

    `patience_s` bridges the moment in which `is_held` looks at the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return Held(fd, path)
        except BlockingIOError:
            if time.monotonic() >= until:
                os.close(fd)
                return None
            time.sleep(0.01)


def inherit(fd: int, path: Path) -> Held:
    """Return a lock that the starting process took and handed down as an open file."""
    os.set_inheritable(fd, False)
    return Held(fd, path)


def is_held(path: Path) -> bool:
    """Tell whether a process holds the lock on `path`."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


@dataclass(frozen=True)
class Slot:
    """The share of a device that a job has: free again when every process that has these files open has ended."""

    locks: tuple[Held, ...]

    @property
    def fds(self) -> tuple[int, ...]:
        """The open files, to be handed to the worker."""
        return tuple(lock.fd for lock in self.locks)

    def release(self) -> None:
        """Give the share up, in this process."""
        for lock in self.locks:
            lock.release()


class DeviceQueue:
    """First come, first served for one device: tickets and slots that are file locks.

    A GPU has one slot. A CPU has one for each core, and a job takes as many as it has threads: by default all of them.

    Parameters
    ----------
    device
        ``cpu``, ``mps`` or ``cuda:N``.
    threads
        CPU threads of the job; None for all.
    """

    def __init__(self, device: str, threads: int | None = None) -> None:
        # Per user and host, not per workspace: two workspaces share the machine's device.
        root = Path(platformdirs.user_cache_dir("tunelab", appauthor=False)) / "slots" / socket.gethostname()
        self.folder = root / device.replace(":", "-")
        self.tickets = self.folder / "tickets"
        size = machine.threads() if device == "cpu" else 1
        self.wanted = min(threads or size, size)
        self.slots = [self.folder / f"slot-{number}.lock" for number in range(size)]
        self.tickets.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Whoever looks at the tickets or changes them has it: a ticket is taken, moved and swept whole.
        self._order = FileLock(self.folder / "order.lock")

    def enter(self, job_id: str, key: int) -> Held:
        """Return this job's ticket, which stands until it is released; tickets are served by `key`, the least first."""
        with self._order:
            ticket = try_hold(self.tickets / job_id, patience_s=5.0)
            if ticket is None:
                raise RuntimeError(f"job {job_id} waits for {self.folder.name} twice")
            _write(ticket.path, key)
            return ticket

    def inherit(self, fd: int, job_id: str) -> Held:
        """Return the ticket that the submitting process took and handed down as an open file."""
        return inherit(fd, self.tickets / job_id)

    def waiting(self) -> list[str]:
        """Return the ids of the jobs that wait, in the order of their turns."""
        with self._order:
            return self._waiting()

    def position(self, ticket: Held) -> int:
        """Return how many are before this job: those that wait, and one more where the device is taken."""
        with self._order:
            waiting = self._waiting()
            ahead = waiting.index(ticket.path.name) if ticket.path.name in waiting else 0
            return ahead + (self._free() < self.wanted)

    def try_take(self, ticket: Held) -> Slot | None:
        """Return the slot if it is free and this ticket is the first, else None."""
        with self._order:
            if self._waiting()[:1] != [ticket.path.name]:
                return None
            taken: list[Held] = []
            for path in self.slots:
                if len(taken) < self.wanted and (lock := try_hold(path)) is not None:
                    taken.append(lock)
            if len(taken) < self.wanted:
                for lock in taken:
                    lock.release()
                return None
            self._leave(ticket)
            return Slot(tuple(taken))

    def move_up(self, job_id: str) -> bool:
        """Let a job that waits change places with the one before it; tell whether there was one."""
        with self._order:
            waiting = self._waiting()
            place = waiting.index(job_id) if job_id in waiting else 0
            if place == 0:
                return False
            before, mine = (self.tickets / waiting[place - 1], self.tickets / job_id)
            keys = _key(before), _key(mine)
            _write(before, keys[1])
            _write(mine, keys[0])
            return True

    def leave(self, ticket: Held) -> None:
        """Give the ticket back."""
        with self._order:
            self._leave(ticket)

    def is_free(self) -> bool:
        """Tell whether no job has any of the device."""
        return self._free() == len(self.slots)

    def _free(self) -> int:
        return sum(not is_held(path) for path in self.slots)

    def _leave(self, ticket: Held) -> None:
        ticket.path.unlink(missing_ok=True)
        ticket.release()

    def _waiting(self) -> list[str]:
        waiting = []
        for path in self.tickets.iterdir():
            if is_held(path):
                waiting.append(path)
            else:
                # Left by a runner that was killed.
                path.unlink(missing_ok=True)
        return [path.name for path in sorted(waiting, key=lambda path: (_key(path), path.name))]


def _key(ticket: Path) -> int:
    return int(ticket.read_text() or 0)


def _write(ticket: Path, key: int) -> None:
    ticket.write_text(f"{key:020d}")
