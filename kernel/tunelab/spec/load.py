"""From YAML, keywords and `--set` to a validated spec, with errors of one line that name the nearest right thing."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from tunelab.errors import SpecError, did_you_mean, listing
from tunelab.spec import faults, rewards
from tunelab.spec.customize import SPLIT_IS, TECHNIQUES, Adapter, Compute, CustomizeSpec, Tracking
from tunelab.spec.evaluate import METHODS as EVALUATION_METHODS
from tunelab.spec.evaluate import EvaluateSpec
from tunelab.spec.faults import KEY_IS
from tunelab.spec.hyperparameters import METHODS, catalog, method_of


@dataclass(frozen=True)
class Fault:
    """What is wrong with a spec: the key, with dots, and the sentence."""

    path: str
    message: str


_SECTIONS: dict[str, type[BaseModel]] = {"adapter": Adapter, "compute": Compute, "tracking": Tracking}


def from_yaml(text: str) -> dict[str, Any]:
    """Return the mapping that a YAML body says.

    Raises
    ------
    SpecError
        If it is not YAML, or not a mapping; the message names the line.
    """
    try:
        loaded = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SpecError(f"The YAML cannot be read{where}: {getattr(error, 'problem', error)}.") from error
    except (ValueError, RecursionError) as error:  # such as the date 2024-13-45
        raise SpecError(f"The YAML cannot be read: {error}.") from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise SpecError(f"The spec is a mapping of keys such as 'model: smollm2-135m', and got {_kind(loaded)}.")
    return loaded


def from_file(path: str | Path) -> dict[str, Any]:
    """Return the mapping that a YAML file says.

    Raises
    ------
    SpecError
        If there is no such file, or it cannot be read.
    """
    path = Path(os.path.expanduser(path))
    if not os.path.isfile(path):
        raise SpecError(f"There is no spec file {path}.")
    try:
        return from_yaml(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise SpecError(f"{path} is not UTF-8 text.") from error


def assignment(text: str) -> tuple[str, Any]:
    """Split ``key=value`` as given to ``--set``; the value is read as YAML reads a scalar or list."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise SpecError(f"--set takes key=value, such as learning_rate=1e-5, and got '{text}'.")
    try:
        return key.strip(), yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SpecError(f"--set {key.strip()}: the value '{value}' cannot be read.") from error


def override(data: dict[str, Any], key: str, value: Any) -> None:
    """Set one key of a spec's mapping in place.

    A dotted path goes down (``adapter.r``); a bare name is a hyperparameter, or else a key of the spec itself.
    """
    path = key.split(".")
    technique = data.get("technique")
    if len(path) == 1:
        known = catalog(method_of(technique, data.get("algorithm"))) if technique in TECHNIQUES else {}
        if key in CustomizeSpec.model_fields and key not in known:
            if key in _SECTIONS or key == "hyperparameters":
                raise SpecError(f"--set {key}: name a key of it, such as {key}.{_example(key)}.")
            data[key] = value
            return
        path = ["hyperparameters", key]
    _set(data, path, value)


def set_at(data: dict[str, Any], key: str, value: Any) -> None:
    """Set one key of an evaluate spec's mapping in place; a dotted path goes down (``generation.temperature``)."""
    _set(data, key.split("."), value)


def _set(data: dict[str, Any], path: list[str], value: Any) -> None:
    target = data
    for part in path[:-1]:
        target[part] = dict(target[part]) if isinstance(target.get(part), dict) else target.get(part) or {}
        target = target[part]
        if not isinstance(target, dict):
            raise SpecError(f"--set {'.'.join(path)}: '{part}' holds a value, not keys.")
    target[path[-1]] = value


def customize(data: dict[str, Any]) -> CustomizeSpec:
    """Validate a mapping as a customize spec.

    Raises
    ------
    SpecError
        For an unknown key, a missing one, or a value that cannot be; one line, the first fault.
    """
    if found := customize_faults(data):
        raise SpecError(found[0].message)
    return CustomizeSpec.model_validate(_without_empty_sections(data))


def customize_faults(data: dict[str, Any]) -> list[Fault]:
    """Return all that is wrong with a mapping as a customize spec, the first as `customize` raises it."""
    data = _without_empty_sections(data)
    required = ("technique", "model", "dataset", "name")
    found = [Fault(key, f"The spec lacks '{key}'.{_missing_hint(key)}") for key in required if data.get(key) is None]
    technique = data.get("technique")
    if technique is not None and technique not in TECHNIQUES:
        hint = did_you_mean(str(technique), TECHNIQUES)
        found.append(Fault("technique", f"Unknown technique '{technique}'.{hint} There are {listing(TECHNIQUES)}."))
    try:
        CustomizeSpec.model_validate(data)
    except ValidationError as error:
        known = {fault.path for fault in found}
        for each in error.errors(include_url=False):
            fault = _fault(each)
            # Each branch of a union that failed has a fault of its own; the first is told.
            if fault.path not in known:
                known.add(fault.path)
                found.append(fault)
    return found


def named(message: str) -> str:
    """Return the first key of a customize spec that a sentence names, such as ``adapter.r``; empty where it is none."""
    sections = "|".join([*_SECTIONS, "hyperparameters", "reward"])
    keys = "|".join(CustomizeSpec.model_fields)
    match = re.search(rf"\b(?:(?:{sections})\.\w+|(?:{keys})\b)", message)
    return match[0] if match else ""


def _without_empty_sections(data: dict[str, Any]) -> dict[str, Any]:
    # A section whose lines are all commented out reads as null.
    return {
        key: value for key, value in data.items() if value is not None or key not in (*_SECTIONS, "hyperparameters")
    }


def evaluate(data: dict[str, Any]) -> EvaluateSpec:
    """Validate a mapping as an evaluate spec; where no method is named, it is the one that what is given belongs to.

    Raises
    ------
    SpecError
        For an unknown key, a missing one, or a value that cannot be; one line, the first fault.
    """
    data = _with_method(data)
    if found := evaluate_faults(data):
        raise SpecError(found[0].message)
    return EvaluateSpec.model_validate(data)


def evaluate_faults(data: dict[str, Any]) -> list[Fault]:
    """Return what is wrong with a mapping as an evaluate spec: nothing, or the first fault, as `evaluate` raises it."""
    data = _with_method(data)
    given = [key for key in ("judge", "scorer", "benchmark") if data.get(key)]
    if "method" not in data:
        has = f"{listing(given)} at once" if given else "none of them"
        return [Fault("method", f"An evaluation takes a judge, a scorer or a benchmark, and has {has}.")]
    if data["method"] not in EVALUATION_METHODS:
        hint = did_you_mean(str(data["method"]), EVALUATION_METHODS)
        said = f"Unknown method '{data['method']}'.{hint} There are {listing(EVALUATION_METHODS)}."
        return [Fault("method", said)]
    try:
        EvaluateSpec.model_validate(data)
    except ValidationError as error:
        return [Fault(*faults.fault(error, EvaluateSpec))]
    return []


def _with_method(data: dict[str, Any]) -> dict[str, Any]:
    """Return the mapping without what is null, with the method that what is given belongs to."""
    data = {key: value for key, value in data.items() if value is not None}
    given = [key for key in ("judge", "scorer", "benchmark") if data.get(key)]
    return data if "method" in data or len(given) != 1 else data | {"method": given[0]}


def _fault(first: Any) -> Fault:
    path = [str(part) for part in first["loc"]]
    if path and path[0] == "reward":
        return _of_the_reward(first, path)
    if first["type"] == "extra_forbidden":
        where = ".".join(path)
        model = _SECTIONS.get(path[0], CustomizeSpec) if len(path) > 1 else CustomizeSpec
        hint = did_you_mean(path[-1], model.model_fields)
        if not hint and len(path) == 1 and path[0] in {key for method in METHODS for key in catalog(method)}:
            hint = f" It is a hyperparameter: write it under 'hyperparameters', or --set {path[0]}=…"
        said = f"Unknown key '{where}' in the spec.{hint or f' Its keys are {listing(model.model_fields, 20)}.'}"
        return Fault(where, said)
    # Of a union, the branch that failed stands in the path too.
    where = ".".join(part for part in path if part not in ("float", "int", "str", "list[str]"))
    message = first["msg"].removeprefix("Value error, ")
    if where == "split":
        message = SPLIT_IS
    elif where == "name" or where.endswith(".name"):
        message = "it has letters, digits, '.', '_' and '-', begins with a letter or digit, and is at most 100 long"
    given = f" (got {_shown(first['input'])})" if not isinstance(first["input"], dict) else ""
    said = f"{where or 'The spec'}: {message[:1].lower()}{message[1:]}{given}."
    return Fault(where or named(message), said)


def _of_the_reward(fault: Any, path: list[str]) -> Fault:
    """Return what is wrong with a part of the reward; parts of a list count from 1."""
    # The branches of the union stand in the path, before what is in them.
    kind, rest = "", path[1:]
    path = path[:1]
    if rest and rest[0] == "list":
        path, rest = path + rest[1:2], rest[2:]
    if rest and rest[0] in rewards.TAGS:
        kind, rest = rest[0], rest[1:]
    path = path + rest
    where = ".".join(str(int(part) + 1) if part.isdigit() else part for part in path)
    models: dict[str, type[BaseModel]] = {
        "function": rewards.FunctionReward,
        "preset": rewards.PresetReward,
        "feedback": rewards.FeedbackReward,
    }
    model = models.get(kind)
    if fault["type"] == "extra_forbidden" and model is not None:
        keys = {field.alias or name for name, field in model.model_fields.items()}
        hint = did_you_mean(path[-1], keys) or f" Its keys are {listing(keys, 20)}."
        return Fault(where, f"Unknown key '{where}' in the spec.{hint}")
    if fault["type"] == "literal_error" and path[-1] == "preset":
        hint = did_you_mean(str(fault["input"]), rewards.PRESETS)
        return Fault(
            where, f"{where}: there is no preset {fault['input']!r}.{hint} There are {listing(rewards.PRESETS)}."
        )
    if fault["type"] == "missing":
        return Fault(where, f"{where}: it is missing, and {_REWARD_KINDS[kind]} needs it.")
    if fault["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return Fault(where, f"{where}: it is a function's name, a preset, or a mapping such as {{preset: number}}.")
    message = fault["msg"].removeprefix("Value error, ")
    given = f" (got {_shown(fault['input'])})" if not isinstance(fault["input"], (dict, list)) else ""
    if path[-1] in ("api_key", "base_url"):
        # It may hold the key itself.
        given = ""
    if path[-1] == "api_key":
        message = KEY_IS
    return Fault(where, f"{where}: {message[:1].lower()}{message[1:]}{given}.")


_REWARD_KINDS = {"function": "a function's reward", "preset": "a preset", "feedback": "a reward prompt"}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:120]}…"


def _missing_hint(key: str) -> str:
    return {
        "technique": f" It is one of {', '.join(TECHNIQUES)}.",
        "model": " It is a catalog name such as smollm2-135m, a hub id, or a local folder.",
        "dataset": " It is a file, a registered dataset, a hub id, or a variable that holds a DataFrame.",
        "name": " It names the custom model that comes out.",
    }[key]


def _example(key: str) -> str:
    return {"adapter": "r", "compute": "device", "tracking": "experiment"}.get(key, "learning_rate")


def _kind(value: Any) -> str:
    return {"str": "a text", "list": "a list", "int": "a number", "float": "a number"}.get(
        type(value).__name__, type(value).__name__
    )
