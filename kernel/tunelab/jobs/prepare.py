"""From a spec to a resolved spec: every default filled in, every name looked up, every refusal said before a start."""

from __future__ import annotations

import getpass
import importlib.util
import math
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

from tunelab import recipes, workspace
from tunelab.data import Dataset, resolve
from tunelab.errors import DataError, ModelError, SpecError
from tunelab.jobs import carried, machine, rewarding, windows
from tunelab.models import find
from tunelab.registry import index
from tunelab.spec import CustomizeSpec
from tunelab.spec import hyperparameters as fields

#: So many prompts are held out at most, unless the spec says otherwise.
_HELD_OUT_PROMPTS = 64


@dataclass(frozen=True)
class Prepared:
    """A resolved spec, which is a spec again, and what was found on the way."""

    spec: CustomizeSpec
    model: find.ModelRef
    dataset: Dataset
    train_rows: int
    eval_rows: int
    facts: dict[str, Any]
    #: Texts that are to lie in the job's folder, by their names: rewards' sources and prompts.
    files: dict[str, str]


def prepare(
    spec: CustomizeSpec,
    namespace: dict[str, Any] | None = None,
    tables: dict[str, Any] | None = None,
    functions: dict[str, rewarding.Taken] | None = None,
    kept: Mapping[str, str] | None = None,
) -> Prepared:
    """Return the resolved spec.

    Parameters
    ----------
    spec
        A validated spec.
    namespace
        The notebook's variables, in which a dataset's name is looked up.
    tables
        ``dataset`` and ``eval_dataset`` themselves, where they were given as objects and not by name.
    functions
        What `rewarding.take` took for the reward, by file.
    kept
        Texts of an earlier job's folder, by their names, that go before what is registered today: reward prompts.

    Raises
    ------
    Error
        If the model, the data, a hyperparameter or this machine cannot do it.
    """
    free_name(spec.name)
    device = machine.device(spec.compute.device)
    model = find.find(spec.model)
    kind = device.partition(":")[0]
    recipe = recipes.find(spec.technique, spec.model, spec.adapter.type, model.params, kind, spec.algorithm)
    hyperparameters = fields.check(spec.method, spec.hyperparameters, recipe.ranges)
    if hub_id := find.to_download(model):
        _ask_hub(hub_id)

    dataset = _rows(spec, "dataset", namespace, tables or {})
    held = None if spec.eval_dataset is None else _rows(spec, "eval_dataset", namespace, tables or {})
    template_fits(spec, model, str(dataset), dataset.conversational)
    _held_out_fits(dataset, held)
    split = None if held else share(spec, recipe.split, dataset.rows)
    eval_rows = held.rows if held else len(dataset.held_out(split or 0, spec.seed))
    train_rows = dataset.rows - (0 if held else eval_rows)

    adapter = carried.adapter(spec, model, recipe.adapter)
    parts, files = rewarding.resolve(spec, dataset, held, functions or {}, kept)
    keep, merged = settle(spec, recipe, hyperparameters, kind, train_rows, eval_rows)

    resolved = spec.model_copy(
        update={
            "model": str(model.folder) if model.kind == "folder" else model.version or spec.model,
            "dataset": str(dataset),
            "eval_dataset": str(held) if held else None,
            "split": split,
            "adapter": adapter,
            "hyperparameters": dict(sorted(merged.items())),
            "keep": keep,
            "algorithm": spec.method if spec.is_reinforcement else None,
            "reward": parts[0] if len(parts) == 1 else parts or None,
            "compute": spec.compute.model_copy(
                update={
                    "device": device,
                    "threads": spec.compute.threads or machine.threads(),
                    "dtype": spec.compute.dtype or carried.dtype(adapter, device),
                }
            ),
        }
    )
    has_space(resolved, model)
    return Prepared(
        resolved,
        model,
        dataset,
        train_rows,
        eval_rows,
        _facts(spec, resolved, model, dataset, held, train_rows, eval_rows, functions or {})
        | ({"reward": rewarding.digests(files)} if files else {}),
        files,
    )


def free_name(name: str) -> None:
    """Refuse a name for a custom model that is a base model's."""
    if name in find.CATALOG and (find.CATALOG[name].package or name not in index.names()):
        raise SpecError(f"name: '{name}' is a base model of the catalog; give the custom model another name.")


def share(spec: CustomizeSpec, usual: float, rows: int) -> float | int:
    """Return what of `rows` is held out, as a share or a number; `usual` is the recipe's."""
    if spec.split is not None or not spec.is_reinforcement:
        return usual if spec.split is None else spec.split
    # Each evaluation samples an answer to every held-out prompt.
    return min(_HELD_OUT_PROMPTS, int(rows * usual))


def settle(
    spec: CustomizeSpec,
    recipe: recipes.Recipe,
    hyperparameters: dict[str, Any],
    device: str,
    train_rows: int,
    eval_rows: int,
) -> tuple[Literal["last", "best"], dict[str, Any]]:
    """Return which checkpoint is kept, and the recipe's hyperparameters with the given ones, fit to so many rows.

    Raises
    ------
    SpecError
        If they do not go together.
    """
    merged = recipe.hyperparameters | hyperparameters
    keep = spec.keep or ("best" if spec.is_reinforcement and eval_rows else "last")
    if spec.is_reinforcement:
        windows.settle(hyperparameters, merged, train_rows, eval_rows)
        _by_vllm(hyperparameters, merged, device)
    _consistent(keep, hyperparameters, merged, eval_rows)
    if spec.is_reinforcement and eval_rows:
        windows.align(merged, train_rows, keep)
    if spec.technique == "dpo" and "precompute_ref_log_probs" not in hyperparameters:
        # An adapter is its own reference when it is turned off; the weights of full fine-tuning would be there twice.
        full = spec.adapter.type == "full"
        merged["precompute_ref_log_probs"] = full and _precompute_pays(merged, train_rows, eval_rows)
    return keep, merged


def _by_vllm(given: dict[str, Any], merged: dict[str, Any], device: str) -> None:
    """Sample through vLLM on a GPU where it is installed, as TRL does it; not run on a GPU yet."""
    is_there = importlib.util.find_spec("vllm") is not None
    if given.get("use_vllm") and not is_there:
        raise SpecError("hyperparameters.use_vllm is true, and vLLM is not installed here: pip install vllm.")
    if device == "cuda" and is_there and "use_vllm" not in given:
        merged["use_vllm"] = True


def steps(hyperparameters: dict[str, Any], train_rows: int) -> int:
    """Return how many optimizer steps transformers' Trainer will make on one device."""
    if hyperparameters.get("max_steps", -1) > 0:
        return int(hyperparameters["max_steps"])
    if "num_generations" in hyperparameters:
        return math.ceil(
            float(hyperparameters["num_train_epochs"]) * windows.steps_an_epoch(hyperparameters, train_rows)
        )
    batches = math.ceil(train_rows / hyperparameters["per_device_train_batch_size"])
    if hyperparameters.get("dataloader_drop_last"):
        batches = train_rows // hyperparameters["per_device_train_batch_size"]
    per_epoch: int = max(1, math.ceil(batches / hyperparameters.get("gradient_accumulation_steps", 1)))
    return math.ceil(float(hyperparameters["num_train_epochs"]) * per_epoch)


def evaluations(hyperparameters: dict[str, Any], total: int) -> int:
    """Return how many held-out evaluations a run of `total` steps makes, with those at start and end."""
    every = hyperparameters["eval_steps"]
    every = max(1, math.ceil(total * every) if every < 1 else int(every))
    return math.ceil(total / every) + bool(hyperparameters.get("eval_on_start"))


def _rows(spec: CustomizeSpec, key: str, namespace: dict[str, Any] | None, tables: dict[str, Any]) -> Dataset:
    # A model's name may be as long as a dataset's, and needs room for what is added to it.
    name = f"{spec.name[:85]}-{'data' if key == 'dataset' else 'heldout'}"
    return resolve(tables.get(key, getattr(spec, key)), spec.technique, namespace, name)


def _ask_hub(hub_id: str) -> None:
    from tunelab import task

    task.run("tunelab.models.hub:check", {"hub_id": hub_id}, show=f"Looking for {hub_id} on the hub")


def template_fits(spec: CustomizeSpec, model: find.ModelRef, dataset: str, conversational: bool) -> None:
    """Refuse conversations where there is no chat template for them."""
    if conversational and model.has_chat_template is False:
        raise ModelError(
            f"{spec.model} has no chat template, and {dataset} holds conversations. Use an instruct model, or rows of "
            "plain text."
        )
    if conversational and spec.chat_template == "none":
        raise SpecError(f"chat_template is none, and {dataset} holds conversations, which need one. Use auto.")


def _held_out_fits(dataset: Dataset, held: Dataset | None) -> None:
    if held is not None and held.digest == dataset.digest:
        raise DataError(f"{held} and {dataset} hold the same rows; hold out others, or give a split.")
    if held is not None and held.conversational != dataset.conversational:
        raise DataError(f"{held} and {dataset} are not of one form: one is conversations, the other plain text.")


def _consistent(keep: str, given: dict[str, Any], merged: dict[str, Any], eval_rows: int) -> None:
    if not eval_rows:
        for name in ("eval_steps", "eval_on_start"):
            if given.get(name):
                raise SpecError(f"hyperparameters.{name} is set, and no rows are held out. Give split or eval_dataset.")
            merged.pop(name, None)
    if keep == "best":
        if given.get("save_steps", merged["eval_steps"]) != merged["eval_steps"]:
            raise SpecError(
                "keep: best needs a checkpoint at each evaluation: leave out save_steps, or set it to eval_steps."
            )
        merged["save_steps"] = merged["eval_steps"]
    if "max_steps" in given and merged["max_steps"] == 0:
        raise SpecError("hyperparameters.max_steps is 0; give at least 1, or -1 to go by num_train_epochs.")


def _precompute_pays(hyperparameters: dict[str, Any], train_rows: int, eval_rows: int) -> bool:
    """Tell whether the reference's log-probabilities cost less computed once for all rows than step by step."""
    total = steps(hyperparameters, train_rows)
    batch = int(hyperparameters["per_device_train_batch_size"]) * hyperparameters.get("gradient_accumulation_steps", 1)
    as_needed = total * batch + (evaluations(hyperparameters, total) * eval_rows if eval_rows else 0)
    return bool(train_rows + eval_rows <= as_needed)


def space(spec: CustomizeSpec, model: find.ModelRef) -> int | None:
    """Return the bytes that a job takes on the disk at most; None where the model's size is not known yet.

    Checkpoints are weights in float32, and two moments of AdamW for each; beside a merged adapter also the one that
    both are together.
    """
    if model.params is None:
        return None
    trained, joined = model.params, 0
    if spec.adapter.type == "lora":
        trained = _in_adapter(model.params, model.config, spec.adapter.r or 0)
        if spec.adapter.carry == "merge":
            joined = trained + _in_adapter(model.params, model.config, carried.rank(model))
    bytes_each = 2 if spec.compute.dtype == "bfloat16" and spec.adapter.type == "full" else 4
    # Two checkpoints, the best, the one being written; the model in the job's folder and in MLflow's.
    needed = 4 * (3 * trained + joined) * bytes_each + 2 * (joined or trained) * bytes_each + 50_000_000
    if model.kind == "catalog" and model.folder is None:
        needed += model.params * 4
    return needed


def _in_adapter(params: int, config: dict[str, Any] | None, r: int) -> int:
    """Return how many weights an adapter has that is on all linear layers."""
    exact = find.lora_parameters(config, r) if config else None
    # Where no config tells the shapes yet: one of rank 16 has 4% of the weights or fewer.
    return params // 25 if exact is None else exact


def has_space(spec: CustomizeSpec, model: find.ModelRef) -> None:
    """Refuse where the disk cannot hold what `space` tells."""
    needed = space(spec, model)
    root = workspace.current().root
    free = shutil.disk_usage(root).free
    if needed is not None and free < needed:
        raise SpecError(
            f"There is no space for the checkpoints: about {_bytes(needed)} are needed in {root}, {_bytes(free)} are "
            "free. Make room, set TUNELAB_HOME to another disk, or train an adapter with a smaller r."
        )


def _bytes(count: float) -> str:
    return f"{count / 1e12:.1f} TB" if count >= 1e12 else f"{count / 1e9:.1f} GB"


def _facts(
    spec: CustomizeSpec,
    resolved: CustomizeSpec,
    model: find.ModelRef,
    dataset: Dataset,
    held: Dataset | None,
    train_rows: int,
    eval_rows: int,
    functions: dict[str, rewarding.Taken],
) -> dict[str, Any]:
    # What a cell would say to make the same job again: what was given, with names that mean the same tomorrow.
    pinned = {"model": resolved.model, "dataset": resolved.dataset, "eval_dataset": resolved.eval_dataset}
    given = spec.model_dump(mode="json", exclude_defaults=True)
    if "reward" in given:
        given["reward"] = rewarding.given(given["reward"], functions)
    return {
        "given": {key: pinned.get(key) or value for key, value in given.items()},
        "submitted_ns": time.time_ns(),
        "user": getpass.getuser(),
        "commit": commit(),
        "cwd": str(Path.cwd()),
        "tracking_uri": tracking_uri(),
        "needs": [*_needs(model), *(name for name in rewarding.secrets(spec) if name in os.environ)],
        "params": model.params,
        "train_rows": train_rows,
        "eval_rows": eval_rows,
        "digests": {str(item): item.digest for item in (dataset, held) if item},
        # Held-out rows whose prompt is trained on as well: their figures say less than they seem to.
        "overlap": dataset.overlap(held) if held else 0,
    } | machine.noted(resolved.compute.device)


def _needs(model: find.ModelRef) -> list[str]:
    """Return the names of the environment variables with a secret that the job's processes need; never their values."""
    names = tracking_needs()
    if model.kind == "hub" or find.to_download(model):
        names += ["HF_TOKEN"]
    return [name for name in names if name in os.environ]


def tracking_needs() -> list[str]:
    """Return the names of the variables by which MLflow is reached, where they hold a secret."""
    names = []
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if "@" in urlsplit(uri).netloc:
        names.append("MLFLOW_TRACKING_URI")
    if uri.startswith("http"):
        names += ["MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"]
    return [name for name in names if name in os.environ]


def tracking_uri() -> str:
    """Return where MLflow keeps the runs, without a password that may stand in it."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{workspace.current().database}"
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else uri


def commit() -> str | None:
    """Return the git commit of the working directory, with '+' where files differ from it; None outside of git."""
    try:
        head = _git("rev-parse", "HEAD")
        return head and head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=2, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
