"""Datasets as versions: reports and fixes, columns, diffs, samples, parts of a split, deletion, and earlier layouts."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

import tunelab as tl
from tunelab.data import resolve
from tunelab.data.report import FIXES, Report
from tunelab.jobs.prepare import prepare
from tunelab.registry import index
from tunelab.spec import load

WORDS = ["river", "stone", "amber", "cloud", "violet", "lantern", "meadow", "copper", "orchard", "thunder"]


def pair(n: int, **values: Any) -> dict[str, Any]:
    """A pair whose words no other pair has in this order."""
    place, word, other = n // 10, WORDS[n % 10], WORDS[(n * 7 + n // 10) % 10]
    prompt = f"Question {n}: what does the {word} in village {place * 37 + n} say to the {other}?"
    return {"prompt": prompt, "chosen": f"It says {n}.", "rejected": f"Nothing, {n}."} | values


PAIRS = [pair(n) for n in range(60)]


def refused(call: Callable[[], Any]) -> tl.DataError:
    with pytest.raises(tl.DataError) as caught:
        call()
    return caught.value


FAULTY = [*PAIRS[:5], pair(5, chosen=None), *PAIRS[6:9], pair(9, chosen=""), pair(10, chosen=None), *PAIRS[11:]]


def test_all_faulty_rows_are_counted_by_kind_with_the_first_of_each(workspace: Path) -> None:
    error = refused(lambda: tl.Dataset.create("d", FAULTY, "dpo"))
    assert str(error) == (
        "list 'd', row 6: 'chosen' is null. Give it a text, or leave the row out. 2 more of the 60 rows cannot be "
        "used; the error's .report lists them, and fix='drop-faulty' leaves them out."
    )
    report = error.report
    assert (report.rows, report.faulty, report.ok) == (60, 3, False)
    assert [(one.kind, one.severity, one.field, one.count, one.rows, one.fix) for one in report.findings] == [
        ("null", "fault", "chosen", 2, (6, 11), "drop-faulty"),
        ("empty", "fault", "chosen", 1, (10,), "drop-faulty"),
    ]
    assert tl.datasets() == []
    assert not any((workspace / "datasets").iterdir())


def test_one_argument_leaves_the_faulty_rows_out(workspace: Path) -> None:
    made = tl.Dataset.create("d", FAULTY, "dpo", fix="drop-faulty")
    assert list(made.read()) == [row for row in FAULTY if row["chosen"]]
    assert made.report.fixed == {"drop-faulty": 3}
    assert made == tl.Dataset.create("d", [row for row in FAULTY if row["chosen"]])


def test_rows_that_are_all_faulty_leave_nothing(workspace: Path) -> None:
    for fix in (None, "drop-faulty"):
        error = refused(lambda fix=fix: tl.Dataset.create("d", [pair(n, chosen="") for n in range(3)], fix=fix))
        assert str(error) == (
            "list 'd', row 1: 'chosen' is empty. Give it a text, or leave the row out. None of the 3 rows can be used; "
            "the error's .report says why."
        )


def test_the_rows_of_a_warning_are_those_of_the_source(workspace: Path) -> None:
    rows = [pair(0, chosen=""), PAIRS[1], pair(2, chosen=""), *PAIRS[3:10], PAIRS[1]]
    made = tl.Dataset.create("d", rows, fix="drop-faulty")
    [found] = [one for one in made.report.findings if one.kind == "duplicate"]
    assert (found.count, found.rows) == (1, (11,))


TWICE = [*PAIRS[:20], PAIRS[3], PAIRS[7]]
NEAR = [*PAIRS[:20], pair(3, prompt=PAIRS[3]["prompt"] + "!", chosen="Otherwise.")]
AGAINST = [*PAIRS[:20], PAIRS[3] | {"chosen": PAIRS[3]["rejected"], "rejected": PAIRS[3]["chosen"]}]
WARNED = {
    "duplicates": (TWICE, "duplicate", 2, "drop-duplicates", 20),
    "near duplicates": (NEAR, "near-duplicate", 1, "drop-near-duplicates", 20),
    "contradictions": (AGAINST, "contradiction", 1, "drop-contradictions", 20),
}


@pytest.mark.parametrize(("rows", "kind", "count", "fix", "left"), WARNED.values(), ids=WARNED.keys())
def test_what_warns_is_kept_with_the_version_and_mended_by_its_fix(
    workspace: Path, rows: list[Any], kind: str, count: int, fix: str, left: int
) -> None:
    made = tl.Dataset.create("d", rows)
    [found] = made.report.warnings
    assert (found.kind, found.count, found.fix) == (kind, count, fix)
    assert tl.Dataset.get("d@1").report == made.report
    mended = tl.Dataset.create("d", rows, fix=fix)
    assert (str(mended), mended.rows) == ("d@2", left)
    assert list(mended.read()) == PAIRS[:20]
    assert sum(mended.report.fixed.values()) == len(rows) - left


SECRET = "AKIA" + "IOSFODNN7EXAMPLQ"


def test_secrets_and_addresses_warn_and_are_never_told(workspace: Path) -> None:
    rows = [*PAIRS[:5], pair(5, chosen=f"The key is {SECRET}."), pair(6, rejected="Write to jane.doe@acme-corp.com.")]
    made = tl.Dataset.create("d", rows)
    assert {(one.kind, one.count, one.rows, one.fix) for one in made.report.findings} == {
        ("secret", 1, (6,), "redact"),
        ("email", 1, (7,), "redact"),
    }
    said = repr(made.report) + made.report._repr_html_() + (made.path / "report.json").read_text()
    assert SECRET not in said
    assert "jane.doe" not in said
    mended = tl.Dataset.create("d", rows, fix=["redact"])
    assert mended.report.findings == ()
    assert mended.report.fixed == {"redact": 2}
    texts = [row for row in mended.read()][5:]
    assert [texts[0]["chosen"], texts[1]["rejected"]] == ["The key is [secret].", "Write to [e-mail]."]


def test_an_unknown_fix_is_refused(workspace: Path) -> None:
    assert str(refused(lambda: tl.Dataset.create("d", PAIRS, fix="drop-fauly"))) == (
        f"fix: there is no 'drop-fauly'. Did you mean 'drop-faulty'? There are {', '.join(FIXES)}."
    )


def test_a_check_keeps_nothing_and_tells_all(workspace: Path) -> None:
    report = tl.Dataset.check([*FAULTY, PAIRS[0]], "dpo")
    assert (report.rows, report.faulty, report.fixed) == (61, 3, {})
    assert [one.kind for one in report.findings] == ["null", "empty", "duplicate"]
    assert tl.datasets() == []
    assert Report.from_json(json.loads(json.dumps(report.as_json()))) == report


def test_a_report_is_text_wherever_it_is_shown(workspace: Path) -> None:
    rows = [{"text": f"Message {n} of <b>many</b>", "label": f"<img src=x onerror=alert({n % 2})>"} for n in range(40)]
    report = tl.Dataset.create("d", rows).report
    assert report.classes is not None
    assert "<img" not in report._repr_html_()
    assert "&lt;img" in report._repr_html_()


def test_columns_say_what_a_field_is_made_from(workspace: Path) -> None:
    rows = [
        {"ask": row["prompt"], "good": row["chosen"], "bad": row["rejected"], "n": n} for n, row in enumerate(PAIRS)
    ]
    made = tl.Dataset.create("d", rows, "dpo", {"prompt": "ask", "chosen": "good", "rejected": "bad"})
    assert list(made.read(0, 2)) == [PAIRS[0] | {"n": 0}, PAIRS[1] | {"n": 1}]
    assert made.report.mapping[1] == (("prompt", "ask"), ("chosen", "good"), ("rejected", "bad"))
    assert ("mapped", "columns=: prompt ← ask, chosen ← good, rejected ← bad") in made.report.lines()
    # Nothing is guessed where the names do not say it.
    assert "has no field 'prompt'" in str(refused(lambda: tl.Dataset.create("e", rows, "dpo")))


def test_files_by_a_pattern_are_one_dataset(workspace: Path) -> None:
    for name, rows in {"b.jsonl": PAIRS[3:5], "a.jsonl": PAIRS[:3]}.items():
        Path(f"part-{name}").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = tl.Dataset.create("d", "part-*.jsonl")
    assert list(made.read()) == PAIRS[:5]
    assert str(resolve("part-*.jsonl", "dpo")) == "part@1"
    Path("part-c.jsonl").write_text(json.dumps(PAIRS[5]) + "\n" + json.dumps(pair(6, chosen="")) + "\n")
    assert str(refused(lambda: tl.Dataset.create("d", "part-*.jsonl"))) == (
        "part-c.jsonl, row 2: 'chosen' is empty. Give it a text, or leave the row out."
    )
    assert str(refused(lambda: tl.Dataset.create("d", "none-*.jsonl"))) == "No file fits the pattern none-*.jsonl."


def test_versions_compare_by_their_rows(workspace: Path) -> None:
    first = tl.Dataset.create("d", PAIRS[:10])
    second = tl.Dataset.create("d", [*PAIRS[1:5], pair(5, chosen="Changed."), *PAIRS[6:10], PAIRS[20], PAIRS[1]])
    assert [str(one) for one in second.versions()] == ["d@1", "d@2"]
    diff = first.diff(second)
    assert (diff.same, diff.added, diff.removed) == (
        8,
        ((5, pair(5, chosen="Changed.")), (10, PAIRS[20]), (11, PAIRS[1])),
        ((1, PAIRS[0]), (6, PAIRS[5])),
    )
    assert diff == first.diff("d@2")
    assert repr(diff).splitlines()[0] == "d@1 → d@2: 8 rows the same, 3 added, 2 removed"


def test_a_sample_is_some_rows_under_their_numbers(workspace: Path) -> None:
    made = tl.Dataset.create("d", PAIRS)
    sample = made.sample(8, seed=1)
    assert len(sample) == 8
    assert all(PAIRS[number - 1] == row.to_dict() for number, row in sample.iterrows())
    assert list(sample.index) == list(made.sample(8, seed=1).index) != list(made.sample(8, seed=2).index)
    assert len(made.sample(1000)) == 60


def test_rows_are_read_from_any_place(workspace: Path) -> None:
    made = tl.Dataset.create("d", PAIRS)
    assert list(made.read(7, 3)) == PAIRS[7:10]
    assert list(made.read(58, 30)) == PAIRS[58:]
    assert list(made.read(60, 5)) == []


def test_the_held_out_part_becomes_an_evaluation_set(workspace: Path) -> None:
    train, held_out = tl.Dataset.create("pairs", PAIRS).split(0.2, seed=3)
    made = tl.Dataset.create("pairs-eval", held_out, technique="evaluation")
    assert (made.rows, made.technique, made.form) == (12, "evaluation", ("query", "response"))
    there, here = ({row["prompt"] for row in part.read()} for part in (held_out, train))
    assert {row["query"] for row in made.read()} == there
    assert {row["response"] for row in made.read()} <= {row["chosen"] for row in PAIRS}
    assert not there & here
    assert len(there | here) == 60
    assert made.source == f"dataset {held_out.label}" == "dataset pairs@1, held out (split 0.2, seed 3)"
    # The same rows that a job with this split and seed holds out.
    prepared = prepare(load.customize(SPEC | {"dataset": "pairs", "split": 0.2, "seed": 3}))
    assert (prepared.train_rows, prepared.eval_rows) == (len(train), len(held_out)) == (48, 12)


SPEC = {"model": "smollm2-135m", "technique": "dpo", "name": "c"}


def test_held_out_rows_that_are_trained_on_as_well_are_counted(workspace: Path) -> None:
    tl.Dataset.create("train", PAIRS[:40])
    other = tl.Dataset.create("other", [pair(n, chosen="Another.") for n in range(35, 50)])
    assert tl.Dataset.get("train").overlap(other) == 5
    given = SPEC | {"dataset": "train", "eval_dataset": "other"}
    assert prepare(load.customize(given)).facts["overlap"] == 5
    tl.Dataset.create("apart", PAIRS[40:])
    assert prepare(load.customize(given | {"eval_dataset": "apart"})).facts["overlap"] == 0


def entry(dataset: str, **values: Any) -> index.Entry:
    known = {
        "name": "chatty",
        "version": 1,
        "job": "chatty-20260101-000000-abcd",
        "run_id": "r",
        "base": "smollm2-135m",
    }
    return index.Entry(
        **(known | {"technique": "dpo", "adapter": "lora", "path": "/", "created": ""} | values), dataset=dataset
    )


def job(workspace: Path, name: str, state: str, **keys: str) -> None:
    folder = workspace / "jobs" / f"{name}-20260101-000000-abcd"
    folder.mkdir(parents=True)
    (folder / "spec.yaml").write_text(yaml.safe_dump(keys))
    lines = [json.dumps({"type": "state", "state": one}) for one in ("queued", state)]
    (folder / "journal.jsonl").write_text("\n".join(lines) + "\n")


def test_a_version_that_a_model_was_made_from_is_not_deleted(workspace: Path) -> None:
    made = tl.Dataset.create("d", PAIRS[:30])
    spare = tl.Dataset.create("d", PAIRS[:31])
    index.add(entry("d@1"))
    assert made.uses() == ["the model chatty@1"]
    assert str(refused(made.delete)) == (
        "d@1 is needed by the model chatty@1, and without it nobody can tell what made them. Remove those first, or "
        "keep it."
    )
    assert list(made.read()) == PAIRS[:30]
    spare.delete()
    assert [str(one) for one in made.versions()] == ["d@1"]
    # A number is never given twice: a run in MLflow may still name it.
    assert str(tl.Dataset.create("d", PAIRS[:32])) == "d@3"


NEEDS = {
    "a job that waits": ("queued", {"dataset": "d@1"}, ["the job j-20260101-000000-abcd"]),
    "a job that is paused, by its held-out rows": (
        "paused",
        {"eval_dataset": "d@1"},
        ["the job j-20260101-000000-abcd"],
    ),
    "a job that failed": ("failed", {"dataset": "d@1"}, []),
    "a job that was cancelled": ("cancelled", {"dataset": "d@1"}, []),
    "a job on another version": ("running", {"dataset": "d@2"}, []),
}


@pytest.mark.parametrize(("state", "keys", "needed"), NEEDS.values(), ids=NEEDS.keys())
def test_a_version_that_a_job_needs_is_not_deleted(workspace: Path, state: str, keys: dict, needed: list[str]) -> None:
    made = tl.Dataset.create("d", PAIRS[:30])
    job(workspace, "j", state, **keys)
    assert made.uses() == needed
    if needed:
        refused(made.delete)
    else:
        made.delete()
    assert bool(tl.datasets()) == bool(needed)


def test_a_dataset_of_an_earlier_release_is_brought_over(workspace: Path) -> None:
    made = tl.Dataset.create("d", TWICE)
    expected, digest = made.report, made.digest
    lines = [json.dumps(row, ensure_ascii=False, separators=(",", ":"), sort_keys=True) + "\n" for row in TWICE]
    for path in made.path.iterdir():
        if path.name != "dataset.json":
            path.unlink()
    (made.path / "rows.jsonl").write_text("".join(lines))
    noted = json.loads((made.path / "dataset.json").read_text())
    del noted["fields"]
    (made.path / "dataset.json").write_text(json.dumps(noted))
    again = tl.Dataset.get("d")
    assert list(again.read()) == TWICE
    assert again.held_out(5, 42) == made.held_out(5, 42)
    assert again.report.findings == expected.findings
    assert again.digest == digest == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert not (made.path / "rows.jsonl").exists()


def test_the_datasets_are_shown_as_a_table(workspace: Path) -> None:
    assert repr(tl.datasets()) == "No datasets yet. tl.Dataset.create(name, source) makes one, and so does %customize."
    tl.Dataset.create("d", TWICE)
    [row] = tl.datasets().table()
    assert (row["dataset"], row["technique"], row["rows"], row["warnings"], row["source"]) == (
        "d@1",
        "dpo",
        "22",
        1,
        "list",
    )
    assert "<td" in tl.datasets()._repr_html_()


def test_making_a_dataset_brings_no_heavy_library_into_the_process(workspace: Path) -> None:
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PAIRS))
    code = (
        "import sys, tunelab as tl; made = tl.Dataset.create('d', 'rows.jsonl'); made.held_out(0.1, 42); made.report;"
        "print(*{name.partition('.')[0] for name in sys.modules}"
        " & {'torch', 'transformers', 'mlflow', 'pandas', 'datasets', 'pyarrow', 'duckdb', 'numpy'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_dataset_made_for_another_technique_is_mapped_to_this_one(workspace: Path) -> None:
    made = tl.Dataset.create("d", pd.DataFrame(PAIRS), "evaluation")
    assert made.form == ("query", "response")
    served = resolve("d", "sft")
    assert (str(served), served.form) == ("d@2", ("prompt", "completion"))
    assert next(served.read())["completion"] == PAIRS[0]["chosen"]


def test_mappings_keep_their_order_and_are_the_same_in_any(workspace: Path) -> None:
    chats = [
        {
            "messages": [{"role": "user", "content": f"Ask {n}"}, {"role": "assistant", "content": "Yes."}],
            "z": {"b": 1, "a": 2},
        }
        for n in range(3)
    ]
    made = tl.Dataset.create("d", chats)
    assert [list(row["messages"][0]) + list(row["z"]) for row in made.read()] == [["role", "content", "b", "a"]] * 3
    turned = [
        {"z": {"a": 2, "b": 1}, "messages": [dict(reversed(m.items())) for m in row["messages"]]} for row in chats
    ]
    assert tl.Dataset.create("d", turned) == made
    # And where the examining process computes it, since rows are left out.
    assert tl.Dataset.create("d", [*turned, chats[0]], fix="drop-duplicates") == made


def test_rows_that_are_too_long_for_a_model_are_kept_as_a_warning_of_the_version(workspace: Path, tiny: Path) -> None:
    rows = [*PAIRS[:8], pair(8, chosen="and so on " * 1500)]
    made = tl.Dataset.create("d", rows, model=str(tiny))
    [found] = tl.Dataset.get("d").report.warnings
    assert (found.kind, found.field, found.count, found.rows) == ("length", str(tiny), 1, (9,))
    assert found in made.report.findings
    # Looked at anew with more room, there is nothing to warn of.
    made.preview(str(tiny), hyperparameters={"max_length": 32_768})
    assert tl.Dataset.get("d").report.warnings == ()


def test_a_damaged_version_says_where_it_lies(workspace: Path) -> None:
    made = tl.Dataset.create("d", PAIRS[:8])
    (made.path / "dataset.json").write_text("{}")
    assert str(refused(lambda: tl.Dataset.get("d"))) == (
        f"{made.path / 'dataset.json'} is damaged. Move its folder away, and make the dataset again."
    )


def test_a_variable_that_holds_a_version_of_its_own_name_is_that_version(workspace: Path) -> None:
    first = tl.Dataset.create("pairs", PAIRS[:10])
    second = tl.Dataset.create("pairs", PAIRS[:20])
    assert resolve("pairs", "dpo", {"pairs": first}) == first
    assert resolve("pairs", "dpo", {"pairs": second}) == resolve("pairs", "dpo", {}) == second
    tl.Dataset.create("others", PAIRS[:5])
    assert "is a registered dataset and a variable" in str(refused(lambda: resolve("others", "dpo", {"others": first})))
    train, _ = second.split(4)
    assert resolve("train", "dpo", {"train": train}).rows == 16
