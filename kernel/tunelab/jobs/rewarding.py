"""From what a user gives as a reward to the spec's: functions become source, prompts get their version."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunelab.data import Dataset
from tunelab.data.reading import Row
from tunelab.errors import SpecError, did_you_mean, listing
from tunelab.models import find
from tunelab.registry.prompts import prompt_file
from tunelab.spec import CustomizeSpec
from tunelab.spec.faults import KEY_IS
from tunelab.spec.rewards import PRESETS, WANT_GROUND_TRUTH, FeedbackReward, FunctionReward, PresetReward

if TYPE_CHECKING:
    from tunelab.scoring import source

#: So many rows are looked at for the columns that a reward reads.
_HEAD = 100


@dataclass(frozen=True)
class Taken:
    """A function's source, and how a cell would name the function again."""

    source: source.Source
    origin: str


def take(data: dict[str, Any], namespace: dict[str, Any] | None, key: str = "reward") -> dict[str, Taken]:
    """Put into a spec's mapping what its reward (or `key`) is, and return the functions by the file each is to lie in.

    A part may be a function, the name of one in `namespace`, ``FILE.py:NAME``, a preset's name, a mapping of the
    spec's, or for rlaif a reward prompt's name; ``reward`` is one of them or a list.

    Raises
    ------
    SpecError
        If a part is none of these, or a function cannot be taken from the notebook.
    """
    files: dict[str, Taken] = {}
    given = data.get(key)
    if given is None:
        return files
    several = isinstance(given, (list, tuple))
    taken = [
        _part(part, data.get("technique"), namespace or {}, files, key) for part in (given if several else [given])
    ]
    data[key] = taken if several else taken[0]
    return files


def _part(part: Any, technique: Any, namespace: dict[str, Any], files: dict[str, Taken], key: str) -> Any:
    from tunelab.scoring import source

    if isinstance(part, str):
        return _by_name(part, technique, namespace, files, key)
    if callable(part):
        found = source.capture(part, namespace)
        return _keep(found, found.name, files, {})
    if isinstance(part, dict) and (callable(inner := part.get("function")) or isinstance(inner, str)):
        rest = {key: value for key, value in part.items() if key != "function"}
        found = _part(inner, "rlvr", namespace, files, key)
        if "source" not in found:
            raise SpecError(f"{key}.function: '{inner}' is no function but a preset; write {{preset: {inner}}}.")
        return found | rest
    if isinstance(part, dict) and {"source", "name"} <= part.keys() and part["source"] not in files:
        # As a resolved spec says it: a file beside the spec, or of a job's folder.
        path = Path(os.path.expanduser(str(part["source"])))
        return _keep(source.from_file(path, str(part["name"])), f"{path}:{part['name']}", files, part)
    return part


def _by_name(name: str, technique: Any, namespace: dict[str, Any], files: dict[str, Taken], key: str) -> Any:
    from tunelab.scoring import source

    path, colon, function = name.rpartition(":")
    if colon and path.endswith(".py"):
        return _keep(source.from_file(Path(os.path.expanduser(path)), function), name, files, {})
    is_function = callable(namespace.get(name))
    kept: list[str] = []
    if technique == "rlaif":
        from tunelab.scoring import prompts

        kept = prompts.names()
    meanings = [
        word
        for word, holds in (
            ("a function of the notebook", is_function),
            ("a preset", name in PRESETS),
            ("a reward prompt", name.partition("@")[0] in kept),
        )
        if holds
    ]
    if len(meanings) > 1:
        raise SpecError(
            f"{key}: '{name}' is ambiguous: {' and '.join(meanings)}. Rename the function, or say {{preset: {name}}} "
            f"or {{prompt: {name}}}."
        )
    if is_function:
        return _keep(source.capture(namespace[name], namespace), name, files, {})
    if name in PRESETS:
        return {"preset": name}
    if meanings:
        raise SpecError(
            f"{key}: the reward prompt '{name}' needs a feedback model: {{prompt: {name}, model: …}}, and base_url "
            "where an endpoint serves it."
        )
    functions = [key for key, value in namespace.items() if not key.startswith("_") and callable(value)]
    hint = did_you_mean(name, [*PRESETS, *functions, *kept])
    others = f" The reward prompts are {listing(kept)}." if kept else ""
    raise SpecError(
        f"{key}: there is no function, file or preset '{name}'.{hint} The presets are {listing(PRESETS)}; a file's "
        f"function is FILE.py:NAME.{others}"
    )


def _keep(found: source.Source, origin: str, files: dict[str, Taken], more: dict[str, Any]) -> dict[str, Any]:
    number = 1
    while (file := "reward.py" if number == 1 else f"reward-{number}.py") in files:
        number += 1
    files[file] = Taken(found, origin)
    return more | {"source": file, "name": found.name}


def resolve(
    spec: CustomizeSpec,
    dataset: Dataset,
    held: Dataset | None,
    files: dict[str, Taken],
    kept: Mapping[str, str] | None = None,
) -> tuple[list[Any], dict[str, str]]:
    """Return the parts of the reward as they are run, and the texts of the files that they need.

    Raises
    ------
    SpecError
        If the rows lack a column that a part reads, or a prompt or feedback model is not there.
    """
    head = [row for source_ in (dataset, held) if source_ is not None for row in source_.read(count=_HEAD)]
    return resolve_for(spec, head, str(dataset), files, kept)


def resolve_for(
    spec: CustomizeSpec,
    head: list[Row],
    dataset: str,
    files: dict[str, Taken],
    kept: Mapping[str, str] | None = None,
) -> tuple[list[Any], dict[str, str]]:
    """Return what `resolve` does for rows whose first ones are `head`; `dataset` is what they are called.

    `kept` are texts of an earlier job's folder: a reward prompt that is among them need not be registered any more.
    """
    if not spec.reward_parts:
        return [], {}
    columns = {str(name) for row in head for name in row}
    texts = {name: taken.source.text for name, taken in files.items()}
    parts: list[Any] = []
    for part in spec.reward_parts:
        if isinstance(part, FunctionReward):
            reads(files[part.source].source, columns, dataset)
        elif isinstance(part, PresetReward):
            has_its_columns(part, head, columns, dataset)
        elif isinstance(part, FeedbackReward):
            from tunelab.scoring import prompts

            template = (kept or {}).get(prompt_file(part.prompt))
            if template is None:
                found = prompts.RewardPrompt.get(part.prompt)
            else:
                name, _, version = part.prompt.partition("@")
                found = prompts.RewardPrompt(name, int(version), template)
            found.check(columns)
            label = f"{found.name}@{found.version}"
            texts[prompt_file(label)] = found.template
            part = part.model_copy(update={"prompt": label, "model": _feedback_model(part)})
        parts.append(part)
    return parts, texts


def given(reward: Any, files: dict[str, Taken]) -> Any:
    """Return a spec's reward as a cell would say it again: functions by their names."""
    if isinstance(reward, list):
        return [given(part, files) for part in reward]
    if not isinstance(reward, dict) or reward.get("source") not in files:
        return reward
    rest = {key: value for key, value in reward.items() if key not in ("source", "name")}
    origin = files[reward["source"]].origin
    return {"function": origin} | rest if rest else origin


def reads(function: source.Source, columns: set[str], dataset: str) -> None:
    from tunelab.scoring import source

    if lacking := sorted(source.required_columns(function) - columns):
        hint = did_you_mean(lacking[0], columns - {"prompt"})
        raise SpecError(
            f"The function '{function.name}' takes '{lacking[0]}', which {dataset} has no column for.{hint} Its "
            f"columns are {listing(columns)}; a parameter with a default, or **row, need not be there."
        )


def has_its_columns(part: PresetReward, head: list[Row], columns: set[str], dataset: str) -> None:
    wanted = part.tests or "ground_truth" if part.preset == "code" else None
    if part.preset in WANT_GROUND_TRUTH:
        wanted = "ground_truth"
    if wanted is not None and wanted not in columns:
        raise SpecError(
            f"The preset '{part.preset}' compares with '{wanted}', which {dataset} has no column for. Its columns are "
            f"{listing(columns)}."
        )
    if wanted is not None and (empty := next((n for n, row in enumerate(head, 1) if row.get(wanted) is None), None)):
        raise SpecError(f"The preset '{part.preset}' compares with '{wanted}', which is empty in row {empty}.")


def _feedback_model(part: FeedbackReward) -> str:
    if part.base_url is not None:
        if part.api_key != FeedbackReward.model_fields["api_key"].default and part.api_key not in os.environ:
            # Not shown: it may be the key itself.
            raise SpecError(f"reward.api_key: there is no environment variable of that name; {KEY_IS}.")
        return part.model
    ref = find.find(part.model)
    if find.to_download(ref):
        raise SpecError(
            f"The feedback model '{part.model}' is not on this machine. Download it first (tl.generate(model, prompt) "
            "does), or give the base_url of an endpoint that serves it."
        )
    return str(ref.folder) if ref.kind == "folder" else ref.version or part.model


def digests(files: dict[str, str]) -> dict[str, str]:
    """Return the SHA-256 of each text by its file's name."""
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}


def secrets(spec: CustomizeSpec) -> list[str]:
    """Return the names of the environment variables with the keys of endpoints, which the job's processes need."""
    return [part.api_key for part in spec.reward_parts if isinstance(part, FeedbackReward) and part.base_url]
