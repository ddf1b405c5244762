"""The magics in a real IPython shell: refusals of one line, completion, and what `%load_ext tunelab` imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

import tunelab as tl
from tunelab.jobs import manager
from tunelab.registry import index, prompts
from tunelab.spec import CustomizeSpec
from tunelab.spec.evaluate import EvaluateSpec
from tunelab.spec.hyperparameters import catalog

ROWS = [{"prompt": f"Question {n}?", "chosen": f"Good, {n}.", "rejected": f"Bad, {n}."} for n in range(1, 13)]
LINE = "dpo --model smollm2-135m --data pairs.jsonl --name chatty"
BODY = "name: chatty\nmodel: smollm2-135m\ntechnique: dpo\ndataset: pairs.jsonl\n"


@pytest.fixture(scope="module")
def ipython() -> Iterator[InteractiveShell]:
    """A shell with the extension loaded, as a notebook has it."""
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "tunelab")
    yield shell
    shell.run_line_magic("unload_ext", "tunelab")
    InteractiveShell.clear_instance()


@pytest.fixture
def shell(ipython: InteractiveShell, workspace: Path, pairs: Path) -> Iterator[InteractiveShell]:
    """The shell, its variables, files and workspace as new."""
    before = dict(ipython.user_ns)
    yield ipython
    ipython.user_ns.clear()
    ipython.user_ns.update(before)


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(UsageError) as caught:
        call()
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


LINES = {
    "nothing": ("", "The spec lacks 'technique'. It is one of sft, dpo, rlvr, rlaif."),
    "technique alone": (
        "dpo",
        "The spec lacks 'model'. It is a catalog name such as smollm2-135m, a hub id, or a local folder.",
    ),
    "misspelt technique": (
        LINE.replace("dpo", "dop"),
        "Unknown technique 'dop'. Did you mean 'dpo'? There are dpo, rlaif, rlvr, sft.",
    ),
    "unknown option": (f"{LINE} --epochs 3", "unrecognized arguments: --epochs 3. See %customize?"),
    "two techniques": (LINE.replace("dpo", "dpo sft"), "unrecognized arguments: sft. See %customize?"),
    "no value": ("dpo --model", "argument --model/-m: expected one argument. See %customize?"),
    "open quote": ('dpo --name "chatty', "No closing quotation. See %customize?"),
    "set without value": (f"{LINE} --set beta", "--set takes key=value, such as learning_rate=1e-5, and got 'beta'."),
    "misspelt set": (f"{LINE} --set bata=1", "Unknown hyperparameter 'bata' for dpo. Did you mean 'beta'?"),
    "rate of 5": (
        f"{LINE} --set learning_rate=5",
        "hyperparameters.learning_rate is 5; it goes from 1e-09 to 0.01. The nearest is 0.01.",
    ),
    "no such date": (f"{LINE} --set seed=2024-13-45", "--set seed: the value '2024-13-45' cannot be read."),
    "misspelt model": (
        LINE.replace("smollm2", "smolm2"),
        "There is no model 'smolm2-135m'. Did you mean 'smollm2-135m'?",
    ),
    "misspelt file": (LINE.replace("pairs.", "pair."), "There is no file pair.jsonl. Did you mean 'pairs.jsonl'?"),
    "no variable": (
        LINE.replace("pairs.jsonl", "frame"),
        "There is no dataset, variable or file 'frame'.",
    ),
    "a wrong row": (
        LINE.replace("pairs.jsonl", "wrong.jsonl"),
        "wrong.jsonl, row 7: 'rejected' is null. Give it a text, or leave the row out.",
    ),
    "eval data that is not there": (f"{LINE} --eval-data held.jsonl", "There is no file held.jsonl."),
    "split and eval data": (
        f"{LINE} --eval-data pairs.jsonl --set split=2",
        "The spec: give split or eval_dataset, not both.",
    ),
}


@pytest.mark.parametrize(("line", "message"), LINES.values(), ids=LINES.keys())
def test_a_wrong_line_is_a_usage_error_of_one_line_and_starts_nothing(
    shell: InteractiveShell, workspace: Path, line: str, message: str
) -> None:
    rows = [row | {"rejected": None} if number == 7 else row for number, row in enumerate(ROWS, 1)]
    Path("wrong.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert refused(lambda: shell.run_line_magic("customize", line)) == message
    assert not (workspace / "jobs").exists() or not any((workspace / "jobs").iterdir())


CELLS = {
    "unreadable": (
        "name: [",
        "The YAML cannot be read at line 1, column 8: expected the node content, but found '<stream end>'.",
    ),
    "no mapping": ("- dpo", "The spec is a mapping of keys such as 'model: smollm2-135m', and got a list."),
    "zero byte": (
        "name: \x00",
        "The YAML cannot be read: unacceptable character #x0000: special characters are not allowed in "
        '"<unicode string>", position 6.',
    ),
    "empty": ("\n", "The spec lacks 'technique'. It is one of sft, dpo, rlvr, rlaif."),
    "misspelt key": (
        f"{BODY}hyperparameter: {{}}",
        "Unknown key 'hyperparameter' in the spec. Did you mean 'hyperparameters'?",
    ),
    "misspelt hyperparameter": (
        f"{BODY}hyperparameters: {{bata: 1}}",
        "Unknown hyperparameter 'bata' for dpo. Did you mean 'beta'?",
    ),
    "name of two lines": (
        f'{BODY}name: "a\\nb"',
        "name: it has letters, digits, '.', '_' and '-', begins with a letter or digit, and is "
        "at most 100 long (got 'a\\nb').",
    ),
    "dataset of two lines": (f'{BODY}dataset: "a\\nb"', "There is no dataset, variable or file 'a b'."),
    "dataset empty": (
        f"{BODY}dataset:",
        "The spec lacks 'dataset'. It is a file, a registered dataset, a hub id, or a variable that holds a DataFrame.",
    ),
}


@pytest.mark.parametrize(("cell", "message"), CELLS.values(), ids=CELLS.keys())
def test_a_wrong_cell_is_a_usage_error_of_one_line_and_starts_nothing(
    shell: InteractiveShell, workspace: Path, cell: str, message: str
) -> None:
    assert refused(lambda: shell.run_cell_magic("customize", "", cell)) == message
    assert not (workspace / "jobs").exists() or not any((workspace / "jobs").iterdir())


def test_a_refused_cell_fails_without_a_traceback(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    done = shell.run_cell("%customize dpo --model")
    assert not done.success
    said = "".join(capsys.readouterr())
    assert said.strip() == "UsageError: argument --model/-m: expected one argument. See %customize?"


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is started: the magic's value is what would have been."""
    monkeypatch.setattr(manager, "submit", lambda prepared: prepared)


WRITTEN = {
    "line": ("", LINE),
    "quotes": ("", """dpo --model "smollm2-135m" --data 'pairs.jsonl' --name chatty"""),
    "short options": ("", "dpo -m smollm2-135m -d pairs.jsonl -n chatty"),
    "cell": (BODY, ""),
    "technique on the line": (BODY.replace("technique: dpo\n", ""), "dpo"),
    "the line beats the cell": (BODY.replace("chatty", "other"), "--name chatty"),
}


@pytest.mark.parametrize(("cell", "line"), WRITTEN.values(), ids=WRITTEN.keys())
def test_line_and_cell_make_the_same_spec(shell: InteractiveShell, submitted: None, cell: str, line: str) -> None:
    def run(more: str) -> CustomizeSpec:
        magic = f"{line} {more}"
        done = shell.run_cell_magic("customize", magic, cell) if cell else shell.run_line_magic("customize", magic)
        return done.spec

    expected = tl.customize(name="chatty", model="smollm2-135m", technique="dpo", dataset="pairs.jsonl").spec
    assert run("") == expected
    changed = run(
        "--set beta=0.3 --set 'adapter.r=4' -s tracking.experiment='my runs' --set hyperparameters.max_steps=5"
    )
    assert (changed.hyperparameters["beta"], changed.hyperparameters["max_steps"]) == (0.3, 5)
    assert (changed.adapter.r, changed.tracking.experiment) == (4, "my runs")
    assert not expected.compute.fit
    assert run("--fit").compute.fit


def test_data_may_be_a_variable_of_the_notebook(shell: InteractiveShell, submitted: None) -> None:
    shell.user_ns["frame"] = pd.DataFrame(ROWS)
    made = shell.run_line_magic("customize", LINE.replace("pairs.jsonl", "frame"))
    assert (made.spec.dataset, made.dataset.source) == ("frame@1", "variable frame")
    # The same cell again is the same version, and after a change of the variable the next one.
    assert shell.run_line_magic("customize", LINE.replace("pairs.jsonl", "frame")).spec.dataset == "frame@1"
    shell.user_ns["frame"] = pd.DataFrame(ROWS[1:])
    assert shell.run_line_magic("customize", LINE.replace("pairs.jsonl", "frame")).spec.dataset == "frame@2"
    assert list(tl.Dataset.get("frame@1").read()) == ROWS


def test_data_may_be_a_variable_of_a_function(shell: InteractiveShell) -> None:
    """A refusal that comes after the data's check, since all rows are held out, leaves the version behind."""
    shell.user_ns["rows"] = ROWS
    line = LINE.replace("pairs.jsonl", "inside") + " --set split=12"
    done = shell.run_cell(f"def work():\n    inside = list(rows)\n    %customize {line}\nwork()")
    assert isinstance(done.error_in_exec, UsageError)
    assert str(done.error_in_exec) == (
        "split: 12 holds out all 12 rows (12 different prompts), and none is left to train on. Hold out fewer, or name "
        "an eval_dataset."
    )
    assert [(str(dataset), dataset.rows) for dataset in tl.datasets()] == [("inside@1", 12)]


def completed(shell: InteractiveShell, text: str) -> set[str]:
    """The texts that a cell can become, with the cursor at its end, as ipykernel asks for them."""
    with provisionalcompleter():
        found = list(shell.Completer.completions(text, len(text)))
    return {text[: each.start] + each.text + text[each.end :] for each in found}


#: A cell, what is added at the cursor by each completion that there is, and no other.
COMPLETED = {
    "technique": ("%customize d", {"po"}),
    "technique, assigned": ("job = %customize d", {"po"}),
    "technique, indented": ("    %customize s", {"ft"}),
    "option": ("%customize dpo --mo", {"del"}),
    "options not given yet": (
        "%customize dpo --model a --",
        {"data", "name", "eval-data", "set", "fit", "wait", "dry-run", "reward", "feedback", "base-url"},
    ),
    "option on a cell's first line": ("%%customize dpo --dr", {"y-run"}),
    "model of the catalog": ("%customize dpo --model smollm2-13", {"5m"}),
    "custom model": ("%customize dpo --model cha", {"tty", "tty@1", "tty@2"}),
    "model folder": ("%customize dpo --model ./mod", {"els/"}),
    "registered dataset": ("%customize dpo --data hum", {"an-like", "an-like@1"}),
    "DataFrame": ("%customize dpo --data fra", {"me"}),
    "list of rows": ("%customize dpo --data row", {"s_of_mine"}),
    "file": ("%customize dpo --data pai", {"rs.jsonl"}),
    "file by a path": ("%customize dpo --data ./pai", {"rs.jsonl"}),
    "file in a folder": ("%customize dpo --data models/", {"deep.parquet"}),
    "held-out file": ("%customize dpo --eval-data pai", {"rs.jsonl"}),
    "the model's name again": ("%customize dpo --name ch", {"atty"}),
    "hyperparameter": ("%customize dpo --set learning_r", {"ate="}),
    "hyperparameter of dpo": ("%customize dpo --set bet", {"a="}),
    "hyperparameter of no sft": ("%customize sft --set bet", set()),
    "key of a section": (
        "%customize dpo --set adapter.",
        {"type=", "r=", "alpha=", "dropout=", "target_modules=", "carry="},
    ),
    "checkpoint": ("%customize dpo --model chatty@2:", {"step-4", "step-8"}),
    "checkpoint in a cell": ("%%customize\nmodel: chatty@1:step-", {"4", "8"}),
    "checkpoint to evaluate": ("%evaluate smollm2-135m chatty@2:st", {"ep-4", "ep-8"}),
    "choice of a hyperparameter": ("%customize dpo --set lr_scheduler_type=lin", {"ear"}),
    "choice of a key": ("%customize dpo --set adapter.type=", {"lora", "full"}),
    "truth": ("%customize dpo --set gradient_checkpointing=t", {"rue"}),
    "key": ("%%customize\ntech", {"nique: "}),
    "section": ("%%customize\nadap", {"ter:"}),
    "technique in a cell": ("%%customize\ntechnique: ", {"sft", "dpo", "rlvr", "rlaif"}),
    "model in a cell": ("%%customize\nmodel: smollm2-13", {"5m"}),
    "dataset in a cell": ("%%customize\ndataset: hum", {"an-like", "an-like@1"}),
    "DataFrame in a cell": ("%%customize\ndataset: fra", {"me"}),
    "file in a cell": ("%%customize\ndataset: ./pai", {"rs.jsonl"}),
    "keep": ("%%customize\nkeep: ", {"last", "best"}),
    "hyperparameter in a cell": ("%%customize\ntechnique: dpo\nhyperparameters:\n  bet", {"a: "}),
    "hyperparameter by the line's technique": ("%%customize dpo\nhyperparameters:\n  bet", {"a: "}),
    "hyperparameter's choice in a cell": ("%%customize\nhyperparameters:\n  lr_scheduler_type: lin", {"ear"}),
    "section's key": ("%%customize\nadapter:\n  dro", {"pout: "}),
    "section's truth": ("%%customize\ncompute:\n  fit: t", {"rue"}),
    "section's choice": ("%%customize\ncompute:\n  device: c", {"pu", "uda"}),
    "section's key in braces": ("%%customize\nadapter: {r: 8, ty", {"pe: "}),
    "section's choice in braces": ("%%customize\nadapter: {type: f", {"ull"}),
    "key after a section": ("%%customize\nadapter:\n  r: 8\nke", {"ep: "}),
    "reward in a list": ("%%customize\nreward:\n  - leng", {"th"}),
    "baseline": ("%evaluate smollm2-13", {"5m"}),
    "second model": ("%evaluate smollm2-135m cha", {"tty", "tty@1", "tty@2"}),
    "evaluation, assigned": ("job = %evaluate chatty --jud", {"ge"}),
    "evaluation's options not given yet": (
        "%evaluate chatty --data a --metric b --",
        {"name", "judge", "metric", "base-url", "pairwise", "scorer", "benchmark", "meta", "predictions", "limit"}
        | {"set", "wait"},
    ),
    "no model after options": ("%evaluate chatty --pairwise cha", set()),
    "evaluation's dataset": ("%evaluate chatty --data hum", {"an-like", "an-like@1"}),
    "judge": ("%evaluate chatty --judge smollm2-13", {"5m"}),
    "built-in metric": ("%evaluate chatty --metric help", {"fulness"}),
    "metric of one's own": ("%evaluate chatty -m war", {"m", "m@1", "m@2"}),
    "scorer preset": ("%evaluate chatty --scorer reg", {"ex"}),
    "scorer function": ("%evaluate chatty --scorer scor", {"e_of_mine"}),
    "no reward prompt as scorer": ("%evaluate chatty --scorer helpf", set()),
    "benchmark": ("%evaluate chatty --benchmark gsm", {"8k"}),
    "predictions": ("%evaluate chatty --predictions pai", {"rs.jsonl"}),
    "predictions of a model": ("%evaluate a b --predictions b=pai", {"rs.jsonl"}),
    "evaluation's dotted path": ("%evaluate chatty --set generation.temp", {"erature="}),
    "evaluation's choice": ("%evaluate chatty --set judge.scoring=", {"expectation", "mode"}),
    "evaluation's key": ("%%evaluate\nmeth", {"od: "}),
    "evaluation's section": ("%%evaluate\ngen", {"eration:"}),
    "method": ("%%evaluate\nmethod: ", {"judge", "scorer", "benchmark", "meta"}),
    "models in brackets": ("%%evaluate\nmodels: [smollm2-135m, cha", {"tty", "tty@1", "tty@2"}),
    "models in lines": ("%%evaluate\nmodels:\n  - smollm2-135m\n  - cha", {"tty", "tty@1", "tty@2"}),
    "models in lines without indent": ("%%evaluate\nmodels:\n- cha", {"tty", "tty@1", "tty@2"}),
    "endpoint's key": ("%%evaluate\nmodels:\n  - {name: big, base", {"_url: "}),
    "evaluation's dataset in a cell": ("%%evaluate\ndataset: fra", {"me"}),
    "judge's key": ("%%evaluate\njudge:\n  pair", {"wise: "}),
    "judge's model": ("%%evaluate\njudge: {model: smollm2-13", {"5m"}),
    "judge's choice": ("%%evaluate\njudge:\n  scoring: m", {"ode"}),
    "metrics in brackets": ("%%evaluate\njudge: {model: a, metrics: [helpfulness, coh", {"erence"}),
    "metrics in lines": ("%%evaluate\njudge:\n  model: a\n  metrics:\n    - coh", {"erence"}),
    "scorer in a cell": ("%%evaluate\nscorer: scor", {"e_of_mine"}),
    "scorer's key": ("%%evaluate\nscorer:\n  - {pre", {"set: "}),
    "scorer's preset": ("%%evaluate\nscorer:\n  - preset: num", {"ber"}),
    "benchmark's key": ("%%evaluate\nbenchmark:\n  num", {"_fewshot: "}),
    "benchmark's tasks": ("%%evaluate\nbenchmark: {tasks: [gsm", {"8k"}),
    "benchmark's rows": ("%%evaluate\nbenchmark:\n  data: pai", {"rs.jsonl"}),
    "generation's key": ("%%evaluate\ngeneration: {max", {"_new_tokens: "}),
}


@pytest.mark.parametrize(("text", "added"), COMPLETED.values(), ids=COMPLETED.keys())
def test_completion(shell: InteractiveShell, workspace: Path, text: str, added: set[str]) -> None:
    tl.Dataset.create("human-like", ROWS)
    for version in (1, 2):
        index.add(index.Entry("chatty", version, "job", "run", "m", "dpo", "d@1", "lora", "/nowhere", "2025-01-01"))
        prompts.add(prompts.Entry("warm", version, "instructions: …", "2025-01-01"), "metric")
    for step in (4, 8):
        (workspace / "jobs" / "job" / "checkpoints" / f"step-{step}").mkdir(parents=True)
        (workspace / "jobs" / "job" / "checkpoints" / f"step-{step}" / ".complete").touch()
    Path("models").mkdir()
    Path("models/deep.parquet").touch()
    Path("pairs.txt").touch()
    shell.user_ns.update({"frame": pd.DataFrame(ROWS), "fraction": 0.5, "rows_of_mine": ROWS, "rows_of_none": [1]})
    shell.run_cell("def score_of_mine(prediction):\n    return 1.0")
    assert completed(shell, text) == {text + ending for ending in added}


def test_the_body_offers_every_key_and_every_hyperparameter(shell: InteractiveShell) -> None:
    keys = {text.removeprefix("%%customize\n").rstrip(": ") for text in completed(shell, "%%customize\n")}
    assert keys == set(CustomizeSpec.model_fields)
    evaluated = {text.removeprefix("%%evaluate\n").rstrip(": ") for text in completed(shell, "%%evaluate\n")}
    assert evaluated == set(EvaluateSpec.model_fields)
    body = "%%customize\ntechnique: dpo\nhyperparameters:\n  "
    assert {text.removeprefix(body).rstrip(": ") for text in completed(shell, body)} == set(catalog("dpo"))


def test_elsewhere_completion_is_ipythons(shell: InteractiveShell) -> None:
    shell.user_ns["techniques_of_mine"] = 1
    assert completed(shell, "techniques_of_m") == {"techniques_of_mine"}
    assert "%customize" in completed(shell, "%custo")


def test_loading_the_extension_imports_nothing_heavy(workspace: Path) -> None:
    script = (
        "import sys\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        "shell.run_line_magic('load_ext', 'tunelab')\n"
        "assert 'customize' in shell.magics_manager.magics['line']\n"
        "shell.Completer.complete(line_buffer='%customize dpo --data ', cursor_pos=22)\n"
        "assert not shell.run_cell('%customize dpo --model smollm2-135m --name a --data b').success\n"
        "print('LOADED', *sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=os.environ, check=True)
    loaded = done.stdout.partition("LOADED ")[2].split()
    assert {"tunelab", "anywidget"} <= set(loaded)
    heavy = {"torch", "transformers", "trl", "peft", "mlflow", "pandas", "datasets", "pyarrow", "huggingface_hub"}
    assert heavy & set(loaded) == set()


def test_a_refusal_of_the_python_api_is_one_line_in_the_cell_and_fails_it(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    done = shell.run_cell(
        "import tunelab as tl\ntl.customize(technique='dpo', model='smolm2-135m', dataset='a', name='b')"
    )
    assert isinstance(done.error_in_exec, tl.ModelError)
    assert (
        capsys.readouterr().out.strip() == "ModelError: There is no model 'smolm2-135m'. Did you mean 'smollm2-135m'?"
    )


@pytest.mark.parametrize(
    ("flags", "reward"),
    [
        ("--reward right", ["right"]),
        ("-r number -r right", ["number", "right"]),
        ("--reward helpful --feedback smollm2-135m", ["helpful@1"]),
        ("--reward helpful --reward right -f judge --base-url http://127.0.0.1:1/v1", ["helpful@1", "right"]),
    ],
)
def test_rewards_are_named_on_the_line(
    shell: InteractiveShell, submitted: None, tmp_path: Path, flags: str, reward: list[str]
) -> None:
    rows = [{"prompt": f"{n}?", "ground_truth": str(n)} for n in range(20)]
    Path("sums.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    shell.run_cell("def right(completion, ground_truth):\n    return float(ground_truth in completion)")
    technique = "rlaif" if "helpful" in flags else "rlvr"
    made = shell.run_line_magic("customize", f"{technique} -m smollm2-135m -d sums.jsonl -n sums {flags}")
    parts = made.spec.reward_parts
    named = [getattr(part, "prompt", None) or getattr(part, "preset", None) or part.name for part in parts]
    assert named == reward
    assert ("def right" in made.files.get("reward.py", "")) is ("right" in reward)


def test_a_feedback_model_without_a_prompt_is_a_usage_error(shell: InteractiveShell) -> None:
    with pytest.raises(UsageError, match="--feedback and --base-url go with --reward PROMPT"):
        shell.run_line_magic("customize", "rlaif -m smollm2-135m -d pairs.jsonl -n x --feedback m")
