"""Lineage: which data, base model, rewards and jobs led to a model, and what was made of it and judged since."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable
from typing import Any

from tunelab import drawing, task
from tunelab.errors import Error, did_you_mean

#: What a node is, in words.
KINDS = {
    "dataset": "dataset",
    "base": "base model",
    "job": "job",
    "model": "custom model",
    "prompt": "reward prompt",
    "function": "function",
    "metric": "metric",
    "evaluation": "evaluation",
    "endpoint": "endpoint",
    "external": "model elsewhere",
}
#: What a name may be meant as, the likeliest first.
_NAMED = ("model", "dataset", "job", "evaluation", "base", "prompt", "metric", "function", "endpoint")


class Lineage:
    """What led to one thing, and what came of it, as a graph; shown as a picture in a cell.

    A node is a mapping with ``id``, ``kind`` (a key of `KINDS`) and ``label``, and where MLflow tells them ``when``,
    ``who``, ``commit``, ``dirty``, ``packages``, ``device``, ``digest``, ``state``, ``run_id`` and ``facts``. An edge
    goes from what was used to what used it: ``source``, ``target`` (ids), ``meaning`` such as ``trained on``, ``note``.
    """

    def __init__(self, of: str, nodes: list[dict[str, Any]], edges: list[dict[str, Any]]) -> None:
        #: The id of the node that it is the lineage of.
        self.of = of
        self.nodes = nodes
        self.edges = edges

    def ancestors(self, label: str | None = None) -> list[str]:
        """Return the labels of all that led to a node, by default the one that this is the lineage of."""
        return self._labels(_reached(self._id(label), self.edges, "target", "source"))

    def descendants(self, label: str | None = None) -> list[str]:
        """Return the labels of all that came of a node, likewise."""
        return self._labels(_reached(self._id(label), self.edges, "source", "target"))

    def to_dict(self) -> dict[str, Any]:
        """Return the graph as plain data."""
        return {"of": self.of, "nodes": self.nodes, "edges": self.edges}

    def tree(self) -> str:
        """Return it as indented text: the thing, what led to it, what came of it."""
        lines = [_titled(self._node(self.of))]
        for title, near, far in (("from", "target", "source"), ("led to", "source", "target")):
            branch = self._branch(self.of, near, far, "  ", {self.of})
            lines += [f"{title}:", *branch] if branch else []
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.tree()

    def _repr_html_(self) -> str:
        label = html.escape(self._node(self.of)["label"])
        return f"<figure><figcaption>Lineage of {label}</figcaption>{self.svg()}</figure>"

    def svg(self) -> str:
        """Return the picture: boxes in layers from left to right, every text escaped."""
        boxes = [
            drawing.Box(node["id"], node["label"], KINDS.get(node["kind"], node["kind"]), node["id"] == self.of)
            for node in self.nodes
        ]
        arrows = [drawing.Arrow(edge["source"], edge["target"], edge["meaning"]) for edge in self.edges]
        return drawing.svg(boxes, arrows, f"Lineage of {self._node(self.of)['label']}")

    def _branch(self, at: str, near: str, far: str, indent: str, seen: set[str]) -> list[str]:
        lines = []
        for edge in self.edges:
            if edge[near] != at:
                continue
            node = self._node(edge[far])
            again = " (above)" if node["id"] in seen else ""
            lines.append(f"{indent}{edge['meaning']}: {_titled(node)}{again}")
            if not again:
                seen.add(node["id"])
                lines += self._branch(node["id"], near, far, indent + "  ", seen)
        return lines

    def _node(self, node_id: str) -> dict[str, Any]:
        return next(node for node in self.nodes if node["id"] == node_id)

    def _id(self, label: str | None) -> str:
        return self.of if label is None else named(label, self.nodes)["id"]

    def _labels(self, ids: set[str]) -> list[str]:
        return [node["label"] for node in self.nodes if node["id"] in ids]


def lineage(of: Any) -> Lineage:
    """Return the lineage of a custom model, a dataset, a job, an evaluation, a base model, a prompt or a metric.

    Parameters
    ----------
    of
        ``NAME@VERSION``, a bare name (its newest version), a job's id, or the object itself: a model, a dataset, a job.

    Raises
    ------
    Error
        If MLflow, which alone knows it, cannot be read, or knows no such thing.
    """
    name = getattr(of, "id", None) or str(of)
    return around(name, task.run("tunelab.registry.lineage:read", {}, show="Reading MLflow"))


def around(name: str, graph: dict[str, Any]) -> Lineage:
    """Cut out of the whole graph what led to one thing, what came of that, and what those evaluations and jobs used.

    Raises
    ------
    Error
        If there is nothing of this name.
    """
    centre = named(name, graph["nodes"])["id"]
    edges = graph["edges"]
    kept = {centre} | _reached(centre, edges, "target", "source")
    after = _reached(centre, edges, "source", "target")
    # What came of it stands with what else went into it: the other model of an evaluation, its questions.
    kept |= after | {edge["source"] for edge in edges if edge["target"] in after}
    return Lineage(
        centre,
        [node for node in graph["nodes"] if node["id"] in kept],
        [edge for edge in edges if edge["source"] in kept and edge["target"] in kept],
    )


def named(name: str, nodes: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the node that a name means: ``NAME@VERSION`` or the newest version of a bare name.

    Raises
    ------
    Error
        If none is called so.
    """
    nodes = list(nodes)
    wanted = name.partition(":step-")[0]
    # A version before what an evaluation merely called by its bare name.
    tests: tuple[Callable[[dict[str, Any]], bool], ...] = (
        lambda node: node["id"] == name or ("@" in node["label"] and node["label"] == wanted),
        lambda node: node["label"] == wanted or node["label"].partition("@")[0] == wanted,
    )
    for test in tests:
        found = [node for node in nodes if test(node)]
        found.sort(key=lambda node: (_rank(node["kind"]), -_version(node["label"])))
        if found:
            return found[0]
    hint = did_you_mean(name, [node["label"] for node in nodes])
    raise Error(f"MLflow knows no '{name}'.{hint or ' Only what a job used, made or judged has a lineage.'}")


def _rank(kind: str) -> int:
    return _NAMED.index(kind) if kind in _NAMED else len(_NAMED)


def _version(label: str) -> int:
    version = label.rpartition("@")[2]
    return int(version) if version.isdecimal() else 0


def _reached(start: str, edges: list[dict[str, Any]], near: str, far: str) -> set[str]:
    """Return the ids of all that edges lead to from a node, without itself."""
    ways: dict[str, list[str]] = {}
    for edge in edges:
        ways.setdefault(edge[near], []).append(edge[far])
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for other in ways.get(waiting.pop(), ()):
            if other not in found and other != start:
                found.add(other)
                waiting.append(other)
    return found


def _titled(node: dict[str, Any]) -> str:
    told = [KINDS.get(node["kind"], node["kind"])]
    told += [str(node[key]) for key in ("state", "when", "who") if node.get(key)]
    if commit := node.get("commit"):
        told.append(f"commit {commit[:8]}{'+' if node.get('dirty') else ''}")
    return f"{node['label']} ({', '.join(told)})"


__all__ = ["KINDS", "Lineage", "around", "lineage", "named"]
