"""Reward prompts on show: the list of them, one version with the jobs that it scored, and new ones from a form."""

from __future__ import annotations

from typing import Any

import yaml

from tunelab.notebook import cells
from tunelab.notebook.datasets import View
from tunelab.notebook.rewardnotes import Scored, reward_notes
from tunelab.notebook.shared import per_workspace
from tunelab.notebook.textlist import TextList, Work, cut, literal, own_first, sendable
from tunelab.registry import prompts as index
from tunelab.scoring.prompts import VARIABLES, RewardPrompt, reward_prompts


class PromptList(TextList):
    """The newest version of each reward prompt: the user's own first, the newest before, then what is built in."""

    def __init__(self) -> None:
        super().__init__("prompt")

    def _works(self) -> dict[str, Work]:
        return {"prompt": self._show, "keep_prompt": self._keep}

    def _read(self) -> tuple[list[index.Entry], tuple[Scored, ...]]:
        return index.entries(), reward_notes().refresh()

    def _listed(self, entries: list[index.Entry], notes: tuple[Scored, ...]) -> list[dict[str, Any]]:
        return _rows(entries, notes)

    def _show(self, view: View, content: dict[str, Any]) -> None:
        prompt = RewardPrompt.get(str(content["prompt"]))
        created = {(entry.name, entry.version): entry.created for entry in index.entries()}
        notes = reward_notes().refresh()
        jobs = [one.use.row() for one in notes if one.kind == "prompt" and one.name == str(prompt)]
        view.message({
            "type": "prompt",
            "prompt": str(content["prompt"]),
            "template": sendable(prompt.template),
            "created": created.get((prompt.name, prompt.version)),
            "cell": _cell(prompt),
            "python": _python(prompt),
            "jobs": jobs,
        })  # fmt: skip

    def _keep(self, view: View, content: dict[str, Any]) -> None:
        before = {str(prompt) for prompt in reward_prompts()}
        prompt = RewardPrompt.create(str(content["name"]), str(content["template"]))
        # The list first, so that what a view opens now is in it.
        self.look()
        known = f"This is what {prompt} said already, so no version was added." if str(prompt) in before else ""
        view.message({"type": "prompt_kept", "prompt": str(prompt), "note": known})


@per_workspace
def prompt_list() -> PromptList:
    """Return the current workspace's reward prompts on show."""
    return PromptList()


def _rows(entries: list[index.Entry], notes: tuple[Scored, ...]) -> list[dict[str, Any]]:
    created = {(entry.name, entry.version): entry.created for entry in entries}
    used: dict[str, set[str]] = {}
    for one in notes:
        if one.kind == "prompt":
            used.setdefault(one.name.partition("@")[0], set()).add(one.use.job)
    found: dict[str, list[RewardPrompt]] = {}
    for prompt in reward_prompts():
        found.setdefault(prompt.name, []).append(prompt)
    yours = {entry.name for entry in entries}
    builtin = {name for name in found if name not in yours or (name, found[name][-1].version) not in created}
    return own_first([
        {
            "name": name,
            "version": kept[-1].version,
            "versions": [prompt.version for prompt in reversed(kept)],
            "builtin": name in builtin,
            "ground_truth": _wants(kept[-1].template),
            "created": created.get((name, kept[-1].version)),
            "asks": cut(" ".join(kept[-1].template.split())),
            "jobs": len(used.get(name, ())),
        }
        for name, kept in found.items()
    ])  # fmt: skip


def _wants(template: str) -> bool:
    """Tell whether a template asks for the row's ground truth, as far as can be seen without filling it in."""
    return VARIABLES[-1] in template


def _cell(prompt: RewardPrompt) -> str:
    """Return a cell that customizes a model by a reward prompt."""
    reward = {"reward": {"prompt": str(prompt), "model": cells.base()}}
    told = yaml.safe_dump(reward, default_flow_style=None).rstrip()
    return cells.customization("rlaif", f"{told}  # or an endpoint's: model, base_url\n", "prompt", "rlvr")


def _python(prompt: RewardPrompt) -> str:
    """Return the code that makes the same reward prompt in another workspace."""
    return f"import tunelab as tl\n\ntl.RewardPrompt.create(\n    {prompt.name!r},\n{literal(prompt.template)},\n)\n"


__all__ = ["PromptList", "prompt_list"]
