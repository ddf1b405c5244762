"""What a feedback model replied, read strictly: what is not plainly a score is none."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunelab.scoring.score import Status


@dataclass(frozen=True)
class Reply:
    """A feedback model's reply to one text: the score, or the problem for which there is none.

    `text` is the reply as it came. `latency_s` is what it took; `tokens_in` and `tokens_out` are what was read and
    written.
    """

    score: float | None
    reasoning: str = ""
    status: Status = "scored"
    problem: str = ""
    text: str = ""
    latency_s: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0


#: A number as JSON has it, or as text.
_NUMBER = r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
#: A score whose JSON was cut off after it, which must not have gone on: the number is followed by something else.
_IN_JSON = re.compile(rf'"score"\s*:\s*"?({_NUMBER})"?\s*(?=[,}}\s])')
#: Words that a score is given with outside of JSON.
_IN_PROSE = (
    re.compile(rf"\[\[\s*({_NUMBER})\s*\]\]"),
    re.compile(rf"\b(?:score|rating|grade)\b\**\s*(?:is|of|:|=)?\s*\**\s*({_NUMBER})", re.IGNORECASE),
)


def read(
    text: str, low: float = 0.0, high: float = 1.0, labels: Mapping[str, float] | None = None
) -> tuple[float | None, str, str]:
    """Return score, reasoning, and the problem if there is no score.

    A score is taken from JSON, which may be fenced, within prose, or cut off after the score; else from words such as
    ``Rating: [[7]]``, if they are said once. It is never clipped: one outside of the range was on another scale.

    Parameters
    ----------
    low, high
        The range.
    labels
        Words that stand for scores, in place of numbers.
    """
    found = _in_json(text)
    if found is not None:
        reasoning = found.get("reasoning", "")
        score, problem = _valid(found["score"], low, high, labels)
        return score, reasoning if isinstance(reasoning, str) else json.dumps(reasoning), problem
    for pattern in (_IN_JSON, *_IN_PROSE):
        said = {float(one) for one in pattern.findall(text)}
        if len(said) > 1:
            return None, "", f"it has {len(said)} scores"
        if said:
            score, problem = _valid(said.pop(), low, high, labels)
            reason = re.search(r'"reasoning"\s*:\s*"((?:[^"\\]|\\.)*)"', text)
            return score, reason[1] if reason else "", problem
    return None, "", "it is empty" if not text.strip() else "it has no score"


def _in_json(text: str) -> dict[str, Any] | None:
    """Return the one object with a score in a text; None where there is none, or more with different scores."""
    decoder = json.JSONDecoder()
    found: list[dict[str, Any]] = []
    place = text.find("{")
    while place >= 0:
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            end = place + 1
        else:
            if isinstance(value, dict) and "score" in value:
                found.append(value)
        place = text.find("{", end)
    alike = {json.dumps(one["score"]) for one in found}
    return found[-1] if len(alike) == 1 else None


def _valid(score: Any, low: float, high: float, labels: Mapping[str, float] | None) -> tuple[float | None, str]:
    if labels and isinstance(score, str):
        known = {name.strip().lower(): value for name, value in labels.items()}
        if (value := known.get(score.strip().lower())) is not None:
            return value, ""
    try:
        number = math.nan if isinstance(score, bool) or score is None else float(score)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        return None, f"its score is {json.dumps(score)[:40]}, and no number"
    if not low <= number <= high:
        return None, f"its score {number:g} is outside of {low:g} to {high:g}"
    return number, ""
