"""The views for everyone: no serious fault in axe-core, light and dark, and all that a mouse can do by keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lab import PATIENCE_MS, Desk, Lab, chart, points, until
from playwright.sync_api import Locator, Page, expect

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"


def faults(page: Page, root: str) -> list[dict[str, Any]]:
    """Return axe-core's serious and critical findings below an element."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("root => axe.run(root)", root)
    assert found["passes"], "axe-core looked at nothing"
    return [
        {"rule": each["id"], "where": [node["html"][:200] for node in each["nodes"]]}
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_axe_finds_no_serious_fault(theme: str, desk: Desk, lab: Lab, page: Page, running: str) -> None:
    lab.write("axe.ipynb", ["%load_ext tunelab\nimport tunelab as tl", f"tl.job({running!r})"])
    desk.open("axe.ipynb")
    desk.theme(theme)
    desk.run(0)
    desk.run(1)
    view = desk.job(1)
    until(lambda: view.is_visible() and points(view) > 1)
    view.get_by_role("button", name="Points of Loss as a table").click()
    panel = desk.panel()
    row = panel.get_by_role("button", name=f"Open job {running}")
    expect(row).to_be_visible(timeout=PATIENCE_MS)
    assert faults(page, ".jp-Notebook .tunelab") == []
    assert faults(page, ".tunelab-panel") == []
    row.click()
    expect(panel.get_by_role("region", name=f"Job {running}")).to_be_visible()
    assert faults(page, ".tunelab-panel") == []
    desk.theme("Light")


def test_all_is_done_by_keyboard(desk: Desk, lab: Lab, page: Page, running: str) -> None:
    lab.write("keys.ipynb", ["%load_ext tunelab", "1 + 1"])
    desk.open("keys.ipynb")
    desk.run(0)
    panel = desk.panel()
    panel.get_by_role("button", name=f"Open job {running}").wait_for(timeout=PATIENCE_MS)
    panel.get_by_role("searchbox", name="Filter the jobs").focus()
    page.keyboard.type("endless")
    reach(page, panel.get_by_role("button", name=f"Open job {running}"))
    page.keyboard.press("Enter")
    view = panel.get_by_role("region", name=f"Job {running}")
    until(lambda: view.is_visible() and points(view) > 20)
    expect(panel.get_by_role("button", name="All jobs")).to_be_focused()
    for name in ("Copy as cell", "Open as tab", "Open in MLflow", "Cancel"):
        reach(page, view.get_by_role("button", name=name))
    reach(page, view.get_by_role("slider", name="Smoothing"))
    page.keyboard.press("ArrowRight")
    expect(view.get_by_role("slider", name="Smoothing")).to_have_value("0.02")
    reach(page, view.get_by_role("checkbox", name="Log axis"))
    page.keyboard.press("Space")
    expect(view.get_by_role("checkbox", name="Log axis")).to_be_checked()
    reach(page, view.get_by_role("combobox", name="Add a chart"))
    reach(page, view.get_by_role("button", name="Points of Reward margin as a table"))
    page.keyboard.press("Enter")
    expect(view.get_by_role("table", name="Points of Reward margin")).to_be_visible()
    reach(page, chart(view, "rewards/margins"))
    page.keyboard.press("+")
    everything = view.get_by_role("button", name="Show all of Reward margin")
    expect(everything).to_be_visible()
    window = chart(view, "rewards/margins").evaluate("node => node.layout.xaxis.range[0]")
    page.keyboard.press("ArrowLeft")
    until(lambda: chart(view, "rewards/margins").evaluate("node => node.layout.xaxis.range[0]") < window)
    page.keyboard.press("0")
    expect(everything).to_have_count(0)


def reach(page: Page, wanted: Locator) -> None:
    """Press Tab until an element has the focus, and see that it shows."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if wanted.evaluate("node => node === document.activeElement"):
            ring = wanted.evaluate("node => getComputedStyle(node).outlineStyle + getComputedStyle(node).boxShadow")
            assert ring != "nonenone", "the focus shows"
            return
    raise AssertionError(f"Tab does not reach {wanted}")
