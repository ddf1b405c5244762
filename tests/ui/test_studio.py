"""The whole path of the Studio, from a file to a model that is continued, no notebook open: by mouse, by keyboard."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from lab import PATIENCE_MS, Desk, Lab, points, until
from playwright.sync_api import Locator, Page, expect
from test_access import faults

pytestmark = pytest.mark.usefixtures("own_jobs")

LONG = 3 * PATIENCE_MS
HAS_FOCUS = "panel => panel.contains(document.activeElement)"
METRIC = {
    "customMetricDefinition": {
        "name": "short_ui",
        "instructions": "Is the answer short? {{prediction}}",
        "ratingScale": [
            {"definition": "long", "value": {"floatValue": 0}},
            {"definition": "short", "value": {"floatValue": 1}},
        ],
    }
}


@pytest.fixture
def rows(lab: Lab) -> None:
    """Questions for an evaluation, and answers to learn, beside the pairs."""
    samples = Path(__file__).parents[2] / "notebooks" / "data"
    answers = (samples / "reminders.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (lab.root / "answers.jsonl").write_text("".join(answers[:24]), encoding="utf-8")
    questions = [json.dumps({"query": f"How are you on day {n}?", "response": "Well."}) for n in range(6)]
    (lab.root / "asked.jsonl").write_text("\n".join(questions), encoding="utf-8")


class Mouse:
    """Does what a step says by pointing."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def press(self, wanted: Locator) -> None:
        wanted.click(timeout=PATIENCE_MS)

    def choose(self, chooser: Locator, file: str) -> None:
        """Choose a file in JupyterLab's dialog for it."""
        chooser.get_by_text(file, exact=True).click(timeout=PATIENCE_MS)
        chooser.get_by_role("button", name="Select").click()


class Keys(Mouse):
    """Does it by the keyboard alone: the focus goes there by Tab, and Enter or Space does it."""

    def press(self, wanted: Locator) -> None:
        wanted.wait_for(timeout=PATIENCE_MS)
        role = wanted.evaluate("node => node.type === 'radio' || node.type === 'checkbox' ? 'Space' : 'Enter'")
        reach(self.page, wanted)
        self.page.keyboard.press(role)

    def choose(self, chooser: Locator, file: str) -> None:
        """The dialog begins at its button: the files are before it, and are gone through by arrows."""
        chooser.get_by_text(file, exact=True).wait_for(timeout=PATIENCE_MS)
        files = chooser.locator(".jp-DirListing-content")
        chosen = files.locator(f".jp-mod-selected[title^='Name: {file}']")
        for _ in range(60):
            if chosen.count() == 1:
                break
            # The dialog takes the focus back whenever it reads the folder again.
            is_there = files.evaluate("list => list.contains(document.activeElement)")
            self.page.keyboard.press("ArrowDown" if is_there else "Shift+Tab")
        button = chooser.get_by_role("button", name="Select")
        press_until(self.page, "Tab", lambda: button.evaluate("node => node === document.activeElement"))
        self.page.keyboard.press("Enter")


def press_until(page: Page, key: str, is_there: Callable[[], bool]) -> None:
    """Press a key until something holds, at most as often as there are things to pass by."""
    for _ in range(40):
        if is_there():
            return
        page.keyboard.press(key)
    raise AssertionError(f"{key} does not lead there")


def reach(page: Page, wanted: Locator) -> None:
    """Press Tab until an element has the focus; a tab list and radios are gone through by arrows."""
    for key in ["Tab"] * 120:
        if wanted.evaluate("node => node === document.activeElement"):
            return
        roving = wanted.evaluate(
            "node => { const at = document.activeElement;"
            " const list = at?.closest('[role=tablist], .tunelab-techniques');"
            " return list !== null && list !== undefined && list.contains(node) && node !== at; }"
        )
        page.keyboard.press("ArrowRight" if roving else key)
    raise AssertionError(f"the keyboard does not reach {wanted}")


@pytest.mark.parametrize("way", ["mouse", "keyboard"])
def test_the_whole_path_without_code(way: str, desk: Desk, lab: Lab, page: Page, rows: None) -> None:
    name = f"studio-{way}"
    desk.open()
    panel = desk.panel()
    hand = Mouse(page) if way == "mouse" else Keys(page)
    press = hand.press

    def tab(place: str) -> None:
        if way == "keyboard":
            panel.get_by_role("tab").first.wait_for(timeout=PATIENCE_MS)
            # From wherever one is, as its shortcut or the palette does.
            # A tab that opens meanwhile takes the focus once more.
            until(lambda: desk.command("tunelab:open-panel") or panel.evaluate(HAS_FOCUS))
        press(panel.get_by_role("tab", name=re.compile(f"^{place}")))

    # Datasets from files.
    for file, dataset in (("pairs.jsonl", "pairs"), ("asked.jsonl", "asked"), ("answers.jsonl", "answers")):
        tab("Datasets")
        if panel.get_by_role("button", name=f"{dataset}@1").count() == 0:
            create(desk, page, hand, file)
            page.get_by_role("main").get_by_role("region", name=f"Dataset {dataset}@1").wait_for(timeout=PATIENCE_MS)

    # The base model, and DPO on it.
    tab("Models")
    panel.get_by_role("searchbox").first.fill("tiny")
    press(panel.get_by_role("button", name=re.compile("^tiny|tiny")).first)
    base = panel.get_by_role("region", name=re.compile("^Base model .*tiny"))
    expect(base).to_be_visible(timeout=PATIENCE_MS)
    press(base.get_by_role("button", name="Customize…"))
    form = panel.get_by_role("form", name="Customize")
    expect(form).to_be_visible(timeout=PATIENCE_MS)
    press(form.get_by_role("radio", name=re.compile("DPO")))
    form.get_by_label("Name", exact=True).fill(name)
    form.get_by_label("Dataset", exact=True).fill("pairs@1")
    settle(press, form, max_steps="12", logging_steps="1")
    expect(form.get_by_text("12 steps")).to_be_visible(timeout=PATIENCE_MS)
    assert faults(page, "#tunelab-panel") == []
    press(form.get_by_role("button", name="Customize"))
    view = panel.get_by_role("region", name=re.compile(f"^Job {name}"))
    expect(view).to_have_attribute("data-state", "completed", timeout=LONG)
    until(lambda: points(view, "rewards/margins") >= 12)
    press(view.get_by_role("button", name="Open in MLflow"))
    expect(page.get_by_role("tab", name=re.compile("^MLflow"))).to_be_visible(timeout=LONG)

    # A metric of one's own, and an evaluation by it.
    tab("Evaluators")
    file = {"name": "short.json", "mimeType": "application/json", "buffer": json.dumps(METRIC).encode()}
    panel.locator("input[type=file]").first.set_input_files([file])  # type: ignore[list-item]
    expect(panel.get_by_role("region", name="Metric short_ui@1")).to_be_visible(timeout=PATIENCE_MS)
    tab("Models")
    # Enter on the place that is on show gives its list already.
    if (way_back := panel.get_by_role("button", name=re.compile("^‹"))).count():
        press(way_back.first)
    panel.get_by_role("searchbox").first.fill(name)
    press(panel.get_by_role("button", name=re.compile(name)).first)
    model = panel.get_by_role("region", name=f"Model {name}@1")
    expect(model).to_be_visible(timeout=PATIENCE_MS)
    press(model.get_by_role("button", name="Evaluate…").first)
    form = panel.get_by_role("form", name="Evaluate")
    expect(form).to_be_visible(timeout=PATIENCE_MS)
    form.get_by_label("Dataset", exact=True).fill("asked@1")
    form.get_by_label("Model", exact=True).fill("./tiny")
    press(form.get_by_role("checkbox", name=re.compile("short_ui")))
    expect(form.get_by_text("6 questions")).to_be_visible(timeout=PATIENCE_MS)
    assert faults(page, "#tunelab-panel") == []
    press(form.get_by_role("button", name="Evaluate"))
    judged = panel.get_by_role("region", name=re.compile("^Job "))
    expect(judged).to_have_attribute("data-state", "completed", timeout=LONG)
    expect(judged.get_by_role("group", name="Outcomes")).to_be_visible(timeout=PATIENCE_MS)

    # Where it came from, and on with SFT.
    press(panel.get_by_role("button", name=re.compile("^‹")).first)
    model = panel.get_by_role("region", name=f"Model {name}@1")
    expect(model).to_be_visible(timeout=PATIENCE_MS)
    lineage = model.get_by_role("region", name=f"Lineage of {name}@1")
    if lineage.count() == 0:
        press(model.get_by_text("Lineage", exact=True))
    press(lineage.get_by_role("button", name=re.compile("^Dataset pairs@1")))
    press(lineage.get_by_role("button", name="Open pairs@1"))
    expect(panel.get_by_role("region", name="Dataset pairs@1")).to_be_visible(timeout=PATIENCE_MS)
    press(panel.get_by_role("button", name=re.compile("^‹")).first)
    press(model.get_by_role("button", name="Continue…").first)
    form = panel.get_by_role("form", name="Customize")
    press(form.get_by_role("radio", name=re.compile("SFT")))
    form.get_by_label("Name", exact=True).fill(f"{name}-on")
    form.get_by_label("Dataset", exact=True).fill("answers@1")
    settle(press, form, max_steps="2")
    expect(form.get_by_text("2 steps")).to_be_visible(timeout=PATIENCE_MS)
    press(form.get_by_role("button", name="Customize"))
    view = panel.get_by_role("region", name=re.compile(f"^Job {name}-on"))
    expect(view).to_have_attribute("data-state", "completed", timeout=LONG)
    assert lab.python(f"import tunelab as tl; print(tl.model('{name}-on').parent)") == f"{name}@1"


def settle(press: object, form: Locator, **settings: str) -> None:
    """Unfold what is seldom needed, and set some of it."""
    search = form.get_by_role("searchbox", name="Find a setting")
    if not search.is_visible():
        press(form.locator("summary", has_text="Advanced"))  # type: ignore[operator]
    for name, value in settings.items():
        search.fill(name)
        form.get_by_label(name, exact=True).fill(value)


def create(desk: Desk, page: Page, hand: Mouse, file: str) -> None:
    """Make a dataset from a file of the server's folder."""
    desk.command("tunelab:create-dataset")
    hand.choose(page.get_by_role("dialog").last, file)
    form = page.get_by_role("dialog", name="Create dataset")
    if file == "asked.jsonl":
        form.get_by_role("combobox", name="Technique").select_option("evaluation", timeout=PATIENCE_MS)
    button = form.get_by_role("button", name="Create dataset")
    expect(button).to_be_enabled(timeout=PATIENCE_MS)
    hand.press(button)
    form.wait_for(state="hidden", timeout=PATIENCE_MS)
