"""One of a thing for the whole kernel, by workspace: a list that many views show is read once."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import TypeVar

from tunelab import workspace

T = TypeVar("T")


def per_workspace(make: Callable[[], T]) -> Callable[[], T]:
    """Return a function that returns the current workspace's, which `make` makes when it is first asked for."""
    made: dict[str, T] = {}
    guard = threading.Lock()

    @functools.wraps(make)
    def shared() -> T:
        root = str(workspace.current().root)
        with guard:
            if root not in made:
                made[root] = make()
            return made[root]

    return shared
