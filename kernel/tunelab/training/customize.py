"""The work of a customize job: train with TRL, keep the checkpoints, leave the model in the job's `adapter` folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import peft
from transformers import PrinterCallback

from tunelab.data import Dataset
from tunelab.jobs import windows
from tunelab.jobs.context import Context, Paused, Stopped
from tunelab.jobs.folder import UNFINISHED
from tunelab.models import find
from tunelab.spec import CustomizeSpec
from tunelab.training import fit, joined, reinforce, speed
from tunelab.training import trainer as trainers
from tunelab.training.callbacks import NOT_THE_MODEL, CheckpointCallback, JournalCallback, Pace, sync_tree
from tunelab.training.watching import watch


def run(context: Context) -> None:
    """Train as the job's spec says.

    Raises
    ------
    Stopped
        If the job was asked to stop; the last step is saved.
    Paused
        If a feedback model cannot be asked.
    Error
        If the model cannot be loaded or TRL refuses the settings.
    """
    folder = context.folder
    spec = CustomizeSpec.model_validate(folder.spec())
    aside = folder.checkpoints / UNFINISHED
    for unfinished in (aside, folder.adapter):
        # What a worker that was killed had begun to write.
        shutil.rmtree(unfinished, ignore_errors=True)
    aside.mkdir(parents=True)
    begin = folder.newest_step()
    checkpoint = folder.checkpoint(begin) if begin else None
    if checkpoint is None:
        trainer: Any = fit.build(spec, aside, context.say, folder.first_step, folder.path)
    else:
        trainer = trainers.build(spec, aside, context.say, folder.path)
    with reinforce.closing(trainer):
        _train(context, trainer, checkpoint, begin)


def _train(context: Context, trainer: Any, checkpoint: Path | None, begin: int) -> None:
    """Train from a checkpoint, or from the start, to the end, and save the model."""
    folder, aside = context.folder, context.folder.checkpoints / UNFINISHED
    # What the machine chose is part of the job: a recovery and a replay of the spec do the same.
    spec = trainer.spec
    if checkpoint is None:
        _tell_of_the_data(context, spec.dataset, trainer)
    folder.write_spec(spec.model_dump(mode="json"))
    if context.stop.is_set():
        raise Stopped
    window, metric = 1, "eval_loss"
    if spec.is_reinforcement:
        window, metric = windows.window(spec.hyperparameters), "eval_reward"
        watch(trainer, context)
    by_time = "save_steps" not in spec.hyperparameters or spec.keep == "best"
    parent = find.find(spec.model).folder if spec.adapter.carry == "merge" else None
    keeper = CheckpointCallback(context, by_time, metric, window, parent)
    held_out = len(trainer.eval_dataset) if trainer.eval_dataset is not None else 0
    rate = speed.rate(trainer.model.device.type, spec.compute.dtype or "float32")
    trainer.add_callback(JournalCallback(context, held_out, Pace(trainer.work, rate), window))
    trainer.add_callback(keeper)
    # Its lines are the journal's metrics once more.
    trainer.remove_callback(PrinterCallback)
    trained, total = trainer.model.num_parameters(only_trainable=True), trainer.model.num_parameters()
    context.say(
        f"training {trained / 1e6:.2f} M of {total / 1e6:.1f} M weights on {spec.compute.device} in "
        f"{spec.compute.dtype}, {spec.compute.threads} thread{'' if spec.compute.threads == 1 else 's'}"
        + (f", from step {begin} on" if begin else "")
    )
    try:
        trainer.resume(checkpoint)
    except reinforce.Stuck as error:
        raise Paused(
            f"{error} Nothing is lost: when it can be asked, tl.job('{folder.id}').resume() goes on from step "
            f"{folder.newest_step()}."
        ) from error
    except Exception as error:
        if fit.is_out_of_memory(error):
            raise MemoryError(str(error)) from error
        raise
    shutil.rmtree(aside, ignore_errors=True)
    if trainer.state.global_step < trainer.state.max_steps:
        raise Stopped
    keeper.take_over(trainer.state)
    best = keeper.best() if spec.keep == "best" else None
    if best is None:
        _save(trainer, folder.adapter)
        if parent is not None:
            joined.join(parent, folder.adapter, folder.adapter)
    else:
        which = "lowest held-out loss" if metric == "eval_loss" else "highest held-out reward"
        context.say(f"the model is the checkpoint of step {best}, the {which} ({keeper.figures[best]:.4f})")
        if keeper.was_better_before and keeper.before is not None:
            context.say(f"before the first step it was no worse ({keeper.before:.4f}): nothing was won", "warning")
        chosen = folder.checkpoint(best) / find.WHOLE if parent is not None else folder.checkpoint(best)
        shutil.copytree(chosen, folder.adapter, ignore=shutil.ignore_patterns(*NOT_THE_MODEL))
    shutil.copy(folder.spec_file, folder.adapter / "tunelab.yaml")
    sync_tree(folder.adapter)


def _tell_of_the_data(context: Context, name: str, trainer: Any) -> None:
    """Put into the log what there is to know of the rows: how they were mapped, and what warns."""
    report = Dataset.get(name).report
    form, columns = report.mapping
    if any(field != origin for field, origin in columns):
        context.say(f"{name} is of the form {form}: " + ", ".join(f"{field} ← {origin}" for field, origin in columns))
    for found in report.warnings:
        # How many are cut with this model and these settings, the trainer knows better.
        if found.kind != "length":
            context.say(f"{name}: {found.message}", "warning")
    for warning in trainer.warnings:
        context.say(warning, "warning")
    if overlap := context.folder.facts().get("overlap"):
        rows = "1 held-out row has a prompt" if overlap == 1 else f"{overlap:,} held-out rows have a prompt"
        context.say(f"{rows} that is trained on as well, so held-out figures look better than they are", "warning")


def _save(trainer: Any, target: Path) -> None:
    """Save the model as safetensors, with tokenizer and chat template; no pickle among the files."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    if isinstance(model, peft.PeftModel):
        # DPO from an adapter adds a frozen copy of it as "ref", which is no part of the result.
        model.save_pretrained(str(target), safe_serialization=True, selected_adapters=["default"])
    else:
        model.save_pretrained(str(target), safe_serialization=True)
    trainer.processing_class.save_pretrained(str(target))
