"""What a job would take, measured: every row tokenized as in training, and two real steps on this machine."""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tunelab import task
from tunelab.jobs.prepare import evaluations, steps
from tunelab.spec import CustomizeSpec
from tunelab.training import fit, masks, trial
from tunelab.training import trainer as trainers
from tunelab.training.batches import TokenBatches

_SAMPLED_BATCHES = 200


def measure(spec: dict[str, Any], files: dict[str, str] | None = None) -> dict[str, Any]:
    """Return counts of tokens and an estimate of steps, seconds and bytes for a resolved spec.

    `files` are what a reward needs in the job's folder.

    The time rests on one real step with a batch of middling length after one with the longest rows, scaled by the
    tokens that batches of these rows have, with their padding where TRL's own path pads. A backward pass counts as one
    forward pass, and as two where all weights are trained. References that the workspace has cost nothing.
    """
    resolved = CustomizeSpec.model_validate(spec)
    if resolved.is_reinforcement:
        return trial.measure(resolved, files or {})
    settings = resolved.hyperparameters
    # Lengths are wanted before truncation, and reference passes are reckoned apart.
    whole = {**settings, "max_length": None}
    whole |= {"precompute_ref_log_probs": False} if resolved.technique == "dpo" else {"packing": False}
    with tempfile.TemporaryDirectory(prefix="tunelab-") as folder:
        trainer: Any = trainers.build(resolved.model_copy(update={"hyperparameters": whole}), Path(folder), task.say)
    limit = settings.get("max_length") or sys.maxsize
    lengths = [_length(row) for row in trainer.train_dataset]
    held = [_length(row) for row in trainer.eval_dataset] if trainer.eval_dataset is not None else []
    cut = [length for length in lengths + held if length > limit]
    trainer.args.max_length = settings.get("max_length")
    # Without the length no answer was cut off.
    masks.check(trainer, resolved.dataset, resolved.model)
    costs = [min(trainer.length_of(row), 2 * limit) for row in trainer.train_dataset]
    held_costs = [min(trainer.length_of(row), 2 * limit) for row in trainer.eval_dataset or ()]

    total, per_step = _batches(resolved, trainer, costs)
    batch = min(settings["per_device_train_batch_size"], len(costs))
    by_length = sorted(range(len(costs)), key=lambda row: costs[row])
    middle = min(max(len(costs) // 2 - batch // 2, 0), len(costs) - batch)
    task.say("one step with the longest rows")
    _step(trainer, by_length[-batch:], limit)
    task.say("one step of middling rows")
    chosen = by_length[middle : middle + batch]
    seconds = _step(trainer, chosen, limit)
    per_token = seconds / _width(trainer, [costs[row] for row in chosen])

    forward = per_token / (2 if resolved.adapter.type == "lora" else 3)
    eval_tokens = sum(held_costs)
    eval_s = eval_tokens * forward * evaluations(settings, total) if held else 0.0
    reference_s = _reference_tokens(resolved, trainer, costs, held_costs, total) * forward
    trained = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    step_s = per_step * per_token
    return {
        "tokens": sum(min(length, limit) for length in lengths),
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
        "memory_bytes": trial.peak(resolved) + trained * 8,
        "trained": trained,
    }


def _batches(spec: CustomizeSpec, trainer: Any, costs: list[int]) -> tuple[int, float]:
    """Return how many steps there are, and the mean number of tokens that one computes."""
    settings = spec.hyperparameters
    accumulated = settings.get("gradient_accumulation_steps", 1)
    if spec.compute.tokens_per_batch:
        drawn = TokenBatches(costs, spec.compute.tokens_per_batch, spec.seed).batches
        count = len(drawn)
        width = statistics.mean(_width(trainer, [costs[row] for row in rows]) for rows in drawn)
        return steps(settings | {"per_device_train_batch_size": 1}, count), width * accumulated
    rows = -(-sum(costs) // settings["max_length"]) if settings.get("packing") else len(costs)
    batch = min(settings["per_device_train_batch_size"], len(costs))
    draw = random.Random(spec.seed)
    width = statistics.mean(_width(trainer, draw.sample(costs, batch)) for _ in range(_SAMPLED_BATCHES))
    return steps(settings, rows), width * accumulated


def _width(trainer: Any, costs: list[int]) -> float:
    """Return the tokens that a batch of rows computes: with TRL's own path as if each were the longest."""
    return float(max(costs) * len(costs) if trainer.spec.compute.kernels == "trl" else sum(costs))


def _reference_tokens(spec: CustomizeSpec, trainer: Any, costs: list[int], held_costs: list[int], total: int) -> float:
    """Return the tokens of the pairs whose reference log-probabilities are wanted and not there."""
    if spec.technique != "dpo":
        return 0.0
    settings = spec.hyperparameters
    each_step = settings["per_device_train_batch_size"] * settings.get("gradient_accumulation_steps", 1)
    seen = 1.0 if settings.get("precompute_ref_log_probs") else min(1.0, total * each_step / len(costs))
    unknown = trainer.unknown(trainer.train_dataset), trainer.unknown(trainer.eval_dataset or ())
    return float(sum(costs) * unknown[0] * seen + sum(held_costs) * unknown[1])


def _length(row: dict[str, Any]) -> int:
    """Return a row's tokens; for DPO those of prompt and the longer answer."""
    if "chosen_ids" in row:
        return len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"]))
    return len(row["input_ids"])


def _step(trainer: Any, rows: list[int], limit: int) -> float:
    """Return the seconds of one forward and backward pass over some rows; gradients are dropped."""
    trainer.data_collator.max_length = limit if limit < sys.maxsize else None
    inputs = fit.prepared(trainer, [_cut(trainer.train_dataset[row], limit) for row in rows])
    begin = time.perf_counter()
    fit.forward_backward(trainer, inputs)
    taken = time.perf_counter() - begin
    trainer.model.zero_grad(set_to_none=True)
    return taken


def _cut(row: dict[str, Any], limit: int) -> dict[str, Any]:
    if "input_ids" not in row:
        return row
    return {name: value[:limit] if isinstance(value, list) else value for name, value in row.items()}
