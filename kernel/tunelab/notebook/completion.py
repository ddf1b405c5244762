"""Completion after `%customize` and `%evaluate` and in the bodies of their cells: options, names, keys and choices."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher
from pydantic import BaseModel

from tunelab.data import datasets
from tunelab.data.reading import READERS, is_table
from tunelab.errors import Error
from tunelab.models.find import CATALOG, checkpoints
from tunelab.registry import index
from tunelab.registry import prompts as kept_prompts
from tunelab.spec import TECHNIQUES, Adapter, Compute, CustomizeSpec, Tracking
from tunelab.spec.evaluate import METHODS as EVALUATION_METHODS
from tunelab.spec.evaluate import Benchmark, EndpointModel, EvaluateSpec, Generation, Judge
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
    "adapter.carry": ("further", "merge"),
    "compute.device": ("auto", "cpu", "cuda", "mps"),
    "compute.engine": ("local",),
    "compute.dtype": ("float32", "bfloat16"),
    "compute.kernels": ("fast", "trl"),
    "compute.fit": ("true", "false"),
}
_EVALUATION_OPTIONS = (
    "--data",
    "--name",
    "--judge",
    "--metric",
    "--base-url",
    "--pairwise",
    "--scorer",
    "--benchmark",
    "--meta",
    "--predictions",
    "--limit",
    "--set",
    "--wait",
)
#: Options that may be given again.
_AGAIN = ("--set", "--reward", "--metric", "--scorer", "--benchmark", "--predictions")
_EVALUATION_SECTIONS: dict[str, type[BaseModel]] = {
    "judge": Judge,
    "benchmark": Benchmark,
    "generation": Generation,
    "compute": Compute,
    "tracking": Tracking,
}
_SCORER_KEYS = (
    "function",
    *(field.alias or name for name, field in PresetReward.model_fields.items() if name != "weight"),
)
_EVALUATION_CHOICES = _CHOICES | {
    "kind": ("evaluate",),
    "method": EVALUATION_METHODS,
    "judge.pairwise": ("true", "false"),
    "judge.reasoning": ("true", "false"),
    "judge.scoring": ("expectation", "mode"),
    "scorer.preset": PRESETS,
    "scorer.unit": _CHOICES["reward.unit"],
    "benchmark.apply_chat_template": ("true", "false"),
}
#: The benchmarks that people ask for most; lm-eval has thousands of tasks, and reading their names takes seconds.
_TASKS = (
    "arc_challenge",
    "arc_easy",
    "bbh",
    "gpqa_main_zeroshot",
    "gsm8k",
    "hellaswag",
    "hendrycks_math",
    "ifeval",
    "mmlu",
    "mmlu_pro",
    "truthfulqa_mc2",
)


@context_matcher()  # type: ignore[untyped-decorator]
def matcher(context: CompletionContext) -> SimpleMatcherResult:
    """Complete in a cell or line of ``%customize`` or ``%evaluate``; elsewhere nothing."""
    before = context.full_text[: _offset(context)]
    namespace = _namespace
    found: list[str] = []
    token = context.token
    if cell := re.match(r"\s*%%(customize|evaluate)\b", before):
        head, newline, body = before.lstrip().partition("\n")
        in_line, in_body = _MAGICS[cell[1]]
        found, token = (in_body(body, head, namespace()), _last_word(body)) if newline else in_line(head, namespace())
    elif line := re.match(r"\s*(?:\w+\s*=\s*)?%(customize|evaluate)\s", context.line_with_cursor):
        found, token = _MAGICS[line[1]][0](context.line_with_cursor[: context.cursor_position], namespace())
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
    return [option for option in _OPTIONS if option in _AGAIN or option not in words], word


def _in_body(body: str, head: str, namespace: dict[str, Any]) -> list[str]:
    technique = re.search(r"^technique:\s*(\w+)", body, re.MULTILINE)
    given = technique[1] if technique else next((w for w in head.split() if w in TECHNIQUES), None)
    section, key = _place(body)
    if key is not None:
        return _values(f"{section}.{key}" if section else key, given, _last_word(body), namespace)
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


def _in_evaluation_line(line: str, namespace: dict[str, Any]) -> tuple[list[str], str]:
    words = re.split(r"\s+", line[line.index("%evaluate") :])
    word, previous = words[-1], words[-2] if len(words) > 1 else ""
    if previous in ("--data", "-d"):
        return _data(word, namespace), word
    if previous in ("--judge", "-j"):
        return _models(word), word
    if previous in ("--metric", "-m"):
        return _metrics(), word
    if previous in ("--scorer", "-r"):
        return _scorers(word, namespace), word
    if previous in ("--benchmark", "-b"):
        return list(_TASKS), word
    if previous in ("--predictions", "-p"):
        model, equals, file = word.rpartition("=")
        return [f"{model}{equals}{path}" for path in _paths(file, tuple(READERS))], word
    if previous in ("--set", "-s"):
        name, equals, value = word.partition("=")
        if equals:
            return [f"{name}={choice}" for choice in _evaluation_values(name, value, namespace)], word
        dotted = [f"{part}.{key}" for part, keys in _EVALUATION_SECTIONS.items() for key in keys.model_fields]
        return [f"{key}=" for key in [*dotted, "method", "limit", "seed"]], word
    if previous in ("--name", "-n", "--base-url", "--limit"):
        return [], word
    options = [option for option in _EVALUATION_OPTIONS if option in _AGAIN or option not in words]
    # Models come before the options.
    has_options = any(one.startswith("-") for one in words[1:-1])
    return options if has_options else [*_models(word), *options], word


def _in_evaluation_body(body: str, _: str, namespace: dict[str, Any]) -> list[str]:
    section, key = _place(body)
    if key is not None:
        return _evaluation_values(f"{section}.{key}" if section else key, _last_word(body), namespace)
    if section == "scorer":
        return [f"{name}: " for name in _SCORER_KEYS]
    if section == "models":
        return [f"{name}: " for name in EndpointModel.model_fields]
    if section in _EVALUATION_SECTIONS:
        return [f"{name}: " for name in _EVALUATION_SECTIONS[section].model_fields]
    return [
        f"{name}:" if name in _EVALUATION_SECTIONS or name == "predictions" else f"{name}: "
        for name in EvaluateSpec.model_fields
    ]


def _evaluation_values(name: str, word: str, namespace: dict[str, Any]) -> list[str]:
    if name in _EVALUATION_CHOICES:
        return list(_EVALUATION_CHOICES[name])
    if name in ("models", "judge.model"):
        return _models(word)
    if name == "dataset":
        return _data(word, namespace)
    if name == "judge.metrics":
        return _metrics()
    if name in ("scorer", "scorer.function"):
        return _scorers(word, namespace)
    if name in ("benchmark", "benchmark.tasks"):
        return list(_TASKS)
    if name in ("benchmark.path", "benchmark.data") or name.startswith("predictions."):
        return _paths(word, tuple(READERS))
    return []


def _place(body: str) -> tuple[str, str | None]:
    """Return the section that the end of a body is in, and the key whose value stands there; None for a key itself."""
    lines = body.split("\n")
    line = lines[-1]
    section = ""
    if line[:1].isspace() or line.startswith("-") or "{" in line:
        opened = [match[1] for text in lines if (match := re.match(r"(\w+):\s*(?:[\[{].*)?$", text))]
        section = opened[-1] if opened else ""
    above: str | None = None
    if within := re.search(r"(\w+):\s*\[[^\[\]{}]*$", line):
        above = within[1]
    elif item := re.match(r"(\s*)-\s+[^\s{:]*$", line):
        heads = (re.match(r"(\s*)(\w+):\s*$", text) for text in reversed(lines[:-1]))
        above = next((head[2] for head in heads if head and len(head[1]) <= len(item[1])), None)
    if above is not None:
        return "" if above == section else section, above
    value_of = re.match(r"\s*(?:-\s+)?(\w+):\s+\S*$", re.split(r"[{,]", line)[-1])
    return section, value_of[1] if value_of else None


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
    return [*_scorers(word, namespace), *_prompts()]


def _scorers(word: str, namespace: dict[str, Any]) -> list[str]:
    functions = [key for key, value in namespace.items() if not key.startswith("_") and inspect.isfunction(value)]
    files = [f"{path}:" if path.endswith(".py") else path for path in _paths(word, (".py",))]
    return [*PRESETS, *functions, *files]


def _metrics() -> list[str]:
    from tunelab.scoring import metrics

    return [*metrics.names(), *(f"{one.name}@{one.version}" for one in kept_prompts.entries("metric"))]


def _prompts() -> list[str]:
    from tunelab.scoring import prompts

    return prompts.names()


def _models(word: str) -> list[str]:
    entries = index.entries()
    kept = [f"{entry.label}:step-{step}" for entry in entries if ":" in word for step in checkpoints(entry)]
    return [*CATALOG, *index.names(), *(entry.label for entry in entries), *kept, *_paths(word, ())]


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


#: By magic, what may stand on its line and in its cell's body.
_MAGICS: dict[str, tuple[Callable[..., tuple[list[str], str]], Callable[..., list[str]]]] = {
    "customize": (_in_line, _in_body),
    "evaluate": (_in_evaluation_line, _in_evaluation_body),
}


def install(ipython: Any) -> None:
    """Add the matcher to a shell's completer."""
    if matcher not in ipython.Completer.custom_matchers:
        ipython.Completer.custom_matchers.append(matcher)


def remove(ipython: Any) -> None:
    """Take the matcher out again."""
    if matcher in ipython.Completer.custom_matchers:
        ipython.Completer.custom_matchers.remove(matcher)
