"""Writes rows as the columns of a Parquet file that give back what was parsed, and looks for secrets in them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

if __package__:
    from tunelab.data import patterns
else:  # a part of `examine.py`, which runs as a script
    import patterns  # type: ignore[import-not-found, no-redef]

Numbers = NDArray[Any]

_GROUP_ROWS = 8192
_FIRST = 5
#: Fields beyond so many share a column: files where each row has names of its own would have millions of them.
_MOST_COLUMNS = 200


def text(value: Any) -> str:
    """Return a value as JSON, with the names of all mappings in order."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def canonical(line: bytes, row: dict[str, Any]) -> bytes:
    """Return the line that tells whether rows are the same: the names of all mappings are in order in it."""
    return (text(row) + "\n").encode() if line.count(b"{") > 1 else line


class Shape:
    """Which fields rows have, which of them are text in every row, and the digest of it all."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self._rows = 0
        self._seen: Counter[str] = Counter()
        self._other: set[str] = set()

    def add(self, row: dict[str, Any], line: bytes) -> None:
        """Take a row, and its canonical line."""
        self._rows += 1
        self._seen.update(row.keys())
        self._other.update([name for name, value in row.items() if type(value) is not str])
        self.digest.update(line)

    def fields(self, form: tuple[str, ...]) -> list[str]:
        """Return all fields, those of the form first."""
        return [*form, *sorted(self._seen.keys() - set(form))]

    def columns(self, form: tuple[str, ...]) -> list[dict[str, Any]]:
        """Return how the fields are kept: the ``name`` of each, its ``column`` and its ``kind``.

        The kinds are ``text`` (as it is), ``json`` (its JSON; NULL where it is absent), and ``rest``: the fields that
        have no column of their own, together as a JSON object.
        """
        names = self.fields(form)
        if is_more := len(names) > _MOST_COLUMNS:
            frequent = dict(self._seen.most_common(_MOST_COLUMNS))
            names = [*form, *(name for name in names if name in frequent and name not in form)]
        kinds = {
            name: "text" if self._seen[name] == self._rows and name not in self._other else "json" for name in names
        }
        noted: list[dict[str, Any]] = [
            {"name": name, "column": f"c{place}", "kind": kind} for place, (name, kind) in enumerate(kinds.items())
        ]
        return [*noted, {"name": None, "column": f"c{len(names)}", "kind": "rest"}] if is_more else noted


def write(lines: Iterable[bytes], columns: list[dict[str, Any]], target: Path) -> None:
    """Write rows, given as lines of JSON, to a Parquet file."""
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    schema = arrow.schema(
        [arrow.field(column["column"], arrow.string()) for column in columns], {"tunelab": json.dumps(columns)}
    )
    own = {column["name"] for column in columns}
    with parquet.ParquetWriter(target, schema, compression="zstd", compression_level=1) as writer:
        for group in _groups(lines):
            arrays = [_column(_cells(group, column, own)) for column in columns]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema), row_group_size=_GROUP_ROWS)


def _groups(lines: Iterable[bytes]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    size = 0
    for line in lines:
        group.append(json.loads(line))
        size += len(line)
        if len(group) == _GROUP_ROWS or size > 1 << 24:
            yield group
            group, size = [], 0
    if group:
        yield group


def _cells(group: list[dict[str, Any]], column: dict[str, Any], own: set[str]) -> list[str | None]:
    name = column["name"]
    if column["kind"] == "text":
        return [row[name] for row in group]
    if column["kind"] == "json":
        return [_as_is(row[name]) if name in row else None for row in group]
    rests = ({name: value for name, value in row.items() if name not in own} for row in group)
    return [_as_is(rest) if rest else None for rest in rests]


def _as_is(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _column(cells: list[str | None]) -> Any:
    # `pyarrow.array` would import pandas first, to look whether it is given a series: a quarter of a second.
    from pyarrow.lib import StringBuilder

    builder = StringBuilder()
    builder.append_values(cells)
    return builder.finish()


def secrets(target: Path, columns: list[dict[str, Any]], kept: Numbers) -> Iterator[dict[str, Any]]:
    """Tell of secrets and addresses in the stored rows, field by field; never of their values.

    Parameters
    ----------
    target, columns
        The file, and what it has.
    kept
        For each stored row its position among those that were given. Shape (rows,).
    """
    import duckdb

    base = duckdb.connect(config={"memory_limit": "400MB", "threads": 2, "preserve_insertion_order": False})
    hits: dict[tuple[str, str], list[int]] = {}
    emails: dict[str, list[int]] = {}
    cells = ", ".join(column["column"] for column in columns)
    # One look at a row's fields together; only where something is, at each.
    found = base.execute(
        f"WITH rows AS (SELECT *, concat_ws(chr(10), {cells}) AS whole FROM read_parquet(?, file_row_number = true)), "
        "looked AS (SELECT *, contains(whole, '@') AND regexp_matches(whole, ?) AS address, "
        "regexp_matches(whole, ?) AS secret FROM rows) "
        f"SELECT file_row_number, address, secret, {cells} FROM looked WHERE address OR secret",
        [str(target), patterns.EMAIL, patterns.ANY_SECRET],
    )
    while batch := found.fetchmany(1000):
        for row, has_address, has_secret, *values in batch:
            for name, said in _named(values, columns):
                if has_address and patterns.has_email(said):
                    emails.setdefault(name, []).append(row)
                if has_secret and (kind := patterns.secret(said)):
                    hits.setdefault((kind, name), []).append(row)
    for (kind, name), rows in hits.items():
        yield _secret("secret", name, rows, kept, f"what looks like {kind}")
    for name, rows in emails.items():
        yield _secret("email", name, rows, kept, "an e-mail address")


def _named(values: list[str | None], columns: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for value, column in zip(values, columns, strict=True):
        if value is not None and column["kind"] == "rest":
            yield from ((name, text(one)) for name, one in json.loads(value).items())
        elif value is not None:
            yield column["name"], value


def _secret(kind: str, field: str, rows: list[int], kept: Numbers, what: str) -> dict[str, Any]:
    rows.sort()
    hold = "1 row holds" if len(rows) == 1 else f"{len(rows):,} rows hold"
    first = [int(kept[row]) + 1 for row in rows[:_FIRST]]
    return {"kind": kind, "field": field, "count": len(rows), "rows": first, "message": f"'{field}': {hold} {what}."}
