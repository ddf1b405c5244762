"""What a worker gives to the work of a kind: the job's folder, its journal, and whether it has been asked to stop."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from tunelab.jobs.folder import JobFolder
from tunelab.jobs.journal import Journal


class Stopped(Exception):
    """Raised by work that was asked to stop, after it saved what it had."""


@dataclass(frozen=True)
class Context:
    """The job that is worked on."""

    folder: JobFolder
    journal: Journal
    stop: threading.Event = field(default_factory=threading.Event)

    def say(self, text: str, level: str = "info") -> None:
        """Add a line to the job's log."""
        self.journal.append("log", level=level, text=text)
