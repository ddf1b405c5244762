"""Log-probabilities of the trained tokens, in chunks that stay in the cache, with no logits kept for the backward pass.

Let z = f(W h + b) be the logits of a position, with f a scale and maybe a soft cap, and p = softmax(z). Then
d log p_y / dh = Wᵀ (f'(z) ⊙ (e_y - p)) =: u depends on the upstream gradient by a factor alone. So where the head is
frozen, as with LoRA, u is computed in the forward pass while the logits are at hand, and the backward pass is one
product by position. Where the head is trained, the logits are computed anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

#: Logits a chunk: 16 MB in float32, about what a processor's last cache holds.
_CHUNK = 1 << 22
#: A trained head's gradient is as large as the head and is added to by every chunk, so those chunks are longer.
_CHUNK_TRAINED = 1 << 25

#: What can be asked for besides the log-probabilities.
FIELDS = ("entropy", "log_sum_sq_probs", "mean_logits", "is_top1")


@dataclass(frozen=True)
class Head:
    """A language model's head: ``logits = cap * tanh(scale * (hidden @ weight.T + bias) / cap)``, or without cap."""

    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0
    softcap: float | None = None


def log_probs(hidden: Tensor, head: Head, labels: Tensor, fields: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """Return what TRL's trainers read of each position, in float32.

    Parameters
    ----------
    hidden
        Hidden states, of shape (positions, hidden size).
    head
        The language model's head.
    labels
        The token that follows each position. Shape (positions,).
    fields
        Some of `FIELDS`.

    Returns
    -------
    dict
        ``log_probs`` of the labels, with gradient, and without one: ``entropy`` of the distribution,
        ``log_sum_sq_probs`` (the logarithm of the sum of its squares), ``mean_logits``, and ``is_top1``, whether the
        label is the likeliest token. Each of shape (positions,).
    """
    unknown = set(fields) - set(FIELDS)
    assert not unknown, unknown
    apply: Any = _LogProbs.apply
    found = apply(hidden, head.weight, head.bias, labels, head.scale, head.softcap, fields)
    return dict(zip(("log_probs", *fields), found, strict=True))


class _LogProbs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        scale: float,
        softcap: float | None,
        fields: tuple[str, ...],
    ) -> tuple[Tensor, ...]:
        wanted_hidden, wanted_weight, wanted_bias = ctx.needs_input_grad[:3]
        trained = wanted_weight or wanted_bias
        count = len(labels)
        out = {name: hidden.new_empty(count, dtype=torch.float32) for name in ("log_probs", *fields)}
        if "is_top1" in out:
            out["is_top1"] = out["is_top1"].bool()
        factor = torch.empty_like(hidden) if wanted_hidden and not trained else None
        for part in _chunks(count, weight, _CHUNK):
            z, slope = _logits(hidden[part], weight, bias, scale, softcap, factor is not None)
            y = labels[part, None]
            own, highest = z.gather(-1, y)[:, 0], z.amax(-1)
            if "mean_logits" in out:
                out["mean_logits"][part] = z.mean(-1)
            if "is_top1" in out:
                out["is_top1"][part] = _first_of_the_highest(z, own == highest, y)
            # torch's softmax is several times faster than its exp; the greatest probability tells the normalizer.
            p = z.softmax(-1)
            log_z = highest - p.amax(-1).log()
            out["log_probs"][part] = own - log_z
            if "entropy" in out:
                # Beside the highest logit the sum over the vocabulary is small, and so is its rounding.
                z -= highest[:, None]
                out["entropy"][part] = log_z - highest - torch.linalg.vecdot(p, z)
            if "log_sum_sq_probs" in out:
                out["log_sum_sq_probs"][part] = torch.linalg.vecdot(p, p).log()
            if factor is not None:
                _to_direction(p.neg_(), y, slope)
                factor[part] = (p.to(weight.dtype) @ weight) * scale
        ctx.scale, ctx.softcap, ctx.trained = scale, softcap, trained
        ctx.save_for_backward(*((hidden, weight, bias, labels) if trained else (factor,)))
        ctx.mark_non_differentiable(*(out[name] for name in fields))
        return tuple(out.values())

    @staticmethod
    def backward(ctx: Any, upstream: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        if not ctx.trained:
            (factor,) = ctx.saved_tensors
            found = None if factor is None else (factor * upstream[:, None].to(factor.dtype))
            return found, None, None, None, None, None, None
        hidden, weight, bias, labels = ctx.saved_tensors
        to_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        # Sums over all positions are kept in float32 whatever the weights are in.
        to_weight = torch.zeros_like(weight, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        to_bias = torch.zeros_like(bias, dtype=torch.float32) if bias is not None and ctx.needs_input_grad[2] else None
        for part in _chunks(len(labels), weight, _CHUNK_TRAINED):
            z, slope = _logits(hidden[part], weight, bias, ctx.scale, ctx.softcap, True)
            e = z.softmax(-1).neg_()
            _to_direction(e, labels[part, None], slope)
            e *= upstream[part, None]
            if to_bias is not None:
                to_bias += e.sum(0) * ctx.scale
            if to_hidden is not None:
                to_hidden[part] = (e.to(weight.dtype) @ weight) * ctx.scale
            if to_weight is not None:
                to_weight.addmm_(e.T, hidden[part].float(), alpha=ctx.scale)
        return (
            to_hidden,
            None if to_weight is None else to_weight.to(weight.dtype),
            None if to_bias is None or bias is None else to_bias.to(bias.dtype),
            None,
            None,
            None,
            None,
        )


def _chunks(count: int, weight: Tensor, size: int) -> Iterator[slice]:
    step = max(16, size // weight.shape[0])
    return (slice(begin, min(begin + step, count)) for begin in range(0, count, step))


def _logits(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, scale: float, softcap: float | None, with_slope: bool
) -> tuple[Tensor, Tensor | None]:
    """Return the logits in float32 and, with a soft cap, their slope by what is capped."""
    z = (hidden.to(weight.dtype) @ weight.T).float()
    if bias is not None:
        z += bias
    if scale != 1.0:
        z *= scale
    if not softcap:
        return z, None
    z /= softcap
    z.tanh_()
    slope = 1 - z.square() if with_slope else None
    z *= softcap
    return z, slope


def _first_of_the_highest(z: Tensor, is_highest: Tensor, labels: Tensor) -> Tensor:
    """Return where the label is the first of the likeliest tokens, as `argmax` chooses among equal ones."""
    found = is_highest.clone()
    found[is_highest] = z[is_highest].argmax(-1) == labels[is_highest, 0]
    return found


def _to_direction(negative_probabilities: Tensor, labels: Tensor, slope: Tensor | None) -> None:
    """Turn -p into f'(z) ⊙ (e_y - p), in place."""
    negative_probabilities.scatter_add_(-1, labels, torch.ones_like(labels, dtype=negative_probabilities.dtype))
    if slope is not None:
        negative_probabilities *= slope
