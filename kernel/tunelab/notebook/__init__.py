"""The notebook's door: the magics, their completion, the display of jobs, and the comms of the side panel."""

from __future__ import annotations

from typing import Any


def load(ipython: Any) -> None:
    """Register magics, completion, display and comms with an IPython shell."""
    from tunelab.notebook import comms, completion, display
    from tunelab.notebook.magics import TunelabMagics

    ipython.register_magics(TunelabMagics)
    completion.install(ipython)
    display.install(ipython)
    comms.install(ipython)


def unload(ipython: Any) -> None:
    """Take completion and display away; IPython keeps magics until the kernel ends."""
    from tunelab.notebook import comms, completion, display

    completion.remove(ipython)
    display.remove(ipython)
    comms.remove(ipython)
