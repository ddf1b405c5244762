"""Rows of a dataset on the Hugging Face hub, brought as a file; runs in a process of its own, with `datasets`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tunelab.errors import DataError


def fetch(hub_id: str, target: str) -> dict[str, Any]:
    """Write the rows of the hub dataset's ``train`` split (or its only one) to `target` as JSONL.

    Raises
    ------
    DataError
        If it is not there, needs a login, or the hub cannot be reached.
    """
    from datasets import load_dataset
    from datasets.exceptions import DatasetNotFoundError

    try:
        splits = load_dataset(hub_id)
    except DatasetNotFoundError as error:
        raise DataError(
            f"The hub has no dataset '{hub_id}' that this login may read, and there is no file of that name. For a "
            "gated one accept its terms on the hub, then log in with `hf auth login` or set HF_TOKEN."
        ) from error
    except (ConnectionError, OSError) as error:
        raise DataError(f"The hub cannot be reached for '{hub_id}', and it is not in the hub cache: {error}") from error
    except ValueError as error:
        raise DataError(f"The hub dataset '{hub_id}' cannot be loaded: {error}") from error
    if "train" not in splits and len(splits) > 1:
        raise DataError(
            f"The hub dataset '{hub_id}' has no split 'train', only {', '.join(splits)}; save one as a file."
        )
    rows = splits["train"] if "train" in splits else next(iter(splits.values()))
    with Path(target).open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
    return {"rows": len(rows)}
