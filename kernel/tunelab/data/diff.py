"""What two versions have in common and what only one of them has, by the rows' content and by their prompts."""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tunelab.data.reading import Row

_SHOWN = 5


@dataclass(frozen=True)
class Diff:
    """Rows of `new` against those of `old`.

    `added` and `removed` are rows that only the one or the other has, with their numbers from 1, in order; a row that
    stands in both as often as in the other is in `same`, wherever it stands.
    """

    old: str
    new: str
    same: int
    added: tuple[tuple[int, Row], ...]
    removed: tuple[tuple[int, Row], ...]

    def __repr__(self) -> str:
        counts = f"{self.same:,} rows the same, {len(self.added):,} added, {len(self.removed):,} removed"
        lines = [f"{self.old} → {self.new}: {counts}"]
        for sign, rows in (("+", self.added), ("-", self.removed)):
            lines += [f"{sign} row {number:,}: {_short(row)}" for number, row in rows[:_SHOWN]]
            if len(rows) > _SHOWN:
                lines.append(f"{sign} … {len(rows) - _SHOWN:,} more")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"


def compare(new: str, new_rows: Callable[[], Iterable[Row]], old: str, old_rows: Callable[[], Iterable[Row]]) -> Diff:
    """Compare two sets of rows, which are read by calling; only those that differ are held in memory."""
    places: dict[bytes, list[int]] = {}
    for number, row in enumerate(old_rows(), 1):
        places.setdefault(_digest(row), []).append(number)
    same, added = 0, []
    for number, row in enumerate(new_rows(), 1):
        if found := places.get(_digest(row)):
            found.pop(0)
            same += 1
        else:
            added.append((number, row))
    left = {number for found in places.values() for number in found}
    removed = tuple((number, row) for number, row in enumerate(old_rows(), 1) if number in left) if left else ()
    return Diff(old, new, same, tuple(added), removed)


def _digest(row: Row) -> bytes:
    return hashlib.blake2b(json.dumps(row, sort_keys=True).encode(), digest_size=16).digest()


def _short(row: Row) -> str:
    text = json.dumps(row, ensure_ascii=False)
    return text if len(text) <= 160 else text[:159] + "…"
