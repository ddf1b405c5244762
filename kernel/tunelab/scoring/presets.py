"""Rewards that come with tunelab, each a number from 0 to 1 by a rule that can be said in a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from tunelab.scoring import extract, number
from tunelab.scoring.guarded import Guarded, TimeUp
from tunelab.scoring.score import Case, Score, Scorer
from tunelab.spec.rewards import PresetReward

#: Seconds that a pattern or an expression may take on one answer.
_CALL_S = 2.0


def preset(part: PresetReward) -> Scorer:
    """Return the scorer of a preset, with its options; `tunelab.spec.rewards.DOES` says what each does."""
    if part.preset == "code":
        from tunelab.scoring.code_tests import CodeTests

        return CodeTests(part.tests or "ground_truth", part.timeout_s or 10.0, part.memory_mb or 512)
    if part.preset == "json_schema":
        from tunelab.scoring.json_answers import JsonAnswers

        return JsonAnswers(part.json_schema)
    if part.preset == "number":
        return _Number(part.tolerance)
    if part.preset == "regex":
        assert part.pattern is not None
        return _Regex(part.pattern, bool(part.full), part.ignore_case)
    if part.preset == "exact":
        return _Rule("exact", _exact(part.ignore_case is not False))
    if part.preset == "length":
        return _Rule("length", _length(part.unit or "words", part.at_least, part.at_most))
    return _Rule("format", _format(part.tags or []))


class _Rule:
    """A rule that needs nothing but the case."""

    def __init__(self, name: str, rule: Callable[[Case], Score]) -> None:
        self.name = name
        self._rule = rule

    def score(self, cases: Sequence[Case]) -> list[Score]:
        return [self._rule(case) for case in cases]

    def metrics(self) -> dict[str, float]:
        return {}

    def close(self) -> None:
        pass


def lacking(case: Case, what: str = "ground_truth") -> Score:
    """Return the score of a case whose row has nothing to compare with."""
    return Score(None, "invalid", note=f"the row has no {what}")


def _exact(ignore_case: bool) -> Callable[[Case], Score]:
    def rule(case: Case) -> Score:
        truths = extract.truths(case.row)
        if not truths:
            return lacking(case)
        given = extract.plain(case.completion, ignore_case)
        return Score(float(any(given == extract.plain(str(truth), ignore_case) for truth in truths)))

    return rule


def _length(unit: str, at_least: int | None, at_most: int | None) -> Callable[[Case], Score]:
    def rule(case: Case) -> Score:
        found = extract.count(case.completion, unit)
        value = 1.0
        if at_least and found < at_least:
            value = (found - at_least / 2) / (at_least / 2)
        elif at_most is not None and found > at_most:
            value = (2 * at_most - found) / at_most if at_most else 0.0
        return Score(max(value, 0.0), note=f"{found} {unit if found != 1 else unit.removesuffix('s')}")

    return rule


def _format(tags: Sequence[str]) -> Callable[[Case], Score]:
    def rule(case: Case) -> Score:
        text = case.completion
        right = [extract.tag(text, name) is not None for name in tags]
        if all(right):
            outside, position = "", 0
            for name in tags:
                start, end = text.index(f"<{name}>"), text.index(f"</{name}>") + len(name) + 3
                if start < position:
                    break
                outside, position = outside + text[position:start], end
            else:
                if not (outside + text[position:]).strip():
                    return Score(1.0)
                return Score(0.5, note="there is text outside the tags")
            return Score(0.5, note="the tags are not in order")
        wrong = ", ".join(f"<{name}>" for name, is_right in zip(tags, right, strict=True) if not is_right)
        return Score(0.5 * sum(right) / len(right), note=f"not there once and closed: {wrong}")

    return rule


class _Number:
    """Compares numbers here, and expressions by math-verify in a process of its own."""

    name = "number"

    def __init__(self, tolerance: float | None) -> None:
        self._tolerance = tolerance
        self._algebra = Guarded("tunelab.scoring.number:same_expression", _CALL_S, (r"\sqrt{12}", r"2\sqrt{3}"))

    def score(self, cases: Sequence[Case]) -> list[Score]:
        return [self._one(case) for case in cases]

    def metrics(self) -> dict[str, float]:
        return {}

    def close(self) -> None:
        self._algebra.close()

    def _one(self, case: Case) -> Score:
        truths = extract.truths(case.row)
        if not truths:
            return lacking(case)
        wanted = [found for truth in truths if (found := number.of_truth(truth)) is not None]
        if not wanted:
            return Score(None, "invalid", note=f"the row's ground_truth has no number: {str(truths[0])[:60]!r}")
        given = number.answer(case.completion)
        if given is None:
            return Score(0.0, parts={"found": 0.0}, note="no number in the answer")
        note = f"{given.text[:60]} for {wanted[0].text[:60]}"
        value = 0.0
        try:
            value = float(any(self._equal(given, truth) for truth in wanted))
        except TimeUp:
            note += f"; not worked out within {_CALL_S:g} s"
        return Score(value, parts={"found": 1.0}, note=" ".join(note.split()))

    def _equal(self, given: number.Answer, truth: number.Answer) -> bool:
        if given.value is not None and truth.value is not None:
            return number.equal(given, truth, self._tolerance)
        if not (number.expressible(given.text) and number.expressible(truth.text)):
            return False
        try:
            return bool(self._algebra.call(given.text, truth.text))
        except ValueError:
            return False


class _Regex:
    """Looks for a pattern in a process of its own, since a pattern may take for ever."""

    name = "regex"

    def __init__(self, pattern: str, full: bool, ignore_case: bool | None) -> None:
        self._pattern = pattern
        self._full = full
        self._fold_pattern = bool(ignore_case)
        self._fold_truth = ignore_case is not False
        self._search = Guarded("tunelab.scoring.presets:search", _CALL_S, ("a", "a", False, False))

    def score(self, cases: Sequence[Case]) -> list[Score]:
        return [self._one(case) for case in cases]

    def metrics(self) -> dict[str, float]:
        return {}

    def close(self) -> None:
        self._search.close()

    def _one(self, case: Case) -> Score:
        text = case.completion.strip()
        if len(text) > extract.LONGEST:
            text = text[-extract.LONGEST :]
        try:
            found = self._search.call(self._pattern, text, self._full, self._fold_pattern)
        except TimeUp:
            return Score(None, "timeout", note=f"the pattern took more than {_CALL_S:g} s on this answer")
        except ValueError as error:
            return Score(None, "error", note=f"the pattern: {error}")
        if found is None:
            return Score(0.0, note="the pattern is not found")
        truths = extract.truths(case.row)
        if not found["groups"] or not truths:
            return Score(1.0)
        given = found["answer"]
        if given is None:
            return Score(0.0, note="the pattern's group is empty")
        given = extract.plain(given, self._fold_truth)
        right = any(given == extract.plain(str(truth), self._fold_truth) for truth in truths)
        note = f"{given[:60]} for {str(truths[0])[:60]}"
        return Score(float(right), note=" ".join(note.split()))


def search(pattern: str, text: str, full: bool, ignore_case: bool) -> dict[str, Any] | None:
    """Return whether a pattern has groups and what its group ``answer``, else its first, holds; None if not found."""
    compiled = re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    found = compiled.fullmatch(text) if full else compiled.search(text)
    if found is None:
        return None
    if compiled.groups == 0:
        return {"groups": 0, "answer": None}
    return {"groups": compiled.groups, "answer": found["answer"] if "answer" in compiled.groupindex else found[1]}
