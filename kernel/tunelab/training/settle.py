"""What the machine decides of a job, said with its reason and kept in the resolved spec: a replay does the same.

Every choice can be made by hand: ``compute.dtype``, ``compute.kernels``, ``compute.threads`` and
``hyperparameters.gradient_checkpointing``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import peft
import psutil
import torch
from transformers import PreTrainedModel

from tunelab.spec import CustomizeSpec
from tunelab.training import speed
from tunelab.training.fast import Refused, accelerate, lora

#: The share of the free memory that a step may take before activations are computed twice to save it.
_ROOM = 0.8
#: A row cut to so many tokens shows what a token keeps for the backward pass.
_TRIAL_TOKENS = 48


def number_format(spec: CustomizeSpec, say: Callable[[str], None]) -> CustomizeSpec:
    """Return the spec with `compute.dtype` decided: on a CPU bfloat16 for an adapter, if it is measured faster."""
    if spec.compute.dtype is not None:
        return spec
    found = speed.machine("cpu")
    dtype = found.dtype if spec.adapter.type == "lora" else "float32"
    rates = f"float32 {found.float32 / 1e9:.0f}"
    if found.bfloat16:
        rates += f" and bfloat16 {found.bfloat16 / 1e9:.0f}"
    say(f"weights in {dtype}: this processor multiplies {rates} GFLOP/s")
    return spec.model_copy(update={"compute": spec.compute.model_copy(update={"dtype": dtype})})


def kernels(trainer: Any, spec: CustomizeSpec, say: Callable[[str], None]) -> CustomizeSpec:
    """Put the fast forward pass under the trainer, and return the spec with `compute.kernels` decided."""
    chosen = spec.compute.kernels or "fast"
    if chosen == "fast":
        try:
            _make_fast(trainer, spec)
        except Refused as reason:
            say(f"trained by TRL's own path: {reason}")
            chosen = "trl"
    return spec.model_copy(update={"compute": spec.compute.model_copy(update={"kernels": chosen})})


def checkpointing(trainer: Any, spec: CustomizeSpec, say: Callable[[str], None]) -> CustomizeSpec:
    """Turn activation checkpointing on where a step would not fit in memory, and return the spec that says so."""
    if "gradient_checkpointing" in spec.hyperparameters:
        return spec
    needed, free = memory(trainer, spec), _free(trainer)
    wanted = needed > _ROOM * free
    if wanted:
        say(f"activations are computed twice: a step would need {needed / 1e9:.1f} of {free / 1e9:.1f} GB")
        trainer.args.activation_checkpointing = True
        if isinstance(trainer.model, peft.PeftModel):
            trainer.model.enable_input_require_grads()
    settled = dict(sorted((spec.hyperparameters | {"gradient_checkpointing": wanted}).items()))
    return spec.model_copy(update={"hyperparameters": settled})


def memory(trainer: Any, spec: CustomizeSpec) -> float:
    """Return the bytes that a step with the longest rows would take besides the weights, from a trial of a few tokens.

    What autograd keeps is counted as it is kept; gradients and AdamW's two moments are three numbers a trained weight.
    """
    lengths = sorted((trainer.length_of(row) for row in trainer.train_dataset), reverse=True)
    rows = spec.hyperparameters["per_device_train_batch_size"]
    if spec.compute.tokens_per_batch:
        tokens = max(spec.compute.tokens_per_batch, lengths[0])
    elif spec.compute.kernels == "trl":
        tokens = rows * lengths[0]
    else:
        tokens = sum(lengths[:rows])
    trained = sum(p.numel() * 4 for p in trainer.model.parameters() if p.requires_grad)
    return float(_kept_per_token(trainer) * tokens + 3 * trained)


def _make_fast(trainer: Any, spec: CustomizeSpec) -> None:
    model = base(trainer.model)
    fields: tuple[str, ...] = ("entropy", "is_top1")
    if spec.technique == "dpo":
        fields += ("mean_logits",) + ("log_sum_sq_probs",) * bool(spec.hyperparameters.get("use_weighting"))
    trainer.work = accelerate(model, fields, pairs=spec.technique == "dpo")
    if getattr(trainer, "ref_model", None) is not None:
        accelerate(base(trainer.ref_model), (), pairs=True)
    lora.fuse(model)
    if model.device.type == "cuda":
        _with_liger(model)


def _with_liger(model: PreTrainedModel) -> None:
    """Use Liger's kernels for norms, rotary embeddings and MLPs where they are installed; not run on a GPU yet."""
    from transformers.integrations.liger import apply_liger_kernel
    from transformers.utils.import_utils import is_liger_kernel_available

    if is_liger_kernel_available():
        apply_liger_kernel(model, {"fused_linear_cross_entropy": False, "cross_entropy": False})


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
        return tensor

    model = trainer.model
    weights = {parameter.data_ptr() for parameter in model.parameters()}
    # Two rows with nothing in common, since two are a pair.
    ids = torch.arange(2 * _TRIAL_TOKENS, device=model.device).reshape(2, -1)
    ids %= model.config.get_text_config().vocab_size
    with torch.random.fork_rng(), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=ids, fused_lm_head=True)
    return sum(kept.values()) / (2 * _TRIAL_TOKENS)


def _free(trainer: Any) -> float:
    if trainer.model.device.type == "cuda":
        return float(torch.cuda.mem_get_info(trainer.model.device)[0])
    return float(psutil.virtual_memory().available)
