"""Jobs beside each other: what differs in their specs, what came out of each, and their metrics in one table."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from tunelab import tables, workspace
from tunelab.errors import JobError
from tunelab.jobs import manager
from tunelab.jobs.manager import Job

if TYPE_CHECKING:
    import pandas as pd

#: Metrics that say how far a job came, and not how well.
_NO_RESULTS = frozenset({"epoch", "num_tokens", "learning_rate"})


class Comparison:
    """Two or more jobs beside each other. Shown as a table of what differs in their specs, the results last."""

    def __init__(self, jobs: list[Job]) -> None:
        self.jobs = jobs

    @property
    def names(self) -> list[str]:
        """What each job is called among the others: equal names have the end of the id after them."""
        names = [job.read().model_version or str(job.spec["name"]) for job in self.jobs]
        count = Counter(names)
        told = [
            f"{name} · {job.id.rpartition('-')[2]}" if count[name] > 1 else name
            for name, job in zip(names, self.jobs, strict=True)
        ]
        return told if len(set(told)) == len(told) else [job.id for job in self.jobs]

    @property
    def specs(self) -> pd.DataFrame:
        """What differs: a row a dotted key of the specs, a column a job; the results come last, as ``result: …``."""
        import pandas as pd

        rows = [row for row in self.rows() if row["result"] or row["differs"]]
        return pd.DataFrame(
            [row["values"] for row in rows],
            index=pd.Index([_shown(row) for row in rows], name="key"),
            columns=pd.Index([job.id for job in self.jobs], name="job"),
            dtype=object,
        )

    def metrics(self) -> pd.DataFrame:
        """Return the metrics of all jobs: the index is the step, the columns have the levels ``job`` and ``metric``."""
        import pandas as pd

        frames = {job.id: job.metrics() for job in self.jobs}
        return pd.concat(frames, axis=1, names=["job", "metric"]).sort_index()

    def rows(self) -> list[dict[str, Any]]:
        """Return every key, whether it differs or not: ``key``, ``values`` (one a job), ``differs`` and ``result``."""
        settings, results = [_settings(job) for job in self.jobs], [_results(job) for job in self.jobs]
        return [*_rows(settings, is_result=False), *_rows(results, is_result=True)]

    def _table(self) -> list[dict[str, Any]]:
        ids = [job.id for job in self.jobs]
        return [
            {"key": _shown(row)} | {job: _text(value) for job, value in zip(ids, row["values"], strict=True)}
            for row in self.rows()
            if row["result"] or row["differs"]
        ]

    def __repr__(self) -> str:
        rows = self._table()
        return tables.columns(rows) if rows else "The specs do not differ, and there are no results yet."

    def _repr_html_(self) -> str:
        rows = self._table()
        return tables.table(rows) if rows else f"<p>{self!r}</p>"


def compare(*jobs: Job | str) -> Comparison:
    """Put jobs beside each other: what differs in their specs, their results, and their metrics.

    Parameters
    ----------
    *jobs
        Two or more, of customization or of evaluation: jobs, their ids, or the names of custom models, which mean the
        newest job of each.

    Raises
    ------
    JobError
        If there are fewer than two, one is there twice, or one does not exist.

    Examples
    --------
    >>> tl.compare("chatty-20260316-101500-1f2e", "chatty-20260316-113000-77aa").specs
    """
    if len(jobs) == 1 and isinstance(jobs[0], (list, tuple)):
        jobs = tuple(jobs[0])
    found = [job if isinstance(job, Job) else _find(job) for job in jobs]
    if len(found) < 2:
        raise JobError("tl.compare takes two jobs or more, by their ids: tl.jobs() lists them.")
    ids = [job.id for job in found]
    if twice := next((job for job in ids if ids.count(job) > 1), None):
        raise JobError(f"{twice} is there twice; name each job once.")
    return Comparison(found)


def _find(job: Any) -> Job:
    if not isinstance(job, str):
        raise JobError(f"tl.compare takes jobs or their ids, and got {type(job).__name__}.")
    return manager.find(job)


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return a nested mapping by dotted keys; of a list of mappings each has its number, from 1."""
    if isinstance(value, dict) and value:
        pairs = {f"{prefix}.{key}" if prefix else str(key): item for key, item in value.items()}
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        pairs = {f"{prefix}.{number}": item for number, item in enumerate(value, 1)}
    else:
        return {prefix: value}
    return {key: item for inner, given in pairs.items() for key, item in flatten(given, inner).items()}


def _settings(job: Job) -> dict[str, Any]:
    """Return the spec by dotted keys, and the digests of the files that it scored by: names may be equal."""
    digests = job.facts.get("reward", {}) | job.facts.get("scoring", {})
    return flatten(job.spec) | {f"{file} (SHA-256)": digest[:12] for file, digest in digests.items()}


def _rows(sides: list[dict[str, Any]], is_result: bool) -> list[dict[str, Any]]:
    keys = list(dict.fromkeys(key for side in sides for key in side))
    found = []
    for key in keys:
        values = [side.get(key) for side in sides]
        if any(value is not None for value in values):
            differs = any(value != values[0] for value in values[1:])
            found.append({"key": key, "values": values, "differs": differs, "result": is_result})
    return found


def _results(job: Job) -> dict[str, Any]:
    """Return the last value of each metric; of an evaluation the mean of each metric and model."""
    if job.spec["kind"] == "evaluate":
        summary = workspace.read_json(job.folder.path / "results" / "summary.json", {})
        return {f"{row['metric']} of {row['model']}": row["mean"] for row in summary.get("summary", [])}
    return {
        name: value
        for name, (value, _) in job.read().metrics.items()
        if name.removeprefix("eval_") not in _NO_RESULTS and value is not None and math.isfinite(value)
    }


def _shown(row: dict[str, Any]) -> str:
    return f"result: {row['key']}" if row["result"] else str(row["key"])


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


__all__ = ["Comparison", "compare", "flatten"]
