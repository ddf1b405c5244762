"""Reinforcement as a job does it: the loss is the formula, a reward is at its answer, answers are the model's own."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from tunelab.errors import DataError, SpecError
from tunelab.jobs import windows
from tunelab.jobs.prepare import prepare
from tunelab.scoring.reward import Reward
from tunelab.scoring.score import Case, Score, Unreachable
from tunelab.spec import CustomizeSpec
from tunelab.training import reinforce
from tunelab.training import trainer as trainers
from tunelab.training.sampling import can_sample, sample

SHORT = {"preset": "length", "unit": "characters", "at_most": 40}
BASE = {
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 2,
    "num_generations": 4,
    "max_completion_length": 8,
    "max_steps": 3,
    "save_steps": 1_000_000,
    "learning_rate": 3e-3,
    "warmup_steps": 0,
}
FULL = {"type": "full"}


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A file of 24 rows with prompt and ground truth, of different lengths."""
    sample = Path(__file__).parents[2] / "notebooks" / "data" / "reminders.jsonl"
    path = tmp_path / "work" / "notes.jsonl"
    path.parent.mkdir(exist_ok=True)
    rows = [json.loads(line) for line in sample.read_text(encoding="utf-8").splitlines()[:24]]
    lines = [json.dumps({"prompt": row["prompt"][:60], "ground_truth": f"truth {n}"}) for n, row in enumerate(rows, 1)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


class Letters:
    """The share of small letters in an answer: a reward that differs between random answers."""

    name = "length"
    missing: Sequence[int] = ()

    def __init__(self) -> None:
        self.seen: list[Case] = []

    def score(self, cases: Sequence[Case]) -> list[Score]:
        self.seen += cases
        return [
            Score(None, "error", note="no") if place in self.missing else Score(value(case.completion))
            for place, case in enumerate(cases)
        ]

    def metrics(self) -> dict[str, float]:
        return {}

    def close(self) -> None:
        pass


def value(text: str) -> float:
    return sum(letter in "abcdefghijklm" for letter in text) / max(1, len(text)) + len(text) / 1000


def resolved(model: Path, data: Path, **keys: Any) -> CustomizeSpec:
    """Return the spec as a job has it, on one thread and in float32."""
    settings = BASE | keys.pop("hyperparameters", {})
    given = {"name": "x", "model": str(model), "technique": "rlvr", "dataset": str(data), "split": 0, "reward": SHORT}
    compute = {"threads": 1, "dtype": "float32"}
    return prepare(CustomizeSpec(**given | keys, hyperparameters=settings, compute=compute)).spec


def built(spec: CustomizeSpec, folder: Path, scorer: Any = None) -> Any:
    """Return tunelab's trainer, with a scorer in place of the spec's."""
    folder.mkdir(exist_ok=True, parents=True)
    trainer: Any = trainers.build(spec, folder, lambda _: None, folder)
    if scorer is not None:
        trainer.reward.close()
        trainer.reward = Reward([scorer], [1.0])
    return trainer


def fixed(trainer: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """Return a batch of four answers of different lengths to prompts of different lengths."""
    draw = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 500, (4, 13), generator=draw)
    prompt_mask = torch.tensor([[0, 0, 1, 1, 1, 1], [1] * 6, [0, 1, 1, 1, 1, 1], [1] * 6])
    completion_mask = torch.tensor([[1] * 7, [1, 1, 1, 1, 0, 0, 0], [1] * 7, [1, 1, 0, 0, 0, 0, 0]])
    return {
        "prompt_ids": ids[:, :6] * prompt_mask,
        "prompt_mask": prompt_mask,
        "completion_ids": ids[:, 6:] * completion_mask,
        "completion_mask": completion_mask,
        "advantages": torch.tensor([1.3, -0.7, -1.1, 0.5]),
        "num_items_in_batch": torch.tensor(25),
    }


def log_probabilities(model: Any, inputs: dict[str, Any], temperature: float) -> torch.Tensor:
    """Return the log-probability of each token of each answer, by a row at a time and nothing padded."""
    rows = []
    for prompt, mask, completion, answered in zip(
        inputs["prompt_ids"], inputs["prompt_mask"], inputs["completion_ids"], inputs["completion_mask"], strict=True
    ):
        prompt, answer = prompt[mask.bool()], completion[answered.bool()]
        logits = model(input_ids=torch.cat([prompt, answer])[None]).logits[0, len(prompt) - 1 : -1] / temperature
        found = torch.log_softmax(logits, -1).gather(1, answer[:, None])[:, 0]
        rows.append(torch.nn.functional.pad(found, (0, completion.shape[0] - len(answer))))
    return torch.stack(rows)


@pytest.mark.parametrize(
    ("algorithm", "settings"),
    [
        pytest.param("grpo", {"loss_type": "dapo"}, id="dapo"),
        pytest.param("grpo", {"loss_type": "grpo", "beta": 0.2}, id="grpo with KL"),
        pytest.param("grpo", {"loss_type": "dr_grpo", "temperature": 0.7}, id="dr_grpo at a temperature"),
        pytest.param("grpo", {"loss_type": "bnpo", "epsilon": 0.05, "epsilon_high": 0.1}, id="bnpo, clipped"),
        pytest.param("rloo", {}, id="rloo"),
    ],
)
def test_the_loss_and_its_gradient_are_the_formula(
    workspace: Path, tiny: Path, notes: Path, algorithm: str, settings: dict[str, Any]
) -> None:
    spec = resolved(tiny, notes, algorithm=algorithm, adapter=FULL, hyperparameters=settings)
    trainer = built(spec, workspace / "a")
    assert trainer.work is not None, "the fast path computes it"
    inputs = fixed(trainer, settings)
    plain = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    heat = settings.get("temperature", 1.0)
    logps = log_probabilities(plain, inputs, heat)
    mask, advantages = inputs["completion_mask"], inputs["advantages"]
    draw = torch.Generator().manual_seed(2)
    old = (logps + 0.3 * torch.randn(logps.shape, generator=draw)).detach() * mask
    ref = (logps + 0.3 * torch.randn(logps.shape, generator=draw)).detach() * mask
    low, high = settings.get("epsilon", 0.2), settings.get("epsilon_high", 0.2)
    if algorithm == "rloo":
        inputs["old_logps"] = old.sum(1)
        ratio = torch.exp((logps * mask).sum(1) - old.sum(1))
        expected = -torch.minimum(ratio * advantages, ratio.clamp(1 - low, 1 + high) * advantages).mean()
    else:
        inputs["old_per_token_logps"], inputs["ref_per_token_logps"] = old, ref
        ratio, each = torch.exp(logps - old), advantages[:, None]
        loss = -torch.minimum(ratio * each, ratio.clamp(1 - low, 1 + high) * each)
        # The unbiased estimate: Schulman's k3 times the ratio (DeepSeek-V3.2, 2025), TRL's default.
        loss = (loss + settings.get("beta", 0.0) * ratio * (torch.exp(ref - logps) - (ref - logps) - 1)) * mask
        # Two batches are accumulated to a step.
        expected = {
            "dapo": loss.sum() / 25,
            "grpo": (loss.sum(1) / mask.sum(1)).mean() / 2,
            "dr_grpo": loss.sum() / (4 * 8) / 2,
            "bnpo": loss.sum() / mask.sum() / 2,
        }[settings["loss_type"]]
    expected.backward()
    trainer.model.train()
    loss = trainer.compute_loss(trainer.model, inputs)
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-6)
    ours = {name: weight.grad for name, weight in trainer.model.named_parameters() if weight.grad is not None}
    for name, weight in plain.named_parameters():
        assert weight.grad is not None
        torch.testing.assert_close(ours[name], weight.grad, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("algorithm", ["grpo", "rloo"])
def test_each_reward_reaches_its_answer_and_a_missing_one_teaches_nothing(
    workspace: Path, tiny: Path, notes: Path, algorithm: str
) -> None:
    rows = [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()]
    trainer = built(resolved(tiny, notes, algorithm=algorithm), workspace / "a", scorer := Letters())
    scorer.missing = (2,)
    tokenizer, seen = trainer.processing_class, []
    make = trainer._prepare_inputs

    def watched(batch: Any) -> Any:
        inputs = make(batch)
        for prompt, mask, answer, answered, advantage in zip(
            *(inputs[f"{side}_{part}"] for side in ("prompt", "completion") for part in ("ids", "mask")),
            inputs["advantages"].tolist(),
            strict=True,
        ):
            texts = [tokenizer.decode(ids[kept.bool()]) for ids, kept in ((prompt, mask), (answer, answered))]
            seen.append((*texts, answer[answered.bool()].tolist(), advantage))
        return inputs

    trainer._prepare_inputs = watched
    trainer.train()
    by_prompt = {row["prompt"]: row for row in rows}
    assert len(scorer.seen) == len(seen) == 3 * 8
    # The whole row stands beside the answer, and it is the prompt's own.
    for case in scorer.seen:
        text = case.prompt if isinstance(case.prompt, str) else case.prompt[-1]["content"]
        assert case.row["ground_truth"] == by_prompt[text]["ground_truth"]
    nothing = 0
    for begin in range(0, len(scorer.seen), 4):
        group = scorer.seen[begin : begin + 4]
        prompt = group[0].row["prompt"]
        rewards = [
            None if (begin + place) % 8 in scorer.missing else value(case.completion)
            for place, case in enumerate(group)
        ]
        there = [reward for reward in rewards if reward is not None]
        step = begin // 8 * 8
        trained = [one for one in seen[step : step + 8] if prompt in one[0]]
        for case, reward in zip(group, rewards, strict=True):
            if reward is None:
                expected = 0.0
            elif algorithm == "grpo":
                mean = sum(there) / len(there)
                spread = math.sqrt(sum((one - mean) ** 2 for one in there) / (len(there) - 1))
                expected = (reward - mean) / (spread + 1e-4)
            else:
                expected = reward - (sum(there) - reward) / (len(there) - 1)
            matching = [one for one in trained if tokenizer.decode(one[2], skip_special_tokens=True) == case.completion]
            assert matching
            if algorithm == "grpo" or reward is None:
                assert any(abs(one[3] - expected) < 1e-3 for one in matching), (case, expected, matching)
            nothing += reward is None
    assert nothing == 3
    told = [entry for entry in trainer.state.log_history if "reward_missing" in entry]
    assert [entry["reward_missing"] for entry in told] == [1 / 8] * 3


def test_a_feedback_model_that_stays_away_pauses_and_teaches_nothing(
    workspace: Path, tiny: Path, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reinforce, "PATIENCE_S", 0.5)
    monkeypatch.setattr(reinforce, "_AGAIN_S", (0.1, 0.1))

    class Away(Letters):
        asked = 0

        def score(self, cases: Sequence[Case]) -> list[Score]:
            self.asked += 1
            if self.asked in (1, 2) or self.asked > 3:
                raise Unreachable("The feedback model m at http://127.0.0.1:1/v1 refuses connections.")
            return super().score(cases)

    trainer = built(resolved(tiny, notes), workspace / "a", Away())
    said: list[str] = []
    trainer.say = lambda text, level: said.append(text)
    before = {name: weight.clone() for name, weight in trainer.model.named_parameters() if weight.requires_grad}
    with pytest.raises(reinforce.Stuck, match="refuses connections"):
        trainer.train()
    assert trainer.state.global_step == 1, "it waited for the first answers, and gave up at the second step's"
    assert len(said) == 2 and "asked again" in said[0]
    assert any(
        not torch.equal(before[name], weight) for name, weight in trainer.model.named_parameters() if name in before
    )


def test_an_evaluation_draws_the_same_answers_and_leaves_the_training_as_it_is(
    workspace: Path, tiny: Path, notes: Path
) -> None:
    settings = {"per_device_eval_batch_size": 4, "eval_steps": 1, "max_steps": 2}
    figures = []
    for split, evaluates in ((8, True), (8, False)):
        spec = resolved(tiny, notes, split=split, keep="last", hyperparameters=settings)
        trainer = built(spec, workspace / str(evaluates), Letters())
        if evaluates:
            first, second = trainer.evaluate(), trainer.evaluate()
            assert first["eval_reward"] == second["eval_reward"]
            assert 0 < first["eval_reward"] < 1
        else:
            trainer.args.eval_strategy = "no"
            trainer.args.eval_on_start = False
        trainer.train()
        figures.append([entry["reward"] for entry in trainer.state.log_history if "reward" in entry])
    assert figures[0] == figures[1]
    assert len(figures[0]) == 2


@pytest.mark.parametrize("settings", [{}, {"num_iterations": 2}, {"steps_per_generation": 4}])
@pytest.mark.parametrize("algorithm", ["grpo", "rloo"])
def test_a_run_resumed_at_a_window_ends_in_the_same_bytes(
    workspace: Path, tiny: Path, notes: Path, algorithm: str, settings: dict[str, Any]
) -> None:
    adapter = {"dropout": 0.1}
    spec = resolved(
        tiny, notes, algorithm=algorithm, adapter=adapter, hyperparameters={"max_steps": 6, "save_steps": 2} | settings
    )
    whole = built(spec, workspace / "whole", Letters())
    whole.train()
    resumed = built(spec, workspace / "whole", Letters())
    resumed.train(resume_from_checkpoint=str(workspace / "whole" / "checkpoint-4"))
    for (name, a), b in zip(whole.model.named_parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b), name
    names = ("loss", "reward", "reward_std", "entropy", "completions/mean_length", "grad_norm")
    logs = [
        [[entry[name] for name in names] for entry in run.state.log_history if "reward" in entry]
        for run in (whole, resumed)
    ]
    assert logs[0] == logs[1] and len(logs[0]) == 6 // windows.window(spec.hyperparameters)


def test_answers_at_a_low_temperature_are_transformers_greedy_ones(tiny_models: dict[str, Path]) -> None:
    for family in ("llama", "qwen3"):
        model = AutoModelForCausalLM.from_pretrained(tiny_models[family], dtype=torch.float32).eval()
        prompts = [[7, 8, 9], [7, 8, 9], [7, 8, 32, 33, 34, 35], [7, 99], [7, 99], [7, 99]]
        # An end that comes: the token that is likeliest after some steps in one of the rows.
        free = GenerationConfig(max_new_tokens=12, do_sample=False, eos_token_id=-1, pad_token_id=0)
        answers = [model.generate(torch.tensor([row]), free)[0, len(row) :].tolist() for row in prompts]
        end = answers[2][4]
        cold = GenerationConfig(
            max_new_tokens=12, do_sample=True, temperature=1e-5, top_k=0, eos_token_id=[end], pad_token_id=0
        )
        expected = [row[: row.index(end) + 1] if end in row else row for row in answers]
        assert sample(model, prompts, cold) == expected
        assert len(expected[2]) <= 5


def test_answers_are_drawn_by_the_models_probabilities(tiny: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = model(torch.tensor([[7, 8, 9]])).logits[0, -1] / 0.05
    kept = logits >= logits.topk(5).values[-1]
    expected = torch.softmax(logits.masked_fill(~kept, -torch.inf), -1)
    warm = GenerationConfig(
        max_new_tokens=1, do_sample=True, temperature=0.05, top_k=5, eos_token_id=-1, pad_token_id=0
    )
    torch.manual_seed(0)
    count = 4000
    drawn = Counter(row[0] for row in sample(model, [[7, 8, 9]] * count, warm))
    assert set(drawn) <= set(kept.nonzero()[:, 0].tolist())
    for token, times in drawn.items():
        share = expected[token].item()
        assert abs(times / count - share) < 4 * math.sqrt(share * (1 - share) / count), token


@pytest.mark.parametrize(
    ("family", "given", "can"),
    [
        ("llama", {}, True),
        ("qwen3", {"temperature": 0.7, "min_p": 0.1}, True),
        ("gemma3", {}, False),
        ("llama", {"num_beams": 4}, False),
        ("llama", {"cache_implementation": "static"}, False),
    ],
)
def test_what_is_not_known_is_sampled_by_transformers(
    tiny_models: dict[str, Path], family: str, given: dict[str, Any], can: bool
) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_models[family])
    assert can_sample(model, given) is can


def test_a_model_that_is_sampled_by_transformers_trains(
    workspace: Path, tiny_models: dict[str, Path], notes: Path
) -> None:
    trainer = built(resolved(tiny_models["gemma3"], notes), workspace / "a", Letters())
    assert not trainer.samples_itself
    trainer.train()
    entry = next(entry for entry in trainer.state.log_history if "reward" in entry)
    assert entry["tokens_per_s/generation"] > 0 and entry["tokens_per_s/training"] > 0
    assert entry["completions/mean_length"] <= 8


def test_a_prompt_that_leaves_no_room_for_an_answer_is_refused_by_its_row(
    workspace: Path, tiny: Path, tmp_path: Path
) -> None:
    path = tmp_path / "long.jsonl"
    rows = [{"prompt": f"Say {n}.", "ground_truth": "1"} for n in range(12)]
    rows[6]["prompt"] = "word " * 700
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with pytest.raises(DataError, match=r"The prompt of row 7 of .* tokens: with an answer of up to 8 it does not fit"):
        built(resolved(tiny, path), workspace / "a")


@pytest.mark.parametrize(
    ("given", "rows", "batch", "sampled", "window"),
    [
        ({}, 100, 16, 32, 1),
        ({"num_generations": 6}, 100, 12, 24, 1),
        ({"num_generations": 64}, 100, 64, 128, 1),
        ({"num_iterations": 3}, 100, 16, 32, 3),
        ({"steps_per_generation": 4}, 100, 16, 64, 2),
        ({"steps_per_generation": 3}, 99, 16, 48, 3),
        ({"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}, 100, 4, 8, 1),
        ({"per_device_train_batch_size": 2}, 100, 2, 8, 1),
    ],
)
def test_batches_are_whole_groups(given: dict[str, Any], rows: int, batch: int, sampled: int, window: int) -> None:
    merged = {
        "num_generations": 8, "per_device_train_batch_size": 16, "gradient_accumulation_steps": 2,
        "per_device_eval_batch_size": 32, "num_generations_eval": 1,
    } | given  # fmt: skip
    windows.settle(given, merged, rows, 0)
    assert merged["per_device_train_batch_size"] == batch
    assert windows.sampled(merged) == sampled
    assert windows.window(merged) == window


@pytest.mark.parametrize(("rows", "each", "size"), [(132, 1, 27), (64, 1, 32), (5, 1, 5), (33, 4, 28), (40, 4, 32)])
def test_held_out_batches_are_alike(rows: int, each: int, size: int) -> None:
    merged = {
        "num_generations": 8, "per_device_train_batch_size": 16, "gradient_accumulation_steps": 2,
        "per_device_eval_batch_size": 32, "num_generations_eval": each,
    }  # fmt: skip
    windows.settle({}, merged, 100, rows)
    assert merged["per_device_eval_batch_size"] == size


@pytest.mark.parametrize(
    ("given", "rows", "message"),
    [
        ({"generation_batch_size": 16, "steps_per_generation": 1}, 100, "give generation_batch_size or steps_per_gen"),
        ({"per_device_train_batch_size": 6, "gradient_accumulation_steps": 1}, 100, "6 answers are sampled at a time"),
        ({}, 3, "There are 3 prompts to train on, and a step samples answers to 4"),
        ({"num_iterations": 2, "save_steps": 5}, 100, "every 2 steps. The nearest is 4"),
    ],
)
def test_batches_that_fit_no_group_are_refused(given: dict[str, Any], rows: int, message: str) -> None:
    merged = {
        "num_generations": 8, "per_device_train_batch_size": 16, "gradient_accumulation_steps": 2,
        "per_device_eval_batch_size": 32,
    } | given  # fmt: skip
    with pytest.raises(SpecError, match=message):
        windows.settle(given, merged, rows, 0)
