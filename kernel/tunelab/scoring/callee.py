"""The process that a user's reward function runs in: a script of the standard library only, started by `calls`.

Requests and replies are lines of JSON on pipes of their own, so that what the function prints or reads is its own
affair. Each reply is written by the process that was asked: a copy that the function forked ends without a word.
"""

from __future__ import annotations

import asyncio
import fcntl
import importlib.util
import inspect
import itertools
import json
import linecache
import math
import os
import resource
import signal
import sys
import threading
import time
import traceback
from typing import Any

_PARENT_LOOK_S = 0.5
_LONGEST_NOTE = 400
#: What a function that takes a batch calls the answers.
_ANSWERS = {"completions", "predictions"}


def main() -> None:
    """Import the function and answer requests until there are no more."""
    path, name = sys.argv[1:3]
    requests, replies, life = map(int, sys.argv[3:6])
    for pipe in (requests, replies, life):
        os.set_inheritable(pipe, False)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _end_at_hang_up(life)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    own, out = os.getpid(), os.fdopen(replies, "w", encoding="utf-8", errors="backslashreplace")

    def reply(**what: Any) -> None:
        if os.getpid() != own:
            os._exit(0)
        out.write(json.dumps(what) + "\n")
        out.flush()

    try:
        spec = importlib.util.spec_from_file_location("tunelab_reward", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        function = getattr(module, name)
    except BaseException as error:
        reply(broken=_told(error, path))
        return
    names, _ = _parameters(function)
    is_async, is_batched = inspect.iscoroutinefunction(function), bool(_ANSWERS & names)
    reply(is_async=is_async and not is_batched, is_together=is_async or is_batched)
    # One loop for all batches: a client or a lock that the function keeps belongs to the loop it was made in.
    runner = asyncio.Runner()
    with os.fdopen(requests, encoding="utf-8") as lines:
        for line in lines:
            asked = json.loads(line)
            _answer(function, path, asked["cases"], asked["timeout_s"], runner, reply)


def _answer(
    function: Any, path: str, cases: list[dict[str, Any]], timeout_s: float, runner: asyncio.Runner, reply: Any
) -> None:
    names, rest = _parameters(function)
    if _ANSWERS & names:
        values = _columns(cases, names, rest)
        try:
            found = function(**values)
            listed = _listed(runner.run(found) if inspect.iscoroutine(found) else found, len(cases))
        except BaseException as error:
            listed = {"error": _told(error, path)}
        reply(place=-1, **listed)
    elif inspect.iscoroutinefunction(function):
        runner.run(_together(function, path, cases, names, rest, timeout_s, reply))
    else:
        for place, case in enumerate(cases):
            try:
                found = function(**_row(case, names, rest))
                # A decorator may hide that the function is asynchronous.
                reply(place=place, **_plain(runner.run(found) if inspect.iscoroutine(found) else found))
            except BaseException as error:
                reply(place=place, error=_told(error, path))


async def _together(
    function: Any, path: str, cases: list[dict[str, Any]], names: set[str], rest: bool, timeout_s: float, reply: Any
) -> None:
    async def one(place: int, case: dict[str, Any]) -> None:
        limit = asyncio.timeout(timeout_s)
        try:
            async with limit:
                value = await function(**_row(case, names, rest))
            reply(place=place, **_plain(value))
        except BaseException as error:
            # The function may raise a TimeoutError of its own.
            is_late = isinstance(error, TimeoutError) and limit.expired()
            reply(place=place, **({"timeout": True} if is_late else {"error": _told(error, path)}))

    await asyncio.gather(*(one(place, case) for place, case in enumerate(cases)))


def _parameters(function: Any) -> tuple[set[str], bool]:
    kinds = inspect.signature(function).parameters.values()
    return (
        {each.name for each in kinds if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)},
        any(each.kind is each.VAR_KEYWORD for each in kinds),
    )


def _row(case: dict[str, Any], names: set[str], rest: bool) -> dict[str, Any]:
    """Return what a call takes of an answer: the prompt and the completion come before columns of those names."""
    values = {**case["row"], "prompt": case["prompt"], "completion": case["completion"]}
    if "prediction" in names:
        values["prediction"] = case["completion"]
    return values if rest else {name: value for name, value in values.items() if name in names}


def _columns(cases: list[dict[str, Any]], names: set[str], rest: bool) -> dict[str, list[Any]]:
    """Return what a batched call takes: a list for each name, with None where a row has no such column."""
    keys = {key: None for case in cases for key in case["row"]}
    columns: dict[str, list[Any]] = {key: [case["row"].get(key) for case in cases] for key in keys}
    columns.pop("prompt", None)
    columns["prompts"] = [case["prompt"] for case in cases]
    columns["completions"] = [case["completion"] for case in cases]
    if "predictions" in names:
        columns["predictions"] = columns["completions"]
    if "ground_truths" in names and "ground_truth" in columns:
        columns["ground_truths"] = columns["ground_truth"]
    return columns if rest else {name: value for name, value in columns.items() if name in names}


def _listed(found: Any, count: int) -> dict[str, Any]:
    """Return the scores of a batch, or what is wrong with it; no more is read than is needed to know."""
    if found is None:
        return {"invalid": "returned None"}
    if isinstance(found, (str, bytes, dict)) or not hasattr(found, "__iter__") or getattr(found, "ndim", 1) == 0:
        return {"invalid": f"returned {_shown(found)}, a {type(found).__name__}, and no list of scores"}
    scores = list(itertools.islice(found, count + 1))
    if len(scores) == count:
        return {"scores": [_plain(score) for score in scores]}
    more = len(found) if hasattr(found, "__len__") else len(scores) if len(scores) < count else f"more than {count}"
    return {"invalid": f"returned {more} value{'' if more == 1 else 's'} for {count} completions"}


def _plain(value: Any) -> dict[str, Any]:
    """Return what a function gave as numbers, or what is wrong with it."""
    if not isinstance(value, dict):
        number, wrong = _number(value)
        return {"invalid": f"returned {wrong}"} if wrong else {"score": number}
    if "score" not in value:
        return {"invalid": f"returned a mapping without 'score': {_shown(sorted(map(str, value)))}"}
    parts: dict[str, float] = {}
    for key, item in value.items():
        if item is None and key != "score":
            continue
        number, wrong = _number(item)
        if wrong:
            return {"invalid": f"returned {wrong} as '{key}'"}
        parts[str(key)] = number
    return {"score": parts.pop("score"), "parts": parts}


def _number(value: Any) -> tuple[float, str]:
    """Return a number, or why it is none."""
    if value is None:
        return 0.0, "None"
    if isinstance(value, (str, bytes)) or not hasattr(value, "__float__") or getattr(value, "ndim", False):
        return 0.0, f"{_shown(value)}, a {type(value).__name__}, and no number"
    try:
        number = float(value)
    except Exception:
        return 0.0, f"a {type(value).__name__} that is no number"
    return (number, "") if math.isfinite(number) else (0.0, f"{number}, which is no finite number")


def _told(error: BaseException, path: str) -> str:
    """Return an exception as one line, with the line of the user's source that raised it."""
    text = "".join(traceback.format_exception_only(type(error), error)).strip()
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    where = linecache.getline(path, lines[-1]).strip() if lines and lines[-1] else ""
    return _line(text) + (f" (at: {where[:120]})" if where else "")


def _shown(value: Any) -> str:
    try:
        return _line(repr(value))
    except Exception:
        return "something"


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_NOTE else f"{line[:_LONGEST_NOTE]}…"


def _end_at_hang_up(life: int) -> None:
    """Have the system kill this process's group when a pipe that is never written to is closed at its other end.

    A regular expression that backtracks for ever lets no other thread look after the parent.
    """
    if not hasattr(fcntl, "F_SETSIG"):  # Linux only
        return
    fcntl.fcntl(life, fcntl.F_SETOWN, -os.getpgid(0))
    fcntl.fcntl(life, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)


def _end_with(parent: int) -> None:
    """End this process and what it started when the one that started it has ended."""
    own = os.getpid()
    while os.getppid() == parent:
        time.sleep(_PARENT_LOOK_S)
        if os.getpid() != own:
            return
    os.killpg(os.getpgid(0), signal.SIGKILL)


if __name__ == "__main__":
    main()
