"""Lineage on show: the graph around one thing, read from MLflow once for all until something is written."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Any

from tunelab import task, workspace
from tunelab.errors import Error
from tunelab.lineage import KINDS, around
from tunelab.notebook.datasets import View, apart
from tunelab.registry import links


class LineagePage:
    """The lineage of one thing, in one view.

    Parameters
    ----------
    of
        ``NAME@VERSION``, a job's id, or a base model's name; ``dataset:NAME@VERSION`` where others are called so too.
    """

    def __init__(self, of: str) -> None:
        self.of = of
        self._view: View | None = None

    def add(self, view: View) -> None:
        """Show it, as soon as MLflow was read."""
        self._view = view
        view.state(graph=None, kinds=KINDS, refused=None, reading=True, mlflow=links.link(None))
        self._read(anew=False)

    def remove(self, view: View) -> None:
        """Show it no more."""
        self._view = None

    def command(self, view: View, content: dict[str, Any]) -> None:
        """Read MLflow anew, on ``refresh``."""
        if content["type"] == "refresh":
            view.state(reading=True)
            self._read(anew=True)

    def _read(self, anew: bool) -> None:
        def work() -> None:
            # What is known is shown at once, even where a job has written to the store since.
            with contextlib.suppress(Error):
                if known := _known.get(str(workspace.current().root)):
                    self._tell(graph=around(self.of, known[1]).to_dict())
            graph = around(self.of, _whole(anew)).to_dict()
            self._tell(graph=graph, refused=None, reading=False)

        apart(work, lambda reason: self._tell(refused=reason, reading=False))

    def _tell(self, **values: Any) -> None:
        if self._view is not None:
            self._view.state(**values)


#: The whole graph of each workspace, with what its store was like when it was read.
_known: dict[str, tuple[Any, dict[str, Any]]] = {}
_reading = threading.Lock()


def _whole(anew: bool) -> dict[str, Any]:
    space = workspace.current()
    with _reading:
        at = _stamp(space)
        found = _known.get(str(space.root))
        # A server elsewhere does not tell when something was written there.
        if found is None or anew or at is None or found[0] != at:
            found = _known[str(space.root)] = (at, task.run("tunelab.registry.lineage:read", {}))
        return found[1]


def _stamp(space: workspace.Workspace) -> Any:
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return None
    names = (space.database, space.database.with_name(f"{space.database.name}-wal"))
    return tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in names)
