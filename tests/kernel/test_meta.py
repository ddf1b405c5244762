"""The judge against people: agreement, kappa and bias by hand and against statsmodels, and which rows are taken."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.inter_rater import cohens_kappa
from tests.kernel.judge_server import Answer, JudgeServer

import tunelab as tl
from tunelab.data import Dataset
from tunelab.evaluation import labelled, meta
from tunelab.evaluation.records import Record
from tunelab.jobs.context import Context
from tunelab.jobs.folder import JobFolder
from tunelab.jobs.journal import Journal
from tunelab.scoring.score import Verdict
from tunelab.spec.evaluate import EvaluateSpec
from tunelab.spec.metrics import MetricDefinition

#: Answers by length, and verdicts by what the judge chose in each order: the first answer, the second, or neither.
LONG, SHORT, EVEN = ("a long one", "short"), ("short", "a long one"), ("even", "even")
WORTH = {"1": 1.0, "2": 0.0, "0": 0.5}
STARS = MetricDefinition.model_validate(
    {
        **{"name": "good", "instructions": "Is it good? {{prompt}} {{prediction}}"},
        "rating_scale": {"poor": 1, "fair": 2, "good": 3, "great": 4, "perfect": 5},
    }
)


def pair(answers: tuple[str, str], number: int = 1) -> Record:
    return Record(str(number), number, "?", None, row={"output_1": answers[0], "output_2": answers[1]})


def verdict(orders: str) -> Verdict:
    """Return what two orders come to, such as ``"11"``, or ``"12"`` where it went by the place; ``""`` is unscored."""
    if not orders:
        return Verdict(None, "unparsed")
    first, second = (WORTH[one] for one in orders)
    value = first if first == second else 0.5
    return Verdict(value, parts={"first": first, "second": second}, flipped={first, second} == {0, 1})


def of_pairs(table: Sequence[tuple[tuple[str, str], str, int]], **more: Any) -> dict[str, Any]:
    rows = [pair(answers, number) for number, (answers, _, _) in enumerate(table, 1)]
    return meta.agreement_of_pairs(rows, [verdict(orders) for _, orders, _ in table], [x for *_, x in table], **more)


def of_ratings(table: Sequence[tuple[float | None, float, int]]) -> dict[str, Any]:
    """Return how ratings agree; a line has the judge's, people's, and the length of the answer."""
    rows = [Record(str(n), n, "?", None, row={"prediction": "x" * long}) for n, (*_, long) in enumerate(table, 1)]
    scores = [Verdict(score, "scored" if score is not None else "unparsed") for score, *_ in table]
    return meta.agreement_of_ratings(rows, scores, [said for _, said, _ in table], STARS)


# Answers, what the judge chose in each order, what people did; agreement, kappa, flipped, position bias, length bias.
PAIRS: dict[str, tuple[list[Any], tuple[Any, ...]]] = {
    "all the same": ([(LONG, "11", 1), (SHORT, "22", 2), (LONG, "22", 2), (SHORT, "11", 1)], (1, 1, 0, 0, 0)),
    # By chance one half would agree, and none does. It takes each time the other length.
    "none the same": ([(LONG, "22", 1), (SHORT, "11", 2), (LONG, "11", 2), (SHORT, "22", 1)], (0, -1, 0, 0, 0)),
    "always the longer": ([(LONG, "11", 2), (SHORT, "22", 1), (LONG, "11", 1), (SHORT, "22", 2)], (0.5, 0, 0, 0, 0.5)),
    "always the shorter": ([(LONG, "22", 1), (SHORT, "11", 2)], (0, -1, 0, 0, -1)),
    # The first place is the first answer, then the second: each time a tie, which people never said.
    "always the first place": ([(LONG, "12", 1), (SHORT, "12", 2), (EVEN, "12", 1)], (0, 0, 1, 1, -2 / 2)),
    "always the second place": ([(EVEN, "21", 1), (EVEN, "21", 2)], (0, 0, 1, -1, None)),
    "both places in turn": ([(EVEN, "12", 0), (EVEN, "21", 1)], (0.5, 0, 1, 0, None)),
    # Beside a tie it is half a place, and no flip.
    "a place and a tie": ([(EVEN, "10", 0), (EVEN, "11", 1), (EVEN, "22", 2), (EVEN, "00", 0)], (1, 1, 0, 0.125, None)),
    # Judge 1 2 1 0 and people 1 2 2 1: one half agrees, by chance 0.5 * 0.5 + 0.25 * 0.5.
    "by hand": (
        [(LONG, "11", 1), (LONG, "22", 2), (LONG, "11", 2), (SHORT, "12", 1)],
        (0.5, (0.5 - 0.375) / (1 - 0.375), 0.25, 0.25, 0.25),
    ),
    "one kind alone": ([(EVEN, "11", 1), (EVEN, "11", 1)], (1, None, 0, 0, None)),
    "one row": ([(LONG, "22", 1)], (0, 0, 0, 0, -1)),
}


@pytest.mark.parametrize(("table", "wanted"), PAIRS.values(), ids=PAIRS.keys())
def test_choices_by_hand(table: list[Any], wanted: tuple[Any, ...]) -> None:
    told = of_pairs(table)
    names = ("agreement", "kappa", "flipped", "position_bias", "length_bias")
    assert [told[name] for name in names] == [None if value is None else pytest.approx(value) for value in wanted]
    assert (told["n"], told["unscored"]) == (len(table), 0)
    # What has no verdict is counted, and changes nothing else.
    more = of_pairs([(SHORT, "", 1), *table, (LONG, "", 2)])
    assert more == told | {"n": len(table) + 2, "unscored": 2}


# The judge's ratings, people's, and the length; agreement, kappa, correlation, length bias.
RATINGS: dict[str, tuple[list[Any], tuple[Any, ...]]] = {
    "all the same": ([(1, 1, 9), (3, 3, 2), (5, 5, 4)], (1, 1, 1, None)),
    "turned round": ([(5, 1, 1), (3, 3, 2), (1, 5, 3)], (1 / 3, 0, -1, -1)),
    # Expectations go to the nearest point: 1 3 4 4 and 1 3 4 5. By chance (1 + 1 + 2 * 1) / 16 agree. What is over
    # has the ranks 4 2 3 1, the lengths 4 3 2 1: two of them are one off.
    "expectations": ([(1.4, 1, 4), (2.6, 3, 3), (3.9, 4, 2), (4.4, 5, 1)], (0.75, 0.5 / 0.75, 1, 1 - 6 * 2 / 60)),
    "more for more": ([(2, 2, 1), (3, 2, 2), (4, 2, 3)], (1 / 3, 0, None, 1)),
    "less for more": ([(3, 3, 1), (3, 4, 2), (3, 5, 3)], (1 / 3, 0, None, -1)),
    # 2.1 - 2 is not quite 1.1 - 1, and is no bias.
    "as much more for each": ([(1.1, 1, 4), (2.1, 2, 1), (3.1, 3, 3), (4.1, 4, 2)], (1, 1, 1, None)),
    "one length": ([(1, 2, 5), (2, 1, 5)], (0, -1, -1, None)),
    "one rating": ([(3, 3, 1), (3, 3, 2)], (1, None, None, None)),
    "one row": ([(3, 4, 1)], (0, 0, None, None)),
}


@pytest.mark.parametrize(("table", "wanted"), RATINGS.values(), ids=RATINGS.keys())
def test_ratings_by_hand(table: list[Any], wanted: tuple[Any, ...]) -> None:
    told = of_ratings(table)
    names = ("agreement", "kappa", "correlation", "length_bias")
    assert [told[name] for name in names] == [None if value is None else pytest.approx(value) for value in wanted]
    more = of_ratings([(None, 1, 3), *table, (None, 5, 1)])
    assert more == told | {"n": len(table) + 2, "unscored": 2}


def test_without_a_verdict_there_is_no_number() -> None:
    for told in (of_pairs([(LONG, "", 1)]), of_ratings([(None, 1, 3)]), of_pairs([]), of_ratings([])):
        assert {value for name, value in told.items() if name not in ("n", "unscored")} == {None}
        assert told["n"] == told["unscored"]


def kappa_of(one: Sequence[int], other: Sequence[int], kinds: int) -> float:
    table = np.zeros((kinds, kinds))
    np.add.at(table, (np.array(one), np.array(other)), 1)
    return float(cohens_kappa(table).kappa)


@pytest.mark.parametrize("seed", range(4))
def test_numbers_are_those_of_statsmodels_scipy_and_pandas(seed: int) -> None:
    draw = np.random.default_rng(seed)
    size = int(draw.integers(20, 200))
    people = draw.integers(0, 3, size)
    chosen = np.where(draw.random(size) < 0.6, people, draw.integers(0, 3, size))
    told = of_pairs([(EVEN, f"{one}{one}", int(said)) for one, said in zip(chosen, people, strict=True)], seed=seed)
    assert told["kappa"] == pytest.approx(kappa_of(chosen, people, 3))
    same = (chosen == people).astype(float)
    assert told["agreement"] == pytest.approx(same.mean())
    there = stats.bootstrap((same,), np.mean, method="percentile", n_resamples=20_000, batch=500, rng=draw)
    # The share goes in steps of 1 / size, and the ends by chance by some hundredths of a standard error.
    close = 1.01 / size + 0.15 * there.standard_error
    assert (told["low"], told["high"]) == pytest.approx(tuple(there.confidence_interval), abs=close)

    said = draw.integers(1, 6, size)
    given_ = np.clip(said + draw.normal(0.3, 1, size), 1, 5)
    long = draw.integers(1, 60, size)
    told = of_ratings([(float(a), float(b), int(c)) for a, b, c in zip(given_, said, long, strict=True)])
    nearest = np.rint(given_).astype(int)
    assert told["kappa"] == pytest.approx(kappa_of(nearest - 1, said - 1, 5))
    assert told["agreement"] == pytest.approx((nearest == said).mean())
    ranks = pd.DataFrame({"judge": given_, "people": said, "over": given_ - said, "long": long}).rank()
    assert told["correlation"] == pytest.approx(ranks["judge"].corr(ranks["people"]))
    assert told["length_bias"] == pytest.approx(ranks["over"].corr(ranks["long"]))


TABLES = st.lists(
    st.tuples(
        st.sampled_from([LONG, SHORT, EVEN]),
        st.sampled_from(["", *(a + b for a in "120" for b in "120")]),
        st.sampled_from([0, 1, 2]),
    ),
    min_size=1,
    max_size=15,
)
OTHER = {"1": "2", "2": "1", "0": "0"}


@given(TABLES, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_order_of_rows_and_which_answer_is_called_the_first_change_nothing(table: list[Any], order: Any) -> None:
    told = of_pairs(table)
    near = {name: value if value is None else pytest.approx(value, abs=1e-12) for name, value in told.items()}
    mixed = list(table)
    order.shuffle(mixed)
    assert of_pairs(mixed) == near
    # With the answers exchanged the orders are too, and the judge's choices have the other's name.
    turned = [
        ((second, first), "".join(OTHER[one] for one in reversed(orders)), int(OTHER[str(said)]))
        for (first, second), orders, said in table
    ]
    assert of_pairs(turned) == near


def row(**changed: Any) -> dict[str, Any]:
    told = {"judge": "big", "metric": "good", "n": 40, "agreement": 0.75, "low": 0.6, "high": 0.875}
    return told | {"kappa": 0.5, "flipped": None, "length_bias": None} | changed


SENTENCES = {
    "no verdict": (row(agreement=None), "The judge big gave no verdict by good."),
    "plain": (row(), "The judge big agrees with people in 75% of 40 rows by good (95%: 60% to 88%; kappa 0.50)."),
    "without kappa": (row(kappa=None), "The judge big agrees with people in 75% of 40 rows by good (95%: 60% to 88%)."),
    "flips": (
        row(flipped=0.25, length_bias=0.05),
        "The judge big agrees with people in 75% of 40 rows by good (95%: 60% to 88%; kappa 0.50); 25% of its verdicts "
        "change with the order.",
    ),
    "longer": (
        row(flipped=0, length_bias=0.1),
        "The judge big agrees with people in 75% of 40 rows by good (95%: 60% to 88%; kappa 0.50); it prefers longer "
        "answers.",
    ),
    "shorter": (
        row(length_bias=-0.4),
        "The judge big agrees with people in 75% of 40 rows by good (95%: 60% to 88%; kappa 0.50); it prefers shorter "
        "answers.",
    ),
}


@pytest.mark.parametrize(("told", "wanted"), SENTENCES.values(), ids=SENTENCES.keys())
def test_what_is_said_of_a_judge(told: dict[str, Any], wanted: str) -> None:
    assert meta.sentence(told) == wanted


BOTH = {"prompt": "Q", "output_1": "a", "output_2": "b", "label": 1}
RATED = {"prompt": "Q", "prediction": "a", "label": 2.5}
TAKEN_BOTH = {"query": "Q", "metadata": {"output_1": "a", "output_2": "b", "label": 1}}
TAKEN_RATED = {"query": "Q", "metadata": {"prediction": "a", "label": 2.5}}
#: What is given, and the row that is kept of it.
TAKEN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "two answers": (BOTH, TAKEN_BOTH),
    "one answer": (RATED, TAKEN_RATED),
    "LLMBar's names": ({"input": "Q", "output_1": "a", "output_2": "b", "label": 1}, TAKEN_BOTH),
    "other names": ({"Question": "Q", "Response_A": "a", "Response_B": "b", "Winner": "A"}, TAKEN_BOTH),
    "letters": ({"instruction": "Q", "A": "a", "B": "b", "label": " a "}, TAKEN_BOTH),
    "a number with a gap beside it": (BOTH | {"label": 1.0}, TAKEN_BOTH),
    "a number written out": (BOTH | {"label": "1.0"}, TAKEN_BOTH),
    "a rating as text": ({"query": "Q", "response": "a", "human_score": "2.5"}, TAKEN_RATED),
    "within metadata": ({"query": "Q", "metadata": {"prediction": "a", "rating": 2.5, "topic": "x"}}, TAKEN_RATED),
    "two answers before one": (BOTH | {"prediction": "c"}, TAKEN_BOTH),
    "id and truth": (BOTH | {"id": "k", "ground_truth": "g"}, TAKEN_BOTH | {"id": "k", "response": "g"}),
    "a truth that is a number": (RATED | {"reference": 5}, TAKEN_RATED | {"response": "5"}),
    "no truth": (RATED | {"reference": None}, TAKEN_RATED),
    "an empty answer": (
        RATED | {"prediction": ""},
        {"query": "Q", "metadata": {"prediction": "", "label": 2.5}},
    ),
}


@pytest.mark.parametrize("kind", ["output_1", "prediction"])
def test_rows_in_many_forms(workspace: Path, kind: str) -> None:
    # Of one kind at a time, since a dataset has one.
    cases = {name: case for name, case in TAKEN.items() if kind in case[1]["metadata"]}
    made = labelled.dataset([told for told, _ in cases.values()], None, "rows")
    assert dict(zip(cases, made.read(), strict=True)) == {name: wanted for name, (_, wanted) in cases.items()}


def test_what_people_say_of_two_answers(workspace: Path) -> None:
    sides = {2: 2, "B": 2, "b ": 2, 0: 0, "Tie": 0, "equal": 0, "0": 0, 1: 1, "1": 1}
    made = labelled.dataset([BOTH | {"label": label} for label in sides], None, "rows")
    found = [told["metadata"]["label"] for told in made.read()]
    assert found == list(sides.values())


def test_rows_come_from_anywhere(workspace: Path) -> None:
    Path("people.jsonl").write_text(json.dumps(BOTH) + "\n")
    pd.DataFrame([BOTH]).to_csv("people.csv", index=False)
    registered = Dataset.create("people", [TAKEN_BOTH], technique="evaluation")
    names = {"mine": [BOTH], "people.csv": 5}
    sources = ["people.jsonl", Path("people.csv"), "people.csv", "mine", pd.DataFrame([BOTH]), [BOTH], "people"]
    for source in sources:
        assert list(labelled.dataset(source, names, "rows").read()) == [TAKEN_BOTH]
    # What has their form already is not kept twice.
    assert labelled.dataset(registered, None, "again") == registered


NEEDS = "A judge is held against rows with prompt, label, and output_1 and output_2, or prediction."
TABLE_ONLY = "A judge is held against a dataset, a file or a table of rows, and got"


def without(told: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [{key: value for key, value in told.items() if key != name}]


REFUSED: dict[str, tuple[Any, str]] = {
    "no prompt": (without(BOTH, "prompt"), f"The table, row 1 has no 'prompt'. {NEEDS}"),
    "no label": (without(RATED, "label"), f"The table, row 1 has no 'label'. {NEEDS}"),
    "a misspelt label": (
        [BOTH, *without(BOTH | {"lable": 1}, "label")],
        f"The table, row 2 has no 'label'. Did you mean 'lable'? {NEEDS}",
    ),
    "no answer": (without(RATED, "prediction"), f"The table, row 1 has no 'prediction'. {NEEDS}"),
    "one of two answers": (without(BOTH, "output_2"), f"The table, row 1 has no 'prediction'. {NEEDS}"),
    "a prompt that is none": ([BOTH | {"prompt": None}], "The table, row 1: 'prompt' is no text."),
    "an answer that is a number": ([BOTH | {"output_2": 3}], "The table, row 1: 'output_2' is no text."),
    "no answer there": ([RATED, RATED | {"prediction": None}], "The table, row 2: 'prediction' is no text."),
    "a third side": ([BOTH | {"label": 3}], "The table, row 1: the label 3 is none of 1, 2 and tie (or A, B)."),
    "between the sides": (
        [BOTH | {"label": 1.5}],
        "The table, row 1: the label 1.5 is none of 1, 2 and tie (or A, B).",
    ),
    "yes": ([BOTH | {"label": True}], "The table, row 1: the label True is none of 1, 2 and tie (or A, B)."),
    "no side": ([BOTH | {"label": None}], "The table, row 1: the label None is none of 1, 2 and tie (or A, B)."),
    "a word": ([RATED | {"label": "good"}], "The table, row 1: the label 'good' is no number on the metric's scale."),
    "a truth value": (
        [RATED | {"label": True}],
        "The table, row 1: the label True is no number on the metric's scale.",
    ),
    "infinite": ([RATED | {"label": math.inf}], "The table, row 1: the label inf is no number on the metric's scale."),
    "no rating": (
        [RATED | {"label": math.nan}],
        "The table, row 1: the label None is no number on the metric's scale.",
    ),
    "beyond all numbers": (
        [RATED | {"label": 10**400}],
        f"The table, row 1: the label {10**400} is no number on the metric's scale.",
    ),
    "both kinds": (
        [BOTH, RATED],
        "The table has rows with two answers and rows with one; give one kind.",
    ),
    "two with one id": (
        [BOTH | {"id": "k"}, BOTH | {"id": "l"}, BOTH | {"id": "k"}],
        "rows@1, rows 1 and 3 have one id, 'k': answers are compared by it. Give each row its own, or leave the column "
        "out.",
    ),
    "no rows": (pd.DataFrame(columns=["prompt"]), "The table has no rows."),
    "an empty list": ([], f"{TABLE_ONLY} an empty list."),
    "a list of numbers": ([1], f"{TABLE_ONLY} a list of other things than rows."),
    "a number": (5, f"{TABLE_ONLY} a value of type int."),
    "no file": ("none.jsonl", "There is no file none.jsonl."),
    "no dataset": ("nobody", "There is no dataset 'nobody'. tl.datasets() lists them."),
    "an empty file": ("empty.jsonl", "empty.jsonl is empty."),
    "a file of blank lines": ("blank.jsonl", "blank.jsonl has no rows."),
    "a row of a file": ("people.jsonl", "people.jsonl, row 2: the label 'c' is none of 1, 2 and tie (or A, B)."),
    "a row of a variable": ("mine", "Variable mine, row 1: the label 'd' is none of 1, 2 and tie (or A, B)."),
    "a format that is not known": (
        "people.txt",
        "people.txt is not of a known format. It takes .jsonl, .json, .csv, .tsv, .parquet.",
    ),
}


@pytest.mark.parametrize(("given_", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_rows_that_are_refused(workspace: Path, given_: Any, message: str) -> None:
    lines = [json.dumps(BOTH), json.dumps(BOTH | {"label": "c"})]
    files = {"empty.jsonl": "", "blank.jsonl": "\n\n", "people.txt": "?", "people.jsonl": "\n".join(lines)}
    for name, text in files.items():
        Path(name).write_text(text)
    with pytest.raises(tl.DataError) as caught:
        labelled.dataset(given_, {"mine": [BOTH | {"label": "d"}]}, "rows")
    assert str(caught.value) == message


@pytest.fixture
def serve() -> Iterator[Callable[..., JudgeServer]]:
    servers: list[JudgeServer] = []

    def make(plan: Callable[[int, dict[str, Any]], Answer]) -> JudgeServer:
        servers.append(JudgeServer(plan))
        servers[-1].start()
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


#: What the judge says of an answer by the word in it.
STARS_OF = {"best": "5", "fine": "3", "also": "3", "poor": "1", "odd": "no idea"}


def rates(_: int, request: dict[str, Any]) -> Answer:
    text = request["messages"][0]["content"]
    (word,) = (word for word in STARS_OF if f"<{word}>" in text)
    said = STARS_OF[word]
    return Answer(json.dumps({"reasoning": "so", "score": int(said)}) if said.isdigit() else said)


def run(server: JudgeServer, home: Path, rows: list[dict[str, Any]], **keys: Any) -> tuple[list[Any], dict[str, Any]]:
    """Do a job's work here, on rows as they are kept."""
    made = labelled.dataset(rows, None, "rows")
    folder = JobFolder(home / "jobs" / "one")
    folder.path.mkdir(parents=True)
    (folder.path / "metric-good-1.json").write_text(STARS.model_dump_json())
    judge = {"model": "judge", "base_url": server.url, "retries": 0, "metrics": ["good@1"]} | keys
    spec = EvaluateSpec.model_validate({"method": "meta", "dataset": str(made), "judge": judge})
    return meta.run(spec, Context(folder, Journal(folder.journal, "worker")))


def test_ratings_of_two_answers_are_a_choice(workspace: Path, serve: Callable[..., JudgeServer]) -> None:
    words = [("best", "poor", 1), ("poor", "fine", 2), ("fine", "also", 0), ("fine", "best", 1), ("odd", "best", 2)]
    rows = [{"prompt": f"Q{a}", "output_1": f"<{a}>", "output_2": f"<{b}>", "label": said} for a, b, said in words]
    lines, told = run(serve(rates), workspace, rows)
    (judged,) = told["judges"]
    assert (judged["way"], judged["n"], judged["unscored"]) == ("each by itself, expectation, reasoning", 5, 1)
    # Judge 1 2 0 2 and people 1 2 0 1: by chance (1 * 2 + 2 * 1 + 1 * 1) / 16 agree.
    assert (judged["agreement"], judged["kappa"]) == (0.75, pytest.approx((0.75 - 5 / 16) / (1 - 5 / 16)))
    assert (judged["flipped"], judged["position_bias"]) == (None, None)
    assert [line["label"] for line in lines] == ["win", "loss", "tie", "loss", None]
    assert [line["status"] for line in lines] == ["scored"] * 4 + ["unparsed"]
    assert [line["reasoning"] for line in lines[:2]] == ["5 and 1", "1 and 3"]
    assert math.isnan(lines[4]["score"])
    assert [(line["people"], line["prediction"], line["output_2"]) for line in lines[:2]] == [
        (1, "<best>", "<poor>"),
        (2, "<poor>", "<fine>"),
    ]
    assert told["columns"] == ["people", "output_2"]
    assert [note["message"] for note in told["notes"]] == [meta.sentence(judged)]


def test_ratings_of_one_answer(workspace: Path, serve: Callable[..., JudgeServer]) -> None:
    rows = [{"prompt": "Q", "prediction": f"<{word}>", "label": said} for word, said in (("best", 4), ("poor", 1))]
    lines, told = run(serve(rates), workspace, [*rows, {"prompt": "Q", "prediction": "<odd>", "label": 2}])
    (judged,) = told["judges"]
    assert (judged["way"], judged["n"], judged["unscored"]) == ("rating, expectation, reasoning", 3, 1)
    # Judge 5 1 and people 4 1: a quarter agrees by chance.
    assert (judged["agreement"], judged["kappa"]) == (0.5, pytest.approx(0.25 / 0.75))
    assert judged["correlation"] == pytest.approx(1)
    assert [line["score"] for line in lines] == [5, 1, pytest.approx(math.nan, nan_ok=True)]
    assert [line["people"] for line in lines] == [4, 1, 2]
    assert told["columns"] == ["people"]


def test_one_answer_is_not_judged_in_pairs(workspace: Path, serve: Callable[..., JudgeServer]) -> None:
    with pytest.raises(tl.SpecError, match=r"judge.pairwise needs rows with output_1 and output_2"):
        run(serve(rates), workspace, [RATED], pairwise=True)
