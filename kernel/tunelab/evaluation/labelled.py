"""Rows that people have judged: a prompt with two answers and the better one, or with one answer and its rating."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunelab.data import Dataset, reading
from tunelab.data.create import kind_of
from tunelab.errors import DataError, did_you_mean
from tunelab.evaluation import records

_PROMPTS = ("prompt", "query", "question", "instruction", "input")
_ANSWERS = ("prediction", "response", "output", "completion", "answer")
_FIRST, _SECOND = ("output_1", "response_a", "answer_a", "a"), ("output_2", "response_b", "answer_b", "b")
#: What people say of two answers, and which is meant; 0 is neither.
SIDES: dict[str, int] = {"1": 1, "2": 2, "a": 1, "b": 2, "0": 0, "tie": 0, "equal": 0}


def dataset(given: Any, namespace: dict[str, Any] | None, name: str) -> Dataset:
    """Return rows with ``query`` and ``label``, and ``output_1`` and ``output_2`` or ``prediction``, as a dataset.

    Parameters
    ----------
    given
        A registered dataset, a file, a variable's name in `namespace`, a DataFrame or a list of rows.

    Raises
    ------
    DataError
        If it is nothing of these, a row has not what it needs, or two have one id.
    """
    where, rows = _rows(given, namespace)
    made = [_row(row, f"{where}, row {number}") for number, row in enumerate(rows, 1)]
    if not made:
        raise DataError(f"{where} has no rows.")
    if len({"output_1" in row["metadata"] for row in made}) > 1:
        raise DataError(f"{where} has rows with two answers and rows with one; give one kind.")
    is_made = isinstance(given, Dataset) and made == list(given.read())
    found: Dataset = given if is_made else Dataset.create(name, made, technique="evaluation")
    records.read(found)
    return found


def _rows(given: Any, namespace: dict[str, Any] | None) -> tuple[str, Iterator[dict[str, Any]]]:
    if isinstance(given, Dataset):
        return str(given), given.read()
    if not isinstance(given, (str, Path)):
        if not reading.is_table(given):
            raise DataError(f"A judge is held against a dataset, a file or a table of rows, and got {kind_of(given)}.")
        return "The table", reading.read_table(given)
    path = Path(os.path.expanduser(given))
    if path.is_file():
        return path.name, iter(reading.read_file(path))
    if namespace is not None and reading.is_table(namespace.get(str(given))):
        return f"Variable {given}", reading.read_table(namespace[str(given)])
    try:
        found = Dataset.get(str(given))
    except DataError:
        if path.suffix.lower() in reading.READERS:
            raise DataError(f"There is no file {given}.") from None
        raise
    return str(found), found.read()


def _row(row: dict[str, Any], where: str) -> dict[str, Any]:
    row = {**row, **row["metadata"]} if isinstance(row.get("metadata"), dict) else row
    keys = {str(key).lower(): key for key in row}

    def find(names: tuple[str, ...]) -> Any:
        return next((keys[name] for name in names if name in keys), None)

    prompt, first, second = find(_PROMPTS), find(_FIRST), find(_SECOND)
    single = None if first is not None and second is not None else find(_ANSWERS)
    label = find(("label", "winner", "human_score", "score", "rating"))
    if prompt is None or label is None or (single is None and (first is None or second is None)):
        lacking = "prompt" if prompt is None else "label" if label is None else "prediction"
        raise DataError(
            f"{where} has no '{lacking}'.{did_you_mean(lacking, map(str, row))} A judge is held against rows with "
            "prompt, label, and output_1 and output_2, or prediction."
        )
    if not isinstance(row[prompt], str):
        raise DataError(f"{where}: '{prompt}' is no text.")
    judged: dict[str, Any] = {}
    # Within the metadata, where two outputs are not taken for a preference to be learned.
    taken: dict[str, Any] = {"query": row[prompt], "metadata": judged}
    for name, key in (("output_1", first), ("output_2", second)) if single is None else (("prediction", single),):
        if not isinstance(row[key], str):
            raise DataError(f"{where}: '{key}' is no text.")
        judged[name] = row[key]
    judged["label"] = _side(row[label], where) if single is None else _number(row[label], where)
    truth = find(("ground_truth", "reference"))
    if truth is not None and row[truth] is not None:
        taken["response"] = str(row[truth])
    if "id" in row:
        taken["id"] = row["id"]
    return taken


def _side(given: Any, where: str) -> int:
    # A column of numbers with gaps has 1.0 for 1, as a number or written out.
    shown = str(given).strip().lower().removesuffix(".0")
    if shown not in SIDES:
        raise DataError(f"{where}: the label {given!r} is none of 1, 2 and tie (or A, B).")
    return SIDES[shown]


def _number(given: Any, where: str) -> float:
    try:
        number = math.nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{where}: the label {given!r} is no number on the metric's scale.")
    return number
