"""The forms that rows come in, tunelab's own and the common others, each with the mapping to a technique's form.

A form is made for the technique that it is closest to; `tunelab.data.asking` takes prompts and answers out of that for
the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tunelab.data import asking, turns
from tunelab.data.checks import shared_beginning
from tunelab.data.faults import ABSENT, Fault, value_fault
from tunelab.data.mapping import Convert, Mapping, nothing, reach, renamer, same
from tunelab.data.reading import Row

OWN = "tunelab's own form"
#: Techniques in the order in which they are tried where none is named: the most demanding first.
ORDER = ("dpo", "evaluation", "rlvr", "sft", "rlaif")

_PROMPTS = ("prompt", "question", "query", "instruction", "input", "problem")
_ANSWERS = ("completion", "response", "answer", "output", "target", "solution")
_TRUTHS = ("ground_truth", "reference_answer", "final_answer", "target", "answer", "solution", "label", "tool_call")
_TEXTS = ("text", "sentence")
_LABELS = ("label_text", "label_name", "category", "intent", "label", "class", "sentiment")
_LABEL_LENGTH = 100


@dataclass(frozen=True)
class Candidate:
    """A mapping, and whether a row looks like the form it is for; with `needs_most` a few may by chance."""

    mapping: Mapping
    fits: Callable[[Row], bool]
    needs_most: bool = False


def candidates(head: Sequence[Row], technique: str | None) -> list[Candidate]:
    """Return the mappings that the first rows may be of, the likelier first."""
    found = _Head(head)
    if technique is not None:
        return list(_FOR[technique](found))
    return [
        *_dpo(found),
        _own("evaluation", "query", "response"),
        *_checkable(found),
        _own("sft", "prompt", "completion"),
        _messages(found),
        *_numbers(found),
        *_sft(found),
    ]


class _Head:
    """The first rows, and the names of their columns."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self._counts: dict[str, int] = {}
        for row in rows:
            for name in row:
                self._counts[name] = self._counts.get(name, 0) + 1
        self._lower: dict[str, str] = {}
        for name in sorted(self._counts, key=lambda name: -self._counts[name]):
            self._lower.setdefault(str(name).lower(), name)

    def find(self, *names: str) -> str | None:
        """Return the first of these columns that most rows have, in whatever case; else the first that any has."""
        there = [self._lower[name] for name in names if name in self._lower]
        often = [name for name in there if 2 * self._counts[name] >= len(self.rows)]
        return next(iter(often or there), None)

    def mostly(self, name: str, like: Callable[[Any], bool]) -> bool:
        """Return whether at least half of the values of a column are like that."""
        values = [row[name] for row in self.rows if row.get(name) is not None]
        return bool(values) and 2 * sum(map(like, values)) >= len(values)


def _has(*names: str) -> Callable[[Row], bool]:
    return lambda row: all(name in row for name in names)


def _own(technique: str, *form: str) -> Candidate:
    return Candidate(Mapping(OWN, technique, form, tuple((name, name) for name in form)), _has(*form))


def _renamed(name: str, technique: str, columns: dict[str, str]) -> Candidate:
    """A form whose fields have other names."""
    plain = all(target == origin for target, origin in columns.items())
    mapping = Mapping(
        OWN if plain else name, technique, tuple(columns), tuple(columns.items()), same if plain else renamer(columns)
    )
    return Candidate(mapping, lambda row: all(reach(row, origin) is not ABSENT for origin in columns.values()))


# Supervised fine-tuning.


def _sft(head: _Head) -> Iterator[Candidate]:
    yield _own("sft", "prompt", "completion")
    yield _messages(head)
    yield from _sharegpt(head)
    yield from _alpaca(head)
    yield from _label(head)
    yield _own("sft", "text")
    yield from _answered(head)


def _messages(head: _Head) -> Candidate:
    seen = [row["messages"] for row in head.rows if isinstance(row.get("messages"), list)]
    changes = any(turns.from_openai(messages) is not messages for messages in seen)
    is_openai = changes or any("tools" in row for row in head.rows) or any(map(turns.has_calls, seen))
    words = "messages, in the roles and texts of today" if changes else "messages"
    mapping = Mapping(
        "OpenAI chat" if is_openai else OWN, "sft", ("messages",), (("messages", words),), turns.openai_row
    )
    return Candidate(mapping, lambda row: "messages" in row and not turns.is_sharegpt(row["messages"]))


def _sharegpt(head: _Head) -> Iterator[Candidate]:
    name = head.find("conversations", "conversation") or ("messages" if head.find("messages") else None)
    if name is not None:
        words = f"system and {name}" if head.find("system") else name
        mapping = Mapping("ShareGPT", "sft", ("messages",), (("messages", words),), turns.sharegpt_row(name))
        # Messages without `from` are tunelab's own form.
        yield Candidate(
            mapping,
            lambda row: isinstance(row.get(name), list) and (name != "messages" or turns.is_sharegpt(row[name])),
        )


def _alpaca(head: _Head) -> Iterator[Candidate]:
    output = head.find("output", "response", "completion")
    if output and (asked := _alpaca_prompt(head)):
        words, take, used = asked
        origin, numbers = _answer(head, output)
        convert = _combined(take, {"completion": output}, used, "system" in used, numbers)
        columns = (("prompt", words), ("completion", origin))
        yield Candidate(Mapping("Alpaca", "sft", ("prompt", "completion"), columns, convert), _has(used[0], output))


def _alpaca_prompt(head: _Head) -> tuple[str, Callable[[Row], Any], tuple[str, ...]] | None:
    """Return a prompt in words, what makes it, and the columns that go into it; with a system text, it is messages."""
    instruction = head.find("instruction")
    if instruction is None:
        return None
    beside = head.find("input", "context")
    system = head.find("system")
    used = tuple(name for name in (instruction, beside, "system" if system else None, "history") if name)
    words = [*([system] if system else []), instruction, *([beside] if beside else [])]

    def take(row: Row) -> Any:
        text = _joined(row, instruction, beside, "\n\n")
        return turns.prompt_of(row, text) if system and isinstance(text, str) else text

    return " and ".join(words), take, used if system else tuple(name for name in used if name != "history")


def _joined(row: Row, first: str, second: str | None, between: str) -> Any:
    """Return two columns as one text; the second may be absent, null or empty. A `Fault` for what is no text."""
    text = row.get(first, ABSENT)
    fault = nothing(text, first)
    if fault or not isinstance(text, str):
        return fault or value_fault(text, first, "text")
    more = row.get(second) if second else None
    if more is None or more == "":
        return text
    if not isinstance(more, str):
        return value_fault(more, str(second), "text")
    return text if more.isspace() else f"{text}{between}{more}"


def _combined(
    take: Callable[[Row], Any],
    answers: dict[str, str],
    used: tuple[str, ...],
    as_chat: bool = False,
    numbers: bool = False,
) -> Convert:
    """Return the conversion to a prompt that `take` makes and answers from columns; with `numbers`, these as text."""
    gone = {"prompt", *answers, *answers.values(), *used}

    def convert(row: Row) -> Row | Fault:
        prompt = take(row)
        if isinstance(prompt, Fault):
            return prompt
        made = {"prompt": prompt}
        for target, origin in answers.items():
            value = row.get(origin, ABSENT)
            if fault := nothing(value, origin):
                return fault
            if target != "ground_truth":
                value = asking.as_text(value) if numbers else value
                if not isinstance(value, (str, list)):
                    return value_fault(value, origin, "text")
            made[target] = [{"role": "assistant", "content": value}] if as_chat and isinstance(value, str) else value
        for name, value in row.items():
            if name not in gone:
                made[name] = value
        return made

    return convert


def _answer(head: _Head, column: str) -> tuple[str, bool]:
    """Return in words what an answer is made from, and whether the column is of numbers, which become text.

    A number among texts stays one, and is a fault.
    """
    numbers = head.mostly(column, _is_number)
    return f"{column}, as text" if numbers else column, numbers


def _label(head: _Head) -> Iterator[Candidate]:
    text, label = head.find(*_TEXTS), head.find(*_LABELS)
    if text and label:
        origin, numbers = _answer(head, label)
        convert = _combined(lambda row: _joined(row, text, None, ""), {"completion": label}, (text,), numbers=numbers)
        columns = (("prompt", text), ("completion", origin))
        mapping = Mapping("text and label", "sft", ("prompt", "completion"), columns, convert)
        yield Candidate(mapping, lambda row: text in row and _is_label(row.get(label)))


def _is_label(value: Any) -> bool:
    return isinstance(value, (int, float)) or (
        isinstance(value, str) and len(value) <= _LABEL_LENGTH and "\n" not in value
    )


def _question(head: _Head) -> tuple[str, Callable[[Row], Any], tuple[str, ...]] | None:
    """Return a question in words, what makes it, and the columns that go into it."""
    name = head.find(*_PROMPTS)
    if name is None:
        return _alpaca_prompt(head)
    # SVAMP has the story in one column and the question on it in another.
    body = head.find("body") if name.lower() == "question" else None
    if body:
        return f"{body} and {name}", lambda row: _joined(row, body, name, "\n"), (body, name)
    if name.lower() == "instruction":
        return _alpaca_prompt(head)
    # A prompt may be messages too, which are left as they are.
    return name, lambda row: nothing(value := row.get(name, ABSENT), name) or value, (name,)


def _answered(head: _Head) -> Iterator[Candidate]:
    asked, answer = _question(head), head.find(*_ANSWERS)
    if asked and answer and answer not in asked[2]:
        words, take, used = asked
        origin, numbers = _answer(head, answer)
        convert = _combined(take, {"completion": answer}, used, numbers=numbers)
        columns = (("prompt", words), ("completion", origin))
        mapping = Mapping("question and answer", "sft", ("prompt", "completion"), columns, convert)
        yield Candidate(mapping, _has(*used, answer))


# Preferences.


def _dpo(head: _Head) -> Iterator[Candidate]:
    own = _own("dpo", "prompt", "chosen", "rejected")
    yield Candidate(own.mapping, lambda row: own.fits(row) and not _prompt_twice(row))
    pair = {"chosen": "chosen", "rejected": "rejected"}
    form = ("prompt", *pair)
    columns = tuple(pair.items())
    if asked := _alpaca_prompt(head):
        words, take, used = asked
        convert = _combined(take, pair, used, "system" in used)
        yield Candidate(Mapping("Alpaca", "dpo", form, (("prompt", words), *columns), convert), _has(used[0], *pair))
    yield Candidate(
        Mapping(
            "OpenAI chat",
            "dpo",
            form,
            (("prompt", "input.messages"), ("chosen", "preferred_output"), ("rejected", "non_preferred_output")),
            turns.openai_preference,
        ),
        _has("input", "preferred_output", "non_preferred_output"),
    )
    if name := head.find("conversations", "conversation"):
        mapping = Mapping("ShareGPT", "dpo", form, (("prompt", name), *columns), turns.sharegpt_pair(name))
        yield Candidate(mapping, _has(name, *pair))
    if (asked := _question(head)) and asked[2] != ("prompt",):
        words, take, used = asked
        as_chat = bool(head.find("system")) and len(used) == 1
        if as_chat:
            words, take, used = f"system and {words}", _with_system(take), (*used, "system")
        mapping = Mapping(
            "question and answer", "dpo", form, (("prompt", words), *columns), _combined(take, pair, used, as_chat)
        )
        yield Candidate(mapping, _has(used[0], *pair))
    yield from _verdict(head)
    yield Candidate(_own("dpo", *pair).mapping, _begins_alike, needs_most=True)


def _with_system(take: Callable[[Row], Any]) -> Callable[[Row], Any]:
    def taken(row: Row) -> Any:
        text = take(row)
        return turns.prompt_of(row, text) if isinstance(text, str) else text

    return taken


def _prompt_twice(row: Row) -> bool:
    """Return whether the answers are whole conversations, with the prompt in them as well as beside them, in text."""
    return isinstance(row["prompt"], str) and _begins_alike(row) and isinstance(row["chosen"], list)


def _begins_alike(row: Row) -> bool:
    chosen, rejected = row.get("chosen"), row.get("rejected")
    if isinstance(chosen, str) and isinstance(rejected, str):
        return bool(chosen[: shared_beginning(chosen, rejected)].strip())
    if not isinstance(chosen, list) or not isinstance(rejected, list) or not chosen or not rejected:
        return False
    first, other = chosen[0], rejected[0]
    return (
        isinstance(first, dict)
        and isinstance(other, dict)
        and first.get("role") in ("system", "user")
        and (first.get("role"), first.get("content")) == (other.get("role"), other.get("content"))
    )


def _verdict(head: _Head) -> Iterator[Candidate]:
    """Two outputs and which of them is better, as judges are measured with (LLMBar)."""
    asked, first, second, label = _question(head), *(head.find(name) for name in ("output_1", "output_2", "label"))
    if not (asked and first and second and label):
        return
    words, take, used = asked
    gone = {"prompt", "chosen", "rejected", first, second, *used}

    def convert(row: Row) -> Row | Fault:
        prompt, verdict = take(row), row.get(label, ABSENT)
        if isinstance(prompt, Fault):
            return prompt
        if verdict not in (1, 2, "1", "2"):
            return Fault("form", label, f"'{label}' is not 1 or 2, so there is nothing to prefer.")
        better, worse = (first, second) if str(int(verdict)) == "1" else (second, first)
        if fault := nothing(row.get(better, ABSENT), better) or nothing(row.get(worse, ABSENT), worse):
            return fault
        made = {"prompt": prompt, "chosen": row[better], "rejected": row[worse]}
        return made | {name: value for name, value in row.items() if name not in gone}

    columns = (
        ("prompt", words),
        ("chosen", f"{first} or {second}, by {label}"),
        ("rejected", f"{first} or {second}, by {label}"),
    )
    mapping = Mapping("two outputs and a verdict", "dpo", ("prompt", "chosen", "rejected"), columns, convert)
    yield Candidate(mapping, _has(*used, first, second, label))


# Rewards.


def _checkable(head: _Head) -> Iterator[Candidate]:
    """Rows that say themselves that their answers are checked."""
    yield _own("rlvr", "prompt", "ground_truth")
    verl = any("data_source" in row for row in head.rows)
    wanted = {"prompt": "prompt", "ground_truth": "reward_model.ground_truth"}
    yield _renamed("verl" if verl else "SageMaker", "rlvr", wanted)
    yield _renamed("SageMaker", "rlvr", {"prompt": "messages", "ground_truth": "reference_answer"})
    if asked := _question(head):
        yield from _truth(head, asked, "ground_truth")


def _numbers(head: _Head) -> Iterator[Candidate]:
    """Questions whose answers are numbers or tool calls, so that they can be checked."""
    asked = _question(head)
    for name in ("target", "answer", "solution", "final_answer", "tool_call"):
        column = head.find(name)
        like = _is_call if name == "tool_call" else _is_number
        if asked and column and head.mostly(column, like):
            yield from _truth(head, asked, column)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_call(value: Any) -> bool:
    return isinstance(value, dict) and "name" in value


def _truth(head: _Head, asked: tuple[str, Callable[[Row], Any], tuple[str, ...]], column: str) -> Iterator[Candidate]:
    words, take, used = asked
    if column in used or not head.find(column.lower()):
        return
    convert: Convert = _combined(take, {"ground_truth": column}, used)
    name, origin = "question and answer", column
    if head.mostly(column, lambda value: isinstance(value, str) and asking.GSM8K in value):
        convert = asking.final_answer(convert, column)
        name, origin = "gsm8k", f"{column}, what follows {asking.GSM8K}"
    columns = (("prompt", words), ("ground_truth", origin))
    yield Candidate(Mapping(name, "rlvr", ("prompt", "ground_truth"), columns, convert), _has(*used, column))


def _rlvr(head: _Head) -> Iterator[Candidate]:
    yield from _checkable(head)
    if (asked := _question(head)) and (column := head.find(*_TRUTHS)):
        yield from _truth(head, asked, column)
    yield _own("rlvr", "prompt")
    for one in (*_dpo(head), _messages(head), *_sharegpt(head)):
        yield Candidate(asking.prompts(one.mapping, "rlvr"), one.fits, one.needs_most)
    for one in (*_alpaca(head), *_label(head), *_answered(head)):
        yield Candidate(asking.truths(one.mapping), one.fits)
    yield from _alone(head, "rlvr")


def _alone(head: _Head, technique: str) -> Iterator[Candidate]:
    """Questions without answers."""
    if asked := _question(head):
        words, take, used = asked
        mapping = Mapping("prompts", technique, ("prompt",), (("prompt", words),), _combined(take, {}, used))
        yield Candidate(mapping, _has(used[0]))


def _rlaif(head: _Head) -> Iterator[Candidate]:
    yield _own("rlaif", "prompt")
    for one in (*_dpo(head), *_checkable(head), *_sft(head)):
        if one.mapping.form != ("text",):
            yield Candidate(asking.prompts(one.mapping, "rlaif"), one.fits, one.needs_most)
    yield from _alone(head, "rlaif")


def _evaluation(head: _Head) -> Iterator[Candidate]:
    yield _own("evaluation", "query", "response")
    for one in (*_dpo(head), *_checkable(head), *_sft(head), *_numbers(head)):
        if one.mapping.form != ("text",):
            yield Candidate(asking.queries(one.mapping), one.fits, one.needs_most)
    # Without an answer to compare with, which not every metric asks for.
    yield _own("evaluation", "query")
    for one in (_own("rlaif", "prompt"), *_alone(head, "rlaif")):
        yield Candidate(asking.queries(one.mapping), one.fits, one.needs_most)


_FOR: dict[str, Callable[[_Head], Iterator[Candidate]]] = {
    "sft": _sft,
    "dpo": _dpo,
    "rlvr": _rlvr,
    "rlaif": _rlaif,
    "evaluation": _evaluation,
}
