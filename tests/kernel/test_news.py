"""News of a job: read as soon as they are written, points first, and a long journal line by line."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from test_live import Seen, until, written

from tunelab.jobs.journal import Journal, Reader
from tunelab.notebook import live as module
from tunelab.notebook.live import live


class Ordered(Seen):
    """A view that remembers in which order it was told what."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []

    def state(self, **values: Any) -> None:
        super().state(**values)
        self.order.append("state")

    def points(self, index: list[dict[str, Any]], values: bytes) -> None:
        super().points(index, values)
        self.order.append("points")


def test_a_line_is_read_when_it_is_written_not_at_the_next_look(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than is waited for a line below; the first look is due once the machine has been up for as long.
    monkeypatch.setattr(module, "_LOOK_EVERY_S", 60.0)
    folder, journal = written()
    shown, seen = live(folder.id), Seen()
    shown.add(seen)
    # The first look comes at once; what is written after it is news.
    until(lambda: module._watched[shown][1] > 0)
    for step in range(1, 4):
        journal.append("metric", step=step, values={"loss": 1.0})
        until(lambda step=step: seen.curves.get("loss", [(0, 0.0)])[-1][0] == step, 15)
    shown.remove(seen)
    monkeypatch.undo()


def test_points_come_before_the_state_that_came_with_them(workspace: Path, tmp_path: Path) -> None:
    folder, _ = written()
    shown, seen = live(folder.id), Ordered()
    shown.add(seen)
    seen.order.clear()
    # Both lines in one write: the watching thread may look at any time, between two appends too.
    both = Journal(tmp_path / "both.jsonl", "worker")
    both.append("progress", step=1, total=9, eta_s=8.0)
    both.append("metric", step=1, values={"loss": 1.0})
    with folder.journal.open("ab", buffering=0) as file:
        file.write(both.path.read_bytes())
    until(lambda: "state" in seen.order)
    assert seen.order[0] == "points"


def test_a_long_journal_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, "worker").append("log", level="info", text="first")
    line = '{"seq":2,"time":0,"source":"worker","type":"metric","step":1,"values":{"loss":0.5}}\n'
    with path.open("a", encoding="utf-8") as file:
        file.write(line * 100_000)
    tracemalloc.start()
    count = sum(1 for _ in Reader(path).stream())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 100_001
    assert peak < 1e6, f"{peak / 1e6:.0f} MB at once"
