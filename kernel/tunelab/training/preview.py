"""Rows as a model will see them, in TRL's own tokens: its trainers tokenize and collate them, on a model of no size."""

from __future__ import annotations

import random
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase
from trl.data_utils import is_conversational

from tunelab import task
from tunelab.data import Dataset
from tunelab.data.reading import Row
from tunelab.errors import ModelError, SpecError
from tunelab.jobs import machine
from tunelab.models import find, hub, load
from tunelab.spec import CustomizeSpec
from tunelab.spec.customize import ON_ROWS, Compute
from tunelab.training import masks, show
from tunelab.training import trainer as trainers
from tunelab.training.rows import NUMBER, Reader, table

#: So many rows are tokenized; of more, as many drawn at random.
MOST_MEASURED = 20_000
_SEED = 42
_FIRST = 3
_BINS = 32
#: Of a longer sequence so many tokens are shown.
_MOST_TOKENS = 4000
_NAMED_ROWS = 5


def preview(
    dataset: str,
    model: str,
    technique: str,
    rows: list[int],
    hyperparameters: dict[str, Any],
    chat_template: str = "auto",
) -> dict[str, Any]:
    """Return what `data.preview` shows, as JSON.

    Parameters
    ----------
    dataset
        ``NAME@VERSION``.
    model
        Any name of a model.
    technique
        What the rows are for; of one that is not trained on them, the prompts are rendered.
    rows
        Numbers (from 1) of those to show token by token; none: the first ones and the longest.
    hyperparameters
        All of them, the recipe's too.
    chat_template
        As a spec has it.
    """
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(machine.threads())
    source = Dataset.get(dataset)
    tokenizer, limit = _tokenizer(model)
    numbers = _drawn(source.rows, rows)
    wanted = set(numbers)
    found = [(number, row) for number, row in enumerate(source.read(), 1) if number in wanted]
    names = source.form_for(technique)
    as_chat = chat_template == "auto" and tokenizer.chat_template is not None
    seen = _Seen(source, model, technique, tokenizer, limit, numbers, rows)
    if technique not in ON_ROWS:
        return seen.prompts(found, as_chat)
    given = table(found, names, as_chat)
    if is_conversational(given[0]) and tokenizer.chat_template is None:
        raise ModelError(
            f"{model} has no chat template, and {source} holds conversations. Use an instruct model, or rows of plain "
            "text."
        )
    if is_conversational(given[0]) and chat_template == "none":
        raise SpecError(f"chat_template is none, and {source} holds conversations, which need one. Use auto.")
    spec = CustomizeSpec(
        name="preview",
        model=model,
        technique=technique,
        dataset=str(source.label),
        hyperparameters=hyperparameters,
        chat_template=chat_template,
        compute=Compute(device="cpu", threads=machine.threads(), dtype="float32"),
    )
    return seen.trained(spec, given)


@dataclass(frozen=True)
class _Seen:
    """One preview as it is made."""

    source: Dataset
    model: str
    technique: str
    tokenizer: PreTrainedTokenizerBase
    #: The positions that the model has.
    positions: int | None
    #: Of the rows that are tokenized.
    numbers: list[int]
    #: Of those asked for.
    asked: list[int]

    def trained(self, spec: CustomizeSpec, given: Any) -> dict[str, Any]:
        task.say(f"tokenizing {len(given):,} rows")
        settings = spec.hyperparameters
        # The other ways to pack lose nothing.
        splits = settings.get("packing") and settings.get("packing_strategy", "bfd") != "bfd"
        cut_at = None if splits else settings.get("max_length")
        # Rows that are packed are the same rows, joined; and how long they are is wanted before they are cut.
        apart = {name: value for name, value in settings.items() if name not in _OF_PACKING}
        if spec.technique == "dpo":
            # Else TRL loads a reference model.
            apart["precompute_ref_log_probs"] = True
        whole = self._tokenized(spec, apart | {"max_length": None}, given)
        lengths = {row[NUMBER]: _lengths(row) for row in whole.train_dataset}
        whole.args.max_length = cut_at
        read = masks.read(whole)
        shown = self.asked or _first_and_longest(self.numbers, lengths)
        examples = self._examples(spec, apart | {"max_length": cut_at}, given, whole.train_dataset, shown)
        problem = read.problem(self.source.label, self.model, settings)
        notes = [note for note in (read.warning() if not problem else None, masks.lost_calls(whole)) if note]
        if settings.get("packing"):
            notes.append("packing joins rows up to max_length; they are shown apart")
        return self._result(
            [max(pair) for pair in lengths.values()],
            cut_at,
            notes,
            end_of_turn=read.end,
            trains_end=read.trains_end,
            untrained_rows=self._scaled(len(read.untrained)),
            problem=problem,
            examples=examples,
            cut_first=[number for number, pair in lengths.items() if cut_at and max(pair) > cut_at][:_NAMED_ROWS],
        )

    def prompts(self, found: list[tuple[int, Row]], as_chat: bool) -> dict[str, Any]:
        """Render what a model is asked, where nothing is trained on the rows themselves."""
        reader = Reader(self.tokenizer)
        tokens = {number: _prompt(reader, row, as_chat) for number, row in found}
        lengths: dict[int, tuple[int, ...]] = {number: (len(ids),) for number, ids in tokens.items()}
        wanted = self.asked or _first_and_longest(self.numbers, lengths)
        examples = [
            {"row": number, "sequences": [self._sequence("", tokens[number], [0] * len(tokens[number]), 0)]}
            for number in wanted
        ]
        note = f"nothing is trained on these tokens: {self.technique} takes the prompts, and the model answers them"
        return self._result(
            [pair[0] for pair in lengths.values()],
            None,
            [note],
            end_of_turn=None,
            trains_end=False,
            untrained_rows=0,
            problem=None,
            examples=examples,
            cut_first=[],
        )

    def _tokenized(self, spec: CustomizeSpec, settings: dict[str, Any], given: Any) -> Any:
        spec = spec.model_copy(update={"hyperparameters": settings})
        with tempfile.TemporaryDirectory(prefix="tunelab-") as folder:
            arguments: Any = trainers.arguments(spec, Path(folder), has_held_out=False)
            if len(given) < trainers.MANY_ROWS:
                arguments.dataset_num_proc = None
            return trainers.tokenized(spec, _smallest(self.tokenizer), self.tokenizer, arguments, given)

    def _examples(
        self, spec: CustomizeSpec, settings: dict[str, Any], given: Any, whole: Any, numbers: Sequence[int]
    ) -> list[dict[str, Any]]:
        """Return rows with the masks that TRL's collator gives them for training."""
        places = {number: place for place, number in enumerate(given[NUMBER])}
        uncut = {row[NUMBER]: row for row in whole.select([places[number] for number in numbers])}
        trainer = self._tokenized(spec, settings, given.select([places[number] for number in numbers]))
        kept = {row[NUMBER]: row for row in trainer.train_dataset}
        examples = []
        for number in numbers:
            row, limit = uncut[number], settings["max_length"]
            lengths = _lengths(row)
            # A row of which no trained token is left is left out by TRL.
            batch = trainer.data_collator([kept[number]]) if number in kept else _left_out(row, limit)
            sequences = []
            for place, (label, length) in enumerate(zip(_LABELS[spec.technique], lengths, strict=True)):
                ids, trained = _unpadded(batch, place)
                sequences.append(self._sequence(label, ids, trained, length - len(ids)))
            examples.append({"row": number, "sequences": sequences})
        return examples

    def _sequence(self, label: str, ids: list[int], trained: list[int], cut: int) -> dict[str, Any]:
        return {
            "label": label,
            "tokens": show.shown(self.tokenizer, ids[:_MOST_TOKENS], trained[:_MOST_TOKENS]),
            "length": len(ids) + cut,
            "trained": sum(trained),
            "cut": cut,
        }

    def _result(
        self, lengths: list[int], limit: int | None, notes: list[str], cut_first: list[int], **rest: Any
    ) -> dict[str, Any]:
        cut = [length - limit for length in lengths if limit and length > limit]
        if len(lengths) < self.source.rows:
            notes.append(f"measured on {len(lengths):,} rows drawn from {self.source.rows:,}; counts are scaled")
        if self.positions and max(lengths) > self.positions and (limit is None or limit > self.positions):
            over = self._scaled(sum(length > self.positions for length in lengths))
            notes.append(f"{over:,} rows are longer than the {self.positions:,} tokens that {self.model} is made for")
        return {
            "model": self.model,
            "technique": self.technique,
            "max_length": limit,
            "rows": self.source.rows,
            "measured": len(lengths),
            "lengths": {
                "bins": [[low, high, self._scaled(count)] for low, high, count in bins(lengths)],
                "median": int(statistics.median(lengths)),
                "longest": max(lengths),
                "cut_rows": self._scaled(len(cut)),
                "cut_tokens": self._scaled(sum(cut)),
                "cut_first": cut_first,
            },
            "notes": notes,
            **rest,
        }

    def _scaled(self, count: int) -> int:
        return round(count * self.source.rows / len(self.numbers))


_LABELS = {"sft": ("",), "dpo": ("chosen", "rejected")}
_OF_PACKING = ("packing", "packing_strategy", "eval_packing", "eval_steps", "eval_on_start")


def bins(lengths: Sequence[int]) -> list[tuple[int, int, int]]:
    """Return a histogram: from, to (not included) and count, of equal widths of 1, 2 or 5 times a power of ten."""
    width = next(size for power in range(12) for base in (1, 2, 5) if (size := base * 10**power) * _BINS > max(lengths))
    first, last = min(lengths) // width, max(lengths) // width
    counts = [0] * (last - first + 1)
    for length in lengths:
        counts[length // width - first] += 1
    return [((first + place) * width, (first + place + 1) * width, count) for place, count in enumerate(counts)]


def _drawn(rows: int, asked: list[int]) -> list[int]:
    if rows <= MOST_MEASURED:
        return list(range(1, rows + 1))
    drawn = random.Random(_SEED).sample(range(1, rows + 1), MOST_MEASURED)
    return sorted({*drawn, *(asked or range(1, _FIRST + 1))})


def _first_and_longest(numbers: list[int], lengths: dict[int, tuple[int, ...]]) -> list[int]:
    longest = max(lengths, key=lambda number: max(lengths[number]))
    return list(dict.fromkeys([*numbers[:_FIRST], longest]))


def _lengths(row: dict[str, Any]) -> tuple[int, ...]:
    if "chosen_ids" in row:
        return tuple(len(row["prompt_ids"]) + len(row[f"{side}_ids"]) for side in ("chosen", "rejected"))
    return (len(row["input_ids"]),)


def _unpadded(batch: dict[str, Any], place: int) -> tuple[list[int], list[int]]:
    """Return the tokens of one sequence of a batch, and 1 for each that is trained on."""
    there = batch["attention_mask"][place].bool()
    if "completion_mask" in batch:
        trained = batch["completion_mask"][place][there]
    else:
        trained = (batch["labels"][place][there] != masks.IGNORED).long()
    return batch["input_ids"][place][there].tolist(), trained.tolist()


def _left_out(row: dict[str, Any], limit: int | None) -> dict[str, Any]:
    """Return a row that TRL leaves out as a batch in which nothing is trained on."""
    if "chosen_ids" in row:
        sequences = [(row["prompt_ids"] + row[f"{side}_ids"])[:limit] for side in ("chosen", "rejected")]
    else:
        sequences = [row["input_ids"][:limit]]
    ids = [torch.tensor(sequence) for sequence in sequences]
    return {
        "input_ids": ids,
        "attention_mask": [torch.ones_like(one) for one in ids],
        "completion_mask": [torch.zeros_like(one) for one in ids],
    }


def _prompt(reader: Reader, row: Row, as_chat: bool) -> list[int]:
    prompt = row.get("prompt", row.get("query"))
    if isinstance(prompt, str) and not as_chat:
        system = row.get("system")
        found: list[int] = reader(f"{system}\n\n{prompt}" if system else prompt)["input_ids"]
        return found
    turns = [(0, {"prompt": prompt})]
    kept = table(turns, ("prompt",), as_chat)[0]["prompt"]
    if row.get("system"):
        kept = [{"role": "system", "content": row["system"]}, *kept]
    rendered: list[int] = reader.apply_chat_template(
        kept, tokenize=True, return_dict=True, add_generation_prompt=True, tools=row.get("tools")
    )["input_ids"]
    return rendered


def _smallest(tokenizer: PreTrainedTokenizerBase) -> LlamaForCausalLM:
    """Return a model that TRL's trainers take: tokens and masks come from the tokenizer and the settings alone."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=4,
        intermediate_size=4,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def _tokenizer(model: str) -> tuple[PreTrainedTokenizerBase, int | None]:
    """Return a model's tokenizer and how many positions it has; no weights are downloaded for it."""
    ref = find.find(model)
    root = ref.base or ref
    if hub_id := find.to_download(root):
        task.say(f"getting the tokenizer of {hub_id} from the hub")
        folder = hub.download(hub_id, weights=False)
    else:
        folder = load.bring(root, task.say)
    config = transformers.AutoConfig.from_pretrained(str(folder), trust_remote_code=False).get_text_config()
    own = ref.folder if ref.base and ref.folder else folder
    return load.tokenizer(own), getattr(config, "max_position_embeddings", None)
