"""Results as a notebook has them: what is read, what people overrule, and what is saved."""

from __future__ import annotations

import csv
import json
import math
import multiprocessing
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tunelab as tl
from tunelab.evaluation import compare, results
from tunelab.evaluation.results import Result

NAN = math.nan
BASE, TUNED = "smollm2-135m", "chatty@1"
HOSTILE = '<img src=x onerror="alert(1)">'
SCORES = {
    "human_like": {BASE: [1.0, 1, 1, 2, 3, 3], TUNED: [2.0, 2, 3, 2, 2, NAN]},
    "exact": {BASE: [0.0, 0, 1, 1, 0, 0], TUNED: [1.0, 0, 1, 0, 1, 1]},
}
METRICS = [
    {"name": "human_like", "low": 1.0, "high": 3.0, "labels": None, "pairwise": False, "label": "human_like@1"},
    {"name": "exact", "low": 0.0, "high": None, "labels": None, "pairwise": False, "label": "exact"},
]
IDS = ["a", "=1+1", "c", "d\u2028e", "é", "10"]
ORDER = ["id", "model", "metric", "prompt", "ground_truth", "prediction", "score", "label", "reasoning", "raw"]


def lines() -> list[dict[str, Any]]:
    return [
        {
            **{"id": identity, "number": number, "model": model, "metric": metric, "prompt": f"What, {number}?"},
            **{
                "ground_truth": None,
                "prediction": HOSTILE,
                "score": score,
                "label": None,
                "reasoning": "",
                "raw": "{}",
            },
            **{"status": "unparsed" if math.isnan(score) else "scored", "note": "", "against": None, "flipped": False},
            **{"latency_s": 0.1, "tokens_in": 1, "tokens_out": 2, "cost": None, "cut": False},
            **{"topic": "xyz"[number % 2], "length": number},
        }
        for metric, models in SCORES.items()
        for model, scores in models.items()
        for number, (identity, score) in enumerate(zip(IDS, scores, strict=True), 1)
    ]


def write(folder: Path, told: list[dict[str, Any]], **more: Any) -> Result:
    records = pd.DataFrame(told)
    rows = [one.as_dict() for one in compare.summarize(records, [BASE, TUNED], 3)] if told else []
    summary: dict[str, Any] = {
        **{"method": "judge", "models": [BASE, TUNED], "baseline": BASE, "metrics": METRICS, "summary": rows},
        **{"notes": [{"code": "overlap", "message": f"1 question is in the training data {HOSTILE}."}], "costs": []},
        **{"columns": ["topic", "length"], "rows": 6, "benchmarks": None, "judges": None, "seed": 3},
    }
    results.write(folder, records, summary | more)
    return Result.read(folder)


@pytest.fixture
def result(tmp_path: Path) -> Result:
    return write(tmp_path / "results", lines())


def test_records_and_summary_have_their_columns_in_order(result: Result) -> None:
    assert list(result.records)[:12] == [*ORDER, "status", "human_score"]
    assert {"number", "note", "latency_s", "topic", "length"} <= set(result.records)
    assert result.records["score"].tolist() == pytest.approx(pd.DataFrame(lines())["score"].tolist(), nan_ok=True)
    assert result.records["human_score"].isna().all()
    assert list(result.summary) == [
        *("metric", "model", "mean", "improved", "equal", "degraded", "difference", "low", "high", "p_value"),
        *("scored", "unscored", "baseline", "baseline_mean", "pairs", "test", "win_rate", "needed", "verdict"),
        *("flipped", "human"),
    ]
    assert result.summary["improved"].tolist() == pytest.approx([NAN, 0.6, NAN, 0.5], nan_ok=True)
    assert result.models == [BASE, TUNED]
    assert result.notes == [f"1 question is in the training data {HOSTILE}."]
    assert result.benchmarks.empty and result.judges.empty and result.costs.empty


def test_people_overrule_and_both_scores_stay(result: Result) -> None:
    result.overrule("10", TUNED, "human_like", 3)
    result.overrule("a", TUNED, "human_like", np.float32(1))
    result.overrule("a", TUNED, "human_like", 3)
    result.overrule("c", TUNED, "human_like", 1)
    result.overrule("c", TUNED, "human_like", None)
    result.overrule("d\u2028e", BASE, "exact", 0)
    own = result.records.set_index(["metric", "model", "id"]).sort_index()
    assert own.loc[("human_like", TUNED)].loc[IDS, ["score", "human_score"]].to_numpy() == pytest.approx(
        np.array([[2, 3], [2, NAN], [3, NAN], [2, NAN], [2, NAN], [NAN, 3]]), nan_ok=True
    )
    assert own.loc[("exact", BASE, "d\u2028e"), "human_score"] == 0
    # By hand: of 6 pairs now the differences are 2 1 2 0 -1 0, and unscored is what nobody scored.
    before, after = (table.iloc[1] for table in (result.summary, result.human_summary))
    assert (before["difference"], before["scored"], before["human"]) == (pytest.approx(0.6), 5, 2)
    assert (after["difference"], after["scored"], after["human"]) == (pytest.approx(4 / 6), 6, 2)
    assert (after["improved"], after["equal"], after["degraded"]) == (0.5, pytest.approx(1 / 3), pytest.approx(1 / 6))
    assert result.summary["human"].tolist() == result.human_summary["human"].tolist() == [0, 2, 1, 0]
    told = [json.loads(line) for line in (result.folder / "overrules.jsonl").read_text().splitlines()]
    assert [sorted(line) for line in told] == [["id", "metric", "model", "score", "time", "user"]] * 6
    assert [line["score"] for line in told] == [3, 1, 3, 1, None, 0]


def test_without_overruled_scores_both_summaries_are_one(tmp_path: Path) -> None:
    # Of differences that are all others the interval depends on the seed.
    result = write(tmp_path, [line | {"score": math.sin(place)} for place, line in enumerate(lines())])
    pd.testing.assert_frame_equal(result.human_summary, result.summary)


REFUSED = {
    "no such model": (("a", "chatty", "exact", 1), "no model 'chatty'. Did you mean 'chatty@1'?"),
    "no such metric": (("a", TUNED, "kind", 1), "no metric 'kind'. There are exact, human_like."),
    "no such record": (("b", TUNED, "exact", 1), "no record 'b' of the model 'chatty@1' with the metric 'exact'"),
    "too high": (("a", TUNED, "human_like", 3.5), "A score by human_like is a number from 1 to 3, and got 3.5."),
    "too low": (("a", TUNED, "human_like", 0), "from 1 to 3, and got 0."),
    "below what has no upper end": (("a", TUNED, "exact", -1), "A score by exact is a number from 0, and got -1."),
    "no number": (("a", TUNED, "exact", NAN), "and got nan."),
    "infinite": (("a", TUNED, "exact", math.inf), "and got inf."),
    "yes": (("a", TUNED, "exact", True), "and got True."),
    "text": (("a", TUNED, "exact", "1"), "and got '1'."),
}


@pytest.mark.parametrize(("asked", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_overruled(result: Result, asked: tuple[Any, ...], message: str) -> None:
    with pytest.raises(tl.Error) as caught:
        result.overrule(*asked)
    assert message in str(caught.value)
    assert not (result.folder / "overrules.jsonl").exists()


def test_a_record_that_a_model_has_no_line_of_is_not_overruled(tmp_path: Path) -> None:
    # As where each answer is judged against the baseline's: the baseline has no line.
    result = write(tmp_path, [line | {"against": BASE} for line in lines() if line["model"] == TUNED])
    with pytest.raises(tl.Error, match="no record 'a' of the model 'smollm2-135m' with the metric 'exact'"):
        result.overrule("a", BASE, "exact", 1)


def test_a_line_that_was_torn_off_is_left_out_and_cut(result: Result) -> None:
    result.overrule("a", TUNED, "exact", 0)
    path = result.folder / "overrules.jsonl"
    with path.open("a") as file:
        file.write('{"id": "a", "model": "chatty@1", "metr')
    assert result.records["human_score"].notna().sum() == 1
    result.overrule("c", TUNED, "exact", 0)
    assert result.records["human_score"].notna().sum() == 2
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["a", "c"]


def _overrule_many(folder: Path, model: str) -> None:
    one = Result.read(folder)
    for score in range(20):
        one.overrule("a", model, "exact", score)


def test_two_kernels_overrule_at_once(result: Result) -> None:
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=_overrule_many, args=(result.folder, model)) for model in (BASE, TUNED)]
    for one in both:
        one.start()
    for one in both:
        one.join(60)
    assert [one.exitcode for one in both] == [0, 0]
    told = [json.loads(line) for line in (result.folder / "overrules.jsonl").read_text().splitlines()]
    for model in (BASE, TUNED):
        assert [line["score"] for line in told if line["model"] == model] == list(range(20))


def test_the_split_is_of_a_metadata_column(result: Result) -> None:
    told = result.by("topic")
    own = told[(told["metric"] == "human_like") & (told["model"] == TUNED)]
    assert list(zip(own["topic"], own["pairs"], own["difference"], strict=True)) == [("x", 2, 0.5), ("y", 3, 2 / 3)]
    for name in ("topics", "score"):
        with pytest.raises(tl.Error, match=f"no column '{name}'") as caught:
            result.by(name)
    assert str(caught.value).endswith("There are length, topic.")


def test_what_counts_as_equal_is_the_metrics_own(tmp_path: Path) -> None:
    metrics = [METRICS[0] | {"equal_within": 1.0}, METRICS[1] | {"equal_within": None}]
    result = write(tmp_path, lines(), metrics=metrics)
    assert result.human_summary["equal"].tolist() == pytest.approx([NAN, 0.8, NAN, 1 / 3], nan_ok=True)
    assert result.by("topic")["equal"].max() == 1


@pytest.mark.parametrize("form", ["parquet", "json", "jsonl", "csv", "CSV"])
def test_saved_files_have_every_record(result: Result, tmp_path: Path, form: str) -> None:
    result.overrule("c", TUNED, "exact", 0)
    path = result.save(tmp_path / f"saved.{form}")
    records = result.records
    if form.lower() == "csv":
        with path.open(newline="", encoding="utf-8") as file:
            found = list(csv.DictReader(file))
        assert list(found[0]) == list(records)
        assert [row["id"] for row in found[:6]] == ["a", "'=1+1", "c", "d\u2028e", "é", "10"]
        assert [row["score"] for row in found[6:12]] == ["2.0", "2.0", "3.0", "2.0", "2.0", ""]
    else:
        text = path.read_text(encoding="utf-8") if form != "parquet" else ""
        rows = {
            "parquet": lambda: pd.read_parquet(path).astype(object).to_dict("records"),
            "json": lambda: json.loads(text),
            "jsonl": lambda: [json.loads(line) for line in text.split("\n") if line],
        }[form]()
        assert [row["id"] for row in rows[:6]] == IDS
        assert [row["score"] for row in rows[6:11]] == [2, 2, 3, 2, 2]
        assert [row["human_score"] for row in rows if row["human_score"] == row["human_score"] is not None] == [0]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["results", f"saved.{form}"]


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"]


@pytest.mark.parametrize("text", [*FORMULAS, "a=1", "'=1", 'a "b", c', "1\n2\r\n3", "1\r=2"])
def test_no_text_in_a_csv_is_a_formula(tmp_path: Path, text: str) -> None:
    told = [line | {"prediction": text, "=column": text, "score": -1.5} for line in lines()]
    path = write(tmp_path / "results", told).save(tmp_path / "saved.csv")
    with path.open(newline="", encoding="utf-8") as file:
        first = next(csv.DictReader(file))
    wanted = f"'{text}" if text in FORMULAS else text
    # A number below 0 is none.
    assert (first["prediction"], first["'=column"], first["score"]) == (wanted, wanted, "-1.5")


def test_a_file_that_cannot_be_saved_is_refused_in_a_sentence(result: Result, tmp_path: Path) -> None:
    for name, message in {
        "saved.xlsx": "saved.xlsx: results are saved as .csv, .json, .jsonl, .parquet.",
        "saved": "saved: results are saved as",
        "away/saved.csv": "saved.csv cannot be written: No such file or directory.",
        "folder.csv": "folder.csv cannot be written: Is a directory.",
    }.items():
        (tmp_path / "folder.csv").mkdir(exist_ok=True)
        with pytest.raises(tl.Error) as caught:
            result.save(tmp_path / name)
        assert message in str(caught.value)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder.csv", "results"]


def test_without_results_it_says_so(result: Result, tmp_path: Path) -> None:
    with pytest.raises(tl.Error, match="no results yet"):
        Result.read(tmp_path / "none")
    (result.folder / "records.parquet").write_bytes(b"PAR1")
    for ask in (lambda: result.records, lambda: result.overrule("a", TUNED, "exact", 1)):
        with pytest.raises(tl.Error, match="The results cannot be read"):
            ask()
    (result.folder / "records.parquet").unlink()
    with pytest.raises(tl.Error, match="the job was removed"):
        result.overrule("a", TUNED, "exact", 1)


KINDS: dict[str, tuple[list[Any], list[Any]]] = {
    "numbers and texts": ([1, "one", None, 2.5, True, NAN], ["1", "one", None, "2.5", "true", None]),
    "named": ([{"a": 1}, {"b": "é"}, None, {}, {}, {}], ['{"a": 1}', '{"b": "é"}', None, "{}", "{}", "{}"]),
    "long numbers": ([2**70, 1, 1, 1, 1, 1], [str(2**70), *"11111"]),
    "numbers": ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]),
}


@pytest.mark.parametrize(("values", "wanted"), KINDS.values(), ids=KINDS.keys())
def test_columns_of_any_kind_can_be_kept(tmp_path: Path, values: list[Any], wanted: list[Any]) -> None:
    told = [line | {"topic": values[place % 6]} for place, line in enumerate(lines())]
    result = write(tmp_path, told)
    found = [None if value != value else value for value in result.records["topic"][:6]]
    assert found == wanted
    assert set(result.by("topic")["topic"]) == {"" if value is None else str(value) for value in wanted}


def test_numbers_that_are_none_are_null(tmp_path: Path) -> None:
    values = [NAN, math.inf, np.float32(NAN), np.float64(0.5), np.int64(3), np.bool_(True), np.array([1.0, NAN])]
    assert results.plain({1: values}) == {"1": [None, None, None, 0.5, 3, True, [1.0, None]]}
    write(tmp_path, lines(), costs=[{"model": BASE, "cost": np.float32(NAN)}])
    told = json.loads((tmp_path / "summary.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert told["costs"] == [{"model": BASE, "cost": None}]


class _Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_what_is_shown_has_both_summaries_and_no_markup_of_others(tmp_path: Path) -> None:
    benchmarks = [{"task": HOSTILE, "metric": "acc", "model": BASE, "value": 0.25, "stderr": None}]
    told = [line | {"metric": HOSTILE if line["metric"] == "exact" else line["metric"]} for line in lines()]
    metrics = [METRICS[0], METRICS[1] | {"name": HOSTILE}]
    result = write(tmp_path, told, metrics=metrics, benchmarks=benchmarks)
    alone = _Tags(result._repr_html_())
    assert alone.found.count("table") == 2
    result.overrule("c", TUNED, HOSTILE, 0)
    shown = _Tags(result._repr_html_())
    assert shown.found.count("table") == 3
    assert set(shown.found) == {"table", "thead", "tbody", "tr", "th", "td", "p"}
    assert HOSTILE in shown.texts
    assert "With 1 score overruled by people:" in shown.texts
    assert any(text.startswith(f"human_like, {TUNED}: Too few records to tell") for text in shown.texts)
    assert {"60%", "5 of 6", "0.25"} <= set(shown.texts)
    for text in ("60%", "5 of 6", "With 1 score overruled", "Too few records to tell", "in the training data", "0.25"):
        assert text in repr(result)


def test_without_records_there_is_something_to_show(tmp_path: Path) -> None:
    judges = [{"metric": "human_like", "kappa": 0.612, "agreement": 0.8}]
    result = write(tmp_path, [], models=[], metrics=[], judges=judges, columns=[])
    assert next(iter(result.summary)) == "metric" and result.summary.empty
    assert "0.612" in repr(result) and "0.612" in result._repr_html_()


def test_a_hundred_thousand_records_are_read_in_no_time(tmp_path: Path) -> None:
    size = 100_000
    ids = np.arange(size).astype(str)
    texts = [f"What is {number} and {number}? " * 4 for number in range(size)]
    one = pd.DataFrame({"id": ids, "prompt": texts, "prediction": texts, "metric": "exact", "status": "scored"})
    told = pd.concat([one.assign(model=model, score=score) for model, score in ((BASE, 0.0), (TUNED, 1.0))])
    write(tmp_path, [])
    told.to_parquet(tmp_path / "records.parquet")
    result = Result.read(tmp_path)
    # Half a second each where nothing else runs.
    begin = time.process_time()
    result.overrule("99999", TUNED, "exact", 0)
    assert time.process_time() - begin < 3
    begin = time.process_time()
    assert len(result.records) == 2 * size
    assert time.process_time() - begin < 5
    assert result.human_summary.iloc[1]["difference"] == pytest.approx(1 - 1 / size)
