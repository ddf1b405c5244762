"""One model on show: a version of a custom model with all that is known of how it came to be, or a base model."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import yaml

from tunelab import recipes, workspace
from tunelab.errors import ModelError, did_you_mean
from tunelab.jobs.folder import JobFolder, disk_bytes
from tunelab.models import bases, size
from tunelab.models.catalog import Shape
from tunelab.notebook import jobnotes, live
from tunelab.notebook.datasets import plain
from tunelab.notebook.files import Stamp, stamp, stamps
from tunelab.notebook.models import base_row, root, short
from tunelab.registry import index, links

#: Of a job's folder, by its path: spec and facts, which stay as they are.
_read_jobs: dict[Path, tuple[dict[str, Any], dict[str, Any]]] = {}
_sizes: dict[Path, tuple[Stamp, int]] = {}
_guard = threading.Lock()


class _Page(live.Listing):
    """A page whose one trait is read again when what it is made of has changed."""

    def __init__(self) -> None:
        super().__init__()
        self._at: tuple[Any, ...] | None = None

    def look(self) -> None:
        """Tell the views what has changed."""
        with self._lock:
            at = self._stamp()
            if at != self._at:
                super().look()
                self._at = at

    def _present(self) -> dict[str, Any]:
        return {"page": self._page()}

    def _stamp(self) -> tuple[Any, ...]:
        raise NotImplementedError

    def _page(self) -> dict[str, Any]:
        raise NotImplementedError


class ModelPage(_Page):
    """One version of a custom model.

    Parameters
    ----------
    label
        ``NAME`` (the newest) or ``NAME@VERSION``.

    Raises
    ------
    ModelError
        If there is no such version.
    """

    def __init__(self, label: str) -> None:
        super().__init__()
        entry = index.find(label)
        if entry is None:
            name, _, version = label.partition("@")
            if has := index.versions(name):
                raise ModelError(f"'{name}' has no version {version}; it has {', '.join(has)}.")
            raise ModelError(f"There is no custom model '{label}'.{did_you_mean(name, index.names())}")
        self._entry = entry

    def _stamp(self) -> tuple[Any, ...]:
        space = workspace.current()
        judged = tuple((one.job, one.at) for one in jobnotes.job_notes().of(self._entry.label))
        job = space.jobs / self._entry.job
        return (judged, *stamps(space.index, job, job / "checkpoints", Path(self._entry.path)))

    def _page(self) -> dict[str, Any]:
        # Read anew: a version may be rewritten from MLflow, under the same label.
        entries = index.entries()
        labels = {one.label: one for one in entries}
        entry = labels.get(self._entry.label, self._entry)
        folder = JobFolder(workspace.current().jobs / entry.job)
        spec, facts = _job(folder)
        came_from = {one.label: one.parent or one.base for one in entries}
        origin = came_from.get(entry.label, entry.base)
        parent = origin if origin.partition(":step-")[0] in labels else None
        base = root(entry.base, labels)
        path = Path(entry.path)
        return {
            "model": entry.label,
            "name": entry.name,
            "version": entry.version,
            "versions": [one.version for one in reversed(entries) if one.name == entry.name],
            "base": base,
            "base_name": short(base),
            "parent": parent,
            "technique": entry.technique,
            "dataset": entry.dataset,
            "adapter": _adapter(spec, entry),
            "created": entry.created,
            "user": facts.get("user"),
            "commit": facts.get("commit"),
            "packages": _packages(facts),
            "path": str(path),
            "is_here": path.is_dir(),
            "disk_bytes": _disk(path),
            "job": entry.job,
            "has_job": bool(spec),
            "settings": settings(spec, facts),
            "checkpoints": [
                {"step": step, "label": f"{entry.label}:step-{step}"} for step in reversed(folder.checkpoint_steps())
            ],
            "evaluations": [_evaluation(one, entry.label) for one in jobnotes.job_notes().of(entry.label)],
            "derived": [_made(one) for one in entries if came_from[one.label].partition(":step-")[0] == entry.label],
            "mlflow": links.link(_run(folder, entry)),
            "cell": _generate([base, entry.label]),
        }


class BasePage(_Page):
    """A base model: what is known of it, what each technique takes here, and what was made from it.

    Parameters
    ----------
    name
        A catalog name, a hub id or a folder.

    Raises
    ------
    ModelError
        If there is none of that name.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._base = bases.find_base(name)

    def _stamp(self) -> tuple[Any, ...]:
        return (stamp(workspace.current().index), bases.stamp())

    def _page(self) -> dict[str, Any]:
        if self._shown:
            # Brought meanwhile, perhaps.
            self._base = bases.find_base(self._name)
        base = self._base
        entries = index.entries()
        labels = {one.label: one for one in entries}
        same = {name for name in (self._name, base.name, base.hub_id, str(base.folder)) if name}
        made = [one for one in entries if root(one.base, labels) in same]
        return base_row(base) | {
            "folder": str(base.folder) if base.folder else None,
            "disk_bytes": _disk(base.folder) if base.folder and base.here != "package" else None,
            "dtype": bases.dtype(),
            "free": bases.free(),
            "estimates": [_estimate(base, technique) for technique in base.techniques] if base.shape else [],
            "shape": _shape(base.shape),
            "made": [_made(one) for one in sorted(made, key=lambda one: one.created, reverse=True)],
            "cell": _generate([base.name]),
        }


def settings(spec: dict[str, Any], facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a resolved spec as dotted keys with values, each with where it is from: what was given, or a recipe."""
    if not spec:
        return []
    given = _flat(facts.get("given") or {})
    device = str((spec.get("compute") or {}).get("device") or "cpu").partition(":")[0]
    adapter = spec["adapter"]["type"]
    recipe = recipes.find(
        spec["technique"], spec["model"], adapter, facts.get("params"), device, spec.get("algorithm")
    ).settings
    rows = []
    for key, value in _flat(spec).items():
        if value is None or key == "kind":
            continue
        known = recipe.get(key.removeprefix("hyperparameters."))
        is_default = known is not None and known.value == value and key not in given
        rows.append({
            "key": key,
            "value": plain(value if isinstance(value, (str, int, float, bool)) else yaml.safe_dump(value).strip()),
            "given": key in given,
            "source": known.source if known is not None and is_default else None,
        })  # fmt: skip
    return rows


def _flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict) and item:
            found |= _flat(item, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = item
    return found


def _job(folder: JobFolder) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a job's spec and facts, read once; both empty where the job is gone."""
    with _guard:
        if not folder.spec_file.is_file():
            _read_jobs.pop(folder.path, None)
            return {}, {}
        if folder.path not in _read_jobs:
            _read_jobs[folder.path] = folder.spec(), workspace.read_json(folder.path / "submitted.json", {})
        return _read_jobs[folder.path]


def _adapter(spec: dict[str, Any], entry: index.Entry) -> str:
    rank = (spec.get("adapter") or {}).get("r")
    return "full" if entry.adapter == "full" else f"LoRA r{rank}" if rank else "LoRA"


def _packages(facts: dict[str, Any]) -> dict[str, str]:
    """Return the versions of packages that a job noted at its submission."""
    noted = facts.get("packages")
    return {str(name): str(version) for name, version in noted.items()} if isinstance(noted, dict) else {}


def _run(folder: JobFolder, entry: index.Entry) -> dict[str, str] | None:
    """Return the run that the job's journal begins with; a journal is not read beyond its first lines."""
    try:
        with folder.journal.open(encoding="utf-8") as lines:
            for _, line in zip(range(20), lines, strict=False):
                event = json.loads(line) if '"artifact"' in line else {}
                if event.get("kind") == "run" and event.get("run_id") == entry.run_id:
                    return {"run_id": event["run_id"], "experiment_id": event["experiment_id"]}
    except (OSError, ValueError, AttributeError, KeyError):
        return None
    return None


def _evaluation(one: jobnotes.Judged, label: str) -> dict[str, Any]:
    rows = [row for row in one.rows if str(row["model"]) == label or str(row["model"]).startswith(f"{label}:")]
    keys = ("metric", "model", "mean", "improved", "equal", "degraded", "difference", "verdict", "baseline", "scored")
    return {
        "job": one.job,
        "submitted": one.submitted,
        "method": one.method,
        "dataset": one.dataset,
        "against": [model for model in one.models if model != label],
        "rows": [{key: row.get(key) for key in keys} for row in rows],
    }


def _made(entry: index.Entry) -> dict[str, Any]:
    return {
        "model": entry.label,
        "base": short(entry.base),
        "technique": entry.technique,
        "dataset": entry.dataset,
        "created": entry.created,
    }


def _estimate(base: bases.BaseModel, technique: str) -> dict[str, Any]:
    found: dict[str, Any] = {"technique": technique}
    for adapter in ("lora", "full"):
        need = base.memory(technique, adapter)
        found[adapter] = None if need is None else {"least": need[0], "most": need[1], "fits": bases.fits(need)}
    given = size.settings(technique, base.params, "lora", "cpu")
    return found | {"batch_rows": given["batch_rows"], "max_length": given["max_length"]}


def _shape(shape: Shape | None) -> dict[str, Any] | None:
    if shape is None:
        return None
    experts = {"experts": shape.experts, "active": shape.active} if shape.experts else {}
    return {
        "hidden": shape.hidden,
        "layers": shape.layers,
        "heads": shape.heads,
        "kv_heads": shape.kv_heads,
        "vocab": shape.vocab,
    } | experts


def _generate(models: list[str]) -> str:
    """Return a cell that asks models a question."""
    return f'import tunelab as tl\n\ntl.generate({models!r}, "What can you help me with?")\n'


def _disk(path: Path) -> int | None:
    """Return what a model's files take, walked once as long as the folder's time is the same."""
    at = stamp(path)
    if at is None:
        return None
    if path not in _sizes or _sizes[path][0] != at:
        # A snapshot of the hub's cache is links to files elsewhere, which count.
        links_to = sum(file.stat().st_size for file in path.iterdir() if file.is_symlink() and file.exists())
        _sizes[path] = at, disk_bytes(path) + links_to
    return _sizes[path][1]


__all__ = ["BasePage", "ModelPage", "settings"]
