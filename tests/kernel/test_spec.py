"""Specs: what is refused and how it is said, what beats what, and that a resolved spec is a spec again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import tunelab as tl
from tunelab import recipes
from tunelab.jobs import manager
from tunelab.jobs.prepare import Prepared, prepare
from tunelab.spec import CustomizeSpec, load
from tunelab.spec import hyperparameters as fields

BASE = {"name": "chatty", "model": "smollm2-135m", "technique": "dpo", "dataset": "pairs.jsonl"}
KEYS = (
    "Its keys are adapter, algorithm, chat_template, compute, dataset, eval_dataset, hyperparameters, keep, kind, "
    "model, name, reward, seed, split, technique, tracking."
)
SPLIT = "split: give a share from 0 to below 1 (0.1), or a whole number of rows (64)"
NAME = "name: it has letters, digits, '.', '_' and '-', begins with a letter or digit, and is at most 100 long"
HELD_OUT = "no rows are held out. Give split or eval_dataset."


@pytest.fixture
def submitted(workspace: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Prepared]:
    """`tl.customize` up to where processes start: what would have been submitted."""
    monkeypatch.setattr(manager, "submit", lambda prepared: prepared)
    return lambda spec=None, **keys: tl.customize(spec, **({} if isinstance(spec, str) else BASE) | keys)


def refusal(call: Callable[[], Any], kind: type[tl.Error] = tl.SpecError) -> str:
    with pytest.raises(tl.Error) as caught:
        call()
    assert type(caught.value) is kind
    return str(caught.value)


REFUSED = {
    "near top-level key": ({"techniqe": "dpo"}, "Unknown key 'techniqe' in the spec. Did you mean 'technique'?"),
    "far top-level key": ({"zzz": 1}, f"Unknown key 'zzz' in the spec. {KEYS}"),
    "hyperparameter at the top": (
        {"learning_rate": 1e-5},
        "Unknown key 'learning_rate' in the spec. It is a hyperparameter: write it under 'hyperparameters', or --set "
        "learning_rate=…",
    ),
    "key of a union's branch": ({"int": 1}, f"Unknown key 'int' in the spec. {KEYS}"),
    "key with a line break": ({"a\nb": 1}, f"Unknown key 'a b' in the spec. {KEYS}"),
    "near adapter key": ({"adapter": {"alpa": 4}}, "Unknown key 'adapter.alpa' in the spec. Did you mean 'alpha'?"),
    "far adapter key": (
        {"adapter": {"float": 4}},
        "Unknown key 'adapter.float' in the spec. Its keys are alpha, carry, dropout, r, target_modules, type.",
    ),
    "near compute key": (
        {"compute": {"devise": "cpu"}},
        "Unknown key 'compute.devise' in the spec. Did you mean 'device'?",
    ),
    "technique": (
        {"technique": "dpoo"},
        "Unknown technique 'dpoo'. Did you mean 'dpo'? There are dpo, rlaif, rlvr, sft.",
    ),
    "technique far": ({"technique": "ppo2x"}, "Unknown technique 'ppo2x'. There are dpo, rlaif, rlvr, sft."),
    "no technique": ({"technique": None}, "The spec lacks 'technique'. It is one of sft, dpo, rlvr, rlaif."),
    "no model": (
        {"model": None},
        "The spec lacks 'model'. It is a catalog name such as smollm2-135m, a hub id, or a local folder.",
    ),
    "no dataset": (
        {"dataset": None},
        "The spec lacks 'dataset'. It is a file, a registered dataset, a hub id, or a variable that holds a DataFrame.",
    ),
    "no name": ({"name": None}, "The spec lacks 'name'. It names the custom model that comes out."),
    "name with space": ({"name": "my model"}, f"{NAME} (got 'my model')."),
    "name too long": ({"name": "a" * 101}, f"{NAME} (got '{'a' * 101}')."),
    "name a number": ({"name": 5}, f"{NAME} (got 5)."),
    "name upward": ({"name": "../x"}, f"{NAME} (got '../x')."),
    "model a list": ({"model": ["a"]}, "model: input should be a valid string (got ['a'])."),
    "kind": ({"kind": "evaluate"}, "kind: input should be 'customize' (got 'evaluate')."),
    "keep": ({"keep": "bset"}, "keep: input should be 'last' or 'best' (got 'bset')."),
    "chat_template": ({"chat_template": "chatml"}, "chat_template: input should be 'auto' or 'none' (got 'chatml')."),
    "seed a fraction": (
        {"seed": 1.5},
        "seed: input should be a valid integer, got a number with a fractional part (got 1.5).",
    ),
    "seed true": ({"seed": True}, "seed: it takes a number (got True)."),
    "seed negative": ({"seed": -1}, "seed: input should be greater than or equal to 0 (got -1)."),
    "seed too large": ({"seed": 2**32}, "seed: input should be less than 4294967296 (got 4294967296)."),
    "adapter as text": (
        {"adapter": "lora"},
        "adapter: input should be a valid dictionary or instance of Adapter (got 'lora').",
    ),
    "adapter type": ({"adapter": {"type": "dora"}}, "adapter.type: input should be 'lora' or 'full' (got 'dora')."),
    "r of zero": ({"adapter": {"r": 0}}, "adapter.r: input should be greater than or equal to 1 (got 0)."),
    "r true": ({"adapter": {"r": True}}, "adapter.r: it takes a number (got True)."),
    "dropout of one": ({"adapter": {"dropout": 1}}, "adapter.dropout: input should be less than 1 (got 1)."),
    "modules a number": (
        {"adapter": {"target_modules": 5}},
        "adapter.target_modules: input should be a valid string (got 5).",
    ),
    "full with r": (
        {"adapter": {"type": "full", "r": 8}},
        "adapter: with type 'full' there is no r; leave it out or use type 'lora'.",
    ),
    "full with r and alpha": (
        {"adapter": {"type": "full", "r": 8, "alpha": 16}},
        "adapter: with type 'full' there is no r and no alpha; leave it out or use type 'lora'.",
    ),
    "hyperparameters a list": (
        {"hyperparameters": [1]},
        "hyperparameters: input should be a valid dictionary (got [1]).",
    ),
    "device": (
        {"compute": {"device": "gpu"}},
        r"compute.device: string should match pattern '^(auto|cpu|mps|cuda(:\d+)?)$' (got 'gpu').",
    ),
    "split of one": ({"split": 1.0}, f"{SPLIT} (got 1.0)."),
    "split above one": ({"split": 1.5}, f"{SPLIT} (got 1.5)."),
    "split negative share": ({"split": -0.1}, f"{SPLIT} (got -0.1)."),
    "split negative rows": ({"split": -1}, f"{SPLIT} (got -1)."),
    "split not a number": ({"split": float("nan")}, f"{SPLIT} (got nan)."),
    "split text": ({"split": "a tenth"}, f"{SPLIT} (got 'a tenth')."),
    "split true": ({"split": True}, f"{SPLIT} (got True)."),
    "split and eval_dataset": (
        {"split": 0.1, "eval_dataset": "other.jsonl"},
        "The spec: give split or eval_dataset, not both.",
    ),
    "split 0 and eval_dataset": (
        {"split": 0, "eval_dataset": "other.jsonl"},
        "The spec: give split or eval_dataset, not both.",
    ),
    "best of nothing": (
        {"keep": "best", "split": 0},
        "The spec: keep: best chooses by held-out figures, and split: 0 holds nothing out.",
    ),
    "best with other save_steps": (
        {"keep": "best", "hyperparameters": {"save_steps": 3}},
        "keep: best needs a checkpoint at each evaluation: leave out save_steps, or set it to eval_steps.",
    ),
    "eval_steps and nothing held out": (
        {"split": 0, "hyperparameters": {"eval_steps": 5}},
        f"hyperparameters.eval_steps is set, and {HELD_OUT}",
    ),
    "no steps": (
        {"hyperparameters": {"max_steps": 0}},
        "hyperparameters.max_steps is 0; give at least 1, or -1 to go by num_train_epochs.",
    ),
}


@pytest.mark.parametrize(("keys", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_wrong_spec_is_refused_in_one_line(submitted: Callable[..., Prepared], keys: dict, message: str) -> None:
    assert refusal(lambda: submitted(**keys)) == message


HYPERPARAMETERS = {
    "misspelt": (
        "dpo",
        {"learning_rte": 1e-5},
        "Unknown hyperparameter 'learning_rte' for dpo. Did you mean 'learning_rate'?",
    ),
    "of another technique": ("sft", {"beta": 0.1}, None),
    "unheard of": (
        "dpo",
        {"zzzzz": 1},
        "Unknown hyperparameter 'zzzzz' for dpo. See tl.recipe('dpo', model) for all of them.",
    ),
    "said elsewhere: seed": (
        "dpo",
        {"seed": 1},
        "hyperparameters.seed is not set here: use the spec's own key 'seed'.",
    ),
    "said elsewhere: lr": ("sft", {"lr": 1e-5}, "hyperparameters.lr is not set here: use learning_rate."),
    "said elsewhere: bf16": (
        "sft",
        {"bf16": True},
        "hyperparameters.bf16 is not set here: use compute.dtype (float32 or bfloat16).",
    ),
    "said elsewhere: lora_r": ("sft", {"lora_r": 4}, "hyperparameters.lora_r is not set here: use adapter.r."),
    "rate of 5": (
        "dpo",
        {"learning_rate": 5},
        "hyperparameters.learning_rate is 5; it goes from 1e-09 to 0.01. The nearest is 0.01.",
    ),
    "rate of 0": (
        "dpo",
        {"learning_rate": 0},
        "hyperparameters.learning_rate is 0; it goes from 1e-09 to 0.01. The nearest is 1e-09.",
    ),
    "rate as text out of range": (
        "dpo",
        {"learning_rate": "5e0"},
        "hyperparameters.learning_rate is 5; it goes from 1e-09 to 0.01. The nearest is 0.01.",
    ),
    "rate a word": ("dpo", {"learning_rate": "fast"}, "hyperparameters.learning_rate takes a number, and got 'fast'."),
    "rate true": ("dpo", {"learning_rate": True}, "hyperparameters.learning_rate takes a number, and got True."),
    "rate null": ("dpo", {"learning_rate": None}, "hyperparameters.learning_rate takes a number, and got None."),
    "rate a list": ("dpo", {"learning_rate": [1e-5]}, "hyperparameters.learning_rate takes a number, and got [1e-05]."),
    "rate nan": ("dpo", {"learning_rate": float("nan")}, "hyperparameters.learning_rate is nan; give a finite number."),
    "rate infinite text": (
        "dpo",
        {"learning_rate": "inf"},
        "hyperparameters.learning_rate is inf; give a finite number.",
    ),
    "rate beyond floats": (
        "dpo",
        {"learning_rate": 10**400},
        "hyperparameters.learning_rate is too large; give a finite number.",
    ),
    "half a step": ("sft", {"max_steps": 2.5}, "hyperparameters.max_steps takes a whole number, and got 2.5."),
    "batch of 0": (
        "sft",
        {"per_device_train_batch_size": 0},
        "hyperparameters.per_device_train_batch_size is 0; it goes from 1 to 4096. The nearest is 1.",
    ),
    "bool as text": (
        "sft",
        {"gradient_checkpointing": "yes"},
        "hyperparameters.gradient_checkpointing takes true or false, and got 'yes'.",
    ),
    "near choice": (
        "sft",
        {"lr_scheduler_type": "cosin"},
        "hyperparameters.lr_scheduler_type has no choice 'cosin'. Did you mean 'cosine'?",
    ),
    "dpo's own range": (
        "dpo",
        {"beta": 11},
        "hyperparameters.beta is 11; it goes from 0.001 to 10. The nearest is 10.",
    ),
}


@pytest.mark.parametrize(("technique", "values", "message"), HYPERPARAMETERS.values(), ids=HYPERPARAMETERS.keys())
def test_a_wrong_hyperparameter_is_refused(
    submitted: Callable[..., Prepared], technique: str, values: dict, message: str | None
) -> None:
    said = refusal(lambda: submitted(technique=technique, hyperparameters=values))
    name = next(iter(values))
    assert said == message if message else said.startswith(f"Unknown hyperparameter '{name}' for {technique}.")


TYPED = {
    "a number as text": ("dpo", "learning_rate", "5e-6", 5e-6),
    "a number that YAML reads as text": ("dpo", "learning_rate", yaml.safe_load("5e-6"), 5e-6),
    "a whole number as text": ("sft", "max_steps", "3", 3),
    "a float that is whole": ("sft", "max_steps", 3.0, 3),
    "an int where a float is wanted": ("sft", "weight_decay", 0, 0.0),
    "null where it may be": ("sft", "max_length", None, None),
    "a choice": ("sft", "lr_scheduler_type", "linear", "linear"),
    "the range's end": ("dpo", "learning_rate", 0.01, 0.01),
}


@pytest.mark.parametrize(("technique", "name", "value", "expected"), TYPED.values(), ids=TYPED.keys())
def test_hyperparameters_get_their_own_types(
    workspace: Path,
    answers: Path,
    submitted: Callable[..., Prepared],
    technique: str,
    name: str,
    value: Any,
    expected: Any,
) -> None:
    dataset = "pairs.jsonl" if technique == "dpo" else "answers.jsonl"
    resolved = submitted(technique=technique, dataset=dataset, hyperparameters={name: value}).spec.hyperparameters[name]
    assert resolved == expected
    assert type(resolved) is type(expected)


YAML = {
    "open bracket": (
        "a: [1",
        "The YAML cannot be read at line 1, column 6: expected ',' or ']', but got '<stream end>'.",
    ),
    "tab": (
        "name: x\n\tmodel: y",
        "The YAML cannot be read at line 2, column 1: found character '\\t' that cannot start any token.",
    ),
    "two colons": ("a: b: c", "The YAML cannot be read at line 1, column 5: mapping values are not allowed here."),
    "an object": (
        "a: !!python/object:os.system x",
        "The YAML cannot be read at line 1, column 4: could not determine a constructor for the tag "
        "'tag:yaml.org,2002:python/object:os.system'.",
    ),
    "zero byte": (
        "a: \x00",
        "The YAML cannot be read: unacceptable character #x0000: special characters are not allowed in "
        '"<unicode string>", position 3.',
    ),
    "no such date": ("name: 2024-13-45", "The YAML cannot be read: month must be in 1..12."),
    "too deep": ("[" * 3000, None),
    "a list": ("- a", "The spec is a mapping of keys such as 'model: smollm2-135m', and got a list."),
    "a text": ("dpo", "The spec is a mapping of keys such as 'model: smollm2-135m', and got a text."),
    "a number": ("5", "The spec is a mapping of keys such as 'model: smollm2-135m', and got a number."),
    "nothing": ("", "The spec lacks 'technique'. It is one of sft, dpo, rlvr, rlaif."),
    "a key that is a number": (yaml.safe_dump(BASE | {1: 2}, sort_keys=False), "1: keys should be strings (got 1)."),
    "a spec's name ends in .yaml": ("gone.yaml", "There is no spec file gone.yaml."),
}


@pytest.mark.parametrize(("text", "message"), YAML.values(), ids=YAML.keys())
def test_yaml_that_cannot_be_a_spec_is_refused(
    submitted: Callable[..., Prepared], text: str, message: str | None
) -> None:
    said = refusal(lambda: submitted(text))
    assert said == message if message else said.startswith("The YAML cannot be read")
    assert "\n" not in said


def test_a_spec_is_a_mapping_a_text_or_a_file(submitted: Callable[..., Prepared]) -> None:
    text = yaml.safe_dump(BASE)
    Path("spec.yaml").write_text(text, encoding="utf-8")
    Path("latin.yml").write_bytes("name: café".encode("latin-1"))
    # The last line of this one ends as a file's name does.
    Path("rows.yaml.jsonl").write_text(Path("pairs.jsonl").read_text(encoding="utf-8"), encoding="utf-8")
    same = [submitted(given).spec for given in (BASE, text, "spec.yaml", Path("spec.yaml"))]
    assert all(spec == same[0] for spec in same)
    said = refusal(
        lambda: submitted("name: chatty\nmodel: smollm2-135m\ntechnique: dpo\ndataset: gone.yaml"), tl.DataError
    )
    assert said == "There is no dataset, variable or file 'gone.yaml'."
    assert refusal(lambda: tl.customize("latin.yml")) == "latin.yml is not UTF-8 text."
    assert refusal(lambda: tl.customize(5)) == "A spec is a mapping, a YAML text, or a YAML file's path, and got int."


ASSIGNED = {
    "a bare hyperparameter": (["learning_rate=1e-7"], lambda s: s.hyperparameters["learning_rate"], 1e-7),
    "a dotted hyperparameter": (["hyperparameters.beta=0.3"], lambda s: s.hyperparameters["beta"], 0.3),
    "a dotted section": (["adapter.r=4"], lambda s: s.adapter.r, 4),
    "a section that the spec did not name": (["compute.max_restarts=0"], lambda s: s.compute.max_restarts, 0),
    "a choice of the section": (["compute.fit=true"], lambda s: s.compute.fit, True),
    "a key of the spec": (["split=3"], lambda s: s.split, 3),
    "the last of two": (["seed=1", "seed=2"], lambda s: s.seed, 2),
    "an equals sign in the value": (["tracking.experiment=a=b"], lambda s: s.tracking.experiment, "a=b"),
    "a list": (["adapter.target_modules=[q_proj, v_proj]"], lambda s: s.adapter.target_modules, ["q_proj", "v_proj"]),
}


@pytest.mark.parametrize(("texts", "read", "expected"), ASSIGNED.values(), ids=ASSIGNED.keys())
def test_set_reaches_its_place(
    submitted: Callable[..., Prepared], texts: list[str], read: Callable[[CustomizeSpec], Any], expected: Any
) -> None:
    overrides = dict(load.assignment(text) for text in texts)
    assert read(submitted(overrides=overrides).spec) == expected


def test_set_beats_spec_beats_recipe(submitted: Callable[..., Prepared]) -> None:
    given = {"adapter": {"r": 8}, "hyperparameters": {"learning_rate": 1e-7, "beta": 0.2}, "split": 2}
    spec = submitted(**given, overrides={"learning_rate": 3e-7, "adapter.dropout": 0.2, "split": 4}).spec
    assert spec.hyperparameters["learning_rate"] == 3e-7  # --set
    assert spec.hyperparameters["beta"] == 0.2  # spec
    assert spec.hyperparameters["num_train_epochs"] == 1  # recipe
    assert (spec.adapter.dropout, spec.adapter.r, spec.adapter.alpha, spec.split) == (0.2, 8, 32, 4)
    assert given == {"adapter": {"r": 8}, "hyperparameters": {"learning_rate": 1e-7, "beta": 0.2}, "split": 2}


NOT_ASSIGNED = {
    "no equals sign": ("beta", "--set takes key=value, such as learning_rate=1e-5, and got 'beta'."),
    "no key": ("=1", "--set takes key=value, such as learning_rate=1e-5, and got '=1'."),
    "unreadable": ("beta=[1", "--set beta: the value '[1' cannot be read."),
    "no such date": ("beta=2024-13-45", "--set beta: the value '2024-13-45' cannot be read."),
    "a section": ("adapter=full", "--set adapter: name a key of it, such as adapter.r."),
    "all hyperparameters": (
        "hyperparameters={}",
        "--set hyperparameters: name a key of it, such as hyperparameters.learning_rate.",
    ),
    "below a value": ("name.first=a", "--set name.first: 'name' holds a value, not keys."),
    "misspelt": ("bata=0.1", "Unknown hyperparameter 'bata' for dpo. Did you mean 'beta'?"),
    "misspelt section": ("adaptor.r=4", "Unknown key 'adaptor' in the spec. Did you mean 'adapter'?"),
    "empty part": (
        "adapter.=4",
        "Unknown key 'adapter.' in the spec. Its keys are alpha, carry, dropout, r, target_modules, type.",
    ),
}


@pytest.mark.parametrize(("text", "message"), NOT_ASSIGNED.values(), ids=NOT_ASSIGNED.keys())
def test_a_wrong_set_is_refused(submitted: Callable[..., Prepared], text: str, message: str) -> None:
    assert refusal(lambda: submitted(overrides=dict([load.assignment(text)]))) == message


RESOLVED = {
    "dpo": {},
    "sft": {"technique": "sft", "dataset": "answers.jsonl"},
    "full": {"adapter": {"type": "full"}},
    "nothing held out": {"split": 0},
    "best": {"keep": "best"},
    "best at 5 steps": {"keep": "best", "hyperparameters": {"eval_steps": 5, "save_steps": 5}},
    "eval_dataset": {"eval_dataset": "held.jsonl"},
    "by hand": {"hyperparameters": {"max_steps": 7, "precompute_ref_log_probs": True}, "compute": {"threads": 1}},
}


@pytest.mark.parametrize("keys", RESOLVED.values(), ids=RESOLVED.keys())
def test_a_resolved_spec_is_a_spec_that_resolves_to_itself(
    submitted: Callable[..., Prepared], answers: Path, pairs: Path, keys: dict
) -> None:
    pairs.with_name("held.jsonl").write_text("".join(pairs.read_text(encoding="utf-8").splitlines(True)[:5]), "utf-8")
    once = submitted(**keys)
    written = yaml.safe_load(yaml.safe_dump(once.spec.model_dump(mode="json")))
    again = prepare(load.customize(written))
    assert again.spec == once.spec
    assert (again.train_rows, again.eval_rows, again.dataset) == (once.train_rows, once.eval_rows, once.dataset)
    assert load.customize(once.spec.model_dump(mode="json", exclude_none=True)) == once.spec


def test_every_choice_that_needs_no_torch_is_in_the_spec_at_submit(submitted: Callable[..., Prepared]) -> None:
    spec = submitted(compute={"device": "cpu"}).spec
    # What is measured on a CPU is added by the worker (test_trainers.py).
    assert (spec.compute.device, spec.compute.dtype, spec.compute.kernels) == ("cpu", None, None)
    assert submitted(compute={"device": "cpu", "dtype": "bfloat16"}).spec.compute.dtype == "bfloat16"
    assert spec.compute.threads
    assert spec.compute.threads >= 1
    assert (spec.dataset, spec.split, spec.model) == ("pairs@1", 0.1, "smollm2-135m")
    assert isinstance(spec.hyperparameters["precompute_ref_log_probs"], bool)


def test_rows_held_out(submitted: Callable[..., Prepared]) -> None:
    """24 rows, every prompt once: a tenth is 2 rows, and with `split: 0` no setting of the evaluation is left."""
    counted = {split: submitted(split=split) for split in (None, 0.25, 5, 0)}
    assert {split: (p.train_rows, p.eval_rows) for split, p in counted.items()} == {
        None: (22, 2),
        0.25: (18, 6),
        5: (19, 5),
        0: (24, 0),
    }
    assert not {"eval_steps", "eval_on_start"} & counted[0].spec.hyperparameters.keys()
    assert {"eval_steps", "eval_on_start"} <= counted[5].spec.hyperparameters.keys()


def test_best_saves_where_it_evaluates(submitted: Callable[..., Prepared]) -> None:
    values = submitted(keep="best", hyperparameters={"eval_steps": 7}).spec.hyperparameters
    assert (values["eval_steps"], values["save_steps"]) == (7, 7)


RATES = {
    "dpo lora small": ("dpo", "lora", 135_000_000, 2.5e-5),
    "dpo lora at the border": ("dpo", "lora", 1_000_000_000, 5e-6),
    "dpo lora 7B": ("dpo", "lora", 7_000_000_000, 5e-6),
    "dpo lora of unknown size": ("dpo", "lora", None, 5e-6),
    "dpo full": ("dpo", "full", 135_000_000, 1e-6),
    "sft lora small": ("sft", "lora", 135_000_000, 2e-4),
    "sft lora 33B": ("sft", "lora", 33_000_000_000, 1e-4),
    "sft lora at the border": ("sft", "lora", 20_000_000_000, 1e-4),
    "sft full": ("sft", "full", 33_000_000_000, 2e-5),
}


@pytest.mark.parametrize(("technique", "adapter", "params", "rate"), RATES.values(), ids=RATES.keys())
def test_the_learning_rate_goes_by_technique_size_and_adapter(
    technique: str, adapter: str, params: int | None, rate: float
) -> None:
    recipe = recipes.find(technique, "a model", adapter, params, "cpu")
    assert recipe.hyperparameters["learning_rate"] == rate
    assert set(recipe.adapter) == ({"r", "alpha", "dropout", "target_modules"} if adapter == "lora" else set())


@pytest.mark.parametrize("device", ["cpu", "cuda", "mps"])
@pytest.mark.parametrize("adapter", ["lora", "full"])
@pytest.mark.parametrize("technique", ["sft", "dpo"])
def test_every_value_of_a_recipe_has_a_source_and_would_be_taken(technique: str, adapter: str, device: str) -> None:
    recipe = recipes.find(technique, "a model", adapter, 135_000_000, device)
    assert [setting.name for setting in recipe.settings.values() if len(setting.source) < 10] == []
    assert fields.check(technique, recipe.hyperparameters, recipe.ranges) == recipe.hyperparameters
    known = fields.catalog("sft").keys() | fields.catalog("dpo").keys()
    assert [name for name in recipe.ranges if name not in known] == []
    assert "gradient_checkpointing" not in recipe.hyperparameters, "the job's memory decides"
    shown = repr(recipe)
    assert all(setting.name in shown and setting.source in shown for setting in recipe.settings.values())


def test_a_recipe_is_asked_for_by_technique_and_model(workspace: Path) -> None:
    assert tl.recipe("dpo", "smollm2-135m").hyperparameters["learning_rate"] == 2.5e-5
    assert refusal(lambda: tl.recipe("dop", "smollm2-135m")) == (
        "Unknown technique 'dop'. Did you mean 'dpo'? There are dpo, rlaif, rlvr, sft."
    )
    assert refusal(lambda: tl.recipe("dpo", "smollm2-135m", "lore")) == "adapter is 'lore'; it is lora or full."
    assert refusal(lambda: tl.recipe("dpo", "smolm2-135m"), tl.ModelError) == (
        "There is no model 'smolm2-135m'. Did you mean 'smollm2-135m'?"
    )


def test_the_catalog_is_what_the_installed_trl_has() -> None:
    from tunelab.training.fields import catalog

    assert json.loads(fields.CATALOG_FILE.read_text(encoding="utf-8")) == json.loads(json.dumps(catalog()))


@given(st.text() | st.text(st.characters()) | st.sampled_from(["int", "float", "str", "list[str]", "[key]"]))
@example("\ud800")
@example("a\u2028b")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_unknown_key_is_refused_as_a_spec_error(key: str) -> None:
    if key in CustomizeSpec.model_fields:
        return
    for data in (BASE | {key: 1}, BASE | {"adapter": {f"{key}_": 1}}, BASE | {"compute": {f"{key}_": 1}}):
        with pytest.raises(tl.SpecError) as caught:
            load.customize(data)
        assert len(str(caught.value).splitlines()) == 1


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5))
@settings(max_examples=200, deadline=None)
def test_any_value_of_a_hyperparameter_is_taken_in_its_type_or_refused(value: Any) -> None:
    kinds = {"float": float, "int": int, "bool": bool, "str": str, "list": list, "dict": dict, "null": type(None)}
    for name, field in fields.catalog("dpo").items():
        try:
            taken = fields.check("dpo", {name: value}, {})[name]
        except tl.SpecError:
            continue
        assert type(taken) in {kinds[kind] for kind in field.types}
