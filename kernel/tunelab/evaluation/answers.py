"""Answers of many models to the same prompts, each of them kept at once: what is known is not generated again.

A greedy answer depends on the model, the prompt and the settings alone, up to the last bits of its probabilities. A
sampled one is drawn by numbers made from the seed and the prompt, so neither the other prompts nor their order change
it; where a prompt is there twice, the second one's answer is another draw.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tunelab.errors import ModelError
from tunelab.evaluation.chat import ChatModel
from tunelab.evaluation.decoding import Ask, Decoder
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
    found: dict[str, list[Answer]] = {}
    candidates: list[Candidate] = []
    for model in models:
        if isinstance(model, EndpointModel):
            chat = ChatModel(model)
            told = _Told(model.name, len(asked), progress, stop)
            found[model.name] = _by_endpoint(chat, asked, generation, seed, told)
        else:
            candidates.append(Candidate(model, say))
    bases = Bases(Place.of(device, dtype), say)
    # Models on one base follow each other, so that each base is loaded once.
    for candidate in sorted(candidates, key=lambda one: (str(one.folder), one.adapter is not None)):
        told = _Told(candidate.name, len(asked), progress, stop)
        found[candidate.name] = _by_candidate(candidate, bases, asked, generation, seed, told, say)
    return {name: found[name] for name in (one if isinstance(one, str) else one.name for one in models)}


def turns(prompt: Prompt, system: str | None) -> Turns:
    """Return a prompt as a conversation, with a system turn before it unless it has its own."""
    asked = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
    has_own = any(turn["role"] == "system" for turn in asked)
    return [{"role": "system", "content": system}, *asked] if system and not has_own else asked


class _Told:
    """Counts a model's answers, tells of them now and then, and looks whether to stop."""

    def __init__(
        self, name: str, total: int, progress: Callable[[str, int, int], None], stop: Callable[[], bool]
    ) -> None:
        self.name, self.total, self.progress, self.stop = name, total, progress, stop

    def kept(
        self,
        stream: Iterator[list[tuple[str, Answer]]],
        cache: Kept,
        answers: dict[str, Answer],
        counts: dict[str, int],
    ) -> None:
        """Take answers in, keep them at once, and tell of them; `counts` says how many prompts each one answers."""
        done = sum(counts[key] for key in answers)
        fresh: dict[str, Answer] = {}
        last = time.monotonic()

        def save() -> None:
            nonlocal done, last
            cache.keep(fresh)
            answers.update(fresh)
            done, last = done + sum(counts[key] for key in fresh), time.monotonic()
            fresh.clear()
            self.progress(self.name, done, self.total)

        if done:
            self.progress(self.name, done, self.total)
        try:
            for some in stream:
                fresh.update(some)
                if self.stop():
                    raise Stopped
                if fresh and time.monotonic() - last >= _EVERY_S:
                    save()
        finally:
            if fresh:
                save()


def _by_candidate(
    candidate: Candidate,
    bases: Bases,
    asked: Sequence[Turns],
    generation: Generation,
    seed: int,
    told: _Told,
    say: Callable[[str], None],
) -> list[Answer]:
    failed: dict[int, Answer] = {}
    texts: dict[int, str] = {}
    for number, conversation in enumerate(asked):
        try:
            _refuse_empty(conversation)
            texts[number] = candidate.render(conversation)
        except Unanswerable as reason:
            failed[number] = Answer("", status="failed", note=str(reason))
    if failed and not texts:
        raise ModelError(f"{candidate.name} can be asked none of the prompts: {failed[0].note}.")
    ids = dict(zip(texts, candidate.encode(list(texts.values())), strict=True))
    for number, tokens in ids.items():
        if note := _unreadable(candidate, tokens):
            failed[number] = Answer("", tokens_in=len(tokens), status="failed", note=note)
            del texts[number]
    keys = _keys(texts, generation)
    settings = [generation.max_new_tokens, generation.temperature, seed if generation.temperature else None]
    cache = Kept(["local", _WAY, candidate.digest, bases.place.dtype, *settings])
    answers = cache.find(set(keys.values()))
    wanted = {key: ids[number] for number, key in keys.items() if key not in answers}
    known = f", {len(answers):,} of them known from before" if answers else ""
    say(f"{candidate.name} answers {len(asked):,} prompt{'' if len(asked) == 1 else 's'}{known}")

    def written() -> Iterator[list[tuple[str, Answer]]]:
        asks = {
            key: Ask(tokens, _most(candidate, tokens, generation.max_new_tokens), f"{seed}\n{key}")
            for key, tokens in wanted.items()
        }
        names = list(asks)
        with bases.model(candidate) as model:
            decoder = Decoder(model, candidate.pad, candidate.ends, generation.temperature, generation.batch_size)
            for ended in decoder.answer(list(asks.values())):
                yield [
                    (
                        names[place],
                        Answer(
                            str(candidate.tokenizer.decode(one.tokens, skip_special_tokens=True)),
                            cut=not one.is_ended,
                            tokens_in=len(asks[names[place]].ids),
                            tokens_out=len(one.tokens),
                            latency_s=one.seconds,
                        ),
                    )
                    for place, one in ended
                ]

    told.kept(written() if wanted else iter(()), cache, answers, _counts(keys))
    return [failed[number] if number in failed else answers[keys[number]] for number in range(len(asked))]


def _by_endpoint(
    chat: ChatModel, asked: Sequence[Turns], generation: Generation, seed: int, told: _Told
) -> list[Answer]:
    failed: dict[int, Answer] = {}
    texts: dict[int, str] = {}
    for number, conversation in enumerate(asked):
        try:
            _refuse_empty(conversation)
            texts[number] = json.dumps(conversation, ensure_ascii=False)
        except Unanswerable as reason:
            failed[number] = Answer("", status="failed", note=str(reason))
    keys = _keys(texts, generation)
    settings = [generation.max_new_tokens, generation.temperature, seed if generation.temperature else None]
    cache = Kept(["endpoint", _WAY, chat.part.base_url, chat.part.model, *settings])
    answers = {key: chat.priced(one) for key, one in cache.find(set(keys.values())).items()}
    wanted = {key: asked[number] for number, key in keys.items() if key not in answers}
    names = list(wanted)
    stream = (
        [(names[place], one) for place, one in some]
        for some in chat.answer([wanted[key] for key in names], generation, seed)
    )
    told.kept(stream if wanted else iter(()), cache, answers, _counts(keys))
    return [failed[number] if number in failed else answers[keys[number]] for number in range(len(asked))]


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
    times: dict[str, int] = {}
    keys = {}
    for number, text in texts.items():
        times[text] = times.get(text, 0) + 1
        again = generation.temperature > 0 and times[text] > 1
        keys[number] = f"{text}\n#{times[text]}" if again else text
    return keys


def _counts(keys: dict[int, str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for key in keys.values():
        counts[key] = counts.get(key, 0) + 1
    return counts
