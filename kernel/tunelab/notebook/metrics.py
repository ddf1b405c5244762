"""A judge's metrics on show: the list of them, one version and what it is copied as, new ones from a form or a file."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from tunelab.errors import SpecError
from tunelab.notebook import cells
from tunelab.notebook.datasets import View
from tunelab.notebook.shared import per_workspace
from tunelab.notebook.textlist import TextList, Work, cut, literal, own_first, sendable
from tunelab.registry import prompts as index
from tunelab.scoring.metrics import Metric, metrics

#: A file holds its metrics no deeper: customMetricConfig, customMetrics, an item, customMetricDefinition.
_DEPTH = 6


class MetricList(TextList):
    """The newest version of each metric: the user's own first, the newest of them before, then what is built in."""

    def __init__(self) -> None:
        super().__init__("metric")

    def _works(self) -> dict[str, Work]:
        return {"metric": self._show, "keep_metric": self._keep, "import_metric": self._import}

    def _read(self) -> tuple[list[index.Entry]]:
        return (index.entries("metric"),)

    def _listed(self, entries: list[index.Entry]) -> list[dict[str, Any]]:
        created = {entry.name: entry.created for entry in entries}
        found: dict[str, list[Metric]] = {}
        for metric in metrics():
            found.setdefault(metric.name, []).append(metric)
        return own_first([_row(kept, created.get(name)) for name, kept in found.items()])

    def _show(self, view: View, content: dict[str, Any]) -> None:
        metric = Metric.get(str(content["metric"]))
        definition = metric.definition
        created = {(entry.name, entry.version): entry.created for entry in index.entries("metric")}
        view.message({
            "type": "metric",
            "metric": str(content["metric"]),
            "instructions": definition.instructions,
            "ratings": [
                {"definition": one.definition, "value": one.value, "counts": counts}
                for one, counts in zip(definition.rating_scale, definition.scale.values(), strict=True)
            ],
            "created": created.get((metric.name, metric.version)),
            "cell": _cell(metric),
            "python": _python(metric),
            "json": metric.to_json(),
        })  # fmt: skip

    def _keep(self, view: View, content: dict[str, Any]) -> None:
        before = _labels()
        metric = Metric.create(str(content["name"]), str(content["instructions"]), content["rating_scale"])
        self._kept(view, metric, before, [], str(content["type"]))

    def _import(self, view: View, content: dict[str, Any]) -> None:
        file, name = str(content["file"]), content["name"]
        try:
            given = json.loads(str(content["text"]))
        except (ValueError, RecursionError) as error:
            raise SpecError(f"{file} is no JSON: {error}.") from error
        if not isinstance(given, (dict, list)):
            raise SpecError(f"{file} holds no metric; one is written {{'customMetricDefinition': {{…}}}}.")
        there = _named(given)
        if name is None and len(there) > 1:
            view.message({"type": "metric_choice", "file": file, "names": [sendable(one) for one in there]})
            return
        before = _labels()
        try:
            metric = Metric.load(given, name=name)
        except SpecError as error:
            # Python calls what has no path "The metric"; here it has one.
            raise SpecError(re.sub(r"^The metric(?=: | holds | has )", lambda _: file, str(error))) from error
        notes = []
        if (called := name or there[0]) != metric.name:
            notes.append(f"The metric {called!r} is called '{metric.name}' here.")
        if metric.definition.is_categorical:
            counts = ", ".join(f"'{word}' {value:g}" for word, value in metric.definition.scale.items())
            notes.append(
                f"The ratings count in their order: {counts}. If the best is not the last, make a new version and move "
                "the ratings."
            )
        self._kept(view, metric, before, notes, str(content["type"]))

    def _kept(self, view: View, metric: Metric, before: set[str], notes: list[str], asked: str) -> None:
        # The list first, so that what a view opens now is in it.
        self.look()
        known = [f"This is what {metric} said already, so no version was added."] if str(metric) in before else []
        said = [sendable(note) for note in [*known, *notes]]
        view.message({"type": "metric_kept", "metric": str(metric), "asked": asked, "notes": said})


@per_workspace
def metric_list() -> MetricList:
    """Return the current workspace's metrics on show."""
    return MetricList()


def _row(kept: list[Metric], created: str | None) -> dict[str, Any]:
    """Return a name as a list shows it, by its newest version."""
    newest = kept[-1].definition
    scale = newest.scale if newest.is_categorical else [f"{value:g}" for value in newest.scale.values()]
    return {
        "name": newest.name,
        "version": kept[-1].version,
        "versions": [metric.version for metric in reversed(kept)],
        "builtin": created is None,
        "scale": cut(" < ".join(scale)),
        "categorical": newest.is_categorical,
        "ground_truth": newest.wants_ground_truth,
        "created": created,
        "asks": cut(" ".join(newest.instructions.split())),
    }


def _labels() -> set[str]:
    """Return what there is before one is kept; where nothing can be read, keeping says so."""
    return {str(metric) for metric in metrics()}


def _named(given: Any, depth: int = _DEPTH) -> list[str]:
    """Return the names of the metrics that a file of SageMaker's or Bedrock's form holds."""
    if isinstance(given, dict) and isinstance(given.get("name"), str):
        return [given["name"]]
    inner = given.values() if isinstance(given, dict) else given if isinstance(given, list) else ()
    return [name for item in inner for name in _named(item, depth - 1)] if depth else []


def _cell(metric: Metric) -> str:
    """Return a cell that judges by a metric."""
    judge = {"judge": {"model": cells.base(), "metrics": [str(metric)]}}
    told = yaml.safe_dump(judge, default_flow_style=None).rstrip()
    return cells.evaluation(f"{told}  # or an endpoint's: model, base_url\n")


def _python(metric: Metric) -> str:
    """Return the code that makes the same metric in another workspace."""
    definition = metric.definition
    lines = literal(definition.instructions)
    written = "\n".join(f"        {_item(one, definition.is_categorical)}," for one in definition.scale.items())
    opening, closing = "[]" if definition.is_categorical else "{}"
    return (
        f"import tunelab as tl\n\ntl.Metric.create(\n    {metric.name!r},\n{lines},\n    {opening}\n{written}\n"
        f"    {closing},\n)\n"
    )


def _item(rating: tuple[str, float], is_word: bool) -> str:
    word, value = rating
    return repr(word) if is_word else f"{word!r}: {int(value) if value.is_integer() else value!r}"


__all__ = ["MetricList", "metric_list"]
