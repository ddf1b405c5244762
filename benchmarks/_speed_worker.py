"""The processes of `train_speed.py`: a training that makes a step when it is told to, and a rate of matrix products.

Each training is `trainer.train()` itself; a callback holds it before each step. What is timed lies between TRL's
`on_step_begin` and `on_step_end`: `training_step` on one batch, the clipping of gradients and the optimizer's step.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import datasets
import peft
import torch
import trl
from _speed_report import Ready, Step
from torch import nn
from transformers import PrinterCallback, TrainerCallback
from transformers.utils import logging

from tunelab.models import find, load
from tunelab.spec import CustomizeSpec
from tunelab.training import trainer as trainers
from tunelab.training.rows import tables

#: What is tunelab's own of a spec's hyperparameters, or one of the settings that are compared.
_NOT_SHARED = ("gradient_checkpointing", "precompute_ref_log_probs", "eval_steps", "eval_on_start", "save_steps")


def train(way: str, spec: dict[str, Any], home: str, line: Connection) -> None:
    """Train in one of the `WAYS`, a step a message, until the line is closed."""
    os.environ["TUNELAB_HOME"] = home
    sys.stdout = sys.stderr
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    datasets.disable_progress_bars()
    warnings.filterwarnings("ignore", category=FutureWarning)
    # TRL's bar of the reference pass goes by this.
    os.environ["TQDM_DISABLE"] = "1"
    resolved = CustomizeSpec.model_validate(spec)
    with tempfile.TemporaryDirectory(prefix="tunelab-speed-") as folder:
        trainer = WAYS[way](resolved, Path(folder))
        trainer.remove_callback(PrinterCallback)
        told = Told(trainer, line)
        trainer.add_callback(told)
        # The line's end means that no more steps are wanted.
        with contextlib.suppress(EOFError):
            trainer.train()


class Told(TrainerCallback):
    """Holds a training before each step until it is told to go on, and then reports the step."""

    def __init__(self, trainer: Any, line: Connection) -> None:
        self.trainer, self.line = trainer, line
        self.inputs: dict[str, Any] = {}
        self.loss = float("nan")
        self.begin = self.end = (0.0, 0.0)
        inner = trainer.training_step

        def training_step(model: nn.Module, inputs: dict[str, Any], *rest: Any) -> torch.Tensor:
            self.inputs = dict(inputs)
            return inner(model, inputs, *rest)

        trainer.training_step = training_step

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Report the step before, wait for the word, and start the clocks."""
        self.report()
        self.line.recv()
        self.begin = time.perf_counter(), time.process_time()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop the clocks; nothing is saved."""
        self.end = time.perf_counter(), time.process_time()
        control.should_save = False

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        """Keep the loss."""
        self.loss = logs.get("loss", self.loss)

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Report the last step."""
        self.report()

    def report(self) -> None:
        """Send what the last step was; before the first one, what was set up."""
        if not self.inputs:
            self.line.send(ready(self.trainer))
            return
        ids, mask = self.inputs["input_ids"], self.inputs["attention_mask"].bool()
        tokens, needs = operations(self.trainer, self.inputs)
        wall_s, cpu_s = (end - begin for begin, end in zip(self.begin, self.end, strict=True))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        rows = hashlib.sha256(ids[mask].numpy().tobytes()).hexdigest()
        self.line.send(Step(wall_s, cpu_s, float(self.loss), rows, tokens, needs, peak))


def ready(trainer: Any) -> Ready:
    """Return what a training is set to."""
    spec = getattr(trainer, "spec", None)
    if spec is not None:
        setting = f"{spec.compute.dtype}, kernels: {spec.compute.kernels}"
    else:
        setting = "bfloat16 by autocast" if trainer.args.bf16 else "float32"
    setting += ", activations computed twice" if trainer.args.gradient_checkpointing else ""
    reference = getattr(trainer, "reference", (0.0, 0.0))
    base = trainer.model.get_base_model() if isinstance(trainer.model, peft.PeftModel) else trainer.model
    shapes = Counter(
        (module.in_features, module.out_features)
        for name, module in base.named_modules()
        if isinstance(module, nn.Linear) and "lora_" not in name and module is not base.get_output_embeddings()
    )
    return Ready(f"{setting}, {torch.get_num_threads()} threads", *reference, dict(shapes))


class TimedReference(trl.DPOTrainer):
    """TRL's trainer, which notes what its pass over the reference model took (seconds by the wall, of CPU)."""

    reference = (0.0, 0.0)

    def _precompute_ref_logps(self, *args: Any, **kwargs: Any) -> Any:
        begin = time.perf_counter(), time.process_time()
        found = super()._precompute_ref_logps(*args, **kwargs)
        self.reference = time.perf_counter() - begin[0], time.process_time() - begin[1]
        return found


def _defaults(spec: CustomizeSpec, folder: Path) -> Any:
    """Return TRL's trainer as its quick start has it. `use_cpu` is what transformers asks for here with TRL's bf16."""
    return _by_hand(spec, folder, use_cpu=True)


def _well_set(spec: CustomizeSpec, folder: Path) -> Any:
    """Return TRL's trainer as one who knows this machine sets it."""
    torch.set_num_threads(spec.compute.threads or torch.get_num_threads())
    own = {"precompute_ref_log_probs": True} if spec.technique == "dpo" else {}
    return _by_hand(spec, folder, use_cpu=True, bf16=False, gradient_checkpointing=False, **own)


def _by_hand(spec: CustomizeSpec, folder: Path, **settings: Any) -> Any:
    model = find.find(spec.model).folder
    assert model is not None
    tokenizer = load.tokenizer(model)
    config, trainer_class = {
        "sft": (trl.SFTConfig, trl.SFTTrainer),
        "dpo": (trl.DPOConfig, TimedReference),
    }[spec.technique]
    shared = {name: value for name, value in spec.hyperparameters.items() if name not in _NOT_SHARED}
    return trainer_class(
        model=str(model),
        args=config(
            output_dir=str(folder),
            seed=spec.seed,
            data_seed=spec.seed,
            disable_tqdm=True,
            save_strategy="no",
            **shared,
            **settings,
        ),
        train_dataset=tables(spec, tokenizer)[0],
        processing_class=tokenizer,
        peft_config=trainers.lora_config(spec) if spec.adapter.type == "lora" else None,
    )


def _tunelab(spec: CustomizeSpec, folder: Path) -> Any:
    """Return the trainer as a job has it."""
    return trainers.build(spec, folder, lambda text: None)


WAYS = {"TRL's defaults": _defaults, "TRL well set": _well_set, "tunelab": _tunelab}


def operations(trainer: Any, inputs: dict[str, Any]) -> tuple[int, float]:
    """Return the tokens of a batch, and the floating-point operations that a step with it cannot do without.

    A weight costs two a token forward, two for the gradient of its input, two for its own where it is trained (Kaplan
    et al. 2020, table 1); the head costs them only where a trained token is predicted, and looking up an embedding
    costs nothing. Of attention the two products forward and their four backward are counted, for the pairs of tokens
    that see each other. A pair's common beginning is computed once. DPO's reference is a forward pass without adapter.
    """
    model = trainer.model
    base = model.get_base_model() if isinstance(model, peft.PeftModel) else model
    head = base.get_output_embeddings()
    body = adapter = 0
    for name, module in base.named_modules():
        if isinstance(module, nn.Linear) and module is not head:
            body += module.weight.numel() * ("lora_" not in name)
            adapter += module.weight.numel() * ("lora_" in name)
    mask = inputs["attention_mask"].bool()
    dpo = "completion_mask" in inputs
    trained = inputs["completion_mask"][:, 1:].bool() if dpo else inputs["labels"][:, 1:] != -100
    lengths, targets = mask.sum(1).tolist(), int((trained & mask[:, 1:]).sum())
    tokens, seen = sum(lengths), sum(length * (length + 1) // 2 for length in lengths)
    if dpo:
        for chosen, rejected in zip(*inputs["input_ids"].masked_fill(~mask, -1).chunk(2), strict=True):
            common = int(((chosen == rejected) & (chosen >= 0)).int().cumprod(0).sum())
            tokens -= common
            seen -= common * (common + 1) // 2
    config = base.config
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    attention = 4 * seen * config.num_attention_heads * size * config.num_hidden_layers
    each = 4 + 2 * head.weight.requires_grad
    needs = tokens * (body * each + adapter * 6) + targets * head.weight.numel() * each + 3 * attention
    if dpo:
        needs += 2 * (tokens * body + targets * head.weight.numel()) + attention
    return tokens, float(needs)


def rule(shapes: dict[tuple[int, int], int], tokens: int, threads: int, seconds: float, line: Connection) -> None:
    """Answer each message with the rate of float32 products of `tokens` rows with a model's matrices, over `seconds`.

    The rate is all operations over all the time, so that it has the machine's moods of these seconds in it.
    """
    torch.set_num_threads(threads)
    least = min(shapes.values())
    products = [
        (torch.randn(tokens, wide), torch.randn(out, wide), torch.empty(tokens, out))
        for (wide, out), count in shapes.items()
        for _ in range(max(1, count // least))
    ]
    round_of = sum(2 * tokens * a.shape[1] * b.shape[0] for a, b, _ in products)
    for a, b, out in products:
        torch.mm(a, b.T, out=out)
    while True:
        try:
            line.recv()
        except EOFError:
            return
        begin, done = time.perf_counter(), 0
        while not done or time.perf_counter() - begin < seconds:
            for a, b, out in products:
                torch.mm(a, b.T, out=out)
            done += round_of
        line.send(done / (time.perf_counter() - begin))


def bring(model: str, line: Connection) -> None:
    """Prepare a catalog model in the workspace, and say so."""
    load.bring(find.find(model), lambda text: print(text, file=sys.stderr))
    line.send(None)
