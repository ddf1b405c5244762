"""What `tl.generate` and an export ask for: answers of base and custom models, and an adapter merged into its base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft

from tunelab import task
from tunelab.errors import ModelError
from tunelab.evaluation.answers import Prompt, answer
from tunelab.models import find, load
from tunelab.spec.evaluate import Generation


def generate(
    models: list[str], prompts: list[Prompt], max_new_tokens: int, temperature: float, seed: int, system: str | None
) -> list[list[str]]:
    """Return one list of answers a model, each in the order of `prompts`.

    Raises
    ------
    ModelError
        If a model cannot be asked one of the prompts, such as one that is too long.
    """
    settings = Generation(max_new_tokens=max_new_tokens, temperature=temperature, system=system)
    found = answer(models, prompts, settings, seed, say=task.say)
    for answers in found.values():
        for number, one in enumerate(answers, 1):
            if one.status != "scored":
                raise ModelError(f"Prompt {number}: {one.note}.")
    return [[one.text for one in found[name]] for name in models]


def merge(model: str, target: str) -> dict[str, Any]:
    """Write a custom model with its adapter merged into the base, as safetensors with tokenizer, to `target`."""
    ref = find.find(model)
    assert ref.base is not None and ref.folder is not None
    folder = load.bring(ref.base, task.say)
    base = load.base_model(folder, "float32", "cpu")
    task.say("merging")
    merged = peft.PeftModel.from_pretrained(base, str(ref.folder)).merge_and_unload(safe_merge=True)
    merged.save_pretrained(target, safe_serialization=True)
    load.tokenizer(ref.folder).save_pretrained(target)
    (Path(target) / "tunelab.yaml").write_bytes((ref.folder / "tunelab.yaml").read_bytes())
    return {"path": target}
