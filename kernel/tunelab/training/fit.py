"""One real step with the longest rows before the first: what would run out of memory does so now, and says what fits.

The effective batch, and with it what is learned, stays the same: a smaller batch has as many more accumulated.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import gc
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tunelab import workspace
from tunelab.errors import SpecError
from tunelab.jobs import memory
from tunelab.spec import CustomizeSpec
from tunelab.training import reinforce, settle
from tunelab.training import trainer as trainers
from tunelab.training.need import Need, Settings, checkpointed, measure

#: Rows are not cut to fewer tokens than this, and to multiples of it.
_FEWEST_TOKENS = 32
#: The share of a step that is to stay free beside it: later steps find memory in pieces, and are not all alike.
_RESERVE = 0.1
#: How those that do not allocate by Python or by CUDA say that there is no memory.
#: oneDNN has no words of its own for it: a product that gets no room for its scratchpad "could not create a primitive".
_NO_MEMORY = (
    "allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "create a memory object",
    "create a primitive",
)


def build(
    spec: CustomizeSpec, output_dir: Path, say: Callable[[str], None], note: Path, files: Path | None = None
) -> Any:
    """Return the trainer for a resolved spec as `trainer.build` does, after a step with its longest rows has fitted.

    Parameters
    ----------
    spec, output_dir, say, files
        As `trainer.build` takes them. With ``compute.fit`` the trainer's `spec` has the settings that fit.
    note
        The file that says why, if the system kills the process in that step.

    Raises
    ------
    SpecError
        If it does not fit; the message has the settings that would.
    """
    while True:
        trainer: Any = trainers.build(spec, output_dir, say, files)
        spec = first_step(trainer, trainer.spec, say, note)
        if spec is trainer.spec:
            return trainer
        with reinforce.closing(trainer):
            pass
        # Both would be in memory else.
        del trainer
        gc.collect()


def first_step(trainer: Any, spec: CustomizeSpec, say: Callable[[str], None], note: Path) -> CustomizeSpec:
    """Make one real step with the longest rows, and return `spec` itself if it fits in memory.

    No trace is left of it: neither in the weights, nor in random states, metrics or counters. Where it does not fit,
    by reckoning or in truth, and the spec has ``compute.fit``, another spec is returned, whose trainer is to be built
    and tried anew.

    Parameters
    ----------
    trainer
        As `trainer.build` returns it, before it has trained.
    spec
        The trainer's.
    say
        Told what is changed and why.
    note
        A file that holds the message during the step: the system may kill the process, which cannot say it then.

    Raises
    ------
    SpecError
        If it does not fit; the message has the settings that would.
    """
    with memory.given_back(), _without_trace(trainer):
        need = measure(trainer, spec)
    settings, free = Settings.of(spec), settle.free(trainer)
    needed, what = need.bytes(settings), _described(need, settings)
    room = free
    if needed <= free:
        # What fails against the reckoning does so by no more than was free: the proposal is to need less than this did.
        room = min(free, needed)
        reckoned = f"{what} was reckoned to need about {_gb(needed)}, and {_gb(free)} were free"
        killed = f"Out of memory: {reckoned}, but the system killed the worker."
        workspace.write_text(note, f"{killed} {_advice(settings, choose(need, settings, room), need)}\n")
        try:
            fits = _fits(trainer, longest(trainer, need, settings), int(_RESERVE * needed))
        finally:
            note.unlink(missing_ok=True)
        if fits:
            say(f"{what} fits in memory")
            return spec
        wrong = f"{reckoned}, but it ran out of memory"
    else:
        wrong = f"{what} needs about {_gb(needed)}, and {_gb(free)} are free"
    proposal = choose(need, settings, room)
    if not spec.compute.fit or proposal is None:
        raise SpecError(f"Out of memory: {wrong}. {_advice(settings, proposal, need)}")
    say(f"{wrong}: trained with {_changes(settings, proposal)}, {_kept_the_same(settings, proposal)}")
    return applied(spec, settings, proposal)


def choose(need: Need, settings: Settings, room: float) -> Settings | None:
    """Return the settings nearest to the given ones whose steps take at most `room` bytes; None where none do.

    A smaller batch comes first, then activations computed twice, and where one row is too long, rows cut off.
    """
    smaller = list(_smaller(settings, int(need.lengths(settings.max_length).max())))
    twice = [] if settings.checkpointing else [settings, *smaller]
    candidates = [*smaller, *(dataclasses.replace(each, checkpointing=True) for each in twice)]
    # Near the limit a reckoning may be wrong; cutting rows off is worse than to try it.
    for share in (settle.ROOM, 1.0):
        for candidate in candidates:
            if need.bytes(candidate) <= share * room and need.bytes(candidate) < need.bytes(settings):
                return candidate
    # Answers are as long as they are sampled, and prompts are not cut.
    return _cut(need, settings, settle.ROOM * room) if need.can_cut else None


def applied(spec: CustomizeSpec, settings: Settings, proposal: Settings) -> CustomizeSpec:
    """Return a spec with what a proposal changes."""
    changed = _hyperparameters(settings, proposal)
    compute = spec.compute.model_copy(update={"tokens_per_batch": proposal.budget})
    if (given := spec.hyperparameters.get("steps_per_generation")) is not None:
        # As many answers are sampled at a time as before, and cut into smaller batches.
        changed["steps_per_generation"] = given * proposal.accumulation // settings.accumulation
    hyperparameters = dict(sorted((spec.hyperparameters | changed).items()))
    return spec.model_copy(update={"hyperparameters": hyperparameters, "compute": compute})


def longest(trainer: Any, need: Need, settings: Settings) -> list[int]:
    """Return the rows of the batch that computes the most tokens."""
    lengths = need.lengths(settings.max_length)
    if trainer.token_batches is None:
        return [int(row) for row in np.argsort(-lengths, kind="stable")[: settings.rows]]
    found: list[int] = max(trainer.token_batches.batches, key=lambda rows: _computed(need, lengths[rows]))
    return found


def prepared(trainer: Any, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the batch of some rows as `compute_loss` takes it; any reference serves, and none is computed."""
    if trainer.spec.is_reinforcement:
        prompt = max(trainer.prompt_lengths({"prompt": [row["prompt"] for row in rows]}))
        return reinforce.batch(trainer, trainer.spec, len(rows), prompt)
    inputs: dict[str, Any] = trainer._prepare_inputs(trainer.data_collator(rows))
    if trainer.spec.technique == "dpo":
        none = torch.zeros(len(rows), device=inputs["input_ids"].device)
        inputs |= {"ref_chosen_logps": none, "ref_rejected_logps": none}
    return inputs


def forward_backward(trainer: Any, inputs: dict[str, Any]) -> None:
    """Make one forward and backward pass as the trainer does, leaving the gradients."""
    trainer.model.train()
    twice = checkpointed(trainer) if trainer.args.activation_checkpointing else contextlib.nullcontext()
    with twice:
        # What `prepare` puts around the model when the trainer begins to train.
        with trainer.accelerator.autocast():
            loss = trainer.compute_loss(trainer.model, inputs)
        loss.backward()
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _computed(need: Need, lengths: Any) -> int:
    return int(lengths.max() * len(lengths) if need.padded else lengths.sum())


def _fits(trainer: Any, rows: list[int], reserve: int) -> bool:
    """Tell whether a step with these rows fits beside what a later step finds: moments, and accumulated gradients."""
    numbers = 3 if trainer.args.gradient_accumulation_steps > 1 else 2
    held: list[torch.Tensor] = []
    with memory.given_back(), _without_trace(trainer):
        try:
            weights = [weight for weight in trainer.model.parameters() if weight.requires_grad]
            # Ones, since memory that nothing was written to is not taken yet.
            held += [torch.ones_like(weight) for weight in weights for _ in range(numbers)]
            held.append(torch.ones(reserve, dtype=torch.uint8, device=trainer.model.device))
            forward_backward(trainer, prepared(trainer, [trainer.train_dataset[row] for row in rows]))
            return True
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        finally:
            held.clear()
    return False


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that there is no memory, as torch has many ways to."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _NO_MEMORY)


@contextlib.contextmanager
def _without_trace(trainer: Any) -> Iterator[None]:
    """Set back what a step changes: random states, gradients, metrics, counters, and whether the model trains."""
    device = trainer.model.device
    other = torch.get_device_module(device) if device.type != "cpu" else None
    states = random.getstate(), np.random.get_state(), torch.get_rng_state(), other and other.get_rng_state()
    metrics, tokens = copy.deepcopy(trainer._metrics), trainer._total_train_tokens
    operations, training = trainer.work and trainer.work.operations, trainer.model.training
    try:
        yield
    finally:
        trainer.model.zero_grad(set_to_none=True)
        trainer.model.train(training)
        trainer._metrics, trainer._total_train_tokens = metrics, tokens
        if trainer.work is not None:
            trainer.work.operations = operations
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        if other is not None:
            other.set_rng_state(states[3])
        # An error of the step holds what it had computed.
        gc.collect()


def _smaller(settings: Settings, longest_row: int) -> Iterator[Settings]:
    """Yield settings with a smaller batch and the same effective one, the largest batch first.

    A budget is halved until the longest row is a batch of its own, since no row is divided.
    """
    if settings.budget:
        halved = settings
        while halved.budget and halved.budget > longest_row:
            halved = dataclasses.replace(halved, budget=halved.budget // 2, accumulation=halved.accumulation * 2)
            yield halved
        return
    for rows in range(settings.rows - 1, 0, -1):
        if settings.rows % rows == 0:
            yield dataclasses.replace(settings, rows=rows, accumulation=settings.accumulation * (settings.rows // rows))


def _cut(need: Need, settings: Settings, room: float) -> Settings | None:
    """Return the settings with rows cut to as many tokens as fit one by one; None where too few would be left."""

    def one_row(tokens: int) -> Settings:
        least = list(_smaller(settings, tokens * 2 if need.sides[:, 1].any() else tokens))
        return dataclasses.replace(least[-1] if least else settings, checkpointing=True, max_length=tokens)

    fits, high = 0, (int(need.sides.max()) - 1) // _FEWEST_TOKENS
    if settings.max_length is not None:
        high = min(high, (settings.max_length - 1) // _FEWEST_TOKENS)
    while fits < high:
        middle = (fits + high + 1) // 2
        if need.bytes(one_row(middle * _FEWEST_TOKENS)) <= room:
            fits = middle
        else:
            high = middle - 1
    return one_row(fits * _FEWEST_TOKENS) if fits else None


def _hyperparameters(settings: Settings, proposal: Settings) -> dict[str, Any]:
    names = {
        "per_device_train_batch_size": "rows",
        "gradient_accumulation_steps": "accumulation",
        "gradient_checkpointing": "checkpointing",
        "max_length": "max_length",
    }
    return {
        name: getattr(proposal, field)
        for name, field in names.items()
        if getattr(proposal, field) != getattr(settings, field)
    }


def _described(need: Need, settings: Settings) -> str:
    tokens = f"{need.tokens(settings):,} tokens"
    if settings.budget:
        return f"a step with the longest rows ({tokens})"
    rows = min(settings.rows, len(need.sides))
    return f"a step with the longest row{'s' if rows > 1 else ''} ({rows} row{'s' if rows > 1 else ''}, {tokens})"


def _changes(settings: Settings, proposal: Settings) -> str:
    """Return a proposal as what `--set` takes."""
    changed = _hyperparameters(settings, proposal)
    if proposal.budget != settings.budget:
        changed = {"compute.tokens_per_batch": proposal.budget} | changed
    return " ".join(f"{name}={str(value).lower() if value is True else value}" for name, value in changed.items())


def _kept_the_same(settings: Settings, proposal: Settings) -> str:
    if settings.budget:
        same = f"the same effective batch of {settings.budget * settings.accumulation:,} tokens"
    else:
        same = f"the same effective batch of {settings.rows * settings.accumulation}"
    if proposal.max_length == settings.max_length:
        return f"with {same}"
    return f"with {same}, but what rows have beyond {proposal.max_length} tokens is cut off"


def _advice(settings: Settings, proposal: Settings | None, need: Need) -> str:
    if proposal is not None:
        flags = " ".join(f"--set {change}" for change in _changes(settings, proposal).split(" "))
        return f"This fits, {_kept_the_same(settings, proposal)}: {flags}. --fit (compute.fit: true) does it by itself."
    least = dataclasses.replace(
        settings, rows=1, budget=settings.budget and 1, checkpointing=True, max_length=_FEWEST_TOKENS
    )
    return (
        f"No batch and no length fits: one row cut to {_FEWEST_TOKENS} tokens needs about {_gb(need.bytes(least))}, of "
        f"which {_gb(need.trained)} are for gradients and the optimizer. Make room, or train a smaller model, or an "
        "adapter with a smaller adapter.r."
    )


def _gb(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
