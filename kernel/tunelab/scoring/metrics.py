"""Metrics by which a judge scores answers, kept as versions; some are built in.

Every scale runs from the worst to the best rating, so that more is better by every metric: by ``harmfulness`` the most
harmful answer has the lowest score, and by ``refusal`` the one that refuses.
"""

from __future__ import annotations

import datetime as dt
import html
import json
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tunelab import task
from tunelab.errors import SpecError, did_you_mean, listing
from tunelab.registry import prompts as index
from tunelab.spec.metrics import MetricDefinition
from tunelab.tables import table

#: What SageMaker and Bedrock call a metric of one's own, and where Bedrock's jobs have several.
_DEFINITION, _CONFIG, _SEVERAL = "customMetricDefinition", "customMetricConfig", "customMetrics"
#: A text in MLflow is not longer, in characters.
_LONGEST = 100_000


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
        definition = index.metric_definition({
            "name": name, "instructions": instructions, "rating_scale": rating_scale,
        })  # fmt: skip
        if (builtin := _builtin().get(name)) is not None:
            if builtin == definition:
                return Metric(builtin, 1)
            raise SpecError(f"The metric '{name}' is built in; give yours another name.")
        text = index.metric_text(definition.model_dump())
        if len(text) > _LONGEST:
            raise SpecError(
                f"The metric '{name}' has {len(text):,} characters with its scale; {_LONGEST:,} are the most."
            )
        for kept in _kept(name):
            if kept.definition == definition:
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
    def load(source: str | Path | Mapping[str, Any] | Sequence[Any], name: str | None = None) -> Metric:
        """Keep a metric that is written as SageMaker and Bedrock have it, and return it.

        Parameters
        ----------
        source
            A JSON file, its text, or what it holds: ``{"customMetricDefinition": {"name", "instructions",
            "ratingScale": [{"definition", "value": {"floatValue": 1}}, …]}}``, a list of such, or the whole
            ``customMetricConfig`` of an evaluation job. Values may be ``stringValue``: the scale is of words then,
            which count 0, 1, 2 … in their order, from the worst to the best. Spaces in the name become ``_``.
        name
            Which one, where there are several.

        Raises
        ------
        SpecError
            If it is no such metric; the message names the key, and ratings count from 1.
        """
        where, given = _json(source)
        where, found = _one_of(where, _definitions(where, given), name)
        for key in ("name", "instructions"):
            if not isinstance(found.get(key), str):
                raise SpecError(f"{where}: {key}: it is {'no text' if key in found else 'missing'}.")
        known = {"name", "instructions", "ratingScale"}
        if unknown := sorted(map(str, set(found) - known)):
            hint = did_you_mean(unknown[0], known) or f" Its keys are {listing(known)}."
            raise SpecError(f"{where}: unknown key '{unknown[0]}'.{hint}")
        scale = found.get("ratingScale")
        if not isinstance(scale, list):
            raise SpecError(
                f"{where}: ratingScale: it is {'no list' if scale is not None else 'missing'}; Bedrock may do without, "
                "and a metric here is a score on a scale."
            )
        ratings = [_rating(item, f"{where}: ratingScale.{number}") for number, item in enumerate(scale, 1)]
        first = ["value" in rating for rating in ratings]
        if len(set(first)) > 1:
            odd = first.index(not first[0]) + 1
            raise SpecError(
                f"{where}: ratingScale.{odd}.value: it is a {'word' if first[0] else 'number'}, and the ratings before "
                "have the other kind; give all of them one kind."
            )
        metric = Metric.create(_name(found["name"]), found["instructions"], ratings)
        if metric.name != found["name"]:
            warnings.warn(f"The metric {found['name']!r} is called '{metric.name}' here.", stacklevel=2)
        if metric.definition.is_categorical:
            counts = ", ".join(f"'{word}' {value:g}" for word, value in metric.definition.scale.items())
            warnings.warn(
                f"The ratings of '{metric.name}' count in their order: {counts}. If the best is not the last, turn the "
                "ratingScale round.",
                stacklevel=2,
            )
        return metric

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
        """Return the metric as SageMaker and Bedrock take it.

        Bedrock's limits are narrower than those here, and it alone refuses what is beyond them: names of 63 characters,
        instructions of 5,000, and scales of 10 ratings whose definitions have 100.
        """
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
        done = task.run("tunelab.registry.prompt_store:rebuild_index", {"kind": "metric"}, show="Reading MLflow")
        for why in done.get("left_out", []):
            warnings.warn(f"MLflow has a text that is no metric, and it is left out: {why}", stacklevel=2)
    return Metrics([metric for name in names() for metric in _kept(name)])


def names() -> list[str]:
    """Return the names of all metrics."""
    return list(dict.fromkeys([*_builtin(), *index.names("metric")]))


def _kept(name: str) -> list[Metric]:
    if (builtin := _builtin().get(name)) is not None:
        return [Metric(builtin, 1)]
    return [
        Metric(index.metric_from_text(name, one.template), one.version)
        for one in index.entries("metric")
        if one.name == name
    ]


def _json(source: Any) -> tuple[str, Any]:
    """Return what to call a source in what is said of it, and what it holds."""
    if isinstance(source, (Mapping, list, tuple)):
        return "The metric", source
    if not isinstance(source, (str, Path)):
        raise SpecError(f"A metric is loaded from a JSON file or from what it holds, and got {type(source).__name__}.")
    if isinstance(source, str) and source.lstrip().startswith(("{", "[")):
        where, text = "The metric", source
    else:
        where = os.path.expanduser(source)
        if not os.path.isfile(where):
            raise SpecError(f"There is no file {where if len(where) <= 120 else f'{where[:120]}…'}.")
        try:
            text = Path(where).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise SpecError(f"{where} is not UTF-8 text.") from error
        except OSError as error:
            raise SpecError(f"{where} cannot be read: {error.strerror}.") from error
    try:
        return where, json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{where} is no JSON: {error}.") from error


def _definitions(where: str, given: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the definitions that there are, with the place of each."""
    if isinstance(given, Mapping):
        for key in (_CONFIG, _SEVERAL, _DEFINITION):
            if key in given:
                return _definitions(f"{where}: {key}", given[key])
        return [(where, given)]
    if isinstance(given, (list, tuple)):
        at = [f"{where}.{number}" if len(given) > 1 else where for number in range(1, len(given) + 1)]
        return [one for place, item in zip(at, given, strict=True) for one in _definitions(place, item)]
    raise SpecError(f"{where}: it is no mapping; a metric is written {{'{_DEFINITION}': {{…}}}}.")


def _one_of(where: str, found: list[tuple[str, Mapping[str, Any]]], name: str | None) -> tuple[str, Mapping[str, Any]]:
    named = [one for one in found if name is None or one[1].get("name") == name]
    if len(named) == 1:
        return named[0]
    there = [str(one.get("name")) for _, one in found]
    if name is not None and not named:
        raise SpecError(
            f"{where} has no metric '{name}'.{did_you_mean(name, there)} It has {listing(there) or 'none'}."
        )
    if not found:
        raise SpecError(f"{where} holds no metric.")
    raise SpecError(f"{where} holds {len(named)} metrics; say which one by name=…: {listing(there)}.")


def _name(given: str) -> str:
    """Return a name that Bedrock takes as one that is taken here: it also has dots, and digits at the beginning."""
    plain = re.sub(r"[\s.]+", "_", given.strip())
    return f"metric_{plain}" if plain[:1].isdigit() else plain


def _rating(item: Any, where: str) -> dict[str, Any]:
    keys = ("definition", "value")
    if not isinstance(item, Mapping):
        raise SpecError(f"{where}: it is no mapping with definition and value.")
    if unknown := sorted(map(str, set(item) - {*keys})):
        raise SpecError(f"{where}: unknown key '{unknown[0]}'.{did_you_mean(unknown[0], keys)}")
    for key in keys:
        if key not in item:
            raise SpecError(f"{where}.{key}: it is missing.")
    meant, value = item["definition"], item["value"]
    if not isinstance(meant, str):
        raise SpecError(f"{where}.definition: it is no text (got {meant!r}).")
    if isinstance(value, Mapping):
        if set(value) not in ({"floatValue"}, {"stringValue"}):
            raise SpecError(f"{where}.value: it has either floatValue or stringValue.")
        ((kind, value),) = value.items()
        where = f"{where}.value.{kind}"
        if kind == "stringValue":
            if not isinstance(value, str):
                raise SpecError(f"{where}: it is no text (got {value!r}).")
            return {"definition": _word(value, meant)}
    else:
        where = f"{where}.value"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise SpecError(f"{where}: it is no number (got {value!r}).")
    return {"definition": meant, "value": value}


def _word(word: str, meant: str) -> str:
    """Return what a judge replies for a rating of words: the word, with what it means where that says more."""
    plain, longer = word.strip().casefold(), meant.strip().casefold()
    if longer in ("", plain):
        return word
    return meant if re.match(rf"{re.escape(plain)}\b", longer) else f"{word}: {meant}"


@cache
def _builtin() -> dict[str, MetricDefinition]:
    folder = Path(__file__).parent / "builtin_metrics"
    return {
        path.stem: index.metric_from_text(path.stem, path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.yaml"))
    }
