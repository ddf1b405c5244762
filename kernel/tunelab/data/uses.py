"""Who needs a dataset's version: the models that were made from it, and the jobs that have not ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tunelab import workspace
from tunelab.registry import index

_ENDED = ("completed", "failed", "cancelled")


def of(label: str) -> list[str]:
    """Return in words what needs the version `label`, such as ``["the model chatty@1"]``."""
    entries = index.entries()
    needed = [f"the model {entry.label}" for entry in entries if entry.dataset == label]
    made_by = {entry.job: entry.label for entry in entries}
    for folder in sorted(workspace.current().jobs.iterdir()):
        spec = _spec(folder, label)
        if label not in (spec.get("dataset"), spec.get("eval_dataset")):
            continue
        if folder.name in made_by:
            needed.append(f"the model {made_by[folder.name]}")
        elif _state(folder) not in _ENDED:
            needed.append(f"the job {folder.name}")
    return list(dict.fromkeys(needed))


def _spec(folder: Path, label: str) -> dict[str, Any]:
    """Return a job's spec, where it names `label`: there may be a thousand jobs, and the text tells of most at once."""
    try:
        text = (folder / "spec.yaml").read_text(encoding="utf-8")
    except FileNotFoundError:
        # A job that is just being submitted, or removed.
        return {}
    loaded: dict[str, Any] = yaml.safe_load(text) if label in text else {}
    return loaded


def _state(folder: Path) -> str | None:
    """Return the last state in a job's journal; None where it has none yet."""
    state = None
    try:
        for line in (folder / "journal.jsonl").read_bytes().splitlines():
            if b'"state"' in line:
                event = json.loads(line)
                state = event["state"] if event.get("type") == "state" else state
    except FileNotFoundError:
        return None
    except ValueError:
        # A torn last line.
        return state
    return state
