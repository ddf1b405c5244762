"""Models on show: the list of custom models by name and of base models, as they come to be there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunelab import workspace
from tunelab.models import bases, size
from tunelab.notebook import jobnotes, live
from tunelab.notebook.files import Stamp, stamp
from tunelab.notebook.shared import per_workspace
from tunelab.registry import index

#: So many scores of a model are shown in the list.
_SCORES = 3


class ModelList(live.Listing):
    """Custom models, one row a name, the newest first; then base models, those that are here first."""

    def __init__(self) -> None:
        super().__init__()
        self._index_at: Stamp | None = None
        self._entries: dict[str, list[index.Entry]] = {}

    def _present(self) -> dict[str, Any]:
        judged = jobnotes.job_notes().refresh()
        return {"models": [*self._custom(judged), *(base_row(one) for one in bases.found())]}

    def _custom(self, judged: list[jobnotes.Judged]) -> list[dict[str, Any]]:
        at = stamp(workspace.current().index)
        if at != self._index_at:
            self._entries = {}
            for entry in index.entries():
                self._entries.setdefault(entry.name, []).append(entry)
            self._index_at = at
        best = _scores(judged)
        rows = [custom_row(entries, best) for entries in self._entries.values()]
        return sorted(rows, key=lambda row: (row["created"], row["name"]), reverse=True)


def _scores(judged: list[jobnotes.Judged]) -> dict[str, list[dict[str, Any]]]:
    """Return each model's score by metric, of its newest evaluation with it."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for one in judged:
        for row in one.rows:
            mean = row.get("mean")
            if isinstance(mean, (int, float)):
                metric = str(row["metric"])
                score = {"metric": metric, "mean": mean, "difference": row.get("difference")}
                found.setdefault(str(row["model"]), {}).setdefault(metric, score)
    return {model: list(scores.values())[:_SCORES] for model, scores in found.items()}


def custom_row(entries: list[index.Entry], scores: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return a custom model as a list shows it, by its newest version; `entries` are its versions, oldest first."""
    newest = entries[-1]
    return {
        "kind": "custom",
        "name": newest.name,
        "version": newest.version,
        "versions": [entry.version for entry in reversed(entries)],
        "base": short(newest.base),
        "technique": newest.technique,
        "dataset": newest.dataset,
        "adapter": newest.adapter,
        "created": newest.created,
        "scores": scores.get(newest.label, []),
    }


def base_row(one: bases.BaseModel) -> dict[str, Any]:
    """Return a base model as a list shows it; `memory` is what a step of each adapter takes by the recipe of SFT."""
    needs = {adapter: one.memory("sft", adapter) for adapter in ("lora", "full")}
    return {
        "kind": "base",
        "source": one.kind,
        "name": one.name,
        "hub_id": one.hub_id,
        "params": one.params,
        "size": size.readable(one.params) if one.params else None,
        "context": one.context,
        "licence": one.licence,
        "gated": one.gated,
        "chat_template": one.chat_template,
        "techniques": list(one.techniques),
        "here": one.here,
        "memory": {
            adapter: None if need is None else {"least": need[0], "most": need[1], "fits": bases.fits(need)}
            for adapter, need in needs.items()
        },
    }


def short(model: str) -> str:
    """Return what a model is called; a folder by its name."""
    return Path(model).name if Path(model).is_absolute() else model


def root(name: str, labels: dict[str, index.Entry]) -> str:
    """Return the base model under a model that may be a custom one, or a checkpoint of one."""
    seen = set()
    while (entry := labels.get(name.partition(":step-")[0])) is not None and name not in seen:
        seen.add(name)
        name = entry.base
    return name


@per_workspace
def model_list() -> ModelList:
    """Return the current workspace's models on show."""
    return ModelList()


__all__ = ["ModelList", "base_row", "custom_row", "model_list", "root", "short"]
