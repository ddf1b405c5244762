"""Which tasks a name means, told without loading one: lm-eval's index, read once a version and kept in the workspace.

To walk lm-eval's 15,000 task files takes it some seconds, at each start; what is kept here takes none.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from tunelab import workspace
from tunelab.errors import Error, SpecError, did_you_mean

#: Names of benchmarks that lm-eval calls otherwise; its own names hold as they are.
FRIENDLY = {
    "math": "minerva_math",
    "arc": "ai2_arc",
    "big_bench_hard": "bbh",
    "truthful_qa": "truthfulqa",
}

#: Part of the name of the file that is kept: another one is read anew.
_FORM = 1


@dataclass(frozen=True)
class Entry:
    """A task, or a group or tag of tasks, as its file tells.

    `output` is how it asks a model, `dataset` and `subset` where its rows come from; `children` are names where it is a
    group or tag.
    """

    name: str
    kind: Literal["task", "python", "group", "tag"]
    file: str | None = None
    output: str | None = None
    dataset: str | None = None
    subset: str | None = None
    is_unsafe: bool = False
    children: list[str] = field(default_factory=list)


def require() -> str:
    """Return lm-eval's version.

    Raises
    ------
    Error
        If it is not installed.
    """
    if importlib.util.find_spec("lm_eval") is None:
        raise Error("Benchmarks need lm-eval, which is not installed: pip install 'tunelab[benchmarks]'")
    return importlib.metadata.version("lm_eval")


def own(path: Path) -> dict[str, Entry]:
    """Return the tasks of a folder of the user's.

    Raises
    ------
    Error
        If it is no folder, or has no task.
    """
    if not path.is_dir():
        raise Error(f"benchmark.path is no folder: {path}. Name one with lm-eval task files (YAML).")
    found = _walk(path)
    if not found:
        raise Error(f"{path} has no lm-eval task: a YAML file with 'task' and 'dataset_path'.{_broken(path)}")
    return found


def known() -> dict[str, Entry]:
    """Return the tasks that come with lm-eval."""
    version = require()
    kept = workspace.current().root / "cache" / f"lm-eval-{version}-{_FORM}.json"
    rows = workspace.read_json(kept, None)
    if not isinstance(rows, list):
        rows = [asdict(entry) for entry in _walk(None).values()]
        kept.parent.mkdir(parents=True, exist_ok=True)
        workspace.write_text(kept, json.dumps(rows))
    root = _root()
    # Their files are relative: those of an environment that has moved are elsewhere.
    return {row["name"]: Entry(**row | {"file": row["file"] and str(root / row["file"])}) for row in rows}


def choose(names: Sequence[str], path: Path | None) -> tuple[list[str], dict[str, Entry]]:
    """Return the names as the index has them, and the entries that they need, with those below them.

    Raises
    ------
    SpecError
        If a name is none of lm-eval's and none of the folder's.
    """
    here = own(path) if path is not None else {}
    entries = dict(here)
    chosen = [name for name in (_meaning(name, here) for name in names) if name is not None]
    is_whole = len(chosen) == len(names) and all(child in here for child in _below(chosen, here, strict=False))
    if not is_whole:
        entries = known() | here
        chosen = []
        for name in names:
            meant = _meaning(name, entries)
            if meant is None:
                where = f" or in {path}" if path is not None else ""
                hint = did_you_mean(name.lower().replace("-", "_"), [*entries, *FRIENDLY])
                broken = _broken(path) if path is not None else ""
                raise SpecError(f"There is no task '{name}' in lm-eval {require()}{where}.{hint}{broken}")
            chosen.append(meant)
    twice = next((name for name in chosen if chosen.count(name) > 1), None)
    if twice is not None:
        raise SpecError(f"The task {twice} is there twice.")
    needed = {name: entries[name] for name in _below(chosen, entries) if name in entries}
    return chosen, needed


def leaves(names: Iterable[str], entries: dict[str, Entry]) -> list[Entry]:
    """Return the tasks that are asked, in the order in which they come."""
    return [entries[name] for name in _below(names, entries) if entries[name].kind in ("task", "python")]


def folder(file: Path) -> Path:
    """Return the folder that is read for a task: of lm-eval's own the one below its tasks, since tags go across."""
    root = _root().resolve()
    file = file.resolve()
    return root / file.relative_to(root).parts[0] if file.is_relative_to(root) else file.parent


def is_same(entry: Entry, found: Any) -> bool:
    """Tell whether lm-eval's index has the same for a name."""
    if found is None or (found.yaml_path is None) != (entry.file is None):
        return False
    if entry.kind == "tag":
        return sorted(found.tags) == entry.children
    return entry.file is None or Path(found.yaml_path).resolve() == Path(entry.file).resolve()


def _meaning(name: str, entries: dict[str, Entry]) -> str | None:
    plain = re.sub(r"[\s-]+", "_", name.strip().lower())
    candidates = (name, name.lower(), plain, FRIENDLY.get(plain), plain.removeprefix("open_"))
    return next((candidate for candidate in candidates if candidate in entries), None)


def _below(names: Iterable[str], entries: dict[str, Entry], strict: bool = True) -> Iterator[str]:
    """Yield the names and those below them, each once; without `strict` unknown ones too."""
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        if name in entries:
            waiting = entries[name].children + waiting
            yield name
        elif not strict:
            yield name


def _walk(path: Path | None) -> dict[str, Entry]:
    require()
    quiet()
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=path, include_defaults=path is None)
    root = _root() if path is None else None
    return {name: _entry(name, found, root) for name, found in manager.task_index.items()}


def _entry(name: str, found: Any, root: Path | None) -> Entry:
    config = found.cfg or {}
    kind = {"TASK": "task", "PY_TASK": "python", "GROUP": "group", "TAG": "tag"}[found.kind.name]
    file = found.yaml_path
    if file is not None and root is not None:
        file = Path(file).resolve().relative_to(root.resolve())
    return Entry(
        name=name,
        kind=kind,  # type: ignore[arg-type]
        file=None if file is None else str(file),
        output=config.get("output_type", "generate_until") if kind == "task" else None,
        dataset=_text(config.get("dataset_path")),
        subset=_text(config.get("dataset_name")),
        is_unsafe=bool(config.get("unsafe_code")),
        children=sorted(found.tags) if kind == "tag" else list(_members(config.get("task"))) if kind == "group" else [],
    )


def _members(listed: Any) -> Iterator[str]:
    for item in listed if isinstance(listed, list) else []:
        if isinstance(item, str):
            yield item
        elif isinstance(item.get("group"), str):
            # A group that is written out inside of another has no entry of its own.
            yield from _members(item["task"]) if "task" in item else [item["group"]]
        elif isinstance(item.get("task"), str):
            yield item["task"]


def _root() -> Path:
    spec = importlib.util.find_spec("lm_eval")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "tasks"


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _broken(path: Path) -> str:
    """Return a sentence on the first file of a folder that is no YAML, which lm-eval passes over in silence."""
    for file in sorted(path.glob("**/*.yaml")):
        try:
            yaml.compose(file.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            line = f", line {mark.line + 1}" if mark is not None else ""
            return f" {file.name}{line} is not YAML: {getattr(error, 'problem', None) or error}."
    return ""


def quiet() -> None:
    """Keep lm-eval and what it uses from writing to the log."""
    for name in ("lm_eval", "evaluate", "datasets"):
        logging.getLogger(name).setLevel(logging.ERROR)
