"""What a technique asks of a row, checked on every row: the fields, their types, and the turns of a conversation.

The forms are TRL's: *standard* (plain text) and *conversational* (lists of messages with `role` and `content`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunelab.data.faults import (
    ABSENT,
    Fault,
    characters_fault,
    is_good,
    json_fault,
    text_fault,
    truth_fault,
    type_name,
    value_fault,
)
from tunelab.data.reading import Row
from tunelab.errors import did_you_mean

ROLES = ("system", "user", "assistant", "tool")
_SPEAKERS = ("user", "assistant")
#: What of a message can reach a model: two messages that differ in nothing of it are the same.
_SEEN = ("role", "content", "tool_calls", "name", "reasoning_content", "thinking")
_SHOWN_ROLE = 40


class RowChecker:
    """Checks the rows of one dataset in turn: each for itself, and that all are of one form.

    Attributes
    ----------
    conversational
        Whether the rows are conversations; None before the first good row.
    """

    def __init__(self, technique: str, form: tuple[str, ...]) -> None:
        self.technique = technique
        self.form = form
        self.conversational: bool | None = None
        self._answers = tuple(name for name in form if name in {"completion", "messages", "chosen", "rejected"})
        self._spoken = tuple(name for name in form if name in {"prompt", *self._answers})
        self._in_words = tuple(name for name in form if name in {"text", "query", "response"})
        self._implicit = form == ("chosen", "rejected")

    def check(self, row: Row) -> Fault | None:
        """Return what is wrong with the row, or None for a good one; never raises."""
        try:
            return self._check(row)
        except RecursionError:
            return Fault("form", self.form[0], f"'{self.form[0]}' or a field beside it is nested too deep to be read.")

    def _check(self, row: Row) -> Fault | None:
        conversational = self.conversational
        for name in self._spoken:
            value = row.get(name, ABSENT)
            if isinstance(value, str) and name != "messages":
                fault = None if is_good(value) else text_fault(value, f"'{name}'", name)
                here = False
            elif isinstance(value, list):
                fault = _messages_fault(value, name)
                here = True
            else:
                wanted = "a list of messages" if name == "messages" else "text or a list of messages"
                return value_fault(value, name, wanted)
            if fault is not None:
                return fault
            if conversational is None:
                conversational = here
            elif conversational is not here:
                forms = {True: "a list of messages", False: "plain text"}
                return Fault(
                    "form",
                    name,
                    f"'{name}' is {forms[here]}, and before it was {forms[conversational]}. "
                    "Use one form for all rows and fields.",
                )
        for name in self._in_words:
            value = row.get(name, ABSENT)
            if not isinstance(value, str):
                return value_fault(value, name, "text")
            fault = None if is_good(value) else text_fault(value, f"'{name}'", name)
            if fault is not None:
                return fault
        fault = self._beside(row, conversational) or (self._turns(row) if conversational else None)
        if fault is None and "rejected" in self.form:
            fault = self._pair(row)
        if fault is None:
            self.conversational = bool(conversational)
        return fault

    def _beside(self, row: Row, conversational: bool | None) -> Fault | None:
        """Check the fields that are neither text nor turns."""
        if "ground_truth" in self.form:
            fault = truth_fault(row.get("ground_truth", ABSENT), "ground_truth")
            if fault is not None:
                return fault
        if self.technique == "evaluation":
            return _evaluation_fault(row)
        return _tools_fault(row["tools"]) if conversational and row.get("tools") is not None else None

    def _turns(self, row: Row) -> Fault | None:
        for name in self._answers:
            if row[name][-1]["role"] != "assistant":
                return Fault(
                    "turns", name, f"'{name}' ends with no turn of the assistant, so there is nothing to learn."
                )
        if "prompt" not in self.form:
            named = [[(name, row[name])] for name in self._answers]
        else:
            if row["prompt"][-1]["role"] == "assistant":
                return Fault("turns", "prompt", "'prompt' ends with a turn of the assistant; it belongs to the answer.")
            prompt = ("prompt", row["prompt"])
            named = [[prompt, (name, row[name])] for name in self._answers] or [[prompt]]
        for parts in named:
            fault = _order_fault(parts)
            if fault is not None:
                return fault
        return None

    def _pair(self, row: Row) -> Fault | None:
        chosen, rejected = row["chosen"], row["rejected"]
        if chosen == rejected or (isinstance(chosen, list) and _seen(chosen) == _seen(rejected)):
            return Fault("same", "chosen", "'chosen' and 'rejected' are the same, so there is nothing to prefer.")
        return _parting_fault(chosen, rejected) if self._implicit else None


def _evaluation_fault(row: Row) -> Fault | None:
    number = row.get("id")
    if isinstance(number, bool) or not isinstance(number, (str, int, float, type(None))):
        return value_fault(number, "id", "text or a number")
    if isinstance(number, (str, float)) and (fault := json_fault(number, "id")):
        return fault
    system = row.get("system")
    if system is not None and not isinstance(system, str):
        return value_fault(system, "system", "text")
    if system and (fault := characters_fault(system, "'system'", "system")):
        return fault
    metadata = row.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        return value_fault(metadata, "metadata", "a mapping")
    return json_fault(metadata, "metadata")


def _tools_fault(value: Any) -> Fault | None:
    if not isinstance(value, list):
        return value_fault(value, "tools", "a list of tool descriptions")
    for number, tool in enumerate(value, 1):
        if not isinstance(tool, dict) or not tool:
            return Fault(
                "type",
                "tools",
                f"'tools', tool {number} is {_hollow(tool)}; it has to be a mapping, such as a JSON schema.",
            )
    return json_fault(value, "tools")


def _hollow(value: Any) -> str:
    return "an empty mapping" if value == {} else type_name(value)


def _messages_fault(value: list[Any], name: str) -> Fault | None:
    """Check each message for itself."""
    if not value:
        return Fault("empty", name, f"'{name}' is an empty list of messages.")
    for turn, message in enumerate(value, 1):
        if type(message) is dict and "tool_calls" not in message:
            role, content = message.get("role"), message.get("content")
            if type(role) is str and role in _SPEAKERS and type(content) is str and is_good(content):
                continue
        fault = _message_fault(message, name, turn)
        if fault is not None:
            return fault
    return None


def _message_fault(message: Any, name: str, turn: int) -> Fault | None:
    place = f"'{name}', message {turn}"
    if not isinstance(message, dict) or "role" not in message:
        return Fault("form", name, f'{place} is not of the form {{"role": …, "content": …}}.')
    role, calls = message["role"], message.get("tool_calls")
    # Tables give every message the keys of all, so that null and an empty list mean none.
    calling = isinstance(role, str) and role == "assistant" and calls is not None and calls != []
    if "content" not in message and not calling:
        return Fault("form", name, f'{place} is not of the form {{"role": …, "content": …}}.')
    if not isinstance(role, str) or role not in ROLES:
        return Fault("role", name, f"{place} has the unknown role {_shown(role)}.{_role_hint(role)}")
    if role == "system" and turn > 1:
        return _late_system(place, name)
    content = message.get("content")
    if calling:
        fault = _calls_fault(calls, place, name)
        if fault is not None:
            return fault
        if content is None or content == "":
            return None
    elif calls is not None and calls != []:
        return Fault("turns", name, f"{place} has tool calls and is of the {role}; only the assistant calls tools.")
    if not isinstance(content, str):
        return Fault("type", name, f"{place} has {type_name(content)} as content; it has to be text.")
    # A tool may have nothing to say, and says so by an empty text.
    if role == "tool" or calling:
        return characters_fault(content, place, name)
    return text_fault(content, place, name)


def _calls_fault(calls: Any, place: str, name: str) -> Fault | None:
    if not isinstance(calls, list):
        return Fault("type", name, f"{place} has {type_name(calls)} as tool_calls; it has to be a list of calls.")
    for number, call in enumerate(calls, 1):
        function = call.get("function") if isinstance(call, dict) else None
        called = function.get("name") if isinstance(function, dict) else None
        if not isinstance(function, dict) or not isinstance(called, str) or not called.strip():
            return Fault(
                "form",
                name,
                f"{place}, tool call {number} is not of the form "
                '{"type": "function", "function": {"name": …, "arguments": …}}.',
            )
        arguments = function.get("arguments")
        if arguments is not None and not isinstance(arguments, (str, dict)):
            return Fault(
                "type",
                name,
                f"{place}, tool call {number} has {type_name(arguments)} as arguments; "
                "they have to be a mapping or its JSON text.",
            )
        fault = json_fault(arguments, name) or characters_fault(called, f"{place}, tool call {number}", name)
        if fault is not None:
            return fault
    return None


#: Who may speak after whom: None is the beginning, "call" a turn of the assistant with tool calls.
_AFTER: dict[str | None, tuple[str, ...]] = {
    None: ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user",),
    "call": ("tool",),
    "tool": ("tool", "assistant"),
}


def _order_fault(parts: Sequence[tuple[str, list[dict[str, Any]]]]) -> Fault | None:
    """Check the turns of one conversation, which may be in two fields: who speaks after whom."""
    before: str | None = None
    for name, messages in parts:
        for turn, message in enumerate(messages, 1):
            role = message["role"]
            if role not in _AFTER[before]:
                return _turn_fault(f"'{name}', message {turn}", name, role, before)
            before = "call" if role == "assistant" and message.get("tool_calls") else role
    if before == "system":
        return Fault("turns", parts[0][0], f"'{parts[0][0]}' has no turn of the user.")
    return None


def _turn_fault(place: str, name: str, role: str, before: str | None) -> Fault:
    if role == "system":
        return _late_system(place, name)
    if role == "tool":
        said = "no tool call of the assistant comes before it"
    elif before in (None, "system"):
        said = "a conversation begins with the user, after at most one turn of the system"
    elif before == "call":
        said = "the tool calls before it have no turn of the tool"
    elif before == "tool":
        said = "after a turn of the tool comes the assistant"
    else:
        said = "the turn before it is too; user and assistant take turns"
    return Fault("turns", name, f"{place} is of the {role}, and {said}.")


def _late_system(place: str, name: str) -> Fault:
    return Fault("turns", name, f"{place} is of the system; that turn comes first or not at all.")


def _seen(messages: list[dict[str, Any]]) -> list[list[Any]]:
    return [[message.get(key) or None for key in _SEEN] for message in messages]


def shared_beginning(chosen: Any, rejected: Any) -> int:
    """Return how many messages, or characters, two answers begin with in common: the implicit prompt, as TRL has it."""
    if isinstance(chosen, list):
        chosen, rejected = _seen(chosen), _seen(rejected)
    length = min(len(chosen), len(rejected))
    count = next((place for place in range(length) if chosen[place] != rejected[place]), length)
    # TRL leaves the space before the first different word to the answers.
    return count - 1 if isinstance(chosen, str) and 0 < count < length and chosen[count - 1] == " " else count


def _parting_fault(chosen: Any, rejected: Any) -> Fault | None:
    """Check that two answers with their prompt in them begin alike and part in what the assistant says."""
    count = shared_beginning(chosen, rejected)
    if not count or (isinstance(chosen, str) and chosen[:count].isspace()):
        return Fault("form", "chosen", "'chosen' and 'rejected' begin with nothing in common, so there is no prompt.")
    for name, value, other in (("chosen", chosen, "rejected"), ("rejected", rejected, "chosen")):
        rest = value[count:]
        if not rest or (isinstance(rest, str) and rest.isspace()):
            return Fault("form", name, f"'{other}' begins with all of '{name}', so '{name}' has no answer of its own.")
        if isinstance(rest, list) and rest[0]["role"] != "assistant":
            return Fault(
                "turns",
                name,
                f"'{name}', message {count + 1} is of the {rest[0]['role']} and differs from that of '{other}'; "
                "they may differ only from a turn of the assistant on.",
            )
    return None


def _shown(role: Any) -> str:
    # A value that is no role may be anything, a text of the data too: it is not repeated at length.
    short = role is None or isinstance(role, (bool, int, float)) or (isinstance(role, str) and len(role) <= _SHOWN_ROLE)
    return repr(role) if short else f"that is {type_name(role)}"


def _role_hint(role: Any) -> str:
    hint = did_you_mean(role, ROLES) if isinstance(role, str) and len(role) <= _SHOWN_ROLE else ""
    return hint or f" The roles are {', '.join(ROLES)}."
