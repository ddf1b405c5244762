"""Rewards by a rule: what each gives, against real rows and an independent source, and for any text at all."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from test_live import until

from tunelab.errors import SpecError
from tunelab.scoring import extract, number
from tunelab.scoring.presets import preset
from tunelab.scoring.score import Case, Score, Scorer
from tunelab.spec.rewards import PresetReward

needs_data = pytest.mark.skipif("TUNELAB_DATA" not in os.environ, reason="TUNELAB_DATA names no folder of real rows")


def made(name: str, **options: Any) -> Scorer:
    return preset(PresetReward.model_validate({"preset": name, **options}))


def one(scorer: Scorer, answer: str, truth: Any = None, **row: Any) -> Score:
    (score,) = scorer.score([Case("?", answer, row | ({} if truth is None else {"ground_truth": truth}))])
    return score


def value(name: str, answer: str, truth: Any = None, **options: Any) -> float | None:
    scorer = made(name, **options)
    try:
        return one(scorer, answer, truth).value
    finally:
        scorer.close()


@pytest.fixture(scope="module")
def numbers() -> Iterator[Scorer]:
    scorer = made("number")
    yield scorer
    scorer.close()


@pytest.mark.parametrize(
    ("answer", "truth", "options", "wanted"),
    [
        (" Paris. ", "paris", {}, 1),
        ("New\n  York", "new york", {}, 1),
        ("Paris", "paris", {"ignore_case": False}, 0),
        ("Paris, France", "Paris", {}, 0),
        ("B", ["a", "b"], {}, 1),
        ("c", ["a", "b"], {}, 0),
        ("5", 5, {}, 1),
        ("cafe\u0301", "CAFÉ", {}, 1),
        ("so...", "so..", {}, 0),
        ("0", 0, {}, 1),
        ("a", None, {}, None),
        ("a", "", {}, None),
        ("a", [], {}, None),
    ],
)
def test_exact(answer: str, truth: Any, options: dict[str, Any], wanted: float | None) -> None:
    assert value("exact", answer, truth, **options) == wanted


@pytest.mark.parametrize(
    ("answer", "truth"),
    [
        ("#### 42", 42),
        ("#### 1,234 and then 5", 1234),
        ("5 apples\n#### 3\nThat was 7.", 3),
        (r"so \boxed{7} or 8", 7),
        (r"#### 7, no, \boxed{8}", 8),
        (r"\boxed{\frac{1}{2}}", "1/2"),
        (r"\boxed{-\frac{1}{2}}", -0.5),
        (r"\boxed{1\frac{1}{2}}", 1.5),
        (r"\boxed{\$1,234.50}", 1234.5),
        (r"\boxed{72 \text{ clips}}", "#### 72"),
        (r"\boxed{12{,}000}", 12000),
        (r"\boxed{12\,000}", 12000),
        (r"\boxed{x = -5}", -5),
        (r"\boxed{x = - 5}", -5),
        ("It costs $1,234.50.", 1234.5),
        ("1e3", 1000),
        ("2.5E-1", 0.25),
        ("\u22125", -5),
        ("-$3.20", -3.2),
        ("10-20", 20),
        ("COVID-19", 19),
        ("is 3/4.", 0.75),
        ("2 1/2 hours", 2.5),
        ("on 3/4/2024", 2024),
        ("50%", 50),
        ("50 percent", 0.5),
        ("1\u202f234\u00a0000", 1234000),
        (".5", "0.50"),
        ("**42**", 42),
        ("33.333333", "100/3"),
        ("two or 4", [3, 4]),
        (r"we get $\frac{3}{4}$.", 0.75),
        (r"$2\sqrt{3}$", r"\sqrt{12}"),
        (r"\boxed{5+7}", 12),
        (r"The answer is $2^{10}$.", 1024),
        (r"\boxed{\frac{\pi}{2}}", r"$\pi/2$"),
        (r"\boxed{3 \times 10^5}", 300000),
    ],
)
def test_numbers_that_are_the_same(numbers: Scorer, answer: str, truth: Any) -> None:
    assert one(numbers, answer, truth).value == 1


@pytest.mark.parametrize(
    ("answer", "truth", "found"),
    [
        ("1000001", 1000000, 1),
        ("-5", 5, 1),
        ("5%", "50%", 1),
        ("#### 5\n42", 42, 1),
        ("about 42 or 43", 42, 1),
        (r"\boxed{\sqrt{2}}", r"\sqrt{3}", 1),
        ("no number", 3, 0),
        ("####", 3, 0),
        ("", 3, 0),
        ("1/0", 3, 0),
        ("1e999999999", 3, 0),
    ],
)
def test_numbers_that_are_not_and_whether_there_was_one(numbers: Scorer, answer: str, truth: Any, found: float) -> None:
    score = one(numbers, answer, truth)
    assert (score.value, score.parts) == (0, {"found": found})


def test_a_tolerance_is_relative() -> None:
    assert [value("number", "101", 100, tolerance=tolerance) for tolerance in (None, 0.009, 0.01)] == [0, 0, 1]
    assert value("number", "0.101", 0.1, tolerance=0.011) == 1
    assert value("number", "0", 0, tolerance=0.1) == 1


@pytest.mark.parametrize(("truth", "said"), [(None, "has no ground_truth"), ("north", "'north'"), (True, "no number")])
def test_a_row_without_a_number_is_invalid_and_named(numbers: Scorer, truth: Any, said: str) -> None:
    score = one(numbers, "5", truth)
    assert (score.value, score.status) == (None, "invalid")
    assert said in score.note


def test_an_expression_that_takes_for_ever_is_wrong_and_the_next_is_scored(numbers: Scorer) -> None:
    started = time.monotonic()
    score = one(numbers, r"\boxed{9^{9^{9^{9^{9}}}}}", r"\sqrt{3}")
    assert score.value == 0
    assert one(numbers, r"\boxed{\sqrt{12}}", r"2\sqrt{3}").value == 1
    assert time.monotonic() - started < 30


def test_what_the_number_is_can_be_had() -> None:
    assert number.extract("first 3, then\n#### 1,234 clips") == "1,234"
    assert number.value("a half: 1/2") == 0.5
    assert number.extract("none") is None


@needs_data
def test_gsm8k_answers_are_right_for_themselves_and_wrong_for_each_other(numbers: Scorer) -> None:
    lines = (Path(os.environ["TUNELAB_DATA"]) / "gsm8k" / "train.jsonl").read_text().splitlines()
    answers = [json.loads(line)["answer"] for line in lines]
    # By the dataset's own rule: what follows the hashes, without commas.
    finals = [float(answer.split("#### ")[1].replace(",", "")) for answer in answers]
    assert len(answers) == 1500
    assert [number.value(answer) for answer in answers] == finals
    cases = [Case("?", answer, {"ground_truth": answer}) for answer in answers]
    assert all(score.value == 1 for score in numbers.score(cases))
    turned = [Case("?", one, {"ground_truth": two}) for one, two in itertools.pairwise(answers)]
    same = [float(one == two) for one, two in itertools.pairwise(finals)]
    assert [score.value for score in numbers.score(turned)] == same
    assert sum(same) / len(same) < 0.02


@needs_data
def test_svamp_answers_in_a_sentence(numbers: Scorer) -> None:
    lines = (Path(os.environ["TUNELAB_DATA"]) / "arithmetic" / "svamp_test.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    for form in ("After {} the answer is {:,.0f}.", "{} so ${:.2f}", "{}: #### {:.0f}", "{} so \\boxed{{{:.1f}}}."):
        cases = [Case("?", form.format(row["Body"], row["Answer"]), {"ground_truth": row["Answer"]}) for row in rows]
        assert all(score.value == 1 for score in numbers.score(cases)), form


@pytest.mark.parametrize(
    ("options", "answer", "truth", "wanted"),
    [
        ({"pattern": r"\d+"}, "room 12", None, 1),
        ({"pattern": r"\d+"}, "no room", None, 0),
        ({"pattern": r"\d+", "full": True}, "room 12", None, 0),
        ({"pattern": r"\w+ \d+", "full": True}, " room 12\n", None, 1),
        ({"pattern": "ROOM"}, "room", None, 0),
        ({"pattern": "ROOM", "ignore_case": True}, "room", None, 1),
        ({"pattern": r"answer: (\w+)"}, "the answer: Yes", "yes", 1),
        ({"pattern": r"answer: (\w+)"}, "the answer: Yes", "no", 0),
        ({"pattern": r"answer: (\w+)"}, "the answer: Yes", None, 1),
        ({"pattern": r"answer: (\w+)", "ignore_case": False}, "the answer: Yes", "yes", 0),
        ({"pattern": r"(a|b) (?P<answer>\w+)"}, "b x", ["w", "x"], 1),
        ({"pattern": r"a|(b)"}, "a", "b", 0),
    ],
)
def test_regex(options: dict[str, Any], answer: str, truth: Any, wanted: float) -> None:
    assert value("regex", answer, truth, **options) == wanted


def test_a_pattern_that_takes_for_ever_is_a_time_out_and_the_next_answer_is_scored() -> None:
    scorer = made("regex", pattern=r"(a+)+$")
    started = time.monotonic()
    slow, quick = scorer.score([Case("?", "a" * 5000 + "b"), Case("?", "aaa")])
    scorer.close()
    assert (slow.value, slow.status) == (None, "timeout")
    assert quick.value == 1
    assert time.monotonic() - started < 20


SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("answer", "truth", "schema", "wanted", "parts"),
    [
        ('{"name": "Eva"}', None, SCHEMA, 1.0, (1, 1)),
        ('```json\n{"name": "Eva"}\n```', None, SCHEMA, 1.0, (1, 1)),
        ('{"name": 3}', None, SCHEMA, 0.5, (1, 0)),
        ('Here: {"name": "Eva"}', None, SCHEMA, 0.0, (0, 0)),
        ('{"name": "Eva"', None, SCHEMA, 0.0, (0, 0)),
        ("NaN", None, SCHEMA, 0.0, (0, 0)),
        ("[" * 50_000, None, SCHEMA, 0.0, (0, 0)),
        ('{"name": " eva", "age": 7}', {"name": "Eva", "age": "7.0"}, SCHEMA, 1.0, (1, 1, 1)),
        ('{"name": "Eva", "age": 8}', '{"name": "Eva", "age": 7}', SCHEMA, 0.6, (1, 1, 0.5)),
        ('{"name": "Eva", "age": -7}', {"name": "Eva", "age": 7}, SCHEMA, 0.4, (1, 0, 0.5)),
        ('{"a": 1}', {"a": 1, "b": 2}, None, 0.4, (1, 0, 0.5)),
        ('{"a": 1, "b": 2}', {"a": 1}, None, 0.4, (1, 0, 0.5)),
        ('{"b": 1, "a": 2}', {"a": 2, "b": 1}, None, 1.0, (1, 1, 1)),
        (
            '{"f": "x", "args": {"a": 1, "b": 3}}',
            {"f": "x", "args": {"a": 1, "b": 2}},
            None,
            0.2 + 1.6 / 3,
            (1, 1, 2 / 3),
        ),
        ('{"a": true}', {"a": 1}, None, 0.2, (1, 1, 0)),
        ('{"a": [true]}', {"a": True}, None, 0.2, (1, 1, 0)),
        ('{"a": "true"}', {"a": True}, None, 1.0, (1, 1, 1)),
        ('{"a": "7 apples"}', {"a": 7}, None, 0.2, (1, 1, 0)),
        ("[1, 2]", [1, 2.0], None, 1.0, (1, 1, 1)),
        ("nothing", {"a": 1}, None, 0.0, (0, 0, 0)),
    ],
)
def test_json(answer: str, truth: Any, schema: Any, wanted: float, parts: tuple[float, ...]) -> None:
    scorer = made("json_schema", **({"schema": schema} if schema else {}))
    score = one(scorer, answer, truth)
    assert score.value == pytest.approx(wanted)
    assert list(score.parts.values()) == pytest.approx(parts)


@pytest.mark.parametrize(
    ("truth", "options", "said"),
    [
        (None, {}, "no ground_truth, and there is no schema"),
        ("{no", {}, "no JSON"),
        (None, {"schema": {"$ref": "#/$defs/none"}}, "/$defs/none"),
        (None, {"schema": {"$ref": "#"}}, "without end"),
    ],
)
def test_json_that_cannot_be_judged_is_invalid(truth: Any, options: dict[str, Any], said: str) -> None:
    score = one(made("json_schema", **options), "{}", truth)
    assert (score.value, score.status) == (None, "invalid")
    assert said in score.note


def test_what_a_schema_refers_to_elsewhere_is_not_fetched() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/schema.json"
        score = one(made("json_schema", schema={"$ref": address}), "{}")
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert score.status == "invalid"
    assert address in score.note


ALONE = """
from tunelab.scoring.guarded import Guarded
Guarded("tunelab.scoring.presets:search", 15.0, ("a", "a", False, False)).call("(a+)+$", "a" * 5000 + "b", False, False)
"""


def test_what_is_guarded_does_not_outlive_who_asked() -> None:
    asking = subprocess.Popen([sys.executable, "-c", ALONE])
    try:
        # By then it is at the pattern, which it would be at for ever.
        until(lambda: any(each.cpu_times().user > 1.5 for each in _guards(asking.pid)), 60)
        (child,) = _guards(asking.pid)
    finally:
        asking.kill()
        asking.wait()
    try:
        child.wait(60)
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()


def _guards(pid: int) -> list[psutil.Process]:
    return [each for each in psutil.Process(pid).children() if "tunelab.scoring.guarded" in each.cmdline()]


def test_a_schema_whose_pattern_takes_for_ever() -> None:
    scorer = made("json_schema", schema={"type": "string", "pattern": "^(a+)+$"})
    assert one(scorer, '"aaa"').value == 1
    assert one(scorer, json.dumps("a" * 5000 + "b")).status == "timeout"
    scorer.close()


@pytest.mark.parametrize(
    ("options", "answer", "wanted"),
    [
        ({"at_least": 4, "at_most": 6}, "a b c d", 1),
        ({"at_least": 4, "at_most": 6}, "a b c d e f", 1),
        ({"at_least": 4, "at_most": 6}, "a b c", 0.5),
        ({"at_least": 4, "at_most": 6}, "a b", 0),
        ({"at_least": 4, "at_most": 6}, "", 0),
        ({"at_least": 4, "at_most": 6}, "a " * 9, 0.5),
        ({"at_least": 4, "at_most": 6}, "a " * 12, 0),
        ({"at_least": 4, "at_most": 6}, "a " * 99, 0),
        ({"at_most": 0}, "", 1),
        ({"at_most": 0}, "a", 0),
        ({"at_least": 0}, "", 1),
        ({"at_most": 3, "unit": "characters"}, " abc\n", 1),
        ({"at_least": 3, "at_most": 3, "unit": "sentences"}, "Costs 3.50 a day. Why?! So it is", 1),
        ({"at_least": 2, "at_most": 2, "unit": "sentences"}, "你好。再见！", 1),
    ],
)
def test_length(options: dict[str, Any], answer: str, wanted: float) -> None:
    assert value("length", answer, **options) == wanted


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("<think>a</think>\n<answer>b</answer>\n", 1),
        ("<think></think><answer></answer>", 1),
        ("Well: <think>a</think><answer>b</answer>", 0.5),
        ("<answer>b</answer><think>a</think>", 0.5),
        ("<think>a<answer>b</answer></think>", 0.5),
        ("<think>a</think>b", 0.25),
        ("<think>a</think><think>a</think><answer>b</answer>", 0.25),
        ("<think>a</think><answer>b", 0.25),
        ("</think>a<think>", 0),
        ("b", 0),
    ],
)
def test_format(answer: str, wanted: float) -> None:
    assert value("format", answer, tags=["think", "answer"]) == wanted


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"preset": "format", "tags": []}, "no tag in it"),
        ({"preset": "format", "tags": ["<think>"]}, "without the angle brackets"),
        ({"preset": "format", "tags": ["a", "a"]}, "named twice"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        PresetReward.model_validate(options)


def test_a_schema_that_is_none() -> None:
    with pytest.raises(SpecError, match=r"no JSON schema: at \$\.type"):
        made("json_schema", schema={"type": "objekt"})


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("x = 1", "x = 1"),
        ("So:\n```python\nx = 1\n```\nand\n```python\ny\n```", "x = 1\n"),
        ("```bash\nls\n```\n```py\nx\n```", "x\n"),
        ("```\nx\n```", "x\n"),
        ("```python\nx = 1", "x = 1"),
        ("~~~python\ns = '```'\n~~~", "s = '```'\n"),
    ],
)
def test_code_is_found(text: str, code: str) -> None:
    assert extract.code(text) == code


SCORERS = {
    "exact": {},
    "number": {},
    "regex": {"pattern": r"(\d+)"},
    "json_schema": {"schema": SCHEMA},
    "length": {"at_least": 3, "at_most": 9},
    "format": {"tags": ["a", "b"]},
}
PIECES = [
    "#### ",
    "\\boxed{",
    "}",
    "$",
    "$$",
    "\\(",
    "\\[",
    "\\frac{1}{2}",
    "1,000",
    "-",
    "−",
    "e9",
    "/",
    "%",
    "<a>",
    "</a>",
]
PIECES += [
    "<b>",
    "</b>",
    "```json\n",
    "```",
    '{"name": ',
    '"x"',
    "\n",
    " ",
    ".",
    "\ud800",
    "\x00",
    "１",
    "½",
    "^",
    "=",
    "0",
]


@pytest.fixture(scope="module")
def all_scorers() -> Iterator[list[Scorer]]:
    scorers = [made(name, **options) for name, options in SCORERS.items()]
    yield scorers
    for scorer in scorers:
        scorer.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    answer=st.one_of(st.text(max_size=200), st.lists(st.sampled_from(PIECES), max_size=40).map("".join)),
    truth=st.one_of(st.none(), st.text(max_size=20), st.integers(), st.floats(), st.lists(st.integers(), max_size=3)),
)
@example(answer="0", truth="\n")
def test_any_text_gets_a_score_from_0_to_1_or_a_reason(all_scorers: list[Scorer], answer: str, truth: Any) -> None:
    for scorer in all_scorers:
        score = one(scorer, answer, truth)
        assert (score.status == "scored") == (score.value is not None)
        assert "\n" not in score.note
        if score.value is None:
            assert score.note
        else:
            assert 0 <= score.value <= 1
            assert all(0 <= part <= 1 for part in score.parts.values())


@pytest.mark.parametrize(
    "piece", [*PIECES, "1", "1,111,", "1 1/", "a ", "<a", "```\n", "x\n```\n", "\\text{", "[", "{", '"']
)
def test_a_long_answer_takes_no_time(all_scorers: list[Scorer], piece: str) -> None:
    answer = piece * (200_000 // len(piece))
    # What is guarded has a limit of its own, and its first call waits for its process.
    started = time.process_time()
    for scorer in all_scorers:
        one(scorer, answer, "1/2")
    assert time.process_time() - started < 10
