"""Rows as a table, for values that a notebook or a terminal shows."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from tunelab.texts import plain


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows as an HTML table, every text escaped."""
    left = 'style="text-align:left"'
    head = "".join(f"<th {left}>{html.escape(plain(name))}</th>" for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td {left}>{html.escape(plain(str(value)))}</td>" for value in row.values()) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def columns(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows as text, in columns under their names."""
    lines = [list(rows[0]), *([plain(str(value)) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
