"""Fails where a notebook named on the command line has outputs in it, after taking them out."""

import sys
from pathlib import Path

import nbformat


def main() -> int:
    """Clean the notebooks; return 1 if one was changed, so that the commit is looked at again."""
    changed = []
    for path in map(Path, sys.argv[1:]):
        notebook = nbformat.read(path, as_version=4)
        before = nbformat.writes(notebook)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        notebook.metadata.pop("widgets", None)
        if nbformat.writes(notebook) != before:
            nbformat.write(notebook, path)
            changed.append(path)
    for path in changed:
        print(f"{path}: outputs removed")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
