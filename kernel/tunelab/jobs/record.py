"""The job's record in MLflow, written by a thread of its own: a registry that is away holds up no job.

What is not there yet is in the job's journal and folder; it is sent, in order and once, when the registry answers.
"""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING, Any, Literal

from tunelab.errors import Error
from tunelab.jobs.context import print_traceback
from tunelab.jobs.folder import JobFolder
from tunelab.jobs.journal import Journal

if TYPE_CHECKING:
    from tunelab.registry.tracking import RunTracker

_SYNC_EVERY_S = 2.0
_PATIENCE_S = (1.0, 30.0)

#: ``said``: MLflow has it; ``away``: it cannot be reached; ``refused``: it answered, and will not have it.
Said = Literal["said", "away", "refused"]


class Record:
    """One job's run, kept up with the journal. Nothing of MLflow is imported before there is something to say."""

    def __init__(self, folder: JobFolder, journal: Journal) -> None:
        self.folder = folder
        self.journal = journal
        #: Why MLflow refused what it was told last.
        self.refusal: str | None = None
        self._tracker: RunTracker | None = None
        self._last: tuple[str, str | None] | None = None
        self._state: Said | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Keep the run up with the journal from now on: it is running."""
        self._want(None)

    def close(self, status: str, reason: str | None, patience_s: float, at_most_s: float) -> Said:
        """Say the job's end, or its pause, and return what became of it.

        Waits `patience_s` for an MLflow that is away, and `at_most_s` for one that has not answered yet: files may be
        many. It is tried again for as long as this process lives: `wait` tells when it was said.
        """
        self._want((status, reason))
        return self.wait(patience_s, at_most_s)

    def wait(self, patience_s: float, at_most_s: float) -> Said:
        """Wait until MLflow has answered to what was told last, and return what it said."""
        begin = time.monotonic()
        with self._changed:
            while self._state in (None, "away"):
                left = begin + (at_most_s if self._state is None else patience_s) - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            return self._state or "away"

    def _want(self, last: tuple[str, str | None] | None) -> None:
        with self._changed:
            self._last, self._state = last, None
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, name="tunelab-record", daemon=True)
                self._thread.start()

    def _write(self) -> None:
        pause = _PATIENCE_S[0]
        is_away = False
        while True:
            with self._changed:
                if self._state in ("said", "refused"):
                    self._changed.wait(_SYNC_EVERY_S if self._last is None else None)
                last = self._last
            try:
                self._tell(last)
                state: Said = "said"
                if is_away:
                    self._note("info", "MLflow answers again: it has all that was kept for it")
                is_away, pause = False, _PATIENCE_S[0]
            except Exception as error:
                state = self._judge(error)
                if state == "away" and not is_away:
                    is_away = True
                    print_traceback()
                    self._note("warning", f"MLflow cannot be reached, and is told later: {_first_line(error)}")
            with self._changed:
                if self._last == last:
                    self._state = state
                    self._changed.notify_all()
                    if state == "away":
                        self._changed.wait(pause)
                        pause = min(2 * pause, _PATIENCE_S[1])

    def _tell(self, last: tuple[str, str | None] | None) -> None:
        if self._tracker is None:
            # mlflow takes a second and 100 MB to import.
            from tunelab.registry.tracking import RunTracker

            self._tracker = RunTracker(self.folder, self.journal)
        self._tracker.start()
        self._tracker.sync()
        if last is None:
            self._tracker.running()
        else:
            if last[0] == "completed":
                self._tracker.register()
            self._tracker.finish(*last)

    def _judge(self, error: Exception) -> Said:
        from tunelab.registry.tracking import is_away

        if is_away(error):
            # A client may have half a connection left.
            self._tracker = None
            return "away"
        if self.refusal != (said := _first_line(error)):
            print_traceback()
            self.refusal = said
            self._note("warning", f"MLflow: {said}")
        return "refused"

    def _note(self, level: str, text: str) -> None:
        try:
            self.journal.append("log", level=level, text=text)
        except OSError:
            print_traceback()


def _first_line(error: Any) -> str:
    # The address of a server may have a password in it.
    first = re.sub(r"//[^/\s]*@", "//", (str(error).strip().splitlines() or [""])[0])[:300]
    return first if isinstance(error, Error) else f"{type(error).__name__}: {first}"
