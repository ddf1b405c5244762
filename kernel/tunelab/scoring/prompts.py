"""Reward prompts: templates by which a feedback model scores an answer, kept as versions; some are built in."""

from __future__ import annotations

import datetime as dt
import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tunelab import task
from tunelab.errors import SpecError, did_you_mean, listing
from tunelab.registry import prompts as index
from tunelab.scoring.score import Case, as_text
from tunelab.tables import table

#: What a template may say of every row.
VARIABLES = ("prompt", "completion", "ground_truth")
#: A template is not longer, in characters.
_LONGEST = 100_000
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")


@dataclass(frozen=True)
class RewardPrompt:
    """One version of a reward prompt.

    The template is Jinja, with ``{{ prompt }}``, ``{{ completion }}``, ``{{ ground_truth }}`` and the rows' columns.
    The model that reads it replies with ``{"reasoning": …, "score": a number from 0 to 1}``.
    """

    name: str
    version: int
    template: str

    @staticmethod
    def create(name: str, template: str) -> RewardPrompt:
        """Keep a template as the next version of `name`; one that is there already stays the version that it is.

        Raises
        ------
        SpecError
            If the name cannot be, or the template is none.
        Error
            If MLflow cannot be reached.

        Examples
        --------
        >>> tl.RewardPrompt.create("warm", "Is this warm? {{ prompt }} {{ completion }}")
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise SpecError(
                f"A reward prompt's name has letters, digits, '_' and '-', and begins with a letter; got {name!r}."
            )
        if name in _builtin():
            raise SpecError(f"The reward prompt '{name}' is built in; give yours another name.")
        if not isinstance(template, str):
            raise SpecError(f"A reward prompt's template is a text, and got {type(template).__name__}.")
        RewardPrompt(name, 0, template).check(None)
        for kept in _kept(name):
            if kept.template == template:
                return kept
        version = task.run(
            "tunelab.registry.prompt_store:register", {"name": name, "template": template}, show="Keeping the prompt"
        )
        index.add(index.Entry(name, version, template, dt.datetime.now(dt.UTC).isoformat(timespec="seconds")))
        return RewardPrompt(name, version, template)

    @staticmethod
    def get(label: str) -> RewardPrompt:
        """Return a reward prompt by ``NAME`` (its newest version) or ``NAME@VERSION``.

        Raises
        ------
        SpecError
            If there is none.
        """
        if not isinstance(label, str):
            raise SpecError(f"A reward prompt is named NAME or NAME@VERSION, and got {type(label).__name__}.")
        name, at, version = label.partition("@")
        found = _kept(name)
        if not found:
            hint = did_you_mean(name, names())
            raise SpecError(f"There is no reward prompt '{name}'.{hint} There are {listing(names())}.")
        if not at:
            return found[-1]
        for prompt in found:
            if str(prompt.version) == version:
                return prompt
        has = ", ".join(str(prompt.version) for prompt in found)
        raise SpecError(f"The reward prompt '{name}' has no version {version}; it has {has}.")

    def check(self, columns: Iterable[str] | None) -> None:
        """Refuse a template that cannot be filled in.

        Parameters
        ----------
        columns
            Those of the rows; None where they are not known, and any name may be one.

        Raises
        ------
        SpecError
            If it is no template, leaves the answer out, is too long, or asks for a column that is not there.
        """
        who = f"The reward prompt '{self.name}'"
        if len(self.template) > _LONGEST:
            raise SpecError(f"{who} has {len(self.template):,} characters; {_LONGEST:,} are the most.")
        from jinja2 import TemplateError, TemplateSyntaxError, meta

        try:
            tree = _environment().parse(self.template)
            used = meta.find_undeclared_variables(tree)
        except TemplateSyntaxError as error:
            raise SpecError(f"{who}, line {error.lineno}: {_sentence(error.message)}") from error
        except TemplateError as error:
            raise SpecError(f"{who}: {_sentence(error)}") from error
        except RecursionError as error:
            raise SpecError(f"{who} has expressions nested too deeply; make them simpler.") from error
        if list(meta.find_referenced_templates(tree)):
            raise SpecError(f"{who} takes in another template; a reward prompt is one text, so put that one's into it.")
        if "completion" not in used:
            raise SpecError(f"{who} has no {{{{ completion }}}}: the model would score without seeing the answer.")
        if columns is None:
            return
        known = {"prompt", "completion", *map(str, columns)}
        if unknown := sorted(used - known):
            raise SpecError(
                f"{who} has {{{{ {unknown[0]} }}}}, which the rows have no column for."
                f"{did_you_mean(unknown[0], known)} They have {listing(known)}."
            )

    def render(self, case: Case) -> str:
        """Return the text that the feedback model reads for a case.

        Raises
        ------
        SpecError
            If the template asks for what the row does not have, or fails on it.
        """
        from jinja2 import TemplateError

        values = {**case.row, "prompt": as_text(case.prompt), "completion": case.completion}
        try:
            text: str = _environment().from_string(self.template).render(values)
            return text
        except TemplateError as error:
            raise SpecError(f"The reward prompt '{self.name}' cannot be filled in: {_sentence(error)}") from error
        except Exception as error:
            # What a template's expressions do with a row's values: 1 / 0, or a method that is not there.
            raise SpecError(
                f"The reward prompt '{self.name}' fails: {type(error).__name__}: {_sentence(error)}"
            ) from error

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    def __repr__(self) -> str:
        return f"RewardPrompt({self})\n{self.template}"

    def _repr_html_(self) -> str:
        return f"<b>{html.escape(str(self))}</b><pre>{html.escape(self.template)}</pre>"


class RewardPrompts(Sequence[RewardPrompt]):
    """The reward prompts that there are, each version."""

    def __init__(self, prompts: list[RewardPrompt]) -> None:
        self._prompts = prompts

    def __getitem__(self, place: Any) -> Any:
        found = self._prompts[place]
        return RewardPrompts(found) if isinstance(found, list) else found

    def __len__(self) -> int:
        return len(self._prompts)

    def _rows(self) -> list[dict[str, Any]]:
        return [
            {
                "prompt": str(one),
                "from": "tunelab" if one.name in _builtin() else "you",
                "begins": " ".join(one.template.split())[:80],
            }
            for one in self._prompts
        ]

    def __repr__(self) -> str:
        return "\n".join("  ".join(row.values()) for row in self._rows())

    def _repr_html_(self) -> str:
        return table(self._rows())


def reward_prompts(refresh: bool = False) -> RewardPrompts:
    """Return every version of every reward prompt: those that are built in, and yours.

    With `refresh`, the workspace's index is first written anew from MLflow.
    """
    if refresh:
        task.run("tunelab.registry.prompt_store:rebuild_index", {}, show="Reading MLflow")
    return RewardPrompts([prompt for name in names() for prompt in _kept(name)])


def names() -> list[str]:
    """Return the names of all reward prompts."""
    # MLflow has those that are built in too, once a job has used them.
    return list(dict.fromkeys([*_builtin(), *index.names()]))


def _kept(name: str) -> list[RewardPrompt]:
    if (template := _builtin().get(name)) is not None:
        return [RewardPrompt(name, 1, template)]
    return [RewardPrompt(one.name, one.version, one.template) for one in index.entries() if one.name == name]


def _sentence(said: object) -> str:
    return f"{str(said).rstrip('.')}."


@cache
def _environment() -> Any:
    """Return Jinja, which kernels import when it is wanted first."""
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    # What is inserted is text: it is neither escaped nor read as a template again.
    return SandboxedEnvironment(autoescape=False, undefined=StrictUndefined, keep_trailing_newline=True)


@cache
def _builtin() -> dict[str, str]:
    folder = Path(__file__).parent / "builtin"
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.jinja"))}
