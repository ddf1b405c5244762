"""A reinforcement job tried before it starts: answers sampled and scored as in training, and a step made of them."""

from __future__ import annotations

import contextlib
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from tunelab import task, workspace
from tunelab.errors import ModelError
from tunelab.jobs import windows
from tunelab.jobs.prepare import evaluations, steps
from tunelab.spec import CustomizeSpec
from tunelab.training import fit, reinforce
from tunelab.training import trainer as trainers

#: At least so many prompts are answered, evenly spread over the rows to train on.
_PROMPTS = 8


def measure(spec: CustomizeSpec, files: dict[str, str]) -> dict[str, Any]:
    """Return an estimate of steps, seconds and bytes for a resolved spec, and the answers that it rests on.

    ``samples`` are answers of the model as it is before training, each as `sampled` gives it: the reward can be judged
    by them.
    """
    with _built(spec, files) as trainer:
        return _measured(trainer.spec, trainer)


def answer(spec: dict[str, Any], files: dict[str, str], prompts: int) -> dict[str, Any]:
    """Return answers to so many prompts, as training would sample and score them, and the seconds that it took."""
    with _built(CustomizeSpec.model_validate(spec), files) as trainer:
        group = trainer.spec.hyperparameters["num_generations"]
        places = _spread(min(prompts, len(trainer.train_dataset)), len(trainer.train_dataset))
        each = windows.sampled(trainer.spec.hyperparameters) // group
        samples: list[dict[str, Any]] = []
        seconds = 0.0
        for begin in range(0, len(places), each):
            task.say(f"sampling and scoring, {begin} of {len(places)} prompts done")
            rows = [trainer.train_dataset[place] for place in places[begin : begin + each]]
            found, _, taken = sampled(trainer, rows, group)
            samples += [one | {"group": one["group"] + begin} for one in found]
            seconds += taken
        return {"samples": samples, "seconds": seconds}


@contextlib.contextmanager
def _built(spec: CustomizeSpec, files: dict[str, str]) -> Iterator[Any]:
    """Build a job's trainer in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="tunelab-") as name:
        folder = Path(name)
        for file, text in files.items():
            workspace.write_text(folder / file, text)
        trainer: Any = trainers.build(spec, folder, task.say, folder)
        # A feedback model that is away is not waited for.
        trainer.stopped = lambda: True
        with reinforce.closing(trainer):
            try:
                yield trainer
            except reinforce.Stuck as error:
                raise ModelError(str(error)) from error


def _spread(count: int, rows: int) -> list[int]:
    """Return the places of so many rows, evenly spread."""
    return [round(place * (rows - 1) / max(1, count - 1)) for place in range(count)]


def sampled(
    trainer: Any, rows: list[dict[str, Any]], answers: int
) -> tuple[list[dict[str, Any]], dict[str, Any], float]:
    """Answer prompts as in training, and return the answers with their rewards, TRL's batch, and the seconds taken.

    An answer has the keys of the journal's ``sample``: prompt, completion, reward, parts, group, row, cut, tokens,
    status, note.
    """
    found: list[dict[str, Any]] = []

    def hear(step: int, held_out: bool, answered: list[reinforce.Answer]) -> None:
        found.extend(answer.sample() for answer in answered)

    trainer.told, before = hear, trainer.told
    trainer.model.train()
    begin = time.perf_counter()
    try:
        batch = trainer._generate_and_score_completions([row for row in rows for _ in range(answers)])
    finally:
        trainer.told = before
    return found, batch, time.perf_counter() - begin


def _measured(spec: CustomizeSpec, trainer: Any) -> dict[str, Any]:
    settings, count = spec.hyperparameters, len(trainer.train_dataset)
    group = settings["num_generations"]
    prompts = windows.sampled(settings) // group
    rounds = max(2, -(-_PROMPTS // prompts))
    places = _spread(rounds * prompts, count)
    samples: list[dict[str, Any]] = []
    times: list[float] = []
    for turn in range(rounds):
        task.say(f"sampling and scoring {prompts * group} answers ({turn + 1} of {rounds})")
        rows = [trainer.train_dataset[place] for place in places[turn * prompts : (turn + 1) * prompts]]
        found, batch, seconds = sampled(trainer, rows, group)
        samples += [one | {"group": one["group"] + turn * prompts} for one in found]
        times.append(seconds)
    task.say("one step")
    size, accumulated = settings["per_device_train_batch_size"], settings.get("gradient_accumulation_steps", 1)
    begin = time.perf_counter()
    # The batch that was sampled is cut into as many as a generation has.
    fit.forward_backward(trainer, _cut(batch, size))
    training_s = (time.perf_counter() - begin) * accumulated
    trainer.model.zero_grad(set_to_none=True)

    total = steps(settings, count)
    # The first round also brings what the others find there.
    sampling_s = statistics.median(times[1:])
    per_step = accumulated / (windows.per_generation(settings) * settings.get("num_iterations", 1))
    held = len(trainer.eval_dataset) if trainer.eval_dataset is not None else 0
    answers = held * (settings.get("num_generations_eval") or group)
    eval_s = evaluations(settings, total) * answers * sampling_s / (prompts * group) if held else 0.0
    lengths = trainer.prompt_lengths()
    step_s = sampling_s * per_step + training_s
    trained = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    return {
        "tokens": sum(lengths),
        "eval_tokens": sum(trainer.prompt_lengths(trainer.eval_dataset)) if held else 0,
        "longest": max(lengths),
        "median": int(statistics.median(lengths)),
        "cut_rows": sum(one["cut"] for one in samples),
        "cut_tokens": 0,
        "steps": total,
        "step_s": step_s,
        "eval_s": eval_s,
        "time_s": total * step_s + eval_s,
        "memory_bytes": peak(spec) + trained * 8,
        "trained": trained,
        "sampling_s": sampling_s * per_step,
        "samples": samples,
    }


def _cut(batch: dict[str, Any], rows: int) -> dict[str, Any]:
    return {
        name: value[:rows] if isinstance(value, torch.Tensor) and value.ndim else value for name, value in batch.items()
    }


def peak(spec: CustomizeSpec) -> int:
    """Return the most bytes that this process has taken on the device."""
    assert spec.compute.device is not None
    if spec.compute.device.startswith("cuda"):
        return int(torch.cuda.max_memory_allocated())
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most if sys.platform == "darwin" else most * 1024)


__all__ = ["answer", "measure", "peak", "sampled"]
