"""How the adapter of the custom model that one goes on from is carried on, settled before anything starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tunelab.errors import ModelError, SpecError
from tunelab.jobs import machine
from tunelab.models.find import ModelRef
from tunelab.spec import CustomizeSpec
from tunelab.spec.customize import MAX_RANK, Adapter

#: What of PEFT's config makes an adapter more than the update of some layers, which alone can be joined to another.
_NOT_JOINED = {"use_dora": "DoRA", "modules_to_save": "whole modules", "lora_bias": "a bias"}


def adapter(spec: CustomizeSpec, model: ModelRef, recipe: dict[str, Any]) -> Adapter:
    """Return the adapter with every value: the recipe's, or those of the adapter that is trained further.

    Parameters
    ----------
    spec
        A validated spec.
    model
        What its model is; with a `base` it has an adapter.
    recipe
        The recipe's values of the adapter.

    Raises
    ------
    SpecError
        If `carry` means nothing here, or a value is given that the adapter has otherwise.
    ModelError
        If the model's adapter cannot be joined to a new one.
    """
    given = spec.adapter.model_dump(exclude_none=True)
    if spec.adapter.type == "full":
        return spec.adapter.model_validate(recipe | given)
    if model.base is None or model.folder is None:
        if spec.adapter.carry:
            what = "all of its weights are its own" if model.kind == "custom" else "it is a base model"
            raise SpecError(
                f"adapter.carry is {spec.adapter.carry}, and {spec.model} has no adapter to carry on: {what}. Leave it "
                "out."
            )
        return spec.adapter.model_validate(recipe | given)
    has = _config(model.folder)
    if spec.adapter.carry == "merge":
        if other := next((word for key, word in _NOT_JOINED.items() if has.get(key)), None):
            raise ModelError(
                f"The adapter of {spec.model} has {other}: no other can be joined to it. Use adapter.carry: further."
            )
        new = spec.adapter.model_validate(recipe | given)
        _fits_beside(has, new, spec.model)
        return new
    values = {
        "r": has["r"],
        "alpha": int(has["lora_alpha"]),
        "dropout": has["lora_dropout"],
        "target_modules": _modules(has["target_modules"]),
    }
    for key, value in values.items():
        wanted = given.get(key, value)
        # The names that it stands for are the adapter's own.
        if key == "target_modules" and wanted == "all-linear":
            continue
        if (_modules(wanted) if key == "target_modules" else wanted) != value:
            raise SpecError(
                f"adapter.{key} is {wanted}, and the adapter of {spec.model}, which is trained further, has {value}. "
                "Leave it out, or say carry: merge for a new adapter beside it."
            )
    return spec.adapter.model_validate({"type": "lora", "carry": "further"} | values)


def dtype(adapter: Adapter, device: str) -> str | None:
    """Return the number format that the machine chooses; None where it is to be measured.

    Merged in bfloat16, which has eight bits, most of a small update would be rounded away: on a CPU it is float32.
    """
    return "float32" if adapter.carry == "merge" and device == "cpu" else machine.dtype(device)


def rank(model: ModelRef) -> int:
    """Return the rank of a custom model's adapter, the greatest where its layers have several."""
    assert model.folder is not None
    return _rank(_config(model.folder))


def _fits_beside(has: dict[str, Any], new: Adapter, name: str) -> None:
    """Refuse a rank that, with the other adapter's, no adapter may have: the two could not be trained further."""
    before = _rank(has)
    both = before + (new.r or 0)
    if both > MAX_RANK:
        room = MAX_RANK - before
        what = f"an r of {room} or less" if room > 0 else "carry: further"
        raise SpecError(
            f"adapter.r is {new.r}, and the adapter of {name} has {before}: joined they have {both}, and an adapter "
            f"has {MAX_RANK} at most. Use {what}."
        )


def _config(folder: Path) -> dict[str, Any]:
    has: dict[str, Any] = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    return has


def _rank(has: dict[str, Any]) -> int:
    ranks: list[int] = [has["r"], *(has.get("rank_pattern") or {}).values()]
    return max(ranks)


def _modules(value: Any) -> Any:
    return sorted(value) if isinstance(value, (list, set, tuple)) else value
