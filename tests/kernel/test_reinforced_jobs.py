"""Jobs of rlvr from the notebook's function to the registered model: what is rewarded, kept, shown and recorded."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from tests.kernel.judge_server import Answer, JudgeServer

import tunelab as tl
from tunelab.jobs import journal as journals

QUICK = {
    "max_steps": 3,
    "eval_steps": 1,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 1,
    "num_generations": 4,
    "max_completion_length": 6,
    "learning_rate": 1e-3,
}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "work" / "rows.jsonl"
    path.parent.mkdir(exist_ok=True)
    lines = [json.dumps({"prompt": f"Say {n}.", "ground_truth": f"{n}", "kind": "even"}) for n in range(0, 48, 2)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _customize(tiny: Path, rows: Path, reward: Any, **keys: Any) -> tl.Job:
    spec: dict[str, Any] = {"name": "sums", "model": str(tiny), "technique": "rlvr", "dataset": str(rows), "split": 4}
    settings = QUICK | keys.pop("hyperparameters", {})
    return tl.customize(**spec | keys, reward=reward, hyperparameters=settings, compute={"threads": 1})


def shortness(prompt: str, completion: str, ground_truth: str, kind: str) -> dict[str, float]:
    import os

    assert "OPENAI_API_KEY" not in os.environ, "no secret is in the function's environment"
    letters = sum(map(str.isalpha, completion))
    assert kind == "even" and int(ground_truth) % 2 == 0 and ground_truth in prompt
    if len(completion) % 7 == 0:
        raise RuntimeError("not today")
    return {"score": letters / (1 + len(completion)), "letters": letters}


def test_a_function_of_the_notebook_becomes_a_model_with_all_that_made_it(
    workspace: Path, tiny: Path, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    job = _customize(tiny, rows, shortness).wait(240, progress=False)
    assert job.state == "completed", job.logs()
    metrics = job.metrics()
    for name in ("reward", "reward_std", "rewards/shortness/mean", "rewards/letters/mean", "entropy", "reward_missing"):
        assert metrics[name].notna().sum() == 3, name
    assert metrics["eval_reward"].notna().sum() == 4

    events = journals.read(job.folder.journal)
    samples = [event for event in events if event["type"] == "sample"]
    assert len([one for one in samples if not one["held_out"]]) == 3 * 4
    assert len([one for one in samples if one["held_out"]]) == 4 * 4
    missing = 0
    for one in samples:
        text = one["completion"]
        letters = sum(map(str.isalpha, text))
        if len(text) % 7 == 0:
            missing += 1
            assert one["reward"] is None and one["status"] == "error"
            assert "RuntimeError: not today" in one["note"]
        else:
            assert one["reward"] == pytest.approx(letters / (1 + len(text)))
            assert one["parts"] == {"shortness": one["reward"], "letters": letters}
    by_step = metrics["reward_missing"].dropna()
    trained = [one for one in samples if not one["held_out"]]
    assert by_step.sum() * 4 == pytest.approx(sum(one["reward"] is None for one in trained))

    (version,) = tl.models()
    assert str(version) == job.model
    best = metrics["eval_reward"].dropna().loc[1:].idxmax()
    assert f"the model is the checkpoint of step {best}" in job.logs()

    client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{workspace}/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    (run,) = client.search_runs(experiments, f"tags.`tunelab.job` = '{job.id}'")
    assert [file.path for file in client.list_artifacts(run.info.run_id, "reward")] == ["reward/reward.py"]
    source = (job.folder.path / "reward.py").read_text(encoding="utf-8")
    assert "def shortness" in source
    import hashlib

    assert run.data.tags["tunelab.reward.reward.py"] == "sha256:" + hashlib.sha256(source.encode()).hexdigest()
    assert run.data.params["reward.name"] == "shortness"
    for path in (path for path in workspace.rglob("*") if path.is_file()):
        assert b"sk-secret" not in path.read_bytes(), path


def hangs(completion: str) -> float:
    import time

    if len(completion) % 2:
        time.sleep(3600)
    return 1.0


def test_a_function_that_hangs_costs_its_time_limit_and_no_more(workspace: Path, tiny: Path, rows: Path) -> None:
    reward = {"function": hangs, "timeout_s": 1.0}
    job = _customize(tiny, rows, reward, hyperparameters={"max_steps": 2}).wait(240, progress=False)
    assert job.state == "completed", job.logs()
    samples = [event for event in journals.read(job.folder.journal) if event["type"] == "sample"]
    for one in samples:
        assert one["status"] == ("timeout" if len(one["completion"]) % 2 else "scored")


@pytest.mark.parametrize("algorithm", ["grpo", "rloo"])
def test_a_paused_job_goes_on_at_the_border_of_a_window(
    workspace: Path, tiny: Path, rows: Path, algorithm: str
) -> None:
    settings = {"max_steps": 1000, "eval_steps": 500, "num_iterations": 3}
    reward = {"preset": "length", "unit": "characters", "at_most": 12}
    job = _customize(tiny, rows, reward, algorithm=algorithm, hyperparameters=settings)
    _until(lambda: (job.view().step or 0) >= 4 or job.view().has_ended)
    job.pause()
    _until(lambda: job.state == "paused" or job.view().has_ended)
    step = job.folder.newest_step()
    assert step and step % 3 == 0
    job.resume()
    _until(lambda: (job.view().step or 0) > step or job.view().has_ended)
    assert job.state == "running", job.logs()
    job.cancel().wait(60, progress=False)


def _until(condition: Callable[[], object], timeout: float = 120) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it did not come to pass in time"
        time.sleep(0.05)


def test_a_feedback_model_that_is_down_pauses_the_job_and_resume_goes_on(
    workspace: Path, tiny: Path, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-secret")
    server = JudgeServer(lambda number, asked: Answer(f'{{"reasoning": "{number}", "score": 0.{number % 10}}}'))
    server.start()
    prompt = tl.RewardPrompt.create("warm", "Is this warm? {{ prompt }} {{ completion }}")
    reward = {"prompt": "warm", "model": "judge", "base_url": server.url, "api_key": "JUDGE_KEY", "retries": 0}
    settings = {"max_steps": 1000, "eval_steps": 500}
    try:
        job = _customize(tiny, rows, reward, technique="rlaif", hyperparameters=settings)
        _until(lambda: (job.view().step or 0) >= 2 or job.view().has_ended)
        assert job.state == "running", job.logs()
        server.stop()
        _until(lambda: job.state == "paused" or job.view().has_ended)
        reached = job.view().step or 0
        assert job.state == "paused", job.logs()
        assert "The feedback model judge" in (job.view().reason or ""), job.view().reason
        server.start()
        job.resume()
        # Without a checkpoint it begins again, and comes farther than before.
        _until(lambda: (job.state == "running" and (job.view().step or 0) > reached + 1) or job.view().has_ended)
        assert job.state == "running", job.logs()
    finally:
        server.stop()
        job.cancel().wait(60, progress=False)
    samples = [event for event in journals.read(job.folder.journal) if event["type"] == "sample"]
    assert all(one["reward"] is not None for one in samples), "nothing was trained on that was not judged"
    assert set(server.keys) == {"Bearer sk-secret"}
    client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{workspace}/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    (run,) = client.search_runs(experiments, f"tags.`tunelab.job` = '{job.id}'")
    assert run.data.tags["tunelab.reward_prompt"] == str(prompt)
    for path in (path for path in workspace.rglob("*") if path.is_file()):
        assert b"sk-secret" not in path.read_bytes(), path
