"""Evaluations from the cell to MLflow: every score as counted by hand, and nothing lost, asked twice or told.

All tests share one workspace and one custom model, `chatty`, made by a short job; judges and candidates are behind a
real server.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from mlflow import MlflowClient
from tests.kernel.judge_server import Answer, JudgeServer

import tunelab as tl
from tunelab.jobs import journal as journals

KEY = "sk-told-to-nobody"
ROWS = [{"id": f"q{n}", "query": f"Say {n}.", "response": str(n), "kind": n % 2} for n in range(1, 9)]
SHORT = {"max_steps": 4, "save_steps": 2, "eval_steps": 2, "per_device_train_batch_size": 4, "learning_rate": 1e-2}
WARM = "How warm is this answer to {{prompt}}? [{{prediction}}]"
SCALE = {"cold": 0, "mild": 1, "warm": 2}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A workspace, with a key in the environment; jobs that a test leaves behind end with it."""
    root = tmp_path_factory.mktemp("evaluate")
    (root / "work").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNELAB_HOME", str(root / "home"))
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        patch.setenv("JUDGE_KEY", KEY)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(root / "work")
        yield root / "home"
        for job in tl.jobs():
            if not job.view().has_ended:
                job.cancel().wait(60, progress=False)


@pytest.fixture(scope="module")
def chatty(home: Path, tiny: Path) -> tl.Job:
    """The job that made the custom model `chatty`, with checkpoints at steps 2 and 4."""
    rows = [{"prompt": f"Say {n}.", "completion": f"{n}{n}"} for n in range(1, 25)]
    job = tl.customize(
        name="chatty", model=str(tiny), technique="sft", dataset=rows, split=4, hyperparameters=SHORT,
        compute={"threads": 1}, keep="last",
    )  # fmt: skip
    return done(job)


@pytest.fixture
def serve() -> Iterator[Callable[..., JudgeServer]]:
    servers: list[JudgeServer] = []

    def make(plan: Callable[[int, dict[str, Any]], Answer]) -> JudgeServer:
        servers.append(JudgeServer(plan))
        servers[-1].start()
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


def done(job: tl.Job) -> tl.Job:
    job.wait(120, progress=False)
    assert job.state == "completed", job.logs()
    return job


def until(condition: Callable[[], object], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass in time"
        time.sleep(0.02)


def evaluate(**keys: Any) -> tl.Job:
    return tl.evaluate(**{"dataset": ROWS, "compute": {"threads": 1}} | keys)


def asked(request: dict[str, Any]) -> str:
    return str(request["messages"][-1]["content"])


def written(name: str, answers: dict[str, str]) -> str:
    """Write answers made elsewhere to a file, by id."""
    rows = [json.dumps({"id": label, "prediction": text}) for label, text in answers.items()]
    Path(name).write_text("\n".join(rows), encoding="utf-8")
    return name


def run_of(home: Path, job: tl.Job) -> tuple[MlflowClient, Any]:
    client = MlflowClient(f"sqlite:///{home}/mlflow.db")
    experiments = [one.experiment_id for one in client.search_experiments()]
    (run,) = client.search_runs(experiments, f"tags.`tunelab.job` = '{job.id}'")
    return client, run


def tell_nobody(home: Path) -> None:
    files = [path for path in home.parent.rglob("*") if path.is_file()]
    assert any(path.name == "records.parquet" for path in files)
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []


def shares_letters(prompt: str, prediction: str, ground_truth: str, **row: Any) -> float:
    assert prompt == f"Say {ground_truth}." and row["kind"] == int(ground_truth) % 2
    if row["kind"] and ground_truth == "7":
        raise RuntimeError("seven is never scored")
    return sum(map(str.isalpha, prediction)) / (1 + len(prediction))


def test_a_custom_model_is_held_against_its_base_by_a_function_and_a_preset(
    home: Path, tiny: Path, chatty: tl.Job
) -> None:
    base, generation = str(tiny), {"max_new_tokens": 12}
    scorer = [shares_letters, {"preset": "length", "unit": "characters", "at_most": 10}]
    job = done(evaluate(models=tl.model("chatty"), scorer=scorer, generation=generation, name="by-hand"))
    result = job.result()
    assert result.models == [base, "chatty@1"]
    records = result.records
    assert len(records) == 8 * 2 * 2
    assert Counter(records["metric"]) == {"shares_letters": 16, "length": 16}
    answers = {(row.id, row.model): row.prediction for row in records.itertuples()}
    assert len({answers["q1", base], answers["q1", "chatty@1"]}) == 2, "the adapter is used"
    assert all(answers[row.id, row.model] == row.prediction for row in records.itertuples()), "one answer, two metrics"

    mine = records[records["metric"] == "shares_letters"].set_index(["id", "model"])
    by_hand: dict[str, dict[str, float]] = {base: {}, "chatty@1": {}}
    for (label, model), row in mine.iterrows():
        text = row["prediction"]
        if label == "q7":
            assert pd.isna(row["score"]) and row["status"] == "error" and "seven is never scored" in row["note"]
        else:
            by_hand[model][label] = sum(map(str.isalpha, text)) / (1 + len(text))
            assert (row["score"], row["status"]) == (pytest.approx(by_hand[model][label]), "scored")
        assert (row["prompt"], row["ground_truth"]) == (f"Say {label[1:]}.", label[1:])
        assert row["kind"] == int(label[1:]) % 2
    gaps = [by_hand["chatty@1"][label] - by_hand[base][label] for label in by_hand[base]]
    summary = result.summary.set_index(["metric", "model"])
    row = summary.loc[("shares_letters", "chatty@1")]
    assert (row["scored"], row["unscored"]) == (7, 1)
    assert row["mean"] == pytest.approx(sum(by_hand["chatty@1"].values()) / 7)
    assert row["improved"] == pytest.approx(sum(gap > 1e-9 for gap in gaps) / 7)
    assert row["degraded"] == pytest.approx(sum(gap < -1e-9 for gap in gaps) / 7)
    assert row["difference"] == pytest.approx(sum(gaps) / 7)
    assert row["low"] <= row["difference"] <= row["high"]
    difference = row["difference"]
    short = records[(records["metric"] == "length") & (records["model"] == base)]
    assert [score == 1 for score in short["score"]] == [len(text) <= 10 for text in short["prediction"]]
    assert any("have no score by shares_letters" in note for note in result.notes)
    parts = result.by("kind").groupby("kind")[["scored", "unscored"]].sum().sum(axis=1)
    assert list(parts) == [16, 16]

    # Another metric: what was answered is not answered again, and the checkpoint alone is.
    kept = sqlite3.connect(home / "cache" / "answers.sqlite")
    before = kept.execute("SELECT COUNT(*) FROM answers").fetchone()[0]
    models = [base, "chatty@1:step-2", "chatty"]
    again = done(evaluate(models=models, scorer="exact", generation=generation, name="exact"))
    assert kept.execute("SELECT COUNT(*) FROM answers").fetchone()[0] == before + 8
    kept.close()
    assert again.logs().count("answers 8 prompts, 8 of them known from before") == 2
    assert again.result().models == [base, "chatty@1:step-2", "chatty@1"]
    exact = again.result().records
    for row in exact.itertuples():
        assert row.score == float(row.prediction.strip() == row.ground_truth)
        if row.model != "chatty@1:step-2":
            assert row.prediction == answers[row.id, row.model]
    step = exact[exact["model"] == "chatty@1:step-2"].set_index("id")["prediction"].to_dict()
    assert step != {label: answers[label, "chatty@1"] for label in step}

    client, run = run_of(home, job)
    assert run.info.status == "FINISHED"
    tags = run.data.tags
    assert (tags["tunelab.kind"], tags["tunelab.method"]) == ("evaluate", "scorer")
    assert tags["tunelab.evaluated.chatty@1"] == chatty.view().run["run_id"]
    source = (job.folder.path / "reward.py").read_bytes()
    assert tags["tunelab.scoring.reward.py"] == "sha256:" + hashlib.sha256(source).hexdigest()
    (given,) = run.inputs.dataset_inputs
    assert given.dataset.name == job.spec["dataset"] and given.tags[0].value == "eval"
    found = {file.path for file in client.list_artifacts(run.info.run_id, "results")}
    assert {"results/records.parquet", "results/summary.json"} <= found
    assert run.data.metrics["shares_letters/difference/chatty_1"] == pytest.approx(difference)
    version = client.get_model_version("chatty", "1")
    assert version.tags[f"tunelab.evaluation.{job.id}"] == run.info.run_id
    assert f"tunelab.evaluation.{again.id}" in version.tags


def repeats(prediction: str, ground_truth: str) -> float:
    return float(prediction.count(ground_truth))


def test_answers_made_elsewhere_and_an_endpoint_with_what_it_costs(
    home: Path, serve: Callable[..., JudgeServer]
) -> None:
    server = serve(lambda _, request: Answer(2 * re.findall(r"\d+", asked(request))[0], seconds=0.05))
    big = {
        "name": "big", "model": "gpt", "base_url": server.url, "api_key": "JUDGE_KEY", "price_in": 2.0,
        "price_out": 30.0,
    }  # fmt: skip
    # q8 has no prediction; q1 and q2 are better than what the endpoint says, q3 is as good, the others are worse.
    given = {f"q{n}": text for n, text in enumerate(["1 1 1", "222", "3, 3", "4", "5", "", "none"], 1)}
    job = done(
        evaluate(models=["mine", big], scorer=repeats, predictions={"mine": written("mine.jsonl", given)}, name="cost")
    )
    result = job.result()
    scores = result.records.pivot(index="id", columns="model", values="score")
    assert list(scores["mine"][:7]) == [3, 3, 2, 1, 1, 0, 0]
    assert pd.isna(scores["mine"]["q8"]) and list(scores["big"]) == [2] * 8
    (lost,) = result.records[result.records["status"] == "failed"].to_dict("records")
    assert (lost["id"], lost["model"], lost["note"]) == ("q8", "mine", "there is no prediction of this record")
    row = result.summary.set_index("model").loc["big"]
    assert (row["scored"], row["unscored"], row["pairs"]) == (8, 0, 7)
    counted = (row["improved"], row["equal"], row["degraded"], row["difference"])
    assert counted == pytest.approx((4 / 7, 1 / 7, 2 / 7, (14 - 10) / 7))
    (cost,) = result.costs.to_dict("records")
    assert (cost["model"], cost["answers"], cost["failed"]) == ("big", 8, 0)
    assert (cost["tokens_in"], cost["tokens_out"]) == (100, 10), "what the server counts"
    assert cost["cost"] == pytest.approx((100 * 2 + 10 * 30) / 1e6)
    assert cost["total_cost"] == pytest.approx(8 * (100 * 2 + 10 * 30) / 1e6)
    assert cost["latency_s"] >= 0.05
    assert len(server.requests) == 8 and set(server.keys) == {f"Bearer {KEY}"}
    assert result.records["cost"].notna().sum() == 8, "what is given costs nothing that is known"
    tell_nobody(home)


def test_a_judge_that_goes_down_pauses_the_job_which_loses_nothing(
    home: Path, serve: Callable[..., JudgeServer]
) -> None:
    def plan(_: int, request: dict[str, Any]) -> Answer:
        answer = re.findall(r"\[(.*)\]", asked(request))[0]
        if answer == "other 8":
            return Answer("It is an answer of which nothing can be said.")
        score = {"mine": 1, "other": int(answer[-1]) % 3}[answer.split()[0]]
        return Answer(json.dumps({"reasoning": f"{answer} is read", "score": score}), seconds=0.1)

    server = serve(plan)
    metric = tl.Metric.create("warm", WARM, SCALE)
    own = {"model": "judge", "base_url": server.url, "api_key": "JUDGE_KEY", "retries": 0, "concurrency": 1}
    predictions = {
        name: written(f"{name}-answers.jsonl", {row["id"]: f"{name} {row['response']}" for row in ROWS})
        for name in ("mine", "other")
    }
    judge = own | {"metrics": ["warm"]}
    job = evaluate(models=["mine", "other"], predictions=predictions, judge=judge, name="judged")
    until(lambda: len(server.requests) >= 5 or job.view().has_ended)
    server.stop()
    until(lambda: job.state == "paused" or job.view().has_ended)
    assert job.state == "paused", job.logs()
    reason = job.view().reason or ""
    assert reason.startswith(f"The judge judge at {server.url} cannot be reached"), reason
    assert reason.endswith(f"Nothing is lost: when it can be asked, tl.job('{job.id}').resume() goes on."), reason
    with pytest.raises(tl.JobError, match=r"has no results \(Paused: The judge judge at .* goes on\.\)\.$"):
        job.result()
    answered = len(server.requests)
    assert 5 <= answered < 16
    assert run_of(home, job)[1].info.status == "SCHEDULED"
    server.start()
    done(job.resume())
    counts = Counter(map(asked, server.requests))
    assert sorted(counts.values()) == [1] * 15 + [2], "each once, but for the reply that cannot be read"

    result = job.result()
    records = result.records.set_index(["model", "id"])
    for n in range(1, 9):
        assert records.loc[("mine", f"q{n}"), "score"] == 1
        row = records.loc[("other", f"q{n}")]
        if n == 8:
            assert pd.isna(row["score"]) and pd.isna(row["label"]) and row["status"] == "unparsed"
            assert row["raw"] == "It is an answer of which nothing can be said."
        else:
            assert (row["score"], row["label"]) == (n % 3, [*SCALE][n % 3])
            assert row["reasoning"] == f"other {n} is read"
    # n % 3 of 1 to 7 is 1 2 0 1 2 0 1: two above 1, two below.
    row = result.summary.set_index("model").loc["other"]
    assert (row["scored"], row["unscored"], row["mean"], row["difference"]) == (7, 1, 1, 0)
    assert (row["improved"], row["equal"], row["degraded"]) == pytest.approx((2 / 7, 3 / 7, 2 / 7))
    assert any("1 of 8 answers of other have no score by warm" in note for note in result.notes)

    client, run = run_of(home, job)
    assert run.info.status == "FINISHED"
    assert (run.data.tags["tunelab.metrics"], run.data.tags["tunelab.judge"]) == ("warm@1", "judge")
    linked = json.loads(run.data.tags["mlflow.linkedPrompts"])
    assert linked == [{"name": "tunelab.metric.warm", "version": "1"}]
    assert WARM in client.get_prompt_version("tunelab.metric.warm", 1).template
    assert str(metric) == "warm@1"
    files = [file.path for file in client.list_artifacts(run.info.run_id, "scoring")]
    assert len(files) == 3, "the metric, and the answers made elsewhere"
    tell_nobody(home)


def sides(request: dict[str, Any]) -> tuple[str, str]:
    found = re.search(r"<answer_A>\n(.*)\n</answer_A>\s*<answer_B>\n(.*)\n</answer_B>", asked(request))
    assert found
    return found[1], found[2]


def better(request: dict[str, Any]) -> str:
    """Return what a judge says who likes what is good, and the first place where nothing is."""
    first, second = sides(request)
    return "B" if "good" in second and "good" not in first else "A"


def test_pairs_are_asked_in_both_orders_and_a_judge_is_held_against_people(
    home: Path, serve: Callable[..., JudgeServer]
) -> None:
    server = serve(lambda _, request: Answer(json.dumps({"reasoning": "so", "score": better(request)})))
    own = {"model": "judge", "base_url": server.url, "api_key": "JUDGE_KEY", "pairwise": True}
    mine = {row["id"]: "good" if row["response"] in "12" else "plain" for row in ROWS}
    # Better on 3, 4 and 5, worse on 1, the same on 2; on 6, 7 and 8 the judge goes by the place.
    other = mine | {"q3": "good", "q4": "good one", "q5": "so good", "q1": "bad"}
    other |= {label: "otherwise" for label in ("q6", "q7", "q8")}
    predictions = {"mine": written("first.jsonl", mine), "other": written("second.jsonl", other)}
    judge = own | {"metrics": ["helpfulness"]}
    job = done(evaluate(models=["mine", "other"], predictions=predictions, judge=judge, name="pairs"))
    assert len(server.requests) == 2 * 7, "two that are the same text are not asked about"
    records = job.result().records
    found = records[records["model"] == "other"].set_index("id")
    assert list(found["score"]) == [0, 0.5, 1, 1, 1, 0.5, 0.5, 0.5]
    assert list(found["label"]) == ["loss", "tie", "win", "win", "win", "tie", "tie", "tie"]
    assert list(found["flipped"]) == [False] * 5 + [True] * 3
    assert set(found["against"]) == {"mine"}
    row = job.result().summary.set_index("model").loc["other"]
    assert (row["improved"], row["equal"], row["degraded"]) == pytest.approx((3 / 8, 4 / 8, 1 / 8))
    assert row["win_rate"] == pytest.approx((3 + 4 / 2) / 8)

    # People and judge agree on the first two; the last goes by the place, which is a tie, and people said none.
    people = [("good", "bad", 1), ("bad", "good", 2), ("so good", "so bad", 2), ("one", "two", 1)]
    rows = [{"prompt": "?", "output_1": one, "output_2": two, "label": label} for one, two, label in people]
    meta = done(evaluate(method="meta", dataset=rows, judge=own | {"metrics": ["helpfulness"]}, name="meta"))
    (told,) = meta.result().judges.to_dict("records")
    assert (told["n"], told["unscored"], told["agreement"]) == (4, 0, 0.5)
    # Judge 1 2 1 0 and people 1 2 2 1: by chance 0.5 · 0.5 + 0.25 · 0.5 agree.
    assert told["kappa"] == pytest.approx((0.5 - 0.375) / (1 - 0.375))
    assert (told["flipped"], told["position_bias"]) == (0.25, 0.25)
    assert list(meta.result().records["people"]) == [1, 2, 2, 1]
    assert any("agrees with people in 50% of 4 rows by helpfulness" in note for note in meta.result().notes)
    run = run_of(home, meta)[1]
    assert run.data.tags["tunelab.method"] == "meta"
    assert run.data.metrics["helpfulness/agreement"] == 0.5
    tell_nobody(home)


def test_a_worker_that_is_killed_gives_the_same_results(
    home: Path, tiny: Path, serve: Callable[..., JudgeServer], is_legal: Callable[[list[str]], bool]
) -> None:
    server = serve(lambda _, request: Answer(f"I say {asked(request)}", seconds=0.05))
    big = {"name": "big", "model": "gpt", "base_url": server.url}
    rows = [{"query": f"Count to {n}.", "response": str(n)} for n in range(1, 25)]
    spec: dict[str, Any] = {
        "models": [str(tiny), big],
        "dataset": rows,
        "scorer": shape,
        "generation": {"max_new_tokens": 100, "temperature": 0.9, "batch_size": 2},
    }
    job = evaluate(**spec, name="killed")
    try:
        # The endpoint has answered all, and the model here some.
        until(lambda: (job.view().step or 0) > 24 or job.view().has_ended)
        assert job.state == "running", job.logs()
        kill_worker(job)
        done(job)
    finally:
        job.cancel()
    assert job.view().step == 4 * 24
    states = [event["state"] for event in journals.read(job.folder.journal) if event["type"] == "state"]
    assert states.count("recovering") == 1 and is_legal(states), states
    assert Counter(map(asked, server.requests)) == dict.fromkeys((row["query"] for row in rows), 1)
    assert "of them known from before" in job.logs()
    for path in (home / "cache").glob("answers.sqlite*"):
        path.unlink()
    whole = done(evaluate(**spec, name="whole"))
    columns = ["id", "model", "metric", "prediction", "score", "status", "tokens_in", "tokens_out", "cut"]
    pd.testing.assert_frame_equal(job.result().records[columns], whole.result().records[columns], check_exact=True)
    figures = job.result().summary
    pd.testing.assert_frame_equal(figures, whole.result().summary, check_exact=True)
    assert figures["scored"].tolist() == [24, 24]


def shape(prediction: str) -> float:
    return len(set(prediction)) / (1 + len(prediction))


def kill_worker(job: tl.Job) -> None:
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if job.id in line and "tunelab.jobs.worker" in line:
            process.kill()
            process.wait(10)
