"""How fast this machine multiplies matrices: what number format is chosen by, and what a job's pace is held against."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from tunelab import workspace

#: A product of this shape, (tokens, in) by (in, out), is big enough to be limited by arithmetic.
_SHAPE = (512, 1024, 1024)
_TRY_S = 0.25
#: By so much bfloat16 must be faster to be chosen: it has 8 bits of precision, not 24.
_REALLY_FASTER = 1.3


@dataclass(frozen=True)
class Speed:
    """Matrix rates in operations a second, by number format; bfloat16 where it was tried."""

    float32: float
    bfloat16: float | None = None

    @property
    def dtype(self) -> str:
        """The faster format, float32 unless bfloat16 is faster by 30% or more."""
        return "bfloat16" if self.bfloat16 and self.bfloat16 > _REALLY_FASTER * self.float32 else "float32"


def machine(device: str) -> Speed:
    """Return what was measured for this processor, torch and number of threads, measured now where it never was.

    It takes half a second once, and is kept in the workspace.
    """
    threads = torch.get_num_threads()
    name = f"{device} | {_processor(device)} | torch {torch.__version__} | {threads} threads"
    space = workspace.current()
    notes = space.root / "cache" / "speed.json"
    notes.parent.mkdir(mode=0o700, exist_ok=True)
    with space.lock("speed"):
        known = workspace.read_json(notes, {})
        if name not in known:
            known[name] = {kind: rate(device, kind) for kind in ("float32", "bfloat16")}
            workspace.write_json(notes, known)
    return Speed(**known[name])


def rate(device: str, dtype: str, seconds: float = _TRY_S) -> float:
    """Return the operations a second of products of matrices in `dtype`: the best of those that `seconds` allow."""
    tokens, wide, out = _SHAPE
    kind = {"float32": torch.float32, "bfloat16": torch.bfloat16}[dtype]
    # Drawn apart, so that the training's own random numbers are those of its seed.
    draw = torch.Generator().manual_seed(0)
    a, b = (torch.randn(rows, wide, generator=draw).to(device, kind) for rows in (tokens, out))
    best = 0.0
    end = time.perf_counter() + seconds
    # The first one warms up, and at least one more is timed however slow it is.
    torch.nn.functional.linear(a, b)
    while best == 0.0 or time.perf_counter() < end:
        _wait(device)
        begin = time.perf_counter()
        torch.nn.functional.linear(a, b)
        _wait(device)
        best = max(best, 2 * tokens * wide * out / (time.perf_counter() - begin))
    return best


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def _processor(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
