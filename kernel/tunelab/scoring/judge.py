"""A judge: another model's rating of an answer by a metric, or its choice between an answer and the baseline's."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tunelab.scoring.asking import Asker, Backend
from tunelab.scoring.cache import Cache
from tunelab.scoring.judge_texts import Texts
from tunelab.scoring.replies import Form, Reply
from tunelab.scoring.score import Case, Verdict
from tunelab.spec.evaluate import Judge
from tunelab.spec.metrics import MetricDefinition

if TYPE_CHECKING:
    from tunelab.scoring.local import LocalModel

#: What a judge chooses between, and what it is worth to the first answer.
_SIDES = (("A", 1.0), ("B", 0.0), ("tie", 0.5))
_LACKING = Verdict(None, "invalid", note="the row has no ground truth, with which the metric compares")
_ALIKE = Verdict(0.5, label="tie", reasoning="The two answers are the same.", parts={"first": 0.5, "second": 0.5})


def metric_form(metric: MetricDefinition, judge: Judge) -> Form:
    """Return the replies that are asked for by a metric."""
    return Form(tuple(metric.scale.items()), metric.is_categorical, judge.scoring == "expectation", reasons(judge))


def pair_form(judge: Judge) -> Form:
    """Return the replies that are asked for of two answers: a choice is no number to be averaged."""
    return Form(_SIDES, in_words=True, expects=False, reasons=reasons(judge))


def reasons(judge: Judge) -> bool:
    """Tell whether a judge reasons before it scores."""
    # A small model reasons at length and to no use; a large one scores better for it (Zheng et al. 2023).
    return judge.base_url is not None if judge.reasoning is None else judge.reasoning


class Here:
    """A local model as a backend, its replies held to a form."""

    def __init__(self, model: LocalModel, form: Form) -> None:
        self._model, self._form = model, form

    @property
    def identity(self) -> list[Any]:
        """What replies depend on besides the text."""
        return ["local judge", self._model.digest]

    def ask(self, texts: Sequence[str], seed: int = 0) -> list[Reply]:
        """Return a reply to each text, in order; the seed changes nothing."""
        return self._model.rate(texts, self._form)

    def close(self) -> None:
        """Nothing was started."""


class Judges:
    """The judge of a spec as backends: of a local model there is one copy for all metrics.

    Parameters
    ----------
    judge
        What the spec says of it.
    say
        Told what is being loaded.
    device
        Where a local model runs, as torch calls it.
    """

    def __init__(self, judge: Judge, say: Callable[[str], None] = lambda _: None, device: str = "cpu") -> None:
        self.judge = judge
        self.reasons = reasons(judge)
        self._say, self._device = say, device
        self._model: LocalModel | None = None

    def backend(self, form: Form) -> Backend:
        """Return what is asked for replies of a form."""
        if self.judge.base_url is None:
            from tunelab.scoring.local import LocalModel

            if self._model is None:
                self._model = LocalModel(self.judge.model, self._device, say=self._say)
            return Here(self._model, form)
        from tunelab.scoring.endpoint import Endpoint

        return Endpoint(self.judge, form=form, role="judge")


class JudgeScorer:
    """Scores answers by a metric.

    A reply that cannot be read is asked for once more; after that the answer is unscored, which is no number. What was
    asked before, now or in an earlier run, is answered from the cache.
    """

    def __init__(self, metric: MetricDefinition, judges: Judges, cache: Cache | None = None) -> None:
        self.metric = metric
        self.judges = judges
        self.is_pairwise = judges.judge.pairwise
        self.form = pair_form(judges.judge) if self.is_pairwise else metric_form(metric, judges.judge)
        self.backend = judges.backend(self.form)
        self.texts = Texts(metric, self.form)
        identity = [*self.backend.identity, self.form.identity]
        self._asker = Asker(self.backend, cache or Cache(identity))

    @property
    def counts(self) -> dict[str, int]:
        """How many texts were ``asked`` for, ``cached``, ``unparsed``, and ``failures``."""
        return self._asker.counts

    def score(self, cases: Sequence[Case]) -> list[Verdict]:
        """Return the judge's rating of each case, in order.

        Raises
        ------
        Interrupted
            If the judge cannot be asked; what it said until then is kept.
        """
        texts = [None if self._lacks(case) else self.texts.one(case) for case in cases]
        replies = self._asker.replies([text for text in texts if text is not None])
        return [_LACKING if text is None else _verdict(replies[text]) for text in texts]

    def compare(self, cases: Sequence[Case], others: Sequence[str]) -> list[Verdict]:
        """Return for each case whether its answer is better than the other one: 1, 0.5 or 0.

        Each pair is asked in both orders. Where the judge prefers one answer in one order and the other in the other,
        it went by the place: that is a tie, and `flipped`. A preference in one order only, beside a tie, is a tie too.
        Two answers that are the same text are a tie without being asked.

        Raises
        ------
        Interrupted
            If the judge cannot be asked; what it said until then is kept.
        """
        known = [
            _LACKING if self._lacks(case) else _ALIKE if case.completion == other else None
            for case, other in zip(cases, others, strict=True)
        ]
        pairs = [
            (self.texts.pair(case, case.completion, other), self.texts.pair(case, other, case.completion))
            for case, other in zip(cases, others, strict=True)
        ]
        asked = [pair for pair, verdict in zip(pairs, known, strict=True) if verdict is None]
        replies = self._asker.replies([text for pair in asked for text in pair])
        return [
            verdict or _choice(replies[first], replies[second])
            for (first, second), verdict in zip(pairs, known, strict=True)
        ]

    def close(self) -> None:
        """End what the backend has started."""
        self.backend.close()

    def _lacks(self, case: Case) -> bool:
        return self.metric.wants_ground_truth and case.row.get("ground_truth") is None


def _verdict(reply: Reply) -> Verdict:
    return Verdict(
        reply.score,
        reply.status,
        note=" ".join(reply.problem.split()),
        label=reply.label or None,
        reasoning=reply.reasoning,
        raw=reply.text,
        latency_s=reply.latency_s,
        tokens_in=reply.tokens_in,
        tokens_out=reply.tokens_out,
    )


def _choice(first: Reply, second: Reply) -> Verdict:
    """Return the verdict of both orders; the first reply has the case's answer as A, the second as B."""
    both = (first, second)
    told: dict[str, Any] = {
        "reasoning": " | ".join(reply.reasoning for reply in both if reply.reasoning),
        "raw": json.dumps([reply.text for reply in both], ensure_ascii=False),
        "latency_s": sum(reply.latency_s for reply in both),
        "tokens_in": sum(reply.tokens_in for reply in both),
        "tokens_out": sum(reply.tokens_out for reply in both),
    }
    for place, reply in zip(("first", "second"), both, strict=True):
        if reply.score is None:
            return Verdict(None, reply.status, note=f"shown {place}: {' '.join(reply.problem.split())}", **told)
    assert first.score is not None and second.score is not None
    here, turned = first.score, 1 - second.score
    # What was chosen in each order, 1 for the first place, by which a preference for a place shows.
    told["parts"] = {"first": first.score, "second": 1 - second.score}
    if here == turned:
        return Verdict(here, label={1.0: "win", 0.5: "tie", 0.0: "loss"}[here], **told)
    return Verdict(0.5, label="tie", flipped=0.5 not in (here, turned), **told)
