"""Where a job's run is seen: what a page needs to open MLflow, found without mlflow, so that kernels may ask it."""

from __future__ import annotations

import os
import shlex
import sys
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from tunelab import workspace


def link(run: dict[str, str] | None) -> dict[str, Any]:
    """Return what a page needs to open MLflow, at a run if one is given.

    `url` is a tracking server's address, without a password; where there is none, Jupyter serves the store if its
    `artifacts` are those of this workspace, and `command` serves it from anywhere else.
    """
    given = os.environ.get("MLFLOW_TRACKING_URI", "")
    return {
        "url": without_secrets(given).rstrip("/") if given.startswith(("http://", "https://")) else None,
        "command": command(),
        "artifacts": None if given else str(workspace.current().artifacts),
        "experiment_id": run["experiment_id"] if run else None,
        "run_id": run["run_id"] if run else None,
    }


def command() -> str:
    """Return the shell command that serves this workspace's store on this machine alone, at port 5000."""
    found = store()
    uri, root = found["MLFLOW_BACKEND_STORE_URI"], shlex.quote(found["MLFLOW_DEFAULT_ARTIFACT_ROOT"])
    # A database's address may hold a password, which is not for a page.
    shown = '"$MLFLOW_TRACKING_URI"' if without_secrets(uri) != uri else shlex.quote(uri)
    # One worker, as in Jupyter: each of the four that are the default imports mlflow anew.
    listen = ["--host", "127.0.0.1", "--port", "5000", "--workers", "1"]
    program = shlex.join([sys.executable, "-m", "mlflow", "server", *listen])
    return f"{program} --backend-store-uri {shown} --default-artifact-root {root}"


def without_secrets(uri: str) -> str:
    """Return an address without the name and password, and the query, where drivers take a password too."""
    parts = urlsplit(uri)
    if "@" not in parts.netloc and not parts.query:
        return uri
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))


def store() -> dict[str, str]:
    """Return the environment in which `mlflow server` serves what this workspace is tracked in."""
    space = workspace.current()
    return {
        "MLFLOW_BACKEND_STORE_URI": os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{space.database}",
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": str(space.artifacts),
    }
