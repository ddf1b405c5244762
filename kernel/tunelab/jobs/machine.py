"""What this machine is, without torch: device, number format, threads, free disk. Each choice can be set by hand."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from tunelab.errors import SpecError

#: What a job's figures come from, besides tunelab's own code.
PACKAGES = ("tunelab", "torch", "transformers", "peft", "trl", "accelerate", "datasets", "mlflow")


@functools.cache
def gpus() -> tuple[tuple[int, float], ...]:
    """Return (index, compute capability) of each NVIDIA GPU, as its driver tells; not run on a machine with one."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    query = [tool, "--query-gpu=index,compute_cap", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    if answer.returncode != 0:
        return ()
    rows = [line.split(",") for line in answer.stdout.strip().splitlines()]
    return tuple((int(index), float(capability)) for index, capability in rows)


def device(wanted: str) -> str:
    """Return the device that `wanted` means here: ``cpu``, ``cuda:N`` or ``mps``.

    Raises
    ------
    SpecError
        If this machine has no such device.
    """
    if wanted == "auto":
        if gpus():
            return f"cuda:{gpus()[0][0]}"
        return "mps" if _is_apple() else "cpu"
    if wanted.startswith("cuda"):
        index = int(wanted.partition(":")[2] or (gpus()[0][0] if gpus() else 0))
        if index not in [gpu for gpu, _ in gpus()]:
            has = f"its GPUs are {', '.join(f'cuda:{gpu}' for gpu, _ in gpus())}" if gpus() else "it has no NVIDIA GPU"
            raise SpecError(f"compute.device is {wanted}, and this machine has none such: {has}. Use auto or cpu.")
        return f"cuda:{index}"
    if wanted == "mps" and not _is_apple():
        raise SpecError("compute.device is mps, and this machine is no Apple one. Use auto or cpu.")
    return wanted


def dtype(device: str) -> str | None:
    """Return the number format for `device`: bfloat16 on a GPU of Ampere or later; None where it is to be measured."""
    if device.startswith("cuda"):
        capability = dict(gpus())[int(device.partition(":")[2])]
        return "bfloat16" if capability >= 8.0 else "float32"
    return None if device == "cpu" else "float32"


def threads() -> int:
    """Return the number of cores that a worker may use: the physical ones, and no more than this process may."""
    allowed = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, min(allowed, psutil.cpu_count(logical=False) or allowed))


def software() -> dict[str, str]:
    """Return the versions of Python and of the packages that a job's figures come from."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


@functools.cache
def processor(device: str) -> str:
    """Return what a device is called by its maker, such as the CPU's model; empty where nothing tells."""
    if device.startswith("cuda"):
        tool = shutil.which("nvidia-smi")
        query = [tool or "", f"--id={device.partition(':')[2] or 0}", "--query-gpu=name", "--format=csv,noheader"]
        return _said(query) if tool else ""
    if sys.platform == "darwin":
        return _said(["sysctl", "-n", "machdep.cpu.brand_string"])
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _said(command: list[str]) -> str:
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def noted(device: str) -> dict[str, Any]:
    """Return what a job notes of the machine at submit, by which a replay tells whether it is the same."""
    return {"versions": software(), "platform": platform.platform(), "processor": processor(device)}


def oom_kills() -> int:
    """Return how many processes the system has killed for want of memory since it started; 0 where it does not tell."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def _is_apple() -> bool:
    return sys.platform == "darwin" and platform.machine() == "arm64"
