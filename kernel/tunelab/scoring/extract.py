"""What a scorer takes out of an answer before it compares: code, JSON, the inside of a tag, and text in one form."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

#: So many characters of an answer are looked at; a longer one is cut in front, since what counts stands at the end.
LONGEST = 20_000

_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n]*\n", re.MULTILINE)
_SENTENCE_END = re.compile(r"[.!?…。！？]+[\"'”’)\]]*(?=\s|$)|[。！？]+")


def code(text: str, languages: tuple[str, ...] = ("python", "py", "python3")) -> str:
    """Return the first fenced block in one of the languages, else the first that names none, else the whole text."""
    blocks = fenced(text)
    for language, body in blocks:
        if language.lower() in languages:
            return body
    return next((body for language, body in blocks if not language), text)


def fenced(text: str) -> list[tuple[str, str]]:
    """Return the fenced blocks of a Markdown text as (language, body). One that is not closed goes to the end."""
    found = []
    position = 0
    while opening := _FENCE.search(text, position):
        closing = re.compile(rf"^[ \t]*{re.escape(opening[1])}[ \t]*$", re.MULTILINE).search(text, opening.end())
        end = closing.start() if closing else len(text)
        found.append((opening[2], text[opening.end() : end]))
        position = closing.end() if closing else len(text)
    return found


def unfenced(text: str, language: str = "json") -> str:
    """Return the inside of a fence where the whole text is one fenced block, else the text."""
    text = text.strip()
    opening = _FENCE.match(text)
    if opening is None or opening[2].lower() not in ("", language):
        return text
    body = text[opening.end() :].rstrip()
    if not body.endswith(opening[1]) or opening[1] in body.removesuffix(opening[1]):
        return text
    return body.removesuffix(opening[1]).strip()


def tag(text: str, name: str) -> str | None:
    """Return what stands between ``<name>`` and ``</name>``, or None where they are not there once each, in order."""
    opening, closing = f"<{name}>", f"</{name}>"
    if text.count(opening) != 1 or text.count(closing) != 1:
        return None
    start, end = text.index(opening) + len(opening), text.index(closing)
    return text[start:end].strip() if start <= end else None


def plain(text: str, ignore_case: bool = True) -> str:
    """Return a text in the form that answers are compared in: white space as one blank, no final full stop, no case."""
    text = " ".join(unicodedata.normalize("NFC", text).split())
    if text.endswith(".") and not text.endswith(".."):
        text = text[:-1].rstrip()
    # Folding may take a letter apart.
    return unicodedata.normalize("NFC", text.casefold()) if ignore_case else text


def count(text: str, unit: str) -> int:
    """Return how many ``words``, ``characters`` or ``sentences`` a text has."""
    text = text.strip()
    if unit == "characters":
        return len(text)
    if unit == "sentences":
        ends = [found.end() for found in _SENTENCE_END.finditer(text)]
        rest = text[ends[-1] :] if ends else text
        return len(ends) + bool(rest.strip())
    return len(text.split())


def truths(row: dict[str, Any], column: str = "ground_truth") -> list[Any]:
    """Return what a row holds to be right: its ground truth, or each of a list; nothing where it has none."""
    value = row.get(column)
    values = value if isinstance(value, (list, tuple)) else [value]
    return [each for each in values if each is not None and each != ""]
