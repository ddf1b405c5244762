"""Puts the fast forward pass where TRL's trainers call the model, and sees to it that both give the same.

TRL's trainers call ``model(**batch, labels=…, fused_lm_head=True)`` and read log-probabilities, entropies and such by
position (`trl.trainer.utils.add_fused_lm_head`). That call is answered here: the padded batch becomes a row of blocks
(`row`), the backbone runs on it (`attention`), the head only where a trained token is predicted (`logprobs`), and the
results go back to the places where TRL looks for them. Losses, metrics, callbacks and checkpoints stay TRL's.
"""

from __future__ import annotations

import contextlib
import functools
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from trl.trainer.utils import FusedCausalLMOutput

from tunelab.training.fast import attention
from tunelab.training.fast.logprobs import Head, log_probs
from tunelab.training.fast.row import SHARE_FROM, Row, pack

#: What TRL's collators add to a row that is packed already; the blocks say it here.
_OF_THE_COLLATOR = ("cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k", "seq_idx")
#: The tables of a batch, in the order that `pack` takes them.
_TABLES = ("input_ids", "labels", "attention_mask", "position_ids")
_PROBE_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.15, torch.float16: 0.05}


_only_log_probs = False


@dataclass
class Work:
    """Operations that the forward and backward passes needed so far, of matrix products with weights alone.

    Two for each weight and token forward, two for the gradient of its input, two for its own where it is trained
    (Kaplan et al. 2020, table 1). The head counts where it is computed. Attention is left out: it is small for rows of
    up to a few thousand tokens.
    """

    operations: float = 0.0

    def add(self, model: PreTrainedModel, row: Row) -> None:
        """Count one pass over a row, with its backward pass where gradients are on."""
        head, table = model.get_output_embeddings().weight, model.get_input_embeddings().weight
        graded = torch.is_grad_enabled()
        for weight in model.parameters():
            if weight.ndim == 2 and (weight is head or weight is not table):
                each = 2 + graded * (2 + 2 * weight.requires_grad)
                self.operations += each * weight.numel() * (len(row.labels) if weight is head else row.tokens)


class Refused(Exception):
    """Raised where a model is to be trained by TRL's own path; the message says why."""


@contextlib.contextmanager
def log_probs_only() -> Iterator[None]:
    """Leave out all but the log-probabilities, for a reference's forward pass."""
    global _only_log_probs
    before, _only_log_probs = _only_log_probs, True
    try:
        yield
    finally:
        _only_log_probs = before


def accelerate(
    model: PreTrainedModel,
    fields: tuple[str, ...],
    pairs: bool,
    share_from: int = SHARE_FROM,
    temperature: float = 1.0,
    groups: bool = False,
) -> Work:
    """Let `model` answer TRL's calls by the fast forward pass.

    Parameters
    ----------
    model
        The causal language model itself, without PEFT's wrapper, after TRL's trainer was made.
    fields
        Which of `logprobs.FIELDS` the trainer reads.
    pairs
        Whether a batch holds first all chosen, then all rejected answers, as TRL's preference collator makes it.
    share_from
        The fewest common tokens at the start of a pair or group that are computed once.
    groups
        Whether a batch holds several answers to a prompt, in any order.
    temperature
        What logits are divided by.

    Returns
    -------
    Work
        What is computed from here on.

    Raises
    ------
    Refused
        If the model is of a kind that is not computed here, or a trial shows another result than TRL's path.
    """
    _refuse_by_config(model)
    head = functools.partial(head_of, temperature=temperature)
    head(model)

    def layout(
        ids: Tensor, labels: Tensor, mask: Tensor | None, positions: Tensor | None, least: int = share_from
    ) -> Row:
        return pack(ids, labels, mask, positions, pairs=pairs, share_from=least, groups=groups)

    trls = model.forward
    usual = model.config._attn_implementation
    work = Work()

    # The original signature is kept: `generate` validates its arguments by it.
    @functools.wraps(trls)
    def forward(self: PreTrainedModel, *args: Any, **kwargs: Any) -> Any:
        fused = kwargs.get("fused_lm_head", False)
        if not fused or args or not _is_plain(kwargs):
            _attend_by(self, usual)
            return trls(*args, **kwargs)
        _attend_by(self, attention.NAME)
        return _fast(self, kwargs, () if _only_log_probs else fields, pairs, layout, work, head)

    try:
        _try(model, trls, fields, pairs, functools.partial(layout, least=2), head)
    finally:
        _attend_by(model, usual)
    model.forward = types.MethodType(forward, model)
    return work


def _fast(
    model: PreTrainedModel,
    given: dict[str, Any],
    fields: tuple[str, ...],
    pairs: bool,
    layout: Callable[..., Row],
    work: Work,
    head: Callable[[PreTrainedModel], Head],
) -> FusedCausalLMOutput:
    labels = given["labels"]
    width = labels.shape[1] - 1
    rows, targets = [], []
    for group in _groups(labels, pairs):
        ids, wanted, mask, positions = (_of(given, name, group) for name in _TABLES)
        assert ids is not None and wanted is not None
        rows.append(layout(ids, wanted, mask, positions))
        place, offset = rows[-1].target // width, rows[-1].target % width
        targets.append(group[place] * width + offset)
    found = []
    for row in rows:
        work.add(model, row)
        hidden = _hidden(model, row)
        found.append(log_probs(hidden.index_select(0, row.source), head(model), row.labels, fields))
    target = torch.cat(targets)
    table = {
        name: _spread(torch.cat([part[name] for part in found]), target, (len(labels), width)) for name in found[0]
    }
    trained = labels[:, 1:] != -100
    divisor = given.get("num_items_in_batch")
    loss = -table["log_probs"].sum() / (trained.sum().clamp(min=1) if divisor is None else divisor)
    return FusedCausalLMOutput(loss=loss, label_mask=trained, **table)


def _groups(labels: Tensor, pairs: bool) -> list[Tensor]:
    """Return which sequences of a batch are computed together: all, but pairs without gradients each alone on a CPU.

    A product's last bits depend on how many rows it has. So the reference of a pair, and what it is compared with on
    held-out rows, do not depend on the pair's neighbours, and a policy that is its reference has a margin of zero.
    """
    every = torch.arange(len(labels), device=labels.device)
    if not pairs or torch.is_grad_enabled() or labels.device.type != "cpu":
        return [every]
    return list(every.view(2, -1).T)


def _of(given: dict[str, Any], name: str, group: Tensor) -> Tensor | None:
    return None if given.get(name) is None else given[name][group]


def _hidden(model: PreTrainedModel, row: Row) -> Tensor:
    """Return the row's last hidden states, of shape (tokens, hidden size)."""
    # A mask of four dimensions is taken as it is, so that none is made; the blocks are what attention goes by.
    no_mask = torch.empty(1, 1, 0, 0, device=row.input_ids.device)
    out = model.base_model(
        input_ids=row.input_ids,
        attention_mask=no_mask,
        position_ids=row.position_ids,
        blocks=row.blocks,
        use_cache=False,
    )
    hidden: Tensor = out.last_hidden_state[0]
    return hidden.to(model.get_output_embeddings().weight.device)


def _spread(values: Tensor, target: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return a table of `shape` with the values at their places and zeros elsewhere."""
    return values.new_zeros(shape[0] * shape[1]).index_copy(0, target, values).view(shape)


def head_of(model: PreTrainedModel, temperature: float = 1.0) -> Head:
    """Return the model's head with what its family does to the logits, as `add_fused_lm_head` reads the config."""
    config = model.config.get_text_config()
    linear = model.get_output_embeddings()
    scale = next(
        (
            float(getattr(config, name))
            for name in ("logit_scale", "output_multiplier", "lm_head_multiplier")
            if getattr(config, name, None) is not None
        ),
        1.0,
    )
    if scale == 1.0 and getattr(config, "logits_scaling", None):
        scale = config.logits_scaling if config.model_type == "hyperclovax" else 1 / config.logits_scaling
    cap = getattr(config, "final_logit_softcapping", None)
    if cap is not None and temperature != 1.0:
        raise Refused("its logits have a soft cap, and are to be divided by a temperature")
    return Head(linear.weight, getattr(linear, "bias", None), scale / temperature, cap)


def _is_plain(kwargs: dict[str, Any]) -> bool:
    """Return whether a call has tokens and labels only, and not what few models and settings add."""
    known = {"input_ids", "attention_mask", "position_ids", "labels", "fused_lm_head", "use_cache"}
    known |= {"num_items_in_batch", *_OF_THE_COLLATOR}
    given = {name for name, value in kwargs.items() if value is not None}
    return given <= known and {"input_ids", "labels"} <= given


def _attend_by(model: PreTrainedModel, name: str) -> None:
    # Set at each entrance and not reset after: checkpointed layers run again in the backward pass.
    if model.config._attn_implementation != name:
        model.config._attn_implementation = name


def _refuse_by_config(model: PreTrainedModel) -> None:
    config = model.config
    text = config.get_text_config()
    if text is not config or getattr(config, "is_encoder_decoder", False):
        raise Refused("it is not a plain decoder of text")
    kinds = set(getattr(config, "layer_types", None) or ())
    if kinds - {"full_attention", "sliding_attention"} or getattr(config, "attention_chunk_size", None):
        raise Refused(f"it has layers of the kind {', '.join(sorted(kinds)) or 'chunked_attention'}")
    if getattr(config, "output_router_logits", False):
        raise Refused("its router has a loss of its own")
    if model.get_output_embeddings() is None:
        raise Refused("it has no head over the vocabulary")


def _try(
    model: PreTrainedModel,
    trls: Callable[..., Any],
    fields: tuple[str, ...],
    pairs: bool,
    layout: Callable[..., Row],
    head: Callable[[PreTrainedModel], Head],
) -> None:
    """Compare both paths on a few tokens: what does not pass its arguments on, or mixes tokens otherwise, shows."""
    batch = _trial(model)
    training = model.training
    model.eval()
    seen: list[int | None] = []
    try:
        with torch.no_grad():
            expected = trls(**batch, fused_lm_head=True)
        _attend_by(model, attention.NAME)
        # With gradients, since it is then that a row holds several sequences.
        with torch.enable_grad(), attention.watched(seen):
            found = _fast(model, batch, fields, pairs, layout, Work(), head)
    except (attention.Unsupported, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise Refused(f"a trial of the fast path failed: {str(error).splitlines()[0][:200]}") from error
    finally:
        model.train(training)
    _refuse_lost_windows(model, seen)
    limit = _PROBE_TOLERANCE.get(model.dtype, 0.15)
    compared = ("log_probs", *(name for name in fields if name != "is_top1"))
    off = max(float((getattr(found, name).detach() - getattr(expected, name)).abs().max()) for name in compared)
    if not off <= limit:
        raise Refused(f"a trial of the fast path was off by {off:.2g}")


def _trial(model: PreTrainedModel) -> dict[str, Tensor]:
    """Return a batch of two pairs, of 5 to 9 random tokens, with a common start of 3."""
    generator = torch.Generator().manual_seed(0)
    vocabulary = model.config.get_text_config().vocab_size
    ids = torch.randint(0, vocabulary, (4, 9), generator=generator)
    ids[2:, :3] = ids[:2, :3]
    mask = (torch.arange(9) < torch.tensor([[9], [6], [7], [5]])).long()
    labels = ids.masked_fill((mask == 0) | (torch.arange(9) < 3), -100)
    return {
        name: tensor.to(model.device)
        for name, tensor in (("input_ids", ids), ("attention_mask", mask), ("labels", labels))
    }


def _refuse_lost_windows(model: PreTrainedModel, seen: list[int | None]) -> None:
    """Refuse where layers with a sliding window do not tell attention of it, which a few tokens would not show."""
    config = model.config
    layers = len(seen)
    kinds = getattr(config, "layer_types", None)
    window = getattr(config, "sliding_window", None)
    if kinds:
        expected = list(kinds).count("sliding_attention")
    else:
        expected = layers if window and getattr(config, "use_sliding_window", True) else 0
    if layers == 0 or sum(each is not None for each in seen) != expected:
        raise Refused(
            "its attention does not go through transformers' interface, or keeps its sliding window to itself"
        )
