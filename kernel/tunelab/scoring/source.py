"""A function of the notebook as a module that stands by itself: its source, what it imports, the helpers that it calls.

Nothing else comes along. A variable of the notebook is another thing tomorrow, and the job that used it could not be
done again: such a function is refused with the variables' names.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

from tunelab.errors import SpecError, did_you_mean, listing
from tunelab.scoring.taken import Taken, is_decorated

_HEAD = "from __future__ import annotations\n"
#: What an answer is called, and a batch of them: by rewards, and by scorers.
ANSWER, ANSWERS = ("completion", "prediction"), ("completions", "predictions")
#: What a call gives beside the row's columns.
_GIVEN = {"prompt", "prompts", *ANSWER, *ANSWERS}


@dataclass(frozen=True)
class Source:
    """A module's text with a function of that name in it, and the SHA-256 of the text."""

    name: str
    text: str
    digest: str

    @classmethod
    def of(cls, name: str, text: str) -> Source:
        """Return a source with its digest."""
        return cls(name, text, hashlib.sha256(text.encode()).hexdigest())


@dataclass(frozen=True)
class Form:
    """How a function is called: once an answer or once a batch, and with which names."""

    is_batched: bool
    is_async: bool
    names: tuple[str, ...]
    required: frozenset[str]
    takes_rest: bool


def capture(function: Callable[..., Any], namespace: dict[str, Any] | None = None) -> Source:
    """Return the source of a function that was defined in a cell or a module.

    Parameters
    ----------
    function
        A plain function, ``async`` or not.
    namespace
        The notebook's variables; by default the function's own globals.

    Raises
    ------
    SpecError
        If it is no plain function, has no source, or leans on what is neither imported nor defined in the notebook.
    """
    function = _plain(function)
    if free := [name for name in function.__code__.co_freevars if name != "__class__"]:
        raise SpecError(
            f"The function '{function.__name__}' leans on {_names(free)} of the function that it was defined in, which "
            f"the job does not have. Define it at the top of a cell, with what it needs in it."
        )
    taken = Taken(function.__module__, {**(namespace or {}), **function.__globals__})
    taken.add(function)
    if taken.variables:
        raise SpecError(
            f"The function '{function.__name__}' leans on the notebook's {_names(sorted(taken.variables))}, which the "
            "job does not have. Write what it needs into the function, or take it from the row's columns."
        )
    if taken.local_modules:
        raise SpecError(
            f"The function '{function.__name__}' imports {_names(sorted(taken.local_modules))} from a file beside the "
            "notebook, which the job does not have. Define what it needs in a cell, or install it as a package."
        )
    if taken.unknown:
        raise SpecError(
            f"The function '{function.__name__}' uses {_names(sorted(taken.unknown))}, which is defined nowhere. "
            "Import or define it in the notebook."
        )
    text = _HEAD + "".join(f"{line}\n" for line in sorted(taken.imports))
    text += "".join(f"\n\n{part.strip()}\n" for part in taken.parts)
    return _checked(Source.of(function.__name__, text))


def from_file(path: Path, name: str) -> Source:
    """Return the source of a function in a file; the whole file comes along.

    Raises
    ------
    SpecError
        If there is no such file or function, or it is no Python.
    """
    if not path.is_file():
        raise SpecError(f"There is no file {path}.")
    try:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
    except UnicodeDecodeError as error:
        raise SpecError(f"{path} is not UTF-8 text.") from error
    except (SyntaxError, ValueError) as error:
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise SpecError(f"{path}{where} is no Python: {error.args[0]}.") from error
    functions = [node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    if name not in functions:
        has = f" It has {listing(functions)}." if functions else ""
        raise SpecError(f"{path} has no function '{name}'.{did_you_mean(name, functions)}{has}")
    return _checked(Source.of(name, text))


def form(source: Source) -> Form:
    """Return how a source's function is called.

    Raises
    ------
    SpecError
        If its parameters are of neither form.
    """
    node = next(
        node
        for node in reversed(ast.parse(source.text).body)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == source.name
    )
    arguments = node.args
    who = f"The function '{source.name}'"
    if arguments.posonlyargs:
        raise SpecError(f"{who} has parameters before a '/': they are given by name. Leave the '/' out.")
    plain = [each.arg for each in arguments.args]
    names = [*plain, *(each.arg for each in arguments.kwonlyargs)]
    optional = set(plain[len(plain) - len(arguments.defaults) :]) if arguments.defaults else set()
    optional |= {
        each.arg
        for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is not None
    }
    one, many = {"prompt", *ANSWER} & set(names), {"prompts", *ANSWERS} & set(names)
    if one and many:
        raise SpecError(
            f"{who} takes {_names(sorted(one | many))}: an answer at a time has prompt and completion (or "
            "prediction), a batch has prompts and completions (or predictions)."
        )
    if not {*ANSWER, *ANSWERS} & set(names):
        raise SpecError(
            f"{who} takes neither 'completion' or 'prediction' (an answer at a time) nor 'completions' or "
            "'predictions' (a batch of them), so it does not see the answer."
        )
    inside = [inner for inner in _own_nodes(node) if isinstance(inner, (ast.Yield, ast.YieldFrom))]
    if inside:
        raise SpecError(f"{who} yields; it has to return its score.")
    return Form(
        is_batched=bool(many),
        is_async=isinstance(node, ast.AsyncFunctionDef),
        names=tuple(names),
        required=frozenset(set(names) - optional),
        takes_rest=arguments.kwarg is not None,
    )


def required_columns(source: Source) -> set[str]:
    """Return the columns that rows must have: the parameters without a default, prompt and answer aside."""
    needed = form(source).required - _GIVEN
    return {"ground_truth" if name == "ground_truths" else name for name in needed}


def _checked(source: Source) -> Source:
    form(source)
    try:
        compile(source.text, source.name, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise SpecError(f"The function '{source.name}' does not stand by itself: {error}.") from error
    return source


def _plain(function: Any) -> FunctionType:
    """Return the function that was written: without the wrappers of the decorators above it."""
    advice = "Give a function that was defined with def."
    if isinstance(function, functools.partial):
        raise SpecError(f"A functools.partial cannot be taken along. {advice}")
    if inspect.ismethod(function):
        raise SpecError(f"The function '{function.__name__}' is a method of an object, which the job has not. {advice}")
    written = inspect.unwrap(function)
    if not isinstance(written, FunctionType):
        kind = "a class" if inspect.isclass(function) else f"of the type {type(function).__name__}"
        raise SpecError(
            f"The scoring function {getattr(function, '__name__', '')} is {kind}.".replace("  ", " ") + f" {advice}"
        )
    if written.__name__ == "<lambda>":
        raise SpecError(f"A lambda cannot be taken along: it has no name. {advice}")
    if not is_decorated(function):
        raise SpecError(
            f"The function '{written.__name__}' was wrapped by a call, which its source does not tell. Write the "
            "decorator as @ above its def."
        )
    return written


def _own_nodes(node: ast.AST) -> list[ast.AST]:
    """Return the nodes of a function that are not of a function within it."""
    found: list[ast.AST] = []
    waiting = list(ast.iter_child_nodes(node))
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            continue
        found.append(inner)
        waiting += ast.iter_child_nodes(inner)
    return found


def _names(names: list[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
