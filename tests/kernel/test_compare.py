"""Comparisons: by hand, against scipy and statsmodels, and the same whatever the order and the names."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.descriptivestats import sign_test
from statsmodels.stats.power import NormalIndPower

import tunelab as tl
from tunelab.evaluation import compare

NAN = math.nan
BASE, TUNED, BIG = "smollm2-135m", "chatty@1", "big"


def lines(scores: dict[str, list[float]], metric: str = "m", **more: Any) -> pd.DataFrame:
    """Return records: for each model a score of each id, whose names are their places."""
    told = [
        {"id": str(place), "model": model, "metric": metric, "score": score, "against": None, "flipped": False}
        | {name: values[place] for name, values in more.items()}
        for model, own in scores.items()
        for place, score in enumerate(own)
    ]
    return pd.DataFrame(told)


def one(here: list[float], there: list[float], equal_within: float = compare.EQUAL_WITHIN) -> compare.Paired:
    return compare.paired(np.array(here, float), np.array(there, float), 0, equal_within)


# Of six records: 3 improved, 1 equal, 1 degraded, and one without a score of the candidate's. Differences 1 1 2 0 -1.
SIX = {BASE: [1.0, 1, 1, 2, 3, 3], TUNED: [2.0, 2, 3, 2, 2, NAN]}


def test_a_table_worked_out_by_hand() -> None:
    base, tuned = compare.summarize(lines(SIX), [BASE, TUNED])
    assert (base.model, base.mean, base.scored, base.unscored, base.pairs) == (BASE, pytest.approx(11 / 6), 6, 0, 0)
    assert (base.baseline, base.improved, base.difference, base.p_value, base.verdict) == (None, None, None, None, "")
    told = tuned.as_dict()
    assert tuple(told) == compare.COLUMNS
    low, high = told.pop("low"), told.pop("high")
    assert -0.4 <= low < 0.6 < high <= 1.6
    shown = f"+0.60 (95% {low:+.2f} to {high:+.2f})"
    # Four differ, three of them one way: (1 + 4) / 16 on a side. The variance is (2 * 0.16 + 1.96 + 0.36 + 2.56) / 4.
    more = math.ceil((1.959964 + 0.841621) ** 2 * 1.3 / 0.36)
    assert told == {
        **{"metric": "m", "model": TUNED, "mean": 11 / 5, "improved": 0.6, "equal": 0.2, "degraded": 0.2},
        **{"difference": pytest.approx(0.6), "p_value": 0.625, "scored": 5, "unscored": 1, "baseline": BASE},
        **{"baseline_mean": pytest.approx(8 / 5), "pairs": 5, "test": "sign", "win_rate": 0.7, "needed": more},
        "verdict": f"Too few records to tell: about {more} pairs would do for a difference of this size, {shown}; "
        "there are 5.",
        **{"flipped": 0, "human": 0},
    }


# improved, equal, degraded, difference, p, test, win rate
CASES = {
    "one pair": ([3], [1], (1, 0, 0, 2.0, 1.0, "sign", 1.0)),
    "one equal pair of zeros": ([0], [0], (0, 1, 0, 0.0, 1.0, "mcnemar", 0.5)),
    "all differ alike": ([2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5, 6], (1, 0, 0, 1.0, 2 / 2**6, "sign", 1.0)),
    "right or wrong": ([1, 1, 1, 0], [0, 0, 1, 1], (0.5, 0.25, 0.25, 0.25, 1.0, "mcnemar", 0.625)),
    "rounding": ([0.1 + 0.2, 0.3], [0.3, 0.1 + 0.2], (0, 1, 0, 0.0, 1.0, "sign", 0.5)),
    "a side is missing": ([NAN, 5, 2], [5, NAN, 1], (1, 0, 0, 1.0, 1.0, "sign", 1.0)),
    "infinite is no score": ([math.inf, 2], [1, 1], (1, 0, 0, 1.0, 1.0, "sign", 1.0)),
}


@pytest.mark.parametrize(("here", "there", "wanted"), CASES.values(), ids=CASES.keys())
def test_pairs(here: list[float], there: list[float], wanted: tuple[Any, ...]) -> None:
    told = one(here, there)
    found = (told.improved, told.equal, told.degraded, told.difference, told.p_value, told.test, told.win_rate)
    assert found == pytest.approx(wanted)


def test_without_a_pair_there_is_no_number() -> None:
    assert one([NAN, 1], [1, NAN]) == one([], []) == compare.Paired()
    _, tuned = compare.summarize(lines({BASE: [1, NAN], TUNED: [NAN, 1]}), [BASE, TUNED])
    assert (tuned.mean, tuned.scored, tuned.unscored, tuned.pairs) == (1, 1, 1, 0)
    assert (tuned.improved, tuned.difference, tuned.p_value, tuned.test, tuned.needed) == (None,) * 5
    assert tuned.verdict == "Nothing to compare: no record has a score on both sides."


VERDICTS = {
    "better": ([1] * 40, [0] * 40, "Better: +1.00 (95% +1.00 to +1.00).", False),
    "worse": ([0] * 40, [2] * 40, "Worse: -2.00 (95% -2.00 to -2.00).", False),
    "better by little": ([0.003] * 40, [0] * 40, "Better: +0.003 (95% +0.003 to +0.003).", False),
    "five alike": (
        [1] * 5,
        [0] * 5,
        "Too few records to tell: about 6 pairs would do for a difference of this size, +1.00 (95% +1.00 to +1.00); "
        "there are 5.",
        True,
    ),
    "one": ([1], [0], "Too few records to tell: there is 1 pair, with a difference of +1.", False),
    "all equal": ([1] * 60, [1] * 60, "No difference to be told: the scores are equal in 60 pairs.", False),
    "one equal": ([1], [1], "No difference to be told: the scores are equal in 1 pair.", False),
    "as many up as down": (
        [0.3, 0.2, 0.1],
        [0.1, 0.2, 0.3],
        "No difference to be told: +0.00 (95% -0.20 to +0.20) over 3 pairs.",
        False,
    ),
    # Many small losses and few large gains: the mean and the records say opposite things, or one of them nothing.
    "opposite": (
        [100] * 12 + [0] * 60,
        [0] * 12 + [1] * 60,
        "Not clear: +15.83 (95% +7.42 to +24.25) on average, with 12 improved and 60 degraded (p = 8.1e-09).",
        False,
    ),
    "mean alone": (
        [100] * 12 + [0] * 12,
        [0] * 12 + [1] * 12,
        "Not clear: +49.50 (95% +28.46 to +70.54) on average, with 12 improved and 12 degraded (p = 1).",
        False,
    ),
}


@pytest.mark.parametrize(("here", "there", "verdict", "is_more"), VERDICTS.values(), ids=VERDICTS.keys())
def test_a_verdict_is_one_plain_sentence(here: list[float], there: list[float], verdict: str, is_more: bool) -> None:
    told = one(here, there)
    assert told.verdict == verdict
    assert (told.needed is not None) is is_more


def test_equal_may_be_wider_and_the_difference_stays_what_it_is() -> None:
    here, there = [2.04, 2.4, 1.0, 0.4], [2.0, 2.0, 1.5, 0.3]
    exact, wide = one(here, there), one(here, there, 0.1)
    assert (exact.improved, exact.equal, exact.degraded) == (0.75, 0, 0.25)
    # 0.4 - 0.3 is a little more than 0.1, and equal within it.
    assert (wide.improved, wide.equal, wide.degraded) == (0.25, 0.5, 0.25)
    assert wide.difference == exact.difference == pytest.approx(0.01)
    assert (wide.low, wide.high) == (exact.low, exact.high)
    records = pd.concat([lines({BASE: there, TUNED: here}, "a"), lines({BASE: there, TUNED: here}, "b")])
    told = compare.summarize(records, [BASE, TUNED], equal_within={"a": 0.1})
    assert [(row.metric, row.equal) for row in told if row.baseline] == [("a", 0.5), ("b", 0)]


def test_records_are_paired_by_id_and_not_by_place() -> None:
    records = lines({BASE: [1, 2, 3, 4], TUNED: [2, 3, 4, 5]})
    mixed = pd.concat([records[:4], records[4:][::-1]])
    assert compare.summarize(mixed, [BASE, TUNED]) == compare.summarize(records, [BASE, TUNED])
    # One that only one model has is missing on the other side, and no shift of all that follow.
    base, tuned = compare.summarize(records.drop(index=0), [BASE, TUNED])
    assert (base.scored, base.unscored, tuned.scored, tuned.unscored, tuned.pairs) == (3, 1, 4, 0, 3)
    assert (tuned.difference, tuned.baseline_mean) == (1, 3)


def test_a_record_with_two_lines_is_refused() -> None:
    records = lines({BASE: [1, 2], TUNED: [1, 2]})
    with pytest.raises(tl.Error, match="record '1' has two lines of the model 'chatty@1' and the metric 'm'"):
        compare.summarize(pd.concat([records, records[-1:]]), [BASE, TUNED])


def test_each_metric_has_a_row_a_model_in_their_order() -> None:
    scores = {TUNED: [1.0, 0], BASE: [0.0, 0], BIG: [1.0, 1], "other": [9.0, 9]}
    records = pd.concat([lines(scores, "z"), lines(scores, "a")])
    told = compare.summarize(records, [BASE, BIG, TUNED])
    assert [(row.metric, row.model) for row in told] == [(m, n) for m in "za" for n in (BASE, BIG, TUNED)]
    assert [row.difference for row in told] == [None, 1, 0.5] * 2


def test_verdicts_on_both_sides_are_a_win_rate() -> None:
    records = lines({TUNED: [1.0, 1, 0.5, 0, NAN], BIG: [0.0, 0, 0, 0, 0]}).assign(against=BASE)
    records["flipped"] = [False, False, True, False, None, *[False] * 5]
    tuned, big = compare.summarize(records, [BASE, TUNED, BIG])
    assert (tuned.mean, tuned.win_rate, tuned.baseline_mean, tuned.difference) == (0.625, 0.625, 0.375, 0.25)
    assert (tuned.improved, tuned.equal, tuned.degraded, tuned.pairs) == (0.5, 0.25, 0.25, 4)
    assert (tuned.scored, tuned.unscored, tuned.flipped, tuned.test) == (4, 1, 1, "sign")
    # Without a tie there are only 0 and 1, and still nothing that McNemar's table would have.
    assert (big.difference, big.win_rate, big.p_value, big.test) == (-1, 0, 2 / 2**5, "sign")


@pytest.mark.parametrize("seed", range(5))
def test_exact_tests_are_those_of_statsmodels(seed: int) -> None:
    draw = np.random.default_rng(seed)
    size = int(draw.integers(5, 200))
    here, there = draw.integers(0, 2, (2, size)).astype(float)
    counts = [[((here == a) & (there == b)).sum() for b in (0, 1)] for a in (0, 1)]
    told = compare.paired(here, there)
    assert told.test == "mcnemar"
    assert told.p_value == pytest.approx(mcnemar(counts, exact=True).pvalue, rel=1e-9)
    here, there = draw.normal(0.2, 1, size).round(1), draw.normal(0, 1, size).round(1)
    told = compare.paired(here, there)
    assert told.test == "sign"
    assert told.p_value == pytest.approx(sign_test(here.round(9) - there.round(9))[1], rel=1e-9)


SAMPLES = {
    "ratings": lambda draw: draw.integers(-3, 4, 80).astype(float),
    "wins": lambda draw: draw.choice([-1.0, 0, 1], 200, p=[0.2, 0.3, 0.5]),
    "expectations": lambda draw: draw.normal(0.1, 1, 120),
    "so many that groups are drawn": lambda draw: draw.normal(0.1, 1, 2000),
    "skewed": lambda draw: draw.lognormal(0, 1.5, 1500),
    "an outlier": lambda draw: np.append(draw.normal(0, 1, 999), 1000.0),
    "two far ones": lambda draw: np.append(draw.normal(0, 0.001, 1000), [900.0, -1000.0]),
}


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES.keys())
def test_the_interval_is_that_of_scipys_bootstrap(sample: Any) -> None:
    differences = sample(np.random.default_rng(3))
    there = stats.bootstrap(
        (differences,), np.mean, n_resamples=40_000, batch=200, method="percentile", rng=np.random.default_rng(1)
    )
    found = [compare.interval(differences, seed) for seed in range(6)]
    # The end of one is off by some 0.03 standard errors by chance, and scipy's by half of that: four times the two.
    close = 4 * there.standard_error * math.hypot(0.03 / math.sqrt(6), 0.016)
    assert np.mean(found, axis=0) == pytest.approx(tuple(there.confidence_interval), abs=close)
    assert len(set(found)) > 1


def test_the_interval_holds_the_mean_as_often_as_it_says() -> None:
    draw = np.random.default_rng(0)
    samples = draw.choice([-1.0, 0, 1, 2], (400, 100), p=[0.2, 0.4, 0.3, 0.1])
    held = [low <= 0.3 <= high for low, high in map(compare.interval, samples)]
    # 95% of 400, give or take three standard errors.
    assert abs(np.mean(held) - 0.95) < 0.033


@pytest.mark.parametrize(("mean", "spread"), [(0.1, 1.0), (-0.25, 0.8), (0.5, 1.2)])
def test_so_many_pairs_have_the_power(mean: float, spread: float) -> None:
    differences = np.random.default_rng(0).normal(size=50)
    differences = (differences - differences.mean()) / differences.std(ddof=1) * spread + mean
    more = compare.needed(differences)
    # With ratio=0 it is a test of one sample.
    there = NormalIndPower().solve_power(abs(mean) / spread, power=0.8, alpha=0.05, ratio=0)
    assert more is not None
    assert more == pytest.approx(there, abs=1.01)
    draw = np.random.default_rng(1)
    samples = draw.normal(mean, spread, (4000, more))
    told = np.abs(samples.mean(1)) > 1.96 * spread / math.sqrt(more)
    assert told.mean() == pytest.approx(0.8, abs=0.03)


SCORES = st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.1 + 0.2, 0.5, 1.0, 2.0, NAN]) | st.floats(-5, 5, width=32)
SIDES = st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=20)


def apart(told: list[compare.Summary], *without: str) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.as_dict().items() if name not in without} for row in told]


@given(SIDES, st.randoms(use_true_random=False), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_order_and_names_change_nothing(sides: list[tuple[float, float]], order: Any, seed: int) -> None:
    records = lines({BASE: [there for _, there in sides], TUNED: [here for here, _ in sides]})
    told = compare.summarize(records, [BASE, TUNED], seed)
    places = list(range(len(records)))
    order.shuffle(places)
    assert compare.summarize(records.iloc[places], [BASE, TUNED], seed) == told
    renamed = records.assign(
        model=records["model"].map({BASE: "zz", TUNED: "aa"}), id=records["id"].map("id {}".format)
    )
    names = ("model", "baseline")
    assert apart(compare.summarize(renamed, ["zz", "aa"], seed), *names) == apart(told, *names)


@given(SIDES, st.integers(0, 2**32 - 1))
@settings(max_examples=200, deadline=None)
def test_swapped_sides_change_nothing_but_the_sign(sides: list[tuple[float, float]], seed: int) -> None:
    here, there = np.array(sides).T
    one, other = compare.paired(here, there, seed), compare.paired(there, here, seed)
    assert (one.improved, one.equal, one.degraded) == (other.degraded, other.equal, other.improved)
    assert (one.p_value, one.pairs, one.test, one.needed) == (other.p_value, other.pairs, other.test, other.needed)
    if one.pairs:
        assert one.difference == -(other.difference or 0.0)
        assert (one.low, one.high) == (-(other.high or 0.0), -(other.low or 0.0))
        assert one.win_rate == pytest.approx(1 - (other.win_rate or 0.0))
    turned = {"Better": "Worse", "Worse": "Better"}
    first, _, _ = one.verdict.partition(":")
    assert other.verdict.partition(":")[0] == turned.get(first, first)


@pytest.mark.parametrize("size", [40, 3000])
def test_swapped_sides_with_many_values_have_the_mirrored_interval(size: int) -> None:
    differences = np.random.default_rng(0).lognormal(size=size)
    low, high = compare.interval(differences)
    assert compare.interval(-differences) == (-high, -low)
    # Where the mirrored differences are the same ones.
    low, high = compare.interval(np.append(differences, -differences))
    assert low == -high < 0


@given(SIDES, st.lists(st.sampled_from(["base", "tuned", "both", "no line"]), min_size=1, max_size=5))
@settings(max_examples=50, deadline=None)
def test_records_without_a_score_change_only_the_coverage(sides: list[tuple[float, float]], more: list[str]) -> None:
    there, here = [there for _, there in sides], [here for here, _ in sides]
    told = compare.summarize(lines({BASE: there, TUNED: here}), [BASE, TUNED])
    records = lines({BASE: there + [NAN] * len(more), TUNED: here + [NAN] * len(more)})
    gone = [str(len(sides) + place) for place, which in enumerate(more) if which == "no line"]
    records = records[~(records["id"].isin(gone) & (records["model"] == TUNED))]
    after = compare.summarize(records, [BASE, TUNED])
    assert apart(after, "unscored") == apart(told, "unscored")
    assert [row.unscored for row in after] == [row.unscored + len(more) for row in told]


def test_a_score_on_one_side_only_is_in_its_mean_and_in_no_pair() -> None:
    _, told = compare.summarize(lines({BASE: [1, 1], TUNED: [2, 2]}), [BASE, TUNED])
    _, more = compare.summarize(lines({BASE: [1, 1, NAN], TUNED: [2, 2, 8]}), [BASE, TUNED])
    assert (more.mean, more.scored, more.pairs, more.difference) == (4, 3, 2, told.difference)


SPLITS: dict[str, tuple[list[Any], list[tuple[str, int]]]] = {
    "texts": (["b", "a", "b", "a", "b", "a"], [("a", 3), ("b", 3)]),
    "some without": ([None, "a", "a", "a", "a", ""], [("a", 4), ("", 2)]),
    "numbers in their order": ([10, 9, 9, 10, 10, 100], [("9", 2), ("10", 3), ("100", 1)]),
    "numbers with a gap": ([10, None, 2.5, 10, 10, 10], [("2.5", 1), ("10", 4), ("", 1)]),
    "yes or no": ([True, False, True, True, True, True], [("False", 1), ("True", 5)]),
    "lists": ([["x"], ["x"], ["y"], ["x"], ["x"], ["x"]], [("['x']", 5), ("['y']", 1)]),
    "of two kinds": ([1, "1", 1, "one", 1, 1], [("1", 5), ("one", 1)]),
}


@pytest.mark.parametrize(("values", "parts"), SPLITS.values(), ids=SPLITS.keys())
def test_a_split_has_a_part_a_value(values: list[Any], parts: list[tuple[str, int]]) -> None:
    told = compare.by(lines(SIX, kind=values), [BASE, TUNED], "kind")
    assert list(told) == ["kind", *compare.COLUMNS]
    base = told[told["model"] == BASE]
    assert list(zip(base["kind"], base["scored"] + base["unscored"], strict=True)) == parts
    assert told.loc[told["model"] == TUNED, "scored"].sum() == 5


def test_a_part_is_compared_as_it_would_be_alone() -> None:
    records = lines(SIX, topic=["a", "a", "a", "b", "b", "b"])
    told = compare.by(records, [BASE, TUNED], "topic", seed=7)
    for topic in "ab":
        own = compare.summarize(records[records["topic"] == topic], [BASE, TUNED], 7)
        rows = told[told["topic"] == topic].drop(columns="topic")
        pd.testing.assert_frame_equal(rows.reset_index(drop=True), pd.DataFrame(own), check_dtype=False)


def test_many_numbers_are_split_into_quarters_of_the_records() -> None:
    size = [*range(1, 101), NAN]
    records = lines({BASE: [0.0] * 101, TUNED: [1.0] * 101}, size=size)
    # Of twice as many lines of some a quarter is still one of the records.
    records = pd.concat([records, lines({BASE: [0.0] * 50, TUNED: [0.0] * 50}, "other", size=size[:50])])
    told = compare.by(records, [BASE, TUNED], "size")
    own = told[(told["model"] == TUNED) & (told["metric"] == "m")]
    ends = ["1 to 25", "26 to 50", "51 to 75", "76 to 100", ""]
    assert list(zip(own["size"], own["pairs"], strict=True)) == list(zip(ends, [25, 25, 25, 25, 1], strict=True))
    # With most of them one value there are fewer parts.
    records = lines({BASE: [0.0] * 100, TUNED: [1.0] * 100}, size=[0.5] * 80 + [*range(1, 21)])
    told = compare.by(records, [BASE, TUNED], "size")
    assert list(told["size"].unique()) == ["0.5", "1 to 20"]


def test_a_split_by_what_the_summary_has_too_and_one_by_too_much() -> None:
    told = compare.by(lines(SIX, mean=[1] * 6), [BASE, TUNED], "mean")
    assert next(iter(told)) == "column mean"
    assert told["mean"].tolist() == [pytest.approx(11 / 6), 11 / 5]
    records = lines({BASE: [0.0] * 300, TUNED: [1.0] * 300}, text=[f"text {n}" for n in range(300)])
    with pytest.raises(tl.Error, match="'text' has 300 different values, and a split 200 at most"):
        compare.by(records, [BASE, TUNED], "text")


def test_a_hundred_thousand_records_take_about_a_second() -> None:
    draw = np.random.default_rng(0)
    size = 100_000
    records = pd.DataFrame(
        {
            "id": np.tile(np.arange(size).astype(str), 2),
            "model": np.repeat([BASE, TUNED], size),
            "metric": "m",
            "score": draw.normal(size=2 * size),
            "against": None,
        }
    )
    begin = time.process_time()
    _, tuned = compare.summarize(records, [BASE, TUNED])
    # A second where nothing else runs.
    assert time.process_time() - begin < 5
    assert tuned.pairs == size
    assert tuned.low is not None and tuned.high is not None
    assert tuned.high - tuned.low == pytest.approx(2 * 1.96 * math.sqrt(2 / size), rel=0.05)
