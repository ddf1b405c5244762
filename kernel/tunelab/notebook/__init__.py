"""The notebook's door: the magics, their completion, and the display of jobs."""

from __future__ import annotations

from typing import Any


def load(ipython: Any) -> None:
    """Register magics, completion and display with an IPython shell."""
    from tunelab.notebook import completion, display
    from tunelab.notebook.magics import TunelabMagics

    ipython.register_magics(TunelabMagics)
    completion.install(ipython)
    display.install(ipython)


def unload(ipython: Any) -> None:
    """Take completion and display away; IPython keeps magics until the kernel ends."""
    from tunelab.notebook import completion, display

    completion.remove(ipython)
    display.remove(ipython)
