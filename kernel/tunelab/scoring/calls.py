"""A user's reward function, called in a process of its own: what it does is a score or the lack of one, never the end.

One process serves all calls. One that hangs is killed with all that it started, and another takes the rest.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunelab.scoring import callee
from tunelab.scoring.score import Case, Score, Status

#: How long a function's module may take to be imported.
_START_S = 60.0
#: The part of what is printed that is kept, in bytes.
_TAIL = 4096
#: What the function sees of the environment: enough to find programs and libraries, and no secret.
_SEEN = (
    *("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "VIRTUAL_ENV", "CONDA_PREFIX", "LD_LIBRARY_PATH"),
    *("PYTHONPATH", "PYTHONHOME", "PYTHONHASHSEED", "PYTHONUTF8", "PYTHONNOUSERSITE", "PYTHONUSERBASE"),
)
#: So often it is looked whether the process is still there while a reply is waited for, in seconds.
_LOOK_S = 0.2
#: An asynchronous function that holds up its loop is waited for so much longer, since it cannot keep its own time.
_GRACE_S = 1.0


class Ended(Exception):
    """The process has ended by itself; the message says how."""


class FunctionScorer:
    """Scores answers by a function in a file.

    Parameters
    ----------
    path, name
        The module and the function in it, as `source` makes them.
    timeout_s
        Seconds that a call may take: for one answer, or for the whole batch where the function takes lists.
    """

    def __init__(self, path: Path, name: str, timeout_s: float) -> None:
        self.path = path
        self.name = name
        self.timeout_s = timeout_s
        self._child: _Child | None = None
        self._lock = threading.Lock()

    def score(self, cases: Sequence[Case]) -> list[Score]:
        """Return a score for each case, in order; without a number where the function gave none."""
        with self._lock:
            found: list[Score | None] = [None] * len(cases)
            while (left := [place for place, score in enumerate(found) if score is None]) and cases:
                self._ask(cases, left, found)
            return [score for score in found if score is not None]

    def metrics(self) -> dict[str, float]:
        """Return nothing: the trainer counts what is missing."""
        return {}

    def close(self) -> None:
        """End the process and all that the function started."""
        with self._lock:
            self._end()

    def _ask(self, cases: Sequence[Case], left: list[int], found: list[Score | None]) -> None:
        """Ask for the scores of `left` until all are there, or the process has to be replaced."""
        is_new = self._child is None
        try:
            child = self._child = self._child or _Child(self.path, self.name)
            child.ask([cases[place] for place in left], self.timeout_s)
        except Ended as error:
            # One that ended since the last batch, by a thread of its own for instance, has seen none of these.
            if is_new:
                self._fill(found, left, Score(None, "error", note=str(error)))
            self._end()
            return
        waiting, is_late = dict(enumerate(left)), False
        while waiting:
            try:
                reply = child.reply(self.timeout_s + (_GRACE_S if child.is_async else 0.0))
            except TimeoutError:
                # One at a time the first that is missing is the one that hangs; together, all that are missing.
                hung = list(waiting.values()) if child.is_together else list(waiting.values())[:1]
                self._fill(found, hung, Score(None, "timeout", note=f"took more than {self.timeout_s:g} s"))
                self._end()
                return
            except Ended as error:
                hit = list(waiting.values()) if child.is_together else list(waiting.values())[:1]
                self._fill(found, hit, Score(None, "error", note=str(error)))
                self._end()
                return
            if reply["place"] == -1:
                self._batch(reply, list(waiting.values()), found)
                return
            found[waiting.pop(reply["place"])] = _score(reply, self.timeout_s)
            is_late = is_late or "timeout" in reply
        if is_late:
            # What was cancelled may go on in a thread, and hold up the next batch.
            self._end()

    def _batch(self, reply: dict[str, Any], places: list[int], found: list[Score | None]) -> None:
        if "scores" not in reply:
            self._fill(found, places, _score(reply, self.timeout_s))
            return
        for place, score in zip(places, reply["scores"], strict=True):
            found[place] = _score(score, self.timeout_s)

    def _fill(self, found: list[Score | None], places: list[int], score: Score) -> None:
        for place in places:
            found[place] = score

    def _end(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


def _score(reply: dict[str, Any], timeout_s: float) -> Score:
    kinds: tuple[Status, ...] = ("error", "invalid")
    for kind in kinds:
        if kind in reply:
            return Score(None, kind, note=reply[kind])
    if "timeout" in reply:
        return Score(None, "timeout", note=f"took more than {timeout_s:g} s")
    return Score(reply["score"], "scored", reply.get("parts", {}))


class _Child:
    """The process with the function, ready to be asked."""

    def __init__(self, path: Path, name: str) -> None:
        self.is_async = self.is_together = False
        requests, self._requests = os.pipe()
        self._replies, replies = os.pipe()
        life, self._life = os.pipe()
        os.set_blocking(self._requests, False)
        environment = {key: os.environ[key] for key in _SEEN if key in os.environ}
        environment |= {"OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-P", callee.__file__, str(path), name, *map(str, (requests, replies, life))]
        try:
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(requests, replies, life),
                start_new_session=True,
            )
        finally:
            for pipe in (requests, replies, life):
                os.close(pipe)
        self._buffer = b""
        self._tail = b""
        threading.Thread(target=self._drain, name="tunelab-function-output", daemon=True).start()
        try:
            first = self.reply(_START_S)
        except TimeoutError as error:
            self.end()
            raise Ended(f"the function's module was not imported within {_START_S:.0f} s") from error
        except Ended:
            self.end()
            raise
        if "broken" in first:
            self.end()
            raise Ended(f"the function's module cannot be imported: {first['broken']}")
        self.is_async, self.is_together = first["is_async"], first["is_together"]

    def ask(self, cases: Sequence[Case], timeout_s: float) -> None:
        """Send the cases of one call, or of as many as there are cases."""
        listed = [{"prompt": case.prompt, "completion": case.completion, "row": case.row} for case in cases]
        line = (json.dumps({"cases": listed, "timeout_s": timeout_s}, default=str) + "\n").encode()
        while line:
            # A process that reads nothing must not hold this one up.
            _, ready, _ = select.select([], [self._requests], [], timeout_s)
            if not ready:
                raise Ended("the function's process takes no more answers")
            try:
                line = line[os.write(self._requests, line[:65536]) :]
            except BrokenPipeError as error:
                raise Ended(self._how()) from error

    def reply(self, timeout_s: float) -> dict[str, Any]:
        """Return the next line of JSON.

        Raises
        ------
        TimeoutError
            If none comes in time.
        Ended
            If the process has ended.
        """
        end = time.monotonic() + timeout_s
        while b"\n" not in self._buffer:
            # A copy that the function forked holds the pipe open when the process itself has ended.
            has_ended = self._process.poll() is not None
            wait = 0.0 if has_ended else min(_LOOK_S, max(0.0, end - time.monotonic()))
            ready, _, _ = select.select([self._replies], [], [], wait)
            if not ready:
                if has_ended:
                    raise Ended(self._how())
                if time.monotonic() >= end:
                    raise TimeoutError
                continue
            piece = os.read(self._replies, 65536)
            if not piece:
                raise Ended(self._how())
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            return json.loads(line)  # type: ignore[no-any-return]
        except ValueError as error:
            raise Ended("the function wrote into the pipe of its replies") from error

    def end(self) -> None:
        """Kill the process and its group, and close the pipes."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._requests, self._replies, self._life):
            with contextlib.suppress(OSError):
                os.close(pipe)

    def _how(self) -> str:
        """Return how the process ended, with the last line that it printed."""
        try:
            status = self._process.wait(5)
        except subprocess.TimeoutExpired:
            return "the function's process closed its pipe"
        how = f"with exit status {status}"
        if status < 0:
            # Real-time signals have no names.
            names = {number.value: number.name for number in signal.Signals}
            how = f"by signal {names.get(-status, -status)}"
        said = self._tail.decode("utf-8", "replace").strip().splitlines()
        return f"the function's process ended {how}" + (f": {said[-1][:200]}" if said else "")

    def _drain(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as pipe:
            while piece := os.read(pipe.fileno(), 1 << 20):
                self._tail = (self._tail + piece)[-_TAIL:]
