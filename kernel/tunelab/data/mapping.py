"""A mapping: what rows of one form become in another, field by field, and the conversion that does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tunelab.data.faults import ABSENT, Fault, value_fault
from tunelab.data.reading import Row

Convert = Callable[[Row], Row | Fault]

#: Fields that are read where they are there, and may be absent or null.
OPTIONAL = frozenset({"tools", "id", "system", "metadata"})


def same(row: Row) -> Row | Fault:
    """Return the row as it is."""
    return row


@dataclass(frozen=True)
class Mapping:
    """How rows become rows of a form.

    Attributes
    ----------
    name
        What the rows' own form is called, such as ``"Alpaca"``.
    technique, form
        What the rows are for, and the fields that it reads.
    columns
        Each field and what it is made from, in words.
    convert
        Makes a row of the form, its fields first; the other columns stay unless they went into a field. Gives a `Fault`
        for a row that cannot be converted, and never raises.
    """

    name: str
    technique: str
    form: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    convert: Convert = same

    @property
    def is_plain(self) -> bool:
        """Whether the rows are of the form already."""
        return all(target == origin for target, origin in self.columns)


def reach(row: Row, path: str) -> Any:
    """Return what stands under a column's name, or a path with dots into mappings; `ABSENT` where nothing does."""
    if path in row:
        return row[path]
    value: Any = row
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            return ABSENT
        value = value[part]
    return value


def renamer(columns: dict[str, str]) -> Convert:
    """Return the conversion that takes each field (key) from a column or a path (value), and keeps the rest."""
    pairs = tuple(columns.items())
    used = {*columns, *columns.values()}

    def convert(row: Row) -> Row | Fault:
        made = {}
        for target, origin in pairs:
            value = row[origin] if origin in row else reach(row, origin)
            if target not in OPTIONAL and (fault := nothing(value, origin)):
                return fault
            if value is not ABSENT:
                made[target] = value
        for name, value in row.items():
            if name not in used:
                made[name] = value
        return made

    return convert


def nothing(value: Any, name: str) -> Fault | None:
    """Return the fault of a value that is absent, null or without text, under the name that the source has for it."""
    if value is ABSENT or value is None:
        return value_fault(value, name, "text")
    if isinstance(value, str) and (not value or value.isspace()):
        return Fault("empty", name, f"'{name}' is empty. Give it a text, or leave the row out.")
    return None
