"""The Studio in a cell: the extension draws it by its place alone, any other host of widgets by one widget.

All that the Studio opens goes over that widget's comm. The page sends ``{"type": "open", "id": …, "asked": {…}}``,
where `asked` is what the extension asks `tunelab.notebook.comms` for, and for what it has opened
``{"type": "send", "id": …, "content": {…}}`` with a command, and ``{"type": "close", "id": …}``. To it go the messages
of `tunelab.notebook.comms`, each with ``"type": "view"`` and the `id` that the page gave.
"""

from __future__ import annotations

import threading
from typing import Any

import traitlets
from IPython.core.getipython import get_ipython
from IPython.display import display

from tunelab.errors import Error, did_you_mean
from tunelab.notebook.comms import PageView, Shown, shown_for
from tunelab.notebook.widgets import ViewWidget, answer_anywhere, page
from tunelab.registry import links

#: What the JupyterLab extension draws: a place's name is all that it needs.
STUDIO_MIME = "application/vnd.tunelab.studio+json"
#: The lists of the Studio.
PLACES = ("models", "datasets", "jobs", "evaluations", "evaluators")
_SAVED = "tunelab Studio: run the cell to see it."


class StudioWidget(ViewWidget):
    """The Studio for one output of a cell, with whatever its pages have opened."""

    kind = traitlets.Unicode("studio").tag(sync=True)
    #: Where it begins; nothing where the page is to say.
    place = traitlets.Unicode().tag(sync=True)
    mlflow = traitlets.Dict().tag(sync=True)

    def __init__(self, place: str = "") -> None:
        self._opened: dict[str, tuple[Shown, PageView]] = {}
        self._guard = threading.Lock()
        super().__init__(page=page(), place=place, mlflow=links.link(None))
        answer_anywhere(self.comm)
        self.on_msg(self._heard)

    def close(self) -> None:
        """Close the Studio and all that is open in it; jobs go on."""
        for view in tuple(self._opened):
            self._close(view)
        super().close()

    def _heard(self, _: Any, content: dict[str, Any], __: Any) -> None:
        view = str(content["id"])
        match content["type"]:
            case "open":
                self._open(view, content["asked"])
            case "send":
                # A page may ask for something of a view that it has just closed.
                if found := self._opened.get(view):
                    shown, seen = found
                    shown.command(seen, content["content"])
            case "close":
                self._close(view)

    def _open(self, view: str, asked: dict[str, Any]) -> None:
        def post(message: dict[str, Any], buffers: list[bytes] | None = None) -> None:
            self.send({"type": "view", "id": view, **message}, **({"buffers": buffers} if buffers else {}))

        try:
            shown, seen = shown_for(asked), PageView(post)
            with self._guard:
                self._opened[view] = (shown, seen)
            shown.add(seen)
        except Error as error:
            self._close(view)
            post({"method": "refused", "reason": str(error)})

    def _close(self, view: str) -> None:
        with self._guard:
            found = self._opened.pop(view, None)
        if found:
            shown, seen = found
            shown.remove(seen)


def show(place: str | None = None) -> None:
    """Display the Studio in the running cell.

    Raises
    ------
    Error
        If there is no notebook, or no such place.
    """
    if place is not None and place not in PLACES:
        raise Error(f"The Studio has no place '{place}', but {', '.join(PLACES)}.{did_you_mean(place, PLACES)}")
    ipython = get_ipython()
    if ipython is None or getattr(ipython, "kernel", None) is None or ipython.extension_manager is None:
        raise Error(
            "tl.studio() shows the Studio in a notebook, and this Python runs outside of one. "
            "Here tl.models(), tl.datasets() and tl.jobs() list what there is, and tl.customize(…) starts a job."
        )
    # The page's extension asks the kernel for each view; where it is loaded already nothing happens.
    ipython.extension_manager.load_extension("tunelab")
    widget = StudioWidget(place or "")
    bundle: dict[str, Any] = {**(widget._repr_mimebundle_() or ({}, {}))[0], STUDIO_MIME: {"place": place}}
    display({**bundle, "text/html": f"<p>{_SAVED}</p>", "text/plain": _SAVED}, raw=True)
