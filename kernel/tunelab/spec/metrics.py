"""A judge's metric as data: what it is called, what the judge reads, and the scale on which it answers."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

#: What the instructions may name; one of the first two at least is the answer that is judged.
PLACEHOLDERS = ("prompt", "prediction", "ground_truth")
_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
MetricName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,99}$")]


class Rating(BaseModel):
    """One point of a scale: what it means, and the number that stands for it."""

    model_config = ConfigDict(extra="forbid")

    definition: str = Field(min_length=1, max_length=2000, description="what an answer is like that gets it")
    value: float | None = Field(
        None, description="the number that stands for it; a scale without numbers counts 0, 1, 2 … in its order"
    )

    @field_validator("value")
    @classmethod
    def _is_finite(cls, value: float | None) -> float | None:
        if value is not None and not math.isfinite(value):
            raise ValueError("a value is a finite number")
        return value


class MetricDefinition(BaseModel):
    """What a judge is asked of an answer."""

    model_config = ConfigDict(extra="forbid")

    name: MetricName
    instructions: str = Field(
        min_length=1, max_length=100_000, description="what the judge reads, with {{prompt}} and {{prediction}}"
    )
    rating_scale: list[Rating] = Field(min_length=2, max_length=21, description="from the lowest to the highest")

    @model_validator(mode="after")
    def _can_be_used(self) -> MetricDefinition:
        used = set(_PLACEHOLDER.findall(self.instructions))
        if unknown := sorted(used - set(PLACEHOLDERS)):
            raise ValueError(
                f"the instructions name {{{{{unknown[0]}}}}}; there are {{{{prompt}}}}, {{{{prediction}}}} and "
                "{{ground_truth}}"
            )
        if "prediction" not in used:
            raise ValueError("the instructions have no {{prediction}}: the judge would score without seeing the answer")
        definitions = [rating.definition.strip().casefold() for rating in self.rating_scale]
        if twice := next((one for one in definitions if definitions.count(one) > 1), None):
            raise ValueError(f"the rating scale has '{twice}' twice")
        given = [rating.value for rating in self.rating_scale]
        if None in given and any(value is not None for value in given):
            raise ValueError("the rating scale has values for some of its ratings only; give all of them one, or none")
        values = [value for value in given if value is not None]
        if twice_as := next((value for value in values if values.count(value) > 1), None):
            raise ValueError(f"the rating scale has the value {twice_as:g} twice")
        return self

    @property
    def is_categorical(self) -> bool:
        """Whether the scale has words only: the judge answers with a definition."""
        return self.rating_scale[0].value is None

    @property
    def scale(self) -> dict[str, float]:
        """The definitions with their numbers."""
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
