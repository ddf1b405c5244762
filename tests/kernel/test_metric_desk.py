"""Metrics on show: what a page is told of them, how it makes new ones, and that a refusal tells it what to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_desk import Seen
from test_live import Client, until
from test_live import kernel as kernel
from test_metrics import BUILT_IN, SCALE, WARM, bedrock, words

import tunelab as tl
from tunelab.notebook.metrics import MetricList
from tunelab.registry import prompts as index
from tunelab.spec import load

ODD = "Say \"it's\" {{prediction}}\\n\n\n'''\n\tüber 😀\u2028 {{ ground_truth }}"
NEW_YEAR = "2026-01-01T00:00:00+00:00"


@pytest.fixture
def desk(workspace: Path) -> Iterator[Callable[..., dict[str, Any]]]:
    """Asks the list what a page asks, and returns the answer; `desk.seen` is the view."""
    shown, seen = MetricList(), Seen()
    shown.add(seen)

    def ask(kind: str, **content: Any) -> dict[str, Any]:
        before = len(seen.messages)
        shown.command(seen, {"type": kind} | content)
        until(lambda: len(seen.messages) > before, 60)
        return seen.messages[-1]

    ask.seen = seen  # type: ignore[attr-defined]
    yield ask
    shown.remove(seen)


def kept(
    name: str, template: dict[str, Any] | str, version: int = 1, created: str = "2026-01-01T00:00:00+00:00"
) -> None:
    """Note a version in the index as it is when MLflow has taken it."""
    text = template if isinstance(template, str) else index.metric_text(template)
    index.add(index.Entry(name, version, text, created), "metric")


def told(instructions: str = WARM, scale: Any = SCALE) -> dict[str, Any]:
    definition = {"name": "any", "instructions": instructions, "rating_scale": scale}
    return index.metric_definition(definition).model_dump()


def test_the_list_has_ones_own_first_and_follows_them(desk: Any) -> None:
    seen = desk.seen
    assert [row["name"] for row in seen.values["metrics"]] == BUILT_IN
    assert all(row["builtin"] and row["versions"] == [1] for row in seen.values["metrics"])
    needs = [row["name"] for row in seen.values["metrics"] if row["ground_truth"]]
    assert needs == ["correctness", "faithfulness"]
    kept("old", told())
    kept("warm", told(), created="2026-02-01T00:00:00+00:00")
    kept("warm", told(ODD, ["not at all", "somewhat", "completely"]), 2, "2026-02-02T00:00:00+00:00")
    wanted = [("warm", 2), ("old", 1)]
    until(lambda: [(row["name"], row["version"]) for row in seen.values["metrics"]][:2] == wanted)
    assert [row["name"] for row in seen.values["metrics"]] == ["warm", "old", *BUILT_IN]
    assert seen.values["metrics"][0] | {"asks": ""} == {
        "name": "warm",
        "version": 2,
        "versions": [2, 1],
        "builtin": False,
        "scale": "not at all < somewhat < completely",
        "categorical": True,
        "ground_truth": True,
        "created": "2026-02-02T00:00:00+00:00",
        "asks": "",
    }
    assert seen.values["metrics"][1]["scale"] == "0 < 1.5 < 3"
    assert seen.values["metrics"][1]["asks"].startswith("Is this warm? <question>")


def test_a_list_that_cannot_be_read_says_why_and_is_there_again(desk: Any, workspace: Path) -> None:
    seen = desk.seen
    kept("warm", told())
    until(lambda: seen.values["metrics"][0]["name"] == "warm")
    whole = (workspace / "metrics.json").read_text()
    (workspace / "metrics.json").write_text("{")
    until(lambda: seen.values["trouble"])
    assert "Write it anew from MLflow: tl.metrics(refresh=True)." in seen.values["trouble"]
    assert seen.values["metrics"][0]["name"] == "warm"
    assert desk("metric", metric="warm")["type"] == "metric_refused"
    again = Seen()
    MetricList().add(again)
    assert again.values["trouble"] and again.values["metrics"] == []
    (workspace / "metrics.json").write_text(whole)
    until(lambda: seen.values["trouble"] is None)


@pytest.mark.filterwarnings("ignore:The ratings of")
@pytest.mark.parametrize(
    "scale", [SCALE, {"a": -1, 'it\'s "b"': 0.1, "c": 1e300}, ["no", "x: y"]], ids=["numbers", "odd", "words"]
)
@pytest.mark.parametrize("instructions", [WARM, ODD], ids=["plain", "odd"])
def test_a_page_has_the_whole_of_a_metric_and_what_it_is_copied_as(desk: Any, instructions: str, scale: Any) -> None:
    kept("warm", told(instructions, scale))
    metric = tl.Metric.get("warm")
    shown = desk("metric", metric="warm@1")
    assert shown["instructions"] == instructions
    assert [(one["definition"], one["counts"]) for one in shown["ratings"]] == list(metric.definition.scale.items())
    assert [one["value"] is None for one in shown["ratings"]] == [metric.definition.is_categorical] * len(scale)
    assert shown["created"] == NEW_YEAR
    # What the code makes is the version that it was written from, so nothing asks MLflow.
    namespace: dict[str, Any] = {}
    exec(shown["python"].replace("tl.Metric.create", "made = tl.Metric.create"), namespace)
    assert namespace["made"] == metric
    assert tl.Metric.load(shown["json"]) == metric
    json.dumps(shown).encode()


def test_the_cell_is_a_spec_of_what_there_is_to_evaluate(desk: Any, workspace: Path) -> None:
    first = desk("metric", metric="correctness")
    assert first["created"] is None
    head, body = first["cell"].split("\n", 1)
    assert head == "%%evaluate" and "dataset: my-eval  # a dataset for evaluation" in body
    tl.Dataset.create("asked", [{"query": "What is 1 plus 1?", "response": "2"}])
    tl.Dataset.create("sums", [{"prompt": f"{n} plus 1?", "completion": f"{n + 1}"} for n in range(4)])
    spec = load.evaluate(load.from_yaml(desk("metric", metric="correctness")["cell"].split("\n", 1)[1]))
    assert (spec.method, spec.dataset, spec.models) == ("judge", "asked", ["smollm2-135m"])
    assert spec.judge is not None and spec.judge.metrics == ["correctness@1"]


def test_a_metric_is_kept_by_the_form_and_its_next_version_too(desk: Any) -> None:
    ratings = [{"definition": word, "value": value} for word, value in SCALE.items()]
    assert desk("keep_metric", name="warm", instructions=WARM, rating_scale=ratings) == {
        "type": "metric_kept",
        "metric": "warm@1",
        "asked": "keep_metric",
        "notes": [],
    }
    row = desk.seen.values["metrics"][0]
    assert (row["name"], row["version"], row["builtin"]) == ("warm", 1, False), "it is in the list before the answer"
    assert tl.Metric.get("warm@1").definition.scale == SCALE
    again = desk("keep_metric", name="warm", instructions=WARM, rating_scale=list(reversed(ratings)))
    assert (again["metric"], again["notes"]) == (
        "warm@1",
        ["This is what warm@1 said already, so no version was added."],
    )
    only = [{"definition": "cold"}, {"definition": "warm"}]
    assert desk("keep_metric", name="warm", instructions=WARM, rating_scale=only)["metric"] == "warm@2"
    assert desk.seen.values["metrics"][0]["versions"] == [2, 1]


@pytest.mark.parametrize(
    ("changes", "said"),
    {
        "no name": ({"name": ""}, "name: a metric's name has letters"),
        "built in": ({"name": "refusal"}, "The metric 'refusal' is built in; give yours another name."),
        "no answer": ({"instructions": "Warm? {{prompt}}"}, "instructions: they have no {{prediction}}"),
        "unknown": ({"instructions": "{{prediction}} {{promt}}"}, "Did you mean 'prompt'?"),
        "one": ({"rating_scale": [{"definition": "a", "value": 1}]}, "a scale has at least 2 ratings"),
        "twice": (
            {"rating_scale": [{"definition": "a", "value": 1}, {"definition": "b", "value": 1}]},
            "it has the value 1 twice",
        ),
        "blank": ({"rating_scale": [{"definition": "a"}, {"definition": " "}]}, "rating_scale.2.definition: "),
        "a text": (
            {"rating_scale": [{"definition": "a", "value": 1}, {"definition": "b", "value": "1,5"}]},
            "rating_scale.2.value: a value is a number",
        ),
    }.values(),
    ids=["no name", "built in", "no answer", "unknown", "one", "twice", "blank", "a text"],
)
def test_what_cannot_be_a_metric_is_refused_in_a_sentence(desk: Any, changes: dict[str, Any], said: str) -> None:
    asked = {"name": "warm", "instructions": WARM, "rating_scale": [{"definition": "a"}, {"definition": "b"}]}
    answer = desk("keep_metric", **(asked | changes))
    assert (answer["type"], answer["asked"]) == ("metric_refused", "keep_metric")
    assert said in answer["reason"]
    assert index.names("metric") == []


def test_where_mlflow_is_away_the_form_is_told_so(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter2@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    answer = desk("keep_metric", name="warm", instructions=WARM, rating_scale=["a", "b"])
    assert "it was not kept; create it again when MLflow does" in answer["reason"]
    assert "hunter2" not in answer["reason"]


@pytest.mark.filterwarnings("ignore:The ")
def test_a_file_of_bedrocks_is_imported(desk: Any) -> None:
    text = json.dumps({"customMetricDefinition": bedrock(words(("no", "no, not warm"), ("yes", "")), name="How warm?")})
    refused = desk("import_metric", file="warm.json", text=text, name=None)
    assert refused["reason"].startswith("The metric 'How_warm?': name: a metric's name has letters")
    answer = desk("import_metric", file="warm.json", text=text.replace("warm?", "warm", 1), name=None)
    assert answer["metric"] == "How_warm@1"
    assert answer["notes"] == [
        "The metric 'How warm' is called 'How_warm' here.",
        "The ratings count in their order: 'no, not warm' 0, 'yes' 1. If the best is not the last, make a new version "
        "and move the ratings.",
    ]


def test_of_a_file_with_several_metrics_one_is_chosen(desk: Any) -> None:
    several = [{"customMetricDefinition": bedrock(name=name)} for name in ("cold", "warm")]
    text = json.dumps({"customMetricConfig": {"customMetrics": several, "evaluatorModelConfig": {}}})
    answer = desk("import_metric", file="job.json", text=text, name=None)
    assert answer == {"type": "metric_choice", "file": "job.json", "names": ["cold", "warm"]}
    assert desk("import_metric", file="job.json", text=text, name="warm")["metric"] == "warm@1"
    assert index.names("metric") == ["warm"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "bad.json is no JSON: Expecting property name"),
        ("[" * 100_000, "bad.json is no JSON: "),
        ('"./secret.json"', "bad.json holds no metric; one is written"),
        ("[]", "bad.json holds no metric."),
        ('{"name": "warm"}', "bad.json: instructions: it is missing."),
        (json.dumps(bedrock([{"definition": "a"}])), "bad.json: ratingScale.1.value: it is missing."),
        (json.dumps(bedrock(instructions="Warm?")), "The metric 'warm': instructions: they have no {{prediction}}"),
        (
            json.dumps(bedrock(instructions="\ud83d {{prediction}}")),
            "The metric 'warm': instructions: it should be a valid string",
        ),
    ],
    ids=["no JSON", "deep", "a text", "empty", "half", "no value", "no answer", "half a character"],
)
def test_a_file_that_is_none_is_refused_with_its_name_and_the_place(desk: Any, text: str, said: str) -> None:
    answer = desk("import_metric", file="bad.json", text=text, name=None)
    assert (answer["type"], answer["asked"]) == ("metric_refused", "import_metric")
    assert answer["reason"].startswith(said)
    assert index.names("metric") == []


def test_an_unknown_metric_is_refused_for_the_page_that_asked(desk: Any) -> None:
    answer = desk("metric", metric="wram@1")
    assert (answer["asked"], answer["metric"]) == ("metric", "wram@1")
    assert answer["reason"].startswith("There is no metric 'wram'.")


def test_the_kernel_opens_the_place_for_a_page(kernel: Client) -> None:
    kernel.run("%load_ext tunelab")
    kernel.comm("comm_open", "m", {"view": "metrics"})
    opened = kernel.hear("m", lambda data: "metrics" in data.get("state", {}))
    assert [row["name"] for row in opened["state"]["metrics"]] == BUILT_IN
    kernel.comm("comm_msg", "m", {"type": "metric", "metric": "refusal@1"})
    shown = kernel.hear("m", lambda data: data.get("content", {}).get("type") == "metric")
    assert yaml.safe_load(shown["content"]["json"])["customMetricDefinition"]["name"] == "refusal"
