"""The side panel: the workspace's jobs whatever the kernel does, and what it says where a kernel has none."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab import PATIENCE_MS, Desk, Lab, chart, points, until
from playwright.sync_api import Page, expect


def test_a_click_loads_tunelab_and_a_restart_finds_the_job_again(desk: Desk, lab: Lab, running: str) -> None:
    lab.write("restart.ipynb", ["1 + 1"])
    desk.open("restart.ipynb")
    panel = desk.panel()
    expect(panel.get_by_text("The kernel of restart.ipynb has not loaded tunelab.")).to_be_visible(timeout=PATIENCE_MS)
    panel.get_by_role("button", name="Load tunelab").click()
    row = panel.get_by_role("list", name="Jobs").get_by_role("button", name=f"Open job {running}")
    row.click(timeout=PATIENCE_MS)
    view = panel.get_by_role("region", name=f"Job {running}")
    until(lambda: view.is_visible() and points(view) > 0)

    before = lab.kernels()
    desk.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
    expect(view).to_be_hidden(timeout=PATIENCE_MS)
    until(lambda: view.is_visible() and points(view) > 0)
    assert [kernel["id"] for kernel in lab.kernels()] == [kernel["id"] for kernel in before]
    panel.get_by_role("button", name="All jobs").click()
    expect(row).to_be_visible()


def test_the_panel_works_while_a_cell_runs(desk: Desk, lab: Lab, running: str) -> None:
    lab.write("busy.ipynb", ["%load_ext tunelab", "import time; time.sleep(600)"])
    desk.open("busy.ipynb")
    desk.run(0)
    desk.run(1)
    expect(desk.cell(1).get_by_text("[*]:")).to_be_visible()
    panel = desk.panel()
    panel.get_by_role("button", name=f"Open job {running}").click(timeout=PATIENCE_MS)
    view = panel.get_by_role("region", name=f"Job {running}")
    until(lambda: view.is_visible() and points(view) > 0)
    before = points(view)
    until(lambda: points(view) > before)
    expect(desk.cell(1).get_by_text("[*]:")).to_be_visible()


def test_a_kernel_that_is_busy_before_it_has_tunelab_is_said_to_be(desk: Desk, lab: Lab) -> None:
    lab.write("early.ipynb", ["import time; time.sleep(600)"])
    desk.open("early.ipynb")
    desk.panel().get_by_role("button", name="Load tunelab").wait_for(timeout=PATIENCE_MS)
    desk.run(0)
    desk.panel().get_by_role("button", name="Load tunelab").click()
    expect(desk.panel().get_by_text("The kernel of early.ipynb is busy.")).to_be_visible(timeout=PATIENCE_MS)
    desk.command("notebook:interrupt-kernel")
    expect(desk.panel().get_by_role("list", name="Jobs")).to_be_visible(timeout=PATIENCE_MS)


def test_without_a_notebook_the_panel_has_a_kernel_of_its_own(desk: Desk, lab: Lab, running: str, page: Page) -> None:
    before = len(lab.kernels())
    desk.open()
    panel = desk.panel()
    panel.get_by_role("button", name=f"Open job {running}").click(timeout=PATIENCE_MS)
    view = panel.get_by_role("region", name=f"Job {running}")
    until(lambda: view.is_visible() and points(view) > 0)
    assert len(lab.kernels()) == before + 1
    view.get_by_role("button", name="Open as tab").click()
    tab = page.get_by_role("main").get_by_role("region", name=f"Job {running}")
    until(lambda: tab.is_visible() and points(tab) > 0)
    desk.reload()
    panel = desk.panel()
    expect(panel.get_by_role("button", name=f"Open job {running}")).to_be_visible(timeout=PATIENCE_MS)
    assert len(lab.kernels()) == before + 1, "a page that was reloaded finds the kernel it had"


KERNELS = {
    # A finder that has no tunelab, as a Python where it is not installed.
    "without": (
        "import sys\nclass No:\n def find_spec(self, name, path=None, target=None):\n"
        "  if name == 'tunelab': raise ModuleNotFoundError(\"No module named 'tunelab'\", name=name)\n"
        "sys.meta_path.insert(0, No())",
        "has no tunelab. Install it there with %pip install tunelab",
    ),
    "broken": (
        "import sys\nclass No:\n def find_spec(self, name, path=None, target=None):\n"
        "  if name == 'tunelab': raise RuntimeError('its disk is full')\n"
        "sys.meta_path.insert(0, No())",
        "tunelab could not be loaded: RuntimeError: its disk is full",
    ),
    "later": (
        "from tunelab.notebook import comms\ncomms.PROTOCOL = 99",
        "which does not fit this panel",
    ),
}


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_that_cannot_show_jobs_is_told_of_in_a_sentence(
    name: str, desk: Desk, lab: Lab, tmp_path: Path
) -> None:
    before, sentence = KERNELS[name]
    spec = Path(lab.env["JUPYTER_DATA_DIR"]) / "kernels" / name
    spec.mkdir(parents=True)
    launch = f"{before}\nfrom ipykernel import kernelapp\nkernelapp.launch_new_instance()"
    kernel = {"argv": [sys.executable, "-c", launch, "-f", "{connection_file}"], "display_name": name}
    (spec / "kernel.json").write_text(json.dumps(kernel | {"language": "python"}))
    lab.write(f"{name}.ipynb", ["1 + 1"], kernel=name)
    desk.open(f"{name}.ipynb")
    panel = desk.panel()
    panel.get_by_role("button", name="Load tunelab").click(timeout=PATIENCE_MS)
    expect(panel.get_by_text(sentence)).to_be_visible(timeout=PATIENCE_MS)


def test_a_kernel_that_has_died_is_told_of(desk: Desk, lab: Lab) -> None:
    lab.write("dead.ipynb", ["%load_ext tunelab"])
    desk.open("dead.ipynb")
    desk.run(0)
    panel = desk.panel()
    expect(panel.get_by_role("list", name="Jobs")).to_be_visible(timeout=PATIENCE_MS)
    desk.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    expect(panel.get_by_text("This notebook has no kernel")).to_be_visible(timeout=PATIENCE_MS)


@pytest.fixture
def settings(lab: Lab) -> Iterator[Callable[..., None]]:
    yield lab.settings
    lab.settings()


def test_settings_choose_the_side_and_the_charts(
    desk: Desk, lab: Lab, running: str, page: Page, settings: Callable[..., None]
) -> None:
    settings(charts={"dpo": ["loss", "grad_norm"]})
    lab.write("settings.ipynb", ["%load_ext tunelab"])
    desk.open("settings.ipynb")
    desk.run(0)
    panel = desk.panel()
    panel.get_by_role("button", name=f"Open job {running}").click(timeout=PATIENCE_MS)
    view = panel.get_by_role("region", name=f"Job {running}")
    expect(view.get_by_role("heading", level=4)).to_have_text(["Loss", "Gradient norm"], timeout=PATIENCE_MS)
    desk.command("settingeditor:open", query="tunelab")
    for title in ("Side of the panel", "Refresh", "Charts by technique", "Default model"):
        expect(page.get_by_text(title).first).to_be_visible(timeout=PATIENCE_MS)
    # JupyterLab's form has no name for its fields.
    page.locator("select[name$='_side']").select_option("right")
    until(lambda: (panel.bounding_box() or {"x": 0})["x"] > 700)


def test_jobs_and_mlflow_are_in_the_palette_and_the_launcher(desk: Desk, page: Page) -> None:
    desk.open()
    launcher = page.get_by_role("main")
    for name in ("New Customization Notebook", "MLflow"):
        expect(launcher.get_by_title(re.compile(".")).filter(has_text=name).first).to_be_visible(timeout=PATIENCE_MS)
    palette = page.locator("#command-palette")
    # Called again it hides, and so it does where a launcher on its way takes the focus.
    until(lambda: palette.is_visible() or desk.command("apputils:activate-command-palette"))
    palette.locator("input").fill("tunelab")
    for name in ("New Customization Notebook", "Show Jobs", "Open MLflow"):
        expect(palette.get_by_text(name)).to_be_visible()


@pytest.mark.parametrize("width", [250, 1400])
def test_nothing_sticks_out(width: int, desk: Desk, lab: Lab, running: str) -> None:
    lab.write("narrow.ipynb", ["%load_ext tunelab\nimport tunelab as tl", f"tl.job({running!r})"])
    desk.open("narrow.ipynb")
    desk.run(0)
    if width == 250:
        view = desk.panel().get_by_role("region", name=f"Job {running}")
        desk.panel().get_by_role("button", name=f"Open job {running}").click(timeout=PATIENCE_MS)
        desk.panel().evaluate("node => { node.style.maxWidth = node.style.minWidth = '250px'; }")
    else:
        desk.run(1)
        view = desk.job(1)
    until(lambda: view.is_visible() and points(view) > 0)
    chart(view, "loss").scroll_into_view_if_needed()
    outside = view.evaluate(
        """card => {
          const { right } = card.getBoundingClientRect();
          return [...card.querySelectorAll('*')]
            .filter(node => node.checkVisibility() && node.getBoundingClientRect().right > right + 1)
            .filter(node => !node.closest('.tunelab-plot svg, .tunelab-points, .tunelab-log'))
            .map(node => node.outerHTML.slice(0, 120));
        }"""
    )
    assert outside == []
