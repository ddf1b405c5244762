"""A real JupyterLab, its pages in a real browser, and a notebook in them, for tests to use as a reader would."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import nbformat
import yaml
from playwright.sync_api import Browser, Locator, Page, Playwright, expect

#: What a page of a busy machine of two cores may take.
PATIENCE_MS = 120_000

#: A training of the tiny model in the lab's folder: a step takes some hundredths of a second. With more than one thread
#: it would take seconds wherever the machine has other work, since threads wait for each other.
TINY = {"model": "./tiny", "technique": "dpo", "dataset": "pairs.jsonl", "split": 8, "compute": {"threads": 1}}
SMALL = {"logging_steps": 1, "learning_rate": 1e-3, "per_device_train_batch_size": 2}


class Lab:
    """A JupyterLab with folders, settings and a device queue of its own."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "work"
        self.root.mkdir(parents=True, exist_ok=True)
        self.home = folder / "home"
        self.token = secrets.token_hex(16)
        self.env = os.environ | {
            "TUNELAB_HOME": str(self.home),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "IPYTHONDIR": str(folder / "ipython"),
            **{f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")},
            **{f"JUPYTERLAB_{name}_DIR": str(folder / name.lower()) for name in ("SETTINGS", "WORKSPACES")},
        }
        self.env.pop("MLFLOW_TRACKING_URI", None)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        options = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": port,
            "ServerApp.port_retries": 0,
            "ServerApp.root_dir": self.root,
            "ServerApp.allow_root": True,
            "IdentityProvider.token": self.token,
            "LabApp.open_browser": False,
            # Commands are called as menus call them, so that tests need not find their way through menus.
            "LabApp.expose_app_in_browser": True,
        }
        news = folder / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
        news.parent.mkdir(parents=True, exist_ok=True)
        news.write_text('{"fetchNews": "false", "checkForUpdates": false}')
        self.log = folder / "lab.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in options.items())],
                env=self.env,
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._wait()

    def close(self) -> None:
        """End it, and wait for the kernels to end."""
        self.process.terminate()
        self.process.wait(30)

    def python(self, code: str) -> str:
        """Run code in this workspace, as a script of the user's, and return what it prints."""
        done = subprocess.run(
            [sys.executable, "-c", code], env=self.env, cwd=self.root, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def write(self, name: str, cells: list[str], kernel: str = "python3") -> None:
        """Write a notebook of these cells of code, over one of an earlier test."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
        notebook.metadata.kernelspec = {"name": kernel, "display_name": kernel, "language": "python"}
        nbformat.write(notebook, self.root / name)

    def settings(self, **values: Any) -> None:
        """Write tunelab's settings as a user has them; pages that are loaded from now on follow."""
        path = Path(self.env["JUPYTERLAB_SETTINGS_DIR"]) / "tunelab" / "plugin.jupyterlab-settings"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(values))

    def jobs(self) -> set[str]:
        """Return the ids of the workspace's jobs."""
        return {path.name for path in (self.home / "jobs").glob("*")}

    def cancel(self, job: str) -> None:
        """End a job, and wait until it has ended."""
        self.python(f"import tunelab as tl; tl.job({job!r}).cancel().wait()")

    def kernels(self) -> list[dict[str, Any]]:
        """Return the kernels that run."""
        headers = {"Authorization": f"token {self.token}"}
        return httpx.get(f"{self.url}/api/kernels", headers=headers).json()

    def end_kernels(self) -> None:
        """End the kernels that run, whatever they do."""
        headers = {"Authorization": f"token {self.token}"}
        for kernel in self.kernels():
            httpx.delete(f"{self.url}/api/kernels/{kernel['id']}", headers=headers, timeout=60)

    def _wait(self) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if httpx.get(f"{self.url}/api").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise RuntimeError(f"JupyterLab did not start:\n{self.log.read_text()}")


class Desk:
    """JupyterLab in one page of the browser, with a layout of its own."""

    def __init__(self, page: Page, lab: Lab) -> None:
        self.page = page
        self.lab = lab
        self.name = f"desk-{secrets.token_hex(4)}"

    def open(self, notebook: str = "") -> Desk:
        """Load the page, with a notebook if one is named, and wait until its kernel is idle."""
        tree = f"/tree/{notebook}" if notebook else ""
        self.page.goto(f"{self.lab.url}/lab/workspaces/{self.name}{tree}?token={self.lab.token}")
        self._restored()
        if notebook:
            self.idle()
        return self

    def reload(self) -> None:
        """Load the page again, as the user does."""
        self.page.reload()
        self._restored()

    def _restored(self) -> None:
        """Wait until the layout is as it was left: a click on a panel that is about to show would close it."""
        self.page.get_by_role("main").first.wait_for(timeout=PATIENCE_MS)
        self.page.evaluate("jupyterapp.restored.then(() => true)")

    def command(self, name: str, **arguments: Any) -> None:
        """Call a command of JupyterLab's, as a menu does."""
        self.page.evaluate("([name, given]) => { jupyterapp.commands.execute(name, given); }", [name, arguments])

    def theme(self, name: str) -> None:
        """Choose the `Light` or the `Dark` theme, where the splash that covers a change is gone before and after."""
        # A splash that is shown again while it fades is removed twice by JupyterLab 4.6, the second time with an error.
        # The body is no box of its own, so it is never visible.
        unveiled = "body[data-jp-theme-name{}]:not(:has(> #jupyterlab-splash))"
        self.page.locator(unveiled.format("")).wait_for(state="attached", timeout=PATIENCE_MS)
        self.command("apputils:change-theme", theme=f"JupyterLab {name}")
        chosen = self.page.locator(unveiled.format(f"='JupyterLab {name}'"))
        chosen.wait_for(state="attached", timeout=PATIENCE_MS)

    def idle(self) -> None:
        """Wait until the notebook's kernel has nothing to do."""
        indicator = self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook-ExecutionIndicator")
        expect(indicator).to_have_attribute("data-status", "idle", timeout=PATIENCE_MS)
        # A kernel is idle before the notebook has heard all of it, and cells that run by then are forgotten.
        self.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.ready")

    def cell(self, place: int) -> Locator:
        """Return a cell of the notebook on show."""
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook .jp-Cell").nth(place)

    def run(self, place: int) -> None:
        """Run one cell by its keys."""
        self.cell(place).get_by_role("textbox").click()
        self.page.keyboard.press("Shift+Enter")

    def job(self, place: int) -> Locator:
        """Return the live view in a cell's output."""
        return self.cell(place).get_by_role("region", name=re.compile("^Job "))

    def panel(self) -> Locator:
        """Show the side panel."""
        panel = self.page.get_by_role("region", name="Model customization")
        if not panel.is_visible():
            self.page.get_by_role("tab", name="Model customization").click()
        panel.wait_for()
        return panel

    def save(self) -> nbformat.NotebookNode:
        """Save the notebook on show, and read the file."""
        path = self.lab.root / self.page.evaluate("jupyterapp.shell.currentWidget.context.path")
        self.page.evaluate("jupyterapp.shell.currentWidget.context.save()")
        return nbformat.read(path, as_version=4)


def chromium(playwright: Playwright) -> Browser:
    """Start Chromium, as the system has it or as CHROMIUM names it."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "There is no chromium; scripts/install_chromium.sh installs it."
    # Root has no sandbox, containers a small /dev/shm, and nothing of a test may look for updates.
    options = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"]
    return playwright.chromium.launch(executable_path=path, args=options)


def customize(name: str, **hyperparameters: Any) -> str:
    """Return the cell that trains the tiny model."""
    spec = TINY | {"name": name, "hyperparameters": SMALL | hyperparameters}
    return "%%customize\n" + yaml.safe_dump(spec)


def chart(view: Locator, metric: str) -> Locator:
    """Return a chart of a job's view, by the metric that leads it."""
    return view.get_by_role("img", name=f": {metric}")


def points(view: Locator, metric: str = "rewards/margins") -> int:
    """Return how many points a chart has."""
    return int(chart(view, metric).get_attribute("data-points") or 0)


def until(condition: Any, timeout_s: float = PATIENCE_MS / 1000, every_s: float = 0.05) -> None:
    """Wait until something holds."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come to pass in time"
        time.sleep(every_s)
