"""MLflow behind Jupyter: a server on a socket that only this user reaches, which ends when Jupyter does.

`setup` is the entry point for jupyter-server-proxy, which starts the server at the first request and guards it by
Jupyter's own login.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
import time
from types import FrameType
from typing import Any

from tunelab.registry import links

_LOOK_EVERY_S = 0.5
_STOP_WITHIN_S = 5.0


def setup() -> dict[str, Any]:
    """Return how jupyter-server-proxy starts and reaches the server."""
    return {
        "command": [sys.executable, "-P", "-m", "tunelab.registry.server", "--uds", "{unix_socket}"],
        # jupyter-server-proxy makes it in a folder of mode 0700; a TCP port would be open to every user of the machine.
        "unix_socket": True,
        "timeout": 90,
        "absolute_url": False,
        # MLflow answers only to hosts that it knows.
        "request_headers_override": {"Host": "localhost"},
        "launcher_entry": {"enabled": False},
    }


def main() -> int:
    """Serve the store on a unix socket until Jupyter ends, in whatever way; return the server's exit code."""
    parser = argparse.ArgumentParser(prog="python -m tunelab.registry.server", description=main.__doc__)
    parser.add_argument("--uds", required=True, metavar="SOCKET", help="path of the unix socket to serve on")
    socket = parser.parse_args().uds
    jupyter = os.getppid()
    # Handled from the start: a default SIGTERM would leave the server's workers behind.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    # mlflow takes seconds to import, and Jupyter, which asks `setup`, has no use for it.
    from tunelab.registry import store

    store.client()
    os.umask(0o077)
    listen = [
        "--host",
        "127.0.0.1",
        "--workers",
        "1",
        "--uvicorn-opts",
        f"--uds {shlex.quote(socket)} --log-level warning",
    ]
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", *listen],
        env=os.environ | links.store() | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "DO_NOT_TRACK": "true"},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        # A Jupyter that was killed tells nobody; its child is given to another parent.
        while os.getppid() == jupyter and server.poll() is None:
            time.sleep(_LOOK_EVERY_S)
    finally:
        _end(server)
    return server.returncode


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _end(server: subprocess.Popen[bytes]) -> None:
    """End the whole group: mlflow starts uvicorn, which starts workers, and none ends with its parent."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, number)
        except ProcessLookupError:
            break
        try:
            server.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            continue
    server.wait()


if __name__ == "__main__":
    sys.exit(main())
