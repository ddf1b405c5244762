"""A dataset as a model will see it: each token, whether it is trained on, and the lengths with the cut.

The tokens come from the trainer itself in a process of its own (`training.preview`); here they are asked for and shown.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tunelab import recipes, task
from tunelab.data.report import Finding
from tunelab.errors import DataError, SpecError
from tunelab.models import find
from tunelab.spec import hyperparameters as fields
from tunelab.spec.customize import ON_ROWS

if TYPE_CHECKING:
    from tunelab.data import Dataset

_SHADES = " ▁▂▃▄▅▆▇█"
#: Colours that can be read on light and on dark pages: trained tokens are filled, special ones have a frame.
_STYLE = """
.tl-preview{--tl-trained:light-dark(#cfe8d5,#1f4d2e);--tl-bar:light-dark(#8ab4d8,#4a7ba6);--tl-cut:light-dark(#c0392b,#ff8a7a);
font-family:var(--jp-ui-font-family,sans-serif);font-size:var(--jp-ui-font-size1,13px)}
[data-jp-theme-light=true] .tl-preview{color-scheme:light}[data-jp-theme-light=false] .tl-preview{color-scheme:dark}
.tl-preview pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:4px 0 12px;
font-family:var(--jp-code-font-family,monospace)}
.tl-preview mark{background:var(--tl-trained);color:inherit}
.tl-preview b{font-weight:normal;border:1px solid currentColor;border-radius:3px;opacity:.75}
.tl-preview svg rect{fill:var(--tl-bar)}.tl-preview svg line{stroke:var(--tl-cut);stroke-dasharray:4 2}
"""


@dataclass(frozen=True)
class Preview:
    """What a model will see of a dataset. Shown with its tokens in a notebook and as facts elsewhere.

    Attributes
    ----------
    model, technique
        What it was made for.
    max_length
        Where a row is cut, in tokens; None where none is.
    rows, measured
        The dataset's rows, and those of them that were tokenized. Counts are scaled to all rows.
    lengths
        ``bins`` (from, to, count), ``median``, ``longest``, ``cut_rows``, ``cut_tokens``, and the first rows cut.
    end_of_turn
        The token that ends a turn, None where there is none or nothing is trained.
    trains_end
        Whether that token is trained on.
    untrained_rows
        Rows without a token that is trained on.
    problem
        Why a training would be refused, with what to do; None where it would not.
    examples
        Rows token by token, as `training.preview` gives them.
    notes
        What else there is to know.
    """

    model: str
    technique: str
    max_length: int | None
    rows: int
    measured: int
    lengths: dict[str, Any]
    end_of_turn: str | None
    trains_end: bool
    untrained_rows: int
    problem: str | None
    examples: list[dict[str, Any]]
    notes: list[str]
    dataset: str

    def as_json(self) -> dict[str, Any]:
        """Return it as the page gets it."""
        return dict(vars(self))

    def finding(self) -> Finding | None:
        """Return the rows that are cut as a finding of the dataset's report; None where none are."""
        count, lost = self.lengths["cut_rows"], self.lengths["cut_tokens"]
        if not count:
            return None
        return Finding(
            kind="length",
            severity="warning",
            field=self.model,
            count=count,
            rows=tuple(self.lengths["cut_first"]),
            message=f"{_rows(count)} longer than max_length ({self.max_length:,} tokens) with {self.model}: {lost:,} "
            "tokens would be cut off.",
        )

    def facts(self) -> list[tuple[str, str]]:
        """Return what there is besides the tokens, as pairs of name and value."""
        measured, cut = self.lengths, self.lengths["cut_rows"]
        told = [("tokens", f"a row has {measured['median']:,} (median) to {measured['longest']:,}")]
        if self.max_length is not None:
            lost = f"{_rows(cut)} cut, losing {measured['cut_tokens']:,} tokens" if cut else "no row is cut"
            told.append(("max_length", f"{self.max_length:,}: {lost}"))
        if self.end_of_turn is not None:
            told.append(("end of turn", f"{self.end_of_turn} is {'' if self.trains_end else 'not '}trained on"))
        if self.untrained_rows:
            told.append(("untrained", f"{self.untrained_rows:,} of {self.rows:,} rows have no token to train on"))
        told += [("note", note) for note in self.notes]
        return told + ([("problem", self.problem)] if self.problem else [])

    @property
    def _title(self) -> str:
        return f"{self.dataset} as {self.model} sees it ({self.technique})"

    def __repr__(self) -> str:
        width = max(len(name) for name, _ in self.facts())
        lines = [f"  {name.ljust(width)}  {value}" for name, value in self.facts()]
        bars = "".join(
            _SHADES[_height(count, self.lengths["bins"], len(_SHADES) - 1)] for *_, count in self.lengths["bins"]
        )
        low, high = self.lengths["bins"][0][0], self.lengths["bins"][-1][1]
        lines.append(f"  {'lengths'.ljust(width)}  {low:,} {bars} {high:,}")
        for example in self.examples:
            for one in example["sequences"]:
                text = "".join(f"⟦{text}⟧" if trained else text for text, trained, _ in one["tokens"])
                lines.append(f"\n{_heading(example['row'], one)}\n{text.replace('⟧⟦', '')}")
        return f"{self._title}\n" + "\n".join(lines)

    def _repr_html_(self) -> str:
        left = 'style="text-align:left"'
        facts = "".join(
            f"<tr><th {left}>{html.escape(name)}</th><td {left}>{html.escape(value)}</td></tr>"
            for name, value in self.facts()
        )
        examples = "".join(
            f"<div>{html.escape(_heading(example['row'], one))}</div><pre>{_tokens(one['tokens'])}</pre>"
            for example in self.examples
            for one in example["sequences"]
        )
        legend = "Filled: trained on. Framed: a special token." if self.technique in ON_ROWS else ""
        return (
            f'<div class="tl-preview"><style>{_STYLE}</style><table><caption>{html.escape(self._title)}</caption>'
            f"<tbody>{facts}</tbody></table>{self._histogram()}<div>{legend}</div>{examples}</div>"
        )

    def _histogram(self) -> str:
        bins = self.lengths["bins"]
        low, high = bins[0][0], bins[-1][1]
        wide, tall = 480, 60
        scale = wide / (high - low)
        bars = "".join(
            f'<rect x="{(start - low) * scale:.1f}" y="{tall - height}" height="{height}" '
            f'width="{max(1.0, (end - start) * scale - 1):.1f}">'
            f"<title>{start:,} to {end - 1:,} tokens: {count:,} rows</title></rect>"
            for start, end, count in bins
            for height in [_height(count, bins, tall)]
        )
        limit, cut = self.max_length, ""
        if limit is not None and low <= limit <= high:
            place = (limit - low) * scale
            cut = (
                f'<line x1="{place:.1f}" x2="{place:.1f}" y1="0" y2="{tall}"><title>max_length {limit:,}</title></line>'
            )
        name = f"Lengths of rows from {low:,} to {high - 1:,} tokens"
        return (
            f'<svg role="img" aria-label="{name}" width="{wide}" height="{tall}" viewBox="0 0 {wide} {tall}">'
            f"{bars}{cut}</svg><div>{low:,} to {high - 1:,} tokens</div>"
        )


def preview(
    dataset: Dataset,
    model: str,
    rows: int | Sequence[int] | None = None,
    technique: str | None = None,
    hyperparameters: dict[str, Any] | None = None,
    chat_template: str = "auto",
) -> Preview:
    """Return a dataset as a model will see it in training.

    Parameters
    ----------
    dataset
        The version.
    model
        A catalog name, a custom model, a local folder or a hub id, of which the tokenizer is brought.
    rows
        Which to show token by token: so many from the first, or these numbers (from 1); by default three and the
        longest.
    technique
        What the rows are for; by default what the dataset was made for.
    hyperparameters
        In place of the recipe's, such as ``{"max_length": 512}`` or ``{"assistant_only_loss": True}``.
    chat_template
        ``"auto"`` or ``"none"``, as in a spec.

    Raises
    ------
    Error
        If the model has no such tokenizer, a hyperparameter is unknown, there is no such row, or the rows do not fit.
    """
    technique = technique or dataset.technique
    ref = find.find(model)
    given = hyperparameters or {}
    if chat_template not in ("auto", "none"):
        raise SpecError(f"chat_template is auto or none, and got {chat_template!r}.")
    if technique in ON_ROWS:
        recipe = recipes.find(technique, model, "lora", ref.params, "cpu")
        given = recipe.hyperparameters | fields.check(technique, given, recipe.ranges)
    elif given:
        raise SpecError(f"A preview for {technique} takes no hyperparameters: nothing is trained on its rows.")
    payload = {
        "dataset": dataset.label,
        "model": model,
        "technique": technique,
        "rows": _numbers(rows, dataset),
        "hyperparameters": given,
        "chat_template": chat_template,
    }
    found = task.run("tunelab.training.preview:preview", payload, show=f"Reading {dataset} as {model} does")
    return Preview(**found, dataset=dataset.label)


def _numbers(rows: int | Sequence[int] | None, dataset: Dataset) -> list[int]:
    if rows is None:
        return []
    if isinstance(rows, int):
        if rows < 1:
            raise DataError(f"rows is {rows}; give how many to show, or their numbers from 1.")
        return list(range(1, min(rows, dataset.rows) + 1))
    for number in rows:
        if not 1 <= number <= dataset.rows:
            raise DataError(f"{dataset} has no row {number}; they go from 1 to {dataset.rows:,}.")
    return list(dict.fromkeys(rows))


def _tokens(tokens: list[list[Any]]) -> str:
    """Return tokens as HTML; a trained one is a mark, a special one has a frame."""
    parts = []
    for text, trained, special in tokens:
        shown = html.escape(text)
        shown = f"<b>{shown}</b>" if special else shown
        parts.append(f"<mark>{shown}</mark>" if trained else f"<span>{shown}</span>")
    return "".join(parts)


def _heading(row: int, sequence: dict[str, Any]) -> str:
    name = f"Row {row:,}" + (f", {sequence['label']}" if sequence["label"] else "")
    cut = f", {sequence['cut']:,} cut off" if sequence["cut"] else ""
    return f"{name}: {sequence['length']:,} tokens, {sequence['trained']:,} trained on{cut}"


def _height(count: int, bins: list[list[int]], most: int) -> int:
    """Return a bar's height; the least count can be seen."""
    return -(-count * most // max(max(each[2] for each in bins), 1))


def _rows(count: int) -> str:
    return "1 row is" if count == 1 else f"{count:,} rows are"
