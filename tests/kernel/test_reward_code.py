"""Answers that are code: what passes counts, and what goes wrong, or is meant to, harms nobody and is paid nothing."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunelab.scoring import code_tests
from tunelab.scoring.presets import preset
from tunelab.scoring.score import Case, Score, Scorer
from tunelab.spec.rewards import PresetReward

linux = pytest.mark.skipif(sys.platform != "linux", reason="what the kernel refuses is Linux's")

TESTS = "assert f(2) == 3\nassert f(3) == 4\nassert f(5) == 6\nassert f(-1) == 0"
GOOD = "def f(x):\n    return x + 1"


def made(**options: Any) -> Scorer:
    return preset(PresetReward.model_validate({"preset": "code", "timeout_s": 20, **options}))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the answers' folders are made; nothing is left there."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    assert list(tmp_path.glob("tunelab-code-*")) == []


def one(answer: str, tests: Any = TESTS, prompt: str = "?", options: dict[str, Any] | None = None, **row: Any) -> Score:
    scorer = made(**(options or {}))
    (score,) = scorer.score([Case(prompt, answer, {"ground_truth": tests} | row)])
    scorer.close()
    return score


CHECK = """
METADATA = {}

def check(candidate):
    assert True, "This prints if this assert fails 1"
    assert candidate(2) == 3
    for number in range(9):
        assert candidate(number) == number + 1
    try:
        candidate("two")
        assert False, "a text has no number after it"
    except TypeError:
        pass
"""


@pytest.mark.parametrize(
    ("answer", "tests", "row", "wanted"),
    [
        (GOOD, TESTS, {}, 1),
        (f"Here it is:\n```python\n{GOOD}\n```\nand ```f(1)```", TESTS, {}, 1),
        ("def f(x):\n    return 3", TESTS, {}, 0.25),
        ("def f(x):\n    return abs(x) + 1", TESTS, {}, 0.75),
        ("def f(x):\n    if x > 3: raise ValueError\n    return x + 1", TESTS, {}, 0.75),
        ("def g(x):\n    return x + 1", TESTS, {}, 0),
        (GOOD, TESTS.splitlines(), {}, 1),
        (GOOD, json.dumps(["import math", "assert f(math.floor(2.5)) == 3", "assert f(1) == 3"]), {}, 0.5),
        (GOOD, CHECK, {"entry_point": "f"}, 1),
        (GOOD, CHECK, {}, 1),
        (GOOD, CHECK + "\ncheck(f)", {}, 1),
        ("def f(x):\n    return 3", CHECK, {"entry_point": "f"}, 1 / 3),
        ("def f(x):\n    return int(x == 'two') or x + 1", CHECK, {"entry_point": "f"}, 2 / 3),
        (GOOD, CHECK, {"entry_point": "g"}, 0),
        (GOOD, "def test_a():\n    assert f(1) == 2\ndef test_b():\n    found = f()\n    assert found", {}, 0.5),
        (GOOD, "if f(1) == 3:\n    assert False\nelse:\n    assert f(2) == 3", {}, 1),
        ("from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int", "assert P(1) == P(1) != P(2)", {}, 1),
        ("import asyncio\nasync def g(x): return x + 1\ndef f(x): return asyncio.run(g(x))", TESTS, {}, 1),
        ("import threading\ndef f(x):\n    r = []\n    t = threading.Thread(target=lambda: r.append(x + 1))\n"
         "    t.start(); t.join()\n    return r[0]", TESTS, {}, 1),
    ],
)  # fmt: skip
def test_the_share_of_the_tests_that_pass(folder: Path, answer: str, tests: Any, row: Any, wanted: float) -> None:
    assert one(answer, tests, **row).value == pytest.approx(wanted)


def test_an_answer_goes_on_from_the_prompts_head(folder: Path) -> None:
    prompt = 'def f(x):\n    """Return what comes after x."""\n'
    assert one("    return x + 1", CHECK, prompt, entry_point="f").value == 1


PAIRS = [{"input": "1 2\n", "output": "3\n"}, {"input": "5\n6", "output": 11}]


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("import sys\nprint(sum(map(int, sys.stdin.read().split())))", 1),
        ("if __name__ == '__main__':\n    print(sum(map(int, open(0).read().split())), ' ')\n    exit(0)", 1),
        ("import sys\nsys.stdout.buffer.write(b'%d' % sum(map(int, sys.stdin.buffer.read().split())))", 1),
        ("a, b = map(int, input().split())\nprint(a + b)", 0.5),
        ("print(3)", 0.5),
        ("print(3)\n1 / 0", 0),
        ("print(3)\nimport os\nos._exit(0)", 0),
        ("while True:\n    print('x' * 10_000)", 0),
    ],
)
def test_programs_that_read_and_write(folder: Path, answer: str, wanted: float) -> None:
    assert one(answer, json.dumps(PAIRS)).value == wanted


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        ("assert f(", "line 1"),
        ("f(1)", "no assert"),
        ([1], "list of"),
        ("", "no ground_truth"),
        (None, "no ground_truth"),
    ],
)
def test_tests_that_are_none_are_the_rows_fault(folder: Path, tests: Any, said: str) -> None:
    score = one(GOOD, tests)
    assert (score.value, score.status) == (None, "invalid")
    assert said in score.note


def test_the_column_of_the_tests_is_chosen(folder: Path) -> None:
    assert one(GOOD, "x", options={"tests": "cases"}, cases=TESTS).value == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("def f(x: return", "SyntaxError in line 1"),
        ("", "no code"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import numpy", "ModuleNotFoundError"),
        ("raise SystemExit", "SystemExit"),
        ("import os\nos._exit(0)", "ended before its tests did"),
        ("import os\nos.abort()", "SIGABRT"),
        ("x = [0] * 10**9", "MemoryError"),
        ("class E(Exception):\n    def __str__(self): raise self\nraise E", "E"),
        ("(" * 5000, "SyntaxError"),
        ("x = '\ud800'", "SyntaxError|UnicodeEncodeError"),
        ("open('big', 'wb').write(b'x' * (1 << 27))", "File too large"),
    ],
)
def test_what_goes_wrong_is_worth_nothing_and_is_said(folder: Path, answer: str, said: str) -> None:
    score = one(answer)
    assert (score.value, score.status) == (0, "scored")
    assert any(each in score.note for each in said.split("|")), score.note


@pytest.mark.parametrize(
    "answer",
    [
        "import os\ndef f(x):\n    os._exit(0)",
        "import sys\ndef f(x):\n    sys.exit(0)",
        "class A:\n    def __eq__(self, other): return True\ndef f(x): return A()",
        "class A(int):\n    def __eq__(self, other): return True\n    __ne__ = __lt__ = __eq__\ndef f(x): return A()",
        "class M(type):\n    __mro__ = ()\nclass A(metaclass=M):\n    def __eq__(self, o): return True\n"
        "def f(x): return A()",
        "import builtins\nbuiltins.bool = lambda x: True\ndef f(x): return 9",
        "import builtins\ndef f(x):\n    builtins.bool = builtins.isinstance = lambda *x: True\n    return 9",
        "import sys\nsys.settrace(lambda *a: None)\ndef f(x): return 9",
        "import os\nfor fd in range(3, 40):\n    try: os.write(fd, b'pass 0\\npass 1\\npass 2\\npass 3\\nend\\n')\n"
        "    except OSError: pass\nos._exit(0)",
        "import os\nos.closerange(0, 64)\ndef f(x): return x + 1",
    ],
)  # fmt: skip
def test_tricks_do_not_pass(folder: Path, answer: str) -> None:
    assert one(answer).value == 0


def test_the_tests_have_the_built_in_functions_as_they_were(folder: Path) -> None:
    answer = "import builtins\nbuiltins.abs = lambda x: 0\nbuiltins.all = lambda x: True\ndef f(x): return 9"
    assert one(answer, "assert abs(f(1) - 2) < 1e-6\nassert all(f(n) == n + 1 for n in range(3))").value == 0


@pytest.mark.parametrize(
    "tests", ["assert f(1) == {'a': [1]}", "assert 0 < f(1)['a'][0] < 2", "assert 1 == f(1)['a'][0]"]
)
def test_what_compares_itself_does_not_pass(folder: Path, tests: str) -> None:
    answer = "class A:\n    def __eq__(self, other): return True\n    __lt__ = __gt__ = __eq__\n"
    answer += "def f(x): return {'a': [A()]}"
    assert one(answer, tests).value == 0


def test_a_class_of_the_answers_own_may_compare_with_its_like(folder: Path) -> None:
    answer = "class V:\n    def __init__(self, x): self.x = x\n    def __eq__(self, other): return self.x == other.x"
    assert one(answer, "assert V(1) == V(1)\nassert [V(1)] != [V(2)]\nassert 0 < V(1).x < 2").value == 1


@pytest.mark.parametrize(
    "answer",
    ["while True: pass", "import time\ntime.sleep(600)", "while True: print('x' * 1_000_000)",
     "import re\nre.match('(a+)+$', 'a' * 60 + 'b')"],
)  # fmt: skip
def test_what_does_not_end_is_ended(folder: Path, answer: str) -> None:
    started = time.monotonic()
    score = one(answer, options={"timeout_s": 2})
    assert (score.value, score.status) == (0, "scored")
    assert "not done within 2 s" in score.note
    assert 2 <= time.monotonic() - started < 10
    assert _children() == []


def test_what_passed_before_the_time_was_up_counts(folder: Path) -> None:
    answer = "def f(x):\n    while x == 5: pass\n    return x + 1"
    assert one(answer, options={"timeout_s": 2}).value == 0.5


@linux
@pytest.mark.parametrize(
    "start",
    ["os.fork()", "os.posix_spawn('/bin/sleep', ['sleep', '617'], {})", "os.system('sleep 617 &')",
     "os.execv('/bin/true', ['true'])",
     "__import__('subprocess').Popen(['sleep', '617'], start_new_session=True)",
     "__import__('ctypes').CDLL(None).fork() > 0 or 1 / 0"],
)  # fmt: skip
def test_no_other_process_comes_of_it(folder: Path, start: str) -> None:
    score = one(f"import os\nwhile True:\n    {start}", options={"timeout_s": 2})
    assert score.value == 0
    assert _children() == []


@linux
@pytest.mark.parametrize(
    "reach",
    ["import socket\nsocket.create_connection(('127.0.0.1', {port}), 5)",
     "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{port}', timeout=5)",
     "import _socket\n_socket.socket().connect(('127.0.0.1', {port}))",
     "import ctypes\nlibc = ctypes.CDLL(None)\nfd = libc.socket(2, 1, 0)\nassert fd >= 0\n"
     "to = (2).to_bytes(2, 'little') + ({port}).to_bytes(2, 'big') + bytes([127, 0, 0, 1]) + bytes(8)\n"
     "libc.connect(fd, to, 16)"],
)  # fmt: skip
def test_no_server_hears_of_it(folder: Path, reach: str) -> None:
    came = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def listen() -> None:
            while True:
                connection, _ = server.accept()
                data = connection.recv(1)
                if data == b"q":
                    return
                came.append(data)

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        score = one(f"{reach.format(port=port)}\n{GOOD}")
        with socket.create_connection(("127.0.0.1", port)) as last:
            last.sendall(b"q")
            thread.join(10)
    assert came == []
    assert score.value == 0


def test_secrets_of_the_environment_are_not_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    answer = "import os\ndef f(x): return sorted(os.environ.items())"
    assert one(answer, "assert 'sk-' not in str(f(1))\nassert 'OPENAI_API_KEY' not in dict(f(1))").value == 1
    read = f"raise ValueError(open('/proc/{os.getpid()}/environ').read())"
    assert "sk-secret" not in one(read).note


@linux
def test_files_outside_are_out_of_reach_and_those_inside_go(folder: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    acts = (
        "open('{}/mine.txt', 'w')",
        "os.remove('{}/mine.txt')",
        "os.rename('{}/mine.txt', 'a')",
        "shutil.rmtree('{}')",
    )
    for act in acts:
        score = one(f"import os, shutil\n{act.format(tmp_path)}\n{GOOD}")
        assert score.value == 0
        assert "Permi" in score.note
    assert mine.read_text() == "mine"
    inside = "import os\nos.makedirs('a/b')\nopen('a/b/c', 'w').write('x')\nos.chmod('a/b', 0)\n"
    assert one(inside + GOOD).value == 1


@linux
def test_the_worker_is_not_signalled(folder: Path) -> None:
    assert one(f"import os, signal\nos.kill({os.getpid()}, signal.SIGTERM)\n{GOOD}").value == 0
    assert one(f"import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n{GOOD}").value == 0


HOOKED = """
import runpy, sys
child = runpy.run_path(sys.argv[1])
sys.addaudithook(child["_guard"](False, False))
try:
    exec(sys.argv[2])
    print("done")
except PermissionError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("act", "done"),
    [
        ("import socket; socket.socket().connect(('127.0.0.1', 9))", False),
        ("import subprocess; subprocess.run(['true'])", False),
        ("import os; os.fork()", False),
        ("import os; os.system('true')", False),
        ("import os; os.kill(os.getppid(), 0)", False),
        ("open('../outside', 'w')", False),
        ("import os; os.open('../outside', os.O_CREAT)", False),
        ("import os; os.mkdir('../outside')", False),
        ("open('a', 'w').close(); import os; os.rename('a', '../outside')", False),
        ("import shutil; shutil.rmtree('../work')", False),
        ("open('/proc/self/environ')", False),
        ("import os; os.mkdir('inside'); open('inside/a', 'w').close(); os.remove('inside/a')", True),
        ("import asyncio\nasync def g(): pass\nasyncio.run(g())", True),
        ("import os; open(os.devnull, 'w').close(); import json.tool, decimal", True),
    ],
)
def test_where_the_kernel_refuses_nothing_a_hook_does(tmp_path: Path, act: str, done: bool) -> None:
    (tmp_path / "work").mkdir()
    command = [sys.executable, "-B", "-c", HOOKED, code_tests.__file__.replace("tests.py", "child.py"), act]
    said = subprocess.run(command, cwd=tmp_path / "work", capture_output=True, text=True, timeout=60).stdout
    assert (said == "done\n") is done
    assert done or "not permitted here" in said
    assert not (tmp_path / "outside").exists()


def test_several_run_at_a_time_and_keep_their_order(folder: Path) -> None:
    scorer = made()
    answers = [f"def f(x): return x + {n % 2}" for n in range(24)]
    scores = scorer.score([Case("?", answer, {"ground_truth": TESTS}) for answer in answers])
    scorer.close()
    assert [score.value for score in scores] == [n % 2 for n in range(24)]


def test_the_same_answer_gets_the_same_score(folder: Path) -> None:
    answer = "def f(x): return list({'a', 'b', 'c', 'd', 'e', 'f'})"
    tests = [f"assert f(1)[{n}] == '{letter}'" for n in range(6) for letter in "abcdef"]
    assert len({one(answer, [test]).value for test in tests[:1] * 6}) == 1


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(answer=st.text(max_size=80), tests=st.one_of(st.just(TESTS), st.text(max_size=40), st.integers()))
def test_any_text_gets_a_score_or_a_reason(folder: Path, answer: str, tests: Any) -> None:
    score = one(answer, tests)
    assert "\n" not in score.note
    assert score.value is None or 0 <= score.value <= 1


def _children() -> list[str]:
    found = []
    for process in psutil.process_iter(["cmdline", "status", "environ"]):
        line = " ".join(process.info["cmdline"] or ())
        # Tests that run beside this one have such children too.
        is_ours = (process.info["environ"] or {}).get("HOME", "").startswith(tempfile.gettempdir())
        is_meant = ("code_child" in line and is_ours) or line == "sleep 617"
        if is_meant and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(line)
    return found
