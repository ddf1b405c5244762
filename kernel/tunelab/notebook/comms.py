"""The kernel's end of the JupyterLab extension: one comm a view, opened by the page, on a subshell while cells run.

The extension draws with its own copy of the views, so only data goes over the wire. To the page go
``{"method": "state", "state": {…}}``, of a long list ``{"method": "rows", …}``, and ``{"method": "message", "content":
{…}}``; from it come the commands that the ``command`` of each thing on show takes. What cannot be shown is answered
with ``{"method": "refused", "reason": …}``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Protocol

from tunelab import workspace
from tunelab.errors import Error
from tunelab.notebook.activity import activity
from tunelab.notebook.comparison import ComparisonPage
from tunelab.notebook.createform import CreateForm
from tunelab.notebook.customizeform import CustomizeForm
from tunelab.notebook.datasets import DatasetPage, dataset_list
from tunelab.notebook.evaluateform import EvaluateForm
from tunelab.notebook.functions import function_list
from tunelab.notebook.joblist import job_list
from tunelab.notebook.lineage import LineagePage
from tunelab.notebook.live import live
from tunelab.notebook.metrics import metric_list
from tunelab.notebook.modelpages import BasePage, ModelPage
from tunelab.notebook.models import model_list
from tunelab.notebook.prompts import prompt_list
from tunelab.notebook.replay import ReplayPage
from tunelab.notebook.widgets import answer_anywhere
from tunelab.registry import links

TARGET = "tunelab"
#: Raised with every change that an older page or kernel would not understand.
PROTOCOL = 7


class Shown(Protocol):
    """What a view may show: a list, a page, a form."""

    def add(self, view: Any) -> None:
        """Show it in one more view, from now on."""

    def remove(self, view: Any) -> None:
        """Show it in this view no more."""

    def command(self, view: Any, content: dict[str, Any]) -> None:
        """Do what a view asks for."""


class PageView:
    """A view in a page, to which messages go by `post`."""

    def __init__(self, post: Callable[..., None]) -> None:
        self._post = post

    def state(self, **values: Any) -> None:
        """Show these values in place of the earlier ones."""
        self._post({"method": "state", "state": values})

    def rows(self, name: str, changed: list[dict[str, Any]], order: list[str] | None) -> None:
        """Show these rows of a list in place of those of the same id; `order` is of all ids, where it changed."""
        self._post({"method": "rows", "name": name, "rows": changed, "order": order})

    def points(self, index: list[dict[str, Any]], values: bytes) -> None:
        """Show these points, as `tunelab.jobs.curves.pack` writes them."""
        self.message({"type": "points", "index": index}, [values])

    def message(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        """Take something that is no state, such as rows; a file's bytes as a buffer."""
        self._post({"method": "message", "content": content}, buffers=buffers)

    def notice(self, text: str) -> None:
        """Say why something that this view asked for could not be done."""
        self.message({"type": "notice", "text": text})


class CommView(PageView):
    """A view in JupyterLab, at the other end of a comm of its own."""

    def __init__(self, comm: Any, shown: Shown) -> None:
        super().__init__(comm.send)
        self.comm = comm
        self.shown = shown
        comm.on_close(lambda _: shown.remove(self))
        comm.on_msg(lambda message: shown.command(self, message["content"]["data"]))


def install(ipython: Any) -> None:
    """Answer the extension's comms, in a kernel; a terminal's shell has none."""
    if kernel := getattr(ipython, "kernel", None):
        kernel.comm_manager.register_target(TARGET, _opened)


def remove(ipython: Any) -> None:
    """Answer no more."""
    if kernel := getattr(ipython, "kernel", None):
        kernel.comm_manager.unregister_target(TARGET, _opened)


def _opened(comm: Any, message: dict[str, Any]) -> None:
    answer_anywhere(comm)
    asked = message["content"]["data"]
    try:
        if asked["view"] == "hello":
            comm.send({"method": "state", "state": _hello()})
            return
        shown = shown_for(asked)
        shown.add(CommView(comm, shown))
    except Error as error:
        comm.send({"method": "refused", "reason": str(error)})


def shown_for(asked: dict[str, Any]) -> Shown:
    """Return what a view of the page is to show.

    Raises
    ------
    Error
        If there is no such thing.
    """
    match asked["view"]:
        case "activity":
            return activity()
        case "jobs":
            return job_list()
        case "datasets":
            return dataset_list()
        case "dataset":
            return DatasetPage(asked["dataset"], asked.get("model"))
        case "create":
            return CreateForm(asked.get("source"))
        case "customize":
            return CustomizeForm(asked.get("spec"), asked.get("cell"), asked.get("job"))
        case "evaluate":
            return EvaluateForm(asked.get("spec"), asked.get("cell"), asked.get("job"))
        case "metrics":
            return metric_list()
        case "prompts":
            return prompt_list()
        case "functions":
            return function_list()
        case "lineage":
            return LineagePage(str(asked["of"]))
        case "models":
            return model_list()
        case "replay":
            return ReplayPage(asked["job"])
        case "compare":
            return ComparisonPage(asked["jobs"])
        case "model":
            return ModelPage(asked["model"])
        case "base":
            return BasePage(asked["model"])
    return live(asked["job"])


def _hello() -> dict[str, Any]:
    return {
        "version": version("tunelab"),
        "protocol": PROTOCOL,
        "workspace": str(workspace.current().root),
        "mlflow": links.link(None),
    }
