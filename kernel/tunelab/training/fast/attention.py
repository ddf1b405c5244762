"""Attention over a row of blocks, as a function of transformers' attention interface.

On a CPU each block is one call of torch's scaled dot product attention. On a GPU all blocks are one call of a
variable-length kernel: flash-attn where it is installed, else torch's own (`torch.nn.attention.varlen`). The GPU's way
follows their documentation and has not been run.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.utils.import_utils import is_flash_attn_2_available

from tunelab.training.fast.row import Block

#: The name under which models find it as their attention implementation.
NAME = "tunelab_blocks"


_watchers: list[list[int | None]] = []


class Unsupported(Exception):
    """Raised where a model's attention asks for something that is not computed here."""


@contextlib.contextmanager
def watched(windows: list[int | None]) -> Iterator[None]:
    """Note the sliding window of each call in `windows`."""
    _watchers.append(windows)
    try:
        yield
    finally:
        _watchers.remove(windows)


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    blocks: tuple[Block, ...] | None = None,
    is_causal: bool | None = None,
    position_bias: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Return the attention's output of shape (1, tokens, heads, head size).

    Parameters
    ----------
    query, key, value
        Of shape (1, heads, tokens, head size); key and value may have fewer heads.
    dropout, scaling, sliding_window, softcap, s_aux
        As transformers' models give them: probability, factor of the scores, how many tokens each one sees with
        itself, cap of the scores (Gemma 2), sinks by head (gpt-oss).
    blocks
        How the row is divided.

    Raises
    ------
    Unsupported
        If the row is not divided, is not causal, or the scores have a bias by position.
    """
    causal = is_causal if is_causal is not None else getattr(module, "is_causal", True)
    if blocks is None or not causal or position_bias is not None or query.shape[0] != 1:
        raise Unsupported("its attention is not causal over one row")
    for watcher in _watchers:
        watcher.append(sliding_window)
    scale = 1 / math.sqrt(query.shape[-1]) if scaling is None else scaling
    plain = bool(softcap) or s_aux is not None
    if query.is_cuda and not plain and dropout == 0.0 and query.dtype in (torch.float16, torch.bfloat16):
        return _on_gpu(query, key, value, scale, sliding_window, blocks), None
    lengths = [block.length for block in blocks]
    # `split` gathers its gradients in one tensor; slices would each make one of the row's full size.
    queries, keys, values = (torch.split(tensor, lengths, 2) for tensor in (query, key, value))
    outputs = []
    for index, block in enumerate(blocks):
        q, k, v = queries[index], keys[index], values[index]
        if block.prefix:
            k = torch.cat([keys[block.after][:, :, : block.prefix], k], 2)
            v = torch.cat([values[block.after][:, :, : block.prefix], v], 2)
        wide = sliding_window is None or k.shape[2] <= sliding_window
        mask = None if wide and not block.prefix else _mask(q, k, None if wide else sliding_window)
        if plain:
            outputs.append(_plain(q, k, v, mask, dropout, scale, softcap, s_aux))
        else:
            outputs.append(_grouped(q, k, v, mask, dropout, scale))
    return torch.cat(outputs, 2).transpose(1, 2), None


def _grouped(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float, scale: float) -> Tensor:
    """Attend with the key's heads as the batch, so that those that several queries share are not copied."""
    _, heads, length, size = q.shape
    shared = k.shape[1]
    q = q.reshape(shared, heads // shared, length, size)
    k, v = (tensor.transpose(0, 1).expand(-1, heads // shared, -1, -1) for tensor in (k, v))
    out = F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, dropout_p=dropout, scale=scale, is_causal=mask is None
    )
    return out.reshape(1, heads, length, v.shape[-1])


def _plain(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    dropout: float,
    scale: float,
    softcap: float | None,
    s_aux: Tensor | None,
) -> Tensor:
    """Attend by the formula, for what the fused kernels do not know: capped scores and sinks."""
    groups = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    scores = (q @ k.transpose(2, 3)).float() * scale
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    scores = scores.masked_fill(~(_mask(q, k, None) if mask is None else mask), -math.inf)
    if s_aux is not None:
        # A sink takes its share of the attention and gives nothing.
        sinks = s_aux.float().reshape(1, -1, 1, 1).expand(scores.shape[0], -1, scores.shape[2], 1)
        scores = torch.cat([scores, sinks], -1)
    weights = scores.softmax(-1)[..., : k.shape[2]].to(v.dtype)
    return F.dropout(weights, dropout, dropout > 0) @ v


def _mask(q: Tensor, k: Tensor, window: int | None) -> Tensor:
    return _causal(q.shape[2], k.shape[2], window, q.device)


@functools.lru_cache(maxsize=64)
def _causal(queries: int, keys: int, window: int | None, device: torch.device) -> Tensor:
    """Return which of `keys` the last `queries` tokens of a sequence see. Shape (1, 1, queries, keys)."""
    # Kept for the layers of a model, which ask for the same.
    back = torch.arange(keys - queries, keys, device=device)[:, None] - torch.arange(keys, device=device)
    seen = back >= 0 if window is None else (back >= 0) & (back < window)
    return seen[None, None]


def _on_gpu(
    query: Tensor, key: Tensor, value: Tensor, scale: float, window: int | None, blocks: tuple[Block, ...]
) -> Tensor:
    q, k, v = (tensor[0].transpose(0, 1).contiguous() for tensor in (query, key, value))
    ends_q, ends_k, gather = _layout(blocks, q.device)
    if gather is not None:
        k, v = k[gather], v[gather]
    longest_q = max(block.length for block in blocks)
    longest_k = max(block.length + block.prefix for block in blocks)
    left = -1 if window is None else window - 1
    # Where there are more keys than queries both kernels align the causal mask at the end.
    if is_flash_attn_2_available():
        from flash_attn import flash_attn_varlen_func

        out = flash_attn_varlen_func(
            q, k, v, ends_q, ends_k, longest_q, longest_k, softmax_scale=scale, causal=True, window_size=(left, 0)
        )
    else:
        from torch.nn.attention.varlen import varlen_attn

        out = varlen_attn(
            q, k, v, ends_q, ends_k, longest_q, longest_k, scale=scale, window_size=(left, 0), enable_gqa=True
        )
    return out[None]  # type: ignore[no-any-return]


@functools.lru_cache(maxsize=2)
def _layout(blocks: tuple[Block, ...], device: torch.device) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return where the queries and the keys of each block end, and the keys' places in the row if some serve twice."""
    starts = [0]
    for block in blocks:
        starts.append(starts[-1] + block.length)
    ends_k, gather = [0], []
    for index, block in enumerate(blocks):
        ends_k.append(ends_k[-1] + block.prefix + block.length)
        gather += [*range(starts[block.after], starts[block.after] + block.prefix)] if block.prefix else []
        gather += range(starts[index], starts[index + 1])
    shared = any(block.prefix for block in blocks)
    return (
        torch.tensor(starts, dtype=torch.int32, device=device),
        torch.tensor(ends_k, dtype=torch.int32, device=device),
        torch.tensor(gather, device=device) if shared else None,
    )


ALL_ATTENTION_FUNCTIONS.register(NAME, attend)
