"""A function of the notebook as a module that stands by itself: its source, what it imports, the helpers that it calls.

Nothing else comes along. A variable of the notebook is another thing tomorrow, and the job that used it could not be
done again: such a function is refused with the variables' names.
"""

from __future__ import annotations

import ast
import builtins
import functools
import hashlib
import importlib.metadata
import inspect
import linecache
import symtable
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from tunelab.errors import SpecError, did_you_mean, listing

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
    taken = _Taken(function.__module__, {**(namespace or {}), **function.__globals__})
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
    if not _is_decorated(function):
        raise SpecError(
            f"The function '{written.__name__}' was wrapped by a call, which its source does not tell. Write the "
            "decorator as @ above its def."
        )
    return written


def _is_decorated(function: Any) -> bool:
    """Return whether all that wraps a function stands above its ``def``."""
    wrappers = 0
    while hasattr(function, "__wrapped__"):
        function, wrappers = function.__wrapped__, wrappers + 1
    if not wrappers:
        return True
    node = ast.parse(_text(function)).body[0]
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and wrappers <= len(node.decorator_list)


class _Taken:
    """What is taken along, found from one function on."""

    def __init__(self, module: str, names: dict[str, Any]) -> None:
        self.module = module
        self.names = names
        self.imports: set[str] = set()
        self.parts: list[str] = []
        self.variables: set[str] = set()
        self.local_modules: set[str] = set()
        self.unknown: set[str] = set()
        self._seen: dict[int, Any] = {}

    def add(self, thing: Any) -> None:
        """Take a function or class with all that it leans on, which comes before it."""
        if id(thing) in self._seen:
            return
        self._seen[id(thing)] = thing
        text = _class_text(thing, self._cells()) if inspect.isclass(thing) else _text(thing)
        tree = ast.parse(text)
        for name in sorted(_leaned_on(tree)):
            self._find(name, tree)
        for name in sorted(_fields_of(tree)):
            # The fields of a pydantic model are looked up; one that is an annotation only need not be there.
            if inspect.isclass(value := self.names.get(name)) or getattr(value, "__module__", None) == "typing":
                self._find(name, tree)
        self.parts.append(text)

    def _find(self, name: str, tree: ast.Module) -> None:
        if name not in self.names:
            value = getattr(builtins, name, None)
            if str(getattr(value, "__module__", "")).startswith("IPython"):
                # IPython's `display` is a built-in there only.
                self._import_from(name, value)
            elif not hasattr(builtins, name) and name != "__name__":
                self.unknown.add(name)
            return
        value = self.names[name]
        if isinstance(value, ModuleType):
            self._import_module(name, value, tree)
            return
        is_here = callable(value) and getattr(value, "__module__", None) in (self.module, "__main__")
        written = inspect.unwrap(value) if is_here and not inspect.isclass(value) else value
        if not is_here or not (inspect.isclass(written) or isinstance(written, FunctionType)):
            self._import_from(name, value)
            return
        own = written.__name__
        is_another = self.names.get(own, value) is not value
        is_bound = isinstance(written, FunctionType) and (written.__code__.co_freevars or not _is_decorated(value))
        # A module has one definition of a name: of a helper that was defined again, the old one cannot come along too.
        if own == "<lambda>" or is_another or is_bound:
            self.variables.add(name)
            return
        self.add(written)
        if own != name:
            self.parts.append(f"{name} = {own}")

    def _cells(self) -> list[str]:
        """Return the notebook's cells, the last one run first."""
        run = [text for text in self.names.get("In", []) if isinstance(text, str)]
        kept = ["".join(entry[2]) for entry in linecache.cache.values() if len(entry) == 4 and entry[1] is None]
        return [*run[::-1], *kept[::-1]]

    def _import_as_said(self, name: str, value: Any) -> bool:
        """Take the import of a value that does not know where it comes from, such as ``from math import pi``."""
        for text in self._cells():
            for node in _nodes(text):
                if not isinstance(node, ast.ImportFrom) or node.level or node.module is None:
                    continue
                for alias in node.names:
                    is_it = (alias.asname or alias.name) == name and _is_installed(node.module)
                    if is_it and getattr(sys.modules.get(node.module), alias.name, self) is value:
                        said = f" as {name}" if alias.asname else ""
                        self.imports.add(f"from {node.module} import {alias.name}{said}")
                        return True
        return False

    def _import_module(self, name: str, module: ModuleType, tree: ast.Module) -> None:
        full = module.__name__
        if not _is_installed(full):
            self.local_modules.add(full)
            return
        self.imports.add(f"import {full}" if full == name else f"import {full} as {name}")
        for node in ast.walk(tree):
            # `import scipy.stats` leaves `scipy` behind, and `scipy.stats` is not there by `import scipy`.
            chain = _chain(node)
            if chain and chain[0] == name:
                for end in range(2, len(chain) + 1):
                    inner = ".".join([full, *chain[1:end]])
                    if inner in sys.modules:
                        self.imports.add(f"import {inner}")

    def _import_from(self, name: str, value: Any) -> None:
        module = getattr(value, "__module__", None)
        own = next(
            (
                found
                for key in ("__qualname__", "__name__", "_name")
                if isinstance(found := getattr(value, key, None), str)
            ),
            None,
        )
        if not isinstance(module, str) or own is None or getattr(sys.modules.get(module), own, None) is not value:
            if not self._import_as_said(name, value):
                self.variables.add(name)
        elif module == "__main__":
            self.variables.add(name)
        elif not _is_installed(module):
            self.local_modules.add(module)
        else:
            self.imports.add(f"from {module} import {own}" + (f" as {name}" if own != name else ""))


def _leaned_on(tree: ast.Module) -> set[str]:
    """Return the names that a definition takes from the module around it; annotations are not looked at."""
    bare: ast.Module = ast.fix_missing_locations(_WithoutAnnotations().visit(ast.parse(ast.unparse(tree))))
    defined = {
        node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    }
    table = symtable.symtable(ast.unparse(bare), "reward", "exec")
    found: set[str] = set()
    scopes = [table]
    while scopes:
        scope = scopes.pop()
        scopes += scope.get_children()
        for symbol in scope.get_symbols():
            is_outer = symbol.is_referenced() if scope is table else symbol.is_global()
            if is_outer and symbol.get_name() not in defined:
                found.add(symbol.get_name())
    return found


def _fields_of(tree: ast.Module) -> set[str]:
    """Return the names in the annotations of a class's fields."""
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    fields = [field.annotation for node in classes for field in node.body if isinstance(field, ast.AnnAssign)]
    return {node.id for field in fields for node in ast.walk(field) if isinstance(node, ast.Name)}


class _WithoutAnnotations(ast.NodeTransformer):
    """Leaves out what is not evaluated, since the module begins with ``from __future__ import annotations``."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(arg=node.arg, annotation=None)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)


def _text(thing: Any) -> str:
    """Return the source of a function, as it was when it was defined."""
    try:
        return _dedented(inspect.getsource(thing))
    except (OSError, TypeError, SyntaxError) as error:
        raise _without_source(thing) from error


def _class_text(thing: type, cells: list[str]) -> str:
    """Return a class's source; `inspect` looks for that of a cell in the file of ``__main__``."""
    if thing.__module__ != "__main__":
        return _text(thing)
    codes = [code for method in vars(thing).values() if (code := getattr(method, "__code__", None))]
    # The cell that has one of its methods; for a class without, the last run that has a class of its name.
    for text in [*("".join(linecache.getlines(code.co_filename)) for code in codes), *cells]:
        for node in _nodes(text):
            if isinstance(node, ast.ClassDef) and node.name == thing.__name__:
                begin = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                return _dedented("".join(text.splitlines(keepends=True)[begin - 1 : node.end_lineno]))
    raise _without_source(thing)


def _without_source(thing: Any) -> SpecError:
    return SpecError(
        f"The source of '{thing.__name__}' cannot be found. Define it in a cell, or in a file: FILE.py:NAME."
    )


def _dedented(text: str) -> str:
    """Return a definition at the left margin; a text within it that spans lines stays as it is."""
    if not text[:1].isspace():
        return text
    block = ast.parse(f"if True:\n{text}").body[0]
    assert isinstance(block, ast.If)
    return ast.unparse(block.body[0]) + "\n"


def _nodes(text: str) -> list[ast.AST]:
    """Return all nodes of a cell; none where it is no Python, such as one of another magic."""
    try:
        return [*ast.walk(ast.parse(text))]
    except (SyntaxError, ValueError):
        return []


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


def _chain(node: ast.AST) -> list[str]:
    """Return ``a.b.c`` as its names."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    return [node.id, *names] if isinstance(node, ast.Name) and names else []


@functools.lru_cache(maxsize=256)
def _is_installed(module: str) -> bool:
    """Return whether a module can be imported where the job runs: the standard library, or an installed package."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return True
    where = getattr(sys.modules.get(top), "__file__", None) or ""
    if any(where.startswith(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")):
        return True
    return top in importlib.metadata.packages_distributions()


def _names(names: list[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
