"""Running a job again, on show: what differs today, and the new job once it was asked for."""

from __future__ import annotations

import json
from typing import Any

from tunelab.notebook import live
from tunelab.notebook.datasets import apart, plain
from tunelab.replay import Replay, look, submit


class ReplayPage(live.OnShow):
    """One job's record in a view. Reading it may take seconds, where MLflow has it: it is done apart."""

    def __init__(self, job: str) -> None:
        super().__init__()
        self._job = str(job)
        self._found: Replay | None = None
        self._busy = False

    def add(self, view: live.View) -> None:
        """Show what differs in this view, as soon as it is known."""
        with self._lock:
            self._views.append(view)
            if self._shown:
                view.state(**self._shown)
                return
        apart(self._look, lambda reason: self._tell(**_nothing(reason)))

    def command(self, view: live.View, content: dict[str, Any]) -> None:
        """Do what a view asks for: ``run`` the job again, once."""
        with self._lock:
            if content["type"] != "run" or self._found is None or self._busy or self._shown["submitted"]:
                return
            self._busy = True
        self._tell(starting=True, failed=None)
        apart(self._run, self._failed)

    def _look(self) -> None:
        found = look(self._job)
        with self._lock:
            self._found = found
        self._tell(
            same=plain(found.same),
            unknown=plain(found.unknown),
            cell=f"import tunelab as tl\n\ntl.replay({json.dumps(found.job)})\n",
            refused=found.refused,
            submitted=None,
            starting=False,
            failed=None,
            # Last: the page opens with it.
            differences=plain(found.differences),
        )

    def _run(self) -> None:
        # Anew: what was here when the page opened may be gone.
        job = submit(look(self._job))
        self._tell(submitted=job.id, starting=False)

    def _failed(self, reason: str) -> None:
        with self._lock:
            self._busy = False
        self._tell(starting=False, failed=reason)


def _nothing(reason: str) -> dict[str, Any]:
    """Return what is shown of a job without a record."""
    return {
        "same": [],
        "unknown": [],
        "cell": "",
        "refused": reason,
        "submitted": None,
        "starting": False,
        "failed": None,
        "differences": [],
    }


__all__ = ["ReplayPage"]
