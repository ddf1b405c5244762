"""A spec that is still being written: all that is wrong with it, what a cell would say, and what the job would take.

Only what is cheap is looked at: nothing is written, no model is loaded, and of a file no more than its first rows.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tunelab import recipes
from tunelab.data.look import Look, look
from tunelab.data.reading import Row
from tunelab.errors import Error
from tunelab.jobs import carried, machine, manager, memory, prepare, rewarding
from tunelab.models import catalog, find, size
from tunelab.registry import index
from tunelab.spec import CustomizeSpec, load
from tunelab.spec import hyperparameters as fields
from tunelab.spec.load import Fault

T = TypeVar("T")

#: Held-out rows of larger datasets are estimated by their share: a split of a million rows takes a second.
_SPLIT_EXACTLY = 100_000
#: Fields of rows that an answer, or a whole conversation, is in.
_ANSWERS = ("completion", "chosen", "rejected", "messages", "text")
#: Tokens that a chat template puts around the turns of a row.
_AROUND = 64


@dataclass
class Draft:
    """What is known of a spec's mapping.

    `given` is what a cell says to make the same job tomorrow; `estimate` is empty while too little is known.
    """

    given: dict[str, Any]
    faults: list[Fault] = field(default_factory=list)
    estimate: dict[str, Any] = field(default_factory=dict)


def recipe_of(data: dict[str, Any]) -> recipes.Recipe | None:
    """Return the recipe that a mapping's technique, model, adapter and device choose; None without a technique."""
    technique, adapter = data.get("technique"), _section(data, "adapter").get("type")
    if technique not in ("sft", "dpo", "rlvr", "rlaif"):
        return None
    model, params = str(data.get("model") or ""), None
    try:
        params = find.find(model).params if model else None
    except Error:
        # It is told as a fault of the model; the recipe is that of a model whose size is not known.
        params = None
    algorithm = data.get("algorithm")
    return recipes.find(
        technique,
        model,
        "full" if adapter == "full" else "lora",
        params,
        _device(data).partition(":")[0],
        algorithm if algorithm in ("grpo", "rloo") else None,
    )


def draft(data: dict[str, Any], namespace: dict[str, Any] | None = None) -> Draft:
    """Return what is wrong with a mapping as a customize spec, and what it would take.

    Parameters
    ----------
    data
        As in a cell: only what is said.
    namespace
        The notebook's variables, in which datasets and functions are looked up.
    """
    found = Draft(given=data)
    data = copy.deepcopy(data)
    functions = _try(found, "reward", lambda: rewarding.take(data, namespace))
    known = {fault.path.partition(".")[0] for fault in found.faults}
    found.faults += [fault for fault in load.customize_faults(data) if fault.path.partition(".")[0] not in known]
    model = _try(found, "model", lambda: find.find(str(data["model"]))) if data.get("model") else None
    recipe = recipe_of(data)
    if recipe is None:
        return found
    method = fields.method_of(recipe.technique, data.get("algorithm"))
    given: dict[str, Any] = {}
    for name, value in _section(data, "hyperparameters").items():
        checked = _try(found, f"hyperparameters.{name}", lambda: fields.check(method, {name: value}, recipe.ranges))  # noqa: B023
        given |= checked or {}
    looks = {
        key: _try(found, key, lambda: look(str(data[key]), recipe.technique, namespace))  # noqa: B023
        for key in ("dataset", "eval_dataset")
        if data.get(key)
    }
    if device := _section(data, "compute").get("device"):
        _try(found, "compute.device", lambda: machine.device(str(device)))
    if found.faults:
        return found

    spec = load.customize(data)
    assert model is not None and functions is not None
    dataset, held = looks["dataset"], looks.get("eval_dataset")
    assert dataset is not None
    found.given = _said(spec, model, looks, functions)
    _try(found, "name", lambda: prepare.free_name(spec.name))
    if dataset.conversational:
        _try(found, "", lambda: prepare.template_fits(spec, model, dataset.label, True))
    if dataset.head:
        head = [*dataset.head, *(held.head if held else [])]
        _try(found, "reward", lambda: rewarding.resolve_for(spec, head, dataset.label, functions))
    if not found.faults:
        _estimate(found, spec, recipe, given, model, dataset, held)
    return found


def _estimate(
    found: Draft,
    spec: CustomizeSpec,
    recipe: recipes.Recipe,
    given: dict[str, Any],
    model: find.ModelRef,
    dataset: Look,
    held: Look | None,
) -> None:
    device = machine.device(spec.compute.device)
    adapter = _try(found, "", lambda: carried.adapter(spec, model, recipe.adapter))
    if adapter is None:
        return
    dtype = spec.compute.dtype or carried.dtype(adapter, device)
    resolved = spec.model_copy(
        update={"adapter": adapter, "compute": spec.compute.model_copy(update={"device": device, "dtype": dtype})}
    )
    _try(found, "", lambda: prepare.has_space(resolved, model))
    if found.faults:
        return
    merged = recipe.hyperparameters | given
    rows = _try(found, "split", lambda: _rows(spec, recipe, dataset, held))
    if rows is not None:
        train, aside = rows
        settled = _try(found, "", lambda: prepare.settle(spec, recipe, given, device.partition(":")[0], train, aside))
        if settled is None:
            return
        merged = settled[1]
        total = prepare.steps(merged, train)
        found.estimate = {
            "train_rows": train,
            "eval_rows": aside,
            "steps": total,
            "evaluations": prepare.evaluations(merged, total) if aside else 0,
        }
        found.estimate |= _time(resolved, model, _work(merged, total, aside))
    elif found.faults:
        return
    found.estimate |= {
        "disk_bytes": prepare.space(resolved, model),
        **_memory(resolved, model, merged, dtype, dataset.head),
    }


def _rows(spec: CustomizeSpec, recipe: recipes.Recipe, dataset: Look, held: Look | None) -> tuple[int, int] | None:
    """Return the rows to train on and those held out; None where a file would have to be read for it."""
    if dataset.rows is None or (held is not None and held.rows is None):
        return None
    if held is not None:
        return dataset.rows, held.rows or 0
    share = prepare.share(spec, recipe.split, dataset.rows)
    if dataset.dataset is not None and dataset.rows <= _SPLIT_EXACTLY:
        aside = len(dataset.dataset.held_out(share, spec.seed))
    else:
        aside = min(dataset.rows - 1, share if isinstance(share, int) else round(share * dataset.rows))
    return dataset.rows - aside, aside


def _time(spec: CustomizeSpec, model: find.ModelRef, work: float) -> dict[str, Any]:
    """Return the seconds that it takes by the pace of the newest like job."""
    base = model.base.name if model.base else model.name
    for entry in sorted(index.entries(), key=lambda entry: entry.created, reverse=True):
        if (entry.base, entry.technique, entry.adapter) != (base, spec.technique, spec.adapter.type):
            continue
        try:
            job = manager.find(entry.job)
        except Error:
            # The job was removed, and with it its pace.
            continue
        view = job.read()
        spent = view.elapsed_s(view.ended or 0.0)
        if spent and view.total and job.spec["compute"]["device"] == spec.compute.device:
            done = _work(job.spec["hyperparameters"], view.total, job.facts["eval_rows"])
            return {"time_s": spent / done * work, "time_from": job.id}
    return {}


def _work(hyperparameters: dict[str, Any], total: int, eval_rows: int) -> float:
    """Return how much is computed, in forward passes of a row: one with gradients takes about three."""
    batch = int(hyperparameters["per_device_train_batch_size"])
    rows = total * batch * int(hyperparameters.get("gradient_accumulation_steps", 1))
    return 3 * rows + (prepare.evaluations(hyperparameters, total) * eval_rows if eval_rows else 0)


def _memory(
    spec: CustomizeSpec, model: find.ModelRef, merged: dict[str, Any], dtype: str | None, head: Sequence[Row]
) -> dict[str, Any]:
    entry = find.CATALOG.get(model.base.name if model.base else model.name)
    shape = catalog.Shape.of(model.config) or (entry.shape if entry else None)
    if shape is None:
        return {}
    free = memory.free(fresh=True)
    parts, _ = size.fitted(
        shape,
        free,
        technique=spec.technique,
        adapter_type=spec.adapter.type,
        r=spec.adapter.r or 0,
        batch_rows=int(merged["per_device_train_batch_size"]),
        max_length=size.row_length(merged, max(map(_tokens, head), default=0)),
        dtype=dtype or "float32",
        params=model.params,
    )
    is_here = spec.compute.device == "cpu"
    return {"memory_bytes": parts.total, **({"memory_free": free} if is_here else {})}


def _tokens(row: Row) -> int:
    """Return the most tokens of a row: a token is a byte at least, of the prompt and the longest that may follow it."""
    prompt, *answers = (
        len(json.dumps(row[name], ensure_ascii=False, default=str).encode()) if name in row else 0
        for name in ("prompt", *_ANSWERS)
    )
    return _AROUND + prompt + max(answers)


def _said(
    spec: CustomizeSpec, model: find.ModelRef, looks: dict[str, Look | None], functions: dict[str, rewarding.Taken]
) -> dict[str, Any]:
    """Return what a cell says, by names that mean the same tomorrow; as `prepare` notes it of a job."""
    given = spec.model_dump(mode="json", exclude_defaults=True)
    if "reward" in given:
        given["reward"] = rewarding.given(given["reward"], functions)
    given["model"] = str(model.folder) if model.kind == "folder" else model.version or spec.model
    return given | {key: found.label for key, found in looks.items() if found is not None}


def _section(data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _device(data: dict[str, Any]) -> str:
    try:
        return machine.device(str(_section(data, "compute").get("device") or "auto"))
    except (Error, ValueError):
        return machine.device("auto")


def _try(found: Draft, path: str, call: Callable[[], T]) -> T | None:
    """Return what `call` does; where it is refused, note that as a fault of `path`."""
    try:
        return call()
    except Error as error:
        found.faults.append(Fault(path or load.named(str(error)), str(error)))
        return None
