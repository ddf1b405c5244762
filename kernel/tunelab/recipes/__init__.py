"""Recipes: what a technique's settings are unless the spec says otherwise, by model size, each with its source."""

from __future__ import annotations

import functools
import html
from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml

from tunelab.spec import REINFORCEMENT
from tunelab.spec.hyperparameters import catalog, method_of
from tunelab.tables import columns


@dataclass(frozen=True)
class Setting:
    """A default with where it comes from, its range (both ends included) and its help."""

    name: str
    value: Any
    source: str
    range: tuple[float, float] | None
    help: str


@dataclass(frozen=True)
class Recipe:
    """The defaults of one technique for one model. Shown as a table in a notebook and as text elsewhere."""

    technique: str
    model: str
    settings: dict[str, Setting]
    ranges: dict[str, tuple[float, float]]

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The values of TRL's fields by name."""
        return {n: s.value for n, s in self.settings.items() if "." not in n and n != "split"}

    @property
    def adapter(self) -> dict[str, Any]:
        """The values of the adapter; empty for full fine-tuning."""
        return {n.removeprefix("adapter."): s.value for n, s in self.settings.items() if n.startswith("adapter.")}

    @property
    def split(self) -> float:
        """The share of rows held out."""
        return float(self.settings["split"].value)

    def _rows(self) -> list[tuple[str, str, str, str, str]]:
        return [
            (s.name, _number(s.value), f"{s.range[0]:g} … {s.range[1]:g}" if s.range else "", s.source, s.help)
            for s in self.settings.values()
        ]

    def __repr__(self) -> str:
        names = ("setting", "value", "range", "source")
        rows = [dict(zip(names, row[:4], strict=True)) for row in self._rows()]
        return f"Recipe: {self.technique} on {self.model}\n{columns(rows)}"

    def _repr_html_(self) -> str:
        head = "".join(f'<th style="text-align:left">{t}</th>' for t in ("Setting", "Value", "Range", "Source"))
        body = "".join(
            f'<tr title="{html.escape(row[4], quote=True)}">'
            + "".join(f'<td style="text-align:left">{html.escape(cell)}</td>' for cell in row[:4])
            + "</tr>"
            for row in self._rows()
        )
        title = html.escape(f"{self.technique} on {self.model}")
        return f"<table><caption>{title}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def find(
    technique: str, model: str, adapter: str, params: int | None, device: str, algorithm: str | None = None
) -> Recipe:
    """Return the recipe of a technique.

    Parameters
    ----------
    technique
        A name of `TECHNIQUES`.
    model
        The name to show.
    adapter
        ``"lora"`` or ``"full"``.
    params
        Number of the model's parameters, or None where it is not known yet.
    device
        ``"cpu"``, ``"cuda"`` or ``"mps"``.
    algorithm
        Of rlvr and rlaif: ``"grpo"`` (also where it is None) or ``"rloo"``.
    """
    method = method_of(technique, algorithm)
    facts = {"adapter": adapter, "device": device, "params": params, "algorithm": method}
    values: dict[str, dict[str, Any]] = {}
    ranges: dict[str, tuple[float, float]] = {}
    files = ["common", *(["reinforcement"] if technique in REINFORCEMENT else []), technique]
    layers = [_load(name) for name in files]
    lora: dict[str, Any] = {}
    for part in layers:
        values |= part.get("values", {})
        lora |= part.get("adapter", {})
        values |= {"split": part["split"]} if "split" in part else {}
        for rule in part.get("rules", []):
            if _holds(rule["when"], facts):
                values |= rule["values"]
        ranges |= {name: (float(low), float(high)) for name, (low, high) in part.get("ranges", {}).items()}
    fields = catalog(method)
    settings = {
        name: Setting(
            name, entry["value"], entry["source"], ranges.get(name), fields[name].help if name in fields else ""
        )
        for name, entry in values.items()
    }
    if adapter == "lora":
        for name, entry in lora.items():
            settings[f"adapter.{name}"] = Setting(f"adapter.{name}", entry["value"], entry["source"], None, "")
    return Recipe(technique, model, dict(sorted(settings.items())), ranges)


def _holds(when: dict[str, Any], facts: dict[str, Any]) -> bool:
    for key, wanted in when.items():
        if key == "params_below":
            if facts["params"] is None or facts["params"] >= wanted:
                return False
        elif key == "params_from":
            if facts["params"] is None or facts["params"] < wanted:
                return False
        elif facts[key] != wanted:
            return False
    return True


@functools.cache
def _load(name: str) -> dict[str, Any]:
    text = resources.files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
