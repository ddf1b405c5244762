"""Rows from files and tables, one at a time, in the types they were written in.

The parsers are the standard library's for JSON and CSV, since columnar readers infer types for a whole column and turn
17 into '17' without a word. pyarrow is imported only when a Parquet file is read.
"""

from __future__ import annotations

import csv
import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

from tunelab.errors import DataError, did_you_mean

Row = dict[str, Any]


def read_file(path: Path) -> Iterator[Row]:
    """Yield the rows of a JSONL, JSON, CSV, TSV or Parquet file.

    Raises
    ------
    DataError
        If the file cannot be read as what its ending says; the message names the row, counted from 1.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder; name the file in it.")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        hint = did_you_mean(path.suffix.lower(), READERS)
        raise DataError(f"{path.name} is not of a known format.{hint} It takes {', '.join(READERS)}.")
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path.name} is empty.")
        yield from reader(path)
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name} is not UTF-8 text{_wrong_byte(path)}. Save it as UTF-8 and try again.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


class Files:
    """The rows of several files, one file after the other; `where` tells which file a row came from."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        # The number of rows before each file that was begun.
        self._before: list[int] = []

    def __iter__(self) -> Iterator[Row]:
        self._before.clear()
        count = 0
        for path in self._paths:
            self._before.append(count)
            for row in read_file(path):
                count += 1
                yield row

    def where(self, number: int) -> str:
        """Return the place of row `number`, counted from 1 over all files, such as ``"b.jsonl, row 3"``."""
        place = bisect_right(self._before, number - 1) - 1
        return f"{self._paths[place].name}, row {number - self._before[place]}"


def read_files(paths: Sequence[Path]) -> Files:
    """Return the rows of several files, in the order of the files.

    Raises
    ------
    DataError
        While the rows are read, as `read_file` does; the message names the file.
    """
    return Files(paths)


def _wrong_byte(path: Path) -> str:
    # Looked for in the whole file: an error while it streams counts from the start of a block.
    try:
        data = path.read_bytes()
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return f" (line {line}, byte {error.start} of the file is 0x{data[error.start]:02x})"
    return ""


def _jsonl(path: Path) -> Iterator[Row]:
    number = 0
    with path.open(encoding="utf-8-sig") as file:
        for line in file:
            if not line.strip():
                continue
            number += 1
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = _loads(line, f"{path.name}, row {number}")
            yield row if type(row) is dict else _object(row, path, number)


def _json(path: Path) -> Iterator[Row]:
    loaded = _loads(path.read_text(encoding="utf-8-sig"), path.name)
    if not isinstance(loaded, list):
        raise DataError(f"{path.name} holds no list of rows. Write [{{…}}, {{…}}], or one row a line as .jsonl.")
    for number, row in enumerate(loaded, 1):
        yield _object(row, path, number)


def _loads(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{where} is not JSON: {error.msg} at character {error.pos + 1}.") from error
    except ValueError as error:  # a number of more than 4300 digits
        raise DataError(f"{where} cannot be read: {error}.") from error
    except RecursionError as error:
        raise DataError(f"{where} is nested too deep to be read.") from error


def _object(value: Any, path: Path, number: int) -> Row:
    if not isinstance(value, dict):
        raise DataError(f'{path.name}, row {number} is not an object of fields, such as {{"prompt": …}}.')
    return value


def _csv(path: Path, delimiter: str = ",") -> Iterator[Row]:
    kind, mark = ("CSV", "commas") if delimiter == "," else ("TSV", "tabs")
    # The module's own limit is 131,072 characters a field, which a long text passes.
    csv.field_size_limit(2**31 - 1)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            header = next(reader, [])
            if len(set(header)) < len(header):
                twice = next(name for name in header if header.count(name) > 1)
                raise DataError(f"{path.name}: the header names '{twice}' twice.")
            width = len(header)
            for number, cells in enumerate(filter(None, reader), 1):
                if len(cells) > width:
                    raise DataError(
                        f"{path.name}, row {number} has more fields than the header. Put texts with {mark} in quotes."
                    )
                # A row that is too short lacks the last fields, which is not the same as empty ones.
                yield dict(zip_longest(header, cells))
        except csv.Error as error:
            raise DataError(f"{path.name}, line {reader.line_num} is not {kind}: {error}.") from error


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                yield from batch.to_pylist()
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError) as error:
        raise DataError(f"{path.name} is not a Parquet file that can be read: {error}.") from error


READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".tsv": partial(_csv, delimiter="\t"),
    ".parquet": _parquet,
}


def is_table(value: object) -> bool:
    """Tell whether `value` can be read by `read_table`, without importing pandas or datasets."""
    module = type(value).__module__.partition(".")[0]
    kind = type(value).__name__
    if (module, kind) in {("pandas", "DataFrame"), ("datasets", "Dataset")}:
        return True
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def read_table(value: Any) -> Iterator[Row]:
    """Yield the rows of a DataFrame, a `datasets.Dataset` or a list of dicts; missing values become None."""
    if type(value).__name__ != "DataFrame":
        yield from ({str(name): _cell(cell) for name, cell in row.items()} for row in value)
        return
    columns = [str(name) for name in value.columns]
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise DataError(f"The DataFrame has two columns '{twice}'. Rename or drop one.")
    for values in value.itertuples(index=False, name=None):
        yield {name: _cell(cell) for name, cell in zip(columns, values, strict=True)}


def _cell(cell: Any) -> Any:
    if type(cell) is str:
        return cell
    try:
        return _plain(cell)
    except RecursionError:
        # What holds itself cannot be kept either, and is refused there with its row.
        return cell


def _plain(cell: Any) -> Any:
    """Return a table's cell as JSON has it: numpy scalars and arrays unwrapped, NaN and NaT as None."""
    if hasattr(cell, "tolist"):
        cell = cell.tolist()
    if isinstance(cell, list):
        return [_plain(item) for item in cell]
    if isinstance(cell, dict):
        return {str(key): _plain(item) for key, item in cell.items()}
    # NaN, NaT and pandas.NA are the values that do not equal themselves.
    missing = type(cell).__name__ in {"NAType", "NaTType"} or (isinstance(cell, float) and cell != cell)
    return None if missing else cell
