"""Rows of a dataset version as the `datasets.Dataset` that TRL's trainers take.

They lie in the workspace's cache by content, and beside them `datasets` keeps what TRL's tokenization makes of them, so
that the next job on the same rows reads it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datasets import Dataset as Table
from datasets import DatasetDict, load_from_disk
from transformers import PreTrainedTokenizerBase

from tunelab import workspace
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
    other = Dataset.get(spec.eval_dataset) if spec.eval_dataset else None
    as_chat = spec.chat_template == "auto" and tokenizer.chat_template is not None
    names = form(spec, dataset)
    what = [dataset.digest, other.digest if other else [spec.split, spec.seed], names, as_chat, version("datasets")]
    kept = workspace.current().root / "cache" / "rows" / hashlib.sha256(json.dumps(what).encode()).hexdigest()[:32]
    if not kept.is_dir():
        rows = list(dataset.read())
        aside = set() if other else held_out(rows, spec.split or 0, spec.seed)
        train = [row for position, row in enumerate(rows) if position not in aside]
        held = list(other.read()) if other else [row for position, row in enumerate(rows) if position in aside]
        _keep(kept, {"train": _table(train, names, as_chat)} | ({"held": _table(held, names, as_chat)} if held else {}))
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
