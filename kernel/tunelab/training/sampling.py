"""Answers sampled on a CPU: each prompt is read once for all its answers, and rows that have ended leave the batch.

transformers' `generate` reads a prompt once for each answer, and computes rows that have ended until the last one has.
The distribution is the same: temperature, top-k, top-p, min-p and the repetition penalty are transformers' own.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import (
    DynamicCache,
    GenerationConfig,
    LogitsProcessorList,
    MinPLogitsWarper,
    PreTrainedModel,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

#: Rows that have ended are dropped when they are such a share of the batch: dropping copies the cache of the others.
_DROP_SHARE = 1 / 8
#: What a `GenerationConfig` may say that is done here.
_KNOWN = frozenset(
    {
        "max_new_tokens", "do_sample", "pad_token_id", "bos_token_id", "eos_token_id", "temperature", "top_p", "top_k",
        "min_p", "repetition_penalty", "cache_implementation",
    }
)  # fmt: skip


def can_sample(model: PreTrainedModel, given: dict[str, object]) -> bool:
    """Tell whether answers of `model` can be sampled here, with these generation settings.

    Only attention over all tokens is cached here; models with sliding windows or states go by transformers' own.
    """
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ())
    plain = not kinds - {"full_attention"} and (bool(kinds) or not getattr(config, "sliding_window", None))
    is_known = set(given) <= _KNOWN and given.get("cache_implementation") is None
    return plain and is_known and config is model.config and model.device.type == "cpu"


@torch.no_grad()
def sample(model: PreTrainedModel, prompts: Sequence[Sequence[int]], settings: GenerationConfig) -> list[list[int]]:
    """Return an answer to each prompt, as tokens, with the one that ended it.

    Parameters
    ----------
    model
        A causal language model, maybe in PEFT's wrapper; its random numbers are torch's.
    prompts
        Tokens; the same prompts in a row are read once.
    settings
        As TRL's trainer makes them: ``max_new_tokens``, ``eos_token_id``, ``pad_token_id`` and those of sampling.
    """
    unique, counts = _runs(prompts)
    device = model.device
    # What all prompts begin with, such as a system turn or examples, is read once.
    shared = _begin(unique)
    cache = DynamicCache(config=model.config)
    if shared:
        model(input_ids=torch.tensor([unique[0][:shared]], device=device), past_key_values=cache, logits_to_keep=1)
        cache.batch_repeat_interleave(len(unique))
    width, pad = max(len(prompt) for prompt in unique) - shared, settings.pad_token_id
    rest = [list(prompt[shared:]) for prompt in unique]
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in rest], device=device)
    read = [[1] * shared + [0] * (width - len(row)) + [1] * len(row) for row in rest]
    mask = torch.tensor(read, device=device)
    out = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=(mask.cumsum(1) - 1).clamp(min=0)[:, shared:],
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    each = torch.repeat_interleave(torch.arange(len(unique), device=device), torch.tensor(counts, device=device))
    cache.batch_select_indices(each)
    begin = torch.tensor([unique[0][:shared]], device=device, dtype=ids.dtype).expand(len(unique), -1)
    # All that was read, which a penalty for repetition looks at.
    ids, mask, logits = torch.cat([begin, ids], dim=1)[each], mask[each], out.logits[:, -1][each]
    positions = mask.sum(1)

    limit: int = settings.max_new_tokens or 0
    ends = torch.tensor(_listed(settings.eos_token_id), device=device)
    warp = _processors(settings)
    answers: list[list[int]] = [[] for _ in prompts]
    rows = torch.arange(len(prompts), device=device)
    alive = torch.ones_like(rows, dtype=torch.bool)
    for place in range(limit):
        scores = warp(ids, logits.float())  # type: ignore[arg-type]
        drawn = torch.multinomial(torch.softmax(scores, dim=-1), 1)[:, 0]
        for row, token, lives in zip(rows.tolist(), drawn.tolist(), alive.tolist(), strict=True):
            if lives:
                answers[row].append(token)
        alive &= ~torch.isin(drawn, ends)
        left = int(alive.sum())
        if left == 0 or place == limit - 1:
            break
        ids = torch.cat([ids, drawn[:, None]], dim=1)
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        if len(rows) - left >= max(1, _DROP_SHARE * len(rows)):
            kept = alive.nonzero()[:, 0]
            cache.batch_select_indices(kept)
            ids, mask, positions, rows, alive = ids[kept], mask[kept], positions[kept], rows[kept], alive[kept]
        out = model(
            input_ids=ids[:, -1:],
            attention_mask=mask,
            position_ids=positions[:, None],
            past_key_values=cache,
            use_cache=True,
        )
        logits = out.logits[:, -1]
        positions = positions + 1
    return answers


def _begin(prompts: Sequence[Sequence[int]]) -> int:
    """Return with how many tokens all of several prompts begin; each has one more at least."""
    if len(prompts) < 2:
        return 0
    least = min(len(prompt) for prompt in prompts) - 1
    count = 0
    while count < least and all(prompt[count] == prompts[0][count] for prompt in prompts):
        count += 1
    return count


def _runs(prompts: Sequence[Sequence[int]]) -> tuple[list[Sequence[int]], list[int]]:
    unique: list[Sequence[int]] = []
    counts: list[int] = []
    for prompt in prompts:
        if unique and list(unique[-1]) == list(prompt):
            counts[-1] += 1
        else:
            unique.append(prompt)
            counts.append(1)
    return unique, counts


def _processors(settings: GenerationConfig) -> LogitsProcessorList:
    """Return what changes the logits, in the order in which transformers applies them."""
    found = LogitsProcessorList()
    if settings.repetition_penalty not in (None, 1.0):
        found.append(RepetitionPenaltyLogitsProcessor(penalty=settings.repetition_penalty))
    if settings.temperature not in (None, 1.0):
        found.append(TemperatureLogitsWarper(settings.temperature))
    if settings.top_k:
        found.append(TopKLogitsWarper(top_k=settings.top_k))
    if settings.top_p is not None and settings.top_p < 1.0:
        found.append(TopPLogitsWarper(top_p=settings.top_p))
    if settings.min_p is not None:
        found.append(MinPLogitsWarper(min_p=settings.min_p))
    return found


def _listed(tokens: Tensor | int | list[int] | None) -> list[int]:
    if tokens is None:
        return []
    return list(tokens) if isinstance(tokens, (list, Tensor)) else [tokens]
