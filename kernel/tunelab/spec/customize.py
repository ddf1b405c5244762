"""The customize spec: what one may ask for, as typed data that YAML, keywords and the form all become."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from tunelab.spec import rewards
from tunelab.spec.rewards import FeedbackReward, Reward, RewardPart

Technique = Literal["sft", "dpo", "rlvr", "rlaif"]
TECHNIQUES: tuple[str, ...] = ("sft", "dpo", "rlvr", "rlaif")
#: Those that sample answers and learn from their rewards.
REINFORCEMENT = frozenset({"rlvr", "rlaif"})
#: Those that learn from the rows' own tokens.
ON_ROWS = frozenset(TECHNIQUES) - REINFORCEMENT

#: What the reward of a technique is, where there is none.
REWARD_IS = {
    "rlvr": "needs a reward: a function of yours, a preset such as {preset: number}, or a weighted list of them",
    "rlaif": "needs a reward such as {prompt: human_like, model: smollm2-135m}: a reward prompt and a feedback model",
}

SPLIT_IS = "give a share from 0 to below 1 (0.1), or a whole number of rows (64)"

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
Name = Annotated[str, StringConstraints(pattern=rf"^{NAME_PATTERN}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    @field_validator(
        "r",
        "alpha",
        "dropout",
        "split",
        "seed",
        "max_restarts",
        "threads",
        "tokens_per_batch",
        mode="before",
        check_fields=False,
    )
    @classmethod
    def _truth_is_no_number(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError("it takes a number")
        return value


#: What of an adapter only LoRA has.
LORA_ONLY = ("r", "alpha", "dropout", "target_modules", "carry")
#: The largest rank of an adapter.
MAX_RANK = 1024


class Adapter(_Strict):
    """What is trained: a low-rank adapter (LoRA, Hu et al. 2021) beside frozen weights, or all weights."""

    type: Literal["lora", "full"] = Field("lora", description="lora: a small adapter; full: every weight")
    r: int | None = Field(None, ge=1, le=MAX_RANK, description="rank of the adapter's matrices")
    alpha: int | None = Field(None, ge=1, le=4096, description="scale: the update is multiplied by alpha / r")
    dropout: float | None = Field(None, ge=0, lt=1, description="dropout before the adapter, in training only")
    target_modules: str | list[str] | None = Field(
        None, description="'all-linear', or the names of the modules that get an adapter"
    )
    carry: Literal["further", "merge"] | None = Field(
        None,
        description="going on from a custom model with an adapter: further trains that adapter on, with its rank and "
        "modules; merge puts it into the weights and trains a new one beside it, and both become one adapter; by "
        "default further",
    )

    @model_validator(mode="after")
    def _full_has_no_rank(self) -> Adapter:
        extra = [key for key in LORA_ONLY if getattr(self, key) is not None]
        if self.type == "full" and extra:
            raise ValueError(f"with type 'full' there is no {' and no '.join(extra)}; leave it out or use type 'lora'")
        return self

    def __str__(self) -> str:
        return f"LoRA r{self.r}" if self.type == "lora" else "full"


class Compute(_Strict):
    """Where it runs, and the choices that the machine makes unless they are set by hand."""

    engine: Literal["local"] = Field("local", description="local: this machine")
    device: Annotated[str, StringConstraints(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = Field(
        "auto", description="auto, cpu, cuda, cuda:N or mps"
    )
    max_restarts: int = Field(
        3, ge=0, le=100, description="how often a worker that died is started again, from its newest checkpoint"
    )
    threads: int | None = Field(None, ge=1, le=1024, description="CPU threads of the worker; by default all cores")
    dtype: Literal["float32", "bfloat16"] | None = Field(
        None,
        description="number format of the weights; by default bfloat16 on a GPU that has it, on a CPU what is measured "
        "to be really faster",
    )
    kernels: Literal["fast", "trl"] | None = Field(
        None,
        description="fast: no padding, no unread logits; trl: TRL's own forward pass; by default fast where a trial "
        "with the model gives TRL's results",
    )
    tokens_per_batch: int | None = Field(
        None,
        ge=1,
        le=1 << 24,
        description="batches of rows of like length up to so many tokens, in place of a fixed number of rows",
    )
    fit: bool = Field(
        False,
        description="where a step does not fit in memory, train with smaller batches and the same effective batch",
    )


class Tracking(_Strict):
    """Where the run is recorded in MLflow."""

    experiment: Annotated[str, StringConstraints(min_length=1, max_length=200)] = "tunelab"


class CustomizeSpec(_Strict):
    """A fine-tuning, from the base model and the rows to the custom model's name."""

    kind: Literal["customize"] = "customize"
    name: Name = Field(description="the custom model's name; each run that ends well adds a version NAME@N")
    model: str = Field(
        min_length=1,
        description="catalog name, hub id, local folder, or a custom model NAME[@VERSION], or a checkpoint of it "
        "NAME@VERSION:step-N, to continue from",
    )
    technique: Technique = Field(
        description="sft: learn answers; dpo: prefer one answer to another; rlvr: learn from a reward that a function "
        "computes; rlaif: from a reward that another model gives"
    )
    dataset: str = Field(min_length=1, description="registered NAME[@VERSION], file, hub id, or a variable's name")
    split: int | float | None = Field(
        None, description="held-out share between 0 and 1, or a number of rows; 0 holds nothing out"
    )
    eval_dataset: str | None = Field(None, min_length=1, description="held-out rows, instead of a split")
    adapter: Adapter = Field(default_factory=lambda: Adapter())
    hyperparameters: dict[str, Any] = Field(default_factory=dict, description="TRL's field names")
    reward: Reward | None = Field(
        None, description="rlvr: a function, {preset: …}, or a weighted list of them; rlaif: {prompt: …, model: …}"
    )
    algorithm: Literal["grpo", "rloo"] | None = Field(
        None, description="of rlvr and rlaif: grpo, or rloo; grpo by default"
    )
    chat_template: Literal["auto", "none"] = Field(
        "auto", description="auto: plain strings become user and assistant turns where the model has a template"
    )
    keep: Literal["last", "best"] | None = Field(
        None,
        description="which checkpoint becomes the model; best: by held-out loss, or reward; by default the last of sft "
        "and dpo, the best of rlvr and rlaif",
    )
    compute: Compute = Field(default_factory=lambda: Compute())
    tracking: Tracking = Field(default_factory=lambda: Tracking())
    seed: int = Field(42, ge=0, lt=2**32)

    @field_validator("name")
    @classmethod
    def _no_version_in_name(cls, value: str) -> str:
        if re.fullmatch(r"\.+", value):
            raise ValueError("a name has letters or digits")
        return value

    @field_validator("split")
    @classmethod
    def _split_is_share_or_rows(cls, value: int | float | None) -> int | float | None:
        if value is not None and not (0 <= value < 1 or (isinstance(value, int) and value > 0)):
            raise ValueError(SPLIT_IS)
        return value

    @property
    def is_reinforcement(self) -> bool:
        """Whether answers are sampled and learned from by their rewards."""
        return self.technique in REINFORCEMENT

    @property
    def method(self) -> str:
        """The TRL trainer's name: sft, dpo, grpo or rloo."""
        return self.algorithm or "grpo" if self.is_reinforcement else self.technique

    @property
    def reward_parts(self) -> list[RewardPart]:
        """The parts of the reward, none for sft and dpo."""
        return rewards.parts(self.reward)

    @model_validator(mode="after")
    def _reward_fits(self) -> CustomizeSpec:
        if not self.is_reinforcement:
            for key in ("reward", "algorithm"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{self.technique} takes no '{key}'; it is for rlvr and rlaif")
            return self
        if not self.reward_parts:
            raise ValueError(f"{self.technique} {REWARD_IS[self.technique]}")
        feedback = [part for part in self.reward_parts if isinstance(part, FeedbackReward)]
        if self.technique == "rlvr" and feedback:
            raise ValueError(
                f"the reward prompt '{feedback[0].prompt}' needs technique rlaif; rlvr {REWARD_IS['rlvr']}"
            )
        if self.technique == "rlaif" and not feedback:
            raise ValueError(f"no part of the reward has a reward prompt: rlaif {REWARD_IS['rlaif']}")
        if self.compute.tokens_per_batch is not None:
            raise ValueError(f"{self.technique} takes no compute.tokens_per_batch: a batch is whole groups of answers")
        return self

    @model_validator(mode="after")
    def _one_way_to_hold_out(self) -> CustomizeSpec:
        if self.eval_dataset is not None and self.split is not None:
            raise ValueError("give split or eval_dataset, not both")
        if self.keep == "best" and self.eval_dataset is None and self.split == 0:
            raise ValueError("keep: best chooses by held-out figures, and split: 0 holds nothing out")
        return self
