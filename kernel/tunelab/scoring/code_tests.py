"""Answers that are code: each runs with the row's tests in a process of its own, with limits on what it may do.

The process has its own session, an empty temporary folder, the standard library, no environment, and limits of time,
memory and file size. On Linux the kernel refuses it sockets, other processes, signals to others and, where it has
Landlock, files outside of that folder and of Python's installation. Elsewhere an audit hook refuses sockets, processes
and writing outside: that stops accidents and is no jail, and what the user may read the code may read. The tests share
the process with the code, so code that is written to deceive them can; what is caught is leaving early, comparisons
that are always true, and built-in functions put out of place.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import secrets
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunelab.scoring import extract
from tunelab.scoring.score import Case, Score

#: Bytes that a program may write beyond what is expected of it, and that results may take.
_MOST_OUTPUT = 64 << 10
_MOST_RESULTS = 1 << 20
_CHILD = Path(__file__).with_name("code_child.py")


@dataclass(frozen=True)
class Tests:
    """What a row tests code by: source with asserts, or pairs of input and output."""

    sources: list[str] = field(default_factory=list)
    pairs: list[tuple[str, str]] = field(default_factory=list)
    #: For each assert, whether it only fails by being reached: ``assert False``.
    never: list[bool] = field(default_factory=list)


@dataclass
class _Run:
    """What a process came to."""

    told: list[str]
    output: bytes
    late: bool
    code: int
    flooded: bool = False


class CodeTests:
    """Scores code by the share of a row's tests that it passes.

    Parameters
    ----------
    column
        With the tests: asserts as a text or a list of texts, ``def check(candidate)`` with an ``entry_point`` beside it
        in the row, or a list of ``{"input": …, "output": …}`` for programs that read and write. Lists may be JSON.
    timeout_s
        Seconds that one answer's tests may take together.
    memory_mb
        Address space that they may take.
    """

    name = "code"

    def __init__(self, column: str = "ground_truth", timeout_s: float = 10.0, memory_mb: int = 512) -> None:
        self.column = column
        self.timeout_s = timeout_s
        self.memory_mb = memory_mb
        self._pool = ThreadPoolExecutor(_cores(), thread_name_prefix="tunelab-code")

    def score(self, cases: Sequence[Case]) -> list[Score]:
        """Return the share of tests passed for each answer; what did not end in time counts with what it passed."""
        return list(self._pool.map(self._one, cases))

    def metrics(self) -> dict[str, float]:
        return {}

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _one(self, case: Case) -> Score:
        given = case.row.get(self.column)
        if given is None or given == "" or given == []:
            return Score(None, "invalid", note=f"the row has no {self.column}")
        try:
            tests = read_tests(given)
        except ValueError as error:
            return Score(None, "invalid", note=f"the row's {self.column}: {error}")
        entry_point = case.row.get("entry_point")
        code = _whole(case, entry_point)
        if not code.strip():
            return Score(0.0, note="no code in the answer")
        try:
            if tests.pairs:
                return self._program(code, tests)
            return self._asserts(code, tests, str(entry_point) if entry_point else None)
        except OSError as error:
            return Score(None, "error", note=f"no process for the tests: {error.strerror or error}")

    def _asserts(self, code: str, tests: Tests, entry_point: str | None) -> Score:
        task = {"tests": tests.sources, "entry_point": entry_point, "input": None}
        done = self._run(task | {"code": code}, time.monotonic() + self.timeout_s, 0)
        passed: set[int] = set()
        failed: dict[int, str] = {}
        notes = []
        for line in done.told:
            kind, _, rest = line.partition(" ")
            if kind == "pass" and rest.isdigit():
                passed.add(int(rest))
            elif kind == "fail":
                site, _, why = rest.partition(" ")
                failed[int(site)] = why
            elif kind in ("error", "raised"):
                notes.append(rest)
        ended = "end" in done.told
        counted = set(range(len(tests.never)))
        if ended:
            # An assert in a branch that was not taken says nothing, but one that is not to be reached has held.
            counted = {site for site in counted if site in passed or site in failed or tests.never[site]}
            passed |= {site for site in counted if tests.never[site] and site not in failed}
        good = len((passed - failed.keys()) & counted)
        why = notes[0] if notes else next((each for each in failed.values() if each), "")
        if not ended and not notes:
            why = self._ending(done)
        share = good / len(counted) if counted else 0.0
        return Score(share, note=f"{good} of {len(counted)} tests passed" + (f"; {why}" if why and share < 1 else ""))

    def _program(self, code: str, tests: Tests) -> Score:
        deadline = time.monotonic() + self.timeout_s
        good, why = 0, ""
        for number, (given, wanted) in enumerate(tests.pairs, 1):
            task: dict[str, Any] = {"tests": [], "entry_point": None, "input": given, "code": code}
            done = self._run(task, deadline, len(wanted.encode()) + _MOST_OUTPUT)
            ended = "end" in done.told
            if ended and not done.flooded and _lines(done.output.decode(errors="replace")) == _lines(wanted):
                good += 1
            elif not why:
                said = next((line.partition(" ")[2] for line in done.told if line.startswith("error ")), "")
                why = f"pair {number}: {said or ('another output' if ended else self._ending(done))}"
            if done.late:
                break
        return Score(
            good / len(tests.pairs), note=f"{good} of {len(tests.pairs)} tests passed" + (f"; {why}" * bool(why))
        )

    def _ending(self, done: _Run) -> str:
        if done.late or done.code == -signal.SIGXCPU:
            return f"not done within {self.timeout_s:g} s"
        if done.flooded:
            return "it wrote too much"
        if done.code < 0:
            return f"ended by {signal.Signals(-done.code).name}"
        return "it ended before its tests did"

    def _run(self, task: dict[str, Any], deadline: float, most_output: int) -> _Run:
        """Run the child on a task until `deadline`; nothing of it is left afterwards."""
        nonce = secrets.token_hex(16)
        task |= {"nonce": nonce, "timeout_s": self.timeout_s, "memory_mb": self.memory_mb}
        with _folder() as folder, _pipe() as (results, sink):
            child = subprocess.Popen(
                # Without site-packages and the user's; no byte code is written.
                [sys.executable, "-S", "-s", "-P", "-B", str(_CHILD), str(sink)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if most_output else subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                # The same order of sets each time: rewards can be had again.
                env={"HOME": folder, "TMPDIR": folder, "PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"},
                start_new_session=True,
                pass_fds=(sink,),
            )
            os.close(sink)
            try:
                assert child.stdin is not None
                with contextlib.suppress(BrokenPipeError):
                    child.stdin.write(json.dumps(task).encode())
                    child.stdin.flush()
                with contextlib.suppress(BrokenPipeError):
                    child.stdin.close()
                pipes = {results: _MOST_RESULTS}
                if child.stdout is not None:
                    pipes[child.stdout.fileno()] = most_output
                got, flooded = _collect(pipes, deadline)
                late = not flooded and time.monotonic() >= deadline
                if not late and not flooded:
                    try:
                        child.wait(max(0.0, deadline - time.monotonic()))
                    except subprocess.TimeoutExpired:
                        late = True
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                code = child.wait()
            output = got[child.stdout.fileno()] if child.stdout is not None else b""
            if child.stdout is not None:
                child.stdout.close()
            lines = got[results].decode("ascii", "replace").split("\n")
        told = [line.removeprefix(f"{nonce} ") for line in lines if line.startswith(f"{nonce} ")]
        return _Run(told, output, late, code, flooded)


def read_tests(given: Any) -> Tests:
    """Return what a column's value tests code by.

    Raises
    ------
    ValueError
        If it is no tests: no Python, without an assert, or neither asserts nor pairs.
    """
    if isinstance(given, str):
        text = given.strip()
        if text.startswith(("[", "{")):
            with contextlib.suppress(ValueError, RecursionError):
                given = json.loads(text)
    if isinstance(given, dict):
        inputs, outputs = (given.get("inputs"), given.get("outputs"))
        if isinstance(inputs, list) and isinstance(outputs, list) and len(inputs) == len(outputs):
            given = [{"input": one, "output": two} for one, two in zip(inputs, outputs, strict=True)]
        else:
            given = [given]
    items = given if isinstance(given, (list, tuple)) else [given]
    if items and all(isinstance(item, dict) and item.keys() >= {"input", "output"} for item in items):
        return Tests(pairs=[(_text(item["input"]), _text(item["output"])) for item in items])
    if not all(isinstance(item, str) for item in items):
        raise ValueError('tests are asserts, a list of them, or a list of {"input": …, "output": …}')
    never = []
    for item in items:
        try:
            tree = ast.parse(item)
        except SyntaxError as error:
            raise ValueError(f"no Python in line {error.lineno}: {error.msg}") from None
        except (ValueError, RecursionError, MemoryError) as error:
            raise ValueError(f"no Python: {error}") from None
        never += [isinstance(node.test, ast.Constant) for node in asserts(tree)]
    if not never:
        raise ValueError("there is no assert in it")
    return Tests(sources=list(items), never=never)


def asserts(tree: ast.AST) -> list[ast.Assert]:
    """Return the asserts that test something, in the order of the source."""
    found: list[ast.Assert] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Assert):
            if not (isinstance(node.test, ast.Constant) and node.test.value):
                found.append(node)
        else:
            found += asserts(node)
    return found


def _whole(case: Case, entry_point: Any) -> str:
    """Return an answer's code, with the prompt before it where it goes on from the function's head there."""
    code = extract.code(case.completion)
    if isinstance(entry_point, str) and isinstance(case.prompt, str):
        head = re.compile(rf"^def\s+{re.escape(entry_point)}\s*\(", re.MULTILINE)
        if head.search(case.prompt) and not head.search(code):
            return case.prompt + code
    return code


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "\n".join(map(str, value))
    return str(value)


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]


def _collect(pipes: dict[int, int], deadline: float) -> tuple[dict[int, bytes], bool]:
    """Read pipes to their ends, until `deadline` or until one has more than it may."""
    got = {fd: bytearray() for fd in pipes}
    poll = select.poll()
    for fd in pipes:
        poll.register(fd, select.POLLIN | select.POLLHUP)
    is_open = set(pipes)
    while is_open and (left := deadline - time.monotonic()) > 0:
        for fd, _ in poll.poll(max(1, int(left * 1000))):
            piece = os.read(fd, 1 << 16)
            got[fd] += piece
            if len(got[fd]) > pipes[fd]:
                return {fd: bytes(data) for fd, data in got.items()}, True
            if not piece:
                poll.unregister(fd)
                is_open.discard(fd)
    return {fd: bytes(data) for fd, data in got.items()}, False


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    """A pipe; the writing end is closed by who has handed it on."""
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        os.close(reading)


@contextlib.contextmanager
def _folder() -> Iterator[str]:
    """An empty folder that goes with all that is in it, whatever rights were taken away there."""
    folder = tempfile.mkdtemp(prefix="tunelab-code-")
    try:
        yield folder
    finally:
        for path, _, _ in os.walk(folder):
            with contextlib.suppress(OSError):
                os.chmod(path, stat.S_IRWXU)
        shutil.rmtree(folder, onerror=_again)


def _again(function: Callable[..., Any], path: str, error: Any) -> None:
    with contextlib.suppress(OSError):
        os.chmod(os.path.dirname(path), stat.S_IRWXU)
        function(path)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
