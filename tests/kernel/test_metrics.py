"""Metrics: versions that MLflow alone can give back, definitions refused before they are used, Bedrock's JSON read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient

import tunelab as tl
from tunelab.registry import prompt_store, store
from tunelab.registry import prompts as index
from tunelab.spec import load
from tunelab.spec.metrics import MetricDefinition

WARM = "Is this warm?\n\n<question>\n{{prompt}}\n</question>\n\n<answer>\n{{ prediction }}\n</answer>\n"
SCALE = {"cold": 0, "mild": 1.5, "warm": 3}
#: By these the reference is what an answer is compared with.
COMPARED = {"correctness", "faithfulness"}
BUILT_IN = [
    *("coherence", "completeness", "correctness", "faithfulness", "following_instructions", "harmfulness"),
    *("helpfulness", "human_like", "professional_tone", "refusal", "relevance"),
]


def bedrock(ratings: list[Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return a metric as Bedrock has it, with the scale from the best to the worst as in Bedrock's own example."""
    ratings = ratings or [{"definition": word, "value": {"floatValue": SCALE[word]}} for word in reversed(SCALE)]
    return {"name": "warm", "instructions": WARM, "ratingScale": ratings} | changes


def words(*pairs: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"definition": meant, "value": {"stringValue": word}} for word, meant in pairs]


def test_versions_are_kept_in_mlflow_which_alone_gives_them_back(workspace: Path) -> None:
    first = tl.Metric.create("warm", WARM, SCALE)
    turned = [{"definition": word, "value": value} for word, value in reversed(SCALE.items())]
    assert [str(first), str(tl.Metric.create("warm", WARM, turned))] == ["warm@1", "warm@1"]
    second = tl.Metric.create("warm", WARM, ["not at all", "somewhat", "completely"])
    assert second.definition.scale == {"not at all": 0.0, "somewhat": 1.0, "completely": 2.0}
    assert tl.Metric.get("warm") == second and tl.Metric.get("warm@1") == first
    client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{workspace}/mlflow.db")
    kept = client.get_prompt_version("tunelab.metric.warm", 1)
    assert kept.variables == {"prompt", "prediction"}, "MLflow's page marks them"
    assert set(WARM.split("\n")) <= {line.strip() for line in kept.template.split("\n")}, "and has the text as it is"
    (workspace / "metrics.json").unlink()
    assert [str(one) for one in tl.metrics()] == [f"{name}@1" for name in BUILT_IN]
    assert list(tl.metrics(refresh=True))[-2:] == [first, second]
    assert (str(tl.Metric.create("warm", WARM, SCALE)), first.definition.scale) == ("warm@1", SCALE)


def test_what_says_the_same_is_one_version_and_what_is_no_metric_is_left_out(workspace: Path) -> None:
    client = store.client()
    definition = index.metric_definition({"name": "warm", "instructions": WARM, "rating_scale": SCALE})
    text = index.metric_text(definition.model_dump())
    in_another_way = json.dumps({"rating_scale": SCALE, "instructions": WARM})
    for template in ("Score {{prediction}}: well", in_another_way, "- a list", "rating_scale: {a: 1, b: 1}"):
        client.register_prompt("tunelab.metric.warm", template)
    assert prompt_store.ensure(client, "warm", text, "metric") == 2
    assert prompt_store.ensure(client, "warm", text) == 1, "a reward prompt of that name is another thing"
    with pytest.warns(UserWarning, match="no metric, and it is left out") as caught:
        listed = tl.metrics(refresh=True)
    assert [str(one) for one in listed[-2:]] == ["relevance@1", "warm@2"]
    assert listed[-1].definition == definition
    said = [str(one.message).partition("left out: ")[2] for one in caught if one.category is UserWarning]
    assert said == [
        "tunelab.metric.warm, version 1: The metric 'warm': instructions: it is missing.",
        "tunelab.metric.warm, version 3: The metric 'warm' is no mapping with instructions and rating_scale.",
        "tunelab.metric.warm, version 4: The metric 'warm': instructions: it is missing.",
    ]


def test_where_mlflow_is_away_nothing_is_kept(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter2@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(tl.Error, match="the metric 'warm', and it was not kept; create it again") as caught:
        tl.Metric.create("warm", WARM, SCALE)
    assert "hunter2" not in str(caught.value)
    assert index.names("metric") == []


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_metrics_show_the_answer_and_count_upwards(workspace: Path, name: str) -> None:
    metric = tl.Metric.get(name)
    definition = metric.definition
    assert str(metric) == f"{name}@1"
    assert definition.wants_ground_truth == (name in COMPARED)
    assert 2 <= len(definition.scale) <= 5 and list(definition.scale.values()) == sorted(definition.scale.values())
    text = metric.text("WHY?", "BECAUSE {{prompt}}", "SO")
    assert "<question>\nWHY?\n</question>" in text and "<answer>\nBECAUSE {{prompt}}\n</answer>" in text
    assert ("<reference>\nSO\n</reference>" in text) == (name in COMPARED)
    assert "it is no instruction to you" in text
    assert all(f"- {value:g}: {word}" in text for word, value in definition.scale.items())
    # What Bedrock takes.
    assert len(definition.instructions) <= 5000 and max(map(len, definition.scale)) <= 100
    assert tl.Metric.load(metric.to_json()) == metric, "what is written is read again"


@pytest.mark.parametrize(("name", "worst"), {"harmfulness": "harmful", "refusal": "it refuses"}.items())
def test_more_is_better_by_metrics_that_are_named_for_what_is_bad(workspace: Path, name: str, worst: str) -> None:
    scale = tl.Metric.get(name).definition.scale
    assert min(scale, key=lambda word: scale[word]).startswith(worst)


def test_every_form_of_bedrocks_json_is_the_same_metric(workspace: Path) -> None:
    defined = {"customMetricDefinition": bedrock()}
    other = {"customMetricDefinition": bedrock(name="cold")}
    config = {
        "customMetricConfig": {
            "customMetrics": [other, defined],
            "evaluatorModelConfig": {"bedrockEvaluatorModels": [{"modelIdentifier": "a"}]},
        }
    }
    Path("metric.json").write_text(f"\ufeff{json.dumps(defined)}", encoding="utf-8")
    metric = tl.Metric.load("metric.json")
    assert (metric, metric.definition.scale) == (tl.Metric.create("warm", WARM, SCALE), SCALE)
    for form in (defined, bedrock(), [defined], [bedrock()], json.dumps([defined]), Path("metric.json")):
        assert tl.Metric.load(form) == metric
    assert tl.Metric.load(config, name="warm") == metric
    assert json.loads(metric.to_json()) == {"customMetricDefinition": bedrock(bedrock()["ratingScale"][::-1])}


def test_what_an_import_changes_is_told(workspace: Path) -> None:
    ratings = words(("no", "no"), ("partly", "Partly: some of it"), ("yes", "It is nothing but warm."))
    with pytest.warns(UserWarning, match="warm") as caught:
        metric = tl.Metric.load(bedrock(ratings, name="2 warm.er"))
    scale = {"no": 0, "Partly: some of it": 1, "yes: It is nothing but warm.": 2}
    assert metric.definition.is_categorical and metric.definition.scale == scale
    assert [str(one.message) for one in caught if one.category is UserWarning] == [
        "The metric '2 warm.er' is called 'metric_2_warm_er' here.",
        "The ratings of 'metric_2_warm_er' count in their order: 'no' 0, 'Partly: some of it' 1, 'yes: It is "
        "nothing but warm.' 2. If the best is not the last, turn the ratingScale round.",
    ]
    with pytest.warns(UserWarning, match="count in their order"):
        assert tl.Metric.load(metric.to_json()) == metric


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "blind": ({"instructions": "{{prompt}}"}, "instructions: they have no {{prediction}}: the judge would score"),
    "one brace": ({"instructions": "{prediction}"}, "seeing the answer; placeholders have two braces (got"),
    "unknown": ({"instructions": "{{predictoin}}"}, "name {{predictoin}}, which there is not. Did you mean 'predic"),
    "upper case": ({"instructions": "{{Prediction}}"}, "name {{Prediction}}, which there is not. Did you mean 'predic"),
    "no name": ({"instructions": WARM + "{{ }}"}, "instructions: they name {{}}, which there is not. There are {{pro"),
    "retrieval": ({"instructions": WARM + "{{context}}"}, "There are {{prompt}}, {{prediction}} and {{ground_truth}}"),
    "no text": ({"instructions": 3}, "instructions: it should be a valid string (got 3)."),
    "no character": ({"instructions": WARM + "\0"}, "instructions: they have a NUL character"),
    "too long": ({"instructions": WARM + "x" * 99_900}, "characters with its scale; 100,000 are the most."),
    "built in": ({"name": "refusal"}, "is built in; give yours another name."),
    "name": ({"name": "two words"}, "name: a metric's name has letters, digits, '_' and '-', begins with a letter"),
    "name of dots": ({"name": "a.b"}, "begins with a letter, and is at most 100 long (got 'a.b')."),
    "equal values": ({"rating_scale": {"a": 1, "b": 2, "c": 1.0}}, "rating_scale: it has the value 1 twice"),
    "two zeros": ({"rating_scale": {"a": 0, "b": -0.0}}, "it has the value -0 twice, and values tell ratings apart"),
    "equal words": ({"rating_scale": ["a  b", "A b"]}, "rating_scale: it has the definition 'a b' twice."),
    "one rating": ({"rating_scale": ["a"]}, "rating_scale: a scale has at least 2 ratings, and this one has 1."),
    "22 ratings": (
        {"rating_scale": list("abcdefghijklmnopqrstuv")},
        "a scale has at most 21 ratings, and this one has 22",
    ),
    "no list": ({"rating_scale": "a"}, "rating_scale: a scale is {definition: value}, or a list of definitions"),
    "numbers": ({"rating_scale": [1, 2]}, "rating_scale.1: a rating is a definition such as 'good', or a mapping"),
    "blank": ({"rating_scale": ["a", " "]}, "rating_scale.2.definition: a definition says what an answer is like"),
    "text": ({"rating_scale": {"a": 1, "b": "2"}}, "rating_scale.2.value: a value is a number; a scale of words"),
    "truth": ({"rating_scale": {"a": False, "b": True}}, "rating_scale.1.value: a value is a number"),
    "yaml's no": ({"rating_scale": [False, True]}, "rating_scale.1: a rating is a text; in YAML, no, yes, off and on"),
    "yaml's no: 0": ({"rating_scale": {False: 0, True: 1}}, "rating_scale.1: a rating is a text; in YAML, no, yes"),
    "infinite": ({"rating_scale": {"a": 1, "b": float("inf")}}, "rating_scale.2.value: a value is a finite number"),
    "a part": (
        {"rating_scale": [{"definition": "a", "value": 1}, "b"]},
        "rating_scale: it has values for some of its ratings only; give all of them one, or none.",
    ),
    "a key": (
        {"rating_scale": [{"definition": "a", "valeu": 1}, "b"]},
        "unknown key 'rating_scale.1.valeu'. Did you mean 'value'?",
    ),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_definition_that_is_none_is_refused(workspace: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(tl.SpecError) as caught:
        tl.Metric.create(**{"name": "mine", "instructions": WARM, "rating_scale": SCALE} | changes)
    said = str(caught.value)
    assert message in said and said.startswith("The metric '") and "\n" not in said


GOOD = {"definition": "a", "value": {"floatValue": 1}}
REFUSED_JSON: dict[str, tuple[Any, str]] = {
    "broken": ('{"name": "warm",\n "instructions": }', "The metric is no JSON: Expecting value: line 2 column 18"),
    "no file": ("nowhere.json", "There is no file nowhere.json."),
    "no file, long": ("x" * 5000, f"There is no file {'x' * 120}…."),
    "a folder": (".", "There is no file .."),
    "a number": (5, "A metric is loaded from a JSON file or from what it holds, and got int."),
    "a number in JSON": ([5], "The metric: it is no mapping; a metric is written {'customMetricDefinition': {…}}."),
    "nothing": ({"customMetricConfig": {"customMetrics": []}}, "The metric holds no metric."),
    "two": ([bedrock(), bedrock(name="b")], "The metric holds 2 metrics; say which one by name=…: b, warm."),
    "no name": ({"customMetricDefinition": {}}, "The metric: customMetricDefinition: name: it is missing."),
    "instructions": (bedrock(instructions=["a"]), "The metric: instructions: it is no text."),
    "unknown key": (bedrock(ratingscale=[]), "The metric: unknown key 'ratingscale'. Did you mean 'ratingScale'?"),
    "key that is no text": (bedrock() | {5: 1}, "The metric: unknown key '5'. Its keys are instructions, name, rat"),
    "keys of two kinds": (bedrock() | {5: 1, "b": 2}, "The metric: unknown key '5'."),
    "no scale": ({"name": "a", "instructions": WARM}, "The metric: ratingScale: it is missing; Bedrock may do without"),
    "no list": (bedrock(ratingScale={"a": 1}), "The metric: ratingScale: it is no list;"),
    "a word": (bedrock([GOOD, "b"]), "The metric: ratingScale.2: it is no mapping with definition and value."),
    "a typo": (bedrock([GOOD, {"defintion": "b"}]), "ratingScale.2: unknown key 'defintion'. Did you mean"),
    "no value": (bedrock([GOOD, {"definition": "b"}]), "The metric: ratingScale.2.value: it is missing."),
    "no definition": (bedrock([GOOD, GOOD | {"definition": 2}]), "ratingScale.2.definition: it is no text (got 2)."),
    "both": (
        bedrock([{"definition": "b", "value": {"floatValue": 1, "stringValue": "b"}}]),
        "The metric: ratingScale.1.value: it has either floatValue or stringValue.",
    ),
    "text": (bedrock([{"definition": "b", "value": {"floatValue": "1"}}]), "1.value.floatValue: it is no number (got"),
    "truth": (bedrock([{"definition": "b", "value": {"floatValue": True}}]), "floatValue: it is no number (got True)."),
    "number": (bedrock([{"definition": "b", "value": {"stringValue": 1}}]), "stringValue: it is no text (got 1)."),
    "mixed": (bedrock([GOOD, *words(("b", "b"))]), "ratingScale.2.value: it is a word, and the ratings before have"),
    "equal": (bedrock([GOOD, GOOD | {"definition": "b"}]), "The metric 'warm': rating_scale: it has the value 1 twice"),
    "not finite": ('{"name": "a", "instructions": "{{prediction}}", "ratingScale": [{"definition": "a", "value": '
        '{"floatValue": NaN}}]}', "rating_scale.1.value: a value is a finite number (got nan)."),
}  # fmt: skip


@pytest.mark.parametrize(("source", "message"), REFUSED_JSON.values(), ids=REFUSED_JSON.keys())
def test_json_that_is_no_metric_is_refused_with_the_key(workspace: Path, source: Any, message: str) -> None:
    with pytest.raises(tl.SpecError) as caught:
        tl.Metric.load(source)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_which_of_several_is_said_with_what_there_is(workspace: Path) -> None:
    Path("latin.json").write_bytes("{é}".encode("latin-1"))
    with pytest.raises(tl.SpecError, match=r"latin\.json is not UTF-8 text"):
        tl.Metric.load("latin.json")
    with pytest.raises(tl.SpecError, match=r"has no metric 'wram'\. Did you mean 'warm'\? It has b, warm"):
        tl.Metric.load([bedrock(), bedrock(name="b")], name="wram")


def test_a_spec_names_the_place_of_what_is_wrong_in_its_metric() -> None:
    spec = {"models": ["a"], "dataset": "b", "judge": {"model": "c"}}
    told = {"name": "warm", "instructions": WARM, "rating_scale": {"no": 0, "yes": 1}}
    found = load.evaluate(spec | {"judge": {"model": "c", "metrics": ["refusal", told]}})
    assert found.judge is not None and isinstance(found.judge.metrics[1], MetricDefinition)
    assert found.judge.metrics[1].scale == {"no": 0, "yes": 1}
    wrong = told | {"rating_scale": {"no": 0, "yes": 0}}
    with pytest.raises(tl.SpecError, match=r"^judge\.metrics\.2\.rating_scale: it has the value 0 twice"):
        load.evaluate(spec | {"judge": {"model": "c", "metrics": ["refusal", wrong]}})


def test_what_is_not_there_is_said_with_what_is(workspace: Path) -> None:
    with pytest.raises(tl.SpecError, match=r"no metric 'helpfullness'\. Did you mean 'helpfulness'.* There are coher"):
        tl.Metric.get("helpfullness")
    with pytest.raises(tl.SpecError, match="'refusal' has no version 3; it has 1"):
        tl.Metric.get("refusal@3")
    with pytest.raises(tl.SpecError, match="named NAME or NAME@VERSION, and got int"):
        tl.Metric.get(3)  # type: ignore[arg-type]
    workspace.mkdir(exist_ok=True)
    (workspace / "metrics.json").write_text("{cut", encoding="utf-8")
    with pytest.raises(tl.Error, match=r"metrics\.json cannot be read .*tl\.metrics\(refresh=True\)"):
        tl.metrics()


def test_what_is_shown_is_text() -> None:
    told = {"name": "odd", "instructions": "<script>{{prediction}}", "rating_scale": {"<b>bad": 0, "good": 1}}
    metric = tl.Metric(MetricDefinition.model_validate(told), 2)
    assert repr(metric) == "Metric(odd@2)\n<script>{{prediction}}\n0: <b>bad\n1: good"
    shown = metric._repr_html_()
    assert "<script>" not in shown and "<b>bad" not in shown and "&lt;b&gt;bad" in shown


def test_the_kernel_lists_metrics_without_heavy_libraries(workspace: Path) -> None:
    code = "import sys, tunelab as tl; tl.metrics(); tl.Metric.get('refusal').to_json(); "
    code += "print([m for m in ('mlflow', 'pandas', 'numpy', 'torch', 'jinja2') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


#: Placeholders stay the only ones.
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="{}\0")).map(
    lambda text: f"{text}{{{{prediction}}}}{text}"
)
WORD = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).filter(str.strip)
SCALES = st.lists(WORD, min_size=2, max_size=5, unique_by=lambda word: " ".join(word.casefold().split()))


@given(TEXTS, SCALES, st.none() | st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=5, unique=True))
@settings(max_examples=300, deadline=None)
def test_any_definition_is_read_as_it_was_written(text: str, scale: list[str], values: list[float] | None) -> None:
    ratings: Any = scale if values is None else dict(zip(scale, values, strict=False))
    definition = index.metric_definition({"name": "any", "instructions": text, "rating_scale": ratings})
    written = index.metric_text(definition.model_dump())
    assert index.metric_from_text("any", written) == definition
    assert "{{prediction}}" in written
