"""Metrics by which a judge scores answers, kept as versions; some are built in.

Every scale runs from the worst to the best rating, so that more is better by every metric.
"""

from __future__ import annotations

import datetime as dt
import html
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from tunelab import task
from tunelab.errors import SpecError, did_you_mean, listing
from tunelab.registry import prompts as index
from tunelab.spec import faults
from tunelab.spec.metrics import MetricDefinition
from tunelab.tables import table

#: What SageMaker and Bedrock call a metric of one's own.
_DEFINITION = "customMetricDefinition"


@dataclass(frozen=True)
class Metric:
    """One version of a metric: what a judge is asked of an answer, and the scale on which it replies."""

    definition: MetricDefinition
    version: int

    @property
    def name(self) -> str:
        """The metric's name."""
        return self.definition.name

    @staticmethod
    def create(
        name: str, instructions: str, rating_scale: Sequence[Mapping[str, Any]] | Mapping[str, float] | Sequence[str]
    ) -> Metric:
        """Keep a metric as the next version of `name`; one that is there already stays the version that it is.

        Parameters
        ----------
        name
            Letters, digits, ``_`` and ``-``.
        instructions
            What the judge reads, with ``{{prompt}}``, ``{{prediction}}`` and, where it is wanted, ``{{ground_truth}}``.
            The scale and the form of the reply are added to it.
        rating_scale
            From the worst to the best: ``{definition: value}``, a list of ``{"definition": …, "value": …}``, or of
            definitions alone, which count 0, 1, 2 ….

        Raises
        ------
        SpecError
            If a placeholder is missing or unknown, or the scale cannot be.
        Error
            If MLflow cannot be reached.

        Examples
        --------
        >>> tl.Metric.create("warm", "Is this warm? {{prompt}} {{prediction}}", ["not at all", "somewhat", "very"])
        """
        definition = _valid({"name": name, "instructions": instructions, "rating_scale": _scale(rating_scale)})
        if (builtin := _builtin().get(name)) is not None:
            if builtin == definition:
                return Metric(builtin, 1)
            raise SpecError(f"The metric '{name}' is built in; give yours another name.")
        text = as_text(definition)
        for kept in _kept(name):
            if as_text(kept.definition) == text:
                return kept
        version = task.run(
            "tunelab.registry.prompt_store:register",
            {"name": name, "template": text, "kind": "metric"},
            show="Keeping the metric",
        )
        created = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        index.add(index.Entry(name, version, text, created), "metric")
        return Metric(definition, version)

    @staticmethod
    def get(label: str) -> Metric:
        """Return a metric by ``NAME`` (its newest version) or ``NAME@VERSION``.

        Raises
        ------
        SpecError
            If there is none.
        """
        if not isinstance(label, str):
            raise SpecError(f"A metric is named NAME or NAME@VERSION, and got {type(label).__name__}.")
        name, at, version = label.partition("@")
        found = _kept(name)
        if not found:
            raise SpecError(
                f"There is no metric '{name}'.{did_you_mean(name, names())} There are {listing(names(), 20)}."
            )
        if not at:
            return found[-1]
        for metric in found:
            if str(metric.version) == version:
                return metric
        has = ", ".join(str(metric.version) for metric in found)
        raise SpecError(f"The metric '{name}' has no version {version}; it has {has}.")

    @staticmethod
    def load(source: str | Path | Mapping[str, Any]) -> Metric:
        """Keep a metric that is written as SageMaker and Bedrock have it, and return it.

        Parameters
        ----------
        source
            A JSON file, or what it holds: ``{"customMetricDefinition": {"name", "instructions", "ratingScale":
            [{"definition", "value": {"floatValue": 1}}, …]}}``. Values may be ``stringValue``: the scale is of words
            then, which count 0, 1, 2 … in their order. Spaces in the name become ``_``.

        Raises
        ------
        SpecError
            If it is no such metric.
        """
        where, given = _json(source)
        found = given.get(_DEFINITION, given)
        if not isinstance(found, Mapping):
            raise SpecError(f"{where}: {_DEFINITION} is no mapping.")
        known = {"name", "instructions", "ratingScale", "rating_scale"}
        if unknown := sorted(set(found) - known):
            raise SpecError(f"{where}: unknown key '{unknown[0]}'.{did_you_mean(unknown[0], known)}")
        for key in ("name", "instructions"):
            if not isinstance(found.get(key), str):
                raise SpecError(f"{where}: '{key}' is missing, or no text.")
        scale = found.get("ratingScale", found.get("rating_scale"))
        if not isinstance(scale, list):
            raise SpecError(f"{where}: 'ratingScale' is missing, or no list; a metric here has a scale.")
        ratings = [_rating(item, number, where) for number, item in enumerate(scale, 1)]
        if len({"value" in rating for rating in ratings}) > 1:
            raise SpecError(f"{where}: ratingScale has numbers and words for values; give one kind.")
        name = re.sub(r"\s+", "_", found["name"].strip())
        return Metric.create(name, found["instructions"], ratings)

    def text(self, prompt: str, prediction: str, ground_truth: str | None = None, reasoning: bool = False) -> str:
        """Return what a judge reads of an answer: to look at, or to teach a judge by.

        With `reasoning` the reply that is asked for has a reasoning before the score, as of endpoints by default.
        """
        from tunelab.scoring.judge_texts import Texts
        from tunelab.scoring.replies import Form
        from tunelab.scoring.score import Case

        form = Form(tuple(self.definition.scale.items()), self.definition.is_categorical, reasons=reasoning)
        return Texts(self.definition, form).one(Case(prompt, prediction, {"ground_truth": ground_truth}))

    def to_json(self) -> str:
        """Return the metric as SageMaker and Bedrock take it."""
        ratings = [
            {
                "definition": one.definition,
                "value": {"stringValue": one.definition} if one.value is None else {"floatValue": one.value},
            }
            for one in self.definition.rating_scale
        ]
        told = {"name": self.name, "instructions": self.definition.instructions, "ratingScale": ratings}
        return json.dumps({_DEFINITION: told}, indent=2, ensure_ascii=False)

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    def __repr__(self) -> str:
        scale = "\n".join(f"{value:g}: {word}" for word, value in self.definition.scale.items())
        return f"Metric({self})\n{self.definition.instructions}\n{scale}"

    def _repr_html_(self) -> str:
        scale = [{"value": f"{value:g}", "definition": word} for word, value in self.definition.scale.items()]
        return f"<b>{html.escape(str(self))}</b><pre>{html.escape(self.definition.instructions)}</pre>{table(scale)}"


class Metrics(Sequence[Metric]):
    """The metrics that there are, each version."""

    def __init__(self, found: list[Metric]) -> None:
        self._metrics = found

    def __getitem__(self, place: Any) -> Any:
        found = self._metrics[place]
        return Metrics(found) if isinstance(found, list) else found

    def __len__(self) -> int:
        return len(self._metrics)

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "metric": str(one),
                "from": "tunelab" if one.name in _builtin() else "you",
                "scale": " < ".join(f"{value:g}" for value in one.definition.scale.values()),
                "needs": "ground truth" if one.definition.wants_ground_truth else "",
                "asks": " ".join(one.definition.instructions.split())[:80],
            }
            for one in self._metrics
        ]

    def __repr__(self) -> str:
        return "\n".join("  ".join(str(value) for value in row.values()) for row in self._rows())

    def _repr_html_(self) -> str:
        return table(self._rows())


def metrics(refresh: bool = False) -> Metrics:
    """Return every version of every metric: those that are built in, and yours.

    With `refresh`, the workspace's index is first written anew from MLflow.
    """
    if refresh:
        task.run("tunelab.registry.prompt_store:rebuild_index", {"kind": "metric"}, show="Reading MLflow")
    return Metrics([metric for name in names() for metric in _kept(name)])


def names() -> list[str]:
    """Return the names of all metrics."""
    return list(dict.fromkeys([*_builtin(), *index.names("metric")]))


def as_text(definition: MetricDefinition) -> str:
    """Return a definition as the text that MLflow keeps."""
    return index.metric_text(definition.model_dump())


def _from_text(name: str, text: str) -> MetricDefinition:
    loaded = yaml.safe_load(text)
    return _valid({"name": name, **loaded} if isinstance(loaded, dict) else {"name": name})


def _kept(name: str) -> list[Metric]:
    if (builtin := _builtin().get(name)) is not None:
        return [Metric(builtin, 1)]
    return [
        Metric(_from_text(one.name, one.template), one.version) for one in index.entries("metric") if one.name == name
    ]


def _valid(told: dict[str, Any]) -> MetricDefinition:
    try:
        return MetricDefinition.model_validate(told)
    except ValidationError as error:
        said = faults.sentence(error, MetricDefinition)
        raise SpecError(f"The metric {told['name']!r}: {said[:1].lower()}{said[1:]}") from error


def _scale(given: Any) -> Any:
    if isinstance(given, Mapping):
        return [{"definition": word, "value": value} for word, value in given.items()]
    if isinstance(given, Sequence) and not isinstance(given, str):
        return [{"definition": one} if isinstance(one, str) else one for one in given]
    return given


def _rating(item: Any, number: int, where: str) -> dict[str, Any]:
    at = f"{where}: ratingScale, rating {number}"
    if not isinstance(item, Mapping) or not isinstance(item.get("definition"), str):
        raise SpecError(f"{at} has no 'definition'.")
    value = item.get("value")
    if isinstance(value, Mapping):
        if set(value) == {"floatValue"}:
            value = value["floatValue"]
        elif set(value) == {"stringValue"}:
            # The word that the judge says; what it means may say more.
            word = str(value["stringValue"])
            meant = item["definition"]
            return {"definition": word if word.casefold() in meant.casefold() or not meant else f"{word}: {meant}"}
        else:
            raise SpecError(f"{at}: 'value' has floatValue or stringValue, and one of them.")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise SpecError(f"{at}: its value is no number.")
    return {"definition": item["definition"], "value": value}


def _json(source: str | Path | Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    if isinstance(source, Mapping):
        return "The metric", source
    path = Path(os.path.expanduser(source))
    if not path.is_file():
        raise SpecError(f"There is no file {path}.")
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise SpecError(f"{path} is not UTF-8 text.") from error
    except ValueError as error:
        raise SpecError(f"{path} is no JSON: {error}.") from error
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    if not isinstance(given, Mapping):
        raise SpecError(f"{path} holds no metric: it has to be one mapping with '{_DEFINITION}'.")
    return path.name, given


@cache
def _builtin() -> dict[str, MetricDefinition]:
    folder = Path(__file__).parent / "builtin_metrics"
    return {
        path.stem: _from_text(path.stem, path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.yaml"))
    }
