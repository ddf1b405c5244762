"""Many prompts answered by one model: whoever ends makes room for the next, and nothing is read or computed twice.

transformers' `generate` computes a batch until its longest answer has ended, copies the whole cache for every token,
and reads what all prompts begin with once for each. Here each answer has a row of a buffer for as long as it lasts
(`slots`). The mathematics is the model's own. Models that keep something else of a text than keys and values of all
its tokens go by `generate`, batch by batch.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil
import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, RepetitionPenaltyLogitsProcessor

from tunelab.evaluation.slots import Prefix, Slots, read

#: A beginning that all prompts share is read once if it has so many tokens.
_WORTH_SHARING = 8
#: Tokens of prompts that are read at a time, padding included.
_READ_AT_ONCE = 4096
#: The share of the free memory that answers under way may take.
_ROOM = 0.5
#: Tokens of a trial.
_TRIAL = 6
#: How far a trial's logits may be from the model's own, as a share of their spread.
_SAME = {torch.float32: 0.01, torch.float16: 0.05, torch.bfloat16: 0.15}
#: What a generation config may say that is done here, or changes nothing.
_KNOWN = frozenset(
    {
        "_from_model_config", "transformers_version", "use_cache", "output_attentions", "output_hidden_states",
        "return_dict_in_generate", "bos_token_id", "eos_token_id", "pad_token_id", "do_sample", "temperature", "top_k",
        "top_p", "min_p", "repetition_penalty", "max_length", "max_new_tokens",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Ask:
    """A prompt as tokens, the most tokens that its answer may have, and what a sampled answer is drawn by."""

    ids: list[int]
    limit: int
    seed: str = ""


@dataclass
class Written:
    """An answer's tokens with the one that ended it, if one did, and the seconds from reading the prompt to its end."""

    tokens: list[int] = field(default_factory=list)
    is_ended: bool = False
    seconds: float = 0.0


class Decoder:
    """Answers prompts by one model, greedy or sampled.

    A sampled answer is drawn by numbers of its own, made from its `Ask.seed`: which others are answered at the time
    changes the last bits of its probabilities and nothing else.

    Parameters
    ----------
    model
        A causal language model in evaluation mode, maybe in PEFT's wrapper.
    pad
        The token for places that hold none.
    ends
        Tokens that end an answer, besides those of the model's generation config.
    temperature
        0 takes the likeliest token; above, any token may be drawn.
    size
        Answers at a time, as far as half of the free memory holds them.
    """

    def __init__(self, model: Any, pad: int, ends: Sequence[int], temperature: float, size: int) -> None:
        self.model, self.pad, self.temperature, self.size = model, pad, temperature, size
        self.settings: GenerationConfig = model.generation_config
        self.ends = frozenset([*_listed(self.settings.eos_token_id), *ends])

    @torch.inference_mode()
    def answer(self, asks: Sequence[Ask]) -> Iterator[list[tuple[int, Written]]]:
        """Yield after each step the answers that have ended with it, with their places in `asks`; often there is none.

        No prompt is empty.
        """
        # The longest first, so that memory that is too small shows at once.
        order = sorted(range(len(asks)), key=lambda place: -len(asks[place].ids))
        if not order:
            return
        bytes_of_a_token = self._trial(asks[order[0]].ids) if self._can_attend(_width(asks, order)) else None
        if bytes_of_a_token is None:
            yield from self._in_batches(asks, order)
            return
        prefix = self._prefix([ask.ids for ask in asks])
        choose = _Choice(self.temperature, self.settings.repetition_penalty)
        while order:
            width = _width(asks, order)
            room = max(1, int(_ROOM * _free(self.model.device) / (width * bytes_of_a_token)))
            size = min(self.size, len(order), room)
            # Where memory holds fewer than are wanted, those of half the width have their turn after the wide ones.
            is_tight = size < min(self.size, len(order))
            wave = [place for place in order if not is_tight or _width(asks, [place]) > width // 2]
            yield from self._wave(asks, wave, Slots(self.model, size, width), prefix, choose)
            done = set(wave)
            order = [place for place in order if place not in done]

    def _wave(
        self, asks: Sequence[Ask], waiting: list[int], slots: Slots, prefix: Prefix, choose: _Choice
    ) -> Iterator[list[tuple[int, Written]]]:
        waiting = list(waiting)
        rows: list[_Row] = []
        while waiting or rows:
            if waiting and len(rows) < slots.size:
                new = [_Row(place, asks[place]) for place in self._next(asks, waiting, slots.size - len(rows), prefix)]
                logits = slots.admit([row.ids for row in new], prefix, self.pad)
                rows += new
            else:
                new = list(rows)
                logits = slots.step([row.ids[-1] for row in rows])
            ended = [row for row, token in zip(new, choose(logits, new), strict=True) if row.take(token, self.ends)]
            for row in ended:
                at = rows.index(row)
                slots.leave(at)
                # The last one takes its place, as in the slots.
                rows[at] = rows[-1]
                rows.pop()
            yield [(row.place, row.written) for row in ended]

    def _next(self, asks: Sequence[Ask], waiting: list[int], free: int, prefix: Prefix) -> list[int]:
        longest = len(asks[waiting[0]].ids) - prefix.length
        count = min(free, max(1, _READ_AT_ONCE // longest))
        taken, waiting[:] = waiting[:count], waiting[count:]
        return taken

    def _prefix(self, prompts: Sequence[list[int]]) -> Prefix:
        low, high = min(prompts), max(prompts)
        # The last token is read with each prompt, since the logits after it are wanted.
        least = min(map(len, prompts)) - 1
        length = next((at for at in range(least) if low[at] != high[at]), least) if len(prompts) > 1 else 0
        if length < _WORTH_SHARING:
            return Prefix()
        return Prefix(length, read(self.model, [low[:length]], Prefix(), self.pad)[1])

    def _can_attend(self, width: int) -> bool:
        """Tell whether in texts of `width` tokens each sees all before it, and nothing else is kept of them."""
        config = self.model.config
        text = config.get_text_config()
        kinds = set(getattr(text, "layer_types", None) or ())
        window = getattr(text, "sliding_window", None)
        is_wide = kinds == {"full_attention"} or window is None or width <= window
        given = {name for name, value in self.settings.to_diff_dict().items() if value is not None}
        return text is config and is_wide and kinds <= {"full_attention", "sliding_attention"} and given <= _KNOWN

    def _trial(self, ids: list[int]) -> int | None:
        """Return the bytes that a token takes; None where a model in slots is not what it is by itself."""
        long = (ids * _TRIAL)[:_TRIAL]
        texts = [long, long[: _TRIAL // 2]]
        slots = Slots(self.model, 2, _TRIAL + 1)
        try:
            slots.admit(texts, Prefix(), self.pad)
            found = slots.step([text[-1] for text in texts]).float()
            for row, text in enumerate(texts):
                whole = torch.tensor([[*text, text[-1]]], device=self.model.device)
                plain = self.model(input_ids=whole, use_cache=False).logits[0, -1].float()
                off = (found[row] - plain).norm() / (plain - plain.mean()).norm().clamp(min=1e-6)
                if not off <= _SAME.get(self.model.dtype, 0.01):
                    return None
        except (AttributeError, IndexError, NotImplementedError, RuntimeError, TypeError, ValueError):
            # It takes no such cache, mask or positions.
            return None
        return slots.bytes_of_a_token

    def _in_batches(self, asks: Sequence[Ask], order: list[int]) -> Iterator[list[tuple[int, Written]]]:
        device = self.model.device
        for begin in range(0, len(order), self.size):
            rows = [_Row(place, asks[place]) for place in order[begin : begin + self.size]]
            width = max(len(row.ids) for row in rows)
            ids = [[self.pad] * (width - len(row.ids)) + row.ids for row in rows]
            mask = [[0] * (width - len(row.ids)) + [1] * len(row.ids) for row in rows]
            out = self.model.generate(
                input_ids=torch.tensor(ids, device=device),
                attention_mask=torch.tensor(mask, device=device),
                max_new_tokens=max(row.limit for row in rows),
                do_sample=False,
                # What a config says of sampling is refused beside greedy decoding.
                temperature=None, top_p=None, top_k=None, min_p=None,
                pad_token_id=self.pad,
                eos_token_id=sorted(self.ends) or None,
                logits_processor=LogitsProcessorList([_Drawn(_Choice(self.temperature, None), rows)]),
            )  # fmt: skip
            for row, tokens in zip(rows, out[:, width:].tolist(), strict=True):
                for token in tokens:
                    if row.take(token, self.ends):
                        break
            yield [(row.place, row.written) for row in rows]


@dataclass(eq=False)
class _Row:
    """An answer under way: `ids` are the tokens of the prompt and of what is written of the answer."""

    place: int
    ask: Ask
    ids: list[int] = field(init=False)
    written: Written = field(default_factory=Written)
    began: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self.ids = list(self.ask.ids)
        self._numbers = random.Random(self.ask.seed)

    @property
    def limit(self) -> int:
        return self.ask.limit

    def draw(self) -> float:
        """Return the next number that this answer is drawn by, of [0, 1)."""
        return self._numbers.random()

    def take(self, token: int, ends: frozenset[int]) -> bool:
        """Add a token, and tell whether the answer has ended with it."""
        self.ids.append(token)
        self.written.tokens.append(token)
        self.written.is_ended = token in ends
        is_over = self.written.is_ended or len(self.written.tokens) >= self.limit
        if is_over:
            self.written.seconds = time.perf_counter() - self.began
        return is_over


class _Choice:
    """Chooses each row's next token."""

    def __init__(self, temperature: float, penalty: float | None) -> None:
        self.temperature = temperature
        self.penalty = RepetitionPenaltyLogitsProcessor(penalty) if penalty not in (None, 1.0) else None

    def __call__(self, logits: Tensor, rows: Sequence[_Row]) -> list[int]:
        logits = logits.float()
        if self.penalty is not None:
            # By each row's own tokens: padding is none of them.
            for at, row in enumerate(rows):
                ids = torch.tensor([row.ids], device=logits.device)
                logits[at] = self.penalty(ids, logits[at : at + 1])[0]
        if self.temperature == 0:
            return logits.argmax(-1).tolist()
        # The token in whose share of [0, 1) the row's own number lies.
        shares = torch.softmax(logits / self.temperature, -1).cumsum(-1, dtype=torch.float64)
        numbers = torch.tensor([[row.draw()] for row in rows], dtype=torch.float64, device=logits.device)
        found = torch.searchsorted(shares, numbers * shares[:, -1:], right=True)[:, 0]
        return found.clamp(max=logits.shape[-1] - 1).tolist()


class _Drawn(LogitsProcessor):
    """Lets `generate` take the token that a row's own numbers draw."""

    def __init__(self, choose: _Choice, rows: Sequence[_Row]) -> None:
        self.choose, self.rows = choose, rows

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if self.choose.temperature == 0:
            return scores
        drawn = torch.tensor(self.choose(scores, self.rows), device=scores.device)
        return torch.full_like(scores, -torch.inf).scatter(1, drawn[:, None], 0.0)


def _width(asks: Sequence[Ask], places: Sequence[int]) -> int:
    return max(len(asks[place].ids) + asks[place].limit for place in places)


def _free(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def _listed(tokens: Tensor | int | list[int] | None) -> list[int]:
    if tokens is None:
        return []
    return tokens if isinstance(tokens, list) else torch.as_tensor(tokens).flatten().tolist()
