"""What goes wrong, one thing at a time: each is a clear message, and no more is lost than since a checkpoint."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from test_jobs import LONG

import tunelab as tl
from tunelab import workspace as workspaces
from tunelab.jobs import folder as folders
from tunelab.jobs import journal as journals
from tunelab.jobs import locks, machine, prepare
from tunelab.jobs import runner as runner_module
from tunelab.jobs.runner import Death, Ending, Runner

pytestmark = pytest.mark.alone

SHORT = {"max_steps": 30, "eval_steps": 10, "save_steps": 5, "per_device_train_batch_size": 2}


def _submit(tiny: Path, data: Path, name: str = "small", settings: Any = SHORT, **keys: Any) -> tl.Job:
    return tl.customize(
        model=str(tiny),
        technique="sft",
        dataset=str(data),
        name=name,
        split=4,
        hyperparameters=settings,
        **keys,
    )


def _until(condition: Callable[[], object], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass in time"
        time.sleep(0.02)


def _events(job: tl.Job) -> list[dict[str, Any]]:
    return journals.read(job.folder.journal)


def _states(job: tl.Job) -> list[str]:
    """Return the states that the journal tells, each once in a row."""
    states = [event["state"] for event in _events(job) if event["type"] == "state"]
    return [state for place, state in enumerate(states) if states[place - 1 : place] != [state]]


def _worker(job: tl.Job) -> psutil.Process:
    _until(lambda: job.folder.worker_lock.exists() and job.folder.worker_lock.read_text())
    return psutil.Process(int(job.folder.worker_lock.read_text().split()[0]))


def _runner(job: tl.Job) -> psutil.Process:
    for process in psutil.process_iter(["cmdline"]):
        if "tunelab.jobs.runner" in (process.info["cmdline"] or []) and job.id in process.info["cmdline"]:
            return process
    raise AssertionError("no runner")


def _power_cut(job: tl.Job) -> None:
    """Kill the job's processes as at one moment: neither sees the other go, and nobody finds one without the other."""
    runner, worker = _runner(job), _worker(job)
    for process in (worker, runner):
        process.suspend()
    worker.kill()
    _until(lambda: not locks.is_held(job.folder.worker_lock), 10)
    runner.kill()
    with contextlib.suppress(psutil.NoSuchProcess):
        runner.wait(10)


def _mlflow() -> Any:
    from mlflow import MlflowClient

    return MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{workspaces.current().database}")


def _status(job: tl.Job) -> str:
    _until(lambda: not job.folder.pending.exists())
    return str(_mlflow().get_run(job.view().run["run_id"]).info.status)


@pytest.fixture
def long(workspace: Path, tiny: Path, answers: Path) -> Iterator[tl.Job]:
    """A job that trains until it is told to stop, past its first checkpoint."""
    job = _submit(tiny, answers, settings=LONG)
    _until(lambda: (job.view().step or 0) >= 12 or job.view().has_ended)
    assert job.state == "running", job.logs()
    yield job
    job.cancel().wait(30, progress=False)


def test_a_killed_worker_is_started_again_from_its_checkpoint(long: tl.Job) -> None:
    before = _worker(long)
    before.kill()
    _until(lambda: "recovering" in _states(long), 30)
    recovering = next(event for event in _events(long) if event.get("state") == "recovering")
    assert recovering["reason"] == "The worker was killed (signal 9); restart 1 of 3"
    assert recovering["from_step"] == long.folder.checkpoint_steps()[-1] >= 10
    _until(lambda: long.state == "running" and (long.view().step or 0) > recovering["from_step"])
    assert _worker(long).pid != before.pid
    steps = list(long.metrics()["loss"].dropna().index)
    assert steps == list(range(1, steps[-1] + 1))
    assert long.view().restarts == 1


def test_restarts_have_an_end_and_the_run_says_so(workspace: Path, tiny: Path, answers: Path) -> None:
    job = _submit(tiny, answers, settings=LONG, compute={"max_restarts": 0})
    _until(lambda: (job.view().step or 0) >= 1)
    _worker(job).kill()
    job.wait(60, progress=False)
    assert job.state == "failed"
    said = "The worker was killed (signal 9); given up: compute.max_restarts is 0. What was saved is kept."
    assert job.view().reason == said
    assert _status(job) == "FAILED"


def test_a_killed_runner_is_replaced_by_the_worker_alone(long: tl.Job) -> None:
    worker = _worker(long)
    _runner(long).kill()
    # Nobody looks: no call of tunelab's is made meanwhile.
    _until(lambda: _is_held_by_another(long), 10)
    assert _worker(long).pid == worker.pid
    assert _states(long) == ["queued", "running"]
    assert long.view().step is not None


def _is_held_by_another(job: tl.Job) -> bool:
    with contextlib.suppress(AssertionError):
        return locks.is_held(job.folder.runner_lock) and _runner(job).is_running()
    return False


def test_a_job_whose_machine_went_down_is_told_truly_at_once_and_goes_on(long: tl.Job) -> None:
    _power_cut(long)
    (seen,) = tl.jobs()
    assert seen.state == "recovering"
    assert "as when the machine goes down" in (seen.view().reason or "")
    at = long.view().step
    _until(lambda: long.state == "running" and (long.view().step or 0) > (at or 0))
    # It was nobody's fault, and counts for nothing.
    assert (long.view().restarts, long.view().counted) == (1, 0)


def test_a_pause_saves_frees_the_device_and_resume_goes_on(long: tl.Job, tiny: Path, answers: Path) -> None:
    waiting = _submit(tiny, answers, name="next", settings={"max_steps": 2, "per_device_train_batch_size": 4})
    begin = time.monotonic()
    long.pause().wait(60, progress=False)
    assert time.monotonic() - begin < 30
    assert (long.state, long.view().reason) == ("paused", None)
    saved = long.folder.checkpoint_steps()[-1]
    assert saved == long.view().step
    assert _status(long) == "SCHEDULED"
    _until(lambda: not long.folder.has_process(), 10)
    waiting.wait(120, progress=False)
    assert waiting.state == "completed", waiting.logs()
    # A paused job stays so, whoever looks.
    assert [job.state for job in tl.jobs()] == ["completed", "paused"]
    assert not long.folder.has_process()
    long.resume()
    assert long.state == "queued"
    _until(lambda: (long.view().step or 0) > saved)
    assert _status(long) == "RUNNING"
    steps = list(long.metrics()["loss"].dropna().index)
    assert steps == list(range(1, steps[-1] + 1))
    assert _states(long) == ["queued", "running", "paused", "queued", "running"]


def test_a_pause_that_is_taken_back_and_a_paused_job_that_is_cancelled(long: tl.Job) -> None:
    long.pause().resume()
    _until(lambda: long.state == "running" and _worker(long).is_running())
    assert long.state in ("running", "queued")
    long.pause().wait(60, progress=False)
    long.cancel()
    long.wait(30, progress=False)
    _until(lambda: long.view().has_ended, 20)
    assert long.state == "cancelled"
    assert _status(long) == "KILLED"


def test_the_queue_moves_up_pauses_and_cancels(long: tl.Job, tiny: Path, answers: Path) -> None:
    first, second, third = (_submit(tiny, answers, name=name) for name in ("first", "second", "third"))
    queue = locks.DeviceQueue("cpu")
    assert queue.waiting() == [first.id, second.id, third.id]
    third.move_up()
    assert queue.waiting() == [first.id, third.id, second.id]
    third.move_up()
    third.move_up()
    assert queue.waiting() == [third.id, first.id, second.id]
    _until(lambda: [job.view().position for job in (third, first, second)] == [1, 2, 3], 10)
    assert "2 before it" in repr(first)
    first.pause()
    _until(lambda: first.state == "paused", 5)
    assert queue.waiting() == [third.id, second.id]
    first.resume()
    _until(lambda: queue.waiting() == [third.id, second.id, first.id], 10)
    for job in (first, second, third):
        job.cancel()
    for job in (first, second, third):
        assert job.wait(30, progress=False).state == "cancelled"


@pytest.mark.skipif(machine.threads() < 2, reason="one core cannot be shared")
def test_jobs_with_fewer_threads_share_the_processor(workspace: Path, tiny: Path, answers: Path) -> None:
    jobs = [_submit(tiny, answers, f"one{n}", LONG, compute={"threads": 1}) for n in range(machine.threads() + 1)]
    _until(lambda: all(job.state == "running" for job in jobs[:-1]))
    assert jobs[-1].state == "queued"
    for job in jobs:
        job.cancel()
    for job in jobs:
        job.wait(30, progress=False)
    assert locks.DeviceQueue("cpu").is_free()


CUDA, KILLED = "RuntimeError: CUDA", "The worker was killed (signal 9)"
DEATHS = {
    "a lasting failure": (Death("ValueError: no", "ValueError: no", False), [], "failed", "ValueError: no"),
    "one that may pass": (Death(CUDA, CUDA), [], None, f"{CUDA}; restart 1 of 3"),
    "the same again": (Death(CUDA, CUDA), [(CUDA, 0)], "failed", f"{CUDA}. It came back at the second try."),
    "another one": (Death(CUDA, CUDA), [("RuntimeError: a", 0)], None, f"{CUDA}; restart 1 of 3"),
    "a kill twice": (Death(KILLED), [("", 0)], None, f"{KILLED}; restart 1 of 3"),
}


@pytest.mark.parametrize(("death", "before", "state", "reason"), DEATHS.values(), ids=DEATHS.keys())
def test_what_may_pass_is_tried_again_and_what_lasts_is_not(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, death: Death, before: list[Any], state: str | None, reason: str
) -> None:
    monkeypatch.setattr(runner_module, "_RESTART_AFTER_S", 0.0)
    spec = {"kind": "customize", "compute": {"max_restarts": 3}}
    folder, lock = folders.create("small", spec, {})
    runner = Runner(folder)
    runner._deaths = list(before)
    ending = runner._recover(death)
    lock.release()
    if state is None:
        assert ending is None
        assert (runner.view.state, runner.view.reason) == ("recovering", reason)
    else:
        assert ending == Ending(state, reason)


@pytest.fixture
def small_disk(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A filesystem of 48 MB with the workspace on it."""
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a filesystem")
    monkeypatch.setenv("TUNELAB_HOME", str(place / "home"))
    monkeypatch.setattr(prepare, "has_space", lambda spec, model: None)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_pauses_the_job_and_resume_works_when_there_is_room(
    small_disk: Path, tiny: Path, answers: Path
) -> None:
    job = _submit(tiny, answers, settings={**LONG, "max_steps": 200})
    _until(lambda: (job.view().step or 0) >= 12)
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb") as file:
        while True:
            file.write(bytes(65536))
            file.flush()
    _until(lambda: job.state == "paused", 60)
    reason = job.view().reason or ""
    assert reason.startswith("The disk is full: ")
    assert reason.endswith(f"Make room and resume: tl.job('{job.id}').resume().")
    saved = job.folder.checkpoint_steps()[-1]
    assert saved >= 10
    filler.unlink()
    job.resume().wait(180, progress=False)
    assert job.state == "completed", job.logs()
    assert list(job.metrics()["loss"].dropna().index) == list(range(1, 201))
    assert _status(job) == "FINISHED"


def test_a_folder_that_cannot_be_written_is_named_and_the_job_goes_on_after(
    small_disk: Path, tiny: Path, answers: Path
) -> None:
    job = _submit(tiny, answers, settings={**LONG, "max_steps": 60})
    _until(lambda: (job.view().step or 0) >= 12)
    _power_cut(job)
    _until(lambda: not job.folder.has_process(), 10)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    try:
        assert "cannot be written: Read-only file system" in repr(tl.job(job.id))
        with pytest.raises(tl.JobError, match=r"cannot be told: .* cannot be written \(Read-only file system\)"):
            job.cancel()
        with pytest.raises(tl.Error, match="Read-only file system"):
            _submit(tiny, answers, name="other")
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert tl.job(job.id).wait(180, progress=False).state == "completed", job.logs()


def test_a_database_that_is_locked_for_a_minute_loses_nothing(workspace: Path, tiny: Path, answers: Path) -> None:
    job = _submit(tiny, answers, settings={**SHORT, "max_steps": 40})
    _until(lambda: job.view().run)
    lock = sqlite3.connect(workspaces.current().database, isolation_level=None, check_same_thread=False)
    lock.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(60, lambda: (lock.execute("ROLLBACK"), lock.close()))
    release.start()
    began = time.monotonic()
    job.wait(120, progress=False)
    assert job.state == "completed", job.logs()
    assert job.view().model_version is not None or time.monotonic() - began < 60
    _until(lambda: not job.folder.pending.exists(), 120)
    release.join()
    assert _status(job) == "FINISHED"
    assert "MLflow cannot be reached, and is told later" in job.logs()
    assert "MLflow answers again" in job.logs()
    _recorded(job)
    _until(lambda: tl.job(job.id).model == "small@1", 10)


def test_a_server_that_is_away_is_told_when_it_comes(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Path, answers: Path, mlflow_at: Any
) -> None:
    server = mlflow_at(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    job = _submit(tiny, answers)
    job.wait(180, progress=False)
    assert job.state == "completed", job.logs()
    assert job.view().reason == "MLflow cannot be reached: the model is registered when it answers."
    assert len(tl.models()) == 0
    with pytest.raises(tl.JobError, match="stays until MLflow"):
        tl.jobs().remove(job.id)
    # Even where the process that waits for it is gone.
    _runner(job).kill()
    server.start()
    try:
        # The looks of a kernel give it a runner again.
        _until(lambda: tl.job(job.id).view() and not job.folder.pending.exists(), 120)
        assert _status(job) == "FINISHED"
        assert tl.models().rows()[0]["model"] == "small@1"
        _recorded(job)
    finally:
        server.kill()


def _recorded(job: tl.Job) -> None:
    """Check that MLflow has each step of each metric once, in order."""
    client, metrics = _mlflow(), job.metrics()
    for key in metrics.columns:
        history = client.get_metric_history(job.view().run["run_id"], key)
        assert [(one.step, one.value) for one in history] == list(metrics[key].dropna().items()), key


def test_a_job_that_needs_a_secret_that_is_not_there_pauses_and_names_it(
    long: tl.Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = long.folder.facts() | {"needs": ["HF_TOKEN"]}
    (long.folder.path / "submitted.json").write_text(json.dumps(facts))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    _power_cut(long)
    (seen,) = tl.jobs()
    assert seen.state == "paused"
    assert (seen.view().reason or "").startswith("HF_TOKEN was set when the job was submitted and is not now.")
    with pytest.raises(tl.JobError, match="HF_TOKEN was set"):
        seen.resume()
    monkeypatch.setenv("HF_TOKEN", "hf_of_mine")
    seen.resume()
    _until(lambda: seen.state == "running")
    assert "hf_of_mine" not in seen.folder.spec_file.read_text() + seen.folder.journal.read_text()


def test_checkpoints_come_by_time_and_cost_little(
    workspace: Path, tiny: Path, answers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import SimpleNamespace

    from tunelab.jobs.context import Context
    from tunelab.training.callbacks import CheckpointCallback

    clock = [0.0]
    monkeypatch.setattr("tunelab.training.callbacks.time.monotonic", lambda: clock[0])
    folder, lock = folders.create("small", {}, {})
    lock.release()
    cases = {
        # (seconds a step, steps, seconds a checkpoint): where the first three come.
        (1.0, 600, 0.0): [120, 240, 360],
        (10.0, 1000, 0.0): [50, 100, 150],
        (1.0, 1000, 9.0): [120, 420, 720],
    }
    for (step_s, total, cost_s), expected in cases.items():
        clock[0] = 0.0
        keeper = CheckpointCallback(Context(folder, journals.Journal(folder.journal, "worker")), by_time=True)
        state = SimpleNamespace(global_step=0, max_steps=total, log_history=[])
        keeper.on_train_begin(None, state, None)
        saved = []
        for step in range(1, total + 1):
            clock[0] += step_s
            state.global_step = step
            control = SimpleNamespace(should_save=False)
            keeper.on_step_end(None, state, control)
            if control.should_save:
                saved.append(step)
                clock[0] += cost_s
                keeper._done()
        assert saved[:3] == pytest.approx(expected, abs=15), (step_s, total, cost_s)


def test_the_space_that_jobs_take_is_shown_and_removed(long: tl.Job) -> None:
    taken = long.disk_bytes
    assert taken > 100_000
    assert tl.jobs().rows()[0]["disk"].endswith(("KB", "MB"))
    long.cancel().wait(30, progress=False)
    _until(lambda: not long.folder.pending.exists(), 30)
    tl.jobs().remove(long.id)
    assert not long.folder.path.exists()
