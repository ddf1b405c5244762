"""A validation's first fault as one sentence: which key, what is wrong, and the nearest right thing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from tunelab.errors import did_you_mean, listing

#: What ``api_key`` is, where a value is refused, which is not shown.
KEY_IS = "it is the name of an environment variable that holds the key, such as OPENAI_API_KEY, never the key itself"
#: Values that are never shown: they may hold a key.
_SECRET = ("api_key", "base_url")
_LONGEST = 120


def sentence(error: ValidationError, model: type[BaseModel]) -> str:
    """Return what is wrong with a mapping that was to be a `model`.

    Of a union, the branch whose keys fit best is told of; places in lists count from 1.
    """
    return fault(error, model)[1]


def fault(error: ValidationError, model: type[BaseModel]) -> tuple[str, str]:
    """Return the key that the first fault is of, with dots, and the sentence; as `sentence` does."""
    first = _of_the_likeliest_branch(error.errors(include_url=False))
    path, holder = _walk(first["loc"], model)
    return ".".join(path), _said(first, path, holder)


def _said(first: Any, path: list[str], holder: type[BaseModel] | None) -> str:
    where = ".".join(path)
    last = path[-1] if path else ""
    if first["type"] == "extra_forbidden":
        keys = _keys(holder) if holder else []
        hint = did_you_mean(last, keys) or f" Its keys are {listing(keys, 20)}."
        return f"Unknown key '{where}' in the spec.{hint}"
    if first["type"] == "missing":
        return f"{where}: it is missing."
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if first["msg"].startswith("Input should be "):
        message = f"it should be {message}"
    if last == "api_key":
        message = KEY_IS
    if first["type"] == "string_pattern_mismatch" and (last == "name" or where.endswith(".name")):
        message = "it has letters, digits, '.', '_' and '-', begins with a letter or digit, and is at most 100 long"
    if last == "device":
        message = "it is auto, cpu, cuda, cuda:N or mps"
    if first["type"] in ("model_type", "model_attributes_type", "dict_type") and holder is not None:
        message = f"it is a mapping with keys such as {listing(_keys(holder), 4)}"
    shown = not isinstance(first["input"], (dict, list)) and last not in _SECRET and bool(path)
    given = f" (got {_shown(first['input'])})" if shown else ""
    if not path:
        return f"{message[:1].upper()}{message[1:]}."
    return f"{where}: {message[:1].lower()}{message[1:]}{given}."


def _of_the_likeliest_branch(faults: Sequence[Any]) -> Any:
    """Return the first fault, but for one that only says that another kind of value would do as well."""
    first = faults[0]
    kind = ("string_type", "model_type", "model_attributes_type", "dict_type", "list_type")
    if first["type"] not in kind or not isinstance(first["input"], (dict, list)):
        return first
    begin = first["loc"][:-1]
    deeper = [fault for fault in faults if fault["loc"][: len(begin)] == begin and fault["type"] not in kind]
    return deeper[0] if deeper else first


def _walk(loc: Sequence[int | str], model: type[BaseModel]) -> tuple[list[str], type[BaseModel] | None]:
    """Return a fault's path without the names of branches, and the model that holds its last key."""
    path: list[str] = []
    holder: type[BaseModel] | None = model
    at: list[type[BaseModel]] = [model]
    for part in loc:
        if isinstance(part, int):
            path.append(str(part + 1))
            continue
        if named := [one for one in at if one.__name__ == part]:
            at, holder = named, named[0]
            continue
        found = next(
            ((one, name) for one in at for name in one.model_fields if part in (name, _alias(one, name))), None
        )
        if found is None:
            if not re.fullmatch(r"(str|int|float|bool|list|dict|function-|constrained)[\w\[\]\-(), ]*", part):
                path.append(part)
                holder = at[0] if at else None
            continue
        holder, name = found
        path.append(part)
        at = _models(holder.model_fields[name].annotation)
    return path, at[0] if at and loc and not isinstance(loc[-1], int) and _is_model_fault(path, holder) else holder


def _is_model_fault(path: list[str], holder: type[BaseModel] | None) -> bool:
    return (
        bool(path)
        and holder is not None
        and path[-1] in holder.model_fields
        and bool(_models(holder.model_fields[path[-1]].annotation))
    )


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, UnionType, Annotated, list, dict):
        return [model for inner in get_args(annotation) for model in _models(inner)]
    return []


def _alias(model: type[BaseModel], name: str) -> str | None:
    return model.model_fields[name].alias


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
