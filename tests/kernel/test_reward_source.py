"""Functions of a notebook as modules: what comes along, what is refused with its name, and how they are called."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

import tunelab as tl
from tunelab.scoring import source

Cell = Callable[..., Any]


@pytest.fixture
def cell() -> Iterator[Cell]:
    """Runs code as cells of a notebook, and returns what `reward` then is."""
    # A shell puts a module of its own in the place of the program's.
    main = sys.modules["__main__"]
    shell = InteractiveShell.instance()
    shell.reset(new_session=False)

    def run(*codes: str) -> Any:
        for code in codes:
            shell.run_cell(code, store_history=True).raise_error()
        return shell.user_ns["reward"]

    yield run
    shell.reset(new_session=False)
    InteractiveShell.clear_instance()
    sys.modules["__main__"] = main


def alone(text: str, folder: Path) -> Any:
    """Return the function `reward` of a module that is imported from a file."""
    path = folder / "alone.py"
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("alone", path)
    assert spec is not None and spec.loader is not None
    module = sys.modules["alone"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.reward


TAKEN = {
    "nothing": (["def reward(completion):\n    return len(completion) / 2"], ["abcd"], 2.0),
    "imports under other names": (
        ["import json as j\nfrom math import sqrt as root\nfrom collections import Counter",
         "def reward(completion):\n    return root(j.loads(completion)['n']) + Counter('aab')['a']"],
        ['{"n": 9}'], 5.0,
    ),
    "a module in a package": (
        ["import xml.etree.ElementTree", "def reward(completion):\n"
         "    return float(xml.etree.ElementTree.fromstring(completion).text)"],
        ["<a>3</a>"], 3.0,
    ),
    "helpers, and theirs": (
        ["import re", "def words(text):\n    return re.findall('[a-z]+', text)",
         "def count(text):\n    return len(words(text))",
         "def reward(completion):\n    return [count(part) for part in completion.split('|')][-1]"],
        ["a|b c"], 2.0,
    ),
    "a class with a decorator": (
        ["from dataclasses import dataclass", "@dataclass\nclass Found:\n    score: float\n\n"
         "    def half(self) -> float:\n        return self.score / 2",
         "def reward(completion) -> float:\n    return Found(len(completion)).half()"],
        ["abcd"], 2.0,
    ),
    "a decorator of the notebook": (
        ["import functools", "def twice(function):\n    @functools.wraps(function)\n"
         "    def inner(completion):\n        return 2 * function(completion)\n    return inner",
         "def base(completion):\n    return 1.0", "def reward(completion):\n    return twice(base)(completion)"],
        ["x"], 2.0,
    ),
    "a decorator above it": (
        ["import functools", "def twice(function):\n    @functools.wraps(function)\n"
         "    def inner(*given):\n        return 2 * function(*given)\n    return inner",
         "@twice\ndef reward(completion):\n    return 1.0"],
        ["x"], 2.0,
    ),
    "a decorator above a helper": (
        ["import functools", "@functools.lru_cache(maxsize=None)\ndef length(text):\n    return len(text)",
         "def reward(completion):\n    return length(completion)"],
        ["abc"], 3,
    ),
    "what an import gave that has no name": (
        ["from math import pi\nfrom re import IGNORECASE as I", "def reward(completion):\n    return pi + I"],
        ["x"], 3.141592653589793 + 2,
    ),
    "fields of a model": (
        ["from typing import Optional\nfrom pydantic import BaseModel", "class Item(BaseModel):\n    n: int",
         "class Answer(BaseModel):\n    items: list[Item]\n    note: Optional[str] = None",
         "def reward(completion):\n    return Answer.model_validate_json(completion).items[0].n"],
        ['{"items": [{"n": 7}]}'], 7,
    ),
    "an enumeration": (
        ["import enum", "class Mark(enum.Enum):\n    GOOD = 3", "def reward(completion):\n    return Mark.GOOD.value"],
        ["x"], 3,
    ),
    "a class without methods, as it was last run": (
        ["from typing import NamedTuple",
         *(f"class Found(NamedTuple):\n    score: int = {n}" for n in (1, 2, 1)),
         "def reward(completion):\n    return Found().score"],
        ["x"], 1,
    ),
    "in an if": (["if True:\n    def reward(completion):\n        return 1.5"], ["x"], 1.5),
    "in an if, with a text of several lines": (
        ["if True:\n    def reward(completion):\n        return len('''\nleft\n      in''')"], ["x"], 14,
    ),
    "annotations that mean nothing elsewhere": (
        ["class Row: pass", "def reward(completion: Row) -> 'Row':\n    kept: Row = 4\n    return kept"], ["x"], 4,
    ),
    "names of its own": (
        ["def reward(completion):\n    total = 0\n    for letter in completion:\n        total += 1\n"
         "    return total + sum(n for n in range(2)) + (lambda k: k)(1)"], ["ab"], 4,
    ),
    "defined again": (["def reward(completion):\n    return 1", "def reward(completion):\n    return 2"], ["x"], 2),
}  # fmt: skip


@pytest.mark.parametrize(("cells", "arguments", "expected"), TAKEN.values(), ids=TAKEN.keys())
def test_a_function_stands_by_itself(
    cell: Cell, tmp_path: Path, cells: list[str], arguments: list[Any], expected: Any
) -> None:
    found = source.capture(cell(*cells))
    assert alone(found.text, tmp_path)(*arguments) == expected
    assert found == source.capture(cell()), "the same source has the same digest"


REFUSED = {
    "variables": (
        ["threshold = 3\nframe = [1]", "def reward(completion):\n    return len(completion) > threshold and frame[0]"],
        "The function 'reward' leans on the notebook's 'frame' and 'threshold', which the job does not have.",
    ),
    "a constant": (["K = 1", "def reward(completion):\n    return K"], "leans on the notebook's 'K'"),
    "in a default": (["k = 1", "def reward(completion, n=k):\n    return n"], "leans on the notebook's 'k'"),
    "in a comprehension": (
        ["k = 1", "def reward(completion):\n    return sum(k for _ in completion)"], "leans on the notebook's 'k'",
    ),
    "through a helper": (
        ["k = 1", "def helper():\n    return k", "def reward(completion):\n    return helper()"],
        "leans on the notebook's 'k'",
    ),
    "a name of nowhere": (
        ["def reward(completion):\n    return lenn(completion)"], "uses 'lenn', which is defined nowhere",
    ),
    "a closure": (
        ["def make(k):\n    def reward(completion):\n        return k\n    return reward", "reward = make(1)"],
        "leans on 'k' of the function that it was defined in",
    ),
    "a helper that was defined again": (
        ["def h():\n    return 1", "old = h", "def h():\n    return 2",
         "def reward(completion):\n    return h() + old()"],
        "leans on the notebook's 'old'",
    ),
    "wrapped by a call": (
        ["import functools\ndef twice(f):\n    @functools.wraps(f)\n    def inner(completion):\n"
         "        return 2 * f(completion)\n    return inner",
         "def base(completion):\n    return 1.0", "reward = twice(base)"],
        "The function 'base' was wrapped by a call, which its source does not tell.",
    ),
    "a helper wrapped by a call": (
        ["import functools\ndef f(completion):\n    return 1.0\nf = functools.lru_cache(f)",
         "def reward(completion):\n    return f(completion)"],
        "leans on the notebook's 'f'",
    ),
    "a name that an import once had": (
        ["from math import pi", "pi = 3", "def reward(completion):\n    return pi"], "leans on the notebook's 'pi'",
    ),
    "a lambda": (["reward = lambda completion: 1.0"], "A lambda cannot be taken along"),
    "a partial": (
        ["import functools\ndef f(completion, k):\n    return k\nreward = functools.partial(f, k=1)"],
        "A functools.partial cannot be taken along",
    ),
    "a method": (
        ["class A:\n    def score(self, completion):\n        return 1\nreward = A().score"],
        "is a method of an object",
    ),
    "a built-in": (["reward = len"], "is of the type builtin_function_or_method"),
    "no source": (["exec('def reward(completion): return 1')"], "The source of 'reward' cannot be found"),
    "blind": (["def reward(prompt):\n    return 1"], "takes neither 'completion'"),
    "both forms": (
        ["def reward(prompt, completions):\n    return [1]"],
        "takes 'completions' and 'prompt': an answer at a time has prompt and completion",
    ),
    "by place": (["def reward(completion, /):\n    return 1"], "parameters before a '/'"),
    "a generator": (["def reward(completion):\n    yield 1"], "yields; it has to return its score"),
}  # fmt: skip


@pytest.mark.parametrize(("cells", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_come_along_is_refused_by_name(cell: Cell, cells: list[str], message: str) -> None:
    with pytest.raises(tl.SpecError) as caught:
        source.capture(cell(*cells))
    assert message in str(caught.value)


def test_what_is_built_in_for_ipython_only_is_imported(cell: Cell) -> None:
    found = source.capture(cell("def reward(completion):\n    display(completion)\n    return 1.0"))
    assert "from IPython.core.display_functions import display\n" in found.text


def test_a_module_beside_the_notebook_is_refused(cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beside_it.py").write_text("def f():\n    return 1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    for codes in (
        ("import beside_it", "def reward(completion):\n    return beside_it.f()"),
        ("from beside_it import f", "def reward(completion):\n    return f()"),
    ):
        with pytest.raises(tl.SpecError, match="imports 'beside_it' from a file beside the notebook"):
            source.capture(cell(*codes))
    sys.modules.pop("beside_it", None)


def of_a_module(completion: str, ground_truth: str, *, strict: bool = False, **row: Any) -> float:
    return float(helper(completion) == ground_truth)


def helper(text: str) -> str:
    return functools.reduce(str.__add__, text.split())


def test_a_function_of_a_module_comes_with_its_helpers() -> None:
    found = source.capture(of_a_module)
    assert "import functools" in found.text and found.text.index("def helper") < found.text.index("def of_a_module")
    assert source.required_columns(found) == {"ground_truth"}


@pytest.mark.parametrize(
    ("text", "batched", "needs"),
    [
        ("def reward(completion): ...", False, set()),
        ("async def reward(prompt, completion, ground_truth, level=1): ...", False, {"ground_truth"}),
        ("def reward(completions, ground_truths, **columns): ...", True, {"ground_truth"}),
        ("def reward(prompts, completions, *, answer): ...", True, {"answer"}),
    ],
)
def test_the_form_is_that_of_its_parameters(tmp_path: Path, text: str, batched: bool, needs: set[str]) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text, encoding="utf-8")
    found = source.from_file(path, "reward")
    assert source.form(found).is_batched is batched
    assert source.required_columns(found) == needs


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("def reward(completion): return 1", "rewrd", "has no function 'rewrd'. Did you mean 'reward'?"),
        ("def reward(completion:", "reward", "mine.py, line 1 is no Python: '(' was never closed."),
        (None, "reward", "There is no file"),
    ],
)
def test_a_file_without_the_function_is_refused(tmp_path: Path, text: str | None, name: str, message: str) -> None:
    path = tmp_path / "mine.py"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(tl.SpecError) as caught:
        source.from_file(path, name)
    assert message in str(caught.value)
