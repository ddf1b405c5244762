"""An evaluate spec that is still being written: what is wrong with it, what a cell would say, how much there is to do.

Only what is cheap is looked at: nothing is written, no model is loaded, and of a file no more than its first rows.
"""

from __future__ import annotations

import copy
from typing import Any

from tunelab.data.look import look
from tunelab.errors import Error
from tunelab.jobs import machine, rewarding
from tunelab.jobs.draft import Draft
from tunelab.models import find
from tunelab.scoring.metrics import Metric
from tunelab.spec import load
from tunelab.spec.load import Fault


def draft(data: dict[str, Any], namespace: dict[str, Any] | None = None) -> Draft:
    """Return what is wrong with a mapping as an evaluate spec, and how many answers and ratings it asks for.

    Parameters
    ----------
    data
        As in a cell: only what is said.
    namespace
        The notebook's variables, in which a dataset and functions are looked up.
    """
    found = Draft(given=data)
    data = copy.deepcopy(data)
    functions: dict[str, rewarding.Taken] = {}
    try:
        functions = rewarding.take(data, namespace, "scorer")
    except Error as error:
        found.faults.append(Fault("scorer", str(error)))
    known = {fault.path.partition(".")[0] for fault in found.faults}
    found.faults += [one for one in load.evaluate_faults(data) if one.path.partition(".")[0] not in known]
    elsewhere = data.get("predictions") if isinstance(data.get("predictions"), dict) else {}
    given = data.get("models") or []
    for place, model in enumerate([given] if isinstance(given, str) else given, 1):
        if isinstance(model, str) and model not in (elsewhere or {}):
            _look(found, f"models.{place}", lambda model=model: find.find(model))
    judge = data.get("judge") if isinstance(data.get("judge"), dict) else {}
    assert judge is not None
    for metric in judge.get("metrics") or []:
        if isinstance(metric, str):
            _look(found, "judge.metrics", lambda metric=metric: Metric.get(metric))
    if judge.get("model") and not judge.get("base_url"):
        _look(found, "judge.model", lambda: find.find(str(judge["model"])))
    rows = None
    if isinstance(data.get("dataset"), str):
        seen = _look(found, "dataset", lambda: look(data["dataset"], "evaluation", namespace))
        rows = seen.rows if seen is not None else None
        if seen is not None:
            data["dataset"] = seen.label
    compute = data.get("compute")
    if isinstance(compute, dict) and compute.get("device"):
        _look(found, "compute.device", lambda: machine.device(str(compute["device"])))
    if found.faults:
        return found
    spec = load.evaluate(data)
    found.given = spec.model_dump(mode="json", exclude_defaults=True) | {"method": spec.method}
    if "scorer" in found.given:
        found.given["scorer"] = rewarding.given(found.given["scorer"], functions)
    if rows is not None:
        rows = min(rows, spec.limit or rows)
        models = max(len(spec.models), 1)
        # One custom model alone is compared with its base.
        if models == 1 and isinstance(spec.models[0], str) and find.find(spec.models[0]).kind == "custom":
            models = 2
        found.estimate = {"rows": rows, "answers": rows * models}
        if spec.judge is not None:
            asked = 2 * (models - 1) if spec.judge.pairwise else models
            found.estimate["ratings"] = rows * asked * len(spec.judge.metrics)
    return found


def _look(found: Draft, path: str, call: Any) -> Any:
    try:
        return call()
    except Error as error:
        found.faults.append(Fault(path, str(error)))
        return None
