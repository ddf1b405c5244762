"""`make demo`: executes the quickstart for real and prints what came out of it."""

import sys
import time
from pathlib import Path

from notebooks import OUT, execute, told

QUICKSTART = Path("notebooks/quickstart.ipynb")


def main() -> int:
    """Run the quickstart notebook and print its result; return the exit status."""
    print("Fine-tuning smollm2-135m by DPO on 260 pairs of answers, in notebooks/quickstart.ipynb …", flush=True)
    begin = time.monotonic()
    notebook = execute(QUICKSTART, quick=False)
    print(f"Done in {(time.monotonic() - begin) / 60:.1f} minutes. What came out, unedited:\n")
    print(told(notebook, "result"))
    print()
    print(told(notebook, "answers"))
    print(f"\nThe executed notebook is {OUT / QUICKSTART.name}. To open it all in JupyterLab: make lab")
    return 0


if __name__ == "__main__":
    sys.exit(main())
