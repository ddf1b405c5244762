"""The customize form: what is typed and the cell it is copied as are one spec, and each fault stands at its field."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_desk import Seen
from test_live import FACTS, SPEC, until
from test_live import written as job_of

import tunelab as tl
from tunelab import recipes
from tunelab.data import versions
from tunelab.errors import Error
from tunelab.jobs import manager
from tunelab.jobs.draft import draft
from tunelab.notebook.customizeform import CustomizeForm
from tunelab.notebook.magics import customization
from tunelab.registry import index
from tunelab.spec import TECHNIQUES, CustomizeSpec, load
from tunelab.spec.hyperparameters import catalog, method_of

SUMS = [{"prompt": f"What is {n} plus {n}?", "ground_truth": str(2 * n)} for n in range(32)]
REWARD = "def score(completion):\n    return len(completion)\n"


@pytest.fixture
def form(workspace: Path) -> Iterator[Callable[..., tuple[CustomizeForm, Seen]]]:
    """Opens the form on what it begins with."""
    opened: list[tuple[CustomizeForm, Seen]] = []

    def open_(data: dict[str, Any] | None = None, **start: Any) -> tuple[CustomizeForm, Seen]:
        shown, seen = CustomizeForm(spec=data, **start), Seen()
        opened.append((shown, seen))
        shown.add(seen)
        return shown, seen

    yield open_
    for shown, seen in opened:
        shown.remove(seen)


@pytest.fixture
def rows(workspace: Path, pairs: Path, answers: Path) -> dict[str, str]:
    """A file for each technique, by the technique, relative to the working directory."""
    Path("sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in SUMS))
    Path("reward.py").write_text(REWARD)
    return {"sft": answers.name, "dpo": pairs.name, "rlvr": "sums.jsonl", "rlaif": "sums.jsonl"}


FULL = {"type": "full"}
LORA = {"type": "lora", "r": 4, "target_modules": ["q_proj", "v_proj"]}
CASES: dict[str, dict[str, Any]] = {
    "the least": {"technique": "sft"},
    "dpo": {"technique": "dpo", "hyperparameters": {"beta": 0.2, "learning_rate": 5e-6, "max_steps": 3}},
    "a number as text": {"technique": "dpo", "hyperparameters": {"learning_rate": "5e-6"}},
    "full": {"technique": "sft", "adapter": FULL},
    "lora": {"technique": "sft", "adapter": LORA},
    "rows held out": {"technique": "sft", "split": 4},
    "a share held out": {"technique": "dpo", "split": 0.25, "keep": "best"},
    "nothing held out": {"technique": "dpo", "split": 0},
    "a template": {"technique": "sft", "chat_template": "none", "seed": 7},
    "compute": {"technique": "sft", "compute": {"device": "cpu", "threads": 1, "fit": True}},
    "tracking": {"technique": "sft", "tracking": {"experiment": "a: b # c"}},
    "a preset": {"technique": "rlvr", "reward": {"preset": "number"}},
    "its options": {"technique": "rlvr", "reward": {"preset": "regex", "pattern": "x: \\d+ #1", "weight": 0.5}},
    "a schema": {"technique": "rlvr", "reward": {"preset": "json_schema", "schema": {"type": "object"}}},
    "a function": {"technique": "rlvr", "reward": "reward.py:score"},
    "a weighted list": {
        "technique": "rlvr",
        "reward": [{"preset": "number"}, {"function": "reward.py:score", "weight": -0.1}],
        "algorithm": "rloo",
    },
    "a prompt": {
        "technique": "rlaif",
        "reward": {"prompt": "helpful", "model": "judge", "base_url": "http://127.0.0.1:1/v1"},
        "hyperparameters": {"num_generations": 4},
    },
}


@pytest.mark.parametrize("case", CASES)
def test_the_cell_is_the_same_spec(form: Any, rows: dict[str, str], tiny: Path, case: str) -> None:
    data = {"name": "made", "model": str(tiny), "dataset": rows[CASES[case]["technique"]], **CASES[case]}
    _, seen = form(data)
    assert seen.values["faults"] == []
    copied = customization(seen.values["cell"], {})
    assert _spec(copied) == _spec(data)
    _, again = form(cell=seen.values["cell"])
    assert again.values["cell"] == seen.values["cell"]
    # What is free changes by the moment.
    free = {"memory_free": 0}
    assert again.values["estimate"] | free == seen.values["estimate"] | free
    assert again.values["faults"] == []


def _spec(data: dict[str, Any]) -> dict[str, Any]:
    from tunelab.jobs import rewarding

    data = dict(data)
    rewarding.take(data, {})
    return load.customize(data).model_dump(mode="json")


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_the_fields_are_those_of_the_spec_and_of_trl(form: Any, technique: str) -> None:
    _, seen = form({"technique": technique, "model": "smollm2-135m"})
    told, fields = (
        seen.values["schema"]["properties"],
        [path for group in seen.values["ui"] for path in group["fields"]],
    )
    assert len(fields) == len(set(fields))
    known = catalog(method_of(technique))
    wanted = {name for name in CustomizeSpec.model_fields if name not in ("kind", "adapter", "compute", "tracking")}
    wanted -= {"hyperparameters"} | (set() if technique in ("rlvr", "rlaif") else {"reward", "algorithm"})
    wanted |= {f"hyperparameters.{name}" for name in known}
    for section in ("adapter", "compute", "tracking"):
        wanted |= {f"{section}.{name}" for name in CustomizeSpec.model_fields[section].annotation.model_fields}
    # How an adapter is carried on is asked only of a model that has one.
    assert set(fields) == wanted - {"adapter.carry"}
    recipe = recipes.find(technique, "smollm2-135m", "lora", 134_515_008, "cpu")
    for name, setting in recipe.settings.items():
        at = {"properties": told}
        for key in (name if "." in name or name == "split" else f"hyperparameters.{name}").split("."):
            at = at["properties"][key]
        assert (at["default"], at["source"]) == (setting.value, setting.source), name
    assert told["hyperparameters"]["properties"]["learning_rate"]["minimum"] == recipe.ranges["learning_rate"][0]


def test_full_has_no_rank(form: Any) -> None:
    _, seen = form({"technique": "sft", "adapter": FULL})
    assert list(seen.values["schema"]["properties"]["adapter"]["properties"]) == ["type"]


def test_how_an_adapter_is_carried_on_is_asked_of_a_model_that_has_one(form: Any, tiny: Path, workspace: Path) -> None:
    made = manager.folders.create("chatty", SPEC, FACTS)[0]
    step = made.checkpoint(3)
    for folder in (made.adapter, step):
        folder.mkdir(parents=True)
    (step / ".complete").touch()
    index.add(index.Entry("chatty", 1, made.id, "r", str(tiny), "sft", "d@1", "lora", str(made.adapter), "2026"))
    index.add(index.Entry("whole", 1, made.id, "r", str(tiny), "sft", "d@1", "full", str(tiny), "2026"))
    asked = {
        "": False,
        str(tiny): False,
        "nowhere": False,
        "whole": False,
        "chatty": True,
        "chatty@1": True,
        "chatty@1:step-3": True,
    }
    for model, offered in asked.items():
        _, seen = form({"technique": "sft", "model": model})
        assert any("adapter.carry" in group["fields"] for group in seen.values["ui"]) == offered, model
        assert ("carry" in seen.values["schema"]["properties"]["adapter"]["properties"]) == offered, model
    # What was said is shown, so that it can be taken back.
    _, seen = form({"technique": "sft", "model": str(tiny), "adapter": {"carry": "merge"}})
    assert any("adapter.carry" in group["fields"] for group in seen.values["ui"])


FAULTS: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"name": "a b"}, {"name": "begins with a letter"}),
    ({"name": "smollm2-135m"}, {"name": "is a base model of the catalog"}),
    ({"model": "smollm2-135"}, {"model": "Did you mean 'smollm2-135m'?"}),
    ({"dataset": "nowhere.jsonl"}, {"dataset": "There is no file nowhere.jsonl"}),
    ({"technique": "dop"}, {"technique": "Did you mean 'dpo'?"}),
    ({"split": 1.5}, {"split": "a share from 0 to below 1"}),
    ({"split": "much"}, {"split": "a share from 0 to below 1"}),
    ({"split": 0.1, "eval_dataset": "pairs.jsonl"}, {"split": "not both"}),
    ({"adapter": {"r": 0}}, {"adapter.r": "greater than or equal to 1"}),
    ({"hyperparameters": {"learning_rate": "5e-"}}, {"hyperparameters.learning_rate": "takes a number, and got '5e-'"}),
    ({"hyperparameters": {"learning_rate": 7}}, {"hyperparameters.learning_rate": "The nearest is"}),
    ({"hyperparameters": {"lerning_rate": 1}}, {"hyperparameters.lerning_rate": "Did you mean 'learning_rate'?"}),
    ({"hyperparameters": {"max_steps": 0}}, {"hyperparameters.max_steps": "give at least 1"}),
    ({"compute": {"device": "gpu"}}, {"compute.device": ""}),
    ({"keep": "best", "split": 0}, {"keep": "split: 0 holds nothing out"}),
    ({"reward": {"preset": "number"}}, {"reward": "dpo takes no 'reward'"}),
    ({"technique": "rlvr", "dataset": "sums.jsonl"}, {"reward": "rlvr needs a reward"}),
    (
        {"technique": "rlvr", "dataset": "sums.jsonl", "reward": "nubmer"},
        {"reward": "Did you mean 'number'?"},
    ),
    (
        {"technique": "rlvr", "dataset": "sums.jsonl", "reward": [{"preset": "number"}, {"preset": "regex"}]},
        {"reward.2": "needs 'pattern'"},
    ),
    ({"technique": "rlvr", "dataset": "pairs.jsonl", "reward": {"preset": "number"}}, {"reward": "ground_truth"}),
    (
        {"model": "nothing-like-it", "name": "?", "hyperparameters": {"beta": -1, "max_length": "long"}},
        {
            "model": "There is no model",
            "name": "begins with",
            "hyperparameters.beta": "it goes from",
            "hyperparameters.max_length": "takes a whole number",
        },
    ),
]


@pytest.mark.parametrize(("changed", "wanted"), FAULTS, ids=[", ".join(wanted) for _, wanted in FAULTS])
def test_each_fault_stands_at_its_field(
    rows: dict[str, str], tiny: Path, changed: dict[str, Any], wanted: dict[str, str]
) -> None:
    data = {"name": "made", "model": str(tiny), "technique": "dpo", "dataset": rows["dpo"]} | changed
    found = {fault.path: fault.message for fault in draft(data, {}).faults}
    assert found.keys() == wanted.keys()
    for path, part in wanted.items():
        assert part in found[path]
    # The first that a cell would be refused with is among them, word for word.
    with pytest.raises(Error) as refused:
        tl.customize(data, namespace={}, dry_run=True)
    # A file has a name of the workspace's by then.
    assert str(refused.value).replace("pairs@1", "pairs.jsonl") in found.values()


def test_a_change_is_answered_once_and_keeps_nothing(form: Any, rows: dict[str, str], tiny: Path) -> None:
    shown, seen = form({"technique": "dpo"})
    data = {"name": "made", "model": str(tiny), "technique": "dpo", "dataset": rows["dpo"]}
    for turn in range(1, 6):
        change = data | {"hyperparameters": {"num_train_epochs": turn}}
        shown.command(seen, {"type": "change", "data": change, "turn": turn})
    until(lambda: seen.values["turn"] == 5)
    assert yaml.safe_load(seen.values["cell"].partition("\n")[2])["hyperparameters"] == {"num_train_epochs": 5}
    batch = recipes.find("dpo", "", "lora", 100_000, "cpu").hyperparameters["per_device_train_batch_size"]
    estimate = seen.values["estimate"]
    assert estimate["train_rows"] + estimate["eval_rows"] == 24
    assert estimate["steps"] == 5 * -(-estimate["train_rows"] // batch)
    assert estimate["memory_bytes"] > 0
    assert estimate["disk_bytes"] > 0
    assert versions.names() == []


def test_the_memory_is_that_of_rows_as_long_as_they_are_up_to_the_cut(workspace: Path, tiny: Path) -> None:
    def memory(letters: int, **given: Any) -> int:
        rows = [{"prompt": "?", "completion": "word " * (letters // 5)} for _ in range(20)]
        data = {"name": "made", "model": str(tiny), "technique": "sft", "dataset": "train", "hyperparameters": given}
        found = draft(data, {"train": rows})
        assert not found.faults
        return int(found.estimate["memory_bytes"])

    short, middle, long = memory(50), memory(500), memory(1_000_000)
    assert short < middle < long == memory(2_000_000)
    assert memory(1_000_000, max_length=256) < middle == memory(500, max_length=4096)


def test_a_check_puts_what_it_measured_in_the_estimates_place_until_something_is_typed(
    form: Any, rows: dict[str, str], tiny: Path
) -> None:
    data = {"name": "made", "model": str(tiny), "technique": "dpo", "dataset": rows["dpo"], "compute": {"threads": 1}}
    shown, seen = form(data)
    before = seen.values["estimate"]
    assert "time_s" not in before
    shown.command(seen, {"type": "check", "data": data})
    until(lambda: not seen.values["checking"], 60)
    assert seen.values["refused"] is None
    after = seen.values["estimate"]
    assert after["is_measured"] and after["time_s"] > 0 and after["memory_bytes"] != before["memory_bytes"]
    assert after["steps"] == before["steps"]
    shown.command(seen, {"type": "change", "data": data | {"name": "other"}, "turn": 1})
    until(lambda: seen.values["turn"] == 1)
    assert seen.values["plan"] is None
    assert "is_measured" not in seen.values["estimate"]


def test_a_variable_of_the_notebook_and_a_registered_dataset_are_looked_at(workspace: Path, tiny: Path) -> None:
    rows = [{"prompt": f"{n}?", "completion": str(n)} for n in range(20)]
    data = {"name": "made", "model": str(tiny), "technique": "sft", "dataset": "train"}
    assert [fault.path for fault in draft(data, {}).faults] == ["dataset"]
    found = draft(data, {"train": rows})
    assert (found.faults, found.estimate["train_rows"], found.given["dataset"]) == ([], 18, "train")
    assert versions.names() == []
    tl.Dataset.create("kept", rows, technique="sft")
    found = draft(data | {"dataset": "kept"}, {})
    assert found.given["dataset"] == "kept@1"
    assert found.estimate["eval_rows"] == 2
    broken = [*rows[:4], {"prompt": "?", "completion": None}]
    assert "row 5" in draft(data, {"train": broken}).faults[0].message


def test_the_time_is_by_the_pace_of_the_newest_like_job(rows: dict[str, str], tiny: Path) -> None:
    made = {"per_device_train_batch_size": 2, "eval_steps": 5, "num_train_epochs": 1}
    spec = SPEC | {"model": str(tiny), "hyperparameters": made, "compute": {"device": "cpu"}}
    folder, _ = job_of(spec, "queued", FACTS | {"eval_rows": 10})
    told: list[dict[str, Any]] = [
        {"type": "state", "state": "running"},
        {"type": "progress", "step": 10, "total": 10},
        {"type": "state", "state": "completed"},
    ]
    lines = [{"seq": n, "time": 1000.0 + 40 * n, "source": "runner"} | event for n, event in enumerate(told, 1)]
    folder.journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    entry = index.Entry("chatty", 1, folder.id, "r", str(tiny), "dpo", "d@1", "lora", "/nowhere", "2026-01-01")
    index.add(entry)
    data = {"name": "made", "model": str(tiny), "technique": "dpo", "dataset": rows["dpo"], "split": 4}
    data["hyperparameters"] = {"max_steps": 20, "per_device_train_batch_size": 2, "eval_steps": 10}
    found = draft(data, {}).estimate
    # 80 s for ten steps of two rows, three passes each, and two evaluations of ten rows.
    on_start = 1 if found["evaluations"] == 3 else 0
    assert found["time_s"] == pytest.approx(80 / (3 * 20 + 2 * 10) * (3 * 40 + (2 + on_start) * found["eval_rows"]))
    assert found["time_from"] == folder.id
    assert "time_s" not in draft(data | {"adapter": {"type": "full"}}, {}).estimate


def test_what_is_submitted_is_what_the_cell_makes(form: Any, rows: dict[str, str], tiny: Path) -> None:
    small = {"max_steps": 1, "per_device_train_batch_size": 2}
    data = {"name": "made", "model": str(tiny), "technique": "dpo", "dataset": rows["dpo"], "hyperparameters": small}
    shown, seen = form(data)
    cell = seen.values["cell"]
    shown.command(seen, {"type": "submit", "data": data})
    until(lambda: seen.values["submitted"] is not None or seen.values["refused"], 30)
    assert seen.values["refused"] is None
    job = manager.find(seen.values["submitted"])
    other = tl.customize(customization(cell, {}))
    assert isinstance(other, manager.Job)
    job.cancel()
    other.cancel()
    assert job.spec == other.spec
    # The form opens on the job again.
    _, again = form(job=job.id)
    assert again.values["faults"] == []
    assert _spec(again.values["data"]) == _spec(customization(cell, {})) | {"dataset": again.values["data"]["dataset"]}


def test_a_start_that_is_refused_says_why_and_may_be_tried_again(form: Any, rows: dict[str, str], tiny: Path) -> None:
    lines = Path(rows["dpo"]).read_text().splitlines()
    # Beyond the rows that are looked at as one types.
    Path("long.jsonl").write_text("\n".join([*(lines * 5)[:110], '{"prompt": "a", "chosen": "b", "rejected": null}']))
    data = {"name": "made", "model": str(tiny), "technique": "dpo", "dataset": "long.jsonl"}
    shown, seen = form(data)
    assert seen.values["faults"] == []
    for _ in range(2):
        seen.values["refused"] = None
        shown.command(seen, {"type": "submit", "data": data})
        until(lambda: seen.values["refused"] is not None and not seen.values["submitting"], 30)
        assert "row 111" in seen.values["refused"]
    assert seen.values["submitted"] is None
    assert list(manager.every()) == []


@pytest.mark.parametrize(
    ("cell", "wanted"),
    [
        ("%%customize\nname: a\ntechnique: dpo\n", {"name": "a", "technique": "dpo"}),
        ("%%customize sft --name b\nname: a\n", {"name": "b", "technique": "sft"}),
        ("job = %customize dpo -m m -d d -n n", {"technique": "dpo", "model": "m", "dataset": "d", "name": "n"}),
        (
            "%customize rlvr --reward number --set learning_rate=1e-5 --set adapter.r=4 --fit",
            {
                "technique": "rlvr",
                "reward": "number",
                "hyperparameters": {"learning_rate": "1e-5"},
                "adapter": {"r": 4},
                "compute": {"fit": True},
            },
        ),
        ("%%customize\nreward: {prompt: helpful, model: m}\ntechnique: rlaif", None),
    ],
)
def test_a_cell_opens_in_the_form(form: Any, cell: str, wanted: dict[str, Any] | None) -> None:
    _, seen = form(cell=cell)
    wanted = wanted or {"reward": {"prompt": "helpful", "model": "m"}, "technique": "rlaif"}
    assert seen.values["data"] == wanted


@pytest.mark.parametrize("cell", ["1 + 1", "%%customize\n[1", "%customize --nothing", "%%evaluate\nmodels: [a]"])
def test_what_is_no_such_cell_is_refused(workspace: Path, cell: str) -> None:
    with pytest.raises(Error):
        CustomizeForm(cell=cell)


def test_a_dataset_chooses_the_technique(form: Any) -> None:
    tl.Dataset.create("kept", [{"prompt": f"{n}?", "chosen": "yes", "rejected": f"no {n}"} for n in range(8)], "dpo")
    _, seen = form({"dataset": "kept@1"})
    assert seen.values["data"] == {"dataset": "kept@1", "technique": "dpo"}
    assert seen.values["datasets"] == [{"name": "kept@1", "technique": "dpo", "rows": 8}]
    assert {"name": "smollm2-135m", "kind": "base"}.items() <= seen.values["models"][0].items()
