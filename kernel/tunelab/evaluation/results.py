"""What an evaluation found, as a notebook has it: records, summary, what people overruled, and files of them."""

from __future__ import annotations

import contextlib
import datetime as dt
import getpass
import html
import json
import math
import os
import tempfile
from collections.abc import Iterable, Iterator
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from filelock import FileLock

from tunelab import workspace
from tunelab.errors import Error, did_you_mean, listing
from tunelab.evaluation import compare
from tunelab.tables import table

if TYPE_CHECKING:
    import pandas as pd

RECORDS, SUMMARY, OVERRULES = "records.parquet", "summary.json", "overrules.jsonl"
#: The columns that `Result.summary` begins with.
_FIRST = (
    *("metric", "model", "mean", "improved", "equal", "degraded", "difference", "low", "high", "p_value"),
    *("scored", "unscored"),
)
#: What `Result.records` begins with.
_FRONT = (
    *("id", "model", "metric", "prompt", "ground_truth", "prediction", "score", "label", "reasoning", "raw"),
    *("status", "human_score"),
)
#: What spreadsheets take for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
SUFFIXES = (".csv", ".json", ".jsonl", ".parquet")


def write(folder: Path, records: pd.DataFrame, summary: dict[str, Any]) -> None:
    """Write results to a folder; `summary` last, since it says that there are any."""
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".{RECORDS}"
    records.apply(_storable).to_parquet(aside, index=False)
    os.replace(aside, folder / RECORDS)
    workspace.write_json(folder / SUMMARY, plain(summary))


def plain(value: Any) -> Any:
    """Return a value as JSON has it: numbers that are none become null."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def overruled(folder: Path) -> dict[tuple[str, str, str], float]:
    """Return the scores that people gave in place of others, by id, model and metric; the last word of each."""
    try:
        # A last line without its end was torn off.
        lines = (folder / OVERRULES).read_text(encoding="utf-8").split("\n")[:-1]
    except FileNotFoundError:
        return {}
    last: dict[tuple[str, str, str], float | None] = {}
    for told in map(json.loads, lines):
        last[told["id"], told["model"], told["metric"]] = told["score"]
    return {key: score for key, score in last.items() if score is not None}


class Result:
    """The results of an evaluation. Get them by ``tl.evaluate(…).wait().result()``."""

    def __init__(self, folder: Path, told: dict[str, Any]) -> None:
        self.folder = folder
        self._told = told
        self._records: pd.DataFrame | None = None

    @classmethod
    def read(cls, folder: Path) -> Result:
        """Return the results in a folder.

        Raises
        ------
        Error
            If there are none.
        """
        try:
            return cls(folder, json.loads((folder / SUMMARY).read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise Error("There are no results yet: the evaluation has not come to its end.") from None

    @property
    def models(self) -> list[str]:
        """The models' names; the first is the baseline."""
        return list(self._told["models"])

    @property
    def notes(self) -> list[str]:
        """What warns: too few records, rows that a model was trained on, a judge that was the reward model."""
        return [note["message"] for note in self._told["notes"]]

    @property
    def records(self) -> pd.DataFrame:
        """One line an (id, model, metric).

        Columns ``id``, ``model``, ``metric``, ``prompt``, ``ground_truth``, ``prediction``, ``score`` (NaN where there
        is none), ``label``, ``reasoning``, ``raw``, ``status``, ``human_score``, then how the answer was made and the
        dataset's other columns.
        """
        if self._records is None:
            self._records = self._read()
        given = overruled(self.folder)
        keys = zip(self._records["id"], self._records["model"], self._records["metric"], strict=True)
        human = [given.get(key, math.nan) for key in keys] if given else math.nan
        found = self._records.assign(human_score=human)
        front = [name for name in _FRONT if name in found]
        return found[[*front, *(name for name in found if name not in front)]]

    @property
    def summary(self) -> pd.DataFrame:
        """One row a metric and model: means, what improved against the baseline, the interval, p, and the coverage.

        By the scores that were given; `human` counts those that people overruled, and `human_summary` goes by theirs.
        """
        given = list(overruled(self.folder))
        rows = self._told["summary"]
        return _table([row | {"human": _count(given, row)} for row in rows])

    @property
    def human_summary(self) -> pd.DataFrame:
        """The summary with people's scores in place of those that they overruled."""
        records = self.records
        records = records.assign(people=records["human_score"].fillna(records["score"]))
        found = compare.summarize(records, self.models, self._told["seed"], "people", self._equal_within)
        return _table([one.as_dict() for one in found])

    @property
    def benchmarks(self) -> pd.DataFrame:
        """What lm-eval says of each task: ``task``, ``metric``, ``model``, ``value``, ``stderr`` and how it was run."""
        import pandas as pd

        return pd.DataFrame(self._told.get("benchmarks") or [])

    @property
    def judges(self) -> pd.DataFrame:
        """How the judge agrees with people, one row a metric; of method ``meta``."""
        import pandas as pd

        return pd.DataFrame(self._told.get("judges") or [])

    @property
    def costs(self) -> pd.DataFrame:
        """Seconds, tokens and cost of an answer, one row a model."""
        import pandas as pd

        return pd.DataFrame(self._told.get("costs") or [])

    def by(self, column: str) -> pd.DataFrame:
        """Return the summary of each part of the records with one value in a metadata column; numbers in quarters.

        Raises
        ------
        Error
            If the records have no such column, or it has more than 200 values.
        """
        known = self._told["columns"]
        if column not in known:
            hint = did_you_mean(column, known)
            raise Error(f"The records have no column '{column}'.{hint} There are {listing(known) or 'none'}.")
        return compare.by(self.records, self.models, column, self._told["seed"], self._equal_within)

    def overrule(self, id: str, model: str, metric: str, score: float | None) -> None:
        """Put a person's score in place of the one that was given; None takes that back. Both stay in the results.

        Raises
        ------
        Error
            If there is no such record, or the score is none of the metric's scale.
        """
        import pyarrow.parquet as pq

        metrics = {one["name"]: one for one in self._told["metrics"]}
        for name, value, known in (("model", model, self.models), ("metric", metric, list(metrics))):
            if value not in known:
                raise Error(f"There is no {name} '{value}'.{did_you_mean(value, known)} There are {listing(known)}.")
        keys = ["id", "model", "metric"]
        asked = [("id", "==", id), ("model", "==", model), ("metric", "==", metric)]
        with _readable():
            if not pq.read_table(self.folder / RECORDS, columns=keys, filters=asked).num_rows:
                raise Error(f"There is no record '{id}' of the model '{model}' with the metric '{metric}'.")
        if score is not None:
            low, high = metrics[metric]["low"], metrics[metric]["high"]
            is_number = isinstance(score, Real) and not isinstance(score, bool) and math.isfinite(score)
            if not is_number or not (low is None or low <= score) or not (high is None or score <= high):
                bounds = [f" from {low:g}" if low is not None else "", f" to {high:g}" if high is not None else ""]
                raise Error(f"A score by {metric} is a number{''.join(bounds)}, and got {score!r}.")
            score = float(score)
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        line = {"id": id, "model": model, "metric": metric, "score": score, "user": getpass.getuser(), "time": now}
        path = self.folder / OVERRULES
        with FileLock(f"{path}.lock"), path.open("a+b") as file:
            _cut_torn(file)
            # Escaped: some line breaks of Unicode are allowed in JSON as they are.
            file.write(json.dumps(line).encode() + b"\n")

    def save(self, path: str | Path) -> Path:
        """Write the records to a file, in the format of its suffix: .csv, .json, .jsonl or .parquet.

        In a CSV a text that a spreadsheet would run as a formula, since it begins with ``=``, ``+``, ``-`` or ``@`` (or
        with a tab or a line break), has an apostrophe before it. The other formats have every text as it is.

        Raises
        ------
        Error
            If the suffix is another, or the file cannot be written.
        """
        target = Path(path).expanduser()
        form = target.suffix.lower()
        if form not in SUFFIXES:
            raise Error(f"{target.name}: results are saved as {listing(SUFFIXES)}.")
        records = self.records
        try:
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
                aside = Path(folder) / target.name
                if form == ".parquet":
                    records.to_parquet(aside, index=False)
                elif form == ".csv":
                    # Only signs of the line's end are quoted, and a lone \\r would begin one, perhaps of a formula.
                    _without_formulas(records).to_csv(aside, index=False, lineterminator="\r\n")
                else:
                    told: dict[str, Any] = {"orient": "records", "force_ascii": False, "date_format": "iso"}
                    records.to_json(aside, lines=form == ".jsonl", double_precision=15, **told)
                os.replace(aside, target)
        except OSError as error:
            raise Error(f"{target} cannot be written: {error.strerror or error}.") from error
        return target

    @property
    def _equal_within(self) -> dict[str, float]:
        return {one["name"]: one.get("equal_within") or compare.EQUAL_WITHIN for one in self._told["metrics"]}

    def _read(self) -> pd.DataFrame:
        import pandas as pd

        with _readable():
            return pd.read_parquet(self.folder / RECORDS)

    def _shown(self) -> list[tuple[str, list[dict[str, Any]]]]:
        """Return the tables that are shown, each with what is said of it."""
        found = [("", self._told["summary"])]
        if count := len(overruled(self.folder)):
            rows = plain(self.human_summary.astype(object).to_dict("records"))
            found.append((f"With {count:,} score{'s' if count > 1 else ''} overruled by people:", rows))
        shown = [(said, [line(row) for row in rows]) for said, rows in found]
        shown += [("", _words(self._told.get(name) or [])) for name in ("benchmarks", "judges")]
        return [(said, rows) for said, rows in shown if rows]

    def _said(self) -> list[str]:
        rows = [row for row in self._told["summary"] if row["verdict"]]
        said = [f"{row['metric']}, {row['model']}: {row['verdict']}" for row in rows]
        # That there are too few records is a note too.
        return list(dict.fromkeys([*said, *self.notes]))

    def __repr__(self) -> str:
        import pandas as pd

        tables = [(said, pd.DataFrame(rows).to_string(index=False)) for said, rows in self._shown()]
        return "\n".join([*(text for pair in tables for text in pair if text), *self._said()])

    def _repr_html_(self) -> str:
        tables = (f"{_paragraphs([said] if said else [])}{table(rows)}" for said, rows in self._shown())
        return "".join(tables) + _paragraphs(self._said())


def line(row: dict[str, Any]) -> dict[str, Any]:
    """Return a summary's row in words."""
    shown: dict[str, Any] = {"metric": row["metric"], "model": row["model"], "mean": _number(row["mean"])}
    for name in ("improved", "equal", "degraded"):
        shown[name] = "" if row[name] is None else f"{row[name]:.0%}"
    is_told = row["difference"] is not None and row["low"] is not None
    shown["difference"] = compare.span(row["difference"], row["low"], row["high"]) if is_told else ""
    shown["p"] = "" if row["p_value"] is None else "< 0.001" if row["p_value"] < 0.001 else f"{row['p_value']:.3f}"
    shown["scored"] = f"{row['scored']} of {row['scored'] + row['unscored']}"
    return shown


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _words(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            key: "" if value is None else _number(value) if isinstance(value, float) else value
            for key, value in row.items()
        }
        for row in rows
    ]


def _paragraphs(texts: Iterable[str]) -> str:
    return "".join(f"<p>{html.escape(text)}</p>" for text in texts)


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=[*_FIRST, *(name for name in compare.COLUMNS if name not in _FIRST)])


def _count(keys: Iterable[tuple[str, str, str]], row: dict[str, Any]) -> int:
    return sum(key[1:] == (row["model"], row["metric"]) for key in keys)


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """Say in a sentence why the records cannot be read."""
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError:
        raise Error("The results cannot be read: the job was removed.") from None
    except (OSError, pa.ArrowException) as error:
        raise Error(f"The results cannot be read: {error}") from error


def _cut_torn(file: BinaryIO) -> None:
    """Cut a last line that has no end, which a process that was killed leaves; what is appended begins a line."""
    file.seek(0)
    written = file.read()
    if written and not written.endswith(b"\n"):
        file.truncate(written.rfind(b"\n") + 1)


def _storable(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column as Parquet takes it: what is of several kinds, or has names of its own, as JSON."""
    import pyarrow as pa

    if column.dtype != object:
        return column
    try:
        if not pa.types.is_struct(pa.array(column, from_pandas=True).type):
            return column
    except (pa.ArrowException, OverflowError):
        pass
    return column.map(_as_text)


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and math.isnan(value):
        return None
    return json.dumps(plain(value), ensure_ascii=False, default=str)


def _without_formulas(records: pd.DataFrame) -> pd.DataFrame:
    safe: pd.DataFrame = records.apply(lambda column: column.map(_no_formula) if column.dtype.kind in "OUT" else column)
    safe.columns = [_no_formula(name) for name in safe]
    return safe


def _no_formula(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
