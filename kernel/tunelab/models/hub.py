"""The Hugging Face hub: whether a model is there and may be read, and its files; never imported in the kernel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from tunelab.errors import ModelError
from tunelab.models.find import hub_cache_root

#: The weights, then all else.
_PATTERNS = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model", "merges.txt", "vocab.txt"]


def check(hub_id: str) -> dict[str, Any]:
    """Return the model's size on the hub.

    Raises
    ------
    ModelError
        If it is not there, is gated and the login is missing, has no safetensors, or the hub cannot be reached.
    """
    with _refusals(hub_id):
        api = HfApi()
        info = api.model_info(hub_id, timeout=10)
        api.auth_check(hub_id)
    names = [file.rfilename for file in info.siblings or []]
    if not any(name.endswith(".safetensors") for name in names):
        raise ModelError(f"'{hub_id}' has no *.safetensors on the hub; tunelab loads no other weights.")
    return {"params": info.safetensors.total if info.safetensors else None}


def download(hub_id: str, weights: bool = True) -> Path:
    """Return the folder of a model's files in the hub's cache, brought there if need be, with or without its weights.

    Raises
    ------
    ModelError
        As `check`.
    """
    with _refusals(hub_id):
        return Path(snapshot_download(hub_id, allow_patterns=_PATTERNS[not weights :], etag_timeout=5))


@contextmanager
def _refusals(hub_id: str) -> Iterator[None]:
    try:
        yield
    except GatedRepoError as error:
        raise ModelError(
            f"'{hub_id}' is gated: accept its licence at {HfApi().endpoint}/{hub_id}, then log in with `hf auth login` "
            "or set HF_TOKEN, and try again."
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"The hub has no model '{hub_id}' that this login may read, and there is no folder of that name. Check the "
            "name; for a private one log in with `hf auth login` or set HF_TOKEN."
        ) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, httpx.HTTPError, OSError) as error:
        raise ModelError(
            f"'{hub_id}' is not in the hub cache ({hub_cache_root()}), and the hub cannot be reached to get it. Go "
            "online, or name a local folder."
        ) from error
