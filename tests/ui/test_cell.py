"""A job in a notebook's cell: it grows while it runs, hears a click while a cell runs, and is whole after a reload."""

from __future__ import annotations

import base64
import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
import yaml
from lab import PATIENCE_MS, Desk, Lab, chart, customize, points, until
from nbconvert import HTMLExporter
from playwright.sync_api import Locator, Page, expect

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"

pytestmark = pytest.mark.usefixtures("own_jobs")


def test_the_quickstart_is_watched_saved_and_shown_later(desk: Desk, lab: Lab, page: Page) -> None:
    shutil.copytree(NOTEBOOKS, lab.root / "tour")
    for sample in (lab.root / "tour" / "data").glob("everyday*.jsonl"):
        sample.write_text("".join(sample.read_text(encoding="utf-8").splitlines(keepends=True)[:8]), encoding="utf-8")
    path = lab.root / "tour" / "quickstart.ipynb"
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if "max_steps" in cell.source:
            cell.source = re.sub(r"(_steps: )24", r"\g<1>4", cell.source)
            cell.source += "\n  logging_steps: 1\n  per_device_train_batch_size: 1\ncompute: {threads: 1}"
    # JupyterLab keeps the cells in sight alone in the page: without the looks at the data the job's is among them.
    looks = ("everyday.sample", "This is what the model", "everyday.preview")
    notebook.cells = [cell for cell in notebook.cells if not cell.source.startswith(looks)]
    trains = next(place for place, cell in enumerate(notebook.cells) if cell.source.startswith("%%customize"))
    notebook.cells = notebook.cells[: trains + 1]
    nbformat.write(notebook, path)

    desk.open("tour/quickstart.ipynb")
    desk.command("notebook:run-all-cells")
    view = desk.job(trains)
    expect(view).to_be_visible(timeout=PATIENCE_MS)
    seen = []
    while view.get_attribute("data-state") in ("queued", "running"):
        if (count := points(view)) not in seen:
            seen.append(count)
        time.sleep(0.05)
    assert view.get_attribute("data-state") == "completed"
    assert seen[0] == 0 and seen == sorted(seen) and len(seen) >= 3, "the chart grows with each step while the job runs"
    assert points(view) == 4
    expect(view.get_by_text("Finished in")).to_be_visible()

    output = next(
        output for output in desk.save().cells[trains].outputs if "application/vnd.tunelab.job+json" in output.data
    )
    assert set(output.data) == {"application/vnd.tunelab.job+json", "image/svg+xml", "text/plain"}
    html, _ = HTMLExporter().from_filename(str(path))
    (lab.root / "tour" / "quickstart.html").write_text(html, encoding="utf-8")
    page.goto((lab.root / "tour" / "quickstart.html").as_uri())
    picture = page.locator("img[src^='data:image/svg+xml']")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 900
    svg = base64.b64decode((picture.get_attribute("src") or "").partition("base64,")[2]).decode()
    for text in ("chatty", "Completed in", "Reward margin", "Held-out margin"):
        assert f">{text}" in svg


def test_a_click_is_heard_while_another_cell_runs(desk: Desk, lab: Lab) -> None:
    lab.write(
        "cancel.ipynb", ["%load_ext tunelab", customize("stopped", max_steps=100_000), "import time; time.sleep(600)"]
    )
    desk.open("cancel.ipynb")
    desk.run(0)
    desk.run(1)
    view = desk.job(1)
    expect(view).to_have_attribute("data-state", "running", timeout=PATIENCE_MS)
    until(lambda: points(view) > 3)
    desk.run(2)
    expect(desk.cell(2).get_by_text("[*]:")).to_be_visible()
    view.get_by_role("button", name="Cancel").click()
    expect(view.get_by_role("button", name="Cancelling…").or_(view.get_by_text("Cancelled at"))).to_be_visible(
        timeout=10_000
    )
    # And in the journal of the job, not in the page alone.
    request = lab.home / "jobs" / (view.get_attribute("aria-label") or "").removeprefix("Job ") / "cancel"
    assert request.exists()
    before = points(view)
    expect(view).to_have_attribute("data-state", "cancelled", timeout=PATIENCE_MS)
    assert points(view) >= before
    expect(desk.cell(2).get_by_text("[*]:")).to_be_visible()
    desk.command("notebook:interrupt-kernel")


def test_a_running_job_is_whole_after_a_reload_and_when_the_notebook_is_opened_again(desk: Desk, lab: Lab) -> None:
    lab.write("again.ipynb", ["%load_ext tunelab", customize("again", max_steps=100_000, eval_steps=50)])
    desk.open("again.ipynb")
    desk.run(0)
    desk.run(1)
    view = desk.job(1)
    until(lambda: view.is_visible() and points(view) > 50)
    desk.save()
    whole_again(view, desk.reload)
    whole_again(view, lambda: close_and_open(desk, "again.ipynb"))


def whole_again(view: Locator, comes_back: Callable[[], None]) -> None:
    before = points(view)
    comes_back()
    expect(view).to_have_attribute("data-state", "running", timeout=PATIENCE_MS)
    until(lambda: points(view) >= before)
    view.get_by_role("button", name="Points of Loss as a table").click()
    rows = view.get_by_role("table", name="Points of Loss").get_by_role("row")
    assert int(rows.last.get_by_role("rowheader").inner_text()) <= 2, "the first steps are there"
    view.get_by_role("button", name="Points of Loss as a table").click()
    late = points(view)
    until(lambda: points(view) > late)


def close_and_open(desk: Desk, notebook: str) -> None:
    desk.command("application:close")
    expect(desk.page.locator(".jp-NotebookPanel")).to_have_count(0)
    desk.command("docmanager:open", path=notebook)


def test_the_reader_adds_smooths_zooms_and_the_next_points_keep_it(desk: Desk, lab: Lab) -> None:
    lab.write("reader.ipynb", ["%load_ext tunelab", customize("reader", max_steps=100_000)])
    desk.open("reader.ipynb")
    desk.run(0)
    desk.run(1)
    view = desk.job(1)
    until(lambda: view.is_visible() and points(view) > 20)
    view.get_by_role("combobox", name="Add a chart").select_option("Gradient norm")
    expect(view.get_by_role("heading", name="Gradient norm")).to_be_visible()
    view.get_by_role("slider", name="Smoothing").fill("0.8")
    until(lambda: chart(view, "grad_norm").locator(".scatterlayer .trace").count() == 2)
    loss = chart(view, "loss")
    loss.focus()
    desk.page.keyboard.press("+")
    expect(view.get_by_role("button", name="Show all of Loss")).to_be_visible()
    window = loss.evaluate("node => node.layout.xaxis.range")
    before = points(view)
    until(lambda: points(view) > before + 10)
    assert loss.evaluate("node => node.layout.xaxis.range") == window
    desk.page.keyboard.press("0")
    expect(view.get_by_role("button", name="Show all of Loss")).to_have_count(0)
    view.get_by_role("checkbox", name="Log axis").check()
    until(lambda: loss.evaluate("node => node.layout.yaxis.type") == "log")
    view.get_by_role("button", name="Remove the chart Gradient norm").click()
    expect(view.get_by_role("heading", name="Gradient norm")).to_have_count(0)


HOSTILE = "<script>window.harmed = 1</script><img src=x onerror='window.harmed = 1'>\x1b[31mred\x1b[0m"


def test_hostile_text_does_nothing_but_show(desk: Desk, lab: Lab, page: Page, done: str) -> None:
    job = hostile(lab.home / "jobs" / done)
    lab.write("hostile.ipynb", ["%load_ext tunelab\nimport tunelab as tl", f"tl.job({job!r})", "1 + 1"])
    desk.open("hostile.ipynb")
    desk.run(0)
    desk.run(1)
    view = desk.job(1)
    expect(view).to_have_attribute("data-state", "failed", timeout=PATIENCE_MS)
    menu = view.get_by_role("combobox", name="Add a chart")
    menu.select_option(index=menu.get_by_role("option").count() - 1)
    until(lambda: "harmed" in view.get_by_role("heading", level=4).last.inner_text())
    expect(view.get_by_role("heading", level=3)).to_have_text(re.compile("<script>window.harmed"))
    expect(view.get_by_role("listitem").last).to_contain_text("onerror='window.harmed = 1'>red")
    row = desk.panel().get_by_role("button", name=re.compile(f"Open job {job}"))
    expect(row).to_contain_text("<img src=x")
    row.click()
    expect(desk.panel().get_by_role("region", name=f"Job {job}")).to_be_visible()
    # The saved picture is drawn when the kernel is gone.
    desk.save()
    desk.command("kernelmenu:shutdown")
    expect(desk.cell(1).get_by_role("img").first).to_be_visible()
    assert page.evaluate("window.harmed") is None
    assert page.locator(".tunelab script, .tunelab img[src='x'], .jp-OutputArea script").count() == 0


def hostile(done: Path) -> str:
    """Write a failed job all of whose texts are hostile, and return its id."""
    bad = done.parent / "hostile-20260101-000000-0000"
    shutil.copytree(done, bad)
    spec = yaml.safe_load((bad / "spec.yaml").read_text(encoding="utf-8"))
    spec |= {"name": HOSTILE, "model": HOSTILE, "dataset": HOSTILE}
    (bad / "spec.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    lines = [json.loads(line) for line in (bad / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    (bad / "journal.jsonl").write_text("", encoding="utf-8")
    for event in lines:
        if event["type"] == "metric":
            event["values"][HOSTILE] = 1.5
        if event["type"] == "state" and event["state"] == "completed":
            event |= {"state": "failed", "reason": HOSTILE}
        if event["type"] == "log":
            event["text"] = HOSTILE
        with (bad / "journal.jsonl").open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(event) + "\n")
    return bad.name
