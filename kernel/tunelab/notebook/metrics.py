"""A judge's metrics on show: the list of them, one version and what it is copied as, new ones from a form or a file.

Everything that a view asks for is answered to that view alone, in a thread of its own: keeping a metric asks MLflow,
and a page's next message is heard meanwhile.
"""

from __future__ import annotations

import json
import re
import threading
from typing import Any

import yaml

from tunelab import workspace
from tunelab.data import versions
from tunelab.errors import DataError, Error, SpecError
from tunelab.models.find import CATALOG
from tunelab.notebook import live
from tunelab.notebook.datasets import View, apart
from tunelab.registry import index as models
from tunelab.registry import prompts as index
from tunelab.scoring.metrics import Metric, metrics

#: What a list shows of the instructions and of the scale, in characters.
_SHOWN = 120
#: A file holds its metrics no deeper: customMetricConfig, customMetrics, an item, customMetricDefinition.
_DEPTH = 6


class MetricList(live.Listing):
    """The newest version of each metric: the user's own first, the newest of them before, then what is built in."""

    def __init__(self) -> None:
        super().__init__("metrics")
        self._entries: list[index.Entry] | None = None
        self._rows: list[dict[str, Any]] = []
        self._trouble: str | None = None

    def add(self, view: View) -> None:
        """Show the list in one more view, from now on."""
        with self._lock:
            super().add(view)
            view.state(trouble=self._trouble)

    def look(self) -> None:
        """Tell the views of what is new, and of why the list cannot be read."""
        with self._lock:
            before = self._trouble
            super().look()
            for view in tuple(self._views) if self._trouble != before else ():
                view.state(trouble=self._trouble)

    def command(self, view: View, content: dict[str, Any]) -> None:
        """Do what a view asks for: show a ``metric``, or keep one by ``keep_metric`` or ``import_metric``."""
        kind = str(content["type"])
        work = {"metric": self._show, "keep_metric": self._keep, "import_metric": self._import}.get(kind)
        if work is not None:
            asked = {"asked": kind} | ({"metric": content["metric"]} if kind == "metric" else {})
            apart(
                lambda: work(view, content),
                lambda reason: view.message({"type": "metric_refused", "reason": _shown(reason)} | asked),
            )

    def _present(self) -> list[dict[str, Any]]:
        try:
            entries = index.entries("metric")
            if entries != self._entries:
                self._rows = _rows(entries)
                self._entries = entries
            self._trouble = None
        except Error as error:
            # Said in the list's place, with the remedy; what was read before stays.
            self._trouble = _shown(str(error))
        return self._rows

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
            view.message({"type": "metric_choice", "file": file, "names": [_shown(one) for one in there]})
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
        said = [_shown(note) for note in [*known, *notes]]
        view.message({"type": "metric_kept", "metric": str(metric), "asked": asked, "notes": said})


_lists: dict[str, MetricList] = {}
_guard = threading.Lock()


def metric_list() -> MetricList:
    """Return the current workspace's metrics on show."""
    with _guard:
        return _lists.setdefault(str(workspace.current().root), MetricList())


def _rows(entries: list[index.Entry]) -> list[dict[str, Any]]:
    created = {entry.name: entry.created for entry in entries}
    found: dict[str, list[Metric]] = {}
    for metric in metrics():
        found.setdefault(metric.name, []).append(metric)
    rows = [_row(kept, created.get(name)) for name, kept in found.items()]
    yours = [row for row in rows if not row["builtin"]]
    return sorted(yours, key=lambda row: row["created"], reverse=True) + [row for row in rows if row["builtin"]]


def _row(kept: list[Metric], created: str | None) -> dict[str, Any]:
    """Return a name as a list shows it, by its newest version."""
    newest = kept[-1].definition
    scale = newest.scale if newest.is_categorical else [f"{value:g}" for value in newest.scale.values()]
    return {
        "name": newest.name,
        "version": kept[-1].version,
        "versions": [metric.version for metric in reversed(kept)],
        "builtin": created is None,
        "scale": _cut(" < ".join(scale)),
        "categorical": newest.is_categorical,
        "ground_truth": newest.wants_ground_truth,
        "created": created,
        "asks": _cut(" ".join(newest.instructions.split())),
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
    """Return a cell that judges by a metric: what there is to evaluate, on what rows there are for it."""
    custom, base = models.names(), next(iter(CATALOG))
    newest = max(models.entries(), key=lambda entry: entry.created).name if custom else base
    rows = _evaluation_set()
    head = yaml.safe_dump({"models": [newest]}, default_flow_style=None, allow_unicode=True)
    data = yaml.safe_dump({"dataset": rows or "my-eval"}, allow_unicode=True).rstrip()
    hint = "" if rows else "  # a dataset for evaluation: query, response"
    judge = yaml.safe_dump({"judge": {"model": base, "metrics": [str(metric)]}}, default_flow_style=None).rstrip()
    return f"%%evaluate\n{head}{data}{hint}\n{judge}  # or an endpoint's: model, base_url\n"


def _evaluation_set() -> str | None:
    """Return the newest dataset that is for evaluation."""
    found = []
    for name in versions.names():
        try:
            found.append(versions.load(name, versions.numbers(name)[-1]))
        except (DataError, FileNotFoundError, IndexError):
            # Damaged, or deleted while it was looked for: another will do.
            continue
    fit = [one for one in found if one.technique == "evaluation"]
    return max(fit, key=lambda one: one.created).name if fit else None


def _python(metric: Metric) -> str:
    """Return the code that makes the same metric in another workspace."""
    definition = metric.definition
    lines = "\n".join(f"    {line!r}" for line in definition.instructions.splitlines(keepends=True))
    written = "\n".join(f"        {_item(one, definition.is_categorical)}," for one in definition.scale.items())
    opening, closing = "[]" if definition.is_categorical else "{}"
    return (
        f"import tunelab as tl\n\ntl.Metric.create(\n    {metric.name!r},\n{lines},\n    {opening}\n{written}\n"
        f"    {closing},\n)\n"
    )


def _item(rating: tuple[str, float], is_word: bool) -> str:
    word, value = rating
    return repr(word) if is_word else f"{word!r}: {int(value) if value.is_integer() else value!r}"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _shown(text: str) -> str:
    """Return a text of a file as a message can carry it: JSON escapes can make halves of characters."""
    return text.encode("utf-8", "replace").decode("utf-8")


__all__ = ["MetricList", "metric_list"]
