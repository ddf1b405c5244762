"""The rows of an evaluation as records: an id, what is asked, what would be right, and the columns beside it."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tunelab.data import Dataset
from tunelab.errors import DataError

#: Columns that are no metadata.
_OWN = frozenset({"id", "query", "response", "system", "metadata"})


@dataclass(frozen=True)
class Record:
    """One row that every model answers.

    `number` counts the dataset's rows from 1; `row` has its columns, with those of ``metadata`` among them, and
    ``ground_truth`` where there is a response.
    """

    id: str
    number: int
    prompt: str
    ground_truth: str | None
    system: str | None = None
    row: dict[str, Any] = field(default_factory=dict)

    @property
    def turns(self) -> str | list[dict[str, str]]:
        """What a model is asked: the prompt, after a system turn where the row has one."""
        if self.system is None:
            return self.prompt
        return [{"role": "system", "content": self.system}, {"role": "user", "content": self.prompt}]


def read(dataset: Dataset, limit: int | None = None, seed: int = 42) -> list[Record]:
    """Return the records of a dataset, in the order of its rows.

    Parameters
    ----------
    dataset
        Of the technique ``evaluation``.
    limit
        So many, drawn by `seed`; without, all.

    Raises
    ------
    DataError
        If two rows have one id.
    """
    found = [_record(number, row) for number, row in enumerate(dataset.read(), 1)]
    seen: dict[str, int] = {}
    for record in found:
        if (first := seen.setdefault(record.id, record.number)) != record.number:
            raise DataError(
                f"{dataset}, rows {first} and {record.number} have one id, '{record.id}': answers are compared by it. "
                "Give each row its own, or leave the column out."
            )
    if limit is not None and limit < len(found):
        found = [found[place] for place in sorted(random.Random(seed).sample(range(len(found)), limit))]
    return found


def columns(records: Iterable[Record]) -> list[str]:
    """Return the names of the metadata columns, in the order in which they come."""
    return list(dict.fromkeys(name for record in records for name in record.row if name != "ground_truth"))


def _record(number: int, row: dict[str, Any]) -> Record:
    beside = {name: value for name, value in row.items() if name not in _OWN} | (row.get("metadata") or {})
    if (response := row.get("response")) is not None:
        beside["ground_truth"] = response
    own = row.get("id")
    if isinstance(own, float) and own.is_integer():
        own = int(own)
    label = str(number) if own is None or own == "" else str(own)
    return Record(label, number, row["query"], response, row.get("system"), beside)
