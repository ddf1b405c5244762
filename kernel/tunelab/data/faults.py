"""What is wrong with a value of a row: absent, null, empty, of another type, or no text that can be kept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

#: In place of a value, where the row has no such field.
ABSENT = object()


@dataclass(frozen=True)
class Fault:
    """What is wrong with a row.

    Attributes
    ----------
    kind
        ``missing``, ``null``, ``empty``, ``type``, ``role``, ``turns``, ``same``, ``text`` or ``form``.
    field
        The name of the field.
    message
        What is wrong and what to do, without the source and the row; `at` puts them before it.
    """

    kind: str
    field: str
    message: str

    def at(self, where: str) -> str:
        """Return the whole sentence for a row, such as ``"rows.csv, row 7: 'chosen' is null. …"``."""
        return f"{where} {self.message}" if self.kind == "missing" else f"{where}: {self.message}"


def value_fault(value: Any, name: str, wanted: str) -> Fault:
    """Return the fault of a value that is not what is `wanted`: absent, null, or of another type."""
    if value is ABSENT:
        return missing(name)
    if value is None:
        return Fault("null", name, f"'{name}' is null. Give it a text, or leave the row out.")
    return Fault("type", name, f"'{name}' is {type_name(value)}; it has to be {wanted}.")


def missing(name: str) -> Fault:
    """Return the fault of a row without the field."""
    return Fault("missing", name, f"has no field '{name}'. Add it, or leave the row out.")


def text_fault(value: str, place: str, name: str) -> Fault | None:
    """Return what is wrong with a text: nothing in it, half a character (a lone surrogate), a zero byte."""
    if not value or value.isspace():
        return Fault("empty", name, f"{place} is empty. Give it a text, or leave the row out.")
    return characters_fault(value, place, name)


def is_good(value: str) -> bool:
    """Return whether a text surely has no fault: most have none, and this is quicker than to look for each."""
    return value.isascii() and "\x00" not in value and not value.isspace() and value != ""


def characters_fault(value: str, place: str, name: str) -> Fault | None:
    """Return what is wrong with the characters of a text, which may be empty."""
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            code = ord(value[error.start])
            return Fault("text", name, f"{place} has half a character (U+{code:04X}) at position {error.start + 1}.")
    if "\x00" in value:
        at = value.index("\x00") + 1
        return Fault("text", name, f"{place} has a zero byte at position {at}; it is not text.")
    return None


def truth_fault(value: Any, name: str) -> Fault | None:
    """Return what is wrong with a ground truth: text, a number, true or false, or a list or mapping of these."""
    if value is ABSENT:
        return missing(name)
    if value is None:
        return Fault("null", name, f"'{name}' is null. Give it an answer, or leave the row out.")
    if isinstance(value, str):
        return text_fault(value, f"'{name}'", name)
    if isinstance(value, (list, dict)) and not value:
        return Fault(
            "empty", name, f"'{name}' is an empty {type_name(value)[2:]}. Give it an answer, or leave the row out."
        )
    return json_fault(value, name)


def json_fault(value: Any, name: str) -> Fault | None:
    """Check that a value is one that JSON has, through and through; nulls and empty texts may stand inside."""
    if value is None or isinstance(value, (bool, int)):
        return None
    if isinstance(value, str):
        return characters_fault(value, f"'{name}'", name)
    if isinstance(value, float):
        if math.isfinite(value):
            return None
        return Fault(
            "type", name, f"'{name}' is or has {value!r}, which is no number. Give it one, or leave the row out."
        )
    if isinstance(value, list):
        return next((fault for item in value if (fault := json_fault(item, name))), None)
    if isinstance(value, dict):
        return next((fault for pair in value.items() for item in pair if (fault := json_fault(item, name))), None)
    return Fault(
        "type",
        name,
        f"'{name}' is or has {type_name(value)}; it has to be text, numbers, or lists and mappings of them.",
    )


def type_name(value: Any) -> str:
    """Return in words what a value is, such as ``a number``."""
    names = {"bool": "true or false", "int": "a number", "float": "a number", "dict": "a mapping", "NoneType": "null"}
    names |= {"str": "text", "list": "a list", "bytes": "bytes"}
    return names.get(type(value).__name__, type(value).__name__)
