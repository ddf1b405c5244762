"""Alarms of reinforcement runs: each rings where it should, once, with its figures, and none in a healthy run."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest

from tunelab.training.alarms import Alarms

Run = Callable[[int], dict[str, float]]


def healthy(draw: random.Random, step: int) -> dict[str, float]:
    """Return the metrics of a step as noisy as four groups of eight answers are."""
    done = step / 100
    return {
        "reward": 0.3 + 0.3 * done + draw.gauss(0, 0.08),
        "loss": draw.gauss(0, 0.02),
        # Two flat groups in five, as a reward of right or wrong has them where one answer in ten is right.
        "frac_reward_zero_std": sum(draw.random() < 0.4 for _ in range(4)) / 4,
        "entropy": max(0.05, 1.6 - 0.7 * done + draw.gauss(0, 0.15)),
        "completions/mean_length": 40 + 12 * done + draw.gauss(0, 6),
        "completions/clipped_ratio": max(0.0, draw.gauss(0.08, 0.05)),
        "reward_missing": max(0.0, draw.gauss(0.02, 0.03)),
        "kl": abs(draw.gauss(0.3 * done, 0.1)),
    }


def ring(steps: int, change: Callable[[int, dict[str, float]], None], seed: int = 0) -> list[tuple[int, str, str]]:
    """Return what rings in a run of 100 steps: step, code, message."""
    draw, alarms, rung = random.Random(seed), Alarms(held_out=64), []
    for step in range(1, steps + 1):
        values = healthy(draw, step)
        if step % 10 == 0:
            held = {"eval_reward": 0.3 + 0.3 * step / 100 + draw.gauss(0, 0.3 / 8), "eval_reward_std": 0.3}
            change(step, held)
            rung += [(step, one.code, one.message) for one in alarms.look(step, held)]
        change(step, values)
        rung += [(step, one.code, one.message) for one in alarms.look(step, values)]
    return rung


@pytest.mark.parametrize("seed", range(100))
def test_a_healthy_run_is_quiet(seed: int) -> None:
    assert ring(100, lambda step, values: None, seed) == []


def sets(name: str, value: Callable[[int], float]) -> Callable[[int, dict[str, float]], None]:
    def change(step: int, values: dict[str, float]) -> None:
        if name.removeprefix("eval_") == name and "eval_reward" in values:
            return
        if (name in values or name == "reward_unparsed") and ("eval_reward" in values) == name.startswith("eval_"):
            values[name] = value(step)

    return change


RINGS = {
    "all alike from the start": (
        sets("frac_reward_zero_std", lambda _: 0.9), "no-spread", 5, "In 90% of the groups all answers have the same",
    ),
    "entropy falls": (
        sets("entropy", lambda step: 1.6 if step < 40 else 0.1), "entropy-collapse", 43,
        "Entropy has fallen from 1.60 to 0.",
    ),
    "answers grow": (
        sets("completions/mean_length", lambda step: 30.0 + step), "length-running-away", 38,
        "Answers have grown from 33 to 6",
    ),
    "cut off": (sets("completions/clipped_ratio", lambda _: 0.4), "cut-off", 5, "40% of the answers are cut off"),
    "no rewards": (sets("reward_missing", lambda _: 0.3), "missing-rewards", 5, "30% of the answers have no reward."),
    "cannot be read": (sets("reward_unparsed", lambda _: 0.5), "unparsed-replies", 5, "50% of the feedback model's"),
    "far away": (sets("kl", lambda step: step / 4), "kl-high", 43, "The model is 10."),
    "held-out falls": (
        sets("eval_reward", lambda step: 0.5 if step <= 40 else 0.2), "reward-hacking", 60,
        "The reward rises while the held-out one has fallen from 0.5 to 0.2",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "code", "step", "message"), RINGS.values(), ids=RINGS.keys())
def test_each_rings_when_it_should_and_once(change: Any, code: str, step: int, message: str) -> None:
    def whole(number: int, values: dict[str, float]) -> None:
        if code == "unparsed-replies" and "reward" in values:
            values["reward_unparsed"] = 0.5
        change(number, values)

    rung = ring(100, whole)
    assert [one[1] for one in rung] == [code]
    assert abs(rung[0][0] - step) <= 6
    assert rung[0][2].startswith(message)


@pytest.mark.parametrize("unknown", [math.nan, None])
def test_where_the_held_out_deviation_is_not_known_chance_does_not_ring(unknown: float | None) -> None:
    """A batch of one answer has no deviation: NaN while the run goes, None in its journal."""

    def noise(step: int, values: dict[str, Any]) -> None:
        if "eval_reward" in values:
            values |= {"eval_reward": 0.5 + random.Random(step).gauss(0, 0.09), "eval_reward_std": unknown}

    def known(step: int, values: dict[str, Any]) -> None:
        noise(step, values)
        if "reward" in values:
            values["reward_std"] = 0.4

    def falls(step: int, values: dict[str, Any]) -> None:
        known(step, values)
        if "eval_reward" in values:
            values["eval_reward"] = 0.8 if step <= 40 else 0.3

    assert ring(100, noise) == [] and ring(100, known) == []
    assert [code for _, code, _ in ring(100, falls)] == ["reward-hacking"], "the training's deviation stands in"


def test_groups_that_become_flat_ring_when_it_lasts() -> None:
    solved = ring(100, sets("frac_reward_zero_std", lambda step: 0.3 if step <= 40 else 1.0))
    assert [(step, code) for step, code, _ in solved] == [(52, "no-spread")], "twelve of twenty steps: 0.72"
    passing = ring(100, sets("frac_reward_zero_std", lambda step: 1.0 if 40 < step <= 46 else 0.3))
    assert passing == []


def test_one_that_cleared_rings_again_and_one_at_the_border_does_not() -> None:
    waves = ring(100, sets("completions/clipped_ratio", lambda step: 0.5 if step // 25 % 2 == 0 else 0.0))
    assert [one[1] for one in waves] == ["cut-off", "cut-off"]
    border = ring(100, sets("completions/clipped_ratio", lambda step: 0.31 if step % 2 else 0.29))
    assert [one[1] for one in border] == ["cut-off"]


def test_alarms_of_a_recovered_run_go_on_where_they_were() -> None:
    draw = random.Random(2)
    events = [
        {"type": "metric", "step": step, "values": healthy(draw, step) | {"completions/clipped_ratio": 0.5}}
        for step in range(1, 20)
    ]
    whole = Alarms(64)
    assert [one.code for event in events for one in whole.look(event["step"], event["values"])] == ["cut-off"]
    again = Alarms.refold(events, 64)
    assert again == whole
    assert again.look(20, events[-1]["values"]) == [], "what was told is not told again"
