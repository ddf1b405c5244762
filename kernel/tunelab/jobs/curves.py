"""A job's metrics as curves, kept so that a million points cost four bytes each and appends cost nothing."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from math import isnan
from typing import Any

from tunelab.jobs.journal import Event

#: From so many points on a curve is thinned by numpy.
_LONG = 10_000


class Curve(Sequence[tuple[int, float]]):
    """The points (step, value) of one metric, steps ascending.

    Steps are kept as runs ``[first, stride, count]``, since trainers log at equal distances; values as float32, a
    missing one as NaN.
    """

    def __init__(self, points: Iterable[tuple[int, float | None]] = ()) -> None:
        self.runs: list[list[int]] = []
        self.values = array("f")
        #: How many points were handed out by `take`, and whether some of them were cut since.
        self.told = 0
        self.was_cut = False
        for step, value in points:
            self.append(step, value)

    def append(self, step: int, value: float | None) -> None:
        """Add a point; one at or beyond `step` that is there already is replaced, since the later word counts."""
        if self.runs and step <= self.last_step:
            self.cut(step - 1)
        self.values.append(float("nan") if value is None else value)
        if self.runs:
            run = self.runs[-1]
            first, stride, count = run
            if count == 1:
                run[1], run[2] = step - first, 2
                return
            if step == first + stride * count:
                run[2] += 1
                return
        self.runs.append([step, 0, 1])

    def cut(self, step: int) -> None:
        """Take away all points beyond `step`."""
        while self.runs and self.runs[-1][0] > step:
            del self.values[len(self.values) - self.runs.pop()[2] :]
        if self.runs and step < self.last_step:
            first, stride, count = self.runs[-1]
            kept = (step - first) // stride + 1
            del self.values[len(self.values) - (count - kept) :]
            self.runs[-1] = [first, stride if kept > 1 else 0, kept]
        if len(self.values) < self.told:
            self.told, self.was_cut = len(self.values), True

    @property
    def last_step(self) -> int:
        """The step of the last point; there is one."""
        first, stride, count = self.runs[-1]
        return first + stride * (count - 1)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Any) -> Any:
        """Return a point, or a list of points for a slice."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        starts = self._starts()
        run = bisect_right(starts, place) - 1
        first, stride, _ = self.runs[run]
        return first + stride * (place - starts[run]), self.values[place]

    def __iter__(self) -> Iterator[tuple[int, float]]:
        steps = (first + stride * place for first, stride, count in self.runs for place in range(count))
        return zip(steps, self.values, strict=True)

    def runs_from(self, place: int) -> list[list[int]]:
        """Return the steps of the points from index `place` on, as runs."""
        found: list[list[int]] = []
        end = len(self.values)
        for first, stride, count in reversed(self.runs):
            if end <= place:
                break
            skipped = max(0, place - (end - count))
            found.append([first + stride * skipped, stride, count - skipped])
            end -= count
        return found[::-1]

    def thinned(self, limit: int) -> Curve:
        """Return at most about `limit` points with the same outline: the least and greatest of each stretch."""
        if len(self) <= limit:
            return self
        width = -(-len(self) * 2 // limit)
        chosen = {*(_outline if len(self) < _LONG else _outline_of_long)(self.values, width), len(self) - 1}
        starts, thin = self._starts(), Curve()
        for place in sorted(chosen):
            run = bisect_right(starts, place) - 1
            first, stride, _ = self.runs[run]
            thin.append(first + stride * (place - starts[run]), self.values[place])
        return thin

    def _starts(self) -> list[int]:
        starts, total = [], 0
        for _, _, count in self.runs:
            starts.append(total)
            total += count
        return starts


def _outline(values: array[float], width: int) -> Iterator[int]:
    """Yield the places of the least and the greatest value of each stretch of `width`."""
    for begin in range(0, len(values), width):
        places = [place for place in range(begin, min(begin + width, len(values))) if not isnan(values[place])]
        if places:
            yield min(places, key=values.__getitem__)
            yield max(places, key=values.__getitem__)


def _outline_of_long(values: array[float], width: int) -> Iterator[int]:
    """Yield the same by numpy, which a kernel with short curves need not load."""
    import numpy as np

    rows = -(-len(values) // width)
    padded = np.full(rows * width, np.nan, dtype=np.float32)
    # A copy: an array that numpy looks into cannot grow meanwhile.
    padded[: len(values)] = np.frombuffer(values.tobytes(), dtype=np.float32)
    stretches = padded.reshape(rows, width)
    is_missing = np.isnan(stretches)
    begins = np.arange(rows) * width
    for fill, extreme in ((np.inf, np.argmin), (-np.inf, np.argmax)):
        places = begins + extreme(np.where(is_missing, fill, stretches), axis=1)
        yield from places[~is_missing.all(axis=1)].tolist()


class Curves(dict[str, Curve]):
    """The curves of one job by metric, folded from its journal."""

    def fold(self, event: Event) -> None:
        """Take one event in; a recovery voids what was said of the steps that are done again."""
        if event["type"] == "metric":
            for name, value in event["values"].items():
                if name not in self:
                    self[name] = Curve()
                self[name].append(event["step"], value)
        elif event["type"] == "state" and "from_step" in event:
            for curve in self.values():
                curve.cut(event["from_step"])

    def take(self) -> tuple[list[dict[str, Any]], bytes]:
        """Return what is new since the last call, as `pack` writes it."""
        new = {name: curve for name, curve in self.items() if curve.told < len(curve) or curve.was_cut}
        packed = pack(new, {name: curve.told for name, curve in new.items()})
        for curve in new.values():
            curve.told, curve.was_cut = len(curve), False
        return packed


def pack(curves: dict[str, Curve], begin: dict[str, int] | None = None) -> tuple[list[dict[str, Any]], bytes]:
    """Return curves as a page reads them: an index, and one buffer of little-endian float32.

    Each entry of the index is ``{"name", "at", "runs"}``: the values that follow in the buffer stand at index ``at`` of
    the curve and end it; ``runs`` are their steps. A page that has more than ``at`` points forgets those.
    """
    index, values = [], array("f")
    for name, curve in curves.items():
        at = (begin or {}).get(name, 0)
        index.append({"name": name, "at": at, "runs": curve.runs_from(at)})
        values += curve.values[at:]
    return index, values.tobytes()
