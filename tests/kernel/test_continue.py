"""Going on from a custom model or a checkpoint: what is carried on, what comes out, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

import tunelab as tl
from tunelab.jobs import folder as folders
from tunelab.jobs.context import Context
from tunelab.jobs.journal import Journal
from tunelab.jobs.prepare import prepare
from tunelab.models import find
from tunelab.registry import index
from tunelab.registry.tracking import RunTracker
from tunelab.spec import load
from tunelab.training import customize, joined
from tunelab.training import trainer as trainers

SMALL: dict[str, Any] = {
    "max_steps": 2,
    "per_device_train_batch_size": 2,
    "learning_rate": 5e-3,
    "logging_steps": 1,
    "eval_steps": 1,
    "save_steps": 1,
    "warmup_steps": 0,
}
SAMPLED: dict[str, Any] = SMALL | {
    "per_device_train_batch_size": 4,
    "num_generations": 4,
    "max_completion_length": 6,
    "beta": 0.1,
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
    torch.testing.assert_close(_logits(tiny, tmp_path / "both"), wanted, atol=1e-5, rtol=1e-5)


def _spec(name: str, technique: str, model: str, **keys: Any) -> dict[str, Any]:
    dataset = {"sft": "answers@1", "dpo": "pairs@1", "rlvr": "asked@1"}[technique]
    given: dict[str, Any] = {"name": name, "technique": technique, "model": model, "dataset": dataset, "split": 4}
    given |= {"compute": ON_ONE_THREAD, "hyperparameters": SMALL if technique != "rlvr" else SAMPLED}
    if technique == "rlvr":
        given["reward"] = {"preset": "length", "unit": "characters", "at_most": 8}
    return given | keys


def _made(name: str, technique: str, model: str, **keys: Any) -> tl.Job:
    """Do a job's work in this process, as worker and runner do it, and register what came of it."""
    prepared = prepare(load.customize(_spec(name, technique, model, **keys)))
    spec = prepared.spec.model_dump(mode="json")
    folder, lock = folders.create(name, spec, prepared.facts, prepared.files)
    # Held, so that nobody takes it for a job that lost its processes.
    try:
        customize.run(Context(folder, Journal(folder.journal, "worker")))
        journal = Journal(folder.journal, "runner")
        tracker = RunTracker(folder, journal)
        tracker.start()
        tracker.register()
        tracker.finish("completed", None)
        journal.append("state", state="completed", reason=None)
    finally:
        lock.release()
    return tl.job(folder.id)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Iterator[dict[str, tl.Job]]:
    """SFT, DPO on it in each way, RLVR on that, SFT from a checkpoint, and all weights: each job has ended."""
    home = tmp_path_factory.mktemp("chain")
    samples = Path(__file__).parents[2] / "notebooks" / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNELAB_HOME", str(home / "home"))
        patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for name, sample in (("answers", "reminders.jsonl"), ("pairs", "everyday.jsonl")):
            lines = (samples / sample).read_text(encoding="utf-8").splitlines()[:12]
            tl.Dataset.create(name, [json.loads(line) for line in lines])
        tl.Dataset.create("asked", [{"prompt": f"Say {number}."} for number in range(12)], technique="rlvr")

        jobs = {"sft": tl.customize(**_spec("sft", "sft", str(tiny)))}
        assert jobs["sft"].wait(progress=False).state == "completed", jobs["sft"].logs()
        shell = InteractiveShell.instance()
        shell.run_line_magic("load_ext", "tunelab")
        settings = {"split": 4, "adapter.carry": "merge", "adapter.r": 4, "adapter.alpha": 8}
        # TRL samples with an adapter's dropout, which would show as a divergence.
        settings |= {"adapter.dropout": 0.0, **SMALL}
        settings |= {f"compute.{key}": value for key, value in ON_ONE_THREAD.items()}
        line = " ".join(f"--set {key}={value}" for key, value in settings.items())
        jobs["merged"] = shell.run_line_magic("customize", f"dpo --model sft@1 --data pairs@1 --name merged {line}")
        assert jobs["merged"].wait(progress=False).state == "completed", jobs["merged"].logs()
        shell.run_line_magic("unload_ext", "tunelab")
        InteractiveShell.clear_instance()
        jobs["further"] = _made("further", "dpo", "sft@1")
        jobs["sampled"] = _made("sampled", "rlvr", "merged@1")
        jobs["again"] = _made("again", "sft", "sft:step-1", hyperparameters=SMALL | {"eval_on_start": True})
        best = {name: value for name, value in SMALL.items() if name != "save_steps"}
        jobs["best"] = _made(
            "best", "sft", "sft@1", adapter={"carry": "merge", "r": 2}, keep="best", hyperparameters=best
        )
        jobs["whole"] = _made("whole", "sft", "sft@1", adapter={"type": "full"})
        jobs["whole-on-whole"] = _made("whole-on-whole", "sft", "whole@1", adapter={"type": "full"})
        jobs["on-whole"] = _made("on-whole", "sft", "whole:step-1")
        yield jobs


def _first(job: tl.Job, metric: str) -> float:
    return float(job.metrics()[metric].dropna().iloc[0])


def test_each_names_what_it_was_continued_from_and_sits_on_what_its_files_need(
    chain: dict[str, tl.Job], tiny: Path
) -> None:
    found = {name: tl.model(f"{name}@1") for name in chain}
    assert {name: (model.parent, model.base) for name, model in found.items()} == {
        "sft": (None, str(tiny)),
        "merged": ("sft@1", str(tiny)),
        "further": ("sft@1", str(tiny)),
        "sampled": ("merged@1", str(tiny)),
        "again": ("sft@1:step-1", str(tiny)),
        "best": ("sft@1", str(tiny)),
        "whole": ("sft@1", "sft@1"),
        "whole-on-whole": ("whole@1", "whole@1"),
        "on-whole": ("whole@1:step-1", "whole@1:step-1"),
    }
    assert {row["model"]: row["from"] for row in tl.models().rows()}["again@1"] == "sft@1:step-1"
    before = index.entries()
    tl.models(refresh=True)
    assert index.entries() == before


def test_what_is_merged_and_new_is_registered_as_one_adapter(chain: dict[str, tl.Job], tiny: Path) -> None:
    model, job = tl.model("merged@1"), chain["merged"]
    assert job.spec["adapter"] == {
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
    assert (ref.folder / "tunelab.yaml").is_file(), "an evaluation asks it as it was trained"


def test_the_best_checkpoint_is_both_adapters_too(chain: dict[str, tl.Job], tiny: Path) -> None:
    job = chain["best"]
    step = int(job.metrics()["eval_loss"].dropna().loc[1:].idxmin())
    wanted = _logits(tiny, tl.model("sft@1").path, job.folder.checkpoint(step))
    torch.testing.assert_close(_logits(tiny, tl.model("best@1").path), wanted, atol=1e-5, rtol=1e-5)


def test_a_job_with_a_merged_adapter_that_was_killed_ends_in_the_same_bytes(chain: dict[str, tl.Job]) -> None:
    folder = chain["merged"].folder
    copy = folders.JobFolder(folder.path.with_name("copy-20250101-000000-abcd"))
    shutil.copytree(folder.path, copy.path)
    shutil.rmtree(copy.checkpoint(2))
    customize.run(Context(copy, Journal(copy.journal, "worker")))
    again, registered = (path / joined.WEIGHTS for path in (copy.adapter, tl.model("merged@1").path))
    assert again.read_bytes() == registered.read_bytes()
    shutil.rmtree(copy.path)


def test_the_reference_is_the_parent_and_not_the_bare_base(chain: dict[str, tl.Job], tmp_path: Path) -> None:
    for name in ("further", "merged"):
        # At the first step policy and reference are one, so no answer is preferred yet.
        assert _first(chain[name], "loss") == pytest.approx(0.693147, abs=1e-5)
    further, merged = (_first(chain[name], "logps/chosen") for name in ("further", "merged"))
    assert further == pytest.approx(merged, rel=1e-4)
    assert _first(chain["sampled"], "kl") == pytest.approx(0, abs=1e-5)
    assert chain["sampled"].metrics()["kl"].dropna().iloc[-1] > 1e-5


@pytest.mark.parametrize("technique", ["dpo", "rlvr"])
def test_with_all_weights_the_reference_is_the_parent_too(
    technique: str, chain: dict[str, tl.Job], tmp_path: Path
) -> None:
    made = _spec("x", technique, "sft@1", adapter={"type": "full"})
    if technique == "dpo":
        made["hyperparameters"] = SMALL | {"precompute_ref_log_probs": False}
    prepared = prepare(load.customize(made))
    trainer: Any = trainers.build(prepared.spec, tmp_path / "out", lambda _: None, tmp_path)
    assert trainer.ref_model is not None
    for (name, own), its in zip(trainer.model.named_parameters(), trainer.ref_model.parameters(), strict=True):
        assert torch.equal(own, its), name
    assert trainer.model.config._name_or_path == trainer.ref_model.config._name_or_path
    assert all(weight.requires_grad for weight in trainer.model.parameters())


def test_a_child_begins_where_its_parent_was(chain: dict[str, tl.Job]) -> None:
    before, after = (chain[name].metrics()["eval_loss"].dropna() for name in ("sft", "again"))
    assert before.loc[1] != pytest.approx(before.loc[2], abs=1e-3)
    # The same rows are held out of both.
    assert after.loc[0] == pytest.approx(before.loc[1], abs=1e-5)


def test_an_adapter_that_is_trained_further_keeps_rank_and_modules(chain: dict[str, tl.Job]) -> None:
    for parent, child in (("sft", "further"), ("merged", "sampled")):
        shapes = [
            {key: value.shape for key, value in load_file(tl.model(f"{name}@1").path / joined.WEIGHTS).items()}
            for name in (parent, child)
        ]
        assert shapes[0] == shapes[1]
    assert chain["further"].spec["adapter"]["carry"] == "further"
    assert chain["further"].spec["adapter"]["r"] == chain["sft"].spec["adapter"]["r"]
    assert chain["sampled"].spec["adapter"]["r"] == chain["sft"].spec["adapter"]["r"] + 4


@pytest.mark.parametrize(
    ("adapter", "model", "said"),
    [
        ({"r": 2}, "sft@1", "adapter.r is 2, and the adapter of sft@1, which is trained further, has 16"),
        ({"alpha": 5}, "sft", "adapter.alpha is 5"),
        ({"target_modules": ["q_proj"]}, "sft", "adapter.target_modules is"),
        ({"carry": "merge", "r": 1024}, "sft", "joined they have 1040, .* Use an r of 1008 or less"),
        ({"carry": "merge"}, None, "has no adapter to carry on: it is a base model"),
        ({"carry": "further"}, "whole", "has no adapter to carry on: all of its weights are its own"),
        ({"type": "full", "carry": "merge"}, "sft", "with type 'full' there is no carry"),
        ({"carry": "both"}, "sft", "adapter.carry: "),
    ],
)
def test_what_cannot_be_carried_on_is_refused_before_anything_starts(
    adapter: dict[str, Any], model: str | None, said: str, chain: dict[str, tl.Job], tiny: Path
) -> None:
    before = len(tl.jobs())
    with pytest.raises(tl.SpecError, match=said.replace("'", ".")):
        tl.customize(name="no", technique="sft", model=model or str(tiny), dataset="answers", adapter=adapter)
    assert len(tl.jobs()) == before


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "whole modules"),
        ({"lora_bias": True}, "a bias"),
    ],
)
def test_an_adapter_that_is_more_than_an_update_is_not_merged(
    config: dict[str, Any], word: str, chain: dict[str, tl.Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = index.find("sft@1")
    assert entry is not None
    other = shutil.copytree(entry.path, tmp_path / "other")
    has = json.loads((other / joined.CONFIG).read_text(encoding="utf-8"))
    (other / joined.CONFIG).write_text(json.dumps(has | config), encoding="utf-8")
    before = index.entries()
    index.add(index.Entry(**vars(entry) | {"name": "other", "path": str(other)}))
    try:
        with pytest.raises(tl.ModelError, match=f"The adapter of other has {word}: no other can be joined to it"):
            prepare(load.customize(_spec("no", "sft", "other", adapter={"carry": "merge"})))
    finally:
        index.replace(before)


def test_models_on_fully_trained_weights_load_what_they_were_trained_on(chain: dict[str, tl.Job], tiny: Path) -> None:
    ref, parent = find.find("on-whole"), chain["whole"].folder.checkpoint(1)
    assert ref.base is not None and ref.base.folder == parent and ref.folder is not None
    # What a job that resumes from its last step has in memory.
    merged = tl.model("on-whole").export(str(parent.parent.parent / "exported"), merged=True)
    torch.testing.assert_close(_logits(Path(merged)), _logits(parent, ref.folder), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(_logits(Path(merged)), _logits(parent), atol=1e-5)
    weights = [_logits(tl.model(name).path) for name in ("whole", "whole-on-whole")]
    assert not torch.allclose(*weights, atol=1e-5)
    assert _first(chain["on-whole"], "eval_loss") < _first(chain["sft"], "eval_loss")


def test_a_job_stays_while_something_sits_on_its_checkpoint(chain: dict[str, tl.Job], tiny: Path) -> None:
    with pytest.raises(tl.JobError, match="holds the checkpoint that on-whole@1 sits on"):
        tl.jobs().remove(chain["whole"].id)
    prepared = prepare(load.customize(_spec("waits", "sft", "sft@1:step-1")))
    folder, lock = folders.create("waits", prepared.spec.model_dump(mode="json"), prepared.facts, {})
    with pytest.raises(tl.JobError, match=f"holds the checkpoint that {folder.id} begins from"):
        tl.jobs().remove(chain["sft"].id)
    Journal(folder.journal, "runner").append("state", state="cancelled", reason=None)
    lock.release()
    tl.jobs().remove(folder.id)
    # What was continued has all it needs.
    both = _logits(tiny, tl.model("again").path)
    tl.jobs().remove(chain["sft"].id)
    again = find.find("again")
    assert again.folder is not None
    assert torch.equal(_logits(tiny, again.folder), both)
    with pytest.raises(tl.ModelError, match="The job of 'sft@1' has no checkpoint step-1: its checkpoints are gone"):
        find.find("sft@1:step-1")
