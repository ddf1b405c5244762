"""The keys and values of answers under way: a row of one buffer each, of any length, given back when its answer ends.

transformers' own cache has all rows end at one place: a row that begins late needs padding before it, one that ends
early stays, and each token copies everything. Here a row begins at place 0, and a mask hides what lies behind its last
token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import CacheLayerMixin


@dataclass(frozen=True)
class Prefix:
    """What all prompts begin with: so many tokens, and the keys and values of them by layer, of one row."""

    length: int = 0
    layers: Sequence[tuple[Tensor, Tensor]] = ()


def read(
    model: Any, prompts: Sequence[Sequence[int]], prefix: Prefix, pad: int
) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """Read prompts, the prefix of which was read before.

    Returns
    -------
    Tensor
        The logits after each, of shape (prompts, vocabulary).
    list
        Their keys and values by layer: first those of the prefix, then padding where a prompt is shorter, then the
        rest.
    """
    rest = [list(ids[prefix.length :]) for ids in prompts]
    width, device = max(map(len, rest)), model.device
    cache = DynamicCache(config=model.config)
    for number, (keys, values) in enumerate(prefix.layers):
        cache.update(keys.expand(len(rest), -1, -1, -1), values.expand(len(rest), -1, -1, -1), number)
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in rest], device=device)
    mask = torch.tensor(
        [[1] * prefix.length + [0] * (width - len(row)) + [1] * len(row) for row in rest], device=device
    )
    out = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=(mask.cumsum(1) - 1).clamp(min=0)[:, prefix.length :],
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    layers: Any = cache.layers
    return out.logits[:, -1], [(layer.keys, layer.values) for layer in layers]


class Slots:
    """Rows of a buffer for `size` answers of up to `width` tokens, prompt included."""

    def __init__(self, model: Any, size: int, width: int) -> None:
        self.model, self.size, self.width = model, size, width
        #: Tokens of each row that is taken; the rows that are taken are the first ones.
        self.lengths: list[int] = []
        #: Where the tokens of a step go: rows, and places in them.
        self.targets: tuple[Tensor, Tensor] = (torch.empty(0), torch.empty(0))
        self._layers: list[_Layer] = []

    @property
    def bytes_of_a_token(self) -> int:
        """What one token takes, known when a prompt was read."""
        return sum(part[0, :, 0].nbytes for layer in self._layers for part in layer.parts)

    def admit(self, prompts: Sequence[Sequence[int]], prefix: Prefix, pad: int) -> Tensor:
        """Read prompts into free rows behind those that are taken, and return the logits after each."""
        logits, found = read(self.model, prompts, prefix, pad)
        self._layers = self._layers or [_Layer(self, layer) for layer in found]
        for at, ids in enumerate(prompts):
            row, own = len(self.lengths), len(ids) - prefix.length
            for layer, parts in zip(self._layers, found, strict=True):
                for buffer, part in zip(layer.parts, parts, strict=True):
                    buffer[row, :, : prefix.length] = part[at, :, : prefix.length]
                    buffer[row, :, prefix.length : len(ids)] = part[at, :, part.shape[2] - own :]
            self.lengths.append(len(ids))
        return logits

    def step(self, tokens: Sequence[int]) -> Tensor:
        """Read one more token of each row that is taken, and return the logits after it."""
        device = self.model.device
        lengths = torch.tensor(self.lengths, device=device)
        self.targets = torch.arange(len(self.lengths), device=device), lengths
        logits: Tensor = self.model(
            input_ids=torch.tensor(tokens, device=device)[:, None],
            attention_mask=(torch.arange(max(self.lengths) + 1, device=device) <= lengths[:, None]).long(),
            position_ids=lengths[:, None],
            past_key_values=Cache(layers=list(self._layers)),
            use_cache=True,
        ).logits[:, -1]
        self.lengths = [length + 1 for length in self.lengths]
        return logits

    def leave(self, row: int) -> None:
        """Give a row back; the last one takes its place."""
        length = self.lengths.pop()
        if row < len(self.lengths):
            for layer in self._layers:
                for part in layer.parts:
                    part[row, :, :length] = part[len(self.lengths), :, :length]
            self.lengths[row] = length


class _Layer(CacheLayerMixin):
    """A layer's part of the buffer, as transformers' models write and read it."""

    is_sliding = False

    def __init__(self, slots: Slots, like: tuple[Tensor, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.slots = slots
        # Zeros, since what the mask hides is multiplied with 0, and whatever the memory held might be no number.
        self.parts = tuple(part.new_zeros(slots.size, part.shape[1], slots.width, part.shape[3]) for part in like)
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Do nothing: the buffer is there from the start."""

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Write a token of each row behind its last one, and return all."""
        count, end = len(self.slots.lengths), max(self.slots.lengths) + 1
        rows, places = self.slots.targets
        for part, new in zip(self.parts, (key_states, value_states), strict=True):
            part[rows, :, places] = new[:, :, 0]
        keys, values = (part[:count, :, :end] for part in self.parts)
        return keys, values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return how many places there are to attend to, and the first."""
        return max(self.slots.lengths) + query_length, 0

    def get_seq_length(self) -> int:
        """Return the length of the longest row."""
        return max(self.slots.lengths)

    def get_max_length(self) -> int:
        """Return the length that a row may have."""
        return self.slots.width
