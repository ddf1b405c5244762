"""The examination of rows: what is stored comes back as it was, and what is found is what counting by hand finds."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tunelab as tl
from tunelab.data import near, patterns
from tunelab.data.storage import Examined, Examiner, Words, read

#: Of more than ASCII, and beyond the basic plane.
WORDS = "river stone amber cloud violet lantern meadow copper orchard thunder 日本語 😀 façade straße".split()  # noqa: SIM905


def line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def examined(
    rows: list[Any], folder: Path, technique: str = "sft", form: tuple[str, ...] = ("prompt", "completion"), **more: Any
) -> Examined:
    folder.mkdir(exist_ok=True)
    examiner = Examiner(folder, technique, form)
    for row in rows:
        examiner.add(line(row))
    return examiner.finish(**more)


def found(result: Examined) -> dict[str, tuple[int, list[int]]]:
    return {one["kind"]: (one["count"], one["rows"]) for one in result.findings}


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = st.sampled_from(["a", "A", "b", "", "ä", "c0", "a.b", "id", "file_row_number"])
ROWS = st.lists(
    st.builds(
        lambda extra, n: extra | {"prompt": f"Question {n}", "completion": "x"},
        st.dictionaries(NAMES, VALUES, max_size=4),
        st.integers(),
    ),
    min_size=1,
    max_size=12,
)


@given(ROWS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_rows_come_back_as_they_were_parsed(rows: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        result = examined(rows, Path(folder))
        back = list(read(Path(folder)))
        assert [line(row) for row in back] == [line(row) for row in rows]
        assert [[type(value) for value in row.values()] for row in map(sorted_row, back)] == [
            [type(value) for value in row.values()] for row in map(sorted_row, rows)
        ]
        assert result.digest == hashlib.sha256("".join(line(row) + "\n" for row in rows).encode()).hexdigest()
        assert {path.name for path in Path(folder).iterdir()} <= {
            "rows.parquet",
            "keys.u64",
            "groups.u32",
            "classes.u32",
        }


def sorted_row(row: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted(row.items()))


def pieces(text: str) -> set[str]:
    text = " ".join(text.casefold().split())
    return {(text + "\0" * 4)[place : place + 5] for place in range(len(text))}


def in_common(one: str, other: str) -> float:
    return len(pieces(one) & pieces(other)) / len(pieces(one) | pieces(other))


@pytest.mark.parametrize("seed", range(3))
def test_near_duplicates_are_those_that_counting_finds(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    texts = []
    for _ in range(60):
        words = [draw.choice(WORDS) for _ in range(draw.randint(2, 30))]
        texts.append(" ".join(words))
        for _ in range(3):
            changed = [draw.choice(WORDS) if draw.random() < 0.08 else word for word in words]
            texts.append(draw.choice(["  ", " "]).join(changed).replace("river", draw.choice(["river", "River"])))
    rows = [{"prompt": text, "completion": str(place)} for place, text in enumerate(texts)]
    examined(rows, tmp_path)
    groups = Words(tmp_path / "groups.u32")
    expected = list(range(len(texts)))
    sure = []
    for later, earlier in itertools.combinations(range(len(texts)), 2):
        share = in_common(texts[later], texts[earlier])
        if share >= near.NEAR:
            root, other = sorted((expected[later], expected[earlier]))
            expected = [root if group == other else group for group in expected]
        if share >= 0.9:
            sure.append((later, earlier))
    # What is joined is near; pairs just at the limit may be missed by their hashes, 1 in 60 of them, sure ones never.
    assert all(expected[place] == expected[group] for place, group in enumerate(groups))
    assert all(groups[one] == groups[other] for one, other in sure)
    missed = sum(one != other for one, other in zip(groups, expected, strict=True))
    assert missed <= 0.05 * len(texts)
    assert len(sure) > 20


def row(n: int, **values: Any) -> dict[str, Any]:
    prompt = " ".join(WORDS[(n // 10**place) % 10] for place in range(4)) + f" number {n * 7919}"
    return {"prompt": prompt, "completion": f"Answer {n}."} | values


def labelled(n: int, **values: Any) -> dict[str, Any]:
    return row(n, completion=["yes", "no", "perhaps"][n % 3]) | values


PLAIN = [row(n) for n in range(30)]
LABELLED = [labelled(n) for n in range(60)]


def test_rows_that_repeat_are_counted_and_left_out(tmp_path: Path) -> None:
    rows = [*PLAIN, PLAIN[3], PLAIN[3], PLAIN[5] | {"note": "another field"}]
    assert found(examined(rows, tmp_path / "a")) == {"duplicate": (3, [31, 32, 33])}
    result = examined(rows, tmp_path / "b", drop=["duplicates"])
    assert (result.rows, result.dropped, result.findings) == (30, {"duplicates": 3}, ())
    assert list(read(tmp_path / "b")) == PLAIN


def test_the_same_prompt_with_another_answer_is_no_duplicate(tmp_path: Path) -> None:
    assert found(examined([*PLAIN, row(3, completion="Otherwise.")], tmp_path)) == {}


AGAINST: dict[str, tuple[str, tuple[str, ...], list[Any], Any, int]] = {
    "a class": ("sft", ("prompt", "completion"), LABELLED, labelled(4, completion="perhaps"), 1),
    "an answer that is no class": ("sft", ("prompt", "completion"), PLAIN, row(4, completion="Other."), 0),
    "a truth": (
        "rlvr",
        ("prompt", "ground_truth"),
        [{"prompt": one["prompt"], "ground_truth": str(n)} for n, one in enumerate(PLAIN)],
        {"prompt": PLAIN[4]["prompt"], "ground_truth": "17"},
        1,
    ),
    "a pair the other way round": (
        "dpo",
        ("prompt", "chosen", "rejected"),
        [{"prompt": one["prompt"], "chosen": "a" * n + "b", "rejected": "b" * n + "c"} for n, one in enumerate(PLAIN)],
        {"prompt": PLAIN[4]["prompt"], "chosen": "bbbbc", "rejected": "aaaab"},
        1,
    ),
    "another pair": (
        "dpo",
        ("prompt", "chosen", "rejected"),
        [{"prompt": one["prompt"], "chosen": "a" * n + "b", "rejected": "b" * n + "c"} for n, one in enumerate(PLAIN)],
        {"prompt": PLAIN[4]["prompt"], "chosen": "bbbbc", "rejected": "z"},
        0,
    ),
    "a short response": (
        "evaluation",
        ("query", "response"),
        [{"query": one["prompt"], "response": str(n)} for n, one in enumerate(PLAIN)],
        {"query": PLAIN[4]["prompt"], "response": "17"},
        1,
    ),
    "a long response": (
        "evaluation",
        ("query", "response"),
        [{"query": one["prompt"], "response": "so " * 40 + str(n)} for n, one in enumerate(PLAIN)],
        {"query": PLAIN[4]["prompt"], "response": "but " * 40},
        0,
    ),
}


@pytest.mark.parametrize(("technique", "form", "rows", "more", "count"), AGAINST.values(), ids=AGAINST.keys())
def test_one_prompt_with_contradicting_labels(
    tmp_path: Path, technique: str, form: tuple[str, ...], rows: list[Any], more: dict, count: int
) -> None:
    result = examined([*rows, more], tmp_path, technique, form)
    expected = {"contradiction": (count, [len(rows) + 1])} if count else {}
    assert {kind: value for kind, value in found(result).items() if kind == "contradiction"} == expected
    (tmp_path / "b").mkdir()
    mended = examined([*rows, more], tmp_path / "b", technique, form, drop=["contradictions"])
    assert mended.rows == len(rows) + 1 - count


def test_classes_are_counted_and_numbers_are_none(tmp_path: Path) -> None:
    assert examined(LABELLED, tmp_path / "a").classes == [("yes", 20), ("no", 20), ("perhaps", 20)]
    assert examined([row(n, completion=str(n % 3)) for n in range(60)], tmp_path / "b").classes is None
    assert examined(PLAIN, tmp_path / "c").classes is None
    assert list(Words(tmp_path / "a" / "classes.u32")) == [n % 3 for n in range(60)]
    assert len(Words(tmp_path / "c" / "classes.u32")) == 0


def test_very_unbalanced_classes_warn(tmp_path: Path) -> None:
    rows = [labelled(n, completion="rare" if n < 2 else "often") for n in range(60)]
    [warning] = examined(rows, tmp_path).findings
    assert (warning["kind"], warning["message"]) == (
        "imbalance",
        "The largest class, 'often', has 58 rows and the smallest, 'rare', has 2 rows.",
    )


def test_prompts_are_the_same_in_every_form(tmp_path: Path) -> None:
    user, assistant = {"role": "user", "content": "Why is that so?"}, {"role": "assistant", "content": "Because."}
    forms: list[tuple[str, tuple[str, ...], dict[str, Any]]] = [
        ("sft", ("prompt", "completion"), {"prompt": "Why is that so?", "completion": "Because."}),
        ("sft", ("prompt", "completion"), {"prompt": [user], "completion": [assistant]}),
        ("sft", ("messages",), {"messages": [user, assistant]}),
        (
            "dpo",
            ("chosen", "rejected"),
            {"chosen": [user, assistant], "rejected": [user, assistant | {"content": "No."}]},
        ),
        ("evaluation", ("query", "response"), {"query": "Why is that so?", "response": "Because."}),
        ("rlaif", ("prompt",), {"prompt": "Why is that so?"}),
    ]
    keys = set()
    for place, (technique, form, one) in enumerate(forms):
        examined([one], tmp_path / str(place), technique, form)
        keys |= set(Words(tmp_path / str(place) / "keys.u64"))
    assert len(keys) == 1


REAL = {
    "an AWS access key": "AKIA" + "IOSFODNN7EXAMPLQ",
    "a private key": "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIE",
    "a GitHub token": "ghp_" + "a1B2" * 9,
    "a Slack token": "xoxb-" + "123456789012-abcdef",
    "a Google API key": "AIza" + "Sy_a1B2c" * 4 + "abc",
    "an OpenAI or Anthropic key": "sk-" + "a1B2c3D4" * 4,
    "a Hugging Face token": "hf_" + "aBcDeF" * 6,
    "a Stripe key": "sk_live_" + "a1B2" * 6,
    "a signed token (JWT)": "eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSM",
    "a URL with a password": "postgres://admin:" + "hunter22@db.internal",
    "a password": "password = " + "Tr0ub4dor&3xyz",
}
NONE = [
    "The password is on the table.",
    "task-management and risk-assessment of a disk-shaped thing that goes on and on",
    "sk-learn is a library",
    "See https://example.com/a:b and mailto:someone@example.com",
    "A1B2C3D4 is no key, and AKIA is a word.",
    "me@localhost, you@test, foo@bar",
    "Enter your API key: it is required.",
    "He said: password: please",
]


@pytest.mark.parametrize(("kind", "text"), REAL.items(), ids=REAL.keys())
def test_a_secret_is_found_and_taken_away(tmp_path: Path, kind: str, text: str) -> None:
    assert patterns.secret(f"The value is {text} here") == kind
    result = examined([*PLAIN, row(99, completion=f"The value is {text} here")], tmp_path)
    [warning] = result.findings
    assert warning["message"] == f"'completion': 1 row holds what looks like {kind}."
    assert text not in json.dumps(result.findings)
    assert patterns.secret(patterns.redact(f"The value is {text} here")) is None


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_secret_is_left_alone(text: str) -> None:
    assert patterns.secret(text) is None
    assert not patterns.has_email(text)
    assert patterns.redact(text) == text


def test_addresses_are_found_in_texts_and_in_conversations(tmp_path: Path) -> None:
    chats = [
        {"messages": [{"role": "user", "content": one["prompt"]}, {"role": "assistant", "content": "Hi."}]}
        for one in PLAIN
    ]
    chats[6]["messages"][1]["content"] = "Write to jane.doe+x@mail.acme.co.uk"
    result = examined(chats, tmp_path, "sft", ("messages",))
    assert found(result)["email"] == (1, [7])
    assert patterns.redact("To jane.doe+x@mail.acme.co.uk.") == "To [e-mail]."


def test_a_child_that_dies_is_an_error_of_one_line(tmp_path: Path) -> None:
    examiner = Examiner(tmp_path / "gone", "sft", ("prompt", "completion"))
    examiner.add(line(PLAIN[0]))
    with pytest.raises(tl.DataError, match=re.escape("The rows could not be examined: ")) as caught:
        examiner.finish()
    assert len(str(caught.value).splitlines()) == 1
    examiner.abandon()


def test_many_rows_are_read_from_any_place(tmp_path: Path) -> None:
    rows = [{"prompt": f"{n} " * 5, "completion": str(n)} for n in range(20_000)]
    examined(rows, tmp_path)
    for first, count in ((0, 3), (8190, 5), (19_998, 10)):
        assert list(read(tmp_path, first, count)) == rows[first : first + count]
    assert list(read(tmp_path)) == rows


def test_near_duplicates_are_found_among_rows_of_one_template(tmp_path: Path) -> None:
    draw = random.Random(7)
    task = "Translate the following English sentence to French, keeping its tone"
    texts = [f"{task}: {' '.join(f'w{draw.randrange(10**5)}' for _ in range(6))}" for _ in range(500)]
    examined(
        [{"prompt": text, "completion": text[:20]} for text in [*texts, *(f"{text} !" for text in texts)]], tmp_path
    )
    groups = Words(tmp_path / "groups.u32")
    assert list(groups) == [*range(500), *range(500)]


def test_a_system_turn_that_all_share_makes_no_near_duplicates(tmp_path: Path) -> None:
    system = {"role": "system", "content": "You help customers of a bank, and are kind, brief and right. " * 10}
    chats = [
        {
            "prompt": [system, {"role": "user", "content": one["prompt"]}],
            "completion": [{"role": "assistant", "content": "Hi."}],
        }
        for one in PLAIN
    ]
    assert found(examined(chats, tmp_path)) == {}


def test_prompts_without_any_character_are_examined_as_well(tmp_path: Path) -> None:
    rows = [{"chosen": f"Good {n}", "rejected": f"bad {n}"} for n in range(3)]
    assert examined(rows, tmp_path, "dpo", ("chosen", "rejected")).rows == 3
    assert len(set(Words(tmp_path / "keys.u64"))) == 1


def test_fields_without_end_share_a_column(tmp_path: Path) -> None:
    rows = [row(n, **{f"field {n}": n}) for n in range(400)]
    rows[350]["field 350"] = "Ask joe@corp.io"
    result = examined(rows, tmp_path)
    assert list(read(tmp_path)) == rows
    assert len(result.fields) == 402
    assert [one["message"] for one in result.findings if one["kind"] == "email"] == [
        "'field 350': 1 row holds an e-mail address."
    ]


NEARLY_SECRETS = {
    "letters after a password": "password=" + "a-" * 50_000,
    "digits after a password": "password=" + "1" * 100_000,
    "many beginnings of keys": "sk-" * 30_000,
    "many beginnings of tokens": "-eyJ" * 30_000,
    "many beginnings of private keys": "-----BEGIN PRIVATE KEY-----" * 5_000,
    "many URLs": "http://a:bbb" * 10_000,
    "many dots": "a." * 50_000,
}


@pytest.mark.parametrize("text", NEARLY_SECRETS.values(), ids=NEARLY_SECRETS.keys())
def test_a_long_text_that_is_nearly_a_secret_takes_no_long_time(text: str) -> None:
    begin = time.process_time()
    patterns.redact(text)
    patterns.secret(text)
    assert time.process_time() - begin < 5


def test_a_private_key_is_taken_away_with_all_its_lines() -> None:
    body = "\n".join(["Proc-Type: 4,ENCRYPTED", "", *["MIIEpAIBAAKCAQEA7" * 3] * 3, "abc="])
    begin, end = "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----"
    assert patterns.redact(f"It is {begin}\n{body}\n{end} and so on") == "It is [secret] and so on"
    assert patterns.redact(f"Cut: {begin}\n{'MIIEpAIBAAKCAQEA7' * 3}\nand words") == "Cut: [secret]\nand words"
