"""What the methods of an evaluate job share: its progress, its metrics as they were at its submit, its device."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Any

from tunelab.jobs.context import Context
from tunelab.jobs.folder import JobFolder
from tunelab.registry.prompts import metric_file
from tunelab.spec.metrics import MetricDefinition


class Steps:
    """The progress of a job: how much of all that is to be done is done."""

    def __init__(self, context: Context, total: int) -> None:
        self.context = context
        self.total = total
        self._done: dict[str, int] = {}
        self._began = time.monotonic()
        self._first: int | None = None
        self._told = -math.inf

    def tell(self, what: str, done: int) -> None:
        """Note how many of one kind are done; the journal is told twice a second at most."""
        self._done[what] = done
        step, now = sum(self._done.values()), time.monotonic()
        if self._first is None:
            # What was kept from before took no time.
            self._first, self._began = step, now
        if now - self._told < 0.5 and step < self.total:
            return
        self._told = now
        fresh = step - self._first
        eta = (now - self._began) / fresh * (self.total - step) if fresh else None
        self.context.journal.append("progress", step=min(step, self.total), total=self.total, eta_s=eta)


def definitions(labels: Iterable[Any], folder: JobFolder) -> list[tuple[str, MetricDefinition]]:
    """Return a job's metrics as they were at its submit."""
    return [
        (
            str(label),
            MetricDefinition.model_validate_json((folder.path / metric_file(str(label))).read_text(encoding="utf-8")),
        )
        for label in labels
    ]


def torch_device(device: str) -> str:
    """Return what torch calls a spec's device in a worker."""
    # The worker sees one GPU alone, which is its first.
    return "cuda:0" if device.startswith("cuda") else device
