"""What a reward makes of answers: figures that are those of pandas, warnings, and a reward tried on a model."""

from __future__ import annotations

import datetime as dt
import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tunelab as tl
from tunelab.bench import RewardReport, given


def sample(group: int, reward: float | None, text: str = "yes", **more: Any) -> dict[str, Any]:
    status = "scored" if reward is not None else "error"
    parts = {} if reward is None else {"right": reward}
    return {
        "prompt": f"Say {group}.", "completion": text, "reward": reward, "parts": parts, "group": group, "row": group,
        "cut": False, "tokens": 4, "status": status, "note": "" if reward is not None else "ValueError: no",
    } | more  # fmt: skip


def test_the_figures_are_those_of_pandas() -> None:
    draw = random.Random(3)
    samples = [
        sample(n // 5, None if n % 11 == 0 else draw.choice([0.0, 0.25, 1.0]), "a" * draw.randrange(1, 30))
        for n in range(60)
    ]
    labels = [None if n % 4 == 0 else draw.choice([1, 2, 3]) for n in range(60)]
    report = RewardReport.of(samples, labels)
    frame = pd.DataFrame(samples).assign(label=labels, length=[len(one["completion"]) for one in samples])
    assert report.mean == pytest.approx(frame.reward.mean())
    assert report.std == pytest.approx(frame.reward.std(ddof=0))
    by_group = frame.groupby("group").reward
    assert report.spread == pytest.approx(by_group.std(ddof=0).mean())
    assert report.flat == (by_group.nunique() < 2).mean()
    assert report.scored == frame.reward.notna().mean()
    there = frame.dropna(subset=["reward"])
    ranks = there.assign(a=there.reward.rank(), b=there.length.rank())
    assert report.with_length == pytest.approx(ranks.a.corr(ranks.b))
    both = frame.dropna(subset=["reward", "label"])
    pairs = both.merge(both, how="cross")
    pairs = pairs[pairs.label_x < pairs.label_y]
    right = (pairs.reward_x < pairs.reward_y).sum() + 0.5 * (pairs.reward_x == pairs.reward_y).sum()
    correlation, ordered = report.agreement
    assert ordered == pytest.approx(right / len(pairs))
    assert correlation == pytest.approx(both.reward.rank().corr(both.label.astype(float).rank()))
    assert len(report.to_pandas()) == 60 and report.to_pandas().label.notna().sum() == len(report.labels)


WARNINGS = {
    "all alike": ([sample(n // 4, 1.0) for n in range(16)], "Within every prompt all answers have the same reward"),
    "mostly alike": (
        [sample(n // 4, float(n == 0)) for n in range(16)], "75% of the 4 prompts teach nothing: all their answers",
    ),
    "none right": ([sample(n // 4, 0.0) for n in range(16)], "Hardly any answer is rewarded"),
    "all right": ([sample(n // 4, 1.0) for n in range(16)], "Nearly every answer gets the whole reward"),
    "none scored": ([sample(n // 4, None) for n in range(16)], "No answer has a reward"),
    "some not scored": ([sample(n // 4, n % 3 or None) for n in range(16)], "38% of the answers have no reward."),
    "by length": (
        [sample(n // 4, float(n), "a" * (n + 1)) for n in range(16)], "The reward goes with length (+1.00): longer",
    ),
    "cut off": ([sample(n // 4, float(n % 2), cut=n % 3 == 0) for n in range(16)], "38% of the answers are cut off."),
}  # fmt: skip


@pytest.mark.parametrize(("samples", "sentence"), WARNINGS.values(), ids=WARNINGS.keys())
def test_what_speaks_against_a_reward_is_said(samples: list[dict[str, Any]], sentence: str) -> None:
    report = RewardReport.of(samples)
    assert any(warning.startswith(sentence) for warning in report.warnings), report.warnings
    assert sentence in repr(report).replace("\n", " ")


def test_a_good_reward_has_no_warning_and_texts_stay_texts() -> None:
    draw = random.Random(1)
    good = [sample(n // 4, draw.random(), "<b>{{ x }}</b>" * draw.randrange(1, 5)) for n in range(64)]
    report = RewardReport.of(good)
    assert report.warnings == []
    assert "<b>" not in report._repr_html_() and "&lt;b&gt;" in report._repr_html_()
    assert math.isnan(RewardReport.of([sample(0, None)]).mean)
    told = RewardReport.of([sample(0, None, note="<i>no</i>"), sample(0, 1.0, parts={"<u>": 1.0})])._repr_html_()
    assert "&lt;i&gt;no" in told and "&lt;u&gt;" in told and "<i>" not in told and "<u>" not in told


def test_prompts_with_one_reward_are_not_said_to_teach_nothing() -> None:
    single = RewardReport.of([sample(n, n / 9, "a" * (n * 7 % 10 + 1)) for n in range(10)])
    assert math.isnan(single.flat) and math.isnan(single.spread)
    assert single.warnings == [] and "teach nothing" not in repr(single)
    half = RewardReport.of([sample(n // 4, None if n < 8 else n % 4 / 3) for n in range(16)])
    assert half.flat == 0.0 and half.warnings == ["50% of the answers have no reward."]


def test_labels_that_pandas_has_not_are_left_out() -> None:
    samples = [sample(n, n / 3, f"a{n}") for n in range(4)]
    assert RewardReport.of(samples, pd.Series([1, None, 3, 4])).labels == {0: 1.0, 2: 3.0, 3: 4.0}
    rows = pd.DataFrame({"completion": ["a0", "a1"], "label": [1, None]})
    assert RewardReport.of(samples, rows).labels == {0: 1.0}


def test_answers_to_score_may_come_as_any_table() -> None:
    frame = pd.DataFrame({"prompt": ["a", None], "completion": ["x", "y"], "n": np.array([1, 2], dtype=np.int64)})
    rows = [{"prompt": "a", "completion": "x", "n": 1}, {"prompt": "", "completion": "y", "n": 2}]
    assert given(frame) == rows and json.loads(json.dumps(given(frame))) == rows
    assert given(row for row in rows) == rows
    assert given([{"completion": "x", "v": np.float32(0.5), "w": np.arange(2)}]) == [
        {"completion": "x", "v": 0.5, "w": [0, 1]}
    ]
    turns = [{"role": "user", "content": "hi"}]
    assert given([{"prompt": turns, "completion": "x"}])[0]["prompt"] == turns


@pytest.mark.parametrize(
    ("completions", "message"),
    [
        (5, "completions is to be a DataFrame or a list of rows"),
        ("text", "completions is to be a DataFrame or a list of rows"),
        ([], "completions is empty."),
        (pd.DataFrame({"completion": []}), "completions is empty."),
        ([{"completion": "x"}, "y"], "completions, row 2: it needs a text 'completion'."),
        ([{"completion": "x"}, {"prompt": "x"}], "completions, row 2: it needs a text 'completion'."),
        ([{"completion": "x", "prompt": 3}], "completions, row 1: 'prompt' is to be a text or a list of messages."),
        ([{"completion": "x", "when": dt.date(2020, 1, 1)}], "completions, row 1: 'when' has a value of type date"),
        ([{"completion": "x", "v": {1}}], "completions, row 1: 'v' has a value of type set"),
    ],
)
def test_answers_that_cannot_be_scored_are_refused(completions: Any, message: str) -> None:
    with pytest.raises(tl.SpecError, match=message):
        given(completions)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (5, "labels is to be a list of numbers, or rows"),
        ([1, 2], "labels has 2 numbers for 4 answers"),
        ([1, "good", None, 2], "labels, row 2: 'good' is no number."),
        ([{"completion": "yes"}], "labels, row 1: it needs 'completion' and 'label'."),
        ([{"completion": "no", "label": 1}], "No label is of an answer that was scored"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels: Any, message: str) -> None:
    with pytest.raises(tl.SpecError, match=message):
        RewardReport.of([sample(n, 1.0) for n in range(4)], labels)


def short(completion: str, ground_truth: str) -> dict[str, float]:
    return {"score": 1 / len(completion), "right": float(ground_truth in completion)}


def test_given_answers_are_scored_without_a_model(workspace: Path) -> None:
    rows = [{"prompt": f"{n // 2}?", "completion": "x" * (n + 1), "ground_truth": "xxx"} for n in range(6)]
    report = tl.try_reward(short, completions=rows, labels=[6, 5, 4, 3, 2, 1])
    assert report.rewards == pytest.approx([1 / (n + 1) for n in range(6)])
    assert report.agreement == (pytest.approx(1.0), 1.0)
    assert [one["parts"]["right"] for one in report.samples] == [0, 0, 1, 1, 1, 1]
    assert len(report.groups) == 3
    with pytest.raises(tl.SpecError, match="completions, row 2: it needs a text 'completion'"):
        tl.try_reward(short, completions=[rows[0], {"prompt": "x"}])
    with pytest.raises(tl.SpecError, match="takes 'ground_truth', which completions has no column for"):
        tl.try_reward(short, completions=[{"completion": "x"}])


def test_a_models_own_answers_are_scored_and_a_plan_has_them_too(workspace: Path, tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": f"Say {n}.", "ground_truth": "a"}) for n in range(24)))
    settings = {"max_completion_length": 6}
    report = tl.try_reward(
        short, str(tiny), str(path), prompts=3, samples=4, hyperparameters=settings, compute={"threads": 1}
    )
    assert (len(report.samples), len(report.groups)) == (12, 3)
    assert {one["row"] for one in report.samples} == {1, 13, 24}
    assert report.rewards == pytest.approx(
        [1 / max(1, len(one["completion"])) for one in report.samples if one["completion"]]
    )
    spec = {"name": "x", "model": str(tiny), "technique": "rlvr", "dataset": str(path), "split": 4}
    batches = {"per_device_train_batch_size": 4, "num_generations": 4}
    plan = tl.customize(spec, reward=short, dry_run=True, hyperparameters=settings | batches, compute={"threads": 1})
    assert isinstance(plan, tl.Plan) and plan.report is not None
    assert (plan.train_rows, plan.eval_rows, plan.steps) == (20, 4, 10)
    assert 0 < plan.sampling_s < plan.step_s
    assert "Reward on the model's answers" in repr(plan) and "Reward on the model" in plan._repr_html_()
    for keys, message in (
        ({"samples": 1}, "samples is 1"),
        ({"prompts": 0}, "prompts is 0"),
        ({"model": None}, "takes a"),
    ):
        with pytest.raises(tl.SpecError, match=message):
            tl.try_reward(short, **{"model": str(tiny), "dataset": str(path), **keys})
