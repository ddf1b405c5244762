"""The verbs: what a script says and the magics and the panel call."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any

from tunelab import bench, recipes, task, workspace
from tunelab.answers import Answers
from tunelab.bench import RewardReport
from tunelab.comparison import compare
from tunelab.data import Dataset, datasets
from tunelab.errors import JobError, ModelError, SpecError, did_you_mean, listing
from tunelab.jobs import machine, manager, rewarding
from tunelab.jobs.manager import Job, Jobs
from tunelab.jobs.prepare import prepare
from tunelab.jobs.prepare_evaluation import prepare_evaluation
from tunelab.models import bases, find
from tunelab.models.bases import BaseModels
from tunelab.models.custom import CustomModel, Models
from tunelab.plan import Plan
from tunelab.registry import index
from tunelab.replay import replay
from tunelab.scoring.score import as_text
from tunelab.spec import TECHNIQUES, load

__all__ = [
    "base_models",
    "compare",
    "customize",
    "datasets",
    "evaluate",
    "generate",
    "job",
    "jobs",
    "model",
    "models",
    "recipe",
    "replay",
    "try_reward",
]


def customize(
    spec: Mapping[str, Any] | str | Path | None = None,
    *,
    dry_run: bool = False,
    namespace: dict[str, Any] | None = None,
    overrides: Mapping[str, Any] | None = None,
    **keys: Any,
) -> Job | Plan:
    """Fine-tune a model: check everything, start a job, and return it at once.

    Parameters
    ----------
    spec
        A mapping, a YAML text, or the path of a YAML file; its keys may also be given as keywords.
    dry_run
        Start nothing, and return a `Plan`: the resolved spec, rows, tokens, and an estimate of steps, time and memory.
    namespace
        Variables in which ``dataset`` may be the name of a DataFrame.
    overrides
        What ``--set`` gives: dotted paths, or bare names of hyperparameters.
    **keys
        Keys of the spec: ``model``, ``technique``, ``name``, ``split``, ``adapter``, ``hyperparameters``, …;
        ``dataset`` and ``eval_dataset`` take a name, file, hub id, DataFrame, list of rows or `Dataset`; ``reward``
        also takes a function.

    Returns
    -------
    Job or Plan

    Raises
    ------
    Error
        If it cannot work; nothing has been started.

    Examples
    --------
    >>> job = tl.customize(model="smollm2-135m", technique="dpo", dataset="pairs.jsonl", name="chatty")
    """
    data = _mapping(spec) | keys
    for key, value in (overrides or {}).items():
        load.override(data, key, value)
    data = {key: str(value) if isinstance(value, Path) else value for key, value in data.items()}
    tables = {key: data[key] for key in ("dataset", "eval_dataset") if not isinstance(data.get(key), (str, NoneType))}
    for key, table in tables.items():
        data[key] = str(table) if isinstance(table, Dataset) else f"{data.get('name', '')}-{key}"
    try:
        functions = rewarding.take(data, namespace)
        prepared = prepare(load.customize(data), namespace, tables, functions)
        if not dry_run:
            return manager.submit(prepared)
    except OSError as error:
        raise _cannot_write(error) from error
    measured = task.run(
        "tunelab.training.plan:measure",
        {"spec": prepared.spec.model_dump(mode="json"), "files": prepared.files},
        show=f"Planning {prepared.spec.name}",
    )
    return Plan.of(prepared, measured)


def evaluate(
    spec: Mapping[str, Any] | str | Path | None = None,
    *,
    namespace: dict[str, Any] | None = None,
    overrides: Mapping[str, Any] | None = None,
    **keys: Any,
) -> Job:
    """Answer rows with models and score the answers, or hold a judge against people: start a job, and return at once.

    Parameters
    ----------
    spec
        A mapping, a YAML text, or the path of a YAML file; its keys may also be given as keywords.
    namespace
        Variables in which ``dataset`` may be the name of a DataFrame, and ``scorer`` that of a function.
    overrides
        What ``--set`` gives: dotted paths.
    **keys
        Keys of the spec: ``models`` (the first is the baseline; a custom model alone is compared with its base),
        ``dataset``, ``method``, ``judge``, ``scorer``, ``benchmark``, ``generation``, ``predictions``, …; ``dataset``
        takes a name, file, hub id, DataFrame, list of rows or `Dataset`; ``scorer`` also takes a function.

    Returns
    -------
    Job
        ``job.wait().result()`` has ``.summary`` and ``.records``.

    Raises
    ------
    Error
        If it cannot work; nothing has been started.

    Examples
    --------
    >>> judge = {"model": "smollm2-135m", "metrics": ["human_like"]}
    >>> tl.evaluate(models=["smollm2-135m", "chatty"], dataset="human-like-eval", judge=judge)
    """
    data = _mapping(spec) | keys
    for key, value in (overrides or {}).items():
        load.set_at(data, key, value)
    data = {key: str(value) if isinstance(value, Path) else value for key, value in data.items()}
    if isinstance(data.get("models"), CustomModel):
        data["models"] = [data["models"]]
    if isinstance(data.get("models"), (list, tuple)):
        data["models"] = [str(one) if isinstance(one, (CustomModel, Path)) else one for one in data["models"]]
    table = None if isinstance(data.get("dataset"), (str, NoneType)) else data["dataset"]
    if table is not None:
        data["dataset"] = str(table) if isinstance(table, Dataset) else "rows"
    functions = rewarding.take(data, namespace, "scorer")
    try:
        return manager.submit(prepare_evaluation(load.evaluate(data), namespace, table, functions))
    except OSError as error:
        raise _cannot_write(error) from error


def try_reward(
    reward: Any,
    model: str | None = None,
    dataset: Any = None,
    *,
    technique: str | None = None,
    prompts: int = 8,
    samples: int = 8,
    completions: Any = None,
    labels: Any = None,
    namespace: dict[str, Any] | None = None,
    **keys: Any,
) -> RewardReport:
    """Score answers by a reward before anything is trained: those of a model, sampled as training would, or given ones.

    Parameters
    ----------
    reward
        As in a spec: a function, its name, a preset, a reward prompt with its feedback model, or a list of them.
    model, dataset
        Whose answers to which prompts; as in a spec.
    technique
        ``"rlvr"`` or ``"rlaif"``; by default the one that fits the reward.
    prompts, samples
        How many prompts are answered, and how often each.
    completions
        Answers to score in place of a model's: rows with completion, prompt, and what the reward reads (a DataFrame or
        a list of mappings).
    labels
        Scores of people, to compare with: a number (or None) for each of `completions`, or rows with completion and
        label.
    namespace
        Variables in which a function's or DataFrame's name is looked up.
    **keys
        More keys of a spec, such as ``hyperparameters={"temperature": 0.7}``.

    Raises
    ------
    Error
        If the reward, the model or the rows cannot be used.

    Examples
    --------
    >>> tl.try_reward("number", model="smollm2-135m", dataset="sums.jsonl")
    """
    if technique is None:
        listed = reward if isinstance(reward, (list, tuple)) else [reward]
        technique = "rlaif" if any(isinstance(part, Mapping) and "prompt" in part for part in listed) else "rlvr"
    if completions is not None:
        return _score_given(reward, completions, labels, technique, namespace)
    if model is None or dataset is None:
        raise SpecError("tl.try_reward takes a model and a dataset, or completions to score.")
    for name, value, least in (("prompts", prompts, 1), ("samples", samples, 2)):
        if not isinstance(value, int) or not least <= value <= 1024:
            raise SpecError(f"{name} is {value}; it goes from {least} to 1024.")
    batches = {
        "num_generations": samples,
        "per_device_train_batch_size": samples * min(prompts, 4),
        "gradient_accumulation_steps": 1,
    }
    spec = keys | {
        "name": "try",
        "technique": technique,
        "model": model,
        "reward": reward,
        "split": 0,
        "hyperparameters": keys.get("hyperparameters", {}) | batches,
    }
    data = {**spec, "dataset": str(dataset) if isinstance(dataset, (Dataset, Path)) else "try-data"}
    tables = {"dataset": dataset} if not isinstance(dataset, (str, Path)) else {}
    if isinstance(dataset, str):
        data["dataset"] = dataset
    functions = rewarding.take(data, namespace)
    prepared = prepare(load.customize(data), namespace, tables, functions)
    measured = task.run(
        "tunelab.training.trial:answer",
        {"spec": prepared.spec.model_dump(mode="json"), "files": prepared.files, "prompts": prompts},
        show="Trying the reward",
    )
    return RewardReport.of(measured["samples"], labels, measured["seconds"])


def _score_given(
    reward: Any, completions: Any, labels: Any, technique: str, namespace: dict[str, Any] | None
) -> RewardReport:
    rows = bench.given(completions)
    data = {"name": "try", "model": "none", "technique": technique, "dataset": "none", "reward": reward}
    functions = rewarding.take(data, namespace)
    parts, files = rewarding.resolve_for(load.customize(data), rows, "completions", functions)
    scored = task.run(
        "tunelab.training.bench:score",
        {
            "parts": [part.model_dump(mode="json") for part in parts],
            "files": files,
            "rows": [dict(row) for row in rows],
        },
        show="Scoring",
    )
    return RewardReport.of(scored["samples"], labels, scored["seconds"])


def jobs() -> Jobs:
    """Return the workspace's jobs, newest first, whoever started them."""
    return manager.every()


def job(job_id: str) -> Job:
    """Return a job by its id, or the newest job of a custom model's name.

    Raises
    ------
    JobError
        If there is none.
    """
    return manager.find(job_id)


def models(refresh: bool = False) -> Models:
    """Return the custom models of the workspace, every version.

    With `refresh`, the workspace's index is first written anew from MLflow.
    """
    if refresh:
        task.run("tunelab.registry.store:rebuild_index", {}, show="Reading MLflow")
    return Models([CustomModel(entry) for entry in index.entries()])


def base_models() -> BaseModels:
    """Return the base models to customize: the catalog's, and others in the hub's cache and in folders nearby.

    With each come its size, context length, licence, and the memory that fine-tuning takes from, on this machine.
    """
    return BaseModels(bases.found())


def model(name: str) -> CustomModel:
    """Return a custom model by ``NAME`` (its newest version) or ``NAME@VERSION``.

    Raises
    ------
    ModelError
        If there is none.
    """
    entry = index.find(name)
    if entry is None:
        base = name.partition("@")[0]
        if base in index.names():
            raise ModelError(
                f"'{base}' has no version {name.partition('@')[2]}; it has {', '.join(index.versions(base))}."
            )
        raise ModelError(
            f"There is no custom model '{name}'.{did_you_mean(base, index.names()) or ' tl.models() lists them.'}"
        )
    return CustomModel(entry)


def recipe(technique: str, model: str, adapter: str = "lora", algorithm: str | None = None) -> recipes.Recipe:
    """Return the settings that `technique` has on `model` unless a spec says otherwise, each with its source.

    Raises
    ------
    SpecError
        If there is no such technique.
    ModelError
        If there is no such model.
    """
    if technique not in TECHNIQUES:
        raise SpecError(
            f"Unknown technique '{technique}'.{did_you_mean(technique, TECHNIQUES)} There are {listing(TECHNIQUES)}."
        )
    if adapter not in ("lora", "full"):
        raise SpecError(f"adapter is '{adapter}'; it is lora or full.")
    found = find.find(model)
    if algorithm not in (None, "grpo", "rloo"):
        raise SpecError(f"algorithm is '{algorithm}'; it is grpo or rloo.")
    device = machine.device("auto").partition(":")[0]
    return recipes.find(technique, model, adapter, found.params, device, algorithm)


def generate(
    models: str | Sequence[str],
    prompts: str | Sequence[str | Sequence[Mapping[str, Any]]],
    *,
    max_new_tokens: int = 128,
    temperature: float = 0.0,
    seed: int = 42,
    system: str | None = None,
) -> Answers:
    """Answer prompts with base and custom models side by side.

    Models on one base share one copy of it in memory.

    Parameters
    ----------
    models
        Names as in a spec: ``"smollm2-135m"``, ``"chatty"``, ``"chatty@1"``, a folder, a hub id.
    prompts
        Questions; with a model that has a chat template each is a turn of the user. A conversation is a list of
        messages (mappings with role and content) and ends with the user's.
    max_new_tokens
        The longest answer, in tokens.
    temperature
        0 takes the likeliest token each time; above it samples, the same for the same `seed`.
    system
        A system turn before each prompt.

    Raises
    ------
    Error
        If a model cannot be found or loaded, or a setting is out of range.
    """
    names = [models] if isinstance(models, str) else list(models)
    given = [prompts] if isinstance(prompts, str) else prompts
    questions = [one if isinstance(one, str) else _turns(one) for one in given]
    if not names or not questions:
        raise SpecError("tl.generate takes at least one model and one prompt.")
    for number, question in enumerate(questions, 1):
        if question is None or not (question.strip() if isinstance(question, str) else question):
            raise SpecError(f"Prompt {number} is {'not text' if question is None else 'empty'}.")
    if not 1 <= max_new_tokens <= 32768:
        raise SpecError(f"max_new_tokens is {max_new_tokens}; it goes from 1 to 32768.")
    if not 0 <= temperature <= 10:
        raise SpecError(f"temperature is {temperature:g}; it goes from 0 to 10.")
    labels = [find.find(name).version or name for name in names]
    texts = task.run(
        "tunelab.evaluation.generate:generate",
        {
            "models": labels,
            "prompts": questions,
            "max_new_tokens": max_new_tokens,
            "temperature": temperature,
            "seed": seed,
            "system": system,
        },
        show="Answering",
    )
    return Answers(labels, [as_text(question) for question in questions if question], texts)


def _cannot_write(error: OSError) -> Exception:
    """Return what a disk that is full or read-only means; any other error as it is."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return error
    where = workspace.current().root
    return JobError(f"The workspace {where} cannot be written: {error.strerror}. Nothing was started.")


def _turns(prompt: Any) -> list[dict[str, str]] | None:
    """Return a conversation's messages; None where it is none."""
    if not isinstance(prompt, Sequence) or not all(
        isinstance(turn, Mapping) and isinstance(turn.get("role"), str) and isinstance(turn.get("content"), str)
        for turn in prompt
    ):
        return None
    return [{"role": turn["role"], "content": turn["content"]} for turn in prompt]


def _mapping(spec: Mapping[str, Any] | str | Path | None) -> dict[str, Any]:
    if spec is None:
        return {}
    if isinstance(spec, Mapping):
        return {**spec}
    if not isinstance(spec, (str, Path)):
        raise SpecError(f"A spec is a mapping, a YAML text, or a YAML file's path, and got {type(spec).__name__}.")
    if isinstance(spec, Path) or re.fullmatch(r".*\.ya?ml", spec.strip()):
        return load.from_file(spec)
    return load.from_yaml(spec)
