"""A batch without padding: one row of concatenated sequences, and where each answer's tokens are predicted in it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

#: A shared prompt saves its tokens and costs a mask in each layer; from about so many tokens on it pays.
SHARE_FROM = 24


@dataclass(frozen=True)
class Block:
    """Consecutive tokens of the row that attend to each other causally.

    They also attend to all of the first `prefix` tokens of the block with index `after`, which is their prompt.
    """

    length: int
    after: int = 0
    prefix: int = 0


@dataclass(frozen=True)
class Row:
    """A batch as the model sees it.

    Parameters
    ----------
    input_ids, position_ids
        Of shape (1, tokens); positions start anew with each sequence and go on after a shared prompt.
    blocks
        The row's blocks in order; their lengths add up to its tokens.
    source
        For each trained token the place in the row whose hidden state predicts it. Shape (targets,).
    labels
        The trained tokens. Shape (targets,).
    target
        Their places in the flattened (batch, length - 1) table that TRL's trainers read. Shape (targets,).
    """

    input_ids: Tensor
    position_ids: Tensor
    blocks: tuple[Block, ...]
    source: Tensor
    labels: Tensor
    target: Tensor

    @property
    def tokens(self) -> int:
        """How many tokens the model computes."""
        return self.input_ids.shape[1]


def pack(
    input_ids: Tensor,
    labels: Tensor,
    attention_mask: Tensor | None = None,
    position_ids: Tensor | None = None,
    pairs: bool = False,
    share_from: int = SHARE_FROM,
    groups: bool = False,
) -> Row:
    """Return the row of a batch as TRL's collators make it.

    Parameters
    ----------
    input_ids, labels
        Of shape (batch, length); a label of -100 is not trained.
    attention_mask
        1 for tokens, 0 for padding, which is at either end of a sequence. Without it every token counts.
    position_ids
        Of a batch that is one row already: a sequence starts at each 0.
    pairs
        Whether sequence ``i + batch / 2`` is the other answer to the prompt of sequence ``i``.
    share_from
        The fewest common tokens at the start of a pair or group that are computed once.
    groups
        Whether sequences may be answers to one prompt, in any order; a prompt is what comes before the trained tokens.
    """
    sequences = _sequences(input_ids, attention_mask, position_ids)
    ids, wanted = input_ids.cpu(), labels.cpu()
    width = input_ids.shape[1] - 1
    common = _common(ids, sequences, share_from) if pairs else {}
    if groups:
        common = _of_groups(ids, wanted, sequences, share_from)

    blocks: list[Block] = []
    positions: list[Tensor] = []
    tokens: list[Tensor] = []
    # For each sequence the place in the row of each of its tokens.
    places: list[Tensor | None] = [None] * len(sequences)
    row_length = 0
    order = _partners_adjacent(len(sequences)) if pairs else range(len(sequences))
    # For each sequence its block.
    block_of: dict[int, int] = {}
    for index in order:
        batch, start, end = sequences[index]
        lead, shared = common.get(index, (index, 0))
        own = torch.arange(row_length, row_length + end - start - shared)
        if shared:
            first = places[lead]
            assert first is not None
            places[index] = torch.cat([first[:shared], own])
        else:
            places[index] = own
        if len(own):
            block_of[index] = len(blocks)
            blocks.append(Block(len(own), after=block_of[lead] if shared else 0, prefix=shared))
            tokens.append(ids[batch, start + shared : end])
            positions.append(torch.arange(shared, end - start))
            row_length += len(own)

    source, target = [], []
    for (batch, start, end), place in zip(sequences, places, strict=True):
        assert place is not None
        trained = (wanted[batch, start + 1 : end] != -100).nonzero().flatten()
        source.append(place[trained])
        target.append(batch * width + start + trained)
    where = torch.cat(target)
    chosen = wanted[:, 1:].flatten()[where]
    device = input_ids.device
    return Row(
        input_ids=torch.cat(tokens)[None].to(device),
        position_ids=torch.cat(positions)[None].to(device),
        blocks=tuple(blocks),
        source=torch.cat(source).to(device),
        labels=chosen.to(device),
        target=where.to(device),
    )


def _sequences(
    input_ids: Tensor, attention_mask: Tensor | None, position_ids: Tensor | None
) -> list[tuple[int, int, int]]:
    """Return (place in the batch, first token, end) of each sequence."""
    batch, length = input_ids.shape
    if position_ids is not None and attention_mask is None:
        flat = position_ids.cpu()
        found = []
        for place in range(batch):
            starts = [*(flat[place] == 0).nonzero().flatten().tolist(), length]
            found += [(place, start, end) for start, end in itertools.pairwise(starts)]
        return found
    if attention_mask is None:
        return [(place, 0, length) for place in range(batch)]
    mask = attention_mask.cpu().bool()
    counts, firsts = mask.sum(1).tolist(), mask.int().argmax(1).tolist()
    return [(place, first, first + count) for place, (first, count) in enumerate(zip(firsts, counts, strict=True))]


def _common(ids: Tensor, sequences: Sequence[tuple[int, int, int]], share_from: int) -> dict[int, tuple[int, int]]:
    """Return for each second answer of a pair the first, and how many tokens they have in common at the start."""
    half = len(sequences) // 2
    found = {}
    for index in range(half):
        count = _alike(ids, sequences[index], sequences[index + half])
        if count >= share_from:
            found[index + half] = index, count
    return found


def _of_groups(
    ids: Tensor, wanted: Tensor, sequences: Sequence[tuple[int, int, int]], share_from: int
) -> dict[int, tuple[int, int]]:
    """Return for each sequence the first one with its prompt, and how many tokens they have in common at the start."""
    found: dict[int, tuple[int, int]] = {}
    leads: list[int] = []
    for index, sequence in enumerate(sequences):
        batch, start, end = sequence
        trained = (wanted[batch, start + 1 : end] != -100).nonzero().flatten()
        prompt = int(trained[0]) + 1 if len(trained) else end - start
        for lead in leads:
            count = _alike(ids, sequences[lead], sequence)
            if count >= max(prompt, share_from):
                found[index] = lead, count
                break
        else:
            leads.append(index)
    return found


def _alike(ids: Tensor, one: tuple[int, int, int], other: tuple[int, int, int]) -> int:
    """Return how many first tokens two sequences have in common."""
    length = min(one[2] - one[1], other[2] - other[1])
    same = ids[one[0], one[1] : one[1] + length] == ids[other[0], other[1] : other[1] + length]
    return int(same.int().cumprod(0).sum())


def _partners_adjacent(count: int) -> list[int]:
    half = count // 2
    return [index for pair in zip(range(half), range(half, count), strict=True) for index in pair]
