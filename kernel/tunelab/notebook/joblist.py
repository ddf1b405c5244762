"""The list of jobs on show: all rows once, and then only those that are not as they were."""

from __future__ import annotations

from typing import Any, Protocol

from tunelab import workspace
from tunelab.errors import Error
from tunelab.jobs import manager
from tunelab.notebook import live
from tunelab.notebook.jobrows import JobRows, Row
from tunelab.notebook.shared import per_workspace

#: The first look may read so long before the list is shown with what there is; later ones go on by and by.
_FIRST_FOR_S = 0.15
_READ_FOR_S = 0.1
#: Where nobody looks at the list itself, others on this machine come first.
_PATIENT_FOR_S = 0.02
#: A page can draw the first rows while the others are on their way.
_FIRST_ROWS = 100
_ROWS_AT_ONCE = 400


class View(Protocol):
    """Where the list goes."""

    def state(self, **values: Any) -> None:
        """Show these values in place of the earlier ones."""

    def rows(self, name: str, changed: list[Row], order: list[str] | None) -> None:
        """Show these rows in place of earlier ones of the same id; where `order` is given those in it and no others."""

    def notice(self, text: str) -> None:
        """Say why something that this view asked for could not be done."""


class JobList(live.OnShow):
    """The workspace's jobs on show, newest first, in any number of views.

    A view that has `is_patient` true is in no hurry for jobs that were never read.
    """

    def __init__(self) -> None:
        super().__init__()
        self._rows = JobRows(workspace.current())
        self._left = 0

    def add(self, view: View) -> None:
        """Show the list in one more view, from now on."""
        with self._lock:
            self._look(0.0 if _is_patient(view) else _FIRST_FOR_S)
            self._views.append(view)
            rows, order = self._rows.rows(), self._rows.order
            told = _FIRST_ROWS
            view.state(jobs=rows[:told], left=len(rows[told:]) + self._left)
            while told < len(rows):
                begin, told = told, min(told + _ROWS_AT_ONCE, len(rows))
                view.rows("jobs", rows[begin:told], order[:told])
            if len(rows) > _FIRST_ROWS:
                view.state(left=self._left)
        live.watch(self, live.LIST_EVERY_S)

    def look(self) -> None:
        """Tell the views of what is new, changed and gone."""
        with self._lock:
            self._look(_PATIENT_FOR_S if all(map(_is_patient, self._views)) else _READ_FOR_S)

    def _look(self, for_s: float) -> None:
        change = self._rows.look(for_s)
        for view in tuple(self._views) if change.rows or change.order is not None else ():
            view.rows("jobs", change.rows, change.order)
        if change.left != self._left:
            self._left = change.left
            for view in tuple(self._views):
                view.state(left=change.left)

    def has_news(self) -> bool:
        """Return whether somebody waits for jobs that were not read yet; for all else half a second is soon enough."""
        return self._left > 0 and not all(map(_is_patient, self._views))

    def command(self, view: View, content: dict[str, Any]) -> None:
        """Do what a view asks for: ``pause``, ``resume``, ``move_up`` or ``cancel`` a job."""
        try:
            job = manager.find(content["job"])
        except Error as error:
            view.notice(str(error))
            return
        if live.did(job, content["type"], view):
            self.look()


def _is_patient(view: View) -> bool:
    return getattr(view, "is_patient", False)


@per_workspace
def job_list() -> JobList:
    """Return the current workspace's jobs on show."""
    return JobList()
