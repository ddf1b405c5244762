"""The index of custom models: what the kernel reads in place of MLflow. The runner writes it; MLflow can rebuild it."""

from __future__ import annotations

from dataclasses import dataclass

from tunelab.registry.indexfile import IndexFile, Version


@dataclass(frozen=True)
class Entry(Version):
    """One registered version of a custom model, and the folder its files are in."""

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


_FILE = IndexFile(
    Entry, lambda space: space.index, key="models", lock="index", what="models", refresh="tl.models(refresh=True)"
)


def entries() -> list[Entry]:
    """Return every version, by name and version."""
    return _FILE.entries()


def find(name: str) -> Entry | None:
    """Return a version by ``NAME`` (the newest) or ``NAME@VERSION``, or None."""
    base, at, version = name.partition("@")
    found = [entry for entry in entries() if entry.name == base and (not at or str(entry.version) == version)]
    return found[-1] if found else None


def names() -> list[str]:
    """Return the names of all custom models."""
    return _FILE.names()


def versions(name: str) -> list[str]:
    """Return the versions of one custom model."""
    return [str(entry.version) for entry in entries() if entry.name == name]


def add(entry: Entry) -> None:
    """Add a version, or replace what was noted of it."""
    _FILE.add(entry)


def replace(found: list[Entry]) -> None:
    """Write the index anew, as `registry.store.rebuild_index` does from MLflow."""
    _FILE.replace(found)
