"""An OpenAI-compatible endpoint as a feedback model: many requests at a time, made again with growing pauses.

Where the endpoint tells the probabilities of its tokens, the score is their expectation and not the one that was drawn.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import email.utils
import os
import random
import re
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

import openai

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
#: Pauses grow to this at most; a server may ask for so long.
_LONGEST_PAUSE_S = 60.0
#: Statuses that may pass, beside all from 500 on: hosts have their own there, such as 529 for too much to do.
_PASSING = frozenset({408, 409, 425, 429})
#: So many requests in a row, or as many as are made at a time, fail before no more are made.
_ENOUGH = 3


class Refused(Exception):
    """A request that was not answered, with a sentence why.

    `concerns` says what that means: for this text alone, for now, or for every request to come.
    """

    def __init__(self, why: str, concerns: Literal["text", "now", "all"]) -> None:
        super().__init__(why)
        self.concerns = concerns


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
        self.first_pause_s = first_pause_s
        self._left_out: frozenset[str] = frozenset()
        #: A request was answered: what else is refused is the text's fault.
        self._is_known = False
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
        client = self._client()
        room = asyncio.Semaphore(self.part.concurrency)
        failures: list[Refused] = []
        in_a_row = 0
        down: Refused | None = None

        async def one(text: str) -> Reply:
            nonlocal in_a_row, down
            async with room:
                if down is not None:
                    return Reply(None, status="failed", problem="the endpoint cannot be asked")
                try:
                    reply = await self._patiently(client, text, seed)
                except Refused as error:
                    failures.append(error)
                    in_a_row += error.concerns == "now"
                    if error.concerns == "all" or in_a_row >= max(_ENOUGH, self.part.concurrency):
                        down = down or error
                    return Reply(None, status="failed", problem=str(error))
                in_a_row = 0
                return reply

        try:
            replies = await asyncio.gather(*(one(text) for text in texts))
        finally:
            await client.close()
        if failures and len(failures) == len(texts):
            # One text alone may be one that is never answered: for that, a run is not held up for ever.
            passing = any(error.concerns == "now" for error in failures)
            down = down or (failures[0] if passing or (len(texts) > 1 and not self._is_known) else None)
        if down is not None:
            raise Interrupted(f"{self._who} {down}.", replies)
        return replies

    def _client(self) -> openai.AsyncOpenAI:
        key = self._key()
        if not (key.isascii() and key.isprintable()):
            # HTTP refuses it as well, and says it again.
            raise Interrupted(
                f"{self._who} cannot be asked: the key in the environment variable {self.part.api_key} has characters "
                "that no key has, such as a line break."
            )
        try:
            # The client takes any number for a port, and fails over it in the depths.
            _ = urlsplit(self.part.base_url or "").port
        except ValueError as error:
            raise Interrupted(f"{self._who} cannot be asked: base_url is no address ({error}).") from None
        # Servers on one's own machine want no key, and the client wants something.
        return openai.AsyncOpenAI(
            base_url=self.part.base_url, api_key=key or "none", max_retries=0, timeout=self.part.timeout_s
        )

    def _key(self) -> str:
        return os.environ.get(self.part.api_key, "").strip()

    async def _patiently(self, client: openai.AsyncOpenAI, text: str, seed: int) -> Reply:
        pause = self.first_pause_s
        for attempt in range(self.part.retries + 1):
            asked = None
            try:
                return await self._once(client, text, seed)
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

    async def _once(self, client: openai.AsyncOpenAI, text: str, seed: int) -> Reply:
        # The client's overloads do not know a mapping of settings.
        create: Any = client.chat.completions.create
        left_out = self._left_out
        while True:
            begin = time.perf_counter()
            try:
                answer = await create(**self._asked(text, seed, left_out))
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
            # Only what was answered is known to be taken: a text that is too long is refused in every way.
            self._left_out, self._is_known = left_out, True
        score, reasoning, problem = self.form.read(said)
        if score is not None:
            # Servers that call themselves compatible tell these in forms of their own.
            with contextlib.suppress(AttributeError, TypeError, ValueError, OverflowError):
                score = self.form.expected(said, choice.logprobs.content, score)
        if problem and choice.finish_reason == "length":
            problem = f"it was cut off at max_tokens ({self.part.max_tokens}): {problem}"
        status: Literal["scored", "unparsed"] = "unparsed" if score is None else "scored"
        counts = [_count(answer, name) for name in ("prompt_tokens", "completion_tokens")]
        label = "" if score is None else self.form.label(score)
        return Reply(score, reasoning, status, problem, said, took, counts[0], counts[1], label)

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


def _less(left_out: frozenset[str], error: openai.APIStatusError) -> frozenset[str] | None:
    """Return what to leave out next: what the endpoint names, else the next in order; None where all is left out."""
    there = [name for name in _OPTIONS if name not in left_out]
    named = [name for name in there if re.search(_OPTIONS[name], str(error.body))]
    return left_out | {(named or there)[0]} if there else None


def _said(answer: Any) -> tuple[str, Any]:
    """Return a completion's text and choice; the client takes any JSON, and text too, for a completion."""
    choices = getattr(answer, "choices", None)
    choice: Any = choices[0] if isinstance(choices, list) and choices else None
    if getattr(choice, "message", None) is None:
        raise ValueError("no chat completion")
    content = getattr(choice.message, "content", None)
    return whole(content) if isinstance(content, str) else "", choice


def _count(answer: Any, name: str) -> int:
    """Return a number of tokens, or 0 where it is not told, or is no number."""
    count = getattr(getattr(answer, "usage", None), name, None)
    return count if isinstance(count, int) else 0


def _retry_after(said: str) -> float | None:
    """Return the seconds that a server asks to be left alone, which it says by number or by date."""
    if re.fullmatch(r"\d+(\.\d+)?", said):
        return float(said)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(said).timestamp() - time.time())
    except ValueError:
        return None


def _cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _is_final(cause: BaseException) -> bool:
    """Tell whether a connection will not come off later either: there is no such host, or it is not who it says."""
    unknown = isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME
    return unknown or isinstance(cause, ssl.SSLCertVerificationError)
