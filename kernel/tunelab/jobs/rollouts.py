"""The rollouts of a reinforcement job: where each answer stands in the journal, and its text only when asked for.

A run samples answers by the hundred thousand, and all of them are kept. What stays in memory is eight bytes an answer.
"""

from __future__ import annotations

import math
import statistics
import threading
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunelab.jobs.journal import Event, parse

if TYPE_CHECKING:
    import pandas as pd

#: Rewards that differ by less teach nothing: an advantage is their difference in float32.
_NO_SPREAD = 1e-6


@dataclass(frozen=True)
class Group:
    """The answers to one prompt that were sampled together, and are compared with one another.

    `number` is the group's place within its step, from 0.
    """

    step: int
    held_out: bool
    number: int
    answers: Sequence[Event]

    @property
    def row(self) -> int | None:
        """The row of the dataset, from 1."""
        return self.answers[0].get("row")

    @property
    def prompt(self) -> str:
        """What was asked."""
        return str(self.answers[0]["prompt"])

    @property
    def rewards(self) -> list[float]:
        """The rewards that there are, in the order in which answers were sampled."""
        return [answer["reward"] for answer in self.answers if answer["reward"] is not None]

    @property
    def missing(self) -> int:
        """How many answers have no reward."""
        return len(self.answers) - len(self.rewards)

    @property
    def mean(self) -> float | None:
        """The mean reward, None where there is none at all."""
        return statistics.fmean(self.rewards) if self.rewards else None

    @property
    def spread(self) -> float | None:
        """The standard deviation of the rewards, as TRL computes it (n - 1); None below two rewards."""
        return statistics.stdev(self.rewards) if len(self.rewards) > 1 else None

    @property
    def teaches_nothing(self) -> bool:
        """Whether several answers have no two rewards that differ, so that none of them has an advantage."""
        return len(self.answers) > 1 and (self.spread is None or self.spread < _NO_SPREAD)

    def ranked(self) -> list[Event]:
        """Return the answers, the best first, those without a reward last."""
        return sorted(
            self.answers, key=lambda answer: -math.inf if answer["reward"] is None else answer["reward"], reverse=True
        )


class Rollouts:
    """The rollouts of one journal, folded as it grows. Safe for several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        #: Grows with each change.
        self.version = 0
        self._read_to = 0
        self._places: dict[bool, dict[int, array[int]]] = {False: {}, True: {}}
        self._lock = threading.RLock()

    def read(self) -> Rollouts:
        """Take in what the journal has gained, and return this."""
        with self._lock:
            try:
                file = self.path.open("rb")
            except FileNotFoundError:
                return self
            with file:
                file.seek(self._read_to)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    # Most lines are of no concern here, and need no parsing.
                    if b'"sample"' in line or b'"from_step"' in line:
                        self._fold(parse(line), self._read_to)
                    self._read_to += len(line)
        return self

    def steps(self, held_out: bool) -> list[int]:
        """Return the steps that have rollouts, in order."""
        with self._lock:
            return sorted(self._places[held_out])

    def count(self, held_out: bool) -> int:
        """Return how many answers there are."""
        with self._lock:
            return sum(len(places) for places in self._places[held_out].values())

    def groups(self, step: int, held_out: bool = False) -> list[Group]:
        """Return the groups of a step with all their texts, in the order in which they were sampled."""
        with self._lock:
            places = list(self._places[held_out].get(step, ()))
        if not places:
            return []
        with self.path.open("rb") as file:
            answers = [answer for place in places if (answer := _at(file, place)) is not None]
        # Groups are counted anew with each batch of a step; the next one is another group or another row.
        runs = groupby(answers, key=lambda answer: (answer.get("group"), answer.get("row")))
        return [Group(step, held_out, number, list(run)) for number, (_, run) in enumerate(runs)]

    def search(self, text: str, newest_first: bool = True) -> Iterator[tuple[Group, Event]]:
        """Yield the answers, each with its group, whose prompt or completion has a text; letter case aside."""
        sought = text.casefold()
        steps = sorted(
            {(step, held_out) for held_out in (False, True) for step in self.steps(held_out)}, reverse=newest_first
        )
        for step, held_out in steps:
            for group in self.groups(step, held_out):
                in_prompt = sought in group.prompt.casefold()
                for answer in group.answers:
                    if in_prompt or sought in answer["completion"].casefold():
                        yield group, answer
                        if in_prompt:
                            break

    def frame(self, step: int | None = None, held_out: bool | None = None) -> pd.DataFrame:
        """Return rollouts as a DataFrame, one row an answer; see `tunelab.jobs.manager.Job.rollouts`."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        parts: dict[str, None] = {}
        kinds = (False, True) if held_out is None else (held_out,)
        wanted = sorted((each, kind) for kind in kinds for each in self.steps(kind) if step is None or each == step)
        for each, kind in wanted:
            for group in self.groups(each, kind):
                for answer in group.answers:
                    parts |= dict.fromkeys(answer.get("parts") or {})
                    rows.append(
                        {
                            "step": each,
                            "group": group.number,
                            "row": group.row,
                            "held_out": kind,
                            "prompt": answer["prompt"],
                            "completion": answer["completion"],
                            "reward": answer["reward"],
                            **{f"part {name}": value for name, value in (answer.get("parts") or {}).items()},
                            "cut": answer.get("cut"),
                            "tokens": answer.get("tokens"),
                            "status": answer.get("status"),
                            "note": answer.get("note"),
                        }
                    )
        before = ["step", "group", "row", "held_out", "prompt", "completion", "reward"]
        after = ["cut", "tokens", "status", "note"]
        taken = {*before, *after}
        frame = pd.DataFrame(rows, columns=[*before, *(f"part {name}" for name in parts), *after])
        # A part has its own name where no other column has it.
        names = {f"part {name}": name for name in parts if name not in taken}
        numbers = ["reward", *(f"part {name}" for name in parts)]
        return frame.astype(dict.fromkeys(numbers, "float64")).rename(columns=names)

    def _fold(self, event: Event | None, place: int) -> None:
        if event is None:
            return
        if event["type"] == "sample":
            steps = self._places[bool(event.get("held_out"))]
            steps.setdefault(event["step"], array("Q")).append(place)
            self.version += 1
        elif event["type"] == "state" and event["state"] == "recovering" and "from_step" in event:
            # As `tunelab.jobs.journal.standing` has it: later steps are done again.
            for held_out, steps in self._places.items():
                self._places[held_out] = {step: kept for step, kept in steps.items() if step <= event["from_step"]}
            self.version += 1


def _at(file: Any, place: int) -> Event | None:
    file.seek(place)
    return parse(file.readline())


__all__ = ["Group", "Rollouts"]
