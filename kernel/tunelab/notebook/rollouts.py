"""A job's rollouts as its views ask for them: a step with the best and worst of each group, one group whole, a search.

What a view's state has of them is which steps there are; texts are read when asked for, in a thread of its own, so that
the page's next message is heard meanwhile.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Protocol

from tunelab.jobs.curves import Curve
from tunelab.jobs.journal import Event
from tunelab.jobs.rollouts import Group, Rollouts
from tunelab.notebook.lane import Lane

#: What a page asks a desk for.
ASKED = ("rollouts", "group", "search")
#: So many groups of a step, and so many characters of a text in a list; a group that is opened has its texts whole.
_MOST_GROUPS = 1000
_LIST_CHARACTERS = 600
_MOST_HITS = 100
_AROUND = 60


class View(Protocol):
    """Where answers go."""

    def message(self, content: dict[str, Any]) -> None:
        """Take something that is no state, such as rollouts."""

    def notice(self, text: str) -> None:
        """Say why something that this view asked for could not be done."""


class RolloutDesk:
    """Answers what views ask of one job's rollouts, the latest question of each kind first."""

    def __init__(self, journal: Path) -> None:
        self.rollouts = Rollouts(journal)
        self._lane = Lane("tunelab-rollouts", "rollouts", "the job was removed.")
        self._shown: tuple[int, dict[str, Any]] = (-1, {})

    def state(self) -> dict[str, Any]:
        """Return which steps there are, as runs [first, stride, count], and how many answers."""
        found = self.rollouts.read()
        if self._shown[0] != found.version:
            self._shown = (found.version, {"version": found.version, "trained": _told(found, False)})
            self._shown[1]["held_out"] = _told(found, True)
        return self._shown[1]

    def command(self, view: View, content: dict[str, Any]) -> None:
        """Answer a view: ``rollouts`` of a step, a ``group`` of it, or a ``search``; none of it is waited for."""
        # A reader who drags through the steps wants the last one.
        self._lane.want(_which(content), lambda: view.message(self._answer(view, content)), view)

    def forget(self, view: object) -> None:
        """Answer a view no more."""
        self._lane.forget(view)

    def _answer(self, view: View, content: dict[str, Any]) -> dict[str, Any]:
        found = self.rollouts.read()
        if content["type"] == "search":
            return self._search(view, content)
        step, held_out = int(content["step"]), bool(content["held_out"])
        at = {"type": content["type"], "step": step, "held_out": held_out}
        groups = found.groups(step, held_out)
        if content["type"] == "group":
            number = int(content["group"])
            whole = groups[number] if 0 <= number < len(groups) else None
            answers = [_shown(answer, None) for answer in whole.ranked()] if whole else []
            return at | {"group": number, "prompt": whole.prompt if whole else "", "answers": answers}
        return at | {
            "groups": [_group(group) for group in groups[:_MOST_GROUPS]],
            "left_off": max(0, len(groups) - _MOST_GROUPS),
        }

    def _search(self, view: View, content: dict[str, Any]) -> dict[str, Any]:
        text = str(content["text"])
        hits: list[dict[str, Any]] = []
        found = 0
        for group, answer in self.rollouts.search(text) if text.strip() else ():
            found += 1
            if len(hits) < _MOST_HITS:
                hits.append(_hit(group, answer, text))
            if self._lane.waits(_which(content), view):
                break  # another text is sought by now
        return {"type": "search", "text": text, "hits": hits, "found": found}


def _which(content: dict[str, Any]) -> tuple[Any, ...]:
    return content["type"], content.get("group")


def _told(found: Rollouts, held_out: bool) -> dict[str, Any]:
    # A curve without values: it keeps steps as runs.
    return {"steps": Curve((step, None) for step in found.steps(held_out)).runs, "answers": found.count(held_out)}


def _group(group: Group) -> dict[str, Any]:
    ranked = group.ranked()
    scored = [answer for answer in ranked if answer["reward"] is not None]
    return {
        "group": group.number,
        "row": group.row,
        "prompt": _cut(group.prompt, _LIST_CHARACTERS),
        "answers": len(ranked),
        "mean": group.mean,
        "spread": group.spread,
        "no_spread": group.teaches_nothing,
        "missing": group.missing,
        "cut": sum(1 for answer in ranked if answer.get("cut")),
        "best": _shown(ranked[0], _LIST_CHARACTERS),
        # Of those with a reward: one without is no worse for that.
        "worst": _shown((scored or ranked)[-1], _LIST_CHARACTERS) if len(ranked) > 1 else None,
    }


def _shown(answer: Event, most: int | None) -> dict[str, Any]:
    return {
        "completion": _cut(answer["completion"], most),
        "reward": answer["reward"],
        "parts": answer.get("parts") or {},
        "cut": bool(answer.get("cut")),
        "tokens": answer.get("tokens"),
        "status": answer.get("status", "scored"),
        "note": answer.get("note") or "",
    }


def _hit(group: Group, answer: Event, text: str) -> dict[str, Any]:
    where = "completion" if text.casefold() in answer["completion"].casefold() else "prompt"
    before, match, after = _around(answer[where], text)
    return {
        "step": group.step,
        "held_out": group.held_out,
        "group": group.number,
        "reward": answer["reward"],
        "where": where,
        "before": before,
        "match": match,
        "after": after,
    }


def _around(whole: str, text: str) -> tuple[str, str, str]:
    """Return what stands before a text, the text as it stands there, and what follows, on one line."""
    found = re.search(re.escape(text), whole, re.IGNORECASE)
    # Letters that only `casefold` makes alike (ß and ss) are shown without a mark.
    start, end = found.span() if found else (0, 0)
    before, after = whole[max(0, start - _AROUND) : start], whole[end : end + 2 * _AROUND]
    before = ("…" if start > _AROUND else "") + before
    after += "…" if end + 2 * _AROUND < len(whole) else ""
    return _one_line(before), _one_line(whole[start:end]), _one_line(after)


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def _cut(text: str, most: int | None) -> str:
    return text if most is None or len(text) <= most else f"{text[:most]}…"
