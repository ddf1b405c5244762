"""`%customize`, `%evaluate` and their cells: one line or a YAML body, to the same spec as the Python API's."""

from __future__ import annotations

import argparse
import inspect
import re
import shlex
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, needs_local_scope, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments

from tunelab import api
from tunelab.errors import Error, SpecError
from tunelab.jobs.manager import Job
from tunelab.plan import Plan
from tunelab.spec import TECHNIQUES, load
from tunelab.spec.rewards import PRESETS

T = TypeVar("T")

#: A spec's mapping, and what is to be set over it.
Asked = tuple[dict[str, Any], dict[str, Any]]


def say_in_one_line(call: Callable[[], T]) -> T:
    """Turn a refusal into IPython's `UsageError`: one line for the reader, and a failed cell, so that Run All stops."""
    try:
        return call()
    except Error as error:
        raise UsageError(str(error)) from None


@magics_class
class TunelabMagics(Magics):
    """The magics of ``%load_ext tunelab``."""

    @no_var_expand
    @needs_local_scope
    @magic_arguments("%customize")
    @argument("technique", nargs="?", help=f"{' or '.join(TECHNIQUES)}; may stand in the YAML body instead")
    @argument("--model", "-m", help="catalog name, hub id, local folder, or a custom model NAME[@VERSION[:step-N]]")
    @argument("--data", "-d", help="registered dataset NAME[@VERSION], file, hub id, or a DataFrame's variable name")
    @argument("--name", "-n", help="the custom model's name")
    @argument(
        "--reward",
        "-r",
        action="append",
        metavar="REWARD",
        help="a function's name, FILE.py:NAME, or a preset; with --feedback a reward prompt; several are added up",
    )
    @argument("--feedback", "-f", metavar="MODEL", help="rlaif: the model that scores answers by the reward prompt")
    @argument("--base-url", help="rlaif: the OpenAI-compatible endpoint that serves the feedback model")
    @argument("--eval-data", help="held-out rows, in place of a split")
    @argument(
        "--set", "-s", action="append", default=[], metavar="KEY=VALUE", help="a hyperparameter, or a dotted path"
    )
    @argument("--fit", action="store_true", help="smaller batches, same effective batch, where memory is too small")
    @argument("--wait", "-w", action="store_true", help="wait for the end, with a line of progress")
    @argument("--dry-run", action="store_true", help="plan only: rows, tokens, steps, time and memory; starts nothing")
    @line_cell_magic
    def customize(self, line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None) -> Job | Plan:
        """Fine-tune a model; the cell's value is the job.

        %customize dpo --model smollm2-135m --data pairs.jsonl --name chatty --set num_train_epochs=2

        %%customize
        name: chatty
        model: smollm2-135m
        technique: dpo
        dataset: pairs.jsonl
        """
        given = _parse(TunelabMagics.customize, line, "%customize")

        def start(names: dict[str, Any]) -> Job | Plan:
            spec, overrides = _asked(given, cell, names)
            return api.customize(spec, dry_run=given.dry_run, overrides=overrides, namespace=names)

        return self._started(start, local_ns, given.wait)

    @no_var_expand
    @needs_local_scope
    @magic_arguments("%evaluate")
    @argument("models", nargs="*", help="the first is the baseline; a custom model alone is compared with its base")
    @argument("--data", "-d", help="registered dataset NAME[@VERSION], file, hub id, or a DataFrame's variable name")
    @argument("--name", "-n", help="what the evaluation is called")
    @argument(
        "--judge", "-j", metavar="MODEL", help="the model that judges; a local one, or the endpoint's name for it"
    )
    @argument("--metric", "-m", action="append", metavar="NAME", help="by which it judges; several are scored each")
    @argument("--base-url", help="the OpenAI-compatible endpoint that serves the judge")
    @argument("--pairwise", action="store_true", help="each answer against the baseline's, in both orders")
    @argument("--scorer", "-r", action="append", metavar="SCORER", help="a function's name, FILE.py:NAME, or a preset")
    @argument("--benchmark", "-b", action="append", metavar="TASK", help="a task of lm-eval, such as mmlu or gsm8k")
    @argument("--meta", action="store_true", help="hold the judge against rows that people have judged")
    @argument("--predictions", "-p", action="append", default=[], metavar="[MODEL=]FILE", help="answers made elsewhere")
    @argument("--limit", type=int, help="so many rows, drawn by the seed")
    @argument("--set", "-s", action="append", default=[], metavar="KEY=VALUE", help="a dotted path of the spec")
    @argument("--wait", "-w", action="store_true", help="wait for the end, with a line of progress")
    @line_cell_magic
    def evaluate(self, line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None) -> Job:
        """Score the answers of models, side by side; the cell's value is the job.

        %evaluate chatty --data human-like-eval --judge smollm2-135m --metric human_like

        %%evaluate
        models: [smollm2-135m, chatty]
        dataset: human-like-eval
        judge: {model: smollm2-135m, metrics: [human_like]}
        """
        given = _parse(TunelabMagics.evaluate, line, "%evaluate")

        def start(names: dict[str, Any]) -> Job:
            spec, overrides = _asked_of_evaluation(given, cell)
            return api.evaluate(spec, overrides=overrides, namespace=names)

        return self._started(start, local_ns, given.wait)

    def _started(self, start: Callable[[dict[str, Any]], T], local_ns: dict[str, Any] | None, wait: bool) -> T:
        """Start a job with the notebook's variables, and wait for it where that is asked; refused in one line."""
        assert self.shell is not None
        names = self.shell.user_ns | (local_ns or {})

        def run() -> T:
            started = start(names)
            if wait and isinstance(started, Job):
                started.wait()
            return started

        return say_in_one_line(run)


def evaluation(text: str) -> dict[str, Any]:
    """Return the spec's mapping that a ``%%evaluate`` cell or an ``%evaluate`` line asks for; nothing is started.

    Raises
    ------
    SpecError
        If it is none, or cannot be read.
    """
    spec, overrides = _read("evaluate", text, _asked_of_evaluation)
    for key, value in overrides.items():
        load.set_at(spec, key, value)
    return spec


def _asked_of_evaluation(given: argparse.Namespace, cell: str | None) -> Asked:
    """Return the evaluate spec's mapping that a line and a body ask for, and what is to be set over it."""
    spec = load.from_yaml(cell) if cell else {}
    if given.models:
        spec["models"] = given.models
    line = {"dataset": given.data, "name": given.name, "limit": given.limit, "scorer": given.scorer}
    spec |= {key: value for key, value in line.items() if value is not None}
    if given.judge or given.metric:
        told = {"model": given.judge, "base_url": given.base_url, "metrics": given.metric}
        judge = {key: value for key, value in told.items() if value}
        spec["judge"] = (spec.get("judge") or {}) | judge | ({"pairwise": True} if given.pairwise else {})
    elif given.base_url or given.pairwise:
        _refuse("--base-url and --pairwise go with --judge MODEL", "%evaluate")
    if given.meta:
        spec["method"] = "meta"
    if given.benchmark:
        spec["benchmark"] = {"tasks": given.benchmark}
    if given.predictions:
        spec["predictions"] = _predictions(given.predictions, given.models)
    return spec, dict(load.assignment(text) for text in given.set)


def customization(text: str, names: dict[str, Any]) -> dict[str, Any]:
    """Return the spec's mapping that a ``%%customize`` cell or a ``%customize`` line asks for; nothing is started.

    Parameters
    ----------
    text
        The cell's source.
    names
        The notebook's variables.

    Raises
    ------
    SpecError
        If it is none, or cannot be read.
    """
    spec, overrides = _read("customize", text, lambda given, cell: _asked(given, cell, names))
    for key, value in overrides.items():
        load.override(spec, key, value)
    return spec


def _read(kind: str, text: str, asked: Callable[[argparse.Namespace, str | None], Asked]) -> Asked:
    """Return what a cell's source asks for, if it begins with the magic of a kind."""
    found = re.match(rf"\s*(?:\w+\s*=\s*)?(%%?){kind}\b([^\n]*)(?:\n|$)", text)
    if found is None:
        raise SpecError(f"The cell does not begin with %%{kind} or %{kind}.")
    try:
        given = _parse(getattr(TunelabMagics, kind), found[2], f"%{kind}")
        return asked(given, text[found.end() :] if found[1] == "%%" else None)
    except UsageError as error:
        raise SpecError(str(error)) from None


def _asked(given: argparse.Namespace, cell: str | None, names: dict[str, Any]) -> Asked:
    """Return the spec's mapping that a line and a body ask for, and what is to be set over it."""
    spec = load.from_yaml(cell) if cell else {}
    line = {
        "technique": given.technique,
        "model": given.model,
        "dataset": given.data,
        "name": given.name,
        "eval_dataset": given.eval_data,
        "reward": _reward(given, names),
    }
    spec |= {key: value for key, value in line.items() if value is not None}
    overrides = dict(load.assignment(text) for text in given.set)
    if given.fit:
        overrides["compute.fit"] = True
    return spec, overrides


def _predictions(given: list[str], models: list[str]) -> dict[str, str]:
    """Return the files of answers by model; a file alone is of the one model that is named."""
    found = {}
    for text in given:
        model, equals, file = text.partition("=")
        if not equals:
            if len(models) != 1:
                _refuse(f"--predictions {text}: say of which model it is, as MODEL={text}", "%evaluate")
            model, file = models[0], text
        found[model] = file
    return found


def _reward(given: argparse.Namespace, names: dict[str, Any]) -> Any:
    """Return the reward that a line asks for: with a feedback model, what is no preset or function is a prompt."""
    if not given.reward:
        if given.feedback or given.base_url:
            _refuse("--feedback and --base-url go with --reward PROMPT, the prompt that the model scores answers by")
        return None
    asked = {"model": given.feedback, "base_url": given.base_url}
    asked = {key: value for key, value in asked.items() if value is not None}
    others = {*PRESETS, *(name for name, value in names.items() if inspect.isfunction(value))}
    parts = [
        {"prompt": name, **asked} if given.feedback and name not in others and ".py:" not in name else name
        for name in given.reward
    ]
    return parts if len(parts) > 1 else parts[0]


def _parse(magic: Any, line: str, name: str) -> argparse.Namespace:
    """Parse a magic's line, with quotes as in a shell: IPython's own splitting keeps them, and cuts a='b c' in two."""
    try:
        given: argparse.Namespace = magic.parser.parse_args(shlex.split(line))
    except (UsageError, ValueError) as error:  # ValueError: a quote that is not closed
        _refuse(str(error), name)
    return given


def _refuse(message: str, name: str = "%customize") -> NoReturn:
    raise UsageError(f"{message.strip()}. See {name}?")
