"""tunelab: model customization inside JupyterLab, on one's own machine."""

from __future__ import annotations

from typing import Any

# Imported here and not on first use: `jobs` and `models` are packages too, and whoever imports one of their modules
# first would put the package in the function's place.
from tunelab.answers import Answers
from tunelab.api import (
    base_models,
    compare,
    customize,
    datasets,
    evaluate,
    generate,
    job,
    jobs,
    model,
    models,
    recipe,
    replay,
    try_reward,
)
from tunelab.bench import RewardReport
from tunelab.comparison import Comparison
from tunelab.data import Dataset
from tunelab.errors import DataError, Error, JobError, ModelError, SpecError, Timeout
from tunelab.jobs.manager import Job
from tunelab.lineage import Lineage, lineage
from tunelab.models.custom import CustomModel
from tunelab.plan import Plan
from tunelab.replay import Replay
from tunelab.scoring.metrics import Metric, metrics
from tunelab.scoring.prompts import RewardPrompt, reward_prompts

__all__ = [
    "Answers",
    "Comparison",
    "CustomModel",
    "DataError",
    "Dataset",
    "Error",
    "Job",
    "JobError",
    "Lineage",
    "Metric",
    "ModelError",
    "Plan",
    "Replay",
    "RewardPrompt",
    "RewardReport",
    "SpecError",
    "Timeout",
    "base_models",
    "compare",
    "customize",
    "datasets",
    "evaluate",
    "generate",
    "job",
    "jobs",
    "lineage",
    "load_ipython_extension",
    "metrics",
    "model",
    "models",
    "recipe",
    "replay",
    "reward_prompts",
    "studio",
    "try_reward",
    "unload_ipython_extension",
]


def studio(place: str | None = None) -> None:
    """Show the Studio in the running cell: models, datasets, jobs, evaluations and evaluators.

    Parameters
    ----------
    place
        Where it begins: ``models``, ``datasets``, ``jobs``, ``evaluations`` or ``evaluators``.

    Raises
    ------
    Error
        If there is no notebook, or no such place.
    """
    from tunelab.notebook.studio import show

    show(place)


def load_ipython_extension(ipython: Any) -> None:
    """Make the magics known: ``%load_ext tunelab``."""
    from tunelab.notebook import load

    load(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """Take the magics away: ``%unload_ext tunelab``."""
    from tunelab.notebook import unload

    unload(ipython)


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "tunelab"}]
