"""What an evaluation refuses before anything starts, what it takes a spec to mean, and the magic's line as a spec."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

import tunelab as tl
from tunelab import api
from tunelab.data import Dataset
from tunelab.jobs import manager
from tunelab.jobs.prepare_evaluation import PreparedEvaluation
from tunelab.registry import index
from tunelab.spec.evaluate import EvaluateSpec

SECRET = "sk-never-shown"
ROWS = [{"query": f"Say {n}.", "response": str(n), "id": f"q{n}", "kind": "even"} for n in (2, 4, 6)]
INSTRUCTIONS = "Is it warm?\n{{prompt}}\n{{prediction}}"
JUDGE = {"model": "judge", "base_url": "http://127.0.0.1:1/v1", "metrics": ["helpfulness"]}
BIG = {"name": "big", "model": "gpt", "base_url": "http://127.0.0.1:1/v1"}


def metric(**keys: Any) -> dict[str, Any]:
    """Return a judge's section with a metric of one's own."""
    own = {"name": "warm", "instructions": INSTRUCTIONS, "rating_scale": {"cold": 0, "warm": 1}}
    return {"judge": JUDGE | {"metrics": [own | keys]}}


@pytest.fixture
def submitted(
    workspace: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., PreparedEvaluation]]:
    """`tl.evaluate` up to where processes start, on a folder `tiny` and files of rows: what would be submitted."""
    Path("tiny").symlink_to(tiny)
    files = {
        "rows": ROWS,
        "twice": [ROWS[0], ROWS[1], ROWS[2] | {"id": "q2"}],
        "untold": [{"query": "Say 2.", "response": "2"}, {"query": "Say 4."}],
        "bare": [{"query": "Say 2."}, {"query": "Say 4."}],
        "given": [{"id": "q2", "prediction": "2"}, {"id": "q6", "prediction": "7"}],
        "unknown": [{"id": "q2", "prediction": "2"}, {"id": "q3", "prediction": "3"}],
        "again": [{"id": "q2", "prediction": "2"}, {"id": "q2", "prediction": "3"}],
        "no-id": [{"prediction": "2"}],
        "no-text": [{"id": "q2", "prediction": 2}],
        "people": [{"prompt": "a", "prediction": "b", "label": "good"}],
        "of-ten": [{"prompt": "a", "prediction": "b", "label": rating} for rating in (4, 7)],
    }
    for name, rows in files.items():
        Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    Path("empty.jsonl").touch()
    monkeypatch.setattr(manager, "submit", lambda prepared: prepared)

    def evaluate(spec: Any = None, **keys: Any) -> Any:
        return tl.evaluate(spec, **keys)

    yield evaluate
    assert not list((workspace / "jobs").glob("*-*")), "a refusal starts nothing"


def score(prompt: str, prediction: str, ground_truth: str, **row: Any) -> float:
    return float(ground_truth in prediction)


def wants_level(prediction: str, level: str) -> float:
    return float(prediction == level)


#: What is changed of `models: [tiny], dataset: rows.jsonl, scorer: exact`; None leaves a key out.
REFUSED: dict[str, tuple[dict[str, Any], type[tl.Error], str]] = {
    "unknown key": ({"dataest": "a"}, tl.SpecError, "Unknown key 'dataest' in the spec. Did you mean 'dataset'?"),
    "unknown key within": (
        {"generation": {"temprature": 1}},
        tl.SpecError,
        "Unknown key 'generation.temprature' in the spec. Did you mean 'temperature'?",
    ),
    "unknown key of an endpoint": (
        {"models": ["tiny", BIG | {"price": 1}]},
        tl.SpecError,
        "Unknown key 'models.2.price' in the spec. Did you mean 'price_in'?",
    ),
    "an endpoint without its address": (
        {"models": [{"name": "big", "model": "gpt"}]},
        tl.SpecError,
        "models.1.base_url: it is missing.",
    ),
    "no dataset": ({"dataset": None}, tl.SpecError, "Method scorer needs a dataset."),
    "no models": ({"models": None}, tl.SpecError, "There are no models to evaluate."),
    "nothing that scores": (
        {"scorer": None},
        tl.SpecError,
        "An evaluation takes a judge, a scorer or a benchmark, and has none of them.",
    ),
    "two that score": (
        {"judge": JUDGE},
        tl.SpecError,
        "An evaluation takes a judge, a scorer or a benchmark, and has judge, scorer at once.",
    ),
    "misspelt method": (
        {"method": "scoer"},
        tl.SpecError,
        "Unknown method 'scoer'. Did you mean 'scorer'? There are benchmark, judge, meta, scorer.",
    ),
    "a method without its section": ({"method": "judge"}, tl.SpecError, "Method judge needs 'judge'."),
    "no such file": ({"dataset": "row.jsonl"}, tl.DataError, "There is no file row.jsonl. Did you mean 'rows.jsonl'?"),
    "two rows with one id": (
        {"dataset": "twice.jsonl"},
        tl.DataError,
        "twice@1, rows 1 and 3 have one id, 'q2': answers are compared by it. Give each row its own, or leave the "
        "column out.",
    ),
    "a row without ground truth": (
        {"dataset": "untold.jsonl"},
        tl.DataError,
        "untold.jsonl, row 2 has no field 'response'. Add it, or leave the row out.",
    ),
    "preset without ground truth": (
        {"dataset": "bare.jsonl"},
        tl.SpecError,
        "The preset 'exact' compares with the response, which bare@1 has none of in row 1. Add it, or leave the row "
        "out.",
    ),
    "metric without ground truth": (
        {"scorer": None, "dataset": "bare.jsonl", "judge": JUDGE | {"metrics": ["correctness"]}},
        tl.SpecError,
        "The metric 'correctness@1' compares with {{ground_truth}}, and bare@1 has no response in row 1. Add the "
        "column 'response', or choose a metric without it.",
    ),
    "function without ground truth": (
        {"dataset": "bare.jsonl", "scorer": score},
        tl.SpecError,
        "The function 'score' takes 'ground_truth', which bare@1 has no column for. Its columns are prompt; a "
        "parameter with a default, or **row, need not be there.",
    ),
    "function with a column that is not there": (
        {"scorer": wants_level},
        tl.SpecError,
        "The function 'wants_level' takes 'level', which rows@1 has no column for. Its columns are ground_truth, kind, "
        "prompt; a parameter with a default, or **row, need not be there.",
    ),
    "preset without its option": (
        {"scorer": {"preset": "regex"}},
        tl.SpecError,
        "scorer.1: the preset 'regex' needs 'pattern'.",
    ),
    "metric without the answer": (
        {"scorer": None} | metric(instructions="Is it warm? {{prompt}}"),
        tl.SpecError,
        "judge.metrics.1.instructions: they have no {{prediction}}: the judge would score without seeing the answer "
        "(got 'Is it warm? {{prompt}}').",
    ),
    "misspelt placeholder": (
        {"scorer": None} | metric(instructions="{{predicton}}"),
        tl.SpecError,
        "judge.metrics.1.instructions: they name {{predicton}}, which there is not. Did you mean 'prediction'? There "
        "are {{prompt}}, {{prediction}} and {{ground_truth}} (got '{{predicton}}').",
    ),
    "scale with equal values": (
        {"scorer": None} | metric(rating_scale={"cold": 1, "warm": 1}),
        tl.SpecError,
        "judge.metrics.1.rating_scale: it has the value 1 twice, and values tell ratings apart.",
    ),
    "scale with one rating": (
        {"scorer": None} | metric(rating_scale=["warm"]),
        tl.SpecError,
        "judge.metrics.1.rating_scale: a scale has at least 2 ratings, and this one has 1.",
    ),
    "unknown metric": (
        {"scorer": None, "judge": JUDGE | {"metrics": ["helpfullness"]}},
        tl.SpecError,
        "There is no metric 'helpfullness'. Did you mean 'helpfulness'?",
    ),
    "unknown version of a metric": (
        {"scorer": None, "judge": JUDGE | {"metrics": ["helpfulness@7"]}},
        tl.SpecError,
        "The metric 'helpfulness' has no version 7; it has 1.",
    ),
    "a metric twice": (
        {"scorer": None, "judge": JUDGE | {"metrics": ["helpfulness", "helpfulness@1"]}},
        tl.SpecError,
        "judge.metrics: 'helpfulness@1' is there twice.",
    ),
    "a judge without metrics": (
        {"scorer": None, "judge": JUDGE | {"metrics": []}},
        tl.SpecError,
        "The judge has no metrics: name one, such as helpfulness.",
    ),
    "unknown judge": (
        {"scorer": None, "judge": {"model": "smolm2-135m", "metrics": ["helpfulness"]}},
        tl.ModelError,
        "There is no model 'smolm2-135m'. Did you mean 'smollm2-135m'?",
    ),
    "unknown model": (
        {"models": ["smolm2-135m"]},
        tl.ModelError,
        "There is no model 'smolm2-135m'. Did you mean 'smollm2-135m'?",
    ),
    "a model twice": ({"models": ["tiny", "tiny"]}, tl.SpecError, "The model 'tiny' is there twice."),
    "predictions of another model": (
        {"predictions": {"tinny": "given.jsonl"}},
        tl.SpecError,
        "predictions: 'tinny' is none of the models (tiny). Did you mean 'tiny'?",
    ),
    "predictions of an unknown id": (
        {"predictions": {"tiny": "unknown.jsonl"}},
        tl.DataError,
        "unknown.jsonl, row 2: rows@1 has no row with the id 'q3'.",
    ),
    "predictions of an id twice": (
        {"predictions": {"tiny": "again.jsonl"}},
        tl.DataError,
        "again.jsonl, row 2: the id 'q2' is there twice.",
    ),
    "predictions without ids": (
        {"predictions": {"tiny": "no-id.jsonl"}},
        tl.DataError,
        "no-id.jsonl, row 1 has no 'id': each row has the id of a row of rows@1 and a prediction.",
    ),
    "predictions that are numbers": (
        {"predictions": {"tiny": "no-text.jsonl"}},
        tl.DataError,
        "no-text.jsonl, row 1: 'prediction' is no text.",
    ),
    "no predictions": ({"predictions": {"tiny": "empty.jsonl"}}, tl.DataError, "empty.jsonl is empty."),
    "predictions that are not there": (
        {"predictions": {"tiny": "gone.jsonl"}},
        tl.SpecError,
        "predictions.tiny: there is no file gone.jsonl.",
    ),
    "a candidate's key in place of a variable": (
        {"models": ["tiny", BIG | {"api_key": SECRET}]},
        tl.SpecError,
        "models.2.api_key: it is the name of an environment variable that holds the key, such as OPENAI_API_KEY, never "
        "the key itself.",
    ),
    "a candidate's variable that is not there": (
        {"models": ["tiny", BIG | {"api_key": SECRET.replace("-", "_")}]},
        tl.SpecError,
        "models: big.api_key: there is no environment variable of that name; it is the name of an environment variable "
        "that holds the key, such as OPENAI_API_KEY, never the key itself.",
    ),
    "a judge's key in place of a variable": (
        {"scorer": None, "judge": JUDGE | {"api_key": SECRET}},
        tl.SpecError,
        "judge.api_key: it is the name of an environment variable that holds the key, such as OPENAI_API_KEY, never "
        "the key itself.",
    ),
    "a judge's variable that is not there": (
        {"scorer": None, "judge": JUDGE | {"api_key": SECRET.replace("-", "_")}},
        tl.SpecError,
        "judge.api_key: there is no environment variable of that name; it is the name of an environment variable that "
        "holds the key, such as OPENAI_API_KEY, never the key itself.",
    ),
    "a password in an address": (
        {"scorer": None, "judge": JUDGE | {"base_url": f"http://me:{SECRET}@there/v1"}},
        tl.SpecError,
        "judge.base_url: it is an address such as http://127.0.0.1:8000/v1, without a key or password in it.",
    ),
    "pairwise with one model": (
        {"scorer": None, "judge": JUDGE | {"pairwise": True}},
        tl.SpecError,
        "judge.pairwise holds answers against the baseline's: it needs two models, the baseline first.",
    ),
    "a benchmark with a dataset": (
        {"scorer": None, "benchmark": "gsm8k"},
        tl.SpecError,
        "A benchmark brings its own rows: it takes no dataset and no predictions.",
    ),
    "a benchmark and a scorer": (
        {"benchmark": "gsm8k"},
        tl.SpecError,
        "An evaluation takes a judge, a scorer or a benchmark, and has benchmark, scorer at once.",
    ),
    "meta with models": (
        {"method": "meta", "scorer": None, "judge": JUDGE},
        tl.SpecError,
        "Method meta measures the judge; it takes no models.",
    ),
    "meta with words for labels": (
        {"method": "meta", "models": None, "scorer": None, "judge": JUDGE, "dataset": "people.jsonl"},
        tl.DataError,
        "people.jsonl, row 1: the label 'good' is no number on the metric's scale.",
    ),
    "meta with ratings off the scale": (
        {"method": "meta", "models": None, "scorer": None, "judge": JUDGE, "dataset": "of-ten.jsonl"},
        tl.DataError,
        "of-ten.jsonl, row 2: people's rating 7 is off the scale of helpfulness@1, which goes from 0 to 4. Rate on the "
        "metric's scale, or choose another metric.",
    ),
    "no rows": ({"limit": 0}, tl.SpecError, "limit: it should be greater than or equal to 1 (got 0)."),
    "a name with a space": (
        {"name": "my evaluation"},
        tl.SpecError,
        "name: it has letters, digits, '.', '_' and '-', begins with a letter or digit, and is at most 100 long (got "
        "'my evaluation').",
    ),
}


@pytest.mark.parametrize(("changed", "kind", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_is_refused_in_one_sentence(
    submitted: Callable[..., PreparedEvaluation], changed: dict[str, Any], kind: type[tl.Error], message: str
) -> None:
    with pytest.raises(tl.Error) as caught:
        submitted({"models": ["tiny"], "dataset": "rows.jsonl", "scorer": "exact"} | changed)
    said = str(caught.value)
    assert type(caught.value) is kind, said
    # Of the metrics that there are, the list follows.
    assert said == message or (message.endswith("?") and said.startswith(f"{message} There are ")), said
    assert SECRET not in said and SECRET.replace("-", "_") not in said


def test_a_scorer_that_there_is_not_names_the_nearest(submitted: Callable[..., PreparedEvaluation]) -> None:
    with pytest.raises(
        tl.SpecError, match=r"^scorer: there is no function, file or preset .exat.*Did you mean .exact."
    ):
        submitted(models=["tiny"], dataset="rows.jsonl", scorer="exat")


def test_two_names_of_one_folder_are_one_model(submitted: Callable[..., PreparedEvaluation], tiny: Path) -> None:
    with pytest.raises(tl.SpecError, match=f"^models: '{tiny}' is there twice; name each model once.$"):
        submitted(models=["tiny", str(tiny)], dataset="rows.jsonl", scorer="exact")


def test_a_resolved_spec_is_the_same_spec_again(submitted: Callable[..., PreparedEvaluation], tiny: Path) -> None:
    prepared = submitted(
        models=["tiny", BIG],
        dataset="rows.jsonl",
        scorer=["exact", score],
        predictions={"tiny": "given.jsonl"},
        overrides={"generation.temperature": 0.5, "limit": 2},
    )
    spec = prepared.spec
    # A model whose answers are given is not looked for: its name is what it was called.
    assert (spec.method, spec.name, spec.model_names) == ("scorer", "big-eval", ["tiny", "big"])
    assert (spec.dataset, spec.generation.temperature, spec.limit) == ("rows@1", 0.5, 2)
    assert spec.predictions == {"tiny": "predictions-1.jsonl"}
    given = [json.loads(line) for line in prepared.files["predictions-1.jsonl"].splitlines()]
    assert given == [{"id": "q2", "prediction": "2"}, {"id": "q6", "prediction": "7"}]
    assert "def score" in prepared.files["reward.py"]
    assert prepared.facts["rows"] == 2
    # As a cell would say it again, without defaults.
    assert prepared.facts["given"] == {
        "method": "scorer",
        "models": ["tiny", BIG],
        "dataset": "rows@1",
        "scorer": [{"preset": "exact"}, "score"],
        "predictions": {"tiny": "given.jsonl"},
        "generation": {"temperature": 0.5},
        "limit": 2,
    }
    assert EvaluateSpec.model_validate(json.loads(json.dumps(spec.model_dump(mode="json")))) == spec


def test_a_table_of_the_notebook_is_kept_as_a_dataset(submitted: Callable[..., PreparedEvaluation]) -> None:
    frame = pd.DataFrame(ROWS)
    by_object = submitted(models="tiny", dataset=frame, scorer="exact")
    by_name = submitted(models="tiny", dataset="frame", scorer="exact", namespace={"frame": frame})
    assert (by_object.spec.dataset, by_name.spec.dataset) == ("llama-eval-rows@1", "frame@1")
    read = [list(Dataset.get(one.spec.dataset or "").read()) for one in (by_object, by_name)]
    assert [row["query"] for row in read[0]] == [row["query"] for row in read[1]] == ["Say 2.", "Say 4.", "Say 6."]


@pytest.fixture
def custom(workspace: Path, tmp_path: Path, tiny: Path) -> str:
    """`chatty@2`, made from the tiny model, with the checkpoints 3 and 6 of its job."""
    for step in (3, 6):
        made = workspace / "jobs" / "job" / "checkpoints" / f"step-{step}"
        made.mkdir(parents=True)
        (made / ".complete").touch()
    (made.parent / "step-9").mkdir()
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    for version in (1, 2):
        index.add(
            index.Entry("chatty", version, "job", "run", str(tiny), "sft", "d@1", "lora", str(adapter), "2025-01-01")
        )
    return "chatty"


def test_a_custom_model_alone_is_compared_with_its_base(
    submitted: Callable[..., PreparedEvaluation], custom: str, tiny: Path
) -> None:
    alone = submitted(models=custom, dataset="rows.jsonl", scorer="exact")
    assert alone.spec.models == [str(tiny), "chatty@2"] == alone.facts["models"]
    assert alone.spec.name == "chatty-eval"
    as_object = submitted(models=tl.model("chatty@1"), dataset="rows.jsonl", scorer="exact")
    assert as_object.spec.models == [str(tiny), "chatty@1"]
    two = submitted(models=["chatty@1", "chatty"], dataset="rows.jsonl", scorer="exact")
    assert two.spec.models == ["chatty@1", "chatty@2"]
    pairwise = submitted(models=custom, dataset="rows.jsonl", judge=JUDGE | {"pairwise": True})
    assert pairwise.spec.models == [str(tiny), "chatty@2"]


def test_a_checkpoint_is_a_model_of_its_own(
    submitted: Callable[..., PreparedEvaluation], custom: str, tiny: Path
) -> None:
    several = submitted(models=["chatty@2:step-3", "chatty:step-6", "chatty"], dataset="rows.jsonl", scorer="exact")
    assert several.spec.models == ["chatty@2:step-3", "chatty@2:step-6", "chatty@2"]
    alone = submitted(models="chatty:step-6", dataset="rows.jsonl", scorer="exact")
    assert alone.spec.models == [str(tiny), "chatty@2:step-6"]
    # The folder of step 9 is one that was not written to its end.
    for step in ("step-9", "step-x"):
        with pytest.raises(tl.ModelError) as caught:
            submitted(models=f"chatty:{step}", dataset="rows.jsonl", scorer="exact")
        said = f"The job of 'chatty@2' has no checkpoint {step}; it has step-3, step-6."
        assert str(caught.value) == said


LINES: dict[str, tuple[str, dict[str, Any]]] = {
    "scorer": (
        "tiny --data rows.jsonl --scorer exact",
        {"models": ["tiny"], "dataset": "rows.jsonl", "scorer": ["exact"]},
    ),
    "judge": (
        "tiny chatty -d rows.jsonl -j judge -m warm -m 'helpfulness@1' --base-url http://there/v1 --pairwise",
        {
            "models": ["tiny", "chatty"],
            "dataset": "rows.jsonl",
            "judge": {
                "model": "judge",
                "base_url": "http://there/v1",
                "metrics": ["warm", "helpfulness@1"],
                "pairwise": True,
            },
        },
    ),
    "benchmark": (
        "tiny -b gsm8k -b mmlu --name sums --limit 20",
        {"models": ["tiny"], "benchmark": {"tasks": ["gsm8k", "mmlu"]}, "name": "sums", "limit": 20},
    ),
    "meta": (
        "--meta --judge smollm2-135m --metric correctness --data people.jsonl",
        {
            "method": "meta",
            "judge": {"model": "smollm2-135m", "metrics": ["correctness"]},
            "dataset": "people.jsonl",
        },
    ),
    "predictions of the one model": (
        "tiny -d rows.jsonl -r exact -p given.jsonl",
        {
            "models": ["tiny"],
            "dataset": "rows.jsonl",
            "scorer": ["exact"],
            "predictions": {"tiny": "given.jsonl"},
        },
    ),
    "predictions by model": (
        "a b -d rows.jsonl -r exact -p a=a.jsonl -p b=b.jsonl",
        {
            "models": ["a", "b"],
            "dataset": "rows.jsonl",
            "scorer": ["exact"],
            "predictions": {"a": "a.jsonl", "b": "b.jsonl"},
        },
    ),
}


@pytest.fixture(scope="module")
def ipython() -> Iterator[InteractiveShell]:
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "tunelab")
    yield shell
    shell.run_line_magic("unload_ext", "tunelab")
    InteractiveShell.clear_instance()


@pytest.fixture
def told(ipython: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """What the magic asked the API for: spec and `--set`."""
    asked: list[tuple[dict[str, Any], dict[str, Any]]] = []
    monkeypatch.setattr(api, "evaluate", lambda spec, overrides, namespace: asked.append((spec, overrides)))
    return asked


@pytest.mark.parametrize(("line", "spec"), LINES.values(), ids=LINES.keys())
def test_a_line_is_a_spec(ipython: InteractiveShell, told: list[Any], line: str, spec: dict[str, Any]) -> None:
    ipython.run_line_magic("evaluate", f"{line} --set seed=7 --set generation.temperature=0.5")
    assert told == [(spec, {"seed": 7, "generation.temperature": 0.5})]


def test_a_line_adds_to_its_cell(ipython: InteractiveShell, told: list[Any]) -> None:
    body = "models: [a, b]\ndataset: rows.jsonl\njudge: {model: judge, metrics: [warm], scoring: mode}\n"
    ipython.run_cell_magic("evaluate", "--data other.jsonl --metric cool", body)
    judge = {"model": "judge", "metrics": ["cool"], "scoring": "mode"}
    assert told == [({"models": ["a", "b"], "dataset": "other.jsonl", "judge": judge}, {})]


WRONG = {
    "pairwise without judge": ("a b -d rows --pairwise", "--base-url and --pairwise go with --judge MODEL."),
    "address without judge": ("a -d rows --base-url http://a", "--base-url and --pairwise go with --judge MODEL."),
    "predictions of which model": (
        "a b -d rows -r exact -p given.jsonl",
        "--predictions given.jsonl: say of which model it is, as MODEL=given.jsonl.",
    ),
    "unknown option": ("a --epochs 3", "unrecognized arguments: --epochs 3."),
    "no number": ("a --limit few", "argument --limit: invalid int value: 'few'."),
}


@pytest.mark.parametrize(("line", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_line_is_a_usage_error(ipython: InteractiveShell, told: list[Any], line: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        ipython.run_line_magic("evaluate", line)
    assert str(caught.value) == f"{message} See %evaluate?"
    assert told == []


def test_a_refusal_by_the_magic_is_one_line(
    ipython: InteractiveShell, submitted: Callable[..., PreparedEvaluation]
) -> None:
    with pytest.raises(UsageError) as caught:
        ipython.run_line_magic("evaluate", "tiny --data twice.jsonl --scorer exact")
    assert str(caught.value).startswith("twice@1, rows 1 and 3 have one id, 'q2'")
