"""Going on from a custom model or a checkpoint: what is carried on, what comes out, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

import tunelab as tl
from tunelab.models import find
from tunelab.registry import index
from tunelab.training import joined

SMALL: dict[str, Any] = {
    "max_steps": 2,
    "per_device_train_batch_size": 2,
    "learning_rate": 5e-3,
    "logging_steps": 1,
    "warmup_steps": 0,
}
ON_ONE_THREAD = {"threads": 1, "dtype": "float32"}
IDS = torch.arange(3, 40).reshape(1, -1)


def _adapter(base: Path, folder: Path, seed: int, **settings: Any) -> Path:
    """Write an adapter with weights that say something, as B is zero in a new one."""
    torch.manual_seed(seed)
    model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), peft.LoraConfig(**settings))
    for name, weight in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=0.1)
    model.save_pretrained(folder)
    return folder


def _logits(base: Path, *adapters: Path) -> torch.Tensor:
    """Return what plain transformers and PEFT compute, each adapter merged before the next is put on."""
    model: Any = AutoModelForCausalLM.from_pretrained(base)
    for folder in adapters:
        model = peft.PeftModel.from_pretrained(model, folder).merge_and_unload()
    with torch.no_grad():
        return model(IDS).logits


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"r": 4, "lora_alpha": 8}, {"r": 4, "lora_alpha": 8}),
        ({"r": 2, "lora_alpha": 16}, {"r": 6, "lora_alpha": 3}),
        ({"r": 4, "target_modules": ["q_proj", "v_proj"]}, {"r": 8, "target_modules": ["v_proj", "down_proj"]}),
        ({"r": 4, "use_rslora": True}, {"r": 2, "rank_pattern": {"q_proj": 6}, "alpha_pattern": {"q_proj": 5}}),
        ({"r": 4, "target_modules": r".*layers\.0\..*down_proj"}, {"r": 4, "target_modules": ["up_proj"]}),
    ],
    ids=["alike", "ranks and scales", "modules", "rank-stabilized, patterns", "a pattern of modules"],
)
def test_two_adapters_joined_do_what_one_after_the_other_did(
    first: dict[str, Any], second: dict[str, Any], tiny: Path, tmp_path: Path
) -> None:
    common = {"target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    before = _adapter(tiny, tmp_path / "before", 1, **(common | first))
    after = _adapter(tiny, tmp_path / "after", 2, **(common | second))
    joined.join(before, after, tmp_path / "both")
    wanted = _logits(tiny, before, after)
    assert not torch.allclose(wanted, _logits(tiny, after), atol=1e-2), "the first adapter says something"
    torch.testing.assert_close(_logits(tiny, tmp_path / "both"), wanted, atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Any:
    """SFT, then DPO on it in each way; all jobs have ended."""
    import os

    home = tmp_path_factory.mktemp("chain")
    kept = {name: os.environ.get(name) for name in ("TUNELAB_HOME", "XDG_CACHE_HOME")}
    os.environ |= {"TUNELAB_HOME": str(home / "home"), "XDG_CACHE_HOME": str(home / "cache")}
    samples = Path(__file__).parents[2] / "notebooks" / "data"

    def run(name: str, technique: str, sample: str, model: str, **keys: Any) -> tl.Job:
        rows = [json.loads(line) for line in (samples / sample).read_text(encoding="utf-8").splitlines()[:12]]
        given = {"split": 4, "compute": ON_ONE_THREAD, "hyperparameters": SMALL} | keys
        job = tl.customize(name=name, technique=technique, model=model, dataset=rows, **given)
        assert job.wait(progress=False).state == "completed", job.logs()
        return job

    jobs = {"sft": run("sft", "sft", "reminders.jsonl", str(tiny), hyperparameters=SMALL | {"save_steps": 1})}
    jobs["further"] = run("further", "dpo", "everyday.jsonl", "sft@1")
    jobs["merged"] = run(
        "merged", "dpo", "everyday.jsonl", "sft@1", adapter={"carry": "merge", "r": 4, "alpha": 8},
        hyperparameters=SMALL | {"save_steps": 1},
    )  # fmt: skip
    jobs["again"] = run(
        "again", "sft", "reminders.jsonl", "sft:step-1", hyperparameters=SMALL | {"eval_on_start": True}
    )
    yield jobs
    for name, value in kept.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


def test_each_names_what_it_was_continued_from_and_sits_on_the_base_of_both(
    chain: dict[str, tl.Job], tiny: Path
) -> None:
    found = {name: tl.model(f"{name}@1") for name in chain}
    assert {name: model.parent for name, model in found.items()} == {
        "sft": None, "further": "sft@1", "merged": "sft@1", "again": "sft@1:step-1",
    }  # fmt: skip
    assert {model.base for model in found.values()} == {str(tiny)}
    before = index.entries()
    tl.models(refresh=True)
    assert index.entries() == before


def test_what_is_merged_and_new_is_registered_as_one_adapter(chain: dict[str, tl.Job], tiny: Path) -> None:
    model, job = tl.model("merged@1"), chain["merged"]
    assert job.spec["adapter"] | {"dropout": 0} == {
        "type": "lora", "r": 4, "alpha": 8, "dropout": 0, "target_modules": "all-linear", "carry": "merge",
    }  # fmt: skip
    parent = tl.model("sft@1").path
    own = job.folder.checkpoint(2)
    assert json.loads((own / "adapter_config.json").read_text())["r"] == 4
    assert json.loads((model.path / "adapter_config.json").read_text())["r"] == 4 + chain["sft"].spec["adapter"]["r"]
    torch.testing.assert_close(_logits(tiny, model.path), _logits(tiny, parent, own), atol=1e-5, rtol=1e-5)
    # A checkpoint stands for both as well.
    ref = find.find("merged@1:step-1")
    assert ref.folder is not None and ref.base is not None
    both = _logits(tiny, parent, job.folder.checkpoint(1))
    torch.testing.assert_close(_logits(tiny, ref.folder), both, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(both, _logits(tiny, model.path), atol=1e-5)


def test_a_new_adapter_s_reference_is_the_parent_and_not_the_bare_base(chain: dict[str, tl.Job]) -> None:
    for name in ("further", "merged"):
        metrics = chain[name].metrics()
        # At the first step policy and reference are one, so no answer is preferred yet.
        assert metrics["loss"].dropna().iloc[0] == pytest.approx(0.693147, abs=1e-4)
    further, merged = (chain[name].metrics()["logps/chosen"].dropna().iloc[0] for name in ("further", "merged"))
    assert further == pytest.approx(merged, rel=1e-4)


def test_a_checkpoint_is_gone_on_from_where_it_was(chain: dict[str, tl.Job]) -> None:
    before = chain["sft"].metrics()["eval_loss"]
    after = chain["again"].metrics()["eval_loss"]
    # The same rows are held out of both: the second starts at the loss of the first one's checkpoint.
    assert after.iloc[0] < before.iloc[0]


def test_an_adapter_that_is_trained_further_keeps_rank_and_modules(chain: dict[str, tl.Job]) -> None:
    parent, child = (load_file(tl.model(f"{name}@1").path / joined.WEIGHTS) for name in ("sft", "further"))
    assert {key: value.shape for key, value in parent.items()} == {key: value.shape for key, value in child.items()}
    assert chain["further"].spec["adapter"]["carry"] == "further"
    assert chain["further"].spec["adapter"]["r"] == chain["sft"].spec["adapter"]["r"]


@pytest.mark.parametrize(
    ("adapter", "model", "said"),
    [
        ({"r": 2}, "sft@1", "adapter.r is 2, and the adapter of sft@1, which is trained further, has 16"),
        ({"alpha": 5}, "sft", "adapter.alpha is 5"),
        ({"target_modules": ["q_proj"]}, "sft", "adapter.target_modules is"),
        ({"carry": "merge"}, None, "has no adapter to carry on: it is a base model"),
        ({"type": "full", "carry": "merge"}, "sft", "with type 'full' there is no carry"),
        ({"carry": "both"}, "sft", "adapter.carry: "),
    ],
)
def test_what_cannot_be_carried_on_is_refused_before_anything_starts(
    adapter: dict[str, Any], model: str | None, said: str, chain: dict[str, tl.Job], tiny: Path
) -> None:
    before = len(tl.jobs())
    with pytest.raises(tl.SpecError, match=said.replace("'", ".")):
        tl.customize(
            name="no", technique="sft", model=model or str(tiny), dataset=chain["sft"].spec["dataset"], adapter=adapter
        )
    assert len(tl.jobs()) == before


def test_an_adapter_on_a_fully_trained_model_sits_on_that_model(chain: dict[str, tl.Job], tiny: Path) -> None:
    rows = chain["sft"].spec["dataset"]
    keys: dict[str, Any] = {"technique": "sft", "dataset": rows, "split": 4, "compute": ON_ONE_THREAD}
    full = tl.customize(name="whole", model="sft@1", adapter={"type": "full"}, hyperparameters=SMALL, **keys)
    assert full.wait(progress=False).state == "completed", full.logs()
    child = tl.customize(name="on-whole", model="whole", hyperparameters=SMALL, **keys)
    assert child.wait(progress=False).state == "completed", child.logs()
    model = tl.model("on-whole")
    assert (model.base, model.parent) == ("whole@1", "whole@1")
    ref = find.find("on-whole")
    assert ref.base is not None and ref.base.folder == tl.model("whole").path
