"""What a worker gives to the work of a kind: the job's folder, its journal, and whether it has been asked to stop."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
import threading
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from tunelab.jobs.folder import JobFolder
from tunelab.jobs.journal import Journal

#: Where so few bytes are free, a write that failed failed for want of them.
_NOTHING_FREE = 4_000_000


class Stopped(Exception):
    """Raised by work that was asked to stop, after it saved what it had."""


class Paused(Exception):
    """Raised by work that cannot go on now, and can later: the message says why and what to do."""


@dataclass(frozen=True)
class Context:
    """The job that is worked on."""

    folder: JobFolder
    journal: Journal
    stop: threading.Event = field(default_factory=threading.Event)

    def say(self, text: str, level: str = "info") -> None:
        """Add a line to the job's log."""
        self.journal.append("log", level=level, text=text)


def print_traceback() -> None:
    """Write the traceback of the exception in hand to the process's log, if its disk has room for it."""
    with contextlib.suppress(OSError):
        traceback.print_exc()
        sys.stderr.flush()


def leave(status: int) -> NoReturn:
    """End the process with this status, also where what it has printed finds no room."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        os._exit(status)
    sys.exit(status)


def is_disk_full(error: BaseException, folder: Path) -> bool:
    """Tell whether an error comes from a disk without room, as which libraries seldom name it."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, OSError) and chain.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        chain = chain.__cause__ or chain.__context__
    if "No space left on device" in str(error):
        return True
    return isinstance(error, (RuntimeError, OSError)) and shutil.disk_usage(folder).free < _NOTHING_FREE
