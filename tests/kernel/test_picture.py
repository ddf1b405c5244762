"""The picture of an ended job: whatever its texts and curves are, an SVG that stands alone and shows them truly."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest

from tunelab.jobs.curves import Curve
from tunelab.notebook.picture import number, picture

SVG = "{http://www.w3.org/2000/svg}"
JOB: dict[str, Any] = {
    "id": "chatty-20260101-120000-ab12",
    "name": "chatty",
    "technique": "dpo",
    "model": "smollm2-135m",
    "dataset": "human-like@1",
    "adapter": "LoRA r16",
    "state": "completed",
    "sentence": "Completed in 12 min: chatty@1",
    "reason": None,
    "metrics": [
        {"name": "eval_loss", "value": 0.5625, "step": 120},
        {"name": "eval_rewards/margins", "value": 1.23456, "step": 120},
        {"name": "loss", "value": 0.3125, "step": 124},
    ],
    "logs": [],
    "checkpoint": {"step": 120},
    "rows": {"train": 12345, "eval": 100},
    "model_version": "chatty@1",
    "started": 1_790_000_000.0,
}
#: Each curve that dpo's charts draw.
DRAWN = ["rewards/margins", "loss", "rewards/chosen", "rewards/rejected", "rewards/accuracies", "entropy"]
DRAWN += ["learning_rate", *(f"eval_{name}" for name in ("rewards/margins", "loss", "rewards/accuracies", "entropy"))]

TAGS = {"svg", "title", "desc", "style", "rect", "circle", "line", "polyline", "polygon", "text"}
PLACES = {"x", "y", "x1", "x2", "y1", "y2", "cx", "cy"}
ATTRIBUTES = PLACES | {"width", "height", "viewBox", "role", "aria-label", "class", "rx", "r", "points", "text-anchor"}


def drawn(curves: dict[str, Any] | None = None, **changes: Any) -> ElementTree.Element:
    """The picture as an XML parser reads it, after a check of what holds for every one."""
    svg = picture(JOB | changes, curves or {})
    svg.encode()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", svg)
    root = ElementTree.fromstring(svg)
    width = float(root.attrib["width"])
    for element in root.iter():
        assert element.tag.removeprefix(SVG) in TAGS
        assert set(element.attrib) <= ATTRIBUTES
        for name in PLACES & set(element.attrib):
            assert 0 <= float(element.attrib[name]) <= max(width, float(root.attrib["height"]))
        assert all(math.isfinite(float(part)) for part in re.split("[ ,]", element.get("points", "0")))
    style = root.findtext(f"{SVG}style") or ""
    assert "url(" not in style and "@import" not in style
    return root


def texts(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def lines(root: ElementTree.Element) -> list[list[tuple[float, float]]]:
    """The places of each polyline."""
    found = [element.attrib["points"].split() for element in root.iter(f"{SVG}polyline")]
    return [[(float(x), float(y)) for x, y in (place.split(",") for place in line)] for line in found]


HOSTILE = {
    "markup": ("<script>alert(1)</script>", "<script>alert(1)</script>"),
    "handler": ("<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"),
    "end of the text": ("</text></svg><script/>", "</text></svg><script/>"),
    "end of a section": ("]]><!-- &amp; &#0;", "]]><!-- &amp; &#0;"),
    "quotes": ("\"' onload='alert(1)", "\"' onload='alert(1)"),
    "colours": ("a \x1b[1;31mred\x1b[0m one", "a red one"),
    "C1 colours": ("a \x9b31mred\x9b0m one", "a red one"),
    "a link": ("\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\", "link"),
    "controls": ("a\x00b\x07c\x7fd\x85e\x1b", "abcde"),
    "lone surrogates": ("a\ud800b\udfffc", "abc"),
    "no characters": ("a\ufffeb\uffffc", "abc"),
    "scripts of the world": ("ünï 東京 🎉👩‍🚀", "ünï 東京 🎉👩‍🚀"),
}


@pytest.mark.parametrize("field", ["name", "model", "dataset", "adapter", "sentence", "model_version"])
@pytest.mark.parametrize(("raw", "shown"), HOSTILE.values(), ids=HOSTILE.keys())
def test_foreign_text_is_shown_as_text(field: str, raw: str, shown: str) -> None:
    assert shown in "\n".join(texts(drawn(**{field: raw})))


@pytest.mark.parametrize("raw", [raw for raw, _ in HOSTILE.values()], ids=HOSTILE.keys())
def test_foreign_text_of_the_unseen_parts_does_no_harm(raw: str) -> None:
    log = {"time": raw, "level": raw, "text": raw}
    metric = {"name": f"eval_{raw}", "value": 1.0, "step": 1}
    root = drawn({raw: Curve([(1, 1.0)])}, id=raw, reason=raw, logs=[log], metrics=[metric], state=raw)
    assert (root.findtext(f"{SVG}title") or "").startswith("Job ")


@pytest.mark.parametrize("text", ["x" * 100_000, "word " * 20_000, "\n" * 10_000, "", "🎉" * 10_000])
def test_long_text_is_cut_within_the_picture(text: str) -> None:
    root = drawn(name=text, model=text, dataset=text, adapter=text, sentence=text, model_version=text)
    assert len(ElementTree.tostring(root)) < 20_000
    for element in root.iter(f"{SVG}text"):
        assert float(element.attrib["x"]) + 5.5 * len(element.text or "") <= 980


def test_it_says_what_came_out() -> None:
    found = texts(drawn({"loss": Curve([(1, 0.75), (124, 0.3125)]), "eval_loss": Curve([(120, 0.5625)])}))
    for fact in ("chatty", "DPO · smollm2-135m · human-like@1 · LoRA r16", "Completed in 12 min: chatty@1"):
        assert fact in found
    pairs = dict(pairwise(found))
    assert pairs["Held-out margin"] == "1.23 at step 120"
    assert pairs["Held-out loss"] == "0.563 at step 120"
    assert pairs["Rows"] == "12,345 train · 100 held out"
    assert pairs["Checkpoint"] == "step 120"
    assert pairs["Custom model"] == "chatty@1"
    assert pairs["0.313"] == "0.563", "the last of the curve, and of its held-out twin"


def test_of_a_job_that_failed_early_there_is_a_picture_too() -> None:
    nothing = {"metrics": [], "checkpoint": None, "started": None, "model_version": None}
    root = drawn(state="failed", sentence="Failed: no memory", rows={"train": 9, "eval": 0}, **nothing)
    assert texts(root) == [
        *("chatty", "DPO · smollm2-135m · human-like@1 · LoRA r16", "Failed: no memory"),
        *("Rows", "9 train"),
    ]
    assert next(root.iter(f"{SVG}circle")).get("class") == "bad"
    missing = drawn(metrics=[{"name": "eval_loss", "value": None, "step": 3}])
    assert "Held-out loss" not in texts(missing)


def test_it_has_colours_for_light_and_dark_and_no_rule_for_the_page_around_it() -> None:
    root = drawn({name: Curve([(1, 0.0), (2, 1.0)]) for name in DRAWN})
    light, media, dark = (root.findtext(f"{SVG}style") or "").partition("@media(prefers-color-scheme:dark)")
    assert media

    def colours(rules: str) -> dict[str, str]:
        found = re.findall(r"\.tunelab-job ([.\w]+)\{[^}]*?(?:fill|stroke):(#\w+)", rules)
        return dict(found)

    turned = {"text", ".s", ".w", ".card", ".line", ".g", *(f".{kind}{place}" for kind in "kf" for place in range(5))}
    assert set(colours(dark)) == turned <= set(colours(light))
    assert all(colours(light)[name] != colours(dark)[name] for name in turned)
    selectors = re.findall(r"[^{}]+(?=\{[^{}]*\})", light + dark)
    assert all(selector.startswith(".tunelab-job ") for selector in selectors)
    assert root.get("class") == "tunelab-job"


def test_a_reinforcement_run_has_its_reward_with_a_band_its_parts_and_its_warnings() -> None:
    curves = {
        "reward": Curve([(1, 0.25), (2, 0.5), (3, 0.75)]),
        "reward_std": Curve([(1, 0.25), (2, NAN), (3, 0.25)]),
        "rewards/right/mean": Curve([(1, 0.0), (3, 1.0)]),
        "rewards/<short>/mean": Curve([(1, 1.0), (3, 0.5)]),
    }
    alert = {"code": "no_spread", "message": "<All> rewards are equal.", "advice": "", "step": 3, "count": 1}
    metric = {"name": "eval_reward", "value": 0.5, "step": 3}
    root = drawn(curves, technique="rlvr", alerts=[alert] * 9, metrics=[metric])
    found = texts(root)
    assert found.count("⚠ <All> rewards are equal.") == 4, "so many have room"
    assert {"Reward", "Parts", "right", "<short>"} <= set(found)
    assert dict(pairwise(found))["Held-out reward"] == "0.500 at step 3"
    (band,) = root.iter(f"{SVG}polygon")
    (x1, high1), (x2, high2), (_, low2), (_, low1) = (map(float, at.split(",")) for at in band.attrib["points"].split())
    first, *_, last = lines(root)[0]
    assert (x1, x2) == (first[0], last[0]), "where there is no deviation there is no edge"
    # From 0 to 0.5, then from 0.5 to 1, on an axis of 84 pixels.
    assert [low1 - high1, low1 - low2, low1 - high2] == pytest.approx([42, 42, 84], abs=0.2)
    one = {name: curve for name, curve in curves.items() if "short" not in name}
    assert "Parts" not in texts(drawn(one, technique="rlaif")), "one part is the reward itself"


def test_long_curves_make_a_small_picture() -> None:
    curves = {name: Curve((step, math.sin(step * step)) for step in range(100_000)) for name in DRAWN}
    assert [len(line) > 300 for line in lines(drawn(curves))] == [True] * len(DRAWN)
    assert len(picture(JOB, curves).encode()) < 64_000


def test_peaks_of_long_curves_are_kept_where_they_are() -> None:
    peaks = {33_333: -1e6, 77_777: 1e6}
    root = drawn({"loss": Curve((step, peaks.get(step, 0.0)) for step in range(100_000))})
    (line,) = lines(root)
    (x0, y0), (x1, _) = line[0], line[-1]
    found = [((x - x0) / (x1 - x0), y - y0) for x, y in line if y != y0]
    assert [share for share, _ in found] == pytest.approx([0.33333, 0.77777], abs=0.001)
    assert [height for _, height in found] == pytest.approx([42, -42], abs=0.2)


NAN, INF = math.nan, math.inf
#: A curve's values, the points of each stretch that is drawn, and the ticks of the axis.
CURVES = {
    "none": ([], [], []),
    "one point": ([0.5], [1], ["0.50"]),
    "constant": ([3.0, 3.0, 3.0], [3], ["3.0"]),
    "zero": ([0.0, 0.0], [2], ["0"]),
    "gap": ([1.0, 2.0, NAN, 3.0, 1.0, 1.0], [2, 3], ["3.0", "2.0", "1.0"]),
    "gaps at the ends": ([NAN, 1.0, 3.0, NAN], [2], ["3.0", "2.0", "1.0"]),
    "alone between gaps": ([1.0, 3.0, NAN, 2.0, NAN], [2, 1], ["3.0", "2.0", "1.0"]),
    "only gaps": ([NAN, NAN], [], []),
    "infinite": ([1.0, 3.0, INF, -INF, 2.0], [2, 1], ["3.0", "2.0", "1.0"]),
    "greatest floats": ([-3e38, 3e38], [2], ["3.0e+38", "0", "-3.0e+38"]),
    "narrow": ([6.2319, 6.23195], [2], ["6.231950", "6.231925", "6.231900"]),
    "narrow and large": ([1e6, 1e6 + 1], [2], ["1.0000010e+06", "1.0000005e+06", "1.0000000e+06"]),
    "narrow and small": ([9.98e-4, 9.99e-4], [2], ["9.9900e-04", "9.9850e-04", "9.9800e-04"]),
    "neighbours": ([6.0, 6.000000476837158], [2], ["6.00000048", "6.00000024", "6.00000000"]),
}


@pytest.mark.parametrize(("values", "stretches", "ticks"), CURVES.values(), ids=CURVES.keys())
def test_any_curve_is_drawn_within_the_picture(values: list[float], stretches: list[int], ticks: list[str]) -> None:
    root = drawn({"loss": Curve(enumerate(values, 1)), "entropy": Curve([(1, NAN)])})
    dots = len(list(root.iter(f"{SVG}circle"))) - 1
    assert [len(line) for line in lines(root)] == [count for count in stretches if count > 1]
    assert dots == stretches.count(1)
    labels = [element for element in root.iter(f"{SVG}text") if element.get("text-anchor") == "end"]
    assert [label.text for label in labels][: len(ticks)] == ticks
    for label in labels:
        assert float(label.attrib["x"]) - 5.5 * len(label.text or "") >= 0
    assert all(0 <= x <= 490 for line in lines(root) for x, _ in line)


#: What labextension/src/widget/format.ts gives, by node.
NUMBERS = {
    **{NAN: "—", INF: "∞", -INF: "-∞", 0: "0", 1: "1", -3: "-3", 0.58: "0.580", 0.48712: "0.487", -0.72349: "-0.723"},
    **{0.99999: "1.00", 9.999: "10.0", 12.345: "12.3", 99.96: "100", 123.4: "123", 999.7: "1,000", 2353: "2,353"},
    **{48213.6: "48,214", 0.001: "0.00100", 0.0009999: "1e-03", 5e-5: "5e-05", -1.25e-5: "-1.25e-05"},
    **{2.5e-120: "2.5e-120", 3e12: "3e+12", 1e22: "1e+22", 999999999999.7: "1,000,000,000,000"},
    # Ties: sixteenths are the accuracies of a batch.
    **{
        0.3125: "0.313",
        0.0625: "0.0625",
        1.125: "1.13",
        -12.25: "-12.3",
        100.5: "101",
        -100.5: "-101",
        -2353.5: "-2,354",
    },
}


@pytest.mark.parametrize(("value", "text"), NUMBERS.items())
def test_numbers_are_written_as_in_the_live_view(value: float, text: str) -> None:
    assert number(value) == text
