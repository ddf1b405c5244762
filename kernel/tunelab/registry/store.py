"""The MLflow store: the workspace's SQLite file, or wherever MLFLOW_TRACKING_URI points; never imported in kernels."""

from __future__ import annotations

import logging
import os
from pathlib import Path
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
