"""The step before the first: what does not fit says what would, or trains so, and a step that fits leaves no trace."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_trainers import built, resolved
from transformers import AutoConfig, AutoModelForCausalLM

from tunelab.jobs import memory
from tunelab.jobs.prepare import prepare
from tunelab.training import fit, settle
from tunelab.training.fast import forward
from tunelab.training.fast.row import pack
from tunelab.training.need import Need, Settings, measure, sides

#: Rows of 100, 80, 60, … tokens; 10 bytes a token, 4 where activations are computed twice; 1000 for what is trained.
LENGTHS = (100, 80, 60, 40, 20, 20, 20, 20)
NEED = Need(np.array([[length, 0, 0] for length in LENGTHS]), kept=10, kept_twice=4, trained=1000, padded=False)
PADDED = dataclasses.replace(NEED, padded=True)
#: Pairs of which the first 30 tokens are computed once.
PAIRS = Need(np.array([[100, 90, 30], [60, 50, 30]]), kept=10, kept_twice=4, trained=0, padded=False)
EIGHT = Settings(rows=8, accumulation=1, checkpointing=False, max_length=1024, budget=None)
BUDGET = Settings(rows=8, accumulation=1, checkpointing=False, max_length=1024, budget=320)


def changed(settings: Settings, **changes: Any) -> Settings:
    return dataclasses.replace(settings, **changes)


BYTES = {
    "all eight": (NEED, EIGHT, 1000 + 10 * 360),
    "the longest four": (NEED, changed(EIGHT, rows=4), 1000 + 10 * 280),
    "computed twice": (NEED, changed(EIGHT, checkpointing=True), 1000 + 4 * 360),
    "cut": (NEED, changed(EIGHT, max_length=50), 1000 + 10 * (50 * 3 + 40 + 4 * 20)),
    "padded to the longest": (PADDED, changed(EIGHT, rows=4), 1000 + 10 * 400),
    "fewer rows than the batch": (PADDED, changed(EIGHT, rows=16), 1000 + 10 * 800),
    "a budget": (NEED, BUDGET, 1000 + 10 * 320),
    "a budget above all rows": (NEED, changed(BUDGET, budget=10_000), 1000 + 10 * 360),
    "a budget below the longest row": (NEED, changed(BUDGET, budget=64), 1000 + 10 * 100),
    "pairs with a common prompt": (PAIRS, changed(EIGHT, rows=2), 10 * (160 + 80)),
    "pairs cut": (PAIRS, changed(EIGHT, rows=1, max_length=40), 10 * (40 + 40 - 30)),
    "pairs cut within the prompt": (PAIRS, changed(EIGHT, rows=1, max_length=20), 10 * 20),
}


@pytest.mark.parametrize(("need", "settings", "expected"), BYTES.values(), ids=BYTES.keys())
def test_bytes_of_a_step_by_hand(need: Need, settings: Settings, expected: int) -> None:
    assert need.bytes(settings) == expected


#: What is chosen takes 80% of the room, and all of it only where rows would be cut off else.
CHOSEN = {
    "half the batch": (NEED, EIGHT, 3800 / 0.8, changed(EIGHT, rows=4, accumulation=2)),
    "a byte too little for half": (NEED, EIGHT, 3799 / 0.8, changed(EIGHT, rows=2, accumulation=4)),
    "one row": (NEED, EIGHT, 2000 / 0.8, changed(EIGHT, rows=1, accumulation=8)),
    "activations twice, the largest batch": (
        NEED,
        EIGHT,
        1999 / 0.8,
        changed(EIGHT, rows=2, accumulation=4, checkpointing=True),
    ),
    "accumulated before": (
        NEED,
        changed(EIGHT, accumulation=3),
        3800 / 0.8,
        changed(EIGHT, rows=4, accumulation=6),
    ),
    "only divisors": (
        NEED,
        changed(EIGHT, rows=6),
        (1000 + 10 * 240) / 0.8,
        changed(EIGHT, rows=3, accumulation=2),
    ),
    "padded": (PADDED, EIGHT, 5000 / 0.8, changed(EIGHT, rows=4, accumulation=2)),
    "nearly all of the room before rows are cut": (
        NEED,
        EIGHT,
        1400,
        changed(EIGHT, rows=1, accumulation=8, checkpointing=True),
    ),
    "29 tokens would fit, which are too few": (NEED, EIGHT, 1399, None),
    "half the budget": (NEED, BUDGET, 2600 / 0.8, changed(BUDGET, budget=160, accumulation=2)),
    "a budget of the longest row": (NEED, BUDGET, 2000 / 0.8, changed(BUDGET, budget=80, accumulation=4)),
    "a budget, activations twice": (
        NEED,
        BUDGET,
        1999 / 0.8,
        changed(BUDGET, budget=160, accumulation=2, checkpointing=True),
    ),
}


@pytest.mark.parametrize(("need", "settings", "room", "expected"), CHOSEN.values(), ids=CHOSEN.keys())
def test_what_is_chosen_by_hand(need: Need, settings: Settings, room: float, expected: Settings | None) -> None:
    assert fit.choose(need, settings, math.ceil(room)) == expected


def test_rows_are_cut_only_where_one_does_not_fit() -> None:
    long = dataclasses.replace(NEED, sides=NEED.sides * 10)
    # One row of 1,000 tokens takes 1,000 + 4 * 1,000 bytes.
    assert fit.choose(long, EIGHT, 5000) == changed(EIGHT, rows=1, accumulation=8, checkpointing=True)
    # Of 0.8 * 4,999 bytes 2,999 are for tokens, 4 bytes each: 749, or 23 times 32.
    assert fit.choose(long, EIGHT, 4999) == changed(EIGHT, rows=1, accumulation=8, checkpointing=True, max_length=736)
    cut = fit.choose(long, changed(BUDGET, budget=2000), 4999)
    assert cut == changed(BUDGET, budget=500, accumulation=4, checkpointing=True, max_length=736)
    assert fit.choose(long, EIGHT, 1000) is None


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 3000), min_size=1, max_size=40),
    rows=st.integers(1, 64),
    accumulation=st.integers(1, 8),
    checkpointing=st.booleans(),
    budget=st.none() | st.integers(1, 20_000),
    padded=st.booleans(),
    room=st.floats(1, 1e8),
)
def test_what_is_chosen_fits_and_the_effective_batch_is_the_same(
    lengths: list[int],
    rows: int,
    accumulation: int,
    checkpointing: bool,
    budget: int | None,
    padded: bool,
    room: float,
) -> None:
    need = Need(np.array([[length, 0, 0] for length in lengths]), 1000.0, 300.0, 50_000.0, padded)
    settings = Settings(rows, accumulation, checkpointing, None, budget)
    chosen = fit.choose(need, settings, room)
    if chosen is None:
        return
    assert need.bytes(chosen) <= room
    assert need.bytes(chosen) < need.bytes(settings)
    assert chosen.rows * chosen.accumulation == rows * accumulation or budget
    if budget:
        assert chosen.rows == rows
        before, after = budget * accumulation, chosen.budget * chosen.accumulation
        assert before - after < chosen.accumulation
        # No budget is halved that holds no more than the longest row as it is.
        assert chosen.budget == budget or chosen.budget * 2 + 1 >= min(max(lengths), chosen.max_length or 3000)
    assert chosen.checkpointing or not checkpointing


GROUPS = {
    "no limit": ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/b/memory.current": "500\n"}, None),
    "its own": ("0::/a/b\n", {"a/b/memory.max": "900\n", "a/b/memory.current": "500\n"}, 400),
    "what can be dropped is free": (
        "0::/a/b\n",
        {
            "a/b/memory.max": "900\n",
            "a/b/memory.current": "500\n",
            "a/b/memory.stat": "anon 100\nfile 300\nactive_file 50\ninactive_file 250\n",
        },
        650,
    ),
    "the group's around it": (
        "0::/a/b\n",
        {
            "a/b/memory.max": "max\n",
            "a/b/memory.current": "100\n",
            "a/memory.max": "1000\n",
            "a/memory.current": "700\n",
        },
        300,
    ),
    "a container's, at the top": ("0::/\n", {"memory.max": "900\n", "memory.current": "1\n"}, 899),
    "a container's, by a path from outside": ("0::/docker/x\n", {"memory.max": "900\n", "memory.current": "1\n"}, 899),
    "version 1": (
        "5:cpu:/x\n4:memory:/job\n0::/\n",
        {
            "memory/job/memory.limit_in_bytes": "2000\n",
            "memory/job/memory.usage_in_bytes": "1500\n",
            "memory/job/memory.stat": "inactive_file 5\ntotal_inactive_file 100\n",
        },
        600,
    ),
}


@pytest.mark.parametrize(("groups", "files", "expected"), GROUPS.values(), ids=GROUPS.keys())
def test_a_container_limits_what_is_free(
    tmp_path: Path, groups: str, files: dict[str, str], expected: int | None
) -> None:
    process, root = tmp_path / "process", tmp_path / "root"
    process.mkdir()
    (process / "cgroup").write_text(groups)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    assert min(memory._of_groups(process, root), default=None) == expected


def test_what_is_free_is_no_more_than_the_machine_has() -> None:
    import psutil

    assert 0 < memory.free() <= psutil.virtual_memory().total


@pytest.mark.skipif(sys.platform != "linux", reason="the limits are read from /proc")
@pytest.mark.parametrize("limit", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_ulimit_limits_what_is_free(limit: str) -> None:
    script = (
        "import resource\n"
        "from tunelab.jobs import memory\n"
        f"resource.setrlimit(resource.{limit}, (3_000_000_000, resource.RLIM_INFINITY))\n"
        "before = memory.free()\n"
        "held = bytearray(500_000_000)\n"
        "print(before, memory.free(), memory.free(fresh=True))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    before, after, fresh = (float(word) for word in done.stdout.split())
    assert before - after == pytest.approx(500_000_000, rel=0.02)
    assert after < before < fresh == 3_000_000_000


@pytest.mark.parametrize("kernels", ["fast", "trl"])
def test_tokens_of_a_step_are_those_that_are_computed(
    workspace: Path, tiny: Path, pairs: Path, kernels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = resolved(tiny, "dpo", pairs, hyperparameters={"max_length": 100}, compute={"kernels": kernels})
    trainer = built(spec, workspace / "a")
    settings, need = Settings.of(trainer.spec), measure(trainer, trainer.spec)
    rows = fit.longest(trainer, need, settings)
    inputs = fit.prepared(trainer, [trainer.train_dataset[row] for row in rows])
    if kernels == "trl":
        assert need.tokens(settings) == pytest.approx(inputs["input_ids"].numel(), rel=0.02)
        return
    seen: list[int] = []

    def counted(*given: Any, **more: Any) -> Any:
        made = pack(*given, **more)
        seen.append(made.tokens)
        return made

    monkeypatch.setattr(forward, "pack", counted)
    trainer.compute_loss(trainer.model, inputs)
    # Answers may begin alike too, which saves a few more.
    assert need.tokens(settings) == pytest.approx(sum(seen), rel=0.02)
    assert need.tokens(settings) >= sum(seen)


def test_lengths_are_those_of_the_rows(workspace: Path, tiny: Path, answers: Path) -> None:
    trainer = built(resolved(tiny, "sft", answers), workspace / "a")
    lengths = [len(row["input_ids"]) for row in trainer.train_dataset]
    assert sides(trainer, trainer.spec)[:, 0].tolist() == lengths
    chosen = trainer.train_dataset.select([5, 3])
    trainer.train_dataset = chosen
    assert sides(trainer, trainer.spec)[:, 0].tolist() == [lengths[5], lengths[3]]


def run(spec: Any, folder: Path, tried: bool) -> tuple[Any, Any]:
    trainer = built(spec, folder)
    if tried:
        note = folder.with_suffix(".txt")
        before = copy.deepcopy((trainer.work, trainer._metrics, trainer._total_train_tokens))
        assert fit.first_step(trainer, trainer.spec, trainer.said.append, note) is trainer.spec
        assert "fits in memory" in trainer.said[-1]
        assert not note.exists()
        assert (trainer.work, trainer._metrics, trainer._total_train_tokens) == before
        assert all(weight.grad is None for weight in trainer.model.parameters())
    drawn = random.random(), np.random.random(), torch.rand(1).item()
    trainer.train()
    return trainer, drawn


TRACED = {
    "dpo": ("dpo", {"dropout": 0.1}, {}, {}),
    "sft, all weights": ("sft", {"type": "full"}, {"gradient_accumulation_steps": 2}, {}),
    "sft, activations twice": ("sft", {"dropout": 0.1}, {"gradient_checkpointing": True}, {}),
    "sft, by tokens": ("sft", {"dropout": 0.1}, {}, {"tokens_per_batch": 600}),
    "sft, TRL's path": ("sft", {"dropout": 0.1}, {}, {"kernels": "trl"}),
}


@pytest.mark.parametrize(("technique", "adapter", "settings", "compute"), TRACED.values(), ids=TRACED.keys())
def test_a_step_that_fits_leaves_no_trace(
    workspace: Path,
    tiny: Path,
    pairs: Path,
    answers: Path,
    technique: str,
    adapter: dict[str, Any],
    settings: dict[str, Any],
    compute: dict[str, Any],
) -> None:
    data = pairs if technique == "dpo" else answers
    settings = {"max_steps": 6, "logging_steps": 2, **settings}
    spec = resolved(tiny, technique, data, adapter=adapter, hyperparameters=settings, compute=compute)
    (plain, drawn), (tried, drawn_after) = (run(spec, workspace / str(tries), tries) for tries in (False, True))
    assert drawn == drawn_after
    for (name, a), b in zip(plain.model.named_parameters(), tried.model.parameters(), strict=True):
        assert torch.equal(a, b), name
    timeless = [
        [
            {name: value for name, value in entry.items() if "runtime" not in name and "per_second" not in name}
            for entry in each.state.log_history
        ]
        for each in (plain, tried)
    ]
    assert timeless[0] == timeless[1]


#: Builds the trainer of a spec, then leaves its own process so many bytes of data more.
LIMITED = """
import gc, json, re, resource, sys
from pathlib import Path
from tunelab.errors import Error
from tunelab.spec import CustomizeSpec
from tunelab.training import fit, settle, settle
from tunelab.training import trainer as trainers

spec, room, reckons, folder = json.loads(sys.argv[1])
spec, folder, said = CustomizeSpec.model_validate(spec), Path(folder), []
trainer = trainers.build(spec, folder / "a", said.append)
used = int(re.search(r"VmData:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + room, resource.RLIM_INFINITY))
if not reckons:
    # What is reckoned says that it fits, and memory says that it does not.
    settle.free = lambda trainer: 1e11
answer = {"error": None, "log": None}
note = folder / "first_step.txt"
notes, loss = [], trainer.compute_loss
trainer.compute_loss = lambda *given, **more: notes.append(note.read_text()) or loss(*given, **more)
try:
    if spec.compute.fit:
        del trainer, loss
        gc.collect()
        trainer = fit.build(spec, folder / "b", said.append, note)
        answer["spec"] = trainer.spec.model_dump(mode="json")
        trainer.train()
        answer["log"] = trainer.state.log_history
    else:
        fit.first_step(trainer, trainer.spec, said.append, note)
except Error as error:
    answer["error"] = str(error)
print(json.dumps(answer | {"said": said, "notes": notes, "left": note.exists()}))
"""


@pytest.fixture(scope="session")
def larger(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny Llama made deep: a token keeps about 200 KB for the backward pass."""
    folder = tmp_path_factory.mktemp("models") / "larger"
    shutil.copytree(tiny, folder)
    config = AutoConfig.from_pretrained(tiny)
    config.update({"hidden_size": 64, "head_dim": 16, "intermediate_size": 256, "num_hidden_layers": 32})
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    return folder


def limited(spec: Any, room: float, folder: Path, reckons: bool = True) -> dict[str, Any]:
    """Return what a process says that has `room` bytes left when the trainer is there."""
    given = json.dumps([spec.model_dump(mode="json"), int(room), reckons, str(folder)])
    done = subprocess.run([sys.executable, "-c", LIMITED, given], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def short(model: Path, technique: str, data: Path, **compute: Any) -> Any:
    settings = {"max_steps": 3, "per_device_train_batch_size": 8, "gradient_checkpointing": False}
    keys: dict[str, Any] = {"adapter": {"dropout": 0.0}, "hyperparameters": settings, "compute": compute}
    return resolved(model, technique, data, **keys)


def half(spec: Any, folder: Path) -> tuple[Any, float]:
    """Return the trainer of a spec, and half of what its step needs."""
    trainer = built(spec, folder)
    return trainer, measure(trainer, trainer.spec).bytes(Settings.of(trainer.spec)) / 2


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of a process's data is Linux's")
def test_what_does_not_fit_is_refused_with_settings_that_would(workspace: Path, larger: Path, answers: Path) -> None:
    spec = short(larger, "sft", answers)
    trainer, room = half(spec, workspace / "a")
    tokens = sum(sorted((len(row["input_ids"]) for row in trainer.train_dataset), reverse=True)[:8])
    answer = limited(spec, room, workspace / "b")
    assert re.fullmatch(
        rf"Out of memory: a step with the longest rows \(8 rows, {tokens:,} tokens\) needs about "
        rf"{2 * room / 1e6:.0f} MB, and \d+ MB are free\. This fits, with the same effective batch of 8: "
        r"--set per_device_train_batch_size=[12] --set gradient_accumulation_steps=[84]\. "
        r"--fit \(compute\.fit: true\) does it by itself\.",
        answer["error"],
    ), answer["error"]
    assert answer["notes"] == [], "it was not run"

    # The reckoning is told that there is room: the step itself runs out of memory.
    answer = limited(spec, room, workspace / "c", reckons=False)
    expected = (
        f"Out of memory: a step with the longest rows (8 rows, {tokens:,} tokens) was reckoned to need about "
        f"{2 * room / 1e6:.0f} MB, and 100.0 GB were free, but "
    )
    advice = (
        " This fits, with the same effective batch of 8: --set per_device_train_batch_size=4 "
        "--set gradient_accumulation_steps=2. --fit (compute.fit: true) does it by itself."
    )
    assert answer["error"] == f"{expected}it ran out of memory.{advice}"
    assert answer["notes"] == [f"{expected}the system killed the worker.{advice}\n"]
    assert not answer["left"]


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of a process's data is Linux's")
@pytest.mark.parametrize(("technique", "reckons"), [("sft", True), ("dpo", False)])
def test_with_fit_it_trains_with_the_same_effective_batch(
    workspace: Path, larger: Path, answers: Path, pairs: Path, technique: str, reckons: bool
) -> None:
    data = pairs if technique == "dpo" else answers
    whole, room = half(short(larger, technique, data), workspace / "a")
    whole.train()
    answer = limited(short(larger, technique, data, fit=True), room, workspace / "b", reckons)
    assert answer["error"] is None
    assert not answer["left"]
    chosen = answer["spec"]["hyperparameters"]
    assert chosen["per_device_train_batch_size"] < 8
    assert chosen["per_device_train_batch_size"] * chosen["gradient_accumulation_steps"] == 8
    changes = [line for line in answer["said"] if ": trained with per_device_train_batch_size=" in line]
    assert len(changes) == 1 if reckons else changes, answer["said"]
    assert changes[-1].endswith(", with the same effective batch of 8")
    losses = [
        [(entry["step"], entry["loss"]) for entry in log if "loss" in entry]
        for log in (whole.state.log_history, answer["log"])
    ]
    assert len(losses[0]) == 3
    for (step, loss), (other_step, other) in zip(*losses, strict=True):
        assert step == other_step
        assert other == pytest.approx(loss, abs=1e-4)


def test_a_rebuilt_trainer_begins_as_a_new_one(workspace: Path, tiny: Path, answers: Path) -> None:
    """What `fit` chose is in the spec, and the job of that spec is the same to the byte."""
    spec = resolved(tiny, "sft", answers, hyperparameters={"max_steps": 2}, compute={"fit": True})
    said: list[str] = []
    fast = fit.first_step
    tries = 0

    def once_too_large(trainer: Any, spec: Any, *rest: Any) -> Any:
        nonlocal tries
        tries += 1
        with pytest.MonkeyPatch.context() as patch:
            if tries == 1:
                need = measure(trainer, spec).bytes(Settings.of(spec))
                patch.setattr(settle, "free", lambda trainer: need * 0.9)
            return fast(trainer, spec, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "first_step", once_too_large)
        fitted = fit.build(spec, workspace / "a", said.append, workspace / "first_step.txt")
    assert tries == 2
    assert fitted.spec.hyperparameters["per_device_train_batch_size"] == 2
    fitted.train()
    again = built(prepare(fitted.spec).spec, workspace / "b")
    assert again.spec == fitted.spec
    again.train()
    for (name, a), b in zip(fitted.model.named_parameters(), again.model.parameters(), strict=True):
        assert torch.equal(a, b), name


def test_other_errors_of_the_step_are_their_own(workspace: Path, tiny: Path, answers: Path) -> None:
    trainer = built(resolved(tiny, "sft", answers), workspace / "a")

    def broken(*given: Any, **more: Any) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    trainer.compute_loss = broken
    note = workspace / "first_step.txt"
    with pytest.raises(RuntimeError, match="mat1"):
        fit.first_step(trainer, trainer.spec, print, note)
    assert not note.exists()


ADVICE = {
    "activations": (
        NEED,
        EIGHT,
        changed(EIGHT, rows=2, accumulation=4, checkpointing=True),
        "This fits, with the same effective batch of 8: --set per_device_train_batch_size=2 --set "
        "gradient_accumulation_steps=4 --set gradient_checkpointing=true. --fit (compute.fit: true) does it by itself.",
    ),
    "rows cut off": (
        NEED,
        changed(EIGHT, rows=1, checkpointing=True),
        changed(EIGHT, rows=1, checkpointing=True, max_length=64),
        "This fits, with the same effective batch of 1, but what rows have beyond 64 tokens is cut off: --set "
        "max_length=64. --fit (compute.fit: true) does it by itself.",
    ),
    "a budget": (
        NEED,
        BUDGET,
        changed(BUDGET, budget=160, accumulation=2),
        "This fits, with the same effective batch of 320 tokens: --set compute.tokens_per_batch=160 --set "
        "gradient_accumulation_steps=2. --fit (compute.fit: true) does it by itself.",
    ),
    "nothing": (
        dataclasses.replace(NEED, trained=3.2e9, kept_twice=1e7),
        EIGHT,
        None,
        "No batch and no length fits: one row cut to 32 tokens needs about 3.5 GB, of which 3.2 GB are for gradients "
        "and the optimizer. Make room, or train a smaller model, or an adapter with a smaller adapter.r.",
    ),
}


@pytest.mark.parametrize(("need", "settings", "proposal", "text"), ADVICE.values(), ids=ADVICE.keys())
def test_advice_is_what_set_takes(need: Need, settings: Settings, proposal: Settings | None, text: str) -> None:
    assert fit._advice(settings, proposal, need) == text
