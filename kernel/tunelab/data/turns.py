"""Conversations of other forms as lists of messages: OpenAI's chat files and ShareGPT's."""

from __future__ import annotations

import json
import re
from typing import Any

from tunelab.data.faults import ABSENT, Fault, missing, type_name, value_fault
from tunelab.data.mapping import Convert, nothing
from tunelab.data.reading import Row

_SPEAKERS = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "system": "system",
    "tool": "tool",
    "observation": "tool",
    "function_response": "tool",
}
_CALL = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)
_RESPONSE = re.compile(r"\s*<tool_response>\s*(.*?)\s*</tool_response>\s*", re.DOTALL)


def prompt_of(row: Row, text: str) -> Any:
    """Return a row's `system`, `history` (pairs of a question and an answer) and a text as messages."""
    messages = []
    system = row.get("system")
    if system is not None and not isinstance(system, str):
        return value_fault(system, "system", "text")
    if system and not system.isspace():
        messages.append({"role": "system", "content": system})
    history = row.get("history")
    for pair in history if isinstance(history, list) else []:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            return Fault("form", "history", "'history' is no list of pairs of a question and its answer.")
        messages += [{"role": "user", "content": pair[0]}, {"role": "assistant", "content": pair[1]}]
    return [*messages, {"role": "user", "content": text}]


# OpenAI.


def has_calls(messages: list[Any]) -> bool:
    """Return whether a message has tool calls."""
    return any(isinstance(message, dict) and message.get("tool_calls") for message in messages)


def from_openai(messages: Any) -> Any:
    """Return messages with `developer` as `system`, parts of text joined, and function calls as tool calls.

    Returns the list itself where there is nothing of these in it.
    """
    if not isinstance(messages, list):
        return messages
    for message in messages:
        if isinstance(message, dict) and (
            message.get("role") in ("developer", "function")
            or isinstance(message.get("content"), list)
            or isinstance(message.get("function_call"), dict)
        ):
            return [_openai_message(message) for message in messages]
    return messages


def _openai_message(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    made = dict(message)
    role, parts, call = made.get("role"), made.get("content"), made.get("function_call")
    if role == "developer":
        made["role"] = "system"
    elif role == "function":
        made["role"] = "tool"
    if isinstance(parts, list) and parts and all(_is_text_part(part) for part in parts):
        made["content"] = "".join(part["text"] for part in parts)
    if isinstance(call, dict) and not made.get("tool_calls"):
        del made["function_call"]
        made["tool_calls"] = [{"type": "function", "function": call}]
    return made


def _is_text_part(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type", "text") == "text" and isinstance(part.get("text"), str)


def openai_row(row: Row) -> Row | Fault:
    """Return a row with `messages`."""
    messages = row.get("messages")
    made = from_openai(messages)
    return row if made is messages else {"messages": made, **{key: row[key] for key in row if key != "messages"}}


def openai_preference(row: Row) -> Row | Fault:
    """Return a row of `input`, `preferred_output` and `non_preferred_output` as prompt, chosen and rejected."""
    asked = row.get("input", ABSENT)
    if fault := nothing(asked, "input"):
        return fault
    if not isinstance(asked, dict):
        return value_fault(asked, "input", 'a mapping with "messages"')
    if fault := nothing(asked.get("messages", ABSENT), "input.messages"):
        return fault
    made = {"prompt": from_openai(asked["messages"])}
    for target, origin in (("chosen", "preferred_output"), ("rejected", "non_preferred_output")):
        value = row.get(origin, ABSENT)
        if fault := nothing(value, origin):
            return fault
        made[target] = from_openai(value)
    if asked.get("tools"):
        made["tools"] = asked["tools"]
    gone = {*made, "input", "preferred_output", "non_preferred_output"}
    return made | {key: value for key, value in row.items() if key not in gone}


# ShareGPT.


def is_sharegpt(messages: Any) -> bool:
    """Return whether messages have `from` and `value`."""
    first = messages[0] if isinstance(messages, list) and messages else None
    return isinstance(first, dict) and "from" in first and "value" in first


def sharegpt_row(name: str) -> Convert:
    """Return the conversion of rows with a ShareGPT conversation in a column to rows with `messages`."""

    def convert(row: Row) -> Row | Fault:
        messages = _conversation(row, name)
        if isinstance(messages, Fault):
            return messages
        return {"messages": messages, **_beside(row, {"messages", name})}

    return convert


def sharegpt_pair(name: str) -> Convert:
    """Return the conversion of a conversation with a chosen and a rejected next turn."""

    def convert(row: Row) -> Row | Fault:
        prompt = _conversation(row, name)
        if isinstance(prompt, Fault):
            return prompt
        made: Row = {"prompt": prompt}
        for target in ("chosen", "rejected"):
            value = row.get(target, ABSENT)
            if fault := nothing(value, target):
                return fault
            if isinstance(value, str):
                value = {"from": "gpt", "value": value}
            turns = [_turn(item, target, 1) for item in (value if isinstance(value, list) else [value])]
            if fault := next((turn for turn in turns if isinstance(turn, Fault)), None):
                return fault
            made[target] = turns
        return made | _beside(row, {*made, name})

    return convert


def _conversation(row: Row, name: str) -> list[dict[str, Any]] | Fault:
    value = row.get(name, ABSENT)
    if value is ABSENT:
        return missing(name)
    if not isinstance(value, list):
        return value_fault(value, name, 'a list of turns, each {"from": …, "value": …}')
    if not value:
        return Fault("empty", name, f"'{name}' is an empty list of turns.")
    system = row.get("system")
    if system is not None and not isinstance(system, str):
        return value_fault(system, "system", "text")
    messages = []
    for number, item in enumerate(value, 1):
        turn = _turn(item, name, number)
        if isinstance(turn, Fault):
            return turn
        messages.append(turn)
    if system and not system.isspace() and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": system})
    return messages


def _turn(item: Any, name: str, number: int) -> dict[str, Any] | Fault:
    place = f"'{name}', turn {number}"
    if isinstance(item, dict) and "from" not in item and "role" in item:
        return item
    if not isinstance(item, dict) or "from" not in item or "value" not in item:
        return Fault("form", name, f'{place} is not of the form {{"from": …, "value": …}}.')
    speaker, value = item["from"], item["value"]
    if not isinstance(value, str):
        return Fault("type", name, f"{place} has {type_name(value)} as value; it has to be text.")
    if speaker == "function_call":
        call = _parsed(value)
        return call or Fault("form", name, f'{place} is no tool call, such as {{"name": …, "arguments": {{…}}}}.')
    role = _SPEAKERS.get(speaker) if isinstance(speaker, str) else None
    if role is None:
        return Fault("role", name, f"{place} is from an unknown speaker. They are human, gpt, system and tool.")
    if role == "assistant" and "<tool_call>" in value:
        return _calling(value)
    if role == "tool" and (wrapped := _RESPONSE.fullmatch(value)):
        value = wrapped[1]
    message = {"role": role, "content": value}
    return message | {"weight": item["weight"]} if "weight" in item else message


def _calling(value: str) -> dict[str, Any]:
    """Return an answer with its calls in tags as a message with tool calls; as it is where one of them is no JSON."""
    calls = [_parsed(text) for text in _CALL.findall(value)]
    if not calls or any(call is None for call in calls):
        return {"role": "assistant", "content": value}
    return {
        "role": "assistant",
        "content": _CALL.sub("", value).strip(),
        "tool_calls": [call["tool_calls"][0] for call in calls if call],
    }


def _parsed(text: str) -> dict[str, Any] | None:
    call = _loaded(text)
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        return None
    function = {"name": call["name"], "arguments": call.get("arguments", {})}
    return {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": function}]}


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _beside(row: Row, gone: set[str]) -> Row:
    """Return the other columns, tools in their JSON text read."""
    kept = {key: value for key, value in row.items() if key not in gone and key != "system"}
    tools = kept.get("tools")
    if isinstance(tools, str):
        kept["tools"] = (_loaded(tools) or tools) if tools.strip() else None
    return kept
