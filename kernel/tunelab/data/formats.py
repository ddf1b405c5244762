"""Which fields a technique takes, and how rows of another form become such rows: the mapping, found or given.

A form is recognized on the first rows: tunelab's own forms, then the common others (`tunelab.data.known`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Mapping as Given

from tunelab.data import known
from tunelab.data.faults import ABSENT, Fault
from tunelab.data.mapping import OPTIONAL, Mapping, reach, renamer
from tunelab.data.reading import Row
from tunelab.errors import DataError, did_you_mean, listing

__all__ = ["FORMS", "Mapping", "form_of", "recognize"]

#: The sets of fields that each technique takes; the first is the one that error messages name.
FORMS: dict[str, tuple[tuple[str, ...], ...]] = {
    "sft": (("prompt", "completion"), ("messages",), ("text",)),
    "dpo": (("prompt", "chosen", "rejected"), ("chosen", "rejected")),
    "rlvr": (("prompt", "ground_truth"), ("prompt",)),
    "rlaif": (("prompt",),),
    "evaluation": (("query", "response"), ("query",)),
}
#: So many rows are looked at.
_HEAD = 100
_NAME_LENGTH = 60


def recognize(rows: Sequence[Row], technique: str | None, columns: Given[str, str] | None, source: str) -> Mapping:
    """Return how the rows of `source` are mapped, judged by the first of them.

    Parameters
    ----------
    rows
        The first rows; no more than 100 are looked at.
    technique
        A key of `FORMS`; None for the one that the fields fit.
    columns
        What each field is made from, where it is not to be found out; dots reach into mappings.
    source
        What messages call the rows' source.

    Raises
    ------
    DataError
        If no form fits, or `columns` names a field or a column that there is not.
    """
    head = list(rows[:_HEAD])
    if columns:
        return _given(head, technique, {str(target): str(origin) for target, origin in columns.items()}, source)
    found = known.candidates(head, technique)
    counts = [sum(1 for row in head if one.fits(row)) for one in found]
    for one, count in zip(found, counts, strict=True):
        if count and 2 * count >= len(head):
            return one.mapping
    # Most of the first rows are faulty: the form that most of them have tells what is wrong with the others.
    loose = [(count, one) for one, count in zip(found, counts, strict=True) if count and not one.needs_most]
    if loose:
        return max(loose, key=lambda pair: pair[0])[1].mapping
    fields = _fields(head)
    raise DataError(_no_form(technique, fields, source) if technique else _no_technique(fields, source))


def form_of(technique: str, fields: Iterable[str], source: str) -> tuple[str, ...]:
    """Return the fields that `technique` reads from a dataset with these `fields`.

    Raises
    ------
    DataError
        If no form of the technique fits; the message names what is missing and what is there.
    """
    there = set(fields)
    for form in FORMS[technique]:
        if there >= set(form):
            return form
    raise DataError(_no_form(technique, there, source))


def _fields(head: Sequence[Row]) -> set[str]:
    return {str(name) for row in head for name in row if name is not None}


def _whole(technique: str) -> list[tuple[str, ...]]:
    """Return the forms that are not part of another: who has the fields of the greater one has those of the lesser."""
    forms = FORMS[technique]
    return [form for form in forms if not any(set(form) < set(other) for other in forms)]


def _no_form(technique: str, fields: set[str], source: str) -> str:
    forms = _whole(technique)
    closest = max(forms, key=lambda form: len(fields & set(form)))
    # Where all fields are there, no row has them all: the first is named.
    lacking = next((name for name in closest if name not in fields), closest[0])
    near = did_you_mean(lacking, fields - set(closest)).removeprefix(" Did you mean '").removesuffix("'?")
    hint = f" Rename '{near}' to '{lacking}'." if near else ""
    remedy = f" columns={{'{lacking}': '{near}'}} maps it." if near else ""
    wanted = " or ".join(", ".join(form) for form in forms)
    return (
        f"{source} has no field '{lacking}'.{hint} {technique} takes {wanted}; the rows have {_listed(fields)}.{remedy}"
    )


def _no_technique(fields: set[str], source: str) -> str:
    wanted = "; ".join(f"{name}: {', '.join(forms[0])}" for name, forms in FORMS.items())
    message = f"{source} fits no technique ({wanted}). The rows have {_listed(fields)}."
    if "prompt" in fields:
        return f"{message} Prompts alone serve technique='rlaif', and 'rlvr' with a reward that needs no more."
    return f"{message} columns={{'prompt': …}} maps a column to a field." if fields else message


def _listed(fields: set[str]) -> str:
    # The first row of a file without a header is taken for one, and may be long.
    return listing(name if len(name) <= _NAME_LENGTH else f"{name[:_NAME_LENGTH]}…" for name in fields) or "nothing"


def _given(head: list[Row], technique: str | None, columns: dict[str, str], source: str) -> Mapping:
    _valid(head, technique, columns, source)
    rename = renamer(columns)
    renamed = [made for row in head if not isinstance(made := rename(row), Fault)]
    # Every one of the first rows lacks something: what is left to find out is the form.
    renamed = renamed or [row | dict.fromkeys(columns, "…") for row in head]
    fields, wanted = _fields(renamed), set(columns) - OPTIONAL
    for one in [technique] if technique else known.ORDER:
        for form in _whole(one):
            if wanted <= set(form) <= fields and (technique or len(form) > 1 or wanted == set(form) != {"prompt"}):
                shown = tuple((name, columns.get(name, name)) for name in (*form, *(set(columns) & OPTIONAL)))
                return Mapping("columns=", one, form, shown, rename)
    inner = recognize(renamed, technique, None, source)

    def convert(row: Row) -> Row | Fault:
        made = rename(row)
        return made if isinstance(made, Fault) else inner.convert(made)

    both = tuple(pair for pair in columns.items() if pair[0] not in dict(inner.columns))
    named = tuple((target, columns.get(origin, origin)) for target, origin in inner.columns)
    return Mapping(
        "columns=" if inner.is_plain else f"columns= and {inner.name}",
        inner.technique,
        inner.form,
        (*named, *both),
        convert,
    )


def _valid(head: list[Row], technique: str | None, columns: dict[str, str], source: str) -> None:
    targets = {name for one in ([technique] if technique else FORMS) for form in FORMS[one] for name in form} | OPTIONAL
    fields = _fields(head)
    within = {
        f"{name}.{key}" for row in head for name, value in row.items() if isinstance(value, dict) for key in value
    }
    for target, origin in columns.items():
        if target not in targets:
            hint = did_you_mean(target, targets) or f" There are {', '.join(sorted(targets))}."
            raise DataError(
                f"columns= names the field '{target}', which {technique or 'no technique'} takes not.{hint}"
            )
        if all(reach(row, origin) is ABSENT for row in head):
            hint = did_you_mean(origin, fields | within) or f" The rows have {_listed(fields)}."
            raise DataError(f"{source} has no column '{origin}', which columns= names for '{target}'.{hint}")
