"""Datasets on show: what a page is told of them, what it may ask for, and the form that creates one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_live import SLEEP, SPEC, Client, until, written
from test_live import kernel as kernel

import tunelab as tl
from tunelab.data import create, reading, versions
from tunelab.notebook.createform import CreateForm
from tunelab.notebook.datasets import DatasetList, DatasetPage, plain
from tunelab.notebook.display import dataset_html
from tunelab.notebook.widgets import DatasetWidget


class Seen:
    """A view that remembers what it was told."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.told: list[dict[str, Any]] = []
        self.messages: list[dict[str, Any]] = []

    def state(self, **values: Any) -> None:
        self.values |= values
        self.told.append(values)

    def message(self, content: dict[str, Any]) -> None:
        self.messages.append(content)

    def notice(self, text: str) -> None:
        self.message({"type": "notice", "text": text})


def answers(count: int, mark: str = "") -> list[dict[str, Any]]:
    """Rows for sft, all different."""
    return [
        {"prompt": f"What is {place} plus {place}{mark}?", "completion": f"It is {2 * place}."}
        for place in range(count)
    ]


@pytest.fixture
def page(workspace: Path) -> Iterator[Callable[..., tuple[DatasetPage, Seen]]]:
    """Opens the view of a dataset, and waits for its report."""
    opened: list[tuple[DatasetPage, Seen]] = []

    def open_(label: str, model: str | None = None) -> tuple[DatasetPage, Seen]:
        shown, seen = DatasetPage(label, model), Seen()
        shown.add(seen)
        opened.append((shown, seen))
        until(lambda: "report" in seen.values)
        return shown, seen

    yield open_
    for shown, seen in opened:
        shown.remove(seen)


def test_the_list_has_new_and_deleted_versions_by_itself(workspace: Path) -> None:
    shown, seen = DatasetList(), Seen()
    shown.add(seen)
    assert seen.values["datasets"] == []
    tl.Dataset.create("sums", answers(4))
    until(lambda: seen.values["datasets"])
    (row,) = seen.values["datasets"]
    assert row | {"created": "", "creator": ""} == {
        "name": "sums",
        "version": 1,
        "versions": [1],
        "technique": "sft",
        "rows": 4,
        "form": ["prompt", "completion"],
        "source": "list",
        "creator": "",
        "created": "",
        "warnings": 0,
    }
    tl.Dataset.create("sums", answers(5))
    until(lambda: seen.values["datasets"][0]["versions"] == [2, 1])
    tl.Dataset.create("others", answers(3, "?"))
    until(lambda: len(seen.values["datasets"]) == 2)
    tl.Dataset.get("sums@2").delete()
    until(lambda: {row["name"]: row["version"] for row in seen.values["datasets"]} == {"sums": 1, "others": 1})
    shown.remove(seen)
    assert not shown.wanted()


def test_a_damaged_version_does_not_take_the_others_from_the_list(workspace: Path) -> None:
    for name in ("whole", "damaged"):
        tl.Dataset.create(name, answers(3, name))
    (tl.Dataset.get("damaged").path / "dataset.json").write_text("{")
    shown, seen = DatasetList(), Seen()
    shown.add(seen)
    assert [row["name"] for row in seen.values["datasets"]] == ["whole"]
    shown.remove(seen)


def test_a_list_that_is_looked_at_again_reads_only_what_has_changed(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two", "three"):
        tl.Dataset.create(name, answers(3, name))
    read: list[str] = []
    real = versions.load
    monkeypatch.setattr(versions, "load", lambda name, number: (read.append(name), real(name, number))[1])
    shown = DatasetList()
    shown.look()
    assert sorted(read) == ["one", "three", "two"]
    read.clear()
    shown.look()
    shown.look()
    assert read == []
    tl.Dataset.create("two", answers(4, "two"))
    read.clear()
    shown.look()
    assert read == ["two"]


def test_a_dataset_is_shown_with_its_report_and_the_cell_that_customizes(
    page: Callable[..., tuple[DatasetPage, Seen]],
) -> None:
    tl.Dataset.create("sums", [*answers(4), answers(1)[0]])
    _, seen = page("sums", "./tiny")
    assert seen.values["dataset"]["digest"] == tl.Dataset.get("sums").digest
    assert seen.values["dataset"]["uses"] == []
    assert seen.values["dataset"]["warnings"] == 1
    assert seen.values["report"]["rows"] == 5
    assert [finding["kind"] for finding in seen.values["report"]["findings"]] == ["duplicate"]
    assert seen.values["cell"] == "%%customize\nname: sums\nmodel: ./tiny\ntechnique: sft\ndataset: sums@1\n"
    assert seen.values["models"][:2] == ["./tiny", "smollm2-135m"]
    assert (seen.values["preview"], seen.values["busy"]) == (None, None)


def test_a_view_hears_of_new_versions_and_of_who_needs_it(page: Callable[..., tuple[DatasetPage, Seen]]) -> None:
    tl.Dataset.create("sums", answers(4))
    _, seen = page("sums@1")
    tl.Dataset.create("sums", answers(5))
    until(lambda: seen.values["dataset"]["versions"] == [2, 1])
    assert seen.values["dataset"]["version"] == 1
    folder, _ = written(SPEC | {"dataset": "sums@1"})
    until(lambda: seen.values["dataset"]["uses"] == [f"the job {folder.id}"])


def test_an_evaluation_set_has_no_cell(page: Callable[..., tuple[DatasetPage, Seen]]) -> None:
    tl.Dataset.create("asked", [{"query": "What is 1 plus 1?", "response": "2"}])
    assert page("asked")[1].values["cell"] is None


def test_an_unknown_dataset_is_refused(workspace: Path) -> None:
    with pytest.raises(tl.Error, match="There is no dataset 'nobody'"):
        DatasetPage("nobody")


@pytest.mark.parametrize(
    ("first", "count", "expected"),
    [(0, 2, [0, 1]), (18, 2, [18, 19]), (19, 9, [19]), (40, 5, []), (0, 0, [])],
    ids=["the first", "the last", "beyond the end", "after the end", "none"],
)
def test_rows_come_as_they_are_asked_for(
    page: Callable[..., tuple[DatasetPage, Seen]], first: int, count: int, expected: list[int]
) -> None:
    rows = answers(20)
    tl.Dataset.create("sums", rows)
    shown, seen = page("sums")
    shown.command(seen, {"type": "rows", "first": first, "count": count})
    until(lambda: seen.messages)
    assert seen.messages == [{"type": "rows", "first": first, "rows": [rows[place] for place in expected]}]


def test_no_more_than_500_rows_come_at_once(page: Callable[..., tuple[DatasetPage, Seen]]) -> None:
    tl.Dataset.create("sums", answers(600))
    shown, seen = page("sums")
    shown.command(seen, {"type": "rows", "first": 0, "count": 600})
    until(lambda: seen.messages)
    assert len(seen.messages[0]["rows"]) == 500


DEEP: Any = "ground"
for _ in range(30):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a" * 2000, "a" * 2000),
        ("a" * 2001, "a" * 2000 + "…"),
        ({"turns": [{"content": "b" * 3000}]}, {"turns": [{"content": "b" * 2000 + "…"}]}),
        ("half \ud83d", "half ?"),
        (17, 17),
        (2**53 + 1, "9007199254740993"),
        (float("nan"), "nan"),
        (True, True),
        (None, None),
        (b"raw", "b'raw'"),
        ({1: "x"}, {"1": "x"}),
    ],
    ids=[
        "a text",
        "a long text",
        "in a mapping",
        "half a character",
        "int",
        "great int",
        "nan",
        "bool",
        "null",
        "b",
        "k",
    ],
)
def test_values_are_shown_as_json_that_a_page_has_exactly(value: Any, shown: Any) -> None:
    assert plain(value) == shown
    json.dumps(plain(value), allow_nan=False).encode("utf-8")


def test_values_within_values_end_somewhere() -> None:
    assert json.dumps(plain(DEEP)).count("[") == 13


def test_a_preview_is_of_the_model_that_is_asked_for(page: Callable[..., tuple[DatasetPage, Seen]], tiny: Path) -> None:
    tl.Dataset.create("sums", answers(6))
    shown, seen = page("sums")
    shown.command(seen, {"type": "preview", "model": str(tiny)})
    assert seen.values["busy"] == f"Looking at the rows as {tiny} will see them…"
    until(lambda: seen.values["busy"] is None, timeout=120)
    assert seen.messages == []
    found = seen.values["preview"]
    assert (found["model"], found["rows"], found["problem"]) == (str(tiny), 6, None)
    assert page("sums")[1].values["preview"] == found, "a view that opens again has it"


def test_a_preview_of_no_model_is_refused_in_a_notice(page: Callable[..., tuple[DatasetPage, Seen]]) -> None:
    tl.Dataset.create("sums", answers(6))
    shown, seen = page("sums")
    shown.command(seen, {"type": "preview", "model": "nobody"})
    until(lambda: seen.messages, timeout=60)
    assert seen.messages[0]["type"] == "notice"
    assert seen.messages[0]["text"].startswith("There is no model 'nobody'.")
    assert (seen.values["preview"], seen.values["busy"]) == (None, None)


def test_a_deletion_ends_every_view_of_the_version(page: Callable[..., tuple[DatasetPage, Seen]]) -> None:
    made = tl.Dataset.create("sums", answers(4))
    shown, seen = page("sums")
    _, other = page("sums")
    shown.command(seen, {"type": "delete"})
    until(lambda: seen.messages and other.messages)
    assert (seen.messages, other.messages) == ([{"type": "deleted"}], [{"type": "deleted"}])
    assert not made.path.exists()


def test_a_version_that_goes_while_it_is_read_is_gone_and_nothing_has_failed(
    page: Callable[..., tuple[DatasetPage, Seen]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tl.Dataset.create("sums", answers(4))
    shown, seen = page("sums")
    real = DatasetPage._present

    def half_way(self: DatasetPage) -> dict[str, Any]:
        real(self)
        made.delete()
        raise FileNotFoundError("report.json")

    monkeypatch.setattr(DatasetPage, "_present", half_way)
    shown._at = ()
    until(lambda: seen.messages)
    assert seen.messages == [{"type": "deleted"}]


def test_a_version_that_a_job_needs_is_kept_and_the_reason_told(
    page: Callable[..., tuple[DatasetPage, Seen]],
) -> None:
    made = tl.Dataset.create("sums", answers(4))
    folder, _ = written(SPEC | {"dataset": "sums@1"})
    shown, seen = page("sums")
    shown.command(seen, {"type": "delete"})
    until(lambda: seen.messages)
    (message,) = seen.messages
    assert message["type"] == "notice"
    assert message["text"].startswith(f"sums@1 is needed by the job {folder.id}, and without it")
    assert made.path.exists()
    assert seen.values["busy"] is None


WRONG = "prompt,chosen,rejcted\n" + "".join(f"Say {place},yes {place},no {place}\n" for place in range(8))


def form(source: str | None = None) -> tuple[CreateForm, Seen]:
    shown, seen = CreateForm(source), Seen()
    shown.add(seen)
    return shown, seen


def checked(seen: Seen) -> bool:
    return seen.values["checking"] is None and not seen.values["creating"]


def test_a_wrong_column_is_mapped_and_the_dataset_made(workspace: Path) -> None:
    Path("my rows.csv").write_text(WRONG)
    source = str(Path("my rows.csv").absolute())
    shown, seen = form(source)
    until(lambda: checked(seen))
    assert seen.values["columns"] == ["prompt", "chosen", "rejcted"]
    assert seen.values["sample"][0] == {"prompt": "Say 0", "chosen": "yes 0", "rejcted": "no 0"}
    assert len(seen.values["sample"]) == 5
    assert seen.values["name"] == "my-rows"
    assert seen.values["form"]["fields"]["dpo"][0] == ["prompt", "chosen", "rejected"]
    shown.command(seen, {"type": "check", "source": source, "technique": "dpo", "columns": {}})
    until(lambda: checked(seen))
    assert seen.values["report"] is None
    assert seen.values["refused"].startswith("my rows.csv has no field 'rejected'. Rename 'rejcted' to 'rejected'.")
    asked = {"source": source, "technique": "dpo", "columns": {"rejected": "rejcted", "chosen": ""}}
    shown.command(seen, {"type": "check", **asked})
    until(lambda: checked(seen))
    assert seen.values["refused"] is None
    assert (seen.values["report"]["rows"], seen.values["report"]["faulty"]) == (8, 0)
    shown.command(seen, {"type": "create", "name": "pairs", "fix": [], **asked})
    until(lambda: seen.values["created"])
    assert seen.values["created"] == "pairs@1"
    assert tl.Dataset.get("pairs").source == source
    assert {"checking": None, "creating": False, "created": "pairs@1"} in seen.told


def test_faulty_rows_are_reported_and_left_out_where_that_is_asked_for(workspace: Path) -> None:
    rows = [*answers(4), {"prompt": "And?", "completion": ""}]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shown, seen = form("rows.jsonl")
    until(lambda: checked(seen))
    assert seen.values["report"]["faulty"] == 1
    asked = {"type": "create", "name": "sums", "source": "rows.jsonl", "technique": None, "columns": {}}
    shown.command(seen, {**asked, "fix": []})
    until(lambda: checked(seen))
    assert "row 5" in seen.values["refused"]
    assert seen.values["report"]["faulty"] == 1
    shown.command(seen, {**asked, "fix": ["drop-faulty"]})
    until(lambda: seen.values["created"])
    assert (tl.Dataset.get("sums").rows, seen.values["refused"]) == (4, None)


REFUSED = {
    "nothing": ("", "sft", "rows", "Choose the file that the dataset is made from."),
    "no file": ("nowhere.csv", "sft", "rows", "There is no file nowhere.csv."),
    "a hub id": ("org/rows", "sft", "rows", "There is no file org/rows. A dataset of the hub is made in a notebook: "),
    "no name": ("rows.csv", "dpo", "a/b", "'a/b' is no name for a dataset: "),
    "another technique": ("rows.csv", "dpoo", "rows", "Unknown technique 'dpoo'. Did you mean 'dpo'?"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_made_is_refused_in_the_form(workspace: Path, case: str) -> None:
    source, technique, name, sentence = REFUSED[case]
    Path("rows.csv").write_text(WRONG.replace("rejcted", "rejected"))
    shown, seen = form()
    asked = {"type": "create", "name": name, "source": source, "technique": technique, "columns": {}, "fix": []}
    shown.command(seen, asked)
    until(lambda: seen.values["refused"])
    assert seen.values["refused"].startswith(sentence)
    assert (seen.values["creating"], seen.values["created"]) == (False, None)


def test_what_is_asked_for_as_soon_as_a_creation_was_refused_is_heard(workspace: Path) -> None:
    Path("rows.csv").write_text(WRONG.replace("rejcted", "rejected"))
    asked = {"type": "create", "source": "rows.csv", "technique": "dpo", "columns": {}, "fix": []}
    shown = CreateForm()

    class AsksAgain(Seen):
        def state(self, **values: Any) -> None:
            super().state(**values)
            if values.get("refused"):
                shown.command(self, {**asked, "name": "rows"})

    seen = AsksAgain()
    shown.add(seen)
    shown.command(seen, {**asked, "name": "a/b"})
    until(lambda: seen.values["created"])
    assert seen.values["created"] == "rows@1"


def desk_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "tunelab-desk"]


@pytest.mark.parametrize("leaves", [False, True], ids=["another check", "the page leaves"])
def test_a_check_that_nobody_waits_for_is_stopped(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, leaves: bool
) -> None:
    monkeypatch.setattr(create, "_TOLD_EVERY_S", 0.0)
    real, read, many = reading.read_file, [0], 400_000

    def counted(path: Path) -> Iterator[dict[str, Any]]:
        for row in real(path):
            read[0] += 1
            yield row

    monkeypatch.setattr(reading, "read_file", counted)
    with Path("many.jsonl").open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in answers(many))
    Path("few.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers(3)))
    shown, seen = form("many.jsonl")
    until(lambda: seen.values["checking"] and seen.values["checking"]["rows"] > 100)
    if leaves:
        shown.remove(seen)
    else:
        shown.command(seen, {"type": "check", "source": "few.jsonl", "technique": None, "columns": {}})
        until(lambda: checked(seen))
        assert seen.values["report"]["rows"] == 3
    until(lambda: not desk_threads())
    assert read[0] < many / 2


def test_the_kernel_makes_and_shows_a_dataset_while_a_cell_runs(kernel: Client) -> None:
    Path("rows.csv").write_text(WRONG)
    source = str(Path("rows.csv").absolute())
    kernel.run("%load_ext tunelab")
    kernel.start(SLEEP)
    kernel.comm("comm_open", "list", {"view": "datasets"})
    assert kernel.hear("list", lambda data: data["method"] == "state")["state"] == {"datasets": []}
    kernel.comm("comm_open", "form", {"view": "create", "source": source})
    kernel.hear("form", lambda data: data["state"].get("columns"))
    asked = {"source": source, "technique": "dpo", "columns": {"rejected": "rejcted"}, "name": "pairs", "fix": []}
    kernel.comm("comm_msg", "form", {"type": "create", **asked})
    kernel.hear("form", lambda data: data["state"].get("created") == "pairs@1")
    kernel.hear("list", lambda data: len(data["state"]["datasets"]) == 1)
    kernel.comm("comm_open", "one", {"view": "dataset", "dataset": "pairs"})
    state = kernel.hear("one", lambda data: "report" in data.get("state", {}))["state"]
    assert state["dataset"]["rows"] == 8
    kernel.comm("comm_msg", "one", {"type": "rows", "first": 7, "count": 10})
    rows = kernel.hear("one", lambda data: data["method"] == "message")["content"]
    assert rows == {"type": "rows", "first": 7, "rows": [{"prompt": "Say 7", "chosen": "yes 7", "rejected": "no 7"}]}
    kernel.comm("comm_msg", "one", {"type": "delete"})
    kernel.hear("one", lambda data: data["method"] == "message" and data["content"] == {"type": "deleted"})
    kernel.hear("list", lambda data: data["state"]["datasets"] == [])


def test_a_dataset_shows_in_other_hosts_as_a_widget(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = answers(4)
    tl.Dataset.create("sums", rows)
    widget = DatasetWidget(DatasetPage("sums"))
    assert (widget.kind, widget.dataset["rows"], widget.report["rows"]) == ("dataset", 4, 4)
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(widget, "send", lambda content, buffers=None: sent.append(content))
    widget._handle_custom_msg({"type": "rows", "first": 1, "count": 1}, [])
    until(lambda: sent)
    assert sent == [{"type": "rows", "first": 1, "rows": [rows[1]]}]
    widget.close()


def test_a_page_without_a_view_has_the_report_as_text(workspace: Path) -> None:
    Path("<b>rows.csv").write_text("prompt,completion\nSay <i>,yes\nSay <i>,yes\n")
    shown = dataset_html(tl.Dataset.create("sums", "<b>rows.csv"))
    assert "<b>rows" not in shown
    assert "&lt;b&gt;rows.csv" in shown
    assert "2 for sft (prompt, completion)" in shown
    assert "fix=&#x27;drop-duplicates&#x27;" in shown
