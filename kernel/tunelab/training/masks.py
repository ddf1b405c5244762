"""Which tokens are trained on, read from TRL's own tokenized rows: where nothing can be learned, no step is made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jinja2
import numpy as np
import pyarrow.compute as pc
from datasets import Dataset as Table
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase
from trl.chat_template_utils import supports_tool_calling
from trl.data_utils import is_conversational

from tunelab.errors import DataError
from tunelab.training.rows import NUMBER, Reader, has_more

#: What TRL gives a token that is not trained on.
IGNORED = -100
_BATCH = 1000
_NAMED_ROWS = 5
#: A text that no template writes of itself.
_PROBE = "tunelab"


@dataclass(frozen=True)
class Masks:
    """What of the rows is trained on.

    Attributes
    ----------
    rows
        How many were given to TRL.
    untrained
        The numbers of those without a trained token; TRL leaves them out, or they add nothing.
    end
        The token that ends a turn of the assistant, or a text; None where there is none.
    trains_end
        Whether it is trained on in any row.
    whole
        How many rows are not cut: only these can be expected to have their end.
    """

    rows: int
    untrained: tuple[int, ...]
    end: str | None
    trains_end: bool
    whole: int

    def problem(self, data: str, model: str, settings: dict[str, Any]) -> str | None:
        """Return why nothing useful could be learned, with what to do, or None.

        Parameters
        ----------
        data, model
            Their names.
        settings
            The hyperparameters.
        """
        if self.rows and len(self.untrained) == self.rows:
            return f"{data} has no row with a token to train on, so {model} would learn nothing. {_why(settings)}"
        if self.end is None or self.trains_end or not self.whole:
            return None
        what = f"{data} never trains {self.end}, the token that ends a turn, so {model} would not learn to stop."
        if settings.get("assistant_only_loss"):
            return (
                f"{what} The chat template has it outside of its generation block, and assistant_only_loss trains "
                "only what is inside. Leave assistant_only_loss out, or move the token into the block."
            )
        return (
            f"{what} The chat template writes none after the assistant's turn. Mend it (chat_template.jinja in the "
            f"model's folder) so that {self.end} follows each answer, or use chat_template: none, which ends every "
            "text with it."
        )

    def warning(self) -> str | None:
        """Return what is said of rows that add nothing, or None."""
        if not self.untrained:
            return None
        count = len(self.untrained)
        named = ", ".join(f"{number:,}" for number in self.untrained[:_NAMED_ROWS])
        more = ", …" if count > _NAMED_ROWS else ""
        have, left = ("has", "is") if count == 1 else ("have", "are")
        return (
            f"{count:,} of {self.rows:,} rows {have} no token to train on and {left} left out: "
            f"row{'s' if count > 1 else ''} {named}{more}"
        )


def _why(settings: dict[str, Any]) -> str:
    limit = settings.get("max_length")
    if limit is not None and settings.get("truncation_mode", "keep_start") == "keep_start":
        return (
            f"The prompts alone fill max_length ({limit:,} tokens), and the answers are cut off. Set max_length "
            "higher, or shorten the prompts."
        )
    return "Every answer comes out empty: look at its tokens with the dataset's preview(model=…)."


def check(trainer: Any, data: str, model: str) -> list[str]:
    """Read the masks of a trainer's rows, and return warnings: which rows add nothing, which lose their tool calls.

    Raises
    ------
    DataError
        If nothing useful could be learned.
    """
    masks = read(trainer)
    if problem := masks.problem(data, model, vars(trainer.args)):
        raise DataError(problem)
    return [line for line in (masks.warning(), lost_calls(trainer)) if line]


def read(trainer: Any) -> Masks:
    """Return the masks of a trainer's rows, cut as its arguments say, whether TRL has cut them yet or not.

    Parameters
    ----------
    trainer
        One of `trainer.TRAINERS`; its `given` are the rows before TRL's tokenization.
    """
    settings, given = trainer.args, trainer.given
    table = trainer.train_dataset
    end, name = end_of_turn(trainer.processing_class, is_conversational(given[0]))
    limit = None if getattr(settings, "packing", False) else settings.max_length
    # Packed rows have lost their numbers.
    numbered = NUMBER in table.column_names
    untrained = set(given[NUMBER]) - set(table[NUMBER]) if numbered else set()
    whole, trains_end, learned = 0, False, 0
    for numbers, sides in _batches(table, numbered):
        counts = np.zeros(len(sides[0].lengths), np.int64)
        for side in sides:
            kept = side.kept(limit, settings.truncation_mode) & (side.labels != IGNORED)
            counts += np.diff(np.concatenate([[0], np.cumsum(kept)])[side.offsets])
            trains_end |= bool((kept & (side.labels == end)).any())
        # Of a pair the chosen answer is the one to learn.
        whole += int((sides[0].before + sides[0].lengths < limit).sum()) if limit else len(counts)
        learned += int((counts > 0).sum())
        if numbered:
            untrained |= set(numbers[counts == 0].tolist())
    if not numbered and not learned:
        untrained = set(given[NUMBER])
    return Masks(len(given), tuple(sorted(untrained)), name, trains_end, whole)


def end_of_turn(tokenizer: PreTrainedTokenizerBase, conversational: bool) -> tuple[int | None, str | None]:
    """Return the token that ends a turn of the assistant, as its number and as text.

    For conversations it is the first special token that the chat template writes after an answer; where it writes none,
    and for plain text, the tokenizer's end of sequence.
    """
    if conversational and tokenizer.chat_template is not None:
        turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _PROBE}]
        try:
            text = str(tokenizer.apply_chat_template(turns, tokenize=False))
        except jinja2.TemplateError:
            text = ""
        added = special_ids(tokenizer)
        for number in tokenizer(text.rpartition(_PROBE)[2], add_special_tokens=False)["input_ids"]:
            if number in added:
                return number, str(tokenizer.convert_ids_to_tokens(number))
    eos = tokenizer.eos_token_id
    return (eos, str(tokenizer.eos_token)) if isinstance(eos, int) else (None, None)


def special_ids(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Return the tokens that no text has by chance."""
    added = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    return added | set(tokenizer.all_special_ids)


def lost_calls(trainer: Any) -> str | None:
    """Return that a chat template does not render the tool calls of rows, or None."""
    given = trainer.given
    if not has_more(given) or supports_tool_calling(trainer.processing_class):
        return None
    called = [
        number
        for number, *columns in zip(*(given[name] for name in given.column_names), strict=True)
        if any(turn.get("tool_calls") for column in columns if isinstance(column, list) for turn in column)
    ]
    if not called:
        return None
    return (
        f"the chat template does not show tool calls: {len(called):,} row{'s' if len(called) > 1 else ''} lose theirs, "
        f"the first is row {called[0]:,}"
    )


def refused_row(table: Table, tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the first row that a chat template refuses, with what it says, as the middle of a sentence."""
    reader = Reader(tokenizer)
    for row in table:
        prompt = row.get("prompt", [])
        answers = [row[name] for name in ("messages", "completion", "chosen", "rejected") if name in row]
        for answer in answers:
            try:
                reader.apply_chat_template(prompt + answer, tokenize=False)
            except jinja2.TemplateError as error:
                return f"row {row[NUMBER]:,} ({str(error).splitlines()[0]})"
    return "the rows"


@dataclass(frozen=True)
class _Side:
    """The labels of some sequences, end to end; of pairs the answers', each with the `before` tokens of its prompt."""

    labels: NDArray[np.int64]
    lengths: NDArray[np.int64]
    before: NDArray[np.int64]

    @property
    def offsets(self) -> NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum(self.lengths)])

    def kept(self, limit: int | None, mode: str) -> NDArray[np.bool_]:
        """Return which of the labels TRL does not cut off."""
        if limit is None:
            return np.ones(len(self.labels), bool)
        place = np.arange(len(self.labels)) - np.repeat(self.offsets[:-1] - self.before, self.lengths)
        if mode == "keep_start":
            return place < limit
        return place >= np.repeat(self.before + self.lengths, self.lengths) - limit


def _batches(table: Table, numbered: bool) -> Iterator[tuple[NDArray[np.int64], list[_Side]]]:
    """Yield some rows at a time: their numbers (none where they have lost them), and their one or two sequences."""
    pairs = "chosen_ids" in table.column_names
    names = ["prompt_ids", "chosen_ids", "rejected_ids"] if pairs else ["labels"]
    wanted = table.select_columns(names + [NUMBER] * numbered).with_format("arrow")
    for batch in wanted.iter(batch_size=_BATCH):
        numbers = batch[NUMBER].to_numpy() if numbered else np.empty(0, np.int64)
        columns = {name: batch[name].combine_chunks() for name in names}
        lengths = {name: pc.list_value_length(column).to_numpy().astype(np.int64) for name, column in columns.items()}
        before = lengths["prompt_ids"] if pairs else np.zeros(len(batch), np.int64)
        yield (
            numbers,
            [
                _Side(columns[name].flatten().to_numpy().astype(np.int64), lengths[name], before)
                for name in names
                if name != "prompt_ids"
            ],
        )
