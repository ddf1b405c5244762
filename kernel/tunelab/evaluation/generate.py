"""Answers from base and custom models: one copy of a base in memory, its adapters put on it in turn, batched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from transformers import PreTrainedTokenizerBase

from tunelab import task
from tunelab.errors import ModelError
from tunelab.jobs import machine
from tunelab.models import find, load

_BATCH = 16


def generate(
    models: list[str],
    prompts: list[str | list[dict[str, str]]],
    max_new_tokens: int,
    temperature: float,
    seed: int,
    system: str | None,
) -> list[list[str]]:
    """Return one list of answers a model, each in the order of `prompts`."""
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(machine.threads())
    refs = [find.find(name) for name in models]
    answers: dict[int, list[str]] = {}
    loaded: Any = None
    base_name = None
    # Models on one base follow each other, so that each base is loaded once.
    order = sorted(range(len(refs)), key=lambda row: ((refs[row].base or refs[row]).name, row))
    for row in order:
        ref = refs[row]
        root = ref.base or ref
        folder = load.bring(root, task.say)
        if root.name != base_name:
            task.say(f"loading {root.name}")
            loaded, base_name = _load(folder), root.name
        task.say(f"{ref.name} answers {len(prompts)} prompts")
        settings: dict[str, Any] = {
            "max_new_tokens": max_new_tokens,
            "temperature": temperature,
            "seed": seed,
            "system": system,
        }
        if ref.base is None:
            answers[row] = _answer(loaded, load.tokenizer(folder), prompts, **settings)
            continue
        adapted = peft.PeftModel.from_pretrained(loaded, str(ref.folder)).eval()
        answers[row] = _answer(adapted, load.tokenizer(ref.folder or folder), prompts, **settings)
        loaded = adapted.unload()
    return [answers[row] for row in range(len(refs))]


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


def _load(folder: Path) -> Any:
    device = machine.device("auto")
    dtype = machine.dtype(device) or "float32"
    if device.startswith("cuda"):
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", device.partition(":")[2])
        device = "cuda:0"
    return load.base_model(folder, dtype, device).eval()


@torch.inference_mode()
def _answer(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[str | list[dict[str, str]]],
    max_new_tokens: int,
    temperature: float,
    seed: int,
    system: str | None,
) -> list[str]:
    texts = [_render(tokenizer, prompt, system) for prompt in prompts]
    # Short ones together waste little padding; the answers go back to the order of the prompts.
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    tokenizer.padding_side = "left"
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    sampling: dict[str, Any] = {"do_sample": temperature > 0}
    if temperature > 0:
        sampling |= {"temperature": temperature, "top_p": 1.0, "top_k": 0}
    torch.manual_seed(seed)
    answers = [""] * len(texts)
    for begin in range(0, len(order), _BATCH):
        rows = order[begin : begin + _BATCH]
        batch = tokenizer(
            [texts[row] for row in rows],
            return_tensors="pt",
            padding=True,
            # A chat template writes its own special tokens.
            add_special_tokens=tokenizer.chat_template is None,
        ).to(model.device)
        output = model.generate(**batch, max_new_tokens=max_new_tokens, pad_token_id=tokenizer.pad_token_id, **sampling)
        new = output[:, batch["input_ids"].shape[1] :]
        for row, text in zip(rows, tokenizer.batch_decode(new, skip_special_tokens=True), strict=True):
            answers[row] = text
    return answers


def _render(tokenizer: PreTrainedTokenizerBase, prompt: str | list[dict[str, str]], system: str | None) -> str:
    if isinstance(prompt, list):
        if tokenizer.chat_template is None:
            raise ModelError("The model has no chat template, and a prompt is a conversation. Give it as text.")
        turns = [{"role": "system", "content": system}, *prompt] if system else prompt
        return str(tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False))
    if tokenizer.chat_template is None:
        return f"{system}\n\n{prompt}" if system else prompt
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": prompt})
    return str(tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))
