"""GRPO and RLOO by TRL's trainers, with the job's reward under them: every answer is kept, and nothing missing is zero.

TRL samples, compares within a group and takes the step. Here rewards come from `scoring.reward`, with the whole row of
the dataset beside each answer; an answer without a reward has no advantage (TRL leaves NaN out), and a feedback model
that cannot be asked holds the run up instead of teaching it nothing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from trl import GRPOTrainer, RLOOTrainer

from tunelab.data import Dataset
from tunelab.data.reading import Row
from tunelab.errors import DataError
from tunelab.scoring.reward import Reward
from tunelab.scoring.score import Case, Score, Unreachable, as_sample
from tunelab.spec import CustomizeSpec
from tunelab.training.fast import Work
from tunelab.training.need import base
from tunelab.training.recovery import Recoverable
from tunelab.training.rows import NUMBER
from tunelab.training.sampling import can_sample, sample

#: How long a feedback model that cannot be asked is waited for before the run pauses, and the pauses between.
PATIENCE_S = 60.0
_AGAIN_S = (2.0, 15.0)


@dataclass(frozen=True)
class Answer:
    """A scored answer: to which row of the dataset, in which group of those sampled together, and how long it is."""

    case: Case
    score: Score
    row: int
    group: int
    tokens: int
    cut: bool

    def sample(self) -> dict[str, Any]:
        """Return what a `sample` of the journal says of it, step and kind aside."""
        return as_sample(self.case, self.score) | {
            "group": self.group,
            "row": self.row,
            "cut": self.cut,
            "tokens": self.tokens,
        }


#: Told of scored answers: the step, whether they are held out, and the answers.
Told = Callable[[int, bool, list[Answer]], None]


class Stuck(Exception):
    """Raised when the feedback model stayed away: the job is to pause, and says why."""


class Reinforced(Recoverable):
    """What GRPO and RLOO have besides TRL's own."""

    #: The spec with what the machine chose.
    spec: CustomizeSpec
    #: What the fast forward pass counts; None where TRL's own is used.
    work: Work | None = None
    #: What is said of the rows before the first step.
    warnings: list[str]
    #: Batches are whole groups, never by tokens.
    token_batches: None = None
    reward: Reward
    #: The datasets' rows by their number, for training and held out.
    rows: dict[str, dict[int, Row]]
    told: Told | None = None
    #: Asked while a feedback model is waited for.
    stopped: Callable[[], bool] = staticmethod(lambda: False)
    say: Callable[[str, str], None] = staticmethod(lambda text, level: None)
    _sampling_s = 0.0
    _total_train_tokens = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        trainer: Any = self
        settings: Any = self.args
        given = {
            "max_new_tokens": trainer.max_completion_length,
            "cache_implementation": settings.cache_implementation,
        } | (settings.generation_kwargs or {})
        # What the first steps are tried with, before the trainer sets it.
        self.current_gradient_accumulation_steps = self.args.gradient_accumulation_steps
        by_others = trainer.use_vllm or getattr(trainer, "use_transformers_continuous_batching", False)
        self.samples_itself = not by_others and can_sample(base(self.model), given)

    def prompt_lengths(self, table: Any = None) -> list[int]:
        """Return the tokens of each prompt as the model reads them; of those to train on, where no table is given."""
        trainer: Any = self
        found: list[int] = []
        prompts = (trainer.train_dataset if table is None else table)["prompt"]
        for begin in range(0, len(prompts), 1000):
            ids = trainer._tokenize_prompts(list(prompts[begin : begin + 1000]))[0]
            found += [len(each) for each in ids]
        return found

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate with random numbers of its own: the same prompts get answers by the same draws each time."""
        with torch.random.fork_rng():
            torch.manual_seed(self.args.seed)
            return super().evaluation_loop(*args, **kwargs)

    def training_step(self, model: Any, inputs: Any, *rest: Any) -> Any:
        """Make a step, and note how many tokens a second were trained on, sampling and scoring aside."""
        trainer: Any = self
        self._sampling_s, begin = 0.0, time.perf_counter()
        loss = super().training_step(model, inputs, *rest)
        taken = time.perf_counter() - begin - self._sampling_s
        place = (trainer._step - 1) % trainer.args.steps_per_generation
        batch = trainer._buffered_inputs[place]
        tokens = int(batch["prompt_mask"].sum() + batch["completion_mask"].sum())
        trainer._metrics["train"]["tokens_per_s/training"].append(tokens / taken)
        return loss

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        begin = time.perf_counter()
        try:
            return super()._generate_and_score_completions(inputs)  # type: ignore[misc]
        finally:
            self._sampling_s += time.perf_counter() - begin

    def _sampled(self, prompt_ids: Any, generate: Callable[[], Any]) -> Any:
        """Return the answers to tokenized prompts, by `generate` where they are not sampled here, and note how fast."""
        trainer: Any = self
        begin = time.perf_counter()
        if self.samples_itself:
            model = self.accelerator.unwrap_model(self.model)
            training = model.training
            model.eval()
            try:
                with self.accelerator.autocast():
                    found = sample(model, prompt_ids, trainer.generation_config)
            finally:
                model.train(training)
        else:
            found = generate()
        tokens = sum(len(ids) for ids in found)
        trainer._metrics[self._mode]["tokens_per_s/generation"].append(tokens / (time.perf_counter() - begin))
        return found

    @property
    def _mode(self) -> str:
        return "train" if cast(torch.nn.Module, self.model).training else "eval"

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> Any:
        trainer: Any = self
        mode = self._mode
        cases = []
        for each, completion in zip(inputs, completions, strict=True):
            row = self.rows[mode][each[NUMBER]]
            text = completion if isinstance(completion, str) else completion[0]["content"]
            cases.append(Case(prompt=row["prompt"], completion=text, row=row))
        scores = self._scored(cases)
        metrics = trainer._metrics[mode]
        metrics["reward_missing"].append(sum(score.value is None for score in scores) / len(scores))
        if self.spec.technique == "rlaif":
            metrics["reward_unparsed"].append(sum(score.status == "unparsed" for score in scores) / len(scores))
        for name in sorted({name for score in scores for name in score.parts} - set(self.reward.names)):
            found = [score.parts[name] for score in scores if name in score.parts]
            metrics[f"rewards/{name}/mean"].append(sum(found) / len(found))
        for name, value in self.reward.metrics().items():
            metrics[name].append(value)
        if self.told is not None:
            ends = {*trainer.eos_token_ids, trainer._tokenizer.pad_token_id}
            # What is sampled now is learned from in the next step.
            step = self.state.global_step + (mode == "train")
            size = trainer.num_generations if mode == "train" else trainer.num_generations_eval
            answers = [
                Answer(case, score, each[NUMBER], place // size, len(ids), ids[-1] not in ends)
                for place, (case, score, each, ids) in enumerate(
                    zip(cases, scores, inputs, completion_ids_list, strict=True)
                )
            ]
            self.told(step, mode == "eval", answers)
        nothing = [float("nan")] * len(self.reward.names)
        table = [
            nothing if score.value is None else [score.parts[name] for name in self.reward.names] for score in scores
        ]
        gathered: Any = self.accelerator.gather(
            torch.tensor(table, dtype=torch.float32, device=self.accelerator.device)
        )
        return gathered

    def _scored(self, cases: list[Case]) -> list[Score]:
        """Return the rewards, waiting a while for a feedback model that is away."""
        begin, pause, is_told = time.monotonic(), _AGAIN_S[0], False
        while True:
            try:
                return self.reward.score(cases)
            except Unreachable as error:
                if self.stopped() or time.monotonic() - begin > PATIENCE_S:
                    raise Stuck(str(error)) from error
                if not is_told:
                    self.say(f"{error} It is asked again for {PATIENCE_S:.0f} s before the job pauses.", "warning")
                    is_told = True
            until = time.monotonic() + pause
            while time.monotonic() < until and not self.stopped():
                time.sleep(0.1)
            pause = min(2 * pause, _AGAIN_S[1])


class Grpo(Reinforced, GRPOTrainer):
    """TRL's trainer for group relative policy optimization."""

    def _generate_single_turn(self, prompt_ids: Any, *rest: Any) -> Any:
        logps: list[Any] = [None]

        def generate() -> Any:
            # Those of the engine that sampled, where it is vLLM.
            found, logps[0] = super(Grpo, self)._generate_single_turn(prompt_ids, *rest)  # type: ignore[no-untyped-call]
            return found

        return self._sampled(prompt_ids, generate), logps[0]


class Rloo(Reinforced, RLOOTrainer):
    """TRL's trainer for REINFORCE with a leave-one-out baseline."""

    def _generate_single_turn(self, prompt_ids: Any, *rest: Any) -> Any:
        def generate() -> Any:
            return super(Rloo, self)._generate_single_turn(prompt_ids, *rest)  # type: ignore[no-untyped-call]

        return self._sampled(prompt_ids, generate)


def stands_for(name: str) -> Callable[..., list[float | None]]:
    """Return a function by whose name TRL knows a part of the reward; the scores come from `_calculate_rewards`."""

    def part(**_: Any) -> list[float | None]:
        raise AssertionError("the trainer computes the rewards")

    part.__name__ = name
    return part


def rows_of(spec: CustomizeSpec) -> dict[str, dict[int, Row]]:
    """Return the rows that rewards read beside an answer, by number: those trained on, and those held out."""
    dataset = Dataset.get(spec.dataset)
    rows = dict(enumerate(dataset.read(), 1))
    if spec.eval_dataset:
        return {"train": rows, "eval": dict(enumerate(Dataset.get(spec.eval_dataset).read(), 1))}
    return {"train": rows, "eval": rows}


def check(trainer: Any, spec: CustomizeSpec) -> list[str]:
    """Return what warns of the prompts before the first step.

    Raises
    ------
    DataError
        If a prompt leaves no room for an answer in the model's context; the message names the row.
    """
    limit = getattr(base(trainer.model).config.get_text_config(), "max_position_embeddings", None)
    room = None if limit is None else limit - spec.hyperparameters["max_completion_length"]
    if room is None:
        return []
    for table in filter(None, (trainer.train_dataset, trainer.eval_dataset)):
        for number, length in zip(table[NUMBER], trainer.prompt_lengths(table), strict=True):
            if length > room:
                raise DataError(
                    f"The prompt of row {number} of {spec.dataset} has {length:,} tokens: with an answer of up to "
                    f"{spec.hyperparameters['max_completion_length']:,} it does not fit into the {limit:,} of "
                    f"{spec.model}. Shorten or leave out the row, or give a smaller max_completion_length."
                )
    return []


def batch(trainer: Any, spec: CustomizeSpec, rows: int, prompt: int) -> dict[str, Any]:
    """Return a batch of so many rows and prompt tokens, with the longest answers, as `compute_loss` takes it."""
    completion = spec.hyperparameters["max_completion_length"]
    device = trainer.accelerator.device
    vocabulary = base(trainer.model).config.get_text_config().vocab_size
    ids = torch.arange(rows * (prompt + completion), device=device).reshape(rows, -1) % vocabulary
    mask = torch.ones_like(ids)
    inputs = {
        "prompt_ids": ids[:, :prompt],
        "prompt_mask": mask[:, :prompt],
        "completion_ids": ids[:, prompt:],
        "completion_mask": mask[:, prompt:],
        "advantages": torch.ones(rows, device=device),
        "num_items_in_batch": torch.tensor(rows * completion, device=device),
    }
    if spec.hyperparameters.get("beta"):
        inputs["ref_per_token_logps"] = torch.zeros(rows, completion, device=device)
    if spec.method == "rloo":
        inputs["old_logps"] = torch.zeros(rows, device=device)
    return inputs


@contextlib.contextmanager
def closing(trainer: Any) -> Iterator[None]:
    """End what a trainer's reward has started, on the way out."""
    try:
        yield
    finally:
        if isinstance(trainer, Reinforced):
            trainer.reward.close()
