"""Functions that score, on show: the presets with their options, and the user's own as the jobs kept their source."""

from __future__ import annotations

import ast
import re
from typing import Any

from tunelab.errors import SpecError, did_you_mean
from tunelab.notebook import cells, live
from tunelab.notebook.datasets import View
from tunelab.notebook.formschema import preset_schemas
from tunelab.notebook.rewardnotes import Scored, day, reward_notes
from tunelab.notebook.shared import per_workspace
from tunelab.notebook.textlist import answer, cut, sendable
from tunelab.spec.rewards import DOES, PRESETS, WANT_GROUND_TRUTH

#: A function of the user's that is named as a preset is asked for with this before its name.
_OWN = "function:"
#: What a cell says of a preset that cannot do without options.
_EXAMPLES: dict[str, dict[str, Any]] = {
    "regex": {"pattern": r"answer is (?P<answer>\S+)"},
    "length": {"at_most": 60},
    "format": {"tags": ["think", "answer"]},
}


class FunctionList(live.Listing):
    """The user's functions, the one that was used last before, then the presets."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: tuple[Scored, ...] | None = None
        self._rows: list[dict[str, Any]] = []

    def command(self, view: View, content: dict[str, Any]) -> None:
        """Do what a view asks for: show a ``function``, by the version with a digest or the newest."""
        if content["type"] == "function":
            asked = {"name": content["name"], "digest": content.get("digest")}

            def show() -> None:
                view.message({"type": "function"} | asked | _page(str(content["name"]), asked["digest"]))

            answer(view, "function", show, asked)

    def _present(self) -> dict[str, Any]:
        notes = reward_notes().refresh()
        if notes is not self._seen:
            self._rows = [*_own(notes), *(_preset_row(name, notes) for name in PRESETS)]
            self._seen = notes
        return {"functions": self._rows}


@per_workspace
def function_list() -> FunctionList:
    """Return the current workspace's functions on show."""
    return FunctionList()


def _own(notes: tuple[Scored, ...]) -> list[dict[str, Any]]:
    found: dict[str, list[Scored]] = {}
    for one in notes:
        if one.kind == "function":
            found.setdefault(one.name, []).append(one)
    return [
        {
            "key": f"{_OWN}{name}" if name in PRESETS else name,
            "name": name,
            "kind": "function",
            "versions": len(_versions(uses)),
            "says": cut(_first_line(_source(_versions(uses)[0]), name)),
            "used": day(uses[0].use.submitted),
            "jobs": len({one.use.job for one in uses}),
        }
        for name, uses in found.items()
    ]


def _versions(uses: list[Scored]) -> list[Scored]:
    """Return the first use of each different source, the newest source first; `uses` begin with the newest."""
    first = {use.digest: use for use in uses}
    return sorted(first.values(), key=lambda use: use.use.submitted, reverse=True)


def _preset_row(name: str, notes: tuple[Scored, ...]) -> dict[str, Any]:
    uses = [one for one in notes if one.kind == "preset" and one.name == name]
    return {
        "key": name,
        "name": name,
        "kind": "preset",
        "versions": 1,
        "says": cut(DOES[name]),
        "used": day(uses[0].use.submitted) if uses else None,
        "jobs": len({one.use.job for one in uses}),
    }


def _page(asked: str, digest: Any) -> dict[str, Any]:
    notes = reward_notes().refresh()
    name = asked.removeprefix(_OWN)
    if asked in PRESETS:
        return _preset_page(name, [one for one in notes if one.kind == "preset" and one.name == name])
    uses = [one for one in notes if one.kind == "function" and one.name == name]
    if not uses:
        names = [*PRESETS, *{one.name for one in notes if one.kind == "function"}]
        raise SpecError(
            f"No job here has a function '{name}'.{did_you_mean(name, names)} Functions are kept with jobs."
        )
    # The newest job of each version stands for it: the older ones are removed before it.
    newest = {use.digest: use for use in reversed(uses)}
    versions = _versions(uses)
    chosen = str(digest) if digest in newest else versions[0].digest
    one = newest[chosen]
    reference = f"{one.use.folder / one.file}:{name}"
    own = [use for use in uses if use.digest == chosen]
    return {
        "kind": "function",
        "function": name,
        "shown": chosen,
        "versions": [
            {"digest": each.digest, "version": len(versions) - place, "first": day(each.use.submitted)}
            for place, each in enumerate(versions)
        ],
        "says": _first_line(_source(one), name),
        "source": sendable(_source(one)),
        "options": [],
        "jobs": [use.use.row() for use in own],
        "cell": _evaluate_cell(reference) if all(use.use.is_evaluation for use in own) else _cell(reference),
        "reward": {"function": reference},
        "scorer": reference,
    }


def _preset_page(name: str, uses: list[Scored]) -> dict[str, Any]:
    told = preset_schemas()[name]
    reward = {"preset": name} | _EXAMPLES.get(name, {})
    return {
        "kind": "preset",
        "function": name,
        "shown": None,
        "versions": [],
        "says": DOES[name],
        "source": None,
        "options": [
            {"name": key, "help": _help(name, str(schema.get("description", ""))), "required": key in told["required"]}
            for key, schema in sorted(told["properties"].items(), key=lambda option: option[0] == "weight")
        ],
        "jobs": [use.use.row() for use in uses],
        "cell": _cell(reward if len(reward) > 1 else name),
        "reward": reward,
        "scorer": reward,
    }


def _help(preset: str, description: str) -> str:
    """Return what a description says of one preset: ``exact: …; regex: …`` speaks of two."""
    _, *told = re.split(rf"(?:^|; )({'|'.join(PRESETS)}): ", description)
    return dict(zip(told[::2], told[1::2], strict=True)).get(preset, description)


def _cell(reward: Any) -> str:
    """Return a cell that customizes a model by a reward."""
    preset = reward["preset"] if isinstance(reward, dict) else reward
    fields = "prompt, ground_truth" if preset in WANT_GROUND_TRUTH else "prompt"
    return cells.customization("rlvr", cells.line("reward", reward), fields)


def _evaluate_cell(scorer: str) -> str:
    return cells.evaluation(cells.line("scorer", scorer))


def _source(one: Scored) -> str:
    try:
        return (one.use.folder / one.file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _first_line(source: str, name: str) -> str:
    """Return how a function describes itself, else how it is called."""
    try:
        found = [
            node
            for node in ast.parse(source).body
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name
        ]
        if not found:
            return ""
        said = ast.get_docstring(found[-1])
        return said.splitlines()[0] if said else f"{name}({ast.unparse(found[-1].args)})"
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""


__all__ = ["FunctionList", "function_list"]
