"""What happens at the trainer's turns: metrics and progress go to the journal, checkpoints are finished and kept."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections import deque
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tunelab.jobs.context import Context
from tunelab.jobs.folder import COMPLETE, disk_bytes
from tunelab.jobs.journal import read, standing
from tunelab.models.find import WHOLE
from tunelab.training import joined
from tunelab.training.fast.forward import Work

_PROGRESS_EVERY_S = 0.2
#: The trainer's summaries of a whole run or evaluation, which are no points of a curve.
_SUMMARIES = ("train_", "total_flos", "eval_runtime", "eval_samples_per_second", "eval_steps_per_second", "step")
#: The least seconds, and the least share of the run, between two checkpoints that nobody asked for, and the most that
#: all of them may cost of it.
_CHECKPOINT_EVERY_S, _CHECKPOINT_SHARE, _CHECKPOINT_COST = 120.0, 0.05, 0.03

#: Files of a checkpoint that are the trainer's and not the model's.
NOT_THE_MODEL = (
    "optimizer.*",
    "scheduler.*",
    "rng_state*",
    "trainer_state.json",
    "training_args.bin",
    COMPLETE,
    WHOLE,
    "tunelab.json",
    "ref",
)
#: How much room a checkpoint is to have, in sizes of the last one.
_ROOM = 1.2


class Pace:
    """How much of the machine's matrix rate the last steps used, held-out evaluations aside.

    Parameters
    ----------
    work
        What the forward pass counts, or None where TRL's own does not.
    rate
        Operations a second that the machine was measured to do.
    """

    def __init__(self, work: Work | None, rate: float) -> None:
        self.work = work
        self.rate = rate
        self._begin = (0.0, 0.0)
        self._steps: deque[tuple[float, float]] = deque(maxlen=8)

    def begin(self) -> None:
        """Note the begin of a step."""
        self._begin = (time.monotonic(), self.work.operations if self.work else 0.0)

    def end(self) -> float | None:
        """Note the end of a step, and return the share that the last steps used, from 0 to about 1."""
        if self.work is None:
            return None
        begun, before = self._begin
        self._steps.append((time.monotonic() - begun, self.work.operations - before))
        seconds = sum(taken for taken, _ in self._steps)
        return sum(done for _, done in self._steps) / seconds / self.rate


class JournalCallback(TrainerCallback):
    """Writes progress and metrics to the journal, evaluates at the end, and stops when the job is asked to.

    Parameters
    ----------
    window
        The job can stop, and go on as if it had not, after each so many steps.
    """

    def __init__(self, context: Context, held_out_rows: int, pace: Pace, window: int = 1) -> None:
        self.context = context
        self.window = window
        #: Whether an earlier worker has evaluated before the first step, and said so.
        self._has_begun = False
        self.held_out_rows = held_out_rows
        self.pace = pace
        self._told = 0.0
        self._begin: tuple[int, float] | None = None
        self._evaluating = 0.0
        self._evaluated_s = 0.0
        self._one_evaluation_s = 0.0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Look whether what comes before the first step was said; a run that goes on from a later one has said it."""
        if state.global_step == 0:
            said = standing(read(self.context.folder.journal))
            self._has_begun = any(event["type"] == "metric" for event in said)

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start the clock of the step."""
        self.pace.begin()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Tell the progress; ask for the last evaluation and checkpoint, or for the stop."""
        step, total = state.global_step, state.max_steps
        now = time.monotonic()
        share = self.pace.end()
        if self._begin is None:
            # The first step also warms up: the pace is taken from there on.
            self._begin, self._evaluated_s = (step, now), 0.0
        if now - self._told >= _PROGRESS_EVERY_S or step >= total or self.context.stop.is_set():
            self._told = now
            done, since = step - self._begin[0], now - self._begin[1] - self._evaluated_s
            eta = (total - step) * since / done + self._evaluations_s(state) if done > 0 else None
            self.context.journal.append("progress", step=step, total=total, eta_s=eta, share=share)
        if step >= total:
            # The end of the run also where it is asked to stop: what is resumed later would have nothing to do.
            control.should_save = True
            control.should_evaluate = self.held_out_rows > 0
        elif self.context.stop.is_set() and step % self.window == 0:
            control.should_save = control.should_training_stop = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Write the metrics under TRL's own names."""
        values = {
            name: float(value) if isinstance(value, (int, float)) else None
            for name, value in (logs or {}).items()
            if not name.startswith(_SUMMARIES)
        }
        if values.keys() - {"epoch"} and not (self._has_begun and state.global_step == 0):
            self.context.journal.append("metric", step=state.global_step, values=values)

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Say once that an evaluation has begun, which can take as long as many steps."""
        if not self._evaluating:
            self._evaluating = time.monotonic()
            self.context.say(f"evaluating on {self.held_out_rows:,} held-out rows")

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Say what came out, and take the evaluation's time out of the time per step."""
        if self._evaluating:
            self._one_evaluation_s = time.monotonic() - self._evaluating
            self._evaluated_s += self._one_evaluation_s
            self._evaluating = 0.0
        if self.context.stop.is_set() and state.global_step > 0 and state.global_step % self.window == 0:
            control.should_save = control.should_training_stop = True

    def _evaluations_s(self, state: TrainerState) -> float:
        """Return the seconds of the evaluations to come, each as long as the last one."""
        if not self.held_out_rows or not state.eval_steps:
            return 0.0
        every, step, total = int(state.eval_steps), state.global_step, state.max_steps
        left = total // every - step // every + (total % every > 0)
        return left * self._one_evaluation_s


class CheckpointCallback(TrainerCallback):
    """Says when to save, turns what was written aside into `checkpoints/step-N`, and keeps the last two and the best.

    Parameters
    ----------
    context
        The job.
    by_time
        Whether a checkpoint is due when two minutes of work, or a twentieth of the run, could be lost; where the user
        gave ``save_steps``, only then.
    metric
        The held-out metric by which a checkpoint is the best: the lowest ``eval_loss`` or the highest ``eval_reward``.
    window
        A checkpoint can be made after each so many steps.
    parent
        The folder of the adapter that was merged before the training: a checkpoint holds it and its own as one, too.
    """

    def __init__(
        self,
        context: Context,
        by_time: bool,
        metric: str = "eval_loss",
        window: int = 1,
        parent: Path | None = None,
    ) -> None:
        self.context = context
        self.parent = parent
        self.by_time = by_time
        self.metric = metric
        self.window = window
        #: The held-out metric by step, and before the first one.
        self.figures: dict[int, float] = {}
        self.before: float | None = None
        self._saved = time.monotonic()
        self._began = time.monotonic()
        self._first_step = 0
        self._asked: float | None = None
        self._cost_s = 0.0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start the clocks, and take over what an earlier worker has done."""
        self._saved = self._began = time.monotonic()
        self._first_step = state.global_step
        self.take_over(state)

    def take_over(self, state: TrainerState) -> None:
        """Learn what was evaluated before a checkpoint."""
        for entry in state.log_history:
            if (figure := entry.get(self.metric)) is not None and math.isfinite(figure):
                self._note(int(entry["step"]), entry[self.metric])

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Ask for a checkpoint where one is due."""
        now = time.monotonic()
        done = state.global_step - self._first_step
        whole_run_s = (now - self._began) / done * state.max_steps
        every = max(_CHECKPOINT_EVERY_S, _CHECKPOINT_SHARE * whole_run_s, self._cost_s / _CHECKPOINT_COST)
        if self.by_time and now - self._saved >= every and state.global_step % self.window == 0:
            control.should_save = True
        self._note_save(control, now)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Note the held-out figure of this step, and keep its weights if it is the best so far."""
        figure = (metrics or {}).get(self.metric)
        if figure is not None and not math.isfinite(figure):
            # No held-out answer has a reward.
            figure = None
        if figure is not None and state.global_step > 0:
            is_best = all(self._order(figure) < self._order(before) for before in self.figures.values())
            if self.by_time and is_best and state.global_step % self.window == 0:
                control.should_save = True
        if figure is not None:
            self._note(state.global_step, figure)
        self._note_save(control, time.monotonic())

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Sync, mark and rename the checkpoint; then remove those that are not needed."""
        step = state.global_step
        assert args.output_dir is not None
        aside = Path(args.output_dir) / f"checkpoint-{step}"
        target = self.context.folder.checkpoint(step)
        if self.parent is not None:
            shutil.copytree(aside, aside / WHOLE, ignore=shutil.ignore_patterns(*NOT_THE_MODEL))
            joined.join(self.parent, aside, aside / WHOLE)
            shutil.copy(self.context.folder.spec_file, aside / WHOLE / "tunelab.yaml")
        sync_tree(aside)
        # A checkpoint that is there stands for all that was said up to its step.
        self.context.journal.sync()
        (aside / COMPLETE).touch()
        _sync(aside / COMPLETE)
        _sync(aside)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(aside, target)
        _sync(target.parent)
        self.context.journal.append("checkpoint", step=step, path=str(target))
        self._keep(step)
        self._done()

    def best(self) -> int | None:
        """Return the step with the best held-out figure whose checkpoint is there."""
        there = self.context.folder.checkpoint_steps()
        figures = {step: figure for step, figure in self.figures.items() if step in there}
        return min(figures, key=lambda step: (self._order(figures[step]), step)) if figures else None

    @property
    def was_better_before(self) -> bool:
        """Whether no checkpoint is better than the model was before the first step."""
        return self.before is not None and all(
            self._order(self.before) <= self._order(f) for f in self.figures.values()
        )

    def _note(self, step: int, figure: float) -> None:
        if step == 0:
            self.before = figure
        else:
            self.figures[step] = figure

    def _order(self, figure: float) -> float:
        return figure if self.metric == "eval_loss" else -figure

    def _note_save(self, control: TrainerControl, now: float) -> None:
        """Start the clock of a checkpoint, and make room for it: the older of two is of less use than a newer one."""
        if not control.should_save:
            return
        self._asked = now
        steps = self.context.folder.checkpoint_steps()
        if len(steps) < 2:
            return
        newest = self.context.folder.checkpoint(steps[-1])
        size = disk_bytes(newest)
        spare = [step for step in steps[:-1] if step != self.best()]
        if spare and shutil.disk_usage(newest).free < _ROOM * size:
            shutil.rmtree(self.context.folder.checkpoint(spare[0]), ignore_errors=True)

    def _done(self) -> None:
        """Stop the clock of a checkpoint."""
        self._saved = time.monotonic()
        self._cost_s = self._saved - (self._saved if self._asked is None else self._asked)
        self._asked = None

    def _keep(self, newest: int) -> None:
        found = self.context.folder.checkpoint_steps()
        kept = {*found[-2:], newest, self.best()}
        for step in found:
            if step not in kept:
                shutil.rmtree(self.context.folder.checkpoint(step), ignore_errors=True)


def sync_tree(folder: Path) -> None:
    """Return when all files in a folder are on the disk."""
    for path in folder.rglob("*"):
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
