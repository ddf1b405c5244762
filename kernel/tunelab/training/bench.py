"""Given answers scored by a job's reward, in a process of its own."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from tunelab import task, workspace
from tunelab.errors import ModelError
from tunelab.scoring import reward
from tunelab.scoring.score import Case, Unreachable, as_sample
from tunelab.spec.rewards import RewardPart


def score(parts: list[dict[str, Any]], files: dict[str, str], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the samples that `tunelab.bench` reports on, and the seconds that scoring took.

    Parameters
    ----------
    parts, files
        The reward as a resolved spec has it, and what it needs in its folder.
    rows
        Each with prompt, completion, and the columns that the reward reads. Those of one prompt are a group.

    Raises
    ------
    ModelError
        If a feedback model cannot be asked.
    """
    cases = [
        Case(row.get("prompt", ""), row["completion"], {k: v for k, v in row.items() if k != "completion"})
        for row in rows
    ]
    with tempfile.TemporaryDirectory(prefix="tunelab-") as name:
        folder = Path(name)
        for file, text in files.items():
            workspace.write_text(folder / file, text)
        made = reward.build(TypeAdapter(list[RewardPart]).validate_python(parts), folder, task.say)
        begin = time.perf_counter()
        try:
            scores = made.score(cases)
        except Unreachable as error:
            raise ModelError(str(error)) from error
        finally:
            made.close()
        taken = time.perf_counter() - begin
    groups: dict[str, int] = {}
    samples = []
    for number, (case, found) in enumerate(zip(cases, scores, strict=True), 1):
        sample = as_sample(case, found)
        samples.append(sample | {"group": groups.setdefault(sample["prompt"], len(groups)), "row": number})
    return {"samples": samples, "seconds": taken}
