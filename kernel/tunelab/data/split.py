"""Which rows are held out: whole prompts with those nearly the same, in the proportion of the classes, by seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from tunelab.errors import DataError

#: What share of all rows makes a unit large.
_LARGE = 0.1

_MASK = (1 << 64) - 1


def held_out(
    keys: Sequence[int], groups: Sequence[int], classes: Sequence[int] | None, share: float | int, seed: int
) -> set[int]:
    """Return the positions (from 0) of the rows to hold out.

    Parameters
    ----------
    keys
        A number for each row's prompt; the same for the same prompt. Shape (rows,).
    groups
        A number for each row's group of prompts that are nearly the same. Shape (rows,).
    classes
        A number for each row's class, so that each class is held out in the same proportion; None without classes.
    share
        A share between 0 and 1, or a number of rows. Groups are held out whole, in an order given by `seed`, those
        with a large part of the rows last, until at least that many rows are.
    seed
        Another seed holds out other prompts.

    Raises
    ------
    DataError
        If nothing would be left to train on.
    """
    if not share:
        return set()
    total = len(keys)
    wanted = share if isinstance(share, int) else max(1, round(share * total))
    # Where all rows are nearly the same, whole prompts are better than nothing.
    for units in (groups, keys):
        chosen = _take(keys, units, classes, wanted, seed)
        if len(chosen) < total:
            return chosen
    raise DataError(
        f"split: {share:g} holds out all {total} rows ({len(set(keys))} different prompts), and none is left to train "
        "on. Hold out fewer, or name an eval_dataset."
    )


def overlap(trained: Sequence[int], held: Sequence[int]) -> int:
    """Return how many rows of `held` have a prompt that is trained on, by the keys of both."""
    known = set(trained)
    return sum(key in known for key in held)


def _take(keys: Sequence[int], units: Sequence[int], classes: Sequence[int] | None, wanted: int, seed: int) -> set[int]:
    members: dict[int, list[int]] = {}
    for position, unit in enumerate(units):
        members.setdefault(unit, []).append(position)
    # By a hash of seed and prompt, so that a row that is added leaves the others on their sides. The keys are hashes
    # themselves: multiplying them, made odd by the seed, is enough (Fibonacci hashing), and a million take a second.
    salt = int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:8], "little")
    drawn = sorted(members.values(), key=lambda rows: ((keys[rows[0]] ^ salt) * (salt | 1)) & _MASK)
    if classes is not None:
        drawn = _in_proportion(drawn, classes)
    # A unit with a large part of all rows would make up the held-out part many times over: it comes last.
    drawn.sort(key=lambda rows: len(rows) > len(units) * _LARGE)
    chosen: set[int] = set()
    for rows in drawn:
        if len(chosen) >= wanted:
            break
        chosen.update(rows)
    return chosen


def _in_proportion(drawn: list[list[int]], classes: Sequence[int]) -> list[list[int]]:
    """Return units in an order of which every beginning has the classes in proportion, and within a class the same."""
    sizes: dict[int, int] = {}
    for rows in drawn:
        sizes[classes[rows[0]]] = sizes.get(classes[rows[0]], 0) + len(rows)
    seen = dict.fromkeys(sizes, 0)
    places = []
    for rows in drawn:
        its = classes[rows[0]]
        # Where the middle of the unit lies in its class, from 0 to 1.
        places.append((seen[its] + len(rows) / 2) / sizes[its])
        seen[its] += len(rows)
    return [drawn[unit] for unit in sorted(range(len(drawn)), key=places.__getitem__)]
