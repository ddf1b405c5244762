"""Two kernels that submit, pause, resume, move and cancel the same jobs at random: every journal tells a legal path."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

import tunelab as tl
from tunelab.jobs import journal as journals
from tunelab.jobs import locks

pytestmark = pytest.mark.alone

JOBS = 3

#: A kernel: it reads lines of JSON [verb, job or spec] and answers each with a line.
KERNEL = """
import json, sys, tunelab as tl
for line in sys.stdin:
    verb, what = json.loads(line)
    try:
        answer = tl.customize(what).id if verb == "submit" else getattr(tl.job(what), verb)().state
    except tl.Error as error:
        answer = f"refused: {error}"
    print(json.dumps(answer), flush=True)
"""


class Kernel:
    """A Python process that has imported tunelab and does what it is told."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen([sys.executable, "-c", KERNEL], stdin=pipe, stdout=pipe, text=True)

    def do(self, verb: str, what: Any) -> str:
        """Do one thing, and return what it gave."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps([verb, what]) + "\n")
        self.process.stdin.flush()
        return str(json.loads(self.process.stdout.readline()))


def test_whatever_two_kernels_do_the_journals_tell_legal_paths(
    workspace: Path, tiny: Path, answers: Path, is_legal: Callable[[list[str]], bool]
) -> None:
    spec = {
        "model": str(tiny),
        "technique": "sft",
        "dataset": str(answers),
        "split": 0,
        "hyperparameters": {"max_steps": 400, "save_steps": 50, "per_device_train_batch_size": 4},
    }

    class TwoKernels(RuleBasedStateMachine):
        """What two people may do to the same jobs."""

        def __init__(self) -> None:
            super().__init__()
            self.kernels = [Kernel(), Kernel()]
            self.jobs: list[tl.Job] = []

        @precondition(lambda self: len(self.jobs) < JOBS)
        @rule(kernel=st.integers(0, 1))
        def submit(self, kernel: int) -> None:
            job = self.kernels[kernel].do("submit", spec | {"name": f"job{len(self.jobs)}"})
            self.jobs.append(tl.job(job))

        @precondition(lambda self: self.jobs)
        @rule(
            kernel=st.integers(0, 1),
            job=st.integers(0, JOBS - 1),
            verb=st.sampled_from(["pause", "resume", "move_up", "pause", "resume", "cancel"]),
            pause_s=st.sampled_from([0, 0, 0.3, 2, 8]),
        )
        def act(self, kernel: int, job: int, verb: str, pause_s: float) -> None:
            answer = self.kernels[kernel].do(verb, self.jobs[job % len(self.jobs)].id)
            assert not answer.startswith("refused"), answer
            time.sleep(pause_s)

        @invariant()
        def paths_are_legal(self) -> None:
            for job in self.jobs:
                states = [event["state"] for event in journals.read(job.folder.journal) if event["type"] == "state"]
                assert is_legal(states), states

        def teardown(self) -> None:
            for job in self.jobs:
                self.kernels[0].do("resume", job.id)
            for job in self.jobs:
                self.kernels[1].do("cancel", job.id)
            for job in self.jobs:
                job.wait(60, progress=False)
                assert job.view().has_ended
            self.paths_are_legal()
            end = time.monotonic() + 30
            while any(job.folder.has_process() for job in self.jobs):
                assert time.monotonic() < end
                time.sleep(0.05)
            assert locks.DeviceQueue("cpu").is_free()
            for kernel in self.kernels:
                kernel.process.kill()
                kernel.process.wait()

    run_state_machine_as_test(
        TwoKernels,
        settings=settings(
            max_examples=3, stateful_step_count=14, deadline=None, suppress_health_check=[*HealthCheck], database=None
        ),
    )
