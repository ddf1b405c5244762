"""An evaluation's results as its views ask for them: a page of the table sorted and filtered, a record alone, a search.

A view's state has the summary. The records stay in a file that is mapped into memory, with a few numbers a line beside
it, so that 100,000 of them are sorted, filtered and searched at once. Answers are made in threads of their own.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from tunelab.errors import JobError, listing
from tunelab.evaluation.results import OVERRULES, RECORDS, SUMMARY, Result, plain
from tunelab.jobs.folder import JobFolder
from tunelab.notebook import recordtable
from tunelab.notebook.files import Stamp, stamps
from tunelab.notebook.lane import Lane
from tunelab.notebook.recordtable import Key, Records

#: What a page asks a desk for.
ASKED = ("records", "record", "values", "overrule", "export")
FORMATS = ("csv", "json", "parquet")
_FILES = (RECORDS, SUMMARY, OVERRULES)
_MOST_ROWS = 500
_MOST_VALUES = 200


class View(Protocol):
    """Where answers go."""

    def message(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        """Take something that is no state, such as records; a file's bytes as a buffer."""

    def notice(self, text: str) -> None:
        """Say why something that this view asked for could not be done."""


class EvaluationDesk:
    """Answers what views ask of one evaluation, the latest question of each kind first.

    Parameters
    ----------
    folder
        The job's.
    changed
        Called, in a thread of the desk's, when `state` would return something else than it did.
    """

    def __init__(self, folder: JobFolder, changed: Callable[[], object] = lambda: None) -> None:
        self.folder = folder
        self.results = folder.path / "results"
        self._changed = changed
        gone = "there are none yet, or the job was removed."
        self._asks, self._works = Lane("tunelab-records", "results", gone), Lane("tunelab-results", "results", gone)
        self._version = 0
        self._at: Any = None
        self._shown: dict[str, Any] | None = None
        #: Summary rows by human scores, and the files that they are as of.
        self._human: tuple[Any, dict[tuple[str, str], dict[str, Any]]] = (None, {})
        self._records: tuple[Any, Records] | None = None
        self._lock = threading.RLock()

    def state(self) -> dict[str, Any] | None:
        """Return the summary with its counts; None before there are results."""
        at = self._files()
        with self._lock:
            if at != self._at:
                self._at, self._shown = at, self._read(at)
            return self._shown

    def command(self, view: View, content: dict[str, Any]) -> None:
        """Answer a view; none of it is waited for."""
        kind = content["type"]
        answer = {
            "records": self._page,
            "record": self._record,
            "values": self._values,
            "overrule": self._overrule,
            "export": self._export,
        }[kind]
        # Of one kind the reader wants what was asked last, but all that is to be written.
        which = (
            [content.get(key) for key in ("id", "model", "metric")] if kind == "overrule" else [content.get("format")]
        )
        lane = self._works if kind in ("overrule", "export") else self._asks
        lane.want((kind, *which), lambda: answer(view, content), view)

    def forget(self, view: object) -> None:
        """Answer a view no more."""
        self._asks.forget(view)

    def close(self) -> None:
        """Give up the memory that answers took; the next question takes it again."""
        self._records = None

    def _files(self) -> tuple[Stamp | None, ...]:
        return stamps(*(self.results / name for name in _FILES))

    def _read(self, at: Any) -> dict[str, Any] | None:
        try:
            told: dict[str, Any] = json.loads((self.results / SUMMARY).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        overrules = self._overrules()
        if overrules and self._human[0] != at:
            self._works.want(("human",), lambda: self._by_humans(at), None)
        rows = []
        for row in told["summary"]:
            counts = _counts(row, overrules, told["baseline"])
            human = self._human[1].get((row["metric"], row["model"])) if counts["overruled"] else None
            rows.append(row | {"counts": counts, "human_summary": human})
        self._version += 1
        return told | {"version": self._version, "summary": rows}

    def _by_humans(self, at: Any) -> None:
        rows = plain(Result.read(self.results).human_summary.to_dict("records"))
        with self._lock:
            self._human, self._at = (at, {(row["metric"], row["model"]): row for row in rows}), None
        self._changed()

    def _overrules(self) -> dict[Key, float]:
        """Return the scores that people gave in place of others; the last word of each."""
        from tunelab.evaluation.results import overruled

        return overruled(self.results)

    def _open(self) -> Records:
        """Return the records, read anew where their file has changed; whoever asks is told what else has."""
        at = self._files()
        if at != self._at:
            self._changed()
        known = self._records
        if known is None or known[0] != at[0]:
            told = self.state() or {"models": [], "metrics": []}
            # Without the lock: the first time takes a second or two, and the state is asked for meanwhile.
            known = self._records = (at[0], recordtable.read(self.results / RECORDS, told["models"], told["metrics"]))
        return known[1]

    def _page(self, view: View, content: dict[str, Any]) -> None:
        records, overrules = self._open(), self._overrules()
        column, sort = content.get("column"), content["sort"]
        found = records.order(
            content["metric"],
            content["model"],
            content["filter"],
            content["search"],
            (sort["by"], bool(sort["descending"])),
            (column["name"], column["value"]) if column else None,
            _overruled(overrules, content["metric"], (content["model"], records.models[0])),
        )
        begin = max(0, int(content["offset"]))
        shown = found[begin : begin + min(int(content["count"]), _MOST_ROWS)]
        rows = [records.row(content["metric"], content["model"], int(place), overrules) for place in shown]
        view.message(content | {"total": len(found), "rows": rows})

    def _record(self, view: View, content: dict[str, Any]) -> None:
        records, columns = self._open(), (self.state() or {"columns": []})["columns"]
        told = records.whole(content["metric"], content["id"], self._overrules())
        view.message(content | told | {"columns": records.columns(content["id"], columns)})

    def _values(self, view: View, content: dict[str, Any]) -> None:
        counted = self._open().values(content["column"])
        told = [{"value": value, "count": count} for value, count in counted[:_MOST_VALUES]]
        view.message(content | {"values": told, "left_off": max(0, len(counted) - _MOST_VALUES)})

    def _overrule(self, view: View, content: dict[str, Any]) -> None:
        Result.read(self.results).overrule(content["id"], content["model"], content["metric"], content["score"])
        self._changed()

    def _export(self, view: View, content: dict[str, Any]) -> None:
        form = content["format"]
        if form not in FORMATS:
            raise JobError(f"Results are exported as {listing(FORMATS)}, not as '{form}'.")
        name = f"{self.folder.id}.{form}"
        with tempfile.TemporaryDirectory() as folder:
            Result.read(self.results).save(Path(folder) / name)
            data = (Path(folder) / name).read_bytes()
        view.message({"type": "exported", "name": name, "format": form}, [data])


def _counts(row: dict[str, Any], overrules: dict[Key, float], baseline: str) -> dict[str, int]:
    """Return how many records each filter keeps, by what the summary says of them."""
    pairs, every = row["pairs"], row["scored"] + row["unscored"]
    parts = {name: round((row[name] or 0) * pairs) for name in ("improved", "equal", "degraded")}
    return {
        "all": every,
        **parts,
        # Without a pair the record is unscored, whichever side has no score.
        "unscored": row["unscored"] if row["baseline"] is None else every - pairs,
        "overruled": len(_overruled(overrules, row["metric"], (row["model"], baseline))),
    }


def _overruled(overrules: dict[Key, float], metric: str, models: tuple[str, str]) -> frozenset[str]:
    """Return the records of which people overruled a score of one of two models."""
    return frozenset(identity for identity, model, by in overrules if by == metric and model in models)
