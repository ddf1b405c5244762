"""Custom models as the user meets them: versions, where they came from, and export for plain transformers and PEFT."""

from __future__ import annotations

import html
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

from tunelab import task
from tunelab.errors import ModelError
from tunelab.registry.index import Entry
from tunelab.tables import table


class CustomModel:
    """One version of a custom model."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry

    @property
    def name(self) -> str:
        """The model's name."""
        return self._entry.name

    @property
    def version(self) -> int:
        """The version, from 1."""
        return self._entry.version

    @property
    def base(self) -> str:
        """The model that its files need: what its adapter sits on."""
        return self._entry.base

    @property
    def parent(self) -> str | None:
        """The custom model, or the checkpoint of one, that it was continued from; None where it was a base model."""
        return self._entry.parent or None

    @property
    def technique(self) -> str:
        """sft, dpo, rlvr or rlaif."""
        return self._entry.technique

    @property
    def dataset(self) -> str:
        """The dataset version it learned from."""
        return self._entry.dataset

    @property
    def job(self) -> str:
        """The id of the job that made it."""
        return self._entry.job

    @property
    def run_id(self) -> str:
        """The run in MLflow."""
        return self._entry.run_id

    @property
    def path(self) -> Path:
        """The folder of its files: an adapter, or full weights, with tokenizer, chat template and spec."""
        return Path(self._entry.path)

    def export(self, folder: str | Path, merged: bool = False) -> Path:
        """Copy the model to a folder that plain transformers or PEFT load.

        Parameters
        ----------
        folder
            A new or empty folder.
        merged
            False gives the adapter, which `peft.PeftModel.from_pretrained(base, folder)` loads; True gives base and
            adapter as one model, which `AutoModelForCausalLM.from_pretrained(folder)` loads.

        Raises
        ------
        ModelError
            If the folder has files in it, or the model's own are gone.
        """
        target = Path(folder).expanduser().absolute()
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise ModelError(f"{target} is not empty. Name a new folder.")
        if not self.path.is_dir():
            raise ModelError(f"The files of {self} are gone ({self.path}).")
        if merged and self._entry.adapter == "lora":
            task.run(
                "tunelab.evaluation.generate:merge",
                {"model": str(self), "target": str(target)},
                show=f"Merging {self}",
            )
        else:
            shutil.copytree(self.path, target, dirs_exist_ok=True)
        return target

    def __str__(self) -> str:
        return self._entry.label

    def __repr__(self) -> str:
        return f"<CustomModel {self}: {self.technique} of {self.base} on {self.dataset}>"


class Models(Sequence[CustomModel]):
    """Custom models, by name and version. Shown as a table."""

    def __init__(self, models: list[CustomModel]) -> None:
        self._models = models

    @overload
    def __getitem__(self, index: int) -> CustomModel: ...
    @overload
    def __getitem__(self, index: slice) -> Models: ...
    def __getitem__(self, index: int | slice) -> CustomModel | Models:
        """Return a model, or some of them."""
        return Models(self._models[index]) if isinstance(index, slice) else self._models[index]

    def __len__(self) -> int:
        return len(self._models)

    def __iter__(self) -> Iterator[CustomModel]:
        return iter(self._models)

    def rows(self) -> list[dict[str, Any]]:
        """Return what the table shows, one mapping a version."""
        return [
            {
                "model": str(m),
                "base": m.base,
                "from": m.parent or "",
                "technique": m.technique,
                "dataset": m.dataset,
                "job": m.job,
            }
            for m in self._models
        ]

    def __repr__(self) -> str:
        if not self._models:
            return "No custom models yet. %customize or tl.customize(…) makes one."
        return "\n".join("  ".join(str(value) for value in row.values()) for row in self.rows())

    def _repr_html_(self) -> str:
        return table(self.rows()) if self._models else f"<p>{html.escape(repr(self))}</p>"
