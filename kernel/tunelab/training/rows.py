"""Rows of a dataset version as the `datasets.Dataset` that TRL's trainers take.

They lie in the workspace's cache by content, and beside them `datasets` keeps what TRL's tokenization makes of them, so
that the next job on the same rows reads it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datasets import Dataset as Table
from datasets import DatasetDict, Features, List, Value, load_from_disk
from transformers import PreTrainedTokenizerBase

from tunelab import workspace
from tunelab.data import Dataset
from tunelab.data.reading import Row
from tunelab.spec import CustomizeSpec

#: Each row's number in its dataset, from 1; TRL keeps the column, so a row that it drops can be named.
NUMBER = "row"
#: What is written is not read by an older layout of these tables.
_LAYOUT = 2
_SPEAKER = {"prompt": "user", "completion": "assistant", "chosen": "assistant", "rejected": "assistant"}
#: The keys of a message that chat templates read, besides role and content.
_READ = ("tool_calls", "name", "tool_call_id", "reasoning_content", "thinking")


def tables(spec: CustomizeSpec, tokenizer: PreTrainedTokenizerBase) -> tuple[Table, Table | None]:
    """Return the rows to train on and the rows held out (None where none are).

    Rows keep their order in the dataset. With ``chat_template: auto`` and a tokenizer that has one, plain strings
    become a turn of the user and one of the assistant.
    """
    dataset = Dataset.get(spec.dataset)
    other = Dataset.get(spec.eval_dataset) if spec.eval_dataset else None
    as_chat = spec.chat_template == "auto" and tokenizer.chat_template is not None
    names = form(spec, dataset)
    what: list[Any] = [
        dataset.digest,
        other.digest if other else [spec.split, spec.seed],
        names,
        as_chat,
        version("datasets"),
        _LAYOUT,
    ]
    kept = workspace.current().root / "cache" / "rows" / hashlib.sha256(json.dumps(what).encode()).hexdigest()[:32]
    if not kept.is_dir():
        aside = set() if other else dataset.held_out(spec.split or 0, spec.seed)
        rows = list(enumerate(dataset.read(), 1))
        train = [(number, row) for number, row in rows if number - 1 not in aside]
        held = (
            list(enumerate(other.read(), 1))
            if other
            else [(number, row) for number, row in rows if number - 1 in aside]
        )
        made = {"train": table(train, names, as_chat)}
        _keep(kept, made | ({"held": table(held, names, as_chat)} if held else {}))
    loaded = load_from_disk(str(kept))
    return loaded["train"], loaded.get("held")


def _keep(target: Path, tables: dict[str, Table]) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=target.parent, prefix="."))
    DatasetDict(tables).save_to_disk(str(aside))
    try:
        aside.rename(target)
    except OSError:
        # Another job of these rows was faster; its files are the same.
        shutil.rmtree(aside)


def form(spec: CustomizeSpec, dataset: Dataset) -> tuple[str, ...]:
    """Return the fields that the technique reads, which need not be those the dataset was made for."""
    if spec.is_reinforcement:
        # The rest of a row is for its reward, which reads it from the dataset itself: Arrow would change its types.
        return ("prompt",)
    return dataset.form_for(spec.technique)


def table(rows: Iterable[tuple[int, Row]], names: tuple[str, ...], as_chat: bool) -> Table:
    """Return numbered rows as TRL takes them: the fields of a form, and `tools` where a row has them.

    Parameters
    ----------
    rows
        Each with its number in the dataset, from 1.
    names
        The form's fields.
    as_chat
        Whether plain strings become turns. Whole texts, and answers that begin with their prompt, stay text.
    """
    as_chat = as_chat and not {"text"} & set(names) and not _is_implicit(names)
    columns: dict[str, list[Any]] = {NUMBER: [], **{name: [] for name in names}, "tools": []}
    for number, row in rows:
        columns[NUMBER].append(number)
        for name in names:
            value = row[name]
            columns[name].append(as_messages(name, value) if as_chat or isinstance(value, list) else value)
        tools = row.get("tools")
        # As text: Arrow would fill each schema with the keys of all others. TRL parses it.
        columns["tools"].append(json.dumps(tools, ensure_ascii=False) if tools else None)
    if not any(columns["tools"]):
        del columns["tools"]
    features = Features({name: _feature(name, values) for name, values in columns.items()})
    return Table.from_dict(columns, features=features)


def as_messages(field: str, value: Any) -> list[dict[str, str]]:
    """Return plain text as one turn of its speaker; a list of messages with what chat templates read of them.

    Besides role and content it is kept as JSON, which `Reader` takes back: Arrow would give each message the keys of
    all others, as null, and so the arguments of each tool call.
    """
    if isinstance(value, str):
        return [{"role": _SPEAKER[field], "content": value}]
    return [
        # A turn that only calls tools may have no content, and templates add content to other text.
        {"role": message["role"], "content": message.get("content") or ""}
        | {key: json.dumps(message[key], ensure_ascii=False) for key in _READ if message.get(key) is not None}
        for message in value
    ]


def has_more(table: Table) -> bool:
    """Return whether messages of a table have more than role and content, so that they want a `Reader`."""
    kinds = [feature.feature for feature in table.features.values() if isinstance(feature, List)]
    return any(isinstance(kind, dict) and len(kind) > 2 for kind in kinds)


class Reader:
    """A tokenizer for rows whose messages have more than role and content: it takes back what is kept as JSON.

    Parameters
    ----------
    tokenizer
        The model's, which does all the rest.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer

    def __call__(self, text: str) -> Any:
        """Tokenize plain text."""
        return self.tokenizer(text=text)

    def decode(self, ids: list[int]) -> str | list[str]:
        """Return tokens as text."""
        return self.tokenizer.decode(ids)

    def apply_chat_template(self, messages: list[dict[str, Any]], **options: Any) -> Any:
        """Render and tokenize messages."""
        read = [_message(message) for message in messages]
        try:
            return self.tokenizer.apply_chat_template([_with_mappings(message) for message in read], **options)
        except TypeError:
            # Some templates, such as DeepSeek's, take a call's arguments as text only.
            return self.tokenizer.apply_chat_template([_with_texts(message) for message in read], **options)


def _message(kept: dict[str, Any]) -> dict[str, Any]:
    more = {key: json.loads(kept[key]) for key in _READ if kept.get(key) is not None}
    return {"role": kept["role"], "content": kept["content"]} | more


def _with_mappings(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message with its calls' arguments as mappings: templates write a text as JSON of that text."""

    def mapping(arguments: Any) -> Any:
        try:
            found = json.loads(arguments) if isinstance(arguments, str) else arguments
        except ValueError:
            return arguments
        return found if isinstance(found, dict) else arguments

    return _with_arguments(message, mapping)


def _with_texts(message: dict[str, Any]) -> dict[str, Any]:
    return _with_arguments(
        message, lambda given: given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    )


def _with_arguments(message: dict[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    if "tool_calls" not in message:
        return message
    calls = [
        {**call, "function": {**call["function"], "arguments": change(call["function"].get("arguments", {}))}}
        for call in message["tool_calls"]
    ]
    return {**message, "tool_calls": calls}


def _is_implicit(names: tuple[str, ...]) -> bool:
    return "chosen" in names and "prompt" not in names


def _feature(name: str, values: list[Any]) -> Any:
    if name == NUMBER:
        return Value("int64")
    if not isinstance(values[0], list):
        return Value("string")
    keys = ["role", "content", *(key for key in _READ if any(key in turn for value in values for turn in value))]
    return List({key: Value("string") for key in keys})
