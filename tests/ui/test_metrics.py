"""Metrics in JupyterLab: from a form that is refused to a version in MLflow, as a cell, as a file, and back."""

from __future__ import annotations

import json

import pytest
from lab import PATIENCE_MS, Desk, Lab
from playwright.sync_api import Locator, Page, expect
from test_access import faults

NARROW_PX = 250


def place(desk: Desk) -> Locator:
    """Return the panel with the metrics on show."""
    panel = desk.panel()
    panel.get_by_role("tab", name="Evaluators").click()
    expect(panel.get_by_role("button", name="correctness@1")).to_be_visible(timeout=PATIENCE_MS)
    return panel


def test_a_metric_is_written_refused_mended_kept_saved_and_imported(desk: Desk, lab: Lab, page: Page) -> None:
    desk.open()
    panel = place(desk)
    panel.get_by_role("button", name="New metric").click()
    name = panel.get_by_role("textbox", name="Name")
    expect(name).to_be_focused()
    page.keyboard.type("warm_ui")
    instructions = panel.get_by_role("textbox", name="Instructions")
    instructions.fill("Is this warm? ")
    for number, word in enumerate(("cold", "mild", "warm"), 1):
        panel.get_by_role("textbox", name=f"Definition of rating {number}").fill(word)
    panel.get_by_role("button", name="Create metric").click()
    expect(panel.get_by_role("alert")).to_contain_text("they have no {{prediction}}", timeout=PATIENCE_MS)
    expect(instructions).to_have_attribute("aria-invalid", "true")
    expect(name).to_have_value("warm_ui")

    instructions.press("End")
    panel.get_by_role("button", name="Insert {{prediction}}").click()
    expect(instructions).to_have_value("Is this warm? {{prediction}}")
    expect(instructions).to_be_focused()
    panel.get_by_role("button", name="Create metric").click()
    card = panel.get_by_role("region", name="Metric warm_ui@1")
    expect(card).to_be_visible(timeout=PATIENCE_MS)
    expect(card.locator("mark")).to_have_text(["{{prediction}}"])
    told = "import tunelab as tl; m = tl.Metric.get('warm_ui'); print(m.version, m.definition.scale)"
    assert lab.python(told) == "1 {'cold': 1.0, 'mild': 2.0, 'warm': 3.0}"

    with page.expect_download() as saving:
        card.get_by_role("button", name="Save as JSON").click()
    assert saving.value.suggested_filename == "warm_ui.json"
    saved = json.loads(saving.value.path().read_text(encoding="utf-8"))
    assert saved["customMetricDefinition"]["ratingScale"][2] == {"definition": "warm", "value": {"floatValue": 3.0}}

    panel.get_by_role("button", name="‹ All evaluators").click()
    saved["customMetricDefinition"] |= {"name": "warm_again", "instructions": "<img src=x> {{prediction}}"}
    file = {"name": "again.json", "mimeType": "application/json", "buffer": json.dumps(saved).encode()}
    panel.locator("input[type=file]").set_input_files([file])  # type: ignore[list-item]
    again = panel.get_by_role("region", name="Metric warm_again@1")
    expect(again.get_by_text("<img src=x>")).to_be_visible(timeout=PATIENCE_MS)
    assert again.locator("img").count() == 0


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_list_page_and_form_have_no_serious_fault_and_fit_a_narrow_panel(theme: str, desk: Desk, page: Page) -> None:
    desk.open()
    desk.theme(theme)
    panel = place(desk)
    panel.evaluate("(node, width) => { node.style.maxWidth = node.style.minWidth = `${width}px`; }", NARROW_PX)

    def fits() -> None:
        assert faults(page, "#tunelab-panel") == []
        body = panel.get_by_role("tabpanel")
        assert body.evaluate("body => body.scrollWidth - body.clientWidth") <= 0

    fits()
    panel.get_by_role("searchbox", name="Filter the metrics").fill("faithful")
    panel.get_by_role("button", name="faithfulness@1").press("Enter")
    card = panel.get_by_role("region", name="Metric faithfulness@1")
    expect(card.get_by_role("table", name="Scale")).to_be_visible(timeout=PATIENCE_MS)
    fits()
    card.get_by_role("button", name="New metric from it").press("Enter")
    expect(panel.get_by_role("form", name="New metric")).to_be_visible()
    fits()
    panel.get_by_role("button", name="Create metric").press("Enter")
    expect(panel.get_by_role("alert")).to_contain_text("a metric's name has letters", timeout=PATIENCE_MS)
    fits()
