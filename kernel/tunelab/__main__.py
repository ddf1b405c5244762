"""`python -m tunelab run SPEC.yaml`: the same work from a pipeline, without a notebook."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import tunelab
from tunelab.errors import Error
from tunelab.spec import load


def main(arguments: list[str] | None = None) -> int:
    """Run a command line; return the exit status: 0 done, 1 the job did not complete, 2 it was refused."""
    parser = argparse.ArgumentParser(prog="python -m tunelab", description="Model customization on one's own machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="do what a spec file says, and wait for it")
    run.add_argument("spec", help="a YAML file")
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the spec")
    run.add_argument("--fit", action="store_true", help="smaller batches, same effective batch, where memory is short")
    run.add_argument("--dry-run", action="store_true", help="plan only, start nothing")
    run.add_argument("--no-wait", action="store_true", help="print the job's id and leave it running")
    commands.add_parser("jobs", help="list the workspace's jobs")
    logs = commands.add_parser("logs", help="print a job's log")
    logs.add_argument("job")
    lineage = commands.add_parser("lineage", help="what led to a model, dataset or job, and what came of it")
    lineage.add_argument("of", help="NAME@VERSION, or a job's id")
    cancel = commands.add_parser("cancel", help="end a job, keeping what it saved")
    cancel.add_argument("job")
    again = commands.add_parser("replay", help="run a job again from its record, and wait for it")
    again.add_argument("job")
    again.add_argument("--dry-run", action="store_true", help="tell what differs today, start nothing")
    again.add_argument("--name", help="another name for what comes out")
    again.add_argument("--no-wait", action="store_true", help="print the job's id and leave it running")
    given = parser.parse_args(arguments)
    try:
        return _do(given)
    except Error as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Left; a job that was started goes on. See: python -m tunelab jobs", file=sys.stderr)
        return 130


def _do(given: argparse.Namespace) -> int:
    if given.command == "jobs":
        print(tunelab.jobs())
    elif given.command == "logs":
        print(tunelab.job(given.job).logs())
    elif given.command == "lineage":
        print(tunelab.lineage(given.of))
    elif given.command == "cancel":
        job = tunelab.job(given.job).cancel().wait()
        return 0 if job.state == "cancelled" else 1
    elif given.command == "replay":
        found = tunelab.replay(given.job, dry_run=given.dry_run, name=given.name)
        if isinstance(found, tunelab.Replay):
            print(found)
            return 2 if found.refused else 0
        return _wait(found, given.no_wait)
    else:
        overrides = dict(load.assignment(text) for text in given.set) | ({"compute.fit": True} if given.fit else {})
        if load.from_file(given.spec).get("kind") == "evaluate":
            if given.dry_run or given.fit:
                raise tunelab.SpecError("--dry-run and --fit are for a spec of kind customize.")
            started: tunelab.Job | tunelab.Plan = tunelab.evaluate(Path(given.spec), overrides=overrides)
        else:
            started = tunelab.customize(Path(given.spec), dry_run=given.dry_run, overrides=overrides)
        if isinstance(started, tunelab.Plan):
            print(started)
        else:
            return _wait(started, given.no_wait)
    return 0


def _wait(job: tunelab.Job, leave: bool) -> int:
    print(job.id, flush=True)
    return 0 if leave or job.wait().state == "completed" else 1


if __name__ == "__main__":
    sys.exit(main())
