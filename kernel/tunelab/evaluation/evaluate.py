"""The work of an evaluate job: answers of each model, scores of each answer, and what the comparison says.

Answers and judges' replies are kept as they come, so a job that is paused or killed goes on where it was.
"""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from tunelab.data import Dataset
from tunelab.errors import listing
from tunelab.evaluation import compare, records, results
from tunelab.evaluation.answers import Answer, answer
from tunelab.evaluation.records import Record
from tunelab.jobs.context import Context, Paused, Stopped
from tunelab.jobs.folder import JobFolder
from tunelab.registry.prompts import metric_file
from tunelab.scoring.judge import Judges, JudgeScorer
from tunelab.scoring.replies import whole
from tunelab.scoring.reward import scorer as scorer_of
from tunelab.scoring.score import Case, Score, Scorer, Unreachable, Verdict
from tunelab.spec.evaluate import EvaluateSpec
from tunelab.spec.metrics import MetricDefinition
from tunelab.spec.rewards import part_name

#: Scores the cases that stand at these places.
Ask = Callable[[Sequence[Case], Sequence[int]], Sequence[Score]]
#: So many answers are scored between two looks at whether to stop.
_AT_ONCE = 64
#: Ratings that are an expectation differ in the last digits: what is less than this share of a step is equal.
_SHARE_OF_A_STEP = 0.1


def run(context: Context) -> None:
    """Evaluate as the job's spec says, and leave `results/` in the job's folder.

    Raises
    ------
    Stopped
        If the job was asked to stop; what was answered and scored is kept.
    Paused
        If a judge or a candidate cannot be asked.
    Error
        If a model cannot be loaded.
    """
    spec = EvaluateSpec.model_validate(context.folder.spec())
    try:
        if spec.method == "meta":
            from tunelab.evaluation import meta

            lines, told = meta.run(spec, context)
        elif spec.method == "benchmark":
            lines, told = _benchmark(spec, context)
        else:
            lines, told = _Evaluation(spec, context).run()
    except Unreachable as error:
        folder = context.folder
        raise Paused(
            f"{error} Nothing is lost: when it can be asked, tl.job('{folder.id}').resume() goes on."
        ) from error
    _leave(context, spec, lines, told)


class Steps:
    """The progress of a job: how much of all that is to be done is done."""

    def __init__(self, context: Context, total: int) -> None:
        self.context = context
        self.total = total
        self._done: dict[str, int] = {}
        self._began = time.monotonic()
        self._first: int | None = None
        self._told = -math.inf

    def tell(self, what: str, done: int) -> None:
        """Note how many of one kind are done; the journal is told twice a second at most."""
        self._done[what] = done
        step, now = sum(self._done.values()), time.monotonic()
        if self._first is None:
            # What was kept from before took no time.
            self._first, self._began = step, now
        if now - self._told < 0.5 and step < self.total:
            return
        self._told = now
        fresh = step - self._first
        eta = (now - self._began) / fresh * (self.total - step) if fresh else None
        self.context.journal.append("progress", step=min(step, self.total), total=self.total, eta_s=eta)


class _Evaluation:
    """Models that answer the rows of a dataset, and scorers."""

    def __init__(self, spec: EvaluateSpec, context: Context) -> None:
        self.spec = spec
        self.context = context
        assert spec.dataset is not None
        self.records = records.read(Dataset.get(spec.dataset), spec.limit, spec.seed)
        self.models = spec.model_names
        self.elsewhere = spec.predictions or {}
        metrics = len(spec.judge.metrics) if spec.judge else len(spec.scorer)
        judged = len(self.models) - bool(spec.judge and spec.judge.pairwise)
        asked = len(self.models) - len(self.elsewhere)
        self.steps = Steps(context, len(self.records) * (asked + metrics * judged))

    def run(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        answers, costs = self._answers()
        self._stop()
        lines: list[dict[str, Any]] = []
        metrics: list[dict[str, Any]] = []
        notes: list[dict[str, str]] = []
        if self.spec.judge is not None:
            self._judge(answers, lines, metrics, notes)
        else:
            self._score(answers, lines, metrics)
        notes += _warnings(self.context, len(self.records))
        return lines, {"metrics": metrics, "notes": notes, "costs": costs, "columns": records.columns(self.records)}

    def _stop(self) -> None:
        if self.context.stop.is_set():
            raise Stopped

    def _answers(self) -> tuple[dict[str, list[Answer]], list[dict[str, Any]]]:
        spec = self.spec
        found = {name: self._given(file) for name, file in self.elsewhere.items()}
        asked = [model for model, name in zip(spec.models, self.models, strict=True) if name not in self.elsewhere]
        begin = time.monotonic()
        found |= answer(
            asked,
            [record.turns for record in self.records],
            spec.generation,
            spec.seed,
            spec.compute.device,
            spec.compute.dtype,
            spec.compute.threads,
            self.context.say,
            lambda name, done, _: self.steps.tell(f"answers of {name}", done),
            self.context.stop.is_set,
        )
        took = time.monotonic() - begin
        costs = [_cost(name, found[name], took) for name in self.models if name not in self.elsewhere]
        return {name: found[name] for name in self.models}, costs

    def _given(self, file: str) -> list[Answer]:
        text = (self.context.folder.path / file).read_text(encoding="utf-8")
        given = {row["id"]: row["prediction"] for row in map(json.loads, text.splitlines())}
        absent = Answer("", status="failed", note="there is no prediction of this record")
        return [Answer(given[one.id]) if one.id in given else absent for one in self.records]

    def _judge(
        self,
        answers: dict[str, list[Answer]],
        lines: list[dict[str, Any]],
        metrics: list[dict[str, Any]],
        notes: list[dict[str, str]],
    ) -> None:
        judge = self.spec.judge
        assert judge is not None
        judges = Judges(judge, self.context.say, torch_device(self.spec.compute.device))
        baseline = self.models[0]
        for label, definition in definitions(judge.metrics, self.context.folder):
            scorer = JudgeScorer(definition, judges)
            name = named(definition.name, metrics)
            try:
                for model in self.models[1:] if judge.pairwise else self.models:
                    self.context.say(f"{judge.model} judges {model} by {label}")

                    def verdicts(
                        cases: Sequence[Case], places: Sequence[int], scorer: JudgeScorer = scorer
                    ) -> Sequence[Score]:
                        if not judge.pairwise:
                            return scorer.score(cases)
                        return scorer.compare(cases, [answers[baseline][place].text for place in places])

                    others = answers[baseline] if judge.pairwise else None
                    scored = self._scored(f"{name} of {model}", answers[model], others, verdicts)
                    lines += self._lines(name, model, answers[model], scored, baseline if judge.pairwise else None)
                if judge.pairwise:
                    # What the others were held against, to be read beside them.
                    none: list[Score] = [Verdict(None, "baseline") for _ in self.records]
                    lines += self._lines(name, baseline, answers[baseline], none, None)
            finally:
                scorer.close()
            metrics.append(_metric(name, label, definition, judge.pairwise, scorer.form.expects))

    def _score(
        self, answers: dict[str, list[Answer]], lines: list[dict[str, Any]], metrics: list[dict[str, Any]]
    ) -> None:
        for part in self.spec.scorer:
            scorer = scorer_of(part, self.context.folder.path)
            name = named(part_name(part), metrics)
            try:
                for model in self.models:
                    self.context.say(f"{name} scores {model}")
                    scored = self._scored(f"{name} of {model}", answers[model], None, _alone(scorer))
                    lines += self._lines(name, model, answers[model], scored, None)
            finally:
                scorer.close()
            values = [line["score"] for line in lines if line["metric"] == name and not math.isnan(line["score"])]
            metrics.append(
                {"name": name, "label": name, "low": None, "high": None, "labels": None, "pairwise": False}
                | ({"low": 0.0, "high": 1.0} if values and min(values) >= 0 and max(values) <= 1 else {})
            )

    def _scored(
        self,
        what: str,
        given: list[Answer],
        others: list[Answer] | None,
        score: Ask,
    ) -> list[Score]:
        """Return a score for each record; what has no answer has none, and is not asked about."""
        found: list[Score] = []
        for begin in range(0, len(given), _AT_ONCE):
            self._stop()
            places = list(range(begin, min(begin + _AT_ONCE, len(given))))
            there = [
                place
                for place in places
                if given[place].status == "scored" and (others is None or others[place].status == "scored")
            ]
            cases = [self._case(self.records[place], given[place].text) for place in there]
            scores = dict(zip(there, score(cases, there) if cases else [], strict=True))
            found += [scores.get(place) or Verdict(None, "failed", note=_why(given, others, place)) for place in places]
            self.steps.tell(what, len(found))
        return found

    def _case(self, record: Record, text: str) -> Case:
        return Case(record.prompt, text, record.row)

    def _lines(
        self, metric: str, model: str, given: list[Answer], scored: list[Score], against: str | None
    ) -> Iterable[dict[str, Any]]:
        for record, one, score in zip(self.records, given, scored, strict=True):
            verdict = score if isinstance(score, Verdict) else Verdict(**vars(score), reasoning="")
            line = {
                "id": record.id,
                "number": record.number,
                "model": model,
                "metric": metric,
                "prompt": record.prompt,
                "ground_truth": record.ground_truth,
                "prediction": one.text,
                "score": math.nan if verdict.value is None else verdict.value,
                "label": verdict.label,
                "reasoning": verdict.reasoning,
                "raw": verdict.raw,
                "status": verdict.status,
                "note": verdict.note,
                "against": against,
                "flipped": verdict.flipped,
                # Of answers that were made elsewhere nobody knows what they took.
                "latency_s": math.nan if model in self.elsewhere else one.latency_s,
                "tokens_in": math.nan if model in self.elsewhere else one.tokens_in,
                "tokens_out": math.nan if model in self.elsewhere else one.tokens_out,
                "cost": math.nan if one.cost is None else one.cost,
                "cut": one.cut,
            }
            for name, value in record.row.items():
                if name != "ground_truth":
                    line[f"column {name}" if name in line else name] = _flat(value)
            yield line


def definitions(labels: Iterable[Any], folder: JobFolder) -> list[tuple[str, MetricDefinition]]:
    """Return a job's metrics as they were at its submit."""
    return [
        (
            str(label),
            MetricDefinition.model_validate_json((folder.path / metric_file(str(label))).read_text(encoding="utf-8")),
        )
        for label in labels
    ]


def _benchmark(spec: EvaluateSpec, context: Context) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    from tunelab.evaluation import benchmark

    done: dict[str, int] = {}
    totals: dict[str, int] = {}

    def progress(name: str, count: int, total: int) -> None:
        done[name], totals[name] = count, total
        context.journal.append("progress", step=sum(done.values()), total=sum(totals.values()), eta_s=None)

    lines, rows = benchmark.run(spec, context.say, progress, context.stop.is_set)
    names = list(dict.fromkeys(line["metric"] for line in lines))
    metrics = [
        {"name": name, "label": name, "low": 0.0, "high": 1.0, "labels": None, "pairwise": False} for name in names
    ]
    return lines, {"metrics": metrics, "benchmarks": rows}


def _leave(context: Context, spec: EvaluateSpec, lines: list[dict[str, Any]], told: dict[str, Any]) -> None:
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


def _warnings(context: Context, count: int) -> list[dict[str, str]]:
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


def _cost(name: str, given: list[Answer], seconds: float) -> dict[str, Any]:
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


def _metric(name: str, label: str, definition: MetricDefinition, pairwise: bool, expects: bool) -> dict[str, Any]:
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


def _why(given: list[Answer], others: list[Answer] | None, place: int) -> str:
    if given[place].status != "scored":
        return given[place].note
    return f"the baseline: {others[place].note}" if others else ""


def _alone(scorer: Scorer) -> Ask:
    return lambda cases, _: scorer.score(cases)


def _whole(value: Any) -> Any:
    return whole(value) if isinstance(value, str) else value


def _flat(value: Any) -> Any:
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)
    return value


def torch_device(device: str) -> str:
    """Return what torch calls a spec's device in a worker."""
    # The worker sees one GPU alone, which is its first.
    return "cuda:0" if device.startswith("cuda") else device
