"""Rows of a dataset version as the `datasets.Dataset` that TRL's trainers take."""

from __future__ import annotations

from typing import Any

from datasets import Dataset as Table
from transformers import PreTrainedTokenizerBase

from tunelab.data import Dataset
from tunelab.data.reading import Row
from tunelab.data.split import held_out
from tunelab.spec import CustomizeSpec

_SPEAKER = {"prompt": "user", "completion": "assistant", "chosen": "assistant", "rejected": "assistant"}


def tables(spec: CustomizeSpec, tokenizer: PreTrainedTokenizerBase) -> tuple[Table, Table | None]:
    """Return the rows to train on and the rows held out (None where none are).

    Rows keep their order in the dataset. With ``chat_template: auto`` and a tokenizer that has one, plain strings
    become a turn of the user and one of the assistant.
    """
    dataset = Dataset.get(spec.dataset)
    rows = list(dataset.read())
    if spec.eval_dataset:
        train, held = rows, list(Dataset.get(spec.eval_dataset).read())
    else:
        aside = held_out(rows, spec.split or 0, spec.seed)
        train = [row for position, row in enumerate(rows) if position not in aside]
        held = [row for position, row in enumerate(rows) if position in aside]
    as_chat = spec.chat_template == "auto" and tokenizer.chat_template is not None
    names = form(spec, dataset)
    return _table(train, names, as_chat), _table(held, names, as_chat) if held else None


def form(spec: CustomizeSpec, dataset: Dataset) -> tuple[str, ...]:
    """Return the fields that the technique reads, which need not be those the dataset was made for."""
    from tunelab.data.checks import form_of

    return (
        dataset.form
        if dataset.technique == spec.technique
        else form_of(spec.technique, set(next(dataset.read())), str(dataset))
    )


def as_messages(field: str, value: Any) -> Any:
    """Return plain text as one turn of its speaker; a list of messages as it is, with role and content only."""
    if isinstance(value, str):
        return [{"role": _SPEAKER[field], "content": value}]
    return [{"role": message["role"], "content": message["content"]} for message in value]


def _table(rows: list[Row], names: tuple[str, ...], as_chat: bool) -> Table:
    return Table.from_list(
        [
            {
                name: as_messages(name, row[name]) if as_chat or isinstance(row[name], list) else row[name]
                for name in names
            }
            for row in rows
        ]
    )
