"""Forms of rows: recognized and mapped, or set by `columns=`; and the files that they are read from."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunelab.data.checks import RowChecker
from tunelab.data.faults import Fault
from tunelab.data.formats import FORMS, Mapping, form_of, recognize
from tunelab.data.reading import Row, read_file, read_files, read_table
from tunelab.errors import DataError


def user(text: str) -> Row:
    return {"role": "user", "content": text}


def assistant(text: str) -> Row:
    return {"role": "assistant", "content": text}


def system(text: str) -> Row:
    return {"role": "system", "content": text}


def calls(name: str, arguments: Any) -> list[Row]:
    return [{"type": "function", "function": {"name": name, "arguments": arguments}}]


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(DataError) as caught:
        call()
    return str(caught.value)


def checked(mapping: Mapping, rows: list[Row]) -> list[Row]:
    """Return the rows as they are mapped; all of them have to be good."""
    checker = RowChecker(mapping.technique, mapping.form)
    made = [mapping.convert(row) for row in rows]
    assert [row if isinstance(row, Fault) else checker.check(row) for row in made] == [None] * len(rows)
    return [row for row in made if not isinstance(row, Fault)]


CHAT = [system("s"), user("q"), assistant("a")]
SHAREGPT = [{"from": "system", "value": "s"}, {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
HERMES = [
    {"from": "human", "value": "Weather in Ulm?"},
    {
        "from": "gpt",
        "value": 'Let me see.\n<tool_call>\n{"name": "weather", "arguments": {"city": "Ulm"}}\n</tool_call>',
    },
    {"from": "tool", "value": "<tool_response>\n21 °C\n</tool_response>"},
    {"from": "gpt", "value": "21 °C."},
]
GLAIVE = [
    {"from": "human", "value": "Weather in Ulm?"},
    {"from": "function_call", "value": '{"name": "weather", "arguments": {"city": "Ulm"}}'},
    {"from": "observation", "value": "21 °C"},
    {"from": "gpt", "value": "21 °C."},
]
VERL = {
    "data_source": "openai/gsm8k",
    "prompt": [user("q")],
    "ability": "math",
    "reward_model": {"style": "rule", "ground_truth": "72"},
    "extra_info": {"index": 0},
}

#: Name: the form's name, the technique asked for, a row, the technique found, the columns in words, the row it becomes.
KNOWN: dict[str, tuple[str, str | None, Row, str, dict[str, str], Row]] = {
    "Alpaca": (
        "Alpaca",
        None,
        {"instruction": "Add.", "input": "1, 2", "output": "3", "id": 7},
        "sft",
        {"prompt": "instruction and input", "completion": "output"},
        {"prompt": "Add.\n\n1, 2", "completion": "3", "id": 7},
    ),
    "Alpaca without input": (
        "Alpaca",
        None,
        {"instruction": "Hi", "input": "", "output": "Hello"},
        "sft",
        {"prompt": "instruction and input", "completion": "output"},
        {"prompt": "Hi", "completion": "Hello"},
    ),
    "Alpaca with a system text and a history": (
        "Alpaca",
        None,
        {"instruction": "q", "input": None, "output": "a", "system": "s", "history": [["q0", "a0"]]},
        "sft",
        {"prompt": "system and instruction and input", "completion": "output"},
        {"prompt": [system("s"), user("q0"), assistant("a0"), user("q")], "completion": [assistant("a")]},
    ),
    "Alpaca with chosen and rejected": (
        "Alpaca",
        None,
        {"instruction": "Add.", "input": "1, 2", "output": "3", "rejected": "No.", "chosen": "3"},
        "dpo",
        {"prompt": "instruction and input", "chosen": "chosen", "rejected": "rejected"},
        {"prompt": "Add.\n\n1, 2", "chosen": "3", "rejected": "No.", "output": "3"},
    ),
    "Dolly": (
        "Alpaca",
        None,
        {"instruction": "Who?", "context": "It was Ann.", "response": "Ann"},
        "sft",
        {"prompt": "instruction and context", "completion": "response"},
        {"prompt": "Who?\n\nIt was Ann.", "completion": "Ann"},
    ),
    "ShareGPT": (
        "ShareGPT",
        None,
        {"id": "x", "conversations": SHAREGPT},
        "sft",
        {"messages": "conversations"},
        {"messages": CHAT, "id": "x"},
    ),
    "ShareGPT in messages": (
        "ShareGPT",
        None,
        {"messages": SHAREGPT},
        "sft",
        {"messages": "messages"},
        {"messages": CHAT},
    ),
    "ShareGPT with a system column": (
        "ShareGPT",
        None,
        {"conversations": SHAREGPT[1:], "system": "s", "tools": '[{"name": "f"}]'},
        "sft",
        {"messages": "system and conversations"},
        {"messages": CHAT, "tools": [{"name": "f"}]},
    ),
    "ShareGPT with calls in tags": (
        "ShareGPT",
        None,
        {"conversations": HERMES},
        "sft",
        {"messages": "conversations"},
        {
            "messages": [
                user("Weather in Ulm?"),
                assistant("Let me see.") | {"tool_calls": calls("weather", {"city": "Ulm"})},
                {"role": "tool", "content": "21 °C"},
                assistant("21 °C."),
            ]
        },
    ),
    "ShareGPT with turns of calls": (
        "ShareGPT",
        None,
        {"conversations": GLAIVE},
        "sft",
        {"messages": "conversations"},
        {
            "messages": [
                user("Weather in Ulm?"),
                assistant("") | {"tool_calls": calls("weather", {"city": "Ulm"})},
                {"role": "tool", "content": "21 °C"},
                assistant("21 °C."),
            ]
        },
    ),
    "ShareGPT with chosen and rejected": (
        "ShareGPT",
        None,
        {"conversations": SHAREGPT[:2], "chosen": SHAREGPT[2], "rejected": {"from": "gpt", "value": "b"}},
        "dpo",
        {"prompt": "conversations", "chosen": "chosen", "rejected": "rejected"},
        {"prompt": CHAT[:2], "chosen": CHAT[2:], "rejected": [assistant("b")]},
    ),
    "OpenAI chat": (
        "OpenAI chat",
        None,
        {"messages": CHAT, "tools": [{"type": "function"}]},
        "sft",
        {"messages": "messages"},
        {"messages": CHAT, "tools": [{"type": "function"}]},
    ),
    "OpenAI chat with a developer, parts and a function call": (
        "OpenAI chat",
        None,
        {
            "messages": [
                {"role": "developer", "content": "s"},
                {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
                {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
                {"role": "function", "name": "f", "content": "1"},
                assistant("One."),
            ]
        },
        "sft",
        {"messages": "messages, in the roles and texts of today"},
        {
            "messages": [
                system("s"),
                user("ab"),
                {"role": "assistant", "content": None, "tool_calls": calls("f", "{}")},
                {"role": "tool", "name": "f", "content": "1"},
                assistant("One."),
            ]
        },
    ),
    "OpenAI preferences": (
        "OpenAI chat",
        None,
        {
            "input": {"messages": [user("q")], "tools": [{"type": "function"}], "parallel_tool_calls": True},
            "preferred_output": [assistant("a")],
            "non_preferred_output": [assistant("b")],
        },
        "dpo",
        {"prompt": "input.messages", "chosen": "preferred_output", "rejected": "non_preferred_output"},
        {
            "prompt": [user("q")],
            "chosen": [assistant("a")],
            "rejected": [assistant("b")],
            "tools": [{"type": "function"}],
        },
    ),
    "question and answer": (
        "question and answer",
        None,
        {"question": "q", "answer": "a"},
        "sft",
        {"prompt": "question", "completion": "answer"},
        {"prompt": "q", "completion": "a"},
    ),
    "question, chosen and rejected with a system text": (
        "question and answer",
        None,
        {"system": "s", "question": "q", "chosen": "a", "rejected": "b"},
        "dpo",
        {"prompt": "system and question", "chosen": "chosen", "rejected": "rejected"},
        {"prompt": CHAT[:2], "chosen": [assistant("a")], "rejected": [assistant("b")]},
    ),
    "a number as the answer": (
        "question and answer",
        None,
        {"input": "q", "target": 43.0},
        "rlvr",
        {"prompt": "input", "ground_truth": "target"},
        {"prompt": "q", "ground_truth": 43.0},
    ),
    "a number as the answer, to learn": (
        "question and answer",
        "sft",
        {"input": "q", "target": 43.0},
        "sft",
        {"prompt": "input", "completion": "target, as text"},
        {"prompt": "q", "completion": "43"},
    ),
    "a story and a question": (
        "question and answer",
        None,
        {"Answer": 5, "Question": "How many?", "Body": "Two and three", "ID": "x"},
        "rlvr",
        {"prompt": "Body and Question", "ground_truth": "Answer"},
        {"prompt": "Two and three\nHow many?", "ground_truth": 5, "ID": "x"},
    ),
    "gsm8k": (
        "gsm8k",
        "rlvr",
        {"question": "q", "answer": "12 * 100 = 1200\n#### 1,200"},
        "rlvr",
        {"prompt": "question", "ground_truth": "answer, what follows ####"},
        {"prompt": "q", "ground_truth": "1200"},
    ),
    "gsm8k, to evaluate": (
        "question and answer",
        "evaluation",
        {"question": "q", "answer": "12 * 100 = 1200\n#### 1,200"},
        "evaluation",
        {"query": "question", "response": "answer"},
        {"query": "q", "response": "12 * 100 = 1200\n#### 1,200"},
    ),
    "text and label": (
        "text and label",
        None,
        {"text": "My card?", "category": "card_arrival"},
        "sft",
        {"prompt": "text", "completion": "category"},
        {"prompt": "My card?", "completion": "card_arrival"},
    ),
    "text and number": (
        "text and label",
        None,
        {"text": "My card?", "label": 1},
        "sft",
        {"prompt": "text", "completion": "label, as text"},
        {"prompt": "My card?", "completion": "1"},
    ),
    "verl": (
        "verl",
        None,
        VERL,
        "rlvr",
        {"prompt": "prompt", "ground_truth": "reward_model.ground_truth"},
        {"prompt": [user("q")], "ground_truth": "72"} | {key: VERL[key] for key in VERL if key != "prompt"},
    ),
    "SageMaker": (
        "SageMaker",
        None,
        {"prompt": [user("q")], "reward_model": {"ground_truth": 72}},
        "rlvr",
        {"prompt": "prompt", "ground_truth": "reward_model.ground_truth"},
        {"prompt": [user("q")], "ground_truth": 72, "reward_model": {"ground_truth": 72}},
    ),
    "SageMaker's reference answers": (
        "SageMaker",
        None,
        {"messages": [user("q")], "reference_answer": {"x": 1}},
        "rlvr",
        {"prompt": "messages", "ground_truth": "reference_answer"},
        {"prompt": [user("q")], "ground_truth": {"x": 1}},
    ),
    "a prompt and the tool call that answers it": (
        "question and answer",
        None,
        {"prompt": "q", "tool_call": {"name": "f", "arguments": {"a": None}}},
        "rlvr",
        {"prompt": "prompt", "ground_truth": "tool_call"},
        {"prompt": "q", "ground_truth": {"name": "f", "arguments": {"a": None}}},
    ),
    "prompt and solution": (
        "question and answer",
        "rlvr",
        {"prompt": [user("q")], "solution": "x"},
        "rlvr",
        {"prompt": "prompt", "ground_truth": "solution"},
        {"prompt": [user("q")], "ground_truth": "x"},
    ),
    "two outputs and a verdict": (
        "two outputs and a verdict",
        None,
        {"input": "q", "output_1": "a", "output_2": "b", "label": 2},
        "dpo",
        {
            "prompt": "input",
            "chosen": "output_1 or output_2, by label",
            "rejected": "output_1 or output_2, by label",
        },
        {"prompt": "q", "chosen": "b", "rejected": "a", "label": 2},
    ),
    "pairs with the prompt twice": (
        "tunelab's own form",
        None,
        {"prompt": "q", "chosen": [user("q"), assistant("a")], "rejected": [user("q"), assistant("b")]},
        "dpo",
        {"chosen": "chosen", "rejected": "rejected"},
        {"prompt": "q", "chosen": [user("q"), assistant("a")], "rejected": [user("q"), assistant("b")]},
    ),
    "pairs, to evaluate": (
        "tunelab's own form",
        "evaluation",
        {"prompt": "q", "chosen": "a", "rejected": "b", "id": 7, "metadata": "web"},
        "evaluation",
        {"query": "prompt", "response": "chosen"},
        {"query": "q", "response": "a", "rejected": "b", "id": 7, "metadata": {"metadata": "web"}},
    ),
    "pairs of one beginning, to evaluate": (
        "tunelab's own form",
        "evaluation",
        {"chosen": CHAT, "rejected": [*CHAT[:2], assistant("b")]},
        "evaluation",
        {"query": "chosen", "response": "chosen"},
        {"query": "q", "response": "a", "system": "s", "rejected": [*CHAT[:2], assistant("b")]},
    ),
    "messages, to evaluate": (
        "tunelab's own form",
        "evaluation",
        {"messages": CHAT},
        "evaluation",
        {"query": "messages", "response": "messages, the last answer"},
        {"query": "q", "response": "a", "system": "s"},
    ),
    "verl, to evaluate": (
        "verl",
        "evaluation",
        {"data_source": "x", "prompt": [user("q")], "reward_model": {"ground_truth": ["72", "72.0"]}},
        "evaluation",
        {"query": "prompt", "response": "reward_model.ground_truth, as text"},
        {
            "query": "q",
            "response": '["72", "72.0"]',
            "data_source": "x",
            "reward_model": {"ground_truth": ["72", "72.0"]},
        },
    ),
    "messages, for prompts": (
        "tunelab's own form",
        "rlaif",
        {"messages": CHAT},
        "rlaif",
        {"prompt": "messages, before the last answer"},
        {"prompt": CHAT[:2]},
    ),
    "a conversation without an answer, for prompts": (
        "tunelab's own form",
        "rlvr",
        {"messages": CHAT[:2]},
        "rlvr",
        {"prompt": "messages, before the last answer"},
        {"prompt": CHAT[:2]},
    ),
    "pairs of one beginning, for prompts": (
        "tunelab's own form",
        "rlaif",
        {"chosen": "Human: q Assistant: a", "rejected": "Human: q Assistant: b"},
        "rlaif",
        {"prompt": "chosen, what both answers begin with"},
        {"prompt": "Human: q Assistant:", "rejected": "Human: q Assistant: b"},
    ),
    "questions, for prompts": (
        "prompts",
        "rlaif",
        {"question": "q", "level": 3},
        "rlaif",
        {"prompt": "question"},
        {"prompt": "q", "level": 3},
    ),
}


@pytest.mark.parametrize(("name", "asked", "row", "technique", "columns", "expected"), KNOWN.values(), ids=KNOWN.keys())
def test_a_known_form_is_recognized_and_mapped(
    name: str, asked: str | None, row: Row, technique: str, columns: dict[str, str], expected: Row
) -> None:
    mapping = recognize([row] * 3, asked, None, "rows")
    assert (mapping.name, mapping.technique, dict(mapping.columns)) == (name, technique, columns)
    assert mapping.form == tuple(columns)
    made = checked(mapping, [row] * 3)[0]
    assert made == expected
    assert tuple(made)[: len(mapping.form)] == mapping.form or mapping.is_plain


OWN = [
    ("sft", {"prompt": "a", "completion": "b"}),
    ("sft", {"messages": CHAT}),
    ("sft", {"text": "a"}),
    ("dpo", {"prompt": "a", "chosen": "b", "rejected": "c"}),
    ("dpo", {"chosen": CHAT, "rejected": [*CHAT[:2], assistant("b")]}),
    ("rlvr", {"prompt": "a", "ground_truth": 5}),
    ("evaluation", {"query": "a", "response": "b"}),
]


@pytest.mark.parametrize(("technique", "row"), OWN, ids=[f"{name} {', '.join(row)}" for name, row in OWN])
def test_its_own_forms_stay_as_they_are(technique: str, row: Row) -> None:
    for asked in (technique, None):
        mapping = recognize([row | {"note": 1}], asked, None, "rows")
        assert (mapping.technique, mapping.form, mapping.is_plain) == (technique, tuple(row), True)
        assert mapping.convert(row) is row


def test_the_form_is_that_of_most_rows() -> None:
    good = {"prompt": "a", "chosen": "b", "rejected": "c"}
    for rows in ([good, {"prompt": "a", "chosen": "b"}], [{}, good], [{"x": 1}, good, {"x": 1}]):
        assert recognize(rows, None, None, "rows").form == tuple(good)
    mostly = [{"prompt": "a", "completion": "b"}] * 9 + [good]
    assert recognize(mostly, None, None, "rows").technique == "sft"


#: Technique, a row, the conversion's own sentence.
FAULTS: dict[str, tuple[str, Row, Row, str]] = {
    "instruction missing": (
        "sft",
        {"instruction": "a", "output": "b"},
        {"output": "b"},
        "row 1 has no field 'instruction'. Add it, or leave the row out.",
    ),
    "instruction null": (
        "sft",
        {"instruction": "a", "output": "b"},
        {"instruction": None, "output": "b"},
        "row 1: 'instruction' is null. Give it a text, or leave the row out.",
    ),
    "input a list": (
        "sft",
        {"instruction": "a", "input": "", "output": "b"},
        {"instruction": "a", "input": ["x"], "output": "b"},
        "row 1: 'input' is a list; it has to be text.",
    ),
    "a number among texts": (
        "sft",
        {"question": "a", "answer": "b"},
        {"question": "a", "answer": 17},
        "row 1: 'answer' is a number; it has to be text.",
    ),
    "no mark": (
        "rlvr",
        {"question": "a", "answer": "b #### 5"},
        {"question": "a", "answer": "b"},
        "row 1: 'answer' has no #### with the result after it. Add it, or leave the row out.",
    ),
    "an unknown speaker": (
        "sft",
        {"conversations": SHAREGPT},
        {"conversations": [{"from": "narrator", "value": "a"}]},
        "row 1: 'conversations', turn 1 is from an unknown speaker. They are human, gpt, system and tool.",
    ),
    "no turns": (
        "sft",
        {"conversations": SHAREGPT},
        {"conversations": []},
        "row 1: 'conversations' is an empty list of turns.",
    ),
    "turns in text": (
        "sft",
        {"conversations": SHAREGPT},
        {"conversations": "a"},
        """row 1: 'conversations' is text; it has to be a list of turns, each {"from": …, "value": …}.""",
    ),
    "a call that is none": (
        "sft",
        {"conversations": SHAREGPT},
        {"conversations": [GLAIVE[0], {"from": "function_call", "value": "weather()"}]},
        """row 1: 'conversations', turn 2 is no tool call, such as {"name": …, "arguments": {…}}.""",
    ),
    "no truth within": (
        "rlvr",
        VERL,
        VERL | {"reward_model": {"style": "rule"}},
        "row 1 has no field 'reward_model.ground_truth'. Add it, or leave the row out.",
    ),
    "no verdict": (
        "dpo",
        {"input": "q", "output_1": "a", "output_2": "b", "label": 2},
        {"input": "q", "output_1": "a", "output_2": "b", "label": 3},
        "row 1: 'label' is not 1 or 2, so there is nothing to prefer.",
    ),
    "no messages of the input": (
        "dpo",
        {"input": {"messages": [user("q")]}, "preferred_output": [], "non_preferred_output": []},
        {"input": "q", "preferred_output": [], "non_preferred_output": []},
        """row 1: 'input' is text; it has to be a mapping with "messages".""",
    ),
    "several turns before the answer": (
        "evaluation",
        {"messages": CHAT},
        {"messages": [*CHAT, user("q2"), assistant("a2")]},
        "row 1: 'messages' has 3 turns before the answer; an evaluation asks one. Leave the row out.",
    ),
    "a call as the answer": (
        "evaluation",
        {"messages": CHAT},
        {"messages": [*CHAT[:2], assistant("") | {"tool_calls": calls("f", "{}")}]},
        "row 1: 'messages' has an answer of several turns or of tool calls; an evaluation takes one text. "
        "Leave the row out.",
    ),
}


@pytest.mark.parametrize(("technique", "good", "wrong", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_what_cannot_be_mapped_is_told_under_the_columns_own_name(
    technique: str, good: Row, wrong: Row, message: str
) -> None:
    fault = recognize([good, good, wrong], technique, None, "rows").convert(wrong)
    assert isinstance(fault, Fault)
    assert fault.at("row 1") == message


ROW = {"q": "a", "good": "b", "bad": "c", "meta": {"answer": "d", "level": 3}}
GIVEN: dict[str, tuple[str | None, dict[str, str], Row, str, Row]] = {
    "all of them": (
        None,
        {"prompt": "q", "chosen": "good", "rejected": "bad"},
        ROW,
        "dpo",
        {"prompt": "a", "chosen": "b", "rejected": "c", "meta": ROW["meta"]},
    ),
    "some of them": (
        None,
        {"rejected": "bad"},
        {"prompt": "a", "chosen": "b", "bad": "c"},
        "dpo",
        {"rejected": "c", "prompt": "a", "chosen": "b"},
    ),
    "a path": (
        None,
        {"prompt": "q", "ground_truth": "meta.answer"},
        ROW,
        "rlvr",
        {"prompt": "a", "ground_truth": "d", "good": "b", "bad": "c", "meta": ROW["meta"]},
    ),
    "against what would be recognized": (
        "sft",
        {"text": "body"},
        {"body": "a", "label": 1, "prompt": "p", "completion": "c"},
        "sft",
        {"text": "a", "label": 1, "prompt": "p", "completion": "c"},
    ),
    "changed places": (
        "dpo",
        {"chosen": "rejected", "rejected": "chosen"},
        {"prompt": "a", "chosen": "b", "rejected": "c"},
        "dpo",
        {"chosen": "c", "rejected": "b", "prompt": "a"},
    ),
    "the rest is recognized": (
        "rlvr",
        {"prompt": "q"},
        {"q": "a", "answer": "x #### 5"},
        "rlvr",
        {"prompt": "a", "ground_truth": "5"},
    ),
    "an optional field": (
        None,
        {"query": "q", "response": "good", "system": "bad"},
        ROW,
        "evaluation",
        {"query": "a", "response": "b", "system": "c", "meta": ROW["meta"]},
    ),
}


@pytest.mark.parametrize(("asked", "columns", "row", "technique", "expected"), GIVEN.values(), ids=GIVEN.keys())
def test_columns_say_what_a_field_is_made_from(
    asked: str | None, columns: dict[str, str], row: Row, technique: str, expected: Row
) -> None:
    mapping = recognize([row], asked, columns, "rows")
    assert mapping.technique == technique
    assert mapping.name.startswith("columns=")
    assert not mapping.is_plain
    assert dict(mapping.columns).items() >= columns.items()
    assert checked(mapping, [row]) == [expected]


def test_a_missing_column_is_named_as_the_source_has_it() -> None:
    convert = recognize([{"q": "a", "a": "b"}], "sft", {"prompt": "q", "completion": "a"}, "rows").convert
    for row, message in (
        ({"q": "a"}, "row 1 has no field 'a'. Add it, or leave the row out."),
        ({"q": " ", "a": "b"}, "row 1: 'q' is empty. Give it a text, or leave the row out."),
    ):
        fault = convert(row)
        assert isinstance(fault, Fault)
        assert fault.at("row 1") == message


NO_FORM: dict[str, tuple[str | None, dict[str, str] | None, Row, str]] = {
    "misspelt": (
        "dpo",
        None,
        {"prompt": "a", "chosen": "b", "rejcted": "c"},
        "rows.csv has no field 'rejected'. Rename 'rejcted' to 'rejected'. dpo takes prompt, chosen, rejected; the "
        "rows have chosen, prompt, rejcted. columns={'rejected': 'rejcted'} maps it.",
    ),
    "missing": (
        "dpo",
        None,
        {"prompt": "a", "chosen": "b"},
        "rows.csv has no field 'rejected'. dpo takes prompt, chosen, rejected; the rows have chosen, prompt.",
    ),
    "misspelt prompt": (
        "dpo",
        None,
        {"promt": "a", "chosen": "b", "rejected": "c"},
        "rows.csv has no field 'prompt'. Rename 'promt' to 'prompt'. dpo takes prompt, chosen, rejected; the rows have "
        "chosen, promt, rejected. columns={'prompt': 'promt'} maps it.",
    ),
    "nothing": (
        "sft",
        None,
        {},
        "rows.csv has no field 'prompt'. sft takes prompt, completion or messages or text; the rows have nothing.",
    ),
    "no query": (
        "evaluation",
        None,
        {"response": "a"},
        "rows.csv has no field 'query'. evaluation takes query, response; the rows have response.",
    ),
    "no technique": (
        None,
        None,
        {"1": "a", "b": 2},
        "rows.csv fits no technique (sft: prompt, completion; dpo: prompt, chosen, rejected; rlvr: prompt, "
        "ground_truth; rlaif: prompt; evaluation: query, response). The rows have 1, b. columns={'prompt': …} maps a "
        "column to a field.",
    ),
    "prompts alone": (
        None,
        None,
        {"prompt": "a"},
        "rows.csv fits no technique (sft: prompt, completion; dpo: prompt, chosen, rejected; rlvr: prompt, "
        "ground_truth; rlaif: prompt; evaluation: query, response). The rows have prompt. Prompts alone serve "
        "technique='rlaif', and 'rlvr' with a reward that needs no more.",
    ),
    "an unknown field": (
        "dpo",
        {"choosen": "good"},
        ROW,
        "columns= names the field 'choosen', which dpo takes not. Did you mean 'chosen'?",
    ),
    "an unknown column": (
        "dpo",
        {"chosen": "god"},
        ROW,
        "rows.csv has no column 'god', which columns= names for 'chosen'. Did you mean 'good'?",
    ),
    "an unknown path": (
        "rlvr",
        {"ground_truth": "meta.anser"},
        ROW,
        "rows.csv has no column 'meta.anser', which columns= names for 'ground_truth'. Did you mean 'meta.answer'?",
    ),
    "a column like no other": (
        "sft",
        {"prompt": "zzz"},
        {"q": "a"},
        "rows.csv has no column 'zzz', which columns= names for 'prompt'. The rows have q.",
    ),
    "too few": (
        "sft",
        {"prompt": "q"},
        ROW,
        "rows.csv has no field 'completion'. sft takes prompt, completion or messages or text; the rows have bad, "
        "good, meta, prompt.",
    ),
}


@pytest.mark.parametrize(("technique", "columns", "row", "message"), NO_FORM.values(), ids=NO_FORM.keys())
def test_what_fits_no_form_is_refused_with_what_would(
    technique: str | None, columns: dict[str, str] | None, row: Row, message: str
) -> None:
    assert refused(lambda: recognize([row], technique, columns, "rows.csv")) == message


def test_a_file_without_a_header_does_not_fill_the_message() -> None:
    said = refused(lambda: recognize([{"x" * 500: "a", "B": "b"}], "sft", None, "rows.csv"))
    assert len(said) < 250


def test_a_form_is_the_first_that_the_fields_fill() -> None:
    for technique, forms in FORMS.items():
        for form in forms:
            assert form_of(technique, form, "rows") == form


# Files.


def test_tsv_is_read_as_csv_with_tabs(tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text('text\tcategory\n"a\tb"\tc, d\ne\n', encoding="utf-8")
    assert list(read_file(path)) == [{"text": "a\tb", "category": "c, d"}, {"text": "e", "category": None}]
    path.write_text("text\tcategory\na\tb\tc\n", encoding="utf-8")
    assert refused(lambda: list(read_file(path))) == (
        "rows.tsv, row 1 has more fields than the header. Put texts with tabs in quotes."
    )
    path.write_text('text\tcategory\n"a"b\tc\n', encoding="utf-8")
    assert refused(lambda: list(read_file(path))) == "rows.tsv, line 2 is not TSV: '\t' expected after '\"'."


def test_several_files_are_read_one_after_the_other_and_name_the_row_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "1"}\n\n{"text": "2"}\n', encoding="utf-8")
    (tmp_path / "b.csv").write_text("text\n3\n4\n5\n", encoding="utf-8")
    (tmp_path / "c.json").write_text('[{"text": "6"}]', encoding="utf-8")
    files = read_files([tmp_path / name for name in ("a.jsonl", "b.csv", "c.json")])
    assert [row["text"] for row in files] == ["1", "2", "3", "4", "5", "6"]
    assert [files.where(number) for number in (1, 2, 3, 5, 6)] == [
        "a.jsonl, row 1",
        "a.jsonl, row 2",
        "b.csv, row 1",
        "b.csv, row 3",
        "c.json, row 1",
    ]
    (tmp_path / "b.csv").write_text("text\n3,4\n", encoding="utf-8")
    assert refused(lambda: list(files)).startswith("b.csv, row 1 has more fields than the header.")


def test_a_row_of_several_files_is_named_while_they_are_read(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.jsonl").write_text('{"text": "1"}\n{"text": "2"}\n', encoding="utf-8")
    files = read_files([tmp_path / "a.jsonl", tmp_path / "b.jsonl"])
    places = [files.where(number) for number, _ in enumerate(files, 1)]
    assert places == ["a.jsonl, row 1", "a.jsonl, row 2", "b.jsonl, row 1", "b.jsonl, row 2"]


def test_a_list_of_dicts_is_made_plain() -> None:
    circle: list[Any] = []
    circle.append(circle)
    row = {
        "n": np.int64(5),
        "f": np.float64("nan"),
        "a": np.array(["x"]),
        "d": {"b": np.bool_(True)},
        1: "t",
        "c": circle,
    }
    (made,) = read_table([row])
    assert made == {"n": 5, "f": None, "a": ["x"], "d": {"b": True}, "1": "t", "c": made["c"]}
    assert [type(made[name]) for name in "na"] == [int, list]
    assert made["c"] is circle


# Real rows.

#: File: the technique found, the form's name, and how many rows are faulty.
REAL = {
    "arithmetic/addsub.jsonl": ("rlvr", "question and answer", 395, 0),
    "arithmetic/svamp_test.jsonl": ("rlvr", "question and answer", 1000, 0),
    "banking77/train.csv": ("sft", "text and label", 10_003, 0),
    "finance-rlvr/train.jsonl": ("rlvr", "question and answer", 1206, 0),
    "gsm8k/train.jsonl": ("sft", "question and answer", 1500, 0),
    "human-like/pairs.jsonl": ("dpo", "tunelab's own form", 2614, 0),
    "instruct/instruct.jsonl": ("sft", "Alpaca", 1100, 0),
    # In six of them the polite answer is the rude one.
    "instruct/preference.jsonl": ("dpo", "Alpaca", 1100, 6),
    "llmbar/natural.json": ("dpo", "two outputs and a verdict", 100, 0),
}


@pytest.mark.skipif("TUNELAB_DATA" not in os.environ, reason="TUNELAB_DATA names no folder of real rows")
@pytest.mark.parametrize("name", REAL)
def test_real_rows_need_no_columns(name: str) -> None:
    rows = list(read_file(Path(os.environ["TUNELAB_DATA"]) / name))
    mapping = recognize(rows, None, None, name)
    checker = RowChecker(mapping.technique, mapping.form)
    made = [mapping.convert(row) for row in rows]
    faulty = sum(isinstance(row, Fault) or checker.check(row) is not None for row in made)
    assert (mapping.technique, mapping.name, len(rows), faulty) == REAL[name]
