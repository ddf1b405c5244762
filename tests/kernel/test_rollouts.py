"""The rollouts of a reinforcement job: kept in the journal, found by step, shown by group, searched; and its alerts."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_live import SPEC, Seen, until, written

from tunelab.jobs.journal import Journal
from tunelab.jobs.manager import Job
from tunelab.jobs.rollouts import Rollouts
from tunelab.notebook.live import live
from tunelab.notebook.snapshot import HEADLINE
from tunelab.notebook.widgets import JobWidget

RLVR: dict[str, Any] = SPEC | {"technique": "rlvr", "name": "solver"}


def told(
    journal: Journal,
    step: int,
    rewards: list[list[float | None]],
    held_out: bool = False,
    completion: Callable[[int, int], str] = lambda group, place: f"answer {group}.{place}",
) -> None:
    """Write a step's answers as the worker does."""
    for group, each in enumerate(rewards):
        for place, reward in enumerate(each):
            journal.append(
                "sample",
                step=step,
                prompt=f"Question {group} of step {step}?",
                completion=completion(group, place),
                reward=reward,
                parts={} if reward is None else {"right": reward, "short": 1.0},
                group=group,
                row=10 * step + group,
                held_out=held_out,
                cut=place == 1,
                tokens=7 + place,
                status="scored" if reward is not None else "timeout",
                note="" if reward is not None else "It took more than 10 s.",
            )


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.jsonl", "worker")


def found(journal: Journal) -> Rollouts:
    return Rollouts(journal.path).read()


def test_each_answer_is_found_by_its_step(journal: Journal) -> None:
    told(journal, 1, [[0.0, 1.0], [0.5, 0.5]])
    journal.append("metric", step=1, values={"reward": 0.5})
    told(journal, 2, [[1.0, 1.0]])
    told(journal, 2, [[0.25]], held_out=True)
    rollouts = found(journal)
    assert rollouts.steps(False) == [1, 2]
    assert rollouts.steps(True) == [2]
    assert (rollouts.count(False), rollouts.count(True)) == (6, 1)
    first, second = rollouts.groups(1)
    assert (first.prompt, first.row, first.number, len(first.answers)) == ("Question 0 of step 1?", 10, 0, 2)
    assert [answer["completion"] for answer in second.answers] == ["answer 1.0", "answer 1.1"]
    assert rollouts.groups(3) == []
    assert rollouts.groups(2, held_out=True)[0].answers[0]["reward"] == 0.25


@pytest.mark.parametrize(
    ("rewards", "mean", "spread", "missing", "teaches_nothing"),
    [
        ([0.0, 1.0], 0.5, 0.5**0.5, 0, False),
        ([1.0, 2.0, 3.0, 4.0], 2.5, 1.2909944487, 0, False),  # numpy.std([1, 2, 3, 4], ddof=1)
        ([0.5, 0.5, 0.5], 0.5, 0.0, 0, True),
        ([0.1 + 0.2, 0.3], 0.3, 0.0, 0, True),
        ([None, 1.0, 0.0], 0.5, 0.5**0.5, 1, False),
        ([None, 1.0], 1.0, None, 1, True),
        ([None, None], None, None, 2, True),
        ([0.5], 0.5, None, 0, False),
    ],
)
def test_what_a_group_says(
    journal: Journal,
    rewards: list[float | None],
    mean: float | None,
    spread: float | None,
    missing: int,
    teaches_nothing: bool,
) -> None:
    told(journal, 1, [rewards])
    (group,) = found(journal).groups(1)
    assert group.mean == pytest.approx(mean)
    assert group.spread == pytest.approx(spread, abs=1e-9)
    assert (group.missing, group.teaches_nothing) == (missing, teaches_nothing)
    ranked = [answer["reward"] for answer in group.ranked()]
    scored = [reward for reward in ranked if reward is not None]
    assert scored == sorted(scored, reverse=True)
    assert ranked[len(scored) :] == [None] * missing


def test_batches_of_a_step_that_count_their_groups_anew_are_told_apart(journal: Journal) -> None:
    for row in (1, 2):
        for place in range(2):
            journal.append(
                "sample", step=0, prompt=str(row), completion="", reward=1.0 * place, parts={}, group=0, row=row
            )
    assert [group.prompt for group in found(journal).groups(0)] == ["1", "2"]
    assert found(journal).frame()["group"].tolist() == [0, 0, 1, 1]


def test_a_recovery_takes_back_what_is_sampled_again(journal: Journal) -> None:
    rollouts = found(journal)
    for step in (1, 2, 3):
        told(journal, step, [[0.0, 1.0]])
    assert rollouts.read().steps(False) == [1, 2, 3]
    journal.append("state", state="recovering", reason="killed", from_step=1)
    assert rollouts.read().steps(False) == [1]
    told(journal, 2, [[0.75, 0.5]], completion=lambda group, place: "the second time")
    assert rollouts.read().steps(False) == [1, 2]
    assert rollouts.groups(2)[0].answers[0]["completion"] == "the second time"
    assert len(rollouts.groups(2)[0].answers) == 2
    # A new reader of the whole journal says the same.
    assert found(journal).frame().equals(rollouts.frame())


def test_a_torn_or_foreign_line_is_passed_over(journal: Journal) -> None:
    told(journal, 1, [[0.0]])
    with journal.path.open("ab") as file:
        file.write(b'{"type":"sample" nonsense\n{"seq":9,"type":"sample","step":1,"comp')
    rollouts = found(journal)
    assert rollouts.count(False) == 1
    told(journal, 2, [[1.0]])
    assert [group.answers[0]["reward"] for step in (1, 2) for group in rollouts.read().groups(step)] == [0.0, 1.0]


def test_what_stays_in_memory_is_small(journal: Journal) -> None:
    line = '{"seq":%d,"type":"sample","step":%d,"prompt":"p","completion":"%s","reward":1.0}\n'
    with journal.path.open("w") as file:
        file.writelines(line % (at + 1, at // 500, "x" * 200) for at in range(50_000))
    rollouts = found(journal)
    assert rollouts.count(False) == 50_000
    assert sum(sys.getsizeof(places) for places in rollouts._places[False].values()) < 50_000 * 12


def test_a_search_finds_text_in_prompts_and_completions_the_newest_step_first(journal: Journal) -> None:
    told(journal, 1, [[0.0, 1.0]], completion=lambda group, place: 'He said "STRASSE"\n' if place else "no")
    told(journal, 2, [[0.0, 1.0]], completion=lambda group, place: "Straße" if place else "no")
    seen = [(group.step, answer["completion"]) for group, answer in found(journal).search("strasse")]
    assert seen == [(2, "Straße"), (1, 'He said "STRASSE"\n')]
    # A prompt is all its answers', and told once.
    assert [group.step for group, _ in found(journal).search("of STEP 1")] == [1]
    assert list(found(journal).search("nowhere")) == []


def test_the_frame_of_a_job(workspace: Path) -> None:
    folder, journal = written(RLVR)
    told(journal, 1, [[0.0, None]])
    told(journal, 2, [[1.0, 0.5]], held_out=True)
    frame = Job(folder).rollouts()
    assert list(frame.columns) == [
        *("step", "group", "row", "held_out", "prompt", "completion", "reward"),
        *("right", "short", "cut", "tokens", "status", "note"),
    ]
    assert frame["reward"].tolist()[0] == 0.0
    assert frame["reward"].isna().tolist() == [False, True, False, False]
    assert frame["short"].isna().tolist() == [False, True, False, False]
    assert frame["note"].tolist()[1] == "It took more than 10 s."
    assert Job(folder).rollouts(held_out=True)["step"].tolist() == [2, 2]
    assert Job(folder).rollouts(step=1, held_out=True).empty
    assert list(Job(folder).rollouts(step=9).columns)[:3] == ["step", "group", "row"]


def test_a_part_that_is_named_as_a_column_stays_apart(journal: Journal) -> None:
    journal.append("sample", step=1, prompt="", completion="", reward=1.0, parts={"tokens": 0.5, "b": 0.25}, tokens=3)
    frame = found(journal).frame()
    assert (frame["tokens"][0], frame["part tokens"][0], frame["b"][0]) == (3, 0.5, 0.25)


class Asks(Seen):
    """A view that remembers what it was answered."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[dict[str, Any]] = []

    def message(self, content: dict[str, Any]) -> None:
        self.answers.append(content)


def answer(shown: Any, view: Asks, **content: Any) -> dict[str, Any]:
    before = len(view.answers)
    shown.command(view, content)
    until(lambda: len(view.answers) > before)
    return view.answers[-1]


def test_a_view_knows_which_rollouts_there_are_and_asks_for_their_texts(workspace: Path) -> None:
    folder, journal = written(RLVR)
    shown, view = live(folder.id), Asks()
    shown.add(view)
    assert view.values["rollouts"]["trained"] == {"steps": [], "answers": 0}
    told(journal, 1, [[0.25, None, 1.0], [0.5, 0.5]], completion=lambda group, place: "x" * 5000)
    told(journal, 3, [[0.0, 1.0]])
    told(journal, 5, [[1.0]], held_out=True)
    until(lambda: view.values["rollouts"]["held_out"]["answers"])
    assert view.values["rollouts"]["trained"] == {"steps": [[1, 2, 2]], "answers": 7}
    assert view.values["rollouts"]["held_out"] == {"steps": [[5, 0, 1]], "answers": 1}
    assert "xxx" not in str(view.values)

    said = answer(shown, view, type="rollouts", step=1, held_out=False)
    assert (said["type"], said["step"], said["held_out"], said["left_off"]) == ("rollouts", 1, False, 0)
    first, second = said["groups"]
    assert (first["row"], first["answers"], first["missing"], first["cut"], first["mean"]) == (10, 3, 1, 1, 0.625)
    assert (first["best"]["reward"], first["worst"]["reward"], first["best"]["parts"]["right"]) == (1.0, 0.25, 1.0)
    assert len(first["best"]["completion"]) == 601
    assert (first["no_spread"], second["no_spread"]) == (False, True)

    whole = answer(shown, view, type="group", step=1, held_out=False, group=0)
    assert [each["reward"] for each in whole["answers"]] == [1.0, 0.25, None]
    assert len(whole["answers"][0]["completion"]) == 5000
    assert (whole["answers"][2]["status"], whole["answers"][2]["note"]) == ("timeout", "It took more than 10 s.")

    alone = answer(shown, view, type="rollouts", step=5, held_out=True)["groups"][0]
    assert alone["worst"] is None and not alone["no_spread"]
    assert answer(shown, view, type="rollouts", step=4, held_out=False)["groups"] == []
    assert answer(shown, view, type="group", step=1, held_out=False, group=9)["answers"] == []


def test_a_search_of_a_view_shows_what_stands_around(workspace: Path) -> None:
    folder, journal = written(RLVR)
    told(journal, 1, [[1.0]], completion=lambda group, place: f"{'a ' * 100}The\n<b>Answer</b> is {'z' * 300}")
    shown, view = live(folder.id), Asks()
    shown.add(view)
    said = answer(shown, view, type="search", text="answer")
    (hit,) = said["hits"]
    assert (said["found"], hit["step"], hit["group"], hit["where"], hit["match"]) == (1, 1, 0, "completion", "Answer")
    assert hit["before"].startswith("…") and hit["before"].endswith("The <b>")
    assert hit["after"].startswith("</b> is z") and hit["after"].endswith("…")
    told(journal, 2, [[0.5]] * 150)
    said = answer(shown, view, type="search", text="question")
    assert (len(said["hits"]), said["found"], said["hits"][0]["where"]) == (100, 151, "prompt")
    assert answer(shown, view, type="search", text="  ")["hits"] == []


def test_a_view_that_asks_for_a_removed_job_is_told(workspace: Path) -> None:
    folder, journal = written(RLVR)
    told(journal, 1, [[1.0]])
    shown, view = live(folder.id), Asks()
    shown.add(view)
    folder.journal.unlink()
    shown.command(view, {"type": "rollouts", "step": 1, "held_out": False})
    until(lambda: view.notices)
    assert view.notices == ["The rollouts cannot be read: the job was removed."]


def test_of_questions_that_wait_the_last_one_is_answered(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, journal = written(RLVR)
    for step in range(1, 31):
        told(journal, step, [[1.0]])
    shown, view = live(folder.id), Asks()
    shown.add(view)
    real = Rollouts.groups
    monkeypatch.setattr(Rollouts, "groups", lambda *asked: (time.sleep(0.02), real(*asked))[1])
    for step in range(1, 31):
        shown.command(view, {"type": "rollouts", "step": step, "held_out": False})
    until(lambda: view.answers and view.answers[-1]["step"] == 30)
    assert len(view.answers) < 25


def test_other_jobs_have_no_rollouts(workspace: Path) -> None:
    shown, view = live(written(SPEC)[0].id), Asks()
    shown.add(view)
    shown.command(view, {"type": "rollouts", "step": 1, "held_out": False})
    assert view.values["rollouts"] is None and view.answers == []


def test_a_widget_answers_too(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, journal = written(RLVR)
    told(journal, 1, [[0.5, 1.0]])
    widget = JobWidget(live(folder.id))
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(widget, "send", sent.append)
    widget._handle_custom_msg({"type": "rollouts", "step": 1, "held_out": False}, [])
    until(lambda: sent)
    assert sent[0]["groups"][0]["best"]["reward"] == 1.0
    assert widget.rollouts["trained"]["answers"] == 2
    widget.close()


def test_alerts_say_the_last_word_of_each_and_a_recovery_takes_later_ones_back(workspace: Path) -> None:
    folder, journal = written(RLVR)
    for step, code in ((10, "no_spread"), (20, "length"), (30, "no_spread"), (40, "no_spread")):
        journal.append("alert", code=code, message=f"{code} at {step}.", advice="Do this.", step=step)
    job = Job(folder)
    assert job.alerts == [
        {"code": "no_spread", "message": "no_spread at 40.", "advice": "Do this.", "step": 40, "count": 3},
        {"code": "length", "message": "length at 20.", "advice": "Do this.", "step": 20, "count": 1},
    ]
    journal.append("state", state="recovering", reason="killed", from_step=15)
    assert [(alert["message"], alert["count"]) for alert in job.alerts] == [("no_spread at 10.", 1)]
    assert live(folder.id).state()["snapshot"]["alerts"] == job.alerts


def test_the_list_is_headed_by_the_reward() -> None:
    assert HEADLINE["rlvr"] == HEADLINE["rlaif"] == "reward"
