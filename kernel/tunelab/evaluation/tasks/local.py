"""Local rows in place of a task's own from the hub: only the rows are other, prompts and metric stay lm-eval's.

For each task a file is written that includes lm-eval's own and names JSON files as its data. Rows are in the form that
they have on the hub; two benchmarks are known in the form of their first publication too.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tunelab import workspace
from tunelab.data.reading import READERS, Row, read_file
from tunelab.errors import DataError, Error, listing
from tunelab.evaluation.tasks import sentences
from tunelab.evaluation.tasks.names import Entry

#: What a row of a dataset needs, by its name on the hub.
FIELDS = {
    "cais/mmlu": ("question", "choices", "answer"),
    "TIGER-Lab/MMLU-Pro": ("question", "options", "answer", "category"),
    "openai/gsm8k": ("question", "answer"),
    "EleutherAI/hendrycks_math": ("problem", "solution"),
    "HuggingFaceH4/MATH-500": ("problem", "solution", "answer"),
    "SaylorTwift/bbh": ("input", "target"),
    "Idavidrein/gpqa": (
        "Question", "Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3",
    ),
    "google/IFEval": ("prompt", "instruction_id_list", "kwargs"),
    "wis-k/instruction-following-eval": ("prompt", "instruction_id_list", "kwargs"),
    "allenai/ai2_arc": ("question", "choices", "answerKey"),
    "Rowan/hellaswag": ("ctx_a", "ctx_b", "activity_label", "endings", "label"),
    "truthfulqa/truthful_qa": ("question",),
}  # fmt: skip

_LETTERS = "ABCD"
_SPLITS = {
    "train": "train",
    "training": "train",
    "dev": "dev",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


@dataclass(frozen=True)
class _File:
    """A file of rows: the words of its path without its split, and the split, where one is in its name."""

    path: Path
    words: str
    split: str | None


@dataclass(frozen=True)
class Local:
    """Where the files for lm-eval are, which names they have, and what the reader should know of them."""

    folder: Path
    names: list[str]
    notes: list[str]


def write(
    data: Path, names: Sequence[str], entries: dict[str, Entry], shots: int | None, folder: Path, counts: bool = True
) -> Local:
    """Write tasks into `folder` that read local rows.

    Parameters
    ----------
    data
        A file, whose rows are what is asked; or a folder, in whose files' names are splits and subjects, such as
        ``anatomy_val.csv`` or ``test/anatomy.jsonl``.
    names, entries
        The tasks, as `names.choose` returns them.
    shots
        How many examples stand before each question; None leaves it to the task.
    counts
        Whether sentences can be counted, as some questions of IFEval want; without, those are left out.

    Raises
    ------
    DataError
        If there are no rows for any of the tasks, or a row lacks a field; the message names it.
    Error
        If a task cannot take local rows.
    """
    tasks = [entry for entry in entries.values() if entry.kind in ("task", "python")]
    datasets = {entry.dataset for entry in tasks}
    if len(datasets) > 1:
        raise Error(
            f"benchmark.data has the rows of one benchmark, and these tasks are of {listing(map(str, datasets))}. "
            "Evaluate them one after the other."
        )
    files = _files(data)
    subsets = {entry.subset for entry in tasks}
    written, notes, without = set(), [], []
    for entry in tasks:
        mine = _mine(files, entry, alone=len(subsets) == 1, subjects=[_plain(task.subset or "") for task in tasks])
        if not mine:
            without.append(entry.name)
            continue
        notes.append(_write_task(entry, mine, shots, folder, data.is_file(), counts))
        written.add(entry.name)
    if not written:
        asked = tasks[0].subset or tasks[0].name
        raise DataError(
            f"{data} has no rows for {listing(names)}: a file's name says which task and split it is, such as "
            f"{_plain(asked)}_test.jsonl. Its files: {listing([file.path.name for file in files])}."
        )
    kept = _write_groups(names, entries, written, folder)
    if without:
        notes.append(f"there are no rows for {listing(without)}: left out")
    return Local(folder, [name for name in names if name in kept], notes)


def _files(data: Path) -> list[_File]:
    if data.is_file():
        return [_File(data, "", None)]
    if not data.is_dir():
        raise DataError(f"benchmark.data is no file and no folder: {data}.")
    found = sorted(path for path in data.glob("**/*") if path.is_file() and path.suffix.lower() in READERS)
    if not found:
        raise DataError(f"{data} has no file of rows ({', '.join(READERS)}).")
    files = []
    for path in found:
        words = _plain("/".join(path.relative_to(data).with_suffix("").parts)).split("_")
        split = next((_SPLITS[word] for word in reversed(words) if word in _SPLITS), None)
        files.append(_File(path, "_".join(word for word in words if word not in _SPLITS), split))
    return files


def _mine(files: list[_File], entry: Entry, alone: bool, subjects: list[str]) -> list[_File]:
    wanted = {_plain(entry.name), _plain(entry.subset or entry.name)}
    named = [file for file in files if file.words in wanted]
    if not named:
        ends = tuple(f"_{name}" for name in wanted)
        named = [file for file in files if file.words.endswith(ends)]
        # "chemistry" ends "high_school_chemistry" too, which is a subject of its own.
        longer = [name for name in subjects if name not in wanted and name.endswith(ends)]
        named = [file for file in named if not any(file.words.endswith(name) for name in longer)]
    if named or not alone:
        return named
    return files


def _write_task(entry: Entry, files: list[_File], shots: int | None, folder: Path, is_file: bool, counts: bool) -> str:
    """Write one task and return what the reader should know of it."""
    if entry.kind == "python" or entry.file is None:
        raise Error(
            f"The task {entry.name} is a Python class of lm-eval, which brings its rows itself: it takes no local ones."
        )
    config = _config(Path(entry.file))
    own = config.get("test_split") or config.get("validation_split") or "test"
    given = config.get("fewshot_config") or {}
    has_examples = "samples" in given
    examples = None
    if not has_examples:
        examples = given.get("split") or config.get("fewshot_split") or config.get("training_split")
    splits = {file.split for file in files}
    asked = next(split for split in (own, "test", "validation", "dev", "train", None) if split in splits)
    shown = None
    if examples is not None:
        others = (examples, "dev" if examples == "validation" else "validation", "train", "dev")
        shown = next((split for split in others if split in splits and split != asked), asked)
    rows = _rows([file for file in files if file.split == asked], entry)
    left = len(rows)
    if entry.dataset in sentences.DATASETS and not counts:
        rows = [row for row in rows if not sentences.counts(row)]
        if not rows:
            raise DataError(f"Each question of {files[0].path.name} counts sentences, which needs NLTK's punkt_tab.")
    # Where examples come from the questions, lm-eval leaves out the one that is asked, if both have one name.
    name = examples if examples is not None and shown == asked else own
    parts = {name: rows}
    if examples is not None and shown != asked:
        parts[examples if examples != name else f"{examples}_examples"] = _rows(
            [file for file in files if file.split == shown], entry
        )
    count = shots if shots is not None else config.get("num_fewshot") or 0
    pool = parts.get(examples, rows) if examples else rows
    if not has_examples and count > len(pool) - (pool is rows):
        raise DataError(
            f"{entry.name} puts {count} examples before each question, and there are rows for "
            f"{len(pool) - (pool is rows)}. Give more rows, or a lower num_fewshot."
        )
    changed: dict[str, Any] = {
        "include": entry.file,
        "dataset_path": "json",
        "dataset_name": None,
        "custom_dataset": None,
        "dataset_kwargs": {"data_files": {split: str(_keep(part)) for split, part in parts.items()}},
        "training_split": None,
        "validation_split": None,
        "test_split": name,
        "fewshot_split": None if examples is None or "split" in given else examples,
    }
    (folder / f"{workspace.slug(entry.name)}.yaml").write_text(yaml.safe_dump(changed), encoding="utf-8")
    places = ", ".join(sorted({file.path.name for file in files if file.split == asked}))
    note = f"{entry.name}: {len(rows):,} questions of {places}"
    if asked not in (own, None) and not is_file:
        note += f" ({asked}, since there is no {own})"
    if len(rows) < left:
        note += f"; {left - len(rows)} that count sentences are left out, since NLTK's punkt_tab is not here"
    if count and examples is not None:
        note += ", examples from the same rows" if shown == asked else f", examples from {shown}"
    return note


def _write_groups(names: Sequence[str], entries: dict[str, Entry], written: set[str], folder: Path) -> set[str]:
    """Write the groups that have a task left, with those only, and return the names of all that there is."""
    there = set(written)

    def is_there(name: str) -> bool:
        entry = entries.get(name)
        if entry is None or name in there or not entry.children:
            return name in there
        kept = {child for child in entry.children if is_there(child)}
        if not kept:
            return False
        if entry.kind == "group" and entry.file is not None:
            members = [
                member
                for member in _config(Path(entry.file))["task"]
                if (member if isinstance(member, str) else member.get("task") or member.get("group")) in kept
            ]
            changed = {"include": entry.file, "task": members}
            (folder / f"{workspace.slug(name)}-group.yaml").write_text(yaml.safe_dump(changed), encoding="utf-8")
        there.add(name)
        return True

    for name in names:
        is_there(name)
    return there


def _rows(files: list[_File], entry: Entry) -> list[Row]:
    rows: list[Row] = []
    for file in files:
        for number, row in enumerate(_read(file.path, entry.dataset), 1):
            where = f"{file.path.name}, row {number}"
            row = _on_hub(row, entry, where)
            # Of a dataset that is not known here, each row has what the first one has.
            wanted = FIELDS.get(entry.dataset or "") or tuple(rows[0] if rows else ())
            missing = next((field for field in wanted if field not in row), None)
            if missing is not None:
                raise DataError(f"{where} has no '{missing}', which {entry.name} asks for. It has {listing(row)}.")
            rows.append(row)
    if not rows:
        raise DataError(f"{files[0].path.name} has no rows.")
    return rows


def _read(path: Path, dataset: str | None) -> Iterator[Row]:
    if dataset == "cais/mmlu" and path.suffix.lower() == ".csv" and (rows := _without_header(path)) is not None:
        return iter(rows)
    if path.suffix.lower() == ".json":
        try:
            whole = json.loads(path.read_text(encoding="utf-8-sig"))
        except ValueError:
            whole = None  # read_file says what is wrong with it
        if isinstance(whole, dict) and isinstance(whole.get("examples"), list):
            return iter(whole["examples"])
    return read_file(path)


def _without_header(path: Path) -> list[Row] | None:
    """Return the rows of MMLU's own CSV (Hendrycks et al. 2021): question, four choices, letter; None for another."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = [cells for cells in csv.reader(file) if cells]
    if not lines or len(lines[0]) != 6 or lines[0][5].strip() not in tuple(_LETTERS):
        return None
    rows = []
    for number, cells in enumerate(lines, 1):
        if len(cells) != 6 or cells[5].strip() not in tuple(_LETTERS):
            raise DataError(
                f"{path.name}, row {number} is no question, four choices and the letter of the right one (A to D)."
            )
        rows.append({"question": cells[0], "choices": cells[1:5], "answer": _LETTERS.index(cells[5].strip())})
    return rows


def _on_hub(row: Any, entry: Entry, where: str) -> Row:
    """Return a row in the form that the hub has."""
    if not isinstance(row, dict):
        raise DataError(f"{where} is not an object of fields.")
    changed: Row = dict(row)
    if entry.dataset == "cais/mmlu" and isinstance(letter := row.get("answer"), str):
        if letter not in tuple(_LETTERS):
            raise DataError(f"{where}: 'answer' is '{letter}', which is none of A, B, C and D.")
        changed["answer"] = _LETTERS.index(letter)
    if entry.dataset == "allenai/ai2_arc" and isinstance(question := row.get("question"), dict):
        # The form of the Allen Institute's own download.
        choices = question.get("choices") or []
        changed["question"] = question.get("stem")
        changed["choices"] = {name: [choice.get(name) for choice in choices] for name in ("text", "label")}
    return changed


def _keep(rows: list[Row]) -> Path:
    """Return a file with these rows, in the workspace's cache; the same rows are the same file."""
    text = "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]
    file = workspace.current().root / "cache" / "benchmarks" / f"{digest}.jsonl"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        workspace.write_text(file, text)
    return file


def _config(file: Path) -> dict[str, Any]:
    """Return a task's file with what it includes, without running any Python that it names."""
    from lm_eval.tasks._yaml_loader import load_yaml

    return dict(load_yaml(file, resolve_func=False))


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
