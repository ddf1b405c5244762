"""Answers of many models to the same prompts, each of them kept at once: what is known is not generated again.

A greedy answer depends on the model, the prompt and the settings alone, up to the last bits of its probabilities. A
sampled one is drawn by numbers made from the seed and the prompt, so neither the other prompts nor their order change
it; where a prompt is there twice, the second one's answer is another draw.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tunelab.errors import ModelError
from tunelab.evaluation.chat import ChatModel
from tunelab.evaluation.decoding import Ask, Decoder, Written
from tunelab.evaluation.kept import Answer, Kept
from tunelab.evaluation.local import Bases, Candidate, Place, Turns, Unanswerable
from tunelab.evaluation.local import threads as use_threads
from tunelab.jobs.context import Stopped
from tunelab.spec.evaluate import EndpointModel, Generation

__all__ = ["Answer", "Prompt", "answer"]

Prompt = str | list[dict[str, str]]

#: Part of what answers depend on: another way of asking gives others.
_WAY = 1
#: Answers are kept, and told of, so often.
_EVERY_S = 1.0


def answer(
    models: Sequence[str | EndpointModel],
    prompts: Sequence[Prompt],
    generation: Generation,
    seed: int = 42,
    device: str = "auto",
    dtype: str | None = None,
    threads: int | None = None,
    say: Callable[[str], None] = lambda _: None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, list[Answer]]:
    """Return each model's answers in the order of the prompts, by the name of the model.

    Parameters
    ----------
    models
        Names as `models.find.find` takes them, and endpoints. Models on one base share one copy of it in memory.
    prompts
        Questions, or conversations (messages with role and content) that end with the user's turn.
    generation
        How answers are made; its `system` is left out where a conversation has one of its own.
    device, dtype, threads
        Where, in which number format and on how many cores, as a spec's `compute` has them.
    progress
        Told the model's name, how many of its answers are there, and of how many.
    stop
        Asked after each token whether to end.

    Raises
    ------
    Stopped
        If `stop` said so; answers that had ended are kept.
    Unreachable
        If an endpoint cannot be asked; what it answered before is kept.
    ModelError
        If a model cannot be found, loaded, or asked any of the prompts.
    """
    use_threads(threads)
    asked = [turns(prompt, generation.system) for prompt in prompts]
    candidates = [Candidate(model, say) for model in models if isinstance(model, str)]
    found: dict[str, list[Answer]] = {}
    for model in models:
        if isinstance(model, EndpointModel):
            found[model.name] = _by_endpoint(model, asked, generation, seed, _Told(model.name, progress, stop, say))
    bases = Bases(Place.of(device, dtype), say)
    try:
        # Models on one base follow each other, so that each base is loaded once.
        for one in sorted(candidates, key=lambda candidate: str(candidate.folder)):
            told = _Told(one.name, progress, stop, say)
            found[one.name] = _by_candidate(one, bases, asked, generation, seed, told)
    finally:
        bases.close()
    return {name: found[name] for name in (model if isinstance(model, str) else model.name for model in models)}


def turns(prompt: Prompt, system: str | None) -> Turns:
    """Return a prompt as a conversation, with a system turn before it unless it has its own."""
    asked = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
    has_own = any(turn["role"] == "system" for turn in asked)
    return [{"role": "system", "content": system}, *asked] if system and not has_own else asked


@dataclass
class _Told:
    """Whom to tell of a model's answers, and what to look at between them."""

    name: str
    progress: Callable[[str, int, int], None]
    stop: Callable[[], bool]
    say: Callable[[str], None]


@dataclass
class _Sheet:
    """A model's answers as they come in: `keys` has what a prompt's answer is kept by, `failed` those without one."""

    told: _Told
    cache: Kept
    keys: dict[int, str]
    failed: dict[int, Answer]
    answers: dict[str, Answer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.answers = self.cache.find(dict.fromkeys(self.keys.values()))
        self._counts = Counter(self.keys.values())
        self._done = len(self.failed) + sum(self._counts[key] for key in self.answers)
        total = len(self.keys) + len(self.failed)
        known = f", {len(self.answers):,} of them known from before" if self.answers else ""
        self.told.say(f"{self.told.name} answers {total:,} prompt{'' if total == 1 else 's'}{known}")
        if self._done:
            self.told.progress(self.told.name, self._done, total)

    @property
    def wanted(self) -> dict[str, int]:
        """What is to be answered yet, and a prompt that wants it."""
        return {key: number for number, key in self.keys.items() if key not in self.answers}

    def fill(self, keys: Sequence[str], stream: Generator[list[tuple[int, Answer]], None, None]) -> None:
        """Take answers in as they end, with the places of their keys, and keep them at once."""
        fresh: dict[str, Answer] = {}
        last = time.monotonic()
        try:
            for some in stream:
                fresh |= {keys[place]: one for place, one in some}
                if self.told.stop():
                    raise Stopped
                if fresh and time.monotonic() - last >= _EVERY_S:
                    self._keep(fresh)
                    last = time.monotonic()
        finally:
            stream.close()
            self._keep(fresh)

    def in_order(self) -> list[Answer]:
        """Return all answers in the order of the prompts."""
        total = len(self.keys) + len(self.failed)
        return [self.failed.get(number) or self.answers[self.keys[number]] for number in range(total)]

    def _keep(self, fresh: dict[str, Answer]) -> None:
        if fresh:
            self.cache.keep(fresh)
            self.answers |= fresh
            self._done += sum(self._counts[key] for key in fresh)
            fresh.clear()
            self.told.progress(self.told.name, self._done, len(self.keys) + len(self.failed))


def _by_candidate(
    candidate: Candidate, bases: Bases, asked: Sequence[Turns], generation: Generation, seed: int, told: _Told
) -> list[Answer]:
    texts, failed = _rendered(asked, candidate.render)
    if failed and not texts:
        raise ModelError(f"{candidate.name} can be asked none of the prompts: {failed[0].note}.")
    ids = dict(zip(texts, candidate.encode(list(texts.values())), strict=True))
    for number, tokens in ids.items():
        if note := _unreadable(candidate, tokens):
            failed[number] = Answer("", tokens_in=len(tokens), status="failed", note=note)
            del texts[number]
    identity = ["local", _WAY, candidate.digest, bases.place.dtype, *_settings(generation, seed)]
    sheet = _Sheet(told, Kept(identity), _keys(texts, generation), failed)
    asks = {
        key: Ask(ids[number], _most(candidate, ids[number], generation.max_new_tokens), f"{seed}\n{key}")
        for key, number in sheet.wanted.items()
    }
    keys = list(asks)

    def written() -> Generator[list[tuple[int, Answer]], None, None]:
        with bases.model(candidate) as model:
            decoder = Decoder(model, candidate.pad, candidate.ends, generation.temperature, generation.batch_size)
            for ended in decoder.answer(list(asks.values())):
                yield [(place, _answer(candidate, asks[keys[place]], one)) for place, one in ended]

    if asks:
        sheet.fill(keys, written())
    return sheet.in_order()


def _answer(candidate: Candidate, ask: Ask, written: Written) -> Answer:
    text = str(candidate.tokenizer.decode(written.tokens, skip_special_tokens=True))
    return Answer(text, not written.is_ended, len(ask.ids), len(written.tokens), written.seconds)


def _by_endpoint(
    model: EndpointModel, asked: Sequence[Turns], generation: Generation, seed: int, told: _Told
) -> list[Answer]:
    chat = ChatModel(model)
    texts, failed = _rendered(asked, lambda turns: json.dumps(turns, ensure_ascii=False))
    identity = ["endpoint", _WAY, model.base_url, model.model, *_settings(generation, seed)]
    sheet = _Sheet(told, Kept(identity), _keys(texts, generation), failed)
    wanted = sheet.wanted
    if wanted:
        sheet.fill(list(wanted), chat.answer([asked[number] for number in wanted.values()], generation, seed))
    return [chat.priced(one) for one in sheet.in_order()]


def _rendered(asked: Sequence[Turns], render: Callable[[Turns], str]) -> tuple[dict[int, str], dict[int, Answer]]:
    """Return each conversation's text, and the answers in place of those that cannot be asked."""
    texts, failed = {}, {}
    for number, conversation in enumerate(asked):
        try:
            _refuse_empty(conversation)
            texts[number] = render(conversation)
        except Unanswerable as reason:
            failed[number] = Answer("", status="failed", note=str(reason))
    return texts, failed


def _settings(generation: Generation, seed: int) -> list[Any]:
    sampled = generation.temperature > 0
    return [generation.max_new_tokens, generation.temperature, seed if sampled else None]


def _refuse_empty(conversation: Turns) -> None:
    if not conversation or not conversation[-1]["content"].strip():
        raise Unanswerable("the prompt is empty")


def _unreadable(candidate: Candidate, tokens: Any) -> str:
    if not tokens:
        return "the prompt is empty"
    if candidate.limit is not None and len(tokens) >= candidate.limit:
        return f"the prompt has {len(tokens):,} tokens, and {candidate.name} reads {candidate.limit:,} with its answer"
    return ""


def _most(candidate: Candidate, tokens: list[int], wanted: int) -> int:
    return wanted if candidate.limit is None else min(wanted, candidate.limit - len(tokens))


def _keys(texts: dict[int, str], generation: Generation) -> dict[int, str]:
    """Return what each prompt's answer is known by: its text, and which of several draws it is."""
    times: Counter[str] = Counter()
    keys = {}
    for number, text in texts.items():
        times[text] += 1
        again = generation.temperature > 0 and times[text] > 1
        keys[number] = f"{text}\n#{times[text]}" if again else text
    return keys
