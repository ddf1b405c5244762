"""What the processes of `train_speed.py` report, and the tables and the verdict that come of it."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

DEFAULTS, WELL_SET, TUNELAB = WAYS = ("TRL's defaults", "TRL well set", "tunelab")
#: What is wanted of the medians, and of the lower quartile of every ratio.
FASTER = {DEFAULTS: 5.0, WELL_SET: 2.5}
NOWHERE_SLOWER = 0.95
OF_THE_FLOOR, OF_THE_MEMORY, LOSS_WITHIN = 0.7, 0.5, 1e-3


@dataclass(frozen=True)
class Ready:
    """What a training says before its first step: its settings, the seconds of its reference pass, its matrices."""

    setting: str
    reference_s: float
    reference_cpu_s: float
    shapes: dict[tuple[int, int], int]


@dataclass(frozen=True)
class Step:
    """What a training says of a step; `rows` is a digest of the tokens it was given, `needs` its operations."""

    wall_s: float
    cpu_s: float
    loss: float
    rows: str
    tokens: int
    needs: float
    peak: int


@dataclass
class Result:
    """What came out of a case; `steps` by way has what the processes reported, `ended` why one had to be."""

    name: str
    technique: str
    planned: int
    warm: bool = True
    settings: dict[str, str] = field(default_factory=dict)
    reference: dict[str, tuple[float, float]] = field(default_factory=dict)
    steps: dict[str, list[Step]] = field(default_factory=lambda: {way: [] for way in WAYS})
    rates: list[float] = field(default_factory=list)
    ended: dict[str, str] = field(default_factory=dict)

    def counted(self, way: str) -> list[Step]:
        """Return the steps that count."""
        return self.steps[way][1 if self.warm else 0 :]

    def times(self, way: str, kind: str) -> list[float]:
        """Return the seconds ("wall_s" or "cpu_s") of the steps that count, with their share of a reference pass."""
        share = self.reference.get(way, (0.0, 0.0))[kind == "cpu_s"] / self.planned
        return [getattr(step, kind) + share for step in self.counted(way)]

    def ratios(self, peer: str, kind: str) -> list[float]:
        """Return a peer's times over tunelab's, by step."""
        return [a / b for a, b in zip(self.times(peer, kind), self.times(TUNELAB, kind), strict=False)]

    def peak(self, way: str) -> float:
        """Return the most bytes that a process had."""
        return max(step.peak for step in self.steps[way])

    def off(self, peer: str) -> float:
        """Return the largest difference of a step's loss to tunelab's."""
        return max(abs(a.loss - b.loss) for a, b in zip(self.steps[peer], self.steps[TUNELAB], strict=False))

    def shares(self) -> list[float]:
        """Return tunelab's share of the floor's speed, by step."""
        rates = self.rates[1 if self.warm else 0 :]
        return [s.needs / rate / s.wall_s for s, rate in zip(self.counted(TUNELAB), rates, strict=True)]

    def compares(self, peer: str) -> bool:
        """Tell whether both made a step that counts."""
        return bool(peer not in self.ended and self.counted(peer) and self.counted(TUNELAB))

    def is_exact(self) -> bool:
        """Tell whether both TRL well set and tunelab computed in float32."""
        return all(self.settings.get(way, "").startswith("float32") for way in (WELL_SET, TUNELAB))


def report(results: list[Result]) -> list[str]:
    """Return the table's lines: for each case one line a way, and what they were set to."""
    head = ("", "", "s a step", "× by the wall", "× by CPU time", "peak GB", "×", "loss within", "floor's speed")
    rows = [head]
    for result in results:
        for way in WAYS:
            if way in result.settings or way in result.ended:
                rows.append((result.name, way, *_cells(result, way)))
    # A way that was ended has its reason in place of the numbers.
    widths = [max(len(row[at]) for row in rows if at < 2 or len(row) == len(head)) for at in range(len(head))]
    lines, before = [], ""
    for row in rows:
        name = "" if row[0] == before else row[0]
        before = row[0]
        cells = [name.ljust(widths[0]), row[1].ljust(widths[1])]
        cells += [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=False)]
        lines.append("  ".join(cells).rstrip())
    for setting, names in _settings(results).items():
        lines.append(f"{setting}: {names}")
    return lines


def _cells(result: Result, way: str) -> tuple[str, ...]:
    if way in result.ended:
        return (result.ended[way],)
    if not result.counted(way):
        return ("no step",)
    steps = result.times(way, "wall_s")
    taken = f"{statistics.median(steps):.2f}{'' if result.warm else '*'}"
    peak = f"{result.peak(way) / 1e9:.2f}"
    if way == TUNELAB:
        tokens = statistics.median(s.tokens / s.wall_s for s in result.counted(way))
        return taken, f"{tokens:.0f} tokens/s", "", peak, "", "", _spread(result.shares(), 100, "%")
    if not result.compares(way):
        return taken, "", "", peak, "", "", ""
    wall, cpu = (_spread(result.ratios(way, kind)) for kind in ("wall_s", "cpu_s"))
    return taken, wall, cpu, peak, f"{result.peak(way) / result.peak(TUNELAB):.1f}", f"{result.off(way):.1e}", ""


def _spread(values: list[float], factor: float = 1, unit: str = "") -> str:
    low, middle, high = (factor * value for value in quartiles(values))
    digits = 0 if unit else 2
    return f"{middle:.{digits}f}{unit} ({low:.{digits}f} … {high:.{digits}f})"


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """Return lower quartile, median and upper quartile; of one value, that value."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def _settings(results: list[Result]) -> dict[str, str]:
    """Return "way, its settings" -> the cases that had them."""
    found: dict[str, list[str]] = {}
    for way in WAYS:
        for result in results:
            if way in result.settings:
                found.setdefault(f"{way} ({result.settings[way]})", []).append(result.name)
    for result in results:
        for way, (wall_s, _) in result.reference.items():
            found.setdefault(f"{way}'s reference pass", []).append(
                f"{result.name} {wall_s:.1f} s for {result.planned} steps"
            )
    return {
        setting: "all"
        if len(names) == len(results) > 1 and names == [one.name for one in results]
        else "; ".join(names)
        for setting, names in found.items()
    }


def verdict(real: list[Result], results: list[Result]) -> int:
    """Print each budget with what came out worst, and return the exit status."""
    lines = []

    def judge(what: str, wanted: str, worst: tuple[float, str] | None, is_kept: bool) -> None:
        if worst is not None:
            lines.append((what, wanted, f"{worst[0]:.3g} ({worst[1]})", "kept" if is_kept else "MISSED"))

    for peer, factor in FASTER.items():
        medians = [(statistics.median(r.ratios(peer, "wall_s")), r.name) for r in real if r.compares(peer)]
        worst = min(medians, default=None)
        judge(f"faster than {peer}, median", f"{factor:g} ×", worst, worst is not None and worst[0] >= factor)
    lowest = [
        (quartiles(r.ratios(peer, "wall_s"))[0], f"{r.name}, {peer}")
        for r in results
        for peer in FASTER
        if r.compares(peer)
    ]
    worst = min(lowest, default=None)
    judge(
        "nowhere slower, lower quartile",
        f"{NOWHERE_SLOWER:g} ×",
        worst,
        worst is not None and worst[0] >= NOWHERE_SLOWER,
    )
    pairs = [r for r in real if r.technique == "dpo" and r.compares(WELL_SET)]
    memory = [(r.peak(TUNELAB) / r.peak(WELL_SET), r.name) for r in pairs]
    worst = max(memory, default=None)
    judge(
        f"memory of a DPO step, of {WELL_SET}'s",
        f"{OF_THE_MEMORY:g}",
        worst,
        worst is not None and worst[0] <= OF_THE_MEMORY,
    )
    shares = [(statistics.median(r.shares()), r.name) for r in real if r.counted(TUNELAB)]
    worst = min(shares, default=None)
    judge("the floor's speed, median", f"{OF_THE_FLOOR:.0%}", worst, worst is not None and worst[0] >= OF_THE_FLOOR)
    off = [(r.off(WELL_SET), r.name) for r in results if r.is_exact() and r.compares(WELL_SET)]
    worst = max(off, default=None)
    judge("losses in float32 within", f"{LOSS_WITHIN:g}", worst, worst is not None and worst[0] <= LOSS_WITHIN)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print("\nwanted, and the row where it is least so")
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    failed = [r.name for r in results if TUNELAB in r.ended]
    if failed:
        print(f"tunelab did not come through: {', '.join(failed)}")
    return 0 if not failed and all(line[3] == "kept" for line in lines) else 1
