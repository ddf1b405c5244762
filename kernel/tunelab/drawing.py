"""A small graph as an SVG picture: boxes in layers from left to right, after Sugiyama et al. 1981, without a library.

A layer is the longest way from a source; within a layer boxes are ordered by the mean place of their neighbours.
"""

from __future__ import annotations

import html
from dataclasses import dataclass

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _EDGE = 190, 44, 70, 16, 8
_LETTERS = 26
_SWEEPS = 4

_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:currentColor}.k{font-size:10px;opacity:.75}"
    "rect{fill:none;stroke:currentColor;stroke-opacity:.5}.c rect{stroke:#1976d2;stroke-opacity:1;stroke-width:2}"
    "path{fill:none;stroke:currentColor;stroke-opacity:.45}"
)


@dataclass(frozen=True)
class Box:
    """One node: what it is called, what it is, and whether the picture is about it."""

    id: str
    label: str
    kind: str
    is_centre: bool = False


@dataclass(frozen=True)
class Arrow:
    """From one box to another, with what that means."""

    source: str
    target: str
    meaning: str


def svg(boxes: list[Box], arrows: list[Arrow], title: str) -> str:
    """Return the picture; it takes the text's colour, so that it is read in light and dark."""
    layers = _ordered(_layers(boxes, arrows), arrows)
    tallest = max((len(layer) for layer in layers), default=1)
    height = tallest * (_HEIGHT + _GAP_Y) - _GAP_Y + 2 * _EDGE
    width = len(layers) * (_WIDTH + _GAP_X) - _GAP_X + 2 * _EDGE
    place: dict[str, tuple[float, float]] = {}
    for column, layer in enumerate(layers):
        top = (height - len(layer) * (_HEIGHT + _GAP_Y) + _GAP_Y) / 2
        for row, name in enumerate(layer):
            place[name] = (_EDGE + column * (_WIDTH + _GAP_X), top + row * (_HEIGHT + _GAP_Y))
    drawn = [_line(arrow, place) for arrow in arrows] + [_box(box, *place[box.id]) for box in boxes]
    name = html.escape(title, quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{name}" width="{width}" height="{height:g}" '
        f'viewBox="0 0 {width} {height:g}" style="max-width:100%;height:auto"><style>{_STYLE}</style>'
        f"<defs><marker id='tunelab-arrow' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='7' markerHeight='7' "
        f"orient='auto'><path d='M0 0 8 4 0 8' /></marker></defs>{''.join(drawn)}</svg>"
    )


def _layers(boxes: list[Box], arrows: list[Arrow]) -> list[list[str]]:
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
    # A source stands just before what uses it first.
    for box in boxes:
        uses = [depth[arrow.target] for arrow in arrows if arrow.source == box.id]
        if uses and not any(arrow.target == box.id for arrow in arrows):
            depth[box.id] = min(uses) - 1
    used = sorted(set(depth.values()))
    return [[box.id for box in boxes if depth[box.id] == level] for level in used]


def _ordered(layers: list[list[str]], arrows: list[Arrow]) -> list[list[str]]:
    near: dict[str, list[str]] = {}
    for arrow in arrows:
        near.setdefault(arrow.source, []).append(arrow.target)
        near.setdefault(arrow.target, []).append(arrow.source)
    for sweep in range(_SWEEPS):
        place = {name: row / max(1, len(layer)) for layer in layers for row, name in enumerate(layer)}

        def mean(name: str, place: dict[str, float] = place) -> float:
            around = [place[other] for other in near.get(name, ())]
            return sum(around) / len(around) if around else place[name]

        for layer in layers if sweep % 2 == 0 else layers[::-1]:
            layer.sort(key=mean)
            place |= {name: row / max(1, len(layer)) for row, name in enumerate(layer)}
    return layers


def _line(arrow: Arrow, place: dict[str, tuple[float, float]]) -> str:
    (x1, y1), (x2, y2) = place[arrow.source], place[arrow.target]
    x1, y1, y2 = x1 + _WIDTH, y1 + _HEIGHT / 2, y2 + _HEIGHT / 2
    bend = max(30.0, (x2 - x1) / 2)
    path = f"M{x1:g} {y1:g}C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2:g} {y2:g}"
    return f"<path d='{path}' marker-end='url(#tunelab-arrow)'><title>{html.escape(arrow.meaning)}</title></path>"


def _box(box: Box, x: float, y: float) -> str:
    short = box.label if len(box.label) <= _LETTERS else f"{box.label[: _LETTERS - 1]}…"
    return (
        f"<g class='{'c' if box.is_centre else ''}'><title>{html.escape(f'{box.kind}: {box.label}')}</title>"
        f"<rect x='{x:g}' y='{y:g}' width='{_WIDTH}' height='{_HEIGHT}' rx='6'/>"
        f"<text x='{x + 10:g}' y='{y + 18:g}'>{html.escape(short)}</text>"
        f"<text class='k' x='{x + 10:g}' y='{y + 34:g}'>{html.escape(box.kind)}</text></g>"
    )
