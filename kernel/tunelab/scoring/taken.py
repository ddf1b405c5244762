"""What comes along with a function: its text, the helpers and classes that it leans on, and what it imports.

What cannot come along is noted by name: the notebook's variables, modules that lie beside it, names of nothing.
"""

from __future__ import annotations

import ast
import builtins
import functools
import importlib.metadata
import inspect
import linecache
import symtable
import sys
import sysconfig
from types import FunctionType, ModuleType
from typing import Any

from tunelab.errors import SpecError


class Taken:
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
        is_bound = isinstance(written, FunctionType) and (written.__code__.co_freevars or not is_decorated(value))
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


def is_decorated(function: Any) -> bool:
    """Return whether all that wraps a function stands above its ``def``."""
    wrappers = 0
    while hasattr(function, "__wrapped__"):
        function, wrappers = function.__wrapped__, wrappers + 1
    if not wrappers:
        return True
    node = ast.parse(_text(function)).body[0]
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and wrappers <= len(node.decorator_list)


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
