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
    #: How often the job was recovered, and how many of those its `max_restarts` counts.
    restarts: int = 0
    counted: int = 0
    has_paused: bool = False
    #: The step that the last recovery went back to.
    recovered_from: int | None = None
    metrics: dict[str, tuple[float | None, int]] = field(default_factory=dict)
    logs: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=6))
    phase: str | None = None
    epoch: float | None = None
    checkpoint: dict[str, Any] | None = None
    #: What rang, by code: each time with its step.
    rung: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    tokens: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=8))
    _worked_s: float = 0.0
    _since: float | None = None

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
            self.has_paused |= self.state == "paused"
            self._fold_clock(event["time"])
            if self.has_ended:
                self.ended = event["time"]
            if self.state not in ("running", "queued"):
                self.phase, self.eta_s, self.share = None, None, None
                self.tokens.clear()
            if self.state == "recovering":
                self.restarts += 1
                self.counted = event.get("restart", self.counted)
                self.recovered_from = event.get("from_step", 0)
                self._void(self.recovered_from)
        elif kind == "progress":
            self.step, self.total, self.eta_s = event["step"], event["total"], event.get("eta_s")
            self.share = event.get("share")
            self.phase = None
        elif kind == "metric":
            self._fold_metrics(event)
        elif kind == "checkpoint":
            self.checkpoint = {"step": event["step"], "time": event["time"]}
        elif kind == "alert":
            said = {key: event.get(key) for key in ("code", "message", "advice", "step")}
            self.rung.setdefault(event["code"], []).append(said)
        elif kind == "log":
            time = dt.datetime.fromtimestamp(event["time"], dt.UTC).isoformat(timespec="seconds")
            self.logs.append({"time": time, "level": event["level"], "text": event["text"]})
            if event["source"] == "worker" and not self.has_ended and event["level"] == "info":
                self.phase = event["text"]
        elif kind == "artifact" and event["kind"] == "model":
            self.model_version = event["name"]
        elif kind == "artifact" and event["kind"] == "run":
            self.run = {"run_id": event["run_id"], "experiment_id": event["experiment_id"], "uri": event["uri"]}

    def _fold_clock(self, now: float) -> None:
        """Count the seconds of work: from running to its end or its pause, recoveries among them."""
        if self.state in ("running", "recovering"):
            if self.state == "running" and self.started is None:
                self.started = now
            self._since = now if self._since is None else self._since
        elif self._since is not None:
            self._worked_s += now - self._since
            self._since = None

    def _void(self, from_step: int) -> None:
        if self.step is not None:
            self.step = from_step
        # What was said of later steps is said again; until then the last word is not true.
        self.metrics = {name: said for name, said in self.metrics.items() if said[1] <= from_step}
        kept = {code: [said for said in rung if (said["step"] or 0) <= from_step] for code, rung in self.rung.items()}
        self.rung = {code: rung for code, rung in kept.items() if rung}

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """The last word of each alert, with its step and how often it came; the latest first."""
        last = [rung[-1] | {"count": len(rung)} for rung in self.rung.values()]
        return sorted(last, key=lambda said: said["step"] or 0, reverse=True)

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
        """Seconds of work until `now`, pauses aside; None before the job began to run."""
        if self.started is None:
            return None
        return self._worked_s + (0.0 if self._since is None else now - self._since)


def sentence(view: JobView) -> str:
    """Return the state as one sentence."""
    step = f"step {view.step} of {view.total}" if view.total else None
    if view.state == "queued":
        return f"Waiting for the device: {view.position} before it" if view.position else "Waiting for the device"
    if view.state == "running":
        left = f", about {duration(view.eta_s)} left" if view.eta_s else ""
        doing = f" ({view.phase})" if view.phase else ""
        but = f"; {view.reason}" if view.reason else ""
        return (f"Running: {step}{left}{doing}" if step else f"Running: {view.phase or 'starting'}") + but
    if view.state == "completed":
        spent = view.elapsed_s(view.ended or 0.0)
        took = f" in {duration(spent)}" if spent else ""
        version = f": {view.model_version}" if view.model_version else ""
        return f"Completed{took}{version}" + (f". {view.reason}" if view.reason and not version else "")
    tail = f" at {step}" if step and view.state != "failed" else ""
    return f"{view.state.capitalize()}{tail}" + (f": {view.reason}" if view.reason else "")


def duration(seconds: float) -> str:
    """Return seconds as people say them: ``40 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def size(count: float) -> str:
    """Return bytes as people say them: ``40 KB``, ``12.3 MB``, ``3.4 GB``."""
    for unit in ("KB", "MB", "GB"):
        count /= 1000
        if count < 999.5 or unit == "GB":
            return f"{count:.0f} {unit}" if count >= 99.5 or unit == "KB" else f"{count:.1f} {unit}"
    raise AssertionError
