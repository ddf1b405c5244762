"""Runs one answer's code, with its tests, in this process alone: it shuts itself in first, and then is not trusted.

A script of the standard library only, started by `code_tests`. What the code may not do is said to the kernel: limits,
seccomp, Landlock, which no Python can take back. Where the kernel has neither, an audit hook stands in: it guards
against accidents and is no jail.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import ctypes
import functools
import json
import math
import operator
import os
import resource
import signal
import struct
import sys
import tempfile
import types
from collections.abc import Callable
from typing import Any

#: The largest file that may be written, in bytes.
LARGEST_FILE = 16 << 20
ANSWER = "<answer>"
#: Longest text about an error.
LONGEST_NOTE = 160

_DENIED = {
    # socket, fork, vfork, execve, execveat, ptrace, process_vm_readv and writev, unshare, setns, mount, bpf,
    # userfaultfd, perf_event_open, io_uring_setup, pidfd_open, pidfd_send_signal, tkill, rt_sigqueueinfo,
    # rt_tgsigqueueinfo; keyctl, add_key, request_key, shmget, semget, msgget
    "x86_64": (
        41,
        57,
        58,
        59,
        322,
        101,
        310,
        311,
        272,
        308,
        165,
        321,
        323,
        298,
        425,
        434,
        424,
        200,
        129,
        297,
        250,
        248,
        249,
        29,
        64,
        68,
    ),
    "aarch64": (
        198,
        221,
        281,
        117,
        270,
        271,
        97,
        268,
        40,
        280,
        282,
        241,
        425,
        434,
        424,
        130,
        138,
        240,
        219,
        217,
        218,
        194,
        190,
        186,
    ),
}
#: clone, clone3, kill, tgkill, prlimit64, and the kernel's name of the architecture.
_ASKED = {
    "x86_64": (56, 435, 62, 234, 302, 0xC000003E),
    "aarch64": (220, 435, 129, 131, 261, 0xC00000B7),
}


def limit(seconds: float, memory_mb: int) -> None:
    """Limit time, memory and files."""
    cpu = math.ceil(seconds) + 1
    bounds = [
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_AS, memory_mb << 20),
        (resource.RLIMIT_FSIZE, LARGEST_FILE),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ]
    for what, bound in bounds:
        # macOS knows no limit of the address space.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(what, (bound, bound))


def shut_in(folder: str) -> None:
    """Take away the network, other processes, and files outside of `folder` but Python's own, as far as it goes."""
    denied = lonely = False
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG: it does not outlive who waits for it
        libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        denied = _landlock(libc, folder)
        lonely = _seccomp(libc)
    if not lonely:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    if not (lonely and denied):
        sys.addaudithook(_guard(lonely, denied))


def _seccomp(libc: Any) -> bool:
    """Have the kernel refuse sockets, processes, and signals to others. Threads may be started."""
    machine = os.uname().machine
    if machine not in _DENIED or sys.maxsize < 2**32:
        return False
    clone, clone3, kill, tgkill, prlimit, architecture = _ASKED[machine]
    load, equal, at_least, has, back = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, refuse, absent, end = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
    pid = os.getpid()
    program = [(load, 0, 0, 4), (equal, 1, 0, architecture), (back, 0, 0, end), (load, 0, 0, 0)]
    # Another calling convention has other numbers.
    program += [(at_least, 0, 1, 0x40000000), (back, 0, 0, refuse)]
    for number in _DENIED[machine]:
        program += [(equal, 0, 1, number), (back, 0, 0, refuse)]
    # The C library falls back to clone, whose flags can be seen here.
    program += [(equal, 0, 1, clone3), (back, 0, 0, absent)]
    program += [(equal, 0, 4, clone), (load, 0, 0, 16), (has, 1, 0, 0x10000), (back, 0, 0, refuse), (back, 0, 0, allow)]
    for number in (kill, tgkill):
        program += [(equal, 0, 4, number), (load, 0, 0, 16), (equal, 1, 0, pid), (back, 0, 0, refuse)]
        program += [(back, 0, 0, allow)]
    program += [(equal, 0, 5, prlimit), (load, 0, 0, 16), (equal, 2, 0, pid), (equal, 1, 0, 0), (back, 0, 0, refuse)]
    program += [(back, 0, 0, allow), (back, 0, 0, allow)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in program))
    filters = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
    return bool(libc.prctl(22, 2, filters, 0, 0) == 0)  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


def _landlock(libc: Any, folder: str) -> bool:
    """Have the kernel refuse files outside of Python's installation and `folder`."""
    create, add, restrict = 444, 445, 446
    version = libc.syscall(create, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    handled = (1 << 13) - 1 | (1 << 13 if version >= 2 else 0) | (1 << 14 if version >= 3 else 0)
    read, on_file = 1 | 1 << 2 | 1 << 3, 1 | 1 << 1 | 1 << 2 | (1 << 14 if version >= 3 else 0)
    ruleset = libc.syscall(create, ctypes.create_string_buffer(struct.pack("Q", handled)), ctypes.c_size_t(8), 0)
    if ruleset < 0:
        return False
    rules = [(folder, handled)]
    rules += [(path, read) for path in (sys.base_prefix, sys.base_exec_prefix, "/usr", "/lib", "/lib64")]
    rules += [(f"/dev/{name}", on_file) for name in ("null", "zero", "random", "urandom")]
    for path, rights in rules:
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)  # type: ignore[attr-defined,unused-ignore]
        except OSError:
            continue
        rule = ctypes.create_string_buffer(
            struct.pack("=Qi", rights if os.path.isdir(path) else rights & on_file, place)
        )
        libc.syscall(add, ruleset, 1, rule, 0)
        os.close(place)
    done = libc.syscall(restrict, ruleset, 0) == 0
    os.close(ruleset)
    return bool(done)


def _guard(lonely: bool, denied: bool) -> Callable[[str, tuple[Any, ...]], None]:
    processes = ("socket.", "subprocess.", "os.fork", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.kill")
    files = ("os.mkdir", "os.remove", "os.ren", "os.rmdir", "os.truncate", "os.ch", "os.link", "os.symlink", "shutil.")
    inside = os.path.realpath(os.getcwd()) + os.sep

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        # A pair of sockets, which asyncio makes, reaches nobody.
        if not lonely and event.startswith(processes) and event != "socket.__new__":
            raise PermissionError(f"{event} is not permitted here")
        if denied or not (event == "open" or event.startswith(files)):
            return
        writes = event != "open" or bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
        # Renaming and linking have two.
        for given in arguments[:1] if event == "open" else arguments[:2]:
            if not isinstance(given, (str, bytes)):
                continue
            path = os.path.realpath(os.fsdecode(given))
            if (writes and not path.startswith(inside) and path != os.devnull) or path.startswith("/proc"):
                raise PermissionError(f"{event} is not permitted here")

    return hook


class _Marked(ast.NodeTransformer):
    """Makes each assert of the tests a mark, so that one that fails does not hide the next."""

    def __init__(self) -> None:
        self.sites = 0

    def visit_Assert(self, node: ast.Assert) -> ast.stmt:
        # HumanEval has `assert True`, which tests nothing.
        if isinstance(node.test, ast.Constant) and node.test.value:
            return ast.copy_location(ast.Pass(), node)
        site, self.sites = self.sites, self.sites + 1
        new = ast.parse(
            f"try:\n    __mark__({site}, 0)\nexcept BaseException as __e__:\n    __mark__({site}, 0, __e__)"
        )
        outer: Any = new.body[0]
        outer.body[0].value.args[1] = _Compared().visit(node.test)
        for inner in ast.walk(outer):
            ast.copy_location(inner, node)
        return outer  # type: ignore[no-any-return]


class _Compared(ast.NodeTransformer):
    """Has comparisons made by `compare`."""

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        names = [type(each).__name__ for each in node.ops]
        if any(name not in _COMPARE for name in names):
            return node
        if len(names) == 1:
            return _call("__compare__", ast.Constant(names[0]), node.left, node.comparators[0])
        node.left = _call("__fair__", node.left)
        node.comparators = [_call("__fair__", each) for each in node.comparators]
        return node


def _call(name: str, *arguments: ast.expr) -> ast.expr:
    return ast.Call(ast.Name(name, ast.Load()), list(arguments), [])


_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "Eq": operator.eq,
    "NotEq": operator.ne,
    "Lt": operator.lt,
    "LtE": operator.le,
    "Gt": operator.gt,
    "GtE": operator.ge,
}
_UNFAIR = "what the answer returns compares itself, by a method of its own"
_TRICKS = ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__")


def compare(operator: str, one: Any, two: Any) -> Any:
    """Compare, but never by a method of the answer's own that says yes to a value of another kind."""
    if _own(one) != _own(two):
        raise AssertionError(_UNFAIR)
    return _COMPARE[operator](one, two)


def fair(value: Any) -> Any:
    """Return a value of a chain of comparisons, if it compares by no method of the answer's own."""
    if _own(value):
        raise AssertionError(_UNFAIR)
    return value


_mro = type.__dict__["__mro__"].__get__


def _own(value: Any, depth: int = 0) -> bool:
    """Tell whether a value, or one in it, compares by code of the answer."""
    kind = type(value)
    for name in _TRICKS:
        for base in _mro(kind):
            if name in type.__dict__["__dict__"].__get__(base):
                method = type.__dict__["__dict__"].__get__(base)[name]
                code = getattr(method, "__code__", None)
                if (code is not None and code.co_filename == ANSWER) or type(method).__module__ in (
                    "answer",
                    "__main__",
                ):
                    return True
                break
    if depth > 4 or not isinstance(value, (list, tuple, set, frozenset, dict)):
        return False
    inner = [*value, *dict.values(value)] if isinstance(value, dict) else [*value]
    return any(_own(each, depth + 1) for each in inner[:1000])


def run(task: dict[str, Any], tell: Callable[[str], None]) -> None:
    """Run the answer, then its tests, and tell line by line what comes of it."""
    is_program = task["input"] is not None
    module = types.ModuleType("__main__" if is_program else "answer")
    sys.modules[module.__name__] = module
    pristine = dict(vars(builtins))
    tests = None if is_program else _prepared(task["tests"])
    try:
        exec(compile(task["code"], ANSWER, "exec", dont_inherit=True), vars(module))
    except SystemExit as error:
        if not is_program or error.code not in (None, 0):
            return tell(f"error {note(error)}")
    except BaseException as error:
        return tell(f"error {note(error)}")
    if tests is None:
        sys.stdout.flush()
        return tell("end")
    # What the answer has put in their place is not for the tests.
    sys.settrace(None)
    sys.setprofile(None)
    vars(builtins).update(pristine)
    _test(tests, vars(module), task["entry_point"], tell)


def _prepared(tests: list[str]) -> list[tuple[ast.stmt, Any]]:
    marked = _Marked()
    statements: list[tuple[ast.stmt, Any]] = []
    for text in tests:
        for statement in marked.visit(ast.parse(text)).body:
            whole = ast.fix_missing_locations(ast.Module([statement], []))
            statements.append((statement, compile(whole, "<tests>", "exec", dont_inherit=True)))
    return statements


def _test(
    tests: list[tuple[ast.stmt, Any]], answer: dict[str, Any], entry_point: str | None, tell: Callable[[str], None]
) -> None:
    told: set[tuple[int, bool]] = set()
    failed = False

    def mark(site: int, outcome: Any, error: BaseException | None = None) -> None:
        # No function, which the answer could put another in place of.
        passed = not not outcome  # noqa: SIM208
        if (site, passed) not in told:
            told.add((site, passed))
            tell(f"pass {site}" if passed else f"fail {site} {'' if error is None else note(error)}")

    space = answer | {
        "__name__": "tests",
        "__mark__": mark,
        "__compare__": compare,
        "__fair__": fair,
        "__builtins__": builtins,
    }
    if entry_point:
        candidate = answer.get(entry_point)
        if candidate is None:
            return tell(f"error the answer defines no '{entry_point}'")
    else:
        own = [
            each for each in answer.values() if getattr(getattr(each, "__code__", None), "co_filename", "") == ANSWER
        ]
        candidate = own[-1] if own else None
    space["candidate"] = candidate
    called = {
        call.func.id
        for statement, _ in tests
        if not isinstance(statement, (ast.FunctionDef, ast.ClassDef))
        for call in ast.walk(statement)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
    }
    names = [each.name for each, _ in tests if isinstance(each, ast.FunctionDef) and each.name not in called]
    calls: list[Callable[[], Any]] = [functools.partial(exec, code, space) for _, code in tests]
    for name in names:
        if name == "check":
            calls.append(lambda: space["check"](candidate))
        elif name.startswith("test"):
            calls.append(lambda name=name: space[name]())  # type: ignore[misc]
    for call in calls:
        try:
            call()
        except BaseException as error:
            failed = True
            tell(f"raised {note(error)}")
    if not failed:
        tell("end")


def note(error: BaseException) -> str:
    """Return one line about an exception, whatever its own methods do."""
    try:
        where = f" in line {error.lineno}" if isinstance(error, SyntaxError) else ""
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        text = f"{type(error).__name__}{where}: {said}"
    except BaseException:
        text = type(error).__name__
    return " ".join(text.split())[:LONGEST_NOTE].rstrip(": ")


def main() -> None:
    """Read the task from standard input, shut in, run."""
    write, leave, results = os.write, os._exit, int(sys.argv[1])
    task = json.loads(sys.stdin.buffer.read())
    nonce = task.pop("nonce")

    def tell(line: str) -> None:
        # Surrogates and line ends would spoil the line.
        write(results, f"{nonce} {line}\n".encode("ascii", "backslashreplace"))

    with tempfile.TemporaryFile(dir=os.getcwd()) as feed:
        feed.write((task["input"] or "").encode())
        feed.seek(0)
        os.dup2(feed.fileno(), 0)
    sys.stdin = os.fdopen(0, encoding="utf-8")
    sys.argv = ["answer.py"]
    # Without site-packages they are not there.
    builtins.exit = builtins.quit = sys.exit  # type: ignore[assignment]
    # Where its parent dies it ends too.
    signal.alarm(math.ceil(task["timeout_s"]) + 5)
    limit(task["timeout_s"], task["memory_mb"])
    shut_in(os.getcwd())
    run(task, tell)
    leave(0)


if __name__ == "__main__":
    main()
