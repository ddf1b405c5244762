"""Versions of datasets on the disk: which there are, what is noted of them, and numbers that are never given twice."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunelab import workspace
from tunelab.errors import DataError, did_you_mean, listing
from tunelab.spec import NAME_PATTERN

#: Holds the highest number that a name ever had.
_LAST = ".last"


@dataclass(frozen=True)
class Version:
    """What is noted of one version of a dataset."""

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
    fields: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """``NAME@VERSION``."""
        return f"{self.name}@{self.version}"

    @property
    def path(self) -> Path:
        """The folder of this version."""
        return workspace.current().datasets / self.name / str(self.version)

    def as_json(self) -> dict[str, Any]:
        """Return it as `dataset.json` has it."""
        return asdict(self)


def names() -> list[str]:
    """Return the names that have a version."""
    return sorted(entry.name for entry in workspace.current().datasets.iterdir() if numbers(entry.name))


def numbers(name: str) -> list[int]:
    """Return the numbers of a name's versions."""
    folder = workspace.current().datasets / name
    if not re.fullmatch(NAME_PATTERN, name) or not folder.is_dir():
        return []
    return sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdigit())


def every(name: str) -> list[Version]:
    """Return a name's versions, the oldest first."""
    return [load(name, number) for number in numbers(name)]


def load(name: str, number: int) -> Version:
    """Return a version that is there."""
    path = workspace.current().datasets / name / str(number) / "dataset.json"
    try:
        noted = json.loads(path.read_text("utf-8"))
        return Version(**{**noted, "form": tuple(noted["form"]), "fields": tuple(noted.get("fields", ()))})
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged. Move its folder away, and make the dataset again.") from error


def find(text: str) -> Version:
    """Return a version by ``NAME`` (the newest) or ``NAME@VERSION``.

    Raises
    ------
    DataError
        If there is none of that name, with the nearest name.
    """
    base, _, version = text.partition("@")
    known = numbers(base)
    if not known:
        hint = did_you_mean(base, names()) or " tl.datasets() lists them."
        raise DataError(f"There is no dataset '{base}'.{hint}")
    if version and (not version.isdecimal() or int(version) not in known):
        raise DataError(f"Dataset '{base}' has no version {version}; it has {listing(map(str, known))}.")
    return load(base, int(version) if version else known[-1])


def next_number(name: str) -> int:
    """Return the number of the next version: a deleted one's is not given again, since models may name it."""
    last = workspace.current().datasets / name / _LAST
    gone = int(last.read_text("utf-8")) if last.is_file() else 0
    return max([gone, *numbers(name)]) + 1


def keep_number(version: Version) -> None:
    """Note the number of a version that goes away."""
    last = version.path.parent / _LAST
    gone = int(last.read_text("utf-8")) if last.is_file() else 0
    workspace.write_text(last, str(max(gone, version.version)))
