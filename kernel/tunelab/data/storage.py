"""A version's rows on the disk: written and examined by a child process, read back exactly as they were parsed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from tunelab.data.reading import Row
from tunelab.errors import DataError

#: Rows go to the child in pieces of this many characters.
_PIECE = 1 << 16
_SCRIPT = Path(__file__).with_name("examine.py")


@dataclass(frozen=True)
class Examined:
    """What the child found.

    Attributes
    ----------
    digest
        SHA-256 over the kept rows as canonical JSON, a line each: what makes a version what it is.
    rows, fields
        How many were kept, and all their fields, those of the form first.
    findings
        What warns: ``kind``, ``field``, ``count``, the first ``rows`` (from 1, as they were added) and a ``message``.
    dropped
        Rows that were left out, by what was to be dropped.
    classes
        Labels and their rows, the most frequent first; None where the answers are no classes.
    """

    digest: str
    rows: int
    fields: tuple[str, ...]
    findings: tuple[dict[str, Any], ...]
    dropped: dict[str, int]
    classes: list[tuple[str, int]] | None


class Examiner:
    """Takes checked rows and has them stored and examined in a child process.

    Parameters
    ----------
    folder
        Where the child leaves `rows.parquet` and the numbers that splits need; it exists.
    technique, form
        What the rows are for, and the fields that it reads.
    """

    def __init__(self, folder: Path, technique: str, form: tuple[str, ...]) -> None:
        self._noise = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        # By its path and not as a module: the package would be imported first, and is not needed.
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._noise,
            env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"},
            text=True,
            encoding="utf-8",
            # Lines end with "\n" on every system, since they are hashed.
            errors="strict",
            start_new_session=True,
        )
        self._waiting: list[str] = []
        self._size = 0
        self.add(json.dumps({"folder": str(folder), "technique": technique, "form": form}))

    def add(self, line: str) -> None:
        """Take one row, as JSON on one line without its end, the row's own names in order."""
        self._waiting.append(line)
        self._size += len(line)
        if self._size > _PIECE:
            self._send()

    def finish(self, drop: Sequence[str] = ()) -> Examined:
        """Wait for the child, and return what it found.

        Parameters
        ----------
        drop
            Of ``duplicates``, ``near-duplicates``, ``contradictions``: what is not kept, but for the first of each.
        """
        self.add("\x00" + json.dumps({"drop": list(drop)}))
        self._send()
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        answer = self._process.stdout.read()
        if self._process.wait() != 0:
            raise DataError(f"The rows could not be examined: {self._last_words()}")
        self._noise.close()
        found = json.loads(answer)
        return Examined(
            digest=found["digest"],
            rows=found["rows"],
            fields=tuple(found["fields"]),
            findings=tuple(found["findings"]),
            dropped=found["dropped"],
            classes=None if found["classes"] is None else [(label, count) for label, count in found["classes"]],
        )

    def abandon(self) -> None:
        """End the child if it has not ended."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._noise):
            with contextlib.suppress(BrokenPipeError):
                if pipe is not None:
                    pipe.close()

    def _send(self) -> None:
        assert self._process.stdin is not None
        piece = "\n".join(self._waiting) + "\n"
        self._waiting.clear()
        self._size = 0
        try:
            self._process.stdin.write(piece)
        except BrokenPipeError as error:
            self._process.wait()
            raise DataError(f"The rows could not be examined: {self._last_words()}") from error

    def _last_words(self) -> str:
        self._noise.seek(0)
        return " / ".join(self._noise.read().strip().splitlines()[-2:]) or "the process was ended"


def read(folder: Path, first: int = 0, count: int | None = None) -> Iterator[Row]:
    """Yield rows of a version, `count` of them from position `first` (from 0) on; from any place at once."""
    import pyarrow.parquet as parquet

    last = sys.maxsize if count is None else first + count
    with parquet.ParquetFile(folder / "rows.parquet") as file:
        columns = json.loads(file.schema_arrow.metadata[b"tunelab"])
        begin = 0
        for number in range(file.num_row_groups):
            size = file.metadata.row_group(number).num_rows
            if begin < last and begin + size > first:
                table = file.read_row_group(number).slice(max(0, first - begin), last - max(begin, first))
                yield from _rows(table, columns)
            begin += size


def _rows(table: Any, columns: list[dict[str, Any]]) -> Iterator[Row]:
    cells = []
    for column in columns:
        values = table.column(column["column"]).to_pylist()
        if column["kind"] != "text":
            # Absent is NULL, and null is the text of it.
            values = [_ABSENT if value is None else json.loads(value) for value in values]
        cells.append(values)
    names = [column["name"] for column in columns]
    has_rest = columns[-1]["kind"] == "rest"
    for row in zip(*cells, strict=True):
        found = {name: value for name, value in zip(names, row, strict=True) if value is not _ABSENT}
        if has_rest:
            found |= found.pop(None, {})
        yield found


_ABSENT = object()


class Words(Sequence[int]):
    """Numbers that the child left, one a row: a file of unsigned integers, read without numpy; empty without a file."""

    def __init__(self, path: Path) -> None:
        self._words = array("Q" if path.suffix == ".u64" else "I")
        if path.exists():
            with path.open("rb") as file:
                self._words.fromfile(file, path.stat().st_size // self._words.itemsize)

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        """Return a row's number, or some of them."""
        return self._words[index]

    def __len__(self) -> int:
        return len(self._words)

    def __iter__(self) -> Iterator[int]:
        return iter(self._words)
