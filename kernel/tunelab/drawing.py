"""A small graph as an SVG picture: boxes in layers from left to right, after Sugiyama et al. 1981, without a library.

A layer is the longest way from a source; within a layer boxes are ordered by the mean place of their neighbours. A line
that passes a layer takes a place of its own there, so that it runs between boxes and not behind them.
"""

from __future__ import annotations

import html
import itertools
from dataclasses import dataclass

from tunelab.texts import plain

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _EDGE, _LINE = 190, 44, 100, 14, 8, 6
_LETTERS = 25
_SWEEPS = 6

#: An SVG in a page is a part of it, and its rules are the whole page's: all of them are of this class alone.
_STYLE = "".join(
    f".tunelab-picture {rule}"
    for rule in (
        "text{font:12px system-ui,-apple-system,'Segoe UI',sans-serif;fill:currentColor}",
        ".k{font-size:10px;opacity:.75}",
        ".m{font-size:10px;opacity:.75}",
        "rect{fill:currentColor;fill-opacity:.03;stroke:currentColor;stroke-opacity:.45}",
        ".c rect{stroke:#1e88e5;stroke-opacity:1;stroke-width:2.5}",
        ".c .n{font-weight:600}",
        ".gone rect{stroke-dasharray:4 3}",
        "path{fill:none;stroke:currentColor;stroke-opacity:.4}",
        "marker path{fill:currentColor;fill-opacity:.6;stroke:none}",
        ".s{stroke-width:4;stroke-linecap:round}",
        ".model{stroke:#1e88e5;stroke-opacity:1}",
        ".dataset{stroke:#00897b;stroke-opacity:1}",
        ".evaluation{stroke:#ab47bc;stroke-opacity:1}",
    )
)


@dataclass(frozen=True)
class Box:
    """One node: what it is called, what it is in words and by its colour's name, and whether it stands out.

    `short` is what the box says where a name is long; the whole of it is in its title.
    """

    id: str
    label: str
    kind: str
    colour: str = ""
    is_centre: bool = False
    is_gone: bool = False
    short: str = ""


@dataclass(frozen=True)
class Arrow:
    """From one box to another, with what that means."""

    source: str
    target: str
    meaning: str


#: A box's id, or where an arrow, by its number, passes a layer.
_Place = str | tuple[int, int]


def svg(boxes: list[Box], arrows: list[Arrow], title: str, told: str = "") -> str:
    """Return the picture; it takes the text's colour, so that it is read in light and dark.

    Parameters
    ----------
    boxes, arrows
        The graph; arrows are between these boxes.
    title
        The picture's name.
    told
        The same in words, for who does not see it.
    """
    layers, ways = _layers(boxes, arrows)
    _order(layers, ways)
    heights = [sum(_tall(one) + _GAP_Y for one in layer) - _GAP_Y for layer in layers]
    height = max(heights, default=0) + 2 * _EDGE
    width = len(layers) * (_WIDTH + _GAP_X) - _GAP_X + 2 * _EDGE
    place: dict[_Place, tuple[float, float]] = {}
    for column, layer in enumerate(layers):
        y = (height - heights[column]) / 2
        for one in layer:
            place[one] = (_EDGE + column * (_WIDTH + _GAP_X), y + _tall(one) / 2)
            y += _tall(one) + _GAP_Y
    drawn = [_line(arrow, [place[one] for one in way]) for arrow, way in zip(arrows, ways, strict=True)]
    drawn += _meanings(arrows, place)
    drawn += [_box(box, *place[box.id]) for box in boxes]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="tunelab-picture" role="img" aria-label="{_text(title)}" '
        f'width="{width}" height="{height:g}" viewBox="0 0 {width} {height:g}" style="max-width:100%;height:auto">'
        f"<title>{_text(title)}</title><desc>{_text(told)}</desc><style>{_STYLE}</style>"
        '<defs><marker id="tunelab-arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
        f'orient="auto"><path d="M0 1 8 4 0 7z"/></marker></defs>{"".join(drawn)}</svg>'
    )


def _layers(boxes: list[Box], arrows: list[Arrow]) -> tuple[list[list[_Place]], list[list[_Place]]]:
    """Return what stands in each layer, and for each arrow what it passes, its ends included."""
    depth = {box.id: 0 for box in boxes}
    # As many rounds as the longest way has steps; a circle, which lineage has none of, ends with the boxes.
    for _ in boxes:
        moved = False
        for arrow in arrows:
            if depth[arrow.target] < depth[arrow.source] + 1 <= len(boxes):
                depth[arrow.target] = depth[arrow.source] + 1
                moved = True
        if not moved:
            break
    used: dict[str, list[int]] = {}
    for arrow in arrows:
        used.setdefault(arrow.source, []).append(depth[arrow.target])
    made = {arrow.target for arrow in arrows}
    # A source stands just before what uses it first.
    for box in boxes:
        if box.id in used and box.id not in made:
            depth[box.id] = min(used[box.id]) - 1
    layers: list[list[_Place]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for box in boxes:
        layers[depth[box.id]].append(box.id)
    ways: list[list[_Place]] = []
    for number, arrow in enumerate(arrows):
        passed: list[_Place] = []
        for level in range(depth[arrow.source] + 1, depth[arrow.target]):
            passed.append((number, level))
            layers[level].append((number, level))
        ways.append([arrow.source, *passed, arrow.target])
    return layers, ways


def _order(layers: list[list[_Place]], ways: list[list[_Place]]) -> None:
    """Bring each layer into an order in which fewer lines cross."""
    near: dict[_Place, list[_Place]] = {}
    for way in ways:
        for one, other in itertools.pairwise(way):
            near.setdefault(one, []).append(other)
            near.setdefault(other, []).append(one)
    at = {one: (row + 0.5) / len(layer) for layer in layers for row, one in enumerate(layer)}
    for sweep in range(_SWEEPS):
        for layer in layers if sweep % 2 == 0 else layers[::-1]:
            mean = {one: sum(at[other] for other in near[one]) / len(near[one]) for one in layer if one in near}
            layer.sort(key=lambda one, mean=mean: mean.get(one, at[one]))  # type: ignore[misc]
            at |= {one: (row + 0.5) / len(layer) for row, one in enumerate(layer)}


def _tall(one: _Place) -> int:
    return _HEIGHT if isinstance(one, str) else _LINE


def _line(arrow: Arrow, points: list[tuple[float, float]]) -> str:
    (x, y), *passed = points
    x += _WIDTH
    path = f"M{x:g} {y:g}"
    for number, (x2, y2) in enumerate(passed):
        path += f"C{x + _GAP_X / 2:g} {y:g} {x2 - _GAP_X / 2:g} {y2:g} {x2:g} {y2:g}"
        x, y = x2, y2
        if number < len(passed) - 1:
            x += _WIDTH
            path += f"H{x:g}"
    return f'<path d="{path}" marker-end="url(#tunelab-arrow)"><title>{_text(arrow.meaning)}</title></path>'


def _meanings(arrows: list[Arrow], place: dict[_Place, tuple[float, float]]) -> list[str]:
    """Write what its arrows mean behind each box, once."""
    said: dict[str, dict[str, None]] = {}
    for arrow in arrows:
        said.setdefault(arrow.source, {})[arrow.meaning] = None
    drawn = []
    for name, meanings in said.items():
        x, y = place[name]
        drawn += [
            f'<text class="m" x="{x + _WIDTH + 6:g}" y="{y - 5 + row * 16:g}">{_text(_short(meaning, 18))}</text>'
            for row, meaning in enumerate(meanings)
        ]
    return drawn


def _box(box: Box, x: float, y: float) -> str:
    top = y - _HEIGHT / 2
    state = ("c" if box.is_centre else "") + (" gone" if box.is_gone else "")
    return (
        f'<g class="{state.strip()}"><title>{_text(f"{box.kind}: {box.label}")}</title>'
        f'<rect x="{x:g}" y="{top:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="6"/>'
        f'<path d="M{x + 1:g} {top + 7:g}v{_HEIGHT - 14}" class="s {box.colour}"/>'
        f'<text class="n" x="{x + 12:g}" y="{top + 18:g}">{_text(_short(box.short or box.label, _LETTERS))}</text>'
        f'<text class="k" x="{x + 12:g}" y="{top + 34:g}">{_text(box.kind)}</text></g>'
    )


def _short(text: str, length: int) -> str:
    text = plain(text)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _text(text: str) -> str:
    return html.escape(plain(text), quote=True)
