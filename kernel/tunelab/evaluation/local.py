"""Models on this machine that answer: one copy of a base in memory, on which its adapters are put in turn."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import peft
import torch
import transformers
import yaml
from transformers import AutoConfig, PreTrainedTokenizerBase

from tunelab.evaluation.lean import lean
from tunelab.jobs import machine
from tunelab.models import digests, find, load

Turns = list[dict[str, str]]


class Unanswerable(Exception):
    """A prompt that a model cannot be asked; the message says why."""


@dataclass(frozen=True)
class Place:
    """Where models run, and in which number format."""

    device: str
    dtype: str

    @classmethod
    def of(cls, device: str = "auto", dtype: str | None = None) -> Place:
        """Return the place that is meant here; without `dtype` in what the device is fast in, on a CPU float32."""
        there = machine.device(device)
        return cls(there, dtype or machine.dtype(there) or "float32")


class Candidate:
    """A model as far as it is known without its weights: how it is asked, and what its answers depend on."""

    def __init__(self, name: str, say: Callable[[str], None]) -> None:
        self.name = name
        self.ref = find.find(name)
        self.root = self.ref.base or self.ref
        self.folder = load.bring(self.root, say)
        own = self.ref.folder if self.ref.base is not None else None
        self.adapter: Path | None = own
        self.tokenizer: PreTrainedTokenizerBase = load.tokenizer(own or self.folder)
        if _is_without_template(own or self.folder):
            self.tokenizer.chat_template = None
        config = AutoConfig.from_pretrained(str(self.folder), trust_remote_code=False).get_text_config()
        #: The most tokens that it reads; None where its config does not tell.
        self.limit: int | None = getattr(config, "max_position_embeddings", None)

    @property
    def digest(self) -> str:
        """What identifies it: weights, config, tokenizer, template."""
        return digests.of_model([self.folder] if self.adapter is None else [self.folder, self.adapter])

    def render(self, turns: Turns) -> str:
        """Return a conversation as the text that the model is to go on from.

        Raises
        ------
        Unanswerable
            If its chat template does not take the conversation, or there is none and it is more than one question.
        """
        if self.tokenizer.chat_template is not None:
            try:
                return str(self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False))
            except jinja2.TemplateError as error:
                said = " ".join(str(error).split())[:200]
                raise Unanswerable(f"the chat template of {self.name} does not take it: {said}") from error
        if [turn["role"] for turn in turns] not in (["user"], ["system", "user"]):
            raise Unanswerable(f"{self.name} has no chat template, and this is a conversation: give it as text")
        return "\n\n".join(turn["content"] for turn in turns)

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Return the tokens of rendered texts."""
        if not texts:
            return []
        # A chat template writes its own special tokens.
        ids: list[list[int]] = self.tokenizer(texts, add_special_tokens=self.tokenizer.chat_template is None)[
            "input_ids"
        ]
        return ids

    @property
    def ends(self) -> list[int]:
        """The token that ends an answer, as the tokenizer has it; a model's generation config may add others."""
        return [] if self.tokenizer.eos_token_id is None else [self.tokenizer.eos_token_id]

    @property
    def pad(self) -> int:
        """The token for places that hold none."""
        return next(
            (token for token in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id) if token is not None), 0
        )


class Bases:
    """Keeps one base in memory at a time: models on one base that follow each other share it."""

    def __init__(self, place: Place, say: Callable[[str], None]) -> None:
        transformers.utils.logging.disable_progress_bar()
        self.place, self.say = place, say
        self._folder: Path | None = None
        self._base: Any = None

    def close(self) -> None:
        """Give the memory back."""
        if self._base is not None:
            self._base = self._folder = None
            gc.collect()

    @contextlib.contextmanager
    def model(self, candidate: Candidate) -> Iterator[Any]:
        """Give a candidate's weights: the base itself, or with the candidate's adapter on it for as long."""
        if self._folder != candidate.folder:
            # Before the next one is loaded: there may be room for one.
            self.close()
            self.say(f"loading {candidate.root.name}")
            self._base = load.base_model(candidate.folder, self.place.dtype, _device(self.place.device)).eval()
            self._folder = candidate.folder
        if candidate.adapter is None:
            yield self._base
            return
        adapted = peft.PeftModel.from_pretrained(self._base, str(candidate.adapter)).eval()
        lean(adapted)
        try:
            yield adapted
        finally:
            self._base = adapted.unload()


def _device(device: str) -> str:
    if not device.startswith("cuda"):
        return device
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", device.partition(":")[2])
    return "cuda:0"


def _is_without_template(folder: Path) -> bool:
    """Tell whether a custom model was trained with ``chat_template: none``: then it is asked as it was trained."""
    # A registered model has its spec beside it, a checkpoint in its job's folder.
    for path in (folder / "tunelab.yaml", folder.parent.parent / "spec.yaml"):
        if path.is_file():
            spec = yaml.safe_load(path.read_text(encoding="utf-8"))
            return isinstance(spec, dict) and spec.get("chat_template") == "none"
    return False


def threads(wanted: int | None) -> None:
    """Use so many cores, by default those that a worker may use."""
    torch.set_num_threads(wanted or machine.threads())
