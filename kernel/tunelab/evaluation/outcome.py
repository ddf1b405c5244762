"""What an evaluate job leaves: records, summary and notes in its folder, and the figures in its journal."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from tunelab.errors import listing
from tunelab.evaluation import compare, results
from tunelab.evaluation.kept import Answer
from tunelab.jobs.context import Context
from tunelab.scoring.replies import whole
from tunelab.spec.evaluate import EvaluateSpec
from tunelab.spec.metrics import MetricDefinition

#: Ratings that are an expectation differ in the last digits: what is less than this share of a step is equal.
_SHARE_OF_A_STEP = 0.1


def leave(context: Context, spec: EvaluateSpec, lines: list[dict[str, Any]], told: dict[str, Any]) -> None:
    """Write the results, and tell the journal of the figures."""
    import pandas as pd

    # A reply's JSON can carry halves of characters, which no file can.
    frame = pd.DataFrame([{name: _whole(value) for name, value in line.items()} for line in lines])
    models = told.pop("models", None) or spec.model_names
    within = {metric["name"]: metric.get("equal_within") or compare.EQUAL_WITHIN for metric in told["metrics"]}
    rows = [
        one.as_dict()
        for name, equal_within in within.items()
        if spec.method != "meta"
        for one in compare.summarize(frame[frame["metric"] == name], models, spec.seed, equal_within=equal_within)
    ]
    for row in rows:
        of = frame[(frame["metric"] == row["metric"]) & (frame["model"] == row["model"])]
        row["reasons"] = of.loc[of["score"].isna(), "status"].value_counts().to_dict()
    notes = told.setdefault("notes", [])
    for row in rows:
        if row["needed"] is not None:
            notes.append({"code": "too-few", "message": f"{row['metric']}, {row['model']}: {row['verdict']}"})
        if row["unscored"]:
            notes.append(
                {
                    "code": "unscored",
                    "message": f"{row['unscored']:,} of {row['scored'] + row['unscored']:,} answers of {row['model']} "
                    f"have no score by {row['metric']}; they count in no figure.",
                }
            )
    summary = {
        "method": spec.method,
        "models": models,
        "baseline": models[0] if models else None,
        "summary": rows,
        "rows": int(frame["id"].nunique()) if len(frame) else 0,
        "costs": [],
        "columns": [],
        "benchmarks": None,
        "judges": None,
        "seed": spec.seed,
    } | told
    results.write(context.folder.path / "results", frame, summary)
    values = {
        f"{row['metric']}/{key}/{Path(row['model']).name}": row[key]
        for row in rows
        for key in ("mean", "improved", "equal", "degraded", "difference", "p_value")
        if row[key] is not None
    }
    for row in told.get("benchmarks") or []:
        values[f"{row['task']}/{row['metric']}/{Path(row['model']).name}"] = row["value"]
    for row in told.get("judges") or []:
        values |= {f"{row['metric']}/{key}": row[key] for key in ("agreement", "kappa") if row.get(key) is not None}
    if values:
        context.journal.append("metric", step=0, values=results.plain(values))
    for row in rows:
        if row["verdict"]:
            context.say(f"{row['metric']}, {row['model']} against {row['baseline']}: {row['verdict']}")


def warnings(context: Context) -> list[dict[str, str]]:
    facts = context.folder.facts()
    notes = [
        {
            "code": "overlap",
            "message": f"{seen:,} of {facts['rows']:,} questions are in the data that {model} was trained on: it may "
            "have learned their answers by heart.",
        }
        for model, seen in (facts.get("overlap") or {}).items()
    ]
    if taught := facts.get("same_judge"):
        notes.append(
            {
                "code": "same-judge",
                "message": f"The judge gave the reward that {listing(taught)} learned from, and praises what it likes. "
                "Evaluate with another judge.",
            }
        )
    for note in notes:
        context.say(note["message"], "warning")
    return notes


def cost(name: str, given: list[Answer], seconds: float) -> dict[str, Any]:
    """Return what an answer takes: means of seconds, tokens and cost; `total_cost` is of all, `seconds` of the step."""
    there = [one for one in given if one.status == "scored"]
    priced = [one.cost for one in there if one.cost is not None]
    return {
        "model": name,
        "answers": len(there),
        "failed": len(given) - len(there),
        "latency_s": _mean([one.latency_s for one in there]),
        "tokens_in": _mean([one.tokens_in for one in there]),
        "tokens_out": _mean([one.tokens_out for one in there]),
        "cost": _mean(priced),
        "total_cost": sum(priced) if priced else None,
        "seconds": seconds,
    }


def _mean(values: list[Any]) -> float | None:
    return sum(values) / len(values) if values else None


def metric(name: str, label: str, definition: MetricDefinition, pairwise: bool, expects: bool) -> dict[str, Any]:
    if pairwise:
        return {"name": name, "label": label, "low": 0.0, "high": 1.0, "labels": None, "pairwise": True}
    scale = definition.scale
    values = sorted(scale.values())
    step = min(high - low for low, high in itertools.pairwise(values))
    return {
        "name": name,
        "label": label,
        "low": values[0],
        "high": values[-1],
        "labels": scale,
        "pairwise": False,
        "equal_within": _SHARE_OF_A_STEP * step if expects else None,
    }


def named(name: str, metrics: list[dict[str, Any]]) -> str:
    """Return a name that none of the metrics has yet."""
    taken = {metric["name"] for metric in metrics}
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    return found


def _whole(value: Any) -> Any:
    return whole(value) if isinstance(value, str) else value
