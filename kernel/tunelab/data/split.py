"""Which rows are held out: by prompt, not by row, so that no prompt is on both sides; the same for the same seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from tunelab.data.reading import Row
from tunelab.errors import DataError


def held_out(rows: Iterable[Row], share: float | int, seed: int) -> set[int]:
    """Return the positions (from 0) of the rows to hold out.

    Parameters
    ----------
    rows
        The rows of a checked dataset.
    share
        A share between 0 and 1, or a number of rows. Prompts are held out whole, in an order given by `seed`, until
        at least that many rows are.
    seed
        Another seed holds out other prompts.

    Raises
    ------
    DataError
        If nothing would be left to train on.
    """
    if not share:
        return set()
    groups: dict[str, list[int]] = {}
    total = 0
    for position, row in enumerate(rows):
        groups.setdefault(prompt_key(row), []).append(position)
        total += 1
    wanted = share if isinstance(share, int) else max(1, round(share * total))
    chosen: set[int] = set()
    for key in sorted(groups, key=lambda key: hashlib.sha256(f"{seed}\0{key}".encode()).digest()):
        if len(chosen) >= wanted:
            break
        chosen.update(groups[key])
    if len(chosen) >= total:
        raise DataError(
            f"split: {share:g} holds out all {total} rows ({len(groups)} different prompts), and none is left to train "
            "on. Hold out fewer, or name an eval_dataset."
        )
    return chosen


def prompt_key(row: Row) -> str:
    """Return what makes two rows the same question: the prompt, or the turns before the last answer."""
    prompt = row["prompt"] if "prompt" in row else row["messages"][:-1]
    return prompt if isinstance(prompt, str) else json.dumps(prompt, sort_keys=True, ensure_ascii=False)
