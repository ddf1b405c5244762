"""The evaluate form: what is typed is the same evaluation as its cell, and what is wrong stands at its field."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

import tunelab as tl
from tunelab.jobs import draft_evaluation
from tunelab.notebook.evaluateform import EvaluateForm
from tunelab.notebook.magics import evaluation
from tunelab.spec import load

HOSTILE = "<script>alert(1)</script>\x1b[31m"


class Page:
    """What a page has been told."""

    def __init__(self) -> None:
        self.told: dict[str, Any] = {}

    def state(self, **values: Any) -> None:
        self.told |= values

    def message(self, content: dict[str, Any]) -> None: ...

    def notice(self, text: str) -> None: ...

    def until(self, key: str, seconds: float = 30) -> Any:
        end = time.monotonic() + seconds
        while not self.told.get(key):
            assert time.monotonic() < end, self.told
            time.sleep(0.02)
        return self.told[key]


@pytest.fixture
def questions(workspace: Path) -> str:
    rows = [{"query": f"What is {n}?", "response": str(n)} for n in range(5)]
    return str(tl.Dataset.create("questions", rows, technique="evaluation"))


CASES: dict[str, dict[str, Any]] = {
    "judge": {"models": ["MODEL"], "dataset": "questions", "judge": {"model": "MODEL", "metrics": ["helpfulness"]}},
    "pairwise": {
        "models": ["MODEL", {"name": "far", "model": "gpt-x", "base_url": "https://far/v1"}],
        "dataset": "questions@1",
        "judge": {"model": "gpt-y", "base_url": "https://far/v1", "metrics": ["helpfulness"], "pairwise": True},
    },
    "scorer": {"models": ["MODEL"], "dataset": "questions", "scorer": [{"preset": "exact"}], "limit": 3, "seed": 7},
    "options": {
        "models": ["MODEL"],
        "dataset": "questions",
        "scorer": [{"preset": "number", "weight": 2.0}],
        "generation": {"max_new_tokens": 16, "temperature": 0.5},
    },
    "benchmark": {"models": ["MODEL"], "benchmark": {"tasks": ["gsm8k"], "limit": 5}},
}


@pytest.mark.parametrize("name", CASES)
def test_the_cell_of_what_was_typed_is_an_equal_spec(name: str, questions: str, tiny: Path) -> None:
    typed = json.loads(json.dumps(CASES[name]).replace("MODEL", str(tiny)))
    page = Page()
    form = EvaluateForm(typed)
    form.add(page)
    assert page.told["faults"] == []
    again = load.evaluate(evaluation(page.told["cell"]))
    wanted = load.evaluate(typed)
    # A cell names the version that was meant.
    pinned = {"dataset": questions} if wanted.dataset else {}
    assert again.model_dump() == wanted.model_copy(update=pinned).model_dump()
    # What a form begins with that a cell opens is the same once more.
    other = Page()
    EvaluateForm(cell=page.told["cell"]).add(other)
    assert other.told["cell"] == page.told["cell"]


@pytest.mark.parametrize(
    ("changes", "path", "said"),
    [
        ({"models": ["nobody"]}, "models.1", "There is no model 'nobody'"),
        ({"models": []}, "", "There are no models"),
        ({"dataset": "nowhere.jsonl"}, "dataset", "nowhere.jsonl"),
        ({"judge": {"model": "MODEL", "metrics": ["helpfulnes"]}}, "judge.metrics", "helpfulness"),
        ({"judge": {"model": "MODEL", "metrics": []}}, "", "no metrics"),
        ({"judge": {"metrics": ["helpfulness"]}}, "judge.model", "missing"),
        ({"generation": {"temperature": -1}}, "generation.temperature", "greater than or equal to 0"),
        ({"limt": 3}, "limt", "Did you mean 'limit'"),
        ({"scorer": [{"preset": "exact"}], "method": "judge"}, "", "takes no 'scorer'"),
    ],
)
def test_what_is_wrong_stands_at_its_field(
    changes: dict[str, Any], path: str, said: str, questions: str, tiny: Path
) -> None:
    typed = json.loads(json.dumps({"method": "judge"} | CASES["judge"] | changes).replace("MODEL", str(tiny)))
    (fault, *_) = draft_evaluation.draft(typed).faults
    assert fault.path == path
    assert said in fault.message


def test_how_much_there_is_to_do(questions: str, tiny: Path) -> None:
    typed = json.loads(json.dumps(CASES["judge"]).replace("MODEL", str(tiny)))
    assert draft_evaluation.draft(typed).estimate == {"rows": 5, "answers": 5, "ratings": 5}
    typed |= {"limit": 2}
    assert draft_evaluation.draft(typed).estimate == {"rows": 2, "answers": 2, "ratings": 2}


def test_a_form_is_checked_and_started_as_the_cell_is(questions: str, tiny: Path) -> None:
    typed = json.loads(json.dumps(CASES["options"]).replace("MODEL", str(tiny)))
    typed |= {"method": "scorer", "compute": {"threads": 1}}
    page = Page()
    form = EvaluateForm(typed)
    form.add(page)
    form.command(page, {"type": "check", "data": typed})
    assert ["rows", "5 of questions@1"] in page.until("plan")["facts"]
    assert len(tl.jobs()) == 0
    while page.told["checking"]:
        time.sleep(0.02)
    form.command(page, {"type": "submit", "data": typed})
    job = tl.job(page.until("submitted"))
    job.cancel()
    assert load.evaluate({k: v for k, v in job.facts["given"].items()}).model_dump() == load.evaluate(
        evaluation(page.told["cell"])
    ).model_copy(update={"name": None}).model_dump() | {"models": job.spec["models"]}
    job.wait(progress=False)
    other = Page()
    EvaluateForm(job=job.id).add(other)
    assert other.told["faults"] == []


def test_a_refusal_is_a_sentence_and_nothing_starts(questions: str, tiny: Path) -> None:
    page = Page()
    form = EvaluateForm({"models": [HOSTILE]})
    form.add(page)
    assert "\x1b" not in json.dumps(page.told["faults"])
    form.command(page, {"type": "submit", "data": {"models": ["nobody"], "scorer": ["exact"], "dataset": questions}})
    assert "There is no model 'nobody'" in page.until("refused")
    with pytest.raises(tl.SpecError, match=r"does not begin with %%evaluate"):
        EvaluateForm(cell="%%customize\nmodel: x")
    assert len(tl.jobs()) == 0
