"""Locks and the queue: they end with their process, go to the first who came, and pass from runner to worker."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tunelab.jobs import locks

HOLD = "import sys, time; from pathlib import Path; from tunelab.jobs import locks; "
HOLD += "held = locks.try_hold(Path(sys.argv[1])); print('held', flush=True); time.sleep(600)"


def _holder(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_lock_ends_with_the_process_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    assert not locks.is_held(path)
    process = _holder(path)
    assert locks.is_held(path)
    assert locks.try_hold(path) is None
    process.kill()
    process.wait()
    assert not locks.is_held(path)
    held = locks.try_hold(path)
    assert held is not None
    held.release()


def test_looking_does_not_take(tmp_path: Path) -> None:
    held = locks.try_hold(tmp_path / "a.lock")
    assert held is not None
    assert locks.is_held(held.path)
    held.release()
    assert not locks.is_held(held.path)


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> locks.DeviceQueue:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return locks.DeviceQueue("cpu")


def test_the_slot_goes_to_the_first_ticket(queue: locks.DeviceQueue) -> None:
    second, first = queue.enter("b", 2), queue.enter("a", 1)
    assert queue.try_take(second) is None
    assert (queue.position(first), queue.position(second)) == (0, 1)
    slot = queue.try_take(first)
    assert slot is not None
    assert queue.try_take(second) is None
    assert queue.position(second) == 1
    slot.release()
    assert queue.try_take(second) is not None


def test_a_ticket_whose_runner_was_killed_holds_nobody_up(queue: locks.DeviceQueue) -> None:
    abandoned = queue.enter("a", 1)
    abandoned.release()
    mine = queue.enter("b", 2)
    assert queue.position(mine) == 0
    assert queue.try_take(mine) is not None
    assert list((queue.folder / "tickets").iterdir()) == []


def test_the_slot_stays_taken_while_the_child_lives_that_inherited_it(queue: locks.DeviceQueue) -> None:
    slot = queue.try_take(queue.enter("a", 1))
    assert slot is not None
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], pass_fds=slot.fds)
    slot.release()
    assert not queue.is_free()
    child.kill()
    child.wait()
    until = time.monotonic() + 5
    while not queue.is_free() and time.monotonic() < until:
        time.sleep(0.01)
    assert queue.is_free()


def test_devices_have_queues_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    one, other = locks.DeviceQueue("cuda:0"), locks.DeviceQueue("cuda:1")
    assert one.try_take(one.enter("a", 1)) is not None
    assert other.try_take(other.enter("b", 2)) is not None
    assert os.path.basename(one.folder) == "cuda-0"
