"""Answers of several models to the same prompts, shown side by side. Text from models is shown as text."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tunelab.texts import plain

if TYPE_CHECKING:
    import pandas as pd


class Answers:
    """Prompts, models, and an answer for each pair.

    ``answers["chatty@1"]`` is the list of one model's answers in the order of the prompts; iterating gives
    ``(prompt, {model: answer})``.
    """

    def __init__(self, models: list[str], prompts: list[str], texts: list[list[str]]) -> None:
        self.models = models
        self.prompts = prompts
        self._texts = dict(zip(models, texts, strict=True))

    def __getitem__(self, model: str) -> list[str]:
        """Return one model's answers."""
        return self._texts[model]

    def __iter__(self) -> Iterator[tuple[str, dict[str, str]]]:
        for row, prompt in enumerate(self.prompts):
            yield prompt, {model: self._texts[model][row] for model in self.models}

    def __len__(self) -> int:
        return len(self.prompts)

    def to_pandas(self) -> pd.DataFrame:
        """Return one row a prompt, with a column a model."""
        import pandas as pd

        return pd.DataFrame({"prompt": self.prompts, **self._texts})

    def __repr__(self) -> str:
        blocks = []
        for prompt, answers in self:
            lines = [f"» {prompt}"] + [f"  {model}: {text.strip()}" for model, text in answers.items()]
            blocks.append("\n".join(lines))
        return plain("\n\n".join(blocks))

    def _repr_html_(self) -> str:
        cell = 'style="text-align:left;vertical-align:top;white-space:pre-wrap;overflow-wrap:anywhere"'
        head = "".join(f"<th {cell}>{html.escape(plain(name))}</th>" for name in ("Prompt", *self.models))
        body = "".join(
            f"<tr><td {cell}>{html.escape(plain(prompt))}</td>"
            + "".join(f"<td {cell}>{html.escape(plain(text).strip())}</td>" for text in answers.values())
            + "</tr>"
            for prompt, answers in self
        )
        return (
            f'<table style="table-layout:fixed;width:100%"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        )
