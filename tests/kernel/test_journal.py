"""The journal: numbered lines from several writers, whole again after a crash, and void where a recovery says so."""

import json
import multiprocessing
from pathlib import Path

import pytest

from tunelab.jobs.journal import Journal, Reader, read, standing
from tunelab.jobs.view import JobView, sentence


def _write(path: Path, source: str, count: int) -> None:
    journal = Journal(path, source)
    for number in range(count):
        journal.append("log", level="info", text=f"{source} {number} ä")


def test_runner_and_worker_append_at_once_and_no_line_is_lost_or_numbered_twice(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(path, source, 200)) for source in ("runner", "worker")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    events = read(path)
    assert [event["seq"] for event in events] == list(range(1, 401))
    for source in ("runner", "worker"):
        assert [e["text"] for e in events if e["source"] == source] == [f"{source} {n} ä" for n in range(200)]


@pytest.mark.parametrize(
    "tail",
    [
        b'{"seq": 3, "time": 1, "type": "lo',
        b"\x00\x00\x00",
        b'{"seq":3}',
        "é".encode()[:1],
        b'{"seq": 9, "x": "' + b"y" * 200_000,
    ],
    ids=["half a line", "zeros", "no newline", "half a character", "longer than a block"],
)
def test_a_torn_last_line_is_ignored_and_then_cut(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, "worker")
    journal.append("log", level="info", text="one")
    journal.append("log", level="info", text="two")
    with path.open("ab") as file:
        file.write(tail)
    assert [event["text"] for event in read(path)] == ["one", "two"]
    journal.append("log", level="info", text="three")
    assert [(event["seq"], event["text"]) for event in read(path)] == [(1, "one"), (2, "two"), (3, "three")]
    assert all(json.loads(line) for line in path.read_bytes().splitlines())


def test_a_reader_goes_on_where_it_stopped_and_waits_for_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    reader = Reader(path)
    assert reader.new() == []
    journal = Journal(path, "worker")
    journal.append("log", level="info", text="one")
    assert [event["text"] for event in reader.new()] == ["one"]
    whole = json.dumps({"seq": 2, "time": 0, "source": "worker", "type": "log", "level": "info", "text": "two"}) + "\n"
    with path.open("a") as file:
        file.write(whole[:20])
        file.flush()
        assert reader.new() == []
        file.write(whole[20:])
    assert [event["text"] for event in reader.new()] == ["two"]


def test_what_is_not_a_number_is_null_in_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, "worker").append("metric", step=1, values={"loss": float("nan"), "grad_norm": float("inf"), "x": 1.5})
    assert read(path)[0]["values"] == {"loss": None, "grad_norm": None, "x": 1.5}
    assert "NaN" not in path.read_text()


def test_a_recovery_voids_the_metrics_beyond_its_step() -> None:
    def metric(seq: int, step: int) -> dict:
        return {"seq": seq, "type": "metric", "step": step, "values": {"loss": float(seq)}}

    events = [metric(1, 1), metric(2, 2), metric(3, 3), {"seq": 4, "type": "log", "text": "x"}]
    events += [{"seq": 5, "type": "state", "state": "recovering", "from_step": 1}, metric(6, 2), metric(7, 3)]
    assert [(e["seq"], e["step"]) for e in standing(events) if e["type"] == "metric"] == [(1, 1), (6, 2), (7, 3)]


STATE = {"seq": 1, "time": 100.0, "source": "runner", "type": "state"}


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([{**STATE, "state": "queued", "reason": None}], "Waiting for the device"),
        ([{**STATE, "state": "queued", "position": 2}], "Waiting for the device: 2 before it"),
        ([{**STATE, "state": "running"}], "Running: starting"),
        (
            [
                {**STATE, "state": "running"},
                {"seq": 2, "time": 101.0, "source": "worker", "type": "log", "level": "info", "text": "loading x"},
            ],
            "Running: loading x",
        ),
        (
            [
                {**STATE, "state": "running"},
                {
                    "seq": 2,
                    "time": 101.0,
                    "source": "worker",
                    "type": "progress",
                    "step": 3,
                    "total": 9,
                    "eta_s": 200.0,
                },
            ],
            "Running: step 3 of 9, about 3 min left",
        ),
        (
            [
                {**STATE, "state": "running"},
                {
                    "seq": 2,
                    "time": 3,
                    "source": "runner",
                    "type": "artifact",
                    "kind": "model",
                    "uri": "u",
                    "name": "a@1",
                },
                {**STATE, "time": 145.0, "state": "completed", "reason": None},
            ],
            "Completed in 45 s: a@1",
        ),
        (
            [
                {**STATE, "state": "running"},
                {"seq": 2, "time": 101.0, "source": "worker", "type": "progress", "step": 3, "total": 9, "eta_s": 2.0},
                {**STATE, "state": "cancelled", "reason": None},
            ],
            "Cancelled at step 3 of 9",
        ),
        ([{**STATE, "state": "failed", "reason": "no disk"}], "Failed: no disk"),
    ],
)
def test_the_state_is_one_sentence(events: list[dict], expected: str) -> None:
    view = JobView()
    for event in events:
        view.fold(event)
    assert sentence(view) == expected
