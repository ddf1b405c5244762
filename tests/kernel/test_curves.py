"""Curves: what is appended, cut and packed is what a page reads back."""

from __future__ import annotations

import math
import random
import struct
from typing import Any

import pytest

from tunelab.jobs import curves
from tunelab.jobs.curves import Curve, Curves, pack


def metric(step: int, **values: float | None) -> dict[str, Any]:
    return {"type": "metric", "step": step, "values": values}


def unpack(index: list[dict[str, Any]], buffer: bytes) -> dict[str, tuple[int, list[tuple[int, float]]]]:
    """Read what `pack` wrote as a page does, by its description alone."""
    floats = struct.unpack(f"<{len(buffer) // 4}f", buffer)
    found, place = {}, 0
    for entry in index:
        steps = [first + stride * i for first, stride, count in entry["runs"] for i in range(count)]
        found[entry["name"]] = (
            entry["at"],
            list(zip(steps, floats[place : place + len(steps)], strict=True)),
        )
        place += len(steps)
    assert place == len(floats)
    return found


@pytest.mark.parametrize(
    ("points", "runs"),
    [
        ([], []),
        ([(5, 1.0)], [[5, 0, 1]]),
        ([(1, 0.0), (2, 0.0), (3, 0.0)], [[1, 1, 3]]),
        ([(10, 0.0), (20, 0.0), (30, 0.0), (33, 0.0)], [[10, 10, 3], [33, 0, 1]]),
        ([(0, 0.0), (50, 0.0), (60, 0.0), (70, 0.0)], [[0, 50, 2], [60, 10, 2]]),
    ],
)
def test_equal_distances_are_one_run(points: list[tuple[int, float]], runs: list[list[int]]) -> None:
    curve = Curve(points)
    assert curve.runs == runs
    assert list(curve) == points


def test_any_sequence_of_appends_and_cuts_reads_back() -> None:
    chance = random.Random(7)
    for _ in range(500):
        curve, expected = Curve(), []
        for _ in range(chance.randint(1, 40)):
            if chance.random() < 0.8:
                last = expected[-1][0] if expected else 0
                step, value = max(0, last + chance.choice([1, 1, 10, 10, 0, -3, 2])), float(chance.randint(0, 9))
                expected = [point for point in expected if point[0] < step] + [(step, value)]
                curve.append(step, value)
            else:
                step = chance.randint(0, 60)
                expected = [point for point in expected if point[0] <= step]
                curve.cut(step)
            begin = chance.randint(0, len(expected))
            assert list(curve) == expected
            assert [curve[place] for place in range(len(curve))] == expected
            assert curve[begin:] == expected[begin:]
            assert unpack(*pack({"x": curve}, {"x": begin}))["x"] == (begin, expected[begin:])


def test_a_missing_value_is_a_gap() -> None:
    curve = Curve([(1, 0.5), (2, None)])
    assert math.isnan(curve[1][1])


def test_the_page_is_told_of_each_point_once() -> None:
    curves = Curves()
    curves.fold(metric(1, loss=1.0))
    curves.fold(metric(2, loss=0.5, entropy=2.0))
    assert unpack(*curves.take()) == {"loss": (0, [(1, 1.0), (2, 0.5)]), "entropy": (0, [(2, 2.0)])}
    assert curves.take() == ([], b"")
    curves.fold(metric(3, loss=0.25))
    assert unpack(*curves.take()) == {"loss": (2, [(3, 0.25)])}


def test_a_recovery_takes_back_what_is_done_again() -> None:
    curves = Curves()
    for step in range(1, 6):
        curves.fold(metric(step, loss=float(step)))
    curves.take()
    curves.fold({"type": "state", "state": "recovering", "from_step": 3})
    assert unpack(*curves.take()) == {"loss": (3, [])}
    curves.fold(metric(4, loss=9.0))
    assert unpack(*curves.take()) == {"loss": (3, [(4, 9.0)])}
    curves.fold({"type": "state", "state": "recovering", "from_step": 0})
    assert unpack(*curves.take()) == {"loss": (0, [])}


def test_a_long_curve_is_thinned_to_the_same_places_as_a_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(3)
    curve = Curve((3 * step, chance.choice([None, chance.gauss(0, 1)])) for step in range(1, 5000))
    curve.append(20_000, 0.5)
    slow = list(curve.thinned(300))
    monkeypatch.setattr(curves, "_LONG", 0)
    assert list(curve.thinned(300)) == slow
    assert 290 < len(slow) <= 302


def test_a_million_points_are_thinned_while_others_are_appended() -> None:
    curve = Curve((step, math.nan if step % 7 else float(step)) for step in range(1_000_000))
    thin = curve.thinned(1000)
    curve.append(1_000_000, 1.0)
    assert thin[-1][0] == 999_999
    assert len(thin) <= 1002
    assert max(value for _, value in thin if value == value) == 999_999 - 999_999 % 7


def test_thinned_keeps_outline_peaks_and_the_last_point() -> None:
    curve = Curve((step, 0.0) for step in range(100_000))
    curve.values[31_415], curve.values[92_653], curve.values[500] = 7.0, -7.0, float("nan")
    thin = curve.thinned(1000)
    assert len(thin) <= 1001
    assert (31_415, 7.0) in list(thin)
    assert (92_653, -7.0) in list(thin)
    assert thin[-1][0] == 99_999
    short = Curve([(1, 1.0), (2, 2.0)])
    assert short.thinned(1000) is short
