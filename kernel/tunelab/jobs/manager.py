"""The job manager of this process: submits jobs as detached processes, and shows them from their journals.

Nothing is kept here that is not on the disk: any process of the user sees the same jobs.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from tunelab import errors
from tunelab.errors import JobError
from tunelab.jobs import folder as folders
from tunelab.jobs import journal as journals
from tunelab.jobs import locks, revive
from tunelab.jobs.prepare import Prepared
from tunelab.jobs.prepare_evaluation import PreparedEvaluation
from tunelab.jobs.rollouts import Rollouts
from tunelab.jobs.view import JobView, sentence, size
from tunelab.texts import can_rewrite, plain

if TYPE_CHECKING:
    import pandas as pd

    from tunelab.evaluation.results import Result
    from tunelab.replay import Replay

_LOOK_EVERY_S = 0.2
#: A runner that cannot start, and so says nothing, is not started again at every look.
_REVIVE_EVERY_S = 5.0


class Job:
    """A job of the workspace, whoever started it. Its display in a notebook cell is its view.

    Everything is read from the job's folder when asked for; a `Job` can be made at any time by `tl.job(id)`. `hear` is
    told of each event as it is read.
    """

    def __init__(self, folder: folders.JobFolder, hear: Callable[[journals.Event], None] | None = None) -> None:
        self.folder = folder
        self._hear = hear
        self._spec: dict[str, Any] | None = None
        self._facts: dict[str, Any] | None = None
        self._view = JobView()
        self._reader = journals.Reader(folder.journal)
        # The widget's thread and the user's cell look at the same time.
        self._lock = threading.Lock()
        self._revived = (-1, 0.0)

    @property
    def id(self) -> str:
        """NAME-DATE-TIME-XXXX."""
        return self.folder.id

    @property
    def spec(self) -> dict[str, Any]:
        """The resolved spec, every default filled in."""
        if self._spec is None:
            self._spec = self.folder.spec()
        return self._spec

    @property
    def facts(self) -> dict[str, Any]:
        """What was noted at submit beside the spec: rows, user, commit, tracking store."""
        if self._facts is None:
            self._facts = self.folder.facts()
        return self._facts

    @property
    def state(self) -> str:
        """queued, running, recovering, paused, completed, failed or cancelled."""
        return self.view().state

    def view(self) -> JobView:
        """Return the truth about the job now; one that lost its processes is given a runner, and goes on."""
        with self._lock:
            self._read()
            if revive.wants_runner(self.folder, self._view) and not self.folder.has_process():
                self._revive()
            return self._view

    def _revive(self) -> None:
        if not self.folder.journal.exists():
            raise JobError(f"Job {self.id} was removed.")
        now = time.monotonic()
        if self._revived == (self._reader.offset, now // _REVIVE_EVERY_S):
            return
        try:
            revive.revive(self.folder)
        except OSError as error:
            self._view.reason = f"no process works on it, and {self.folder.path} cannot be written: {error.strerror}"
        else:
            self._read()
        self._revived = (self._reader.offset, now // _REVIVE_EVERY_S)

    def read(self) -> JobView:
        """Return what the journal says now, without a look at its processes: cheap enough for 20 times a second."""
        with self._lock:
            self._read()
            return self._view

    def _read(self) -> None:
        for event in self._reader.stream():
            self._view.fold(event)
            if self._hear:
                self._hear(event)

    def wait(self, timeout: float | None = None, progress: bool = True) -> Job:
        """Wait until the job has ended or is paused, with a line of progress, and return it.

        Raises
        ------
        Timeout
            After `timeout` seconds; the job goes on.
        """
        line = _ProgressLine(self.id) if progress else None
        until = None if timeout is None else time.monotonic() + timeout
        try:
            while not (view := self.view()).has_ended and view.state != "paused":
                if line:
                    line.show(view)
                if until is not None and time.monotonic() >= until:
                    raise errors.Timeout(
                        f"{self.id} has not ended within {timeout:g} s ({sentence(view)}). It goes on."
                    )
                time.sleep(_LOOK_EVERY_S)
            if line:
                line.show(view)
        finally:
            if line:
                line.end()
        return self

    def metrics(self) -> pd.DataFrame:
        """Return the metrics so far: one row a step, one column a metric, held-out ones as ``eval_…``."""
        import pandas as pd

        rows: dict[int, dict[str, float]] = {}
        for event in journals.standing(journals.read(self.folder.journal)):
            if event["type"] == "metric":
                rows.setdefault(event["step"], {}).update(event["values"])
        frame = pd.DataFrame.from_dict(rows, orient="index").sort_index().astype("float64")
        frame.index.name = "step"
        return frame

    def rollouts(self, step: int | None = None, held_out: bool | None = None) -> pd.DataFrame:
        """Return the answers that a reinforcement job sampled, one row each.

        Parameters
        ----------
        step
            Of this step only; without, of all of them.
        held_out
            True for answers to held-out prompts, False for those that were trained on; without, both.

        Returns
        -------
        DataFrame
            Columns ``step``, ``group`` (answers to one prompt, counted from 0 within the step), ``row`` (of the
            dataset, from 1), ``held_out``, ``prompt``, ``completion``, ``reward`` (NaN where there is none), one a part
            of the reward, ``cut`` (ended by the length limit), ``tokens``, ``status`` and ``note`` (why there is no
            reward). A part that is named as another column is called ``part NAME``.
        """
        return Rollouts(self.folder.journal).read().frame(step, held_out)

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """What the run warns of, the latest first: ``code``, ``message``, ``advice``, ``step`` and ``count``."""
        return self.read().alerts

    def result(self) -> Result:
        """Return what an evaluation found: ``.summary`` and ``.records``.

        Raises
        ------
        JobError
            If the job is no evaluation, or has not come to its end.
        """
        if self.spec["kind"] != "evaluate":
            raise JobError(f"{self.id} is no evaluation; its figures are job.metrics(), its model {self.model}.")
        view = self.view()
        if not (self.folder.path / "results" / "summary.json").exists():
            waits = "" if view.has_ended or view.state == "paused" else " job.wait() waits for them."
            raise JobError(f"{self.id} has no results ({sentence(view)}).{waits}")
        from tunelab.evaluation.results import Result

        return Result.read(self.folder.path / "results")

    def logs(self) -> str:
        """Return the job's log lines, and after them what its process wrote."""
        lines = []
        for event in journals.read(self.folder.journal):
            clock = time.strftime("%H:%M:%S", time.localtime(event["time"]))
            if event["type"] == "log":
                lines.append(f"{clock} {event['text']}")
            elif event["type"] == "state":
                reason = f": {event['reason']}" if event.get("reason") else ""
                lines.append(f"{clock} {event['state']}{reason}")
        for path in (self.folder.worker_log, self.folder.runner_log):
            if path.exists() and (text := path.read_text(encoding="utf-8", errors="replace").strip()):
                lines += [f"--- {path.name}", text]
        return "\n".join(lines)

    def cancel(self) -> Job:
        """End the job within 10 seconds; checkpoints that were saved are kept. Does nothing to one that has ended."""
        if not self.view().has_ended:
            self._ask(self.folder.cancel_request)
            # One that is paused has no process that would see it.
            self._revived = (-1, 0.0)
            self.view()
        return self

    def pause(self) -> Job:
        """Finish the step, save, and free memory and device, until `resume`. Does nothing to a job that has ended."""
        view = self.view()
        if not view.has_ended and view.state != "paused":
            self._ask(self.folder.pause_request)
        return self

    def resume(self) -> Job:
        """Go on with a paused job: it takes its place at the end of the queue, and starts from where it stopped.

        Raises
        ------
        JobError
            If it needs an environment variable that this process has not.
        """
        try:
            revive.resume(self.folder)
        except OSError as error:
            raise self._cannot_write(error) from error
        return self

    def replay(self, dry_run: bool = False, name: str | None = None) -> Job | Replay:
        """Run the job again from its record, as `tl.replay` does."""
        from tunelab.replay import replay

        return replay(self, dry_run, name)

    def move_up(self) -> Job:
        """Change places with the job before this one in the queue; does nothing to one that does not wait."""
        compute = self.spec["compute"]
        locks.DeviceQueue(compute["device"]).move_up(self.id)
        return self

    def _ask(self, request: Path) -> None:
        try:
            request.touch()
        except OSError as error:
            raise self._cannot_write(error) from error

    def _cannot_write(self, error: OSError) -> JobError:
        return JobError(f"{self.id} cannot be told: {self.folder.path} cannot be written ({error.strerror}).")

    @property
    def disk_bytes(self) -> int:
        """What the job's folder takes on the disk: checkpoints, logs, and the model where MLflow has no copy of it."""
        return folders.disk_bytes(self.folder.path)

    @property
    def model(self) -> str | None:
        """The custom model's ``NAME@VERSION``, once it is registered."""
        return self.view().model_version

    def __repr__(self) -> str:
        return plain(f"<Job {self.id}: {sentence(self.view())}>")


class Jobs(Sequence[Job]):
    """The workspace's jobs, newest first. Shown as a table."""

    def __init__(self, jobs: list[Job]) -> None:
        self._jobs = jobs

    @overload
    def __getitem__(self, index: int) -> Job: ...
    @overload
    def __getitem__(self, index: slice) -> Jobs: ...
    def __getitem__(self, index: int | slice) -> Job | Jobs:
        """Return a job, or some of them."""
        return Jobs(self._jobs[index]) if isinstance(index, slice) else self._jobs[index]

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs)

    def remove(self, job_id: str) -> None:
        """Remove a job that has ended, with its checkpoints and logs. Its run and model in MLflow stay.

        Raises
        ------
        JobError
            If there is no such job, or it has not ended, or a registered model's only files are in its folder.
        """
        from tunelab.registry import index

        job = Job(folders.find(job_id))
        if not job.view().has_ended:
            raise JobError(f"{job_id} has not ended ({job.state}). Cancel it first: tl.job('{job_id}').cancel().")
        if job.folder.pending.exists():
            raise JobError(f"{job_id} stays until MLflow, which cannot be reached, was told how it ended.")
        for entry in index.entries():
            if Path(entry.path).is_relative_to(job.folder.path):
                raise JobError(
                    f"{job_id} holds the only files of {entry.label}; it stays while that model is registered."
                )
            if entry.adapter == "lora" and _is_checkpoint_of(entry.base, job_id):
                raise JobError(
                    f"{job_id} holds the checkpoint that {entry.label} sits on; it stays while that one is registered."
                )
        for other in every():
            # What has ended has all in files of its own.
            if _loads_checkpoint_of(other, job_id) and not other.read().has_ended:
                raise JobError(
                    f"{job_id} holds the checkpoint that {other.id} begins from; it stays until that job has ended."
                )
        shutil.rmtree(job.folder.path)
        self._jobs = [other for other in self._jobs if other.id != job_id]

    def rows(self) -> list[dict[str, str]]:
        """Return what the table shows, one mapping a job."""
        shown = []
        for job in self._jobs:
            spec, view = job.spec, job.view()
            shown.append(
                {
                    "job": job.id,
                    "technique": spec.get("technique") or spec["method"],
                    "model": _models(spec),
                    "dataset": spec["dataset"] or "",
                    "state": sentence(view),
                    "disk": size(job.disk_bytes),
                }
            )
        return shown

    def __repr__(self) -> str:
        if not self._jobs:
            return "No jobs yet. %customize or tl.customize(…) starts one."
        lines = [f"{row['job']}  {row['technique']}  {row['model']}  {row['state']}" for row in self.rows()]
        return plain("\n".join(lines))


def _loads_checkpoint_of(other: Job, job_id: str) -> bool:
    """Tell whether a job begins from a checkpoint in another's folder."""
    try:
        # The text tells of nearly all, and at once.
        if ":step-" not in other.folder.spec_file.read_text(encoding="utf-8"):
            return False
        spec = other.spec
    except FileNotFoundError:
        # It was removed by another process at this moment.
        return False
    names = spec["models"] if spec["kind"] == "evaluate" else [spec["model"]]
    return any(_is_checkpoint_of(name, job_id) for name in names if isinstance(name, str))


def _is_checkpoint_of(name: str, job_id: str) -> bool:
    """Tell whether a model's name is that of a checkpoint in a job's folder."""
    from tunelab.registry import index

    label, is_checkpoint, _ = name.partition(":step-")
    made = index.find(label) if is_checkpoint else None
    return made is not None and made.job == job_id


def _models(spec: dict[str, Any]) -> str:
    """Return a job's model, or those of an evaluation: the last against the first."""
    if spec["kind"] != "evaluate":
        return str(spec["model"])
    names = [model if isinstance(model, str) else model["name"] for model in spec["models"]]
    return f"{', '.join(names[1:])} against {names[0]}" if len(names) > 1 else "".join(names) or spec["judge"]["model"]


def submit(prepared: Prepared | PreparedEvaluation) -> Job:
    """Start a job for a resolved spec, as processes of its own that outlive this one."""
    spec = prepared.spec.model_dump(mode="json")
    folder, lock = folders.create(spec["name"], spec, prepared.facts, prepared.files)
    ticket = None
    try:
        # The place in the queue is taken here and handed to the runner: processes do not start in the order of submits.
        ticket = locks.DeviceQueue(spec["compute"]["device"]).enter(folder.id, prepared.facts["submitted_ns"])
        revive.start_runner(folder, lock, ticket)
    finally:
        lock.release()
        if ticket is not None:
            ticket.release()
    return Job(folder)


def find(job_id: str) -> Job:
    """Return a job by its id, or the newest job of a custom model's name."""
    newest = next((f for f in folders.every() if f.id.rsplit("-", 3)[0] == job_id), None)
    return Job(newest or folders.find(job_id))


def every() -> Jobs:
    """Return all jobs of the workspace, newest first."""
    return Jobs([Job(folder) for folder in folders.every()])


class _ProgressLine:
    """One line that is written over on a terminal and in a notebook, and written anew at each state elsewhere."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.rewrites = can_rewrite()
        self.last = ""

    def show(self, view: JobView) -> None:
        numbers = ("reward", "eval_reward", "loss", "eval_loss", "eval_rewards/margins")
        values = [
            f"{name} {view.metrics[name][0]:.4g}"
            for name in numbers
            if (view.metrics.get(name) or [None])[0] is not None
        ]
        text = " · ".join([f"{self.job_id}: {sentence(view)}", *values])
        if self.rewrites:
            if text != self.last:
                print(f"\r{text.ljust(len(self.last))}", end="", flush=True)
                self.last = text
        else:
            tenth = (view.step or 0) * 10 // (view.total or 1)
            mark = f"{view.state} {view.phase if not view.step else tenth}"
            if mark != self.last:
                print(text, flush=True)
                self.last = mark

    def end(self) -> None:
        if self.rewrites and self.last:
            print(flush=True)
