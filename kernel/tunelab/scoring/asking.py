"""Texts that are asked of a model, each once: kept replies first, then one more try where a reply cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from tunelab.scoring.cache import Cache
from tunelab.scoring.replies import Interrupted, Reply


class Backend(Protocol):
    """What is asked: an endpoint, or a model here."""

    @property
    def identity(self) -> list[Any]:
        """What replies depend on besides the text."""

    def ask(self, texts: Sequence[str], seed: int = 0) -> list[Reply]:
        """Return a reply to each text, in order."""

    def close(self) -> None:
        """End what was started."""


class Asker:
    """Asks a backend for what the cache has no reply to, and counts."""

    def __init__(self, backend: Backend, cache: Cache | None = None) -> None:
        self.backend = backend
        self.cache = cache or Cache(backend.identity)
        self.latencies: list[float] = []
        self.counts = {"failures": 0, "unparsed": 0, "asked": 0, "cached": 0}
        self.tokens = [0, 0]

    def replies(self, texts: Sequence[str]) -> dict[str, Reply]:
        """Return the reply to each text.

        Raises
        ------
        Interrupted
            If the model cannot be asked; what it said until then is in the cache.
        """
        wanted = list(dict.fromkeys(texts))
        replies = self.cache.find(wanted)
        cached = len(replies)
        if new := [text for text in wanted if text not in replies]:
            found = self._ask(new, 0)
            if unread := [text for text in new if found[text].status == "unparsed"]:
                # A reply that cannot be read says more than a request that failed afterwards.
                again = self._ask(unread, 1)
                found |= {text: reply for text, reply in again.items() if reply.status != "failed"}
            replies |= found
            self.counts["failures"] += sum(reply.status == "failed" for reply in found.values())
            self.counts["unparsed"] += sum(reply.status == "unparsed" for reply in found.values())
        self.counts["cached"] += cached
        self.counts["asked"] += len(wanted)
        return replies

    def reset(self) -> None:
        """Count anew."""
        self.latencies, self.tokens = [], [0, 0]
        self.counts = dict.fromkeys(self.counts, 0)

    def _ask(self, texts: list[str], seed: int) -> dict[str, Reply]:
        try:
            return self._noted(texts, self.backend.ask(texts, seed))
        except Interrupted as error:
            # What was replied until then is not asked, and paid, again.
            self._noted(texts[: len(error.replies)], error.replies)
            raise

    def _noted(self, texts: list[str], replies: list[Reply]) -> dict[str, Reply]:
        for reply in replies:
            if reply.status != "failed":
                self.latencies.append(reply.latency_s)
            self.tokens[0] += reply.tokens_in
            self.tokens[1] += reply.tokens_out
        found = dict(zip(texts, replies, strict=True))
        self.cache.keep(found)
        return found
