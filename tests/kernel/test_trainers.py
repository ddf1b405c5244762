"""Trainers as a job builds them: twenty steps like TRL's, references kept, batches by tokens, resumed alike."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM
from trl import DPOTrainer, SFTTrainer

from tunelab.errors import SpecError
from tunelab.jobs.prepare import prepare
from tunelab.spec import CustomizeSpec
from tunelab.training import plan, speed
from tunelab.training import trainer as trainers
from tunelab.training.batches import TokenBatches
from tunelab.training.callbacks import Pace
from tunelab.training.fast import Work

BASE = {"per_device_train_batch_size": 4, "learning_rate": 3e-4, "max_steps": 20, "save_steps": 1_000_000}


def resolved(model: Path, technique: str, data: Path, **keys: Any) -> CustomizeSpec:
    """Return the spec as a job has it, on one thread and in float32, which some processors would not choose."""
    settings = BASE | keys.pop("hyperparameters", {})
    compute = {"threads": 1, "dtype": "float32"} | keys.pop("compute", {})
    given = {"name": "x", "model": str(model), "technique": technique, "dataset": str(data), "split": 0} | keys
    return prepare(CustomizeSpec(**given, hyperparameters=settings, compute=compute)).spec


def built(spec: CustomizeSpec, folder: Path) -> Any:
    """Return tunelab's trainer; what it says is in `said`."""
    said: list[str] = []
    trainer = trainers.build(spec, folder, said.append)
    trainer.said = said  # type: ignore[attr-defined]
    return trainer


def trls(spec: CustomizeSpec, folder: Path) -> Any:
    """Return TRL's own trainer for the same spec, made by hand."""
    model, tokenizer = trainers.policy(spec.model_copy(update={"compute": FLOAT32}), "cpu", print)
    train, _ = trainers.tables(spec, tokenizer)
    made = {"sft": SFTTrainer, "dpo": DPOTrainer}[spec.technique]
    return made(
        model=model,
        args=trainers.arguments(spec, folder, has_held_out=False),
        train_dataset=train,
        processing_class=tokenizer,
        peft_config=trainers.lora_config(spec) if spec.adapter.type == "lora" else None,
    )


FLOAT32 = CustomizeSpec(
    name="x", model="x", technique="sft", dataset="x", compute={"device": "cpu", "dtype": "float32", "threads": 1}
).compute
LORA, FULL = {"dropout": 0.0}, {"type": "full"}
DPO = [
    ("llama", LORA, {}),
    ("qwen3", LORA, {"label_smoothing": 0.1}),
    ("gemma3", LORA, {"loss_type": ["ipo"]}),
    ("gpt-neox", LORA, {"loss_type": ["hinge"]}),
    ("llama", FULL, {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.5]}),
    ("llama", LORA, {"loss_type": ["robust"], "label_smoothing": 0.1, "use_weighting": True}),
    ("qwen3", FULL, {"loss_type": ["apo_zero"], "ld_alpha": 0.5, "gradient_accumulation_steps": 2, "max_steps": 10}),
]
SFT = [
    ("llama", LORA, {}),
    ("qwen3", FULL, {"max_length": 64}),
    ("gemma3", LORA, {"loss_type": "dft"}),
    ("gpt-neox", FULL, {"gradient_accumulation_steps": 2, "max_steps": 10}),
    ("llama", LORA, {"packing": True, "max_length": 192, "num_train_epochs": 20}),
]


@pytest.mark.parametrize(
    ("technique", "family", "adapter", "settings"),
    [*(("dpo", *case) for case in DPO), *(("sft", *case) for case in SFT)],
)
def test_twenty_steps_are_trls(
    workspace: Path,
    tiny_models: dict[str, Path],
    pairs: Path,
    answers: Path,
    technique: str,
    family: str,
    adapter: dict[str, Any],
    settings: dict[str, Any],
) -> None:
    data = pairs if technique == "dpo" else answers
    spec = resolved(tiny_models[family], technique, data, adapter=adapter, hyperparameters=settings)
    ours, theirs = built(spec, workspace / "ours"), trls(spec, workspace / "theirs")
    assert ours.spec.compute.kernels == "fast", ours.said
    logs = []
    for trainer in (ours, theirs):
        trainer.train()
        logs.append([entry for entry in trainer.state.log_history if "loss" in entry])
    assert len(logs[0]) == spec.hyperparameters["max_steps"]
    for mine, its in zip(*logs, strict=True):
        assert mine.keys() == its.keys()
        for name, value in its.items():
            if name == "rewards/accuracies" and abs(its["rewards/margins"]) < 1e-5:
                continue  # a policy that is its reference is ahead of it by rounding or not at all
            assert mine[name] == pytest.approx(value, abs=1e-3, rel=1e-3), (its["step"], name)
    assert logs[0][0]["grad_norm"] == pytest.approx(logs[1][0]["grad_norm"], rel=1e-4)


def test_a_reference_is_computed_once_a_row_whatever_its_neighbours(workspace: Path, tiny: Path, pairs: Path) -> None:
    spec = resolved(tiny, "dpo", pairs, adapter=LORA, hyperparameters={"max_steps": 12})
    first = built(spec, workspace / "a")
    first.train()
    # 24 rows in two epochs of six steps of four.
    assert (first.references.computed, first.references.found) == (24, 24)
    theirs = trls(spec, workspace / "b")
    for size in (1, 6):
        inputs = first._prepare_inputs(first.data_collator([first.train_dataset[row] for row in range(size)]))
        with torch.no_grad():
            expected = theirs.compute_ref_log_probs(theirs.model, inputs)
            alone = first.compute_ref_log_probs(first.model, inputs)
        known = first.references.of(first, inputs)
        for kept, computed, its in zip(known, alone, expected, strict=True):
            assert torch.equal(kept, computed)
            torch.testing.assert_close(kept, its, atol=1e-3, rtol=1e-5)

    second = built(spec, workspace / "c")
    second.train()
    assert (second.references.computed, second.references.found) == (0, 48)
    again = [entry["loss"] for entry in second.state.log_history if "loss" in entry]
    assert again == [entry["loss"] for entry in first.state.log_history if "loss" in entry]


def test_other_weights_and_other_cuts_are_other_references(
    workspace: Path, tiny_models: dict[str, Path], pairs: Path, tmp_path: Path
) -> None:
    keys: dict[str, Any] = {"adapter": LORA, "hyperparameters": {"max_steps": 1}}
    built(resolved(tiny_models["llama"], "dpo", pairs, **keys), workspace / "a").train()
    other = tmp_path / "other"
    torch.manual_seed(5)
    config = AutoModelForCausalLM.from_pretrained(tiny_models["llama"]).config
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(other)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (other / name).write_bytes((tiny_models["llama"] / name).read_bytes())
    for model, length in ((other, 1024), (tiny_models["llama"], 96)):
        keys["hyperparameters"] = {"max_steps": 1, "max_length": length}
        trainer = built(resolved(model, "dpo", pairs, **keys), workspace / "b")
        trainer.train()
        assert trainer.references.computed == 4, (model.name, length)


def test_full_fine_tuning_has_no_second_copy_of_the_weights(workspace: Path, tiny: Path, pairs: Path) -> None:
    spec = resolved(tiny, "dpo", pairs, adapter=FULL, hyperparameters={"num_train_epochs": 2, "max_steps": -1})
    trainer = built(spec, workspace / "a")
    assert spec.hyperparameters["precompute_ref_log_probs"]
    assert trainer.ref_model is None
    assert trainer.references.computed == 24
    trainer.train()
    assert trainer.references.computed == 24


@pytest.mark.parametrize("technique", ["sft", "dpo"])
@pytest.mark.parametrize("budget", [None, 700])
def test_a_resumed_run_ends_in_the_same_bytes(
    workspace: Path, tiny: Path, pairs: Path, answers: Path, technique: str, budget: int | None
) -> None:
    data = pairs if technique == "dpo" else answers
    settings = {"max_steps": -1, "num_train_epochs": 2, "save_steps": 5, "gradient_accumulation_steps": 2}
    settings["per_device_train_batch_size"] = 2
    compute = {"tokens_per_batch": budget}
    spec = resolved(tiny, technique, data, adapter={"dropout": 0.1}, hyperparameters=settings, compute=compute)
    whole = built(spec, workspace / "whole")
    whole.train()
    assert whole.state.global_step > 5
    resumed = built(spec, workspace / "whole")
    resumed.train(resume_from_checkpoint=str(workspace / "whole" / "checkpoint-5"))
    for (name, a), b in zip(whole.model.named_parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b), name
    losses = [[entry["loss"] for entry in run.state.log_history if "loss" in entry] for run in (whole, resumed)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize(("budget", "seed"), [*itertools.product([10, 100, 1000], [0, 1])])
def test_batches_keep_the_budget_and_every_row_comes_once(budget: int, seed: int) -> None:
    draw = torch.Generator().manual_seed(3)
    lengths = torch.randint(3, 60, (157,), generator=draw).tolist()
    batches = TokenBatches(lengths, budget, seed)
    epochs = []
    for epoch in range(2):
        batches.set_epoch(epoch)
        epochs.append(list(batches))
        assert sorted(itertools.chain(*epochs[-1])) == list(range(157))
        assert all(len(rows) == 1 or sum(lengths[row] for row in rows) <= budget for rows in epochs[-1])
        assert len(epochs[-1]) == len(batches)
    assert epochs[0] != epochs[1]
    assert list(TokenBatches(lengths, budget, seed)) == epochs[0]
    spread = max(max(lengths[row] for row in rows) - min(lengths[row] for row in rows) for rows in epochs[0])
    assert spread < 60 if budget == 1000 else spread <= 12, "rows of like length are together"


def test_a_budget_of_tokens_makes_the_steps(workspace: Path, tiny: Path, answers: Path) -> None:
    settings = {"max_steps": -1, "num_train_epochs": 2}
    spec = resolved(tiny, "sft", answers, hyperparameters=settings, compute={"tokens_per_batch": 500})
    trainer = built(spec, workspace / "a")
    seen: list[int] = []
    collate = trainer.data_collator
    trainer.data_collator = lambda rows: seen.append(sum(len(row["input_ids"]) for row in rows)) or collate(rows)
    trainer.train()
    assert trainer.state.global_step == len(seen) == 2 * len(trainer.token_batches)
    assert max(seen) <= 500
    assert plan.measure(spec.model_dump(mode="json"))["steps"] == trainer.state.global_step


def test_what_the_machine_chose_is_in_the_spec_and_done_again(workspace: Path, tiny: Path, answers: Path) -> None:
    spec = resolved(tiny, "sft", answers, compute={"dtype": None})
    assert (spec.compute.dtype, spec.compute.kernels) == (None, None)
    trainer = built(spec, workspace / "a")
    chosen = trainer.spec
    assert (chosen.compute.dtype, chosen.compute.kernels) == (speed.machine("cpu").dtype, "fast")
    assert chosen.hyperparameters["gradient_checkpointing"] is False
    assert any("GFLOP/s" in line for line in trainer.said), "it says why"
    again = built(prepare(chosen).spec, workspace / "b")
    assert again.spec == chosen
    assert not any("GFLOP/s" in line for line in again.said)


def test_activations_are_computed_twice_where_memory_is_short(
    workspace: Path, tiny: Path, answers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunelab.training import settle

    spec = resolved(tiny, "sft", answers, adapter=LORA)
    plain = built(spec, workspace / "a")
    needed = settle.memory(plain, plain.spec)
    plain.train()
    monkeypatch.setattr(settle, "free", lambda trainer: needed)
    short = built(spec, workspace / "b")
    assert short.spec.hyperparameters["gradient_checkpointing"] is True
    assert any(line.startswith("activations are computed twice") for line in short.said)
    short.train()
    assert short.model.get_base_model().is_activation_checkpointing
    losses = [[entry["loss"] for entry in run.state.log_history if "loss" in entry] for run in (plain, short)]
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)


def test_memory_is_what_autograd_keeps(workspace: Path, tiny: Path, answers: Path) -> None:
    from tunelab.training import settle

    small = resolved(tiny, "sft", answers, adapter=LORA, hyperparameters={"per_device_train_batch_size": 1})
    large = resolved(tiny, "sft", answers, adapter=LORA, hyperparameters={"per_device_train_batch_size": 8})
    trainer = built(small, workspace / "a")
    one, eight = settle.memory(trainer, trainer.spec), settle.memory(trainer, large)
    lengths = sorted((len(row["input_ids"]) for row in trainer.train_dataset), reverse=True)
    trained = 12 * sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    assert (eight - trained) / (one - trained) == pytest.approx(sum(lengths[:8]) / lengths[0])


def test_bfloat16_is_chosen_where_it_is_really_faster() -> None:
    assert speed.Speed(100e9, 125e9).dtype == "float32"
    assert speed.Speed(100e9, 200e9).dtype == "bfloat16"
    assert speed.Speed(100e9).dtype == "float32"


def test_the_machine_is_measured_once(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = speed.machine("cpu")
    assert first.float32 > 1e8
    monkeypatch.setattr(speed, "rate", lambda *_: pytest.fail("it is known"))
    assert speed.machine("cpu") == first


def test_the_pace_is_the_share_of_what_the_machine_can_do(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 2.0, 10.0, 14.0])
    monkeypatch.setattr("tunelab.training.callbacks.time.monotonic", lambda: next(clock))
    work = Work()
    pace = Pace(work, rate=100.0)
    pace.begin()
    work.operations += 120
    assert pace.end() == pytest.approx(120 / 2 / 100)
    pace.begin()
    work.operations += 240
    assert pace.end() == pytest.approx(360 / 6 / 100), "the time between steps does not count"
    assert Pace(None, 100.0).end() is None


def test_operations_are_counted_by_hand(workspace: Path, tiny: Path, answers: Path) -> None:
    trainer = built(resolved(tiny, "sft", answers, adapter=LORA), workspace / "a")
    rows = [trainer.train_dataset[row] for row in range(2)]
    inputs = trainer._prepare_inputs(trainer.data_collator(rows))
    before = trainer.work.operations
    trainer.compute_loss(trainer.model, inputs)
    tokens = sum(len(row["input_ids"]) for row in rows)
    targets = sum(label != -100 for row in rows for label in row["labels"][1:])
    # Of the tiny Llama: q, o 32x32, k, v 32x16, three of the MLP 32x64, in two layers; rank 16 beside each.
    frozen = 2 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64)
    adapters = 2 * 16 * (2 * (32 + 32) + 2 * (32 + 16) + 3 * (32 + 64))
    head = 512 * 32
    expected = tokens * (4 * frozen + 6 * adapters) + targets * 4 * head
    assert trainer.work.operations - before == expected


def test_what_trl_refuses_is_said_in_trls_words(workspace: Path, tiny: Path, pairs: Path) -> None:
    spec = resolved(tiny, "dpo", pairs, hyperparameters={"loss_type": ["exo_pair"]})
    with pytest.raises(SpecError, match=r"TRL refuses these settings: Label smoothing must be greater than 0\.0"):
        built(spec, workspace / "a")
