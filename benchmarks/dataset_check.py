"""The claim: a million rows are checked in under a minute, in memory that hardly grows.

    TUNELAB_DATA=… python benchmarks/dataset_check.py [ROWS …]

Rows are pairs made of the words of real ones (`human-like/pairs.jsonl` in the folder that TUNELAB_DATA names; without
it the script says that it skips), 250 characters each. Each number of rows is done in processes of its own, in turn:

- tunelab: `tl.Dataset.create`, whole: reading, every check on every row, exact and near duplicates, contradictions,
  classes, secrets, Parquet with digest and report;
- peer: `datasets.load_dataset("json")`, then the checks of a row as a plain `map`, exact duplicates by a set of hashes
  beside it. It does no near duplicates, contradictions, secrets: written as a plain `map` these would not end.

Memory is the highest that process and child had together, looked at every 50 ms (RSS). The exit status is 1 where a
million rows take over a minute.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

SIZES = (10_000, 100_000, 1_000_000)
BUDGET_ROWS, BUDGET_S = 1_000_000, 60.0

TUNELAB = """
import sys, tunelab as tl
made = tl.Dataset.create("rows", sys.argv[1])
print(made.rows)
"""
PEER = """
import hashlib, sys
from datasets import disable_progress_bars, load_dataset
disable_progress_bars()
FIELDS = ("prompt", "chosen", "rejected")
seen, repeated = set(), 0
def check(row):
    global repeated
    for name in FIELDS:
        value = row[name]
        if not isinstance(value, str) or not value.strip() or "\\x00" in value:
            raise ValueError(name)
    if row["chosen"] == row["rejected"]:
        raise ValueError("the same")
    key = hashlib.blake2b("\\x00".join(row[name] for name in FIELDS).encode(), digest_size=8).digest()
    repeated += key in seen
    seen.add(key)
    return row
rows = load_dataset("json", data_files=sys.argv[1], split="train", cache_dir=sys.argv[2]).map(check)
print(len(rows))
"""


def main() -> int:
    """Measure, print, and tell whether the budget is kept."""
    data = os.environ.get("TUNELAB_DATA")
    if data is None:
        print("dataset_check: skipped, since TUNELAB_DATA does not name the folder with real rows.")
        return 0
    sizes = [int(size) for size in sys.argv[1:]] or list(SIZES)
    kept = True
    print(f"{psutil.cpu_count()} cores, load {psutil.getloadavg()[0]:.1f}\n")
    print(f"{'rows':>10}  {'':8}{'seconds':>8}  {'rows/s':>8}  {'MB':>6}")
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="tunelab-benchmark-") as folder:
            rows = Path(folder) / "rows.jsonl"
            write(rows, size, Path(data) / "human-like" / "pairs.jsonl")
            ours = measured(TUNELAB, rows, Path(folder))
            theirs = measured(PEER, rows, Path(folder))
        for name, (seconds, memory) in (("tunelab", ours), ("peer", theirs)):
            print(f"{size:>10,}  {name:8}{seconds:>8.1f}  {size / seconds:>8,.0f}  {memory / 1e6:>6.0f}")
        ratio, share = theirs[0] / ours[0], ours[1] / theirs[1]
        print(f"{'':>10}  ratio   {ratio:>8.2f}  times as fast as the peer, {share:.2f} of its memory")
        kept &= size != BUDGET_ROWS or ours[0] <= BUDGET_S
    return 0 if kept else 1


def write(target: Path, count: int, source: Path) -> None:
    """Write pairs of words drawn from real ones, no two the same."""
    draw = random.Random(3)
    pairs = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    words = [word for pair in pairs for word in pair["prompt"].split()]
    answers = [pair["chosen"].split() for pair in pairs]
    with target.open("w", encoding="utf-8") as file:
        for number in range(count):
            said = []
            for answer in draw.choices(answers, k=2):
                begin = draw.randrange(max(1, len(answer) - 12))
                said.append(" ".join(answer[begin : begin + 12]))
            prompt = " ".join(draw.choices(words, k=draw.randint(6, 20))) + "?"
            row = {"prompt": prompt, "chosen": said[0], "rejected": f"{said[1]} {number}"}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def measured(code: str, rows: Path, folder: Path) -> tuple[float, float]:
    """Return the seconds that a process took, and the most memory that it and its children had, in bytes."""
    environment = os.environ | {"TUNELAB_HOME": str(folder / "home"), "HF_DATASETS_CACHE": str(folder / "cache")}
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(rows), str(folder / "cache")],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    most = 0.0
    while process.poll() is None:
        most = max(most, memory(process.pid))
        time.sleep(0.05)
    seconds = time.perf_counter() - begin
    if process.returncode:
        raise RuntimeError(f"a process ended with status {process.returncode}")
    return seconds, most


def memory(pid: int) -> float:
    """Return the resident memory of a process and its children."""
    total = 0.0
    try:
        parent = psutil.Process(pid)
        for one in [parent, *parent.children(recursive=True)]:
            total += one.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total


if __name__ == "__main__":
    sys.exit(main())
