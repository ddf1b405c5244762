"""Batches by a budget of tokens: rows of like length together, so that each step has about the same work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler
from transformers import Trainer


class TokenBatches(Sampler[list[int]]):
    """Batches of rows whose tokens add up to no more than a budget; a row that is longer is a batch of its own.

    Which rows share a batch is drawn once, by the seed; their order is drawn anew each epoch. So every epoch has the
    same number of steps, and a run that is resumed in one meets the batches that it left.

    Parameters
    ----------
    lengths
        Tokens of each row, with both answers of a pair.
    budget
        The most tokens of a batch.
    seed
        Of the draws.
    """

    def __init__(self, lengths: Sequence[int], budget: int, seed: int) -> None:
        self.seed = seed
        self.epoch = 0
        draw = torch.Generator().manual_seed(seed)
        # Shuffled first, so that rows of one length are not always with the same neighbours.
        order = sorted(torch.randperm(len(lengths), generator=draw).tolist(), key=lambda row: lengths[row])
        self.batches: list[list[int]] = []
        room = 0
        for row in order:
            if not self.batches or lengths[row] > room:
                self.batches.append([])
                room = budget
            self.batches[-1].append(row)
            room -= lengths[row]

    def set_epoch(self, epoch: int) -> None:
        """Draw the order of this epoch, as transformers' trainer asks for."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        draw = torch.Generator().manual_seed(self.seed + 1_000_003 * (self.epoch + 1))
        for place in torch.randperm(len(self.batches), generator=draw).tolist():
            yield self.batches[place]

    def __len__(self) -> int:
        return len(self.batches)


class ByTokens(Trainer):
    """A trainer that draws its batches from `token_batches` once that is set."""

    token_batches: TokenBatches | None = None

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return the batches to train on."""
        if self.token_batches is None:
            return super().get_train_dataloader()
        rows = self._remove_unused_columns(self.train_dataset, description="Training")
        loader: DataLoader[Any] = DataLoader(
            rows,
            batch_sampler=self.token_batches,
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
        )
        prepared: DataLoader[Any] = self.accelerator.prepare(loader)
        return prepared
