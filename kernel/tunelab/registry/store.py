"""The MLflow store: the workspace's SQLite file, or wherever MLFLOW_TRACKING_URI points; never imported in kernels."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tunelab import workspace
from tunelab.registry import index


def client() -> MlflowClient:
    """Return a client; the embedded store is created and upgraded under a lock, since two first clients break it."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    given = os.environ.get("MLFLOW_TRACKING_URI")
    if given:
        return MlflowClient(tracking_uri=given)
    space = workspace.current()
    with space.lock("mlflow"):
        connected = MlflowClient(tracking_uri=f"sqlite:///{space.database}")
        # The tables are made at the first question.
        connected.search_experiments(max_results=1)
        return connected


def experiment(connected: MlflowClient, name: str) -> str:
    """Return the id of an experiment, made where there is none, and tagged so that MLflow shows it as training."""
    found = connected.get_experiment_by_name(name)
    if found is None:
        embedded = not os.environ.get("MLFLOW_TRACKING_URI")
        with workspace.current().lock("mlflow"):
            found = connected.get_experiment_by_name(name)
            if found is None:
                # Absolute, so that a server on the same files finds them from any directory.
                location = (workspace.current().artifacts / workspace.slug(name)).as_uri() if embedded else None
                created = connected.create_experiment(name, artifact_location=location)
                connected.set_experiment_tag(created, "mlflow.experimentKind", "finetuning")
                return str(created)
    if found.lifecycle_stage == "deleted":
        raise MlflowException(f"Experiment '{name}' was deleted in MLflow; restore it there, or use another.")
    return str(found.experiment_id)


def experiments(connected: MlflowClient) -> list[str]:
    """Return the ids of all experiments."""
    found = pages(lambda token: connected.search_experiments(page_token=token))
    return [str(one.experiment_id) for one in found]


def pages(search: Callable[[str | None], Any]) -> Iterator[Any]:
    """Yield all that a search finds, which MLflow tells by pages; `search` takes the token of one."""
    token = None
    while True:
        page = search(token)
        yield from page
        token = page.token
        if not token:
            return


def hurry() -> None:
    """Have MLflow ask a server that is away only twice more, since somebody waits; of itself it asks for minutes."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")


def reason(error: Exception) -> str:
    """Return why MLflow did not do something, in a line without a full stop."""
    # An address may have a password in it.
    return re.sub(r"//[^/\s]*@", "//", str(error).splitlines()[0]).rstrip(".")


def local_path(uri: str) -> Path | None:
    """Return the folder of an artifact URI where it is on this machine, else None."""
    parts = urlsplit(uri)
    return Path(unquote(parts.path)) if parts.scheme in ("file", "") else None


def rebuild_index() -> dict[str, int]:
    """Write the workspace's index of custom models anew from MLflow, and return how many versions there are."""
    connected = client()
    found = []
    for version in connected.search_model_versions():
        tags = version.tags
        if "tunelab.job" not in tags or version.source is None:
            continue
        path = local_path(version.source) or workspace.current().jobs / tags["tunelab.job"] / "adapter"
        found.append(
            index.Entry(
                name=version.name,
                version=int(version.version),
                job=tags["tunelab.job"],
                run_id=version.run_id or "",
                base=tags["tunelab.base"],
                technique=tags["tunelab.technique"],
                dataset=tags["tunelab.dataset"],
                adapter=tags["tunelab.adapter"],
                path=str(path),
                created=tags["tunelab.created"],
                parent=tags.get("tunelab.parent", ""),
            )
        )
    index.replace(found)
    return {"versions": len(found)}
