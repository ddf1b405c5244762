"""Jobs as they happen: one reader a job in this process, which tells every view of it what is new.

A view is anything that takes state and points: a widget, or a comm of the JupyterLab extension. One thread follows the
journals that are on show, and ends when none is left. It looks at their sizes 100 times a second, which costs next to
nothing, and reads what has grown at once.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from tunelab.errors import Error
from tunelab.jobs import folder as folders
from tunelab.jobs import manager
from tunelab.jobs.curves import Curves, pack
from tunelab.jobs.manager import Job
from tunelab.notebook import evaluations, rollouts
from tunelab.notebook.evaluations import EvaluationDesk
from tunelab.notebook.lane import Noticing
from tunelab.notebook.picture import picture
from tunelab.notebook.rollouts import RolloutDesk
from tunelab.notebook.snapshot import cell, snapshot
from tunelab.registry import links
from tunelab.spec import REINFORCEMENT

_NEWS_EVERY_S = 0.01
_LOOK_EVERY_S = 0.1
_REVIVE_EVERY_S = 2.0
LIST_EVERY_S = 0.5
#: After so many looks in a row that failed, a job is not shown any more.
_FAILURES = 20

#: What a view may ask of a job.
_VERBS: dict[str, Callable[[Job], Job]] = {
    "pause": Job.pause,
    "resume": Job.resume,
    "move_up": Job.move_up,
    "cancel": Job.cancel,
}


class View(Protocol):
    """Where state and points go."""

    def state(self, **values: Any) -> None:
        """Show these values in place of the earlier ones."""

    def points(self, index: list[dict[str, Any]], values: bytes) -> None:
        """Show these points, as `tunelab.jobs.curves.pack` writes them."""

    def notice(self, text: str) -> None:
        """Say why something that this view asked for could not be done."""


class Asking(View, Protocol):
    """A view that asks for what is no state."""

    def message(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        """Take an answer, such as rollouts; a file's bytes as a buffer."""


class Watched(Protocol):
    """What the watching thread looks at: a job, the list of jobs, datasets."""

    def look(self) -> None:
        """Tell the views what is new."""

    def has_news(self) -> bool:
        """Return whether there is reason to look before it is due."""

    def wanted(self) -> bool:
        """Return whether there is anything to come, and anyone to tell."""


def news(shown: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return those of the values that are not as they were shown."""
    return {key: value for key, value in values.items() if key not in shown or shown[key] != value}


class OnShow:
    """What any number of views show at once."""

    def __init__(self) -> None:
        self._views: list[Any] = []
        self._shown: dict[str, Any] = {}
        self._lock = threading.RLock()

    def remove(self, view: Any) -> None:
        """Show it in this view no more."""
        with self._lock:
            if view in self._views:
                self._views.remove(view)

    def command(self, view: Any, content: dict[str, Any]) -> None:
        """Do nothing: it is only shown."""

    def has_news(self) -> bool:
        """Return False: it is soon enough to look when that is due."""
        return False

    def wanted(self) -> bool:
        """Return whether there is anyone to tell."""
        return bool(self._views)

    def _tell(self, **values: Any) -> None:
        """Show the views those of the values that are new."""
        with self._lock:
            changed = news(self._shown, values)
            self._shown |= changed
            for view in tuple(self._views) if changed else ():
                view.state(**changed)


class Listing(OnShow):
    """A list, a table or a page that is read again and again while it is on show."""

    every_s = LIST_EVERY_S

    def add(self, view: Any) -> None:
        """Show it in one more view, from now on."""
        with self._lock:
            self.look()
            self._views.append(view)
            view.state(**self._shown)
        watch(self, self.every_s)

    def look(self) -> None:
        """Tell the views of what is new, changed and gone."""
        with self._lock:
            self._tell(**self._present())

    def _present(self) -> dict[str, Any]:
        """Return all that a view shows."""
        raise NotImplementedError


class Live(OnShow):
    """One job on show. Get it by `live`; it is safe to use from several threads."""

    def __init__(self, folder: folders.JobFolder) -> None:
        super().__init__()
        self.curves = Curves()
        self.job = Job(folder, hear=self.curves.fold)
        self._rollouts: RolloutDesk | None = None
        self._evaluation: EvaluationDesk | None = None
        if self.job.spec["kind"] == "evaluate":
            # The desk does not keep alive what nobody holds.
            look = weakref.WeakMethod(self.look)
            self._evaluation = EvaluationDesk(folder, lambda: (look() or (lambda: None))())
        elif self.job.spec["technique"] in REINFORCEMENT:
            self._rollouts = RolloutDesk(folder.journal)
        self._pictured: tuple[Any, ...] | None = None
        self._revived = 0.0
        self._read_to = -1

    def add(self, view: View) -> None:
        """Show the job in one more view, from now on."""
        with self._lock:
            self.look()
            self._views.append(view)
            view.state(**self._shown)
            view.points(*pack(self.curves))
        watch(self, _LOOK_EVERY_S)

    def remove(self, view: View) -> None:
        """Show the job in this view no more."""
        with self._lock:
            super().remove(view)
            if self._rollouts:
                self._rollouts.forget(view)
            if self._evaluation:
                self._evaluation.forget(view)
                if not self._views:
                    self._evaluation.close()

    def look(self) -> None:
        """Tell the views what is new in the journal."""
        with self._lock:
            self._read_to = self._size()
            self.job.read()
            # The points before all else: they are what the reader waits for.
            index, values = self.curves.take()
            for view in tuple(self._views) if index else ():
                view.points(index, values)
            now = time.monotonic()
            if now - self._revived > _REVIVE_EVERY_S and self.job.folder.journal.exists():
                self._revived = now
                self.job.view()
            changed = news(self._shown, self._state())
            # The seconds alone are no news; they come along with what is.
            if set(changed) == {"snapshot"} and "snapshot" in self._shown:
                before = self._shown["snapshot"] | {"elapsed_s": changed["snapshot"]["elapsed_s"]}
                if before == changed["snapshot"]:
                    changed = {}
            self._tell(**changed)

    def has_news(self) -> bool:
        """Return whether the journal has grown since the last look."""
        return self._size() > self._read_to

    def wanted(self) -> bool:
        """Return whether there is anything to come, and anyone to tell."""
        if not self._views or not self.job.folder.journal.exists():
            return False
        # The version of a job that ended while MLflow was away is told before `pending` goes.
        return not self.job.read().has_ended or self.job.folder.pending.exists() or self.has_news()

    def state(self) -> dict[str, Any]:
        """Return all that a view shows but the points."""
        with self._lock:
            self.look()
            return dict(self._shown)

    def command(self, view: Asking, content: dict[str, Any]) -> None:
        """Do what a view asks for.

        That is ``pause``, ``resume``, ``move_up``, ``cancel``, ``points`` for all of them, or what
        `tunelab.notebook.rollouts` and `tunelab.notebook.evaluations` answer.
        """
        if content["type"] == "points":
            with self._lock:
                self.look()
                view.points(*pack(self.curves))
        elif content["type"] in rollouts.ASKED:
            if self._rollouts:
                self._rollouts.command(view, content)
        elif content["type"] in evaluations.ASKED:
            if self._evaluation:
                self._evaluation.command(view, content)
        elif did(self.job, content["type"], view):
            self.look()

    def _size(self) -> int:
        try:
            return self.job.folder.journal.stat().st_size
        except FileNotFoundError:
            return -1

    def _state(self) -> dict[str, Any]:
        view = self.job.read()
        now = snapshot(self.job, view)
        evaluation = self._evaluation.state() if self._evaluation else None
        return {
            "snapshot": now,
            "cell": self._shown.get("cell") or cell(self.job),
            "mlflow": links.link(view.run) if view.run else None,
            "picture": self._picture(now, evaluation) if view.has_ended else None,
            "rollouts": self._rollouts.state() if self._rollouts else None,
            "evaluation": evaluation,
        }

    def _picture(self, now: dict[str, Any], evaluation: dict[str, Any] | None) -> str:
        """Return the last picture; it is drawn once, and again when the version is known, or scores are overruled."""
        at = (now["state"], now["model_version"], evaluation and evaluation["version"])
        if self._pictured != at:
            self._pictured = at
            return picture(now, self.curves, evaluation)
        return str(self._shown["picture"])


def did(job: Job, verb: str, view: Noticing) -> bool:
    """Do what a view asks of a job; where that cannot be done the view is told why."""
    try:
        _VERBS[verb](job)
    except Error as error:
        view.notice(str(error))
        return False
    return True


_lives: weakref.WeakValueDictionary[str, Live] = weakref.WeakValueDictionary()
_watched: dict[Any, tuple[float, float]] = {}
_failed: dict[Any, int] = {}
_guard = threading.Lock()
_thread: threading.Thread | None = None


def live(job_id: str) -> Live:
    """Return the job on show, the same for all who ask while one holds it.

    Raises
    ------
    JobError
        If the workspace has no such job.
    """
    folder = manager.find(job_id).folder
    with _guard:
        # By path: a test or a cell may move the workspace.
        found = _lives.get(str(folder.path))
        if found is None:
            found = _lives[str(folder.path)] = Live(folder)
        return found


def watch(thing: Watched, every_s: float) -> None:
    """Look at a thing every so many seconds, and at its news at once, for as long as it is wanted."""
    global _thread
    with _guard:
        _watched.setdefault(thing, (every_s, 0.0))
        if _thread is None:
            _thread = threading.Thread(target=_look, name="tunelab-live", daemon=True)
            _thread.start()


def _look() -> None:
    global _thread
    while True:
        now = time.monotonic()
        with _guard:
            if not _watched:
                _thread = None
                return
            watched = tuple(_watched.items())
        due = [(thing, every) for thing, (every, last) in watched if now - last >= every or thing.has_news()]
        for thing, every in due:
            try:
                thing.look()
                _failed.pop(thing, None)
            except Exception:
                # What cannot be read must not stop the others' views; a file that went away is gone next time.
                logging.getLogger("tunelab").exception("A view cannot be kept up to date")
                _failed[thing] = _failed.get(thing, 0) + 1
            with _guard:
                if thing.wanted() and _failed.get(thing, 0) < _FAILURES:
                    _watched[thing] = (every, now)
                else:
                    _watched.pop(thing, None)
                    _failed.pop(thing, None)
        time.sleep(_NEWS_EVERY_S)
