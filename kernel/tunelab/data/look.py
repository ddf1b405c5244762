"""A dataset that a spec names, as far as its first rows tell: nothing is kept, and most of it is not read."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tunelab.data import checks, create, formats, reading
from tunelab.data.dataset import Dataset, Part
from tunelab.data.faults import Fault
from tunelab.data.reading import Row
from tunelab.data.resolve import meaning
from tunelab.errors import DataError

_HEAD = 100
#: Files up to so many bytes are counted to the end.
_COUNTED = 4_000_000
#: JSON is read whole before there is a first row: larger files are left to the check.
_LOOKED_INTO = 64_000_000


@dataclass(frozen=True)
class Look:
    """What is known of a dataset at once.

    `label` means the same tomorrow, where it can. `rows` is None where a file would have to be read to its end, and
    `head` is empty where nothing can be said before that; its rows are as the technique reads them. `dataset` is the
    version where it is one that will be used as it is.
    """

    label: str
    rows: int | None
    head: Sequence[Row]
    conversational: bool | None
    dataset: Dataset | None = None


def look(text: str, technique: str, namespace: dict[str, Any] | None = None) -> Look:
    """Return what the name `text` tells of its rows, without a version being made.

    Raises
    ------
    DataError
        If nothing or more than one thing has that name, or one of the first rows cannot be used.
    """
    match meaning(text, namespace):
        case "a registered dataset":
            return _version(Dataset.get(text), technique)
        case "a variable":
            value = (namespace or {})[text]
            if isinstance(value, Dataset):
                return _version(value, technique)
            rows = value.read() if isinstance(value, Part) else reading.read_table(value)
            count = len(value) if hasattr(value, "__len__") else None
            return _checked(text, count, list(islice(rows, _HEAD)), technique, f"The variable '{text}'")
        case "a file":
            path = Path(os.path.expanduser(text))
            stat = path.stat()
            return _file(text, technique, str(path), stat.st_size, stat.st_mtime_ns)
    return Look(text, None, [], None)


def _version(dataset: Dataset, technique: str) -> Look:
    head = list(dataset.read(0, _HEAD))
    if dataset.technique == technique:
        return Look(str(dataset), dataset.rows, head, dataset.conversational, dataset)
    shown = f"Dataset {dataset}"
    found = _checked(str(dataset), dataset.rows, head, technique, shown)
    is_plain = formats.recognize(head, technique, None, shown).is_plain
    return Look(found.label, found.rows, found.head, found.conversational, dataset if is_plain else None)


@functools.lru_cache(maxsize=8)
def _file(text: str, technique: str, path: str, size: int, changed: int) -> Look:
    del changed
    if path.lower().endswith(".json") and size > _LOOKED_INTO:
        return Look(text, None, [], None)
    with create.opened(path, "rows") as source:
        head = list(islice(source.rows, _HEAD))
        count = None
        if size <= _COUNTED:
            count = len(head) + sum(1 for _ in source.rows)
    if not head:
        raise DataError(f"{source.shown} has no rows.")
    return _checked(text, count, head, technique, source.shown)


def _checked(label: str, count: int | None, rows: list[Row], technique: str, shown: str) -> Look:
    mapping = formats.recognize(rows, technique, None, shown)
    checker = checks.RowChecker(technique, mapping.form)
    head: list[Row] = []
    for number, row in enumerate(rows, 1):
        made = mapping.convert(row)
        if isinstance(made, Fault):
            raise DataError(made.at(f"{shown}, row {number}"))
        if fault := checker.check(made):
            raise DataError(fault.at(f"{shown}, row {number}"))
        head.append(made)
    return Look(label, count, head, bool(checker.conversational))
