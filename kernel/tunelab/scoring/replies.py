"""What a feedback model replied, read strictly: what is not plainly a score is none."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunelab.scoring.score import Status, Unreachable


@dataclass(frozen=True)
class Reply:
    """A feedback model's reply to one text: the score, or the problem for which there is none.

    `text` is the reply as it came; `label` is the word of the scale that the score stands for.
    `latency_s` is what it took; `tokens_in` and `tokens_out` are what was read and written.
    """

    score: float | None
    reasoning: str = ""
    status: Status = "scored"
    problem: str = ""
    text: str = ""
    latency_s: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0
    label: str = ""


class Interrupted(Unreachable):
    """A feedback model that went away; `replies` has what it said before, in the order of the texts."""

    def __init__(self, why: str, replies: Sequence[Reply] = ()) -> None:
        super().__init__(why)
        self.replies = list(replies)


#: A number as JSON has it, or as text. It is taken whole or not at all.
_NUMBER = r"-?\d++(?:\.\d++)?+(?:[eE][-+]?\d++)?+"
#: A score in JSON that is broken or cut off. A number at the very end may have been cut too, which a fraction survives.
_IN_JSON = re.compile(rf'"score"\s*:\s*(?:"([^"\\]*)"|({_NUMBER})(?=[,}}\s])|(-?\d+\.\d+)\Z)')
_SCALE = rf"(?:\s*(?:/|out of)\s*({_NUMBER}))?+"
#: What makes a number another thing than a score: 0,7 and 1% and "0 to 1".
_NOT_ALONE = r"(?!\.?\w|,\d|\s*(?:%|/|percent|(?:-|–|to|and|or)\s*\d))"
#: A score outside of JSON, and what it is out of.
_IN_PROSE = (
    re.compile(rf"\[\[\s*({_NUMBER}){_SCALE}\s*\]\]"),
    re.compile(rf"\b(?:score|rating|grade)\b\**\s*(?:is|of|:|=)\s*\**\s*({_NUMBER}){_SCALE}{_NOT_ALONE}", re.I),
    re.compile(rf"\A\s*({_NUMBER}){_SCALE}\s*\Z"),
)


@dataclass(frozen=True)
class Form:
    """What is asked for: a score from 0 to 1, or one of the points of a scale.

    `points` are words with their numbers. With `in_words` the words are what is replied; else the numbers, and the
    words tell what they mean. Without `expects` the score is what was said, though probabilities are told.
    """

    points: tuple[tuple[str, float], ...] = ()
    in_words: bool = False
    expects: bool = True

    @property
    def choices(self) -> dict[str, float]:
        """What may stand as the score, as text, and its number."""
        return {word if self.in_words else f"{value:g}": value for word, value in self.points}

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of a reply."""
        score: dict[str, Any] = {"type": "number"}
        if self.points and self.in_words:
            score = {"type": "string", "enum": list(self.choices)}
        elif self.points:
            score = {"type": "number", "enum": [json.loads(text) for text in self.choices]}
        return {
            "type": "object",
            "properties": {"reasoning": {"type": "string"}, "score": score},
            "required": ["reasoning", "score"],
            "additionalProperties": False,
        }

    def read(self, text: str) -> tuple[float | None, str, str]:
        """Return score, reasoning, and the problem if there is no score; a number that is no point is none."""
        if not self.points:
            return read(text)
        values = [value for _, value in self.points]
        if self.in_words:
            # Numbers stand for nothing that the model was told of.
            found = read(text, math.inf, -math.inf, self.choices)
            problem = f"its score is none of {', '.join(self.choices)}" if "outside of" in found[2] else found[2]
            return found[0], found[1], problem
        score, reasoning, problem = read(text, min(values), max(values), dict(self.points))
        if score is not None and score not in values:
            return None, reasoning, f"its score {score:g} is none of {', '.join(self.choices)}"
        return score, reasoning, problem

    def expected(self, text: str, tokens: Sequence[Any], drawn: float) -> float:
        """Return the expectation of the score over the tokens that might begin it; `drawn` where they do not tell."""
        if not self.expects:
            return drawn
        if not self.points:
            return expected(text, tokens, drawn)
        place = re.search(r'"score"\s*:\s*"?(?=[^"\s])(?!.*"score"\s*:)', text, re.DOTALL)
        if place is None:
            return drawn
        shares: dict[str, float] = {}
        for token, share in _tokens_at(text, tokens, place.end()):
            said = token.strip().strip('"')
            fitting = [one for one in self.choices if said and one.casefold().startswith(said.casefold())]
            exact = [one for one in fitting if one.casefold() == said.casefold()]
            if len(one := exact or fitting) == 1:
                shares[one[0]] = shares.get(one[0], 0.0) + share
        total = sum(shares.values())
        return sum(share * self.choices[one] for one, share in shares.items()) / total if total > 0.5 else drawn

    def label(self, score: float) -> str:
        """Return the word of the point that is nearest to a score."""
        return min(self.points, key=lambda point: abs(point[1] - score))[0] if self.points else ""


#: Any number from 0 to 1.
UNIT = Form()


def read(
    text: str, low: float = 0.0, high: float = 1.0, labels: Mapping[str, float] | None = None
) -> tuple[float | None, str, str]:
    """Return score, reasoning, and the problem if there is no score.

    A score is taken from JSON, which may be fenced, within prose, or cut off after the score; else from words such as
    ``Rating: [[7]]``. It is never clipped: one outside of the range was on another scale. Two scores are none.

    Parameters
    ----------
    low, high
        The range.
    labels
        Words that stand for scores, in place of numbers.
    """
    if text.lstrip().startswith("<think>"):
        # What a model weighs before it replies has scores too.
        text = text.rpartition("</think>")[2] if "</think>" in text else ""
    objects, rest = _in_json(text)
    given = [one["score"] for one in objects]
    given += [word or number or cut for word, number, cut in _IN_JSON.findall(rest)]
    reasoning = objects[-1].get("reasoning") or "" if objects else ""
    if not isinstance(reasoning, str):
        reasoning = json.dumps(reasoning)
    elif not objects and (quoted := re.search(r'"reasoning"\s*:\s*"((?:[^"\\]|\\.)*)"', text)):
        reasoning = quoted[1]
    if not given and not re.search(r'\{\s*"', text):
        # Within JSON that was cut before its score, such words are part of the reasoning.
        for pattern in _IN_PROSE:
            for number, scale in pattern.findall(text):
                if scale and float(scale) != high:
                    return None, "", f"its score {number} is out of {scale}, and not of {high:g}"
                given.append(number)
    results = {_valid(score, low, high, labels) for score in given}
    if not results:
        return None, "", "it has no score" if text.strip() else "it is empty"
    if len(results) > 1:
        return None, "", f"it has {len(results)} scores"
    score, problem = results.pop()
    return score, whole(reasoning), problem


def whole(text: str) -> str:
    """Return a text without halves of surrogate pairs, which JSON can carry and UTF-8 cannot."""
    return text.encode("utf-8", "ignore").decode()


def expected(text: str, tokens: Sequence[Any], drawn: float) -> float:
    """Return the expectation of a score over the tokens that might have stood in its place (G-Eval, section 2.1).

    Where the score is ``0.d``, these are the other fractions, and 1 in place of 0; where it is 0 or 1, the other one.

    Parameters
    ----------
    text
        The reply.
    tokens
        Its tokens with their alternatives, as OpenAI's API gives them.
    drawn
        The score that was read. It is returned where the tokens are not told, or do not fit.
    """
    found = re.search(r'"score"\s*:\s*"?([01])(?:\.(\d+))?(?![\d.])(?!.*"score"\s*:)', text, re.DOTALL)
    if found is None or (found[1] == "1" and found[2]):
        return drawn
    _, units = _alternatives(text, tokens, found.start(1))
    zero, one = units.get("0", 0.0), units.get("1", 0.0)
    if not found[2]:
        return one / (zero + one) if zero + one > 0.5 else drawn
    chosen, fractions = _alternatives(text, tokens, found.start(2))
    total = sum(fractions.values())
    graded = drawn
    if total > 0.5:
        # A token may be the first of several digits: of the one that was drawn, the others are known.
        value = {digits: drawn if digits == chosen else float(f"0.{digits}") for digits in fractions}
        graded = sum(share * value[digits] for digits, share in fractions.items()) / total
    return (zero * graded + one) / (zero + one) if zero + one > 0.5 else graded


def _alternatives(text: str, tokens: Sequence[Any], place: int) -> tuple[str, dict[str, float]]:
    """Return the token at a place of the text, and the probabilities of the digits that it might have been."""
    token = _token_at(text, tokens, place)
    found: dict[str, float] = {}
    if token is None:
        return "", found
    for other in token.top_logprobs or []:
        if re.fullmatch(r"[0-9]+", digits := other.token.strip()):
            found[digits] = found.get(digits, 0.0) + math.exp(other.logprob)
    return token.token.strip(), found


def _tokens_at(text: str, tokens: Sequence[Any], place: int) -> list[tuple[str, float]]:
    """Return the tokens that might stand at a place of the text, or with a quotation mark before it, with shares."""
    token = _token_at(text, tokens, place) or _token_at(text, tokens, place - 1)
    return [(other.token, math.exp(other.logprob)) for other in token.top_logprobs or []] if token else []


def _token_at(text: str, tokens: Sequence[Any], place: int) -> Any:
    wanted, end = len(text[:place].encode()), 0
    pieces = [bytes(token.bytes) if token.bytes is not None else token.token.encode() for token in tokens]
    if not b"".join(pieces).startswith(text.encode()):
        return None
    for token, piece in zip(tokens, pieces, strict=True):
        begin, end = end + len(piece) - len(piece.lstrip()), end + len(piece)
        if begin == wanted:
            return token
    return None


def _in_json(text: str) -> tuple[list[dict[str, Any]], str]:
    """Return the objects with a score in a text, and the text without them."""
    decoder = json.JSONDecoder(object_pairs_hook=_object, strict=False)
    found: list[dict[str, Any]] = []
    rest, begin = "", 0
    place = text.find("{")
    while place >= 0:
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            end = place + 1
        else:
            if "score" in value:
                found.append(value)
                rest, begin = rest + text[begin:place], end
        place = text.find("{", end)
    return found, rest + text[begin:]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    scores = [value for key, value in pairs if key == "score"]
    return dict(pairs) | ({"score": scores} if len(scores) > 1 else {})


def _valid(score: Any, low: float, high: float, labels: Mapping[str, float] | None) -> tuple[float | None, str]:
    if labels and isinstance(score, str):
        known = {name.strip().lower(): value for name, value in labels.items()}
        if (value := known.get(score.strip().lower())) is not None:
            return value, ""
    try:
        # Python's own numbers have forms that no reply means: 0_1, and digits of other scripts.
        is_none = isinstance(score, bool) or (isinstance(score, str) and not re.fullmatch(r"[-+.\deE\s]+", score, re.A))
        number = math.nan if is_none else float(score)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        return None, f"its score is {json.dumps(score)[:40]}, and no number"
    if not low <= number <= high:
        return None, f"its score {number:g} is outside of {low:g} to {high:g}"
    return number, ""
