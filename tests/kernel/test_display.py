"""How a job shows: live in the cell that started it, as a picture in what is saved after its end, as text elsewhere."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from test_live import written

from tunelab.jobs.manager import Job
from tunelab.notebook.display import job_html

JOB = "application/vnd.tunelab.job+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
ROWS = Path(__file__).parents[2] / "notebooks" / "data" / "reminders.jsonl"

START = """
import tunelab as tl
%load_ext tunelab
job = tl.customize(
    model={model!r}, technique="sft", dataset={data!r}, name="small", split=4,
    hyperparameters={{"max_steps": 4, "logging_steps": 1, "eval_steps": 2, "per_device_train_batch_size": 4}},
)
job
"""
END = """
import threading
job.wait(180, progress=False)
for thread in threading.enumerate():
    if thread.name == "tunelab-live":
        thread.join(30)
"""
AGAIN = "tl.job(job.id)"


class Ran:
    """A notebook that was run in a real kernel, and what its first cell showed before the job's end."""

    def __init__(self, folder: Path, tiny: Path) -> None:
        (folder / "data.jsonl").write_text("".join(ROWS.read_text(encoding="utf-8").splitlines(keepends=True)[:24]))
        start = START.format(model=str(tiny), data=str(folder / "data.jsonl"))
        self.notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, (start, END, AGAIN))))
        env = os.environ | {"TUNELAB_HOME": str(folder / "home"), "XDG_CACHE_HOME": str(folder / "cache")}
        env.pop("MLFLOW_TRACKING_URI", None)
        kernel = KernelManager(kernel_name="python3")
        client = NotebookClient(self.notebook, km=kernel, timeout=240)
        try:
            with client.setup_kernel(env=env, cwd=str(folder)):
                client.execute_cell(self.notebook.cells[0], 0)
                self.before = deepcopy(self.notebook.cells[0].outputs)
                for place in (1, 2):
                    client.execute_cell(self.notebook.cells[place], place)
                client.set_widgets_metadata()
        finally:
            if kernel.has_kernel:
                kernel.shutdown_kernel(now=True)

    @property
    def outputs(self) -> list[list[Any]]:
        """Each cell's outputs."""
        return [cell.outputs for cell in self.notebook.cells]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Ran:
    return Ran(tmp_path_factory.mktemp("display"), tiny)


def test_a_running_job_is_live_and_is_saved_as_a_table(ran: Ran) -> None:
    (output,) = ran.before
    assert set(output.data) == {WIDGET, JOB, "text/html", "text/plain"}
    job_id = output.data[JOB]["job"]
    assert output.data["text/plain"].startswith(f"<Job {job_id}: ")
    assert job_id in output.data["text/html"]


def test_after_its_end_the_cell_holds_the_picture(ran: Ran) -> None:
    (output,) = ran.outputs[0]
    assert set(output.data) == {JOB, "image/svg+xml", "text/plain"}
    assert output.data[JOB] == ran.before[0].data[JOB]
    assert output.data["text/plain"].startswith(f"<Job {output.data[JOB]['job']}: Completed in ")
    assert output.data["text/plain"].endswith(": small@1>")
    assert output.data["image/svg+xml"].startswith("<svg")
    for shown in ("small@1", "Completed in ", "Held-out loss", "<polyline "):
        assert shown in output.data["image/svg+xml"]
    assert ran.outputs[1] == []


def test_an_ended_job_shows_its_picture_at_once(ran: Ran) -> None:
    (output,) = ran.outputs[2]
    assert set(output.data) == {WIDGET, JOB, "image/svg+xml", "text/plain"}
    first = ran.outputs[0][0].data
    assert {mime: output.data[mime] for mime in first} == first


@pytest.mark.parametrize("template", ["lab", "classic", "basic"])
def test_a_page_of_the_notebook_has_the_pictures(ran: Ran, template: str) -> None:
    saved = deepcopy(ran.notebook)
    # As JupyterLab saves it, unless told to keep the state of widgets.
    saved.metadata.pop("widgets")
    page, _ = HTMLExporter(template_name=template, exclude_input=True).from_notebook_node(saved)
    pictures = re.findall(r'<img [^>]*src="data:image/svg\+xml;base64,([^"]*)"', page)
    assert [base64.b64decode(picture).decode() for picture in pictures] == [
        ran.outputs[0][0].data["image/svg+xml"],
        ran.outputs[2][0].data["image/svg+xml"],
    ]
    assert 'type="application/vnd.jupyter.widget-view+json"' not in page


def test_the_state_of_a_widget_has_the_curves_and_the_picture(ran: Ran) -> None:
    kept = ran.notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    shown = kept[ran.outputs[2][0].data[WIDGET]["model_id"]]
    assert shown["state"]["snapshot"]["state"] == "completed"
    assert shown["state"]["picture"] == ran.outputs[2][0].data["image/svg+xml"]
    names = {entry["name"]: entry["runs"] for entry in shown["state"]["curves"]["index"]}
    assert (names["loss"], names["eval_loss"]) == ([[1, 1, 4]], [[0, 2, 3]])
    (values,) = [buffer for buffer in shown["buffers"] if buffer["path"] == ["curves", "values"]]
    assert len(base64.b64decode(values["data"])) == 4 * sum(run[2] for runs in names.values() for run in runs)


TERMINAL = """
%load_ext tunelab
import threading, time, tunelab as tl
from pathlib import Path
from tunelab.jobs.journal import Journal
job = tl.job({job!r})
print("BEFORE")
{shown}
print("SHOWN")
Journal(job.folder.journal, "worker").append("state", state="completed", reason=None)
for thread in threading.enumerate():
    if thread.name == "tunelab-live":
        thread.join(30)
print("AFTER", job.state)
"""


@pytest.mark.parametrize("shown", ["display(job)", "get_ipython().run_cell('job');"])
def test_a_terminal_says_it_in_a_line_once(workspace: Path, shown: str) -> None:
    folder, _ = written()
    code = TERMINAL.format(job=folder.id, shown=shown)
    command = [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "--HistoryManager.enabled=False"]
    done = subprocess.run(
        [*command, "-c", code],
        env=os.environ | {"IPYTHONDIR": str(workspace / "ipython")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.partition("BEFORE")[2].split("\n")
    assert [re.sub(r"^Out\[\d+\]: ", "", line) for line in said if line] == [
        f"<Job {folder.id}: Running: starting>",
        "SHOWN",
        "AFTER completed",
    ]
    assert done.stderr == ""


def test_the_table_shows_foreign_text_as_text(workspace: Path) -> None:
    folder, journal = written()
    journal.append("metric", step=3, values={"loss": 0.123456, "eval_loss": None})
    journal.append("state", state="failed", reason="<img src=x onerror=alert(1)> & more")
    table = job_html(Job(folder))
    assert "&lt;img src=x onerror=alert(1)&gt; &amp; more" in table
    assert "<img" not in table
    assert "0.1235 at step 3" in table and "eval_loss" not in table
