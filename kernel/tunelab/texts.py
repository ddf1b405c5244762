"""Text of models, data and names, made safe to show: it steers no terminal and breaks no document."""

from __future__ import annotations

import re

#: Escape sequences of ECMA-48 whole, and each other character that XML 1.0 has not or that is a control.
_UNSEEN = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]"
    "|[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)


def plain(text: str) -> str:
    """Return a text without what steers terminals and what no document may hold."""
    return _UNSEEN.sub("", text)
