"""What a reward makes of answers: figures that are those of pandas, warnings, and a reward tried on a model."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import tunelab as tl
from tunelab.bench import RewardReport


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


@pytest.mark.parametrize(
    ("labels", "message"),
    [
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
