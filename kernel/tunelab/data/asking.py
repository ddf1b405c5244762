"""Prompts and answers taken out of rows for another technique: queries for an evaluation, prompts for rewards."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tunelab.data.checks import RowChecker, shared_beginning
from tunelab.data.faults import Fault, value_fault
from tunelab.data.mapping import Convert, Mapping
from tunelab.data.reading import Row

#: What stands before the number in an answer of GSM8K.
GSM8K = "####"


def as_text(value: Any) -> Any:
    """Return a number as text, 43.0 as ``43``; all else as it is."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def final_answer(convert: Convert, column: str) -> Convert:
    """Return the conversion whose ground truth is what follows ``####`` in an answer, without commas."""

    def converted(row: Row) -> Row | Fault:
        made = convert(row)
        if isinstance(made, Fault):
            return made
        answer = made["ground_truth"]
        if not isinstance(answer, str):
            return value_fault(answer, column, "text")
        _, mark, number = answer.rpartition(GSM8K)
        number = number.strip().replace(",", "")
        if not mark or not number:
            return Fault(
                "form", column, f"'{column}' has no {GSM8K} with the result after it. Add it, or leave the row out."
            )
        return made | {"ground_truth": number}

    return converted


def truths(mapping: Mapping) -> Mapping:
    """Return the mapping of prompts and completions to prompts and ground truths."""
    words = dict(mapping.columns)
    columns = (("prompt", words["prompt"]), ("ground_truth", words["completion"]))

    def convert(row: Row) -> Row | Fault:
        made = mapping.convert(row)
        if isinstance(made, Fault):
            return made
        answer = made["completion"]
        rest = {name: value for name, value in made.items() if name not in ("prompt", "completion", "ground_truth")}
        truth = _said(answer) or answer
        return {"prompt": made["prompt"], "ground_truth": truth, **rest}

    return Mapping(mapping.name, "rlvr", ("prompt", "ground_truth"), columns, convert)


def prompts(mapping: Mapping, technique: str) -> Mapping:
    """Return the mapping to prompts alone: what comes before the last answer."""
    words = dict(mapping.columns)
    if "prompt" in mapping.form:
        return Mapping(mapping.name, technique, ("prompt",), (("prompt", words["prompt"]),), mapping.convert)
    field = mapping.form[0]
    take = _before_last if field == "messages" else _shared

    def convert(row: Row) -> Row | Fault:
        made = mapping.convert(row)
        if isinstance(made, Fault):
            return made
        prompt = take(made)
        if isinstance(prompt, Fault):
            return prompt
        return {"prompt": prompt, **{name: value for name, value in made.items() if name not in ("prompt", field)}}

    origin = "before the last answer" if field == "messages" else "what both answers begin with"
    return Mapping(mapping.name, technique, ("prompt",), (("prompt", f"{words[field]}, {origin}"),), convert)


def _before_last(row: Row) -> Any:
    messages = row.get("messages")
    if isinstance(messages, list) and messages and isinstance(messages[-1], dict):
        # Conversations without an answer are prompts as they are.
        return messages[:-1] if messages[-1].get("role") == "assistant" else messages
    return RowChecker("sft", ("messages",)).check(row) or messages


def _shared(row: Row) -> Any:
    fault = RowChecker("dpo", ("chosen", "rejected")).check(row)
    return fault or row["chosen"][: shared_beginning(row["chosen"], row["rejected"])]


def queries(mapping: Mapping) -> Mapping:
    """Return the mapping to an evaluation: the prompt as query, the completion, better answer or truth as response.

    Of prompts alone there is no response.
    """
    words = dict(mapping.columns)
    asked, answered, part = _PARTS[mapping.form]
    # Of a preference only the better answer is read, so that the other need not be good.
    read = tuple(name for name in mapping.form if name != "rejected") if "prompt" in mapping.form else mapping.form

    checker = RowChecker(mapping.technique, read)

    def convert(row: Row) -> Row | Fault:
        made = mapping.convert(row)
        if isinstance(made, Fault):
            return made
        # An evaluation takes text from conversations and from plain rows alike.
        checker.conversational = None
        fault = checker.check(made)
        if fault is not None:
            return fault
        prompt, answer = part(made)
        if isinstance(prompt, str):
            system = made.get("system")
        else:
            system = prompt[0]["content"] if prompt[0]["role"] == "system" else made.get("system")
            prompt = prompt[1:] if prompt[0]["role"] == "system" else prompt
        if isinstance(prompt, list):
            if len(prompt) > 1:
                return Fault(
                    "form",
                    asked,
                    f"'{asked}' has {len(prompt)} turns before the answer; an evaluation asks one. Leave the row out.",
                )
            prompt = prompt[0]["content"]
        taken = {"query": prompt}
        response = _said(answer)
        if answered and not isinstance(response, str):
            return Fault(
                "form",
                answered,
                f"'{answered}' has an answer of several turns or of tool calls; an evaluation takes one text. "
                "Leave the row out.",
            )
        if answered:
            taken["response"] = response
        if system is not None:
            taken["system"] = system
        gone = {*taken, asked, answered}
        taken |= {name: value for name, value in made.items() if name not in gone}
        metadata = taken.get("metadata")
        if metadata is not None and not isinstance(metadata, dict):
            # Another set's column of that name may be anything.
            taken["metadata"] = {"metadata": metadata}
        return taken

    if not answered:
        return Mapping(mapping.name, "evaluation", ("query",), (("query", words[asked]),), convert)
    said = words[answered] + {"messages": ", the last answer", "ground_truth": ", as text"}.get(answered, "")
    columns = (("query", words.get(asked, asked)), ("response", said))
    return Mapping(mapping.name, "evaluation", ("query", "response"), columns, convert)


def _said(answer: Any) -> Any:
    if not isinstance(answer, list):
        return answer
    if len(answer) == 1 and isinstance(answer[0], dict) and answer[0].get("role") == "assistant":
        return None if answer[0].get("tool_calls") else answer[0].get("content")
    return None


def _checked(row: Row) -> tuple[Any, Any]:
    truth = row["ground_truth"]
    as_json = isinstance(truth, (bool, list, dict))
    return row["prompt"], json.dumps(truth, ensure_ascii=False) if as_json else as_text(truth)


def _implicit(row: Row) -> tuple[Any, Any]:
    count = shared_beginning(row["chosen"], row["rejected"])
    answer = row["chosen"][count:]
    return row["chosen"][:count], answer.strip() if isinstance(answer, str) else answer


#: By form: the fields that the prompt and the answer are in, and what takes them out.
_PARTS: dict[tuple[str, ...], tuple[str, str, Callable[[Row], tuple[Any, Any]]]] = {
    ("prompt", "completion"): ("prompt", "completion", lambda row: (row["prompt"], row["completion"])),
    ("messages",): ("messages", "messages", lambda row: (row["messages"][:-1], row["messages"][-1:])),
    ("prompt", "chosen", "rejected"): ("prompt", "chosen", lambda row: (row["prompt"], row["chosen"])),
    ("chosen", "rejected"): ("chosen", "chosen", _implicit),
    ("prompt", "ground_truth"): ("prompt", "ground_truth", _checked),
    ("prompt",): ("prompt", "", lambda row: (row["prompt"], None)),
}
