"""Texts that the user keeps by versions, on show: the list of them, and what a view asks of one.

Everything that a view asks for is answered to that view alone, in a thread of its own: keeping a text asks MLflow, and
a page's next message is heard meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tunelab.errors import Error
from tunelab.notebook import live
from tunelab.notebook.datasets import View, apart

#: What a list shows of a text, in characters.
_SHOWN = 120

Work = Callable[[View, dict[str, Any]], None]


class TextList(live.Listing):
    """The newest version of each text.

    Parameters
    ----------
    one
        What a text is called in messages, such as ``metric``: the list is the trait ``metrics``.
    """

    def __init__(self, one: str) -> None:
        super().__init__()
        self._one = one
        self._seen: Any = None
        self._rows: list[dict[str, Any]] = []

    def command(self, view: View, content: dict[str, Any]) -> None:
        """Do what a view asks for: show one text, or what else `_works` names."""
        kind = str(content["type"])
        if work := self._works().get(kind):
            asked = {"asked": kind} | ({kind: content[kind]} if kind == self._one else {})
            answer(view, self._one, lambda: work(view, content), asked)

    def _works(self) -> dict[str, Work]:
        """Return what answers a message, by its type."""
        raise NotImplementedError

    def _read(self) -> tuple[Any, ...]:
        """Return what the rows are made of."""
        raise NotImplementedError

    def _listed(self, *read: Any) -> list[dict[str, Any]]:
        """Return the rows."""
        raise NotImplementedError

    def _present(self) -> dict[str, Any]:
        trouble = None
        try:
            read = self._read()
            if read != self._seen:
                self._rows = self._listed(*read)
                self._seen = read
        except Error as error:
            # Said in the list's place, with the remedy; what was read before stays.
            trouble = sendable(str(error))
        return {f"{self._one}s": self._rows, "trouble": trouble}


def answer(view: View, one: str, work: Callable[[], None], asked: dict[str, Any]) -> None:
    """Do what a view asks for, in a thread of its own; where that is refused it is told why, and what it had asked."""
    apart(work, lambda reason: view.message({"type": f"{one}_refused", "reason": sendable(reason)} | asked))


def sendable(text: str) -> str:
    """Return a text as a message can carry it: JSON escapes can make halves of characters."""
    return text.encode("utf-8", "replace").decode("utf-8")


def cut(text: str) -> str:
    """Return what a list shows of a text."""
    text = sendable(text)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def own_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with the user's own first, the newest before, then what is built in."""
    own = [row for row in rows if not row["builtin"]]
    return sorted(own, key=lambda row: row["created"], reverse=True) + [row for row in rows if row["builtin"]]


def literal(text: str) -> str:
    """Return a text as lines of Python, one a line of it."""
    return "\n".join(f"    {line!r}" for line in text.splitlines(keepends=True))
