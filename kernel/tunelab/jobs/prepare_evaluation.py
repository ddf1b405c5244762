"""From an evaluate spec to a resolved one: models, rows, metrics and functions, every refusal before a start."""

from __future__ import annotations

import getpass
import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunelab.data import Dataset, reading, resolve
from tunelab.errors import DataError, JobError, SpecError, did_you_mean, listing
from tunelab.evaluation import labelled, records
from tunelab.jobs import folder as folders
from tunelab.jobs import machine, prepare, rewarding
from tunelab.models import find
from tunelab.registry import index
from tunelab.registry.prompts import metric_file
from tunelab.spec.evaluate import Benchmark, EndpointModel, EvaluateSpec, Judge
from tunelab.spec.faults import KEY_IS
from tunelab.spec.metrics import MetricDefinition
from tunelab.spec.rewards import WANT_GROUND_TRUTH, Asked, FunctionReward, PresetReward


@dataclass(frozen=True)
class PreparedEvaluation:
    """A resolved evaluate spec, and what was found on the way; `files` are texts for the job's folder."""

    spec: EvaluateSpec
    facts: dict[str, Any]
    files: dict[str, str]


def prepare_evaluation(
    spec: EvaluateSpec,
    namespace: dict[str, Any] | None = None,
    table: Any = None,
    functions: Mapping[str, rewarding.Taken] | None = None,
    kept: Mapping[str, str] | None = None,
) -> PreparedEvaluation:
    """Return the resolved spec.

    Parameters
    ----------
    spec
        A validated spec.
    namespace
        The notebook's variables, in which a dataset's name is looked up.
    table
        The dataset itself, where it was given as an object.
    functions
        What `rewarding.take` took for the scorer, by file.
    kept
        Texts of an earlier job's folder, by their names, that go before what is registered today: metrics.

    Raises
    ------
    Error
        If a model, the data, a metric or this machine cannot do it.
    """
    functions = functions or {}
    device = machine.device(spec.compute.device)
    elsewhere = set(spec.predictions or {})
    if unknown := sorted(elsewhere - set(spec.model_names)):
        hint = did_you_mean(unknown[0], spec.model_names)
        raise SpecError(f"predictions: '{unknown[0]}' is none of the models ({listing(spec.model_names)}).{hint}")
    models = _models(spec, elsewhere)
    if spec.method == "judge" and spec.judge is not None and spec.judge.pairwise and len(models) < 2:
        raise SpecError("judge.pairwise holds answers against the baseline's: it needs two models, the baseline first.")
    name = spec.name or _name(spec, models)
    files = {file: taken.source.text for file, taken in functions.items()}
    dataset = None
    facts: dict[str, Any] = {}
    judge = spec.judge
    if judge is not None:
        judge, texts = _judge(judge, kept or {})
        files |= texts
    if spec.method == "meta":
        dataset, facts["rows"] = _labelled(spec, namespace, table, name)
        if judge is not None:
            _rated(judge, files, dataset, spec.dataset or str(dataset))
    elif spec.dataset is not None:
        dataset = resolve(spec.dataset if table is None else table, "evaluation", namespace, f"{name[:85]}-rows")
        facts["rows"] = min(dataset.rows, spec.limit or dataset.rows)
        found = records.read(dataset)
        _fits(spec, judge, files, dataset, found, functions)
        files |= _predictions(spec, dataset, {record.id for record in found})
        facts["overlap"] = overlap(models, dataset)
    else:
        _check_benchmark(spec)
    names = [model if isinstance(model, str) else model.name for model in models]
    renamed = dict(zip(spec.model_names, names[len(names) - len(spec.model_names) :], strict=True))
    resolved = spec.model_copy(
        update={
            "name": name,
            "models": models,
            "dataset": str(dataset) if dataset is not None else None,
            "judge": judge,
            "benchmark": _absolute(spec.benchmark),
            "predictions": {renamed[model]: _file(place) for place, model in enumerate(spec.predictions or {})} or None,
            "compute": spec.compute.model_copy(
                update={
                    "device": device,
                    "threads": spec.compute.threads or machine.threads(),
                    "dtype": spec.compute.dtype or machine.dtype(device) or "float32",
                }
            ),
        }
    )
    given = spec.model_dump(mode="json", exclude_defaults=True) | {"method": spec.method}
    if "scorer" in given:
        given["scorer"] = rewarding.given(given["scorer"], dict(functions))
    if dataset is not None:
        given["dataset"] = str(dataset)
    facts |= {
        "given": given | {"models": [_plain(model) for model in models]} if models else given,
        "submitted_ns": time.time_ns(),
        "user": getpass.getuser(),
        "commit": prepare.commit(),
        "cwd": str(Path.cwd()),
        "tracking_uri": prepare.tracking_uri(),
        "needs": _needs(spec),
        "models": names,
        "digests": {str(dataset): dataset.digest} if dataset is not None else {},
        "scoring": rewarding.digests(files),
        "same_judge": _taught_by(models, judge),
    }
    facts |= machine.noted(device)
    return PreparedEvaluation(resolved, facts, files)


def overlap(models: Iterable[str | EndpointModel], dataset: Dataset) -> dict[str, int]:
    """Return how many rows each custom model has been trained on, itself or a model that it was made from."""
    found = {}
    for model in models:
        if not isinstance(model, str):
            continue
        trained = 0
        for entry in _line(model):
            try:
                trained = max(trained, Dataset.get(entry.dataset).overlap(dataset))
            except DataError:
                # The rows are gone; what they were is not known any more.
                continue
        if trained:
            found[model] = trained
    return found


def _line(model: str) -> list[index.Entry]:
    """Return a custom model's entry and those of the models that it was made from."""
    found: list[index.Entry] = []
    entry = index.find(model.partition(":")[0])
    while entry is not None and entry not in found:
        found.append(entry)
        entry = index.find(str(_job_spec(entry).get("model", "")))
    return found


def _job_spec(entry: index.Entry) -> dict[str, Any]:
    """Return the spec that a custom model was made from; empty where the job was removed."""
    try:
        return folders.find(entry.job).spec()
    except JobError:
        return {}


def _feedback_models(entry: index.Entry) -> set[str]:
    reward = _job_spec(entry).get("reward") or []
    parts = reward if isinstance(reward, list) else [reward]
    return {part["model"] for part in parts if "prompt" in part}


def _models(spec: EvaluateSpec, elsewhere: set[str]) -> list[str | EndpointModel]:
    found: list[str | EndpointModel] = []
    for model in spec.models:
        if isinstance(model, EndpointModel):
            _has_key(model.api_key, EndpointModel, f"models: {model.name}")
            found.append(model)
        elif model in elsewhere:
            found.append(model)
        else:
            found.append(_known(model))
    names = [model if isinstance(model, str) else model.name for model in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SpecError(f"models: '{twice}' is there twice; name each model once.")
    if len(found) == 1 and isinstance(found[0], str) and found[0] not in elsewhere:
        # One custom model alone is compared with what it was made from.
        entry = index.find(found[0].partition(":")[0])
        if entry is not None and spec.method != "meta":
            return [_known(entry.base), found[0]]
    return found


def _known(model: str) -> str:
    ref = find.find(model)
    if hub_id := find.to_download(ref):
        from tunelab import task

        task.run("tunelab.models.hub:check", {"hub_id": hub_id}, show=f"Looking for {hub_id} on the hub")
    return str(ref.folder) if ref.kind == "folder" else ref.version or model


def _name(spec: EvaluateSpec, models: list[str | EndpointModel]) -> str:
    if not models:
        return "judge-meta"
    last = models[-1] if isinstance(models[-1], str) else models[-1].name
    plain = "".join(c if c.isalnum() or c in "._-" else "-" for c in Path(last).name.partition("@")[0]).strip("-._")
    return f"{plain[:80] or 'model'}-eval"


def _judge(judge: Judge, kept: Mapping[str, str]) -> tuple[Judge, dict[str, str]]:
    """Return the judge with its metrics by version, and their definitions as files."""
    from tunelab.scoring.metrics import Metric

    if judge.base_url is None:
        judge = judge.model_copy(update={"model": _here(judge)})
    else:
        _has_key(judge.api_key, Asked, "judge")
    labels: list[str | MetricDefinition] = []
    texts = {}
    for given in judge.metrics:
        if isinstance(given, str) and (text := kept.get(metric_file(given))) is not None:
            metric = Metric(MetricDefinition.model_validate_json(text), int(given.partition("@")[2]))
        elif isinstance(given, str):
            metric = Metric.get(given)
        else:
            metric = Metric.create(given.name, given.instructions, [one.model_dump() for one in given.rating_scale])
        if str(metric) in labels:
            raise SpecError(f"judge.metrics: '{metric}' is there twice.")
        labels.append(str(metric))
        texts[metric_file(str(metric))] = metric.definition.model_dump_json(indent=1)
    return judge.model_copy(update={"metrics": labels}), texts


def _here(judge: Judge) -> str:
    ref = find.find(judge.model)
    if find.to_download(ref):
        raise SpecError(
            f"The judge '{judge.model}' is not on this machine. Download it first (tl.generate(model, prompt) does), "
            "or give the base_url of an endpoint that serves it."
        )
    return str(ref.folder) if ref.kind == "folder" else ref.version or judge.model


def _definitions(judge: Judge, files: Mapping[str, str]) -> list[tuple[str, MetricDefinition]]:
    """Return a resolved judge's metrics, by version, from the files of its job."""
    return [
        (str(label), MetricDefinition.model_validate_json(files[metric_file(str(label))])) for label in judge.metrics
    ]


def _fits(
    spec: EvaluateSpec,
    judge: Judge | None,
    files: dict[str, str],
    dataset: Dataset,
    found: list[records.Record],
    functions: Mapping[str, rewarding.Taken],
) -> None:
    """Refuse rows that lack what a metric or a function reads."""
    without = next((record for record in found if record.ground_truth is None), None)
    if judge is not None and without is not None:
        for label, metric in _definitions(judge, files):
            if metric.wants_ground_truth:
                raise SpecError(
                    f"The metric '{label}' compares with {{{{ground_truth}}}}, and {dataset} has no response in row "
                    f"{without.number}. Add the column 'response', or choose a metric without it."
                )
    columns = {"prompt", *(["ground_truth"] if without is None else []), *records.columns(found)}
    for part in spec.scorer:
        if isinstance(part, FunctionReward):
            rewarding.reads(functions[part.source].source, columns, str(dataset))
        elif isinstance(part, PresetReward):
            if part.preset in WANT_GROUND_TRUTH and without is not None:
                raise SpecError(
                    f"The preset '{part.preset}' compares with the response, which {dataset} has none of in row "
                    f"{without.number}. Add it, or leave the row out."
                )
            rewarding.has_its_columns(part, [record.row for record in found[:100]], columns, str(dataset))


def _predictions(spec: EvaluateSpec, dataset: Dataset, ids: set[str]) -> dict[str, str]:
    """Return the answers made elsewhere as files of the job's folder, each row held against the dataset's ids."""
    texts: dict[str, str] = {}
    for place, (model, given) in enumerate((spec.predictions or {}).items()):
        path = Path(os.path.expanduser(given))
        if not path.is_file():
            raise SpecError(f"predictions.{model}: there is no file {given}.")
        answers: dict[str, str] = {}
        for number, row in enumerate(reading.read_file(path), 1):
            where = f"{path.name}, row {number}"
            for key in ("id", "prediction"):
                if row.get(key) is None:
                    raise DataError(
                        f"{where} has no '{key}': each row has the id of a row of {dataset} and a prediction."
                    )
            own = row["id"]
            label = str(int(own)) if isinstance(own, float) and own.is_integer() else str(own)
            if not isinstance(row["prediction"], str):
                raise DataError(f"{where}: 'prediction' is no text.")
            if label in answers:
                raise DataError(f"{where}: the id '{label}' is there twice.")
            if label not in ids:
                raise DataError(f"{where}: {dataset} has no row with the id '{label}'.")
            answers[label] = row["prediction"]
        if not answers:
            raise DataError(f"predictions.{model}: {path.name} has no rows.")
        texts[_file(place)] = "".join(
            json.dumps({"id": label, "prediction": text}, ensure_ascii=False) + "\n" for label, text in answers.items()
        )
    return texts


def _file(place: int) -> str:
    return f"predictions-{place + 1}.jsonl"


def _labelled(spec: EvaluateSpec, namespace: dict[str, Any] | None, table: Any, name: str) -> tuple[Dataset, int]:
    """Return rows that people have judged: a prompt with two outputs, or one prediction, and a label."""
    dataset = labelled.dataset(spec.dataset if table is None else table, namespace, f"{name[:85]}-rows")
    if spec.judge is not None and spec.judge.pairwise and "output_1" not in next(iter(dataset.read()))["metadata"]:
        raise SpecError("judge.pairwise needs rows with output_1 and output_2; these have one answer each.")
    return dataset, min(dataset.rows, spec.limit or dataset.rows)


def _rated(judge: Judge, files: dict[str, str], dataset: Dataset, where: str) -> None:
    """Refuse ratings by people that no answer can get from the judge."""
    for label, metric in _definitions(judge, files):
        values = metric.scale.values()
        low, high = min(values), max(values)
        for number, row in enumerate(dataset.read(), 1):
            rating = row["metadata"]["label"]
            if "prediction" in row["metadata"] and not low <= rating <= high:
                raise DataError(
                    f"{where}, row {number}: people's rating {rating:g} is off the scale of {label}, which goes from "
                    f"{low:g} to {high:g}. Rate on the metric's scale, or choose another metric."
                )


def _absolute(benchmark: Benchmark | None) -> Benchmark | None:
    """Return a benchmark whose files are found from the job's folder too."""
    if benchmark is None:
        return None
    given = {key: getattr(benchmark, key) for key in ("path", "data")}
    found = {key: str(Path(os.path.expanduser(file)).absolute()) for key, file in given.items() if file is not None}
    return benchmark.model_copy(update=found)


def _check_benchmark(spec: EvaluateSpec) -> None:
    from tunelab import task

    assert spec.benchmark is not None
    task.run(
        "tunelab.evaluation.benchmark:check",
        {
            "benchmark": spec.benchmark.model_dump(mode="json"),
            "endpoints": [model.name for model in spec.models if isinstance(model, EndpointModel)],
        },
        show="Looking for the tasks",
    )


def _taught_by(models: Iterable[str | EndpointModel], judge: Judge | None) -> list[str]:
    """Return the models whose reward was given by the judge, or by a model that it was made from."""
    if judge is None:
        return []
    found = []
    for model in models:
        if not isinstance(model, str):
            continue
        for entry in _line(model):
            if judge.model in _feedback_models(entry):
                found.append(model)
                break
    return found


def _has_key(name: str, model: Any, where: str) -> None:
    if name != model.model_fields["api_key"].default and name not in os.environ:
        # Not shown: it may be the key itself.
        raise SpecError(f"{where}.api_key: there is no environment variable of that name; {KEY_IS}.")


def _needs(spec: EvaluateSpec) -> list[str]:
    names = prepare.tracking_needs()
    if spec.judge is not None and spec.judge.base_url:
        names.append(spec.judge.api_key)
    names += [model.api_key for model in spec.models if isinstance(model, EndpointModel)]
    if any(isinstance(model, str) and "/" in model for model in spec.models):
        names.append("HF_TOKEN")
    return [name for name in dict.fromkeys(names) if name in os.environ]


def _plain(model: str | EndpointModel) -> Any:
    return model if isinstance(model, str) else model.model_dump(mode="json", exclude_defaults=True)


__all__ = ["PreparedEvaluation", "overlap", "prepare_evaluation"]
