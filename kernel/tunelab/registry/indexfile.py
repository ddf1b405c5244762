"""A list of versions in the workspace, which the kernel reads in place of MLflow; MLflow can rebuild it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from tunelab import workspace
from tunelab.errors import Error
from tunelab.workspace import Workspace


@dataclass(frozen=True)
class Version:
    """What every entry has."""

    name: str
    version: int


E = TypeVar("E", bound=Version)


class IndexFile(Generic[E]):
    """The entries of one file.

    Parameters
    ----------
    entry
        Their class.
    path
        Where a workspace has the file.
    key
        Under which it holds them.
    lock
        The workspace's lock for whoever writes it.
    what, refresh
        What it is an index of, and the code that writes it anew, for whom it cannot be read.
    """

    def __init__(
        self, entry: type[E], path: Callable[[Workspace], Path], key: str, lock: str, what: str, refresh: str
    ) -> None:
        self._entry = entry
        self._path = path
        self._key = key
        self._lock = lock
        self._what = what
        self._refresh = refresh

    def entries(self) -> list[E]:
        """Return every version, by name and version."""
        return sorted((self._entry(**item) for item in self._read()), key=lambda entry: (entry.name, entry.version))

    def names(self) -> list[str]:
        """Return the names, each once."""
        return sorted({entry.name for entry in self.entries()})

    def add(self, entry: E) -> None:
        """Add a version, or replace what was noted of it."""
        with workspace.current().lock(self._lock):
            kept = [item for item in self._read() if (item["name"], item["version"]) != (entry.name, entry.version)]
            self._write([*kept, asdict(entry)])

    def replace(self, found: list[E]) -> None:
        """Write the file anew."""
        with workspace.current().lock(self._lock):
            self._write([asdict(entry) for entry in found])

    def _read(self) -> list[dict[str, Any]]:
        path = self._path(workspace.current())
        if not path.is_file():
            return []
        try:
            loaded: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))[self._key]
        except (ValueError, KeyError, TypeError) as error:
            raise Error(
                f"The index of {self._what} {path} cannot be read ({error}). Write it anew from MLflow: "
                f"{self._refresh}."
            ) from error
        return loaded

    def _write(self, items: list[dict[str, Any]]) -> None:
        workspace.write_json(self._path(workspace.current()), {self._key: items})
