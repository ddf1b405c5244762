"""Models on show: the list of base and custom models."""

from __future__ import annotations

import threading
from typing import Any

from tunelab import workspace
from tunelab.notebook import live
from tunelab.registry import index


class ModelList(live.Listing):
    """Base and custom models."""

    def __init__(self) -> None:
        super().__init__("models")

    def command(self, view: live.View, content: dict[str, Any]) -> None:
        """Do nothing: the list is only shown."""

    def _present(self) -> list[dict[str, Any]]:
        return [{"name": entry.label} for entry in index.entries()]


_lists: dict[str, ModelList] = {}
_guard = threading.Lock()


def model_list() -> ModelList:
    """Return the current workspace's models on show."""
    with _guard:
        return _lists.setdefault(str(workspace.current().root), ModelList())
