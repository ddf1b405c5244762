"""The list of many jobs: the cache changes nothing but the time, only news is told, and ends are told once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from test_live import FACTS, SPEC, Seen, _runners, written

from tunelab.jobs import folder as folders
from tunelab.jobs import revive
from tunelab.notebook import jobrows
from tunelab.notebook.activity import Activity
from tunelab.notebook.joblist import JobList

JUDGED = SPEC | {
    **{"kind": "evaluate", "name": "score", "method": "judge", "models": ["smollm2-135m"], "benchmark": None},
    "judge": {"model": "smollm2-360m", "base_url": None, "metrics": ["human_like"]},
}


class Told(Seen):
    """A list's view that keeps which rows were sent, and an activity's that keeps what has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []
        self.ended: list[dict[str, Any]] = []

    def rows(self, name: str, changed: list[dict[str, Any]], order: list[str] | None) -> None:
        self.sent += [row["id"] for row in changed]
        super().rows(name, changed, order)

    def message(self, content: dict[str, Any]) -> None:
        self.ended.append(content)


def ended(name: str, state: str = "completed", reason: str | None = None) -> folders.JobFolder:
    folder, journal = written(SPEC | {"name": name})
    for step in range(1, 9):
        journal.append("metric", step=step, values={"loss": 1 / step, "rewards/margins": step / 7, "entropy": 2.0})
    if state == "completed":
        journal.append("artifact", kind="model", name=f"{name}@1")
    journal.append("state", state=state, reason=reason)
    return folder


def judged(mean: float) -> folders.JobFolder:
    folder, journal = written(JUDGED, facts=FACTS | {"models": ["smollm2-135m"]})
    (folder.path / "results").mkdir()
    tell(folder, mean)
    journal.append("state", state="completed", reason=None)
    return folder


def tell(folder: folders.JobFolder, mean: float) -> None:
    row = {"metric": "human_like", "model": "smollm2-135m", "mean": mean}
    told = {"summary": [row], "baseline": "smollm2-135m"}
    (folder.path / "results" / "summary.json").write_text(json.dumps(told), encoding="utf-8")


def rows() -> list[dict[str, Any]]:
    """What a kernel that was just started shows, once all is read."""
    shown, seen = JobList(), Seen()
    shown.add(seen)
    while seen.values["left"]:
        shown.look()
    shown.look()
    shown.remove(seen)
    listed: list[dict[str, Any]] = seen.values["jobs"]
    return listed


def cache(workspace: Path) -> Path:
    (found,) = (workspace / "cache").glob("job-rows-*.json")
    return found


def test_rows_are_equal_with_and_without_the_cache(workspace: Path) -> None:
    for name, state, reason in (("a", "completed", None), ("b", "failed", "out of memory"), ("c", "cancelled", None)):
        ended(name, state, reason)
    judged(2.0)
    going, _ = written(SPEC | {"name": "goes-on"})
    first = rows()
    assert len(first) == 5
    kept = json.loads(cache(workspace).read_text())["rows"]
    assert set(kept) == {row["id"] for row in first} - {going.id}
    assert rows() == first
    cache(workspace).unlink()
    assert rows() == first


def test_what_has_ended_is_taken_from_the_cache_alone(workspace: Path) -> None:
    folder = ended("a")
    rows()
    told = json.loads(cache(workspace).read_text())
    told["rows"][folder.id][1]["name"] = "from the cache"
    cache(workspace).write_text(json.dumps(told))
    assert [row["name"] for row in rows()] == ["from the cache"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: json.dumps(json.loads(text) | {"form": -1}),
        lambda text: json.dumps(json.loads(text) | {"rows": [1]}),
        lambda text: json.dumps(json.loads(text) | {"rows": {"a": 1}}),
        lambda text: text.replace('"completed"', '"running"'),
    ],
)
def test_a_cache_that_is_damaged_is_ignored_and_written_anew(workspace: Path, damage: Any) -> None:
    ended("a")
    first = rows()
    good = cache(workspace).read_text()
    cache(workspace).write_text(damage(good))
    assert rows() == first
    assert cache(workspace).read_text() == good


def test_a_workspace_where_no_cache_can_be_written_is_shown(workspace: Path) -> None:
    folder = ended("a")
    (workspace / "cache").write_text("a file where the folder would be")
    assert [row["id"] for row in rows()] == [folder.id]


def test_a_journal_or_results_that_changed_since_are_read_again(workspace: Path) -> None:
    folder, scored = ended("a"), judged(2.0)
    rows()
    with folder.journal.open("a") as journal:
        journal.write(json.dumps({"seq": 99, "time": 1.0, "type": "artifact", "kind": "model", "name": "a@7"}) + "\n")
    tell(scored, 1.25)
    by_id = {row["id"]: row for row in rows()}
    assert by_id[folder.id]["model_version"] == "a@7"
    assert by_id[scored.id]["headline"]["mean"] == 1.25


def test_only_what_is_new_is_told(workspace: Path) -> None:
    for name in "abc":
        ended(name)
    going, journal = written()
    shown, seen = JobList(), Told()
    shown.add(seen)
    seen.sent.clear()
    shown.look()
    assert seen.sent == []
    journal.append("metric", step=1, values={"rewards/margins": 0.5})
    shown.look()
    assert seen.sent == [going.id]
    journal.append("state", state="completed", reason=None)
    shown.look()
    shown.look()
    assert seen.sent == [going.id, going.id]
    assert next(row for row in seen.values["jobs"] if row["id"] == going.id)["state"] == "completed"
    assert len(seen.values["jobs"]) == 4


def test_a_damaged_job_hides_no_other(workspace: Path) -> None:
    good, bad = ended("good"), ended("bad")
    bad.spec_file.write_text("{}")
    assert [row["id"] for row in rows()] == [good.id]


def test_a_long_list_comes_in_parts_and_is_whole(workspace: Path) -> None:
    folder = ended("a")
    # As many jobs as take more than one message; copies, since each journal's states are synced to the disk.
    for number in range(250):
        shutil.copytree(folder.path, folder.path.with_name(f"a-20200101-{number:06d}-0000"))
    shown, seen = JobList(), Told()
    shown.add(seen)
    while seen.values["left"]:
        shown.look()
    found = [row["id"] for row in seen.values["jobs"]]
    assert len(found) == 251
    assert found == sorted(found, key=lambda job: job.rsplit("-", 3)[1:3], reverse=True)
    late = Told()
    shown.add(late)
    assert late.values["jobs"] == seen.values["jobs"]
    assert late.values["left"] == 0


def test_an_end_is_told_once_and_only_of_jobs_that_were_seen_going_on(workspace: Path) -> None:
    ended("before")
    going, journal = written()
    scored, scoring = written(JUDGED, facts=FACTS | {"models": ["smollm2-135m"]})
    jobs, seen = JobList(), Told()
    told = Activity(jobs)
    told.add(seen)
    jobs.look()
    assert (seen.values["activity"], seen.ended) == ({"jobs": 1, "evaluations": 1}, [])
    journal.append("artifact", kind="model", name="chatty@1")
    journal.append("state", state="completed", reason=None)
    scoring.append("state", state="failed", reason="the judge cannot be reached")
    for _ in range(3):
        jobs.look()
    assert seen.values["activity"] == {"jobs": 0, "evaluations": 0}
    assert sorted(seen.ended, key=lambda one: str(one["kind"])) == [
        {
            **{"type": "ended", "job": going.id, "name": "chatty", "kind": "customize", "state": "completed"},
            **{"reason": None, "model_version": "chatty@1"},
        },
        {
            **{"type": "ended", "job": scored.id, "name": "score", "kind": "evaluate", "state": "failed"},
            **{"reason": "the judge cannot be reached", "model_version": None},
        },
    ]
    late = Told()
    told.add(late)
    assert (late.values["activity"], late.ended) == ({"jobs": 0, "evaluations": 0}, [])


@pytest.mark.parametrize(
    ("states", "told"),
    [
        ([("cancelled", None)], []),
        ([("paused", None)], []),
        ([("paused", "the disk is full")], ["paused"]),
        ([("paused", "the disk is full"), ("paused", "the disk is full")], ["paused"]),
        ([("paused", "the disk is full"), ("running", None), ("paused", "again")], ["paused", "paused"]),
        ([("paused", "the disk is full"), ("running", None), ("completed", None)], ["paused", "completed"]),
        ([("recovering", "killed"), ("running", None), ("failed", "killed")], ["failed"]),
    ],
)
def test_what_was_asked_for_is_no_news(workspace: Path, states: list[tuple[str, str | None]], told: list[str]) -> None:
    _, journal = written()
    jobs, seen = JobList(), Told()
    Activity(jobs).add(seen)
    jobs.look()
    for state, reason in states:
        journal.append("state", state=state, reason=reason)
        jobs.look()
        jobs.look()
    assert [one["state"] for one in seen.ended] == told


def test_a_job_that_lost_its_process_is_still_given_one(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended("done")
    lost, _ = written()
    rows()
    asked: list[str] = []
    # What a runner then does is test_recovery's.
    monkeypatch.setattr(revive, "revive", lambda folder: asked.append(folder.id))
    rows()
    assert asked == []
    _runners.pop().release()
    rows()
    assert set(asked) == {lost.id}


def test_the_cache_is_written_seldom(workspace: Path) -> None:
    first, journal = written()
    second, later = written()
    shown, seen = JobList(), Seen()
    shown.add(seen)
    journal.append("state", state="completed", reason=None)
    shown.look()
    assert set(json.loads(cache(workspace).read_text())["rows"]) == {first.id}
    later.append("state", state="completed", reason=None)
    shown.look()
    assert second.id not in json.loads(cache(workspace).read_text())["rows"], "twice within seconds"
    assert jobrows._KEEP_EVERY_S >= 5
