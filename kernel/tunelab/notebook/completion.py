"""Completion after `%customize` and in the YAML body of `%%customize`: options, names, hyperparameters and choices."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher
from pydantic import BaseModel

from tunelab.data import datasets
from tunelab.data.reading import READERS, is_table
from tunelab.errors import Error
from tunelab.models.find import CATALOG
from tunelab.registry import index
from tunelab.spec import TECHNIQUES, Adapter, Compute, CustomizeSpec, Tracking
from tunelab.spec.hyperparameters import METHODS, Hyperparameter, catalog, method_of
from tunelab.spec.rewards import PRESETS, FeedbackReward, FunctionReward, PresetReward

_OPTIONS = (
    "--model",
    "--data",
    "--name",
    "--reward",
    "--feedback",
    "--base-url",
    "--eval-data",
    "--set",
    "--fit",
    "--wait",
    "--dry-run",
)
_SECTIONS: dict[str, type[BaseModel]] = {"adapter": Adapter, "compute": Compute, "tracking": Tracking}
_REWARD_KEYS = tuple(
    dict.fromkeys(
        field.alias or name
        for model in (FunctionReward, PresetReward, FeedbackReward)
        for name, field in model.model_fields.items()
    )
)
_CHOICES = {
    "technique": TECHNIQUES,
    "kind": ("customize",),
    "chat_template": ("auto", "none"),
    "keep": ("last", "best"),
    "algorithm": ("grpo", "rloo"),
    "reward.preset": PRESETS,
    "reward.unit": ("words", "characters", "sentences"),
    "adapter.type": ("lora", "full"),
    "compute.device": ("auto", "cpu", "cuda", "mps"),
    "compute.engine": ("local",),
    "compute.dtype": ("float32", "bfloat16"),
    "compute.kernels": ("fast", "trl"),
    "compute.fit": ("true", "false"),
}


@context_matcher()  # type: ignore[untyped-decorator]
def matcher(context: CompletionContext) -> SimpleMatcherResult:
    """Complete in a cell or line of ``%customize``; elsewhere nothing."""
    before = context.full_text[: _offset(context)]
    namespace = _namespace
    found: list[str] = []
    token = context.token
    if before.lstrip().startswith("%%customize"):
        head, newline, body = before.partition("\n")
        found, token = (_in_body(body, head, namespace()), _last_word(body)) if newline else _in_line(head, namespace())
    elif re.match(r"\s*(?:\w+\s*=\s*)?%customize\s", context.line_with_cursor):
        found, token = _in_line(context.line_with_cursor[: context.cursor_position], namespace())
    matching = [text for text in found if text.startswith(token)]
    # IPython replaces its own token, which may be the tail of ours.
    skip = len(token) - len(context.token) if token.endswith(context.token) else 0
    return {
        "completions": [SimpleCompletion(text=text[skip:], type="value") for text in matching],
        "suppress": bool(matching),
    }


def _namespace() -> dict[str, Any]:
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    return dict(shell.user_ns) if shell else {}


def _offset(context: CompletionContext) -> int:
    lines = context.full_text.split("\n")
    return sum(len(line) + 1 for line in lines[: context.cursor_line]) + context.cursor_position


def _last_word(text: str) -> str:
    return re.split(r"[\s,{}\[\]]", text)[-1]


def _in_line(line: str, namespace: dict[str, Any]) -> tuple[list[str], str]:
    words = re.split(r"\s+", line[line.index("%customize") :])
    word, previous = words[-1], words[-2] if len(words) > 1 else ""
    given = next((w for w in words[1:] if w in TECHNIQUES), None)
    if previous in ("--model", "-m"):
        return _models(word), word
    if previous in ("--data", "-d", "--eval-data"):
        return _data(word, namespace), word
    if previous in ("--reward", "-r"):
        return _rewards(word, namespace), word
    if previous in ("--feedback", "-f"):
        return _models(word), word
    if previous in ("--set", "-s"):
        if "=" in word:
            name = word.partition("=")[0]
            return [f"{name}={choice}" for choice in _values(name, given)], word
        return [f"{name}=" for name in _names(given)], word
    if previous in ("--name", "-n"):
        return index.names(), word
    if len(words) == 2:
        return [*TECHNIQUES, *_OPTIONS], word
    return [option for option in _OPTIONS if option in ("--set", "--reward") or option not in words], word


def _in_body(body: str, head: str, namespace: dict[str, Any]) -> list[str]:
    lines = body.split("\n")
    line = lines[-1]
    technique = re.search(r"^technique:\s*(\w+)", body, re.MULTILINE)
    given = technique[1] if technique else next((w for w in head.split() if w in TECHNIQUES), None)
    section = ""
    if line[:1].isspace() or "{" in line:
        opened = [match[1] for text in lines if (match := re.match(r"(\w+):\s*(?:\{.*)?$", text))]
        section = opened[-1] if opened else ""
    inner = re.split(r"[{,]", line)[-1]
    value_of = re.match(r"\s*(\w+):\s+(\S*)$", inner)
    if value_of:
        return _values(f"{section}.{value_of[1]}" if section else value_of[1], given, value_of[2], namespace)
    if section == "hyperparameters":
        return [f"{name}: " for name in catalog(method_of(given or "sft"))]
    if section == "reward":
        return [f"{name}: " for name in _REWARD_KEYS]
    if section in _SECTIONS:
        return [f"{name}: " for name in _SECTIONS[section].model_fields]
    return [
        f"{name}: " if name not in _SECTIONS and name != "hyperparameters" else f"{name}:"
        for name in CustomizeSpec.model_fields
    ]


def _names(technique: str | None) -> list[str]:
    hyperparameters = _hyperparameters(technique)
    dotted = [f"{section}.{name}" for section, model in _SECTIONS.items() for name in model.model_fields]
    return [*hyperparameters, *dotted, "split", "keep", "seed", "chat_template", "algorithm"]


def _values(name: str, technique: str | None, word: str = "", namespace: dict[str, Any] | None = None) -> list[str]:
    name = name.removeprefix("hyperparameters.")
    if name in _CHOICES:
        return list(_CHOICES[name])
    if name == "model":
        return _models(word)
    if name in ("dataset", "eval_dataset"):
        return _data(word, namespace or {})
    if name == "name":
        return index.names()
    if name in ("reward", "reward.function"):
        return _rewards(word, namespace or {})
    if name == "reward.prompt":
        return _prompts()
    if name == "reward.model":
        return _models(word)
    field = _hyperparameters(technique).get(name)
    if field is None:
        return []
    return list(field.choices) or (["true", "false"] if "bool" in field.types else [])


def _hyperparameters(technique: str | None) -> dict[str, Hyperparameter]:
    if technique in TECHNIQUES:
        return catalog(method_of(technique))
    return {name: field for method in reversed(METHODS) for name, field in catalog(method).items()}


def _rewards(word: str, namespace: dict[str, Any]) -> list[str]:
    functions = [key for key, value in namespace.items() if not key.startswith("_") and inspect.isfunction(value)]
    files = [f"{path}:" if path.endswith(".py") else path for path in _paths(word, (".py",))]
    return [*PRESETS, *functions, *_prompts(), *files]


def _prompts() -> list[str]:
    from tunelab.scoring import prompts

    return prompts.names()


def _models(word: str) -> list[str]:
    return [*CATALOG, *index.names(), *(entry.label for entry in index.entries()), *_paths(word, ())]


def _data(word: str, namespace: dict[str, Any]) -> list[str]:
    try:
        kept = [name for dataset in datasets() for name in (dataset.name, str(dataset))]
    except Error:
        kept = []
    tables = [key for key, value in namespace.items() if not key.startswith("_") and is_table(value)]
    return [*kept, *tables, *_paths(word, tuple(READERS))]


def _paths(word: str, suffixes: tuple[str, ...]) -> list[str]:
    """Return the folders, and the files with these endings, that a path could go on to."""
    parent = word.rpartition("/")[0]
    folder = Path(parent or ("/" if word.startswith("/") else ".")).expanduser()
    if not folder.is_dir():
        return []
    lead = word[: len(word) - len(word.rpartition("/")[2])]
    found = []
    for entry in sorted(folder.iterdir())[:1000]:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            found.append(f"{lead}{entry.name}/")
        elif entry.suffix.lower() in suffixes:
            found.append(f"{lead}{entry.name}")
    return found


def install(ipython: Any) -> None:
    """Add the matcher to a shell's completer."""
    if matcher not in ipython.Completer.custom_matchers:
        ipython.Completer.custom_matchers.append(matcher)


def remove(ipython: Any) -> None:
    """Take the matcher out again."""
    if matcher in ipython.Completer.custom_matchers:
        ipython.Completer.custom_matchers.remove(matcher)
