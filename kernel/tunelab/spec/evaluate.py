"""The evaluate spec: which models answer which rows, and how their answers are scored."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag, field_validator, model_validator

from tunelab.spec.customize import Compute, Name, Tracking, _Strict
from tunelab.spec.metrics import MetricDefinition
from tunelab.spec.rewards import Asked, FunctionReward, PresetReward, address

Method = Literal["judge", "scorer", "benchmark", "meta"]
METHODS: tuple[str, ...] = ("judge", "scorer", "benchmark", "meta")


class EndpointModel(_Strict):
    """A candidate behind an OpenAI-compatible endpoint."""

    name: Name = Field(description="what it is called in the results")
    model: str = Field(min_length=1, description="the endpoint's name for it")
    base_url: str = Field(description="an OpenAI-compatible endpoint")
    api_key: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = Field(
        "OPENAI_API_KEY", description="the environment variable that holds the endpoint's key"
    )
    concurrency: int = Field(8, ge=1, le=256, description="requests at a time")
    timeout_s: float = Field(120.0, gt=0, le=3600, description="seconds that a request may take")
    retries: int = Field(4, ge=0, le=20, description="how often a request that failed is made again")
    price_in: float | None = Field(None, ge=0, description="price of a million prompt tokens, for the cost shown")
    price_out: float | None = Field(None, ge=0, description="price of a million reply tokens")

    _is_an_address = field_validator("base_url")(address)


class Judge(Asked):
    """A model that scores answers, and the metrics by which it does."""

    metrics: list[str | MetricDefinition] = Field(
        default_factory=list, description="registered names NAME[@VERSION], or {name, instructions, rating_scale}"
    )
    pairwise: bool = Field(
        False, description="each answer against the baseline's, in both orders, in place of each by itself"
    )
    reasoning: bool | None = Field(
        None, description="the judge reasons before it scores; by default an endpoint does and a local model does not"
    )
    scoring: Literal["expectation", "mode"] = Field(
        "expectation",
        description="expectation over the scale's probabilities, where they are known, or the likeliest rating",
    )


class Benchmark(_Strict):
    """Tasks of lm-eval, by name or from local files."""

    tasks: list[str] = Field(min_length=1, description="names of lm-eval's tasks, groups or subtasks")
    path: str | None = Field(None, description="a folder with lm-eval task files (YAML) of one's own")
    data: str | None = Field(None, description="a local file or folder with rows in the form of one known task")
    num_fewshot: int | None = Field(None, ge=0, le=64, description="examples before each question")
    limit: int | None = Field(None, ge=1, description="so many questions of each task")
    apply_chat_template: bool | None = Field(None, description="by default where the model has a template")
    batch_size: int = Field(8, ge=1, le=1024)


class Generation(_Strict):
    """How answers are made."""

    max_new_tokens: int = Field(256, ge=1, le=32768)
    temperature: float = Field(0.0, ge=0, le=10, description="0 takes the likeliest token each time")
    system: str | None = Field(None, description="a system turn before each prompt")
    batch_size: int = Field(16, ge=1, le=1024, description="answers at a time")


def _scorer_kind(value: Any) -> str:
    given = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    return "PresetReward" if "preset" in given else "FunctionReward"


ScorerPart = Annotated[
    Annotated[FunctionReward, Tag("FunctionReward")] | Annotated[PresetReward, Tag("PresetReward")],
    Discriminator(_scorer_kind),
]


class EvaluateSpec(_Strict):
    """An evaluation, from the models and the rows to what scores their answers."""

    kind: Literal["evaluate"] = "evaluate"
    name: Name | None = Field(
        None, description="what the evaluation is called; its job's id begins with it; by default the last model's"
    )
    models: list[str | EndpointModel] = Field(
        default_factory=list,
        description="the first is the baseline; catalog names, hub ids, folders, NAME[@VERSION[:step-N]], endpoints",
    )
    dataset: str | None = Field(None, min_length=1, description="rows with query, response, optional id and metadata")
    method: Method
    judge: Judge | None = None
    scorer: list[ScorerPart] = Field(default_factory=list, description="functions and presets, each a metric")
    benchmark: Benchmark | None = None
    generation: Generation = Field(default_factory=lambda: Generation())
    predictions: dict[str, str] | None = Field(None, description="{MODEL: FILE with id and prediction}")
    limit: int | None = Field(None, ge=1, description="so many rows, drawn by the seed")
    compute: Compute = Field(default_factory=lambda: Compute())
    tracking: Tracking = Field(default_factory=lambda: Tracking())
    seed: int = Field(42, ge=0, lt=2**32)

    @property
    def model_names(self) -> list[str]:
        """What the models are called in the results."""
        return [model if isinstance(model, str) else model.name for model in self.models]

    @field_validator("scorer", "models", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, (dict, str)) else value

    @field_validator("benchmark", mode="before")
    @classmethod
    def _tasks_alone(cls, value: Any) -> Any:
        return {"tasks": [value] if isinstance(value, str) else value} if isinstance(value, (str, list)) else value

    @model_validator(mode="after")
    def _has_what_its_method_needs(self) -> EvaluateSpec:
        needs = {"judge": "judge", "meta": "judge", "scorer": "scorer", "benchmark": "benchmark"}[self.method]
        for key in ("judge", "scorer", "benchmark"):
            is_given = bool(getattr(self, key))
            if key == needs and not is_given:
                raise ValueError(f"method {self.method} needs '{key}'")
            if key != needs and is_given:
                raise ValueError(f"method {self.method} takes no '{key}'")
        if self.method == "meta":
            if self.models:
                raise ValueError("method meta measures the judge; it takes no models")
        elif not self.models:
            raise ValueError("there are no models to evaluate")
        if self.method == "benchmark":
            if self.dataset is not None or self.predictions is not None:
                raise ValueError("a benchmark brings its own rows: it takes no dataset and no predictions")
        elif self.dataset is None:
            raise ValueError(f"method {self.method} needs a dataset")
        if self.judge is not None and not self.judge.metrics:
            raise ValueError("the judge has no metrics: name one, such as helpfulness")
        names = self.model_names
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"the model '{twice}' is there twice")
        return self
