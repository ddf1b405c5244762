"""Calls that may take for ever on the wrong input, in a child process that lives on and is ended when time is up.

A regular expression and a computer algebra system hold Python's lock while they run, so no thread could stop them.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

#: Seconds that the child may take to import what it needs.
_START_S = 120.0
#: Address space of the child in bytes.
_MEMORY = 4 << 30


class TimeUp(Exception):
    """The call was not done in its time."""


class Guarded:
    """A function called in a child process, one call after the other.

    Parameters
    ----------
    function
        ``module:function``; it takes and returns what JSON can carry.
    timeout_s
        Seconds that a call may take.
    first
        Arguments of a call that the child makes before it is timed, so that what it imports and builds is there.
    """

    def __init__(self, function: str, timeout_s: float, first: Sequence[Any] = ()) -> None:
        self.function = function
        self.first = first
        self.timeout_s = timeout_s
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def call(self, *arguments: Any) -> Any:
        """Return what the function returns.

        Raises
        ------
        TimeUp
            If it was not done in its time.
        ValueError
            If it raised, or used up its memory; the message is the exception's.
        """
        with self._lock:
            question = json.dumps(arguments).encode()
            answer = self._answer(question)
            if answer is None:
                # A child that was ended from outside says nothing of this call.
                answer = self._answer(question)
        if answer is None:
            raise ValueError("the process for it came to an end")
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer["result"]

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._end()

    def _answer(self, question: bytes) -> dict[str, Any] | None:
        """Return the child's answer, or None where it died."""
        child = self._started()
        try:
            answer = self._ask(child, question)
        except TimeUp:
            self._end()
            raise
        if answer is None:
            code = child.wait()
            self._end()
            if code == -signal.SIGALRM:
                raise TimeUp
        return answer

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        self._end()
        arguments = [self.function, str(self.timeout_s), json.dumps(list(self.first))]
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "tunelab.scoring.guarded", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        self._child = child
        try:
            ready = self._line(child, _START_S)
        except TimeUp:
            ready = None
        if ready is None:
            self._end()
            raise ValueError(f"the process for {self.function.partition(':')[2]} did not start")
        return child

    def _ask(self, child: subprocess.Popen[bytes], question: bytes) -> dict[str, Any] | None:
        assert child.stdin is not None
        try:
            child.stdin.write(question + b"\n")
            child.stdin.flush()
        except BrokenPipeError:
            return None
        # The child's own alarm comes first.
        return self._line(child, self.timeout_s + 5)

    def _line(self, child: subprocess.Popen[bytes], timeout_s: float) -> dict[str, Any] | None:
        assert child.stdout is not None
        deadline = time.monotonic() + timeout_s
        data = b""
        while not data.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not _readable(child.stdout.fileno(), left):
                raise TimeUp
            piece = os.read(child.stdout.fileno(), 1 << 16)
            if not piece:
                return None
            data += piece
        answer: dict[str, Any] = json.loads(data)
        return answer

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _readable(fd: int, timeout_s: float) -> bool:
    # `select.select` fails for numbers above 1023, which a worker with many files open may reach.
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(max(1, int(timeout_s * 1000))))


def main() -> None:
    """In the child: import the function, then answer line by line until there are no more."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # What libraries print must not get between the answers.
    os.dup2(2, 1)
    module, _, name = sys.argv[1].partition(":")
    timeout_s = float(sys.argv[2])
    function = getattr(importlib.import_module(module), name)
    if first := json.loads(sys.argv[3]):
        function(*first)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The default action ends the process even inside a C function, and where the parent has died.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    print("{}", file=answers, flush=True)
    for line in sys.stdin.buffer:
        arguments = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, timeout_s)
        try:
            answer = {"result": function(*arguments)}
        except (Exception, RecursionError, MemoryError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
