"""Lineage: the graph that MLflow tells, what is cut out of it, and how it is shown."""

from __future__ import annotations

import itertools
import json
import re
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

import tunelab as tl
from tunelab.__main__ import main
from tunelab.lineage import Lineage, around, named
from tunelab.notebook.lineage import LineagePage

SMALL = {"max_steps": 1, "per_device_train_batch_size": 2, "warmup_steps": 0}
KEYS: dict[str, Any] = {"split": 4, "hyperparameters": SMALL, "compute": {"threads": 1, "dtype": "float32"}}
HOSTILE = "<script>alert('x')</script>&\"quoted\"\x1b[31m\x00"
SVG = "{http://www.w3.org/2000/svg}"


def test_data_models_jobs_and_an_evaluation_are_one_graph(
    workspace: Path, tiny: Path, answers: Path, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = tl.customize(name="first", technique="sft", model=str(tiny), dataset=str(answers), **KEYS)
    assert first.wait(progress=False).state == "completed", first.logs()
    second = tl.customize(name="second", technique="dpo", model="first", dataset=str(pairs), **KEYS)
    assert second.wait(progress=False).state == "completed", second.logs()
    rows = [{"query": f"{n}?", "response": str(n)} for n in range(3)]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    judged = tl.evaluate(
        models=[str(tiny), "second"], dataset="rows.jsonl", scorer="exact",
        generation={"max_new_tokens": 4}, compute={"threads": 1},
    )  # fmt: skip
    assert judged.wait(progress=False).state == "completed", judged.logs()

    found = tl.lineage(tl.model("second"))
    labels = {node["id"]: node["label"] for node in found.nodes}
    edges = {(labels[e["source"]], e["meaning"], labels[e["target"]]) for e in found.edges}
    assert edges == {
        (first.spec["dataset"], "trained on", first.id),
        (str(tiny), "started from", first.id),
        (first.id, "made", "first@1"),
        ("first@1", "continued from", second.id),
        (second.spec["dataset"], "trained on", second.id),
        (second.id, "made", "second@1"),
        ("second@1", "evaluated", judged.id),
        (str(tiny), "evaluated", judged.id),
        (judged.spec["dataset"], "evaluated on", judged.id),
        ("exact", "scored by", judged.id),
    }
    assert set(found.descendants()) == {judged.id}
    assert {"first@1", first.spec["dataset"], str(tiny)} <= set(found.ancestors())
    assert set(found.ancestors("first@1")) == {first.id, first.spec["dataset"], str(tiny)}
    job = named(second.id, found.nodes)
    assert job["who"] == second.facts["user"]
    assert {"tunelab", "torch", "trl", "python"} <= set(job["packages"])
    dataset = named(first.spec["dataset"], found.nodes)
    assert dataset["who"] == tl.Dataset.get(first.spec["dataset"]).creator and dataset["when"]
    assert dataset["facts"]["rows"] == "24"
    assert named(str(tiny), found.nodes)["digest"]
    assert dataset["digest"] == tl.Dataset.get(first.spec["dataset"]).digest

    assert main(["lineage", "second@1"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("second@1 (custom model") and "continued from: first@1" in told
    # On show: read once, then at once, and what is no more up to date is shown until it is.
    shown = _Shown("model:second@1")
    assert shown.until(reading=False)["graph"] == found.to_dict()
    began = time.monotonic()
    again = _Shown("first@1").until(reading=False)["graph"]
    assert time.monotonic() - began < 1
    assert again["of"] == "model:first@1" and {node["id"] for node in again["nodes"]} >= {"model:second@1"}
    # Of the rows all that was made of them; not what is beside it.
    of_rows = Lineage(**_Shown(first.spec["dataset"]).until(reading=False)["graph"])
    assert {"first@1", "second@1", judged.id} <= set(of_rows.descendants())
    store = MlflowClient(f"sqlite:///{workspace / 'mlflow.db'}")
    store.set_model_version_tag("second", "1", "tunelab.endpoint.local", "http://user:secret@127.0.0.1:8000/v1")
    later = _Shown("second@1")
    assert later.until(graph=found.to_dict())["reading"] is True
    served = later.until(reading=False)["graph"]
    (endpoint,) = [node for node in served["nodes"] if node["kind"] == "endpoint"]
    assert endpoint["facts"] == {"address": "http://127.0.0.1:8000/v1"}
    assert _Shown("secnd").until(reading=False)["refused"].startswith("MLflow knows no 'secnd'. Did you mean")


class _Shown:
    """A view of a lineage that keeps what it was told."""

    def __init__(self, of: str) -> None:
        self.told: list[dict[str, Any]] = []
        self.now: dict[str, Any] = {}
        LineagePage(of).add(self)

    def state(self, **values: Any) -> None:
        self.now = self.now | values
        self.told.append(self.now)

    def until(self, **values: Any) -> dict[str, Any]:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for state in self.told:
                if all(state.get(key) == value for key, value in values.items()):
                    return state
            time.sleep(0.01)
        raise AssertionError(self.now)


def _graph(count: int) -> dict[str, Any]:
    nodes = [{"id": f"n{n}", "kind": "dataset" if n == 0 else "job", "label": HOSTILE} for n in range(count)]
    edges = [{"source": f"n{a}", "target": f"n{b}", "meaning": HOSTILE} for a, b in itertools.pairwise(range(count))]
    return {"nodes": nodes, "edges": edges}


def test_a_picture_shows_names_as_text_and_is_one_document() -> None:
    found = around("n1", _graph(4))
    picture = ET.fromstring(found.svg())
    texts = [text for node in picture.iter() if (text := node.text) and "script" in text]
    assert len(texts) >= 4 and all("<script>" in text for text in texts)
    assert not [node for node in picture.iter() if node.tag.endswith("script")]
    boxes = picture.findall(f".//{SVG}rect")
    assert len({(box.get("x"), box.get("y")) for box in boxes}) == 4
    # A picture stands in a page, so that each of its rules must be of it alone.
    rules = picture.find(f"{SVG}style").text.split("}")[:-1]
    assert rules and all(rule.startswith(".tunelab-picture ") for rule in rules)
    for shown in (found.svg(), found.tree(), found._repr_html_(), around("n1", _graph(80))._repr_html_()):
        assert "\x1b" not in shown and "\x00" not in shown
        assert shown.startswith("<script>") or "<script>" not in shown


def test_a_line_goes_between_the_boxes_of_the_layers_that_it_passes() -> None:
    names = "abcdefg"
    graph = {
        "nodes": [{"id": name, "kind": "job", "label": name} for name in names],
        # A long way, and short cuts past it.
        "edges": [{"source": s, "target": t, "meaning": "used"} for s, t in ("ab", "bc", "cd", "ad", "ac", "eb", "fc")]
        + [{"source": "g", "target": "d", "meaning": "used", "note": "step 5"}],
    }
    picture = ET.fromstring(around("d", graph).svg())
    boxes = [tuple(float(box.get(key)) for key in ("x", "y", "width", "height")) for box in picture.iter(f"{SVG}rect")]
    lines = [path.get("d") for path in picture.iter(f"{SVG}path") if path.get("marker-end")]
    assert len(boxes) == len(names) and len(lines) == 8
    for line in lines:
        for left, right, y in re.findall(r" ([\d.]+) ([\d.]+)H([\d.]+)", line):
            # What passes a layer does so at one height: the three are its start, its height and its end.
            x1, y1, x2 = float(left), float(right), float(y)
            assert not any(x < x2 and x1 < x + width and top < y1 < top + tall for x, top, width, tall in boxes)
    assert any("H" in line for line in lines)
    assert "used (step 5)" in ET.tostring(picture, encoding="unicode")


def test_a_large_one_is_a_table_and_a_long_one_has_a_tree() -> None:
    html = around("n1", _graph(80))._repr_html_()
    assert "<svg" not in html and html.count("<tr>") == 81
    chain = around("n0", _graph(3000))
    assert len(chain.tree().splitlines()) == 3001


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a@1", "m1"),
        ("a", "m2"),
        ("a@2:step-5", "m2"),
        ("d", "d1"),
        ("a-1", "j1"),
        # By its kind, where two are called so.
        ("dataset:a@1", "d3"),
        ("dataset:a", "d2"),
        ("model:a@1", "m1"),
    ],
)
def test_a_name_means_its_newest_version(name: str, expected: str) -> None:
    nodes = [
        {"id": "m1", "kind": "model", "label": "a@1"},
        {"id": "m2", "kind": "model", "label": "a@2"},
        {"id": "d1", "kind": "dataset", "label": "d@1"},
        {"id": "d2", "kind": "dataset", "label": "a@3"},
        {"id": "d3", "kind": "dataset", "label": "a@1"},
        {"id": "j1", "kind": "job", "label": "a-1"},
    ]
    assert named(name, nodes)["id"] == expected


def test_what_lies_beside_is_left_out() -> None:
    graph = {
        "nodes": [{"id": name, "kind": "job", "label": name} for name in "abcde"],
        # a → b → c, and a → d, and e → c.
        "edges": [{"source": s, "target": t, "meaning": "used"} for s, t in ("ab", "bc", "ad", "ec")],
    }
    assert [node["label"] for node in around("b", graph).nodes] == ["a", "b", "c", "e"]
