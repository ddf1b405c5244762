"""From a source to a version: every row read, mapped, checked and examined; then all of it is kept, or nothing.

A version is a folder `datasets/NAME/VERSION/` with `rows.parquet`, `dataset.json`, `report.json` and what the
examination leaves for splits (`tunelab.data.storage`).
"""

from __future__ import annotations

import datetime as dt
import getpass
import glob
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from tunelab import task, workspace
from tunelab.data import checks, formats, patterns, reading, versions
from tunelab.data.faults import Fault
from tunelab.data.report import Faults, Finding, Report, warning
from tunelab.data.storage import Examined, Examiner
from tunelab.errors import DataError, did_you_mean
from tunelab.spec import NAME_PATTERN

#: So many rows tell the form of all.
_HEAD = 100
#: Fewer are held until all are checked: most often they are known already, and need no process to examine them.
_FEW = 1_000
_TOLD_EVERY_S = 1.0
_COMPACT: dict[str, Any] = {"ensure_ascii": False, "separators": (",", ":")}
_EXAMINED_FIXES = ("drop-duplicates", "drop-near-duplicates", "drop-contradictions")

Say = Callable[[int], None]


@dataclass(frozen=True)
class Source:
    """Rows, what messages call them, and what is noted as where they came from."""

    rows: Iterable[reading.Row]
    shown: str
    origin: str

    def where(self, number: int) -> str:
        """Return in words where a row is, by its number from 1: of several files, in its own."""
        if isinstance(self.rows, reading.Files):
            return self.rows.where(number)
        return f"{self.shown}, row {number}"


@dataclass(frozen=True)
class Checked:
    """What came of checking all rows; `examined` is None where they were known before, as `digest` tells."""

    report: Report
    mapping: formats.Mapping
    conversational: bool
    digest: str
    faults: Faults
    examined: Examined | None


def valid_name(name: str) -> str:
    """Return `name`, which has to be one for a dataset."""
    if not isinstance(name, str) or not re.fullmatch(NAME_PATTERN, name):
        raise DataError(f"'{name}' is no name for a dataset: use letters, digits, '.', '_' and '-'.")
    return name


def valid_technique(technique: str | None) -> str | None:
    """Return `technique`, which has to be one that datasets are made for, or None."""
    if technique is not None and technique not in formats.FORMS:
        hint = did_you_mean(str(technique), formats.FORMS)
        raise DataError(f"Unknown technique '{technique}'.{hint} There are {', '.join(formats.FORMS)}.")
    return technique


@contextmanager
def opened(source: Any, name: str) -> Iterator[Source]:
    """Open what rows are made from: a file, files by a pattern, a hub id, a table, a dataset or a part of one.

    Raises
    ------
    DataError
        If it is none of these, or not there.
    """
    if hasattr(source, "label") and hasattr(source, "read"):
        yield Source(source.read(), source.label, f"dataset {source.label}")
    elif isinstance(source, (str, Path)):
        path = Path(os.path.expanduser(source))
        if os.path.exists(path):
            yield Source(reading.read_file(path), path.name, str(path.absolute()))
        elif glob.has_magic(str(path)):
            files = [Path(file) for file in sorted(glob.glob(str(path), recursive=True)) if os.path.isfile(file)]
            if not files:
                raise DataError(f"No file fits the pattern {source}.")
            yield Source(reading.read_files(files), path.name, str(path.absolute()))
        elif is_hub_id(str(source)):
            with from_hub(str(source)) as file:
                yield Source(reading.read_file(file), str(source), f"hub {source}")
        else:
            raise DataError(f"There is no file {path}.{near_files(path)}")
    elif reading.is_table(source):
        kind = type(source).__name__
        yield Source(reading.read_table(source), f"{kind} '{name}'", kind)
    else:
        raise DataError(f"A dataset is made from a file, a DataFrame or a list of rows, not from {kind_of(source)}.")


def is_hub_id(text: str) -> bool:
    """Return whether a text looks like ``org/name`` and not like a file."""
    suffix = Path(text).suffix.lower()
    return bool(re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", text)) and suffix not in reading.READERS


@contextmanager
def from_hub(hub_id: str) -> Iterator[Path]:
    """Bring the rows of a hub dataset as a file: the hub's client and `datasets` stay out of the kernel."""
    with tempfile.TemporaryDirectory(prefix="tunelab-") as folder:
        target = Path(folder) / "rows.jsonl"
        task.run("tunelab.data.hub:fetch", {"hub_id": hub_id, "target": str(target)}, show=f"Fetching {hub_id}")
        yield target


def near_files(path: Path) -> str:
    """Return a hint at the file in the same folder that may be meant."""
    folder = path.parent
    if not os.path.isdir(folder):
        return f" There is no folder {folder} either."
    return did_you_mean(
        path.name, [item.name for item in folder.iterdir() if item.is_file() and item.suffix.lower() in reading.READERS]
    )


def kind_of(value: object) -> str:
    """Return in words what a value is that is no table."""
    if isinstance(value, list):
        return "an empty list" if not value else "a list of other things than rows"
    return f"a value of type {type(value).__name__}"


def store(
    name: str,
    source: Source,
    technique: str | None,
    columns: dict[str, str] | None = None,
    fix: Sequence[str] = (),
    say: Say | None = None,
) -> versions.Version:
    """Check the rows of `source` and keep them as a version of `name`.

    Returns
    -------
    Version
        The new one, or the one that holds the same rows for the same technique already.

    Raises
    ------
    DataError
        For rows that cannot be used, with the report on all of them; nothing is kept.
    """
    space = workspace.current()
    aside = Path(tempfile.mkdtemp(dir=space.datasets, prefix=".new-"))
    try:
        known = {(one.digest, one.technique): one for one in versions.every(name)}
        checked = check_rows(source, aside, technique, columns, fix, say, known)
        total, faulty = checked.report.rows, checked.report.faulty
        if faulty and ("drop-faulty" not in fix or faulty == total):
            raise DataError(checked.faults.refusal(total), checked.report)
        with space.lock("datasets"):
            for version in reversed(versions.every(name)):
                if (version.digest, version.technique) == (checked.digest, checked.mapping.technique):
                    return version
            assert checked.examined is not None, "only what is known is not examined"
            version = versions.Version(
                name=name,
                version=versions.next_number(name),
                digest=checked.digest,
                technique=checked.mapping.technique,
                form=checked.mapping.form,
                conversational=checked.conversational,
                rows=checked.examined.rows,
                source=source.origin,
                creator=getpass.getuser(),
                created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
                fields=checked.examined.fields,
            )
            workspace.write_json(aside / "report.json", checked.report.as_json())
            workspace.write_json(aside / "dataset.json", version.as_json())
            version.path.parent.mkdir(exist_ok=True)
            os.replace(aside, version.path)
            return version
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def check(
    source: Source, technique: str | None, columns: dict[str, str] | None = None, say: Say | None = None
) -> Report:
    """Check the rows of `source` and return the report on them, faults and warnings; nothing is kept."""
    with tempfile.TemporaryDirectory(prefix="tunelab-") as folder:
        return check_rows(source, Path(folder), technique, columns, (), say, {}).report


def check_rows(
    source: Source,
    folder: Path,
    technique: str | None,
    columns: dict[str, str] | None,
    fix: Sequence[str],
    say: Say | None,
    known: dict[tuple[str, str], versions.Version],
) -> Checked:
    """Check rows as they stream into the examining process, which leaves its files in `folder`."""
    rows = iter(source.rows)
    head = list(islice(rows, _HEAD))
    if not head:
        raise DataError(f"{source.shown} has no rows.")
    mapping = formats.recognize(head, technique, columns, source.shown)
    checker = checks.RowChecker(mapping.technique, mapping.form)
    faults = Faults(source.where)
    feed = _Feed(folder, mapping, source.where)
    skipped: list[int] = []
    redacted = 0
    number, told = 0, time.monotonic()
    tell = say or _printer(source.shown)
    try:
        for number, raw in enumerate(chain(head, rows), 1):
            row: reading.Row | Fault = mapping.convert(raw)
            if "redact" in fix and not isinstance(row, Fault):
                cleaned = _redacted(row)
                redacted += cleaned != row
                row = cleaned
            fault = row if isinstance(row, Fault) else checker.check(row)
            if fault is None:
                assert not isinstance(row, Fault)
                feed.add(row, number)
            else:
                faults.add(number, fault)
                skipped.append(number)
            if time.monotonic() - told > _TOLD_EVERY_S:
                told = time.monotonic()
                tell(number)
        drop = [one.removeprefix("drop-") for one in _EXAMINED_FIXES if one in fix]
        digest = feed.digest.hexdigest()
        examined = None
        # Where no row can be used there is nothing to examine.
        if feed.count and (drop or (digest, mapping.technique) not in known):
            examined = feed.finish(drop)
            digest = examined.digest
    finally:
        feed.abandon()
    fixed = {}
    if "drop-faulty" in fix and skipped:
        fixed["drop-faulty"] = len(skipped)
    if examined:
        fixed |= {f"drop-{name}": count for name, count in examined.dropped.items() if count}
    if redacted:
        fixed["redact"] = redacted
    findings = [
        *faults.findings(),
        *(_in_source(warning(one), skipped) for one in (examined.findings if examined else ())),
    ]
    report = Report(
        rows=number,
        faulty=faults.count,
        technique=mapping.technique,
        form=mapping.form,
        mapping=(mapping.name, mapping.columns),
        findings=tuple(findings),
        fixed=fixed,
        classes=tuple(examined.classes) if examined and examined.classes else None,
    )
    return Checked(report, mapping, bool(checker.conversational), digest, faults, examined)


def upgrade(version: versions.Version) -> None:
    """Bring a version that an earlier release kept as `rows.jsonl` to the present layout, once."""
    earlier = version.path / "rows.jsonl"
    if not earlier.exists():
        return
    space = workspace.current()
    with space.lock("datasets"):
        if not earlier.exists():
            return
        aside = Path(tempfile.mkdtemp(dir=space.datasets, prefix=".new-"))
        examiner = Examiner(aside, version.technique, version.form)
        try:
            with earlier.open(encoding="utf-8") as file:
                for line in file:
                    examiner.add(line.rstrip("\n"))
            examined = examiner.finish(())
            report = Report(
                rows=version.rows,
                faulty=0,
                technique=version.technique,
                form=version.form,
                mapping=("tunelab's own form", tuple((name, name) for name in version.form)),
                findings=tuple(warning(one) for one in examined.findings),
                classes=tuple(examined.classes) if examined.classes else None,
            )
            workspace.write_json(aside / "report.json", report.as_json())
            for file_of_it in aside.iterdir():
                os.replace(file_of_it, version.path / file_of_it.name)
            earlier.unlink()
        finally:
            examiner.abandon()
            shutil.rmtree(aside, ignore_errors=True)


class _Feed:
    """Rows on their way to the examining process, which is started with the first row of many, or at the end."""

    def __init__(self, folder: Path, mapping: formats.Mapping, where: Callable[[int], str]) -> None:
        self._where = where
        self.digest = hashlib.sha256()
        self.count = 0
        self._folder = folder
        self._mapping = mapping
        self._waiting: list[str] = []
        self._examiner: Examiner | None = None

    def add(self, row: reading.Row, number: int) -> None:
        try:
            line = canonical = json.dumps(row, sort_keys=True, default=str, **_COMPACT)
            if any(isinstance(value, (dict, list)) for value in row.values()):
                # The same content is the same version, but a template shows mappings in the order that they were given.
                line = json.dumps({name: row[name] for name in sorted(row)}, default=str, **_COMPACT)
            self.digest.update(canonical.encode("utf-8"))
        except (ValueError, TypeError, RecursionError) as error:
            where = self._where(number)
            raise DataError(f"{where} has a field that cannot be kept as JSON: {error}.") from error
        self.digest.update(b"\n")
        self.count += 1
        if self._examiner is not None:
            self._examiner.add(line)
            return
        self._waiting.append(line)
        if self.count > _FEW:
            self._start()

    def finish(self, drop: Sequence[str]) -> Examined:
        examiner = self._examiner or self._start()
        return examiner.finish(drop)

    def abandon(self) -> None:
        if self._examiner is not None:
            self._examiner.abandon()

    def _start(self) -> Examiner:
        self._examiner = examiner = Examiner(self._folder, self._mapping.technique, self._mapping.form)
        for line in self._waiting:
            examiner.add(line)
        self._waiting.clear()
        return examiner


def _in_source(finding: Finding, skipped: Sequence[int]) -> Finding:
    """Return a finding with rows as the source counts them, where faulty ones were left out before."""
    if not skipped:
        return finding
    # The n-th row that was kept: so many were left out before it as have a number up to its own.
    shifts = [row - place for place, row in enumerate(skipped)]
    return replace(finding, rows=tuple(row + bisect_right(shifts, row) for row in finding.rows))


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return patterns.redact(value)
    if isinstance(value, list):
        return [_redacted(item) for item in value]
    if isinstance(value, dict):
        return {key: _redacted(item) for key, item in value.items()}
    return value


def _printer(shown: str) -> Say:
    return lambda number: print(f"Checking {shown}: {number:,} rows", file=sys.stderr)
