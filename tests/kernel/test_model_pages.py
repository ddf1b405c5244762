"""Models on show: the list, a custom model's page with what its job and evaluations say, and a base model's."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_desk import Seen
from test_live import Client, until
from test_live import kernel as kernel

import tunelab as tl
from tunelab.notebook.modelpages import BasePage, ModelPage
from tunelab.notebook.models import ModelList
from tunelab.registry import index

Shown = ModelList | ModelPage | BasePage


@pytest.fixture
def opened(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Shown], Seen]]:
    """Shows something in a view, with a hub's cache of its own, and takes it away again at the end."""
    monkeypatch.setenv("HF_HUB_CACHE", str(workspace / "hub"))
    shown: list[tuple[Shown, Seen]] = []

    def open_(thing: Shown) -> Seen:
        seen = Seen()
        thing.add(seen)
        shown.append((thing, seen))
        return seen

    yield open_
    for thing, seen in shown:
        thing.remove(seen)


def custom(label: str, base: str = "smollm2-135m", created: str = "2026-01-01T00:00:00+00:00", **changes: Any) -> None:
    name, _, version = label.partition("@")
    path = Path(os.environ["TUNELAB_HOME"]) / "artifacts" / label
    path.mkdir(parents=True, exist_ok=True)
    (path / "adapter_model.safetensors").write_bytes(b"x" * 5000)
    values = {"job": "gone", "run_id": "r1", "technique": "dpo", "dataset": "pairs@1", "adapter": "lora"} | changes
    index.add(index.Entry(name=name, version=int(version), base=base, path=str(path), created=created, **values))


def job(workspace: Path, name: str, facts: dict[str, Any], spec: dict[str, Any] | None = None) -> Path:
    folder = workspace / "jobs" / name
    folder.mkdir(parents=True)
    (folder / "submitted.json").write_text(json.dumps({"submitted_ns": 1_767_225_600 * 10**9} | facts))
    if spec is not None:
        (folder / "spec.yaml").write_text(json.dumps(spec))
    return folder


def judged(workspace: Path, name: str, models: list[str], metric: str = "warm", mean: float = 4.0) -> Path:
    folder = job(workspace, name, {"models": models, "given": {"method": "judge"}, "digests": {"eval@1": "d"}})
    end(folder, models, metric, mean)
    return folder


def end(folder: Path, models: list[str], metric: str = "warm", mean: float = 4.0) -> None:
    row = {"metric": metric, "mean": mean, "improved": 0.5, "equal": 0.3, "degraded": 0.2, "difference": 0.25}
    (folder / "results").mkdir(exist_ok=True)
    rows = [row | {"model": model} for model in models]
    (folder / "results" / "summary.json").write_text(json.dumps({"method": "judge", "summary": rows}))


def spec_of(model: str = "smollm2-135m") -> dict[str, Any]:
    hyperparameters = {"beta": 0.1, "learning_rate": 0.0001, "max_length": 1024}
    return {
        "kind": "customize", "name": "chatty", "model": model, "technique": "dpo", "dataset": "pairs@1", "split": None,
        "adapter": {"type": "lora", "r": 16, "target_modules": "all-linear"}, "hyperparameters": hyperparameters,
        "compute": {"device": "cpu"}, "seed": 42,
    }  # fmt: skip


def rows(seen: Seen, kind: str) -> list[dict[str, Any]]:
    return [row for row in seen.values["models"] if row["kind"] == kind]


def test_the_list_has_custom_models_by_name_and_follows_them(opened: Any, workspace: Path) -> None:
    seen = opened(ModelList())
    assert rows(seen, "custom") == []
    assert rows(seen, "base")[0]["name"] == "smollm2-135m"
    custom("chatty@1")
    custom("chatty@2", created="2026-01-03T00:00:00+00:00")
    custom("terse@1", base="chatty@1", technique="sft", created="2026-01-02T00:00:00+00:00")
    until(lambda: len(rows(seen, "custom")) == 2)
    assert [(row["name"], row["versions"], row["base"]) for row in rows(seen, "custom")] == [
        ("chatty", [2, 1], "smollm2-135m"),
        ("terse", [1], "chatty@1"),
    ]
    running = job(workspace, "e-20260101-000000-0001", {"models": ["smollm2-135m", "chatty@2"]})
    judged(workspace, "e-20260101-000000-0002", ["chatty@2"], "warm", 3.0)
    until(lambda: rows(seen, "custom")[0]["scores"])
    # The results of one that was under way, which leaves the folder of jobs as it is.
    end(running, ["smollm2-135m", "chatty@2"], "kind", 0.5)
    until(lambda: len(rows(seen, "custom")[0]["scores"]) == 2)
    assert {score["metric"]: score["mean"] for score in rows(seen, "custom")[0]["scores"]} == {"warm": 3.0, "kind": 0.5}


def test_base_models_are_those_of_the_catalog_the_cache_and_folders_nearby(
    opened: Any, workspace: Path, tiny_models: dict[str, Path]
) -> None:
    seen = opened(ModelList())
    assert {row["source"] for row in rows(seen, "base")} == {"catalog"}
    snapshot = workspace / "hub" / "models--acme--tiny-chat" / "snapshots" / "abc"
    snapshot.parent.mkdir(parents=True)
    shutil.copytree(tiny_models["qwen3"], snapshot)
    (snapshot / "README.md").write_text("---\nlicense: mit\n---\n# Tiny\n")
    (snapshot.parent.parent / "refs").mkdir()
    (snapshot.parent.parent / "refs" / "main").write_text("abc")
    until(lambda: "hub" in {row["source"] for row in rows(seen, "base")})
    shutil.copytree(tiny_models["llama"], "nearby")
    # Neither an adapter nor a folder without weights is a model to begin with.
    Path("adapter").mkdir()
    Path("adapter", "config.json").write_text("{}")
    until(lambda: "folder" in {row["source"] for row in rows(seen, "base")})
    found = {row["name"]: row for row in rows(seen, "base") if row["source"] != "catalog"}
    assert set(found) == {"acme/tiny-chat", "./nearby"}
    hub = found["acme/tiny-chat"]
    assert (hub["here"], hub["licence"], hub["chat_template"]) == ("hub cache", "mit", True)
    assert hub["params"] > 0 and hub["memory"]["lora"]["fits"] and hub["memory"]["lora"]["least"] > 0
    assert [one.name for one in tl.base_models()][-2:] == ["acme/tiny-chat", "./nearby"]
    assert "acme/tiny-chat" in repr(tl.base_models()) and "<table>" in tl.base_models()._repr_html_()


def test_a_page_has_all_that_its_job_and_evaluations_say(opened: Any, workspace: Path) -> None:
    facts = {
        "user": "ada", "commit": "abc", "params": 134515008, "train_rows": 9, "packages": {"torch": "2.13"},
        "given": {"name": "chatty", "model": "smollm2-135m", "hyperparameters": {"learning_rate": 0.0001}},
    }  # fmt: skip
    made = job(workspace, "chatty-20260101-000000-0000", facts, spec_of())
    started = {"type": "artifact", "kind": "run", "run_id": "r1", "experiment_id": "7"}
    (made / "journal.jsonl").write_text(json.dumps({"type": "state"}) + "\n" + json.dumps(started) + "\n")
    for step in (20, 40):
        (made / "checkpoints" / f"step-{step}").mkdir(parents=True)
        (made / "checkpoints" / f"step-{step}" / ".complete").touch()
    custom("chatty@1", job=made.name)
    custom("chatty@2", parent="chatty@1:step-20", technique="sft")
    custom("whole@1", base="chatty@1", parent="chatty@1", adapter="full")
    judged(workspace, "e-20260101-000000-0001", ["smollm2-135m", "chatty@1", "chatty@1:step-20"])
    judged(workspace, "e-20260101-000000-0002", ["smollm2-135m", "chatty@10"])
    page = opened(ModelPage("chatty@1")).values["page"]
    shown = {key: page[key] for key in ("model", "versions", "base", "parent", "adapter", "user", "commit", "packages")}
    assert shown == {
        "model": "chatty@1",
        "versions": [2, 1],
        "base": "smollm2-135m",
        "parent": None,
        "adapter": "LoRA r16",
        "user": "ada",
        "commit": "abc",
        "packages": {"torch": "2.13"},
    }
    assert page["has_job"] and page["is_here"] and page["disk_bytes"] >= 5000
    assert (page["mlflow"]["run_id"], page["mlflow"]["experiment_id"]) == ("r1", "7")
    assert [one["label"] for one in page["checkpoints"]] == ["chatty@1:step-40", "chatty@1:step-20"]
    assert [one["job"] for one in page["evaluations"]] == ["e-20260101-000000-0001"]
    assert [row["model"] for row in page["evaluations"][0]["rows"]] == ["chatty@1", "chatty@1:step-20"]
    assert page["evaluations"][0]["rows"][0]["improved"] == 0.5
    assert [one["model"] for one in page["derived"]] == ["chatty@2", "whole@1"]
    settings = {row["key"]: row for row in page["settings"]}
    assert settings["hyperparameters.learning_rate"] == {
        "key": "hyperparameters.learning_rate", "value": 0.0001, "given": True, "source": None,
    }  # fmt: skip
    assert settings["hyperparameters.beta"]["source"].startswith("TRL DPOConfig")
    assert settings["adapter.r"]["source"].startswith("alignment-handbook")
    later = opened(ModelPage("chatty")).values["page"]
    assert (later["model"], later["parent"], later["base"], later["has_job"]) == (
        "chatty@2", "chatty@1:step-20", "smollm2-135m", False,
    )  # fmt: skip


def test_a_page_follows_new_results_and_new_versions(opened: Any, workspace: Path) -> None:
    custom("chatty@1")
    seen = opened(ModelPage("chatty@1"))
    folder = judged(workspace, "e-20260101-000000-0001", ["chatty@1"], mean=1.0)
    until(lambda: seen.values["page"]["evaluations"])
    end(folder, ["chatty@1"], mean=2.0)
    # The page may be read while the results are being written.
    until(lambda: [row["mean"] for one in seen.values["page"]["evaluations"] for row in one["rows"]] == [2.0])
    custom("chatty@2")
    until(lambda: seen.values["page"]["versions"] == [2, 1])


def test_a_base_page_has_estimates_by_technique_and_what_was_made(opened: Any) -> None:
    custom("chatty@1")
    custom("terse@1", base="chatty@1", created="2026-02-01T00:00:00+00:00")
    custom("other@1", base="qwen3-0.6b")
    page = opened(BasePage("smollm2-135m")).values["page"]
    assert (page["name"], page["size"], page["context"], page["licence"]) == (
        "smollm2-135m",
        "135M",
        8192,
        "Apache-2.0",
    )
    assert [one["technique"] for one in page["estimates"]] == ["sft", "dpo", "rlvr", "rlaif"]
    for one in page["estimates"]:
        assert one["lora"]["least"] < one["lora"]["most"] and one["lora"]["least"] < one["full"]["least"]
    assert [one["model"] for one in page["made"]] == ["terse@1", "chatty@1"]
    assert opened(BasePage("Qwen/Qwen3-0.6B")).values["page"]["name"] == "qwen3-0.6b"


def refused(open_: Callable[[], object]) -> str:
    with pytest.raises(tl.ModelError) as error:
        open_()
    return str(error.value)


def test_what_is_not_there_is_refused_in_a_sentence(workspace: Path) -> None:
    custom("chatty@1")
    assert refused(lambda: ModelPage("chatty@2")) == "'chatty' has no version 2; it has 1."
    assert refused(lambda: ModelPage("chaty")).startswith("There is no custom model 'chaty'. Did you mean")
    assert refused(lambda: BasePage("smollm2-135")).startswith("There is no model 'smollm2-135'.")
    assert "is a custom model" in refused(lambda: BasePage("chatty@1"))


def test_pages_and_the_list_are_quick_among_many_jobs_and_models(opened: Any, workspace: Path) -> None:
    custom("m@1")
    kept = index.entries()
    path = kept[0].path
    for number in range(200):
        label = (f"m{number}", 1, f"m{number}-20260101-000000-{number:04x}", "r", "smollm2-135m")
        kept.append(index.Entry(*label, "dpo", "d@1", "lora", path, "2026-01-01T00:00:00+00:00"))
    index.replace(kept)
    for number in range(1000):
        name = f"j{number}-20260101-000000-{number:04x}"
        if number % 2:
            job(workspace, name, {"train_rows": 9, "given": {}}, spec_of())
        else:
            judged(workspace, name, ["smollm2-135m", f"m{number % 200}@1"])
    shown = ModelList()
    opened(shown)
    assert timed(lambda: opened(ModelPage("m2@1"))) < 0.3
    assert timed(lambda: opened(BasePage("smollm2-135m"))) < 0.3
    assert timed(shown.look) < 0.1


def timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def test_pages_open_by_comm_and_refuse_by_it(kernel: Client) -> None:
    custom("chatty@1")
    kernel.run("%load_ext tunelab")
    for place, (view, model) in enumerate({"model": "chatty@1", "base": "smollm2-135m"}.items()):
        kernel.comm("comm_open", str(place), {"view": view, "model": model})
        shown = kernel.hear(str(place), lambda data: "page" in data.get("state", {}))["state"]["page"]
        assert model in (shown.get("model"), shown.get("name"))
    kernel.comm("comm_open", "no", {"view": "model", "model": "chatty@7"})
    reply = kernel.hear("no", lambda data: data.get("method") == "refused")
    assert reply["reason"] == "'chatty' has no version 7; it has 1."
