"""What an evaluation found, as a notebook has it: records, summary, what people overruled, and files of them."""

from __future__ import annotations

import datetime as dt
import getpass
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
#: What spreadsheets take for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
SUFFIXES = (".csv", ".json", ".jsonl", ".parquet")


def write(folder: Path, records: pd.DataFrame, summary: dict[str, Any]) -> None:
    """Write results to a folder; `summary` last, since it says that there are any."""
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".{RECORDS}"
    records.to_parquet(aside, index=False)
    os.replace(aside, folder / RECORDS)
    workspace.write_json(folder / SUMMARY, plain(summary))


def plain(value: Any) -> Any:
    """Return a value as JSON has it: numbers that are none become null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.item() if hasattr(value, "item") else value


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
        import pandas as pd

        if self._records is None:
            self._records = pd.read_parquet(self.folder / RECORDS)
        given = self._overruled()
        keys = zip(self._records["id"], self._records["model"], self._records["metric"], strict=True)
        human = [given.get(key, math.nan) for key in keys] if given else math.nan
        found = self._records.assign(human_score=human)
        first = ("id", "model", "metric", "prompt", "ground_truth", "prediction", "score", "label", "reasoning", "raw")
        front = [name for name in (*first, "status", "human_score") if name in found]
        return found[[*front, *(name for name in found if name not in front)]]

    @property
    def summary(self) -> pd.DataFrame:
        """One row a metric and model: means, what improved against the baseline, the interval, p, and the coverage."""
        return self._table(self._told["summary"])

    @property
    def human_summary(self) -> pd.DataFrame:
        """The summary with people's scores in place of those that they overruled."""
        records = self.records
        records = records.assign(people=records["human_score"].fillna(records["score"]))
        return self._table([one.as_dict() for one in self._summarize(records, "people")])

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
        """Return the summary of each part of the records with one value in a metadata column.

        Raises
        ------
        Error
            If the records have no such column.
        """
        records = self.records
        known = self._told["columns"]
        if column not in records.columns or column not in known:
            hint = did_you_mean(column, known)
            raise Error(f"The records have no column '{column}'.{hint} There are {listing(known) or 'none'}.")
        parts = [
            compare.by(records[records["metric"] == metric["name"]], self.models, column, self._told["seed"], within)
            for metric, within in ((metric, _within(metric)) for metric in self._told["metrics"])
        ]
        import pandas as pd

        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    def overrule(self, id: str, model: str, metric: str, score: float | None) -> None:
        """Put a person's score in place of the one that was given; None takes that back. Both stay in the results.

        Raises
        ------
        Error
            If there is no such record, or the score is none of the metric's scale.
        """
        metrics = {one["name"]: one for one in self._told["metrics"]}
        for name, value, known in (("model", model, self.models), ("metric", metric, list(metrics))):
            if value not in known:
                raise Error(f"There is no {name} '{value}'.{did_you_mean(value, known)} There are {listing(known)}.")
        if id not in set(self.records["id"]):
            raise Error(f"There is no record with the id '{id}'.")
        if score is not None:
            low, high = metrics[metric]["low"], metrics[metric]["high"]
            is_number = isinstance(score, (int, float)) and not isinstance(score, bool) and math.isfinite(score)
            if not is_number or not (low is None or low <= score) or not (high is None or score <= high):
                scale = f" from {low:g} to {high:g}" if low is not None and high is not None else ""
                raise Error(f"A score of {metric} is a number{scale}, and got {score!r}.")
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        line = {"id": id, "model": model, "metric": metric, "score": score, "user": getpass.getuser(), "time": now}
        path = self.folder / OVERRULES
        with FileLock(f"{path}.lock"), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def save(self, path: str | Path) -> Path:
        """Write the records to a file, in the format of its suffix: .csv, .json, .jsonl or .parquet.

        In a CSV a text that a spreadsheet would run as a formula begins with an apostrophe.

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
            if form == ".parquet":
                records.to_parquet(target, index=False)
            elif form == ".csv":
                safe = records.apply(lambda column: column.map(_no_formula) if column.dtype.kind in "OUT" else column)
                safe.to_csv(target, index=False)
            else:
                text = records.to_json(orient="records", lines=form == ".jsonl", force_ascii=False)
                target.write_text(text or "", encoding="utf-8")
        except OSError as error:
            raise Error(f"{target} cannot be written: {error.strerror}.") from error
        return target

    def _summarize(self, records: pd.DataFrame, scores: str) -> list[compare.Summary]:
        return [
            one
            for metric in self._told["metrics"]
            for one in compare.summarize(
                records[records["metric"] == metric["name"]], self.models, self._told["seed"], scores, _within(metric)
            )
        ]

    def _table(self, rows: list[dict[str, Any]]) -> pd.DataFrame:
        import pandas as pd

        found = pd.DataFrame(rows)
        return found[[*_FIRST, *(name for name in found if name not in _FIRST)]] if rows else found

    def _overruled(self) -> dict[tuple[str, str, str], float]:
        path = self.folder / OVERRULES
        if not path.exists():
            return {}
        last: dict[tuple[str, str, str], float | None] = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            told = json.loads(line)
            last[told["id"], told["model"], told["metric"]] = told["score"]
        return {key: score for key, score in last.items() if score is not None}

    def _rows(self) -> list[dict[str, Any]]:
        """Return what is shown: a line a metric and model."""
        return [line(row) for row in self._told["summary"]]

    def __repr__(self) -> str:
        rows = ["  ".join(str(value) for value in row.values() if value != "") for row in self._rows()]
        rows += [row["verdict"] for row in self._told["summary"] if row["verdict"]]
        return "\n".join([*rows, *self.notes])

    def _repr_html_(self) -> str:
        import html

        said = [*(row["verdict"] for row in self._told["summary"] if row["verdict"]), *self.notes]
        told = "".join(f"<p>{html.escape(text)}</p>" for text in said)
        rows = self._rows()
        return (table(rows) if rows else "") + told


def line(row: dict[str, Any]) -> dict[str, Any]:
    """Return a summary's row in words."""
    shown: dict[str, Any] = {"metric": row["metric"], "model": row["model"], "mean": _number(row["mean"])}
    for name in ("improved", "equal", "degraded"):
        shown[name] = "" if row[name] is None else f"{row[name]:.0%}"
    is_told = row["difference"] is not None and row["low"] is not None
    shown["difference"] = f"{row['difference']:+.2f} ({row['low']:+.2f} to {row['high']:+.2f})" if is_told else ""
    shown["p"] = "" if row["p_value"] is None else "< 0.001" if row["p_value"] < 0.001 else f"{row['p_value']:.3f}"
    shown["scored"] = f"{row['scored']} of {row['scored'] + row['unscored']}"
    return shown


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _within(metric: dict[str, Any]) -> float:
    return float(metric.get("equal_within") or compare.EQUAL_WITHIN)


def _no_formula(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
