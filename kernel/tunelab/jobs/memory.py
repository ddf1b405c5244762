"""What memory a process may still take: what the machine has free, within the limits of container and shell.

Containers and schedulers of clusters limit memory by control groups (``memory.max``, in version 1
``memory.limit_in_bytes``), shells and schedulers by ``ulimit -v`` and ``ulimit -d``. A process sees none of them in the
machine's own figure, and dies of each.
"""

from __future__ import annotations

import contextlib
import ctypes
import re
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import psutil

_GROUPS = Path("/sys/fs/cgroup")
_PROCESS = Path("/proc/self")
#: Files of a limit, of what is used, and the line of ``memory.stat`` that says what of it can be dropped at any time.
_FILES_V2 = ("memory.max", "memory.current", "inactive_file")
_FILES_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")

#: Of glibc's ``malloc.h``.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MALLINFO = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"


def free(fresh: bool = False) -> float:
    """Return the bytes that this process may still take, or, with `fresh`, one that is yet to be started from it."""
    bounds = [float(psutil.virtual_memory().available)]
    if sys.platform == "linux":
        bounds += [*_of_groups(_PROCESS, _GROUPS), *_of_process(fresh)]
    return max(0.0, min(bounds))


def _of_groups(process: Path, root: Path) -> Iterator[float]:
    """Yield what each control group around the process has left."""
    for line in _read(process / "cgroup").splitlines():
        number, kinds, path = line.split(":", 2)
        if number == "0":
            top, files = root, _FILES_V2
        elif "memory" in kinds.split(","):
            top, files = root / "memory", _FILES_V1
        else:
            continue
        # A container sees its own group at the top, under a path that holds outside.
        inner = PurePosixPath(path.lstrip("/"))
        for group in (inner, *inner.parents):
            left = _left(top / group, *files)
            if left is not None:
                yield left


def _left(group: Path, limit: str, used: str, droppable: str) -> float | None:
    most, now = _read(group / limit).strip(), _read(group / used).strip()
    if not most.isdigit() or not now.isdigit():
        return None
    found = re.search(rf"^{droppable} (\d+)$", _read(group / "memory.stat"), re.MULTILINE)
    return int(most) - int(now) + (int(found[1]) if found else 0)


def _of_process(fresh: bool) -> Iterator[float]:
    """Yield what the process's own limits leave: of addresses (``ulimit -v``) and of data (``ulimit -d``)."""
    import resource

    status = _read(_PROCESS / "status")
    for limit, name in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        most = resource.getrlimit(limit)[0]
        if most != resource.RLIM_INFINITY:
            found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
            yield most - (0 if fresh or not found else int(found[1]) * 1024 - _kept_by_malloc())


@contextlib.contextmanager
def given_back() -> Iterator[None]:
    """Have what is taken in here go back to the system when it is freed, where the C library is glibc.

    By itself glibc keeps freed blocks of up to 32 MB for later. It does so again afterwards, with the limits that it
    comes to by itself once blocks of that size were freed.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "malloc_trim"):
        yield
        return
    libc.mallopt(_M_MMAP_THRESHOLD, 1 << 17)
    try:
        yield
    finally:
        libc.mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(_M_TRIM_THRESHOLD, 64 << 20)
        libc.malloc_trim(0)


class _Mallinfo(ctypes.Structure):
    """What glibc's ``mallinfo2`` returns."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in _MALLINFO.split())


def _kept_by_malloc() -> int:
    """Return the bytes that were freed and count as the process's own until they are taken again."""
    info = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if info is None:
        return 0
    info.restype = _Mallinfo
    return int(info().fordblks)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace")
    except OSError:
        # No such group here, or not for this user to see.
        return ""
