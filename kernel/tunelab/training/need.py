"""What a training step takes in memory besides the weights, reckoned from a trial of a few tokens.

Autograd keeps about the same bytes for every token (more where a layer's activations are kept, fewer where they are
computed twice), and each trained weight has a gradient and AdamW's two moments.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import peft
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from tunelab.spec import CustomizeSpec
from tunelab.training.fast.row import SHARE_FROM

#: A row cut to so many tokens shows what a token keeps for the backward pass.
_TRIAL_TOKENS = 48


@dataclass(frozen=True)
class Settings:
    """What of a spec decides about a step's memory, and what is changed with it to keep the effective batch."""

    rows: int
    accumulation: int
    checkpointing: bool
    max_length: int | None
    #: Tokens of a batch, in place of `rows`.
    budget: int | None

    @classmethod
    def of(cls, spec: CustomizeSpec) -> Settings:
        """Return those of a resolved spec."""
        given = spec.hyperparameters
        return cls(
            rows=given["per_device_train_batch_size"],
            accumulation=given.get("gradient_accumulation_steps", 1),
            checkpointing=bool(given.get("gradient_checkpointing")),
            max_length=given.get("max_length"),
            budget=spec.compute.tokens_per_batch,
        )


@dataclass(frozen=True)
class Need:
    """How the bytes of a step follow from its settings.

    Parameters
    ----------
    sides
        Tokens of each row: of one sequence and of the other (for pairs), and how many of them both begin with and are
        computed once. Shape (rows, 3).
    kept, kept_twice
        Bytes a token that autograd keeps, and those where activations are computed twice.
    trained
        Bytes of gradients and AdamW's moments.
    padded
        Whether every row of a batch is as long as its longest, as with TRL's own path.
    """

    sides: NDArray[np.int64]
    kept: float
    kept_twice: float
    trained: float
    padded: bool
    #: Whether rows may be cut to fewer tokens.
    can_cut: bool = True

    def lengths(self, limit: int | None) -> NDArray[np.int64]:
        """Return the tokens that each row computes where a sequence is cut to `limit`."""
        sides = self.sides if limit is None else np.minimum(self.sides, limit)
        return sides[:, 0] + sides[:, 1] - sides[:, 2]

    def tokens(self, settings: Settings) -> int:
        """Return the tokens that a step with the longest rows computes."""
        lengths = np.sort(self.lengths(settings.max_length))[::-1]
        if settings.budget:
            return int(max(lengths[0], min(settings.budget, lengths.sum())))
        longest = lengths[: settings.rows]
        return int(longest[0] * len(longest) if self.padded else longest.sum())

    def bytes(self, settings: Settings) -> float:
        """Return what such a step takes."""
        return self.trained + self.tokens(settings) * (self.kept_twice if settings.checkpointing else self.kept)


def measure(trainer: Any, spec: CustomizeSpec, twice: bool = True) -> Need:
    """Return the need of a trainer's steps; without `twice` only that of activations kept is tried."""
    kept = _kept_per_token(trainer)
    kept_twice = kept
    if twice:
        with checkpointed(trainer):
            ends = _kept_per_token(trainer)
        # While the backward pass is in a layer, that layer's activations are there too.
        kept_twice = min(kept, ends + (kept - ends) / base(trainer.model).config.get_text_config().num_hidden_layers)
    weights = [weight for weight in trainer.model.parameters() if weight.requires_grad]
    return Need(
        sides=sides(trainer, spec),
        kept=kept,
        kept_twice=kept_twice,
        trained=float(3 * sum(weight.numel() * weight.element_size() for weight in weights)),
        padded=spec.compute.kernels == "trl",
        can_cut=not spec.is_reinforcement,
    )


def sides(trainer: Any, spec: CustomizeSpec) -> NDArray[np.int64]:
    """Return the tokens of each training row as `Need` takes them, before a collator cuts them."""
    if spec.is_reinforcement:
        whole = np.array(trainer.prompt_lengths()) + spec.hyperparameters["max_completion_length"]
        return np.pad(whole[:, None].astype(np.int64), ((0, 0), (0, 2)))
    pairs = spec.technique == "dpo"
    names = ("prompt_ids", "chosen_ids", "rejected_ids") if pairs else ("input_ids",)
    parts = []
    for batch in trainer.train_dataset.select_columns(list(names)).with_format("arrow").iter(batch_size=1000):
        parts.append(np.stack([pc.list_value_length(batch[name]).to_numpy() for name in names], axis=1))
    found = np.concatenate(parts).astype(np.int64)
    if not pairs:
        return np.pad(found, ((0, 0), (0, 2)))
    prompt = found[:, 0]
    shared = np.where(prompt >= SHARE_FROM, prompt, 0) * (spec.compute.kernels != "trl")
    return np.stack([prompt + found[:, 1], prompt + found[:, 2], shared], axis=1)


@contextlib.contextmanager
def checkpointed(trainer: Any) -> Iterator[None]:
    """Compute activations twice, as transformers' trainer sets it up when it begins to train; then no longer."""
    given = dict(trainer.args.activation_checkpointing_kwargs or {})
    every, offload = given.pop("every_n_layers", 1), given.pop("offload", False)
    model = base(trainer.model)
    model.activation_checkpointing_enable(given or None, every_n_layers=every, offload=offload)
    try:
        yield
    finally:
        model.activation_checkpointing_disable()
        if not trainer.args.activation_checkpointing:
            # Else the gradient would be computed down to the embeddings, which are frozen.
            model.disable_input_require_grads()


def base(model: Any) -> PreTrainedModel:
    """Return the language model inside PEFT's wrapper."""
    found: Any = model.get_base_model() if isinstance(model, peft.PeftModel) else model
    return found  # type: ignore[no-any-return]


def _kept_per_token(trainer: Any) -> float:
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, torch.nn.Parameter) and tensor.data_ptr() not in weights:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
        # A result that keeps itself would never be freed, and all that it was made of neither.
        return tensor.detach()

    model = trainer.model
    weights = {parameter.data_ptr() for parameter in model.parameters()}
    # Two rows with nothing in common, since two are a pair.
    ids = torch.arange(2 * _TRIAL_TOKENS, device=model.device).reshape(2, -1)
    ids %= model.config.get_text_config().vocab_size
    training = model.training
    # Dropout keeps a mask, and layers are computed twice in training only.
    model.train()
    try:
        with torch.random.fork_rng(), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=ids, fused_lm_head=True)
    finally:
        model.train(training)
    return sum(kept.values()) / (2 * _TRIAL_TOKENS)
