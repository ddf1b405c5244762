"""Stores rows as Parquet and finds duplicates, contradictions, classes and secrets in them: a process of its own.

Run by `storage.Examiner` as a script, since it needs little of the package and starts quickly without it. The first
line of its input says where and what for, then comes a row a line, and a last line says what to leave out. The rows are
looked at as they come; what is kept of each are some numbers, so that a million rows fit in memory.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import sys
import threading
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

if __package__:
    from tunelab.data import columns, near
else:
    sys.path.insert(0, str(Path(__file__).parent))
    import columns  # type: ignore[import-not-found, no-redef]
    import near  # type: ignore[import-not-found, no-redef]

Numbers = NDArray[Any]

_FIRST = 5
#: Answers are classes where they are one line of so many characters at the most, …
_LABEL_CHARACTERS = 100
#: … so many different ones at the most, with so many rows each on average, and so many rows in all.
_MOST_LABELS, _ROWS_EACH, _FEWEST_ROWS = 1000, 5, 20
#: What is counted or reckoned is no class.
_NUMBER = re.compile(r"[-+]?[\d.,]+%?")
#: Classes are unbalanced where the largest has so many times the rows of the smallest.
_UNBALANCED = 20
#: Responses as short as this can contradict each other without being classes.
_SHORT = 60


class Rows:
    """The rows as they come: a file of their lines, and the numbers by which they are compared."""

    def __init__(self, folder: Path, technique: str, form: tuple[str, ...]) -> None:
        self.technique = technique
        self.form = form
        self.lines = (folder / ".lines").open("w+b")
        self.starts = array("Q", [0])
        self.shape = columns.Shape()
        self.keys = array("Q")
        self.contents = array("Q")
        self.answers = array("Q")
        self.others = array("Q")
        self.labels: dict[str, int] | None = {} if technique in ("sft", "rlvr", "evaluation") else None
        self.classes = array("I")
        self.short = bytearray()
        self.prompts = near.Prompts(folder / ".prompts")
        self._whole = set(form) | {"tools"}

    def add(self, line: bytes) -> None:
        """Take one row, as a line of JSON with its line end."""
        row = json.loads(line)
        self.lines.write(line)
        self.starts.append(self.starts[-1] + len(line))
        same = columns.canonical(line, row)
        self.shape.add(row, same)
        prompt, answer, other = parts(row, self.technique, self.form)
        key = _number(_turns(prompt))
        self.keys.append(key)
        self.prompts.add(_words(prompt), key)
        answer, other = _turns(answer), _turns(other)
        if self._whole >= row.keys():
            content = same
        else:
            whole = {name: value for name, value in row.items() if name in self._whole}
            content = (columns.text(whole) + "\n").encode()
        self.contents.append(_number(content))
        self.answers.append(_number(answer))
        self.others.append(_number(other))
        self.short.append(len(answer) <= _SHORT and "\n" not in answer)
        if self.labels is not None:
            if len(answer) <= _LABEL_CHARACTERS and "\n" not in answer.strip():
                self.classes.append(self.labels.setdefault(answer.strip(), len(self.labels)))
            if len(self.classes) < len(self.keys) or len(self.labels) > _MOST_LABELS:
                self.labels = None

    def kept(self, positions: Numbers) -> Iterator[bytes]:
        """Yield the lines of the rows at these positions."""
        self.lines.seek(0)
        if len(positions) == len(self.keys):
            yield from self.lines
            return
        for position in positions.tolist():
            begin, end = self.starts[position], self.starts[position + 1]
            self.lines.seek(begin)
            yield self.lines.read(end - begin)


def parts(row: dict[str, Any], technique: str, form: tuple[str, ...]) -> tuple[Any, Any, Any]:
    """Return a row's prompt, answer and, for pairs, the other answer, each a text or turns of a conversation.

    What is compared and kept apart by a split is the prompt: the turns before the last answer, or the whole text where
    there is nothing else.
    """
    if technique == "evaluation":
        return row["query"], row["response"] if "response" in form else "", ""
    if form == ("messages",):
        return row["messages"][:-1], row["messages"][-1:], ""
    if form == ("text",):
        return row["text"], "", ""
    if form == ("chosen", "rejected"):
        return _implicit(row["chosen"], row["rejected"])
    answer = {"sft": "completion", "dpo": "chosen", "rlvr": "ground_truth"}.get(technique, "")
    return row["prompt"], row.get(answer, "") if answer in form else "", row["rejected"] if technique == "dpo" else ""


def _implicit(chosen: Any, rejected: Any) -> tuple[Any, Any, Any]:
    shared = 0
    for one, other in zip(chosen, rejected, strict=False):
        if one != other:
            break
        shared += 1
    if isinstance(chosen, str):
        # As TRL does it: the prompt ends with the last space that both share.
        shared = chosen.rfind(" ", 0, shared) + 1 or shared
    return chosen[:shared], chosen[shared:], rejected[shared:]


def _turns(value: Any) -> str:
    """Return what tells whether prompts or answers are the same; a single turn of the user is the same as its text."""
    if isinstance(value, str):
        return value
    if (
        isinstance(value, list)
        and len(value) == 1
        and isinstance(value[0], dict)
        and set(value[0]) == {"role", "content"}
    ):
        return str(value[0]["content"])
    return columns.text(value)


def _words(prompt: Any) -> str:
    """Return the text by which prompts are nearly the same: what is said in it, but for the system's turn.

    Short questions after one long turn of the system would all be nearly the same.
    """
    if isinstance(prompt, str):
        return prompt
    turns = (turn for turn in prompt if turn["role"] != "system")
    return "\n".join(turn.get("content") or columns.text(turn.get("tool_calls")) for turn in turns)


def _number(value: str | bytes) -> int:
    data = value if isinstance(value, bytes) else value.encode()
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def numbers(words: array[int]) -> Numbers:
    """Return numbers as an array that shares their memory."""
    return np.frombuffer(words, dtype=np.uint64 if words.typecode == "Q" else np.uint32)


def first_of_each(values: Numbers) -> Numbers:
    """Return for each row the position of the first row with the same value."""
    _, firsts, places = np.unique(values, return_index=True, return_inverse=True)
    return firsts[places]


class Findings:
    """What was found in the rows, with the rows that each drop would leave out."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.found: list[dict[str, Any]] = []
        self.drops: dict[str, Numbers] = {}
        positions = np.arange(len(rows.keys))
        keys = numbers(rows.keys)
        first = first_of_each(keys)
        again = first_of_each(numbers(rows.contents)) < positions
        self._note("duplicate", "duplicates", again, _repeats)
        groups = rows.prompts.groups(first)
        # A row whose own prompt was not seen before, and nearly was.
        nearly = (groups < positions)[first] & (groups[first] < first)
        self._note("near-duplicate", "near-duplicates", nearly & (first == positions), _nearly, nearly)
        self.groups = groups
        self.labels = self._labels()
        against = self._against(keys, first, positions) & ~again
        self._note("contradiction", "contradictions", against, _contradicts)
        self._balance()

    def _note(self, kind: str, drop: str, rows: Numbers, message: Any, dropped: Numbers | None = None) -> None:
        self.drops[drop] = rows if dropped is None else dropped
        if count := int(rows.sum()):
            self._tell(kind, None, count, np.flatnonzero(rows)[:_FIRST], message(count, self.rows.form))

    def _tell(self, kind: str, field: str | None, count: int, positions: Any, message: str) -> None:
        first = [int(position) + 1 for position in positions]
        self.found.append({"kind": kind, "field": field, "count": count, "rows": first, "message": message})

    def _labels(self) -> list[tuple[str, int]] | None:
        """Return the classes and their rows where the answers are classes."""
        rows = self.rows
        total = len(rows.keys)
        if not rows.labels or total < _FEWEST_ROWS or not 2 <= len(rows.labels) <= total / _ROWS_EACH:
            return None
        if all(_NUMBER.fullmatch(label) for label in rows.labels):
            return None
        counts = np.bincount(numbers(rows.classes), minlength=len(rows.labels))
        ordered = sorted(zip(rows.labels, counts.tolist(), strict=True), key=lambda pair: -pair[1])
        return ordered

    def _against(self, keys: Numbers, first: Numbers, positions: Numbers) -> Numbers:
        """Return which rows say another thing of a prompt than its first row does."""
        rows = self.rows
        answers, others = numbers(rows.answers), numbers(rows.others)
        if rows.technique == "dpo":
            here, turned = _pairs(keys, answers, others), _pairs(keys, others, answers)
            order = np.argsort(here, kind="stable")
            place = np.minimum(np.searchsorted(here[order], turned), len(order) - 1)
            reversed_before: Numbers = (here[order][place] == turned) & (order[place] < positions)
            return reversed_before
        differs: Numbers = answers[first] != answers
        if (rows.technique == "rlvr" and "ground_truth" in rows.form) or self.labels:
            return differs
        if rows.technique == "evaluation":
            short = np.frombuffer(rows.short, dtype=np.bool_)
            return differs & short & short[first]
        return np.zeros(len(keys), dtype=np.bool_)

    def _balance(self) -> None:
        if not self.labels:
            return
        (most, high), (least, low) = self.labels[0], self.labels[-1]
        if high >= _UNBALANCED * low:
            rows = "1 row" if low == 1 else f"{low:,} rows"
            text = (
                f"The largest class, '{_cut(most)}', has {high:,} rows and the smallest, '{_cut(least)}', has {rows}."
            )
            self._tell("imbalance", None, len(self.labels), [], text)

    def kept(self, drop: list[str]) -> tuple[Numbers, dict[str, int]]:
        """Return the positions that are kept, and how many each drop left out."""
        keep = np.ones(len(self.rows.keys), dtype=np.bool_)
        dropped = {}
        for name in drop:
            dropped[name] = int((keep & self.drops[name]).sum())
            keep &= ~self.drops[name]
        return np.flatnonzero(keep), dropped


def _pairs(keys: Numbers, one: Numbers, other: Numbers) -> Numbers:
    odd, even = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
    return (keys ^ (one * odd)) * even + other


def _repeats(count: int, _: Any) -> str:
    return "1 row repeats an earlier one." if count == 1 else f"{count:,} rows repeat an earlier one."


def _nearly(count: int, form: tuple[str, ...]) -> str:
    what = "text" if form == ("text",) else "prompt"
    if count == 1:
        return f"1 {what} is nearly the same as an earlier row's."
    return f"{count:,} {what}s are nearly the same as an earlier row's."


def _contradicts(count: int, form: tuple[str, ...]) -> str:
    if "rejected" in form:
        what = "prefers what an earlier one rejects" if count == 1 else "prefer what an earlier one rejects"
    else:
        what = "gives an earlier prompt another answer" if count == 1 else "give an earlier prompt another answer"
    return f"{'1 row' if count == 1 else f'{count:,} rows'} {what}."


def _cut(label: str) -> str:
    return label if len(label) <= 40 else label[:39] + "…"


def main(source: BinaryIO) -> dict[str, Any] | None:
    """Read rows until the line that ends them, and return what was found; None where there comes no such line."""
    asked = json.loads(source.readline())
    folder = Path(asked["folder"])
    rows = Rows(folder, asked["technique"], tuple(asked["form"]))
    drop = None
    for line in source:
        if line.startswith(b"\x00"):
            drop = json.loads(line[1:])["drop"]
            break
        rows.add(line)
    if drop is None:
        return None
    findings = Findings(rows)
    kept, dropped = findings.kept(drop)
    target = folder / "rows.parquet"
    shape = rows.shape
    if len(kept) < len(rows.keys):
        shape = columns.Shape()
        for line in rows.kept(kept):
            row = json.loads(line)
            shape.add(row, columns.canonical(line, row))
    noted = shape.columns(rows.form)
    columns.write(rows.kept(kept), noted, target)
    gone = {
        {"duplicates": "duplicate", "near-duplicates": "near-duplicate", "contradictions": "contradiction"}[n]
        for n in drop
    }
    found = [one for one in findings.found if one["kind"] not in gone]
    found += columns.secrets(target, noted, kept)
    numbers(rows.keys)[kept].tofile(folder / "keys.u64")
    # A group's number is the place of its first row among those that are kept.
    first_of_each(findings.groups[kept]).astype(np.uint32).tofile(folder / "groups.u32")
    classes = findings.labels
    if classes and len(kept) < len(rows.keys):
        counts = np.bincount(numbers(rows.classes)[kept], minlength=len(classes))
        named = zip(rows.labels or {}, counts.tolist(), strict=True)
        classes = sorted(((label, count) for label, count in named if count), key=lambda pair: -pair[1])
    if classes:
        numbers(rows.classes)[kept].tofile(folder / "classes.u32")
    for aside in (".lines", ".prompts", ".prompts-hashes"):
        (folder / aside).unlink()
    return {
        "digest": shape.digest.hexdigest(),
        "rows": len(kept),
        "fields": shape.fields(rows.form),
        "findings": found,
        "dropped": dropped,
        "classes": classes,
    }


def _bring() -> None:
    """Import what is needed at the end, while the first rows are still on their way."""
    for name in ("pyarrow.parquet", "duckdb"):
        importlib.import_module(name)


if __name__ == "__main__":
    threading.Thread(target=_bring, daemon=True).start()
    answer = main(sys.stdin.buffer)
    if answer is not None:
        print(json.dumps(answer))
