"""Jobs on show: what a view is told as the journal grows, and that the kernel answers while a cell runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager
from test_curves import unpack

from tunelab.errors import JobError
from tunelab.jobs import folder as folders
from tunelab.jobs import locks
from tunelab.jobs.journal import Journal
from tunelab.notebook.joblist import JobList
from tunelab.notebook.live import live
from tunelab.notebook.widgets import JobWidget

SPEC: dict[str, Any] = {
    "kind": "customize",
    "name": "chatty",
    "model": "smollm2-135m",
    "technique": "dpo",
    "dataset": "human-like@1",
    "adapter": {"type": "lora", "r": 16},
    "hyperparameters": {"num_train_epochs": 2},
}
FACTS: dict[str, Any] = {
    "given": {"technique": "dpo", "model": "smollm2-135m", "dataset": "human-like@1", "name": "chatty"},
    "train_rows": 90,
    "eval_rows": 10,
    "submitted_ns": 1_790_000_000_000_000_000,
}


class Seen:
    """A view that remembers what it was told."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.states = 0
        self.curves: dict[str, list[tuple[int, float]]] = {}
        self.notices: list[str] = []

    def state(self, **values: Any) -> None:
        self.values |= values
        self.states += 1

    def rows(self, name: str, changed: list[dict[str, Any]], order: list[str] | None) -> None:
        rows = {row["id"]: row for row in [*self.values[name], *changed]}
        self.values[name] = [rows[one] for one in order or [row["id"] for row in self.values[name]]]

    def points(self, index: list[dict[str, Any]], values: bytes) -> None:
        for name, (at, points) in unpack(index, values).items():
            self.curves[name] = self.curves.get(name, [])[:at] + points

    def notice(self, text: str) -> None:
        self.notices.append(text)


# Held as long as this process: a job that is found without a runner is given one.
_runners: list[locks.Held] = []


def written(
    spec: dict[str, Any] = SPEC, state: str = "running", facts: dict[str, Any] = FACTS
) -> tuple[folders.JobFolder, Journal]:
    """A job's folder as submit leaves it, whose processes are this test."""
    folder, lock = folders.create(spec["name"], spec, facts)
    _runners.append(lock)
    journal = Journal(folder.journal, "worker")
    if state != "queued":
        journal.append("state", state=state, reason=None)
    return folder, journal


def until(true: Callable[[], Any], timeout: float = 60.0) -> None:
    end = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < end, "It did not happen in time."
        time.sleep(0.005)


def test_a_view_gets_what_was_and_what_comes(workspace: Path) -> None:
    folder, journal = written()
    journal.append("metric", step=1, values={"loss": 0.75, "epoch": 0.5})
    first, second = Seen(), Seen()
    shown = live(folder.id)
    shown.add(first)
    assert first.curves == {"loss": [(1, 0.75)], "epoch": [(1, 0.5)]}
    assert first.values["snapshot"]["rows"] == {"train": 90, "eval": 10}
    assert first.values["snapshot"]["epoch"] == 0.5
    assert first.values["picture"] is None
    journal.append("metric", step=2, values={"loss": 0.5, "eval_loss": 0.625})
    until(lambda: len(first.curves["loss"]) == 2)
    shown.add(second)
    assert second.curves == first.curves
    assert live(folder.id) is shown
    journal.append("state", state="completed", reason=None)
    until(lambda: second.values["snapshot"]["state"] == "completed")
    assert first.values["picture"].startswith("<svg")


def test_a_model_from_a_folder_is_called_by_its_name(workspace: Path) -> None:
    shown = live(written(SPEC | {"model": "/models/of/mine/tiny"})[0].id)
    assert shown.state()["snapshot"]["model"] == "tiny"
    assert live(written(SPEC | {"model": "HuggingFaceTB/SmolLM2-135M"})[0].id).state()["snapshot"]["model"] == (
        "HuggingFaceTB/SmolLM2-135M"
    )


def test_a_view_that_left_hears_no_more_and_nothing_is_told_twice(workspace: Path) -> None:
    folder, journal = written()
    shown, stays, leaves = live(folder.id), Seen(), Seen()
    shown.add(stays)
    shown.add(leaves)
    shown.remove(leaves)
    journal.append("progress", step=1, total=9, eta_s=8.0)
    until(lambda: stays.values["snapshot"]["step"] == 1)
    assert leaves.values["snapshot"]["step"] is None
    before = stays.states
    shown.look()
    shown.look()
    assert stays.states == before


def test_a_recovery_takes_points_back(workspace: Path) -> None:
    folder, journal = written()
    for step in range(1, 5):
        journal.append("metric", step=step, values={"loss": float(step)})
    shown, seen = live(folder.id), Seen()
    shown.add(seen)
    journal.append("state", state="recovering", reason="killed", from_step=2)
    journal.append("metric", step=3, values={"loss": 30.0})
    until(lambda: seen.curves["loss"][-1] == (3, 30.0))
    assert seen.curves["loss"] == [(1, 1.0), (2, 2.0), (3, 30.0)]


def test_cancel_is_seen_at_once(workspace: Path) -> None:
    folder, _ = written()
    shown, seen = live(folder.id), Seen()
    shown.add(seen)
    assert not seen.values["snapshot"]["cancelling"]
    shown.command(seen, {"type": "cancel"})
    assert seen.values["snapshot"]["cancelling"]
    assert folder.cancel_request.exists()


def test_a_pause_is_seen_at_once_and_taken_back_by_resume(workspace: Path) -> None:
    folder, journal = written()
    shown, seen = live(folder.id), Seen()
    shown.add(seen)
    shown.command(seen, {"type": "pause"})
    assert seen.values["snapshot"]["pausing"]
    assert folder.pause_request.exists()
    shown.command(seen, {"type": "resume"})
    assert not seen.values["snapshot"]["pausing"]
    assert not folder.pause_request.exists()
    shown.command(seen, {"type": "pause"})
    journal.append("state", state="paused", reason=None)
    shown.look()
    # The request stands while the job is paused.
    assert folder.pause_request.exists()
    assert (seen.values["snapshot"]["state"], seen.values["snapshot"]["pausing"]) == ("paused", False)


@pytest.mark.parametrize("in_list", [False, True])
def test_what_cannot_be_done_is_told_to_the_view_that_asked(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, in_list: bool
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    folder, _ = written(state="paused", facts=FACTS | {"needs": ["OPENAI_API_KEY"]})
    shown = JobList() if in_list else live(folder.id)
    asks, other = Seen(), Seen()
    shown.add(asks)
    shown.add(other)
    shown.command(asks, {"type": "resume", "job": folder.id})
    (notice,) = asks.notices
    assert "OPENAI_API_KEY was set when the job was submitted and is not now." in notice
    assert other.notices == []
    assert live(folder.id).state()["snapshot"]["state"] == "paused"


def test_the_list_is_asked_of_a_job_that_was_removed(workspace: Path) -> None:
    shown, seen = JobList(), Seen()
    shown.command(seen, {"type": "pause", "job": "chatty-20260101-000000-0000"})
    assert seen.notices[0].startswith("There is no job 'chatty-20260101-000000-0000'.")


@pytest.mark.parametrize("in_list", [False, True])
def test_a_waiting_job_is_moved_up(workspace: Path, in_list: bool) -> None:
    queue = locks.DeviceQueue("cpu")
    spec = SPEC | {"compute": {"device": "cpu", "threads": 1}}
    first, _ = written(spec | {"name": "first"}, state="queued")
    second, _ = written(spec | {"name": "second"}, state="queued")
    tickets = [queue.enter(first.id, 1), queue.enter(second.id, 2)]
    shown = JobList() if in_list else live(second.id)
    seen = Seen()
    shown.add(seen)
    shown.command(seen, {"type": "move_up", "job": second.id})
    assert queue.waiting() == [second.id, first.id]
    for ticket in tickets:
        ticket.release()


def test_recoveries_and_the_disk_are_told(workspace: Path) -> None:
    folder, journal = written()
    shown, seen = live(folder.id), Seen()
    shown.add(seen)
    assert seen.values["snapshot"]["restarts"] == 0
    before = seen.values["snapshot"]["disk_bytes"]
    assert before > 0
    checkpoint = folder.checkpoints / "step-2"
    checkpoint.mkdir(parents=True)
    (checkpoint / "adapter_model.safetensors").write_bytes(bytes(1_000_000))
    journal.append("checkpoint", step=2, path=str(checkpoint))
    until(lambda: seen.values["snapshot"]["disk_bytes"] >= before + 1_000_000)
    journal.append("state", state="recovering", reason="killed; restart 1 of 3", from_step=2, restart=1)
    until(lambda: seen.values["snapshot"]["state"] == "recovering")
    assert seen.values["snapshot"]["reason"] == "killed; restart 1 of 3"
    journal.append("state", state="running", reason=None)
    until(lambda: seen.values["snapshot"]["state"] == "running")
    assert seen.values["snapshot"]["restarts"] == 1


def test_a_job_whose_model_is_registered_later_is_followed_till_then(workspace: Path) -> None:
    folder, journal = written()
    shown, listed, seen, row = live(folder.id), JobList(), Seen(), Seen()
    shown.add(seen)
    listed.add(row)
    journal.append("metric", step=1, values={"rewards/margins": 0.5})
    folder.pending.write_text("{}")
    journal.append("state", state="completed", reason="MLflow cannot be reached.")
    until(lambda: seen.values["snapshot"]["state"] == "completed")
    assert seen.values["snapshot"]["reason"] == "MLflow cannot be reached."
    without = seen.values["picture"]
    assert "chatty@1" not in without
    assert shown.wanted()
    listed.look()
    # The watching thread must not read it in between.
    with shown._lock:
        journal.append("artifact", kind="model", name="chatty@1")
        folder.pending.unlink()
        assert shown.wanted(), "what was said before `pending` went is still to be read"
    until(lambda: seen.values["snapshot"]["model_version"] == "chatty@1")
    assert "chatty@1" in seen.values["picture"]
    until(lambda: not shown.wanted())
    listed.look()
    assert row.values["jobs"][0]["model_version"] == "chatty@1"
    assert row.values["jobs"][0]["spark"] == [[1, 0.5]]


def test_tokens_per_second_are_those_of_the_last_steps(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, journal = written()
    clock = iter([100.0, 102.0, 104.0])
    monkeypatch.setattr(time, "time", lambda: next(clock, 104.0))
    for step, tokens in ((1, 1000), (2, 1400), (3, 1800)):
        journal.append("metric", step=step, values={"num_tokens": tokens})
    assert live(folder.id).state()["snapshot"]["tokens_per_s"] == 200.0


def test_the_cell_of_a_job_says_what_was_asked_for(workspace: Path) -> None:
    folder, _ = written()
    assert live(folder.id).state()["cell"] == (
        "%%customize\nname: chatty\nmodel: smollm2-135m\ntechnique: dpo\ndataset: human-like@1\n"
    )


def test_an_unknown_job_is_refused(workspace: Path) -> None:
    with pytest.raises(JobError, match="There is no job 'nobody'"):
        live("nobody")


def test_the_list_has_new_changed_and_removed_jobs(workspace: Path) -> None:
    older, journal = written()
    shown, seen = JobList(), Seen()
    shown.add(seen)
    assert [row["id"] for row in seen.values["jobs"]] == [older.id]
    for step in range(1, 4):
        journal.append("metric", step=step, values={"loss": 1.0, "rewards/margins": step / 4, "entropy": 2.0})
    journal.append("state", state="completed", reason=None)
    shown.look()
    (row,) = seen.values["jobs"]
    assert row["spark"] == [[1, 0.25], [2, 0.5], [3, 0.75]]
    assert {metric["name"] for metric in row["metrics"]} == {"loss", "rewards/margins"}
    newer, _ = written(SPEC | {"name": "newer"})
    shown.look()
    assert {row["id"] for row in seen.values["jobs"]} == {newer.id, older.id}
    for path in sorted(older.path.rglob("*"), reverse=True):
        path.unlink()
    older.path.rmdir()
    shown.look()
    assert [row["id"] for row in seen.values["jobs"]] == [newer.id]


class Client:
    """A page's side of a real kernel's comms, on a subshell as JupyterLab opens them."""

    def __init__(self, manager: KernelManager) -> None:
        self.later: list[Any] = []
        self.client = manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        self.subshell = self._control("create_subshell_request")["content"]["subshell_id"]

    def run(self, code: str) -> None:
        reply = self.client.execute(code, reply=True, timeout=60)
        assert reply["content"]["status"] == "ok", reply["content"]

    def start(self, code: str) -> None:
        """Send a cell and do not wait for it."""
        self.client.execute(code)

    def comm(self, kind: str, comm_id: str, data: dict[str, Any], target: str = "tunelab") -> None:
        content = {"comm_id": comm_id, "data": data} | ({"target_name": target} if kind == "comm_open" else {})
        message = self.client.session.msg(kind, content)
        message["header"]["subshell_id"] = self.subshell
        self.client.shell_channel.send(message)

    def hear(self, comm_id: str, wanted: Callable[[dict[str, Any]], bool], timeout: float = 60.0) -> dict[str, Any]:
        """Return the first message of this comm that is wanted; those of others are kept for who asks for them."""
        end = time.monotonic() + timeout
        kept, self.later = self.later, []
        while True:
            message = kept.pop(0) if kept else self.client.get_iopub_msg(timeout=max(0.01, end - time.monotonic()))
            if message["content"].get("comm_id") != comm_id:
                self.later.append(message)
                continue
            closed = message["msg_type"] == "comm_close"
            if closed or (message["msg_type"] == "comm_msg" and wanted(message["content"]["data"])):
                self.later += kept
                return {"closed": True} if closed else dict(message["content"]["data"])

    def _control(self, kind: str) -> dict[str, Any]:
        message = self.client.session.msg(kind, {})
        self.client.control_channel.send(message)
        reply: dict[str, Any] = self.client.get_control_msg(timeout=30)
        return reply


@pytest.fixture
def kernel(workspace: Path) -> Iterator[Client]:
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    client = Client(manager)
    yield client
    client.client.stop_channels()
    manager.shutdown_kernel(now=True)


# Longer than all that is waited for while it runs: what is heard did not wait for it.
SLEEP = "import time; time.sleep(600)"


def test_without_the_extension_the_kernel_closes_the_comm(kernel: Client) -> None:
    kernel.comm("comm_open", "a", {"view": "hello"})
    assert kernel.hear("a", lambda data: True) == {"closed": True}


def test_the_kernel_answers_while_a_cell_runs(kernel: Client) -> None:
    folder, journal = written()
    kernel.run("%load_ext tunelab")
    kernel.start(SLEEP)
    kernel.comm("comm_open", "hello", {"view": "hello"})
    hello = kernel.hear("hello", lambda data: True)["state"]
    assert hello["protocol"] == 7
    assert "mlflow" in hello
    kernel.comm("comm_open", "job", {"view": "job", "job": folder.id})
    kernel.hear("job", lambda data: data.get("state", {}).get("snapshot", {}).get("state") == "running")
    # A thread has written to the comm since: the page's next message must still not wait for the cell.
    journal.append("metric", step=1, values={"loss": 1.0})
    kernel.hear("job", lambda data: data["method"] == "message" and data["content"]["index"])
    kernel.comm("comm_msg", "job", {"type": "cancel"})
    until(folder.cancel_request.exists)
    kernel.hear("job", lambda data: data.get("state", {}).get("snapshot", {}).get("cancelling"))
    kernel.comm("comm_open", "jobs", {"view": "jobs"})
    jobs = kernel.hear("jobs", lambda data: "jobs" in data.get("state", {}))["state"]["jobs"]
    assert [row["id"] for row in jobs] == [folder.id]
    kernel.comm("comm_open", "none", {"view": "job", "job": "nobody"})
    refused = kernel.hear("none", lambda data: data["method"] == "refused")
    assert "There is no job 'nobody'" in refused["reason"]


def test_rollouts_are_answered_while_a_cell_runs(kernel: Client) -> None:
    folder, journal = written(SPEC | {"technique": "rlvr"})
    journal.append("sample", step=3, prompt="3 + 4?", completion="7", reward=1.0, parts={}, group=0, row=5)
    kernel.run("%load_ext tunelab")
    kernel.start(SLEEP)
    kernel.comm("comm_open", "job", {"view": "job", "job": folder.id})
    state = kernel.hear("job", lambda data: "rollouts" in data.get("state", {}))["state"]
    assert state["rollouts"]["trained"] == {"steps": [[3, 0, 1]], "answers": 1}
    kernel.comm("comm_msg", "job", {"type": "rollouts", "step": 3, "held_out": False})
    answer = kernel.hear("job", lambda data: data.get("content", {}).get("type") == "rollouts")["content"]
    assert (answer["groups"][0]["best"]["completion"], answer["groups"][0]["row"]) == ("7", 5)


def test_a_click_on_the_widget_does_not_wait_for_the_cell(kernel: Client) -> None:
    folder, journal = written()
    kernel.run("%load_ext tunelab")
    kernel.run("from tunelab.notebook.live import live\nfrom tunelab.notebook.widgets import JobWidget")
    kernel.run(f"widget = JobWidget(live('{folder.id}'))")
    model_id = ""
    while not model_id:
        message = kernel.client.get_iopub_msg(timeout=60)
        if message["msg_type"] == "comm_open" and "snapshot" in message["content"]["data"]["state"]:
            model_id = message["content"]["comm_id"]
    kernel.start(SLEEP)
    kernel.comm("comm_msg", model_id, {"method": "custom", "content": {"type": "points"}})
    kernel.hear(model_id, lambda data: data["method"] == "custom")
    journal.append("metric", step=1, values={"loss": 1.0})
    kernel.hear(model_id, lambda data: data["method"] == "custom" and data["content"]["index"])
    kernel.comm("comm_msg", model_id, {"method": "custom", "content": {"type": "cancel"}})
    until(folder.cancel_request.exists)


def test_a_widget_that_no_page_draws_gets_no_points(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, journal = written()
    journal.append("metric", step=1, values={"loss": 1.0})
    widget = JobWidget(live(folder.id))
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(widget, "send", lambda content, buffers: sent.append(content))
    journal.append("metric", step=2, values={"loss": 0.5})
    widget._live.look()
    assert sent == []
    widget._handle_custom_msg({"type": "points"}, [])
    assert sent[-1]["index"] == [{"name": "loss", "at": 0, "runs": [[1, 1, 2]]}]
    journal.append("metric", step=3, values={"loss": 0.25})
    until(lambda: sent[-1]["index"] == [{"name": "loss", "at": 2, "runs": [[3, 1, 1]]}])
    widget.close()


def test_a_look_that_fails_does_not_end_the_view(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, journal = written()
    view = Seen()
    shown = live(folder.id)
    shown.add(view)
    module = sys.modules["tunelab.notebook.live"]
    real, failures = module.snapshot, iter([OSError("a checkpoint went away while it was looked at")] * 3)

    def failing(*given: Any) -> Any:
        if (error := next(failures, None)) is not None:
            raise error
        return real(*given)

    monkeypatch.setattr(module, "snapshot", failing)
    journal.append("state", state="paused", reason=None)
    until(lambda: view.values["snapshot"]["state"] == "paused")
    assert next(failures, None) is None, "it did fail"
