"""An OpenAI-compatible endpoint as a feedback model: many requests at a time, made again with growing pauses.

Where the endpoint tells the probabilities of its tokens, the score is their expectation and not the one that was drawn.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Sequence
from typing import Any, Literal

import openai

from tunelab.scoring.completions import Completions, Refused, Round
from tunelab.scoring.replies import UNIT, Form, Interrupted, Reply, whole
from tunelab.spec.rewards import Asked

#: Part of what replies depend on: read in another way, the same reply has another score.
_WAY = 1
#: What an endpoint may refuse to be asked for, in the order in which it is done without, and how it names it.
_OPTIONS = {
    "logprobs": "logprobs",
    "json_schema": "json_schema|response_format",
    "json_object": "json_object|response_format",
    "seed": r"\bseed\b",
    "temperature": "temperature",
    "max_tokens": "max_completion_tokens",
}
#: The temperature of a reply to a text whose first reply cannot be read: at 0 it would be the same again.
_ANOTHER = 0.7


class Endpoint:
    """Asks a model behind ``base_url`` for scores, from any thread.

    Parameters
    ----------
    part
        What the spec says of it. The key is read from the environment at each request, and is kept nowhere.
    first_pause_s
        The pause before a request is made again; the next ones are twice as long each.
    form
        The replies that are asked for.
    role
        What messages call it.
    """

    def __init__(
        self, part: Asked, first_pause_s: float = 1.0, form: Form = UNIT, role: str = "feedback model"
    ) -> None:
        self.part = part
        self.form = form
        self.role = role
        self._completions = Completions(part, _OPTIONS, first_pause_s)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tunelab-feedback", daemon=True)
        self._thread.start()

    @property
    def identity(self) -> list[Any]:
        """What replies depend on besides the text."""
        return ["endpoint", self.part.base_url, self.part.model, self.part.max_tokens, _WAY]

    def ask(self, texts: Sequence[str], seed: int = 0) -> list[Reply]:
        """Return a reply to each text, in order.

        Raises
        ------
        Interrupted
            If the endpoint refuses the key or the model, or does not answer any more.
        """
        try:
            return asyncio.run_coroutine_threadsafe(self._all(list(texts), seed), self._loop).result()
        except concurrent.futures.CancelledError:
            raise Interrupted(f"{self._who} was closed while it was asked.") from None

    def close(self) -> None:
        """End the requests that are on their way."""
        if self._loop.is_closed():
            return
        with contextlib.suppress(concurrent.futures.TimeoutError):
            asyncio.run_coroutine_threadsafe(self._cancel(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _cancel(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def _who(self) -> str:
        return f"The {self.role} {self.part.model} at {self.part.base_url}"

    async def _all(self, texts: list[str], seed: int) -> list[Reply]:
        try:
            client = self._completions.client()
        except Refused as error:
            raise Interrupted(f"{self._who} {error}.") from None
        room = asyncio.Semaphore(self.part.concurrency)
        this = Round(self._completions)

        async def one(text: str) -> Reply:
            async with room:
                if this.down is not None:
                    return Reply(None, status="failed", problem="the endpoint cannot be asked")
                try:
                    reply = await self._one(client, text, seed)
                except Refused as error:
                    this.failed(error)
                    return Reply(None, status="failed", problem=str(error))
                this.answered()
                return reply

        try:
            replies = await asyncio.gather(*(one(text) for text in texts))
        finally:
            await client.close()
        if down := this.end(len(texts)):
            raise Interrupted(f"{self._who} {down}.", replies)
        return replies

    async def _one(self, client: openai.AsyncOpenAI, text: str, seed: int) -> Reply:
        given = await self._completions.complete(client, lambda left_out: self._asked(text, seed, left_out))
        score, reasoning, problem = self.form.read(given.text)
        if score is not None:
            # Servers that call themselves compatible tell these in forms of their own.
            with contextlib.suppress(AttributeError, TypeError, ValueError, OverflowError):
                score = self.form.expected(given.text, given.choice.logprobs.content, score)
        if problem and given.choice.finish_reason == "length":
            problem = f"it was cut off at max_tokens ({self.part.max_tokens}): {problem}"
        status: Literal["scored", "unparsed"] = "unparsed" if score is None else "scored"
        label = "" if score is None else self.form.label(score)
        took = (given.latency_s, given.tokens_in, given.tokens_out)
        return Reply(score, reasoning, status, problem, given.text, *took, label)

    def _asked(self, text: str, seed: int, left_out: frozenset[str]) -> dict[str, Any]:
        asked: dict[str, Any] = {
            "model": self.part.model,
            "messages": [{"role": "user", "content": whole(text)}],
            # Models that reason take it by another name only.
            "max_completion_tokens" if "max_tokens" in left_out else "max_tokens": self.part.max_tokens,
        }
        if "temperature" not in left_out:
            asked["temperature"] = _ANOTHER if seed else 0.0
        if "seed" not in left_out:
            asked["seed"] = seed
        if "logprobs" not in left_out:
            asked |= {"logprobs": True, "top_logprobs": 10}
        if "json_schema" not in left_out:
            schema = {"name": "score", "strict": True, "schema": self.form.schema}
            asked["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif "json_object" not in left_out:
            asked["response_format"] = {"type": "json_object"}
        return asked
