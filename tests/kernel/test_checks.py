"""The checks on a row: each fault by its exact sentence, and no mistake on ten thousand rows changed at random."""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunelab.data.checks import RowChecker
from tunelab.data.faults import Fault
from tunelab.data.formats import Mapping, recognize
from tunelab.errors import DataError

Row = dict[str, Any]

USER, ASSISTANT = {"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Hello."}
SYSTEM = {"role": "system", "content": "Be kind."}
TOOL = {"role": "tool", "content": "21 °C"}
CALL = {"type": "function", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
WEATHER = [USER, CALLING, TOOL, ASSISTANT]

GOOD: dict[str, tuple[str, tuple[str, ...], Row]] = {
    "prompt and completion": ("sft", ("prompt", "completion"), {"prompt": "a", "completion": "b"}),
    "the same in messages": ("sft", ("prompt", "completion"), {"prompt": [SYSTEM, USER], "completion": [ASSISTANT]}),
    "a completion of several turns": (
        "sft",
        ("prompt", "completion"),
        {"prompt": [USER], "completion": [ASSISTANT, USER, ASSISTANT]},
    ),
    "messages": ("sft", ("messages",), {"messages": [USER, ASSISTANT]}),
    "messages of several turns": ("sft", ("messages",), {"messages": [SYSTEM, USER, ASSISTANT, USER, ASSISTANT]}),
    "a tool call and its answer": ("sft", ("messages",), {"messages": WEATHER, "tools": [CALL]}),
    "two tool turns for two calls": (
        "sft",
        ("messages",),
        {"messages": [USER, CALLING | {"tool_calls": [CALL, CALL]}, TOOL, TOOL, ASSISTANT]},
    ),
    "a call upon a call": ("sft", ("messages",), {"messages": [USER, CALLING, TOOL, CALLING, TOOL, ASSISTANT]}),
    "a call at the end": ("sft", ("messages",), {"messages": [USER, CALLING]}),
    "a call without content": (
        "sft",
        ("messages",),
        {"messages": [USER, {"role": "assistant", "tool_calls": [CALL]}]},
    ),
    "a call with words and arguments as a mapping": (
        "sft",
        ("messages",),
        {"messages": [USER, ASSISTANT | {"tool_calls": [{"function": {"name": "f", "arguments": {"a": None}}}]}]},
    ),
    "no calls": ("sft", ("messages",), {"messages": [USER | {"tool_calls": None}, ASSISTANT | {"tool_calls": []}]}),
    "a tool that says nothing": (
        "sft",
        ("messages",),
        {"messages": [USER, CALLING, TOOL | {"content": ""}, ASSISTANT]},
    ),
    "other keys of messages": (
        "sft",
        ("messages",),
        {"messages": [USER | {"name": "Ann"}, ASSISTANT | {"weight": 0, "reasoning_content": "Hm."}]},
    ),
    "text": ("sft", ("text",), {"text": "Once upon a time"}),
    "a pair": ("dpo", ("prompt", "chosen", "rejected"), {"prompt": "a", "chosen": "b", "rejected": "c"}),
    "a pair after a tool": (
        "dpo",
        ("prompt", "chosen", "rejected"),
        {"prompt": WEATHER[:3], "chosen": [ASSISTANT], "rejected": [ASSISTANT | {"content": "No."}]},
    ),
    "a pair of answers that differ in a call": (
        "dpo",
        ("prompt", "chosen", "rejected"),
        {"prompt": [USER], "chosen": [ASSISTANT | {"tool_calls": [CALL]}], "rejected": [ASSISTANT]},
    ),
    "implicit prompt": (
        "dpo",
        ("chosen", "rejected"),
        {"chosen": [USER, ASSISTANT], "rejected": [USER, ASSISTANT | {"content": "No."}]},
    ),
    "implicit prompt in text": ("dpo", ("chosen", "rejected"), {"chosen": "Human: a Good", "rejected": "Human: a Bad"}),
    "a number as the truth": ("rlvr", ("prompt", "ground_truth"), {"prompt": "a", "ground_truth": 0}),
    "a call as the truth": (
        "rlvr",
        ("prompt", "ground_truth"),
        {"prompt": [USER], "ground_truth": {"name": "f", "arguments": {"a": [1.5, None, True, ""]}}},
    ),
    "prompts": ("rlaif", ("prompt",), {"prompt": "a"}),
    "a query": ("evaluation", ("query", "response"), {"query": "a", "response": "b"}),
    "a query with all": (
        "evaluation",
        ("query", "response"),
        {"query": "a", "response": "b", "id": 7, "system": "Be kind.", "metadata": {"level": [1, None]}},
    ),
    "a query with nulls": (
        "evaluation",
        ("query", "response"),
        {"query": "a", "response": "b", "id": None, "system": None, "metadata": None},
    ),
    "tools that are words of a plain row": (
        "sft",
        ("prompt", "completion"),
        {"prompt": "a", "completion": "b", "tools": "hammer"},
    ),
}


@pytest.mark.parametrize(("technique", "form", "row"), GOOD.values(), ids=GOOD.keys())
def test_a_good_row_passes(technique: str, form: tuple[str, ...], row: Row) -> None:
    checker = RowChecker(technique, form)
    assert [checker.check(row), checker.check(row)] == [None, None]
    assert checker.conversational is isinstance(row[form[-1]] if form[-1] != "ground_truth" else row["prompt"], list)


def messages(*turns: Any) -> tuple[str, tuple[str, ...], Row]:
    return "sft", ("messages",), {"messages": list(turns)}


def pair(chosen: Any, rejected: Any) -> tuple[str, tuple[str, ...], Row]:
    return "dpo", ("chosen", "rejected"), {"chosen": chosen, "rejected": rejected}


def calls(*calls: Any) -> tuple[str, tuple[str, ...], Row]:
    return messages(USER, CALLING | {"tool_calls": list(calls)})


def evaluated(**values: Any) -> tuple[str, tuple[str, ...], Row]:
    return "evaluation", ("query", "response"), {"query": "a", "response": "b"} | values


def truth(value: Any) -> tuple[str, tuple[str, ...], Row]:
    return "rlvr", ("prompt", "ground_truth"), {"prompt": "a", "ground_truth": value}


deep: Any = "a"
for _ in range(100_000):
    deep = [deep]

CALL_FORM = (
    "'messages', message 2, tool call 1 is not of the form "
    '{"type": "function", "function": {"name": …, "arguments": …}}.'
)
WRONG: dict[str, tuple[tuple[str, tuple[str, ...], Row], str, str]] = {
    "text missing": (
        ("sft", ("text",), {"txt": "a"}),
        "missing",
        "rows, row 1 has no field 'text'. Add it, or leave the row out.",
    ),
    "text of messages": (
        ("sft", ("text",), {"text": [USER]}),
        "type",
        "rows, row 1: 'text' is a list; it has to be text.",
    ),
    "two turns of the user": (
        messages(USER, USER, ASSISTANT),
        "turns",
        "rows, row 1: 'messages', message 2 is of the user, and the turn before it is too; "
        "user and assistant take turns.",
    ),
    "two turns of the assistant": (
        messages(USER, ASSISTANT, ASSISTANT),
        "turns",
        "rows, row 1: 'messages', message 3 is of the assistant, and the turn before it is too; "
        "user and assistant take turns.",
    ),
    "two turns over two fields": (
        ("sft", ("prompt", "completion"), {"prompt": [USER], "completion": [USER, ASSISTANT]}),
        "turns",
        "rows, row 1: 'completion', message 1 is of the user, and the turn before it is too; "
        "user and assistant take turns.",
    ),
    "the assistant begins": (
        messages(ASSISTANT),
        "turns",
        "rows, row 1: 'messages', message 1 is of the assistant, and a conversation begins with the user, after at "
        "most one turn of the system.",
    ),
    "the assistant after the system": (
        messages(SYSTEM, ASSISTANT),
        "turns",
        "rows, row 1: 'messages', message 2 is of the assistant, and a conversation begins with the user, after at "
        "most one turn of the system.",
    ),
    "the system alone": (
        ("rlaif", ("prompt",), {"prompt": [SYSTEM]}),
        "turns",
        "rows, row 1: 'prompt' has no turn of the user.",
    ),
    "the system in the answer": (
        ("sft", ("prompt", "completion"), {"prompt": [USER], "completion": [SYSTEM, ASSISTANT]}),
        "turns",
        "rows, row 1: 'completion', message 1 is of the system; that turn comes first or not at all.",
    ),
    "a tool out of nowhere": (
        messages(USER, TOOL, ASSISTANT),
        "turns",
        "rows, row 1: 'messages', message 2 is of the tool, and no tool call of the assistant comes before it.",
    ),
    "a tool after words": (
        messages(USER, ASSISTANT, TOOL, ASSISTANT),
        "turns",
        "rows, row 1: 'messages', message 3 is of the tool, and no tool call of the assistant comes before it.",
    ),
    "the user after a call": (
        messages(USER, CALLING, USER, ASSISTANT),
        "turns",
        "rows, row 1: 'messages', message 3 is of the user, and the tool calls before it have no turn of the tool.",
    ),
    "the user after a tool": (
        messages(USER, CALLING, TOOL, USER, ASSISTANT),
        "turns",
        "rows, row 1: 'messages', message 4 is of the user, and after a turn of the tool comes the assistant.",
    ),
    "ends with a tool": (
        messages(USER, CALLING, TOOL),
        "turns",
        "rows, row 1: 'messages' ends with no turn of the assistant, so there is nothing to learn.",
    ),
    "calls of the user": (
        messages(USER | {"tool_calls": [CALL]}, ASSISTANT),
        "turns",
        "rows, row 1: 'messages', message 1 has tool calls and is of the user; only the assistant calls tools.",
    ),
    "calls in text": (
        messages(USER, CALLING | {"tool_calls": "weather()"}),
        "type",
        "rows, row 1: 'messages', message 2 has text as tool_calls; it has to be a list of calls.",
    ),
    "a call in text": (calls("weather()"), "form", f"rows, row 1: {CALL_FORM}"),
    "a call without function": (calls({"name": "weather"}), "form", f"rows, row 1: {CALL_FORM}"),
    "a call without name": (calls({"function": {"name": " "}}), "form", f"rows, row 1: {CALL_FORM}"),
    "arguments that are a number": (
        calls({"function": {"name": "f", "arguments": 5}}),
        "type",
        "rows, row 1: 'messages', message 2, tool call 1 has a number as arguments; "
        "they have to be a mapping or its JSON text.",
    ),
    "content missing": (
        messages(USER, {"role": "assistant"}),
        "form",
        """rows, row 1: 'messages', message 2 is not of the form {"role": …, "content": …}.""",
    ),
    "a role that is a list": (
        messages(USER | {"role": ["user"]}),
        "role",
        "rows, row 1: 'messages', message 1 has the unknown role that is a list. "
        "The roles are system, user, assistant, tool.",
    ),
    "a role that is a long text": (
        messages(USER | {"role": "sk-" + "x" * 60}),
        "role",
        "rows, row 1: 'messages', message 1 has the unknown role that is text. "
        "The roles are system, user, assistant, tool.",
    ),
    "tools in text": (
        ("sft", ("messages",), {"messages": WEATHER, "tools": "[]"}),
        "type",
        "rows, row 1: 'tools' is text; it has to be a list of tool descriptions.",
    ),
    "a tool in text": (
        ("sft", ("messages",), {"messages": WEATHER, "tools": [CALL, "weather"]}),
        "type",
        "rows, row 1: 'tools', tool 2 is text; it has to be a mapping, such as a JSON schema.",
    ),
    "answers that differ only in what no model sees": (
        (
            "dpo",
            ("prompt", "chosen", "rejected"),
            {"prompt": [USER], "chosen": [ASSISTANT], "rejected": [ASSISTANT | {"weight": 1}]},
        ),
        "same",
        "rows, row 1: 'chosen' and 'rejected' are the same, so there is nothing to prefer.",
    ),
    "nothing in common": (
        pair("Good", "Bad"),
        "form",
        "rows, row 1: 'chosen' and 'rejected' begin with nothing in common, so there is no prompt.",
    ),
    "no first message in common": (
        pair([USER, ASSISTANT], [USER | {"content": "Ho?"}, ASSISTANT]),
        "form",
        "rows, row 1: 'chosen' and 'rejected' begin with nothing in common, so there is no prompt.",
    ),
    "one is the beginning of the other": (
        pair([USER, ASSISTANT], [USER, ASSISTANT, USER, ASSISTANT]),
        "form",
        "rows, row 1: 'rejected' begins with all of 'chosen', so 'chosen' has no answer of its own.",
    ),
    "parting in what the user says": (
        pair([USER, ASSISTANT, USER, ASSISTANT], [USER, ASSISTANT, USER | {"content": "Ho?"}, ASSISTANT]),
        "turns",
        "rows, row 1: 'chosen', message 3 is of the user and differs from that of 'rejected'; "
        "they may differ only from a turn of the assistant on.",
    ),
    "no truth": (
        ("rlvr", ("prompt", "ground_truth"), {"prompt": "a"}),
        "missing",
        "rows, row 1 has no field 'ground_truth'. Add it, or leave the row out.",
    ),
    "truth null": (
        truth(None),
        "null",
        "rows, row 1: 'ground_truth' is null. Give it an answer, or leave the row out.",
    ),
    "truth empty": (truth(" "), "empty", "rows, row 1: 'ground_truth' is empty. Give it a text, or leave the row out."),
    "truth an empty list": (
        truth([]),
        "empty",
        "rows, row 1: 'ground_truth' is an empty list. Give it an answer, or leave the row out.",
    ),
    "truth not a number": (
        truth(float("nan")),
        "type",
        "rows, row 1: 'ground_truth' is or has nan, which is no number. Give it one, or leave the row out.",
    ),
    "truth of bytes": (
        truth([b"a"]),
        "type",
        "rows, row 1: 'ground_truth' is or has bytes; it has to be text, numbers, or lists and mappings of them.",
    ),
    "truth with half a character": (
        truth({"a": ["b\udfff"]}),
        "text",
        "rows, row 1: 'ground_truth' has half a character (U+DFFF) at position 2.",
    ),
    "truth too deep": (
        truth(deep),
        "form",
        "rows, row 1: 'prompt' or a field beside it is nested too deep to be read.",
    ),
    "query of messages": (evaluated(query=[USER]), "type", "rows, row 1: 'query' is a list; it has to be text."),
    "response null": (
        evaluated(response=None),
        "null",
        "rows, row 1: 'response' is null. Give it a text, or leave the row out.",
    ),
    "id true": (evaluated(id=True), "type", "rows, row 1: 'id' is true or false; it has to be text or a number."),
    "system a list": (evaluated(system=["a"]), "type", "rows, row 1: 'system' is a list; it has to be text."),
    "metadata text": (evaluated(metadata="a"), "type", "rows, row 1: 'metadata' is text; it has to be a mapping."),
}


@pytest.mark.parametrize(("case", "kind", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_row_is_told_in_one_sentence(case: tuple[str, tuple[str, ...], Row], kind: str, message: str) -> None:
    technique, form, row = case
    fault = RowChecker(technique, form).check(row)
    assert fault is not None
    assert fault.at("rows, row 1") == message
    assert fault.kind == kind
    assert f"'{fault.field}'" in message


def test_a_faulty_first_row_does_not_set_the_form_of_all() -> None:
    checker = RowChecker("sft", ("prompt", "completion"))
    assert checker.check({"prompt": [USER], "completion": "b"}) is not None
    assert checker.conversational is None
    assert checker.check({"prompt": "a", "completion": "b"}) is None
    said = checker.check({"prompt": [USER], "completion": [ASSISTANT]})
    assert said is not None
    assert said.message == (
        "'prompt' is a list of messages, and before it was plain text. Use one form for all rows and fields."
    )


# Ten thousand rows changed at random. What is a fault is known by how the row was changed, and not from the checker.

Rng = random.Random
TEXTS = (
    "a",
    "Why?",
    "42",
    "  indented",
    "é😀",
    "line\nand line",
    "null",
    "\u200bmarked",
    '{"role": "user"}',
    "x" * 500,
)
BLANK = ("", " ", "\n\t", "\u2003")
BROKEN = ("ab\ud800", "\udfff", "a\x00b")
NO_TEXT = (None, True, {}, {"a": 1}, [], ["a"], [1], [{}], [None], [[]], b"a")


def text(rng: Rng, start: str) -> str:
    return f"{start} {rng.random()} {rng.choice(TEXTS)}"


def turn(rng: Rng, role: str) -> Row:
    made = {"role": role, "content": text(rng, role)}
    if rng.random() < 0.1:
        made |= rng.choice([{"name": None}, {"weight": 0}, {"tool_calls": None}, {"tool_calls": []}, {"x": [{}]}])
    return made


def call(rng: Rng) -> Row:
    arguments = rng.choice(['{"a": 1}', "", {"a": [None, 1.5]}, {}, None])
    made = {
        "role": "assistant",
        "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": arguments}}],
    }
    return made | rng.choice([{}, {"content": None}, {"content": ""}, {"content": "Let me see."}])


def asked(rng: Rng) -> list[Row]:
    """A conversation up to where the assistant has to answer."""
    made = [turn(rng, "system")] if rng.random() < 0.3 else []
    for _ in range(rng.choice([0, 0, 1, 2])):
        made += [turn(rng, "user"), turn(rng, "assistant")]
    made.append(turn(rng, "user"))
    for _ in range(rng.choice([0, 0, 1, 2])):
        made += [call(rng), *[turn(rng, "tool")] * rng.choice([1, 2])]
    return made


def answered(rng: Rng, mark: str = "") -> list[Row]:
    made = [turn(rng, "assistant") | {"content": text(rng, mark or "Well")}]
    if rng.random() < 0.2:
        made += [turn(rng, "user"), call(rng)]
    return made


def sharegpt(rng: Rng) -> Row:
    made = [{"from": "system", "value": text(rng, "s")}] if rng.random() < 0.3 else []
    for _ in range(rng.choice([1, 2])):
        made += [{"from": "human", "value": text(rng, "h")}, {"from": "gpt", "value": text(rng, "g")}]
    return {"conversations": made}


def implicit(rng: Rng) -> Row:
    start = asked(rng)
    return {"chosen": copy.deepcopy(start) + answered(rng, "good"), "rejected": start + answered(rng, "bad")}


#: Name: technique asked for, a good row, its fields of text, its fields of messages, fields where a number is good too.
FORMS: dict[str, tuple[str | None, Callable[[Rng], Row], tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "sft": (None, lambda r: {"prompt": text(r, "p"), "completion": text(r, "c")}, ("prompt", "completion"), (), ()),
    "sft chat": (
        None,
        lambda r: {"prompt": asked(r), "completion": answered(r)},
        (),
        ("prompt", "completion"),
        (),
    ),
    "sft messages": (None, lambda r: {"messages": asked(r) + answered(r)}, (), ("messages",), ()),
    "sft text": (None, lambda r: {"text": text(r, "t")}, ("text",), (), ()),
    "dpo": (
        None,
        lambda r: {"prompt": text(r, "p"), "chosen": text(r, "good"), "rejected": text(r, "bad")},
        ("prompt", "chosen", "rejected"),
        (),
        (),
    ),
    "dpo chat": (
        None,
        lambda r: {"prompt": asked(r), "chosen": answered(r, "good"), "rejected": answered(r, "bad")},
        (),
        ("prompt", "chosen", "rejected"),
        (),
    ),
    "dpo implicit": (None, implicit, (), ("chosen", "rejected"), ()),
    "dpo implicit text": (
        None,
        lambda r: {
            "chosen": f"{(start := text(r, 'Human:'))} Assistant: good {r.random()}",
            "rejected": f"{start} Assistant: bad {r.random()}",
        },
        ("chosen", "rejected"),
        (),
        (),
    ),
    "rlvr": (
        None,
        lambda r: {"prompt": text(r, "p"), "ground_truth": text(r, "g")},
        ("prompt", "ground_truth"),
        (),
        ("ground_truth",),
    ),
    "rlvr chat": (None, lambda r: {"prompt": asked(r), "ground_truth": {"a": [1]}}, (), ("prompt",), ("ground_truth",)),
    "rlaif": ("rlaif", lambda r: {"prompt": text(r, "p")}, ("prompt",), (), ()),
    "evaluation": (None, lambda r: {"query": text(r, "q"), "response": text(r, "r")}, ("query", "response"), (), ()),
    "Alpaca": (
        None,
        lambda r: {"instruction": text(r, "i"), "input": r.choice(["", "x", None]), "output": text(r, "o")},
        ("instruction", "output"),
        (),
        (),
    ),
    "Alpaca dpo": (
        None,
        lambda r: {"instruction": text(r, "i"), "input": "", "chosen": text(r, "good"), "rejected": text(r, "bad")},
        ("instruction", "chosen", "rejected"),
        (),
        (),
    ),
    "ShareGPT": (None, sharegpt, (), ("conversations",), ()),
    "OpenAI dpo": (
        None,
        lambda r: {
            "input": {"messages": asked(r), "tools": []},
            "preferred_output": answered(r, "good"),
            "non_preferred_output": answered(r, "bad"),
        },
        (),
        ("preferred_output", "non_preferred_output"),
        (),
    ),
    "question": (
        None,
        lambda r: {"question": text(r, "q"), "answer": text(r, "a")},
        ("question", "answer"),
        (),
        (),
    ),
    "question and number": (
        "sft",
        lambda r: {"input": text(r, "q"), "target": r.choice([r.randrange(100), r.random()])},
        ("input", "target"),
        (),
        ("target",),
    ),
    "gsm8k": (
        "rlvr",
        lambda r: {"question": text(r, "q"), "answer": f"{text(r, 'a')} #### {r.randrange(10**6):,}"},
        ("question", "answer"),
        (),
        (),
    ),
    "text and label": (
        None,
        lambda r: {"text": text(r, "t"), "category": r.choice(["card", "cash"])},
        ("text", "category"),
        (),
        (),
    ),
    "verl": (
        None,
        lambda r: {"data_source": "x", "prompt": asked(r), "reward_model": {"ground_truth": "4"}},
        (),
        ("prompt",),
        (),
    ),
    "evaluation of dpo": (
        "evaluation",
        lambda r: {"prompt": text(r, "p"), "chosen": text(r, "good"), "rejected": text(r, "bad")},
        ("prompt", "chosen"),
        (),
        (),
    ),
}


def break_text(rng: Rng, row: Row, name: str, numbers: bool) -> None:
    """Make a field of text faulty."""
    if rng.random() < 0.2:
        del row[name]
    else:
        wrong = [*BLANK, *BROKEN, *NO_TEXT]
        row[name] = rng.choice(wrong if numbers else [*wrong, 5, 1.5])


def break_messages(rng: Rng, row: Row, name: str) -> None:
    """Make a list of messages faulty."""
    keys = ("from", "value") if name == "conversations" else ("role", "content")
    turns = row[name]
    where = rng.randrange(len(turns))
    plain = [at for at, one in enumerate(turns) if not one.get("tool_calls") and one.get(keys[0]) != "tool"]
    how = rng.randrange(10)
    tools = [at for at, one in enumerate(turns) if one.get("role") == "tool"]
    if how == 0:
        del row[name]
    elif how == 1:
        # Where nothing else is spoken, a prompt of text is a good one if it is in the first row.
        alone = name == "prompt" and not row.keys() & {"completion", "chosen"}
        row[name] = rng.choice([None, 5, True, {}, [], b"a", *BLANK, *([] if alone else ["text"])])
    elif how == 2:
        turns[where] = rng.choice([None, 5, "text", [], {}, {keys[1]: "a"}])
    elif how == 3:
        turns[where][keys[0]] = rng.choice([None, 5, "", "usr", "User", [], {}, "x" * 99])
    elif how == 4 and plain:
        turns[rng.choice(plain)][keys[1]] = rng.choice([*BLANK, *BROKEN, *NO_TEXT, 5])
    elif how == 5 and keys[0] == "role":
        # Nobody but the assistant calls, and what is called has a name.
        if turns[where]["role"] == "assistant":
            turns[where]["tool_calls"] = rng.choice([5, "f()", {}, [5], [{}], [{"function": {"arguments": "{}"}}]])
        else:
            turns[where]["tool_calls"] = [{"function": {"name": "f", "arguments": "{}"}}]
    elif how == 6:
        late = {keys[0]: "system", keys[1]: "a"}
        turns.insert(rng.randrange(1, len(turns) + 1), late)
    elif how == 7 and tools:
        # What a tool says is for the assistant.
        turns.insert(tools[-1] + 1, {"role": "user", "content": "a"})
    elif how == 8:
        # Twice the same speaker, but the tool, who may: no longer in turn.
        at = rng.choice(plain or [0])
        turns.insert(at, copy.deepcopy(turns[at]))
        if turns[at].get("tool_calls"):
            turns[at][keys[0]] = "nobody"
    else:
        human, tool = ("human", "tool") if keys[0] == "from" else ("user", "tool")
        if name == "prompt":
            turns.append({"role": "assistant", "content": "a"})
        else:
            turns.append({keys[0]: rng.choice([human, tool]), keys[1]: "a"})


def spoil(rng: Rng, kind: str, row: Row) -> bool:
    """Change a good row; return whether it is a faulty one now."""
    _, _, words, chats, numbers = FORMS[kind]
    how = rng.random()
    if how < 0.35 and words:
        name = rng.choice(words)
        any_value = kind.startswith("rlvr") and name == "ground_truth"
        if any_value:
            row[name] = rng.choice([None, [], {}, *BLANK, *BROKEN, [BROKEN[0]], float("nan"), b"a", [b"a"]])
        else:
            break_text(rng, row, name, name in numbers)
        return True
    if how < 0.5 and chats:
        break_messages(rng, row, rng.choice(chats))
        return True
    if how < 0.55 and "chosen" in row and kind != "evaluation of dpo":
        row["chosen"] = copy.deepcopy(row["rejected"])
        return True
    if how < 0.6 and kind == "gsm8k":
        row["answer"] = rng.choice(["no mark", "#### ", "1 ####"])
        return True
    if how < 0.6 and kind == "verl":
        row["reward_model"] = rng.choice([None, {}, "4", {"ground_truth": None}, {"ground_truth": []}])
        return True
    # Harmless: other columns, another order, a number where one is read as text, a blank input.
    row["beside"] = rng.choice([None, 5, [], {"a": [None]}, "", "ab\ud800", float("nan")])
    if numbers and how > 0.9:
        row[rng.choice(numbers)] = rng.choice([5, 1.5, -3])
    for name in rng.sample(list(row), len(row)):
        row[name] = row.pop(name)
    return False


#: So many rows at a time, of one form: 30,000 in all.
BATCH = 20


@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**48), kind=st.sampled_from(sorted(FORMS)))
def test_no_faulty_row_passes_and_no_good_row_is_refused(seed: int, kind: str) -> None:
    rng = random.Random(seed)
    technique, make, *_ = FORMS[kind]
    rows, faulty = [], []
    for number in range(BATCH):
        row = make(rng)
        # No more than a third, so that what most of the rows are can be seen.
        if rng.random() < 0.6 and len(faulty) < BATCH // 3 and spoil(rng, kind, row):
            faulty.append(number)
        rows.append(row)
    before = copy.deepcopy(rows)
    mapping = recognize(rows, technique, None, "rows")
    checker = RowChecker(mapping.technique, mapping.form)
    found = []
    for number, row in enumerate(rows):
        made = mapping.convert(row)
        fault = made if isinstance(made, Fault) else checker.check(made)
        if fault is not None:
            found.append(number)
            assert "\n" not in fault.at("rows, row 1")
            assert len(fault.message) < 300
    assert found == faulty, [rows[number] for number in sorted({*found} ^ {*faulty})]
    assert repr(rows) == repr(before), "rows are read, and not changed"


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=3)
    | st.sampled_from([*BROKEN, "user", "assistant", "tool", object(), {1}, (1, 2), complex(1)]),
    lambda inside: (
        st.lists(inside, max_size=4)
        | st.dictionaries(
            st.sampled_from(["role", "content", "tool_calls", "function", "name", "from", "value", "messages", 5]),
            inside,
        )
    ),
    max_leaves=12,
)
NAMES = (
    *("prompt", "completion", "messages", "text", "chosen", "rejected", "ground_truth", "query", "response", "tools"),
    *("instruction", "input", "output", "system", "history", "conversations", "reward_model", "question", "answer"),
    *(
        "preferred_output",
        "non_preferred_output",
        "label",
        "category",
        "output_1",
        "output_2",
        "id",
        "metadata",
        "body",
    ),
)
ROWS = st.lists(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6), min_size=1, max_size=4)


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=ROWS, technique=st.sampled_from([None, "sft", "dpo", "rlvr", "rlaif", "evaluation"]))
def test_whatever_a_row_holds_there_is_a_sentence_and_no_traceback(rows: list[Row], technique: str | None) -> None:
    with contextlib.suppress(DataError):
        mapping = recognize(rows, technique, None, "rows")
        read(mapping, rows)


def read(mapping: Mapping, rows: list[Row]) -> None:
    checker = RowChecker(mapping.technique, mapping.form)
    for row in rows:
        made = mapping.convert(row)
        fault = made if isinstance(made, Fault) else checker.check(made)
        if fault is not None:
            continue
        for name in mapping.form:
            value = made[name]
            if name == "ground_truth":
                assert value is not None and value not in ("", [], {})
            elif isinstance(value, str):
                assert value.strip() and "\x00" not in value and value.encode()
            else:
                assert checker.conversational and all(one["role"] for one in value)


@settings(max_examples=600, deadline=None)
@given(value=VALUES, name=st.sampled_from(["prompt", "chosen", "rejected"]))
def test_a_text_is_good_when_it_can_be_written_and_read(value: Any, name: str) -> None:
    row = {"prompt": "a?", "chosen": "good one", "rejected": "bad one"}
    checker = RowChecker("dpo", tuple(row))
    assert checker.check(row) is None
    good = isinstance(value, str) and bool(value.strip()) and "\x00" not in value
    if good:
        try:
            value.encode()
        except UnicodeEncodeError:
            good = False
    assert (checker.check(row | {name: value}) is None) is good
