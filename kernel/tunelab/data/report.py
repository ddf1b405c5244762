"""What a check found in a dataset: counts, the first rows of each kind, and the fix that one argument applies."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tunelab.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from tunelab.data.faults import Fault

#: What ``fix=`` takes, and what each does.
FIXES = {
    "drop-faulty": "leave out the rows that cannot be used",
    "drop-duplicates": "leave out rows that repeat an earlier one",
    "drop-near-duplicates": "leave out rows whose prompt is nearly an earlier one's",
    "drop-contradictions": "leave out rows that contradict an earlier one",
    "redact": "put [secret] and [e-mail] in the place of secrets and addresses",
}
_FIX_OF = {
    "duplicate": "drop-duplicates",
    "near-duplicate": "drop-near-duplicates",
    "contradiction": "drop-contradictions",
    "secret": "redact",
    "email": "redact",
}
_FIRST_ROWS = 5
_SHOWN_CLASSES = 8


@dataclass(frozen=True)
class Finding:
    """One kind of thing that was found: in how many rows, in which first, and what would mend it.

    A ``fault`` refuses the dataset, a ``warning`` is kept with its version. `rows` count from 1 in the source.
    """

    kind: str
    severity: str
    field: str | None
    count: int
    rows: tuple[int, ...]
    message: str
    fix: str | None = None


@dataclass(frozen=True)
class Report:
    """The result of checking every row.

    Attributes
    ----------
    rows, faulty
        Rows in the source, and those of them that cannot be used.
    technique, form
        What the rows are for, and the fields that it reads.
    mapping
        The name of the form that was recognized, and pairs of a field and what it is made from.
    findings
        Faults first, then warnings.
    fixed
        What each fix that was asked for left out or changed, in rows.
    classes
        Labels with their rows, the most frequent first, where the answers are classes; else None.
    """

    rows: int
    faulty: int
    technique: str
    form: tuple[str, ...]
    mapping: tuple[str, tuple[tuple[str, str], ...]]
    findings: tuple[Finding, ...] = ()
    fixed: dict[str, int] = field(default_factory=dict)
    classes: tuple[tuple[str, int], ...] | None = None

    @property
    def ok(self) -> bool:
        """Whether the rows can be used as they are."""
        return not self.faulty

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that do not refuse the dataset."""
        return tuple(one for one in self.findings if one.severity == "warning")

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON has it; `from_json` takes it back."""
        name, columns = self.mapping
        return {
            "rows": self.rows,
            "faulty": self.faulty,
            "technique": self.technique,
            "form": list(self.form),
            "mapping": {"name": name, "columns": [list(pair) for pair in columns]},
            "findings": [{**vars(one), "rows": list(one.rows)} for one in self.findings],
            "fixed": self.fixed,
            "classes": None if self.classes is None else [list(pair) for pair in self.classes],
        }

    @classmethod
    def from_json(cls, loaded: dict[str, Any]) -> Report:
        """Return the report that `as_json` wrote."""
        mapping, classes = loaded["mapping"], loaded["classes"]
        return cls(
            rows=loaded["rows"],
            faulty=loaded["faulty"],
            technique=loaded["technique"],
            form=tuple(loaded["form"]),
            mapping=(mapping["name"], tuple((target, origin) for target, origin in mapping["columns"])),
            findings=tuple(Finding(**{**one, "rows": tuple(one["rows"])}) for one in loaded["findings"]),
            fixed=loaded["fixed"],
            classes=None if classes is None else tuple((label, count) for label, count in classes),
        )

    def lines(self) -> list[tuple[str, str]]:
        """Return what the report says, as pairs of a name and a sentence."""
        name, columns = self.mapping
        told = [("rows", f"{self.rows:,} for {self.technique} ({', '.join(self.form)})")]
        if any(target != origin for target, origin in columns):
            told.append(("mapped", f"{name}: " + ", ".join(f"{target} ← {origin}" for target, origin in columns)))
        for fix, count in self.fixed.items():
            told.append(("fixed", f"{fix}: {rows(count)} {'changed' if fix == 'redact' else 'left out'}"))
        for one in self.findings:
            where = f" (row{'s' if len(one.rows) > 1 else ''} {shown(one)})" if one.rows else ""
            remedy = f" fix='{one.fix}'" if one.fix else ""
            told.append((one.severity, f"{one.message}{where}{remedy}"))
        if self.classes:
            most = ", ".join(f"{label} {count:,}" for label, count in self.classes[:_SHOWN_CLASSES])
            more = f", … ({len(self.classes)} in all)" if len(self.classes) > _SHOWN_CLASSES else ""
            told.append(("classes", f"{most}{more}"))
        if not self.findings:
            told.append(("found", "nothing to mend"))
        return told

    def __repr__(self) -> str:
        width = max(len(name) for name, _ in self.lines())
        return "\n".join(f"{name.ljust(width)}  {text}" for name, text in self.lines())

    def _repr_html_(self) -> str:
        left = 'style="text-align:left"'
        body = "".join(
            f"<tr><th {left}>{html.escape(name)}</th><td {left}>{html.escape(text)}</td></tr>"
            for name, text in self.lines()
        )
        return f"<table><tbody>{body}</tbody></table>"


class Faults:
    """Collects the faults of rows by kind and field, without keeping more than the first rows of each."""

    def __init__(self, where: Callable[[int], str]) -> None:
        #: Tells in words where a row is, by its number.
        self.where = where
        self.count = 0
        #: The sentence on the first faulty row.
        self.first: str | None = None
        self._counts: dict[tuple[str, str], int] = {}
        self._rows: dict[tuple[str, str], list[int]] = {}
        self._messages: dict[tuple[str, str], str] = {}

    def add(self, number: int, fault: Fault) -> None:
        """Note the fault of row `number`, counted from 1."""
        key = (fault.kind, fault.field)
        self.count += 1
        self._counts[key] = self._counts.get(key, 0) + 1
        if key not in self._messages:
            self._messages[key] = fault.at(self.where(number))
            self.first = self.first or self._messages[key]
        if len(rows := self._rows.setdefault(key, [])) < _FIRST_ROWS:
            rows.append(number)

    def findings(self) -> list[Finding]:
        """Return them, the most frequent first."""
        ordered = sorted(self._counts, key=lambda key: -self._counts[key])
        return [
            Finding(
                key[0], "fault", key[1], self._counts[key], tuple(self._rows[key]), self._messages[key], "drop-faulty"
            )
            for key in ordered
        ]

    def refusal(self, total: int) -> str:
        """Return the line that refuses the dataset: the first faulty row, and how many more of `total` there are."""
        assert self.first is not None
        if self.count == 1:
            return self.first
        if self.count == total:
            return f"{self.first} None of the {total:,} rows can be used; the error's .report says why."
        return (
            f"{self.first} {self.count - 1:,} more of the {total:,} rows cannot be used; the error's .report lists "
            "them, and fix='drop-faulty' leaves them out."
        )


def warning(found: dict[str, Any]) -> Finding:
    """Return the finding that the examining process tells of."""
    return Finding(
        found["kind"],
        "warning",
        found["field"],
        found["count"],
        tuple(found["rows"]),
        found["message"],
        _FIX_OF.get(found["kind"]),
    )


def fixes(asked: str | Iterable[str] | None) -> tuple[str, ...]:
    """Return the fixes that were asked for, each once.

    Raises
    ------
    DataError
        If one is unknown.
    """
    chosen = [asked] if isinstance(asked, str) else list(asked or ())
    for one in chosen:
        if one not in FIXES:
            hint = did_you_mean(str(one), FIXES)
            raise DataError(f"fix: there is no '{one}'.{hint} There are {', '.join(FIXES)}.")
    return tuple(dict.fromkeys(chosen))


def rows(count: int) -> str:
    """Return ``1 row`` or ``12 rows``."""
    return "1 row" if count == 1 else f"{count:,} rows"


def shown(one: Finding) -> str:
    """Return the first rows of a finding, with a mark where there are more."""
    return ", ".join(f"{row:,}" for row in one.rows) + (", …" if one.count > len(one.rows) else "")
