"""From a resolved spec to TRL's own trainer: nothing is set that the spec does not say, and nothing it says is lost.

The trainers are TRL's. Under them the forward pass is `fast`, and DPO's reference comes from `reference`.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import peft
import torch
import transformers
from datasets import Dataset as Table
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer
from trl import DPOConfig, GRPOConfig, RLOOConfig, SFTConfig, SFTTrainer

from tunelab.data import Dataset
from tunelab.errors import DataError, ModelError, SpecError
from tunelab.models import find, load
from tunelab.scoring import reward as rewards
from tunelab.spec import CustomizeSpec
from tunelab.training import masks, reinforce, settle
from tunelab.training.batches import ByTokens, TokenBatches
from tunelab.training.fast import Work
from tunelab.training.need import base
from tunelab.training.recovery import Recoverable
from tunelab.training.reference import ReferenceDPOTrainer, References, identity
from tunelab.training.rows import Reader, has_more, tables


class Tuned(Recoverable, ByTokens):
    """What each of the trainers has besides TRL's own."""

    #: The spec with what the machine chose.
    spec: CustomizeSpec
    #: What the fast forward pass counts; None where TRL's own is used.
    work: Work | None = None
    #: The rows to train on, before TRL's tokenization.
    given: Table
    #: What is said of the rows before the first step.
    warnings: list[str]

    def _prepare_dataset(self, dataset: Table, processing_class: Any, *rest: Any) -> Any:
        tokenizer = Reader(processing_class) if has_more(dataset) else processing_class
        return super()._prepare_dataset(dataset, tokenizer, *rest)  # type: ignore[misc]


class Sft(Tuned, SFTTrainer):
    """TRL's trainer for supervised fine-tuning."""

    def length_of(self, row: dict[str, Any]) -> int:
        """Return a row's tokens."""
        return len(row["input_ids"])


class Dpo(Tuned, ReferenceDPOTrainer):
    """TRL's trainer for direct preference optimization."""

    def length_of(self, row: dict[str, Any]) -> int:
        """Return the tokens of both sequences of a pair, cut as the collator cuts them."""
        settings: Any = self.args
        limit = settings.max_length or sys.maxsize
        return sum(min(limit, len(row["prompt_ids"]) + len(row[f"{side}_ids"])) for side in ("chosen", "rejected"))


#: From so many rows on, tokenizing in several processes is faster by more than it takes to start them.
MANY_ROWS = 4000

#: method -> TRL's config and trainer. A new one of TRL's is added here, in `spec` and in `recipes`.
TRAINERS: dict[str, tuple[type[Any], type[Any]]] = {
    "sft": (SFTConfig, Sft),
    "dpo": (DPOConfig, Dpo),
    "grpo": (GRPOConfig, reinforce.Grpo),
    "rloo": (RLOOConfig, reinforce.Rloo),
}


def build(spec: CustomizeSpec, output_dir: Path, say: Callable[[str], None], files: Path | None = None) -> Trainer:
    """Return the trainer for a resolved spec, with model and rows loaded; its `spec` says what the machine chose.

    Parameters
    ----------
    spec
        With every default filled in, as `jobs.prepare` leaves it.
    output_dir
        Where TRL writes checkpoints.
    say
        Told what is being done.
    files
        Where the reward's functions and prompts lie: the job's folder.

    Raises
    ------
    Error
        If the model cannot be loaded, or TRL refuses the settings.
    """
    transformers.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"transformers|trl|peft")
    assert spec.compute.threads is not None
    torch.set_num_threads(spec.compute.threads)
    device = torch_device(spec.compute.device)
    spec = settle.number_format(spec, say)
    say(f"loading {spec.model}")
    model, tokenizer = policy(spec, device, say)
    train, held = tables(spec, tokenizer)
    if spec.is_reinforcement:
        return _reinforced(spec, model, tokenizer, output_dir, train, held, say, files)  # type: ignore[no-any-return]
    say(f"tokenizing {len(train):,} rows" + (f" and {len(held):,} held out" if held is not None else ""))
    settings = arguments(spec, output_dir, has_held_out=held is not None)
    trainer = tokenized(spec, model, tokenizer, settings, train, held, peft_config=_new_adapter(spec, model))
    _begin_alike(trainer, spec)
    trainer.warnings = masks.check(trainer, spec.dataset, spec.model)
    spec = settle.kernels(trainer, spec, say)
    spec = settle.checkpointing(trainer, spec, say)
    if spec.technique == "dpo":
        _refer(trainer, spec, say)
    if spec.compute.tokens_per_batch:
        lengths = [trainer.length_of(row) for row in trainer.train_dataset]
        trainer.token_batches = TokenBatches(lengths, spec.compute.tokens_per_batch, spec.seed)
    trainer.spec = spec
    return trainer  # type: ignore[no-any-return]


def _reinforced(
    spec: CustomizeSpec,
    model: PreTrainedModel | peft.PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    output_dir: Path,
    train: Table,
    held: Table | None,
    say: Callable[[str], None],
    files: Path | None,
) -> Any:
    """Return the trainer of a reinforcement technique: nothing is tokenized ahead, and the reward is made."""
    assert files is not None
    if any(has_more(table) or "tools" in table.column_names for table in (train, held) if table is not None):
        raise DataError(
            f"{spec.dataset} has prompts with tools or tool calls, which {spec.technique} cannot sample answers to. "
            "Leave them out, or write them into the prompts' text."
        )
    parts = spec.reward_parts
    settings = arguments(spec, output_dir, has_held_out=held is not None)
    settings.reward_weights = [part.weight for part in parts]  # type: ignore[attr-defined]
    functions = [reinforce.stands_for(name) for name in rewards.part_names(parts)]
    adapter = _new_adapter(spec, model)
    trainer = tokenized(spec, model, tokenizer, settings, train, held, peft_config=adapter, reward_funcs=functions)
    _begin_alike(trainer, spec)
    trainer.warnings = reinforce.check(trainer, spec)
    trainer.rows = reinforce.rows_of(spec)
    spec = settle.kernels(trainer, spec, say)
    spec = settle.checkpointing(trainer, spec, say)
    trainer.reward = rewards.build(parts, files, say, str(trainer.model.device))
    trainer.spec = spec
    return trainer


def _new_adapter(spec: CustomizeSpec, model: PreTrainedModel | peft.PeftModel) -> peft.LoraConfig | None:
    return lora_config(spec) if spec.adapter.type == "lora" and not isinstance(model, peft.PeftModel) else None


def tokenized(
    spec: CustomizeSpec,
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    settings: transformers.TrainingArguments,
    train: Table,
    held: Table | None = None,
    peft_config: peft.LoraConfig | None = None,
    **more: Any,
) -> Any:
    """Return TRL's trainer with the rows tokenized, as it makes them; `more` goes to it as it is.

    Raises
    ------
    SpecError
        If TRL refuses the settings.
    DataError
        If the chat template refuses a row, or marks no answer in it.
    """
    _, trainer_class = TRAINERS[spec.method]
    try:
        trainer: Any = trainer_class(
            model=model,
            args=settings,
            train_dataset=train,
            eval_dataset=held,
            processing_class=tokenizer,
            peft_config=peft_config,
            **more,
        )
    except jinja2.TemplateError as error:
        refused = masks.refused_row(train, tokenizer)
        raise DataError(
            f"The chat template of {spec.model} refuses {refused} of {spec.dataset}. Change the turns of the row, "
            "leave it out, or use a model whose template takes them."
        ) from error
    except (ValueError, TypeError, NotImplementedError) as error:
        if "not training-compatible" in str(error):
            raise SpecError(
                f"hyperparameters.assistant_only_loss: the chat template of {spec.model} does not mark what the "
                "assistant says, and TRL knows no other version of it. Leave it out, or give the rows as prompt and "
                "completion, of which only the completion is trained on."
            ) from error
        raise SpecError(f"TRL refuses these settings: {str(error).splitlines()[0]}") from error
    except RuntimeError as error:
        if "no assistant tokens" not in str(error):
            raise
        raise DataError(
            f"With assistant_only_loss the chat template of {spec.model} marks no token of an answer in a row of "
            f"{spec.dataset}, which would not be trained on. Leave assistant_only_loss out."
        ) from error
    trainer.given = train
    return trainer


def _is_merged(spec: CustomizeSpec) -> bool:
    """Tell whether the adapter of the model one goes on from is put into the weights before the training."""
    return find.find(spec.model).base is not None and (spec.adapter.type == "full" or spec.adapter.carry == "merge")


def _begin_alike(trainer: Any, spec: CustomizeSpec) -> None:
    """Let a reference of weights of its own be what the policy begins as.

    TRL reads them from the folder that the policy's config names, which knows nothing of an adapter that was merged.
    """
    own = getattr(trainer, "ref_model", None)
    if own is not None and _is_merged(spec):
        unwrap = trainer.accelerator.unwrap_model
        unwrap(own).load_state_dict(unwrap(trainer.model).state_dict())


def _refer(trainer: Dpo, spec: CustomizeSpec, say: Callable[[str], None]) -> None:
    """Let the reference's log-probabilities be computed once and kept, unless the reference is to change."""
    ref = find.find(spec.model)
    folders = [folder for folder in ((ref.base or ref).folder, ref.folder) if folder is not None]
    # Merged weights round otherwise than the adapter beside them.
    way = (spec.compute.kernels or "") + (" merged" if _is_merged(spec) else "")
    who = identity(list(dict.fromkeys(folders)), base(trainer.model), way)
    trainer.use(References(who))
    if spec.hyperparameters.get("precompute_ref_log_probs"):
        say("computing the reference model's log-probabilities, once for all rows")
        trainer.precompute()


def arguments(spec: CustomizeSpec, output_dir: Path, has_held_out: bool) -> transformers.TrainingArguments:
    """Return TRL's config: the spec's hyperparameters, and what tunelab sets itself."""
    config, _ = TRAINERS[spec.method]
    rows = Dataset.get(spec.dataset).rows
    processes = spec.compute.threads if rows >= MANY_ROWS else None
    own = {} if spec.is_reinforcement else {"dataset_num_proc": spec.hyperparameters.get("dataset_num_proc", processes)}
    own |= {
        "output_dir": str(output_dir),
        # Decided when the model is there to be measured (`settle`), unless it is given.
        "gradient_checkpointing": spec.hyperparameters.get("gradient_checkpointing", False),
        "seed": spec.seed,
        "data_seed": spec.seed,
        "use_cpu": spec.compute.device == "cpu",
        "bf16": spec.compute.dtype == "bfloat16",
        "report_to": "none",
        "disable_tqdm": True,
        "logging_strategy": "steps",
        # Without `save_steps` the checkpoints come by time (`callbacks`).
        "save_strategy": "steps" if "save_steps" in spec.hyperparameters else "no",
        "eval_strategy": "steps" if has_held_out else "no",
    }
    try:
        return config(**(spec.hyperparameters | own))  # type: ignore[no-any-return]
    except (ValueError, TypeError) as error:
        raise SpecError(f"TRL refuses the hyperparameters: {str(error).splitlines()[0]}") from error


def policy(
    spec: CustomizeSpec, device: str, say: Callable[[str], None]
) -> tuple[PreTrainedModel | peft.PeftModel, PreTrainedTokenizerBase]:
    """Return the model to train and its tokenizer; for a custom model with an adapter, that adapter on its base."""
    assert spec.compute.dtype is not None
    ref = find.find(spec.model)
    folder = load.bring(ref.base or ref, say)
    model = load.base_model(folder, spec.compute.dtype, device)
    tokenizer = load.tokenizer(ref.folder if ref.base and ref.folder else folder)
    if tokenizer.chat_template is None and spec.chat_template == "auto":
        say("the model has no chat template: rows are used as plain text")
    if ref.base is None:
        return model, tokenizer
    if _is_merged(spec):
        is_full = spec.adapter.type == "full"
        then = "all of them are trained" if is_full else "a new one is trained beside it"
        say(f"the adapter of {ref.name} is merged into the weights: {then}")
        merged = peft.PeftModel.from_pretrained(model, str(ref.folder)).merge_and_unload()
        # PEFT froze them for the adapter's sake.
        return merged.requires_grad_(is_full), tokenizer
    say(f"going on from the adapter of {ref.name}: its rank and modules are kept")
    return peft.PeftModel.from_pretrained(model, str(ref.folder), is_trainable=True), tokenizer


def lora_config(spec: CustomizeSpec) -> peft.LoraConfig:
    """Return PEFT's config for the spec's adapter."""
    adapter = spec.adapter
    assert adapter.r is not None and adapter.alpha is not None and adapter.dropout is not None
    return peft.LoraConfig(
        r=adapter.r,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules=adapter.target_modules,
        task_type="CAUSAL_LM",
    )


def torch_device(device: str) -> str:
    """Return the device as torch calls it in this process.

    Raises
    ------
    ModelError
        If torch cannot use it.
    """
    if device.startswith("cuda"):
        if not torch.cuda.is_available():
            raise ModelError(
                f"{device} is there, but this torch ({torch.__version__}) cannot use it. Install a CUDA build."
            )
        # The runner made the job's GPU the only one that this process sees.
        return "cuda:0" if os.environ.get("CUDA_VISIBLE_DEVICES") else device
    return device
