"""Reward prompts in MLflow's prompt registry, a version each; never imported in kernels."""

from __future__ import annotations

import datetime as dt
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tunelab.errors import Error
from tunelab.registry import prompts as index
from tunelab.registry import store

#: MLflow's names of reward prompts begin so.
PREFIX = "tunelab.reward."


def register(name: str, template: str) -> int:
    """Keep a template and return its version; the same text is the version that it was.

    Raises
    ------
    Error
        If MLflow refuses it or cannot be reached.
    """
    try:
        return ensure(store.client(), name, template)
    except (MlflowException, OSError) as error:
        said = str(error).splitlines()[0]
        raise Error(f"MLflow did not take the reward prompt '{name}': {said}. It was not kept.") from error


def ensure(client: MlflowClient, name: str, template: str) -> int:
    """Return the version of a prompt that has this text, made where there is none."""
    for version in _versions(client, PREFIX + name):
        if version.template == template:
            return int(version.version)
    return int(client.register_prompt(PREFIX + name, template, tags={"tunelab.kind": "reward"}).version)


def rebuild_index() -> dict[str, int]:
    """Write the workspace's index of reward prompts anew from MLflow, and return how many versions there are."""
    client = store.client()
    found = []
    for prompt in client.search_prompts(f"name LIKE '{PREFIX}%'"):
        for version in _versions(client, prompt.name):
            at = version.creation_timestamp or 0
            created = dt.datetime.fromtimestamp(at / 1000, dt.UTC).isoformat(timespec="seconds")
            name = prompt.name.removeprefix(PREFIX)
            found.append(index.Entry(name, int(version.version), str(version.template), created))
    index.replace(found)
    return {"versions": len(found)}


def _versions(client: MlflowClient, name: str) -> list[Any]:
    """Return the versions of a prompt, the oldest first."""
    found: list[Any] = []
    while True:
        try:
            version = client.get_prompt_version(name, len(found) + 1)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"):
                raise
            version = None
        if version is None:
            return found
        found.append(version)
