"""Reward prompts and metrics in MLflow's prompt registry, a version each; never imported in kernels."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from tunelab import workspace
from tunelab.errors import Error, SpecError
from tunelab.registry import prompts as index
from tunelab.registry import store
from tunelab.registry.prompts import Kind

_WORDS: dict[Kind, str] = {"reward": "reward prompt", "metric": "metric"}
#: A run's tag from which MLflow shows the prompts that were used.
LINKED = "mlflow.linkedPrompts"


def register(name: str, template: str, kind: Kind = "reward") -> int:
    """Keep a template and return its version; the same text is the version that it was.

    Raises
    ------
    Error
        If MLflow refuses it or cannot be reached.
    """
    store.hurry()
    try:
        return ensure(store.client(), name, template, kind)
    except (MlflowException, OSError, SQLAlchemyError) as error:
        raise Error(
            f"MLflow did not take the {_WORDS[kind]} '{name}', and it was not kept; create it again when MLflow does: "
            f"{store.reason(error)}."
        ) from error


def ensure(client: MlflowClient, name: str, template: str, kind: Kind = "reward") -> int:
    """Return the version of a prompt that has this text, made where there is none."""
    # Two jobs that begin together would both make it.
    with workspace.current().lock("mlflow-prompts"):
        for version in _versions(client, full_name(name, kind)):
            if _is_same(version.template, template, name, kind):
                return int(version.version)
        return int(client.register_prompt(full_name(name, kind), template, tags={"tunelab.kind": kind}).version)


def link(client: MlflowClient, run_id: str, used: Iterable[tuple[str, int]], kind: Kind = "reward") -> None:
    """Have MLflow show prompts, by name and version, with a run.

    `MlflowClient.link_prompt_version_to_run` sets the same tag, but looks for the run in the store of the process's
    tracking URI instead of the client's own (MLflow 3.17).
    """
    linked = [{"name": full_name(name, kind), "version": str(version)} for name, version in used]
    client.set_tag(run_id, LINKED, json.dumps(linked))


def rebuild_index(kind: Kind = "reward") -> dict[str, Any]:
    """Write the workspace's index of a kind anew from MLflow.

    Returns
    -------
    dict
        ``versions``, how many there are now, and where some of MLflow's are not among them ``left_out``, which and why.
    """
    client = store.client()
    prefix = full_name("", kind)
    found, left_out = [], []
    for prompt in store.pages(lambda token: client.search_prompts(f"name LIKE '{prefix}%'", page_token=token)):
        name = prompt.name.removeprefix(prefix)
        for version in _versions(client, prompt.name):
            if kind == "metric":
                try:
                    index.metric_from_text(name, version.template)
                except SpecError as error:
                    left_out.append(f"{prompt.name}, version {version.version}: {error}")
                    continue
            at = version.creation_timestamp or 0
            created = dt.datetime.fromtimestamp(at / 1000, dt.UTC).isoformat(timespec="seconds")
            found.append(index.Entry(name, int(version.version), version.template, created))
    index.replace(found, kind)
    return {"versions": len(found)} | ({"left_out": left_out} if left_out else {})


def full_name(name: str, kind: Kind) -> str:
    """Return what MLflow calls a text: its prompts and models share one namespace."""
    return f"tunelab.{kind}.{name}"


def _is_same(kept: str, template: str, name: str, kind: Kind) -> bool:
    """Whether two texts are one version: of metrics, whether they say the same, however it is written."""
    if kept == template or kind == "reward":
        return kept == template
    try:
        return index.metric_from_text(name, kept) == index.metric_from_text(name, template)
    except SpecError:
        return False


def _versions(client: MlflowClient, name: str) -> list[Any]:
    """Return the versions of a prompt that are texts, the oldest first."""
    try:
        found = list(store.pages(lambda token: client.search_prompt_versions(name, page_token=token)))
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"):
            raise
        return []
    # MLflow's own pages also make prompts that are conversations.
    texts = [version for version in found if isinstance(version.template, str)]
    return sorted(texts, key=lambda version: int(version.version))
