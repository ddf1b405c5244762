"""Holds what a local model writes to the JSON of a reply, token by token, by llguidance."""

from __future__ import annotations

import json
import re
from typing import Any

import llguidance.hf
import llguidance.torch
import numpy as np
import torch
import transformers
from llguidance import LLMatcher
from torch import Tensor

from tunelab.errors import ModelError

#: A reply, as an endpoint is asked for it too.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "reasoning": {"type": "string"},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "required": ["reasoning", "score"],
    "additionalProperties": False,
}
#: What stands before the reasoning.
BEGIN = '{"reasoning": "'


class Guide:
    """What a model's tokenizer may say within a reply; made once, since it takes half a second.

    Parameters
    ----------
    tokenizer
        A fast one.
    vocabulary
        The width of the model's logits.

    Raises
    ------
    ModelError
        If the tokenizer is a slow one.
    """

    def __init__(self, tokenizer: Any, vocabulary: int) -> None:
        if not isinstance(tokenizer, transformers.PreTrainedTokenizerFast):
            raise ModelError(
                f"The feedback model's tokenizer ({type(tokenizer).__name__}) is a slow one, by which its reply cannot "
                "be held to JSON. Use a model with tokenizer.json, or an endpoint."
            )
        self.tokenizer = llguidance.hf.from_tokenizer(tokenizer, n_vocab=max(len(tokenizer), vocabulary))
        spaced: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
        grammar = LLMatcher.grammar_from_json_schema(SCHEMA, overrides=spaced)
        self._begun = LLMatcher(self.tokenizer, grammar)
        self._begun.consume_tokens(self.tokenizer.tokenize_str(BEGIN))

    def begun(self) -> LLMatcher:
        """Return a matcher of its own for one reply, at the place where the reasoning begins."""
        return self._begun.deep_copy()


class Reasonings:
    """Reasonings that are being written at the same time, each in a JSON string.

    Parameters
    ----------
    guide
        Of the model that writes.
    count
        How many.
    """

    def __init__(self, guide: Guide, count: int) -> None:
        self._tokenizer = guide.tokenizer
        self._matchers = [guide.begun() for _ in range(count)]
        self.tokens: list[list[int]] = [[] for _ in range(count)]

    def write(self, rows: list[int], logits: Tensor) -> Tensor:
        """Add to each of `rows` the likeliest token that JSON allows, and return these tokens.

        `logits` has the shape (rows, vocabulary).
        """
        bits = torch.full((len(rows), (logits.shape[1] + 31) // 32), -1, dtype=torch.int32)
        for place, row in enumerate(rows):
            llguidance.torch.fill_next_token_bitmask(self._matchers[row], bits, place)
        allowed = np.unpackbits(bits.numpy().view(np.uint8), axis=1, bitorder="little")[:, : logits.shape[1]]
        drawn = logits.masked_fill(torch.from_numpy(allowed == 0).to(logits.device), -torch.inf).argmax(dim=-1)
        for row, token in zip(rows, drawn.tolist(), strict=True):
            self._matchers[row].consume_token(token)
            self.tokens[row].append(token)
        return drawn

    def is_closed(self, row: int) -> bool:
        """Return whether a reasoning has come to its quotation mark."""
        return self._body(row)[1]

    def text(self, row: int) -> str:
        """Return a reasoning; one that is not closed ends where it is cut."""
        # Cut at the limit, it may end within an escape such as \u00e9.
        body = re.sub(r"\\u[0-9a-fA-F]{0,3}$", "", self._body(row)[0])
        # Half of a surrogate pair is JSON, and no text.
        return str(json.loads(f'"{body}"')).encode("utf-8", "ignore").decode()

    def _body(self, row: int) -> tuple[str, bool]:
        # A letter of several bytes may have come halfway.
        written = self._tokenizer.decode_bytes(self.tokens[row]).decode("utf-8", errors="ignore")
        body = re.match(r'(?:[^"\\]|\\.)*', written, re.DOTALL)
        assert body is not None
        return body[0], written[body.end() :].startswith('"')
