"""The rows of `train_speed.py`, from real texts: as they are, with a long prompt before them, or cut to a length."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

from banking77 import sample
from tokenizers import Tokenizer

Row = dict[str, str]

#: Tokens of the texts that a long prompt holds, and how many of the shortest pairs come after them.
_CONTEXT_TOKENS = (600, 900)
_SHORT_ROWS = 200


class Texts:
    """The folder with the data, and the model's tokenizer; each method returns so many rows, the same each time."""

    def __init__(self, data: Path, tokenizer: Path, seed: int) -> None:
        self.data, self.seed = data, seed
        self.tokenizer = Tokenizer.from_file(str(tokenizer))

    def instruct(self, count: int) -> list[Row]:
        """Return instructions and their outputs (columns of Alpaca)."""
        rows = self._read("instruct/instruct.jsonl")
        return [
            {
                "prompt": "\n\n".join(part for part in (row["instruction"], row["input"]) if part),
                "completion": row["output"],
            }
            for row in self._draw().sample(rows, count)
        ]

    def banking(self, count: int) -> list[Row]:
        """Return messages to a bank and their intents, as `banking77.py` has them."""
        return sample(self.data / "banking77" / "train.csv", count, self.seed)

    def human_like(self, count: int) -> list[Row]:
        """Return questions with a human-like answer and a formal one."""
        return self._draw().sample(self._read("human-like/pairs.jsonl"), count)

    def long_prompts(self, count: int) -> list[Row]:
        """Return short pairs of human-like, each after 600 to 900 tokens of solved problems of gsm8k."""
        rows = self._read("human-like/pairs.jsonl")
        rows.sort(key=lambda row: max(len(row[side].split()) for side in ("chosen", "rejected")))
        short = rows[:_SHORT_ROWS]
        draw = self._draw()
        solved = self._solved(draw)
        rows = []
        for row in draw.sample(short, count):
            wanted, context = draw.randint(*_CONTEXT_TOKENS), ""
            while self._count(context) < wanted:
                context += solved.pop() + "\n\n"
            rows.append(row | {"prompt": f"{context}So much for arithmetic. {row['prompt']}"})
        return rows

    def cut(self, length: int) -> Callable[[int], list[Row]]:
        """Return a function for rows of a little more than `length` tokens, the second half of each to be learned."""

        def rows(count: int) -> list[Row]:
            ids = self.tokenizer.encode("\n\n".join(self._solved(self._draw())), add_special_tokens=False).ids
            half, whole = length // 2, length + 16
            assert count * whole <= len(ids), "gsm8k is shorter than these rows"
            starts = range(0, count * whole, whole)
            return [
                {
                    "prompt": self.tokenizer.decode(ids[start : start + half]),
                    "completion": self.tokenizer.decode(ids[start + half : start + whole]),
                }
                for start in starts
            ]

        return rows

    def _solved(self, draw: random.Random) -> list[str]:
        rows = self._read("gsm8k/train.jsonl")
        return [f"{row['question']}\n{row['answer']}" for row in draw.sample(rows, len(rows))]

    def _count(self, text: str) -> int:
        return len(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def _draw(self) -> random.Random:
        return random.Random(self.seed)

    def _read(self, name: str) -> list[Row]:
        with (self.data / name).open(encoding="utf-8") as file:
            return [json.loads(line) for line in file]
