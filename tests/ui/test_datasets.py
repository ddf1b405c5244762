"""Datasets in JupyterLab: from a file with a wrong column to a customized model, and a table of many rows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import PATIENCE_MS, Desk, Lab, until
from playwright.sync_api import Locator, Page, expect
from test_access import faults

MANY = 20_000
COLUMNS = "prompt,chosen,rejcted\n"


@pytest.fixture
def wrong(lab: Lab) -> str:
    """A file of real pairs in which one column has another name."""
    rows = [json.loads(line) for line in (lab.root / "pairs.jsonl").read_text(encoding="utf-8").splitlines()]
    quoted = (
        ",".join('"' + row[name].replace('"', '""') + '"' for name in ("prompt", "chosen", "rejected")) for row in rows
    )
    (lab.root / "wrong.csv").write_text(COLUMNS + "\n".join(quoted) + "\n", encoding="utf-8")
    return "wrong.csv"


@pytest.fixture
def tiny_by_default(lab: Lab) -> Iterator[None]:
    """The tiny model stands in new cells."""
    lab.settings(defaultModel="./tiny")
    yield
    lab.settings()


@pytest.fixture(scope="module")
def many(lab: Lab) -> str:
    """A dataset of many rows."""
    return lab.python(
        "import tunelab as tl\n"
        f"ns = range({MANY})\n"
        "rows = [dict(prompt=f'How much is {n} and {n}, please?', completion=f'It is {2 * n}.') for n in ns]\n"
        "print(tl.Dataset.create('many', rows))"
    )


def dialog(page: Page) -> Locator:
    return page.get_by_role("dialog", name="Create dataset")


def test_a_file_with_a_wrong_column_becomes_a_dataset_and_then_a_model(
    desk: Desk, lab: Lab, page: Page, wrong: str, tiny_by_default: None, own_jobs: None
) -> None:
    desk.open()
    desk.command("filebrowser:activate")
    page.get_by_role("listitem", name=re.compile(f"^Name: {re.escape(wrong)}")).click(button="right")
    page.get_by_role("menuitem", name="Create dataset…").click()
    form = dialog(page)
    technique = form.get_by_role("combobox", name="Technique")
    expect(technique).to_be_visible(timeout=PATIENCE_MS)
    technique.select_option("dpo")
    expect(form.get_by_text("has no field 'rejected'")).to_be_visible(timeout=PATIENCE_MS)
    form.get_by_role("combobox", name="rejected").select_option("rejcted")
    expect(form.get_by_text("has no field 'rejected'")).to_be_hidden(timeout=PATIENCE_MS)
    name = form.get_by_role("textbox", name="Name")
    expect(name).to_have_value("wrong")
    name.fill("mended")
    form.get_by_role("button", name="Create dataset").click()

    view = page.get_by_role("main").get_by_role("region", name="Dataset mended@1")
    expect(view).to_be_visible(timeout=PATIENCE_MS)
    expect(form).to_be_hidden()
    expect(view.get_by_text("48").first).to_be_visible()
    view.get_by_role("combobox", name="Model").select_option("./tiny")
    view.get_by_role("button", name="Preview").click()
    expect(view.get_by_role("img", name=re.compile("[Ll]ength"))).to_be_visible(timeout=PATIENCE_MS)
    expect(view.get_by_text("<|im_end|>").first).to_be_visible()
    for theme in ("Dark", "Light"):
        desk.theme(theme)
        assert faults(page, ".tunelab-tab") == []

    before = lab.jobs()
    view.get_by_role("button", name="Customize").click()
    expect(page.get_by_role("tab", name=re.compile(r"^customize.*\.ipynb$"))).to_be_visible(timeout=PATIENCE_MS)
    desk.idle()
    desk.run(1)
    desk.run(2)
    job = desk.job(2)
    until(lambda: job.is_visible())
    (started,) = lab.jobs() - before
    expect(job).to_have_attribute("data-state", "completed", timeout=PATIENCE_MS)
    spec = (lab.home / "jobs" / started / "spec.yaml").read_text(encoding="utf-8")
    assert "dataset: mended@1" in spec


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_many_rows_are_scrolled_to_their_end_without_a_serious_fault(
    theme: str, desk: Desk, lab: Lab, page: Page, many: str, wrong: str
) -> None:
    desk.open()
    desk.theme(theme)
    panel = desk.panel()
    panel.get_by_role("tab", name="Datasets").click()
    panel.get_by_role("button", name=re.compile("many")).first.click(timeout=PATIENCE_MS)
    rows = panel.get_by_role("table", name=re.compile("[Rr]ows"))
    expect(rows).to_have_attribute("aria-rowcount", str(MANY + 1), timeout=PATIENCE_MS)
    expect(rows.get_by_text("How much is 0 and 0, please?")).to_be_visible(timeout=PATIENCE_MS)
    scroll_to_end(rows)
    expect(rows.get_by_text(f"How much is {MANY - 1} and {MANY - 1}, please?")).to_be_visible(timeout=PATIENCE_MS)
    assert faults(page, ".tunelab-panel") == []
    desk.command("tunelab:create-dataset")
    page.get_by_role("dialog").get_by_role("listitem", name=re.compile(f"^Name: {re.escape(wrong)}")).dblclick()
    form = dialog(page)
    expect(form.get_by_role("combobox", name="Technique")).to_be_visible(timeout=PATIENCE_MS)
    assert faults(page, ".tunelab-dialog") == []
    page.keyboard.press("Escape")
    expect(form).to_be_hidden()
    desk.theme("Light")


def scroll_to_end(rows: Locator) -> None:
    """Scroll the table, or what holds it."""
    rows.evaluate(
        """node => {
          while (node.scrollHeight <= node.clientHeight + 100) node = node.parentElement;
          node.scrollTop = node.scrollHeight;
        }"""
    )


def test_a_file_that_is_dropped_is_uploaded_and_opened(desk: Desk, lab: Lab, page: Page, tmp_path: Path) -> None:
    desk.open()
    panel = desk.panel()
    panel.get_by_role("tab", name="Datasets").click()
    expect(panel.get_by_role("button", name="Create dataset…")).to_be_visible(timeout=PATIENCE_MS)
    dropped = page.evaluate_handle(
        """([name, text]) => {
          const data = new DataTransfer();
          data.items.add(new File([text], name));
          return data;
        }""",
        ["dropped.csv", "prompt,completion\nSay it,It\n"],
    )
    panel.get_by_role("tabpanel").locator(".tunelab-drop").dispatch_event("drop", {"dataTransfer": dropped})
    form = dialog(page)
    expect(form.get_by_role("textbox", name="Name")).to_have_value("dropped", timeout=PATIENCE_MS)
    assert (lab.root / "dropped.csv").read_text() == "prompt,completion\nSay it,It\n"
    form.get_by_role("button", name="Close").click()
    expect(form).to_be_hidden()


def test_a_dataset_in_a_cell_is_drawn_and_goes_with_a_reload(desk: Desk, lab: Lab, page: Page, many: str) -> None:
    lab.write("shown.ipynb", ["%load_ext tunelab\nimport tunelab as tl", "tl.Dataset.get('many')"])
    desk.open("shown.ipynb")
    desk.run(0)
    desk.run(1)
    view = desk.cell(1).get_by_role("region", name=f"Dataset {many}")
    expect(view).to_be_visible(timeout=PATIENCE_MS)
    expect(view.get_by_role("table", name=re.compile("[Rr]ows"))).to_have_attribute("aria-rowcount", str(MANY + 1))
    saved = desk.save()
    until(lambda: "text/html" in json.dumps(desk.save().cells[1]))
    (output,) = saved.cells[1].outputs
    assert output.data["application/vnd.tunelab.dataset+json"] == {"dataset": many}
