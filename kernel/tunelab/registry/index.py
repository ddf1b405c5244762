"""The index of custom models: what the kernel reads in place of MLflow. The runner writes it; MLflow can rebuild it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from tunelab import workspace


@dataclass(frozen=True)
class Entry:
    """One registered version of a custom model, and the folder its files are in."""

    name: str
    version: int
    job: str
    run_id: str
    base: str
    technique: str
    dataset: str
    adapter: str
    path: str
    created: str
    #: The custom model, or its checkpoint, that it was continued from, or nothing.
    parent: str = ""

    @property
    def label(self) -> str:
        """``NAME@VERSION``."""
        return f"{self.name}@{self.version}"


def entries() -> list[Entry]:
    """Return every version, by name and version."""
    return sorted((Entry(**item) for item in _read()), key=lambda entry: (entry.name, entry.version))


def find(name: str) -> Entry | None:
    """Return a version by ``NAME`` (the newest) or ``NAME@VERSION``, or None."""
    base, at, version = name.partition("@")
    found = [entry for entry in entries() if entry.name == base and (not at or str(entry.version) == version)]
    return found[-1] if found else None


def names() -> list[str]:
    """Return the names of all custom models."""
    return sorted({entry.name for entry in entries()})


def versions(name: str) -> list[str]:
    """Return the versions of one custom model."""
    return [str(entry.version) for entry in entries() if entry.name == name]


def add(entry: Entry) -> None:
    """Add a version, or replace what was noted of it."""
    with workspace.current().lock("index"):
        kept = [item for item in _read() if (item["name"], item["version"]) != (entry.name, entry.version)]
        _write([*kept, asdict(entry)])


def replace(found: list[Entry]) -> None:
    """Write the index anew, as `registry.store.rebuild_index` does from MLflow."""
    with workspace.current().lock("index"):
        _write([asdict(entry) for entry in found])


def _read() -> list[dict[str, Any]]:
    path = workspace.current().index
    if not path.is_file():
        return []
    loaded: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["models"]
    return loaded


def _write(items: list[dict[str, Any]]) -> None:
    workspace.write_json(workspace.current().index, {"models": items})
