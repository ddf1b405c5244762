"""Benchmarks by lm-eval: the same numbers as its own command line, from local rows, and refusals that help."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from judge_server import Answer, JudgeServer

import tunelab as tl
from tunelab import task
from tunelab.jobs.context import Stopped
from tunelab.registry import index
from tunelab.scoring.replies import Interrupted
from tunelab.spec.evaluate import EvaluateSpec

COLOURS = ["red", "green", "blue", "yellow", "white", "black", "brown", "grey"]

CHOICES = """
task: local_choices
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{gold}}}}"
metric_list: [{{metric: acc}}, {{metric: acc_norm}}]
metadata: {{version: 3.0}}
"""
WORDS = """
task: local_words
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
fewshot_split: test
num_fewshot: 2
output_type: generate_until
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_target: "{{{{choices[gold]}}}}"
generation_kwargs: {{until: ["\\n\\n"], max_gen_toks: 8, do_sample: false}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true}}]
filter_list:
  - {{name: whole, filter: [{{function: take_first}}]}}
  - {{name: any-word, filter: [{{function: regex, regex_pattern: "([a-z])"}}, {{function: take_first}}]}}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One workspace for the refusals, since lm-eval's names are read once a workspace."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("TUNELAB_HOME", str(folder))
        yield folder


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A folder with two tasks of one's own: choices and words."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    rows = [
        {"question": f"Which is {name}?", "choices": [COLOURS[i], f"a{'n' * i} {name}", "none"], "gold": i % 3}
        for i, name in enumerate(COLOURS)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "choices.yaml").write_text(CHOICES.format(rows=folder / "rows.jsonl"))
    (folder / "words.yaml").write_text(WORDS.format(rows=folder / "rows.jsonl"))
    return folder


@pytest.fixture
def adapter(tiny: Path, tmp_path: Path, workspace: Path) -> Path:
    """An adapter on the tiny model that changes what it says, registered as tuned@1."""
    import peft
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(tiny)
    config = peft.LoraConfig(r=8, lora_alpha=64, target_modules="all-linear", init_lora_weights=False)
    folder = tmp_path / "adapter"
    peft.get_peft_model(model, config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny).save_pretrained(folder)
    index.add(index.Entry("tuned", 1, "job", "run", str(tiny), "sft", "d@1", "lora", str(folder), "2025-01-01"))
    return folder


def evaluate(models: list[Any], stop: Callable[[], bool] = lambda: False, **part: Any) -> tuple[list[Any], list[Any]]:
    import torch

    from tunelab.evaluation import benchmark

    spec = EvaluateSpec(models=models, method="benchmark", benchmark=part, compute={"threads": 1, "device": "cpu"})
    threads = torch.get_num_threads()
    try:
        return benchmark.run(spec, lambda text: None, lambda *_: None, stop)
    finally:
        torch.set_num_threads(threads)


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(tl.Error) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def by_command_line(
    tasks: Path, model: Path, adapter: Path | None, out: Path
) -> tuple[dict[str, dict[str, float]], list[Any]]:
    """What ``python -m lm_eval`` says of the tasks: numbers, and (question, filter, prompt, what was scored)."""
    arguments = f"pretrained={model},dtype=float32" + (f",peft={adapter}" if adapter else "")
    command = [sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--model_args", arguments]
    command += ["--tasks", "local_choices,local_words", "--include_path", str(tasks), "--device", "cpu"]
    command += [
        "--batch_size",
        "8",
        "--seed",
        "42",
        "--apply_chat_template",
        "--output_path",
        str(out),
        "--log_samples",
    ]
    quiet = {"HF_DATASETS_CACHE": str(out / "cache"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=os.environ | quiet, capture_output=True, text=True, cwd=out.parent)
    assert done.returncode == 0, done.stderr[-3000:]
    (file,) = out.glob("**/results_*.json")
    (samples,) = out.glob("**/samples_local_words_*.jsonl")
    said = [
        (row["doc_id"], row["filter"], row["arguments"]["gen_args_0"]["arg_0"], row["filtered_resps"][0])
        for row in map(json.loads, samples.read_text().splitlines())
    ]
    return json.loads(file.read_text())["results"], said


def test_the_numbers_are_those_of_lm_evals_own_command_line(
    workspace: Path, tiny: Path, adapter: Path, tasks: Path, tmp_path: Path
) -> None:
    records, rows = evaluate([str(tiny), "tuned@1"], tasks=["local_choices", "local_words"], path=str(tasks))
    for model, on_it in ((str(tiny), None), ("tuned@1", adapter)):
        theirs, said = by_command_line(tasks, tiny, on_it, tmp_path / f"out-{on_it is None}")
        assert sorted(said) == sorted(
            (record["number"] - 1, record["metric"].split(",")[1], record["prompt"], record["prediction"])
            for record in records
            if record["model"] == model and record["task"] == "local_words"
        )
        mine = [row for row in rows if row["model"] == model]
        assert {(row["task"], row["metric"], row["filter"]) for row in mine} == {
            ("local_choices", "acc", "none"),
            ("local_choices", "acc_norm", "none"),
            ("local_words", "exact_match", "whole"),
            ("local_words", "exact_match", "any-word"),
        }
        for row in mine:
            numbers = theirs[row["task"]]
            assert row["value"] == numbers[f"{row['metric']},{row['filter']}"]
            assert row["stderr"] == pytest.approx(numbers[f"{row['metric']}_stderr,{row['filter']}"], abs=1e-12)
            shown = row["metric"] if row["filter"] == "none" else f"{row['metric']},{row['filter']}"
            scores = [
                record["score"]
                for record in records
                if (record["model"], record["metric"]) == (model, f"{row['task']}/{shown}")
            ]
            assert len(scores) == row["n"] == 8
            assert sum(scores) / 8 == pytest.approx(row["value"])
            assert row["chat_template"] is True
            assert row["n_shot"] == (2 if row["task"] == "local_words" else 0)
            assert row["seeds"] == {"random": 42, "numpy": 42, "torch": 42, "fewshot": 42}
    assert rows[0]["version"] == 3.0 and rows[0]["lm_eval"] == "0.4.13"
    chosen = {model: [r["prediction"] for r in records if r["model"] == model] for model in (str(tiny), "tuned@1")}
    assert chosen[str(tiny)] != chosen["tuned@1"]


def test_a_question_is_a_record(workspace: Path, tiny: Path, tasks: Path) -> None:
    records, _ = evaluate([str(tiny)], tasks=["local_choices", "local_words"], path=str(tasks), limit=3)
    assert [record["id"] for record in records if record["metric"] == "local_choices/acc"] == [
        "local_choices/0",
        "local_choices/1",
        "local_choices/2",
    ]
    for record in records:
        if record["task"] == "local_choices":
            assert record["prediction"] in (*COLOURS, "none", "an green", "ann blue", "a red")
            assert record["score"] == float(record["prediction"] == record["ground_truth"])
            assert "<|im_start|>user\nQuestion: Which is" in record["prompt"]
        else:
            assert record["ground_truth"] in ("red", "an green", "none")
            assert record["prompt"].count("Question:") == 3
            assert record["prediction"] in (record["raw"], *"abcdefghijklmnopqrstuvwxyz", "[invalid]")


def test_what_has_been_answered_is_not_asked_again(workspace: Path, tiny: Path, tasks: Path) -> None:
    import torch

    calls = 0

    def count(*_: Any) -> None:
        nonlocal calls
        calls += 1

    part = {"tasks": ["local_choices", "local_words"], "path": str(tasks), "batch_size": 2}
    handle = torch.nn.modules.module.register_module_forward_pre_hook(
        lambda module, _: count() if isinstance(module, torch.nn.Embedding) else None
    )
    try:
        whole, rows = evaluate([str(tiny)], **part)
        first = calls
        (workspace / "cache" / "benchmarks.sqlite").unlink()
        calls = 0
        with pytest.raises(Stopped):
            evaluate([str(tiny)], stop=lambda: calls >= 4, **part)
        assert calls < first
        calls = 0
        again, after = evaluate([str(tiny)], **part)
        assert 0 < calls < first
        assert ([(r["id"], r["metric"], r["score"]) for r in again], after) == (
            [(r["id"], r["metric"], r["score"]) for r in whole],
            rows,
        )
        calls = 0
        assert evaluate([str(tiny)], **part)[1] == rows and calls == 0
    finally:
        handle.remove()


def mmlu(folder: Path) -> Path:
    """MMLU's own files, of two subjects."""
    for split, count in (("dev", 5), ("val", 3)):
        for subject in ("anatomy", "college_biology"):
            (folder / split).mkdir(parents=True, exist_ok=True)
            with (folder / split / f"{subject}_{split}.csv").open("w", newline="") as file:
                csv.writer(file).writerows(
                    [f"{subject} {split} {i}, which?", "one", "two", "three", "four", "ABCD"[i % 4]]
                    for i in range(count)
                )
    return folder


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_group_takes_the_subjects_whose_files_are_there(home: Path, tiny: Path, tmp_path: Path) -> None:
    records, rows = evaluate([str(tiny)], tasks=["MMLU"], data=str(mmlu(tmp_path / "mmlu")), num_fewshot=2)
    named = {row["task"]: row for row in rows}
    assert set(named) == {"mmlu", "mmlu_stem", "mmlu_anatomy", "mmlu_college_biology"}
    assert (named["mmlu"]["n"], named["mmlu_anatomy"]["n"]) == (6, 3)
    leaves = [named["mmlu_anatomy"]["value"], named["mmlu_college_biology"]["value"]]
    assert named["mmlu"]["value"] == pytest.approx(sum(leaves) / 2)
    first = records[0]
    # The questions are of one file and the examples, the first two, of the other; the prompt is lm-eval's.
    assert "The following are multiple choice questions (with answers) about anatomy." in first["prompt"]
    assert "anatomy dev 0, which?\nA. one\nB. two\nC. three\nD. four\nAnswer:" in first["prompt"]
    assert first["prompt"].count("anatomy dev") == 2 and first["prompt"].count("anatomy val") == 1
    assert [record["ground_truth"] for record in records[:3]] == ["A", "B", "C"]


ARC = {"id": "q", "question": {"stem": "Why?", "choices": [{"text": "x", "label": "A"}, {"text": "y", "label": "B"}]}}
KNOWN: dict[str, tuple[str, list[dict[str, Any]], str]] = {
    "gsm8k": ("gsm8k", [{"question": f"{i} and 1?", "answer": f"so\n#### {i + 1}"} for i in range(7)], "6 and 1?"),
    "arc": ("arc_easy", [ARC | {"answerKey": "B"}], "Why?"),
    "hellaswag": (
        "hellaswag",
        [{"activity_label": "Run", "ctx_a": "She runs.", "ctx_b": "she", "endings": ["a", "b"], "label": 1}],
        "She runs. She",
    ),
    "truthfulqa": (
        "truthfulqa_mc1",
        [{"question": "Is it?", "mc1_targets": {"choices": ["yes", "no"], "labels": [1, 0]}}],
        "Q: Is it?",
    ),
    "ifeval": (
        "ifeval",
        [
            {"key": 1, "prompt": "No commas.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]},
            {
                "key": 2,
                "prompt": "Two sentences.",
                "instruction_id_list": ["length_constraints:number_sentences"],
                "kwargs": [{"relation": "at least", "num_sentences": 2}],
            },
        ],
        "No commas.",
    ),
    "math": (
        "minerva_math_algebra",
        [{"problem": "1+1?", "level": "1", "type": "a", "solution": "\\boxed{2}"}],
        "1+1?",
    ),
    "bbh": ("bbh_cot_zeroshot_boolean_expressions", [{"input": "not True is", "target": "False"}], "not True is"),
}


@pytest.mark.parametrize("name", KNOWN)
def test_local_rows_take_the_place_of_the_hubs(name: str, home: Path, tmp_path: Path) -> None:
    from tunelab.evaluation import benchmark
    from tunelab.evaluation.tasks.names import choose

    known, rows, asked = KNOWN[name]
    data = lines(tmp_path / f"{name}.jsonl", rows)
    spec = EvaluateSpec(models=["m"], method="benchmark", benchmark={"tasks": [known], "data": str(data)})
    told: list[str] = []
    benchmark._settle()
    with benchmark._tasks(spec, told.append) as (found,):
        own = found.config
        assert asked in found.doc_to_text(found.eval_docs[len(found.eval_docs) - 1])
        assert [asked in found.doc_to_text(row) for row in found.eval_docs].count(True) == 1
        # Prompt, metric and shots are those of lm-eval's own file.
        (entry,) = choose([known], None)[1].values()
        assert (found.task_name, own.dataset_path) == (known, "json") and entry.file is not None
    assert told[0].startswith(f"{known}: ")
    if name == "ifeval":
        assert "1 that count sentences are left out" in told[0]
    if name == "gsm8k":
        assert told == ["gsm8k: 7 questions of gsm8k.jsonl, examples from the same rows"]


def test_an_endpoint_answers_tasks_that_generate(workspace: Path, tasks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", "secret-7")
    server = JudgeServer(lambda number, body: Answer(text="none"))
    server.start()
    try:
        model = {"name": "big", "model": "big-1", "base_url": server.url, "api_key": "THE_KEY", "concurrency": 2}
        records, rows = evaluate([model], tasks=["local_words"], path=str(tasks))
        assert {row["filter"]: row["value"] for row in rows} == {"whole": 2 / 8, "any-word": 0.0}
        assert len(server.requests) == 8 and set(server.keys) == {"Bearer secret-7"}
        assert [turn["role"] for turn in server.requests[0]["messages"]].count("user") == 3
        assert {record["prediction"] for record in records} == {"none", "n"}
        assert records[0]["latency_s"] > 0 and records[0]["prompt"].endswith("user: Question: Which is red?\nAnswer:")
        evaluate([model], tasks=["local_words"], path=str(tasks))
        assert len(server.requests) == 8
    finally:
        server.stop()
    assert not any(b"secret-7" in file.read_bytes() for file in workspace.glob("**/*") if file.is_file())


def test_an_endpoint_that_goes_away_interrupts_and_loses_nothing(workspace: Path, tasks: Path) -> None:
    server = JudgeServer(lambda number, body: Answer(text="none") if number <= 4 else Answer(status=503))
    server.start()
    try:
        model = {"name": "big", "model": "b", "base_url": server.url, "concurrency": 1, "retries": 0}
        with pytest.raises(Interrupted, match=r"The model big at .* cannot be asked: it answers with status 503\. "):
            evaluate([model], tasks=["local_words"], path=str(tasks))
        server.plan = lambda number, body: Answer(text="none")
        before = len(server.requests)
        evaluate([model], tasks=["local_words"], path=str(tasks))
        assert len(server.requests) - before == 4
    finally:
        server.stop()


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "misspelt": (
        {"tasks": ["hellaswagg"]},
        "There is no task 'hellaswagg' in lm-eval 0.4.13. Did you mean 'hellaswag'?",
    ),
    "twice": ({"tasks": ["arc", "ai2_arc"]}, "The task ai2_arc is there twice."),
    "code": ({"tasks": ["humaneval"]}, "The task humaneval runs code that the model writes"),
    "no folder": ({"tasks": ["x"], "path": "/nowhere"}, "benchmark.path is no folder: /nowhere."),
    "no data": (
        {"tasks": ["gsm8k"], "data": "/nowhere.jsonl"},
        "benchmark.data is no file and no folder: /nowhere.jsonl",
    ),
    "two benchmarks": ({"tasks": ["gsm8k", "hellaswag"], "data": "."}, "benchmark.data has the rows of one benchmark"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_asked_is_refused_before_anything_starts(case: str, home: Path) -> None:
    part, why = REFUSED[case]
    said = refused(lambda: task.run("tunelab.evaluation.benchmark:check", {"benchmark": part}))
    assert why in said


@pytest.mark.parametrize(
    ("given", "meant"),
    [("MMLU-Pro", "mmlu_pro"), ("math", "minerva_math"), ("ARC", "ai2_arc"), ("TruthfulQA", "truthfulqa"),
     ("GPQA", "gpqa"), ("IFEval", "ifeval"), ("BBH", "bbh"), ("HellaSwag", "hellaswag"), ("GSM8K", "gsm8k"),
     ("arc-challenge", "arc_challenge"), ("mmlu", "mmlu"), ("mmlu_anatomy", "mmlu_anatomy")],
)  # fmt: skip
def test_a_benchmark_is_known_by_the_name_that_it_has_elsewhere(given: str, meant: str, home: Path) -> None:
    from tunelab.evaluation import benchmark

    assert benchmark.check({"tasks": [given]})["tasks"] == [meant]


@pytest.mark.parametrize("name", ["gpqa", "mmlu", "math", "leaderboard", "truthfulqa"])
def test_the_folders_that_are_read_have_the_same_tasks_as_all(name: str, home: Path) -> None:
    from tunelab.evaluation import benchmark
    from tunelab.evaluation.tasks import names

    _, entries = names.choose([name], None)
    manager = benchmark.manager(None, entries)
    # Not all were read, and what was read means the same: a tag's tasks may be in several folders.
    assert len(manager.all_tasks) < 1000
    for entry in entries.values():
        found = manager.task_index[entry.name]
        assert sorted(found.tags) == entry.children or entry.kind != "tag"
        assert str(found.yaml_path) == entry.file or entry.file is None


def test_an_endpoint_is_asked_for_text_only(home: Path) -> None:
    from tunelab.evaluation import benchmark

    assert (
        "big is an endpoint, which answers in text; arc_challenge asks for the probability of each choice."
        in refused(lambda: benchmark.check({"tasks": ["arc"]}, endpoints=["big"]))
    )
    benchmark.check({"tasks": ["gsm8k", "ifeval", "bbh"]}, endpoints=["big"])


def test_a_task_of_the_hub_without_a_network_names_the_ways_out(home: Path, tiny: Path) -> None:
    said = refused(lambda: evaluate([str(tiny)], tasks=["arc_easy"]))
    assert said.startswith("The task arc_easy needs the dataset allenai/ai2_arc, which cannot be had: ")
    assert "where there is a network" in said and "local rows (data) or tasks (path)" in said


def test_a_row_that_lacks_a_field_is_named(home: Path, tmp_path: Path) -> None:
    from tunelab.evaluation import benchmark

    data = lines(tmp_path / "own.jsonl", [{"question": "1?", "answer": "#### 1"}] * 6 + [{"question": "2?"}])
    assert refused(lambda: benchmark.check({"tasks": ["gsm8k"], "data": str(data)})) == (
        "own.jsonl, row 7 has no 'answer', which gsm8k asks for. It has question."
    )
    lines(data, [{"question": "1?", "answer": "#### 1"}] * 3)
    assert "gsm8k puts 5 examples before each question, and there are rows for 2." in refused(
        lambda: benchmark.check({"tasks": ["gsm8k"], "data": str(data)})
    )


def test_a_task_file_that_is_wrong_says_where(home: Path, tiny: Path, tasks: Path) -> None:
    (tasks / "choices.yaml").write_text(
        (tasks / "choices.yaml").read_text().replace("{{choices}}", "{{options}}").replace("local_choices", "wrong")
    )
    assert refused(lambda: evaluate([str(tiny)], tasks=["wrong"], path=str(tasks))).startswith(
        "The task wrong cannot be made: UndefinedError: 'options' is undefined"
    )
    (tasks / "broken.yaml").write_text("task: other\nmetric_list: [\n")
    said = refused(lambda: evaluate([str(tiny)], tasks=["other"], path=str(tasks)))
    assert "There is no task 'other'" in said and "broken.yaml, line 3 is not YAML" in said
