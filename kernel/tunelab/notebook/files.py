"""Whether a file or a folder is as it was: what changes with it, at the price of one look."""

from __future__ import annotations

from pathlib import Path

Stamp = tuple[int, int, int]


def stamp(path: Path) -> Stamp | None:
    """Return what is another after each change of a file, or of which names a folder has; None where there is none.

    By the size too, which tells of two writes within a tick of the clock, and by the inode: a file that is written
    whole is another one, put in the place of the one before.
    """
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def stamps(*paths: Path) -> tuple[Stamp | None, ...]:
    """Return the stamps of several."""
    return tuple(map(stamp, paths))
