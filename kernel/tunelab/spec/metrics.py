"""A judge's metric as data: what it is called, what the judge reads, and the scale on which it answers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tunelab.errors import did_you_mean

#: What the instructions may name; one of the first two at least is the answer that is judged.
PLACEHOLDERS = ("prompt", "prediction", "ground_truth")
_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")
#: A judge tells no more apart.
_MOST_RATINGS = 21


class Rating(BaseModel):
    """One point of a scale: what it means, and the number that stands for it."""

    model_config = ConfigDict(extra="forbid")

    definition: str = Field(min_length=1, max_length=2000, description="what an answer is like that gets it")
    value: float | None = Field(
        None, description="the number that stands for it; a scale without numbers counts 0, 1, 2 … in its order"
    )

    @model_validator(mode="before")
    @classmethod
    def _from_a_word(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"definition": given}
        if isinstance(given.get("definition") if isinstance(given, Mapping) else given, bool):
            raise ValueError("a rating is a text; in YAML, no, yes, off and on are texts only in quotes")
        if not isinstance(given, (Mapping, Rating)):
            raise ValueError("a rating is a definition such as 'good', or a mapping with definition and value")
        return given

    @field_validator("definition")
    @classmethod
    def _says_something(cls, definition: str) -> str:
        if not definition.strip():
            raise ValueError("a definition says what an answer is like, and this one is blank")
        return definition

    @field_validator("value", mode="before")
    @classmethod
    def _is_a_number(cls, value: Any) -> Any:
        # Of a truth value or a text pydantic would make a number.
        if isinstance(value, (bool, str)):
            raise ValueError("a value is a number; a scale of words has definitions alone")
        return value

    @field_validator("value")
    @classmethod
    def _is_finite(cls, value: float | None) -> float | None:
        if value is not None and not math.isfinite(value):
            raise ValueError("a value is a finite number")
        return value


class MetricDefinition(BaseModel):
    """What a judge is asked of an answer."""

    model_config = ConfigDict(extra="forbid")

    name: str
    instructions: str = Field(
        min_length=1, max_length=100_000, description="what the judge reads, with {{prompt}} and {{prediction}}"
    )
    rating_scale: list[Rating] = Field(
        max_length=_MOST_RATINGS,
        description="from the worst to the best: {definition: value}, definitions, or both as mappings",
    )

    @field_validator("name")
    @classmethod
    def _can_be_a_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(
                "a metric's name has letters, digits, '_' and '-', begins with a letter, and is at most 100 long"
            )
        return name

    @field_validator("instructions")
    @classmethod
    def _show_the_answer(cls, instructions: str) -> str:
        if "\0" in instructions:
            raise ValueError("they have a NUL character, which no text has; remove it")
        used = set(_PLACEHOLDER.findall(instructions))
        if unknown := sorted(used - set(PLACEHOLDERS)):
            near = did_you_mean(unknown[0], PLACEHOLDERS)
            raise ValueError(
                f"they name {{{{{unknown[0]}}}}}, which there is not.{near} There are {{{{prompt}}}}, "
                "{{prediction}} and {{ground_truth}}"
            )
        if "prediction" not in used:
            near = "; placeholders have two braces" if "{prediction}" in instructions else ""
            raise ValueError(f"they have no {{{{prediction}}}}: the judge would score without seeing the answer{near}")
        return instructions

    @field_validator("rating_scale", mode="before")
    @classmethod
    def _from_a_mapping(cls, given: Any) -> Any:
        if isinstance(given, Mapping):
            given = [{"definition": word, "value": value} for word, value in given.items()]
        if not isinstance(given, (list, tuple)):
            raise ValueError("a scale is {definition: value}, or a list of definitions from the worst to the best")
        if len(given) > _MOST_RATINGS:
            raise ValueError(f"a scale has at most {_MOST_RATINGS} ratings, and this one has {len(given)}")
        return list(given)

    @field_validator("rating_scale")
    @classmethod
    def _tells_apart(cls, ratings: list[Rating]) -> list[Rating]:
        if len(ratings) < 2:
            raise ValueError(f"a scale has at least 2 ratings, and this one has {len(ratings)}")
        # As replies are read: upper case and spaces do not count.
        words = [" ".join(rating.definition.casefold().split()) for rating in ratings]
        for place, word in enumerate(words):
            if word in words[:place]:
                raise ValueError(f"it has the definition '{word}' twice")
        values = [rating.value for rating in ratings if rating.value is not None]
        if values and len(values) < len(ratings):
            raise ValueError("it has values for some of its ratings only; give all of them one, or none")
        for place, value in enumerate(values):
            if value in values[:place]:
                raise ValueError(f"it has the value {value:g} twice, and values tell ratings apart")
        # A scale is one and the same in whatever order its values are written.
        return sorted(ratings, key=lambda rating: rating.value or 0.0)

    @property
    def is_categorical(self) -> bool:
        """Whether the scale has words only: the judge answers with a definition."""
        return self.rating_scale[0].value is None

    @property
    def scale(self) -> dict[str, float]:
        """The definitions with their numbers, from the worst to the best."""
        return {
            rating.definition: float(place) if rating.value is None else rating.value
            for place, rating in enumerate(self.rating_scale)
        }

    @property
    def wants_ground_truth(self) -> bool:
        """Whether a row without a ground truth cannot be judged by it."""
        return "ground_truth" in _PLACEHOLDER.findall(self.instructions)

    def render(self, **values: Any) -> str:
        """Return the instructions with what is given in its places; text is never read again."""
        return _PLACEHOLDER.sub(lambda found: str(values[found[1]]), self.instructions)
