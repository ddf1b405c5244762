"""Datasets on show: the list of them as versions come and go, and one version with its report, rows and preview.

What takes long (a preview, rows far down, a deletion) is done in a thread of its own, so that a page's next message is
heard meanwhile. The folder of the workspace is looked at in the thread that follows the jobs; files are read only where
a folder has changed.
"""

from __future__ import annotations

import logging
import math
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import yaml

from tunelab import workspace
from tunelab.data import Dataset, versions
from tunelab.errors import DataError, Error
from tunelab.models.find import CATALOG
from tunelab.notebook import live
from tunelab.notebook.files import Stamp, stamps
from tunelab.notebook.shared import per_workspace
from tunelab.registry import index
from tunelab.spec import REINFORCEMENT, TECHNIQUES

#: A page asks for no more rows at once, and is given none of a text beyond so many characters.
_MOST_ROWS = 500
_SHOWN_CHARACTERS = 2000
_SHOWN_DEPTH = 12
#: Greater integers are not exact in a page.
_EXACT = 2**53

_At = tuple[Stamp | None, ...]

#: The last preview of each version that was seen, by its folder, so that a view that opens again has it.
_previews: dict[Path, dict[str, Any]] = {}


class View(Protocol):
    """Where state and messages go."""

    def state(self, **values: Any) -> None:
        """Show these values in place of the earlier ones."""

    def message(self, content: dict[str, Any]) -> None:
        """Take something that is no state, such as rows."""

    def notice(self, text: str) -> None:
        """Say why something that this view asked for could not be done."""


class DatasetList(live.Listing):
    """The newest version of each dataset in the workspace, the newest first."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: dict[str, tuple[_At, dict[str, Any]]] = {}

    def _present(self) -> dict[str, Any]:
        with os.scandir(workspace.current().datasets) as entries:
            names = [entry.name for entry in entries if not entry.name.startswith(".")]
        self._rows = {name: row for name in names if (row := self._row(name)) is not None}
        present = [row for _, row in self._rows.values()]
        return {"datasets": sorted(present, key=lambda row: (row["created"], row["name"]), reverse=True)}

    def _row(self, name: str) -> tuple[_At, dict[str, Any]] | None:
        """Return a name's row and the times of change it is as of; the known one where nothing has changed."""
        folder = workspace.current().datasets / name
        known = self._rows.get(name)
        if known is not None and known[0] == stamps(folder, folder / str(known[1]["version"])):
            return known
        try:
            numbers = versions.numbers(name)
            if not numbers:
                return None
            # Before the files are read: what changes meanwhile is read again.
            at = stamps(folder, folder / str(numbers[-1]))
            return at, _described(versions.load(name, numbers[-1]), numbers)
        except (FileNotFoundError, DataError):
            # Deleted while it was looked at, or damaged: the others are shown, and who asks for it by name is told.
            return None


class DatasetPage(live.OnShow):
    """One version of a dataset on show.

    Parameters
    ----------
    label
        ``NAME`` or ``NAME@VERSION``.
    model
        What a cell with the dataset names, and a preview is of first; without, the catalog's.

    Raises
    ------
    DataError
        If there is no such version.
    """

    def __init__(self, label: str, model: str | None = None) -> None:
        super().__init__()
        self.dataset = Dataset.get(label)
        self._model = model or next(iter(CATALOG))
        self._shown = {"preview": _previews.get(self.dataset.path), "busy": None}
        self._at: _At = ()
        self._is_reading = False
        self._wanted_rows: list[tuple[int, int]] = []
        self._is_fetching = False

    def add(self, view: View) -> None:
        """Show it in a view: what is quickly known at once, the report as soon as it is read."""
        with self._lock:
            self._views.append(view)
            if "report" in self._shown:
                view.state(**self._shown)
            self.look()
        live.watch(self, live.LIST_EVERY_S)

    def remove(self, view: View) -> None:
        """Show it no more; what has begun is ended by itself."""
        with self._lock:
            super().remove(view)
            if not self._views:
                self._wanted_rows.clear()

    def look(self) -> None:
        """Read again what has changed: the version, its siblings, and who needs it."""
        with self._lock:
            at = self._now()
            if not self._views or self._is_reading or at == self._at:
                return
            self._at, self._is_reading = at, True
        apart(self._read, self._refuse)

    def state(self) -> dict[str, Any]:
        """Return all that a view shows, read now."""
        with self._lock:
            self._at = self._now()
        present = self._present()
        with self._lock:
            self._shown |= present
            return dict(self._shown)

    def command(self, view: View, content: dict[str, Any]) -> None:
        """Do what a view asks for: ``rows``, a ``preview`` of a model, or ``delete``; none of it is waited for."""
        match content["type"]:
            case "rows":
                with self._lock:
                    self._wanted_rows.append((int(content["first"]), min(int(content["count"]), _MOST_ROWS)))
                    if self._is_fetching:
                        return
                    self._is_fetching = True
                apart(self._fetch, self._refuse)
            case "preview":
                model = str(content["model"])
                with self._lock:
                    if self._shown["busy"]:
                        return
                    self._tell(busy=f"Looking at the rows as {model} will see them…")
                apart(lambda: self._preview(model), self._refuse)
            case "delete":
                with self._lock:
                    if self._shown["busy"]:
                        return
                    self._tell(busy=f"Deleting {self.dataset}…")
                apart(self._delete, self._refuse)

    def _read(self) -> None:
        try:
            # Looked for first: reading the report of a version that is gone would fail for a lesser reason.
            if not self.dataset.path.is_dir():
                self._gone()
            else:
                self._tell(**self._present())
        except Exception:
            # Deleted while it was read, it is gone, and nothing has failed.
            if self.dataset.path.is_dir():
                raise
            self._gone()
        finally:
            self._is_reading = False

    def _present(self) -> dict[str, Any]:
        dataset = self.dataset
        return {
            "dataset": _described(dataset, versions.numbers(dataset.name))
            | {"digest": dataset.digest, "uses": dataset.uses()},
            # Reading the report brings a version of an earlier release to the present layout, once.
            "report": dataset.report.as_json(),
            "cell": _cell(dataset, self._model),
            "models": list(dict.fromkeys([self._model, *index.names(), *CATALOG])),
        }

    def _now(self) -> _At:
        space = workspace.current()
        return stamps(self.dataset.path.parent, self.dataset.path, space.jobs, space.index)

    def _fetch(self) -> None:
        while True:
            with self._lock:
                if not self._wanted_rows:
                    self._is_fetching = False
                    return
                # The latest first: the reader has scrolled on.
                first, count = self._wanted_rows.pop()
            try:
                rows = [plain(row) for row in self.dataset.read(max(0, first), max(0, count))]
            except BaseException:
                self._is_fetching = False
                raise
            self._send({"type": "rows", "first": first, "rows": rows})

    def _preview(self, model: str) -> None:
        found = self.dataset.preview(model).as_json()
        _previews.pop(self.dataset.path, None)
        _previews[self.dataset.path] = found
        for path in list(_previews)[:-8]:
            del _previews[path]
        self._tell(preview=found, busy=None)

    def _delete(self) -> None:
        self.dataset.delete()
        self._gone()

    def _gone(self) -> None:
        # At once: who deletes it and who finds it gone may both come here, and each view is told once.
        with self._lock:
            self._send({"type": "deleted"})
            self._views.clear()

    def _refuse(self, reason: str) -> None:
        self._tell(busy=None)
        self._send({"type": "notice", "text": reason})

    def _tell(self, **values: Any) -> None:
        with self._lock:
            if "report" not in self._shown and "report" in values:
                # What was known before it was not shown yet.
                values, self._shown = self._shown | values, {}
            super()._tell(**values)

    def _send(self, content: dict[str, Any]) -> None:
        with self._lock:
            for view in tuple(self._views):
                view.message(content)


@per_workspace
def dataset_list() -> DatasetList:
    """Return the current workspace's datasets on show."""
    return DatasetList()


def plain(value: Any, depth: int = 0) -> Any:
    """Return a value as a page can show it: JSON, texts cut with an ellipsis, what is not exact there as text."""
    if depth > _SHOWN_DEPTH:
        return "…"
    match value:
        case None | bool():
            return value
        case str():
            # JSON escapes can make halves of characters, which no message can carry.
            text = value.encode("utf-8", "replace").decode("utf-8")
            return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
        case int():
            return value if abs(value) <= _EXACT else str(value)
        case float():
            return value if math.isfinite(value) else str(value)
        case dict():
            return {str(plain(str(key))): plain(item, depth + 1) for key, item in value.items()}
        case list() | tuple():
            return [plain(item, depth + 1) for item in value]
    return plain(str(value))


def apart(work: Callable[[], None], refuse: Callable[[str], None]) -> None:
    """Do work in a thread of its own, and say why where it cannot be done."""

    def run() -> None:
        try:
            work()
        except Error as error:
            refuse(str(error))
        except Exception as error:
            # In a thread nobody else would tell the reader; the log has the whole of it.
            logging.getLogger("tunelab").exception("A view's wish could not be met")
            refuse(f"It failed: {type(error).__name__}: {error}")

    threading.Thread(target=run, name="tunelab-desk", daemon=True).start()


def _described(version: versions.Version, numbers: list[int]) -> dict[str, Any]:
    """Return a version as a list shows it."""
    report = workspace.read_json(version.path / "report.json", {"findings": []})
    return {
        "name": version.name,
        "version": version.version,
        "versions": sorted(numbers, reverse=True),
        "technique": version.technique,
        "rows": version.rows,
        "form": list(version.form),
        "source": version.source,
        "creator": version.creator,
        "created": version.created,
        "warnings": sum(1 for one in report["findings"] if one["severity"] == "warning"),
    }


def _cell(dataset: Dataset, model: str) -> str | None:
    if dataset.technique not in TECHNIQUES:
        return None
    spec: dict[str, Any] = {
        "name": dataset.name,
        "model": model,
        "technique": dataset.technique,
        "dataset": str(dataset),
    }
    body = yaml.safe_dump(spec, sort_keys=False, allow_unicode=True)
    if dataset.technique in REINFORCEMENT:
        body += _reward(dataset, model)
    return "%%customize\n" + body


def _reward(dataset: Dataset, model: str) -> str:
    """Return a reward to begin with, as a line of a spec."""
    if dataset.technique == "rlaif":
        return f"reward: {{prompt: helpful, model: {model}}}  # a reward prompt, and the model that scores by it\n"
    if "ground_truth" not in dataset.form:
        return "reward: reward  # a function of this notebook, def reward(prompt, completion, **row): …, from 0 to 1\n"
    truths = [str(row.get("ground_truth")) for row in dataset.read(count=20)]
    numbers = all(re.search(r"-?\d[\d,.]*\s*$", truth) for truth in truths)
    return f"reward: {'number' if numbers else 'exact'}  # how an answer is held to its ground_truth\n"


__all__ = ["DatasetList", "DatasetPage", "View", "apart", "dataset_list", "plain"]
