"""How a local judge agrees with people by each way of scoring, on LLMBar's natural set (Zeng et al. 2024).

A hundred instructions with two outputs each and the one that people prefer. Prints agreement with its 95% interval,
Cohen's kappa, how many verdicts change with the order, and the preferences for a place and for length.

    TUNELAB_DATA=FOLDER python benchmarks/judge_ways.py [--model NAME] [--metric NAME] [--limit ROWS] [--way WAY …]

Reads `llmbar/natural.json` in the folder, and says so where it is not there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

WAYS = {
    "expectation": {},
    "mode": {"scoring": "mode"},
    "expectation, reasoning": {"reasoning": True},
    "mode, reasoning": {"scoring": "mode", "reasoning": True},
    "pairwise": {"pairwise": True},
    "pairwise, reasoning": {"pairwise": True, "reasoning": True},
}


def main() -> int:
    """Measure each way, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--metric", default="following_instructions")
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--way", choices=WAYS, action="append", help="only this one; may be given again")
    given = parser.parse_args()
    path = Path(os.environ.get("TUNELAB_DATA", "")) / "llmbar" / "natural.json"
    if not os.environ.get("TUNELAB_DATA") or not path.is_file():
        print("Skipped: TUNELAB_DATA names no folder with llmbar/natural.json.")
        return 0
    rows = json.loads(path.read_text(encoding="utf-8"))[: given.limit]
    with tempfile.TemporaryDirectory(prefix="tunelab-judge-") as home:
        os.environ["TUNELAB_HOME"] = home
        import tunelab as tl

        print(f"{given.model} by {given.metric}, {len(rows)} rows\n")
        print(
            f"{'way':24}{'agreement':>22}{'kappa':>8}{'tied':>8}{'flipped':>9}{'place':>8}{'length':>8}{'unscored':>10}{'s':>7}"
        )
        for way in given.way or WAYS:
            settings = WAYS[way]
            begin = time.monotonic()
            judge = {"model": given.model, "metrics": [given.metric], **settings}
            job = tl.evaluate(method="meta", dataset=rows, judge=judge).wait(progress=False)
            if job.state != "completed":
                print(f"{way}: {job}\n{job.logs()}", file=sys.stderr)
                return 1
            (row,) = job.result().judges.to_dict("records")
            agreement = f"{row['agreement']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
            figures = [_shown(row[name]) for name in ("kappa", "tied", "flipped", "position_bias", "length_bias")]
            print(
                f"{way:24}{agreement:>22}{figures[0]:>8}{figures[1]:>8}{figures[2]:>9}{figures[3]:>8}{figures[4]:>8}"
                f"{row['unscored']:>10}{time.monotonic() - begin:>7.0f}",
                flush=True,
            )
    return 0


def _shown(value: float | None) -> str:
    return "" if value is None or value != value else f"{value:+.2f}"


if __name__ == "__main__":
    sys.exit(main())
