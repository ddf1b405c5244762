"""A job's run in MLflow, written from its journal: parameters, metrics in batches, dataset, model version, status."""

from __future__ import annotations

import datetime as dt
import json
import platform
import re
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import sqlalchemy.exc
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
from mlflow.exceptions import MlflowException

from tunelab.errors import Error
from tunelab.jobs import machine
from tunelab.jobs.folder import JobFolder
from tunelab.jobs.journal import Event, Journal, Reader, read
from tunelab.models import digests
from tunelab.registry import index, prompt_store, store
from tunelab.registry.prompts import metric_file, metric_text, prompt_file

_BATCH = 1000
_STATUS = {"completed": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}
_AWAY = {"TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR", "REQUEST_LIMIT_EXCEEDED", "DEADLINE_EXCEEDED"}


def is_away(error: BaseException) -> bool:
    """Tell whether an error means that MLflow or its database cannot be reached now, and not that it refuses."""
    if isinstance(error, MlflowException):
        return error.error_code in _AWAY
    return isinstance(error, (OSError, sqlalchemy.exc.DBAPIError, sqlite3.Error))


class RunTracker:
    """Writes one job's run. Every call can be made again: what MLflow has already is not written twice."""

    def __init__(self, folder: JobFolder, journal: Journal) -> None:
        self.folder = folder
        self.journal = journal
        self.spec = folder.spec()
        self.facts = folder.facts()
        self.client = store.client()
        self.run_id: str | None = next((e["run_id"] for e in self._artifacts("run")), None)
        self._reader = Reader(folder.journal)
        self._unsent: list[Event] = []
        #: The last step that MLflow has of each metric; read from MLflow by the first `sync`.
        self._sent: dict[str, int] | None = None
        self._status: str | None = None

    def start(self) -> None:
        """Create the run with parameters, tags and the dataset, unless it is there."""
        if self.run_id is not None:
            return
        experiment_id = store.experiment(self.client, self.spec["tracking"]["experiment"])
        # A runner may have been killed between the run's making and the journal's line of it.
        tagged = f"tags.`tunelab.job` = '{self.folder.id}'"
        found = self.client.search_runs([experiment_id], tagged, max_results=1)
        run = found[0] if found else self.client.create_run(experiment_id, run_name=self.folder.id, tags=self._tags())
        known = run.data.params
        parameters = [Param(clean(name), _text(value)) for name, value in flatten(self.spec)]
        self.client.log_batch(run.info.run_id, params=[one for one in parameters if one.key not in known])
        if not run.inputs or not run.inputs.dataset_inputs:
            self.client.log_inputs(run.info.run_id, datasets=self._datasets())
        self.client.log_artifact(run.info.run_id, str(self.folder.spec_file))
        for what in ("reward", "scoring"):
            for file in self.facts.get(what, {}):
                self.client.log_artifact(run.info.run_id, str(self.folder.path / file), artifact_path=what)
        self._link_prompts(run.info.run_id)
        self.run_id = run.info.run_id
        self.journal.append(
            "artifact", kind="run", uri=run.info.artifact_uri, run_id=self.run_id, experiment_id=experiment_id
        )

    def sync(self) -> None:
        """Send the metrics that the journal has and MLflow has not, each (key, step) once, with the journal's time.

        Steps that are done again after a recovery give the same values, so what MLflow has of them stays.
        """
        assert self.run_id is not None
        if self._sent is None:
            known = self.client.get_run(self.run_id).data.metrics
            history = {key: self.client.get_metric_history(self.run_id, key) for key in known}
            self._sent = {key: max(metric.step for metric in metrics) for key, metrics in history.items()}
        for event in self._reader.stream():
            if event["type"] == "metric":
                self._unsent.append(event)
            elif event["type"] == "state" and "from_step" in event:
                self._unsent = [kept for kept in self._unsent if kept["step"] <= event["from_step"]]
        metrics: list[Metric] = []
        reached = dict(self._sent)
        for metric in (one for event in self._unsent for one in _metrics(event)):
            if metric.step > reached.get(metric.key, -1):
                reached[metric.key] = metric.step
                metrics.append(metric)
        for begin in range(0, len(metrics), _BATCH):
            self.client.log_batch(self.run_id, metrics=metrics[begin : begin + _BATCH])
        self._sent, self._unsent = reached, []

    def running(self) -> None:
        """Say that the job is at work, as after a pause."""
        assert self.run_id is not None
        if self._status is None:
            self._status = self.client.get_run(self.run_id).info.status
        if self._status != "RUNNING":
            self.client.update_run(self.run_id, status="RUNNING")
            self._status = "RUNNING"
        self._note_weights()

    def register(self) -> None:
        """Make the trained model a version of its name, and note it in the workspace's index."""
        if self.spec["kind"] == "evaluate":
            self._register_evaluation()
            return
        if any(self._artifacts("model")):
            return
        assert self.run_id is not None
        name = self.spec["name"]
        run = self.client.get_run(self.run_id)
        self.client.log_artifacts(self.run_id, str(self.folder.adapter), artifact_path="model")
        source = f"{run.info.artifact_uri}/model"
        tags = self._model_tags()
        try:
            self.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        try:
            # A runner may have been killed between the version's making and the journal's line of it.
            earlier = self.client.search_model_versions(f"run_id = '{self.run_id}'")
            made = earlier[0] if earlier else self.client.create_model_version(name, source, self.run_id, tags=tags)
        except MlflowException as error:
            if is_away(error):
                raise
            raise Error(f"The version of '{name}' could not be registered: {error.message}.") from error
        path = store.local_path(source)
        entry = index.Entry(
            name=name,
            version=int(made.version),
            job=self.folder.id,
            run_id=self.run_id,
            base=tags["tunelab.base"],
            technique=tags["tunelab.technique"],
            dataset=tags["tunelab.dataset"],
            adapter=tags["tunelab.adapter"],
            path=str(path if path and path.is_dir() else self.folder.adapter),
            created=tags["tunelab.created"],
            parent=tags["tunelab.parent"],
        )
        index.add(entry)
        self.journal.append("artifact", kind="model", uri=source, name=entry.label)

    def _register_evaluation(self) -> None:
        """Keep an evaluation's results with its run, and note it at the model versions that it judged."""
        assert self.run_id is not None
        self.client.log_artifacts(self.run_id, str(self.folder.path / "results"), artifact_path="results")
        for label in self.facts["models"]:
            entry = index.find(label.partition(":")[0])
            if entry is not None:
                key = f"tunelab.evaluation.{self.folder.id}"
                self.client.set_model_version_tag(entry.name, str(entry.version), key, self.run_id)

    def finish(self, status: str, reason: str | None) -> None:
        """Give the run its true status at the job's end or pause, the worker's log, and the spec with its choices."""
        assert self.run_id is not None
        self._note_choices()
        self._note_weights()
        if status == "paused":
            self.client.update_run(self.run_id, status="SCHEDULED")
            self._status = "SCHEDULED"
            return
        if reason:
            self.client.set_tag(self.run_id, "tunelab.reason", reason[:5000])
        with tempfile.TemporaryDirectory(prefix="tunelab-") as aside:
            for path in (self.folder.journal, self.folder.worker_log):
                if path.exists():
                    shutil.copy(path, Path(aside) / path.name)
            self.client.log_artifacts(self.run_id, aside, artifact_path="job")
        self.client.set_terminated(self.run_id, status=_STATUS[status])

    def _note_choices(self) -> None:
        """Log what the spec says now and did not when the run was made: what only the worker could measure."""
        assert self.run_id is not None
        self.spec = self.folder.spec()
        known = self.client.get_run(self.run_id).data.params
        new = [Param(clean(name), _text(value)) for name, value in flatten(self.spec) if clean(name) not in known]
        if new:
            self.client.log_batch(self.run_id, params=new)
            self.client.set_tag(self.run_id, "tunelab.device", self._device())
            self.client.log_artifact(self.run_id, str(self.folder.spec_file))

    def _note_weights(self) -> None:
        """Note once by what the models that the job begins from are known again, when their files are here."""
        assert self.run_id is not None
        if any(self._artifacts("weights")):
            return
        names = [self.spec["model"]] if self.spec["kind"] == "customize" else self.facts["models"]
        found = {name: digest for name in names if (digest := digests.of_name(name)) is not None}
        if found:
            self.client.set_tag(self.run_id, "tunelab.weights", json.dumps(found))
            self.journal.append("artifact", kind="weights", uri="", digests=found)

    def _device(self) -> str:
        compute = self.spec["compute"]
        return ", ".join(filter(None, [compute["device"], f"{compute['threads']} threads", compute["dtype"]]))

    def _artifacts(self, kind: str) -> list[Event]:
        return [e for e in read(self.folder.journal) if e["type"] == "artifact" and e["kind"] == kind]

    def _tags(self) -> dict[str, str]:
        tags = {
            "mlflow.user": self.facts["user"],
            "mlflow.source.name": "tunelab",
            "mlflow.source.type": "LOCAL",
            "tunelab.job": self.folder.id,
            "tunelab.kind": self.spec["kind"],
            "tunelab.technique": self.spec.get("technique") or self.spec["method"],
            "tunelab.model": self.spec.get("model") or ", ".join(self.facts["models"]),
            "tunelab.dataset": self.spec["dataset"] or "",
            "tunelab.device": self._device(),
            "tunelab.platform": platform.platform(),
        }
        if self.facts["commit"]:
            tags["mlflow.source.git.commit"] = self.facts["commit"].rstrip("+")
            tags["tunelab.git.dirty"] = str(self.facts["commit"].endswith("+")).lower()
        tags |= self._reward_tags() | self._evaluation_tags()
        tags |= {f"version.{name}": number for name, number in machine.software().items()}
        noted = {"tunelab.processor": self.facts.get("processor"), "tunelab.replay_of": self.facts.get("replay_of")}
        return tags | {name: value for name, value in noted.items() if value}

    def _model_tags(self) -> dict[str, str]:
        model = self.spec["model"]
        parent = index.find(model.partition(":")[0])
        # An adapter sits where its parent's does, since it holds that too; or on the parent's own weights.
        on_adapter = parent is not None and parent.adapter == "lora" and self.spec["adapter"]["type"] == "lora"
        return {
            "tunelab.job": self.folder.id,
            "tunelab.base": parent.base if parent and on_adapter else model,
            "tunelab.parent": model if parent else "",
            "tunelab.technique": self.spec["technique"],
            "tunelab.dataset": self.spec["dataset"],
            "tunelab.adapter": self.spec["adapter"]["type"],
            "tunelab.created": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        } | self._reward_tags()

    def _link_prompts(self, run_id: str) -> None:
        """Link the reward prompts' versions in MLflow; built-in ones come there with their first use."""
        if judge := self.spec.get("judge"):
            self._link_metrics(run_id, judge["metrics"])
        given = self.spec.get("reward") or []
        parts = given if isinstance(given, list) else [given]
        labels = list(dict.fromkeys(part["prompt"] for part in parts if "prompt" in part))
        if not labels:
            return
        used = []
        for label in labels:
            name = label.partition("@")[0]
            template = (self.folder.path / prompt_file(label)).read_text(encoding="utf-8")
            used.append((name, prompt_store.ensure(self.client, name, template)))
        self.client.set_tag(run_id, "tunelab.reward_prompt", ", ".join(labels))
        prompt_store.link(self.client, run_id, used)

    def _link_metrics(self, run_id: str, labels: list[str]) -> None:
        """Link the metrics' versions in MLflow; built-in ones come there with their first use."""
        used = []
        for label in labels:
            definition = (self.folder.path / metric_file(label)).read_text(encoding="utf-8")
            name = label.partition("@")[0]
            text = metric_text(json.loads(definition))
            used.append((name, prompt_store.ensure(self.client, name, text, "metric")))
        self.client.set_tag(run_id, "tunelab.metrics", ", ".join(labels))
        prompt_store.link(self.client, run_id, used, "metric")

    def _evaluation_tags(self) -> dict[str, str]:
        """Return by what an evaluation is found: the versions that it judged with their runs, and what scored them."""
        if self.spec["kind"] != "evaluate":
            return {}
        tags = {"tunelab.method": self.spec["method"]}
        for label in self.facts["models"]:
            if entry := index.find(label.partition(":")[0]):
                tags[f"tunelab.evaluated.{entry.label}"] = entry.run_id
        if judge := self.spec["judge"]:
            tags["tunelab.judge"] = judge["model"]
        return tags | {f"tunelab.scoring.{name}": f"sha256:{at}" for name, at in self.facts["scoring"].items()}

    def _reward_tags(self) -> dict[str, str]:
        """Return the digests of the reward's functions and prompts, by which they can be told to be the same."""
        return {f"tunelab.reward.{file}": f"sha256:{digest}" for file, digest in self.facts.get("reward", {}).items()}

    def _datasets(self) -> list[DatasetInput]:
        from tunelab.data import Dataset as Rows

        uses = {self.spec["dataset"]: "train"}
        if self.spec["kind"] == "evaluate":
            uses = {self.spec["dataset"]: "eval"} if self.spec["dataset"] else {}
        elif self.spec["eval_dataset"]:
            uses[self.spec["eval_dataset"]] = "eval"
        inputs = []
        for name, use in uses.items():
            rows = Rows.get(name)
            profile = {
                "num_rows": rows.rows,
                "technique": rows.technique,
                "fields": list(rows.form),
                "created": rows.created,
                "creator": rows.creator,
            }
            # MLflow keeps 36 characters of a digest; the whole one is in the tags.
            entity = Dataset(
                name=str(rows),
                digest=rows.digest[:36],
                source_type="local",
                source=json.dumps({"uri": str(rows.path / "rows.parquet"), "from": rows.source}),
                profile=json.dumps(profile),
            )
            tags = [InputTag("mlflow.data.context", use), InputTag("tunelab.sha256", rows.digest)]
            inputs.append(DatasetInput(entity, tags))
        return inputs


def clean(name: str) -> str:
    """Return a metric's or parameter's name in the characters that MLflow takes."""
    return re.sub(r"[^\w\-. :/]", "_", name)


def flatten(value: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return a nested mapping as (dotted name, value) pairs, without the values that are None."""
    pairs: list[tuple[str, Any]] = []
    for key, item in value.items():
        if isinstance(item, dict) and item:
            pairs += flatten(item, f"{prefix}{key}.")
        elif item is not None:
            pairs.append((f"{prefix}{key}", item))
    return pairs


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text[:5900]


def _metrics(event: Event) -> list[Metric]:
    time = int(event["time"] * 1000)
    return [
        Metric(clean(name), value, time, event["step"]) for name, value in event["values"].items() if value is not None
    ]


__all__ = ["RunTracker", "clean", "flatten", "is_away"]
