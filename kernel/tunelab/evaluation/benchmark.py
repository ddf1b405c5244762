"""Standard benchmarks by lm-eval: its tasks, prompts, filters and numbers, on models that are loaded once.

A base and its adapters share one copy of the weights. Each question becomes a record, so that models are compared by
question; the numbers of a task are lm-eval's own.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tunelab import workspace
from tunelab.errors import Error, ModelError, SpecError, listing
from tunelab.evaluation.tasks import local, outcome, sentences
from tunelab.evaluation.tasks import names as tasknames
from tunelab.jobs import machine
from tunelab.jobs.context import Stopped
from tunelab.models import find
from tunelab.spec.evaluate import Benchmark, EndpointModel, EvaluateSpec

Say = Callable[[str], None]
#: Called with a model's name, and how many of how many requests are answered.
Progress = Callable[[str, int, int], None]

_TWO_WAYS = (
    "Evaluate it once where there is a network, which keeps it in the workspace, or give local rows (data) or tasks "
    "(path)."
)


def check(benchmark: dict[str, Any] | Benchmark, endpoints: list[str] | None = None) -> dict[str, Any]:
    """Tell which tasks a benchmark means, without loading any of them.

    Parameters
    ----------
    benchmark
        The spec's part, or its fields.
    endpoints
        Names of models that are endpoints: they can be asked for text only.

    Raises
    ------
    Error
        If lm-eval is missing, a task is unknown, runs code that a model writes, or cannot be asked of an endpoint.
    """
    part = benchmark if isinstance(benchmark, Benchmark) else Benchmark(**benchmark)
    version = tasknames.require()
    path, data = _path(part.path), _path(part.data)
    chosen, entries = tasknames.choose(part.tasks, path)
    leaves = tasknames.leaves(chosen, entries)
    if unsafe := [leaf.name for leaf in leaves if leaf.is_unsafe]:
        raise SpecError(
            f"The task {unsafe[0]} runs code that the model writes, which tunelab does in no benchmark. Leave it out; "
            "a scorer with the preset for code runs such answers in a process with limits."
        )
    if endpoints and (scored := [leaf for leaf in leaves if leaf.output not in ("generate_until", None)]):
        raise SpecError(
            f"{endpoints[0]} is an endpoint, which answers in text; {scored[0].name} asks for the probability of each "
            "choice. Take a task that generates, such as gsm8k or ifeval, or a local model."
        )
    if data is not None:
        if path is not None:
            raise SpecError("benchmark has both 'path' and 'data': tasks of one's own name their rows themselves.")
        with tempfile.TemporaryDirectory() as folder:
            local.write(data, chosen, entries, part.num_fewshot, Path(folder))
    return {"tasks": chosen, "count": len(leaves), "lm_eval": version}


def run(
    spec: EvaluateSpec, say: Say, progress: Progress, stop: Callable[[], bool]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Ask each model the tasks' questions.

    Returns
    -------
    records
        One a question, model and metric, in the columns of ``records.parquet``. The id is ``TASK/NUMBER``, the metric
        ``TASK/METRIC``, with ``,FILTER`` where the task has several. A metric of a whole task alone has none.
    benchmarks
        lm-eval's numbers, one a task or group, metric and model: task, metric, filter, model, value, stderr, n, n_shot,
        seeds, chat_template, limit, version (of the task), lm_eval.

    Raises
    ------
    Stopped
        If `stop` says so; what has been answered is kept, and not asked again.
    Interrupted
        If an endpoint cannot be asked.
    Error
        If a task's rows cannot be had, or a model cannot be asked it.
    """
    assert spec.benchmark is not None
    endpoints = [model.name for model in spec.models if isinstance(model, EndpointModel)]
    check(spec.benchmark, endpoints)
    _settle()
    with _tasks(spec, say) as tasks:
        records: list[dict[str, Any]] = []
        rows: list[dict[str, Any]] = []
        told: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {}
        for name, model, has_template in _models(spec, say, progress, stop):
            chat = spec.benchmark.apply_chat_template
            is_chat = has_template if chat is None else chat
            if is_chat and not has_template:
                raise ModelError(f"{name} has no chat template. Leave apply_chat_template out, or set it to false.")
            if not is_chat and name in endpoints:
                raise SpecError(f"{name} is an endpoint for chats: apply_chat_template cannot be false for it.")
            say(f"{name} answers {listing(spec.benchmark.tasks)}{' with its chat template' if is_chat else ''}")
            results = _evaluate(spec, tasks, model, is_chat)
            told[name] = (
                outcome.records(name, results, getattr(model, "told", {})),
                outcome.numbers(name, results, spec.seed, _limit(spec), is_chat),
            )
        for name in spec.model_names:
            records += told[name][0]
            rows += told[name][1]
        return records, rows


def _settle() -> None:
    """Keep lm-eval and datasets quiet, and what they keep in the workspace."""
    # Metrics of the hub are Python that would be fetched and run.
    os.environ.setdefault("HF_EVALUATE_OFFLINE", "1")
    import datasets

    if "HF_DATASETS_CACHE" not in os.environ:
        datasets.config.HF_DATASETS_CACHE = workspace.current().root / "cache" / "datasets"
    # A task that shuffles its choices does so by this run's seed, not by that of an earlier one.
    datasets.disable_caching()
    datasets.disable_progress_bars()
    tasknames.quiet()
    from lm_eval import evaluator

    # It asks git and the machine about themselves, for seconds, which is no part of what is read of its results.
    evaluator.get_git_commit_hash = evaluator.add_env_info = lambda *_: None


@contextlib.contextmanager
def _tasks(spec: EvaluateSpec, say: Say) -> Iterator[list[Any]]:
    """Yield lm-eval's tasks and groups, with their rows."""
    part = spec.benchmark
    assert part is not None
    path, data = _path(part.path), _path(part.data)
    chosen, entries = tasknames.choose(part.tasks, path)
    counts = True
    if any(entry.dataset in sentences.DATASETS for entry in entries.values()):
        counts = sentences.have(is_needed=data is None)
    with tempfile.TemporaryDirectory(prefix="tunelab-tasks-") as folder:
        if data is not None:
            written = local.write(data, chosen, entries, part.num_fewshot, Path(folder), counts)
            for note in written.notes:
                say(note)
            path, chosen, entries = written.folder, written.names, {}
        yield _load(chosen, path, entries, spec.seed)


def manager(path: Path | None, entries: dict[str, tasknames.Entry]) -> Any:
    """Return lm-eval's manager of these tasks, from the folders that they are in alone: to read all takes seconds."""
    from lm_eval.tasks import TaskManager

    files = [Path(entry.file) for entry in entries.values() if entry.file is not None]
    folders = [tasknames.folder(file) for file in files if path is None or not file.is_relative_to(path)]
    # The user's own come last: lm-eval takes the later of two with one name.
    found = TaskManager(
        include_path=[*sorted({*map(str, folders)}), *([] if path is None else [str(path)])], include_defaults=False
    )
    if all(tasknames.is_same(entry, found.task_index.get(name)) for name, entry in entries.items()):
        return found
    # A name is in two folders, and only all of them together tell what it means.
    return TaskManager(include_path=None if path is None else str(path), include_defaults=True)


def _load(chosen: list[str], path: Path | None, entries: dict[str, tasknames.Entry], seed: int) -> list[Any]:
    import numpy

    # As lm-eval does before it loads: some tasks draw while they read their rows.
    random.seed(seed)
    numpy.random.seed(seed)
    known = manager(path, entries)
    found: list[Any] = []
    for name in chosen:
        try:
            # One of lm-eval's modules says on the screen that it downloads.
            with contextlib.redirect_stdout(io.StringIO()):
                loaded = known.load([name])
        except Exception as error:
            raise _no_task(name, error) from error
        found += [loaded["groups"][name]] if name in loaded.get("groups", {}) else loaded["tasks"].values()
    return found


def _no_task(name: str, error: Exception) -> Error:
    """Return the refusal for a task that cannot be loaded: its rows cannot be had, or its file is wrong."""
    chain: BaseException | None = error
    while chain is not None:
        kind = type(chain).__name__
        if isinstance(chain, (ConnectionError, OSError)) or kind in _AWAY or isinstance(chain, _away()):
            dataset = re.search(r"'([\w.-]+/[\w.-]+)'", str(error))
            which = f" {dataset[1]}" if dataset else ""
            why = _first(error)
            return Error(f"The task {name} needs the dataset{which}, which cannot be had: {why} {_TWO_WAYS}")
        chain = chain.__cause__ or chain.__context__
    return Error(f"The task {name} cannot be made: {type(error).__name__}: {_first(error)}")


_AWAY = frozenset({"OfflineModeIsEnabled", "DatasetNotFoundError", "GatedRepoError", "LocalEntryNotFoundError"})


def _away() -> tuple[type[BaseException], ...]:
    import httpx

    return (httpx.HTTPError,)


def _models(
    spec: EvaluateSpec, say: Say, progress: Progress, stop: Callable[[], bool]
) -> Iterator[tuple[str, Any, bool]]:
    """Yield each model's name, lm-eval's view of it, and whether it has a chat template; each base is loaded once."""
    import peft
    import torch

    from tunelab.evaluation.tasks import harness
    from tunelab.models import load

    assert spec.benchmark is not None
    torch.set_num_threads(spec.compute.threads or machine.threads())
    refs = [(model, find.find(model)) for model in spec.models if isinstance(model, str)]
    loaded: Any = None
    base_name = None
    # Models on one base follow each other, so that each base is loaded once.
    for name, ref in sorted(refs, key=lambda pair: (pair[1].base or pair[1]).name):
        if stop():
            raise Stopped
        root = ref.base or ref
        folder = load.bring(root, say)
        device, dtype = _device(spec)
        if root.name != base_name:
            loaded = None
            say(f"loading {root.name}")
            loaded, base_name = load.base_model(folder, dtype, device).eval(), root.name
        places = [folder] if ref.base is None else [folder, ref.folder]
        model = loaded if ref.base is None else peft.PeftModel.from_pretrained(loaded, str(ref.folder)).eval()
        tokenizer = load.tokenizer(ref.folder or folder)
        kept = harness.Kept(
            ["local", *map(_identity, filter(None, places)), dtype, device.partition(":")[0], *_versions()]
        )
        yield (
            name,
            harness.Local(name, model, tokenizer, spec.benchmark.batch_size, kept, progress, stop),
            tokenizer.chat_template is not None,
        )
        if ref.base is not None:
            loaded = model.unload()
    for part in spec.models:
        if isinstance(part, EndpointModel):
            kept = harness.Kept(["endpoint", part.base_url, part.model, spec.seed, *_versions()])
            yield part.name, harness.Endpoint(part, spec.seed, kept, progress, stop), True


def _device(spec: EvaluateSpec) -> tuple[str, str]:
    device = machine.device(spec.compute.device)
    dtype = spec.compute.dtype or machine.dtype(device) or "float32"
    if device.startswith("cuda"):
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", device.partition(":")[2])
        device = "cuda:0"
    return device, dtype


def _identity(folder: Path) -> list[Any]:
    """Return what tells the weights and tokenizer of a folder from others: their files, sizes and times."""
    files = [*sorted(folder.glob("*.safetensors")), *sorted(folder.glob("*.json"))]
    return [str(folder.resolve()), *[[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]]


def _versions() -> list[str]:
    import torch
    import transformers

    return [tasknames.require(), torch.__version__, transformers.__version__]


def _evaluate(spec: EvaluateSpec, tasks: list[Any], model: Any, is_chat: bool) -> dict[str, Any]:
    import lm_eval
    from jinja2 import UndefinedError

    part, seed = spec.benchmark, spec.seed
    assert part is not None
    try:
        results = lm_eval.simple_evaluate(
            model=model,
            tasks=tasks,
            num_fewshot=part.num_fewshot,
            limit=_limit(spec),
            apply_chat_template=is_chat,
            log_samples=True,
            random_seed=seed,
            numpy_random_seed=seed,
            torch_random_seed=seed,
            fewshot_random_seed=seed,
            task_manager=_no_manager(),
        )
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AssertionError,
        NotImplementedError,
        UndefinedError,
        LookupError,
    ) as error:
        raise Error(
            f"lm-eval cannot evaluate {listing(part.tasks)}: {_first(error) or type(error).__name__}"
        ) from error
    assert results is not None
    return dict(results)


def _limit(spec: EvaluateSpec) -> int | None:
    assert spec.benchmark is not None
    return spec.benchmark.limit or spec.limit


def _no_manager() -> Any:
    """Return a manager without tasks: those that are given are loaded already."""
    from lm_eval.tasks import TaskManager

    return TaskManager(include_defaults=False)


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(os.path.expanduser(text)).absolute()


def _first(error: BaseException) -> str:
    line = (str(error).strip().splitlines() or [""])[0][:300]
    return line if not line or line.endswith((".", "!", "?")) else f"{line}."
