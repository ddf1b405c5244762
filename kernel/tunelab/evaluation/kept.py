"""Answers that are kept: what a model was asked once with the same settings is not asked again, for whatever metric."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunelab import workspace
from tunelab.errors import Error

#: The oldest go where there are more bytes than this.
_LARGEST = 500_000_000
#: How long another process's write is waited for.
_PATIENCE_S = 30.0


@dataclass(frozen=True)
class Answer:
    """What a model said to one prompt.

    `cut` tells that the answer ended by the limit of its tokens. `tokens_in` and `tokens_out` are what was read and
    written, the token that ends an answer among them. `latency_s` is the time from when the prompt was begun to be read
    (or the request was made) to the answer's end, others being answered at the same time: what one waits for this
    answer, and no share of the whole. `status` is ``failed`` where there is none; `note` says why.
    """

    text: str
    cut: bool = False
    tokens_in: int = 0
    tokens_out: int = 0
    latency_s: float = 0.0
    cost: float | None = None
    status: str = "scored"
    note: str = ""


class Kept:
    """A file of answers that several processes read and write.

    Parameters
    ----------
    identity
        What the answers depend on besides the prompt, as JSON can carry it: model, way, settings.
    """

    def __init__(self, identity: Any, path: Path | None = None, largest: int = _LARGEST) -> None:
        self.path = path or workspace.current().root / "cache" / "answers.sqlite"
        self._identity = json.dumps(identity, sort_keys=True)
        self._largest = largest

    def find(self, prompts: Iterable[str]) -> dict[str, Answer]:
        """Return the answers that are kept, by prompt."""
        keys = {self._key(prompt): prompt for prompt in prompts}
        with self._open() as file:
            rows = [
                row
                for key in keys
                for row in file.execute("SELECT key, answer FROM answers WHERE key = ?", (key,)).fetchall()
            ]
        return {keys[key]: Answer(**json.loads(answer)) for key, answer in rows}

    def keep(self, answers: Mapping[str, Answer]) -> None:
        """Keep answers, by prompt; what failed may come off another time."""
        now = time.time()
        rows = [
            (self._key(prompt), json.dumps(asdict(answer)), now)
            for prompt, answer in answers.items()
            if answer.status == "scored"
        ]
        if not rows:
            return
        with self._open() as file, file:
            file.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", rows)
            pages, free, size = (
                file.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "freelist_count", "page_size")
            )
            if (pages - free) * size > self._largest:
                (count,) = file.execute("SELECT COUNT(*) FROM answers").fetchone()
                file.execute(
                    "DELETE FROM answers WHERE key IN (SELECT key FROM answers ORDER BY kept LIMIT ?)", (count // 2,)
                )

    def _key(self, prompt: str) -> str:
        return hashlib.sha256(f"{self._identity}\n{prompt}".encode("utf-8", "surrogatepass")).hexdigest()

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            file = self._connect()
            try:
                yield file
            finally:
                file.close()
        except sqlite3.Error as error:
            raise Error(
                f"The cache of answers {self.path} cannot be used ({error}). Make room on the disk, or move the file "
                "away: the models then answer again."
            ) from error

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = sqlite3.connect(self.path, timeout=_PATIENCE_S)
        try:
            file.execute("PRAGMA journal_mode=WAL")
            file.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT, kept REAL)")
        except BaseException:
            file.close()
            raise
        return file
