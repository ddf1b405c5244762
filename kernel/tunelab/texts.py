"""Text on show: what models and data say steers no terminal and breaks no document; a line that is written over."""

from __future__ import annotations

import re
import sys

#: Escape sequences of ECMA-48 whole, and each other character that XML 1.0 has not or that is a control.
_UNSEEN = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]"
    "|[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)


def plain(text: str) -> str:
    """Return a text without what steers terminals and what no document may hold."""
    return _UNSEEN.sub("", text)


def can_rewrite() -> bool:
    """Tell whether a printed line can be written over: on a terminal, and in a notebook."""
    ipython = sys.modules.get("IPython")
    # A script that has only imported a kernel's library prints to a pipe or a file.
    return sys.stdout.isatty() or (ipython is not None and hasattr(ipython.get_ipython(), "kernel"))
