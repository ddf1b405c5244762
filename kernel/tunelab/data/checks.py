"""What a technique asks of a row, checked on every row: the fields, their types, and the turns of a conversation.

The forms are TRL's: *standard* (plain text) and *conversational* (lists of messages with `role` and `content`).
"""

from __future__ import annotations

from typing import Any

from tunelab.data.reading import Row
from tunelab.errors import DataError, did_you_mean

#: The sets of fields that each technique takes; the first is the one that error messages name.
FORMS: dict[str, tuple[tuple[str, ...], ...]] = {
    "sft": (("prompt", "completion"), ("messages",)),
    "dpo": (("prompt", "chosen", "rejected"),),
}
ROLES = ("system", "user", "assistant", "tool")


def form_of(technique: str, fields: set[str], source: str) -> tuple[str, ...]:
    """Return the fields that `technique` will read from a dataset with these `fields`.

    Raises
    ------
    DataError
        If no form of the technique fits; the message names what is missing and what is there.
    """
    for form in FORMS[technique]:
        if fields >= set(form):
            return form
    closest = max(FORMS[technique], key=lambda form: len(fields & set(form)))
    missing = [name for name in closest if name not in fields]
    hint = did_you_mean(missing[0], fields)
    hint = hint and hint.replace("Did you mean", "Rename").replace("?", f" to '{missing[0]}'.")
    wanted = " or ".join(", ".join(form) for form in FORMS[technique])
    there = ", ".join(sorted(fields)) or "nothing"
    raise DataError(f"{source} has no field '{missing[0]}'.{hint} {technique} takes {wanted}; the rows have {there}.")


def technique_of(fields: set[str], source: str) -> str:
    """Return the technique whose form fits these fields, the most demanding first."""
    for technique, forms in sorted(FORMS.items(), key=lambda item: -len(item[1][0])):
        if any(fields >= set(form) for form in forms):
            return technique
    wanted = "; ".join(f"{name}: {', '.join(forms[0])}" for name, forms in FORMS.items())
    raise DataError(f"{source} fits no technique ({wanted}). The rows have {', '.join(sorted(fields)) or 'nothing'}.")


class RowChecker:
    """Checks the rows of one dataset in turn: each for itself, and that all are of one form."""

    def __init__(self, technique: str, form: tuple[str, ...], source: str) -> None:
        self.technique = technique
        self.form = form
        self.source = source
        self.conversational: bool | None = None

    def check(self, row: Row, number: int) -> None:
        """Raise `DataError` unless row `number` (counted from 1) can be trained on."""
        where = f"{self.source}, row {number}"
        for name in self.form:
            if name not in row:
                raise DataError(f"{where} has no field '{name}'. Add it, or leave the row out.")
            self._value(row[name], name, where)
            if name != "prompt" and isinstance(row[name], list) and row[name][-1]["role"] != "assistant":
                raise DataError(f"{where}: '{name}' ends with no turn of the assistant, so there is nothing to learn.")
        if "prompt" in self.form and isinstance(row["prompt"], list) and row["prompt"][-1]["role"] == "assistant":
            raise DataError(f"{where}: 'prompt' ends with a turn of the assistant; it belongs to the answer.")
        if self.technique == "dpo" and row["chosen"] == row["rejected"]:
            raise DataError(f"{where}: 'chosen' and 'rejected' are the same, so there is nothing to prefer.")

    def _value(self, value: Any, name: str, where: str) -> None:
        if value is None:
            raise DataError(f"{where}: '{name}' is null. Give it a text, or leave the row out.")
        if isinstance(value, str) and name != "messages":
            conversational = False
            _text(value, f"'{name}'", where)
        elif isinstance(value, list):
            conversational = True
            _messages(value, name, where)
        else:
            wanted = "a list of messages" if name == "messages" else "text or a list of messages"
            raise DataError(f"{where}: '{name}' is {_type_name(value)}; it has to be {wanted}.")
        if self.conversational is None:
            self.conversational = conversational
        elif self.conversational != conversational:
            forms = {True: "a list of messages", False: "plain text"}
            raise DataError(
                f"{where}: '{name}' is {forms[conversational]}, and before it was {forms[self.conversational]}. "
                "Use one form for all rows and fields."
            )


def _messages(value: list[Any], name: str, where: str) -> None:
    if not value:
        raise DataError(f"{where}: '{name}' is an empty list of messages.")
    for turn, message in enumerate(value, 1):
        place = f"'{name}', message {turn}"
        if not isinstance(message, dict) or "role" not in message or "content" not in message:
            raise DataError(f'{where}: {place} is not of the form {{"role": …, "content": …}}.')
        role = message["role"]
        if role not in ROLES:
            hint = did_you_mean(str(role), ROLES) or f" The roles are {', '.join(ROLES)}."
            raise DataError(f"{where}: {place} has the unknown role {role!r}.{hint}")
        if role == "system" and turn > 1:
            raise DataError(f"{where}: {place} is of the system; that turn comes first or not at all.")
        if not isinstance(message["content"], str):
            raise DataError(f"{where}: {place} has {_type_name(message['content'])} as content; it has to be text.")
        _text(message["content"], place, where)


def _text(value: str, place: str, where: str) -> None:
    if not value.strip():
        raise DataError(f"{where}: {place} is empty. Give it a text, or leave the row out.")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"{where}: {place} has half a character (U+{ord(value[error.start]):04X}) at position {error.start + 1}."
        ) from error
    if "\x00" in value:
        raise DataError(f"{where}: {place} has a zero byte at position {value.index(chr(0)) + 1}; it is not text.")


def _type_name(value: Any) -> str:
    names = {"bool": "true or false", "int": "a number", "float": "a number", "dict": "a mapping", "NoneType": "null"}
    names |= {"str": "text", "list": "a list", "bytes": "bytes"}
    return names.get(type(value).__name__, type(value).__name__)
