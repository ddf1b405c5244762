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
        "import asyncio, time\nbegin = time.time()\nasync def reward(completion):\n"
        "    await asyncio.sleep(0.5)\n    return time.time() - begin < 1.5", [1] * 4,
    ),
    "a batch": ("def reward(completions, ground_truth): return [10 * n for n in ground_truth]", [0, 10, 20, 30]),
    "a batch by TRL's names": (
        "def reward(prompts, completions, **columns): return columns['ground_truth']", [0, 1, 2, 3],
    ),
    "a batch, later": ("async def reward(completions): return [1.0 for _ in completions]", [1] * 4),
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
    "ends its process": ("import os; os._exit(3)", "error", "the reward's process ended with exit status 3"),
    "is killed": ("import os; os.kill(os.getpid(), 9)", "error", "the reward's process ended by signal SIGKILL"),
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
        ("def reward(completions): return 1.0", "error", "TypeError: 'float' object is not iterable"),
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


def test_many_calls_cost_little_and_long_rows_pass(make: Make) -> None:
    scorer = make("def reward(completion, row): return len(row)")
    cases = [Case("p", "c", {"row": "x" * 100_000}) for _ in range(64)]
    scorer.score(cases[:1])
    begin = time.monotonic()
    assert {score.value for score in scorer.score(cases)} == {100_000.0}
    assert time.monotonic() - begin < 5
    assert scorer.score([]) == []


def test_its_end_is_its_parents(tmp_path: Path) -> None:
    import subprocess
    import sys

    path = tmp_path / "reward.py"
    path.write_text("import time\ndef reward(completion): time.sleep(600)", encoding="utf-8")
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
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs([child], timeout=10)
    assert not alive
