"""What identifies a model by its files' content, so that what was computed with it can be found again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from tunelab import workspace
from tunelab.errors import ModelError
from tunelab.models import find

#: Files of a model's folder that what it says depends on.
_FILES = (
    "*.safetensors", "config.json", "adapter_config.json", "generation_config.json", "tokenizer*", "vocab.*",
    "merges.txt", "spiece.model", "special_tokens_map.json", "added_tokens.json", "chat_template*", "tunelab.yaml",
)  # fmt: skip


def of_model(folders: Iterable[Path]) -> str:
    """Return what identifies a model: weights, config, tokenizer and template; a base's folder, then an adapter's."""
    found = hashlib.sha256()
    for folder in folders:
        found.update(b"folder\n")
        for file in sorted({file for pattern in _FILES for file in folder.glob(pattern) if file.is_file()}):
            found.update(f"{file.name} {of_file(file)}\n".encode())
    return found.hexdigest()


def of_name(name: str) -> str | None:
    """Return what identifies a model by its name, its base first; None where its files are not here."""
    try:
        ref: find.ModelRef | None = find.find(name)
    except ModelError:
        return None
    line: list[find.ModelRef] = []
    while ref is not None:
        line.insert(0, ref)
        ref = ref.base
    folders = [one.folder for one in line]
    there = [folder for folder in folders if folder is not None and folder.is_dir()]
    return of_model(there) if len(there) == len(folders) else None


def of_file(file: Path) -> str:
    """Return the SHA-256 of a file, from the workspace's cache where size and time are those it was computed for."""
    status = file.stat()
    stamp = {"size": status.st_size, "time_ns": status.st_mtime_ns}
    space = workspace.current()
    notes = space.root / "cache" / "digests.json"
    notes.parent.mkdir(mode=0o700, exist_ok=True)
    with space.lock("digests"):
        known = workspace.read_json(notes, {})
        entry = known.get(str(file.resolve()))
        if entry is not None and {name: entry[name] for name in stamp} == stamp:
            return str(entry["sha256"])
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
        workspace.write_json(notes, known | {str(file.resolve()): stamp | {"sha256": found}})
    return found
