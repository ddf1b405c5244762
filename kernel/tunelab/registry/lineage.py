"""Everything that led to everything, read back from MLflow: datasets, models, jobs, rewards, metrics, evaluations.

Never imported in kernels. The whole workspace is read with a few searches, whatever its size, and the caller cuts out
what it wants (`tunelab.lineage`): one search a thousand runs is much less than one a node.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Iterator
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from tunelab.errors import Error
from tunelab.registry import store
from tunelab.registry.links import without_secrets
from tunelab.registry.prompts import metric_file, prompt_file
from tunelab.registry.runs import dataset_digest, dataset_inputs, digests, under

_PAGE = 1000
_STATES = {
    "FINISHED": "completed",
    "FAILED": "failed",
    "KILLED": "cancelled",
    "RUNNING": "running",
    "SCHEDULED": "paused",
}
_EVALUATED = "tunelab.evaluated."
_ENDPOINT = "tunelab.endpoint."


def read() -> dict[str, Any]:
    """Return the workspace's graph: ``nodes``, and ``edges`` from what was used to what used it.

    Raises
    ------
    Error
        If MLflow cannot be reached.
    """
    store.hurry()
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    try:
        client = store.client()
        prompts = _versions(client, "tags.`mlflow.prompt.is_prompt` = 'true'")
        graph = _Graph({(one.name, str(one.version)): one for one in prompts})
        # The versions before the runs: they tell custom models from base models.
        versions = [one for one in _versions(client) if "tunelab.job" in one.tags]
        for version in versions:
            graph.version(version)
        for run in _runs(client):
            graph.run(run)
        for version in versions:
            graph.origin(version)
    except (MlflowException, OSError, SQLAlchemyError) as error:
        said = store.reason(error)[:300]
        raise Error(
            f"MLflow, which keeps the lineage, cannot be read now; try again when it answers: {said}."
        ) from error
    return {"nodes": list(graph.nodes.values()), "edges": graph.between()}


class _Graph:
    """The nodes by id and the edges, as they are found."""

    def __init__(self, prompts: dict[tuple[str, str], Any]) -> None:
        self.nodes: dict[str, dict[str, Any]] = {}
        self.edges: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._prompts = prompts

    def version(self, version: Any) -> None:
        """Add a registered version, and where it is served."""
        tags = version.tags
        label = f"{version.name}@{version.version}"
        created = tags.get("tunelab.created") or _time(version.creation_timestamp)
        facts = {"adapter": tags.get("tunelab.adapter", ""), "aliases": ", ".join(version.aliases or ())}
        model = self._node(
            "model", label, when=created, run_id=version.run_id or None, fragment=_version_page(version), facts=facts
        )
        for name, url in under(tags, _ENDPOINT).items():
            endpoint = self._node("endpoint", name, facts={"address": without_secrets(url)})
            self._edge(model, endpoint, "deployed as")

    def run(self, run: Any) -> None:
        """Add a job or an evaluation, what it used, and which versions it made."""
        tags, params = run.data.tags, run.data.params
        is_evaluation = tags.get("tunelab.kind") == "evaluate"
        job = self._node(
            "evaluation" if is_evaluation else "job",
            tags["tunelab.job"],
            technique=tags.get("tunelab.technique", ""),
            who=tags.get("mlflow.user"),
            when=_time(run.info.start_time),
            commit=tags.get("mlflow.source.git.commit"),
            dirty=tags.get("tunelab.git.dirty") == "true",
            packages=under(tags, "version."),
            device=tags.get("tunelab.device"),
            run_id=run.info.run_id,
            experiment_id=str(run.info.experiment_id),
            state=_STATES.get(run.info.status, str(run.info.status).lower()),
            fragment=f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}",
            facts={
                "platform": tags.get("tunelab.platform", ""),
                "processor": tags.get("tunelab.processor", ""),
                "tasks": ", ".join(_json(params.get("benchmark.tasks"), [])),
                "reason": tags.get("tunelab.reason", ""),
            },
        )
        for given in dataset_inputs(run):
            self._dataset(job, given, is_evaluation)
        if is_evaluation:
            self._evaluated(job, tags, params)
        else:
            self._started(job, tags.get("tunelab.model", ""))
            self._rewarded(job, tags, params)
        if first := tags.get("tunelab.replay_of"):
            # It may be read later, or its run be deleted.
            self._edge(f"{'evaluation' if is_evaluation else 'job'}:{first}", job, "run again as")
        for name, digest in _json(tags.get("tunelab.weights"), {}).items():
            if base := self.nodes.get(f"base:{name}"):
                base.setdefault("digest", digest)

    def origin(self, version: Any) -> None:
        """Tie a version to the job that made it; where the job's run was deleted, to what its tags say of it."""
        tags = version.tags
        job = f"job:{tags['tunelab.job']}"
        if job not in self.nodes:
            self._node("job", tags["tunelab.job"], technique=tags.get("tunelab.technique", ""), state="deleted")
            self._started(job, tags.get("tunelab.parent") or tags.get("tunelab.base", ""))
            if dataset := tags.get("tunelab.dataset"):
                self._edge(self._node("dataset", dataset), job, "trained on")
        self._edge(job, f"model:{version.name}@{version.version}", "made")

    def between(self) -> list[dict[str, Any]]:
        """Return the edges; what a run that was deleted since was run again as has none."""
        return [one for one in self.edges.values() if one["source"] in self.nodes and one["target"] in self.nodes]

    def _dataset(self, job: str, given: Any, is_evaluation: bool) -> None:
        tags = {tag.key: tag.value for tag in given.tags}
        told, source = _json(given.dataset.profile, {}), _json(given.dataset.source, {})
        digest = dataset_digest(given)
        dataset = self._node(
            "dataset",
            given.dataset.name,
            # Two workspaces with one MLflow may each have an `everyday@1`, of other rows.
            key=f"{given.dataset.name}#{digest[:12]}",
            digest=digest,
            who=told.get("creator"),
            when=told.get("created"),
            technique=told.get("technique", ""),
            facts={"rows": str(told.get("num_rows", "")), "source": str(source.get("from", ""))},
        )
        held = tags.get("mlflow.data.context") == "eval"
        self._edge(dataset, job, "evaluated on" if is_evaluation else "held out" if held else "trained on")

    def _started(self, job: str, name: str) -> None:
        if name:
            source, note = self._model(name)
            self._edge(source, job, "continued from" if source.startswith("model:") else "started from", note)

    def _evaluated(self, job: str, tags: dict[str, str], params: dict[str, str]) -> None:
        judged = set(under(tags, _EVALUATED))
        said = _json(params.get("models"), [])
        for model in said:
            if isinstance(model, dict):
                self._edge(self._external(model.get("name") or model.get("model", ""), model), job, "evaluated")
            else:
                source, note = self._model(str(model), known=judged)
                judged.discard(source.removeprefix("model:"))
                self._edge(source, job, "evaluated", note)
        # What a parameter had no room for.
        for label in sorted(judged):
            self._edge(self._node("model", label, weak=True), job, "evaluated")
        if judge := tags.get("tunelab.judge"):
            address = params.get("judge.base_url")
            source, note = (
                (self._external(judge, {"base_url": address}), "") if address else self._model(judge, known=judged)
            )
            self._edge(source, job, "judged by", note)
        scoring = digests(tags, "tunelab.scoring.")
        for label in _split(tags.get("tunelab.metrics", "")):
            self._edge(self._text("metric", label, scoring.get(metric_file(label)), tags), job, "judged by")
        self._functions(job, _parts(params, "scorer"), scoring, "scored by")

    def _rewarded(self, job: str, tags: dict[str, str], params: dict[str, str]) -> None:
        parts = _parts(params, "reward")
        reward = digests(tags, "tunelab.reward.")
        labels = [part["prompt"] for part in parts if part.get("prompt")] or _split(
            tags.get("tunelab.reward_prompt", "")
        )
        for label in dict.fromkeys(labels):
            self._edge(self._text("prompt", label, reward.get(prompt_file(label)), tags), job, "rewarded by")
        self._functions(job, parts, reward, "rewarded by")
        for part in parts:
            if part.get("prompt") and (feedback := part.get("model")):
                source, note = self._external(feedback, part), ""
                if not part.get("base_url"):
                    source, note = self._model(feedback)
                self._edge(source, job, "judged by", note)

    def _functions(self, job: str, parts: list[dict[str, Any]], files: dict[str, str], meaning: str) -> None:
        named = {part["source"]: part["name"] for part in parts if part.get("source") and part.get("name")}
        for part in parts:
            if preset := part.get("preset"):
                self._edge(self._node("function", preset, facts={"kind": "preset"}), job, meaning)
        for file, digest in files.items():
            if file in named or file.endswith(".py"):
                name = named.get(file, file)
                function = self._node("function", name, key=f"{name}#{digest[:12]}", digest=digest)
                self._edge(function, job, meaning)

    def _text(self, kind: str, label: str, digest: str | None, tags: dict[str, str]) -> str:
        """Add a reward prompt or a metric; MLflow's version of it need not be tunelab's, where it is built in."""
        prefix = "reward" if kind == "prompt" else "metric"
        name = label.partition("@")[0]
        linked = {one["name"]: one["version"] for one in _json(tags.get("mlflow.linkedPrompts"), [])}
        full = f"tunelab.{prefix}.{name}"
        kept = self._prompts.get((full, str(linked.get(full, ""))))
        return self._node(
            kind,
            label,
            key=f"{label}#{digest[:12]}" if digest else label,
            digest=digest,
            when=_time(kept.creation_timestamp) if kept else None,
            who=(kept.user_id or None) if kept else None,
            fragment=f"#/prompts/{full}" if kept else None,
        )

    def _model(self, name: str, known: set[str] | frozenset[str] = frozenset()) -> tuple[str, str]:
        """Return the node of a base or custom model, and which checkpoint of it."""
        label, _, step = name.partition(":step-")
        if f"model:{label}" in self.nodes or label in known or (step and "@" in label):
            return self._node("model", label, weak=True), f"step {step}" if step else ""
        return self._node("base", name), ""

    def _external(self, name: str, told: dict[str, Any]) -> str:
        address = without_secrets(str(told.get("base_url") or ""))
        return self._node("external", name, key=f"{name}#{address}", facts={"address": address})

    def _node(self, kind: str, label: str, *, key: str | None = None, weak: bool = False, **more: Any) -> str:
        """Add a node unless it is there, and return its id; a weak one is gone where nothing else has added it."""
        at = f"{kind}:{key or label}"
        if at not in self.nodes:
            facts = {name: text for name, text in more.pop("facts", {}).items() if text}
            told = {name: value for name, value in more.items() if value}
            self.nodes[at] = {"id": at, "kind": kind, "label": label} | told | ({"facts": facts} if facts else {})
            if weak:
                self.nodes[at]["state"] = "deleted"
        return at

    def _edge(self, source: str, target: str, meaning: str, note: str = "") -> None:
        edge = {"source": source, "target": target, "meaning": meaning} | ({"note": note} if note else {})
        self.edges.setdefault((source, target, meaning), edge)


def _versions(client: MlflowClient, of: str | None = None) -> list[Any]:
    return list(store.pages(lambda token: client.search_model_versions(of, max_results=_PAGE, page_token=token)))


def _runs(client: MlflowClient) -> Iterator[Any]:
    of, among = "tags.`tunelab.job` != ''", store.experiments(client)
    if among:
        yield from store.pages(lambda token: client.search_runs(among, of, max_results=_PAGE, page_token=token))


def _parts(params: dict[str, str], name: str) -> list[dict[str, Any]]:
    """Return the parts of a reward or scorer, which one alone has as parameters of its own."""
    listed = _json(params.get(name), None)
    if isinstance(listed, list):
        return [part for part in listed if isinstance(part, dict)]
    one = {key.removeprefix(f"{name}."): value for key, value in params.items() if key.startswith(f"{name}.")}
    return [one] if one else []


def _split(labels: str) -> list[str]:
    return [label for label in labels.split(", ") if label]


def _json(text: str | None, otherwise: Any) -> Any:
    """Return what a parameter or tag says; what MLflow or a hand cut short says nothing."""
    try:
        return json.loads(text) if text else otherwise
    except ValueError:
        return otherwise


def _time(milliseconds: int | None) -> str | None:
    if not milliseconds:
        return None
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC).isoformat(timespec="seconds")


def _version_page(version: Any) -> str:
    return f"#/models/{version.name}/versions/{version.version}"


__all__ = ["read"]
