"""Chat completions of an OpenAI-compatible endpoint: asked for again with growing pauses, without what it refuses."""

from __future__ import annotations

import asyncio
import email.utils
import os
import random
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

import openai

from tunelab.scoring.replies import whole

#: Pauses grow to this at most; a server may ask for so long.
_LONGEST_PAUSE_S = 60.0
#: Statuses that may pass, beside all from 500 on: hosts have their own there, such as 529 for too much to do.
_PASSING = frozenset({408, 409, 425, 429})
#: So many requests in a row, or as many as are made at a time, fail before no more are made.
_ENOUGH = 3
#: Makes a request's fields without the options of these names.
Fields = Callable[[frozenset[str]], dict[str, Any]]


class Address(Protocol):
    """What a spec says of an endpoint."""

    @property
    def base_url(self) -> str | None: ...
    @property
    def api_key(self) -> str: ...
    @property
    def timeout_s(self) -> float: ...
    @property
    def retries(self) -> int: ...
    @property
    def concurrency(self) -> int: ...


class Refused(Exception):
    """A request that was not answered, with what the endpoint does as the rest of a sentence.

    `concerns` says what that means: for this text alone, for now, or for every request to come.
    """

    def __init__(self, why: str, concerns: Literal["text", "now", "all"]) -> None:
        super().__init__(why)
        self.concerns = concerns


@dataclass(frozen=True)
class Completion:
    """A chat completion: its text, the choice as the client has it, tokens, and the seconds of its request."""

    text: str
    choice: Any
    tokens_in: int
    tokens_out: int
    latency_s: float


class Completions:
    """Asks one endpoint.

    Parameters
    ----------
    address
        What the spec says of it. The key is read from the environment at each request, and is kept nowhere.
    options
        What an endpoint may refuse to be asked for, in the order in which it is done without, and a pattern of how it
        names it.
    first_pause_s
        The pause before a request is made again; the next ones are twice as long each.
    """

    def __init__(self, address: Address, options: Mapping[str, str], first_pause_s: float) -> None:
        self.address = address
        self.options = options
        self.first_pause_s = first_pause_s
        #: A request was answered: what else is refused is the text's fault.
        self.is_known = False
        self._left_out: frozenset[str] = frozenset()

    def client(self) -> openai.AsyncOpenAI:
        """Return a client, to be closed by whoever asks.

        Raises
        ------
        Refused
            If the key or the address are such that nothing can be asked.
        """
        key = self._key()
        if not (key.isascii() and key.isprintable()):
            # HTTP refuses it as well, and says it again.
            raise Refused(
                f"cannot be asked: the key in the environment variable {self.address.api_key} has characters that no "
                "key has, such as a line break",
                "all",
            )
        try:
            # The client takes any number for a port, and fails over it in the depths.
            _ = urlsplit(self.address.base_url or "").port
        except ValueError as error:
            raise Refused(f"cannot be asked: base_url is no address ({error})", "all") from None
        # Servers on one's own machine want no key, and the client wants something.
        return openai.AsyncOpenAI(
            base_url=self.address.base_url, api_key=key or "none", max_retries=0, timeout=self.address.timeout_s
        )

    async def complete(self, client: openai.AsyncOpenAI, fields: Fields) -> Completion:
        """Return the answer to a request.

        Raises
        ------
        Refused
            If there is none, also when asked again.
        """
        pause = self.first_pause_s
        for attempt in range(self.address.retries + 1):
            asked = None
            try:
                return await self._once(client, fields)
            except openai.APIStatusError as error:
                if error.status_code < 500 and error.status_code not in _PASSING:
                    raise self._refused(error) from None
                why = f"answers with status {error.status_code}"
                asked = _retry_after(error.response.headers.get("retry-after", ""))
            except openai.APITimeoutError:
                why = f"does not answer within {self.address.timeout_s:g} s"
            except openai.APIConnectionError as error:
                cause = _cause(error)
                why = f"cannot be reached ({' '.join(str(cause).split())[:120] or type(cause).__name__})"
                if _is_final(cause):
                    raise Refused(why, "all") from None
            except (openai.OpenAIError, ValueError):
                why = "answers with what is no chat completion"
            if attempt == self.address.retries:
                raise Refused(f"{why}; it was asked {f'{attempt + 1} times' if attempt else 'once'}", "now")
            # Half of a pause is drawn, so that all that failed at once do not come again at once.
            await asyncio.sleep(min(_LONGEST_PAUSE_S, pause * random.uniform(0.5, 1.0) if asked is None else asked))
            pause *= 2
        raise AssertionError("the last attempt returns or raises")

    async def _once(self, client: openai.AsyncOpenAI, fields: Fields) -> Completion:
        # The client's overloads do not know a mapping of settings.
        create: Any = client.chat.completions.create
        left_out = self._left_out
        while True:
            begin = time.perf_counter()
            try:
                answer = await create(**fields(left_out))
                break
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                if self.is_known and left_out == self._left_out:
                    raise
                less = self._left_out if self.is_known else self._less(left_out, error)
                if less is None:
                    raise
                left_out = less
        took = time.perf_counter() - begin
        text, choice = _said(answer)
        if not self.is_known:
            # Only what was answered is known to be taken: a text that is too long is refused in every way.
            self._left_out, self.is_known = left_out, True
        return Completion(text, choice, _count(answer, "prompt_tokens"), _count(answer, "completion_tokens"), took)

    def _less(self, left_out: frozenset[str], error: openai.APIStatusError) -> frozenset[str] | None:
        """Return what to leave out next: what the endpoint names, else the next in order; None if nothing is left."""
        there = [name for name in self.options if name not in left_out]
        named = [name for name in there if re.search(self.options[name], str(error.body))]
        return left_out | {(named or there)[0]} if there else None

    def _key(self) -> str:
        return os.environ.get(self.address.api_key, "").strip()

    def _refused(self, error: openai.APIStatusError) -> Refused:
        """Return what a status means that does not pass."""
        code, key = error.status_code, self._key()
        if code in (401, 403):
            has = "does not take the key in" if key else "wants a key, and there is none in"
            return Refused(f"{has} the environment variable {self.address.api_key} (status {code})", "all")
        if code == 402:
            return Refused("wants to be paid first: the account has no credit left (status 402)", "all")
        if code in (404, 405, 410):
            return Refused(f"has no such model or no such address (status {code})", "all")
        said = error.body.get("message") if isinstance(error.body, dict) else None
        # Some servers say the key again.
        told = " ".join((said.replace(key, "…") if key else said).split())[:200] if isinstance(said, str) else ""
        return Refused(f"refuses the request (status {code}{f': {told}' if told else ''})", "text")


class Round:
    """The requests of one call: what failed, and whether to make more of them.

    `down` is what every further request would meet, or None.
    """

    def __init__(self, completions: Completions) -> None:
        self.completions = completions
        self.down: Refused | None = None
        self._failures: list[Refused] = []
        self._in_a_row = 0

    def answered(self) -> None:
        """Note that a request was answered."""
        self._in_a_row = 0

    def failed(self, error: Refused) -> None:
        """Note that a request was not."""
        self._failures.append(error)
        self._in_a_row += error.concerns == "now"
        if error.concerns == "all" or self._in_a_row >= max(_ENOUGH, self.completions.address.concurrency):
            self.down = self.down or error

    def end(self, count: int) -> Refused | None:
        """Return why the endpoint is not to be asked any more, after so many requests; None if it is."""
        if self._failures and len(self._failures) == count:
            # One text alone may be one that is never answered: for that, a run is not held up for ever.
            passing = any(error.concerns == "now" for error in self._failures)
            several = count > 1 and not self.completions.is_known
            self.down = self.down or (self._failures[0] if passing or several else None)
        return self.down


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
