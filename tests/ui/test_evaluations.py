"""An evaluation in a cell: the summary, the table of answers, one record alone, an overruled score, and the export."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from lab import PATIENCE_MS, Desk, Lab
from playwright.sync_api import Page, expect
from test_access import faults

pytestmark = pytest.mark.usefixtures("own_jobs")

HOSTILE = "<script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\"> \x1b[31m**bold**"
COUNT = 40
SCORER = """def warmth(prompt, prediction, ground_truth, **row):
    return prediction.count("!") / 2"""
EVALUATE = """%%evaluate
name: warm
models: [plain, warm]
dataset: questions.jsonl
scorer: warmth
predictions: {plain: plain.jsonl, warm: warm.jsonl}
compute: {threads: 1}
"""


def _base(number: int) -> str:
    return HOSTILE if number == 3 else f"The answer {number} is given in a formal way."


def _warm(number: int) -> str:
    # Of ten, six are warmer, two the same and two colder than the baseline, whose tenth has one mark.
    return _base(number) if number % 10 in (1, 2) else f"Oh, the answer {number} is easy{'!' * (number % 10 > 3)}"


@pytest.fixture
def notebook(lab: Lab) -> str:
    rows = [
        {
            "id": f"q{n}",
            "query": f"Question {n}?",
            "response": str(n),
            "metadata": {"topic": "odd" if n % 2 else "even"},
        }
        for n in range(COUNT)
    ]
    answers = {
        "plain": [_base(n) + "!" * (n % 10 in (0, 3)) for n in range(COUNT)],
        "warm": [_warm(n) for n in range(COUNT)],
    }
    (lab.root / "questions.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    for model, texts in answers.items():
        # In another order than the questions: answers belong to ids.
        told = [json.dumps({"id": f"q{n}", "prediction": texts[n]}) for n in reversed(range(COUNT))]
        (lab.root / f"{model}.jsonl").write_text("\n".join(told), encoding="utf-8")
    lab.write("evaluate.ipynb", ["%load_ext tunelab", SCORER, EVALUATE])
    return "evaluate.ipynb"


def test_an_evaluation_is_read_record_by_record(
    notebook: str, desk: Desk, lab: Lab, page: Page, tmp_path: Path
) -> None:
    desk.open(notebook)
    for place in range(3):
        desk.run(place)
    view = desk.job(2)
    expect(view).to_have_attribute("data-state", "completed", timeout=2 * PATIENCE_MS)
    outcomes = view.get_by_role("group", name="Outcomes")
    expect(outcomes.get_by_role("button", name="60% improved: 24 of 40")).to_be_visible(timeout=PATIENCE_MS)
    expect(outcomes.get_by_role("button", name="20% equal: 8 of 40")).to_be_visible()
    table = view.get_by_role("table", name="Records")
    expect(table.get_by_text("Question 0?")).to_be_visible()
    _picture(page, "evaluation-all")

    outcomes.get_by_role("button", name="20% degraded: 8 of 40").click()
    chips = view.get_by_role("group", name="Which records")
    expect(chips.get_by_role("button", name=re.compile("Degraded"))).to_have_attribute("aria-pressed", "true")
    expect(table).to_have_attribute("aria-rowcount", "9")
    chips.get_by_role("button", name=re.compile("^All")).click()
    search = view.get_by_role("searchbox", name="Search prompts, answers, ground truth and reasoning")
    search.fill("Question 3?")
    search.press("Enter")
    expect(table).to_have_attribute("aria-rowcount", "2")

    # What a model wrote does nothing but show.
    table.get_by_role("button", name="Open row 4").press("Enter")
    record = view.get_by_role("region", name="One record")
    expect(record.get_by_role("article", name="plain")).to_contain_text("<script>document.title = 'owned'</script>")
    expect(record.locator("ins").first).to_be_visible()
    _picture(page, "evaluation-record")
    score = record.get_by_role("article", name="warm").get_by_label("Your score of warm")
    score.fill("1")
    score.press("Enter")
    expect(record.get_by_role("button", name="Take back the score of warm")).to_be_visible(timeout=PATIENCE_MS)
    page.keyboard.press("Escape")
    expect(table).to_be_visible()
    expect(chips.get_by_role("button", name=re.compile("Overruled.*1"))).to_be_visible(timeout=PATIENCE_MS)
    said = lab.python(
        "import tunelab as tl; r = tl.job('warm').result().records; print(r.human_score.dropna().tolist())"
    )
    assert said == "[1.0]"

    with page.expect_download(timeout=PATIENCE_MS) as download:
        view.get_by_role("group", name="Export all records").get_by_role("button", name="CSV").click()
    download.value.save_as(tmp_path / "records.csv")
    assert (tmp_path / "records.csv").read_text(encoding="utf-8").startswith("id,model,metric,prompt")
    assert page.title() != "owned"

    for theme in ("Dark", "Light"):
        desk.theme(theme)
        assert faults(page, ".jp-Notebook .tunelab") == []
        _picture(page, f"evaluation-{theme}")
    panel = desk.panel()
    panel.get_by_role("tab", name=re.compile("^Evaluations")).click()
    panel.get_by_role("button", name=re.compile("Open job warm")).first.click(timeout=PATIENCE_MS)
    narrow = panel.get_by_role("region", name=re.compile("^Job warm"))
    expect(narrow.get_by_role("table", name="Records")).to_be_visible(timeout=PATIENCE_MS)
    _picture(page, "evaluation-panel")
    assert faults(page, ".tunelab-panel") == []
    fits = narrow.evaluate("view => view.scrollWidth <= view.clientWidth + 1")
    assert fits, "nothing sticks out of the panel"


def _picture(page: Page, name: str) -> None:
    """Keep a picture where somebody wants to look at the views, in the folder that TUNELAB_PICTURES names."""
    if folder := os.environ.get("TUNELAB_PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png")
