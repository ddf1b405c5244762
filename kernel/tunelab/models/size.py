"""What a fine-tuning takes in memory, by formula from a model's shape: an estimate before anything is loaded.

Weights, then gradients and AdamW's two moments of what is trained (Rajbhandari et al. 2020, ZeRO, section 3.1; here in
the weights' own number format, as torch keeps them), then what autograd keeps of each token in each layer (after
Korthikanti et al. 2022, section 4, for a gated MLP and grouped keys; the attention's own matrix is not kept by fused
kernels), then one chunk of logits. What a process takes before a model is there is added. A job measures the real
figure before its first step, and so does a dry run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunelab import recipes
from tunelab.models.catalog import Shape
from tunelab.spec import REINFORCEMENT

_BYTES = {"float32": 4, "bfloat16": 2}
#: What Python, torch, transformers and TRL take before a model is there.
_PROCESS = 900_000_000
#: Rows of logits that are there at once, in float32, and how often (themselves, and their gradient).
_LOGIT_ROWS, _LOGIT_COPIES = 512, 2
#: Tokens of a prompt, and of an answer, of which nothing is known.
_UNKNOWN = 512
#: From this share of the free memory on a trainer computes activations twice (`training.settle`).
ROOM = 0.8


@dataclass(frozen=True)
class Parts:
    """What a fine-tuning takes, in bytes, by what takes it."""

    weights: int
    trained: int
    activations: int
    logits: int
    process: int = _PROCESS

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.trained + self.activations + self.logits + self.process


def parameters(shape: Shape) -> int:
    """Return how many weights a decoder of this shape has: embeddings, attention, gated MLP or experts, norms."""
    attention = shape.hidden * (2 * shape.queries + 2 * shape.keys)
    mlp = 3 * shape.hidden * shape.intermediate
    if shape.experts:
        mlp = shape.experts * mlp + shape.hidden * shape.experts
    embeddings = shape.vocab * shape.hidden * (1 if shape.tied else 2)
    return embeddings + shape.layers * (attention + mlp + 2 * shape.hidden) + shape.hidden


def adapter_parameters(shape: Shape, r: int) -> int:
    """Return how many weights an all-linear adapter of rank `r` has (Hu et al. 2021, section 4.1).

    Experts are no linear layers, and get none.
    """
    pairs = [(shape.hidden, shape.queries), (shape.hidden, shape.keys), (shape.hidden, shape.keys)]
    pairs.append((shape.queries, shape.hidden))
    if not shape.experts:
        pairs += 3 * [(shape.hidden, shape.intermediate)]
    return shape.layers * sum(r * (rows + columns) for rows, columns in pairs)


def memory(
    shape: Shape,
    technique: str,
    adapter_type: str = "lora",
    r: int = 16,
    batch_rows: int = 4,
    max_length: int = 1024,
    dtype: str = "float32",
    params: int | None = None,
    checkpointing: bool = False,
) -> Parts:
    """Return the most that a step takes, in bytes.

    Parameters
    ----------
    shape
        The model's.
    technique
        sft, dpo, rlvr or rlaif. DPO computes two answers a row, so twice the tokens.
    adapter_type
        ``"lora"`` or ``"full"``.
    r
        The adapter's rank.
    batch_rows, max_length
        Rows of a batch and tokens of a row, at most.
    dtype
        ``"float32"`` or ``"bfloat16"``.
    params
        How many weights the model has, where that is known better than the shape tells.
    checkpointing
        Whether activations are computed twice and only each layer's input is kept.
    """
    width = _BYTES[dtype]
    count = params or parameters(shape)
    full = adapter_type == "full"
    trained = count if full else adapter_parameters(shape, r)
    # PEFT keeps an adapter's weights in float32 beside a base in bfloat16.
    trained_width = width if full else 4
    tokens = batch_rows * max_length * (2 if technique == "dpo" else 1)
    kept = _kept(shape, width, 0 if full else r, technique not in REINFORCEMENT)
    once = shape.layers * kept
    if checkpointing:
        once = shape.layers * shape.hidden * width + kept
    return Parts(
        weights=count * width + (0 if full else trained * trained_width),
        trained=3 * trained * trained_width,
        activations=tokens * once,
        logits=min(tokens, _LOGIT_ROWS) * shape.vocab * 4 * _LOGIT_COPIES,
    )


def _kept(shape: Shape, width: int, r: int, dropout: bool) -> int:
    """Return the bytes that autograd keeps of one token in one layer; `r` is 0 where all weights are trained.

    What each operation keeps was counted on torch's own graph of a Llama, and is what it keeps there within a percent.
    """
    inner = shape.intermediate * (shape.active or 1)
    # Both norms keep their input in float32; attention what it multiplies and gives, once it has turned its heads.
    kept = 2 * shape.hidden * 4 + width * (2 * shape.queries + 2 * shape.keys)
    # The gate, its activation, the other half, and their product, which is the next layer's input.
    kept += width * 4 * inner
    if not r:
        # Weights that are trained need their inputs: the norms' and the projections'.
        return kept + width * 4 * shape.hidden
    linear = 4 if shape.experts else 7
    kept += width * linear * r
    if not dropout:
        return kept + width * 2 * shape.hidden
    # Each adapter drops out its own input, which makes a copy, and a mask in the same format.
    mlp = 0 if shape.experts else 2 * 2 * shape.hidden + shape.intermediate
    return kept + width * (2 * 3 * shape.hidden + 2 * shape.queries + mlp)


def settings(technique: str, params: int | None, adapter_type: str, device: str) -> dict[str, Any]:
    """Return what of a recipe decides about memory: ``r``, ``batch_rows`` and ``max_length``.

    `device` is ``"cpu"``, ``"cuda"`` or ``"mps"``.
    """
    recipe = recipes.find(technique, "", adapter_type, params, device)
    given = recipe.hyperparameters
    return {
        "r": int(recipe.adapter.get("r", 16)),
        "batch_rows": int(given["per_device_train_batch_size"]),
        "max_length": row_length(given),
    }


def row_length(hyperparameters: Mapping[str, Any], longest: int = 0) -> int:
    """Return the most tokens of a row: the cut's, and of reinforcement a prompt's and an answer's.

    `longest` is what the longest row has before an answer is sampled, at most; 0 where nothing is known of rows.
    """
    answer = hyperparameters.get("max_completion_length")
    if answer:
        return (longest or _UNKNOWN) + int(answer)
    cut = int(hyperparameters.get("max_length") or 0)
    return min(cut or longest, longest or cut) or 2 * _UNKNOWN


def fitted(shape: Shape, free: float, **given: Any) -> tuple[Parts, bool]:
    """Return what a step takes, and whether activations are computed twice, as they are where `free` is too little."""
    plain = memory(shape, **given)
    if plain.total <= ROOM * free:
        return plain, False
    return memory(shape, **given, checkpointing=True), True


def readable(count: float) -> str:
    """Return a number of parameters as it is named: ``49K``, ``135M``, ``1.2B``, ``70.6B``."""
    if count < 999.5e3:
        return f"{count / 1e3:.0f}K"
    if count < 999.5e6:
        return f"{count / 1e6:.0f}M"
    return f"{count / 1e9:.{0 if math.isclose(count / 1e9, round(count / 1e9), abs_tol=0.04) else 1}f}B"
