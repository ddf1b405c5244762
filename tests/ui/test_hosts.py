"""The same view outside JupyterLab: a plain page with ipywidgets' own manager, as other hosts have it."""

from __future__ import annotations

import functools
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import files
from pathlib import Path

import pytest
from lab import Lab, chart, points, until
from playwright.sync_api import Page, expect

MODULES = Path(__file__).parents[2] / "node_modules"

EMBED = """
import tunelab as tl
from ipywidgets.embed import embed_minimal_html, dependency_state
from tunelab.notebook.live import live
from tunelab.notebook.widgets import JobWidget
widget = JobWidget(live({job!r}))
state = dependency_state([widget], drop_defaults=False)
embed_minimal_html({path!r}, views=[widget], state=state, embed_url='embed.js')
"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder on a web server, with ipywidgets' manager and anywidget as their makers publish them."""
    shutil.copy(MODULES / "requirejs" / "require.js", tmp_path)
    shutil.copytree(MODULES / "@jupyter-widgets" / "html-manager" / "dist", tmp_path / "html-manager")
    anywidget = next(file for file in files("anywidget") or [] if str(file).endswith("nbextensions/anywidget/index.js"))
    shutil.copy(anywidget.locate(), tmp_path / "anywidget.js")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield tmp_path, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_plain_page_with_the_widget_manager_shows_the_job(
    lab: Lab, done: str, page: Page, site: tuple[Path, str]
) -> None:
    folder, url = site
    lab.python(EMBED.format(job=done, path=str(folder / "embedded.html")))
    html = (folder / "embedded.html").read_text(encoding="utf-8")
    # The page as ipywidgets writes it, its modules from this server in the place of a network's.
    html = re.sub(r'<script src="https://[^"]*require[^"]*"[^>]*></script>', '<script src="require.js"></script>', html)
    html = html.replace(
        '<script src="require.js"></script>',
        '<script src="require.js"></script><script>requirejs.config({paths: {anywidget: "anywidget"}});</script>',
    ).replace('src="embed.js"', 'src="html-manager/embed-amd.js"')
    (folder / "index.html").write_text(html, encoding="utf-8")

    page.goto(f"{url}/index.html")
    view = page.get_by_role("region", name=f"Job {done}")
    expect(view).to_have_attribute("data-state", "completed", timeout=30_000)
    until(lambda: points(view) == 12)
    expect(chart(view, "rewards/margins").locator(".scatterlayer .trace").first).to_be_visible()
    view.get_by_role("button", name="Open in MLflow").click()
    expect(view.get_by_text("-m mlflow server")).to_be_visible()
