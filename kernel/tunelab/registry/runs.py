"""A job's record as its MLflow run keeps it, read back when the job's folder is gone; never in a kernel."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import yaml
from mlflow import MlflowClient
from mlflow.entities import DatasetInput, Run
from mlflow.exceptions import MlflowException

from tunelab.errors import Error
from tunelab.registry import store


def record(job: str) -> dict[str, Any] | None:
    """Return a job's resolved spec, the files that it scored by, and what was noted at submit; None without a run."""
    try:
        client = store.client()
        run = _run(client, job)
        return None if run is None else _read(client, run)
    except MlflowException as error:
        first = (str(error).strip().splitlines() or [""])[0][:200]
        raise Error(f"MLflow does not tell of {job}: {first}") from error


def _run(client: MlflowClient, job: str) -> Run | None:
    experiments = store.experiments(client)
    if "'" in job or not experiments:
        return None
    found = client.search_runs(experiments, f"tags.`tunelab.job` = '{job}'", max_results=1)
    return found[0] if found else None


def _read(client: MlflowClient, run: Run) -> dict[str, Any] | None:
    run_id, tags = run.info.run_id, run.data.tags
    there = {item.path for item in client.list_artifacts(run_id)}
    if "spec.yaml" not in there:
        return None
    with tempfile.TemporaryDirectory(prefix="tunelab-") as aside:
        spec = Path(client.download_artifacts(run_id, "spec.yaml", aside)).read_text(encoding="utf-8")
        files: dict[str, str] = {}
        for what in sorted(there & {"reward", "scoring"}):
            folder = Path(client.download_artifacts(run_id, what, aside))
            files |= {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.is_file()}
    commit = tags.get("mlflow.source.git.commit")
    return {
        "spec": yaml.safe_load(spec),
        "files": files,
        "facts": {
            "versions": under(tags, "version."),
            "platform": tags.get("tunelab.platform", ""),
            "processor": tags.get("tunelab.processor", ""),
            "commit": commit + ("+" if tags.get("tunelab.git.dirty") == "true" else "") if commit else None,
            "digests": {one.dataset.name: dataset_digest(one) for one in dataset_inputs(run)},
            "weights": json.loads(tags.get("tunelab.weights", "{}")),
            "reward": digests(tags, "tunelab.reward."),
            "scoring": digests(tags, "tunelab.scoring."),
            "replay_of": tags.get("tunelab.replay_of"),
        },
    }


def under(tags: dict[str, str], prefix: str) -> dict[str, str]:
    """Return the tags whose names begin alike, by what comes after that."""
    return {key.removeprefix(prefix): value for key, value in tags.items() if key.startswith(prefix)}


def digests(tags: dict[str, str], prefix: str) -> dict[str, str]:
    """Return the digests of files that tags note under a prefix, by the files' names."""
    return {name: value.removeprefix("sha256:") for name, value in under(tags, prefix).items()}


def dataset_inputs(run: Run) -> list[DatasetInput]:
    """Return the datasets that a run has used."""
    return run.inputs.dataset_inputs if run.inputs else []


def dataset_digest(given: DatasetInput) -> str:
    """Return the digest of a dataset's rows: the whole one, where it is noted."""
    noted = {tag.key: tag.value for tag in given.tags}.get("tunelab.sha256")
    return noted or given.dataset.digest
