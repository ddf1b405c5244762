"""A candidate behind an OpenAI-compatible endpoint: many requests at a time, made again with growing pauses."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Generator, Sequence
from typing import Any

import openai

from tunelab.evaluation.kept import Answer
from tunelab.scoring.completions import Completions, Refused, Round
from tunelab.scoring.replies import whole
from tunelab.scoring.score import Unreachable
from tunelab.spec.evaluate import EndpointModel, Generation

#: What an endpoint may refuse to be asked for, in the order in which it is done without, and how it names it.
_OPTIONS = {"seed": r"\bseed\b", "temperature": "temperature", "max_tokens": "max_completion_tokens"}
#: What has been answered is given out so often.
_LOOK_EVERY_S = 0.3


class ChatModel:
    """Asks the model that `part` names; its key is read from the environment, and is kept nowhere."""

    def __init__(self, part: EndpointModel, first_pause_s: float = 1.0) -> None:
        self.part = part
        self._completions = Completions(part, _OPTIONS, first_pause_s)

    def answer(
        self, conversations: Sequence[list[dict[str, str]]], generation: Generation, seed: int
    ) -> Generator[list[tuple[int, Answer]], None, None]:
        """Yield what has been answered, with its place in `conversations`; now and then nothing has.

        Raises
        ------
        Unreachable
            If the endpoint refuses the key or the model, or does not answer any more; after all that it answered.
        """
        try:
            client = self._completions.client()
        except Refused as error:
            raise Unreachable(f"{self._who} {error}.") from None
        this = Round(self._completions)
        fresh: list[tuple[int, Answer]] = []
        left = iter(enumerate(conversations))

        async def work() -> None:
            for place, turns in left:
                if this.down is not None:
                    return
                try:
                    fresh.append((place, await self._one(client, turns, generation, seed)))
                    this.answered()
                except Refused as error:
                    this.failed(error)
                    fresh.append((place, Answer("", status="failed", note=f"the endpoint {error}")))

        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            working = {loop.create_task(work()) for _ in range(min(self.part.concurrency, len(conversations)))}
            while working:
                done, working = runner.run(_wait(working))
                for task in done:
                    task.result()
                some, fresh[:] = list(fresh), []
                yield some
            runner.run(client.close())
        if down := this.end(len(conversations)):
            raise Unreachable(f"{self._who} {down}.")

    def priced(self, answer: Answer) -> Answer:
        """Return an answer with what its tokens cost, where a price is known."""
        if self.part.price_in is None and self.part.price_out is None:
            return dataclasses.replace(answer, cost=None)
        cost = answer.tokens_in * (self.part.price_in or 0.0) + answer.tokens_out * (self.part.price_out or 0.0)
        return dataclasses.replace(answer, cost=cost / 1e6)

    @property
    def _who(self) -> str:
        return f"{self.part.name} ({self.part.model} at {self.part.base_url})"

    async def _one(
        self, client: openai.AsyncOpenAI, turns: list[dict[str, str]], generation: Generation, seed: int
    ) -> Answer:
        given = await self._completions.complete(
            client, lambda left_out: self._asked(turns, generation, seed, left_out)
        )
        refusal = getattr(given.choice.message, "refusal", None)
        text = given.text or (whole(refusal) if isinstance(refusal, str) else "")
        is_cut = given.choice.finish_reason == "length"
        return self.priced(Answer(text, is_cut, given.tokens_in, given.tokens_out, given.latency_s))

    def _asked(
        self, turns: list[dict[str, str]], generation: Generation, seed: int, left_out: frozenset[str]
    ) -> dict[str, Any]:
        asked: dict[str, Any] = {
            "model": self.part.model,
            "messages": [turn | {"content": whole(turn["content"])} for turn in turns],
            # Models that reason take it by another name only.
            "max_completion_tokens" if "max_tokens" in left_out else "max_tokens": generation.max_new_tokens,
        }
        if "temperature" not in left_out:
            asked["temperature"] = generation.temperature
        if "seed" not in left_out:
            asked["seed"] = seed
        return asked


async def _wait(working: set[asyncio.Task[None]]) -> tuple[set[asyncio.Task[None]], set[asyncio.Task[None]]]:
    return await asyncio.wait(working, timeout=_LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
