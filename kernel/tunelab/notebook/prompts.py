"""Reward prompts on show: the list of them, one version with the jobs that it scored, and new ones from a form.

Everything that a view asks for is answered to that view alone, in a thread of its own: keeping a prompt asks MLflow,
and a page's next message is heard meanwhile.
"""

from __future__ import annotations

import threading
from typing import Any

import yaml

from tunelab import workspace
from tunelab.errors import Error
from tunelab.models.find import CATALOG
from tunelab.notebook import live
from tunelab.notebook.datasets import View, apart
from tunelab.notebook.rewardnotes import Scored, newest_dataset, reward_notes
from tunelab.registry import prompts as index
from tunelab.scoring.prompts import VARIABLES, RewardPrompt, reward_prompts

#: What a list shows of a template, in characters.
_SHOWN = 120


class PromptList(live.Listing):
    """The newest version of each reward prompt: the user's own first, the newest before, then what is built in."""

    def __init__(self) -> None:
        super().__init__("prompts")
        self._seen: tuple[list[index.Entry], tuple[Scored, ...]] | None = None
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
        """Do what a view asks for: show a ``prompt``, or keep one by ``keep_prompt``."""
        kind = str(content["type"])
        work = {"prompt": self._show, "keep_prompt": self._keep}.get(kind)
        if work is not None:
            asked = {"asked": kind} | ({"prompt": content["prompt"]} if kind == "prompt" else {})
            apart(
                lambda: work(view, content),
                lambda reason: view.message({"type": "prompt_refused", "reason": _shown(reason)} | asked),
            )

    def _present(self) -> list[dict[str, Any]]:
        try:
            entries, notes = index.entries(), reward_notes().refresh()
            if self._seen is None or entries != self._seen[0] or notes is not self._seen[1]:
                self._rows = _rows(entries, notes)
                self._seen = entries, notes
            self._trouble = None
        except Error as error:
            # Said in the list's place, with the remedy; what was read before stays.
            self._trouble = _shown(str(error))
        return self._rows

    def _show(self, view: View, content: dict[str, Any]) -> None:
        prompt = RewardPrompt.get(str(content["prompt"]))
        created = {(entry.name, entry.version): entry.created for entry in index.entries()}
        notes = reward_notes().refresh()
        jobs = [one.use.row() for one in notes if one.kind == "prompt" and one.name == str(prompt)]
        view.message({
            "type": "prompt",
            "prompt": str(content["prompt"]),
            "template": _shown(prompt.template),
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


_lists: dict[str, PromptList] = {}
_guard = threading.Lock()


def prompt_list() -> PromptList:
    """Return the current workspace's reward prompts on show."""
    with _guard:
        return _lists.setdefault(str(workspace.current().root), PromptList())


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
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "version": kept[-1].version,
            "versions": [prompt.version for prompt in reversed(kept)],
            "builtin": name in builtin,
            "ground_truth": _wants(kept[-1].template),
            "created": created.get((name, kept[-1].version)),
            "asks": _cut(" ".join(_shown(kept[-1].template).split())),
            "jobs": len(used.get(name, ())),
        }
        for name, kept in found.items()
    ]
    own = [row for row in rows if not row["builtin"]]
    return sorted(own, key=lambda row: row["created"], reverse=True) + [row for row in rows if row["builtin"]]


def _wants(template: str) -> bool:
    """Tell whether a template asks for the row's ground truth, as far as can be seen without filling it in."""
    return VARIABLES[-1] in template


def _cell(prompt: RewardPrompt) -> str:
    """Return a cell that customizes a model by a reward prompt, on what rows there are for it."""
    base = next(iter(CATALOG))
    rows = newest_dataset("rlaif", "rlvr")
    head = yaml.safe_dump({"technique": "rlaif", "model": base}, sort_keys=False)
    data = yaml.safe_dump({"dataset": rows or "my-prompts"}, allow_unicode=True).rstrip()
    hint = "" if rows else "  # a dataset for rlaif: prompt"
    reward = yaml.safe_dump({"reward": {"prompt": str(prompt), "model": base}}, default_flow_style=None).rstrip()
    return f"%%customize\n{head}{data}{hint}\n{reward}  # or an endpoint's: model, base_url\n"


def _python(prompt: RewardPrompt) -> str:
    """Return the code that makes the same reward prompt in another workspace."""
    lines = "\n".join(f"    {line!r}" for line in prompt.template.splitlines(keepends=True))
    return f"import tunelab as tl\n\ntl.RewardPrompt.create(\n    {prompt.name!r},\n{lines},\n)\n"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _shown(text: str) -> str:
    """Return a text as a message can carry it: JSON escapes can make halves of characters."""
    return text.encode("utf-8", "replace").decode("utf-8")


__all__ = ["PromptList", "prompt_list"]
