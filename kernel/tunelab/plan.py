"""A plan: what `--dry-run` answers, shown before anything is started."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

import yaml

from tunelab.bench import RewardReport
from tunelab.jobs import memory
from tunelab.jobs.prepare import Prepared
from tunelab.jobs.view import duration


@dataclass(frozen=True)
class Plan:
    """What a job would do and take on this machine.

    Times are in seconds and memory in bytes; both are measured on two real steps and scaled, so take them as
    estimates. `cut_rows` are the rows longer than ``max_length``, which would lose `cut_tokens` tokens.

    Of a reinforcement job the tokens are those of prompts, `cut_rows` the answers cut off of those that were sampled,
    `sampling_s` what a step takes to sample and score its answers, and `report` what the reward makes of them.
    """

    spec: dict[str, Any]
    train_rows: int
    eval_rows: int
    tokens: int
    eval_tokens: int
    longest: int
    median: int
    cut_rows: int
    cut_tokens: int
    steps: int
    step_s: float
    eval_s: float
    time_s: float
    memory_bytes: int
    trained: int
    sampling_s: float = 0.0
    report: RewardReport | None = None

    @classmethod
    def of(cls, prepared: Prepared, measured: dict[str, Any]) -> Plan:
        """Return the plan for a prepared spec with what `training.plan.measure` found."""
        spec = prepared.spec.model_dump(mode="json", exclude_none=True)
        measured = dict(measured)
        if samples := measured.pop("samples", None):
            measured["report"] = RewardReport.of(samples)
        return cls(spec=spec, train_rows=prepared.train_rows, eval_rows=prepared.eval_rows, **measured)

    @property
    def fits(self) -> bool:
        """Whether the machine has that much memory free now. Only for a CPU."""
        return self.memory_bytes < memory.free(fresh=True)

    def to_yaml(self) -> str:
        """Return the resolved spec as YAML, which is a spec again."""
        return yaml.safe_dump(self.spec, sort_keys=False, allow_unicode=True)

    def facts(self) -> list[tuple[str, str]]:
        """Return what the plan says, as pairs of name and value."""
        cut = f"{self.cut_rows:,} rows would be cut off, losing {self.cut_tokens:,} tokens" if self.cut_rows else "none"
        room = "" if self.fits else f", more than the {memory.free(fresh=True) / 1e9:.1f} GB that are free now"
        if not self.fits and not self.spec["compute"]["fit"]:
            room += "; --fit would choose smaller batches"
        if self.report is not None:
            return self._reinforced(room)
        return [
            ("rows", f"{self.train_rows:,} to train on, {self.eval_rows:,} held out"),
            ("tokens", f"{self.tokens:,} an epoch; a row has {self.median:,} (median) to {self.longest:,}"),
            ("cut off", cut),
            ("trained weights", f"{self.trained / 1e6:.2f} M"),
            ("steps", f"{self.steps:,}, about {self.step_s:.1f} s each"),
            ("time", f"about {duration(self.time_s)}, of which {duration(self.eval_s)} held-out evaluation"),
            ("memory", f"about {self.memory_bytes / 1e9:.1f} GB{room}"),
        ]

    def _reinforced(self, room: str) -> list[tuple[str, str]]:
        assert self.report is not None
        answers = len(self.report.samples)
        return [
            ("prompts", f"{self.train_rows:,} to train on, {self.eval_rows:,} held out"),
            ("tokens", f"a prompt has {self.median:,} (median) to {self.longest:,}"),
            ("cut off", f"{self.cut_rows:,} of {answers:,} answers" if self.cut_rows else "none"),
            ("trained weights", f"{self.trained / 1e6:.2f} M"),
            ("steps", f"{self.steps:,}, about {self.step_s:.1f} s each, of which {self.sampling_s:.1f} s sampling"),
            ("time", f"about {duration(self.time_s)}, of which {duration(self.eval_s)} held-out evaluation"),
            ("memory", f"about {self.memory_bytes / 1e9:.1f} GB{room}"),
        ]

    def __repr__(self) -> str:
        width = max(len(name) for name, _ in self.facts())
        lines = [f"  {name.ljust(width)}  {value}" for name, value in self.facts()]
        report = f"\n\n{self.report!r}" if self.report is not None else ""
        title = f"Plan for {self.spec['name']} (nothing was started)\n"
        return title + "\n".join(lines) + f"{report}\n\n{self.to_yaml()}"

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><th style="text-align:left">{html.escape(name)}</th>'
            f'<td style="text-align:left">{html.escape(value)}</td></tr>'
            for name, value in self.facts()
        )
        title = f"Plan for {html.escape(self.spec['name'])}: nothing was started"
        report = self.report._repr_html_() if self.report is not None else ""
        return (
            f"<table><caption>{title}</caption><tbody>{rows}</tbody></table>{report}"
            f"<details><summary>The resolved spec</summary><pre>{html.escape(self.to_yaml())}</pre></details>"
        )
