"""What a job would take, measured: every row tokenized as in training, and two real steps on this machine."""

from __future__ import annotations

import random
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from tunelab import task
from tunelab.jobs.prepare import evaluations, steps
from tunelab.spec import CustomizeSpec
from tunelab.training import trainer as trainers

_SAMPLED_BATCHES = 200


def measure(spec: dict[str, Any]) -> dict[str, Any]:
    """Return counts of tokens and an estimate of steps, seconds and bytes for a resolved spec.

    The time rests on one real step with a batch of middling length after one with the longest rows, scaled by the
    tokens that batches of this size have with their padding. A forward pass counts as one, a backward pass as two, the
    reference model's as one more.
    """
    resolved = CustomizeSpec.model_validate(spec)
    settings = resolved.hyperparameters
    # Lengths are wanted before truncation, and reference passes are measured inside the step.
    whole = {**settings, "max_length": None}
    whole |= {"precompute_ref_log_probs": False} if resolved.technique == "dpo" else {"packing": False}
    with tempfile.TemporaryDirectory(prefix="tunelab-") as folder:
        trainer: Any = trainers.build(resolved.model_copy(update={"hyperparameters": whole}), Path(folder), task.say)
    limit = settings.get("max_length") or sys.maxsize
    lengths = [_length(row) for row in trainer.train_dataset]
    held = [_length(row) for row in trainer.eval_dataset] if trainer.eval_dataset is not None else []
    cut = [length for length in lengths + held if length > limit]
    kept = [min(length, limit) for length in lengths]

    rows = -(-sum(kept) // limit) if settings.get("packing") else len(kept)
    total = steps(settings, rows)
    batch = min(settings["per_device_train_batch_size"], len(kept))
    accumulated = settings.get("gradient_accumulation_steps", 1)
    padded = _padded(kept, batch, resolved)
    by_length = sorted(range(len(kept)), key=lambda row: kept[row])
    middle = min(max(len(kept) // 2 - batch // 2, 0), len(kept) - batch)
    task.say("one step with the longest rows")
    _step(trainer, by_length[-batch:], limit)
    task.say("one step of middling rows")
    chosen = by_length[middle : middle + batch]
    seconds = _step(trainer, chosen, limit)
    per_token = seconds / (batch * max(kept[row] for row in chosen) * _sequences(resolved))

    forward = per_token / (4 if resolved.technique == "dpo" else 3)
    precomputed = resolved.technique == "dpo" and bool(settings.get("precompute_ref_log_probs"))
    step_s = padded * accumulated * (per_token - (forward if precomputed else 0))
    eval_tokens = sum(min(length, limit) for length in held) * _sequences(resolved)
    passes = 2 if resolved.technique == "dpo" and not precomputed else 1
    eval_s = eval_tokens * forward * passes * evaluations(settings, total) if held else 0.0
    reference_s = (sum(kept) * 2 + eval_tokens) * forward if precomputed else 0.0
    trained = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    return {
        "tokens": sum(kept),
        "eval_tokens": sum(min(length, limit) for length in held),
        "longest": max(lengths + held),
        "median": int(statistics.median(lengths)),
        "cut_rows": len(cut),
        "cut_tokens": sum(cut) - len(cut) * limit if cut else 0,
        "steps": total,
        "step_s": step_s,
        "eval_s": eval_s,
        "time_s": total * step_s + eval_s + reference_s,
        # AdamW keeps two moments a trained weight, which no step here has made yet.
        "memory_bytes": _peak(resolved) + trained * 8,
        "trained": trained,
    }


def _length(row: dict[str, Any]) -> int:
    """Return a row's tokens; for DPO those of prompt and the longer answer."""
    if "chosen_ids" in row:
        return len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"]))
    return len(row["input_ids"])


def _sequences(spec: CustomizeSpec) -> int:
    return 2 if spec.technique == "dpo" else 1


def _padded(lengths: list[int], batch: int, spec: CustomizeSpec) -> float:
    """Return the mean number of tokens of a batch with padding, over random batches of these rows."""
    draw = random.Random(spec.seed)
    drawn = [max(draw.sample(lengths, batch)) for _ in range(_SAMPLED_BATCHES)]
    return statistics.mean(drawn) * batch * _sequences(spec)


def _step(trainer: Any, rows: list[int], limit: int) -> float:
    """Return the seconds of one forward and backward pass over some rows; gradients are dropped."""
    trainer.data_collator.max_length = limit if limit < sys.maxsize else None
    batch = trainer.data_collator([_cut(trainer.train_dataset[row], limit) for row in rows])
    inputs = trainer._prepare_inputs(batch)
    trainer.model.train()
    begin = time.perf_counter()
    trainer.compute_loss(trainer.model, inputs).backward()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    taken = time.perf_counter() - begin
    trainer.model.zero_grad(set_to_none=True)
    return taken


def _cut(row: dict[str, Any], limit: int) -> dict[str, Any]:
    if "input_ids" not in row:
        return row
    return {name: value[:limit] if isinstance(value, list) else value for name, value in row.items()}


def _peak(spec: CustomizeSpec) -> int:
    assert spec.compute.device is not None
    if spec.compute.device.startswith("cuda"):
        return int(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
