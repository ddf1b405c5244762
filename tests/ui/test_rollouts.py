"""A reward that is a cell, seen at work: reward and its parts, warnings, and every answer of every step."""

from __future__ import annotations

import json
import re

import pytest
from lab import PATIENCE_MS, Desk, Lab, until
from playwright.sync_api import Page, expect
from test_access import faults

pytestmark = pytest.mark.usefixtures("own_jobs")

REWARD = """def reward(prompt, completion, ground_truth):
    letters = sum(letter.isalpha() for letter in completion)
    return {"score": letters / (1 + len(completion)), "letters": letters}
"""
SPEC = """%%customize
name: lettered
model: ./tiny
technique: rlvr
dataset: sums.jsonl
split: 4
reward: reward
compute: {threads: 1}
hyperparameters:
  max_steps: 8
  eval_steps: 4
  per_device_train_batch_size: 8
  gradient_accumulation_steps: 1
  num_generations: 4
  max_completion_length: 8
"""


@pytest.fixture
def notebook(lab: Lab) -> str:
    rows = [json.dumps({"prompt": f"Say <b>{n}</b>.", "ground_truth": str(n)}) for n in range(24)]
    (lab.root / "sums.jsonl").write_text("\n".join(rows), encoding="utf-8")
    lab.write("rlvr.ipynb", ["%load_ext tunelab", REWARD, SPEC])
    return "rlvr.ipynb"


def test_a_reward_from_a_cell_is_seen_at_work(notebook: str, desk: Desk, lab: Lab, page: Page) -> None:
    desk.open(notebook)
    for place in range(3):
        desk.run(place)
    view = desk.job(2)
    expect(view).to_have_attribute("data-state", "completed", timeout=2 * PATIENCE_MS)
    reward = view.get_by_role("img", name=re.compile(": reward$"))
    expect(reward).to_have_attribute("data-points", "8")
    # What is cut off in each answer is a warning, with what to do.
    warnings = view.get_by_role("list", name="Warnings")
    expect(warnings.get_by_text(re.compile("of the answers are cut off"))).to_be_visible()
    expect(warnings.get_by_text(re.compile("Raise max_completion_length"))).to_be_visible()

    rollouts = view.get_by_role("table", name="Rollouts")
    expect(rollouts.get_by_text("Say <b>").first).to_be_visible(timeout=PATIENCE_MS)
    expect(rollouts.get_by_role("columnheader", name="Best")).to_be_visible()
    view.get_by_role("checkbox", name="Latest").uncheck()
    step = view.get_by_role("textbox", name="Step, up to 8")
    step.fill("3")
    step.press("Enter")
    expect(step).to_have_value("3")
    group = rollouts.get_by_role("button", name=re.compile("^Group 1")).first
    group.press("Enter")
    answers = rollouts.get_by_role("list", name="All answers, the best first")
    expect(answers.get_by_role("listitem")).to_have_count(4, timeout=PATIENCE_MS)

    view.get_by_role("group", name="Which rollouts").get_by_role("button", name=re.compile("Held out")).click()
    expect(view.get_by_role("textbox", name="Step, up to 8")).to_be_visible()
    view.get_by_role("searchbox").fill("Say <b>3</b>")
    view.get_by_role("button", name="Search").click()
    expect(view.get_by_text(re.compile("Step", re.I)).first).to_be_visible()
    until(lambda: view.get_by_text("Say <b>3</b>").count() > 0)
    for theme in ("Dark", "Light"):
        desk.theme(theme)
        assert faults(page, ".jp-Notebook .tunelab") == []
    expect(reward).to_be_visible()

    # The same in the side panel, where it is narrow.
    panel = desk.panel()
    panel.get_by_role("button", name=re.compile("Open job lettered")).first.click(timeout=PATIENCE_MS)
    narrow = panel.get_by_role("region", name=re.compile("^Job lettered"))
    expect(narrow.get_by_role("table", name="Rollouts")).to_be_visible(timeout=PATIENCE_MS)
    assert faults(page, ".tunelab-panel") == []
    wide = narrow.evaluate("view => view.scrollWidth <= view.clientWidth + 1")
    assert wide, "nothing sticks out of the panel"
