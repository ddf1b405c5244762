"""The journal: the truth about a job, one JSON object a line, append only, written by its runner and its worker.

A line that a crash tore is ignored when read and cut before the next is appended.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

Event = dict[str, Any]


class Journal:
    """Appends events to one journal. Safe for threads of a process and for several processes at once."""

    def __init__(self, path: Path, source: Literal["runner", "worker"]) -> None:
        self.path = path
        self.source = source

    def append(self, type: str, **fields: Any) -> Event:
        """Append one event and return it as written, with its number and time.

        The line is on the disk when this returns for a `state` event; others are left to the system, or to `sync`.

        Raises
        ------
        OSError
            If the line cannot be written; then nothing of it stays.
        """
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            last = _cut_torn_tail(fd)
            event = {"seq": last + 1, "time": time.time(), "source": self.source, "type": type, **fields}
            line = json.dumps(_finite(event), ensure_ascii=False, separators=(",", ":")) + "\n"
            _write_whole(fd, line.encode("utf-8", "replace"))
            if type == "state":
                os.fsync(fd)
            return event
        finally:
            os.close(fd)

    def sync(self) -> None:
        """Return when every line that was appended is on the disk."""
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


class Reader:
    """Reads a journal from where it stopped the last time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0

    def new(self) -> list[Event]:
        """Return the whole events that came since the last call."""
        return list(self.stream())

    def stream(self) -> Iterator[Event]:
        """Yield the whole events that came since the last call, one in memory at a time: there may be millions."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return
        with file:
            file.seek(self.offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self.offset += len(line)
                if (event := parse(line)) is not None:
                    yield event


def read(path: Path) -> list[Event]:
    """Return all whole events of a journal."""
    return Reader(path).new()


def last_state(path: Path) -> str | None:
    """Return the state that the end of a journal tells, or None where that is further up: it may be long."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 65536))
            lines = file.read().splitlines(keepends=True)
    except FileNotFoundError:
        return None
    for line in reversed(lines):
        event = parse(line) if line.endswith(b"\n") else None
        if event is not None and event["type"] == "state":
            return str(event["state"])
    return None


def standing(events: list[Event]) -> list[Event]:
    """Return the events without the metrics and samples that a recovery took back.

    A `recovering` state carries `from_step`: what was said of later steps is void, since they are done again.
    """
    kept: list[Event] = []
    for event in events:
        if event["type"] == "state" and event["state"] == "recovering" and "from_step" in event:
            begin = event["from_step"]
            kept = [e for e in kept if e["type"] not in ("metric", "sample") or e["step"] <= begin]
        kept.append(event)
    return kept


def parse(line: bytes) -> Event | None:
    """Return the event of a line, or None where it is none, such as a line that a crash has torn."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "seq" in event else None


def _write_whole(fd: int, data: bytes) -> None:
    """Write all of `data` at the end of the file, or nothing: a disk may fill up in the middle."""
    end = os.lseek(fd, 0, os.SEEK_END)
    try:
        while data:
            data = data[os.write(fd, data) :]
    except OSError:
        os.ftruncate(fd, end)
        raise


def _cut_torn_tail(fd: int) -> int:
    """Truncate what follows the last newline; return the number of the last event, 0 for an empty journal."""
    size = os.lseek(fd, 0, os.SEEK_END)
    tail, begin = b"", size
    while begin > 0 and tail.count(b"\n") < 2:
        step = min(65536, begin)
        begin -= step
        tail = os.pread(fd, step, begin) + tail
    end = tail.rfind(b"\n") + 1
    if begin + end < size:
        os.ftruncate(fd, begin + end)
    os.lseek(fd, 0, os.SEEK_END)
    lines = tail[:end].splitlines()
    for line in reversed(lines):
        if (event := parse(line)) is not None:
            return int(event["seq"])
    return 0


def _finite(value: Any) -> Any:
    """Return `value` with NaN and infinities as None: JSON has none of them, and a reader elsewhere would choke."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value
