"""Real trainings whose processes are killed at random: nothing may be missing, doubled or different in the end.

The moments and the victims are drawn from a seed that is printed; `TUNELAB_FAULT_SEED` draws them again, and
`TUNELAB_KILLS` says how many there are.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

import tunelab as tl
from tunelab import workspace as workspaces
from tunelab.jobs import journal as journals
from tunelab.jobs import locks

pytestmark = pytest.mark.alone

KILLS = int(os.environ.get("TUNELAB_KILLS", "20"))
SEED = int(os.environ.get("TUNELAB_FAULT_SEED", "0")) or secrets.randbelow(10**9)
KILLS_A_JOB = 4
VICTIMS = ("worker", "runner", "kernel", "registry", "all")

STEPS = {"max_steps": 24, "save_steps": 3, "eval_steps": 8, "per_device_train_batch_size": 2}
COMMON: dict[str, Any] = {"split": 4, "adapter": {"dropout": 0.1}, "compute": {"max_restarts": 100, "threads": 1}}
SPECS: dict[str, dict[str, Any]] = {
    "sft": {"technique": "sft", "hyperparameters": STEPS | {"gradient_accumulation_steps": 2, "logging_steps": 2}},
    "dpo": {"technique": "dpo", "hyperparameters": STEPS | {"learning_rate": 1e-4}},
    "best": {
        "technique": "sft",
        "keep": "best",
        "hyperparameters": {**STEPS, "eval_steps": 4, "save_steps": 4, "learning_rate": 3e-3},
    },
    # Answers are sampled anew every second step.
    "rlvr": {
        "technique": "rlvr",
        "reward": {"preset": "length", "unit": "characters", "at_most": 20},
        "keep": "last",
        "hyperparameters": {
            **STEPS,
            "save_steps": 4,
            "per_device_train_batch_size": 4,
            "num_generations": 4,
            "num_iterations": 2,
            "max_completion_length": 12,
            "learning_rate": 1e-3,
        },
    },
}
#: What differs from one run to the next: how long something took.
TIMES = ("tokens_per_s/", "step_time")

SUBMIT = (
    "import json, sys, time, tunelab as tl; job = tl.customize(json.loads(sys.argv[1])); print(job.id, flush=True); "
    "time.sleep(3600)"
)


@pytest.fixture(scope="module")
def cut_down(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of SmolLM2-135M with its real weights and tokenizer, and 2 of its 30 layers."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from tunelab import workspace
    from tunelab.models import find, load

    root = tmp_path_factory.mktemp("cut-down")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNELAB_HOME", str(root / "home"))
        workspace.current()
        whole = load.bring(find.find("smollm2-135m"), lambda _: None)
        model = AutoModelForCausalLM.from_pretrained(whole)
        model.model.layers = model.model.layers[:2]
        model.config.num_hidden_layers = 2
        if getattr(model.config, "layer_types", None):
            model.config.layer_types = model.config.layer_types[:2]
        model.save_pretrained(root / "model")
        AutoTokenizer.from_pretrained(whole).save_pretrained(root / "model")
    return root / "model"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, mlflow_at: Callable[[Path], Any]) -> Iterator[Any]:
    server = mlflow_at(tmp_path_factory.mktemp("mlflow"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def home(workspace: Path, monkeypatch: pytest.MonkeyPatch, registry: Any) -> Path:
    """A workspace whose jobs are recorded by the server."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.uri)
    return workspace


@dataclass
class Whole:
    """What uninterrupted runs gave, by the name of their spec."""

    found: dict[str, tuple[pd.DataFrame, bytes]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def whole() -> Whole:
    return Whole()


def _spec(name: str, cut_down: Path, pairs: Path, answers: Path) -> dict[str, Any]:
    rows = pairs if SPECS[name]["technique"] == "dpo" else answers
    if SPECS[name]["technique"] == "rlvr":
        prompts = [{"prompt": json.loads(line)["prompt"]} for line in answers.read_text(encoding="utf-8").splitlines()]
        rows = answers.with_name("prompts.jsonl")
        rows.write_text("\n".join(map(json.dumps, prompts)), encoding="utf-8")
    return COMMON | SPECS[name] | {"name": name, "model": str(cut_down), "dataset": str(rows)}


def _until(condition: Callable[[], object], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def _process(job: tl.Job, module: str) -> psutil.Process | None:
    """Return a job's live process by its command line, which names module and job."""
    for process in psutil.process_iter(["cmdline", "status"]):
        line = process.info["cmdline"] or []
        if module in line and job.id in line and process.info["status"] != psutil.STATUS_ZOMBIE:
            return process
    return None


def _kill(job: tl.Job, victim: str, kernel: subprocess.Popen[str], registry: Any, draw: random.Random) -> None:
    modules = {"worker": "tunelab.jobs.worker", "runner": "tunelab.jobs.runner"}
    names = modules if victim == "all" else [name for name in modules if name == victim]
    found = [process for name in names if (process := _process(job, modules[name]))]
    for process in found:
        # All at once: none is to see the other's end.
        process.kill()
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.wait(10)
    if victim in ("kernel", "all"):
        kernel.kill()
    if victim in ("registry", "all"):
        registry.kill()
    if victim == "all":
        # A power cut may leave half of the line that was being written.
        torn = json.dumps({"seq": 10**6, "time": time.time(), "source": "worker", "type": "metric", "step": 999})
        with job.folder.journal.open("a") as file:
            file.write(torn[: draw.randrange(len(torn))])


@pytest.mark.parametrize("number", range(-(-KILLS // KILLS_A_JOB)))
def test_a_killed_job_ends_as_if_nothing_had_happened(
    home: Path, cut_down: Path, pairs: Path, answers: Path, registry: Any, whole: Whole, number: int, is_legal: Any
) -> None:
    draw = random.Random(SEED * 1000 + number)
    name = [*SPECS][number % len(SPECS)]
    spec = _spec(name, cut_down, pairs, answers)
    if name not in whole.found:
        done = tl.customize(spec).wait(600, progress=False)
        assert done.state == "completed", done.logs()
        whole.found[name] = done.metrics(), (done.folder.adapter / "adapter_model.safetensors").read_bytes()
    kernel = subprocess.Popen([sys.executable, "-c", SUBMIT, json.dumps(spec)], stdout=subprocess.PIPE, text=True)
    assert kernel.stdout is not None
    try:
        job = tl.job(kernel.stdout.readline().strip())
        kills = [draw.choice(VICTIMS) for _ in range(min(KILLS_A_JOB, KILLS - number * KILLS_A_JOB))]
        for victim in kills:
            _wait_for_a_moment(job, draw)
            print(f"seed {SEED}, job {number} ({name}): kill {victim} at {job.view().step}, {job.state}")
            _kill(job, victim, kernel, registry, draw)
            if victim == "all":
                # A worker that had said that it is done had done the work: only the end is still to be said.
                is_done = workspaces.read_json(job.folder.outcome, {}).get("status") == "completed"
                state = job.view().state
                expected = {"recovering", "completed", "queued"} | ({"running"} if is_done else set())
                assert state in expected, "the truth at once"
            if victim in ("registry", "all"):
                registry.start()
        job.wait(600, progress=False)
    finally:
        kernel.kill()
        kernel.wait()
    _check(job, *whole.found[name])
    states = [event["state"] for event in journals.read(job.folder.journal) if event["type"] == "state"]
    assert is_legal(states), states


def _wait_for_a_moment(job: tl.Job, draw: random.Random) -> None:
    """Wait until somewhere between the worker's first import and past the next checkpoints, more often the latter."""
    _until(lambda: _process(job, "tunelab.jobs.worker") or job.view().has_ended, 120, job.logs())
    if draw.random() < 0.3:
        time.sleep(draw.uniform(0, 12))
        return
    step = (job.view().step or 0) + draw.randrange(10)
    _until(lambda: job.view().has_ended or (job.state == "running" and (job.view().step or 0) >= step), 120, job.logs())
    time.sleep(draw.uniform(0, 0.5))


def _check(job: tl.Job, metrics: pd.DataFrame, adapter: bytes) -> None:
    assert job.state == "completed", job.logs()
    _until(lambda: not job.folder.pending.exists(), 120, "MLflow was told")
    _until(lambda: not _leftovers(job), 20, f"no process is left: {_leftovers(job)}")
    pd.testing.assert_frame_equal(_without_times(job.metrics()), _without_times(metrics), check_exact=True)
    assert (job.folder.adapter / "adapter_model.safetensors").read_bytes() == adapter
    events = journals.read(job.folder.journal)
    said = [
        (event["step"], key)
        for event in journals.standing(events)
        if event["type"] == "metric"
        for key in event["values"]
        if not (key == "epoch" and len(event["values"]) > 1)
    ]
    assert len(said) == len(set(said)), "no step is said twice"
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    _check_registry(job, _without_times(metrics))
    queue = locks.DeviceQueue("cpu")
    assert queue.is_free()
    assert queue.waiting() == []
    assert not job.folder.has_process()
    assert not (job.folder.checkpoints / ".writing").exists()


def _without_times(metrics: pd.DataFrame) -> pd.DataFrame:
    return metrics[[name for name in metrics.columns if not name.removeprefix("eval_").startswith(TIMES)]]


def _check_registry(job: tl.Job, metrics: pd.DataFrame) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    (run,) = client.search_runs(experiments, f"tags.`tunelab.job` = '{job.id}'")
    assert run.info.status == "FINISHED"
    assert len(client.search_model_versions(f"run_id = '{run.info.run_id}'")) == 1
    for key in metrics.columns:
        history = client.get_metric_history(run.info.run_id, key)
        expected = metrics[key].dropna()
        assert [one.step for one in history] == list(expected.index), key
        assert [one.value for one in history] == list(expected), key


def _leftovers(job: tl.Job) -> list[list[str]]:
    return [
        process.info["cmdline"]
        for process in psutil.process_iter(["cmdline", "status"])
        if job.id in (process.info["cmdline"] or []) and process.info["status"] != psutil.STATUS_ZOMBIE
    ]
