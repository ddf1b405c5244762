"""Models as lm-eval asks them: what they have answered is kept, progress is told, and a job can stop at each step."""

from __future__ import annotations

import contextlib
import contextvars
import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lm_eval.models.huggingface import HFLM
from lm_eval.models.openai_completions import LocalChatCompletion

from tunelab import workspace
from tunelab.jobs.context import Stopped
from tunelab.scoring.replies import Interrupted
from tunelab.spec.evaluate import EndpointModel

#: The oldest answers go where the file is larger.
_LARGEST = 1_000_000_000
#: How long another process's write is waited for.
_PATIENCE_S = 30.0
#: Answers are written so often, at most.
_EACH_S = 1.0


class Kept:
    """Answers by what they depend on, in a file of the workspace that several processes read and write.

    lm-eval has such a cache itself, of pickles: a file that can run code when it is read.

    Parameters
    ----------
    identity
        What the answers depend on besides the request, as JSON can carry it: weights, number format, versions.
    """

    def __init__(self, identity: Any, path: Path | None = None) -> None:
        self.path = path or workspace.current().root / "cache" / "benchmarks.sqlite"
        self._identity = json.dumps(identity, sort_keys=True)
        self._new: dict[str, str] = {}
        self._written = time.monotonic()

    def key(self, kind: str, request: Sequence[Any]) -> str:
        text = json.dumps([kind, *request], sort_keys=True, default=str)
        return hashlib.sha256(f"{self._identity}\n{text}".encode("utf-8", "surrogatepass")).hexdigest()

    def find(self, keys: Sequence[str]) -> dict[str, Any]:
        """Return the answers that are kept, by key."""
        with self._open() as file:
            rows = (
                file.execute("SELECT key, answer FROM answers WHERE key = ?", (key,)).fetchone()
                for key in dict.fromkeys(keys)
            )
            return {row[0]: json.loads(row[1]) for row in rows if row is not None}

    def keep(self, key: str, answer: Any) -> None:
        """Keep an answer; it is written with the next ones."""
        self._new[key] = json.dumps(answer)
        if time.monotonic() - self._written > _EACH_S:
            self.write()

    def write(self) -> None:
        """Write what is not written yet."""
        self._written = time.monotonic()
        if not self._new:
            return
        now = time.time()
        with self._open() as file, file:
            file.executemany(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", [(*pair, now) for pair in self._new.items()]
            )
            pages, free, size = (
                file.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "freelist_count", "page_size")
            )
            if (pages - free) * size > _LARGEST:
                (count,) = file.execute("SELECT COUNT(*) FROM answers").fetchone()
                file.execute(
                    "DELETE FROM answers WHERE key IN (SELECT key FROM answers ORDER BY kept LIMIT ?)", (count // 2,)
                )
        self._new.clear()

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = sqlite3.connect(self.path, timeout=_PATIENCE_S)
        try:
            file.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT, kept REAL)")
            yield file
        finally:
            file.close()


@dataclass(frozen=True)
class Told:
    """What an endpoint told of one reply."""

    latency_s: float
    tokens_in: int
    tokens_out: int


class _Hook:
    """Stands where lm-eval has the hook of its own cache: it is told each answer as it comes."""

    def __init__(self, kept: Kept, done: Callable[[], None]) -> None:
        self._kept = kept
        self._done = done

    def add_partial(self, kind: str, request: Sequence[Any], answer: Any) -> None:
        if not _is_drawn(request):
            self._kept.keep(self._kept.key(kind, request), answer)
        self._done()


class _Followed:
    """What a local model and an endpoint have in common; stands before a class of lm-eval."""

    def _follow(self, name: str, kept: Kept, progress: Callable[[str, int, int], None]) -> None:
        self._name, self._kept, self._progress = name, kept, progress
        self._done = self._total = 0
        self.cache_hook = _Hook(kept, self._one_more)

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = True) -> list[Any]:
        return [tuple(answer) for answer in self._all("loglikelihood", requests)]

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = True) -> list[Any]:
        return self._all("loglikelihood_rolling", requests)

    def generate_until(self, requests: list[Any], disable_tqdm: bool = True) -> list[Any]:
        return self._all("generate_until", requests)

    def _all(self, kind: str, requests: list[Any]) -> list[Any]:
        keys = [self._kept.key(kind, request.args) for request in requests]
        found = self._kept.find(
            [key for key, request in zip(keys, requests, strict=True) if not _is_drawn(request.args)]
        )
        rest = [request for key, request in zip(keys, requests, strict=True) if key not in found]
        self._total += len(requests)
        self._done += len(requests) - len(rest)
        self._progress(self._name, self._done, self._total)
        try:
            answers = iter(self._ask(kind, rest) if rest else [])
        finally:
            self._kept.write()
        return [found[key] if key in found else next(answers) for key in keys]

    def _ask(self, kind: str, requests: list[Any]) -> list[Any]:
        raise NotImplementedError

    def _one_more(self) -> None:
        self._done += 1
        self._progress(self._name, self._done, self._total)


class Local(_Followed, HFLM):  # type: ignore[misc]
    """A model that is loaded, with or without an adapter on it."""

    def __init__(
        self,
        name: str,
        model: Any,
        tokenizer: Any,
        batch_size: int,
        kept: Kept,
        progress: Callable[[str, int, int], None],
        stop: Callable[[], bool],
    ) -> None:
        super().__init__(pretrained=model, tokenizer=tokenizer, batch_size=batch_size, trust_remote_code=False)
        self._follow(name, kept, progress)
        self._stop = stop

    def get_model_info(self) -> dict[str, Any]:
        """Nothing: lm-eval would ask the hub which commit the model is."""
        return {}

    def _ask(self, kind: str, requests: list[Any]) -> list[Any]:
        def look(*_: Any) -> None:
            if self._stop():
                raise Stopped

        # Every forward pass, of a batch or of one more token, goes through the embeddings.
        handle = self.model.get_input_embeddings().register_forward_pre_hook(look)
        try:
            asked: list[Any] = getattr(HFLM, kind)(self, requests, disable_tqdm=True)
        finally:
            handle.remove()
        return asked


_told: contextvars.ContextVar[dict[str, Any]] = contextvars.ContextVar("told")


class Endpoint(_Followed, LocalChatCompletion):  # type: ignore[misc]
    """A model behind an OpenAI-compatible endpoint, asked in rounds, so that a job can stop between them."""

    def __init__(
        self,
        part: EndpointModel,
        seed: int,
        kept: Kept,
        progress: Callable[[str, int, int], None],
        stop: Callable[[], bool],
    ) -> None:
        super().__init__(
            base_url=f"{part.base_url.rstrip('/')}/chat/completions",
            model=part.model,
            num_concurrent=part.concurrency,
            max_retries=part.retries + 1,
            timeout=max(1, round(part.timeout_s)),
            seed=seed,
        )
        self._follow(part.name, kept, progress)
        self._part, self._stop = part, stop
        #: By prompt.
        self.told: dict[str, Told] = {}

    @property
    def api_key(self) -> str:
        """The key, from the environment, at each request; servers on one's own machine want none."""
        return os.environ.get(self._part.api_key, "").strip() or "none"

    @property
    def header(self) -> dict[str, str]:
        # It is read as a request is sent: before, the request waits for room.
        _told.get({})["begun"] = time.monotonic()
        return {"Authorization": f"Bearer {self.api_key}"}

    def _ask(self, kind: str, requests: list[Any]) -> list[Any]:
        answers: list[Any] = []
        size = 4 * self._part.concurrency
        for begin in range(0, len(requests), size):
            if self._stop():
                raise Stopped
            try:
                answers += getattr(LocalChatCompletion, kind)(self, requests[begin : begin + size])
            except (Stopped, NotImplementedError):
                raise
            except Exception as error:
                status = getattr(error, "status", None) or getattr(
                    getattr(error, "response", None), "status_code", None
                )
                why = f"it answers with status {status}" if status else type(error).__name__
                raise Interrupted(
                    f"The model {self._part.name} at {self._part.base_url} cannot be asked: {why}. "
                    "What it has answered is kept; resume the job when it is there again."
                ) from error
        return answers

    def model_call(self, messages: Any, **options: Any) -> Any:
        with self._noted(messages) as told:
            reply = super().model_call(messages, **options)
            told |= (reply or {}).get("usage") or {}
            return reply

    async def amodel_call(self, session: Any, sem: Any, messages: Any, **options: Any) -> Any:
        with self._noted(messages):
            return await super().amodel_call(session, sem, messages, **options)

    def parse_generations(self, outputs: Any, **options: Any) -> list[Any]:
        if isinstance(outputs, dict):
            _told.get({}).update(outputs.get("usage") or {})
        generated: list[Any] = super().parse_generations(outputs=outputs, **options)
        return generated

    @contextlib.contextmanager
    def _noted(self, messages: Any) -> Iterator[dict[str, Any]]:
        """Take note of what one request tells; requests that are on their way together are apart by their context."""
        told: dict[str, Any] = {"begun": time.monotonic()}
        token = _told.set(told)
        try:
            yield told
        finally:
            _told.reset(token)
        self.told[messages[0].prompt] = Told(
            time.monotonic() - told["begun"], told.get("prompt_tokens") or 0, told.get("completion_tokens") or 0
        )


def _is_drawn(request: Sequence[Any]) -> bool:
    """Tell whether an answer is drawn by chance: it is made anew each time."""
    return len(request) > 1 and isinstance(request[1], dict) and bool(request[1].get("do_sample"))
