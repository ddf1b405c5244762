"""What is scored and what comes of it: one case, one score, and what a scorer promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

#: ``scored``, or why there is no number: the function raised (``error``), took too long (``timeout``) or returned what
#: is none (``invalid``); a feedback model's reply cannot be read (``unparsed``), or it could not be asked (``failed``);
#: or the answer is the one that others are held against (``baseline``).
Status = Literal["scored", "error", "timeout", "invalid", "unparsed", "failed", "baseline"]


@dataclass(frozen=True)
class Case:
    """One answer to be scored.

    `prompt` is a text, or the messages of a conversation; `row` has all columns of the dataset's row, ``ground_truth``
    among them where there is one.
    """

    prompt: str | list[dict[str, Any]]
    completion: str
    row: dict[str, Any] = field(default_factory=dict)


def as_text(prompt: str | list[dict[str, Any]]) -> str:
    """Return a prompt as text: a single turn by itself, several with their roles."""
    if isinstance(prompt, str):
        return prompt
    if len(prompt) == 1:
        return str(prompt[0].get("content") or "")
    return "\n".join(f"{turn.get('role')}: {turn.get('content') or ''}" for turn in prompt)


@dataclass(frozen=True)
class Score:
    """The number of an answer, or why there is none.

    `value` is None unless `status` is ``scored``. `parts` are named shares of it. `note` is one line: the reasoning, or
    what went wrong.
    """

    value: float | None
    status: Status = "scored"
    parts: dict[str, float] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Verdict(Score):
    """A judge's score: `label` is the point of the scale, `raw` the reply as it came.

    Of two answers held against each other the value is 1, 0.5 or 0, the label ``win``, ``tie`` or ``loss``, and
    `flipped` says that the judge took the one in one order and the other in the other.
    """

    label: str | None = None
    reasoning: str = ""
    raw: str = ""
    flipped: bool = False
    latency_s: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0


def as_sample(case: Case, score: Score) -> dict[str, Any]:
    """Return a scored case as the journal and a report have it; the prompt is text."""
    return {
        "prompt": as_text(case.prompt),
        "completion": case.completion,
        "reward": score.value,
        "parts": score.parts,
        "status": score.status,
        "note": score.note,
    }


class Scorer(Protocol):
    """Scores answers. What an answer or a user's function does is a score without a number, never an exception."""

    @property
    def name(self) -> str:
        """Letters, digits and underscores: it stands in metric keys."""

    def score(self, cases: Sequence[Case]) -> list[Score]:
        """Return a score for each case, in order."""

    def metrics(self) -> dict[str, float]:
        """Return what is new since the last call, such as ``{"feedback/latency_s": 0.4}``."""

    def close(self) -> None:
        """End what the scorer has started."""


class Unreachable(Exception):
    """A feedback model that cannot be asked: the run pauses, since without it every reward would be none."""
