"""Lineage: which data, base model, rewards and jobs led to a model, and what was made of it and judged since."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable
from typing import Any

from tunelab import drawing, task
from tunelab.data import Dataset
from tunelab.errors import Error, did_you_mean
from tunelab.models.custom import CustomModel
from tunelab.tables import table
from tunelab.texts import plain

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

#: A picture with more is not read any more; a table is.
_DRAWN = 48

#: A job's id: the name, when, and four digits.
_ID = re.compile(r"^(.+)-\d{8}-\d{6}-([0-9a-f]{4})$")


class Lineage:
    """What led to one thing, and what came of it, as a graph; shown as a picture in a cell, a large one as a table.

    A node is a mapping with ``id``, ``kind`` (a key of `KINDS`) and ``label``, and where MLflow tells them ``when``,
    ``who``, ``commit``, ``dirty``, ``packages``, ``device``, ``digest``, ``state``, ``run_id`` and ``facts``. An edge
    goes from what was used to what used it: ``source``, ``target`` (ids), ``meaning`` such as ``trained on``, ``note``.
    """

    def __init__(self, of: str, nodes: list[dict[str, Any]], edges: list[dict[str, Any]]) -> None:
        #: The id of the node that it is the lineage of.
        self.of = of
        self.nodes = nodes
        self.edges = edges
        self._by_id = {node["id"]: node for node in nodes}

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
            branch = self._branch(near, far)
            lines += [f"{title}:", *branch] if branch else []
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.tree()

    def _repr_html_(self) -> str:
        title = html.escape(f"Lineage of {plain(self._node(self.of)['label'])}")
        shown = self.svg() if len(self.nodes) <= _DRAWN else self._table()
        return f'<figure style="margin:0"><figcaption>{title}</figcaption>{shown}</figure>'

    def svg(self) -> str:
        """Return the picture: boxes in layers from left to right, every text escaped."""
        boxes = [
            drawing.Box(
                node["id"],
                node["label"],
                " · ".join(filter(None, [KINDS.get(node["kind"], node["kind"]), _technique(node)])),
                node["kind"],
                node["id"] == self.of,
                node.get("state") == "deleted",
                _ID.sub(r"\1 … \2", node["label"]),
            )
            for node in self.nodes
        ]
        arrows = [drawing.Arrow(edge["source"], edge["target"], _meant(edge)) for edge in self.edges]
        return drawing.svg(boxes, arrows, f"Lineage of {self._node(self.of)['label']}", self.tree())

    def _table(self) -> str:
        used: dict[str, list[str]] = {}
        for edge in self.edges:
            used.setdefault(edge["target"], []).append(f"{_meant(edge)} {self._node(edge['source'])['label']}")
        rows = [
            {
                "": "→" if node["id"] == self.of else "",
                "name": node["label"],
                "what": KINDS.get(node["kind"], node["kind"]),
                "with": ", ".join(used.get(node["id"], ())),
                "when": node.get("when", ""),
                "who": node.get("who", ""),
            }
            for node in self.nodes
        ]
        return table(rows)

    def _branch(self, near: str, far: str) -> list[str]:
        """Return what edges lead to, indented by how far it is; what was told already is not told again."""
        ways: dict[str, list[dict[str, Any]]] = {}
        for edge in self.edges:
            ways.setdefault(edge[near], []).append(edge)
        lines, seen = [], {self.of}
        # A stack, since a chain of models may be longer than Python goes down.
        waiting = [(1, edge) for edge in reversed(ways.get(self.of, []))]
        while waiting:
            deep, edge = waiting.pop()
            node = self._node(edge[far])
            again = " (above)" if node["id"] in seen else ""
            lines.append(f"{'  ' * deep}{plain(_meant(edge))}: {_titled(node)}{again}")
            if not again:
                seen.add(node["id"])
                waiting += [(deep + 1, other) for other in reversed(ways.get(node["id"], []))]
        return lines

    def _node(self, node_id: str) -> dict[str, Any]:
        return self._by_id[node_id]

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
    kind = {CustomModel: "model:", Dataset: "dataset:"}.get(type(of), "")
    name = kind + (getattr(of, "id", None) or str(of))
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

    ``dataset:NAME`` is a dataset where a model is called so too; the same with every kind of `KINDS`.

    Raises
    ------
    Error
        If none is called so.
    """
    nodes = list(nodes)
    kind, _, rest = name.partition(":")
    if kind in KINDS and not any(node["id"] == name for node in nodes):
        name, nodes = rest, [node for node in nodes if node["kind"] == kind]
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
    return plain(f"{node['label']} ({', '.join(told)})")


def _technique(node: dict[str, Any]) -> str:
    """Return by what a job trained or an evaluation judged, as it is written elsewhere."""
    technique = str(node.get("technique", ""))
    return {"job": technique.upper(), "evaluation": technique}.get(node["kind"], "")


def _meant(edge: dict[str, Any]) -> str:
    """Return what an edge means, with the checkpoint if it is about one."""
    return " ".join(filter(None, [edge["meaning"], edge.get("note") and f"({edge['note']})"]))


__all__ = ["KINDS", "Lineage", "around", "lineage", "named"]
