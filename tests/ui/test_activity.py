"""With the panel closed: the number of active jobs on its tab, and a notification of an end that leads there."""

from __future__ import annotations

import re
from collections.abc import Callable

from lab import PATIENCE_MS, Desk
from playwright.sync_api import Page, expect


def test_a_job_is_counted_and_its_end_leads_to_what_it_made(desk: Desk, page: Page, start: Callable[..., str]) -> None:
    desk.open()
    panel = desk.panel()
    expect(panel.get_by_role("button", name="Customize…")).to_be_enabled(timeout=PATIENCE_MS)
    desk.command("application:toggle-left-area")
    expect(panel).to_be_hidden()
    job = start("told", max_steps=4)
    tab = page.get_by_role("tab", name="Model customization")
    expect(tab).to_have_attribute("title", re.compile(r": 1 active job$"), timeout=PATIENCE_MS)
    told = page.get_by_role("alert").filter(has_text="told has finished: told@1")
    expect(told).to_be_visible(timeout=PATIENCE_MS)
    expect(told.get_by_role("button", name="Open job")).to_have_attribute("title", f"Open job {job}")
    told.get_by_role("button", name="Open model").click(timeout=PATIENCE_MS)
    expect(panel.get_by_role("region", name="Model told@1")).to_be_visible(timeout=PATIENCE_MS)
    expect(tab).not_to_have_attribute("title", re.compile("active"))
