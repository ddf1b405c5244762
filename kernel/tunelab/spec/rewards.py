"""What a spec says of rewards: a function, a preset or a feedback model, or several with weights."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    Tag,
    field_validator,
    model_serializer,
    model_validator,
)

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=100)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=(), populate_by_name=True)

    weight: float = Field(1.0, description="what the score is multiplied by in the sum; negative for a penalty")

    @model_serializer(mode="wrap")
    def _without_what_is_not_given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in dump(self).items() if value is not None}

    @field_validator("weight")
    @classmethod
    def _weighs_something(cls, value: float) -> float:
        if value == 0 or not math.isfinite(value):
            raise ValueError("a weight is a finite number other than 0")
        return value


class FunctionReward(_Part):
    """A function of the user's, as source in the job's folder."""

    source: str = Field(min_length=1, description="the file with the function, in the job's folder")
    name: Identifier = Field(description="the function's name")
    timeout_s: float = Field(10.0, gt=0, le=3600, description="seconds that a call may take")


class PresetReward(_Part):
    """A reward that comes with tunelab. Which options a preset takes is said by `OPTIONS`."""

    preset: Literal["exact", "number", "regex", "json_schema", "code", "length", "format"]
    #: exact
    ignore_case: bool | None = Field(
        None,
        description="exact: letters' case does not count, true by default; regex: in the pattern, false by default",
    )
    #: number
    tolerance: float | None = Field(
        None,
        ge=0,
        description="number: relative difference that is still right; by default 1e-6, and none between whole numbers",
    )
    #: regex
    pattern: str | None = Field(
        None, description="regex: what the answer must match; a group is held to the ground truth"
    )
    full: bool | None = Field(None, description="regex: the whole answer must match, not a piece of it")
    #: json_schema
    json_schema: dict[str, Any] | None = Field(
        None, alias="schema", description="json_schema: the schema; without it the ground truth's keys are wanted"
    )
    #: code
    tests: str | None = Field(None, description="code: the column with the tests; ground_truth by default")
    timeout_s: float | None = Field(None, gt=0, le=600, description="code: seconds that the tests may take")
    memory_mb: int | None = Field(None, ge=32, le=65536, description="code: memory that they may take")
    #: length
    unit: Literal["words", "characters", "sentences"] | None = Field(None, description="length: what is counted")
    at_least: int | None = Field(None, ge=0, description="length: the fewest that get the whole reward")
    at_most: int | None = Field(None, ge=0, description="length: the most that get the whole reward")
    #: format
    tags: list[str] | None = Field(
        None, description="format: tags that the answer has once each, in order, and nothing else"
    )

    @model_validator(mode="after")
    def _has_its_options(self) -> PresetReward:
        given = {name for name in OPTION_NAMES if getattr(self, name) is not None}
        if extra := sorted(given - OPTIONS[self.preset]):
            takes = ", ".join(_shown(name) for name in sorted(OPTIONS[self.preset]))
            raise ValueError(f"the preset '{self.preset}' takes no '{_shown(extra[0])}'; it takes {takes}")
        for need in REQUIRED.get(self.preset, ()):
            if getattr(self, need) is None:
                raise ValueError(f"the preset '{self.preset}' needs '{_shown(need)}'")
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except re.error as error:
                raise ValueError(f"the pattern is no regular expression: {error}") from error
        if self.tags is not None:
            _check_tags(self.tags)
        if self.preset == "length":
            if self.at_least is None and self.at_most is None:
                raise ValueError("the preset 'length' needs 'at_least' or 'at_most'")
            if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
                raise ValueError("'at_least' is greater than 'at_most'")
        return self

    def options(self) -> dict[str, Any]:
        """Return the options that were given."""
        return {name: value for name in OPTION_NAMES if (value := getattr(self, name)) is not None}


def _check_tags(tags: list[str]) -> None:
    if not tags:
        raise ValueError("'tags' has no tag in it")
    for tag in tags:
        if not re.fullmatch(r"[A-Za-z_][\w-]*", tag):
            raise ValueError(f"'{tag}' is no tag's name: letters, digits, - and _, without the angle brackets")
    if len(set(tags)) < len(tags):
        raise ValueError("a tag is named twice")


#: The options of each preset, by the names of `PresetReward`'s fields.
OPTIONS: dict[str, frozenset[str]] = {
    "exact": frozenset({"ignore_case"}),
    "number": frozenset({"tolerance"}),
    "regex": frozenset({"pattern", "full", "ignore_case"}),
    "json_schema": frozenset({"json_schema"}),
    "code": frozenset({"tests", "timeout_s", "memory_mb"}),
    "length": frozenset({"unit", "at_least", "at_most"}),
    "format": frozenset({"tags"}),
}
OPTION_NAMES = tuple(name for name in PresetReward.model_fields if name not in ("preset", "weight"))
REQUIRED = {"regex": ("pattern",), "format": ("tags",)}
PRESETS = tuple(OPTIONS)
#: The rule of each preset, in a sentence or two.
DOES: dict[str, str] = {
    "exact": "1 where the answer is the ground truth, or one of a list of them; white space, a final full stop and, "
    "unless ignore_case is false, case do not count.",
    "number": "1 where the answer's number is the ground truth's: after ####, in \\boxed{}, else the last one. "
    "Part found: there is a number at all.",
    "regex": "1 where the pattern is found, or with full matches the whole answer. Its group named answer, else its "
    "first, must be the ground truth where the row has one.",
    "json_schema": "The answer is JSON as wanted. Without a ground truth the mean of parsed and valid; with one "
    "0.2 · parsed · valid + 0.8 · right, where right is the share of the values that are right.",
    "code": "The share of the tests that the answer's code passes, in a process with limits.",
    "length": "1 from at_least to at_most, falling to 0 at half of the one and twice the other.",
    "format": "1 where the tags are there once each, in order, with nothing between or around them; else half the "
    "share of the tags that are there once and closed.",
}
#: Presets that compare with the row's ground truth, and cannot do without.
WANT_GROUND_TRUTH = frozenset({"exact", "number"})


def address(value: str | None) -> str | None:
    """Refuse what is no address of an endpoint, or has a secret in it."""
    if value is not None and not re.fullmatch(r"https?://[^\s@?#]+", value):
        raise ValueError("it is an address such as http://127.0.0.1:8000/v1, without a key or password in it")
    return value


class Asked(BaseModel):
    """A model that is asked for scores: a local one, or one behind an endpoint."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model: str = Field(min_length=1, description="the feedback model: a local one, or the endpoint's name for it")
    base_url: str | None = Field(None, description="an OpenAI-compatible endpoint; without it the model is a local one")
    api_key: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = Field(
        "OPENAI_API_KEY", description="the environment variable that holds the endpoint's key"
    )
    max_tokens: int = Field(256, ge=1, le=32768, description="the longest reply, in tokens")
    concurrency: int = Field(8, ge=1, le=256, description="requests at a time")
    timeout_s: float = Field(60.0, gt=0, le=3600, description="seconds that a request may take")
    retries: int = Field(4, ge=0, le=20, description="how often a request that failed is made again")
    price_in: float | None = Field(None, ge=0, description="price of a million prompt tokens, for the cost shown")
    price_out: float | None = Field(None, ge=0, description="price of a million reply tokens")

    _is_an_address = field_validator("base_url")(address)


class FeedbackReward(Asked, _Part):
    """A model that scores answers by a reward prompt."""

    prompt: str = Field(min_length=1, description="the reward prompt, NAME or NAME@VERSION")


def _kind(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "list"
    given = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    if "preset" in given:
        return "preset"
    return "function" if "source" in given else "feedback"


RewardPart = Annotated[
    Annotated[FunctionReward, Tag("function")]
    | Annotated[PresetReward, Tag("preset")]
    | Annotated[FeedbackReward, Tag("feedback")],
    Discriminator(_kind),
]
Reward = Annotated[
    Annotated[FunctionReward, Tag("function")]
    | Annotated[PresetReward, Tag("preset")]
    | Annotated[FeedbackReward, Tag("feedback")]
    | Annotated[list[RewardPart], Tag("list")],
    Discriminator(_kind),
]
#: What stands in the path of a fault, and is no key.
TAGS = ("function", "preset", "feedback", "list")


def _shown(name: str) -> str:
    return "schema" if name == "json_schema" else name


def parts(reward: Reward | None) -> list[RewardPart]:
    """Return a spec's reward as a list."""
    if reward is None:
        return []
    return list(reward) if isinstance(reward, list) else [reward]


def part_name(part: RewardPart) -> str:
    """Return what a part is called in metric keys: letters, digits and underscores."""
    if isinstance(part, FunctionReward):
        return part.name
    if isinstance(part, PresetReward):
        return part.preset
    return re.sub(r"\W", "_", part.prompt.partition("@")[0])
