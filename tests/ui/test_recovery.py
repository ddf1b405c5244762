"""Jobs that stop and go on, as the page shows them: paused and resumed, killed and recovered, found again."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lab import PATIENCE_MS, TINY, Desk, Lab, customize, points, until
from playwright.sync_api import Locator, expect

pytestmark = pytest.mark.usefixtures("own_jobs")

#: A training that ends with its test: each step is logged, each tenth is saved.
ENDLESS = {"max_steps": 100_000, "save_steps": 10}


def opened(desk: Desk, lab: Lab, name: str, *more: str) -> Locator:
    """Start a job in a notebook of its own, and return its view once it trains."""
    lab.write(f"{name}.ipynb", ["%load_ext tunelab", customize(name, **ENDLESS), *more])
    desk.open(f"{name}.ipynb")
    desk.run(0)
    desk.run(1)
    view = desk.job(1)
    until(lambda: view.is_visible() and points(view) > 12)
    return view


def folder_of(lab: Lab, view: Locator) -> Path:
    return lab.home / "jobs" / (view.get_attribute("aria-label") or "").removeprefix("Job ")


def journal(folder: Path, kind: str) -> list[dict[str, Any]]:
    lines = (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    events = [json.loads(line) for line in lines if line.endswith("\n")]
    return [event for event in events if event["type"] == kind]


def steps_of(folder: Path) -> list[int]:
    """Return the steps that were logged, in the order in which they were taken."""
    return [event["step"] for event in journal(folder, "metric") if "loss" in event["values"]]


def pause(view: Locator, folder: Path) -> int:
    """Pause by the view, and return the step at which the job stands: with whole curves so many points are drawn."""
    view.get_by_role("button", name="Pause").click()
    expect(view).to_have_attribute("data-state", "paused", timeout=PATIENCE_MS)
    step = steps_of(folder)[-1]
    until(lambda: points(view) == step, 10)
    return step


def test_a_job_is_paused_and_resumed_by_its_view_while_another_cell_runs(desk: Desk, lab: Lab) -> None:
    view = opened(desk, lab, "rests", "import time; time.sleep(600)")
    folder = folder_of(lab, view)
    desk.run(2)
    expect(desk.cell(2).get_by_text("[*]:")).to_be_visible()
    states = changes_of(view)
    begin = time.monotonic()
    stood = pause(view, folder)
    assert time.monotonic() - begin < 60
    expect(view.get_by_role("button", name="Pause")).to_have_count(0)
    assert view.get_attribute("data-tone") == "calm"
    # By keyboard, as every button.
    view.get_by_role("button", name="Resume").press("Enter")
    expect(view).to_have_attribute("data-state", "running", timeout=PATIENCE_MS)
    until(lambda: points(view) > stood + 12)
    assert pause(view, folder) > stood + 12
    steps = steps_of(folder)
    assert steps == list(range(1, len(steps) + 1)), "no step is missing, and none was taken twice"
    assert_soon(states(), journal(folder, "state"))
    expect(desk.cell(2).get_by_text("[*]:")).to_be_visible()


def test_a_worker_that_was_killed_is_seen_to_recover(desk: Desk, lab: Lab) -> None:
    view = opened(desk, lab, "falls")
    folder = folder_of(lab, view)
    states = changes_of(view)
    os.kill(int((folder / "worker.lock").read_text().split()[0]), signal.SIGKILL)
    # By what was noted: it may last no longer than from one look at the page to the next.
    said = "Recovering at step .*killed .*restart 1 of 3"
    until(lambda: any(re.search(said, state["text"]) for state in states()))
    expect(view).to_have_attribute("data-state", "running", timeout=PATIENCE_MS)
    expect(view.get_by_text("Recovered")).to_be_visible()
    before = points(view)
    until(lambda: points(view) > before + 12)
    stood = pause(view, folder)
    seen = [state for state in states() if state["state"] != "queued"]
    assert [state["state"] for state in seen] == ["recovering", "running", "paused"]
    assert_soon(seen, journal(folder, "state"))
    # The steps after the checkpoint were taken again, and are drawn once.
    assert sorted(set(steps_of(folder))) == list(range(1, stood + 1))


def changes_of(view: Locator) -> Callable[[], list[dict[str, Any]]]:
    """Note each state that the view shows from now on, its text, and when; return how to ask for what was noted."""
    view.evaluate(
        """card => {
          window.noted = [];
          new MutationObserver(() => window.noted.push({
            state: card.dataset.state, text: card.textContent, time: Date.now() / 1000
          })).observe(card, { attributeFilter: ['data-state'] });
        }"""
    )
    return lambda: view.evaluate("() => window.noted")


def assert_soon(seen: list[dict[str, Any]], written: list[dict[str, Any]]) -> None:
    """Each state stands in the view within seconds of its line in the journal."""
    assert seen
    for shown in seen:
        lines = [event["time"] for event in written if event["state"] == shown["state"]]
        late = min(shown["time"] - line for line in lines if line <= shown["time"])
        assert late < 5.0, f"{shown['state']} was shown {late:.2f} s late"


def test_a_job_is_live_again_without_a_cell_after_a_reload_and_after_a_restart(desk: Desk, lab: Lab) -> None:
    view = opened(desk, lab, "stays")
    folder = folder_of(lab, view)
    # What is not in the file is lost with the page; JupyterLab saves every two minutes by itself.
    desk.save()
    before = points(view)
    desk.reload()
    until(lambda: view.is_visible() and points(view) > before)
    before = points(view)
    desk.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
    expect(view).to_be_hidden(timeout=PATIENCE_MS)
    until(lambda: view.is_visible() and points(view) > before)
    # As the user's own cell finds the kernel: nothing is loaded that it would load.
    desk.run(0)
    desk.idle()
    expect(desk.cell(0).get_by_text("already loaded")).to_have_count(0)
    pause(view, folder)
    view.get_by_role("button", name="Cancel").click()
    expect(view).to_have_attribute("data-state", "cancelled", timeout=PATIENCE_MS)
    assert journal(folder, "state")[-1]["state"] == "cancelled"


def test_a_new_kernel_shows_the_saved_job_and_one_click_makes_it_live(desk: Desk, lab: Lab) -> None:
    view = opened(desk, lab, "later")
    folder = folder_of(lab, view)
    job = folder.name
    pause(view, folder)
    desk.save()
    desk.command("kernelmenu:shutdown")
    expect(view).to_be_hidden(timeout=PATIENCE_MS)
    desk.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.startKernel()")
    expect(desk.cell(1).get_by_text(job).first).to_be_visible(timeout=PATIENCE_MS)
    desk.panel().get_by_role("button", name="Load tunelab").click(timeout=PATIENCE_MS)
    expect(view).to_have_attribute("data-state", "paused", timeout=PATIENCE_MS)
    row = desk.panel().get_by_role("button", name=f"Open job {job}")
    expect(row).to_contain_text("Paused at step")
    row.focus()
    desk.page.keyboard.press("Enter")
    panel = desk.panel().get_by_role("region", name=f"Job {job}")
    panel.get_by_role("button", name="Resume").click()
    expect(view).to_have_attribute("data-state", "running", timeout=PATIENCE_MS)
    expect(panel).to_have_attribute("data-state", "running", timeout=PATIENCE_MS)


def starts_later(lab: Lab, name: str) -> str:
    """Start a job that wants the whole processor, of which another has a part, and return its id."""
    given = {key: value for key, value in TINY.items() if key != "compute"} | {"name": name}
    return lab.python(f"import tunelab as tl\nprint(tl.customize({given!r}).id)")


def test_a_job_that_waits_is_moved_up_and_paused(desk: Desk, lab: Lab) -> None:
    view = opened(desk, lab, "works")
    first, second = (starts_later(lab, name) for name in ("first", "second"))
    panel = desk.panel()
    row = panel.get_by_role("button", name=f"Open job {second}")
    expect(row).to_contain_text("2nd", timeout=PATIENCE_MS)
    row.click()
    waits = panel.get_by_role("region", name=f"Job {second}")
    waits.get_by_role("button", name="Move up").click()
    expect(waits.get_by_text("next in the queue")).to_be_visible(timeout=PATIENCE_MS)
    expect(waits.get_by_role("button", name="Move up")).to_have_count(0)
    waits.get_by_role("button", name="Pause").click()
    expect(waits).to_have_attribute("data-state", "paused", timeout=PATIENCE_MS)
    panel.get_by_role("button", name="All jobs").click()
    expect(panel.get_by_role("button", name=f"Open job {first}")).to_contain_text("next", timeout=PATIENCE_MS)
    assert view.get_attribute("data-state") == "running"
