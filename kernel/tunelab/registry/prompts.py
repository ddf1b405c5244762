"""The index of reward prompts and of judges' metrics: what the kernel reads in place of MLflow's prompt registry."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from tunelab.errors import SpecError
from tunelab.registry.indexfile import IndexFile, Version
from tunelab.spec import faults
from tunelab.spec.metrics import MetricDefinition

#: What a text is for; MLflow's names begin with ``tunelab.KIND.``.
Kind = Literal["reward", "metric"]


@dataclass(frozen=True)
class Entry(Version):
    """One version of a text of the user's."""

    template: str
    created: str


_FILES: dict[Kind, IndexFile[Entry]] = {
    "reward": IndexFile(
        Entry,
        lambda space: space.root / "prompts.json",
        key="prompts",
        lock="prompts",
        what="reward prompts",
        refresh="tl.reward_prompts(refresh=True)",
    ),
    "metric": IndexFile(
        Entry,
        lambda space: space.root / "metrics.json",
        key="prompts",
        lock="prompts",
        what="metrics",
        refresh="tl.metrics(refresh=True)",
    ),
}


def prompt_file(label: str) -> str:
    """Return the name under which a reward prompt ``NAME@VERSION`` lies in a job's folder."""
    return f"reward-{label.replace('@', '-')}.jinja"


def metric_file(label: str) -> str:
    """Return the name under which a metric ``NAME@VERSION`` lies in a job's folder."""
    return f"metric-{label.replace('@', '-')}.json"


def metric_text(definition: dict[str, Any]) -> str:
    """Return a metric's definition as the text that MLflow keeps: YAML of the instructions and the scale."""
    ratings = [{key: value for key, value in one.items() if value is not None} for one in definition["rating_scale"]]
    told = {"instructions": definition["instructions"], "rating_scale": ratings}
    # Never folded: MLflow marks placeholders, which have to stay in one line.
    return str(yaml.dump(told, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=sys.maxsize))


def metric_from_text(name: str, text: str) -> MetricDefinition:
    """Return the definition that `metric_text` wrote.

    Raises
    ------
    SpecError
        If the text is none, as one may be that was written in MLflow's pages.
    """
    try:
        told = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SpecError(f"The metric '{name}' is no YAML: {getattr(error, 'problem', None) or error}.") from error
    if not isinstance(told, dict):
        raise SpecError(f"The metric '{name}' is no mapping with instructions and rating_scale.")
    return metric_definition({**told, "name": name})


def metric_definition(told: dict[str, Any]) -> MetricDefinition:
    """Validate what a metric is told to be.

    Raises
    ------
    SpecError
        If it cannot be one; one line, the first fault.
    """
    try:
        return MetricDefinition.model_validate(told)
    except ValidationError as error:
        said = faults.sentence(error, MetricDefinition).replace(" in the spec.", ".")
        raise SpecError(f"The metric {told['name']!r:.120}: {said[:1].lower()}{said[1:]}") from error


def entries(kind: Kind = "reward") -> list[Entry]:
    """Return every version, by name and version."""
    return _FILES[kind].entries()


def names(kind: Kind = "reward") -> list[str]:
    """Return the names, each once."""
    return _FILES[kind].names()


def add(entry: Entry, kind: Kind = "reward") -> None:
    """Add a version, or replace what was noted of it."""
    _FILES[kind].add(entry)


def replace(found: list[Entry], kind: Kind = "reward") -> None:
    """Write the index anew, as `registry.prompt_store.rebuild_index` does from MLflow."""
    _FILES[kind].replace(found)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are, so that they are read in MLflow's pages."""


def _text(dumper: _Dumper, text: str) -> yaml.Node:
    # PyYAML writes Unicode's line breaks as they are and reads them as others, but for those it escapes.
    has_others = any(found in text for found in ("\r", "\x85", "\u2028", "\u2029"))
    style = '"' if has_others else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
