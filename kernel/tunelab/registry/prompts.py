"""The index of reward prompts: what the kernel reads in place of MLflow's prompt registry."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunelab import workspace
from tunelab.errors import Error


@dataclass(frozen=True)
class Entry:
    """One version of a reward prompt of the user's."""

    name: str
    version: int
    template: str
    created: str


def prompt_file(label: str) -> str:
    """Return the name under which a reward prompt ``NAME@VERSION`` lies in a job's folder."""
    return f"reward-{label.replace('@', '-')}.jinja"


def entries() -> list[Entry]:
    """Return every version, by name and version."""
    return sorted((Entry(**item) for item in _read()), key=lambda entry: (entry.name, entry.version))


def names() -> list[str]:
    """Return the names, each once."""
    return sorted({entry.name for entry in entries()})


def add(entry: Entry) -> None:
    """Add a version, or replace what was noted of it."""
    with workspace.current().lock("prompts"):
        kept = [item for item in _read() if (item["name"], item["version"]) != (entry.name, entry.version)]
        workspace.write_json(_path(), {"prompts": [*kept, asdict(entry)]})


def replace(found: list[Entry]) -> None:
    """Write the index anew, as `registry.prompt_store.rebuild_index` does from MLflow."""
    with workspace.current().lock("prompts"):
        workspace.write_json(_path(), {"prompts": [asdict(entry) for entry in found]})


def _path() -> Path:
    return workspace.current().root / "prompts.json"


def _read() -> list[dict[str, Any]]:
    path = _path()
    if not path.is_file():
        return []
    try:
        loaded: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["prompts"]
    except (ValueError, KeyError, TypeError) as error:
        raise Error(
            f"The index of reward prompts {path} cannot be read ({error}). Write it anew from MLflow: "
            "tl.reward_prompts(refresh=True)."
        ) from error
    return loaded
