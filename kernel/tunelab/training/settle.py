"""What the machine decides of a job, said with its reason and kept in the resolved spec: a replay does the same.

Every choice can be made by hand: ``compute.dtype``, ``compute.kernels``, ``compute.threads`` and
``hyperparameters.gradient_checkpointing``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import peft
import torch
from transformers import PreTrainedModel

from tunelab.jobs import memory as memory_of_the_machine
from tunelab.spec import CustomizeSpec
from tunelab.training import speed
from tunelab.training.fast import Refused, accelerate, lora
from tunelab.training.need import Settings, base, measure

#: The share of the free memory that a step is to take, since it is reckoned and not known: above it activations are
#: computed twice.
ROOM = 0.8


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
    needed, available = memory(trainer, spec), free(trainer)
    wanted = needed > ROOM * available
    if wanted:
        say(f"activations are computed twice: a step would need {needed / 1e9:.1f} of {available / 1e9:.1f} GB")
        trainer.args.activation_checkpointing = True
        if isinstance(trainer.model, peft.PeftModel):
            trainer.model.enable_input_require_grads()
    settled = dict(sorted((spec.hyperparameters | {"gradient_checkpointing": wanted}).items()))
    return spec.model_copy(update={"hyperparameters": settled})


def memory(trainer: Any, spec: CustomizeSpec) -> float:
    """Return the bytes that a step with the longest rows would take besides the weights, with activations kept."""
    need = measure(trainer, spec, twice=False)
    return need.bytes(dataclasses.replace(Settings.of(spec), checkpointing=False))


def _make_fast(trainer: Any, spec: CustomizeSpec) -> None:
    model = base(trainer.model)
    fields: tuple[str, ...] = ("entropy", "is_top1")
    pairs = spec.technique == "dpo"
    if spec.is_reinforcement:
        fields = ("entropy",)
    elif pairs:
        fields += ("mean_logits",) + ("log_sum_sq_probs",) * bool(spec.hyperparameters.get("use_weighting"))
    # Answers that are sampled at another temperature are learned from at that temperature.
    heat = float(trainer.args.temperature) if spec.is_reinforcement else 1.0
    groups = spec.is_reinforcement
    trainer.work = accelerate(model, fields, pairs, temperature=heat, groups=groups)
    if getattr(trainer, "ref_model", None) is not None:
        accelerate(base(trainer.ref_model), (), pairs, temperature=heat, groups=groups)
    lora.fuse(model)
    if model.device.type == "cuda":
        _with_liger(model)


def _with_liger(model: PreTrainedModel) -> None:
    """Use Liger's kernels for norms, rotary embeddings and MLPs where they are installed; not run on a GPU yet."""
    from transformers.integrations.liger import apply_liger_kernel
    from transformers.utils.import_utils import is_liger_kernel_available

    if is_liger_kernel_available():
        apply_liger_kernel(model, {"fused_linear_cross_entropy": False, "cross_entropy": False})


def free(trainer: Any) -> float:
    """Return the bytes that are free where the trainer's model is."""
    if trainer.model.device.type == "cuda":
        return float(torch.cuda.mem_get_info(trainer.model.device)[0])
    return memory_of_the_machine.free()
