"""Cells to begin with: what customizes or evaluates by a reward or a metric, on what rows there are for it."""

from __future__ import annotations

from typing import Any

import yaml

from tunelab.data import versions
from tunelab.errors import DataError
from tunelab.models.find import CATALOG
from tunelab.registry import index


def customization(technique: str, line: str, fields: str, *others: str) -> str:
    """Return a cell that customizes a base model.

    Parameters
    ----------
    technique
        What it is for; where there are no rows, the cell says so, and which `fields` they have.
    line
        What is said of the reward, a line of the spec.
    *others
        Techniques whose rows will do too.
    """
    head = yaml.safe_dump({"technique": technique, "model": base()}, sort_keys=False)
    return f"%%customize\n{head}{_rows('my-prompts', fields, technique, *others)}{line}"


def evaluation(line: str) -> str:
    """Return a cell that evaluates the newest custom model, or a base model, scored as a line of the spec says."""
    custom = index.entries()
    model = max(custom, key=lambda entry: entry.created).name if custom else base()
    head = yaml.safe_dump({"models": [model]}, default_flow_style=None, allow_unicode=True)
    return f"%%evaluate\n{head}{_rows('my-eval', 'query, response', 'evaluation')}{line}"


def base() -> str:
    """Return the base model of a cell to begin with."""
    return next(iter(CATALOG))


def line(key: str, value: Any) -> str:
    """Return one line of a spec."""
    flow = None if isinstance(value, dict) else False
    return yaml.safe_dump({key: value}, default_flow_style=flow, sort_keys=False, allow_unicode=True, width=10_000)


def _rows(name: str, fields: str, *techniques: str) -> str:
    found = _newest_dataset(*techniques)
    told = yaml.safe_dump({"dataset": found or name}, allow_unicode=True).rstrip()
    return f"{told}\n" if found else f"{told}  # a dataset for {techniques[0]}: {fields}\n"


def _newest_dataset(*techniques: str) -> str | None:
    """Return the name of the newest dataset for one of these techniques."""
    found = []
    for name in versions.names():
        try:
            found.append(versions.load(name, versions.numbers(name)[-1]))
        except (DataError, FileNotFoundError, IndexError):
            # Damaged, or deleted while it was looked for: another will do.
            continue
    fit = [one for one in found if one.technique in techniques]
    return max(fit, key=lambda one: one.created).name if fit else None
