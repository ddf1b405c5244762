"""Two adapters as one: that of the model one goes on from, merged before the training, and the one trained beside it.

The update of a LoRA layer is s·B·A (Hu et al. 2021, section 4.1), so two updates of one layer are a single one of the
summed rank: s₁·B₁·A₁ + s₂·B₂·A₂ = [s₁·B₁, s₂·B₂]·[A₁; A₂]. What is registered is thus a plain adapter on the base that
both began from, and whatever loads, evaluates or serves adapters needs to know nothing of how it was made.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tunelab.errors import ModelError

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"


@dataclass(frozen=True)
class _Update:
    """One layer's update B·A, the scaling in B: `a` of shape (r, in), `b` of shape (out, r)."""

    a: Tensor
    b: Tensor


def join(before: Path, after: Path, target: Path) -> None:
    """Write the adapter that does what `before` and `after` do together.

    Parameters
    ----------
    before, after
        Folders of PEFT's adapters on one base.
    target
        A folder, made where there is none; `after` itself may be it. Files besides the adapter's are left alone.

    Raises
    ------
    ModelError
        If an adapter has parts that are no such update.
    """
    first, second = _updates(before), _updates(after)
    rank = max(_rank(first, name) + _rank(second, name) for name in {*first, *second})
    tensors: dict[str, Tensor] = {}
    for name in sorted({*first, *second}):
        parts = [updates[name] for updates in (first, second) if name in updates]
        a, b = torch.cat([part.a for part in parts]), torch.cat([part.b for part in parts], dim=1)
        # One rank for all layers: a layer that only one adapter has gets rows that say nothing.
        room = rank - a.shape[0]
        tensors[f"{name}.lora_A.weight"] = torch.nn.functional.pad(a, (0, 0, 0, room)).contiguous()
        tensors[f"{name}.lora_B.weight"] = torch.nn.functional.pad(b, (0, room)).contiguous()
    config = _config(after)
    config |= {
        "r": rank,
        "lora_alpha": rank,
        "rank_pattern": {},
        "alpha_pattern": {},
        "use_rslora": False,
        "target_modules": _modules(before, after, tensors),
        "base_model_name_or_path": _config(before).get("base_model_name_or_path"),
    }
    target.mkdir(parents=True, exist_ok=True)
    save_file(tensors, target / WEIGHTS, metadata={"format": "pt"})
    (target / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")


def _rank(updates: dict[str, _Update], name: str) -> int:
    return updates[name].a.shape[0] if name in updates else 0


def _modules(before: Path, after: Path, tensors: dict[str, Tensor]) -> list[str]:
    given = [_config(folder)["target_modules"] for folder in (before, after)]
    if all(isinstance(modules, list) for modules in given):
        return sorted({module for modules in given for module in modules})
    # A pattern says nothing of the other adapter's layers: each is named in full.
    names = {name.partition(".lora_")[0].removeprefix("base_model.model.") for name in tensors}
    return sorted(names)


def _updates(folder: Path) -> dict[str, _Update]:
    config, tensors = _config(folder), load_file(folder / WEIGHTS)
    found: dict[str, _Update] = {}
    for key, a in tensors.items():
        name, is_a, _ = key.partition(".lora_A.")
        if not is_a:
            if ".lora_B." in key:
                continue
            raise ModelError(
                f"The adapter in {folder} has '{key}', which cannot be joined. Use adapter.carry: further."
            )
        rank = a.shape[0]
        alpha = float(_of(config.get("alpha_pattern") or {}, name, config["lora_alpha"]))
        scaling = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
        found[name] = _Update(a.float(), tensors[f"{name}.lora_B.weight"].float() * scaling)
    return found


def _of(pattern: dict[str, Any], name: str, default: Any) -> Any:
    """Return what a layer has by name in PEFT's patterns, which name the ends of its path."""
    return next((value for end, value in pattern.items() if name == end or name.endswith(f".{end}")), default)


def _config(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    return loaded
