"""The judge is measured: how often it says what people said, and what it prefers beside the answer's quality."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tunelab.data import Dataset
from tunelab.errors import SpecError
from tunelab.evaluation import compare, outcome, records, work
from tunelab.evaluation.records import Record
from tunelab.jobs.context import Context, Stopped
from tunelab.scoring.judge import Judges, JudgeScorer
from tunelab.scoring.score import Case, Score, Verdict
from tunelab.spec.evaluate import EvaluateSpec
from tunelab.spec.metrics import MetricDefinition

_AT_ONCE = 32


def run(spec: EvaluateSpec, context: Context) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Hold a judge against rows that people have judged.

    Returns
    -------
    lines
        One a row and metric, in the columns of ``records.parquet``; ``people`` is what people said.
    told
        Of the summary: ``judges`` has one row a metric, as `agreement_of_pairs` and `agreement_of_ratings` say.

    Raises
    ------
    Stopped
        If the job was asked to stop; the judge's replies are kept.
    Unreachable
        If the judge cannot be asked.
    """
    judge = spec.judge
    assert judge is not None and spec.dataset is not None
    rows = records.read(Dataset.get(spec.dataset), spec.limit, spec.seed)
    is_pairs = "output_1" in rows[0].row
    judges = Judges(judge, context.say, work.torch_device(spec.compute.device))
    steps = work.Steps(context, len(rows) * len(judge.metrics))
    lines: list[dict[str, Any]] = []
    told: list[dict[str, Any]] = []
    metrics: list[dict[str, Any]] = []
    for label, definition in work.definitions(judge.metrics, context.folder):
        if not is_pairs and judge.pairwise:
            raise SpecError("judge.pairwise needs rows with output_1 and output_2; these have one answer each.")
        scorer = JudgeScorer(definition, judges)
        context.say(f"{judge.model} judges {len(rows)} rows by {label}")
        try:
            scores: list[Score] = []
            for begin in range(0, len(rows), _AT_ONCE):
                if context.stop.is_set():
                    raise Stopped
                scores += _judged(scorer, rows[begin : begin + _AT_ONCE], is_pairs)
                steps.tell(label, len(scores))
        finally:
            scorer.close()
        name = outcome.named(definition.name, metrics)
        people = [float(row.row["label"]) for row in rows]
        way = ("pairwise" if judge.pairwise else "each by itself") if is_pairs else "rating"
        way += f", {judge.scoring}" if not judge.pairwise else ""
        way += ", reasoning" if judges.reasons else ""
        found = (
            agreement_of_pairs(rows, scores, people, spec.seed)
            if is_pairs
            else agreement_of_ratings(rows, scores, people, definition, spec.seed)
        )
        told.append({"metric": name, "judge": judge.model, "way": way} | found)
        lines += _lines(judge.model, name, rows, scores, people)
        fixed = {"low": None, "high": None, "labels": None, "pairwise": False}
        metrics.append({"name": name, "label": label} | fixed)
    notes = [{"code": "judge", "message": sentence(row)} for row in told]
    for note in notes:
        context.say(note["message"])
    columns = ["people", *(["output_2"] if is_pairs else [])]
    return lines, {"metrics": metrics, "judges": told, "notes": notes, "columns": columns, "models": [judge.model]}


def agreement_of_pairs(
    rows: Sequence[Record], scores: Sequence[Score], people: Sequence[float], seed: int = 0
) -> dict[str, Any]:
    """Return how a judge's choices between two answers agree with people's.

    ``agreement`` is the share of the rows with a verdict in which it is the same as people's; a tie of the judge agrees
    with a tie only. ``kappa`` is Cohen's (1960) over first, second and tie; ``tied`` is the share of ties. ``flipped``
    is the share of verdicts that went by the place, ``position_bias`` the share by which it chose the first place in
    both orders more often than the second. ``length_bias`` is the share in which it prefers the longer answer, less
    that in which people do.
    """
    from sklearn.metrics import cohen_kappa_score

    kept = [at for at, score in enumerate(scores) if score.value is not None]
    chosen = [{1.0: 1, 0.5: 0, 0.0: 2}[_value(scores[at])] for at in kept]
    wanted = [int(people[at]) for at in kept]
    same = [float(one == other) for one, other in zip(chosen, wanted, strict=True)]
    orders = [scores[at].parts for at in kept]
    in_both = [one["first"] - one["second"] for one in orders if one]
    longer = [_longer(rows[at]) for at in kept]
    decided = [at for at in range(len(kept)) if longer[at]]
    return _shares(same, len(scores), seed) | {
        "kappa": _number(cohen_kappa_score(wanted, chosen)) if len(set(wanted) | set(chosen)) > 1 else None,
        "tied": chosen.count(0) / len(chosen) if chosen else None,
        "flipped": sum(bool(getattr(scores[at], "flipped", False)) for at in kept) / len(kept) if in_both else None,
        "position_bias": sum(in_both) / len(in_both) if in_both else None,
        "length_bias": sum((chosen[at] == longer[at]) - (wanted[at] == longer[at]) for at in decided) / len(decided)
        if decided
        else None,
    }


def agreement_of_ratings(
    rows: Sequence[Record],
    scores: Sequence[Score],
    people: Sequence[float],
    definition: MetricDefinition,
    seed: int = 0,
) -> dict[str, Any]:
    """Return how a judge's ratings agree with people's.

    ``agreement`` is the share in which the point of the scale nearest to the judge's score is the nearest to people's;
    ``kappa`` is Cohen's over the points, ``correlation`` Spearman's of the scores; ``length_bias`` is Spearman's of the
    judge's score less people's with the answer's length.
    """
    from scipy.stats import spearmanr
    from sklearn.metrics import cohen_kappa_score

    kept = [at for at, score in enumerate(scores) if score.value is not None]
    points = list(definition.scale.values())
    chosen = [_nearest(points, _value(scores[at])) for at in kept]
    wanted = [_nearest(points, people[at]) for at in kept]
    same = [float(one == other) for one, other in zip(chosen, wanted, strict=True)]
    given = [_value(scores[at]) for at in kept]
    said = [people[at] for at in kept]
    lengths = [len(rows[at].row["prediction"]) for at in kept]
    # 2.1 - 2 is a little more than 1.1 - 1, and is no higher rank.
    over = [round(one - other, 9) for one, other in zip(given, said, strict=True)]

    def rank(first: list[Any], second: list[Any]) -> float | None:
        return _number(spearmanr(first, second)[0]) if len(set(first)) > 1 and len(set(second)) > 1 else None

    return _shares(same, len(scores), seed) | {
        "kappa": _number(cohen_kappa_score(wanted, chosen)) if len(set(wanted) | set(chosen)) > 1 else None,
        "correlation": rank(given, said),
        "length_bias": rank(over, lengths),
    }


def sentence(row: dict[str, Any]) -> str:
    """Return what is to be known of a judge."""
    if row["agreement"] is None:
        return f"The judge {row['judge']} gave no verdict by {row['metric']}."
    said = (
        f"The judge {row['judge']} agrees with people in {row['agreement']:.0%} of {row['n']} rows by {row['metric']}"
    )
    said += f" (95%: {row['low']:.0%} to {row['high']:.0%}"
    said += f"; kappa {row['kappa']:.2f})" if row["kappa"] is not None else ")"
    if row.get("flipped"):
        said += f"; {row['flipped']:.0%} of its verdicts change with the order"
    if row["length_bias"] is not None and abs(row["length_bias"]) >= 0.1:
        said += f"; it prefers {'longer' if row['length_bias'] > 0 else 'shorter'} answers"
    return f"{said}."


def _judged(scorer: JudgeScorer, rows: Sequence[Record], is_pairs: bool) -> list[Score]:
    if not is_pairs:
        return list(scorer.score([Case(row.prompt, row.row["prediction"], row.row) for row in rows]))
    first = [Case(row.prompt, row.row["output_1"], row.row) for row in rows]
    second = [Case(row.prompt, row.row["output_2"], row.row) for row in rows]
    if scorer.is_pairwise:
        return list(scorer.compare(first, [case.completion for case in second]))
    both = scorer.score(first + second)
    return [_better(one, other) for one, other in zip(both[: len(rows)], both[len(rows) :], strict=True)]


def _better(one: Verdict, other: Verdict) -> Verdict:
    """Return which of two answers has the higher rating."""
    if one.value is None or other.value is None:
        missing = one if one.value is None else other
        return Verdict(None, missing.status, note=missing.note, raw=missing.raw)
    gap = one.value - other.value
    value = 0.5 if abs(gap) <= compare.EQUAL_WITHIN else float(gap > 0)
    label = {1.0: "win", 0.5: "tie", 0.0: "loss"}[value]
    raw = f"[{one.raw}, {other.raw}]"
    return Verdict(value, label=label, reasoning=f"{one.value:.3g} and {other.value:.3g}", raw=raw)


def _lines(
    model: str, metric: str, rows: Sequence[Record], scores: Sequence[Score], people: Sequence[float]
) -> list[dict[str, Any]]:
    lines = []
    for row, score, said in zip(rows, scores, people, strict=True):
        verdict = score if isinstance(score, Verdict) else Verdict(score.value, score.status, note=score.note)
        lines.append(
            {
                **{"id": row.id, "number": row.number, "model": model, "metric": metric, "prompt": row.prompt},
                **{"ground_truth": row.ground_truth, "prediction": row.row.get("prediction", row.row.get("output_1"))},
                **{"score": math.nan if verdict.value is None else verdict.value, "label": verdict.label},
                **{"reasoning": verdict.reasoning, "raw": verdict.raw, "status": verdict.status, "note": verdict.note},
                **{"against": None, "flipped": verdict.flipped, "latency_s": verdict.latency_s},
                **{"tokens_in": verdict.tokens_in, "tokens_out": verdict.tokens_out, "cost": math.nan, "cut": False},
                "people": said,
                **({"output_2": row.row["output_2"]} if "output_2" in row.row else {}),
            }
        )
    return lines


def _shares(same: list[float], count: int, seed: int) -> dict[str, Any]:
    import numpy as np

    low, high = compare.interval(np.array(same), seed) if same else (None, None)
    agreement = sum(same) / len(same) if same else None
    return {"n": count, "unscored": count - len(same), "agreement": agreement, "low": low, "high": high}


def _longer(row: Record) -> int:
    first, second = len(row.row["output_1"]), len(row.row["output_2"])
    return 0 if first == second else 1 if first > second else 2


def _nearest(points: list[float], value: float) -> int:
    return min(range(len(points)), key=lambda at: abs(points[at] - value))


def _value(score: Score) -> float:
    assert score.value is not None
    return score.value


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
