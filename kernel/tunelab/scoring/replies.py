"""What a feedback model or a judge replied, read strictly: what is not plainly a score is none."""

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


#: Part of what scores depend on: read in another way, the same reply has another one.
_WAY = 1


@dataclass(frozen=True)
class Form:
    """What is asked for: a score from 0 to 1, or one of the points of a scale.

    `points` are words with their numbers. With `in_words` the words are what is replied; else the numbers, and the
    words tell what they mean. Without `expects` the score is what was said, though probabilities are told. With
    `reasons` the reply reasons before it scores.
    """

    points: tuple[tuple[str, float], ...] = ()
    in_words: bool = False
    expects: bool = True
    reasons: bool = True

    @property
    def choices(self) -> dict[str, float]:
        """What may stand as the score, as text, and its number."""
        return {word if self.in_words else _number(value): value for word, value in self.points}

    @property
    def identity(self) -> list[Any]:
        """What replies and their scores depend on besides the text and who is asked."""
        return [list(map(list, self.points)), self.in_words, self.expects, self.reasons, _WAY]

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of a reply."""
        score: dict[str, Any] = {"type": "string" if self.in_words else "number"}
        if self.points:
            score["enum"] = [choice if self.in_words else json.loads(choice) for choice in self.choices]
        properties = {"reasoning": {"type": "string"}, "score": score} if self.reasons else {"score": score}
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }

    def read(self, text: str) -> tuple[float | None, str, str]:
        """Return score, reasoning, and the problem if there is no score; a number that is no point is none."""
        if not self.points:
            return read(text)
        # Where the words are replied, numbers stand for nothing that the model was told of.
        return read(text, labels=dict(self.points), points=[] if self.in_words else list(self.choices.values()))

    def expected(self, text: str, tokens: Sequence[Any], drawn: float) -> float:
        """Return the expectation of the score over the tokens that might stand there; `drawn` where they don't tell."""
        if not self.expects:
            return drawn
        if not self.points:
            return expected(text, tokens, drawn)
        shares = self.shares(text, tokens, drawn)
        return sum(share * self.choices[choice] for choice, share in shares.items()) if shares else drawn

    def shares(self, text: str, tokens: Sequence[Any], score: float) -> dict[str, float]:
        """Return the probabilities of the choices, by the tokens that might have stood in the score's place.

        They are followed along the reply's own tokens, since of what was not drawn only the first token is known; an
        alternative counts for the one choice that it begins, or that it is.

        Parameters
        ----------
        text
            The reply.
        tokens
            Its tokens with their alternatives, as OpenAI's API gives them.
        score
            The score that was read.

        Returns
        -------
        dict
            It is empty where the tokens are not told, do not fit, or mostly go on to what is no choice.
        """
        drawn = next((choice for choice, value in self.choices.items() if value == score), None)
        places = [found.end() for found in re.finditer(r'"score"\s*:\s*"?', text)]
        pieces = [_piece(token) for token in tokens]
        if drawn is None or not places or not b"".join(pieces).startswith(text.encode()):
            return {}
        found = dict.fromkeys(self.choices, 0.0)
        share, live, begin, end = 1.0, list(found), len(text[: places[-1]].encode()), 0
        for token, piece in zip(tokens, pieces, strict=True):
            start, end = end, end + len(piece)
            if end <= begin:
                continue
            before = text.encode()[min(start, begin) : max(start, begin)].decode(errors="ignore")
            others = {_piece(other): other.logprob for other in token.top_logprobs or []} | {piece: token.logprob}
            left: list[str] = []
            for other, logprob in others.items():
                written = _written(before, other.decode(errors="ignore"), start < begin)
                fitting = [choice for choice in live if self._begins(written, choice)]
                if other == piece:
                    left, onward = fitting or [drawn], share * math.exp(logprob)
                    continue
                if len(fitting) > 1:
                    fitting = [choice for choice in fitting if choice.casefold() == (written or "").casefold()]
                if fitting:
                    found[fitting[0]] += share * math.exp(logprob)
            live, share = left, onward
            if len(live) == 1:
                break
        found[live[0] if len(live) == 1 else drawn] += share
        total = sum(found.values())
        return {choice: mass / total for choice, mass in found.items()} if total > 0.5 else {}

    def _begins(self, written: str | None, choice: str) -> bool:
        """Tell whether a reply in which `written` stands as score may have, or has, this choice there."""
        if written is None:
            return False
        if self.in_words:
            written, choice = written.casefold(), f"{json.dumps(choice, ensure_ascii=False)[1:]}".casefold()
            return choice.startswith(written) or written.startswith(choice)
        return choice.startswith(written) or re.match(rf'{re.escape(choice)}[\s,}}"]', written) is not None

    def label(self, score: float) -> str:
        """Return the word of the point that is nearest to a score."""
        return min(self.points, key=lambda point: abs(point[1] - score))[0] if self.points else ""


#: Any number from 0 to 1.
UNIT = Form()


def read(
    text: str,
    low: float = 0.0,
    high: float = 1.0,
    labels: Mapping[str, float] | None = None,
    points: Sequence[float] | None = None,
) -> tuple[float | None, str, str]:
    """Return score, reasoning, and the problem if there is no score.

    A score is taken from JSON, which may be fenced, within prose, or cut off after the score; else from words such as
    ``Rating: [[7]]``. It is never clipped: one outside of the range was on another scale. Two scores are none, and
    neither is a number between two points.

    Parameters
    ----------
    low, high
        The range.
    labels
        Words that stand for scores, in upper or lower case.
    points
        The only numbers that are scores, in place of the range; where it is empty, only words are.
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
                top = max(points, default=None) if points is not None else high
                if scale and (top is None or float(scale) != top):
                    asked = "a word was asked for" if top is None else f"not of {top:g}"
                    return None, "", f"its score {number} is out of {scale}, and {asked}"
                given.append(number)
        given += _words_in_prose(text, labels or {})
    results = {_valid(score, low, high, labels, points) for score in given}
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
    wanted, end = len(text[:place].encode()), 0
    pieces = [_piece(token) for token in tokens]
    if not b"".join(pieces).startswith(text.encode()):
        return "", {}
    for token, piece in zip(tokens, pieces, strict=True):
        begin, end = end + len(piece) - len(piece.lstrip()), end + len(piece)
        if begin == wanted:
            found: dict[str, float] = {}
            for other in token.top_logprobs or []:
                if re.fullmatch(r"[0-9]+", digits := other.token.strip()):
                    found[digits] = found.get(digits, 0.0) + math.exp(other.logprob)
            return token.token.strip(), found
    return "", {}


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


def _words_in_prose(text: str, labels: Mapping[str, float]) -> list[str]:
    """Return the words that a text without JSON plainly gives for its score, such as ``Verdict: [[A]]``."""
    if not labels:
        return []
    # Of words that begin others the longer ones are tried first.
    known = [r"\s+".join(map(re.escape, label.split())) for label in sorted(labels, key=len, reverse=True)]
    word = f"({'|'.join(known)})"
    quoted = rf"[\"'“*]*{word}[\"'”*]*"
    # Words that go on, or are one of several, are part of a sentence.
    ends = rf"(?=[ \t]*(?:[.;!)\n]|\Z|[-–—(]\s*\D|,(?!\s*(?:or\s+)?[\"'“]?{word})))"
    patterns = (
        rf"\[\[\s*{word}\s*\]\]",
        rf"\b(?:score|rating|grade|verdict|winner)\b\**\s*(?:is|:|=)\s*\**\s*{quoted}{ends}",
        rf"\A\s*{quoted}\.?\s*\Z",
    )
    return [found[1] for pattern in patterns for found in re.finditer(pattern, text, re.I)]


def _valid(
    score: Any, low: float, high: float, labels: Mapping[str, float] | None, points: Sequence[float] | None
) -> tuple[float | None, str]:
    try:
        # Python's own numbers have forms that no reply means: 0_1, and digits of other scripts.
        is_none = isinstance(score, bool) or (isinstance(score, str) and not re.fullmatch(r"[-+.\deE\s]+", score, re.A))
        number = math.nan if is_none else float(score)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    for point in points or ():
        if math.isclose(number, point, rel_tol=1e-9, abs_tol=1e-12):
            return point, ""
    if labels:
        known = {_plain(name): value for name, value in labels.items()}
        if (value := known.get(_plain(score if isinstance(score, str) else json.dumps(score)))) is not None:
            return value, ""
    if points is not None:
        return None, f"its score is {json.dumps(score, ensure_ascii=False)[:40]}, and no point of the scale"
    if not math.isfinite(number):
        return None, f"its score is {json.dumps(score)[:40]}, and no number"
    if not low <= number <= high:
        return None, f"its score {number:g} is outside of {low:g} to {high:g}"
    return number, ""


def _plain(word: str) -> str:
    return " ".join(word.casefold().split())


def _piece(token: Any) -> bytes:
    return bytes(token.bytes) if token.bytes is not None else token.token.encode()


def _written(before: str, token: str, is_early: bool) -> str | None:
    """Return what stands as score where a token comes after, or, where it `is_early`, begins with, what is `before`."""
    if not is_early:
        return (before + token).lstrip()
    told, token = before.strip(), token.lstrip()
    return token[len(told) :].lstrip() if token.startswith(told) else None


def _number(value: float) -> str:
    """Return a number as JSON has it, whole where it is."""
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else repr(value)
