"""What a spec says of rewards: a wrong one is refused in one line before anything starts, a right one is kept whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import tunelab as tl
from tunelab.jobs import manager
from tunelab.jobs.prepare import Prepared

BASE = {"name": "notes", "model": "smollm2-135m", "technique": "rlvr", "reward": "number"}
NEEDS = "a function of yours, a preset such as {preset: number}, or a weighted list of them"
FEEDBACK = {"prompt": "helpful", "model": "judge", "base_url": "http://127.0.0.1:1/v1"}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "work" / "sums.jsonl"
    path.parent.mkdir(exist_ok=True)
    lines = [json.dumps({"prompt": f"What is {n} + 1?", "ground_truth": f"{n + 1}", "hard": n > 20}) for n in range(40)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture
def submitted(workspace: Path, rows: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Prepared]:
    """`tl.customize` up to where processes start: what would have been submitted."""
    monkeypatch.setattr(manager, "submit", lambda prepared: prepared)
    return lambda namespace=None, **keys: tl.customize(namespace=namespace, **{**BASE, "dataset": str(rows), **keys})


def right(prompt: str, completion: str, ground_truth: str, **row: Any) -> float:
    return float(ground_truth in completion)


def hasty(completion: str, answer: str) -> float:
    return float(answer in completion)


def number(completion: str) -> float:
    return 1.0


REFUSED = {
    "no reward": ({"reward": None}, f"The spec: rlvr needs a reward: {NEEDS}."),
    "no part": ({"reward": []}, f"The spec: rlvr needs a reward: {NEEDS}."),
    "a number": ({"reward": 5}, "reward: it is a function's name, a preset, or a mapping such as {preset: number}."),
    "misspelt preset": (
        {"reward": {"preset": "nmber"}},
        "reward.preset: there is no preset 'nmber'. Did you mean 'number'? There are code, exact, format, json_schema, "
        "length, number, regex.",
    ),
    "misspelt key": (
        {"reward": {"preset": "exact", "weigth": 2}},
        "Unknown key 'reward.weigth' in the spec. Did you mean 'weight'?",
    ),
    "another preset's option": (
        {"reward": {"preset": "exact", "tolerance": 1}},
        "reward: the preset 'exact' takes no 'tolerance'; it takes ignore_case.",
    ),
    "an option that is needed": ({"reward": {"preset": "regex"}}, "reward: the preset 'regex' needs 'pattern'."),
    "no expression": (
        {"reward": {"preset": "regex", "pattern": "("}},
        "reward: the pattern is no regular expression: missing ), unterminated subpattern at position 0.",
    ),
    "the second part": (
        {"reward": [{"preset": "exact"}, {"preset": "length"}]},
        "reward.2: the preset 'length' needs 'at_least' or 'at_most'.",
    ),
    "no weight": (
        {"reward": {"preset": "number", "weight": 0}},
        "reward.weight: a weight is a finite number other than 0 (got 0).",
    ),
    "of another technique": (
        {"technique": "sft", "reward": {"preset": "number"}},
        "The spec: sft takes no 'reward'; it is for rlvr and rlaif.",
    ),
    "a judge for rlvr": (
        {"reward": FEEDBACK},
        f"The spec: the reward prompt 'helpful' needs technique rlaif; rlvr needs a reward: {NEEDS}.",
    ),
    "no judge for rlaif": (
        {"technique": "rlaif"},
        "The spec: no part of the reward has a reward prompt: rlaif needs a reward such as {prompt: human_like, model: "
        "smollm2-135m}: a reward prompt and a feedback model.",
    ),
    "no feedback model": (
        {"technique": "rlaif", "reward": {"prompt": "helpful"}},
        "reward.model: it is missing, and a reward prompt needs it.",
    ),
    "the key itself": (
        {"technique": "rlaif", "reward": FEEDBACK | {"api_key": "sk-abc-123"}},
        "reward.api_key: it is the name of an environment variable that holds the key, such as OPENAI_API_KEY, never "
        "the key itself.",
    ),
    "the key itself, like a name": (
        {"technique": "rlaif", "reward": FEEDBACK | {"api_key": "gsk_abc123"}},
        "reward.api_key: there is no environment variable of that name; it is the name of an environment variable that "
        "holds the key, such as OPENAI_API_KEY, never the key itself.",
    ),
    "a password in an address": (
        {"technique": "rlaif", "reward": FEEDBACK | {"base_url": "http://me:secret@host/v1"}},
        "reward.base_url: it is an address such as http://127.0.0.1:8000/v1, without a key or password in it.",
    ),
    "a judge that is not here": (
        {"technique": "rlaif", "reward": {"prompt": "helpful", "model": "smolm2-135m"}},
        "There is no model 'smolm2-135m'. Did you mean 'smollm2-135m'?",
    ),
    "another algorithm": ({"algorithm": "ppo"}, "algorithm: input should be 'grpo' or 'rloo' (got 'ppo')."),
    "one answer to a prompt": (
        {"hyperparameters": {"num_generations": 1}},
        "hyperparameters.num_generations is 1; it goes from 2 to 1024. The nearest is 2.",
    ),
    "a batch that is no group": (
        {"hyperparameters": {"per_device_train_batch_size": 6, "gradient_accumulation_steps": 1}},
        "hyperparameters: 6 answers are sampled at a time, which is no multiple of num_generations (8) and "
        "per_device_train_batch_size (6). Give a batch size that is a multiple of the group.",
    ),
    "an unknown name": (
        {"reward": "rigt"},
        "reward: there is no function, file or preset 'rigt'. Did you mean 'right'? The presets are code, exact, "
        "format, json_schema, length, number, regex; a file's function is FILE.py:NAME.",
    ),
    "a name of two": (
        {"reward": "number"},
        "reward: 'number' is ambiguous: a function of the notebook and a preset. Rename the function, or say {preset: "
        "number} or {prompt: number}.",
    ),
    "a column that is not there": (
        {"reward": "hasty"},
        "The function 'hasty' takes 'answer', which sums@1 has no column for. Its columns are ground_truth, hard, "
        "prompt; a parameter with a default, or **row, need not be there.",
    ),
    "no ground truth": (
        {"dataset": [{"prompt": f"Say {n}."} for n in range(40)]},
        "The preset 'number' compares with 'ground_truth', which notes-data@1 has no column for. Its columns are "
        "prompt.",
    ),
}


@pytest.mark.parametrize(("keys", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_wrong_reward_is_refused_in_one_line(
    submitted: Callable[..., Prepared], monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any], message: str
) -> None:
    monkeypatch.delenv("gsk_abc123", raising=False)
    names = {"right": right, "hasty": hasty} | ({"number": number} if keys == {"reward": "number"} else {})
    with pytest.raises(tl.Error) as caught:
        submitted(names, **keys)
    assert str(caught.value) == message
    assert "secret" not in message


def test_a_reward_is_kept_with_its_source_and_said_again_by_its_name(submitted: Callable[..., Prepared]) -> None:
    parts = ["right", {"preset": "length", "at_most": 40, "unit": "characters", "weight": -0.5}]
    found = submitted({"right": right}, reward=parts)
    spec = found.spec.model_dump(mode="json")
    assert spec["reward"] == [{"source": "reward.py", "name": "right", "weight": 1.0, "timeout_s": 10.0}, parts[1]]
    assert "def right(" in found.files["reward.py"]
    assert found.facts["given"]["reward"] == parts
    digest = found.facts["reward"]["reward.py"]
    assert len(digest) == 64
    assert (spec["keep"], spec["algorithm"], found.eval_rows) == ("best", "grpo", 4)


def test_a_resolved_spec_beside_its_source_is_the_same_job(
    submitted: Callable[..., Prepared], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = submitted({"right": right}, reward=right)
    monkeypatch.chdir(tmp_path)
    for name, text in first.files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    again = tl.customize(yaml.safe_dump(first.spec.model_dump(mode="json", exclude_none=True)))
    assert isinstance(again, Prepared)
    assert (again.spec, again.files) == (first.spec, first.files)


def test_a_file_holds_a_reward_too(submitted: Callable[..., Prepared], tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("import math\n\n\ndef score(completion, ground_truth, hard=False):\n    return math.sqrt(4)\n")
    found = submitted(reward=f"{path}:score")
    assert "math.sqrt" in found.files["reward.py"]
    assert found.spec.reward_parts[0].name == "score"
    with pytest.raises(tl.SpecError, match="scoer"):
        submitted(reward=f"{path}:scoer")


def test_rloo_has_its_own_settings(submitted: Callable[..., Prepared]) -> None:
    grpo, rloo = submitted().spec, submitted(algorithm="rloo").spec
    assert (grpo.hyperparameters["beta"], rloo.hyperparameters["beta"]) == (0.0, 0.05)
    with pytest.raises(tl.SpecError, match="Unknown hyperparameter 'loss_type' for rloo"):
        submitted(algorithm="rloo", hyperparameters={"loss_type": "dapo"})


def test_evaluations_and_checkpoints_are_at_the_borders_of_windows(submitted: Callable[..., Prepared]) -> None:
    settings = submitted(hyperparameters={"num_iterations": 4, "max_steps": 42, "eval_steps": 6}).spec.hyperparameters
    assert (settings["eval_steps"], settings["save_steps"]) == (8, 8)
