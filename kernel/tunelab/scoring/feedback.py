"""Another model's score as a reward: prompts filled in, and what came of asking for each."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from tunelab.errors import SpecError
from tunelab.scoring.asking import Asker, Backend
from tunelab.scoring.cache import Cache
from tunelab.scoring.prompts import RewardPrompt
from tunelab.scoring.replies import Reply
from tunelab.scoring.score import Case, Score
from tunelab.spec.rewards import FeedbackReward

_LONGEST_NOTE = 300


class Here:
    """A model on this machine, as a backend: `local.LocalModel`."""

    def __init__(self, model: str, say: Callable[[str], None] = lambda _: None, device: str = "cpu") -> None:
        from tunelab.scoring.local import LocalModel

        self._model = LocalModel(model, device, say=say)

    @property
    def identity(self) -> list[Any]:
        """What replies depend on besides the text."""
        return ["local", self._model.digest]

    def ask(self, texts: Sequence[str], seed: int = 0) -> list[Reply]:
        """Return a reply to each text, in order; the seed changes nothing."""
        return self._model.score(texts)

    def close(self) -> None:
        """Nothing was started."""


def backend(part: FeedbackReward, say: Callable[[str], None] = lambda _: None, device: str = "cpu") -> Backend:
    """Return what a part of a reward asks; a model of this machine is loaded onto `device`."""
    if part.base_url is None:
        return Here(part.model, say, device)
    from tunelab.scoring.endpoint import Endpoint

    return Endpoint(part)


class FeedbackScorer:
    """Scores answers by a reward prompt.

    A reply that cannot be read is asked for once more with another seed. What is asked twice, now or in an earlier run,
    is answered from the cache.
    """

    def __init__(self, prompt: RewardPrompt, part: FeedbackReward, asked: Backend, cache: Cache | None = None) -> None:
        self.name = re.sub(r"[^A-Za-z0-9_]", "_", prompt.name)
        self.prompt = prompt
        self.part = part
        self.backend = asked
        self._asker = Asker(asked, cache)

    def score(self, cases: Sequence[Case]) -> list[Score]:
        """Return a score from 0 to 1 for each case, in order.

        Raises
        ------
        Interrupted
            If the feedback model cannot be asked.
        """
        texts: list[str | None] = []
        wrong: dict[int, str] = {}
        for place, case in enumerate(cases):
            try:
                texts.append(self.prompt.render(case))
            except SpecError as error:
                texts.append(None)
                wrong[place] = str(error)
        replies = self._asker.replies([text for text in texts if text is not None])
        return [
            Score(None, "invalid", note=wrong[place]) if text is None else _score(replies[text])
            for place, text in enumerate(texts)
        ]

    def metrics(self) -> dict[str, float]:
        """Return mean seconds of a request, cost, failures, unparsed replies, and the share from the cache."""
        asked, counts = self._asker.counts["asked"], self._asker.counts
        if not asked:
            return {}
        found = {
            "feedback/failures": float(counts["failures"]),
            "feedback/unparsed": float(counts["unparsed"]),
            "feedback/cached": counts["cached"] / asked,
        }
        if latencies := self._asker.latencies:
            found["feedback/latency_s"] = sum(latencies) / len(latencies)
        if self.part.price_in is not None or self.part.price_out is not None:
            prices = self.part.price_in or 0.0, self.part.price_out or 0.0
            found["feedback/cost"] = sum(n * price / 1e6 for n, price in zip(self._asker.tokens, prices, strict=True))
        self._asker.reset()
        return found

    def close(self) -> None:
        """End what the backend has started."""
        self.backend.close()


def _score(reply: Reply) -> Score:
    note = reply.reasoning if reply.status == "scored" else reply.problem
    if reply.status == "unparsed" and reply.text:
        note = f"{note}: {reply.text}"
    note = " ".join(note.split())
    return Score(reply.score, reply.status, note=note if len(note) <= _LONGEST_NOTE else f"{note[:_LONGEST_NOTE]}…")
