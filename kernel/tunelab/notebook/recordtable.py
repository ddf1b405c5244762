"""An evaluation's records by metric, as a table that is sorted, filtered and searched at once, however long it is.

A few numbers a line are in memory; texts are in a file that is mapped, and read where they are shown or searched.
"""

from __future__ import annotations

import json
import math
import mmap
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunelab.errors import JobError
from tunelab.evaluation.compare import EQUAL_WITHIN, outcomes

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.float64]
    Places = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]

#: By the sign of the difference, and what has none.
OUTCOMES = ("degraded", "equal", "improved", "unscored", None)
_LIST_CHARACTERS = 600
_SEARCHED = ("prompt", "prediction", "ground_truth", "reasoning")
#: Lines that are read at a time.
_BATCH = 32_768
#: Orders that are kept: a page that scrolls asks for the next rows of one.
_ORDERS = 8
#: What the record alone has of each model's line.
_TOLD = (
    *("label", "status", "reasoning", "raw", "note", "against", "flipped"),
    *("latency_s", "tokens_in", "tokens_out", "cost", "cut"),
)

#: Id, model and metric.
Key = tuple[str, str, str]


class Records:
    """What `records.parquet` has, by metric: a few numbers a line in memory, the rest in a mapped file.

    Parameters
    ----------
    path
        The file.
    models
        The first is the baseline.
    metrics
        As the summary has them: ``name``, ``pairwise`` (an answer was held against the baseline's), ``equal_within``.
    """

    def __init__(self, path: Path, models: list[str], metrics: list[dict[str, Any]]) -> None:
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        self.models = models
        with pq.ParquetFile(path) as file:
            columns = file.read(columns=["id", "number", "model", "metric", "score"])
            texts = {name: columns[name].cast(pa.string()).combine_chunks() for name in ("id", "model", "metric")}
            by_id, kinds = texts["id"].dictionary_encode(), texts["metric"].dictionary_encode()
            self._lines = _Lines(file, kinds.indices.to_numpy(), path.parent)
        order = self._lines.order
        self._ids = by_id.dictionary
        ids, kind = by_id.indices.to_numpy()[order], kinds.indices.to_numpy()[order]
        numbers, scores = columns["number"].to_numpy()[order], columns["score"].to_numpy()[order].astype(np.float64)
        model = pc.index_in(texts["model"], pa.array(models, pa.string())).fill_null(-1).to_numpy()[order]
        #: A line of each record, whatever its metric, and one of each record and model: -1 where there is none.
        self._first = np.zeros(len(self._ids), np.int64)
        self._first[ids] = np.arange(len(ids))
        self._answers = np.full((len(self._ids), len(models)), -1, np.int64)
        self._rank = np.empty(len(self._ids), np.int64)
        self._rank[np.argsort(numbers[self._first], kind="stable")] = np.arange(len(self._ids))
        self._metrics: dict[str, _Metric] = {}
        known = {metric["name"]: metric for metric in metrics}
        for code, name in enumerate(kinds.dictionary.to_pylist()):
            own = np.flatnonzero((kind == code) & (model >= 0))
            lines = np.full_like(self._answers, -1)
            lines[ids[own], model[own]] = own
            self._answers = np.where(lines < 0, self._answers, lines)
            records = np.unique(ids[own])
            records = records[np.argsort(self._rank[records])]
            lines = lines[records]
            values = np.where(lines < 0, np.nan, scores[lines])
            self._metrics[name] = _Metric(records, lines, values, known.get(name, {}), self._lines.chunks[code])
        self._splits: dict[str, tuple[Places, list[Any]]] = {}
        self._orders: dict[Any, Places] = {}

    def order(
        self,
        metric: str,
        model: str,
        which: str,
        search: str,
        sort: tuple[str, bool],
        column: tuple[str, Any] | None,
        overruled: frozenset[str],
    ) -> Places:
        """Return which records of a metric a page shows, in its order, as places among them."""
        asked = (metric, model, which, search, sort, column and (column[0], json.dumps(column[1])), overruled)
        if asked not in self._orders:
            for old in list(self._orders)[: 1 - _ORDERS]:
                del self._orders[old]
            self._orders[asked] = self._ordered(metric, model, which, search, sort, column, overruled)
        return self._orders[asked]

    def _ordered(
        self,
        metric: str,
        model: str,
        which: str,
        search: str,
        sort: tuple[str, bool],
        column: tuple[str, Any] | None,
        overruled: frozenset[str],
    ) -> Places:
        import numpy as np

        if metric not in self._metrics or model not in self.models or which not in (*OUTCOMES, "all", "overruled"):
            # Results that are read anew may lack what a page still asks for.
            return np.zeros(0, np.int64)
        of = self._metrics[metric]
        place = self.models.index(model)
        kept = np.ones(len(of.records), bool)
        if which == "overruled":
            kept &= np.isin(of.records, self._codes(overruled))
        elif which != "all":
            kept &= of.outcomes[:, place] == OUTCOMES.index(which)
        if column:
            kept &= self._split(column[0])[0][of.records] == self._value(*column)
        if search.strip():
            kept &= self._search(of, search.strip())
        found = np.flatnonzero(kept)
        by, descending = sort
        if by == "row":
            return found[::-1] if descending else found
        if by == "id":
            keys = self._id_rank()[of.records[found]].astype(np.float64)
        else:
            values = {"difference": of.differences[:, place], "baseline": of.scores[:, 0]}
            keys = values.get(by, of.scores[:, place])[found]
        # Of equals the first row is first, and what has no number is last, whichever way.
        return found[np.argsort(-keys if descending else keys, kind="stable")]

    def row(self, metric: str, model: str, place: int, overrules: dict[Key, float]) -> dict[str, Any]:
        """Return one row of the table, its texts cut."""
        of, at = self._metrics[metric], self.models.index(model)
        record = of.records[place]
        identity = self._ids[int(record)].as_py()
        answers = {
            name: _cut(self._lines.value("prediction", line))
            for name, line in zip(self.models, self._answers[record], strict=True)
            if line >= 0
        }
        scores = {
            name: {
                "score": _number(score),
                "label": self._lines.value("label", line),
                "status": self._lines.value("status", line),
                "human": overrules.get((identity, name, metric)),
            }
            for name, line, score in zip(self.models, of.lines[place], of.scores[place], strict=True)
            if line >= 0
        }
        return {
            **self._asked(record, _cut),
            "answers": answers,
            "scores": scores,
            "difference": _number(of.differences[place, at]),
            "outcome": OUTCOMES[int(of.outcomes[place, at])],
        }

    def whole(self, metric: str, identity: str, overrules: dict[Key, float]) -> dict[str, Any]:
        """Return one record with its texts whole, and what each model's line of a metric says.

        Raises
        ------
        JobError
            If there is no such record.
        """
        import numpy as np

        (record,) = self._codes([identity])
        of = self._metrics.get(metric)
        if record < 0 or of is None or not len(found := np.flatnonzero(of.records == record)):
            raise JobError(f"There is no record '{identity}' with the metric '{metric}'.")
        models = {}
        for name, line, answer in zip(self.models, of.lines[found[0]], self._answers[record], strict=True):
            if answer >= 0:
                told = {key: _plain(self._lines.value(key, line)) for key in _TOLD} if line >= 0 else {}
                score = _plain(self._lines.value("score", line)) if line >= 0 else None
                human = overrules.get((identity, name, metric))
                text = self._lines.value("prediction", answer)
                models[name] = {"text": text, "score": score, "human": human} | told
        return self._asked(record, lambda text: text) | {"models": models}

    def values(self, column: str) -> list[tuple[Any, int]]:
        """Return the values of a column with how many records have each, the most frequent first."""
        import numpy as np

        codes, values = self._split(column)
        counts = np.bincount(codes, minlength=len(values))
        return [(values[code], int(counts[code])) for code in np.argsort(-counts, kind="stable")]

    def columns(self, identity: str, names: list[str]) -> dict[str, Any]:
        """Return what a record has in other columns."""
        line = self._first[self._codes([identity])[0]]
        return {name: _plain(self._lines.value(name, line)) for name in names}

    def _asked(self, record: Any, shown: Callable[[str], str]) -> dict[str, Any]:
        line = self._first[record]
        truth = self._lines.value("ground_truth", line)
        return {
            "id": self._ids[int(record)].as_py(),
            "number": int(self._lines.value("number", line)),
            "prompt": shown(self._lines.value("prompt", line)),
            "ground_truth": None if truth is None else shown(truth),
        }

    def _codes(self, ids: Iterable[str]) -> list[int]:
        import pyarrow as pa
        import pyarrow.compute as pc

        return list(pc.index_in(pa.array(list(ids), self._ids.type), self._ids).fill_null(-1).to_pylist())

    def _id_rank(self) -> Places:
        import numpy as np
        import pyarrow.compute as pc

        rank = np.empty(len(self._ids), np.int64)
        rank[pc.sort_indices(self._ids).to_numpy()] = np.arange(len(rank))
        return rank

    def _split(self, column: str) -> tuple[Places, list[Any]]:
        """Return each record's value of a column as a place in the list of values."""
        import numpy as np

        if column not in self._splits:
            known: dict[str, int] = {}
            values: list[Any] = []
            codes = np.empty(len(self._ids), np.int64)
            for record, line in enumerate(self._first.tolist()):
                shown = _plain(self._lines.value(column, line))
                code = known.setdefault(json.dumps(shown), len(values))
                if code == len(values):
                    values.append(shown)
                codes[record] = code
            self._splits[column] = (codes, values)
        return self._splits[column]

    def _value(self, column: str, value: Any) -> int:
        known = [json.dumps(each) for each in self._split(column)[1]]
        return known.index(json.dumps(value)) if json.dumps(value) in known else -1

    def _search(self, of: _Metric, text: str) -> Mask:
        """Return which records of a metric have a text in what is asked, answered, right or reasoned."""
        import numpy as np

        hits = self._lines.having(text, of.chunks)[of.lines] & (of.lines >= 0)
        found: Mask = np.logical_or.reduce(hits, axis=1)
        return found


def read(path: Path, models: list[str], metrics: list[dict[str, Any]]) -> Records:
    """Return the records of a file, and give back the memory, hundreds of megabytes, that it took to read them."""
    import pyarrow as pa

    found = Records(path, models, metrics)
    # Arrow would keep it for itself.
    pa.default_memory_pool().release_unused()
    return found


class _Metric:
    """The records that have a line of a metric, in the order of the dataset's rows, and for each a column a model."""

    def __init__(
        self, records: Places, lines: Places, scores: Numbers, metric: dict[str, Any], chunks: list[int]
    ) -> None:
        import numpy as np

        self.records, self.lines, self.scores = records, lines, scores
        #: Where in the file its lines are.
        self.chunks = chunks
        #: By how much a score is above the baseline's, which has what is left of a verdict on both; NaN where one of
        #: them is missing, and for the baseline itself.
        self.differences = scores - (1 - scores if metric.get("pairwise") else scores[:, :1])
        self.differences[:, 0] = np.nan
        missing = np.isnan(np.where(np.arange(scores.shape[1]) == 0, scores, self.differences))
        signs = np.nan_to_num(outcomes(self.differences, metric.get("equal_within") or EQUAL_WITHIN))
        self.outcomes = np.where(missing, OUTCOMES.index("unscored"), signs + 1)
        self.outcomes[:, 0] = np.where(missing[:, 0], OUTCOMES.index("unscored"), OUTCOMES.index(None))


class _Lines:
    """The lines of a file of records, those of one metric together, in a file without a name that is mapped.

    What is mapped takes no memory that others need, and a text far down is had without the others.
    """

    def __init__(self, file: Any, kinds: npt.NDArray[np.int32], folder: Path) -> None:
        """Copy what `file` has; `kinds` is the metric of each of its lines."""
        import numpy as np
        import pyarrow as pa

        #: Of each line its place in the file, and of each metric its chunks.
        orders: list[Places] = []
        self.chunks: dict[int, list[int]] = {}
        # In the job's folder, since the place for temporary files is memory on some machines.
        with tempfile.TemporaryFile(dir=folder) as aside:
            with pa.ipc.new_file(aside, file.schema_arrow) as writer:
                begin = 0
                for batch in file.iter_batches(_BATCH):
                    own = kinds[begin : begin + len(batch)]
                    for kind in np.unique(own):
                        places = np.flatnonzero(own == kind)
                        writer.write_batch(batch.take(pa.array(places)))
                        self.chunks.setdefault(int(kind), []).append(len(orders))
                        orders.append(places + begin)
                    begin += len(batch)
            aside.flush()
            mapped = mmap.mmap(aside.fileno(), 0, access=mmap.ACCESS_READ)
        reader = pa.ipc.open_file(pa.py_buffer(mapped))
        self._batches = [reader.get_batch(place) for place in range(reader.num_record_batches)]
        self._begins = np.cumsum([0, *map(len, orders)])
        self.order = np.concatenate(orders) if orders else np.zeros(0, np.int64)
        self._columns = {name: place for place, name in enumerate(reader.schema.names)}

    def value(self, column: str, line: int) -> Any:
        """Return what a line has in a column; None where there is no such column."""
        if column not in self._columns:
            return None
        chunk = int(self._begins.searchsorted(line, "right")) - 1
        return self._batches[chunk].column(self._columns[column])[int(line - self._begins[chunk])].as_py()

    def having(self, text: str, chunks: list[int]) -> Mask:
        """Return which lines of some chunks have a text in one of the columns that are searched."""
        import numpy as np
        import pyarrow.compute as pc

        found = np.zeros(int(self._begins[-1]), bool)
        for chunk in chunks:
            own = found[self._begins[chunk] : self._begins[chunk + 1]]
            for column in _SEARCHED:
                texts = self._batches[chunk].column(self._columns[column])
                if texts.null_count < len(texts):
                    hits = pc.match_substring(texts, text, ignore_case=True).fill_null(False)
                    own |= hits.to_numpy(zero_copy_only=False)
        return found


def _number(value: Any) -> float | None:
    return None if math.isnan(value) else float(value)


def _plain(value: Any) -> Any:
    """Return a value of a column as JSON."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, int) and abs(value) < 2**53 else str(value)


def _cut(text: str) -> str:
    return text if len(text) <= _LIST_CHARACTERS else f"{text[:_LIST_CHARACTERS]}…"
