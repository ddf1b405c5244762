"""Training gives what TRL gives for the same settings, and the same bytes twice."""

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import tunelab as tl

QUICK = {"max_steps": 4, "per_device_train_batch_size": 4, "per_device_eval_batch_size": 4, "learning_rate": 1e-3}


def _train(model: Path, technique: str, data: Path, **keys: Any) -> tl.Job:
    hyperparameters = QUICK | keys.pop("hyperparameters", {})
    job = tl.customize(
        model=str(model), technique=technique, dataset=str(data), name="small", hyperparameters=hyperparameters, **keys
    )
    job.wait(timeout=300, progress=False)
    assert job.state == "completed", job.logs()
    return job


def _trl_losses(job: tl.Job, data: Path) -> dict[int, dict[str, float]]:
    """Call TRL by hand with what the job's resolved spec says, and return its log by step."""
    import peft
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    spec = job.spec
    config, trainer_class = {"sft": (SFTConfig, SFTTrainer), "dpo": (DPOConfig, DPOTrainer)}[spec["technique"]]
    rows = [json.loads(line) for line in data.read_text(encoding="utf-8").splitlines()]
    turn = {"prompt": "user", "completion": "assistant", "chosen": "assistant", "rejected": "assistant"}
    chats = [{key: [{"role": turn[key], "content": text}] for key, text in row.items()} for row in rows]
    torch.set_num_threads(spec["compute"]["threads"])
    adapter = spec["adapter"]
    trainer = trainer_class(
        model=AutoModelForCausalLM.from_pretrained(spec["model"], dtype=torch.float32),
        args=config(
            output_dir=str(data.parent / "trl"),
            use_cpu=True,
            bf16=False,
            seed=spec["seed"],
            data_seed=spec["seed"],
            report_to="none",
            **{k: v for k, v in spec["hyperparameters"].items() if k not in ("save_steps",)},
            save_strategy="no",
        ),
        train_dataset=Dataset.from_list(chats),
        processing_class=AutoTokenizer.from_pretrained(spec["model"]),
        peft_config=None
        if adapter["type"] == "full"
        else peft.LoraConfig(
            r=adapter["r"],
            lora_alpha=adapter["alpha"],
            lora_dropout=adapter["dropout"],
            target_modules=adapter["target_modules"],
            task_type="CAUSAL_LM",
        ),
    )
    trainer.train()
    return {entry["step"]: entry for entry in trainer.state.log_history if "loss" in entry}


# The fast path draws dropout for other shapes than TRL's, so equal losses are to be had without dropout alone.
NO_DROPOUT = {"dropout": 0.0}


@pytest.mark.parametrize(
    ("technique", "adapter", "family", "kernels"),
    [
        *itertools.product(["sft", "dpo"], [NO_DROPOUT], ["llama", "qwen3", "gemma3"], ["fast"]),
        *itertools.product(["sft", "dpo"], [{"type": "full"}], ["llama"], ["fast", "trl"]),
        *itertools.product(["sft", "dpo"], [{"dropout": 0.1}], ["llama"], ["trl"]),
    ],
)
def test_losses_equal_trl_called_by_hand(
    workspace: Path,
    tiny_models: dict[str, Path],
    pairs: Path,
    answers: Path,
    technique: str,
    adapter: dict[str, Any],
    family: str,
    kernels: str,
) -> None:
    data = pairs if technique == "dpo" else answers
    given = None if kernels == "fast" else kernels
    job = _train(
        tiny_models[family], technique, data, split=0, adapter=adapter, compute={"kernels": given, "dtype": "float32"}
    )
    assert tl.job(job.id).spec["compute"]["kernels"] == kernels, job.logs()
    expected = _trl_losses(job, data)
    found = job.metrics()
    keys = ["loss", "grad_norm", "entropy", "mean_token_accuracy"]
    keys += ["rewards/margins", "rewards/chosen", "logps/rejected"] if technique == "dpo" else []
    assert list(found.index) == sorted(expected) == [1, 2, 3, 4]
    for step, entry in expected.items():
        for key in keys:
            assert found.loc[step, key] == pytest.approx(entry[key], abs=1e-4, rel=1e-4), (step, key)


def test_the_same_spec_twice_is_the_same_adapter_to_the_byte(workspace: Path, tiny: Path, pairs: Path) -> None:
    keys = {"split": 4, "hyperparameters": {"gradient_accumulation_steps": 2}, "adapter": {"dropout": 0.2}}
    one, two = (_train(tiny, "dpo", pairs, **keys) for _ in range(2))
    other = _train(tiny, "dpo", pairs, **keys, seed=7)
    files = [job.folder.adapter / "adapter_model.safetensors" for job in (one, two, other)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert files[0].read_bytes() != files[2].read_bytes()


def test_keep_best_registers_the_checkpoint_with_the_lowest_held_out_loss(
    workspace: Path, tiny: Path, answers: Path
) -> None:
    # A rate far too high makes the held-out loss rise again, so that the best is not the last.
    hyperparameters = {"max_steps": 12, "learning_rate": 0.01, "eval_steps": 2, "lr_scheduler_type": "constant"}
    job = _train(tiny, "sft", answers, split=8, keep="best", hyperparameters={**hyperparameters, "warmup_steps": 0},
                 adapter={"type": "full"})  # fmt: skip
    losses = job.metrics()["eval_loss"].dropna().drop(index=0)
    best = int(losses.idxmin())
    kept = job.folder.checkpoints / f"step-{best}" / "model.safetensors"
    assert (job.folder.adapter / "model.safetensors").read_bytes() == kept.read_bytes()
    assert f"step {best}" in job.logs()
    assert not list(job.folder.adapter.glob("*.pt")) + list(job.folder.adapter.glob("*.bin"))


def test_checkpoints_are_marked_and_the_last_two_are_kept(workspace: Path, tiny: Path, answers: Path) -> None:
    job = _train(tiny, "sft", answers, split=0, hyperparameters={"max_steps": 6, "save_steps": 1})
    assert sorted(path.name for path in job.folder.checkpoints.iterdir()) == ["step-5", "step-6"]
    assert all((path / ".complete").exists() for path in job.folder.checkpoints.iterdir())


def test_training_goes_on_from_a_custom_model(workspace: Path, tiny: Path, answers: Path, pairs: Path) -> None:
    first = _train(tiny, "sft", answers, split=4)
    assert first.model == "small@1"
    second = tl.customize(
        model="small@1", technique="dpo", dataset=str(pairs), name="small", split=4, hyperparameters=QUICK
    ).wait(300, progress=False)
    assert second.model == "small@2", second.logs()
    # The reference of DPO is the model it starts from: before the first step there is no margin.
    assert second.metrics().loc[0, "eval_rewards/margins"] == 0.0
    held_out = tl.customize(
        model="small@1", technique="sft", dataset="answers", name="more", split=4, hyperparameters=QUICK
    ).wait(300, progress=False)
    assert held_out.metrics().loc[0, "eval_loss"] == pytest.approx(first.metrics().loc[4, "eval_loss"], abs=1e-4)


def test_plain_text_and_conversations_train_alike_where_the_template_says_so(
    workspace: Path, tiny: Path, answers: Path
) -> None:
    rows = [json.loads(line) for line in answers.read_text(encoding="utf-8").splitlines()]
    chat = [
        {
            "prompt": [{"role": "user", "content": row["prompt"]}],
            "completion": [{"role": "assistant", "content": row["completion"]}],
        }
        for row in rows
    ]
    plain = _train(tiny, "sft", answers, split=0).metrics()["loss"]
    turned = tl.customize(
        model=str(tiny), technique="sft", dataset=chat, name="small", split=0, hyperparameters=QUICK
    ).wait(300, progress=False)
    bare = _train(tiny, "sft", answers, split=0, chat_template="none").metrics()["loss"]
    assert list(turned.metrics()["loss"]) == list(plain)
    assert list(bare) != list(plain)


def test_messages_train(workspace: Path, tiny: Path) -> None:
    rows = [
        {"messages": [{"role": "user", "content": f"say {n}"}, {"role": "assistant", "content": f"it is {n}"}]}
        for n in range(16)
    ]
    job = tl.customize(model=str(tiny), technique="sft", dataset=rows, name="m", split=2, hyperparameters=QUICK)
    assert job.wait(300, progress=False).state == "completed", job.logs()


def test_a_plan_counts_what_training_would_do(workspace: Path, tiny: Path, answers: Path) -> None:
    from transformers import AutoTokenizer

    hyperparameters = {"max_length": 128, "num_train_epochs": 2, "per_device_train_batch_size": 4}
    plan = tl.customize(
        model=str(tiny), technique="sft", dataset=str(answers), name="p", split=4, dry_run=True,
        hyperparameters=hyperparameters,
    )  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    rows = [json.loads(line) for line in answers.read_text(encoding="utf-8").splitlines()]
    lengths = [
        len(
            tokenizer.apply_chat_template(
                [{"role": "user", "content": r["prompt"]}, {"role": "assistant", "content": r["completion"]}],
                tokenize=True, return_dict=False,
            )
        )
        for r in rows
    ]  # fmt: skip
    assert plan.longest == max(lengths)
    assert plan.cut_rows == sum(length > 128 for length in lengths)
    assert plan.tokens + plan.eval_tokens == sum(min(length, 128) for length in lengths)
    assert (plan.train_rows, plan.eval_rows, plan.steps) == (20, 4, 10)
    assert plan.time_s > 0
    assert plan.memory_bytes > 0
    assert len(tl.jobs()) == 0
    again = tl.customize(plan.to_yaml(), dry_run=True)
    assert again.spec == plan.spec


def test_settings_that_trl_refuses_end_the_job_with_trls_reason(workspace: Path, tiny: Path, pairs: Path) -> None:
    job = tl.customize(
        model=str(tiny),
        technique="dpo",
        dataset=str(pairs),
        name="x",
        hyperparameters={"loss_type": ["exo_pair"], **QUICK},
    ).wait(120, progress=False)
    assert job.state == "failed"
    assert "TRL refuses these settings: Label smoothing must be greater than 0.0" in (job.view().reason or "")


def test_a_model_without_chat_template_trains_on_plain_text(workspace: Path, tiny: Path, answers: Path) -> None:
    bare = workspace.parent / "bare"
    shutil.copytree(tiny, bare)
    (bare / "chat_template.jinja").unlink()
    job = _train(bare, "sft", answers, split=4)
    assert "rows are used as plain text" in job.logs()
