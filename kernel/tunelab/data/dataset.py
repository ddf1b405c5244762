"""Datasets as versions that never change: what was submitted is kept, with its digest, and can be named again.

A version is a folder `datasets/NAME/VERSION/` with `rows.jsonl` (the parsed values, one row a line) and
`dataset.json`. The same content under the same name is the same version.
"""

from __future__ import annotations

import datetime as dt
import getpass
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunelab import workspace
from tunelab.data import checks, reading
from tunelab.errors import DataError, did_you_mean, listing
from tunelab.spec import NAME_PATTERN

if TYPE_CHECKING:
    import pandas as pd

_PROGRESS_EVERY_S = 1.0


@dataclass(frozen=True)
class Dataset:
    """One version of a dataset: its rows on disk and where they came from."""

    name: str
    version: int
    digest: str
    technique: str
    form: tuple[str, ...]
    conversational: bool
    rows: int
    source: str
    creator: str
    created: str

    @classmethod
    def create(cls, name: str, source: Any, technique: str | None = None) -> Dataset:
        """Check every row of `source` and keep them as a version of `name`.

        Parameters
        ----------
        name
            Letters, digits, '.', '_' and '-'.
        source
            A file (jsonl, json, csv, parquet), a DataFrame, a `datasets.Dataset`, or a list of dicts.
        technique
            ``"sft"`` or ``"dpo"``; without, the one that the fields fit.

        Returns
        -------
        Dataset
            The new version, or the one that holds the same rows already.

        Raises
        ------
        DataError
            For the first row that cannot be trained on; the message names row and field.
        """
        if not re.fullmatch(NAME_PATTERN, name):
            raise DataError(f"'{name}' is no name for a dataset: use letters, digits, '.', '_' and '-'.")
        if technique is not None and technique not in checks.FORMS:
            hint = did_you_mean(technique, checks.FORMS)
            raise DataError(f"Unknown technique '{technique}'.{hint} There are {', '.join(checks.FORMS)}.")
        if isinstance(source, Dataset):
            return _store(name, source.read(), str(source), technique, f"dataset {source}")
        if isinstance(source, (str, Path)):
            path = Path(os.path.expanduser(source))
            if not os.path.exists(path):
                raise DataError(f"There is no file {path}.{_near_files(path)}")
            return _store(name, reading.read_file(path), path.name, technique, str(path.absolute()))
        if reading.is_table(source):
            shown = f"{type(source).__name__} '{name}'"
            return _store(name, reading.read_table(source), shown, technique, type(source).__name__)
        raise DataError(f"A dataset is made from a file, a DataFrame or a list of rows, not from {_kind(source)}.")

    @classmethod
    def get(cls, name: str) -> Dataset:
        """Return a version by ``NAME`` (the newest) or ``NAME@VERSION``.

        Raises
        ------
        DataError
            If there is none of that name, with the nearest name.
        """
        base, _, version = name.partition("@")
        known = _versions(base)
        if not known:
            hint = did_you_mean(base, _names()) or " tl.datasets() lists them."
            raise DataError(f"There is no dataset '{base}'.{hint}")
        if version and (not version.isdecimal() or int(version) not in known):
            raise DataError(f"Dataset '{base}' has no version {version}; it has {listing(map(str, known))}.")
        return _load(base, int(version) if version else known[-1])

    @property
    def path(self) -> Path:
        """The folder of this version."""
        return workspace.current().datasets / self.name / str(self.version)

    def read(self) -> Iterator[reading.Row]:
        """Yield the rows."""
        with (self.path / "rows.jsonl").open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)

    def to_pandas(self) -> pd.DataFrame:
        """Return the rows as a DataFrame."""
        import pandas as pd

        return pd.DataFrame(list(self.read()))

    def __len__(self) -> int:
        return self.rows

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    def __repr__(self) -> str:
        return f"<Dataset {self}: {self.rows:,} rows for {self.technique} ({', '.join(self.form)})>"


def datasets() -> list[Dataset]:
    """Return the newest version of every dataset in the workspace, by name."""
    return [Dataset.get(name) for name in _names()]


def resolve(source: Any, technique: str, namespace: dict[str, Any] | None = None, name: str | None = None) -> Dataset:
    """Return the version that a spec's ``dataset`` means, kept in the workspace.

    Parameters
    ----------
    source
        A registered ``NAME[@VERSION]``, a variable's name in `namespace`, a file, a hub id, or a table itself.
    technique
        What it is to be trained with; a registered dataset is checked against it as well.
    namespace
        The variables of the notebook.
    name
        The name to keep it under where the source has none.

    Raises
    ------
    DataError
        If nothing, or more than one thing, has that name, or a row is wrong.
    """
    if isinstance(source, Dataset):
        return _fit(source, technique)
    if not isinstance(source, (str, Path)):
        return Dataset.create(name or "data", source, technique)
    text = str(source)
    # os.path and not Path's own: those raise for a name that is too long, or a ~user that is not there.
    path = Path(os.path.expanduser(text))
    found = []
    if _versions(text.partition("@")[0]):
        found.append("a registered dataset")
    if namespace is not None and reading.is_table(namespace.get(text)):
        found.append("a variable")
        if len(found) == 2 and Dataset.get(text.partition("@")[0]).source == _variable(text):
            # Registered from this very variable the last time it was used: it is the variable that is meant.
            found.remove("a registered dataset")
    if os.path.isfile(path):
        found.append("a file")
    if len(found) > 1:
        raise DataError(
            f"'{text}' is {' and '.join(found)}. Say './{text}' for the file, '{text}@1' for the registered dataset, "
            "or rename the variable."
        )
    if not found:
        return _from_hub(text, technique) if _is_hub_id(text) else _nothing_found(text, path, namespace)
    if found == ["a registered dataset"]:
        return _fit(Dataset.get(text), technique)
    if found == ["a variable"]:
        rows = reading.read_table((namespace or {})[text])
        return _store(workspace.slug(text), rows, _variable(text), technique, _variable(text))
    return Dataset.create(workspace.slug(path.stem), path, technique)


def _variable(name: str) -> str:
    return f"variable {name}"


def _fit(dataset: Dataset, technique: str) -> Dataset:
    if dataset.technique == technique:
        return dataset
    # Made for another technique: its fields may still serve, and its rows are checked anew.
    form = checks.form_of(technique, set(next(dataset.read())), f"Dataset {dataset}")
    checker = checks.RowChecker(technique, form, f"Dataset {dataset}")
    for number, row in enumerate(dataset.read(), 1):
        checker.check(row, number)
    return replace(dataset, technique=technique, form=form, conversational=bool(checker.conversational))


def _is_hub_id(text: str) -> bool:
    suffix = Path(text).suffix.lower()
    return bool(re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", text)) and suffix not in reading.READERS


def _from_hub(hub_id: str, technique: str) -> Dataset:
    from tunelab import task

    # The hub's client and `datasets` stay out of the kernel: a process of its own brings the rows as a file.
    with tempfile.TemporaryDirectory(prefix="tunelab-") as folder:
        target = Path(folder) / "rows.jsonl"
        task.run("tunelab.data.hub:fetch", {"hub_id": hub_id, "target": str(target)}, show=f"Fetching {hub_id}")
        return _store(
            workspace.slug(hub_id.rpartition("/")[2]), reading.read_file(target), hub_id, technique, f"hub {hub_id}"
        )


def _nothing_found(text: str, path: Path, namespace: dict[str, Any] | None) -> Dataset:
    if os.path.isdir(path):
        raise DataError(f"{text} is a folder; name the file in it.")
    if path.suffix.lower() in reading.READERS or "/" in text:
        raise DataError(f"There is no file {text}.{_near_files(path)}")
    if namespace is not None and text in namespace:
        raise DataError(f"The variable '{text}' is {_kind(namespace[text])}, and no DataFrame or list of rows.")
    tables = [key for key, value in (namespace or {}).items() if not key.startswith("_") and reading.is_table(value)]
    hint = did_you_mean(text, [*_names(), *tables])
    raise DataError(f"There is no dataset, variable or file '{text}'.{hint}")


def _near_files(path: Path) -> str:
    folder = path.parent
    if not os.path.isdir(folder):
        return f" There is no folder {folder} either."
    return did_you_mean(
        path.name, [item.name for item in folder.iterdir() if item.is_file() and item.suffix.lower() in reading.READERS]
    )


def _names() -> list[str]:
    folder = workspace.current().datasets
    return sorted(entry.name for entry in folder.iterdir() if _versions(entry.name))


def _versions(name: str) -> list[int]:
    folder = workspace.current().datasets / name
    if not re.fullmatch(NAME_PATTERN, name) or not folder.is_dir():
        return []
    return sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdigit())


def _load(name: str, version: int) -> Dataset:
    described = json.loads((workspace.current().datasets / name / str(version) / "dataset.json").read_text("utf-8"))
    return Dataset(**{**described, "form": tuple(described["form"])})


def _store(name: str, rows: Iterator[reading.Row], shown: str, technique: str | None, source: str) -> Dataset:
    space = workspace.current()
    aside = Path(tempfile.mkdtemp(dir=space.datasets, prefix=".new-"))
    try:
        digest, count, checker = _write_checked(rows, aside / "rows.jsonl", shown, technique)
        with space.lock("datasets"):
            known = _versions(name)
            for version in reversed(known):
                dataset = _load(name, version)
                if (dataset.digest, dataset.technique) == (digest, checker.technique):
                    return dataset
            dataset = Dataset(
                name=name,
                version=known[-1] + 1 if known else 1,
                digest=digest,
                technique=checker.technique,
                form=checker.form,
                conversational=bool(checker.conversational),
                rows=count,
                source=source,
                creator=getpass.getuser(),
                created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            )
            workspace.write_json(aside / "dataset.json", asdict(dataset))
            dataset.path.parent.mkdir(exist_ok=True)
            os.replace(aside, dataset.path)
            return dataset
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write_checked(
    rows: Iterator[reading.Row], target: Path, shown: str, technique: str | None
) -> tuple[str, int, checks.RowChecker]:
    """Check rows as they stream into `target`; return their digest, their number and the checker."""
    digest = hashlib.sha256()
    checker: checks.RowChecker | None = None
    count, told = 0, time.monotonic()
    with target.open("w", encoding="utf-8", newline="\n") as file:
        for count, row in enumerate(rows, 1):
            if checker is None:
                fields = {name for name in row if name is not None}
                technique = technique or checks.technique_of(fields, shown)
                checker = checks.RowChecker(technique, checks.form_of(technique, fields, shown), shown)
            checker.check(row, count)
            try:
                line = json.dumps(row, ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=str) + "\n"
                digest.update(line.encode("utf-8"))
            except (ValueError, TypeError, RecursionError) as error:
                raise DataError(f"{shown}, row {count} has a field that cannot be kept as JSON: {error}.") from error
            file.write(line)
            if time.monotonic() - told > _PROGRESS_EVERY_S:
                told = time.monotonic()
                print(f"Checking {shown}: {count:,} rows", file=sys.stderr)
    if checker is None:
        raise DataError(f"{shown} has no rows.")
    return digest.hexdigest(), count, checker


def _kind(value: object) -> str:
    if isinstance(value, list):
        return "an empty list" if not value else "a list of other things than rows"
    return f"a value of type {type(value).__name__}"
