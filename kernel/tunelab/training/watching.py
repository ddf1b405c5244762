"""What is told of a reinforcement run while it goes: every answer with its reward, and alarms with advice."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from tunelab.jobs.context import Context
from tunelab.jobs.journal import read, standing
from tunelab.training.alarms import Alarms
from tunelab.training.reinforce import Answer

#: Texts beyond so many characters are not kept.
_LONGEST = {"prompt": 20_000, "completion": 20_000, "note": 500}


def watch(trainer: Any, context: Context) -> None:
    """Let a trainer's answers and alarms go to the job's journal, and its waiting end when the job is to stop."""
    said = standing(read(context.folder.journal))
    trainer.told = Answers(context, has_begun=any(event["type"] == "sample" for event in said))
    trainer.stopped = context.stop.is_set
    trainer.say = context.say
    held_out = 0 if trainer.eval_dataset is None else len(trainer.eval_dataset)
    trainer.add_callback(AlarmCallback(context, Alarms.refold(said, held_out * (trainer.num_generations_eval or 1))))


class Answers:
    """Writes answers to the journal, a `sample` each.

    Parameters
    ----------
    has_begun
        Whether an earlier worker has told of the answers before the first step, which are not told twice.
    """

    def __init__(self, context: Context, has_begun: bool) -> None:
        self.context = context
        self.has_begun = has_begun

    def __call__(self, step: int, held_out: bool, answers: list[Answer]) -> None:
        """Write the answers that were sampled together."""
        if step == 0 and self.has_begun:
            return
        for answer in answers:
            said = answer.sample()
            cut = {name: said[name][:most] for name, most in _LONGEST.items()}
            self.context.journal.append("sample", step=step, held_out=held_out, **said | cut)


class AlarmCallback(TrainerCallback):
    """Looks at each logged step for what goes wrong in silence."""

    def __init__(self, context: Context, alarms: Alarms) -> None:
        self.context = context
        self.alarms = alarms

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Write what rings."""
        values = {name: float(v) for name, v in (logs or {}).items() if isinstance(v, (int, float))}
        for alert in self.alarms.look(state.global_step, values):
            self.context.journal.append(
                "alert", code=alert.code, message=alert.message, advice=alert.advice, step=state.global_step
            )
