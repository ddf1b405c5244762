"""Datasets as the user meets them: versions that never change, checked row by row, and what can be asked of them."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from tunelab import workspace
from tunelab.data import create, formats, split, storage, uses, versions
from tunelab.data.create import Say
from tunelab.data.diff import Diff, compare
from tunelab.data.reading import Row
from tunelab.data.report import Finding, Report, fixes
from tunelab.errors import DataError
from tunelab.tables import table

if TYPE_CHECKING:
    import pandas as pd

    from tunelab.data.preview import Preview


@dataclass(frozen=True)
class Dataset(versions.Version):
    """One version of a dataset: its rows on disk and where they came from."""

    @classmethod
    def create(
        cls,
        name: str,
        source: Any,
        technique: str | None = None,
        columns: Mapping[str, str] | None = None,
        *,
        fix: str | Iterable[str] | None = None,
        model: str | None = None,
    ) -> Dataset:
        """Check every row of `source` and keep them as a version of `name`.

        Parameters
        ----------
        name
            Letters, digits, '.', '_' and '-'.
        source
            A file (jsonl, json, csv, tsv, parquet), a pattern such as ``"data/*.jsonl"``, a hub id, a DataFrame, a
            `datasets.Dataset`, a list of dicts, a `Dataset`, or a `Part` of one.
        technique
            ``"sft"``, ``"dpo"``, ``"rlvr"``, ``"rlaif"`` or ``"evaluation"``; without, the one that the fields fit.
        columns
            What each field is made from, such as ``{"prompt": "question"}``; dots reach into mappings. Without, common
            forms are recognized, and the report says how they were mapped.
        fix
            What to mend, one or several of `tunelab.data.report.FIXES`.
        model
            A model's name: the report also says which rows are longer than it takes.

        Returns
        -------
        Dataset
            The new version, or the one that holds the same rows already.

        Raises
        ------
        DataError
            For rows that cannot be used; the message names the first and its field, `error.report` has them all.
        """
        create.valid_name(name)
        create.valid_technique(technique)
        wanted = fixes(fix)
        with create.opened(source, name) as found:
            made = cls.of(create.store(name, found, technique, dict(columns) if columns else None, wanted))
        if model is not None:
            made.preview(model)
        return made

    @classmethod
    def check(
        cls,
        source: Any,
        technique: str | None = None,
        columns: Mapping[str, str] | None = None,
        *,
        say: Say | None = None,
    ) -> Report:
        """Check every row of `source` and return the report; nothing is kept.

        Parameters are those of `create`; `say` is told the number of rows about once a second.

        Raises
        ------
        DataError
            If the source cannot be read, or its fields fit no technique.
        """
        create.valid_technique(technique)
        with create.opened(source, "rows") as found:
            return create.check(found, technique, dict(columns) if columns else None, say)

    @classmethod
    def get(cls, name: str) -> Dataset:
        """Return a version by ``NAME`` (the newest) or ``NAME@VERSION``.

        Raises
        ------
        DataError
            If there is none of that name, with the nearest name.
        """
        return cls.of(versions.find(name))

    @classmethod
    def of(cls, version: versions.Version) -> Dataset:
        """Return a version as a dataset."""
        return cls(**vars(version))

    def versions(self) -> Datasets:
        """Return all versions of this name, the oldest first."""
        return Datasets([self.of(one) for one in versions.every(self.name)])

    @property
    def report(self) -> Report:
        """What was found when it was made, and by the previews since."""
        return Report.from_json(workspace.read_json(self._folder / "report.json", None))

    def read(self, first: int = 0, count: int | None = None) -> Iterator[Row]:
        """Yield the rows, `count` of them from position `first` (from 0) on, in the types that they were written in."""
        return storage.read(self._folder, first, count)

    def to_pandas(self) -> pd.DataFrame:
        """Return the rows as a DataFrame."""
        import pandas as pd

        return pd.DataFrame(list(self.read()))

    def sample(self, n: int = 5, seed: int = 42) -> pd.DataFrame:
        """Return `n` rows drawn at random, under their numbers from 1."""
        import pandas as pd

        places = sorted(random.Random(seed).sample(range(self.rows), min(n, self.rows)))
        return pd.DataFrame([next(self.read(place, 1)) for place in places], index=[place + 1 for place in places])

    def held_out(self, share: float | int, seed: int) -> set[int]:
        """Return the positions (from 0) of the rows that a split holds out: whole prompts, with those nearly the same.

        Raises
        ------
        DataError
            If nothing would be left to train on.
        """
        if not share:
            return set()
        keys, groups, classes = (
            storage.Words(self._folder / name) for name in ("keys.u64", "groups.u32", "classes.u32")
        )
        return split.held_out(keys, groups, classes if len(classes) else None, share, seed)

    def split(self, share: float | int = 0.1, seed: int = 42) -> tuple[Part, Part]:
        """Return the rows to train on and the rows held out, the same that a job with this `split` and `seed` has.

        Examples
        --------
        >>> train, held_out = tl.Dataset.get("human-like").split(0.1)
        >>> tl.Dataset.create("human-like-eval", held_out, technique="evaluation")
        """
        aside = self.held_out(share, seed)
        places = range(self.rows)
        said = f"split {share:g}, seed {seed}"
        return (
            Part(self, tuple(place for place in places if place not in aside), f"{self}, to train on ({said})"),
            Part(self, tuple(place for place in places if place in aside), f"{self}, held out ({said})"),
        )

    def overlap(self, other: Dataset) -> int:
        """Return how many rows of `other` have a prompt that is in this dataset too."""
        return split.overlap(storage.Words(self._folder / "keys.u64"), storage.Words(other._folder / "keys.u64"))

    def diff(self, other: Dataset | str) -> Diff:
        """Return what changed from this version to `other`, a dataset or its name."""
        against = Dataset.get(other) if isinstance(other, str) else other
        return compare(against.label, against.read, self.label, self.read)

    def preview(self, model: str, **options: Any) -> Preview:
        """Show the rows as `model` will see them: chat rendered, trained tokens coloured, lengths with the cut.

        Takes the options of `tunelab.data.preview.preview`, such as ``rows`` and ``hyperparameters``.
        """
        from tunelab.data.preview import preview

        shown = preview(self, model, **options)
        self.note(shown.finding(), "length", model)
        return shown

    def note(self, finding: Finding | None, kind: str, field: str) -> None:
        """Keep a warning with this version, in place of an earlier one of its kind and field; None takes that away."""
        with workspace.current().lock("datasets"):
            report = self.report
            kept = [one for one in report.findings if (one.kind, one.field) != (kind, field)]
            noted = replace(report, findings=(*kept, *([finding] if finding else ())))
            if noted != report:
                workspace.write_json(self._folder / "report.json", noted.as_json())

    def form_for(self, technique: str) -> tuple[str, ...]:
        """Return the fields that `technique` reads, which need not be those the dataset was made for."""
        if technique == self.technique:
            return self.form
        return formats.recognize(list(self.read(0, 100)), technique, None, f"Dataset {self}").form

    def uses(self) -> list[str]:
        """Return the models and jobs that need this version, in words."""
        return uses.of(self.label)

    def delete(self) -> None:
        """Remove this version.

        Raises
        ------
        DataError
            If a model was made from it, or a job that has not ended needs it.
        """
        with workspace.current().lock("datasets"):
            if needed := uses.of(self.label):
                raise DataError(
                    f"{self} is needed by {' and '.join(needed[:3])}{' and others' if len(needed) > 3 else ''}, and "
                    "without it nobody can tell what made them. Remove those first, or keep it."
                )
            versions.keep_number(self)
            gone = self.path.with_name(f".gone-{self.version}")
            self.path.rename(gone)
        shutil.rmtree(gone)

    @property
    def _folder(self) -> Path:
        create.upgrade(self)
        return self.path

    def __len__(self) -> int:
        return self.rows

    def __str__(self) -> str:
        return self.label

    def __repr__(self) -> str:
        return f"<Dataset {self}: {self.rows:,} rows for {self.technique} ({', '.join(self.form)})>"


@dataclass(frozen=True)
class Part:
    """Some rows of a dataset, as a split gives them; `Dataset.create` makes a dataset of its own from it."""

    dataset: Dataset
    positions: tuple[int, ...]
    label: str

    def read(self) -> Iterator[Row]:
        """Yield the rows."""
        wanted = set(self.positions)
        return (row for place, row in enumerate(self.dataset.read()) if place in wanted)

    def to_pandas(self) -> pd.DataFrame:
        """Return the rows as a DataFrame."""
        import pandas as pd

        return pd.DataFrame(list(self.read()))

    def __len__(self) -> int:
        return len(self.positions)

    def __repr__(self) -> str:
        return f"<{len(self):,} rows of {self.label}>"


class Datasets(Sequence[Dataset]):
    """Datasets, shown as a table."""

    def __init__(self, found: list[Dataset]) -> None:
        self._found = found

    @overload
    def __getitem__(self, index: int) -> Dataset: ...
    @overload
    def __getitem__(self, index: slice) -> Datasets: ...
    def __getitem__(self, index: int | slice) -> Dataset | Datasets:
        """Return a dataset, or some of them."""
        return Datasets(self._found[index]) if isinstance(index, slice) else self._found[index]

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Dataset]:
        return iter(self._found)

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, (list, Datasets)) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def table(self) -> list[dict[str, Any]]:
        """Return what the table shows, one mapping a dataset."""
        return [
            {
                "dataset": str(one),
                "technique": one.technique,
                "rows": f"{one.rows:,}",
                "fields": ", ".join(one.form),
                "warnings": len(one.report.warnings),
                "source": one.source,
                "by": one.creator,
                "created": one.created.replace("T", " ").removesuffix("+00:00"),
            }
            for one in self._found
        ]

    def __repr__(self) -> str:
        if not self._found:
            return "No datasets yet. tl.Dataset.create(name, source) makes one, and so does %customize."
        return "\n".join("  ".join(str(value) for value in row.values()) for row in self.table())

    def _repr_html_(self) -> str:
        return table(self.table()) if self._found else f"<p>{self!r}</p>"


def datasets() -> Datasets:
    """Return the newest version of every dataset in the workspace, by name."""
    return Datasets([Dataset.get(name) for name in versions.names()])
