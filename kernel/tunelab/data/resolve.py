"""What a spec's ``dataset`` means: a registered version, a variable, a file or a hub id, and a version it becomes."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NoReturn

from tunelab import workspace
from tunelab.data import checks, create, formats, reading, versions
from tunelab.data.dataset import Dataset, Part
from tunelab.data.faults import Fault
from tunelab.errors import DataError, did_you_mean

#: What a dataset's name may mean.
Meaning = Literal["a registered dataset", "a variable", "a file", "of the hub", "a pattern of files"]


def resolve(source: Any, technique: str, namespace: dict[str, Any] | None = None, name: str | None = None) -> Dataset:
    """Return the version that a spec's ``dataset`` means, kept in the workspace.

    Parameters
    ----------
    source
        A registered ``NAME[@VERSION]``, a variable's name in `namespace`, a file, a pattern of files, a hub id, or a
        table itself.
    technique
        What it is to be trained with; a registered dataset is checked against it as well.
    namespace
        The variables of the notebook.
    name
        The name to keep it under where the source has none.

    Raises
    ------
    DataError
        If nothing, or more than one thing, has that name, or a row is wrong.
    """
    if isinstance(source, Dataset):
        return _fit(source, technique)
    if isinstance(source, Part):
        return Dataset.create(name or source.dataset.name, source, technique)
    if not isinstance(source, (str, Path)):
        return Dataset.create(name or "data", source, technique)
    text = str(source)
    found = meaning(text, namespace)
    if found == "a registered dataset":
        return _fit(Dataset.get(text), technique)
    if found == "a variable":
        return _from_variable((namespace or {})[text], text, technique)
    if found == "a file":
        path = Path(os.path.expanduser(text))
        return Dataset.create(workspace.slug(path.stem), path, technique)
    if found == "of the hub":
        return Dataset.create(workspace.slug(text.rpartition("/")[2]), text, technique)
    stem = re.sub(r"\W*[*?\[].*", "", Path(text).stem) or Path(text).parent.name
    return Dataset.create(workspace.slug(stem), text, technique)


def meaning(text: str, namespace: dict[str, Any] | None = None) -> Meaning:
    """Return what a dataset's name means; nothing is read.

    Raises
    ------
    DataError
        If nothing, or more than one thing, has that name.
    """
    # os.path and not Path's own: those raise for a name that is too long, or a ~user that is not there.
    path = Path(os.path.expanduser(text))
    found: list[Meaning] = []
    if versions.numbers(text.partition("@")[0]):
        found.append("a registered dataset")
    if namespace is not None and _is_rows(namespace.get(text)):
        found.append("a variable")
        value = namespace[text]
        # A version of that very name, or what was registered from this variable the last time it was used: it is the
        # variable that is meant.
        same = value.name == text if isinstance(value, Dataset) else _came_from(text)
        if len(found) == 2 and same:
            found.remove("a registered dataset")
    if os.path.isfile(path):
        found.append("a file")
    if len(found) > 1:
        raise DataError(
            f"'{text}' is {' and '.join(found)}. Say './{text}' for the file, '{text}@1' for the registered dataset, "
            "or rename the variable."
        )
    if found:
        return found[0]
    if create.is_hub_id(text):
        return "of the hub"
    if glob.has_magic(text):
        return "a pattern of files"
    return _nothing_found(text, path, namespace)


def _came_from(text: str) -> bool:
    base = text.partition("@")[0]
    return bool(versions.numbers(base)) and Dataset.get(base).source == _variable(text)


def _is_rows(value: object) -> bool:
    return isinstance(value, (Dataset, Part)) or reading.is_table(value)


def _from_variable(value: Any, text: str, technique: str) -> Dataset:
    if isinstance(value, (Dataset, Part)):
        return resolve(value, technique, name=workspace.slug(text))
    source = create.Source(reading.read_table(value), _variable(text), _variable(text))
    return Dataset.of(create.store(workspace.slug(text), source, technique))


def _variable(name: str) -> str:
    return f"variable {name}"


def _fit(dataset: Dataset, technique: str) -> Dataset:
    if dataset.technique == technique:
        return dataset
    # Made for another technique: its fields may still serve, and its rows are checked anew.
    shown = f"Dataset {dataset}"
    mapping = formats.recognize(list(dataset.read(0, 100)), technique, None, shown)
    if not mapping.is_plain:
        return Dataset.create(dataset.name, dataset, technique)
    checker = checks.RowChecker(technique, mapping.form)
    for number, row in enumerate(dataset.read(), 1):
        made = mapping.convert(row)
        if fault := made if isinstance(made, Fault) else checker.check(made):
            raise DataError(fault.at(f"{shown}, row {number}"))
    return replace(dataset, technique=technique, form=mapping.form, conversational=bool(checker.conversational))


def _nothing_found(text: str, path: Path, namespace: dict[str, Any] | None) -> NoReturn:
    if os.path.isdir(path):
        raise DataError(f"{text} is a folder; name the file in it.")
    if path.suffix.lower() in reading.READERS or "/" in text:
        raise DataError(f"There is no file {text}.{create.near_files(path)}")
    if namespace is not None and text in namespace:
        kind = create.kind_of(namespace[text])
        raise DataError(f"The variable '{text}' is {kind}, and no DataFrame or list of rows.")
    tables = [key for key, value in (namespace or {}).items() if not key.startswith("_") and reading.is_table(value)]
    hint = did_you_mean(text, [*versions.names(), *tables])
    raise DataError(f"There is no dataset, variable or file '{text}'.{hint}")
