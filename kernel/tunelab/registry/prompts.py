"""The index of reward prompts and of judges' metrics: what the kernel reads in place of MLflow's prompt registry."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from tunelab import workspace
from tunelab.errors import Error

#: What a text is for; MLflow's names begin with ``tunelab.KIND.``.
Kind = Literal["reward", "metric"]
_FILES: dict[Kind, str] = {"reward": "prompts.json", "metric": "metrics.json"}
_WORDS: dict[Kind, tuple[str, str]] = {
    "reward": ("reward prompts", "tl.reward_prompts(refresh=True)"),
    "metric": ("metrics", "tl.metrics(refresh=True)"),
}


@dataclass(frozen=True)
class Entry:
    """One version of a text of the user's."""

    name: str
    version: int
    template: str
    created: str


def prompt_file(label: str) -> str:
    """Return the name under which a reward prompt ``NAME@VERSION`` lies in a job's folder."""
    return f"reward-{label.replace('@', '-')}.jinja"


def metric_file(label: str) -> str:
    """Return the name under which a metric ``NAME@VERSION`` lies in a job's folder."""
    return f"metric-{label.replace('@', '-')}.json"


def metric_text(definition: dict[str, Any]) -> str:
    """Return a metric's definition as the text that MLflow keeps: YAML of the instructions and the scale."""
    ratings = [{key: value for key, value in one.items() if value is not None} for one in definition["rating_scale"]]
    told = {"instructions": definition["instructions"], "rating_scale": ratings}
    return str(yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=1000))


def entries(kind: Kind = "reward") -> list[Entry]:
    """Return every version, by name and version."""
    return sorted((Entry(**item) for item in _read(kind)), key=lambda entry: (entry.name, entry.version))


def names(kind: Kind = "reward") -> list[str]:
    """Return the names, each once."""
    return sorted({entry.name for entry in entries(kind)})


def add(entry: Entry, kind: Kind = "reward") -> None:
    """Add a version, or replace what was noted of it."""
    with workspace.current().lock("prompts"):
        kept = [item for item in _read(kind) if (item["name"], item["version"]) != (entry.name, entry.version)]
        workspace.write_json(_path(kind), {"prompts": [*kept, asdict(entry)]})


def replace(found: list[Entry], kind: Kind = "reward") -> None:
    """Write the index anew, as `registry.prompt_store.rebuild_index` does from MLflow."""
    with workspace.current().lock("prompts"):
        workspace.write_json(_path(kind), {"prompts": [asdict(entry) for entry in found]})


def _path(kind: Kind) -> Path:
    return workspace.current().root / _FILES[kind]


def _read(kind: Kind) -> list[dict[str, Any]]:
    path = _path(kind)
    if not path.is_file():
        return []
    try:
        loaded: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["prompts"]
    except (ValueError, KeyError, TypeError) as error:
        what, remedy = _WORDS[kind]
        raise Error(
            f"The index of {what} {path} cannot be read ({error}). Write it anew from MLflow: {remedy}."
        ) from error
    return loaded
