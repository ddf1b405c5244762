"""The number that an answer comes to, as GSM8K (``#### 42``), MATH (``\\boxed{42}``) and plain sentences give it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tunelab.scoring.extract import LONGEST

#: Relative difference that is right where none is given. Two whole numbers have to be equal.
TOLERANCE = 1e-6
#: The longest expression that is worked out, in characters.
_LONGEST_EXPRESSION = 300
#: Digits and exponents beyond this are no answer to anything, and slow to compute with.
_MOST_DIGITS = 400

_CURRENCY = r"[$€£¥₹]"
# No-break and thin blanks, which typographers put between thousands.
_GAP = "[,\u00a0\u2009\u202f]"
_DIGITS = rf"(?:[0-9]{{1,3}}(?:{_GAP}[0-9]{{3}})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+"
_NUMBER = re.compile(
    # A minus after a letter or a digit is a hyphen or a range: `COVID-19`, `10-20`.
    rf"(?:(?<![\w.)\]}}])(?P<sign>[-+\u2212]))?(?:\\?{_CURRENCY}\s?(?P<sign2>[-\u2212])?)?"
    r"(?<![\w.])(?:"
    r"(?P<whole>[0-9]{1,6})[ ](?P<top2>[0-9]{1,6})\s?/\s?(?P<bottom2>[0-9]{1,6})(?![\w/]|\.[0-9])"
    r"|(?<!/)(?P<top>[0-9]{1,30})\s?/\s?(?P<bottom>[0-9]{1,30})(?![\w/]|\.[0-9])"
    rf"|(?P<digits>{_DIGITS})(?:[eE](?P<exponent>[-+\u2212]?[0-9]+)(?![\w]))?"
    r")(?P<percent>\s?(?:\\?%|percent\b|per cent\b))?"
)
_HASHES = re.compile(r"####[ \t]*([^\n]*)")
# No longer than what is worked out: a search for each end of each beginning would take for ever.
_MATH = re.compile(r"\$\$(.{1,300}?)\$\$|\$([^$\n]{1,300})\$|\\\((.{1,300}?)\\\)|\\\[(.{1,300}?)\\\]", re.DOTALL)
_FRACTION = re.compile(r"\\[dt]?frac\s*(?:\{\s*([0-9]+)\s*\}\s*\{\s*([0-9]+)\s*\}|([0-9])([0-9]))")
_WORDS = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox|operatorname)\s*\{[^{}]*\}")
_MARKS = re.compile(r"\\(?:left|right|displaystyle|quad|qquad)(?![a-zA-Z])|\\[!,;: ]|\^\{?\\circ\}?|\\degree|~")
_OPERATION = re.compile(r"\\[a-zA-Z]|[\^_()+*·×÷√π]|(?<=[0-9}])\s*[-/]\s*(?=[0-9({\\])")


@dataclass(frozen=True)
class Answer:
    """What a text comes to: its number where it is one, and the text of it."""

    text: str
    value: Fraction | None
    percent: bool = False


def extract(text: str) -> str | None:
    """Return the part of a text that is its numerical answer, or None where it has none.

    That is what the last ``####`` or ``\\boxed{…}`` holds, whichever comes later, else a formula that no number comes
    after, else the last number.
    """
    found = answer(text)
    return None if found is None else found.text


def value(text: str) -> float | None:
    """Return a text's numerical answer as a number, or None where it has none, or one that is an expression."""
    found = answer(text)
    return None if found is None or found.value is None else float(found.value)


def answer(text: str) -> Answer | None:
    """Return a text's numerical answer; `Answer.value` is None for an expression such as ``2\\sqrt{3}``."""
    text = text[-LONGEST:]
    marked = _marked(text)
    if marked is not None:
        return _read(marked)
    numbers = list(_NUMBER.finditer(text))
    for formula in reversed(list(_MATH.finditer(text))):
        inside = next(group for group in formula.groups() if group is not None)
        if numbers and numbers[-1].start() >= formula.end():
            break
        if "\\" in inside or "^" in inside:
            return _read(inside)
    return _of(numbers[-1]) if numbers else None


def equal(given: Answer, truth: Answer, tolerance: float | None = None) -> bool:
    """Tell whether two numbers are the same. A percent sign on one side only may be meant or not: 50% is 50 and 0.5."""
    if given.value is None or truth.value is None:
        return False
    values = [given.value]
    wanted = truth.value
    if given.percent and truth.percent:
        values = [given.value]
    elif given.percent:
        values = [given.value, given.value / 100]
    elif truth.percent:
        values = [given.value, given.value * 100]
    return any(_near(each, wanted, tolerance) for each in values)


def same_expression(given: str, truth: str) -> bool:
    """Tell whether two LaTeX expressions are the same, by math-verify. It may take for ever: call it guarded."""
    import logging

    from math_verify import parse, verify

    # It warns once that it has no time limit; the caller has one.
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    wanted = parse(f"${truth}$", parsing_timeout=None)
    found = parse(f"${given}$", parsing_timeout=None)
    return bool(wanted and found and verify(wanted, found, timeout_seconds=None))


def expressible(text: str) -> bool:
    """Tell whether an expression is short enough to be worked out."""
    return len(text) <= _LONGEST_EXPRESSION


def of_truth(truth: Any) -> Answer | None:
    """Return the numerical answer that a row's ground truth gives, or None where it gives none."""
    if isinstance(truth, bool):
        return None
    found = answer(str(truth))
    if found is not None and found.value is not None and isinstance(truth, str) and _MATH.search(truth) is None:
        # An expression need not stand in dollars in a column of its own.
        whole = _read(truth) if "\\" in truth and _marked(truth) is None else None
        return whole or found
    return found


def _marked(text: str) -> str | None:
    """Return what the last mark of a final answer holds."""
    hashes = list(_HASHES.finditer(text))
    boxed = text.rfind("\\boxed")
    if hashes and hashes[-1].start() > boxed:
        return hashes[-1][1]
    return _braced(text, boxed + len("\\boxed")) if boxed >= 0 else None


def _braced(text: str, start: int) -> str:
    """Return what stands in the braces that open at `start`, or the word there."""
    rest = text[start:].lstrip()
    if not rest.startswith("{"):
        return rest.split("$")[0].split("\n")[0][:_LONGEST_EXPRESSION]
    depth = 0
    for position, letter in enumerate(rest):
        depth += (letter == "{") - (letter == "}")
        if depth == 0:
            return rest[1:position]
    return rest[1:]


def _read(text: str) -> Answer | None:
    """Return the answer that a short text is: the number in it, or it as an expression."""
    text = text.strip().strip("*").strip()
    inner = _MATH.fullmatch(text)
    if inner is not None:
        text = next(group for group in inner.groups() if group is not None).strip()
    if boxed := _marked(text):
        text = boxed
    text = _FRACTION.sub(lambda found: f" {found[1] or found[3]}/{found[2] or found[4]} ", text)
    # A sign belongs to the fraction that comes after it, and a number before it makes it a mixed one.
    text = re.sub(r"([-\u2212])\s+(?=[0-9]+/[0-9])", r"\1", text)
    text = re.sub(r"\{,\}", ",", text)
    text = _MARKS.sub(" " if "\\ " in text else "", _WORDS.sub(" ", text)).strip()
    last = re.sub(r"^([-\u2212])\s+", r"\1", text.rpartition("=")[2].strip())
    numbers = list(_NUMBER.finditer(last))
    if numbers and not _OPERATION.search(_without(last, numbers[0])):
        return _of(numbers[0])
    if last and (numbers or "\\" in last):
        return Answer(last, None)
    return None


def _without(text: str, found: re.Match[str]) -> str:
    return f"{text[: found.start()]} {text[found.end() :]}" if found["percent"] is None else text[: found.start()]


def _of(found: re.Match[str]) -> Answer | None:
    if found["top2"] is not None:
        bottom, top = int(found["bottom2"]), int(found["top2"])
        number = None if bottom == 0 else Fraction(int(found["whole"])) + Fraction(top, bottom)
    elif found["top"] is not None:
        bottom = int(found["bottom"])
        number = None if bottom == 0 else Fraction(int(found["top"]), bottom)
    else:
        number = _decimal(found["digits"], found["exponent"])
    if number is None:
        return None
    signs = [found["sign"], found["sign2"]]
    negative = sum(sign in ("-", "\u2212") for sign in signs) == 1
    return Answer(found[0].strip(), -number if negative else number, found["percent"] is not None)


def _decimal(digits: str, exponent: str | None) -> Fraction | None:
    digits = re.sub(_GAP, "", digits)
    power = int((exponent or "0").replace("\u2212", "-")[:6])
    if len(digits) > _MOST_DIGITS or abs(power) > _MOST_DIGITS:
        return None
    return Fraction(digits) * Fraction(10) ** power


def _near(one: Fraction, two: Fraction, tolerance: float | None) -> bool:
    if tolerance is None:
        if one.denominator == 1 and two.denominator == 1:
            return one == two
        tolerance = TOLERANCE
    return abs(one - two) <= Fraction(tolerance) * abs(two)
