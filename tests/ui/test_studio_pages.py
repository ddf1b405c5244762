"""Every page of the Studio for everyone: no serious fault in axe-core, 250 pixels wide, and hostile texts only show."""

from __future__ import annotations

import re

import pytest
from lab import PATIENCE_MS, Desk, Lab
from playwright.sync_api import Locator, Page, expect
from test_access import faults

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> **bold** \x1b[31mred"
NARROW_PX = 250

#: What a workspace of this module has besides the job that has ended: one of each place, with hostile texts.
MADE = f"""
import tunelab as tl
text = {HOSTILE!r}
rows = [dict(query=text + str(n), response=text) for n in range(4)]
tl.Dataset.create("hostile-eval", rows, technique="evaluation")
tl.Dataset.create("hostile", [dict(prompt=text + str(n), completion=text) for n in range(4)], technique="sft")
tl.Metric.create("hostile_metric", text + " {{{{prediction}}}}", ["bad", "good"])
tl.RewardPrompt.create("hostile_prompt", text + " {{{{prompt}}}} {{{{completion}}}}")
tl.evaluate(
    name="hostile-job", models=["./tiny", "done"], dataset="hostile-eval", scorer="exact",
    generation=dict(max_new_tokens=4), compute=dict(threads=1),
).wait()
"""


@pytest.fixture(scope="module")
def full(lab: Lab, done: str) -> str:
    """The id of a job that has ended, in a workspace with something in each place."""
    lab.python(MADE)
    return done


def narrow(panel: Locator) -> None:
    panel.evaluate("(node, width) => { node.style.maxWidth = node.style.minWidth = `${width}px`; }", NARROW_PX)


@pytest.mark.parametrize("theme", ["Light", "Dark", "Dark High Contrast"])
def test_each_page_has_no_serious_fault_and_fits_a_narrow_panel(
    theme: str, desk: Desk, lab: Lab, page: Page, full: str
) -> None:
    desk.open()
    desk.theme(theme)
    panel = desk.panel()
    narrow(panel)
    body = panel.get_by_role("tabpanel")
    bad: list[str] = []

    def look(name: str, wanted: Locator) -> None:
        expect(wanted.first).to_be_visible(timeout=PATIENCE_MS)
        bad.extend(f"{name}: {fault}" for fault in faults(page, "#tunelab-panel"))
        over = body.evaluate("body => body.scrollWidth - body.clientWidth")
        bad.extend([f"{name}: {over} pixels too wide"] if over > 0 else [])

    def place(name: str) -> None:
        panel.get_by_role("tab", name=re.compile(f"^{name}")).click(timeout=PATIENCE_MS)

    def back() -> None:
        panel.get_by_role("button", name=re.compile("^‹")).first.click()

    place("Models")
    look("models", panel.get_by_role("button", name=re.compile("done")))
    panel.get_by_role("button", name=re.compile("done")).first.click()
    model = panel.get_by_role("region", name="Model done@1")
    look("a model", model)
    model.get_by_text("Lineage", exact=True).first.click()
    look("lineage", model.get_by_role("button", name=re.compile("^Dataset ")))
    model.get_by_role("button", name="Continue…").first.click()
    look("the form", panel.get_by_role("form", name="Customize"))
    back()
    model.get_by_role("button", name="Evaluate…").first.click()
    look("the evaluate form", panel.get_by_role("form", name="Evaluate"))
    back()
    back()
    # In its own list: a custom model made of it names it, too.
    panel.get_by_role("list", name="Base models").get_by_role("button", name=re.compile("^smollm2-135m")).click()
    look("a base model", panel.get_by_role("region", name=re.compile("^Base model")))
    place("Datasets")
    look("datasets", panel.get_by_role("button", name=re.compile("hostile-eval")))
    place("Jobs")
    row = panel.get_by_role("button", name=re.compile(f"Open job {full}"))
    look("jobs", row)
    row.click()
    job = panel.get_by_role("region", name=f"Job {full}")
    look("a job", job)
    job.get_by_role("button", name="Run again…").click()
    look("run again", panel.get_by_role("button", name="Run again", exact=True))
    place("Evaluations")
    look("evaluations", panel.get_by_role("button", name=re.compile("Open job hostile-job")))
    place("Evaluators")
    look("metrics", panel.get_by_role("button", name=re.compile("hostile_metric")))
    panel.get_by_role("button", name="Reward prompts").click()
    look("prompts", panel.get_by_role("button", name=re.compile("hostile_prompt")))
    panel.get_by_role("button", name=re.compile("hostile_prompt")).first.click()
    look("a prompt", panel.get_by_role("region", name=re.compile("^Reward prompt hostile_prompt")))
    back()
    panel.get_by_role("button", name="Functions").click()
    look("functions", panel.get_by_role("button", name=re.compile("exact")))
    desk.theme("Light")
    assert bad == []


def test_hostile_texts_do_nothing_but_show(desk: Desk, lab: Lab, page: Page, full: str) -> None:
    desk.open()
    panel = desk.panel()
    seen = panel.get_by_text("<script>document.title='owned'</script>").first

    def place(name: str) -> None:
        panel.get_by_role("tab", name=re.compile(f"^{name}")).click(timeout=PATIENCE_MS)

    place("Datasets")
    panel.get_by_role("button", name=re.compile("hostile-eval")).first.click(timeout=PATIENCE_MS)
    expect(seen).to_be_visible(timeout=PATIENCE_MS)
    place("Evaluations")
    panel.get_by_role("button", name=re.compile("Open job hostile-job")).first.click(timeout=PATIENCE_MS)
    expect(panel.get_by_role("table", name="Records")).to_be_visible(timeout=PATIENCE_MS)
    expect(seen).to_be_visible(timeout=PATIENCE_MS)
    place("Evaluators")
    panel.get_by_role("button", name=re.compile("hostile_metric")).first.click(timeout=PATIENCE_MS)
    expect(seen).to_be_visible(timeout=PATIENCE_MS)
    panel.get_by_role("button", name=re.compile("^‹")).first.click()
    panel.get_by_role("button", name="Reward prompts").click()
    panel.get_by_role("button", name=re.compile("hostile_prompt")).first.click(timeout=PATIENCE_MS)
    expect(seen).to_be_visible(timeout=PATIENCE_MS)
    assert panel.locator("img[src=x], script, strong").count() == 0
    assert "\x1b" not in panel.inner_text()
    assert page.title() != "owned"
