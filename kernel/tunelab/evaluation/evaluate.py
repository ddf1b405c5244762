"""The work of an evaluate job: answers of each model, scores of each answer, and what the comparison says.

Answers and judges' replies are kept as they come, so a job that is paused or killed goes on where it was.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tunelab.data import Dataset
from tunelab.evaluation import meta, outcome, records, work
from tunelab.evaluation.answers import Answer, answer
from tunelab.evaluation.records import Record
from tunelab.jobs.context import Context, Paused, Stopped
from tunelab.scoring.judge import Judges, JudgeScorer
from tunelab.scoring.reward import scorer as scorer_of
from tunelab.scoring.score import Case, Score, Scorer, Unreachable, Verdict
from tunelab.spec.evaluate import EvaluateSpec
from tunelab.spec.rewards import part_name

#: Scores the cases that stand at these places.
Ask = Callable[[Sequence[Case], Sequence[int]], Sequence[Score]]
#: So many answers are scored between two looks at whether to stop.
_AT_ONCE = 64


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
    outcome.leave(context, spec, lines, told)


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
        self.steps = work.Steps(context, len(self.records) * (asked + metrics * judged))

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
        notes += outcome.warnings(self.context)
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
        costs = [outcome.cost(name, found[name], took) for name in self.models if name not in self.elsewhere]
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
        judges = Judges(judge, self.context.say, work.torch_device(self.spec.compute.device))
        baseline = self.models[0]
        for label, definition in work.definitions(judge.metrics, self.context.folder):
            scorer = JudgeScorer(definition, judges)
            name = outcome.named(definition.name, metrics)
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
            metrics.append(outcome.metric(name, label, definition, judge.pairwise, scorer.form.expects))

    def _score(
        self, answers: dict[str, list[Answer]], lines: list[dict[str, Any]], metrics: list[dict[str, Any]]
    ) -> None:
        for part in self.spec.scorer:
            scorer = scorer_of(part, self.context.folder.path)
            name = outcome.named(part_name(part), metrics)
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


def _why(given: list[Answer], others: list[Answer] | None, place: int) -> str:
    if given[place].status != "scored":
        return given[place].note
    return f"the baseline: {others[place].note}" if others else ""


def _alone(scorer: Scorer) -> Ask:
    return lambda cases, _: scorer.score(cases)


def _flat(value: Any) -> Any:
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)
    return value
