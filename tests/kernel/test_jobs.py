"""A job's life: it outlives its kernel, waits its turn, ends when told, and says truly what became of it."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

import tunelab as tl
from tunelab.jobs import locks

LONG = {"max_steps": 100_000, "eval_steps": 50_000, "save_steps": 10, "per_device_train_batch_size": 4}
SHORT = {"max_steps": 2, "per_device_train_batch_size": 4}


def _submit(tiny: Path, data: Path, name: str = "small", **hyperparameters: Any) -> tl.Job:
    return tl.customize(
        model=str(tiny),
        technique="sft",
        dataset=str(data),
        name=name,
        split=4,
        hyperparameters=hyperparameters or SHORT,
    )


def _until(condition: Callable[[], object], timeout: float = 90) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it did not come to pass in time"
        time.sleep(0.05)


@pytest.fixture
def running(workspace: Path, tiny: Path, answers: Path):
    """A job that trains until it is told to stop, past its first checkpoint."""
    job = _submit(tiny, answers, **LONG)
    _until(lambda: (job.view().step or 0) >= 12 or job.view().has_ended)
    assert job.state == "running", job.logs()
    yield job
    job.cancel().wait(30, progress=False)


def test_a_job_is_seen_by_other_processes_and_outlives_the_one_that_started_it(
    workspace: Path, tiny: Path, answers: Path
) -> None:
    script = (
        "import sys, tunelab as tl; job = tl.customize(model=sys.argv[1], technique='sft', dataset=sys.argv[2], "
        "name='small', split=4, hyperparameters={'max_steps': 30, 'per_device_train_batch_size': 4}); "
        "print(job.id, flush=True); import time; time.sleep(600)"
    )
    kernel = subprocess.Popen(
        [sys.executable, "-c", script, str(tiny), str(answers)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert kernel.stdout is not None
    job_id = kernel.stdout.readline().strip()
    # As Jupyter ends a kernel that does not answer: the whole process group at once.
    os.killpg(kernel.pid, signal.SIGKILL)
    kernel.wait()
    assert [job.id for job in tl.jobs()] == [job_id]
    job = tl.job(job_id).wait(120, progress=False)
    assert job.state == "completed", job.logs()
    assert tl.job("small").id == job_id
    assert job.model == "small@1"
    _until(lambda: not job.folder.has_process(), 10)


def test_jobs_take_the_device_in_the_order_of_their_submits(workspace: Path, tiny: Path, answers: Path) -> None:
    jobs = [_submit(tiny, answers, name=f"job{number}") for number in range(4)]
    for job in jobs:
        assert job.wait(200, progress=False).state == "completed", job.logs()
    spans = [(job.view().started or 0, job.view().ended or 0) for job in jobs]
    assert spans == sorted(spans)
    positions = [e.get("position") for e in _events(jobs[3]) if e["type"] == "state" and e["state"] == "queued"]
    assert max(p for p in positions if p is not None) >= 1
    # The next may start while the runner before it still registers its model, but the workers never overlap.
    for earlier, later in itertools.pairwise(jobs):
        last_word = max(e["time"] for e in _events(earlier) if e["source"] == "worker")
        assert last_word <= (later.view().started or 0)


@pytest.mark.alone
def test_cancel_ends_a_running_job_within_ten_seconds_and_keeps_what_was_saved(running: tl.Job) -> None:
    begin = time.monotonic()
    running.cancel().wait(30, progress=False)
    assert time.monotonic() - begin < 10
    assert running.state == "cancelled"
    kept = sorted(int(path.name.removeprefix("step-")) for path in running.folder.checkpoints.glob("step-*"))
    assert len(kept) == 2
    assert (running.folder.checkpoints / f"step-{kept[-1]}" / "adapter_model.safetensors").exists()
    assert _run(running)["status"] == "KILLED"
    assert tl.models().rows() == []
    _until(lambda: not running.folder.has_process(), 10)
    assert locks.DeviceQueue("cpu").is_free()


def test_a_waiting_job_is_cancelled_at_once(running: tl.Job, tiny: Path, answers: Path) -> None:
    waiting = _submit(tiny, answers, name="waiting")
    _until(lambda: waiting.view().position == 1)
    waiting.cancel()
    # At once, not in its turn: the running job never ends.
    _until(lambda: locks.DeviceQueue("cpu").waiting() == [], 30)
    assert waiting.wait(30, progress=False).state == "cancelled"
    assert running.state == "running"
    assert _run(waiting)["status"] == "KILLED"


@pytest.mark.alone
def test_a_new_runner_takes_over_a_worker_that_lives(workspace: Path, tiny: Path, answers: Path) -> None:
    job = _submit(tiny, answers, max_steps=150, save_steps=50, per_device_train_batch_size=4)
    _until(lambda: (job.view().step or 0) >= 5)
    worker = psutil.Process(int(job.folder.worker_lock.read_text().split()[0]))
    next(p for p in worker.parents() if "tunelab.jobs.runner" in p.cmdline()).kill()
    command = [sys.executable, "-m", "tunelab.jobs.runner", job.id]
    others = [subprocess.Popen(command) for _ in range(2)]
    job.wait(120, progress=False)
    assert job.state == "completed", job.logs()
    assert [other.wait(20) for other in others] == [0, 0]
    assert [e["state"] for e in _events(job) if e["type"] == "state"].count("completed") == 1
    assert tl.models().rows()[0]["model"] == "small@1"
    assert len(tl.models()) == 1


def test_the_worker_is_nicer_than_the_kernel(running: tl.Job) -> None:
    worker = psutil.Process(int(running.folder.worker_lock.read_text().split()[0]))
    assert worker.nice() > psutil.Process().nice()


def test_wait_gives_up_in_time_and_the_job_goes_on(running: tl.Job) -> None:
    with pytest.raises(tl.Timeout, match=r"has not ended within 0.1 s .*It goes on\."):
        running.wait(0.1, progress=False)
    assert running.state == "running"


def test_remove_takes_an_ended_job_and_no_other(running: tl.Job) -> None:
    with pytest.raises(tl.JobError, match="has not ended"):
        tl.jobs().remove(running.id)
    running.cancel().wait(30, progress=False)
    # It is kept for as long as MLflow has not been told.
    _until(lambda: not running.folder.pending.exists(), 60)
    jobs = tl.jobs()
    jobs.remove(running.id)
    assert len(jobs) == len(tl.jobs()) == 0
    with pytest.raises(tl.JobError, match="There is no job"):
        tl.job(running.id)


@pytest.mark.parametrize("job_id", ["../../etc", "small", "", "small-20200101-000000-abcd"])
def test_a_job_that_is_not_there(workspace: Path, job_id: str) -> None:
    with pytest.raises(tl.JobError, match="There is no job"):
        tl.job(job_id)


def test_the_pipeline_door_runs_a_spec_and_tells_by_its_exit_status(workspace: Path, tiny: Path, answers: Path) -> None:
    spec = Path("spec.yaml")
    spec.write_text(f"name: piped\nmodel: {tiny}\ntechnique: sft\ndataset: {answers}\nsplit: 4\n")
    command = [sys.executable, "-m", "tunelab", "run", str(spec), "--set", "max_steps=2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Completed in" in done.stdout
    assert "piped@1" in done.stdout
    refused = subprocess.run([*command, "--set", "learning_rte=1"], capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr == "SpecError: Unknown hyperparameter 'learning_rte' for sft. Did you mean 'learning_rate'?\n"
    listed = subprocess.run([sys.executable, "-m", "tunelab", "jobs"], capture_output=True, text=True)
    assert listed.stdout.count("piped") >= 1


def _events(job: tl.Job) -> list[dict[str, Any]]:
    return [json.loads(line) for line in job.folder.journal.read_text(encoding="utf-8").splitlines()]


def _run(job: tl.Job) -> dict[str, Any]:
    """Return the job's MLflow run, read by MLflow itself, once it has been told all."""
    from mlflow import MlflowClient

    from tunelab import workspace

    _until(lambda: not job.folder.pending.exists(), 60)
    client = MlflowClient(f"sqlite:///{workspace.current().database}")
    run = client.get_run(job.view().run["run_id"])
    return {"status": run.info.status, "tags": run.data.tags}
