"""A job run again from its record alone: equal to the byte, with what differs today said before."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tunelab as tl
from tunelab import task
from tunelab.jobs import folder as folders
from tunelab.jobs import journal, machine
from tunelab.jobs.journal import Journal
from tunelab.jobs.prepare import prepare
from tunelab.notebook.replay import ReplayPage
from tunelab.spec import load


def _customize(tiny: Path, pairs: Path, **more: Any) -> tl.Job:
    job = tl.customize(
        model=str(tiny),
        technique="dpo",
        dataset=str(pairs),
        name="again",
        split=4,
        adapter={"r": 4, "dropout": 0.3},
        hyperparameters={"max_steps": 3, "per_device_train_batch_size": 4, "logging_steps": 1, "learning_rate": 1e-3},
        **more,
    )
    return _done(job)


def _done(job: Any) -> tl.Job:
    assert isinstance(job, tl.Job)
    job.wait(150, progress=False)
    assert job.state == "completed", job.logs()
    return job


def _weights(job: tl.Job) -> bytes:
    return (job.folder.adapter / "adapter_model.safetensors").read_bytes()


def _figures(job: tl.Job) -> Any:
    frame = job.metrics()
    return frame[[column for column in frame if "tokens_per_s" not in column and "runtime" not in column]]


def _edit(job: tl.Job, **facts: Any) -> None:
    path = job.folder.path / "submitted.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))


def test_a_replay_is_equal_to_the_byte_from_the_folder_and_from_mlflow_alone(
    workspace: Path, tiny: Path, pairs: Path
) -> None:
    first = _customize(tiny, pairs)
    plan = tl.replay(first.id, dry_run=True)
    assert isinstance(plan, tl.Replay)
    assert plan.differences == [] and plan.unknown == [] and plan.refused is None
    assert {"torch", "Python", "Dataset pairs@1", f"Model {tiny.name}"} <= set(plan.same)
    assert "to the byte" in repr(plan)
    # What is resolved stays as it is when it is resolved again.
    assert prepare(load.customize(first.spec)).spec.model_dump(mode="json") == first.spec

    second = _done(tl.replay(first))
    assert second.spec == first.spec
    assert second.facts["replay_of"] == first.id
    assert second.model == "again@2"
    assert _weights(second) == _weights(first)
    assert _figures(second).equals(_figures(first))

    weights, figures, spec = _weights(first), _figures(first), first.spec
    # The only files of a version may be in the job's folder; here they are MLflow's.
    tl.jobs().remove(first.id)
    assert not first.folder.path.exists()
    third = _done(tl.replay(first.id))
    assert third.spec == spec
    assert _weights(third) == weights
    assert _figures(third).equals(figures)
    tags = task.run("tunelab.registry.runs:record", {"job": third.id})
    assert tags is not None and tags["facts"]["replay_of"] == first.id


def test_a_replayed_evaluation_has_the_same_records(workspace: Path, tiny: Path, tmp_path: Path) -> None:
    rows = [{"query": f"How many is {n} and {n}?", "response": str(2 * n)} for n in range(6)]
    source = tmp_path / "work" / "score.py"
    source.write_text("def long(prompt, prediction, ground_truth):\n    return len(prediction) / 100\n")
    first = tl.evaluate(
        models=[str(tiny)],
        dataset=rows,
        scorer=f"{source}:long",
        generation={"max_new_tokens": 8, "temperature": 0.9},
    )
    _done(first)
    source.unlink()
    shutil.rmtree(workspace / "cache")
    second = _done(first.replay())
    columns = ["id", "model", "metric", "prompt", "ground_truth", "prediction", "score"]
    assert second.result().records[columns].equals(first.result().records[columns])
    assert second.facts["scoring"] == first.facts["scoring"]


@pytest.mark.parametrize("technique", ["rlvr", "rlaif"])
def test_a_replayed_reinforcement_samples_scores_and_trains_alike(
    workspace: Path, tiny: Path, tmp_path: Path, technique: str
) -> None:
    folder = tmp_path / "work"
    rows = folder / "rows.jsonl"
    rows.write_text("\n".join(json.dumps({"prompt": f"Say {n}.", "ground_truth": f"{n}"}) for n in range(24)))
    source = folder / "reward.py"
    source.write_text("def short(completion):\n    return 1 / (1 + len(completion))\n")
    rewards = {"rlvr": f"{source}:short", "rlaif": {"prompt": "human_like", "model": str(tiny)}}
    first = _done(
        tl.customize(
            name="again",
            model=str(tiny),
            technique=technique,
            dataset=str(rows),
            split=4,
            reward=rewards[technique],
            hyperparameters={
                "max_steps": 2,
                "per_device_train_batch_size": 4,
                "num_generations": 4,
                "max_completion_length": 6,
                "learning_rate": 1e-3,
            },
            compute={"threads": 1},
        )
    )
    source.unlink()
    shutil.rmtree(workspace / "cache")
    second = _done(tl.replay(first))
    assert second.spec == first.spec
    assert _weights(second) == _weights(first)
    assert _samples(second) == _samples(first)


def _samples(job: tl.Job) -> list[tuple[Any, ...]]:
    events = [event for event in journal.read(job.folder.journal) if event["type"] == "sample"]
    assert any(event["reward"] is not None for event in events)
    return [(event["step"], event["row"], event["completion"], event["reward"]) for event in events]


@pytest.fixture
def ended(workspace: Path, tiny: Path, pairs: Path) -> tl.Job:
    """A job that has ended, though nothing was trained."""
    spec = {
        "model": str(tiny),
        "technique": "dpo",
        "dataset": str(pairs),
        "name": "again",
        "split": 4,
        "hyperparameters": {"max_steps": 1},
    }
    prepared = prepare(load.customize(spec))
    folder, lock = folders.create(spec["name"], prepared.spec.model_dump(mode="json"), prepared.facts, prepared.files)
    Journal(folder.journal, "runner").append("state", state="cancelled", reason=None)
    lock.release()
    return tl.job(folder.id)


def test_what_differs_today_is_listed(ended: tl.Job) -> None:
    _edit(
        ended,
        versions=machine.software() | {"torch": "1.0.0", "python": "3.9.1", "trl-next": "0.1"},
        commit="0123456789abcdef0123456789abcdef01234567+",
        digests={"pairs@1": "0" * 64},
        processor="Abacus",
    )
    found = tl.replay(ended.id, dry_run=True)
    assert isinstance(found, tl.Replay)
    rows = {row["what"]: (row["then"], row["now"]) for row in found.differences}
    assert rows["torch"] == ("1.0.0", machine.software()["torch"])
    assert rows["Python"][0] == "3.9.1"
    assert rows["trl-next"] == ("0.1", "not installed")
    assert rows["Git commit"][0] == "0123456789ab+"
    assert rows["Dataset pairs@1"][0] == "0" * 12
    assert rows["Device"][0] == "Abacus"
    assert "transformers" in found.same and "transformers" not in rows


def test_a_deleted_dataset_is_refused_until_its_rows_are_there_again(
    ended: tl.Job, workspace: Path, pairs: Path
) -> None:
    shutil.rmtree(workspace / "datasets" / "pairs" / "1")
    found = tl.replay(ended.id, dry_run=True)
    assert isinstance(found, tl.Replay)
    assert found.refused is not None and "pairs@1, which was deleted" in found.refused
    assert any(row["what"] == "Dataset pairs@1" and row["now"] == "deleted" for row in found.differences)
    before = len(tl.jobs())
    with pytest.raises(tl.Error, match="deleted"):
        tl.replay(ended.id)
    assert len(tl.jobs()) == before
    tl.Dataset.create("other", pairs, "dpo")
    found = tl.replay(ended.id, dry_run=True)
    assert isinstance(found, tl.Replay)
    assert found.refused is None
    assert any(row["now"] == "deleted; other@1 has the same rows" for row in found.differences)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"model": "/nowhere/at/all"}, "There is no model"),
        ({"compute": {"device": "cuda:7", "threads": 1}}, "ran on cuda:7, which is not here"),
    ],
)
def test_what_is_gone_is_refused_before_anything_starts(ended: tl.Job, spec: dict[str, Any], said: str) -> None:
    ended.folder.write_spec(ended.spec | spec)
    before = len(tl.jobs())
    with pytest.raises(tl.Error, match=said):
        tl.replay(ended.id)
    assert len(tl.jobs()) == before


def test_a_job_without_a_record_is_refused(workspace: Path) -> None:
    with pytest.raises(tl.JobError, match="MLflow has no run of it either"):
        tl.replay("nobody-20260101-000000-abcd")


def test_the_command_line_tells_what_differs(ended: tl.Job) -> None:
    command = [sys.executable, "-m", "tunelab", "replay", ended.id, "--dry-run"]
    assert "torch: 1.0.0 →" not in subprocess.run(command, capture_output=True, text=True, check=True).stdout
    _edit(ended, versions={"torch": "1.0.0"})
    assert "torch: 1.0.0 →" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


class _View:
    def __init__(self) -> None:
        self.shown: dict[str, Any] = {}
        self.said: list[str] = []

    def state(self, **values: Any) -> None:
        self.shown |= values

    def notice(self, text: str) -> None:
        self.said.append(text)


def test_the_desk_tells_what_differs_and_submits_once(ended: tl.Job) -> None:
    _edit(ended, versions={"torch": "1.0.0"})
    page, view = ReplayPage(ended.id), _View()
    page.add(view)
    _until(lambda: "differences" in view.shown)
    assert [row["what"] for row in view.shown["differences"]] == ["torch"]
    assert view.shown["refused"] is None and view.shown["submitted"] is None
    page.command(view, {"type": "run"})
    page.command(view, {"type": "run"})
    _until(lambda: view.shown["submitted"])
    new = tl.job(view.shown["submitted"])
    assert new.facts["replay_of"] == ended.id
    new.cancel().wait(60, progress=False)
    assert len(tl.jobs()) == 2


def _until(condition: Any) -> None:
    import time

    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
