"""MLflow one click away: a job's run with its charts, in a tab of JupyterLab, behind Jupyter's login."""

from __future__ import annotations

import re

from lab import PATIENCE_MS, Desk, Lab
from playwright.sync_api import Page, expect

# MLflow's server takes its time to start beside everything else.
START_MS = 3 * PATIENCE_MS


def test_a_click_shows_the_run_and_its_charts(desk: Desk, lab: Lab, page: Page, done: str) -> None:
    lab.write("mlflow.ipynb", ["%load_ext tunelab\nimport tunelab as tl", f"tl.job({done!r})"])
    desk.open("mlflow.ipynb")
    desk.run(0)
    desk.run(1)
    desk.job(1).get_by_role("button", name="Open in MLflow").click(timeout=PATIENCE_MS)
    shown = page.frame_locator("iframe[title^='MLflow']")
    expect(shown.get_by_text(done).first).to_be_visible(timeout=START_MS)
    shown.get_by_placeholder("Search metric charts").fill("rewards/margins", timeout=PATIENCE_MS)
    expect(shown.get_by_text("margins").first).to_be_visible(timeout=PATIENCE_MS)
    expect(shown.locator(".js-plotly-plot").first).to_be_visible(timeout=PATIENCE_MS)
    # A second click shows the same tab.
    page.get_by_role("tab", name="mlflow.ipynb").click()
    desk.job(1).get_by_role("button", name="Open in MLflow").click()
    expect(page.get_by_role("tab", name=re.compile("^MLflow"))).to_have_count(1)


def test_all_of_mlflow_opens_from_the_panel(desk: Desk, page: Page, done: str) -> None:
    desk.open()
    desk.panel().get_by_role("button", name=f"Open job {done}").wait_for(timeout=PATIENCE_MS)
    desk.panel().get_by_role("button", name="Open MLflow").click()
    shown = page.frame_locator("iframe[title='MLflow']")
    expect(shown.get_by_text("tunelab").first).to_be_visible(timeout=START_MS)


def test_the_store_of_another_workspace_is_not_shown_for_this_ones(desk: Desk, lab: Lab, page: Page) -> None:
    lab.write(
        "other.ipynb",
        ["import os\nos.environ['TUNELAB_HOME'] = os.path.abspath('other-home')\n%load_ext tunelab", "1 + 1"],
    )
    desk.open("other.ipynb")
    desk.run(0)
    panel = desk.panel()
    # Where there are no jobs yet, the Studio begins with the models.
    panel.get_by_role("tab", name="Jobs").click(timeout=PATIENCE_MS)
    expect(panel.get_by_text("No jobs yet.")).to_be_visible(timeout=PATIENCE_MS)
    panel.get_by_role("button", name="Open MLflow").click()
    expect(panel.get_by_text("Jupyter serves the MLflow of another workspace")).to_be_visible(timeout=START_MS)
    expect(panel.get_by_text("-m mlflow server")).to_contain_text("other-home/mlflow.db")
    expect(page.get_by_role("tab", name=re.compile("^MLflow"))).to_have_count(0)


def test_a_tracking_server_elsewhere_is_opened_there(desk: Desk, lab: Lab, page: Page) -> None:
    lab.write("server.ipynb", ["%env MLFLOW_TRACKING_URI=http://me:secret@127.0.0.1:9/\n%load_ext tunelab", "1 + 1"])
    desk.open("server.ipynb")
    desk.run(0)
    expect(desk.panel().get_by_role("list", name="Jobs").or_(desk.panel().get_by_text("No jobs"))).to_be_visible(
        timeout=PATIENCE_MS
    )
    with page.expect_popup() as opened:
        desk.panel().get_by_role("button", name="Open MLflow").click()
    requested = opened.value.wait_for_event("requestfailed") if not opened.value.url else None
    assert (requested.url if requested else opened.value.url) in (
        "http://127.0.0.1:9/",
        "chrome-error://chromewebdata/",
    )
    assert "secret" not in desk.panel().inner_html()
