"""Answers that are to be JSON: whether they are, whether they keep to a schema, and how many values are right."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from tunelab.errors import SpecError
from tunelab.scoring import extract, number
from tunelab.scoring.guarded import Guarded, TimeUp
from tunelab.scoring.score import Case, Score

#: Seconds that a schema with patterns may take on one answer.
_CALL_S = 2.0
_MISSING = object()


class JsonAnswers:
    """Scores answers as JSON.

    Parameters
    ----------
    schema
        A JSON schema; None wants an object with exactly the ground truth's keys.

    Raises
    ------
    SpecError
        If it is no JSON schema.
    """

    name = "json_schema"

    def __init__(self, schema: dict[str, Any] | None) -> None:
        if schema is not None:
            check(schema)
        self._schema = schema
        self._guard = Guarded("tunelab.scoring.json_answers:fault", _CALL_S, ({}, None))
        # A pattern may take for ever on the wrong text.
        self._guarded = '"pattern' in json.dumps(schema)

    def score(self, cases: Sequence[Case]) -> list[Score]:
        return [self._one(case) for case in cases]

    def metrics(self) -> dict[str, float]:
        return {}

    def close(self) -> None:
        self._guard.close()

    def _one(self, case: Case) -> Score:
        truth: Any = case.row.get("ground_truth")
        has_truth = truth is not None and truth != ""
        if isinstance(truth, str) and has_truth:
            try:
                truth = parse(truth)
            except ValueError:
                return Score(None, "invalid", note="the row's ground_truth is no JSON")
        if not has_truth and self._schema is None:
            return Score(None, "invalid", note="the row has no ground_truth, and there is no schema")
        parts = {"parsed": 0.0, "valid": 0.0} | ({"right": 0.0} if has_truth else {})
        try:
            given = parse(extract.unfenced(case.completion))
        except ValueError as error:
            return Score(0.0, parts=parts, note=f"no JSON: {error}")
        parts["parsed"] = 1.0
        try:
            wrong = self._fault(given, truth)
        except TimeUp:
            return Score(None, "timeout", parts, f"the schema took more than {_CALL_S:g} s on this answer")
        except ValueError as error:
            return Score(None, "invalid", parts, f"the schema cannot be used: {error}")
        parts["valid"] = float(not wrong)
        if not has_truth:
            return Score((1.0 + parts["valid"]) / 2, parts=parts, note=wrong)
        parts["right"] = right(given, truth)
        return Score(0.2 * parts["valid"] + 0.8 * parts["right"], parts=parts, note=wrong)

    def _fault(self, given: Any, truth: Any) -> str:
        if self._schema is not None:
            found = self._guard.call(self._schema, given) if self._guarded else fault(self._schema, given)
            return str(found)
        if not isinstance(truth, dict):
            return "" if type(given) is type(truth) else f"it is no {_kind(truth)}"
        if not isinstance(given, dict):
            return "it is no object"
        if lacks := sorted(truth.keys() - given.keys()):
            return f"it lacks '{lacks[0]}'"
        more = sorted(given.keys() - truth.keys())
        return f"it has '{more[0][:60]}', which is not wanted" if more else ""


def parse(text: str) -> Any:
    """Return a JSON text's value.

    Raises
    ------
    ValueError
        If it is none. NaN and Infinity, which Python reads, are none.
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def check(schema: dict[str, Any]) -> None:
    """Check that a schema is one. The kernel does so by `task.run`: jsonschema takes seconds to import.

    Raises
    ------
    SpecError
        If it is none.
    """
    from jsonschema import exceptions, validators
    from jsonschema.validators import Draft202012Validator

    try:
        validators.validator_for(schema, default=Draft202012Validator).check_schema(schema)
    except exceptions.SchemaError as error:
        raise SpecError(f"reward.schema is no JSON schema: at {error.json_path}, {error.message[:200]}") from None


def fault(schema: dict[str, Any], given: Any) -> str:
    """Return what a schema has against a value, or an empty text.

    Raises
    ------
    ValueError
        If the schema refers to what is not in it: nothing is fetched.
    """
    from jsonschema import exceptions, validators
    from jsonschema.validators import Draft202012Validator
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    kind = validators.validator_for(schema, default=Draft202012Validator)
    try:
        # A registry of one's own fetches nothing.
        first = exceptions.best_match(kind(schema, registry=Registry()).iter_errors(given))
    except Unresolvable as error:
        raise ValueError(f"it refers to {str(getattr(error, 'ref', error))[:200]}, which is not in it") from None
    except RecursionError:
        raise ValueError("it refers to itself without end, or the answer is nested too deeply") from None
    if first is None:
        return ""
    return " ".join(f"{first.json_path}: {first.message}".split())[:200]


def right(given: Any, truth: Any) -> float:
    """Return the share of values that are right, of those that are wanted and those that are there beside them.

    Objects are taken apart down to their values; a list is one value. Texts are compared without case and outer white
    space, numbers by value, also where one is a text.
    """
    if not isinstance(truth, dict):
        return float(same(given, truth))
    wanted, found = dict(_leaves(truth)), dict(_leaves(given)) if isinstance(given, dict) else {}
    every = wanted.keys() | found.keys()
    if not every:
        return float(given == truth)
    return sum(same(found.get(path, _MISSING), wanted.get(path, _MISSING)) for path in every) / len(every)


def same(given: Any, truth: Any) -> bool:
    """Tell whether two values of JSON mean the same."""
    if given is _MISSING or truth is _MISSING:
        return False
    if isinstance(given, bool) or isinstance(truth, bool) or given is None or truth is None:
        return given is truth or _word(given) == _word(truth) != ""
    if isinstance(given, dict) and isinstance(truth, dict):
        return given.keys() == truth.keys() and all(same(given[key], truth[key]) for key in truth)
    if isinstance(given, list) and isinstance(truth, list):
        return len(given) == len(truth) and all(same(*pair) for pair in zip(given, truth, strict=True))
    if isinstance(given, (dict, list)) or isinstance(truth, (dict, list)):
        return False
    if isinstance(given, str) and isinstance(truth, str) and extract.plain(given) == extract.plain(truth):
        return True
    one, two = (_number(each) for each in (given, truth))
    return one is not None and two is not None and number.equal(one, two)


def _number(value: Any) -> number.Answer | None:
    """Return the number that a value is, not one that is somewhere in it."""
    text = str(value).strip()
    found = number.answer(text) if len(text) < 100 else None
    return found if found is not None and found.text == text else None


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.strip().lower() if isinstance(value, str) else ""


def _leaves(value: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield from _leaves(inner, (*path, key))
        else:
            yield (*path, key), inner


def _kind(value: Any) -> str:
    return {list: "list", str: "text", bool: "true or false", type(None): "null"}.get(type(value), "number")


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
