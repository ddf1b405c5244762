"""How reinforcement steps are made of samples: groups, the batch that is sampled at a time, and what is made of it.

A *window* is the steps from one sampling to the next that begins with a step: with TRL's defaults, one step. Only at
its border is all that a run depends on in a checkpoint, since sampled answers are not.
"""

from __future__ import annotations

import math
from typing import Any

from tunelab.errors import SpecError


def settle(given: dict[str, Any], merged: dict[str, Any], train_rows: int, eval_rows: int) -> None:
    """Fit the batches in `merged` to whole groups, where `given` leaves them open; else refuse what does not fit.

    Raises
    ------
    SpecError
        If a batch cannot be of whole groups, or there are fewer prompts than are sampled at a time.
    """
    if merged.get("generation_batch_size") is not None and merged.get("steps_per_generation") is not None:
        raise SpecError("hyperparameters: give generation_batch_size or steps_per_generation, not both.")
    group = merged["num_generations"]
    batch = merged["per_device_train_batch_size"]
    if (sampled(merged) % group or sampled(merged) % batch) and "generation_batch_size" not in given:
        if "per_device_train_batch_size" not in given:
            batch = merged["per_device_train_batch_size"] = group * max(1, batch // group)
        elif sampled(merged) % group and "gradient_accumulation_steps" not in given:
            merged["gradient_accumulation_steps"] = group // math.gcd(group, batch)
    if sampled(merged) % group or sampled(merged) % batch:
        raise SpecError(
            f"hyperparameters: {sampled(merged)} answers are sampled at a time, which is no multiple of "
            f"num_generations ({group}) and per_device_train_batch_size ({batch}). Give a batch size that is a "
            "multiple of the group."
        )
    if train_rows < sampled(merged) // group:
        raise SpecError(
            f"There are {train_rows} prompts to train on, and a step samples answers to {sampled(merged) // group}. "
            "Give more rows, or a smaller per_device_train_batch_size or gradient_accumulation_steps."
        )
    if eval_rows:
        each = merged.get("num_generations_eval") or group
        if merged["per_device_eval_batch_size"] % each:
            if "per_device_eval_batch_size" in given:
                raise SpecError(
                    f"hyperparameters.per_device_eval_batch_size is {merged['per_device_eval_batch_size']}; it is to "
                    f"be a multiple of num_generations_eval ({each})."
                )
            merged["per_device_eval_batch_size"] = each * max(1, merged["per_device_eval_batch_size"] // each)
        if "per_device_eval_batch_size" not in given:
            # TRL's held-out figures are means over batches: those of one size count alike.
            prompts = merged["per_device_eval_batch_size"] // each
            merged["per_device_eval_batch_size"] = each * math.ceil(eval_rows / math.ceil(eval_rows / prompts))
    every = window(merged)
    if isinstance(save := given.get("save_steps"), int) and save % every:
        raise SpecError(
            f"hyperparameters.save_steps is {save}; a checkpoint can be made at the border of a generation window, "
            f"every {every} steps. The nearest is {max(1, round(save / every)) * every}."
        )


def align(merged: dict[str, Any], train_rows: int, keep: str) -> None:
    """Put evaluations, and the checkpoints that go with them, at borders of windows."""
    total = merged["max_steps"] if merged.get("max_steps", -1) > 0 else None
    if total is None:
        total = math.ceil(float(merged["num_train_epochs"]) * steps_an_epoch(merged, train_rows))
    steps, every = merged["eval_steps"], window(merged)
    steps = max(1, math.ceil(total * steps)) if steps < 1 else int(steps)
    merged["eval_steps"] = every * math.ceil(steps / every)
    if keep == "best":
        merged["save_steps"] = merged["eval_steps"]


def sampled(hyperparameters: dict[str, Any]) -> int:
    """Return how many answers are sampled at a time."""
    if (given := hyperparameters.get("generation_batch_size")) is not None:
        return int(given)
    return int(hyperparameters["per_device_train_batch_size"]) * per_generation(hyperparameters)


def per_generation(hyperparameters: dict[str, Any]) -> int:
    """Return into how many batches the sampled answers are cut: TRL's ``steps_per_generation``."""
    if (given := hyperparameters.get("steps_per_generation")) is not None:
        return int(given)
    if (batch := hyperparameters.get("generation_batch_size")) is not None:
        return max(1, int(batch) // int(hyperparameters["per_device_train_batch_size"]))
    return int(hyperparameters.get("gradient_accumulation_steps", 1))


def window(hyperparameters: dict[str, Any]) -> int:
    """Return after how many optimizer steps answers are sampled anew at the begin of a step."""
    accumulated = int(hyperparameters.get("gradient_accumulation_steps", 1))
    every = per_generation(hyperparameters) * int(hyperparameters.get("num_iterations", 1))
    return math.lcm(every, accumulated) // accumulated


def steps_an_epoch(hyperparameters: dict[str, Any], train_rows: int) -> int:
    """Return the optimizer steps in which every prompt is answered once; prompts that fill no batch are left out."""
    prompts = sampled(hyperparameters) // int(hyperparameters["num_generations"])
    batches = train_rows // prompts * per_generation(hyperparameters) * int(hyperparameters.get("num_iterations", 1))
    return max(1, math.ceil(batches / int(hyperparameters.get("gradient_accumulation_steps", 1))))
