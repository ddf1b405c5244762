"""The views as anywidgets, for every host of widgets: JupyterLab without the extension, VS Code, a plain page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
import traitlets

from tunelab.jobs.curves import pack
from tunelab.notebook.datasets import DatasetPage
from tunelab.notebook.live import Live

_STATIC = Path(__file__).parents[1] / "static"
#: Longer curves are thinned in a widget's state, which goes into every restore and every saved page.
_POINTS_IN_STATE = 2000

_LOAD = """
export default {
  initialize({ model }) {
    let views;
    const load = () => import(URL.createObjectURL(new Blob([model.get('source')], { type: 'text/javascript' })));
    return { views: () => (views ??= load()) };
  }
};
"""

_RENDER = """
export default {
  async render(context) {
    const page = await context.host.getWidget(context.model.get('page'));
    const { render } = await page.exports.views();
    return render(context);
  }
};
"""


class Page(anywidget.AnyWidget):
    """Carries the views' JavaScript, plotly's too, once for all widgets of a kernel; nothing runs until one shows."""

    _esm = _LOAD
    _css = _STATIC / "widget.css"
    source = traitlets.Unicode().tag(sync=True)


class ViewWidget(anywidget.AnyWidget):
    """What the views have in common: the page that carries their JavaScript, and values that come together."""

    _esm = _RENDER
    page = anywidget.WidgetTrait().tag(sync=True)

    def state(self, **values: Any) -> None:
        """Show these values in place of the earlier ones."""
        with self.hold_sync():
            for name, value in values.items():
                setattr(self, name, value)


class JobWidget(ViewWidget):
    """The live view of one job: its state, progress, charts and log, as the journal grows."""

    kind = traitlets.Unicode("job").tag(sync=True)
    snapshot = traitlets.Dict().tag(sync=True)
    cell = traitlets.Unicode().tag(sync=True)
    mlflow = traitlets.Dict(None, allow_none=True).tag(sync=True)
    picture = traitlets.Unicode(None, allow_none=True).tag(sync=True)
    #: Which rollouts there are; their texts come by message.
    rollouts = traitlets.Dict(None, allow_none=True).tag(sync=True)
    #: An evaluation's summary; its records come by message.
    evaluation = traitlets.Dict(None, allow_none=True).tag(sync=True)
    #: Never set: each time the state is asked for, the curves so far.
    curves = traitlets.Any(None).tag(sync=True, to_json=lambda _, widget: widget._curves())

    def __init__(self, live: Live) -> None:
        self._live = live
        # A page asks for the points as it draws the widget. JupyterLab with the extension never does, and would get
        # each point twice.
        self._is_drawn = False
        super().__init__(page=page(), **live.state())
        answer_anywhere(self.comm)
        self.on_msg(self._heard)
        live.add(self)

    def points(self, index: list[dict[str, Any]], values: bytes) -> None:
        """Show these points, as `tunelab.jobs.curves.pack` writes them, once a page has drawn this widget."""
        if self._is_drawn:
            self.send({"type": "points", "index": index}, buffers=[values])

    def message(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        """Take something that is no state, such as rollouts; a file's bytes as a buffer."""
        self.send(content, **({"buffers": buffers} if buffers else {}))

    def notice(self, text: str) -> None:
        """Say why something that this view asked for could not be done."""
        self.message({"type": "notice", "text": text})

    def close(self) -> None:
        """Close every view of this widget; the job goes on."""
        self._live.remove(self)
        super().close()

    def _heard(self, _: Any, content: dict[str, Any], __: Any) -> None:
        self._is_drawn |= content["type"] == "points"
        self._live.command(self, content)

    def _curves(self) -> dict[str, Any]:
        curves = self._live.curves
        thinned = {name: curve.thinned(_POINTS_IN_STATE) for name, curve in tuple(curves.items())}
        index, values = pack(thinned)
        whole = all(len(curve) <= _POINTS_IN_STATE for curve in curves.values())
        return {"index": index, "values": values, "whole": whole}


class DatasetWidget(ViewWidget):
    """The view of one version of a dataset: its report, its rows, and a preview as a model will see them."""

    kind = traitlets.Unicode("dataset").tag(sync=True)
    dataset = traitlets.Dict().tag(sync=True)
    report = traitlets.Dict().tag(sync=True)
    cell = traitlets.Unicode(None, allow_none=True).tag(sync=True)
    models: traitlets.List[str] = traitlets.List().tag(sync=True)
    preview = traitlets.Dict(None, allow_none=True).tag(sync=True)
    busy = traitlets.Unicode(None, allow_none=True).tag(sync=True)

    def __init__(self, shown: DatasetPage) -> None:
        self._shown = shown
        super().__init__(page=page(), **shown.state())
        answer_anywhere(self.comm)
        self.on_msg(lambda _, content, __: shown.command(self, content))
        shown.add(self)

    def message(self, content: dict[str, Any]) -> None:
        """Take something that is no state, such as rows."""
        self.send(content)

    def notice(self, text: str) -> None:
        """Say why something that this view asked for could not be done."""
        self.message({"type": "notice", "text": text})

    def close(self) -> None:
        """Close every view of this widget; the dataset stays."""
        self._shown.remove(self)
        super().close()


_pages: list[Page] = []


def page() -> Page:
    """Return the kernel's carrier of JavaScript, made on first use."""
    if not _pages or _pages[-1].comm is None:
        _pages.append(Page(source=(_STATIC / "widget.js").read_text(encoding="utf-8")))
        answer_anywhere(_pages[-1].comm)
    return _pages[-1]


def answer_anywhere(comm: Any) -> None:
    """Let a page's messages be handled where the page sent them, on its subshell.

    ipykernel 7.4 hands them to the shell that wrote to this comm last (its `BaseComm._reply_subshell_for`). A thread's
    writes count as the main shell's, so a click would wait for the cell that runs.
    """
    comm._reply_subshell_for = None
