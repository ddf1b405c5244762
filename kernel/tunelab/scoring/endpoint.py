"""An OpenAI-compatible endpoint as a feedback model: many requests at a time, made again with growing pauses.

Where the endpoint tells the probabilities of its tokens, the score is their expectation and not the one that was drawn.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import re
import threading
import time
from collections.abc import Sequence
from typing import Any

import openai

from tunelab.scoring.replies import Reply, read
from tunelab.scoring.score import Unreachable
from tunelab.spec.rewards import FeedbackReward

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"reasoning": {"type": "string"}, "score": {"type": "number"}},
    "required": ["reasoning", "score"],
    "additionalProperties": False,
}
#: How the form of a reply is asked for, the strictest first; an endpoint that refuses one is asked by the next.
_FORMATS: tuple[dict[str, Any], ...] = (
    {"response_format": {"type": "json_schema", "json_schema": {"name": "score", "strict": True, "schema": SCHEMA}}},
    {"response_format": {"type": "json_object"}},
    {},
)
_LOGPROBS = {"logprobs": True, "top_logprobs": 10}
#: Pauses grow to this at most; a server may ask for so long.
_LONGEST_PAUSE_S = 60.0
#: Statuses that may pass.
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


class Refused(Exception):
    """A request that was not answered, with a sentence why; `is_down` where no request would be."""

    def __init__(self, why: str, is_down: bool = False) -> None:
        super().__init__(why)
        self.is_down = is_down


class Endpoint:
    """Asks a model behind ``base_url`` for scores.

    Parameters
    ----------
    part
        What the spec says of it. The key is read from the environment at each request, and is kept nowhere.
    first_pause_s
        The pause before a request is made again; the next ones are twice as long each.
    """

    def __init__(self, part: FeedbackReward, first_pause_s: float = 1.0) -> None:
        self.part = part
        self.first_pause_s = first_pause_s
        self._format = 0
        self._with_logprobs = True
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tunelab-feedback", daemon=True)
        self._thread.start()

    @property
    def identity(self) -> list[Any]:
        """What replies depend on besides the text."""
        return ["endpoint", self.part.base_url, self.part.model, self.part.max_tokens, 1]

    def ask(self, texts: Sequence[str], seed: int = 0) -> list[Reply]:
        """Return a reply to each text, in order.

        Raises
        ------
        Unreachable
            If the endpoint refuses the key or the model, or answers nothing at all.
        """
        return asyncio.run_coroutine_threadsafe(self._all(list(texts), seed), self._loop).result()

    def close(self) -> None:
        """End the requests that are on their way."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    async def _all(self, texts: list[str], seed: int) -> list[Reply]:
        room = asyncio.Semaphore(self.part.concurrency)
        client = openai.AsyncOpenAI(
            base_url=self.part.base_url,
            # Servers on one's own machine want none, and the client wants something.
            api_key=os.environ.get(self.part.api_key) or "none",
            max_retries=0,
            timeout=self.part.timeout_s,
        )
        failures: list[Refused] = []

        async def one(text: str) -> Reply:
            async with room:
                if any(failure.is_down for failure in failures):
                    return Reply(None, status="failed", problem="the endpoint cannot be asked")
                try:
                    return await self._patiently(client, text, seed)
                except Refused as error:
                    failures.append(error)
                    return Reply(None, status="failed", problem=str(error))

        try:
            replies = await asyncio.gather(*(one(text) for text in texts))
        finally:
            await client.close()
        down = next((failure for failure in failures if failure.is_down), None)
        if down is not None or (failures and len(failures) == len(texts)):
            raise Unreachable(f"The feedback model {self.part.model} at {self.part.base_url} {down or failures[0]}.")
        return replies

    async def _patiently(self, client: openai.AsyncOpenAI, text: str, seed: int) -> Reply:
        pause = self.first_pause_s
        for attempt in range(self.part.retries + 1):
            try:
                return await self._once(client, text, seed)
            except openai.APIStatusError as error:
                if error.status_code not in _PASSING:
                    raise self._refused(error) from None
                why = f"answers with status {error.status_code}"
                asked = _retry_after(error)
            except openai.APITimeoutError:
                why, asked = f"does not answer within {self.part.timeout_s:g} s", None
            except openai.APIConnectionError as error:
                why, asked = f"cannot be reached ({_cause(error)})", None
            except (
                openai.OpenAIError,
                json.JSONDecodeError,
                ValueError,
                TypeError,
                AttributeError,
                IndexError,
            ) as error:
                why, asked = f"answers with what is no chat completion ({type(error).__name__})", None
            if attempt == self.part.retries:
                tries = f"{attempt + 1} times" if attempt else "once"
                raise Refused(f"{why}; it was asked {tries}")
            # Half of a pause is drawn, so that all that failed at once do not come again at once.
            await asyncio.sleep(min(_LONGEST_PAUSE_S, asked if asked is not None else pause * random.uniform(0.5, 1.0)))
            pause *= 2
        raise AssertionError("the last attempt returns or raises")

    async def _once(self, client: openai.AsyncOpenAI, text: str, seed: int) -> Reply:
        begin = time.perf_counter()
        chosen, with_logprobs = self._format, self._with_logprobs
        asked: dict[str, Any] = {
            "model": self.part.model,
            "messages": [{"role": "user", "content": text}],
            "temperature": 0.0,
            "seed": seed,
            "max_tokens": self.part.max_tokens,
        }
        # The client's overloads do not know a mapping of settings.
        create: Any = client.chat.completions.create
        try:
            answer = await create(**asked, **_FORMATS[chosen], **(_LOGPROBS if with_logprobs else {}))
        except (openai.BadRequestError, openai.UnprocessableEntityError):
            # What it does not take is told in no common way: what is asked for beyond the text is left out in turn.
            if with_logprobs:
                self._with_logprobs = False
            elif chosen < len(_FORMATS) - 1:
                self._format = max(self._format, chosen + 1)
            else:
                raise
            return await self._once(client, text, seed)
        choice = answer.choices[0]
        said = choice.message.content or ""
        score, reasoning, problem = read(said)
        if score is not None and choice.logprobs is not None and choice.logprobs.content:
            score = expected(said, choice.logprobs.content, score)
        if problem and choice.finish_reason == "length":
            problem = f"it was cut off at max_tokens ({self.part.max_tokens}): {problem}"
        usage = answer.usage
        return Reply(
            score,
            reasoning,
            "scored" if score is not None else "unparsed",
            problem,
            said,
            time.perf_counter() - begin,
            usage.prompt_tokens if usage else 0,
            usage.completion_tokens if usage else 0,
        )

    def _refused(self, error: openai.APIStatusError) -> Refused:
        """Return what a status means that does not pass, in words of our own: a body may repeat the key."""
        code = error.status_code
        if code in (401, 403):
            has = (
                "does not take the key in" if os.environ.get(self.part.api_key) else "wants a key, and there is none in"
            )
            return Refused(f"{has} the environment variable {self.part.api_key} (status {code})", is_down=True)
        if code == 404:
            return Refused("has no such model or no such address (status 404)", is_down=True)
        return Refused(f"refuses the request (status {code})")


def expected(text: str, tokens: Sequence[Any], drawn: float) -> float:
    """Return the expectation of the score over the likeliest tokens at its first differing digit.

    Only a score of the form ``0.d``, ``1`` or ``0`` is graded so: the alternatives at that place are other digits.

    Parameters
    ----------
    text
        The reply.
    tokens
        Its tokens with their alternatives, as the API gives them.
    drawn
        The score that was read, which is returned where there are no alternatives.
    """
    found = list(re.finditer(r'"score"\s*:\s*(0\.|)(?=\d)', text))
    if not found:
        return drawn
    place, fraction = found[-1].end(), found[-1][1] == "0."
    offset = 0
    for token in tokens:
        begin, offset = offset, offset + len(token.token)
        if not begin <= place < offset:
            continue
        if begin != place or not re.fullmatch(r"\d", token.token):
            return drawn
        total = weighted = 0.0
        for other in token.top_logprobs:
            if not re.fullmatch(r"\d", other.token):
                continue
            value = int(other.token) / 10 if fraction else float(other.token)
            if 0.0 <= value <= 1.0:
                total += math.exp(other.logprob)
                weighted += math.exp(other.logprob) * value
        # More digits after this one belong to what was drawn.
        return weighted / total if total > 0.5 else drawn
    return drawn


def _retry_after(error: openai.APIStatusError) -> float | None:
    try:
        return max(0.0, float(error.response.headers.get("retry-after", "")))
    except ValueError:
        return None


def _cause(error: openai.APIConnectionError) -> str:
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return " ".join(str(cause).split())[:120] or type(cause).__name__
