"""Where things are kept: one folder with a schema number, the same for every kernel, panel and job of a user.

`TUNELAB_HOME` moves it; without, it is the platform's user data folder. Everything below is plain files, so that a
person can look at it, and every write is aside-and-rename, so that a reader never meets half a file.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock

from tunelab.errors import Error

SCHEMA = 1

_NETWORK_FILESYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "lustre", "gpfs", "9p", "fuse.sshfs", "ceph"}


@dataclass(frozen=True)
class Workspace:
    """The paths of one workspace. Use `current()` to get it: that also creates and checks the folder."""

    root: Path

    @property
    def jobs(self) -> Path:
        return self.root / "jobs"

    @property
    def datasets(self) -> Path:
        return self.root / "datasets"

    @property
    def models(self) -> Path:
        """Base models that tunelab converted or downloaded, ready to load."""
        return self.root / "models"

    @property
    def artifacts(self) -> Path:
        """MLflow's artifact root for the embedded store."""
        return self.root / "artifacts"

    @property
    def database(self) -> Path:
        return self.root / "mlflow.db"

    @property
    def index(self) -> Path:
        """The cache of registered models that the kernel reads instead of asking MLflow."""
        return self.root / "index.json"

    def lock(self, name: str) -> FileLock:
        """Return an inter-process lock of the workspace, such as ``lock("datasets")``."""
        return FileLock(self.root / f".{name}.lock")


def current() -> Workspace:
    """Return the workspace, created on first use.

    Raises
    ------
    Error
        If the folder cannot be written, or was made by a newer tunelab.
    """
    home = os.environ.get("TUNELAB_HOME")
    root = Path(home).expanduser().absolute() if home else Path(platformdirs.user_data_dir("tunelab", appauthor=False))
    if root not in _opened:
        _open(root)
        _opened.add(root)
    return Workspace(root)


_opened: set[Path] = set()


def _open(root: Path) -> None:
    workspace = Workspace(root)
    try:
        for folder in (root, workspace.jobs, workspace.datasets, workspace.models, workspace.artifacts):
            # 0700: specs, data and journals are the user's own.
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with workspace.lock("schema"):
            marker = root / "workspace.json"
            if not marker.exists():
                write_json(marker, {"schema": SCHEMA})
            schema = json.loads(marker.read_text())["schema"]
    except OSError as error:
        raise Error(
            f"The workspace {root} cannot be written ({error.strerror}). Set TUNELAB_HOME to a folder of yours."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise Error(
            f'{root / "workspace.json"} is damaged: it should read {{"schema": {SCHEMA}}}. Mend it or move it away.'
        ) from error
    if schema > SCHEMA:
        raise Error(
            f"The workspace {root} has schema {schema} and this tunelab knows {SCHEMA}. Upgrade tunelab, or set "
            "TUNELAB_HOME to another folder."
        )
    kind = _filesystem(root)
    if kind in _NETWORK_FILESYSTEMS:
        warnings.warn(
            f"The workspace {root} is on a network filesystem ({kind}), where file locks and SQLite are not safe. "
            "Set TUNELAB_HOME to a local folder.",
            stacklevel=3,
        )


def _filesystem(path: Path) -> str:
    """Return the type of the filesystem that holds `path`, or an empty string where the system does not tell."""
    if sys.platform != "linux":
        command = ["df", "-T", "nfs,smbfs,afpfs,webdav", str(path)]
        listed = (
            subprocess.run(command, capture_output=True, text=True, check=False) if sys.platform == "darwin" else None
        )
        return "nfs" if listed and listed.returncode == 0 and len(listed.stdout.splitlines()) > 1 else ""
    best, kind = "", ""
    resolved = str(path.resolve())
    for line in Path("/proc/mounts").read_text().splitlines():
        mount, fstype = line.split()[1:3]
        mount = mount.replace("\\040", " ")
        if len(mount) > len(best) and (resolved == mount or resolved.startswith(mount.rstrip("/") + "/")):
            best, kind = mount, fstype
    return kind


def slug(text: str) -> str:
    """Return `text` as a name for files and versions: what is not allowed in one becomes '-'."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:100] or "data"


def write_text(path: Path, text: str) -> None:
    """Write `text` aside, sync it, and rename it over `path`."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, as `write_text` does."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def read_json(path: Path, default: Any) -> Any:
    """Return a cache's content, or `default` where there is none or it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return default
