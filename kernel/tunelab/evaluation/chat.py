"""A candidate behind an OpenAI-compatible endpoint: many requests at a time, made again with growing pauses."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import random
import re
import time
from collections.abc import Generator, Sequence
from typing import Any
from urllib.parse import urlsplit

import openai

from tunelab.evaluation.kept import Answer
from tunelab.scoring.endpoint import _PASSING, Refused, _cause, _count, _is_final, _retry_after, _said
from tunelab.scoring.replies import whole
from tunelab.scoring.score import Unreachable
from tunelab.spec.evaluate import EndpointModel, Generation

#: What an endpoint may refuse to be asked for, in the order in which it is done without, and how it names it.
_OPTIONS = {"seed": r"\bseed\b", "temperature": "temperature", "max_tokens": "max_completion_tokens"}
_LONGEST_PAUSE_S = 60.0
#: So many requests in a row, or as many as are made at a time, fail before no more are made.
_ENOUGH = 3
#: What has been answered is given out so often.
_LOOK_EVERY_S = 0.3


class ChatModel:
    """Asks the model that `part` names.

    The key is read from the environment at each request, and is kept nowhere.
    """

    def __init__(self, part: EndpointModel, first_pause_s: float = 1.0) -> None:
        self.part = part
        self.first_pause_s = first_pause_s
        self._left_out: frozenset[str] = frozenset()
        #: A request was answered: what else is refused is the prompt's fault.
        self._is_known = False
        self._down: Refused | None = None
        self._failures: list[Refused] = []
        self._in_a_row = 0

    def answer(
        self, conversations: Sequence[list[dict[str, str]]], generation: Generation, seed: int
    ) -> Generator[list[tuple[int, Answer]], None, None]:
        """Yield what has been answered, with its place in `conversations`; now and then nothing has.

        Raises
        ------
        Unreachable
            If the endpoint refuses the key or the model, or does not answer any more; after all that it answered.
        """
        self._down, self._failures, self._in_a_row = None, [], 0
        client = self._client()
        fresh: list[tuple[int, Answer]] = []
        left = iter(enumerate(conversations))

        async def work() -> None:
            for place, turns in left:
                if self._down is not None:
                    return
                fresh.append((place, await self._one(client, turns, generation, seed)))

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
        if self._failures and len(self._failures) == len(conversations):
            # One prompt alone may be one that is never answered: for that, a job is not held up for ever.
            passing = any(error.concerns == "now" for error in self._failures)
            several = len(conversations) > 1 and not self._is_known
            self._down = self._down or (self._failures[0] if passing or several else None)
        if self._down is not None:
            raise Unreachable(f"{self._who} {self._down}.")

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
        try:
            answer = await self._patiently(client, turns, generation, seed)
        except Refused as error:
            self._failures.append(error)
            self._in_a_row += error.concerns == "now"
            if error.concerns == "all" or self._in_a_row >= max(_ENOUGH, self.part.concurrency):
                self._down = self._down or error
            return Answer("", status="failed", note=f"the endpoint {error}")
        self._in_a_row = 0
        return answer

    async def _patiently(
        self, client: openai.AsyncOpenAI, turns: list[dict[str, str]], generation: Generation, seed: int
    ) -> Answer:
        pause = self.first_pause_s
        for attempt in range(self.part.retries + 1):
            asked = None
            try:
                return await self._once(client, turns, generation, seed)
            except openai.APIStatusError as error:
                if error.status_code < 500 and error.status_code not in _PASSING:
                    raise self._refused(error) from None
                why = f"answers with status {error.status_code}"
                asked = _retry_after(error.response.headers.get("retry-after", ""))
            except openai.APITimeoutError:
                why = f"does not answer within {self.part.timeout_s:g} s"
            except openai.APIConnectionError as error:
                cause = _cause(error)
                why = f"cannot be reached ({' '.join(str(cause).split())[:120] or type(cause).__name__})"
                if _is_final(cause):
                    raise Refused(why, "all") from None
            except (openai.OpenAIError, ValueError):
                why = "answers with what is no chat completion"
            if attempt == self.part.retries:
                raise Refused(f"{why}; it was asked {f'{attempt + 1} times' if attempt else 'once'}", "now")
            # Half of a pause is drawn, so that all that failed at once do not come again at once.
            await asyncio.sleep(min(_LONGEST_PAUSE_S, pause * random.uniform(0.5, 1.0) if asked is None else asked))
            pause *= 2
        raise AssertionError("the last attempt returns or raises")

    async def _once(
        self, client: openai.AsyncOpenAI, turns: list[dict[str, str]], generation: Generation, seed: int
    ) -> Answer:
        # The client's overloads do not know a mapping of settings.
        create: Any = client.chat.completions.create
        left_out = self._left_out
        while True:
            begin = time.perf_counter()
            try:
                answer = await create(**self._asked(turns, generation, seed, left_out))
                break
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                if self._is_known and left_out == self._left_out:
                    raise
                less = self._left_out if self._is_known else _less(left_out, error)
                if less is None:
                    raise
                left_out = less
        took = time.perf_counter() - begin
        said, choice = _said(answer)
        if not self._is_known:
            # Only what was answered is known to be taken: a prompt that is too long is refused in every way.
            self._left_out, self._is_known = left_out, True
        refusal = getattr(choice.message, "refusal", None)
        read, wrote = (_count(answer, name) for name in ("prompt_tokens", "completion_tokens"))
        text = said or (whole(refusal) if isinstance(refusal, str) else "")
        return self.priced(Answer(text, choice.finish_reason == "length", read, wrote, took))

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

    def _client(self) -> openai.AsyncOpenAI:
        key = self._key()
        if not (key.isascii() and key.isprintable()):
            # HTTP refuses it as well, and says it again.
            raise Unreachable(
                f"{self._who} cannot be asked: the key in the environment variable {self.part.api_key} has characters "
                "that no key has, such as a line break."
            )
        try:
            # The client takes any number for a port, and fails over it in the depths.
            _ = urlsplit(self.part.base_url).port
        except ValueError as error:
            raise Unreachable(f"{self._who} cannot be asked: base_url is no address ({error}).") from None
        # Servers on one's own machine want no key, and the client wants something.
        return openai.AsyncOpenAI(
            base_url=self.part.base_url, api_key=key or "none", max_retries=0, timeout=self.part.timeout_s
        )

    def _key(self) -> str:
        return os.environ.get(self.part.api_key, "").strip()

    def _refused(self, error: openai.APIStatusError) -> Refused:
        """Return what a status means that does not pass."""
        code, key = error.status_code, self._key()
        if code in (401, 403):
            has = "does not take the key in" if key else "wants a key, and there is none in"
            return Refused(f"{has} the environment variable {self.part.api_key} (status {code})", "all")
        if code == 402:
            return Refused("wants to be paid first: the account has no credit left (status 402)", "all")
        if code in (404, 405, 410):
            return Refused(f"has no such model or no such address (status {code})", "all")
        said = error.body.get("message") if isinstance(error.body, dict) else None
        # Some servers say the key again.
        told = " ".join((said.replace(key, "…") if key else said).split())[:200] if isinstance(said, str) else ""
        return Refused(f"refuses the request (status {code}{f': {told}' if told else ''})", "text")


async def _wait(working: set[asyncio.Task[None]]) -> tuple[set[asyncio.Task[None]], set[asyncio.Task[None]]]:
    return await asyncio.wait(working, timeout=_LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)


def _less(left_out: frozenset[str], error: openai.APIStatusError) -> frozenset[str] | None:
    """Return what to leave out next: what the endpoint names, else the next in order; None where all is left out."""
    there = [name for name in _OPTIONS if name not in left_out]
    named = [name for name in there if re.search(_OPTIONS[name], str(error.body))]
    return left_out | {(named or there)[0]} if there else None
