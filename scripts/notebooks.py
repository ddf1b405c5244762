"""Executes the tour's notebooks in real kernels: `python scripts/notebooks.py [--quick] NOTEBOOK…`.

The executed copies go to `build/notebooks/`. With `--quick`, trainings take two steps and answers eight tokens, and
each core runs a notebook in a workspace of its own, which is what the tests do; without, they run one after another as
a reader would run them.
"""

import argparse
import multiprocessing
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import nbformat
from jupyter_client import KernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

OUT = Path("build/notebooks")
QUICK = [(r"(max_steps[\"']?\s*[=:]\s*)\d+", r"\g<1>2"), (r"(max_new_tokens[\"']?\s*[=:]\s*)\d+", r"\g<1>8")]


def execute(path: Path, quick: bool) -> nbformat.NotebookNode:
    """Run one notebook in the folder it lies in, and write the executed copy."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if quick and cell.cell_type == "code":
            for pattern, replacement in QUICK:
                cell.source = re.sub(pattern, replacement, cell.source)
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tunelab-") as sockets:
        # Over sockets in a folder of the user's own, and not over ports that others on the machine can reach.
        kernel = KernelManager(kernel_name="python3", transport="ipc", ip=f"{sockets}/kernel")
        client = NotebookClient(notebook, km=kernel, timeout=3600, resources={"metadata": {"path": path.parent}})
        try:
            client.execute()
        finally:
            nbformat.write(notebook, OUT / path.name)
            # A manager that is handed in is ours to end.
            if kernel.has_kernel:
                kernel.shutdown_kernel(now=True)
    return notebook


def told(notebook: nbformat.NotebookNode, tag: str) -> str:
    """Return the text output of the cell with a tag, unedited."""
    for cell in notebook.cells:
        if tag in cell.metadata.get("tags", []):
            return "\n".join(output.data["text/plain"] for output in cell.outputs if "data" in output)
    raise LookupError(f"no cell is tagged {tag}")


def executed(path: Path, quick: bool = False) -> str:
    """Run one notebook and say how long it took, or which cell failed."""
    begin = time.monotonic()
    try:
        execute(path, quick)
    except CellExecutionError as error:
        sys.exit(f"{path}: {error}")
    return f"{path}: executed in {time.monotonic() - begin:.0f} s"


def tried(path: Path) -> str:
    """Run one notebook with few steps in a workspace of its own; its jobs wait for no other notebook's."""
    with tempfile.TemporaryDirectory(prefix="tunelab-") as folder:
        os.environ |= {"TUNELAB_HOME": f"{folder}/home", "XDG_CACHE_HOME": f"{folder}/cache"}
        return executed(path, quick=True)


def beside_each_other(paths: list[Path]) -> Iterator[str]:
    """Try notebooks, one a core: threads of two trainings that wait for each other on the same cores are slow."""
    cores = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else [0]
    spawn = multiprocessing.get_context("spawn")
    free = spawn.Queue()
    for core in cores:
        free.put(core)
    with ProcessPoolExecutor(len(cores), spawn, initializer=keep_to_a_core, initargs=(free,)) as pool:
        yield from pool.map(tried, paths)


def keep_to_a_core(free: "multiprocessing.Queue[int]") -> None:
    """Keep this process and all that it starts to one of the free cores."""
    core = free.get()
    if sys.platform == "linux":
        os.sched_setaffinity(0, {core})


def main() -> None:
    """Execute the notebooks named on the command line; a cell that fails ends it with its message."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("notebooks", nargs="+", type=Path)
    given = parser.parse_args()
    for line in beside_each_other(given.notebooks) if given.quick else map(executed, given.notebooks):
        print(line, flush=True)


if __name__ == "__main__":
    main()
