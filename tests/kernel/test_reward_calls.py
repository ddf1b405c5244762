"""Functions of users, called: what they do is a score or a reason, within their time, and nothing of them is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tunelab.scoring.calls import FunctionScorer
from tunelab.scoring.score import Case, Score

Make = Callable[..., FunctionScorer]
CASES = [Case(f"Say {n}.", f"answer {n}", {"prompt": "row's own", "ground_truth": n}) for n in range(4)]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[FunctionScorer] = []

    def scorer(text: str, timeout_s: float = 5.0) -> FunctionScorer:
        path = tmp_path / f"reward{len(made)}.py"
        path.write_text(text, encoding="utf-8")
        made.append(FunctionScorer(path, "reward", timeout_s))
        return made[-1]

    yield scorer
    for each in made:
        each.close()
    left = [process.cmdline() for process in psutil.process_iter() if str(tmp_path) in " ".join(_line(process))]
    assert left == []


def _line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline() if process.status() != psutil.STATUS_ZOMBIE else []
    except psutil.Error:
        return []


SCORED = {
    "a number": ("def reward(completion): return int(completion[-1])", [0, 1, 2, 3]),
    "a truth": ("def reward(completion): return completion[-1] == '2'", [0, 0, 1, 0]),
    "of numpy": ("import numpy as np\ndef reward(completion): return np.float32(0.5)", [0.5] * 4),
    "the row's columns": ("def reward(prompt, ground_truth, completion): return ground_truth", [0, 1, 2, 3]),
    "the rest": ("def reward(completion, **row): return row['ground_truth'] + len(row['prompt'])", [6, 7, 8, 9]),
    "at once": (
        "import asyncio\nbusy = 0\nasync def reward(completion):\n    global busy\n    busy += 1\n"
        "    while busy < 4: await asyncio.sleep(0.01)\n    return 1", [1] * 4,
    ),
    "a batch": ("def reward(completions, ground_truth): return [10 * n for n in ground_truth]", [0, 10, 20, 30]),
    "a batch by TRL's names": (
        "def reward(prompts, completions, **columns): return columns['ground_truth']", [0, 1, 2, 3],
    ),
    "a batch, later": ("async def reward(completions): return [1.0 for _ in completions]", [1] * 4),
    "a thread of its own": (
        "import threading\ndef reward(completion):\n"
        "    threading.Thread(target=threading.Event().wait).start()\n    return 1", [1] * 4,
    ),
    "later, behind a decorator": (
        "import functools\ndef plain(function):\n    @functools.wraps(function)\n"
        "    def inner(**row):\n        return function(**row)\n    return inner\n"
        "@plain\nasync def reward(completion): return 1.0", [1] * 4,
    ),
    "no core file": (
        "import resource\ndef reward(completion): return resource.getrlimit(resource.RLIMIT_CORE)[1]", [0] * 4,
    ),
    "prints, and reads": (
        "import sys\nprint('x' * 1000)\ndef reward(completion):\n"
        "    print(completion, file=sys.stderr)\n    return len(sys.stdin.read())", [0] * 4,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), SCORED.values(), ids=SCORED.keys())
def test_scores(make: Make, text: str, expected: list[float]) -> None:
    scores = make(text).score(CASES)
    assert [(score.status, score.value) for score in scores] == [("scored", value) for value in expected]


def test_a_mapping_gives_parts(make: Make) -> None:
    text = "def reward(completion): return {'score': 1, 'right': 0.5, 'none': None}"
    assert make(text).score(CASES[:1]) == [Score(1.0, "scored", {"right": 0.5})]


ONE = "def reward(completion):\n    {}\n    return 1.0"
FAULTS = {
    "a text": ("return 'good'", "invalid", "returned 'good', a str, and no number"),
    "nothing": ("return None", "invalid", "returned None"),
    "not a number": ("return float('nan')", "invalid", "returned nan, which is no finite number"),
    "without end": ("return float('inf')", "invalid", "returned inf, which is no finite number"),
    "a list": ("return [1.0]", "invalid", "returned [1.0], a list, and no number"),
    "no score": ("return {'right': 1}", "invalid", "returned a mapping without 'score': ['right']"),
    "a part that is none": ("return {'score': 1, 'a': 'x'}", "invalid", "returned 'x', a str, and no number as 'a'"),
    "raises": ("raise ValueError('no\\nway')", "error", "ValueError: no way (at: raise ValueError('no\\nway'))"),
    "leaves": ("import sys; sys.exit(3)", "error", "SystemExit: 3 (at: import sys; sys.exit(3))"),
}


@pytest.mark.parametrize(("line", "status", "note"), FAULTS.values(), ids=FAULTS.keys())
def test_what_is_no_score_says_why_and_the_others_go_on(make: Make, line: str, status: str, note: str) -> None:
    scorer = make(ONE.format(f"if completion == 'answer 1':\n        {line}"))
    scores = scorer.score(CASES)
    assert scores[1] == Score(None, status, note=note)  # type: ignore[arg-type]
    assert [score.value for score in scores] == [1.0, None, 1.0, 1.0]


ENDS = {
    "ends its process": ("import os; os._exit(3)", "error", "the function's process ended with exit status 3"),
    "ends, and its copy does not": (
        "import os, time; os.fork() or time.sleep(600); os._exit(3)", "error",
        "the function's process ended with exit status 3",
    ),
    "ends by a signal without a name": (
        "import os; os.kill(os.getpid(), 50)", "error", "the function's process ended by signal 50",
    ),
    "writes where it must not": (
        "import os; [os.write(int(fd), b'junk\\n') for fd in os.listdir('/proc/self/fd') if 'pipe' in "
        "os.path.realpath(f'/proc/self/fd/{fd}') and os.stat(int(fd)).st_size == 0 and int(fd) > 2 and "
        "__import__('fcntl').fcntl(int(fd), 3) & 1]", "error", "the function wrote into the pipe of its replies",
    ),
    "is killed": ("import os; os.kill(os.getpid(), 9)", "error", "the function's process ended by signal SIGKILL"),
    "hangs": ("import time; time.sleep(3600)", "timeout", "took more than 0.5 s"),
    "hangs, deaf": (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); [0 for _ in iter(int, 1)]", "timeout",
        "took more than 0.5 s",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("line", "status", "note"), ENDS.values(), ids=ENDS.keys())
def test_a_process_that_is_gone_is_replaced(make: Make, line: str, status: str, note: str) -> None:
    begin = time.monotonic()
    scores = make(ONE.format(f"if completion == 'answer 1':\n        {line}"), timeout_s=0.5).score(CASES)
    assert scores[1] == Score(None, status, note=note)  # type: ignore[arg-type]
    assert [score.value for score in scores] == [1.0, None, 1.0, 1.0]
    assert time.monotonic() - begin < 10


def test_a_function_that_forks_is_one_still_and_leaves_nothing(make: Make) -> None:
    scorer = make("import os\ndef reward(completion):\n    os.fork()\n    return float(completion[-1])")
    assert [score.value for score in scorer.score(CASES)] == [0, 1, 2, 3]
    sleeper = make("import subprocess\ndef reward(completion):\n    subprocess.Popen(['sleep', '600'])\n    return 1")
    sleeper.score(CASES)
    child = psutil.Process(sleeper._child._process.pid)  # type: ignore[union-attr]
    sleepers = child.children(recursive=True)
    assert len(sleepers) == 4
    sleeper.close()
    _, alive = psutil.wait_procs(sleepers, timeout=5)
    assert all(process.status() == psutil.STATUS_ZOMBIE for process in alive)


def test_what_is_printed_without_end_neither_blocks_nor_stays(make: Make) -> None:
    scorer = make("def reward(completion):\n    for _ in range(200): print('x' * 1_000_000)\n    return 1.0", 60.0)
    before = psutil.Process().memory_info().rss
    assert [score.value for score in scorer.score(CASES[:1])] == [1.0]
    assert psutil.Process().memory_info().rss - before < 50e6


@pytest.mark.parametrize(
    ("text", "status", "note"),
    [
        ("def reward(completions): return [1.0] * 3", "invalid", "returned 3 values for 4 completions"),
        ("def reward(completions): return 1.0", "invalid", "returned 1.0, a float, and no list of scores"),
        ("def reward(completions): return 'good'", "invalid", "returned 'good', a str, and no list of scores"),
        ("def reward(completions): return {'score': 1}", "invalid", "returned {'score': 1}, a dict, and no list"),
        ("def reward(completions): return None", "invalid", "returned None"),
        (
            "import itertools\ndef reward(completions): return itertools.repeat(1.0)",
            "invalid",
            "returned more than 4 values for 4 completions",
        ),
        ("def reward(completions): raise KeyError('x')", "error", "KeyError: 'x'"),
        ("import time\ndef reward(completions): time.sleep(600)", "timeout", "took more than 0.5 s"),
    ],
)
def test_a_batch_that_fails_fails_whole(make: Make, text: str, status: str, note: str) -> None:
    scores = make(text, timeout_s=0.5).score(CASES)
    assert {(score.value, score.status) for score in scores} == {(None, status)}
    assert all(score.note.startswith(note) for score in scores)


def test_one_that_hangs_among_those_at_once_is_the_only_one(make: Make) -> None:
    text = "import asyncio\nasync def reward(completion):\n"
    scores = make(text + "    await asyncio.sleep(600 * (completion[-1] == '1'))\n    return 1.0", 0.5).score(CASES)
    assert [score.status for score in scores] == ["scored", "timeout", "scored", "scored"]
    blocks = make(text + "    import time; time.sleep(600)", 0.5).score(CASES)
    assert {score.status for score in blocks} == {"timeout"}


AT_ONCE = (
    "import asyncio, sys, time\nasync def reward(completion):\n    if completion == 'answer 1': {}\n    return 1.0"
)


@pytest.mark.parametrize(
    ("line", "status", "note"),
    [
        ("sys.exit(3)", "error", "SystemExit: 3"),
        # Of a client, say: the limit of the call has not run out.
        ("raise TimeoutError('the judge')", "error", "TimeoutError: the judge"),
        ("await asyncio.to_thread(time.sleep, 600)", "timeout", "took more than 0.5 s"),
    ],
)
def test_one_that_fails_among_those_at_once_harms_no_batch(make: Make, line: str, status: str, note: str) -> None:
    scorer = make(AT_ONCE.format(line), 0.5)
    for _ in range(2):
        scores = scorer.score(CASES)
        assert [score.value for score in scores] == [1.0, None, 1.0, 1.0]
        assert scores[1].status == status and scores[1].note.startswith(note)


def test_what_an_asynchronous_function_keeps_serves_every_batch(make: Make) -> None:
    text = "import asyncio\nkept = []\nasync def reward(completion):\n    kept.append(asyncio.get_running_loop())\n"
    scorer = make(text + "    return len(set(kept))")
    assert [score.value for score in scorer.score(CASES) + scorer.score(CASES)] == [1.0] * 8


def test_a_process_that_ended_between_batches_costs_none_a_score(make: Make) -> None:
    scorer = make(
        "import os, threading\ndef reward(completion):\n    if completion == 'answer 3':\n"
        "        threading.Timer(0.5, os._exit, [5]).start()\n    return 1.0"
    )
    assert [score.value for score in scorer.score(CASES)] == [1.0] * 4
    scorer._child._process.wait(30)  # type: ignore[union-attr]
    assert [score.value for score in scorer.score(CASES)] == [1.0] * 4


def test_a_module_that_ends_its_process_leaves_no_pipe(make: Make) -> None:
    scorer = make("import os\nos._exit(4)\ndef reward(completion): return 1.0")
    assert {score.note for score in scorer.score(CASES)} == {"the function's process ended with exit status 4"}
    before = psutil.Process().num_fds()
    for _ in range(3):
        scorer.score(CASES)
    assert psutil.Process().num_fds() <= before


def test_a_module_that_cannot_be_imported_says_so(make: Make) -> None:
    scores = make("import no_such_module\ndef reward(completion): return 1").score(CASES)
    assert {score.note for score in scores} == {
        "the function's module cannot be imported: ModuleNotFoundError: No module named 'no_such_module' (at: import "
        "no_such_module)"
    }


def test_no_secret_is_in_its_environment(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "HF_TOKEN", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "secret")
    scorer = make("import os\ndef reward(completion): return sum('secret' in value for value in os.environ.values())")
    assert scorer.score(CASES[:1])[0].value == 0


def test_it_imports_and_hashes_as_the_worker_does(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "found_by_path.py").write_text("VALUE = 7", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    text = (
        "import found_by_path, sys\ndef reward(completion): return found_by_path.VALUE + sys.flags.hash_randomization"
    )
    assert make(text).score(CASES[:1])[0].value == 8
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    assert make(text).score(CASES[:1])[0].value == 7


def test_many_calls_cost_little_and_long_rows_pass(make: Make) -> None:
    scorer = make("def reward(completion, row): return len(row)")
    cases = [Case("p", "c", {"row": "x" * 100_000}) for _ in range(64)]
    scorer.score(cases[:1])
    begin = time.monotonic()
    assert {score.value for score in scorer.score(cases)} == {100_000.0}
    assert time.monotonic() - begin < 5
    assert scorer.score([]) == []


@pytest.mark.parametrize(
    "line",
    [
        "__import__('time').sleep(600)",
        # Lets no other thread of the process run.
        "__import__('re').match('(a+)+$', 'a' * 60 + 'b')",
    ],
)
def test_its_end_is_its_parents(tmp_path: Path, line: str) -> None:
    import subprocess
    import sys

    path = tmp_path / "reward.py"
    starts = "import subprocess\ndef reward(completion):\n    subprocess.Popen(['sleep', '600'])\n"
    path.write_text(f"{starts}    {line}", encoding="utf-8")
    script = (
        "import sys, threading, time; from pathlib import Path\n"
        "from tunelab.scoring.calls import FunctionScorer\nfrom tunelab.scoring.score import Case\n"
        "scorer = FunctionScorer(Path(sys.argv[1]), 'reward', 600)\n"
        "threading.Thread(target=scorer.score, args=([Case('p', 'c')],), daemon=True).start()\n"
        "while scorer._child is None: time.sleep(0.01)\n"
        "print(scorer._child._process.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    begin = time.monotonic()
    while not (sleepers := child.children()) and time.monotonic() - begin < 10:
        time.sleep(0.05)
    assert sleepers
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs([child, *sleepers], timeout=10)
    left = [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    for process in left:
        process.kill()
    assert left == []
