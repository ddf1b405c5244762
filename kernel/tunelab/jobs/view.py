"""What a journal says about its job now: state, progress, last metrics, last log lines. Pure functions of events."""

from __future__ import annotations

import datetime as dt
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from tunelab.jobs.journal import Event

ENDED = frozenset({"completed", "failed", "cancelled"})


@dataclass
class JobView:
    """The present of a job, folded from its events one by one."""

    state: str = "queued"
    reason: str | None = None
    position: int | None = None
    step: int | None = None
    total: int | None = None
    eta_s: float | None = None
    #: Of the machine's measured matrix rate, by the last few steps.
    share: float | None = None
    model_version: str | None = None
    run: dict[str, str] = field(default_factory=dict)
    started: float | None = None
    ended: float | None = None
    metrics: dict[str, tuple[float | None, int]] = field(default_factory=dict)
    logs: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=6))
    phase: str | None = None
    epoch: float | None = None
    checkpoint: dict[str, Any] | None = None
    tokens: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=8))

    @property
    def has_ended(self) -> bool:
        """Whether the job is completed, failed or cancelled."""
        return self.state in ENDED

    def fold(self, event: Event) -> None:
        """Take one event in."""
        kind = event["type"]
        if kind == "state":
            self.state, self.reason = event["state"], event.get("reason")
            self.position = event.get("position")
            if self.state == "running" and self.started is None:
                self.started = event["time"]
            if self.has_ended:
                self.ended, self.phase, self.eta_s = event["time"], None, None
            if "from_step" in event:
                self.step = event["from_step"]
        elif kind == "progress":
            self.step, self.total, self.eta_s = event["step"], event["total"], event.get("eta_s")
            self.share = event.get("share")
            self.phase = None
        elif kind == "metric":
            self._fold_metrics(event)
        elif kind == "checkpoint":
            self.checkpoint = {"step": event["step"], "time": event["time"]}
        elif kind == "log":
            time = dt.datetime.fromtimestamp(event["time"], dt.UTC).isoformat(timespec="seconds")
            self.logs.append({"time": time, "level": event["level"], "text": event["text"]})
            if event["source"] == "worker" and not self.has_ended and event["level"] == "info":
                self.phase = event["text"]
        elif kind == "artifact" and event["kind"] == "model":
            self.model_version = event["name"]
        elif kind == "artifact" and event["kind"] == "run":
            self.run = {"run_id": event["run_id"], "experiment_id": event["experiment_id"], "uri": event["uri"]}

    def _fold_metrics(self, event: Event) -> None:
        values = dict(event["values"])
        self.epoch = values.pop("epoch", self.epoch)
        self.metrics |= {name: (value, event["step"]) for name, value in values.items()}
        seen = values.get("num_tokens")
        if seen is not None:
            if self.tokens and seen < self.tokens[-1][1]:
                self.tokens.clear()  # the trainer counts anew after a recovery
            self.tokens.append((event["time"], seen))

    @property
    def tokens_per_s(self) -> float | None:
        """The pace over the last few logged steps."""
        if len(self.tokens) < 2 or self.has_ended:
            return None
        (begin, before), (end, after) = self.tokens[0], self.tokens[-1]
        return (after - before) / (end - begin) if end > begin else None

    def elapsed_s(self, now: float) -> float | None:
        """Seconds since the job began to run, until its end or `now`."""
        return None if self.started is None else (self.ended or now) - self.started


def sentence(view: JobView) -> str:
    """Return the state as one sentence."""
    step = f"step {view.step} of {view.total}" if view.total else None
    if view.state == "queued":
        return f"Waiting for the device: {view.position} before it" if view.position else "Waiting for the device"
    if view.state == "running":
        left = f", about {duration(view.eta_s)} left" if view.eta_s else ""
        doing = f" ({view.phase})" if view.phase else ""
        return f"Running: {step}{left}{doing}" if step else f"Running: {view.phase or 'starting'}"
    if view.state == "completed":
        took = f" in {duration(view.ended - view.started)}" if view.ended and view.started else ""
        return f"Completed{took}" + (f": {view.model_version}" if view.model_version else "")
    tail = f" at {step}" if step and view.state != "failed" else ""
    return f"{view.state.capitalize()}{tail}" + (f": {view.reason}" if view.reason else "")


def duration(seconds: float) -> str:
    """Return seconds as people say them: ``40 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
