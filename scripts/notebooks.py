"""Executes the tour's notebooks in real kernels: `python scripts/notebooks.py [--quick] NOTEBOOK…`.

The executed copies go to `build/notebooks/`. With `--quick`, trainings take two steps and answers eight tokens, which
is what the tests do; without, they run as a reader would run them.
"""

import argparse
import re
import sys
import tempfile
import time
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


def main() -> int:
    """Execute the notebooks named on the command line; return 1 if a cell failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("notebooks", nargs="+", type=Path)
    given = parser.parse_args()
    for path in given.notebooks:
        begin = time.monotonic()
        try:
            execute(path, given.quick)
        except CellExecutionError as error:
            print(f"{path}: {error}", file=sys.stderr)
            return 1
        print(f"{path}: executed in {time.monotonic() - begin:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
