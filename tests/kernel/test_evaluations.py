"""The results of an evaluation on show: what a page is told of them, and what it may ask for."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest
from test_live import Seen, until, written

from tunelab.evaluation import compare, results
from tunelab.jobs.folder import JobFolder
from tunelab.jobs.journal import Journal
from tunelab.jobs.manager import Job
from tunelab.notebook import recordtable
from tunelab.notebook.display import job_html
from tunelab.notebook.joblist import JobList
from tunelab.notebook.live import Live, live
from tunelab.notebook.widgets import JobWidget

BASE, TUNED, BIG = "smollm2-135m", "chatty@1", "big"
SPEC: dict[str, Any] = {
    "kind": "evaluate",
    "name": "chatty",
    "models": [BASE, TUNED],
    "dataset": "human-like-eval@1",
    "method": "judge",
    "judge": {"model": "smollm2-360m", "base_url": None, "metrics": ["human_like"]},
    "scorer": [],
    "benchmark": None,
}
FACTS: dict[str, Any] = {
    "given": {"method": "judge", "dataset": "human-like-eval@1", "models": [BASE, TUNED]},
    "submitted_ns": 1_790_000_000_000_000_000,
    "rows": 6,
    "models": [BASE, TUNED],
}
NAN = math.nan
HOSTILE = "<script>alert(1)</script> \x1b[31mred\x1b[0m **bold** ![x](http://x/y.png)"
#: Id, metadata, prompt, and of each model the answer and the score by human_like.
ROWS: list[tuple[str, str, str, str, float, str, float]] = [
    ("a", "food", "What is your favourite cuisine?", "I am a model.", 1, "Ooh, Italian!", 3),
    ("b", "weather", "Do you like rainy days?", "I have no feelings.", 2, "STRASSE, yes!", 3),
    ("c", "work", "Can you help me with a letter?", "To whom is it?", 3, "Sure thing!!", 2),
    ("d", "food", HOSTILE, "Soup", 2, f"Soup {HOSTILE}", 2),
    ("e", "work", "Who reads this?", "x" * 5000, 1, "Nobody", NAN),
    ("10", "food", "And why?", "Because", NAN, "No idea", 1),
]


def lines(metric: str = "human_like", turned: bool = False) -> list[dict[str, Any]]:
    """The lines of records.parquet; `turned` exchanges the models' scores."""
    told = []
    for number, (identity, topic, prompt, base, first, tuned, second) in enumerate(ROWS, 1):
        scores = (second, first) if turned else (first, second)
        for model, text, score in zip((BASE, TUNED), (base, tuned), scores, strict=True):
            is_scored = not math.isnan(score)
            told.append(
                {
                    **{"id": identity, "number": number, "model": model, "metric": metric, "prompt": prompt},
                    **{"ground_truth": "42" if identity == "e" else None, "prediction": text, "score": score},
                    **{"label": "somewhat" if is_scored else None, "reasoning": f"It reads as {topic}. {HOSTILE}"},
                    **{"raw": f'{{"score": {score}}}', "status": "scored" if is_scored else "unparsed"},
                    **{"note": "" if is_scored else "No JSON.", "against": None, "flipped": False, "latency_s": 0.5},
                    **{"tokens_in": 10, "tokens_out": 5, "cost": None, "cut": identity == "e", "topic": topic},
                }
            )
    return told


METRIC = {"name": "human_like", "low": 1.0, "high": 3.0, "labels": None, "pairwise": False, "label": "human_like@1"}


def evaluated(
    told: list[dict[str, Any]] | None = None, models: list[str] | None = None, pairwise: bool = False
) -> tuple[JobFolder, Journal]:
    """A job's folder with results, as the worker leaves them."""
    folder, journal = written(SPEC, facts=FACTS)
    store(folder, lines() if told is None else told, models or [BASE, TUNED], pairwise)
    return folder, journal


def store(folder: JobFolder, told: list[dict[str, Any]], models: list[str], pairwise: bool = False) -> None:
    records = pd.DataFrame(told)
    names = list(dict.fromkeys(records["metric"]))
    summary = {
        "method": "judge",
        "models": models,
        "baseline": models[0],
        "metrics": [METRIC | {"name": name, "pairwise": pairwise} for name in names],
        "summary": [row.as_dict() for row in compare.summarize(records, models)],
        "notes": [{"code": "overlap", "message": "1 of 6 questions is in the training data."}],
        "costs": [],
        "columns": ["topic"],
        "rows": records["id"].nunique(),
        "benchmarks": None,
        "judges": None,
        "seed": 0,
    }
    results.write(folder.path / "results", records, summary)


class Asks(Seen):
    """A page that remembers what it was answered."""

    def __init__(self, folder: JobFolder) -> None:
        super().__init__()
        self.answers: list[dict[str, Any]] = []
        self.files: list[bytes] = []
        self.shown = live(folder.id)
        self.shown.add(self)

    def message(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        json.dumps(content, allow_nan=False)
        self.files += buffers or []
        self.answers.append(content)

    @property
    def evaluation(self) -> dict[str, Any]:
        found: dict[str, Any] = self.values["evaluation"]
        return found

    def ask(self, **content: Any) -> dict[str, Any]:
        before, refused = len(self.answers), len(self.notices)
        self.shown.command(self, content)
        until(lambda: len(self.answers) > before or len(self.notices) > refused)
        return self.answers[-1] if len(self.answers) > before else {}

    def records(self, **changes: Any) -> dict[str, Any]:
        asked = {"metric": "human_like", "model": TUNED, "filter": "all", "search": "", "column": None}
        asked |= {"sort": {"by": "row", "descending": False}, "offset": 0, "count": 50}
        return self.ask(type="records", **(asked | changes))

    def ids(self, **changes: Any) -> str:
        return " ".join(row["id"] for row in self.records(**changes)["rows"])


def by(key: str, descending: bool = False) -> dict[str, Any]:
    return {"sort": {"by": key, "descending": descending}}


#: What a page asks for, and the ids that it is to see, in this order.
ASKED: list[tuple[dict[str, Any], str]] = [
    ({}, "a b c d e 10"),
    ({"filter": "improved"}, "a b"),
    ({"filter": "equal"}, "d"),
    ({"filter": "degraded"}, "c"),
    ({"filter": "unscored"}, "e 10"),
    ({"filter": "unscored", "model": BASE}, "10"),
    ({"filter": "improved", "model": BASE}, ""),
    ({"filter": "overruled"}, ""),
    (by("row", True), "10 e d c b a"),
    (by("difference"), "c d b a e 10"),
    (by("difference", True), "a b d c e 10"),
    (by("score"), "10 c d a b e"),
    (by("score", True), "a b c d 10 e"),
    (by("baseline"), "a e b d c 10"),
    (by("baseline", True), "c b d a e 10"),
    (by("id"), "10 a b c d e"),
    (by("id", True), "e d c b a 10"),
    (by("difference", True) | {"filter": "improved"}, "a b"),
    ({"search": "SOUP"}, "d"),
    ({"search": "strasse"}, "b"),
    ({"search": "rainy"}, "b"),
    ({"search": "42"}, "e"),
    ({"search": "reads as WORK"}, "c e"),
    ({"search": "<script>"}, "a b c d e 10"),
    ({"search": "\x1b[31m"}, "a b c d e 10"),
    ({"search": ".*"}, ""),
    ({"search": "**bold"}, "a b c d e 10"),
    ({"search": "  Italian "}, "a"),
    ({"search": "nowhere"}, ""),
    ({"search": "?", "filter": "degraded"}, "c"),
    ({"column": {"name": "topic", "value": "food"}}, "a d 10"),
    ({"column": {"name": "topic", "value": "food"}, "filter": "improved"}, "a"),
    ({"column": {"name": "topic", "value": "none"}}, ""),
    ({"column": {"name": "missing", "value": "x"}}, ""),
    ({"offset": 4}, "e 10"),
    ({"offset": 1, "count": 2}, "b c"),
    ({"offset": 6}, ""),
    ({"offset": 9, "count": 2}, ""),
    ({"count": 0}, ""),
    ({"metric": "no such"}, ""),
    ({"model": "no such"}, ""),
    ({"filter": "no such"}, ""),
]


@pytest.fixture
def page(workspace: Path) -> Asks:
    return Asks(evaluated()[0])


def test_a_page_of_the_table_is_what_was_asked_for(page: Asks) -> None:
    for asked, ids in ASKED:
        assert page.ids(**asked) == ids, asked
    assert page.records(count=2)["total"] == 6
    assert page.records(filter="unscored", offset=1)["total"] == 2
    assert page.notices == []


def test_a_row_has_its_answers_cut_and_all_that_was_asked_with_it(page: Asks) -> None:
    said = page.records(filter="unscored", count=1)
    assert (said["type"], said["filter"], said["model"], said["offset"]) == ("records", "unscored", TUNED, 0)
    assert said["rows"] == [
        {
            "id": "e",
            "number": 5,
            "prompt": "Who reads this?",
            "ground_truth": "42",
            "answers": {BASE: "x" * 600 + "…", TUNED: "Nobody"},
            "scores": {
                BASE: {"score": 1.0, "label": "somewhat", "status": "scored", "human": None},
                TUNED: {"score": None, "label": None, "status": "unparsed", "human": None},
            },
            "difference": None,
            "outcome": "unscored",
        }
    ]
    first = page.records()["rows"][0]
    assert (first["difference"], first["outcome"], first["ground_truth"]) == (2.0, "improved", None)
    # The baseline is held against nothing.
    assert [row["outcome"] for row in page.records(model=BASE)["rows"]] == [None] * 5 + ["unscored"]


def test_a_record_alone_is_whole(page: Asks) -> None:
    said = page.ask(type="record", id="e", metric="human_like")
    base, tuned = said["models"][BASE], said["models"][TUNED]
    assert (said["number"], said["ground_truth"], said["columns"]) == (5, "42", {"topic": "work"})
    assert (base["text"], base["score"], base["cut"], base["latency_s"]) == ("x" * 5000, 1.0, True, 0.5)
    assert (tuned["score"], tuned["status"], tuned["note"], tuned["raw"]) == (
        *(None, "unparsed", "No JSON."),
        '{"score": nan}',
    )
    # Text is text: as it is in the file, to the letter.
    said = page.ask(type="record", id="d", metric="human_like")
    assert said["prompt"] == HOSTILE
    assert said["models"][TUNED]["text"] == f"Soup {HOSTILE}"
    assert said["models"][BASE]["reasoning"] == f"It reads as food. {HOSTILE}"
    page.ask(type="record", id="zzz", metric="human_like")
    assert page.notices == ["There is no record 'zzz' with the metric 'human_like'."]


def test_a_column_is_split_by_its_values(page: Asks) -> None:
    said = page.ask(type="values", column="topic")
    assert said["values"] == [
        {"value": "food", "count": 3},
        {"value": "work", "count": 2},
        {"value": "weather", "count": 1},
    ]
    assert said["left_off"] == 0


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([1, 1, 2, 2, 2, 3], [(2, 3), (1, 2), (3, 1)]),
        ([0.5, 0.5, NAN, NAN, NAN, 1.0], [(None, 3), (0.5, 2), (1.0, 1)]),
        ([True, True, False, False, False, False], [(False, 4), (True, 2)]),
        ([None, None, None, None, "1", "1"], [(None, 4), ("1", 2)]),
        ([["a"], ["a"], ["b"], ["a"], ["a"], ["b"]], [("['a']", 4), ("['b']", 2)]),
        ([2**60] * 6, [(str(2**60), 6)]),
        ([HOSTILE] * 6, [(HOSTILE, 6)]),
    ],
)
def test_values_of_any_kind_are_told_and_found_again(
    workspace: Path, values: list[Any], told: list[tuple[Any, int]]
) -> None:
    made = lines()
    for place, line in enumerate(made):
        line["topic"] = values[place // 2]
    page = Asks(evaluated(made)[0])
    said = page.ask(type="values", column="topic")
    assert [(each["value"], each["count"]) for each in said["values"]] == told
    for value, count in told:
        assert page.records(column={"name": "topic", "value": value})["total"] == count


def test_the_summary_counts_what_its_filters_keep(workspace: Path) -> None:
    made = [*lines(), *lines("helpful", turned=True)]
    page = Asks(evaluated(made)[0])
    shown = page.evaluation
    assert (shown["baseline"], shown["models"], shown["columns"], shown["rows"]) == (BASE, [BASE, TUNED], ["topic"], 6)
    rows = {(row["metric"], row["model"]): row for row in shown["summary"]}
    assert rows["human_like", TUNED]["counts"] == {
        **{"all": 6, "improved": 2, "equal": 1, "degraded": 1, "unscored": 2},
        "overruled": 0,
    }
    for (metric, model), row in rows.items():
        for name, count in row["counts"].items():
            assert page.records(metric=metric, model=model, filter=name)["total"] == count, (metric, model, name)
    assert page.ids(metric="helpful", filter="degraded") == "a b"


def test_a_candidate_that_was_judged_against_the_baseline(workspace: Path) -> None:
    made = [line | {"against": BASE} for line in lines() if line["model"] == TUNED]
    for line, score in zip(made, (1.0, 0.5, 0.0, 0.5, NAN, 1.0), strict=True):
        line |= {"score": score, "flipped": score == 0.5, "status": "error" if math.isnan(score) else "scored"}
    page = Asks(evaluated(made, pairwise=True)[0])
    outcomes = [(row["id"], row["difference"], row["outcome"]) for row in page.records()["rows"]]
    assert outcomes == [
        *(("a", 1.0, "improved"), ("b", 0.0, "equal"), ("c", -1.0, "degraded")),
        *(("d", 0.0, "equal"), ("e", None, "unscored"), ("10", 1.0, "improved")),
    ]
    row = next(row for row in page.evaluation["summary"] if row["model"] == TUNED)
    for name, count in row["counts"].items():
        assert page.records(filter=name)["total"] == count, name
    assert list(page.records()["rows"][0]["answers"]) == [TUNED]


def test_a_model_alone_and_three(workspace: Path) -> None:
    alone = Asks(evaluated([line for line in lines() if line["model"] == BASE], [BASE])[0])
    assert alone.ids(model=BASE) == "a b c d e 10"
    assert alone.evaluation["summary"][0]["counts"] == {
        **{"all": 6, "improved": 0, "equal": 0, "degraded": 0, "unscored": 1},
        "overruled": 0,
    }
    third = [line | {"model": BIG, "score": 3.0} for line in lines() if line["model"] == BASE]
    page = Asks(evaluated([*lines(), *third], [BASE, TUNED, BIG])[0])
    assert page.ids(model=BIG, filter="improved") == "a b d e"
    assert list(page.records()["rows"][0]["answers"]) == [BASE, TUNED, BIG]
    # A record that one of them lacks has not what the file's last line says.
    third[-1]["prediction"] = "The last line"
    page = Asks(evaluated([*lines(), *third[1:]], [BASE, TUNED, BIG])[0])
    assert list(page.records()["rows"][0]["answers"]) == [BASE, TUNED]
    assert page.ids(search="the last line") == "10"
    assert page.ids(model=BIG, filter="unscored") == "a 10"


def test_a_score_is_overruled_and_both_are_shown(page: Asks) -> None:
    before = page.evaluation["version"]
    page.shown.command(page, {"type": "overrule", "id": "c", "model": TUNED, "metric": "human_like", "score": 3})
    until(lambda: page.evaluation["summary"][1]["human_summary"])
    assert page.evaluation["version"] > before
    row = page.evaluation["summary"][1]
    human = row["human_summary"]
    assert (row["degraded"], human["degraded"]) == (0.25, 0.0)
    assert (row["mean"], human["mean"]) == (pytest.approx(11 / 5), pytest.approx(12 / 5))
    assert page.evaluation["summary"][0]["human_summary"] is None
    assert row["counts"]["overruled"] == 1
    assert page.ids(filter="overruled") == "c"
    (found,) = page.records(filter="overruled")["rows"]
    # What the judge said is still there, and what the filters go by.
    assert found["scores"][TUNED] == {"score": 2.0, "label": "somewhat", "status": "scored", "human": 3.0}
    assert (found["outcome"], found["difference"]) == ("degraded", -1.0)
    assert page.ask(type="record", id="c", metric="human_like")["models"][TUNED]["human"] == 3.0

    page.shown.command(page, {"type": "overrule", "id": "c", "model": TUNED, "metric": "human_like", "score": None})
    until(lambda: page.evaluation["summary"][1]["counts"]["overruled"] == 0)
    assert page.evaluation["summary"][1]["human_summary"] is None
    assert page.ids(filter="overruled") == ""


def test_a_score_of_the_baseline_that_is_overruled_changes_the_candidates_summary(page: Asks) -> None:
    page.shown.command(page, {"type": "overrule", "id": "a", "model": BASE, "metric": "human_like", "score": 3})
    until(lambda: page.evaluation["summary"][1]["human_summary"])
    base, tuned = page.evaluation["summary"]
    assert (tuned["improved"], tuned["human_summary"]["improved"]) == (0.5, 0.25)
    assert (base["counts"]["overruled"], tuned["counts"]["overruled"]) == (1, 1)
    assert page.ids(filter="overruled") == page.ids(filter="overruled", model=BASE) == "a"


@pytest.mark.parametrize(
    "changes", [{"id": "zzz"}, {"model": "nobody"}, {"metric": "nothing"}, {"score": 17}, {"score": "three"}]
)
def test_a_score_that_cannot_be_overruled_is_told(page: Asks, changes: dict[str, Any]) -> None:
    asked = {"type": "overrule", "id": "c", "model": TUNED, "metric": "human_like", "score": 3} | changes
    page.shown.command(page, asked)
    until(lambda: page.notices)
    (notice,) = page.notices
    assert str(next(iter(changes.values()))) in notice
    assert "Error:" not in notice, "a sentence, not another library's words"
    assert not (page.shown.job.folder.path / "results" / "overrules.jsonl").exists()


def test_what_others_overrule_is_seen_with_the_next_question(page: Asks) -> None:
    results.Result.read(page.shown.job.folder.path / "results").overrule("a", TUNED, "human_like", 1)
    assert page.records(filter="overruled")["total"] == 1
    until(lambda: page.evaluation["summary"][1]["human_summary"])
    # A page that is opened afterwards has it too.
    other = Asks(page.shown.job.folder)
    assert other.evaluation == page.evaluation


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_results_are_exported(page: Asks, tmp_path: Path, form: str) -> None:
    said = page.ask(type="export", format=form)
    name = f"{page.shown.job.id}.{form}"
    assert said == {"type": "exported", "name": name, "format": form}
    (data,) = page.files
    (tmp_path / name).write_bytes(data)
    read = {"csv": pd.read_csv, "json": pd.read_json, "parquet": pd.read_parquet}[form]
    frame = read(tmp_path / name)
    assert len(frame) == 12
    assert list(frame["score"].dropna()) == [line["score"] for line in lines() if not math.isnan(line["score"])]
    assert HOSTILE in set(frame["prompt"])


def test_a_form_that_there_is_not_is_refused(page: Asks) -> None:
    page.ask(type="export", format="xlsx")
    assert page.notices == ["Results are exported as csv, json, parquet, not as 'xlsx'."]


def test_a_job_that_runs_has_no_results_yet_and_says_what_it_does(workspace: Path) -> None:
    folder, journal = written(SPEC, facts=FACTS)
    page = Asks(folder)
    assert page.values["evaluation"] is None
    journal.append("log", level="info", text="chatty@1 answers 6 questions")
    until(lambda: page.values["snapshot"]["phase"] == "chatty@1 answers 6 questions")
    journal.append("progress", step=3, total=12, eta_s=9.0)
    until(lambda: page.values["snapshot"]["step"] == 3)
    assert page.values["snapshot"]["sentence"] == "Running: step 3 of 12, about 9 s left"
    page.records()
    assert page.notices == ["The results cannot be read: there are none yet, or the job was removed."]
    store(folder, lines(), [BASE, TUNED])
    journal.append("state", state="completed", reason=None)
    until(lambda: page.values["snapshot"]["state"] == "completed")
    assert page.evaluation["rows"] == 6
    assert page.ids(filter="degraded") == "c"


def test_results_that_are_written_anew_are_read_anew(page: Asks) -> None:
    assert page.ids(filter="improved") == "a b"
    before = page.evaluation["version"]
    store(page.shown.job.folder, lines(turned=True), [BASE, TUNED])
    assert page.ids(filter="improved") == "c"
    assert page.evaluation["version"] > before


def test_of_questions_that_wait_the_last_one_is_answered_and_every_score_is_written(
    page: Asks, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = recordtable.Records.order
    monkeypatch.setattr(recordtable.Records, "order", lambda *asked: (time.sleep(0.02), real(*asked))[1])
    for offset in range(30):
        page.shown.command(
            page,
            {"type": "records", "metric": "human_like", "model": TUNED, "filter": "all", "search": "", "column": None}
            | by("row")
            | {"offset": offset, "count": 1},
        )
        if offset < 6:
            overrule = {"type": "overrule", "id": ROWS[offset][0], "model": TUNED, "metric": "human_like", "score": 1}
            page.shown.command(page, overrule)
    until(lambda: page.answers and page.answers[-1]["offset"] == 29)
    assert len(page.answers) < 25
    until(lambda: page.evaluation["summary"][1]["counts"]["overruled"] == 6)


def test_a_hundred_thousand_records_are_asked_for_at_once(workspace: Path) -> None:
    count = 100_000
    frame = pd.DataFrame(lines()[:2] * count)
    frame["id"] = [f"r{place // 2}" for place in range(2 * count)]
    frame["number"] = [place // 2 + 1 for place in range(2 * count)]
    frame["score"] = [float(place * 7919 % 5) for place in range(2 * count)]
    frame["topic"] = [f"topic {place // 2 % 7}" for place in range(2 * count)]
    frame.loc[2 * 77_777 + 1, "prediction"] = "The needle in it."
    folder, _ = written(SPEC, facts=FACTS)
    (folder.path / "results").mkdir()
    frame.to_parquet(folder.path / "results" / "records.parquet")
    scores = frame["score"].to_numpy().reshape(-1, 2)
    difference = scores[:, 1] - scores[:, 0]
    summary = {"models": [BASE, TUNED], "baseline": BASE, "metrics": [METRIC], "summary": [], "notes": []}
    (folder.path / "results" / "summary.json").write_text(json.dumps(summary | {"columns": [], "benchmarks": None}))
    page = Asks(folder)
    page.records()
    page.ask(type="values", column="topic")
    begin = time.process_time()
    assert page.records(filter="degraded", count=1)["total"] == (difference < 0).sum()
    shown = page.records(**by("difference", True), offset=50_000, count=200)["rows"]
    assert [row["difference"] for row in shown] == sorted(difference, reverse=True)[50_000:50_200]
    assert page.ids(search="NEEDLE") == "r77777"
    assert page.records(column={"name": "topic", "value": "topic 3"})["total"] == sum(
        place % 7 == 3 for place in range(count)
    )
    # Some 0.1 s each; what others take of the machine is no matter here.
    assert time.process_time() - begin < 4


def test_a_view_that_left_is_answered_no_more_and_memory_is_given_up(page: Asks) -> None:
    page.records()
    desk = page.shown._evaluation
    assert desk and desk._records
    page.shown.remove(page)
    assert desk._records is None


def test_an_evaluation_is_let_go_when_nobody_holds_it(workspace: Path) -> None:
    import gc
    import weakref

    gc.disable()
    try:
        shown = live(evaluated()[0].id)
        gone = weakref.ref(shown)
        del shown
        assert gone() is None
    finally:
        gc.enable()


def test_a_widget_answers_too(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    widget = JobWidget(live(evaluated()[0].id))
    assert widget.evaluation["rows"] == 6
    sent: list[tuple[dict[str, Any], Any]] = []
    monkeypatch.setattr(widget, "send", lambda content, buffers=None: sent.append((content, buffers)))
    widget._handle_custom_msg({"type": "values", "column": "topic"}, [])
    widget._handle_custom_msg({"type": "export", "format": "csv"}, [])
    until(lambda: len(sent) == 2)
    told = {content["type"]: buffers for content, buffers in sent}
    assert told["values"] is None
    assert told["exported"][0].startswith(b"id,model,")
    widget.close()


def test_other_jobs_have_no_results(workspace: Path) -> None:
    page = Asks(written()[0])
    page.shown.command(page, {"type": "values", "column": "topic"})
    assert page.values["evaluation"] is None and page.answers == []


#: What a spec has, and what a snapshot says of it: technique, model, dataset, adapter.
SPECS: dict[str, tuple[dict[str, Any], list[str], tuple[str, str, str, str]]] = {
    "judge": (
        {},
        [BASE, TUNED],
        ("judge", "chatty@1 against smollm2-135m", "human-like-eval@1", "human_like · judge: local smollm2-360m"),
    ),
    "three, one a folder": (
        {"judge": SPEC["judge"] | {"base_url": "http://localhost:1", "metrics": [{"name": "warm"}, "helpfulness"]}},
        ["/models/of/mine/tiny", TUNED, BIG],
        ("judge", "chatty@1 and big against tiny", "human-like-eval@1", "warm, helpfulness · judge: smollm2-360m"),
    ),
    "scorers": (
        {"method": "scorer", "judge": None, "scorer": [{"preset": "exact"}, {"name": "short", "source": "reward.py"}]},
        [BASE],
        ("scorer", BASE, "human-like-eval@1", "exact, short"),
    ),
    "benchmark": (
        {"method": "benchmark", "judge": None, "dataset": None, "benchmark": {"tasks": ["gsm8k", "mmlu"]}},
        [BASE],
        ("benchmark", BASE, "gsm8k, mmlu", ""),
    ),
    "meta": (
        {"method": "meta", "models": []},
        [],
        ("meta", "smollm2-360m", "human-like-eval@1", "human_like · judge: local smollm2-360m"),
    ),
}


@pytest.mark.parametrize(("changes", "models", "told"), SPECS.values(), ids=SPECS.keys())
def test_what_the_head_of_a_view_says(
    workspace: Path, changes: dict[str, Any], models: list[str], told: tuple[str, ...]
) -> None:
    folder, _ = written(SPEC | changes, facts=FACTS | {"models": models})
    now = live(folder.id).state()["snapshot"]
    assert tuple(now[key] for key in ("technique", "model", "dataset", "adapter")) == told
    assert (now["kind"], now["name"], now["rows"], now["epochs"]) == (
        *("evaluate", "chatty"),
        {"train": 0, "eval": 6},
        None,
    )
    seen = Seen()
    JobList().add(seen)
    (row,) = seen.values["jobs"]
    assert (row["model"], row["metrics"], row["spark"]) == (told[1], [], [])


def test_a_row_of_the_list_says_how_an_evaluation_went_once_it_is_completed(workspace: Path) -> None:
    _, journal = evaluated()
    shown, seen = JobList(), Seen()
    shown.add(seen)
    # The results are there before the job says that it has ended.
    assert seen.values["jobs"][0]["headline"] is None
    journal.append("state", state="completed", reason=None)
    shown.look()
    headline = seen.values["jobs"][0]["headline"]
    assert headline == {
        **{"metric": "human_like", "model": None, "mean": 2.2, "agreement": None, "more": 0},
        **{"improved": 0.5, "equal": 0.25, "degraded": 0.25},
    }


def judged(metric: str, model: str, **told: Any) -> dict[str, Any]:
    return {"metric": metric, "model": model, "mean": 1.5, "improved": None, "equal": None, "degraded": None} | told


SHARES = {"improved": 0.5, "equal": 0.5, "degraded": 0.0}
HEADLINES: dict[str, tuple[Any, dict[str, Any] | None]] = {
    "two models by two metrics": (
        [
            *[judged("tone", BASE), judged("tone", "/models/of/mine/tiny", **SHARES), judged("tone", BIG)],
            *[judged("facts", BASE), judged("facts", "/models/of/mine/tiny"), judged("facts", BIG)],
        ],
        {"metric": "tone", "model": "tiny", "mean": 1.5, "agreement": None, "more": 3} | SHARES,
    ),
    "the baseline alone": (
        [judged("tone", BASE)],
        {"metric": "tone", "model": None, "mean": 1.5, "agreement": None, "more": 0} | dict.fromkeys(SHARES),
    ),
    "nothing": ([], None),
    "damaged": (7, None),
}


@pytest.mark.parametrize(("summary", "expected"), HEADLINES.values(), ids=HEADLINES.keys())
def test_the_headline_is_of_what_is_held_against_the_baseline(
    workspace: Path, summary: Any, expected: dict[str, Any] | None
) -> None:
    assert headline({"summary": summary, "baseline": BASE, "judges": None}) == expected


def test_the_headline_of_a_judge_is_its_agreement_with_people(workspace: Path) -> None:
    judges = [{"metric": "tone", "judge": BIG, "agreement": 0.525}, {"metric": "facts", "judge": BIG, "agreement": 1}]
    assert headline({"summary": [], "baseline": BIG, "judges": judges}) == {
        **{"metric": "tone", "model": None, "mean": None, "agreement": 0.525, "more": 1},
        **dict.fromkeys(SHARES),
    }


@pytest.mark.parametrize("text", ["", "[]", "null", '{"summary": [{}], "baseline": "x"}'])
def test_a_list_of_jobs_does_without_results_that_cannot_be_read(workspace: Path, text: str) -> None:
    assert headline(text) is None


def headline(told: dict[str, Any] | str) -> dict[str, Any] | None:
    """What a list shows of a completed evaluation with these results."""
    folder, journal = written(SPEC, facts=FACTS)
    journal.append("state", state="completed", reason=None)
    (folder.path / "results").mkdir()
    text = told if isinstance(told, str) else json.dumps(told)
    (folder.path / "results" / results.SUMMARY).write_text(text, encoding="utf-8")
    seen = Seen()
    JobList().add(seen)
    (row,) = seen.values["jobs"]
    found: dict[str, Any] | None = row["headline"]
    return found


def test_the_cell_makes_the_same_evaluation_again(workspace: Path) -> None:
    assert live(evaluated()[0].id).state()["cell"] == (
        "%%evaluate\nmodels:\n- smollm2-135m\n- chatty@1\ndataset: human-like-eval@1\nmethod: judge\n"
    )


def ended(told: list[dict[str, Any]] | None = None, pairwise: bool = False) -> tuple[Live, list[str], str]:
    """The picture of an ended evaluation: its view, the texts, and the whole."""
    folder, journal = evaluated(told, pairwise=pairwise)
    journal.append("state", state="completed", reason=None)
    shown = live(folder.id)
    svg = shown.state()["picture"]
    root = ElementTree.fromstring(svg)
    return shown, [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")], svg


def test_the_picture_has_the_summary(workspace: Path) -> None:
    _, texts, svg = ended()
    assert {"50% improved", "25% equal", "25% degraded", "5 of 6 scored", "Records"} <= set(texts)
    assert "human_like: chatty@1 against smollm2-135m" in texts
    assert "⚠ 1 of 6 questions is in the training data." in texts
    (said,) = (text for text in texts if text.startswith("Mean score"))
    assert said.startswith("Mean score 2.50 against 2, difference +0.500 (95%: ")
    assert "sign test p = " in said
    rects = [element for element in ElementTree.fromstring(svg).iter() if element.get("height") == "26"]
    assert [float(rect.attrib["width"]) for rect in rects] == [476.0, 238.0, 238.0]


def test_the_picture_follows_what_people_say(workspace: Path) -> None:
    shown, _, before = ended()
    page = Asks(shown.job.folder)
    shown.command(page, {"type": "overrule", "id": "c", "model": TUNED, "metric": "human_like", "score": 3})
    until(lambda: "With 1 overruled by people: Mean score 2.75 against 2" in page.values["picture"])
    assert page.values["picture"] != before


def test_foreign_text_in_picture_and_table_is_text(workspace: Path) -> None:
    made = [line | {"metric": HOSTILE, "model": HOSTILE if line["model"] == TUNED else BASE} for line in lines()]
    folder, journal = written(SPEC, facts=FACTS)
    store(folder, made, [BASE, HOSTILE])
    journal.append("state", state="failed", reason=HOSTILE)
    shown = live(folder.id)
    svg, html = shown.state()["picture"], job_html(Job(folder), shown.state()["evaluation"])
    assert "<script" not in svg and "\x1b" not in svg
    assert "<script" not in html and "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    ElementTree.fromstring(svg)


def test_the_table_has_the_summary(workspace: Path) -> None:
    folder, _ = evaluated()
    html = job_html(Job(folder), live(folder.id).state()["evaluation"])
    assert ">chatty@1</td>" in html and ">50%</td>" in html and ">5 of 6</td>" in html
    assert "1 of 6 questions is in the training data." in html
