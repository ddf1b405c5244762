"""Datasets: every format and every fault of a row, versions that never change, names, and splits by prompt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tunelab as tl
from tunelab.data import resolve

FIELDS = ("prompt", "chosen", "rejected")
ROWS = [{"prompt": f"Question {n}?", "chosen": f"Good, {n}.", "rejected": f'Bad "{n}"\nand long'} for n in range(1, 13)]
USER, ASSISTANT = {"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Hello."}
CHAT = {
    "prompt": [{"role": "system", "content": "Be kind."}, USER],
    "chosen": [ASSISTANT],
    "rejected": [{"role": "assistant", "content": "No."}],
}


def jsonl(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def csv_of(rows: list[Any]) -> bytes:
    return pd.DataFrame(rows).to_csv(index=False).encode()


def written(name: str, data: bytes) -> Path:
    path = Path(name)
    path.write_bytes(data)
    return path


def parquet(name: str, rows: list[Any]) -> Path:
    pd.DataFrame(rows).to_parquet(name)
    return Path(name)


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(tl.Error) as caught:
        call()
    assert type(caught.value) is tl.DataError
    return str(caught.value)


def changed(number: int, **values: Any) -> list[dict[str, Any]]:
    """The good rows, but row `number` (from 1) has other values."""
    return [row | values if n == number else row for n, row in enumerate(ROWS, 1)]


SOURCES: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
    "jsonl": lambda rows: written("rows.jsonl", jsonl(rows)),
    "jsonl with BOM, blank lines and CRLF": lambda rows: written(
        "rows.jsonl", b"\xef\xbb\xbf" + jsonl(rows).replace(b"\n", b"\r\n\r\n")
    ),
    "JSONL in capitals": lambda rows: written("rows.JSONL", jsonl(rows)),
    "json": lambda rows: written("rows.json", json.dumps(rows, indent=2).encode()),
    "csv": lambda rows: written("rows.csv", csv_of(rows)),
    "csv with BOM": lambda rows: written("rows.csv", b"\xef\xbb\xbf" + csv_of(rows)),
    "parquet": lambda rows: parquet("rows.parquet", rows),
    "DataFrame": pd.DataFrame,
    "DataFrame with another index": lambda rows: pd.DataFrame(rows, index=range(100, 100 + len(rows))),
    "list of dicts": list,
    "path as text": lambda rows: str(written("rows.jsonl", jsonl(rows))),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
def test_every_source_gives_the_same_rows_and_the_same_version(workspace: Path, source: Callable[..., Any]) -> None:
    plain = tl.Dataset.create("plain", ROWS)
    made = tl.Dataset.create("made", source(ROWS))
    assert list(made.read()) == ROWS
    assert (made.technique, made.form, made.rows, made.conversational) == ("dpo", FIELDS, 12, False)
    assert made.digest == plain.digest


@pytest.mark.parametrize("source", ["jsonl", "json", "parquet", "DataFrame", "list of dicts"])
def test_conversations_come_through_every_source_that_can_hold_them(workspace: Path, source: str) -> None:
    made = tl.Dataset.create("chats", SOURCES[source]([CHAT] * 3))
    assert made.conversational
    assert list(made.read()) == [CHAT] * 3


#: Row 7 of 12 is wrong, and all sources say it in the same words after their own name.
IN_ROW_7 = {
    "null": ({"rejected": None}, "'rejected' is null. Give it a text, or leave the row out."),
    "empty": ({"chosen": ""}, "'chosen' is empty. Give it a text, or leave the row out."),
    "spaces": ({"prompt": " \n\t"}, "'prompt' is empty. Give it a text, or leave the row out."),
    "a number": ({"chosen": 17}, "'chosen' is a number; it has to be text or a list of messages."),
    "a fraction": ({"chosen": 1.5}, "'chosen' is a number; it has to be text or a list of messages."),
    "true": ({"chosen": True}, "'chosen' is true or false; it has to be text or a list of messages."),
    "a mapping": ({"chosen": {"text": "a"}}, "'chosen' is a mapping; it has to be text or a list of messages."),
    "the same": (
        {"chosen": "a", "rejected": "a"},
        "'chosen' and 'rejected' are the same, so there is nothing to prefer.",
    ),
    "half a character": ({"chosen": "ab\ud800"}, "'chosen' has half a character (U+D800) at position 3."),
    "zero byte": ({"chosen": "ab\x00c"}, "'chosen' has a zero byte at position 3; it is not text."),
    "mixed forms": (
        {"chosen": [ASSISTANT]},
        "'chosen' is a list of messages, and before it was plain text. Use one form for all rows and fields.",
    ),
    "no messages": ({"chosen": []}, "'chosen' is an empty list of messages."),
    "a list of texts": ({"chosen": ["a"]}, """'chosen', message 1 is not of the form {"role": …, "content": …}."""),
    "no role": (
        {"prompt": [{"content": "a"}]},
        """'prompt', message 1 is not of the form {"role": …, "content": …}.""",
    ),
}


@pytest.mark.parametrize(("values", "message"), IN_ROW_7.values(), ids=IN_ROW_7.keys())
@pytest.mark.parametrize("kind", ["jsonl", "json", "list"])
def test_a_wrong_row_is_named_with_its_field(workspace: Path, kind: str, values: dict, message: str) -> None:
    source = changed(7, **values) if kind == "list" else SOURCES[kind](changed(7, **values))
    shown = "list 'd'" if kind == "list" else f"rows.{kind}"
    assert refused(lambda: tl.Dataset.create("d", source, "dpo")) == f"{shown}, row 7: {message}"
    assert tl.datasets() == []
    assert not any((workspace / "datasets").iterdir())


TABLES = {
    "csv, empty": (
        "csv",
        {"rejected": ""},
        "rows.csv, row 7: 'rejected' is empty. Give it a text, or leave the row out.",
    ),
    "parquet, null": (
        "parquet",
        {"rejected": None},
        "rows.parquet, row 7: 'rejected' is null. Give it a text, or leave the row out.",
    ),
    "DataFrame, None": (
        "DataFrame",
        {"rejected": None},
        "DataFrame 'd', row 7: 'rejected' is null. Give it a text, or leave the row out.",
    ),
    "DataFrame, NaN": (
        "DataFrame",
        {"rejected": float("nan")},
        "DataFrame 'd', row 7: 'rejected' is null. Give it a text, or leave the row out.",
    ),
    "DataFrame, NA": (
        "DataFrame",
        {"rejected": pd.NA},
        "DataFrame 'd', row 7: 'rejected' is null. Give it a text, or leave the row out.",
    ),
    "DataFrame, a number": (
        "DataFrame",
        {"rejected": 17},
        "DataFrame 'd', row 7: 'rejected' is a number; it has to be text or a list of messages.",
    ),
    "DataFrame, index from 100": (
        "DataFrame with another index",
        {"prompt": ""},
        "DataFrame 'd', row 7: 'prompt' is empty. Give it a text, or leave the row out.",
    ),
}


@pytest.mark.parametrize(("kind", "values", "message"), TABLES.values(), ids=TABLES.keys())
def test_a_wrong_row_of_a_table_is_named(workspace: Path, kind: str, values: dict, message: str) -> None:
    assert refused(lambda: tl.Dataset.create("d", SOURCES[kind](changed(7, **values)))) == message


NOTHING = "so there is nothing to learn."
CHATS = {
    "misspelt role": (
        {"chosen": [ASSISTANT | {"role": "asistant"}]},
        "'chosen', message 1 has the unknown role 'asistant'. Did you mean 'assistant'?",
    ),
    "unknown role": (
        {"chosen": [ASSISTANT | {"role": "zz"}]},
        "'chosen', message 1 has the unknown role 'zz'. The roles are system, user, assistant, tool.",
    ),
    "role in capitals": (
        {"prompt": [USER | {"role": "User"}]},
        "'prompt', message 1 has the unknown role 'User'. Did you mean 'user'?",
    ),
    "role null": (
        {"prompt": [USER | {"role": None}]},
        "'prompt', message 1 has the unknown role None. The roles are system, user, assistant, tool.",
    ),
    "late system": (
        {"prompt": [USER, {"role": "system", "content": "a"}]},
        "'prompt', message 2 is of the system; that turn comes first or not at all.",
    ),
    "content null": (
        {"prompt": [USER | {"content": None}]},
        "'prompt', message 1 has null as content; it has to be text.",
    ),
    "content parts": (
        {"prompt": [USER | {"content": [{"type": "text"}]}]},
        "'prompt', message 1 has a list as content; it has to be text.",
    ),
    "content a number": (
        {"prompt": [USER | {"content": 17}]},
        "'prompt', message 1 has a number as content; it has to be text.",
    ),
    "content empty": (
        {"chosen": [USER, ASSISTANT | {"content": " "}]},
        "'chosen', message 2 is empty. Give it a text, or leave the row out.",
    ),
    "prompt ends with assistant": (
        {"prompt": [USER, ASSISTANT]},
        "'prompt' ends with a turn of the assistant; it belongs to the answer.",
    ),
    "answer ends with user": ({"chosen": [ASSISTANT, USER]}, f"'chosen' ends with no turn of the assistant, {NOTHING}"),
    "plain after chat": (
        {"prompt": "Hi?"},
        "'prompt' is plain text, and before it was a list of messages. Use one form for all rows and fields.",
    ),
    "same turns": ({"rejected": [ASSISTANT]}, "'chosen' and 'rejected' are the same, so there is nothing to prefer."),
}


@pytest.mark.parametrize(("values", "message"), CHATS.values(), ids=CHATS.keys())
def test_a_wrong_conversation_is_named_with_its_message(workspace: Path, values: dict, message: str) -> None:
    source = written("rows.jsonl", jsonl([CHAT, CHAT | values]))
    assert refused(lambda: tl.Dataset.create("d", source)) == f"rows.jsonl, row 2: {message}"


SFT = {
    "ends with user": (
        {"messages": [USER, ASSISTANT, USER]},
        f"rows.jsonl, row 2: 'messages' ends with no turn of the assistant, {NOTHING}",
    ),
    "text": ({"messages": "Hi?"}, "rows.jsonl, row 2: 'messages' is text; it has to be a list of messages."),
    "missing": (
        {"message": [USER, ASSISTANT]},
        "rows.jsonl, row 2 has no field 'messages'. Add it, or leave the row out.",
    ),
}


@pytest.mark.parametrize(("row", "message"), SFT.values(), ids=SFT.keys())
def test_a_wrong_row_of_messages_is_named(workspace: Path, row: dict, message: str) -> None:
    source = written("rows.jsonl", jsonl([{"messages": [USER, ASSISTANT]}, row]))
    assert refused(lambda: tl.Dataset.create("d", source)) == message


LINE = jsonl(ROWS[:1])
HEADER = b"prompt,chosen,rejected\n"
FILES = {
    "empty jsonl": ("a.jsonl", b"", "a.jsonl is empty."),
    "empty csv": ("a.csv", b"", "a.csv is empty."),
    "empty parquet": ("a.parquet", b"", "a.parquet is empty."),
    "blank lines only": ("a.jsonl", b"\n \n", "a.jsonl has no rows."),
    "no rows": ("a.json", b"[]", "a.json has no rows."),
    "header only": ("a.csv", HEADER, "a.csv has no rows."),
    "broken line": (
        "a.jsonl",
        LINE * 6 + b'{"prompt": "a" "chosen"}\n',
        "a.jsonl, row 7 is not JSON: Expecting ',' delimiter at character 16.",
    ),
    "broken line after blank ones": (
        "a.jsonl",
        LINE + b"\n\n" + b"{",
        "a.jsonl, row 2 is not JSON: Expecting property name enclosed in double quotes at character 2.",
    ),
    "raw zero byte": (
        "a.jsonl",
        b'{"prompt": "a\x00"}',
        "a.jsonl, row 1 is not JSON: Invalid control character at at character 14.",
    ),
    "a line with a list": (
        "a.jsonl",
        LINE + b"[1]\n",
        'a.jsonl, row 2 is not an object of fields, such as {"prompt": …}.',
    ),
    "a line with null": (
        "a.jsonl",
        LINE + b"null\n",
        'a.jsonl, row 2 is not an object of fields, such as {"prompt": …}.',
    ),
    "a row that is a text": ("a.json", b'["a"]', 'a.json, row 1 is not an object of fields, such as {"prompt": …}.'),
    "a mapping": (
        "a.json",
        b'{"data": []}',
        "a.json holds no list of rows. Write [{…}, {…}], or one row a line as .jsonl.",
    ),
    "too deep": ("a.jsonl", LINE + b"[" * 100_000, "a.jsonl, row 2 is nested too deep to be read."),
    "a number too long": ("a.jsonl", b'{"prompt": ' + b"1" * 5000 + b"}", None),
    "not UTF-8": (
        "a.jsonl",
        LINE + b'{"prompt": "caf\xe9"}\n',
        f"a.jsonl is not UTF-8 text (line 2, byte {len(LINE) + 15} of the file is 0xe9). "
        "Save it as UTF-8 and try again.",
    ),
    "not UTF-8, far in": (
        "a.jsonl",
        LINE * 500 + b"\xff\n",
        f"a.jsonl is not UTF-8 text (line 501, byte {len(LINE) * 500} of the file is 0xff). "
        "Save it as UTF-8 and try again.",
    ),
    "UTF-16": (
        "a.csv",
        "prompt,chosen".encode("utf-16"),
        "a.csv is not UTF-8 text (line 1, byte 0 of the file is 0xff). Save it as UTF-8 and try again.",
    ),
    "half a character in a field that is not read": ("a.jsonl", LINE.replace(b"}", b', "note": "\\ud800"}'), None),
    "too many fields": (
        "a.csv",
        HEADER + b"a,b,c\na,b,c,d\n",
        "a.csv, row 2 has more fields than the header. Put texts with commas in quotes.",
    ),
    "too few fields": (
        "a.csv",
        HEADER + b"a,b\n",
        "a.csv, row 1: 'rejected' is null. Give it a text, or leave the row out.",
    ),
    "header twice": ("a.csv", b"prompt,chosen,rejected,chosen\na,b,c,d\n", "a.csv: the header names 'chosen' twice."),
    "open quote": ("a.csv", HEADER + b'a,"b,c\n', "a.csv, line 2 is not CSV: unexpected end of data."),
    "text after a quote": ("a.csv", HEADER + b'a,"b" x,c\n', "a.csv, line 2 is not CSV: ',' expected after '\"'."),
    "no parquet": ("a.parquet", b"PAR1 is not enough", None),
    "unknown ending": (
        "a.xlsx",
        b"x",
        "a.xlsx is not of a known format. It takes .jsonl, .json, .csv, .tsv, .parquet.",
    ),
    "near ending": (
        "a.jsnl",
        b"x",
        "a.jsnl is not of a known format. Did you mean '.jsonl'? It takes .jsonl, .json, .csv, .tsv, .parquet.",
    ),
    "no ending": ("rows", b"x", "rows is not of a known format. It takes .jsonl, .json, .csv, .tsv, .parquet."),
    "missing column": (
        "a.csv",
        b"prompt,chosen\na,b\n",
        "a.csv has no field 'rejected'. dpo takes prompt, chosen, rejected; the rows have chosen, prompt.",
    ),
    "misspelt column": (
        "a.csv",
        b"prompt,chosen,rejcted\na,b,c\n",
        "a.csv has no field 'rejected'. Rename 'rejcted' to 'rejected'. dpo takes prompt, chosen, rejected; "
        "the rows have chosen, prompt, rejcted. columns={'rejected': 'rejcted'} maps it.",
    ),
    "field missing in a later row": (
        "a.jsonl",
        LINE + b'{"prompt": "a", "chosen": "b"}\n',
        "a.jsonl, row 2 has no field 'rejected'. Add it, or leave the row out.",
    ),
    "no fields": (
        "a.jsonl",
        b"{}\n",
        "a.jsonl has no field 'prompt'. dpo takes prompt, chosen, rejected; the rows have nothing.",
    ),
}


@pytest.mark.parametrize(("name", "data", "message"), FILES.values(), ids=FILES.keys())
def test_a_wrong_file_is_refused(workspace: Path, name: str, data: bytes, message: str | None) -> None:
    path = written(name, data)
    said = refused(lambda: tl.Dataset.create("d", path, "dpo"))
    assert said == message if message else said.startswith(f"{name}") and "\n" not in said
    assert refused(lambda: tl.customize(model="smollm2-135m", technique="dpo", name="c", dataset=path)) == said
    assert tl.datasets() == []


def test_a_folder_is_no_file(workspace: Path) -> None:
    for name in ("data", "data.jsonl"):
        Path(name).mkdir()
        for source in (name, f"./{name}"):
            assert (
                refused(lambda source=source: resolve(source, "dpo")) == f"{source} is a folder; name the file in it."
            )
        assert refused(lambda name=name: tl.Dataset.create("d", name)) == f"{name} is a folder; name the file in it."


NO_SOURCE = {
    "near file": ("pair.jsonl", "There is no file pair.jsonl. Did you mean 'pairs.jsonl'?"),
    "near file elsewhere": ("./pair.jsonl", "There is no file ./pair.jsonl. Did you mean 'pairs.jsonl'?"),
    "no such folder": ("gone/a.jsonl", "There is no file gone/a.jsonl. There is no folder gone either."),
    "no such home": (
        "~nobody-at-all/a.jsonl",
        "There is no file ~nobody-at-all/a.jsonl. There is no folder ~nobody-at-all either.",
    ),
    "near name": ("human-lke", "There is no dataset, variable or file 'human-lke'. Did you mean 'human-like'?"),
    "near variable": ("fram", "There is no dataset, variable or file 'fram'. Did you mean 'frame'?"),
    "another variable": ("number", "The variable 'number' is a value of type int, and no DataFrame or list of rows."),
    "an empty list": ("nothing", "The variable 'nothing' is an empty list, and no DataFrame or list of rows."),
    "a list of numbers": (
        "numbers",
        "The variable 'numbers' is a list of other things than rows, and no DataFrame or list of rows.",
    ),
    "no version": ("human-like@3", "Dataset 'human-like' has no version 3; it has 1, 2."),
    "no number": ("human-like@last", "Dataset 'human-like' has no version last; it has 1, 2."),
    "superscript": ("human-like@²", "Dataset 'human-like' has no version ²; it has 1, 2."),
    "too long for a file": ("a" * 300, f"There is no dataset, variable or file '{'a' * 300}'."),
}


@pytest.mark.parametrize(("text", "message"), NO_SOURCE.values(), ids=NO_SOURCE.keys())
def test_a_name_that_means_nothing_is_refused_with_the_nearest(
    workspace: Path, pairs: Path, text: str, message: str
) -> None:
    for rows in (ROWS, ROWS[:3]):
        tl.Dataset.create("human-like", rows)
    namespace = {"frame": pd.DataFrame(ROWS), "number": 1, "nothing": [], "numbers": [1]}
    assert refused(lambda: resolve(text, "dpo", namespace)) == message


NO_DATASET = {
    "a number": (5, "A dataset is made from a file, a DataFrame or a list of rows, not from a value of type int."),
    "an empty list": ([], "A dataset is made from a file, a DataFrame or a list of rows, not from an empty list."),
    "a list of texts": (
        ["a"],
        "A dataset is made from a file, a DataFrame or a list of rows, not from a list of other things than rows.",
    ),
    "an empty DataFrame": (pd.DataFrame({name: [] for name in FIELDS}), "DataFrame 'd' has no rows."),
    "a column twice": (
        pd.DataFrame([["a", "b", "c", "d"]], columns=[*FIELDS, "chosen"]),
        "The DataFrame has two columns 'chosen'. Rename or drop one.",
    ),
    "names that are numbers": (
        [{1: "a", "b": 2}],
        "list 'd' fits no technique (sft: prompt, completion; dpo: prompt, chosen, rejected; rlvr: prompt, "
        "ground_truth; rlaif: prompt; evaluation: query, response). The rows have 1, b. columns={'prompt': …} maps a "
        "column to a field.",
    ),
    "a file that is not there": ("gone.jsonl", "There is no file gone.jsonl."),
}


@pytest.mark.parametrize(("source", "message"), NO_DATASET.values(), ids=NO_DATASET.keys())
def test_what_is_no_dataset_is_refused(workspace: Path, source: Any, message: str) -> None:
    assert refused(lambda: tl.Dataset.create("d", source)) == message


def test_a_field_that_json_cannot_hold_is_refused_with_its_row(workspace: Path) -> None:
    circle: list[Any] = []
    circle.append(circle)
    deep: Any = "a"
    for _ in range(5000):
        deep = [deep]
    for value in (circle, deep):
        said = refused(lambda value=value: tl.Dataset.create("d", changed(7, note=value)))
        assert said.startswith("list 'd', row 7 has a field that cannot be kept as JSON: ")


def test_a_name_or_technique_that_cannot_be(workspace: Path) -> None:
    assert refused(lambda: tl.Dataset.create("../up", ROWS)) == (
        "'../up' is no name for a dataset: use letters, digits, '.', '_' and '-'."
    )
    assert refused(lambda: tl.Dataset.create("d", ROWS, "dpoo")) == (
        "Unknown technique 'dpoo'. Did you mean 'dpo'? There are sft, dpo, rlvr, rlaif, evaluation."
    )
    assert refused(lambda: tl.Dataset.get("d")) == "There is no dataset 'd'. tl.datasets() lists them."
    tl.Dataset.create("pairs", ROWS)
    assert refused(lambda: tl.Dataset.get("pars")) == "There is no dataset 'pars'. Did you mean 'pairs'?"


def test_rows_survive_as_they_were_parsed(workspace: Path) -> None:
    extra = {"id": 17, "score": 1.0, "text": "17", "flag": True, "none": None, "tags": ["a", 1], "ä": "😀\u2028"}
    path = written("rows.jsonl", jsonl([ROWS[0] | extra, ROWS[1] | {"id": "17"}]))
    first, second = tl.Dataset.create("d", path).read()
    assert first == ROWS[0] | extra
    assert [type(first[name]) for name in extra] == [type(value) for value in extra.values()]
    assert second["id"] == "17"


def test_a_csv_may_hold_long_texts_and_stays_text(workspace: Path) -> None:
    path = written("rows.csv", HEADER + b'17,"' + b"a" * 200_000 + b'",007\n')
    assert list(tl.Dataset.create("d", path).read()) == [{"prompt": "17", "chosen": "a" * 200_000, "rejected": "007"}]


def test_the_digest_is_sha256_of_the_rows_as_canonical_json(workspace: Path) -> None:
    lines = [f'{{"chosen":"{c}","prompt":"{p}é","rejected":"{r}"}}\n' for p, c, r in (("a", "b", "c"), ("d", "e", "f"))]
    expected = hashlib.sha256("".join(lines).encode()).hexdigest()
    made = tl.Dataset.create("d", written("rows.csv", HEADER + "aé,b,c\ndé,e,f\n".encode()))
    assert made.digest == expected


def test_the_same_content_is_the_same_version_and_other_content_a_new_one(workspace: Path) -> None:
    first = tl.Dataset.create("d", ROWS)
    second = tl.Dataset.create("d", changed(3, chosen="Another."))
    assert [str(first), str(second)] == ["d@1", "d@2"]
    assert tl.Dataset.create("d", written("rows.csv", csv_of(ROWS))) == first
    assert tl.Dataset.create("d", [dict(reversed(row.items())) for row in ROWS]) == first
    assert str(tl.Dataset.create("d", ROWS[::-1])) == "d@3"
    assert str(tl.Dataset.create("other", ROWS)) == "other@1"
    assert [tl.Dataset.get(name).version for name in ("d", "d@1", "d@2")] == [3, 1, 2]
    assert [str(dataset) for dataset in tl.datasets()] == ["d@3", "other@1"]
    assert list(tl.Dataset.get("d@1").read()) == ROWS
    assert len(first) == 12
    assert first.to_pandas().to_dict("records") == ROWS


def test_a_version_stays_when_its_file_changes(workspace: Path, pairs: Path) -> None:
    first = resolve("pairs.jsonl", "dpo")
    before = list(first.read())
    pairs.write_bytes(jsonl(ROWS))
    assert str(resolve("pairs.jsonl", "dpo")) == "pairs@2"
    assert list(tl.Dataset.get("pairs@1").read()) == before
    assert list(tl.Dataset.get("pairs").read()) == ROWS


def test_the_same_rows_for_another_technique_are_another_version(workspace: Path) -> None:
    rows = [row | {"completion": row["chosen"]} for row in ROWS]
    assert [str(tl.Dataset.create("d", rows, technique)) for technique in ("dpo", "sft", "dpo", None)] == [
        "d@1",
        "d@2",
        "d@1",
        "d@1",
    ]


def test_a_dataset_is_checked_anew_for_another_technique(workspace: Path) -> None:
    both = [row | {"messages": [USER, ASSISTANT]} for row in ROWS]
    made = tl.Dataset.create("d", both, "sft")
    assert made.conversational
    served = resolve("d", "dpo")
    assert (served.technique, served.form, served.conversational, str(served)) == ("dpo", FIELDS, False, "d@1")
    tl.Dataset.create("plain", ROWS, "dpo")
    assert refused(lambda: resolve("plain", "sft")) == (
        "Dataset plain@1 has no field 'completion'. sft takes prompt, completion or messages or text; the rows have "
        "chosen, prompt, rejected."
    )
    worse = [row | {"completion": "a"} for row in ROWS]
    worse[6] = worse[6] | {"chosen": worse[6]["rejected"]}
    tl.Dataset.create("worse", worse, "sft")
    assert refused(lambda: resolve("worse", "dpo")) == (
        "Dataset worse@1, row 7: 'chosen' and 'rejected' are the same, so there is nothing to prefer."
    )


@pytest.fixture
def meanings(workspace: Path) -> dict[str, Any]:
    """A registered dataset of 12 rows, a file of 5, a variable of 3: each under a name of its own, and all as 'all'."""
    for name in ("registered", "all", "registered.jsonl"):
        tl.Dataset.create(name, ROWS)
    written("file.jsonl", jsonl(ROWS[:5]))
    written("registered.jsonl", jsonl(ROWS[:5]))
    written("all", jsonl(ROWS[:5]))
    return {"variable": pd.DataFrame(ROWS[:3]), "all": pd.DataFrame(ROWS[:3]), "_rows": ROWS[:3]}


MEANINGS = {
    "registered": ("registered", "registered@1", 12),
    "its version": ("registered@1", "registered@1", 12),
    "the version where all have the name": ("all@1", "all@1", 12),
    "variable": ("variable", "variable@1", 3),
    "variable whose name is no dataset's": ("_rows", "rows@1", 3),
    "file": ("file.jsonl", "file@1", 5),
    "the file where a dataset has the name": ("./registered.jsonl", "registered@2", 5),
}


@pytest.mark.parametrize(("text", "label", "rows"), MEANINGS.values(), ids=MEANINGS.keys())
def test_a_name_means_a_dataset_a_variable_or_a_file(meanings: dict, text: str, label: str, rows: int) -> None:
    found = resolve(text, "dpo", meanings)
    assert (str(found), found.rows) == (label, rows)


AMBIGUOUS = {
    "registered and file": ("registered.jsonl", {}, "a registered dataset and a file"),
    "registered and variable": ("registered", {"registered": ROWS[:2]}, "a registered dataset and a variable"),
    "variable and file": ("file.jsonl", {"file.jsonl": ROWS}, "a variable and a file"),
    "all three": ("all", {}, "a registered dataset and a variable and a file"),
}


@pytest.mark.parametrize(("text", "more", "what"), AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_a_name_of_two_things_is_refused(meanings: dict, text: str, more: dict, what: str) -> None:
    assert refused(lambda: resolve(text, "dpo", meanings | more)) == (
        f"'{text}' is {what}. Say './{text}' for the file, '{text}@1' for the registered dataset, or rename the "
        "variable."
    )


HOLDS_ALL = {
    "all rows": (ROWS, 12, "split: 12 holds out all 12 rows (12 different prompts)"),
    "more than all": (ROWS, 100, "split: 100 holds out all 12 rows (12 different prompts)"),
    "one prompt": ([ROWS[0]] * 5, 0.1, "split: 0.1 holds out all 5 rows (1 different prompts)"),
    "one row": (ROWS[:1], 0.1, "split: 0.1 holds out all 1 rows (1 different prompts)"),
}


@pytest.mark.parametrize(("rows", "share", "message"), HOLDS_ALL.values(), ids=HOLDS_ALL.keys())
def test_a_split_that_leaves_nothing_to_train_on_is_refused(
    workspace: Path, rows: list[Any], share: float, message: str
) -> None:
    call = lambda: tl.customize(model="smollm2-135m", technique="dpo", name="c", dataset=rows, split=share)  # noqa: E731
    assert refused(call) == f"{message}, and none is left to train on. Hold out fewer, or name an eval_dataset."
    assert not any((workspace / "jobs").iterdir())


def test_held_out_rows_that_do_not_fit_are_refused(workspace: Path) -> None:
    tl.Dataset.create("a", ROWS)
    tl.Dataset.create("b", ROWS)
    tl.Dataset.create("chats", [CHAT])

    def with_held(name: str) -> str:
        keys = {"model": "smollm2-135m", "technique": "dpo", "name": "c", "dataset": "a", "eval_dataset": name}
        return refused(lambda: tl.customize(keys))

    assert with_held("b") == "b@1 and a@1 hold the same rows; hold out others, or give a split."
    assert with_held("chats") == "chats@1 and a@1 are not of one form: one is conversations, the other plain text."


@given(
    st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(["jsonl", "json", "csv", "parquet"]),
)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_of_anything_is_refused_and_leaves_nothing(workspace: Path, data: bytes, ending: str) -> None:
    path = written(f"any.{ending}", data)
    with pytest.raises(tl.DataError) as caught:
        tl.Dataset.create("d", path)
    assert len(str(caught.value).splitlines()) == 1
    assert not any((workspace / "datasets").iterdir())
