"""Splits: no prompt nor one nearly the same on both sides, classes in proportion, by seed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tunelab as tl
from tunelab.data.split import held_out, overlap

NUMBERS = st.lists(st.integers(0, 9), min_size=1, max_size=60)


def largest(units: list[int]) -> int:
    return max(Counter(units).values())


@given(NUMBERS, st.floats(0.01, 0.9) | st.integers(1, 40), st.integers(0, 2**32 - 1), st.data())
@settings(max_examples=300, deadline=None)
def test_no_group_is_on_both_sides(groups: list[int], share: float | int, seed: int, data: st.DataObject) -> None:
    # Groups join prompts: a prompt is never in two of them.
    keys = [10 * group + data.draw(st.integers(0, 2)) for group in groups]
    classes = data.draw(st.none() | st.lists(st.integers(0, 3), min_size=len(groups), max_size=len(groups)))
    wanted = share if isinstance(share, int) else max(1, round(share * len(groups)))
    try:
        aside = held_out(keys, groups, classes, share, seed)
    except tl.DataError:
        # Only where whole prompts cannot be held out without all of them.
        assert wanted > len(keys) - largest(keys)
        return
    there, here = ({keys[i] for i in range(len(keys)) if (i in aside) is side} for side in (True, False))
    assert not there & here
    assert there
    assert here
    apart = wanted <= len(groups) - largest(groups)
    if apart:
        assert not {groups[i] for i in aside} & {groups[i] for i in range(len(groups)) if i not in aside}
    # No more than were needed: without the last unit it would be too few.
    assert wanted <= len(aside) < wanted + largest(groups)
    assert aside == held_out(keys, groups, classes, share, seed)


def test_a_split_goes_by_seed_and_holds_that_many() -> None:
    keys = [n * 7919 for n in range(200)]
    places = list(range(200))
    counts = [len(held_out(keys, places, None, share, 42)) for share in (0, 0.0, 0.1, 0.001, 1, 64, 199)]
    assert counts == [0, 0, 20, 1, 1, 64, 199]
    assert held_out(keys, places, None, 20, 1) != held_out(keys, places, None, 20, 2)
    assert held_out(keys, places, None, 20, 1) < held_out(keys, places, None, 30, 1)
    assert sorted(held_out(keys, places, None, 0.5, 42)) != list(range(100))


@given(st.integers(0, 2**32 - 1), st.integers(1, 100), st.integers(1, 50))
@settings(max_examples=100, deadline=None)
def test_classes_are_held_out_in_proportion_and_a_larger_share_holds_the_smaller(
    seed: int, share: int, more: int
) -> None:
    classes = [0] * 120 + [1] * 60 + [2] * 20
    keys = list(range(200))
    aside = held_out(keys, keys, classes, share, seed)
    counts = Counter(classes[i] for i in aside)
    for its, size in ((0, 120), (1, 60), (2, 20)):
        assert abs(counts[its] - share * size / 200) <= 1
    assert aside <= held_out(keys, keys, classes, min(199, share + more), seed)


HOLDS_ALL = {
    "all rows": ([1, 2, 3], 3, "split: 3 holds out all 3 rows (3 different prompts)"),
    "more than all": ([1, 2, 3], 100, "split: 100 holds out all 3 rows (3 different prompts)"),
    "one prompt": ([7] * 5, 0.1, "split: 0.1 holds out all 5 rows (1 different prompts)"),
}


@pytest.mark.parametrize(("keys", "share", "message"), HOLDS_ALL.values(), ids=HOLDS_ALL.keys())
def test_a_split_that_leaves_nothing_is_refused(keys: list[int], share: float, message: str) -> None:
    with pytest.raises(tl.DataError) as caught:
        held_out(keys, keys, None, share, 42)
    assert str(caught.value) == f"{message}, and none is left to train on. Hold out fewer, or name an eval_dataset."


def test_where_all_prompts_are_nearly_the_same_they_are_held_out_whole() -> None:
    assert len(held_out([1, 1, 2, 3], [0, 0, 0, 0], None, 1, 42)) in (1, 2)


def test_a_large_group_is_trained_on_where_others_can_be_held_out() -> None:
    groups = [0] * 60 + list(range(60, 100))
    for seed in range(20):
        assert len(held_out(list(range(100)), groups, None, 0.1, seed)) == 10
    assert len(held_out(list(range(100)), groups, None, 40, 1)) == 40


def test_overlap_counts_the_rows_that_are_trained_on_as_well() -> None:
    assert overlap([1, 2, 3], [3, 3, 4, 1]) == 3
