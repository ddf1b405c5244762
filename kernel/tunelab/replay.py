"""A job run again from its record alone: what differs today is told first; on the same machine the bytes are equal."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tunelab import tables, task
from tunelab.data import Dataset, versions
from tunelab.errors import DataError, Error, JobError
from tunelab.jobs import folder as folders
from tunelab.jobs import journal as journals
from tunelab.jobs import machine, manager, rewarding
from tunelab.jobs.manager import Job
from tunelab.jobs.prepare import Prepared, commit, prepare
from tunelab.jobs.prepare_evaluation import PreparedEvaluation, prepare_evaluation
from tunelab.models import digests
from tunelab.spec import load

_SHOWN = 12


@dataclass(frozen=True)
class Record:
    """What is known of a job: its resolved spec, the files that it scored by, and what was noted beside them."""

    job: str
    spec: dict[str, Any]
    files: dict[str, str]
    facts: dict[str, Any]


@dataclass(frozen=True)
class Replay:
    """What running a job again would be. Shown as a table of what differs today.

    `differences` are mappings of ``what``, ``then`` and ``now``; `same` names what is equal; `unknown`
    says what cannot be held against the record; `refused` says why the job cannot be run again, or is None.
    """

    record: Record
    differences: list[dict[str, str]]
    same: list[str]
    unknown: list[str]
    refused: str | None
    _prepared: Prepared | PreparedEvaluation | None = field(default=None, repr=False)

    @property
    def job(self) -> str:
        """The id of the job that would be run again."""
        return self.record.job

    def __repr__(self) -> str:
        lines = [f"{row['what']}: {row['then']} → {row['now']}" for row in self.differences] or [self.summary]
        lines += self.unknown
        return "\n".join([*lines, self.refused] if self.refused else lines)

    @property
    def summary(self) -> str:
        """Whether anything differs, as one sentence."""
        if self.differences:
            count = len(self.differences)
            return f"{count} {'thing differs' if count == 1 else 'things differ'} today."
        if self.unknown:
            return "Nothing that was noted differs."
        return "Nothing differs: the result will be the same to the byte on this machine."

    def _repr_html_(self) -> str:
        rows = list(self.differences) or [{"what": self.summary}]
        rows += [{"what": line} | ({"then": "", "now": ""} if self.differences else {}) for line in self.unknown]
        if self.refused:
            rows.append({"what": self.refused} | ({"then": "", "now": ""} if self.differences else {}))
        return tables.table(rows)


def replay(job_id: Job | str, dry_run: bool = False, name: str | None = None) -> Job | Replay:
    """Run a job again from its record: the same settings, rows, functions and prompts.

    The record is the job's folder or, once that was removed, its run in MLflow.

    Parameters
    ----------
    job_id
        A job, its id, or the name of a custom model, which means its newest job.
    dry_run
        Start nothing, and return a `Replay`: what differs today, and whether it could be run.
    name
        Another name for the custom model, or for the evaluation.

    Returns
    -------
    Job or Replay

    Raises
    ------
    Error
        If there is no record, or something that the job needs is gone; nothing has been started.

    Examples
    --------
    >>> tl.replay("chatty-20260316-101500-1f2e", dry_run=True).differences
    """
    found = look(job_id, name)
    if dry_run:
        return found
    return submit(found)


def submit(found: Replay) -> Job:
    """Start what `look` found.

    Raises
    ------
    JobError
        If it cannot be run.
    """
    if found._prepared is None:
        raise JobError(found.refused or "It cannot be run again.")
    return manager.submit(found._prepared)


def look(job_id: Job | str, name: str | None = None) -> Replay:
    """Return what differs today from when a job ran, and the job made ready to run again where it can be."""
    record = read(job_id)
    if name is not None:
        record = replace(record, spec=record.spec | {"name": name})
    rows = list(_rows(record))
    differences = [row for row in rows if row["then"] != row["now"]]
    prepared, refused = None, None
    try:
        prepared = _prepare(record)
    except Error as error:
        refused = str(error)
    return Replay(
        record,
        [{key: _short(key, value) for key, value in row.items()} for row in differences],
        [row["what"] for row in rows if row not in differences],
        list(_unknown(record)),
        refused,
        prepared,
    )


def read(job_id: Job | str) -> Record:
    """Return a job's record: from its folder, with what MLflow alone knows of older jobs, or from MLflow.

    Raises
    ------
    JobError
        If neither has it.
    """
    try:
        job = job_id if isinstance(job_id, Job) else manager.find(job_id)
    except JobError as error:
        kept = _from_mlflow(str(job_id))
        if kept is None:
            raise JobError(f"{error} MLflow has no run of it either.") from error
        return Record(str(job_id), kept["spec"], kept["files"], kept["facts"])
    facts = dict(job.facts)
    facts["weights"] = next(
        (
            event["digests"]
            for event in journals.read(job.folder.journal)
            if event["type"] == "artifact" and event["kind"] == "weights"
        ),
        {},
    )
    if "versions" not in facts:
        # Of an earlier release: the versions stand with the run.
        kept = _from_mlflow(job.id)
        facts = ({} if kept is None else kept["facts"]) | {key: value for key, value in facts.items() if value}
    return Record(job.id, dict(job.spec), _files(job.folder, facts), facts)


def _from_mlflow(job: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = task.run("tunelab.registry.runs:record", {"job": job}, show="Reading MLflow")
    return found


def _files(folder: folders.JobFolder, facts: dict[str, Any]) -> dict[str, str]:
    names = [*facts.get("reward", {}), *facts.get("scoring", {})]
    if lost := [name for name in names if not (folder.path / name).is_file()]:
        raise JobError(f"{folder.id} lacks {lost[0]} in its folder, which it scored by. It cannot be run again.")
    return {name: (folder.path / name).read_text(encoding="utf-8") for name in names}


def _rows(record: Record) -> Iterator[dict[str, str]]:
    """Return what was noted then beside what is now, one mapping a thing, whether it differs or not."""
    facts, compute = record.facts, record.spec["compute"]
    now = machine.noted(compute["device"])
    for name, then in facts.get("versions", {}).items():
        what = "Python" if name == "python" else name
        yield {"what": what, "then": then, "now": now["versions"].get(name, "not installed")}
    for key, what in (("platform", "System"), ("processor", "Device")):
        if then := facts.get(key):
            yield {"what": what, "then": then, "now": now[key] or "unknown"}
    yield {"what": "Git commit", "then": facts.get("commit") or "none", "now": commit() or "none"}
    cores = machine.threads()
    if compute["threads"] and cores < compute["threads"]:
        yield {"what": "Cores", "then": f"{compute['threads']} threads", "now": f"{cores} for as many threads"}
    for label, then in facts.get("digests", {}).items():
        yield {"what": f"Dataset {label}", "then": then, "now": _dataset(label, then)}
    for model, then in facts.get("weights", {}).items():
        yield {"what": f"Model {_called(model)}", "then": then, "now": digests.of_name(model) or "not here"}
    for file, then in (facts.get("reward", {}) | facts.get("scoring", {})).items():
        text = record.files.get(file)
        digest = "gone" if text is None else hashlib.sha256(text.encode()).hexdigest()
        yield {"what": file, "then": then, "now": digest}


def _dataset(label: str, then: str) -> str:
    try:
        return Dataset.get(label).digest
    except (DataError, FileNotFoundError):
        twin = _twin(then)
        return f"deleted; {twin} has the same rows" if twin else "deleted"


def _twin(digest: str) -> str | None:
    """Return a version with the same rows, whatever its name."""
    for name in versions.names():
        for version in versions.every(name):
            if version.digest == digest:
                return version.label
    return None


def _unknown(record: Record) -> Iterator[str]:
    facts, spec = record.facts, record.spec
    if not facts.get("versions"):
        yield "The packages' versions were not noted."
    if not facts.get("processor"):
        yield "The device's name was not noted."
    if not facts.get("weights"):
        yield "The digest of the model's files was not noted."
    if spec["compute"]["device"] != "cpu":
        yield f"Sums on {spec['compute']['device']} may be made in another order, and differ in the last digits."
    if _asks_an_endpoint(spec):
        yield "What an endpoint answers may be another thing today."


def _asks_an_endpoint(spec: dict[str, Any]) -> bool:
    reward = spec.get("reward") or []
    asked = [*(reward if isinstance(reward, list) else [reward]), spec.get("judge") or {}, *(spec.get("models") or [])]
    return any(isinstance(one, dict) and one.get("base_url") for one in asked)


def _prepare(record: Record) -> Prepared | PreparedEvaluation:
    """Return the job made ready: everything checked as at a first submit, and the spec left as the record has it."""
    spec = _with_twins(record)
    device = spec["compute"]["device"]
    try:
        machine.device(device)
    except Error as error:
        raise JobError(
            f"{record.job} ran on {device}, which is not here: run it again on a machine that has it."
        ) from error
    with tempfile.TemporaryDirectory(prefix="tunelab-") as aside:
        for file, text in record.files.items():
            (Path(aside) / file).write_text(text, encoding="utf-8")
        asked = _from_files(spec, Path(aside))
        ready: Prepared | PreparedEvaluation
        if spec["kind"] == "evaluate":
            functions = rewarding.take(asked, None, "scorer")
            ready = prepare_evaluation(load.evaluate(asked), None, None, functions, record.files)
            resolved: Any = type(ready.spec).model_validate(spec)
        else:
            functions = rewarding.take(asked, None)
            ready = prepare(load.customize(asked), None, None, functions, record.files)
            resolved = type(ready.spec).model_validate(spec)
    facts = ready.facts | {"replay_of": record.job}
    facts.pop("given")
    if given := record.facts.get("given"):
        facts["given"] = given | {key: spec[key] for key in ("name", "dataset", "eval_dataset") if key in given}
    for what in ("reward", "scoring"):
        if what in facts:
            facts[what] = rewarding.digests(record.files)
    return replace(ready, spec=resolved, facts=facts, files=dict(record.files))


def _with_twins(record: Record) -> dict[str, Any]:
    """Return the spec; a dataset's version that was deleted is one with the same rows, where there is one."""
    spec = dict(record.spec)
    for key in ("dataset", "eval_dataset"):
        label = spec.get(key)
        if not label:
            continue
        try:
            Dataset.get(label)
        except (DataError, FileNotFoundError) as error:
            digest = record.facts.get("digests", {}).get(label, "")
            twin = _twin(digest)
            if twin is None:
                raise DataError(
                    f"{record.job} read the dataset {label}, which was deleted. Create a dataset with the same rows "
                    f"again, under any name: it is found by its digest ({digest[:_SHOWN] or 'not noted'})."
                ) from error
            spec[key] = twin
    return spec


def _from_files(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a spec whose files are named by their whole paths, so that they are taken as a user's are."""

    def placed(part: Any) -> Any:
        if isinstance(part, dict) and "source" in part:
            return part | {"source": str(folder / part["source"])}
        return part

    found: dict[str, Any] = json.loads(json.dumps(spec))
    for key in ("reward", "scorer"):
        given = found.get(key)
        if given:
            found[key] = [placed(part) for part in given] if isinstance(given, list) else placed(given)
    if found.get("predictions"):
        found["predictions"] = {model: str(folder / file) for model, file in found["predictions"].items()}
    return found


def _called(model: str) -> str:
    return Path(model).name if Path(model).is_absolute() else model


def _short(key: str, value: str) -> str:
    """Return a digest as people compare them; anything else as it is."""
    is_digest = key != "what" and len(value) >= 36 and all(letter in "0123456789abcdef" for letter in value.rstrip("+"))
    return value[:_SHOWN] + ("+" if is_digest and value.endswith("+") else "") if is_digest else value


__all__ = ["Record", "Replay", "look", "read", "replay", "submit"]
