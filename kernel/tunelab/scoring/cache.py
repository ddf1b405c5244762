"""Replies of feedback models by content: the same text to the same model with the same settings is not asked twice."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tunelab import workspace
from tunelab.errors import Error
from tunelab.scoring.replies import Reply

#: The oldest go where there are more bytes than this.
_LARGEST = 200_000_000
#: How long another process's write is waited for.
_PATIENCE_S = 30.0


class Cache:
    """A file of replies that several processes read and write.

    Parameters
    ----------
    identity
        What the replies depend on besides the text, as JSON can carry it: model, address, settings.
    """

    def __init__(self, identity: Any, path: Path | None = None, largest: int = _LARGEST) -> None:
        self.path = path or workspace.current().root / "cache" / "feedback.sqlite"
        self._identity = json.dumps(identity, sort_keys=True)
        self._largest = largest

    def find(self, texts: Iterable[str]) -> dict[str, Reply]:
        """Return the replies that are kept, by text."""
        keys = {self._key(text): text for text in texts}
        with self._open() as file:
            rows = [
                row
                for key in keys
                for row in file.execute("SELECT key, reply FROM replies WHERE key = ?", (key,)).fetchall()
            ]
        return {keys[key]: Reply(**json.loads(reply)) for key, reply in rows}

    def keep(self, replies: Mapping[str, Reply]) -> None:
        """Keep replies that have a score, by text."""
        now = time.time()
        rows = [
            (self._key(text), json.dumps(asdict(reply)), now)
            for text, reply in replies.items()
            if reply.status == "scored"
        ]
        if not rows:
            return
        with self._open() as file, file:
            file.executemany("INSERT OR REPLACE INTO replies VALUES (?, ?, ?)", rows)
            pages, free, size = (
                file.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "freelist_count", "page_size")
            )
            if (pages - free) * size > self._largest:
                (count,) = file.execute("SELECT COUNT(*) FROM replies").fetchone()
                file.execute(
                    "DELETE FROM replies WHERE key IN (SELECT key FROM replies ORDER BY kept LIMIT ?)", (count // 2,)
                )

    def _key(self, text: str) -> str:
        return hashlib.sha256(f"{self._identity}\n{text}".encode("utf-8", "surrogatepass")).hexdigest()

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
                f"The cache of feedback replies {self.path} cannot be used ({error}). Make room on the disk, or move "
                "the file away: the replies are then asked for again."
            ) from error

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = sqlite3.connect(self.path, timeout=_PATIENCE_S)
        try:
            file.execute("PRAGMA journal_mode=WAL")
            file.execute("CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT, kept REAL)")
        except BaseException:
            file.close()
            raise
        return file
