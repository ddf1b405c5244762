"""Hyperparameters by TRL's names: typed, with default, range and help, known without importing TRL."""

from __future__ import annotations

import functools
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunelab.errors import SpecError, did_you_mean

#: TRL's trainers, by which the catalog is kept.
METHODS = ("sft", "dpo", "grpo", "rloo")

CATALOG_FILE = Path(__file__).with_name("hyperparameters.json")

#: What people try to set that is said elsewhere in the spec.
_SAID_ELSEWHERE = {
    "seed": "the spec's own key 'seed'",
    "data_seed": "the spec's own key 'seed'",
    "bf16": "compute.dtype (float32 or bfloat16)",
    "fp16": "compute.dtype (float32 or bfloat16)",
    "use_cpu": "compute.device",
    "output_dir": "nothing: a job keeps its files in the workspace",
    "report_to": "tracking; every job is recorded in MLflow",
    "lora_r": "adapter.r",
    "lora_alpha": "adapter.alpha",
    "lora_dropout": "adapter.dropout",
    "load_best_model_at_end": "keep (last or best)",
    "activation_checkpointing": "gradient_checkpointing, TRL's name for it",
    "eval_strategy": "eval_steps and split",
    "save_strategy": "save_steps",
    "save_total_limit": "nothing: the last two checkpoints and the best are kept",
    "trust_remote_code": "nothing: tunelab never runs code that comes with a model",
    "reward_weights": "reward: each part has a weight",
    "log_completions": "nothing: all completions are kept, and job.rollouts() has them",
    "max_prompt_length": "nothing: a prompt that leaves no room for an answer is refused",
    "epochs": "num_train_epochs",
    "batch_size": "per_device_train_batch_size",
    "lr": "learning_rate",
}


#: A technique whose recipe shows a trainer's hyperparameters.
RECIPE_OF = {"grpo": "rlvr", "rloo": "rlvr"}


@dataclass(frozen=True)
class Hyperparameter:
    """One field of TRL's config: its JSON types, TRL's default, TRL's help and, where it has any, its choices."""

    name: str
    types: tuple[str, ...]
    default: Any
    help: str
    choices: tuple[str, ...] = ()

    @property
    def type_text(self) -> str:
        """The type as a reader says it: ``a number``, ``true or false``, ``null``."""
        words = {
            "float": "a number",
            "int": "a whole number",
            "bool": "true or false",
            "str": "text",
            "list": "a list",
            "dict": "a mapping",
            "null": "null",
        }
        order = [kind for kind in words if kind in self.types]
        if "float" in order and "int" in order:
            order.remove("int")
        return " or ".join(words[kind] for kind in order)


def method_of(technique: str, algorithm: str | None = None) -> str:
    """Return the TRL trainer of a technique: sft, dpo, grpo or rloo."""
    if technique in ("sft", "dpo"):
        return technique
    return algorithm if algorithm in METHODS else "grpo"


@functools.cache
def catalog(method: str) -> dict[str, Hyperparameter]:
    """Return the hyperparameters of one of `METHODS` by name."""
    entries = json.loads(CATALOG_FILE.read_text(encoding="utf-8"))[method]
    return {
        name: Hyperparameter(
            name, tuple(entry["types"]), entry["default"], entry["help"], tuple(entry.get("choices", ()))
        )
        for name, entry in entries.items()
    }


def check(method: str, values: dict[str, Any], ranges: dict[str, tuple[float, float]]) -> dict[str, Any]:
    """Return `values` in their own types.

    Parameters
    ----------
    method
        One of `METHODS`.
    values
        Hyperparameters by TRL's names. Numbers may come as text (``"5e-6"``, which YAML reads as a string).
    ranges
        Lowest and highest sensible value by name, both included.

    Raises
    ------
    SpecError
        For an unknown name (with the nearest right one), a value of another type, or one out of range.
    """
    known = catalog(method)
    checked = {}
    for name, value in values.items():
        if name not in known:
            raise SpecError(_unknown(method, name, known))
        checked[name] = _in_range(_typed(known[name], value), known[name], ranges.get(name))
    return checked


def _unknown(method: str, name: str, known: dict[str, Hyperparameter]) -> str:
    if name in _SAID_ELSEWHERE:
        return f"hyperparameters.{name} is not set here: use {_SAID_ELSEWHERE[name]}."
    hint = did_you_mean(name, known) or f" See tl.recipe({RECIPE_OF.get(method, method)!r}, model) for all of them."
    return f"Unknown hyperparameter '{name}' for {method}.{hint}"


def _typed(field: Hyperparameter, value: Any) -> Any:
    wanted = set(field.types)
    if value is None and "null" in wanted:
        return None
    if isinstance(value, bool):
        if "bool" in wanted:
            return value
    elif isinstance(value, (int, float)):
        if not abs(value) <= sys.float_info.max:
            shown = value if isinstance(value, float) else "too large"
            raise SpecError(f"hyperparameters.{field.name} is {shown}; give a finite number.")
        if "int" in wanted and float(value).is_integer() and ("float" not in wanted or isinstance(value, int)):
            return int(value)
        if "float" in wanted:
            return float(value)
    elif isinstance(value, str):
        if "str" in wanted and (not field.choices or value in field.choices):
            return value
        if wanted & {"float", "int"}:
            try:
                return _typed(field, float(value))
            except ValueError:
                pass
        if field.choices:
            hint = did_you_mean(value, field.choices) or f" It takes one of {', '.join(field.choices)}."
            raise SpecError(f"hyperparameters.{field.name} has no choice '{value}'.{hint}")
        if "list" in wanted:
            return [value]
    elif (isinstance(value, list) and "list" in wanted) or (isinstance(value, dict) and "dict" in wanted):
        return value
    raise SpecError(f"hyperparameters.{field.name} takes {field.type_text}, and got {value!r}.")


def _in_range(value: Any, field: Hyperparameter, bounds: tuple[float, float] | None) -> Any:
    if bounds is None or isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    low, high = bounds
    if not low <= value <= high:
        nearest = low if value < low else high
        raise SpecError(
            f"hyperparameters.{field.name} is {value:g}; it goes from {low:g} to {high:g}. The nearest is {nearest:g}."
        )
    return value
