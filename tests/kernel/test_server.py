"""MLflow behind a real Jupyter: who may use Jupyter reaches it and nobody else, and it ends whenever Jupyter does."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tunelab.registry import links

EXPERIMENTS = "ajax-api/2.0/mlflow/experiments/search"


def until(call: Callable[[], Any], timeout: float) -> Any:
    """Return the first thing that is true."""
    end = time.monotonic() + timeout
    while not (found := call()):
        assert time.monotonic() < end, "It did not happen in time."
        time.sleep(0.1)
    return found


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Jupyter:
    """A Jupyter server with folders of its own, and MLflow once `open` was called."""

    def __init__(self, folder: Path) -> None:
        self.port, self.token = free_port(), secrets.token_hex(16)
        env = os.environ | {
            "TUNELAB_HOME": str(folder / "home"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "JUPYTER_TOKEN": self.token,
            **{f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")},
        }
        env.pop("MLFLOW_TRACKING_URI", None)
        (folder / "work").mkdir(parents=True)
        options = ["--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={self.port}"]
        self.log = folder / "jupyter.log"
        with self.log.open("wb") as log:
            self.process = psutil.Popen(
                [sys.executable, "-m", "jupyter", "server", *options, "--ServerApp.port_retries=0"],
                **{"env": env, "cwd": folder / "work", "stdin": subprocess.DEVNULL, "stdout": log, "stderr": log},
                start_new_session=True,
            )
        until(self._answers, 60)

    def client(self, token: bool = True) -> httpx.Client:
        headers = {"Authorization": f"token {self.token}"} if token else {}
        url = f"http://127.0.0.1:{self.port}/mlflow/"
        return httpx.Client(base_url=url, headers=headers, timeout=90, trust_env=False)

    def open(self) -> httpx.Response:
        """Return MLflow's page, after its start."""
        with self.client() as client:
            answer: httpx.Response = until(lambda: (found := client.get("")).status_code == 200 and found, 90)
        return answer

    def mlflow(self) -> list[psutil.Process]:
        """The processes that serve MLflow, by the socket in their command lines."""
        found = []
        for one in self.process.children(recursive=True):
            # A child may end between the list and the look.
            with contextlib.suppress(psutil.NoSuchProcess):
                found += [one] if "--uds" in " ".join(one.cmdline()) else []
        return found

    def close(self) -> None:
        if self.process.is_running():
            every = [*self.process.children(recursive=True), self.process]
            for one in every:
                one.kill()
            psutil.wait_procs(every, timeout=10)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/api", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def started() -> Iterator[list[Jupyter]]:
    """The Jupyter servers of this module."""
    every: list[Jupyter] = []
    yield every
    for jupyter in every:
        jupyter.close()


@pytest.fixture
def jupyter(started: list[Jupyter], tmp_path_factory: pytest.TempPathFactory) -> Jupyter:
    """The server that the last test has left, or a new one."""
    if not started or not started[-1].process.is_running():
        started.append(Jupyter(tmp_path_factory.mktemp("jupyter")))
    return started[-1]


REQUESTS = [("GET", ""), ("GET", "static-files/favicon.ico"), ("POST", EXPERIMENTS), ("GET", "../proxy/5000/")]


@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_without_the_token_nothing_is_answered_or_started(jupyter: Jupyter, method: str, path: str) -> None:
    before = jupyter.mlflow()
    with jupyter.client(token=False) as client:
        answer = client.request(method, path, json={"max_results": 5})
    assert answer.status_code == 403 or (answer.status_code == 302 and "/login" in answer.headers["Location"])
    assert jupyter.mlflow() == before


def test_with_the_token_it_is_mlflow(jupyter: Jupyter) -> None:
    page = jupyter.open()
    assert page.headers["Content-Type"].startswith("text/html")
    assert "<title>MLflow</title>" in page.text
    with jupyter.client() as client:
        answer = client.post(EXPERIMENTS, json={"max_results": 5})
        script = client.get(page.text.partition('src="')[2].partition('"')[0])
    assert answer.status_code == 200
    assert [found["name"] for found in answer.json()["experiments"]] == ["Default"]
    assert (script.status_code, script.headers["Content-Type"].partition(";")[0]) == (200, "text/javascript")


def test_the_other_users_of_the_machine_do_not_reach_it(jupyter: Jupyter) -> None:
    jupyter.open()
    served = jupyter.mlflow()
    line = served[0].cmdline()
    path = Path(line[line.index("--uds") + 1])
    assert path.is_socket()
    assert path.stat().st_mode & 0o077 == 0 or path.parent.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_uid == os.getuid()
    family = {child.pid for one in served for child in one.children(recursive=True)} | {one.pid for one in served}
    assert len(family) >= 3
    assert [found for pid in family for found in psutil.Process(pid).net_connections("inet")] == []
    # That is no blindness: Jupyter's own port is seen.
    assert {found.laddr.port for found in jupyter.process.net_connections("inet")} >= {jupyter.port}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["told to end", "killed"])
def test_it_ends_with_jupyter(jupyter: Jupyter, number: signal.Signals) -> None:
    jupyter.open()
    served = jupyter.mlflow()
    every = {*served, *(child for one in served for child in one.children(recursive=True))}
    assert len(every) >= 3
    jupyter.process.send_signal(number)
    _, alive = psutil.wait_procs([jupyter.process, *every], timeout=20)
    for one in alive:
        one.kill()
    assert alive == []


VARIABLE = '--backend-store-uri "$MLFLOW_TRACKING_URI" '
#: MLFLOW_TRACKING_URI, the address a page opens, and what the command says of the store.
ADDRESSES = {
    "unset": (None, None, "--backend-store-uri sqlite:///{home}/mlflow.db "),
    "server": ("http://host:5000/", "http://host:5000", "--backend-store-uri http://host:5000/ "),
    "server with password": ("http://user:secret@host:5000/", "http://host:5000", VARIABLE),
    "password with an @": ("https://user:a@secret@host/ml/", "https://host/ml", VARIABLE),
    "server with a key": ("https://host/ml/?key=secret", "https://host/ml", VARIABLE),
    "database": ("postgresql://h/db", None, "--backend-store-uri postgresql://h/db "),
    "database with password": ("postgresql://u:secret@h/db", None, VARIABLE),
    "database with password as a parameter": ("postgresql://h/db?user=u&password=secret", None, VARIABLE),
    "file": ("file:///srv/runs", None, "--backend-store-uri file:///srv/runs "),
    "SQLite": ("sqlite:////srv/my runs;x.db", None, "--backend-store-uri 'sqlite:////srv/my runs;x.db' "),
}


@pytest.mark.parametrize(("uri", "url", "said"), ADDRESSES.values(), ids=ADDRESSES.keys())
def test_a_page_is_told_where_mlflow_is_and_no_secret(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, uri: str | None, url: str | None, said: str
) -> None:
    if uri is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    found = links.link({"experiment_id": "1", "run_id": "2", "uri": uri or ""})
    assert found["url"] == url
    assert found["artifacts"] == (None if uri else str(workspace / "artifacts"))
    assert (found["experiment_id"], found["run_id"]) == ("1", "2")
    assert found["command"] == links.command()
    assert said.format(home=workspace) in found["command"]
    assert "secret" not in repr(found)
    # What MLflow is given where the command is run beside the kernel.
    given = subprocess.check_output(["sh", "-c", f"printf '%s\\n' {found['command']}"], text=True).splitlines()
    assert given[given.index("--backend-store-uri") + 1] == (uri or f"sqlite:///{workspace}/mlflow.db")
    assert given[-1] == str(workspace / "artifacts")
    assert links.link(None) == found | {"experiment_id": None, "run_id": None}


def test_the_command_serves_the_workspace(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = workspace.with_name("a home of $many words")
    monkeypatch.setenv("TUNELAB_HOME", str(home))
    port = free_port()
    assert " --port 5000 " in links.command()
    served = psutil.Popen(
        ["sh", "-c", links.command().replace(" --port 5000 ", f" --port {port} ")],
        **{"start_new_session": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL},
    )
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: served.poll() is not None or _is_healthy(url), 180)
        answer = httpx.post(f"{url}/{EXPERIMENTS}", json={"max_results": 5}, trust_env=False)
        assert answer.json()["experiments"][0]["artifact_location"] == f"{home}/artifacts/0"
    finally:
        every = served.children(recursive=True)
        os.killpg(served.pid, signal.SIGKILL)
        psutil.wait_procs([served, *every], timeout=10)
    assert (home / "mlflow.db").exists()


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False).text == "OK"
    except httpx.TransportError:
        return False
