"""Text of models, data and names in what a cell or a terminal prints: it shows, and does nothing else."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tunelab.answers import Answers
from tunelab.tables import columns, table
from tunelab.texts import can_rewrite, plain

TEXTS = {
    "colour": ("\x1b[31mred\x1b[0m", "red"),
    "8-bit CSI": ("\x9b31mred", "red"),
    "title of the window, ended by BEL": ("a\x1b]0;owned\x07b", "ab"),
    "title of the window, ended by ST": ("a\x1b]0;owned\x1b\\b", "ab"),
    "cursor and screen": ("\x1b[2J\x1b[1;1Hat the top", "at the top"),
    "character set": ("\x1b(0lines", "lines"),
    "bell, backspace, NUL, carriage return": ("a\x07\b\0\rb", "ab"),
    "no character of XML": ("a\ufffe\ud800b", "ab"),
    "what is written stays": (
        "Grüße,\t\N{GRINNING FACE} 漢字\n[31m **x** <b>",
        "Grüße,\t\N{GRINNING FACE} 漢字\n[31m **x** <b>",
    ),
}


@pytest.mark.parametrize(("text", "shown"), TEXTS.values(), ids=TEXTS)
def test_only_what_can_be_seen_is_shown(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_tables_and_answers_steer_no_terminal_and_no_page() -> None:
    hostile = "\x1b]0;owned\x07<script>x</script>\x1b[31m"
    rows = [{"name": hostile, "step": 1}]
    answers = Answers([hostile], ["Hello?"], [[hostile]])
    for printed in (columns(rows), repr(answers)):
        assert "<script>x</script>" in printed
        assert "\x1b" not in printed
        assert "owned" not in printed
    assert columns(rows).splitlines() == ["name                step", "<script>x</script>  1"]
    for page in (table(rows), answers._repr_html_()):
        assert "&lt;script&gt;" in page
        assert "<script>" not in page
        assert "\x1b" not in page


def test_a_line_is_written_over_in_a_notebook_and_not_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    import ipykernel  # noqa: F401
    import IPython

    assert not can_rewrite()
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    assert can_rewrite()
