"""Who lives and whose turn it is, by file locks: they end with the process that holds them, however it ends.

`flock` is used directly, and not a library, because a device slot has to be inherited: the lock belongs to the open
file, so that it stays held while runner or worker lives.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from pathlib import Path

import platformdirs


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


def is_held(path: Path) -> bool:
    """Tell whether a process holds the lock on `path`."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


class DeviceQueue:
    """First come, first served for one device: tickets that are file locks, and one slot that is a file lock."""

    def __init__(self, device: str) -> None:
        # Per user and host, not per workspace: two workspaces share the machine's device.
        root = Path(platformdirs.user_cache_dir("tunelab", appauthor=False)) / "slots" / socket.gethostname()
        self.folder = root / device.replace(":", "-")
        self.slot = self.folder / "slot.lock"

    def enter(self, job_id: str, submitted_ns: int) -> Held:
        """Return this job's ticket; it stands until it is released."""
        ticket = try_hold(self._ticket(job_id, submitted_ns), patience_s=5.0)
        if ticket is None:
            raise RuntimeError(f"job {job_id} waits for {self.folder.name} twice")
        return ticket

    def inherit(self, fd: int, job_id: str, submitted_ns: int) -> Held:
        """Return the ticket that the submitting process took and handed down as an open file."""
        os.set_inheritable(fd, False)
        return Held(fd, self._ticket(job_id, submitted_ns))

    def position(self, ticket: Held) -> int:
        """Return how many jobs are before this one: those that wait, and the one that has the slot."""
        earlier = [path for path in self._waiting() if path.name < ticket.path.name]
        return len(earlier) + is_held(self.slot)

    def try_take(self, ticket: Held) -> Held | None:
        """Return the slot if it is free and this ticket is the first, else None."""
        if any(path.name < ticket.path.name for path in self._waiting()):
            return None
        slot = try_hold(self.slot)
        if slot is not None:
            self.leave(ticket)
        return slot

    def leave(self, ticket: Held) -> None:
        """Give the ticket back."""
        ticket.path.unlink(missing_ok=True)
        ticket.release()

    def _ticket(self, job_id: str, submitted_ns: int) -> Path:
        return self.folder / "tickets" / f"{submitted_ns:020d}-{job_id}"

    def _waiting(self) -> list[Path]:
        waiting = []
        for path in sorted((self.folder / "tickets").iterdir()):
            if is_held(path):
                waiting.append(path)
            else:
                # Left by a runner that was killed.
                path.unlink(missing_ok=True)
        return waiting
