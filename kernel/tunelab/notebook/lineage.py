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
from tunelab.notebook.files import stamps
from tunelab.notebook.shared import per_workspace
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
                if known := _store().graph:
                    self._tell(graph=around(self.of, known).to_dict())
            graph = around(self.of, _store().read(anew)).to_dict()
            self._tell(graph=graph, refused=None, reading=False)

        apart(work, lambda reason: self._tell(refused=reason, reading=False))

    def _tell(self, **values: Any) -> None:
        if self._view is not None:
            self._view.state(**values)


class _Store:
    """The whole graph of a workspace, with what its store was like when it was read."""

    def __init__(self) -> None:
        self._space = workspace.current()
        self._at: Any = None
        #: As it was read last; None before that.
        self.graph: dict[str, Any] | None = None
        self._reading = threading.Lock()

    def read(self, anew: bool) -> dict[str, Any]:
        """Return the graph, which is read where the store has changed, or anew."""
        with self._reading:
            at = self._stamp()
            # A server elsewhere does not tell when something was written there.
            if self.graph is None or anew or at is None or at != self._at:
                self.graph, self._at = task.run("tunelab.registry.lineage:read", {}), at
            return self.graph

    def _stamp(self) -> Any:
        if os.environ.get("MLFLOW_TRACKING_URI"):
            return None
        database = self._space.database
        return stamps(database, database.with_name(f"{database.name}-wal"))


@per_workspace
def _store() -> _Store:
    return _Store()
