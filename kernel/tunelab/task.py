"""Short work that needs heavy libraries, done in a process of its own while the caller waits.

The kernel imports neither torch nor transformers; what needs them and is not a job (a plan, some answers, an export)
goes through `run`: JSON in, JSON out, and a refusal in the child is the same refusal in the caller.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from typing import Any

from tunelab import errors, workspace
from tunelab.errors import Error
from tunelab.texts import can_rewrite

_MARK = "\x1etunelab "


def run(function: str, payload: dict[str, Any], show: str | None = None) -> Any:
    """Call ``module:function(**payload)`` in a child process and return what it returns.

    Parameters
    ----------
    function
        Such as ``"tunelab.training.plan:plan"``.
    payload
        Keywords, as JSON can carry them.
    show
        What to tell the reader while it lasts; None tells nothing.

    Raises
    ------
    Error
        What the function refused, or that it failed, with the last lines that it wrote.
    """
    status = _Status(show)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as noise:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tunelab.task", function],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=noise,
            # Beside a job that trains: threads that wait sleep, since spinning ones cost both half their speed.
            env={"OMP_WAIT_POLICY": "PASSIVE"} | environment(),
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        assert process.stdin is not None and process.stdout is not None
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(payload))
                process.stdin.close()
            answer: dict[str, Any] | None = None
            for line in process.stdout:
                if not line.startswith(_MARK):
                    continue
                message = json.loads(line.removeprefix(_MARK))
                if "say" in message:
                    status.say(message["say"])
                else:
                    answer = message
            code = process.wait()
        finally:
            status.end()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if answer is None:
            noise.seek(0)
            tail = " / ".join(noise.read().strip().splitlines()[-3:])
            died = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
            raise Error(f"The process for {function.rpartition(':')[2]} {died}: {tail or 'it wrote nothing'}")
    if "error" in answer:
        kind = getattr(errors, answer["kind"], Error)
        raise kind(answer["error"])
    return answer["result"]


def say(text: str) -> None:
    """In the child: tell the waiting reader what is being done."""
    _send({"say": text})


def environment() -> dict[str, str]:
    """Return the environment of tunelab's processes: the same workspace, and no telemetry."""
    return os.environ | {
        "TUNELAB_HOME": str(workspace.current().root),
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "true",
        "PYTHONUNBUFFERED": "1",
        # Bars are for terminals; these processes write to log files.
        "TQDM_DISABLE": "1",
    }


class _Status:
    """One line that is written over: what is being done now."""

    def __init__(self, show: str | None) -> None:
        self.show = show if can_rewrite() else None
        self.width = 0
        self.say("")

    def say(self, text: str) -> None:
        if self.show:
            line = f"{self.show} … {text}".rstrip()
            print(f"\r{line.ljust(self.width)}", end="", flush=True)
            self.width = len(line)

    def end(self) -> None:
        if self.show:
            print(f"\r{' ' * self.width}\r", end="", flush=True)


def _send(message: dict[str, Any]) -> None:
    print(_MARK + json.dumps(message), file=_answers, flush=True)


_answers = sys.stdout


def main() -> None:
    """In the child: read the payload, call the function, answer."""
    global _answers
    # What libraries print must not get between the answers.
    _answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    module, _, name = sys.argv[1].partition(":")
    payload = json.loads(sys.stdin.read())
    try:
        result = getattr(importlib.import_module(module), name)(**payload)
    except Error as error:
        _send({"error": str(error), "kind": type(error).__name__})
    except Exception as error:
        traceback.print_exc()
        first = (str(error).strip().splitlines() or [""])[0]
        _send({"error": f"{type(error).__name__}: {first}"[:500], "kind": "Error"})
    else:
        _send({"result": result})


if __name__ == "__main__":
    # `python -m` runs this file as __main__; the functions it calls import it by name, and there must be one state.
    from tunelab import task

    task.main()
