"""The Studio in a cell: all views over one widget's comm, and what is shown where nothing can draw."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_curves import unpack
from test_live import SLEEP, Client, until, written
from test_live import kernel as kernel

import tunelab as tl
from tunelab.notebook.joblist import job_list
from tunelab.notebook.live import live
from tunelab.notebook.studio import STUDIO_MIME, StudioWidget

WIDGET = "application/vnd.jupyter.widget-view+json"


class Page:
    """A page with a Studio: what it sends reaches the widget, and what the widget sends it keeps, by view."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, place: str = "") -> None:
        self.widget = StudioWidget(place)
        self.heard: list[tuple[dict[str, Any], list[bytes]]] = []
        monkeypatch.setattr(self.widget, "send", self._take)

    def _take(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        assert content["type"] == "view"
        self.heard.append((content, buffers or []))

    def say(self, **content: Any) -> None:
        # As ipywidgets does with a custom message of a page's.
        self.widget._handle_custom_msg(content, [])

    def open(self, name: str, **asked: Any) -> None:
        self.say(type="open", id=name, asked=asked)

    def state(self, view: str) -> dict[str, Any]:
        """All that a view has been told so far."""
        told: dict[str, Any] = {}
        for content, _ in tuple(self.heard):
            if content["id"] == view and content["method"] == "state":
                told |= content["state"]
            elif content["id"] == view and content["method"] == "rows":
                rows = {row["id"]: row for row in [*told[content["name"]], *content["rows"]]}
                told[content["name"]] = [rows[name] for name in content["order"] or rows]
        return told

    def messages(self, view: str) -> list[dict[str, Any]]:
        return [each["content"] for each, _ in tuple(self.heard) if (each["id"], each["method"]) == (view, "message")]

    def points(self, view: str, name: str) -> list[tuple[int, float]]:
        """A curve as a view has been told it."""
        curve: list[tuple[int, float]] = []
        for content, buffers in tuple(self.heard):
            if content["id"] == view and content["method"] == "message" and content["content"]["type"] == "points":
                for key, (at, points) in unpack(content["content"]["index"], buffers[0]).items():
                    curve = curve[:at] + points if key == name else curve
        return curve

    def refusals(self) -> list[tuple[str, str]]:
        return [(each["id"], each["reason"]) for each, _ in self.heard if each["method"] == "refused"]


@pytest.fixture
def page(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    shown = Page(monkeypatch)
    yield shown
    shown.widget.close()


def test_two_views_hear_what_is_theirs(page: Page) -> None:
    folder, journal = written()
    journal.append("metric", step=1, values={"loss": 0.75})
    page.open("list", view="jobs")
    page.open("one", view="job", job=folder.id)
    assert [row["id"] for row in page.state("list")["jobs"]] == [folder.id]
    assert page.state("one")["snapshot"]["id"] == folder.id
    assert "snapshot" not in page.state("list")
    assert page.points("one", "loss") == [(1, 0.75)]
    journal.append("metric", step=2, values={"loss": 0.5})
    until(lambda: page.points("one", "loss") == [(1, 0.75), (2, 0.5)])
    assert page.messages("list") == []


def test_a_command_reaches_its_view_and_the_answer_comes_back(page: Page) -> None:
    folder, _ = written(state="queued")
    page.open("list", view="jobs")
    page.say(type="send", id="list", content={"type": "pause", "job": "sft-nobody-0000"})
    assert page.messages("list")[-1]["type"] == "notice"
    assert "sft-nobody-0000" in page.messages("list")[-1]["text"]
    page.say(type="send", id="list", content={"type": "pause", "job": folder.id})
    until(lambda: page.state("list")["jobs"][0]["pausing"] or page.state("list")["jobs"][0]["state"] == "paused")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"view": "job", "job": "dpo-nobody-0000"}, "dpo-nobody-0000"),
        ({"view": "dataset", "dataset": "none@3"}, "none"),
    ],
)
def test_what_is_not_there_is_refused_and_others_stay(page: Page, asked: dict[str, Any], said: str) -> None:
    page.open("list", view="jobs")
    page.open("odd", **asked)
    [(view, reason)] = page.refusals()
    assert view == "odd"
    assert said in reason
    page.say(type="send", id="odd", content={"type": "points"})
    folder, _ = written()
    until(lambda: [row["id"] for row in page.state("list")["jobs"]] == [folder.id])


def test_a_closed_view_hears_no_more(page: Page) -> None:
    folder, journal = written()
    page.open("stays", view="job", job=folder.id)
    page.open("leaves", view="job", job=folder.id)
    page.say(type="close", id="leaves")
    page.say(type="close", id="leaves")
    journal.append("metric", step=1, values={"loss": 0.75})
    until(lambda: page.points("stays", "loss") == [(1, 0.75)])
    assert page.points("leaves", "loss") == []
    page.say(type="send", id="leaves", content={"type": "points"})
    assert page.points("leaves", "loss") == []


def test_two_widgets_are_apart_and_closing_one_lets_its_views_go(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, journal = written()
    other = Page(monkeypatch, "models")
    assert (page.widget.place, other.widget.place) == ("", "models")
    page.open("same", view="job", job=folder.id)
    other.open("same", view="job", job=folder.id)
    other.open("list", view="jobs")
    views = len(job_list()._views)
    other.widget.close()
    assert len(job_list()._views) == views - 1
    journal.append("metric", step=1, values={"loss": 0.75})
    until(lambda: page.points("same", "loss") == [(1, 0.75)])
    assert other.points("same", "loss") == []
    assert live(folder.id).state()["snapshot"]["id"] == folder.id


def test_a_cell_shows_it_and_its_pages_answer_while_another_runs(kernel: Client) -> None:
    folder, _ = written()
    kernel.run("import tunelab as tl\ntl.studio('models')")
    model, shown = "", {}
    while not shown:
        message = kernel.client.get_iopub_msg(timeout=60)
        content = message["content"]
        if message["msg_type"] == "comm_open" and content["data"].get("state", {}).get("kind") == "studio":
            model = content["comm_id"]
        if message["msg_type"] == "display_data":
            shown = content["data"]
    assert shown[STUDIO_MIME] == {"place": "models"}
    assert shown[WIDGET]["model_id"] == model
    assert "run the cell to see it" in shown["text/html"]
    assert "run the cell to see it" in shown["text/plain"]

    def say(**content: Any) -> None:
        kernel.comm("comm_msg", model, {"method": "custom", "content": content})

    def heard(view: str, method: str) -> dict[str, Any]:
        data = kernel.hear(model, lambda data: (data["content"]["id"], data["content"]["method"]) == (view, method))
        return dict(data["content"])

    kernel.start(SLEEP)
    say(type="open", id="a", asked={"view": "job", "job": folder.id})
    say(type="open", id="b", asked={"view": "job", "job": "nobody"})
    assert heard("a", "state")["state"]["snapshot"]["id"] == folder.id
    assert "There is no job 'nobody'" in heard("b", "refused")["reason"]
    say(type="send", id="a", content={"type": "cancel"})
    until(folder.cancel_request.exists)
    # The extension needs no widget for it, and is answered without `%load_ext`.
    kernel.comm("comm_open", "hello", {"view": "hello"})
    assert "mlflow" in kernel.hear("hello", lambda data: True)["state"]


def test_a_place_that_is_none_is_refused(workspace: Path) -> None:
    with pytest.raises(tl.Error, match=r"no place 'model', but models, datasets, .*Did you mean 'models'\?"):
        tl.studio("model")


def test_outside_of_a_notebook_it_says_so(workspace: Path) -> None:
    done = subprocess.run([sys.executable, "-c", "import tunelab as tl; tl.studio()"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "tl.studio() shows the Studio in a notebook" in done.stderr.splitlines()[-1]
