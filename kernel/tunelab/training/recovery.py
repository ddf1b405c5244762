"""Going on from a checkpoint so that nobody can tell: what transformers' trainer forgets is kept beside what it saves.

Weights, optimizer, schedule, random states and the place in the data are transformers' own. It forgets what was
computed since the last logged step, which shows in averages over several steps, and how many tokens were seen.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import peft
import torch
from safetensors.torch import load_file
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

_FILE = "tunelab.json"


class Recoverable(Trainer):
    """A trainer whose checkpoints hold all that its metrics depend on."""

    def resume(self, checkpoint: Path | None) -> None:
        """Train from a checkpoint to the end, or from the start where there is none."""
        if checkpoint is None:
            self.train()
            return
        # It was evaluated at the start, and would be again.
        self.args.eval_on_start = False
        state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
        if state.global_step >= state.max_steps:
            # All steps are made, and their last evaluation is said: the trainer would make one step too many.
            self.state = state
            self._load_from_checkpoint(str(checkpoint))
            return
        self.add_callback(_Restore(self, json.loads((checkpoint / _FILE).read_text(encoding="utf-8"))))
        self.train(resume_from_checkpoint=str(checkpoint))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        trainer: Any = self
        kept = {
            "loss": self._tr_loss.item(),
            "loss_of_all": self._total_loss_scalar,
            "logged_at": self._globalstep_last_logged,
            "metrics": {mode: dict(values) for mode, values in trainer._metrics.items()},
            "tokens": trainer._total_train_tokens,
        }
        assert self.args.output_dir is not None
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        (folder / _FILE).write_text(json.dumps(kept), encoding="utf-8")

    def _load_from_checkpoint(self, checkpoint: str, model: Any = None) -> None:
        if not isinstance(self.model, peft.PeftModel):
            super()._load_from_checkpoint(checkpoint, model)
            return
        # Of an adapter with a frozen copy beside it, which DPO's reference is, transformers loads only the copy.
        weights = load_file(Path(checkpoint) / "adapter_model.safetensors")
        loaded: Any = peft.set_peft_model_state_dict(self.model, weights, adapter_name="default")
        if loaded.unexpected_keys:
            raise RuntimeError(f"the checkpoint {checkpoint} is of another model: {loaded.unexpected_keys[:3]}")


class _Restore(TrainerCallback):
    """Puts back what the trainer has set to nothing when training begins."""

    def __init__(self, trainer: Any, kept: dict[str, Any]) -> None:
        self.trainer = trainer
        self.kept = kept

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Put it back."""
        trainer, kept = self.trainer, self.kept
        trainer._tr_loss = torch.full_like(trainer._tr_loss, kept["loss"])
        trainer._total_loss_scalar = kept["loss_of_all"]
        trainer._globalstep_last_logged = kept["logged_at"]
        trainer._total_train_tokens = kept["tokens"]
        for mode, values in kept["metrics"].items():
            trainer._metrics[mode] = defaultdict(list, values)
