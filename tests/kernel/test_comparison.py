"""Jobs beside each other: what differs, what came out, and a table that follows while they train."""

import json
from pathlib import Path
from typing import Any

import pytest

import tunelab as tl
from tunelab.comparison import flatten
from tunelab.jobs import folder as folders
from tunelab.jobs.journal import Journal
from tunelab.jobs.prepare import prepare
from tunelab.notebook.comparison import ComparisonPage
from tunelab.spec import load


@pytest.fixture
def two(workspace: Path, tiny: Path, pairs: Path) -> list[tl.Job]:
    """Two jobs of one name that differ in a few settings; nothing is trained."""
    return [_made(tiny, pairs, r=r, learning_rate=rate) for r, rate in ((4, 1e-4), (8, 2e-4))]


def _made(tiny: Path, pairs: Path, r: int, learning_rate: float) -> tl.Job:
    spec = {
        "model": str(tiny),
        "technique": "dpo",
        "dataset": str(pairs),
        "name": "same",
        "split": 4,
        "adapter": {"r": r},
        "hyperparameters": {"max_steps": 2, "learning_rate": learning_rate},
    }
    prepared = prepare(load.customize(spec))
    folder, lock = folders.create(spec["name"], prepared.spec.model_dump(mode="json"), prepared.facts, prepared.files)
    Journal(folder.journal, "runner").append("state", state="cancelled", reason=None)
    lock.release()
    return tl.job(folder.id)


def _log(job: tl.Job, step: int, **values: float) -> None:
    Journal(job.folder.journal, "worker").append("metric", step=step, values=values)


def test_only_what_differs_is_in_the_table_results_last(two: list[tl.Job]) -> None:
    for step, losses in enumerate([(0.7, 0.6), (0.5, 0.4)], 1):
        for job, loss in zip(two, losses, strict=True):
            _log(job, step, loss=loss)
    specs = tl.compare(*two).specs
    assert list(specs.index) == ["adapter.r", "hyperparameters.learning_rate", "result: loss"]
    assert list(specs.columns) == [job.id for job in two]
    assert [specs.loc[key, two[1].id] for key in specs.index] == [8, 2e-4, 0.4]


def test_metrics_have_the_job_as_a_level_of_their_columns(two: list[tl.Job]) -> None:
    _log(two[0], 1, loss=0.7)
    _log(two[1], 2, loss=0.4)
    frame = tl.compare(two[0].id, two[1].id).metrics()
    assert frame.columns.names == ["job", "metric"]
    assert frame[two[1].id]["loss"].dropna().to_dict() == {2: 0.4}
    assert list(frame.index) == [1, 2]


def test_equal_names_are_told_apart_by_the_end_of_the_id(two: list[tl.Job]) -> None:
    assert tl.compare(*two).names == [f"same · {job.id[-4:]}" for job in two]


@pytest.mark.parametrize(
    ("asked", "said"), [([0], "two jobs or more"), ([0, 0], "there twice"), ([0, "nobody"], "There is no job 'nobody'")]
)
def test_what_cannot_be_compared_is_refused(two: list[tl.Job], asked: list[Any], said: str) -> None:
    with pytest.raises(tl.JobError, match=said):
        tl.compare(*(two[one] if isinstance(one, int) else one for one in asked))


def test_a_name_in_a_spec_is_text_in_the_table(two: list[tl.Job]) -> None:
    two[0].folder.write_spec(two[0].spec | {"name": "<script>alert(1)</script>"})
    shown = tl.compare(two[0].id, two[1].id)._repr_html_()
    assert "<script>" not in shown and "&lt;script&gt;" in shown


def test_lists_of_mappings_have_their_number() -> None:
    spec = {"reward": [{"preset": "number"}, {"source": "reward.py"}], "models": ["a", "b"], "judge": None, "x": {}}
    assert flatten(spec) == {
        "reward.1.preset": "number", "reward.2.source": "reward.py", "models": ["a", "b"], "judge": None, "x": {},
    }  # fmt: skip


class _View:
    def __init__(self) -> None:
        self.shown: dict[str, Any] = {}

    def state(self, **values: Any) -> None:
        self.shown |= json.loads(json.dumps(values))


def test_the_page_follows_results_and_says_what_was_removed(two: list[tl.Job]) -> None:
    page, view = ComparisonPage([job.id for job in two]), _View()
    page.add(view)
    assert [job["id"] for job in view.shown["jobs"]] == [job.id for job in two]
    rows = {row["key"]: row for row in view.shown["differences"]}
    assert rows["adapter.r"]["values"] == [4, 8] and rows["adapter.r"]["differs"]
    assert not rows["technique"]["differs"] and "loss" not in rows
    _log(two[1], 1, loss=0.4)
    page.look()
    rows = {row["key"]: row for row in view.shown["differences"]}
    assert rows["loss"] == {"key": "loss", "values": [None, 0.4], "differs": True, "result": True}
    tl.jobs().remove(two[0].id)
    page.look()
    assert view.shown["removed"] == [two[0].id]
    assert [job["id"] for job in view.shown["jobs"]] == [two[1].id]
    page.remove(view)
    assert not page.wanted()
