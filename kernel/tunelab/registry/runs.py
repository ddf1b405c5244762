"""A job's record as its MLflow run keeps it, read back when the job's folder is gone; never in a kernel."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import yaml
from mlflow import MlflowClient
from mlflow.entities import Run
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
    experiments = [one.experiment_id for one in client.search_experiments()]
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
            "versions": _under(tags, "version."),
            "platform": tags.get("tunelab.platform", ""),
            "processor": tags.get("tunelab.processor", ""),
            "commit": commit + ("+" if tags.get("tunelab.git.dirty") == "true" else "") if commit else None,
            "digests": _datasets(run),
            "weights": json.loads(tags.get("tunelab.weights", "{}")),
            "reward": _digests(tags, "tunelab.reward."),
            "scoring": _digests(tags, "tunelab.scoring."),
            "replay_of": tags.get("tunelab.replay_of"),
        },
    }


def _under(tags: dict[str, str], prefix: str) -> dict[str, str]:
    return {key.removeprefix(prefix): value for key, value in tags.items() if key.startswith(prefix)}


def _digests(tags: dict[str, str], prefix: str) -> dict[str, str]:
    return {name: value.removeprefix("sha256:") for name, value in _under(tags, prefix).items()}


def _datasets(run: Run) -> dict[str, str]:
    inputs = run.inputs.dataset_inputs if run.inputs else []
    found = {}
    for one in inputs:
        whole = {tag.key: tag.value for tag in one.tags}.get("tunelab.sha256")
        found[one.dataset.name] = whole or one.dataset.digest
    return found
